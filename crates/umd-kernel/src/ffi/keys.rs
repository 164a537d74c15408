// SPDX-License-Identifier: GPL-2.0-only
//! Asymmetric keys. C: `kernel/shim/driver/keys.c`; headers `include/keys/asymmetric-parser.h`,
//! `include/keys/asymmetric-subtype.h`.

use super::memory::Box;
use super::verify::{RawKey, RawSignature};
use crate::keys::{Claim, Ids, Key, Parser};
use crate::log::Line;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use umd_core::error::Errno;

unsafe extern "C" {
    fn umd_mod_keys_begin(server: *const Server) -> c_int;
    fn umd_mod_keys_end();
    fn umd_mod_keys_get(serial: i32, error: *mut c_int) -> *mut c_void;
    fn umd_mod_keys_at(keys: *const c_void, index: usize) -> *const c_void;
    fn umd_mod_keys_put(keys: *mut c_void);
    fn umd_mod_real_seconds() -> i64;
}

/// Seconds since 1970. Context: any.
pub fn real_seconds() -> u64 {
    // SAFETY: no precondition.
    u64::try_from(unsafe { umd_mod_real_seconds() }).unwrap_or(0)
}

/// `struct umd_mod_parsed`.
#[repr(C)]
struct Made {
    key: *mut c_void,
    public: RawKey,
    quota: u32,
    description_len: u32,
    id_len: [u32; Ids::MAX],
    id: [[u8; Ids::LEN_MAX]; Ids::MAX],
    description: [u8; Line::MAX],
}

/// `struct umd_mod_key_query`.
#[repr(C)]
struct Query {
    bits: u32,
    digest_max: u16,
    value_max: u16,
}

/// `struct umd_mod_key_parser`.
#[repr(C)]
struct Server {
    name: *const c_char,
    parse: unsafe extern "C" fn(*const c_void, *const u8, usize, *mut Made) -> c_int,
    describe: unsafe extern "C" fn(NonNull<c_void>) -> *const c_char,
    query: unsafe extern "C" fn(NonNull<c_void>, *mut Query),
    verify: unsafe extern "C" fn(NonNull<c_void>, *const RawSignature) -> c_int,
    destroy: unsafe extern "C" fn(NonNull<c_void>),
    data: *const c_void,
}

fn status(result: Result<(), Errno>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(errno) => super::negative(errno),
    }
}

/// # Safety
///
/// `parser` is a `P`, alive; `input` has `len` bytes; `made` is all zeros, and nobody else's.
unsafe extern "C" fn parse<P: Parser>(
    parser: *const c_void,
    input: *const u8,
    len: usize,
    made: *mut Made,
) -> c_int {
    // SAFETY: by this function's contract.
    let (parser, input, made) = unsafe {
        (
            &*parser.cast::<P>(),
            core::slice::from_raw_parts(input, len),
            &mut *made,
        )
    };
    status(make(parser, input, made))
}

/// In the room that C has: a stack is small.
fn make<P: Parser>(parser: &P, input: &[u8], made: &mut Made) -> Result<(), Errno> {
    let parsed = parser.parse(input)?;
    let text = parsed.description.as_bytes();
    for (to, from) in made.description.iter_mut().zip(text) {
        *to = *from;
    }
    // At most 192.
    made.description_len = text.len() as u32;
    let (ids, lens) = parsed.ids.parts();
    made.id = *ids;
    made.id_len = *lens;
    made.quota = parsed.quota;
    // C copies it while the key is where it is.
    made.public = RawKey::new(&parsed.key.primary())?;
    made.key = parsed.key.into_raw().cast();
    Ok(())
}

/// # Safety
///
/// `key` came from `parse::<P>`, alive.
unsafe extern "C" fn describe<P: Parser>(key: NonNull<c_void>) -> *const c_char {
    // SAFETY: by this function's contract.
    unsafe { key.cast::<P::Key>().as_ref() }.kind().as_ptr()
}

/// # Safety
///
/// `key` came from `parse::<P>`, alive; `query` may be written to.
unsafe extern "C" fn query<P: Parser>(key: NonNull<c_void>, query: *mut Query) {
    // SAFETY: by this function's contract.
    let said = unsafe { key.cast::<P::Key>().as_ref() }.query();
    let said = Query {
        bits: said.bits,
        digest_max: said.digest_max,
        value_max: said.value_max,
    };
    // SAFETY: by this function's contract.
    unsafe { query.write(said) };
}

