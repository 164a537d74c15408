// SPDX-License-Identifier: GPL-2.0-only
//! What `umd.ko` exports to driver modules. C header: `kernel/include/linux/umd.h`, where each
//! function's contract stands.

use super::abi::{Config, Confinement, Failure, HealthCheckFn};
use super::memory::{Arc, Box};
use super::{bytes, bytes_mut, negative};
use crate::host::driver::{Definition, Driver, Keeper, Registration};
use crate::host::lease::Lease;
use crate::host::process::Process;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::NonNull;
use umd_core::error::{Errno, Error};
use umd_core::lifecycle::QUEUE_CAPACITY;
use umd_core::lockdown::Lockdown;
use umd_core::policy::{Framing, Policy, Priority, RestartPolicy, Span};
use umd_core::syscall::{Syscall, Syscalls};

/// A driver's own check of a handler that was just started.
///
/// # Invariants
///
/// The function and its data are valid as long as the driver is registered.
pub struct HealthCheck {
    check: HealthCheckFn,
    data: *mut c_void,
}

// SAFETY: the contract of umd_driver_register(): the check may be called from any task.
unsafe impl Send for HealthCheck {}
// SAFETY: as above.
unsafe impl Sync for HealthCheck {}

impl HealthCheck {
    /// # Safety
    ///
    /// The function may be called with the data, from any task, as long as the driver is registered.
    pub(super) unsafe fn new(check: HealthCheckFn, data: *mut c_void) -> Self {
        // INVARIANT: by this function's contract.
        Self { check, data }
    }

    /// Is the handler well? Context: may sleep; calls into the driver's module.
    pub(crate) fn run(&self, process: &Arc<Process>) -> Result<(), Errno> {
        let worker = process.as_raw().cast_mut();
        // SAFETY: by the invariant; the process outlives the call.
        match unsafe { (self.check)(worker, self.data) } {
            0 => Ok(()),
            error => Err(super::errno(error)),
        }
    }
}

/// A value of 0 stands for the default.
pub(super) fn or_default(value: u64, default: Span) -> Span {
    match value {
        0 => default,
        nanos => Span::from_nanos(nanos),
    }
}

/// # Safety
///
/// `config` is valid as the header says, with all that it points to.
unsafe fn policy(config: &Config) -> Result<Policy, Errno> {
    let default = Policy::DEFAULT;
    // SAFETY: by this function's contract.
    let default = unsafe { confined(&config.confinement, default)? };
    let framing = match config.framing {
        0 => Framing::Framed,
        1 => Framing::Raw,
        _ => return Err(Errno::EINVAL),
    };
    let request_max = match config.request_max {
        0 => default.request_max,
        max => max as usize,
    };
    let queue_max = match config.queue_max as usize {
        0 => default.queue_max,
        max if max <= QUEUE_CAPACITY => max,
        _ => return Err(Errno::EINVAL),
    };
    let restart = match (config.restart_budget, config.restart_window_ns) {
        (0, 0) => RestartPolicy::DEFAULT,
        (budget, window) => RestartPolicy {
            budget,
            window: or_default(window, RestartPolicy::DEFAULT.window),
            ..RestartPolicy::DEFAULT
        },
    };
    Ok(Policy {
        framing,
        deadline: or_default(config.deadline_ns, default.deadline),
        start_deadline: or_default(config.start_deadline_ns, default.start_deadline),
        request_max,
        queue_max,
        restart,
        ..default
    })
}

/// The policy with this confinement in the place of its own; 0 stands for what it has.
///
/// # Safety
///
/// The list of system calls has as many elements as it says.
pub(super) unsafe fn confined(wanted: &Confinement, default: Policy) -> Result<Policy, Errno> {
    let lockdown = match wanted.lockdown {
        0 => default.lockdown,
        1 => Lockdown::Strict,
        2 => Lockdown::Basic,
        3 => Lockdown::SystemRoot,
        4 => Lockdown::Unconfined,
        5 => Lockdown::Compute,
        // SAFETY: by this function's contract.
        6 => Lockdown::Custom(unsafe { listed(wanted.syscalls, wanted.syscalls_count) }?),
        _ => return Err(Errno::EINVAL),
    };
    let priority = match (wanted.priority, i8::try_from(wanted.nice)) {
        (0, Ok(nice @ -20..=19)) => Priority::Nice(nice),
        (1, Ok(0)) => Priority::Inherit,
        _ => return Err(Errno::EINVAL),
    };
    let memory_max = match wanted.memory_max {
        0 => default.memory_max,
        max => max,
    };
    Ok(Policy {
        lockdown,
        memory_max,
        priority,
        ..default
    })
}

/// # Safety
///
/// `calls` has `count` elements.
unsafe fn listed(calls: *const u16, count: u32) -> Result<Syscalls, Errno> {
    let count = count as usize;
    if count > usize::from(Syscalls::END) || (calls.is_null() && count > 0) {
        return Err(Errno::EINVAL);
    }
    (0..count).try_fold(Syscalls::NONE, |set, index| {
        // SAFETY: by this function's contract.
        let number = unsafe { calls.add(index).read() };
        if number < Syscalls::END {
            Ok(set.with(&[Syscall::new(number)]))
        } else {
            Err(Errno::EINVAL)
        }
    })
}

/// What C gets for a length or an error.
///
/// # Safety
///
/// `failure` is NULL or may be written to.
unsafe fn outcome(result: Result<usize, Error>, failure: *mut Failure) -> isize {
    match result {
        Ok(length) => isize::try_from(length).unwrap_or(isize::MAX),
        Err(error) => {
            let (kind, detail) = error.code();
            if !failure.is_null() {
                // SAFETY: by this function's contract.
                unsafe { failure.write(Failure { kind, detail }) };
            }
            negative(error.errno()) as isize
        }
    }
}

