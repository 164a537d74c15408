// SPDX-License-Identifier: GPL-2.0-only
//! What `<linux/usermode_driver.h>` and `<linux/usermode_driver_mgmt.h>` are made of. C: `kernel/shim/capi.c`,
//! which knows the structures of the callers; here a blob is known by its mount, which they keep for us.

use super::driver::{Definition, Driver, Keeper, Registration};
use super::loader::{self, Going, ModuleName};
use super::process::Process;
use super::registry::Registry;
use crate::ffi::exports::HealthCheck;
use crate::ffi::global::Global;
use crate::ffi::memory::Arc;
use crate::ffi::name::Name;
use crate::ffi::report;
use crate::ffi::wait;
use core::ffi::CStr;
use umd_core::error::{Errno, Error, Seen, StartError};
use umd_core::host::Lost;
use umd_core::lockdown::Lockdown;
use umd_core::policy::{Framing, Instant, Policy, RestartPolicy, Span};
use umd_core::transfer::Ended;

/// What the C API promises its callers where they say nothing else.
pub const POLICY: Policy = Policy {
    framing: Framing::Stream,
    lockdown: Lockdown::Basic,
    deadline: Span::from_millis(2_000),
    request_max: usize::MAX,
    restart: RestartPolicy::UNLIMITED,
    ..Policy::DEFAULT
};

/// So many drivers may have the same name; their directories in sysfs are numbered.
const NAMESAKES: u8 = 99;

/// A blob that was loaded.
struct Blob {
    mount: usize,
    /// Whose it is, where it is a managed driver's; 0 where not.
    owner: usize,
    registration: Arc<Registration>,
}

static BLOBS: Global<Registry<Blob>> = Global::new();

/// Context: umd.ko's init.
pub fn init() -> Result<(), Error> {
    BLOBS.set(Registry::try_new()?)
}

/// What init made.
pub fn global() -> &'static Global<impl Send + Sync> {
    &BLOBS
}

/// Stages a blob under its owner's name, which may be any file name. Returns the mount. Context: may sleep.
pub fn load(
    program: &CStr,
    blob: &[u8],
    policy: Policy,
    owner: usize,
    health_check: impl Fn() -> Option<HealthCheck>,
) -> Result<usize, Errno> {
    // The last is where the handler's root has kmsg.
    let is_name = !matches!(program.to_bytes(), b"" | b"." | b".." | b"dev");
    if !is_name || program.to_bytes().contains(&b'/') || blob.is_empty() {
        return Err(Errno::EINVAL);
    }
    let blobs = BLOBS.get().ok_or(Errno::ENODEV)?;
    for number in 1..=NAMESAKES {
        let name = Name::like(program, number);
        let health_check = health_check();
        let definition = Definition {
            // Only a managed driver has one.
            keeper: match health_check {
                Some(_) => Keeper::Host,
                None => Keeper::Owner,
            },
            name: name.as_c_str(),
            program,
            blob: Some(blob),
            loader: None,
            policy,
            health_check,
        };
        let registration = match Registration::try_new(definition) {
            Ok(registration) => registration,
            Err(Errno::EEXIST) => continue,
            Err(errno) => return Err(errno),
        };
        let mount = registration.driver().mount();
        let registration = Arc::try_new(registration).map_err(|error| error.errno())?;
        let entry = Blob {
            mount,
            owner,
            registration,
        };
        return blobs.insert(entry, |_| false).map(|()| mount);
    }
    Err(Errno::EEXIST)
}

/// Lets go of a blob: calls under way may end, within the deadline. Context: may sleep.
///
/// # Errors
///
/// `EINVAL`: there is none at this mount.
pub fn unload(mount: usize) -> Result<(), Errno> {
    let taken = BLOBS
        .get()
        .and_then(|blobs| blobs.take(|blob| blob.mount == mount))
        .ok_or(Errno::EINVAL)?;
    let driver = taken.as_ref().registration.driver();
    match driver.keeper() {
        // Whoever drops the registration waits for its death.
        Keeper::Host => driver.recall(),
        // Its process stays his until he has let go of it.
        Keeper::Owner => {}
    }
    Ok(())
}

