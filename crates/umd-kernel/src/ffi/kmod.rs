// SPDX-License-Identifier: GPL-2.0-only
//! modprobe. C: `kernel/shim/kmod.c`; header `include/linux/kmod.h`.

use core::ffi::{CStr, c_char, c_int};
use umd_core::error::{Errno, Error, Seen};
use umd_core::host::Interrupted;
use umd_core::policy::{Instant, Span};

unsafe extern "C" {
    fn umd_module_request(name: *const c_char, until: u64) -> c_int;
    fn umd_sleep(nanos: u64) -> c_int;
}

/// Runs modprobe for a module, and waits until it is over, but no longer than `until`. `Ok` is what
/// modprobe says; the module may be on its way out. Context: may sleep; killable.
pub fn request(name: &CStr, until: Instant) -> Result<(), Error> {
    // SAFETY: the name is terminated, and copied.
    match unsafe { umd_module_request(name.as_ptr(), until.as_nanos()) } {
        0 => Ok(()),
        error if error > 0 => Err(Error::NotLoaded),
        error => Err(match super::errno(error) {
            Errno::EINTR => Error::Interrupted,
            Errno::ETIMEDOUT => Error::TimedOut(Seen::Unread),
            Errno::ENOMEM => Error::NoMemory,
            _ => Error::NotLoaded,
        }),
    }
}

/// Context: may sleep; killable.
pub fn sleep(span: Span) -> Result<(), Interrupted> {
    // SAFETY: no precondition.
    match unsafe { umd_sleep(span.as_nanos()) } {
        0 => Ok(()),
        _ => Err(Interrupted),
    }
}