/// # Safety
///
/// `key` came from `parse::<P>`, alive; the signature is valid during the call, with names that are terminated or
/// NULL.
unsafe extern "C" fn verify<P: Parser>(
    key: NonNull<c_void>,
    signature: *const RawSignature,
) -> c_int {
    // SAFETY: by this function's contract.
    let (key, raw) = unsafe { (key.cast::<P::Key>().as_ref(), &*signature) };
    let name = |name: *const c_char| {
        // SAFETY: as above.
        NonNull::new(name.cast_mut()).map(|name| unsafe { CStr::from_ptr(name.as_ptr()) })
    };
    if raw.digest.is_null() || raw.value.is_null() {
        return super::negative(Errno::EINVAL);
    }
    // SAFETY: as above, and not NULL.
    let bytes =
        |bytes: *const u8, len: u32| unsafe { core::slice::from_raw_parts(bytes, len as usize) };
    status(key.verify(&Claim {
        encoding: name(raw.encoding),
        hash: name(raw.hash),
        digest: bytes(raw.digest, raw.digest_len),
        value: bytes(raw.value, raw.value_len),
    }))
}

/// # Safety
///
/// `key` came from `parse::<P>`, and is given back.
unsafe extern "C" fn destroy<P: Parser>(key: NonNull<c_void>) {
    // SAFETY: by this function's contract.
    drop(unsafe { Box::from_raw(key.cast::<P::Key>()) });
}

/// What C keeps a pointer to.
struct Served<P> {
    server: Server,
    parser: P,
}

/// A parser that is asked until dropped. A module has one at a time.
///
/// Its keys keep the module loaded, and so does who is in it. It is asked for the first time when the module's init
/// is over.
///
/// # Invariants
///
/// C holds a pointer to what is served, and has been told to begin.
pub struct Registered<P: Parser> {
    served: Box<Served<P>>,
}

// SAFETY: `Server` holds pointers, to functions and to the parser beside it, which may be shared.
unsafe impl<P: Parser> Send for Registered<P> {}
// SAFETY: as above.
unsafe impl<P: Parser> Sync for Registered<P> {}

impl<P: Parser> Registered<P> {
    /// Has the parser asked, after those that there are. Context: may sleep.
    ///
    /// # Errors
    ///
    /// `EBUSY` where the module has one already, `EEXIST` where somebody has one of this name, `ENOMEM`.
    pub fn new(parser: P) -> Result<Self, Errno> {
        let mut served = Box::try_new(Served {
            server: Server {
                name: P::NAME.as_ptr(),
                parse: parse::<P>,
                describe: describe::<P>,
                query: query::<P>,
                verify: verify::<P>,
                destroy: destroy::<P>,
                data: core::ptr::null(),
            },
            parser,
        })
        .map_err(|error| error.errno())?;
        served.server.data = (&raw const served.parser).cast();
        // SAFETY: server and parser are in memory of their own, which is kept until the end; the functions fit.
        match unsafe { umd_mod_keys_begin(&raw const served.server) } {
            // INVARIANT: just begun.
            0 => Ok(Self { served }),
            error => Err(super::errno(error)),
        }
    }

    /// The parser's key with this serial number, or its keys in the keyring with it; keyrings in it are not looked
    /// into. The calling task must be allowed to search there. Context: may sleep.
    ///
    /// # Errors
    ///
    /// `ENOKEY` where there is none, `E2BIG` for a keyring of more than 4096 keys, and whatever keyctl(2) says of
    /// such a number.
    pub fn find(&self, serial: i32) -> Result<Keys<P::Key>, Errno> {
        let mut error = 0;
        // SAFETY: error may be written to.
        let keys = unsafe { umd_mod_keys_get(serial, &raw mut error) };
        match NonNull::new(keys) {
            // INVARIANT: just found. C knows keys of this module only, and all are of this parser.
            Some(keys) => Ok(Keys {
                keys,
                kind: PhantomData,
            }),
            None => Err(super::errno(error)),
        }
    }
}

impl<P: Parser> Deref for Registered<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.served.parser
    }
}

impl<P: Parser> Drop for Registered<P> {
    fn drop(&mut self) {
        // SAFETY: by the invariant it has begun. Afterwards nobody uses what is served any more.
        unsafe { umd_mod_keys_end() };
    }
}

/// Keys that stay where they are until this is dropped. There is at least one.
///
/// # Invariants
///
/// The pointer is one of `umd_mod_keys_get()` and lives as long as this; what it holds are `K`s.
pub struct Keys<K> {
    keys: NonNull<c_void>,
    kind: PhantomData<K>,
}

impl<K: Key> Keys<K> {
    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &K> {
        (0_usize..).map_while(|index| {
            // SAFETY: by the invariant.
            let key = unsafe { umd_mod_keys_at(self.keys.as_ptr(), index) };
            // SAFETY: by the invariant it is a `K`, which is not changed and lives as long as `self`.
            NonNull::new(key.cast_mut()).map(|key| unsafe { key.cast::<K>().as_ref() })
        })
    }
}

impl<K> Drop for Keys<K> {
    fn drop(&mut self) {
        // SAFETY: by the invariant.
        unsafe { umd_mod_keys_put(self.keys.as_ptr()) };
    }
}
