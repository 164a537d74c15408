// SPDX-License-Identifier: MIT OR Apache-2.0
//! Asymmetric keys in the kernel: by keyctl, as people add them, and by its system calls, where it must be fast.

use std::ffi::{CStr, CString, c_char, c_int, c_long};
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::io::Errno;

/// `@u`, the user's keyring, by its number.
pub(crate) const USER_KEYRING: i32 = -4;

const ADD_KEY: c_long = 248;
const KEYCTL: c_long = 250;
const DESCRIBE: c_int = 6;
const UNLINK: c_int = 9;
const JOIN_SESSION: c_int = 1;
const RESTRICT: c_int = 29;
const SEARCH: c_int = 10;
const PKEY_VERIFY: c_int = 28;
const NEW_KEYRING: &CStr = c"keyring";
const ASYMMETRIC: &CStr = c"asymmetric";

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

fn result(value: c_long) -> Result<i32, Errno> {
    let failed = || Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO);
    i32::try_from(value)
        .ok()
        .filter(|value| *value >= 0)
        .ok_or_else(failed)
}

/// A key in a keyring, until dropped.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) serial: i32,
    keyring: i32,
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: the kernel takes any numbers. One that was replaced by another is not there any more.
        let _ = unsafe { syscall(KEYCTL, UNLINK, self.serial, self.keyring) };
    }
}

fn add_to(keyring: i32, kind: &CStr, name: &CStr, payload: &[u8]) -> Result<Key, Errno> {
    let (kind, name): (*const c_char, *const c_char) = (kind.as_ptr(), name.as_ptr());
    // SAFETY: the names are terminated, and the payload has that length.
    let serial = result(unsafe {
        syscall(
            ADD_KEY,
            kind,
            name,
            payload.as_ptr(),
            payload.len(),
            keyring,
        )
    })?;
    Ok(Key { serial, keyring })
}

/// Adds a key to the user's keyring.
pub(crate) fn add(payload: &[u8]) -> Result<Key, Errno> {
    add_to(USER_KEYRING, ASYMMETRIC, c"", payload)
}

/// Adds it to another one.
pub(crate) fn add_within(keyring: &Key, payload: &[u8]) -> Result<Key, Errno> {
    add_to(keyring.serial, ASYMMETRIC, c"", payload)
}

/// The same, with a name that it does not choose itself. Of one name there is one key in a keyring.
pub(crate) fn add_named(keyring: &Key, name: &CStr, payload: &[u8]) -> Result<Key, Errno> {
    add_to(keyring.serial, ASYMMETRIC, name, payload)
}

/// A new keyring in the user's.
pub(crate) fn keyring(name: &CStr) -> Result<Key, Errno> {
    add_to(USER_KEYRING, NEW_KEYRING, name, &[])
}

/// Has a keyring take only what that key vouches for.
pub(crate) fn restrict(keyring: &Key, to: &Key) -> Result<(), Errno> {
    let Ok(rule) = CString::new(format!("key_or_keyring:{}", to.serial)) else {
        return Err(Errno::INVAL);
    };
    let (kind, rule) = (ASYMMETRIC.as_ptr(), rule.as_ptr());
    // SAFETY: both texts are terminated.
    result(unsafe { syscall(KEYCTL, RESTRICT, keyring.serial, kind, rule) }).map(drop)
}

/// Gives the calling thread a session of its own, in which the user's keyring is not.
pub(crate) fn new_session() -> Result<(), Errno> {
    let nameless: *const c_char = std::ptr::null();
    // SAFETY: a session need not have a name.
    result(unsafe { syscall(KEYCTL, JOIN_SESSION, nameless) }).map(drop)
}

/// The serial number of the asymmetric key in a keyring that is found by such a description.
pub(crate) fn search(keyring: i32, description: &CStr) -> Result<i32, Errno> {
    let (kind, description): (*const c_char, *const c_char) =
        (ASYMMETRIC.as_ptr(), description.as_ptr());
    // SAFETY: the texts are terminated.
    result(unsafe { syscall(KEYCTL, SEARCH, keyring, kind, description, 0) })
}

/// What a key is called.
pub(crate) fn description(key: &Key) -> Result<Vec<u8>, Errno> {
    let mut room = vec![0_u8; 4096];
    // SAFETY: the kernel writes no more than there is room for.
    let length =
        result(unsafe { syscall(KEYCTL, DESCRIBE, key.serial, room.as_mut_ptr(), room.len()) })?;
    room.truncate(length.cast_unsigned() as usize);
    // Type, owners and permissions come first, and a zero ends it.
    let mut fields = room.splitn(5, |byte| *byte == b';');
    let last = fields.nth(4).ok_or(Errno::BADMSG)?;
    Ok(last.strip_suffix(&[0]).ok_or(Errno::BADMSG)?.to_vec())
}

/// Has a key verify a signature's numbers. `how` is the encoding and the hash.
pub(crate) fn pkey_verify(key: &Key, how: &CStr, digest: &[u8], raw: &[u8]) -> Result<(), Errno> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(|_| Errno::INVAL);
    let mut parameters = [0_u32; 10];
    parameters[..3].copy_from_slice(&[key.serial.cast_unsigned(), length(digest)?, length(raw)?]);
    // SAFETY: the parameters are as long as the kernel's, `how` is terminated, and the lengths are the slices'.
    result(unsafe {
        syscall(
            KEYCTL,
            PKEY_VERIFY,
            parameters.as_ptr(),
            how.as_ptr(),
            digest.as_ptr(),
            raw.as_ptr(),
        )
    })
    .map(drop)
}

/// Runs keyctl, which has to succeed.
pub(crate) fn keyctl(arguments: &[&str], input: &[u8]) -> Result<String> {
    let (succeeded, said) = try_keyctl(arguments, input)?;
    ensure!(succeeded, "keyctl {}: {said}", arguments.join(" "));
    Ok(said)
}

/// Runs keyctl: whether it succeeded, and what it said.
pub(crate) fn try_keyctl(arguments: &[&str], input: &[u8]) -> Result<(bool, String)> {
    let mut child = Command::new("keyctl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run keyctl")?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    // It need not read it.
    let _ = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    Ok((output.status.success(), said))
}

/// What /proc/keys says of a key.
pub(crate) fn shown(serial: i32) -> Result<String> {
    // Names need not be UTF-8.
    let keys = fs::read("/proc/keys").context("reading /proc/keys")?;
    let keys = String::from_utf8_lossy(&keys);
    let line = keys
        .lines()
        .find(|line| line.starts_with(&format!("{serial:08x} ")));
    Ok(line.context("/proc/keys does not show the key")?.to_owned())
}
