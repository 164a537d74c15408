// SPDX-License-Identifier: GPL-2.0-only
//! umd.ko's exports, as a driver module uses them. C header: `kernel/include/linux/umd.h`.

use super::abi::{Config, Confinement, Failure};
use super::module::Blob;
use crate::driver::Driver;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::marker::PhantomData;
use core::ptr::NonNull;
use umd_core::error::{Errno, Error};
use umd_core::lockdown::Lockdown;
use umd_core::policy::{Framing, Instant, Priority, Span};
use umd_core::syscall::Syscalls;

unsafe extern "C" {
    fn umd_driver_register(config: *const Config) -> *mut c_void;
    fn umd_driver_start(driver: *mut c_void, failure: *mut Failure) -> c_int;
    fn umd_driver_call(
        driver: *mut c_void,
        request: *const u8,
        request_len: usize,
        reply: *mut u8,
        reply_size: usize,
        deadline_ns: u64,
        failure: *mut Failure,
    ) -> isize;
    fn umd_driver_abort(driver: *mut c_void);
    fn umd_driver_unregister(driver: *mut c_void);
    fn umd_driver_provide(name: *const c_char, blob: *const u8, len: usize) -> *mut c_void;
    fn umd_driver_withdraw(lease: *mut c_void);
    fn umd_worker_call(
        worker: *mut c_void,
        request: *const u8,
        request_len: usize,
        reply: *mut u8,
        reply_size: usize,
    ) -> isize;
    fn umd_now() -> u64;
}

/// The time on the clock of deadlines. Context: any.
pub fn now() -> Instant {
    // SAFETY: no precondition.
    Instant::from_nanos(unsafe { umd_now() })
}

/// The error behind a negative return value. Only umd.ko fills in a failure, so a pair of numbers
/// that means nothing comes from another version of it.
fn failed(failure: &Failure) -> Error {
    Error::from_code(failure.kind, failure.detail).unwrap_or(Error::InvalidArgument)
}

/// A handler that was just started and is not in service yet.
pub struct Probe<'c> {
    worker: NonNull<c_void>,
    during_check: PhantomData<&'c ()>,
}

impl Probe<'_> {
    /// Asks it. Context: may sleep, until the start deadline.
    pub fn call(&self, request: &[u8], reply: &mut [u8]) -> Result<usize, Errno> {
        // SAFETY: the worker is valid during the check; the buffers are valid for their lengths.
        let result = unsafe {
            umd_worker_call(
                self.worker.as_ptr(),
                request.as_ptr(),
                request.len(),
                reply.as_mut_ptr(),
                reply.len(),
            )
        };
        usize::try_from(result)
            .map_err(|_| Errno::new(i32::try_from(result.unsigned_abs()).unwrap_or(0)))
    }
}

unsafe extern "C" fn health_check<D: Driver>(worker: *mut c_void, _data: *mut c_void) -> c_int {
    let Some(worker) = NonNull::new(worker) else {
        return Errno::EINVAL.get().saturating_neg();
    };
    let probe = Probe {
        worker,
        during_check: PhantomData,
    };
    match D::health_check(&probe) {
        Ok(()) => 0,
        Err(error) => error.errno().get().saturating_neg(),
    }
}

/// What C returned, unless that is an error: those are the addresses of the last page, as in
/// `<linux/err.h>`.
fn not_error(pointer: *mut c_void) -> Result<NonNull<c_void>, Errno> {
    let error = pointer.addr().wrapping_neg();
    match NonNull::new(pointer) {
        Some(pointer) if error > 4095 => Ok(pointer),
        _ => Err(Errno::new(i32::try_from(error).unwrap_or(0))),
    }
}

/// Where a driver's handler comes from.
pub(crate) enum Source<'s> {
    /// From this module.
    Blob(&'s [u8]),
    /// From another, which is loaded when it is needed.
    Loader(&'s CStr),
}

impl Source<'_> {
    fn blob(&self) -> Option<&[u8]> {
        match self {
            Self::Blob(blob) => Some(blob),
            Self::Loader(_) => None,
        }
    }

    fn loader(&self) -> Option<&CStr> {
        match self {
            Self::Blob(_) => None,
            Self::Loader(loader) => Some(loader),
        }
    }
}

/// A registration with umd.ko.
///
/// # Invariants
///
/// The pointer is one of `umd_driver_register()` and lives as long as this.
pub(crate) struct Registration(NonNull<c_void>);

// SAFETY: umd.ko's drivers may be called from any task.
unsafe impl Send for Registration {}
// SAFETY: as above.
unsafe impl Sync for Registration {}