/// # Safety
///
/// `config` is valid as the header says, with all that it points to.
unsafe fn register(config: *const Config) -> Result<Box<Registration>, Errno> {
    let config = NonNull::new(config.cast_mut()).ok_or(Errno::EINVAL)?;
    // SAFETY: by this function's contract.
    let config = unsafe { config.as_ref() };
    let sized = config.size as usize == size_of::<Config>() && config.reserved == 0;
    if !sized || config.name.is_null() {
        return Err(Errno::EINVAL);
    }
    // SAFETY: a name is terminated, by this function's contract.
    let name = unsafe { CStr::from_ptr(config.name) };
    let loader = NonNull::new(config.kmod.cast_mut());
    // SAFETY: as above.
    let loader = loader.map(|loader| unsafe { CStr::from_ptr(loader.as_ptr()) });
    // SAFETY: by this function's contract.
    let blob = unsafe { bytes(config.blob, config.blob_len) }.map_err(|error| error.errno())?;
    let health_check = config.health_check.map(|check| HealthCheck {
        check,
        data: config.data,
    });
    let registration = Registration::try_new(Definition {
        name,
        program: name,
        blob: (!config.blob.is_null()).then_some(blob),
        loader,
        // SAFETY: by this function's contract.
        policy: unsafe { policy(config) }?,
        keeper: Keeper::Host,
        health_check,
    })?;
    Box::try_new(registration).map_err(|error| error.errno())
}

/// # Safety
///
/// See the header.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_driver_register(config: *const Config) -> *mut Registration {
    // SAFETY: by this function's contract.
    match unsafe { register(config) } {
        Ok(registration) => registration.into_raw(),
        Err(errno) => core::ptr::without_provenance_mut(negative(errno) as usize),
    }
}

/// The driver behind C's pointer, with a reference of our own.
///
/// # Safety
///
/// `registration` came from umd_driver_register() and has not been given back.
unsafe fn driver(registration: NonNull<Registration>) -> Arc<Driver> {
    // SAFETY: by this function's contract.
    unsafe { registration.as_ref() }.driver().clone()
}

/// # Safety
///
/// See the header.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_driver_start(
    registration: NonNull<Registration>,
    failure: *mut Failure,
) -> c_int {
    // SAFETY: by this function's contract.
    let driver = unsafe { driver(registration) };
    let result = Driver::start(&driver).map(|()| 0);
    // SAFETY: by this function's contract.
    unsafe { outcome(result, failure) as c_int }
}

/// # Safety
///
/// See the header.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_driver_call(
    registration: NonNull<Registration>,
    request: *const u8,
    request_len: usize,
    reply: *mut u8,
    reply_size: usize,
    deadline_ns: u64,
    failure: *mut Failure,
) -> isize {
    // SAFETY: by this function's contract.
    let driver = unsafe { driver(registration) };
    let limit = match deadline_ns {
        0 => None,
        nanos => Some(Span::from_nanos(nanos)),
    };
    // SAFETY: by this function's contract.
    let buffers = unsafe {
        bytes(request, request_len).and_then(|request| Ok((request, bytes_mut(reply, reply_size)?)))
    };
    let result = buffers.and_then(|(request, reply)| Driver::call(&driver, request, reply, limit));
    // SAFETY: by this function's contract.
    unsafe { outcome(result, failure) }
}

/// # Safety
///
/// See the header.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_driver_abort(registration: NonNull<Registration>) {
    // SAFETY: by this function's contract.
    unsafe { registration.as_ref() }.abort();
}

/// # Safety
///
/// See the header.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_driver_unregister(registration: NonNull<Registration>) {
    // SAFETY: by this function's contract.
    drop(unsafe { Box::from_raw(registration) });
}

/// # Safety
///
/// `worker` is what a health check was given, and that check is still running; for the rest see
/// the header.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_worker_call(
    worker: NonNull<c_void>,
    request: *const u8,
    request_len: usize,
    reply: *mut u8,
    reply_size: usize,
) -> isize {
    // SAFETY: by this function's contract; run() keeps the process alive.
    let process = unsafe { Arc::<Process>::borrow_raw(worker) };
    // SAFETY: by this function's contract.
    let buffers = unsafe {
        bytes(request, request_len).and_then(|request| Ok((request, bytes_mut(reply, reply_size)?)))
    };
    let result = buffers.and_then(|(request, reply)| process.probe(request, reply));
    // SAFETY: NULL is fine.
    unsafe { outcome(result, core::ptr::null_mut()) }
}

/// # Safety
///
/// See the header.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_driver_provide(
    name: *const c_char,
    blob: *const u8,
    len: usize,
) -> *const c_void {
    // SAFETY: by this function's contract.
    match unsafe { provide(name, blob, len) } {
        Ok(lease) => lease.into_raw(),
        Err(errno) => core::ptr::without_provenance(negative(errno) as usize),
    }
}

/// # Safety
///
/// `name` is NULL or terminated, `blob` has `len` bytes.
unsafe fn provide(name: *const c_char, blob: *const u8, len: usize) -> Result<Arc<Lease>, Errno> {
    let name = NonNull::new(name.cast_mut()).ok_or(Errno::EINVAL)?;
    // SAFETY: by this function's contract.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    // SAFETY: by this function's contract.
    let blob = unsafe { bytes(blob, len) }.map_err(|error| error.errno())?;
    Lease::grant(name, blob)
}

/// # Safety
///
/// `lease` came from umd_driver_provide(), and is given back.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_driver_withdraw(lease: NonNull<c_void>) {
    // SAFETY: by this function's contract.
    Lease::withdraw(&unsafe { Arc::from_raw(lease) });
}