/// The driver of the blob at this mount. A caller who read the mount without a lock says whose it was: it may
/// be somebody else's by now.
fn find(mount: usize, owner: Option<usize>) -> Option<Arc<Driver>> {
    BLOBS.get()?.find(|blob| {
        let is_it = blob.mount == mount && owner.is_none_or(|owner| owner == blob.owner);
        is_it.then(|| blob.registration.driver().clone())
    })
}

/// Makes a process. Context: may sleep.
///
/// # Errors
///
/// `EINVAL`: there is no blob at this mount. What the health check or exec said.
pub fn fork(mount: usize) -> Result<Arc<Process>, Errno> {
    let driver = find(mount, None).ok_or(Errno::EINVAL)?;
    Driver::fork(&driver).map_err(errno)
}

/// One exchange with the process of an owner who looks after it himself. Context: may sleep.
pub fn exchange(process: &Process, request: &[u8], reply: &mut [u8]) -> Result<(), Errno> {
    let driver = process.driver();
    let begin = wait::now();
    let result = exchange_with(process, request, reply);
    driver.account(result, wait::now().since(begin));
    if let Err(error @ (Error::TimedOut(_) | Error::BadMessage(_))) = result {
        let pid = process.pid().number();
        report::log_failure(driver.name(), pid, error.describe(), error.errno());
    }
    result.map_err(errno)
}

fn exchange_with(process: &Process, request: &[u8], reply: &mut [u8]) -> Result<(), Error> {
    Err(match process.stream_exchange(request, reply) {
        Ok(()) => return Ok(()),
        Err(Lost::Worker(Ended::TimedOut(seen))) => Error::TimedOut(seen),
        Err(Lost::Worker(Ended::Lockdown(check))) => Error::Start(StartError::Lockdown(check)),
        Err(Lost::Worker(Ended::Broken(violation, _))) => Error::BadMessage(violation),
        Err(Lost::Worker(Ended::Died(Seen::Unread) | Ended::Aborted(_))) => {
            Error::ConnectionRefused
        }
        Err(Lost::Worker(Ended::Died(Seen::Read))) => Error::ConnectionReset,
        Err(Lost::Caller(_)) => Error::Interrupted,
    })
}

/// One call of the managed driver of this owner, which began at `begin`. Context: may sleep.
///
/// # Errors
///
/// `ENOPROTOOPT`: there is no blob at this mount, or there is none any more.
pub fn call(
    mount: usize,
    owner: usize,
    begin: Instant,
    request: &[u8],
    reply: &mut [u8],
) -> Result<(), Errno> {
    let driver = find(mount, Some(owner)).ok_or(Errno::ENOPROTOOPT)?;
    let left = begin.after(driver.deadline()).since(wait::now());
    Driver::call(&driver, request, reply, Some(left))
        .map(drop)
        .map_err(errno)
}

/// Loads the module that brings a managed driver, for a call that began at `begin`. Context: may sleep.
///
/// # Errors
///
/// `ENOPROTOOPT`: it does not, or did not a short while ago.
pub fn request_module(
    name: &CStr,
    begin: Instant,
    is_loaded: impl Fn() -> bool,
) -> Result<(), Errno> {
    let name = ModuleName::new(name).map_err(|_| Errno::ENOPROTOOPT)?;
    let deadline = begin.after(POLICY.deadline);
    loader::request(&name, deadline, is_loaded).map_err(errno)
}

/// This module has brought a managed driver.
pub fn module_came(name: &CStr) {
    if let Ok(name) = ModuleName::new(name) {
        loader::came(&name);
    }
}

/// This module is about to take its managed driver away, or has done so.
pub fn module_goes(name: &CStr, how_far: Going) {
    if let Ok(name) = ModuleName::new(name) {
        loader::goes(&name, how_far);
    }
}

/// modprobe has ended, in this way.
pub fn modprobe_ended(name: &CStr, is_good: bool) {
    if let Ok(name) = ModuleName::new(name) {
        loader::ended(&name, is_good);
    }
}

/// The errno of the in-tree facility for what it knew, and otherwise ours.
fn errno(error: Error) -> Errno {
    match error {
        Error::ConnectionReset
        | Error::ConnectionRefused
        | Error::BadMessage(_)
        | Error::Rejected(_)
        | Error::Start(StartError::Died | StartError::Aborted | StartError::Hello(_)) => {
            Errno::EFAULT
        }
        Error::Start(StartError::Health(errno)) => errno,
        Error::Unloading => Errno::ENOPROTOOPT,
        error => error.errno(),
    }
}