impl Registration {
    pub(crate) fn register<D: Driver>(name: &CStr, source: Source<'_>) -> Result<Self, Errno> {
        let policy = &D::POLICY;
        let mut list = [0; Syscalls::END as usize];
        let mut syscalls_count = 0;
        if let Lockdown::Custom(listed) = policy.lockdown {
            syscalls_count = listed.count();
            for (place, call) in list.iter_mut().zip(listed.iter()) {
                *place = call.number();
            }
        }
        let config = Config {
            size: size_of::<Config>() as u32,
            framing: match policy.framing {
                Framing::Framed => 0,
                Framing::Raw => 1,
                // For the owners of files in C only.
                Framing::Stream => return Err(Errno::EINVAL),
            },
            name: name.as_ptr(),
            blob: source.blob().map_or(core::ptr::null(), <[u8]>::as_ptr),
            blob_len: source.blob().map_or(0, <[u8]>::len),
            deadline_ns: policy.deadline.as_nanos(),
            start_deadline_ns: policy.start_deadline.as_nanos(),
            request_max: u32::try_from(policy.request_max).unwrap_or(u32::MAX),
            queue_max: u32::try_from(policy.queue_max).unwrap_or(u32::MAX),
            restart_budget: policy.restart.budget,
            reserved: 0,
            restart_window_ns: policy.restart.window.as_nanos(),
            kmod: source.loader().map_or(core::ptr::null(), CStr::as_ptr),
            confinement: Confinement {
                lockdown: match policy.lockdown {
                    Lockdown::Strict => 1,
                    Lockdown::Basic => 2,
                    Lockdown::SystemRoot => 3,
                    Lockdown::Unconfined => 4,
                    Lockdown::Compute => 5,
                    Lockdown::Custom(_) => 6,
                },
                syscalls_count,
                syscalls: list.as_ptr(),
                memory_max: policy.memory_max,
                nice: match policy.priority {
                    Priority::Nice(nice) => nice.into(),
                    Priority::Inherit => 0,
                },
                priority: match policy.priority {
                    Priority::Nice(_) => 0,
                    Priority::Inherit => 1,
                },
            },
            health_check: Some(health_check::<D>),
            data: core::ptr::null_mut(),
        };
        // SAFETY: name, blob and list are valid during the call; health_check is code of this module,
        // which outlives its registrations.
        let driver = unsafe { umd_driver_register(&raw const config) };
        // INVARIANT: just registered.
        not_error(driver).map(Self)
    }

    pub(crate) fn start(&self) -> Result<(), Error> {
        let mut failure = Failure { kind: 0, detail: 0 };
        // SAFETY: by the invariant; failure may be written to.
        match unsafe { umd_driver_start(self.0.as_ptr(), &raw mut failure) } {
            0 => Ok(()),
            _ => Err(failed(&failure)),
        }
    }

    pub(crate) fn abort(&self) {
        // SAFETY: by the invariant.
        unsafe { umd_driver_abort(self.0.as_ptr()) };
    }

    pub(crate) fn call(
        &self,
        request: &[u8],
        reply: &mut [u8],
        limit: Option<Span>,
    ) -> Result<usize, Error> {
        let mut failure = Failure { kind: 0, detail: 0 };
        // SAFETY: by the invariant; the buffers are valid for their lengths, failure may be
        // written to.
        let result = unsafe {
            umd_driver_call(
                self.0.as_ptr(),
                request.as_ptr(),
                request.len(),
                reply.as_mut_ptr(),
                reply.len(),
                limit.map_or(0, Span::as_nanos),
                &raw mut failure,
            )
        };
        usize::try_from(result).map_err(|_| failed(&failure))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: by the invariant; calls borrow the registration, so there are none.
        unsafe { umd_driver_unregister(self.0.as_ptr()) };
    }
}

/// A handler that this module gives to another module's driver; dropping it takes it away again.
///
/// The drop lets calls in flight end, within the driver's deadline, kills the handler and waits for its death,
/// at most 5 s.
///
/// # Invariants
///
/// The pointer is one of `umd_driver_provide()` and lives as long as this.
pub struct Provided(NonNull<c_void>);

// SAFETY: umd.ko's drivers may be used from any task.
unsafe impl Send for Provided {}
// SAFETY: as above.
unsafe impl Sync for Provided {}

impl Provided {
    /// Gives the blob to the driver of this name. Context: the module's init; may sleep.
    ///
    /// # Errors
    ///
    /// `ENODEV` where there is no such driver, `EBUSY` where it has a handler, `ENOMEM`.
    pub fn provide(name: &CStr, blob: &Blob<'_>) -> Result<Self, Errno> {
        let blob = blob.bytes();
        // SAFETY: name and blob are valid during the call, which keeps neither.
        let lease = unsafe { umd_driver_provide(name.as_ptr(), blob.as_ptr(), blob.len()) };
        // INVARIANT: just provided.
        not_error(lease).map(Self)
    }
}

impl Drop for Provided {
    fn drop(&mut self) {
        // SAFETY: by the invariant.
        unsafe { umd_driver_withdraw(self.0.as_ptr()) };
    }
}
