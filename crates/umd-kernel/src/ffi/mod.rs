// SPDX-License-Identifier: GPL-2.0-only
//! The only place with `unsafe`: safe types over the C shims, and the functions that C calls.
//!
//! `kernel/shim/shim.h` and `kernel/include/linux/umd.h` are the other side; each function's
//! context and ownership rules stand there.

mod abi;
pub mod memory;

#[cfg(feature = "host")]
pub mod c_api;
#[cfg(feature = "host")]
pub mod callbacks;
#[cfg(feature = "host")]
pub mod exports;
#[cfg(feature = "host")]
pub mod global;
#[cfg(feature = "host")]
pub mod guard;
#[cfg(feature = "host")]
pub mod image;
#[cfg(feature = "host")]
pub mod kmod;
#[cfg(feature = "host")]
pub mod lending;
#[cfg(feature = "host")]
pub mod lock;
#[cfg(feature = "host")]
pub mod name;
#[cfg(feature = "host")]
pub mod process;
#[cfg(feature = "host")]
pub mod report;
#[cfg(feature = "host")]
pub mod sysfs;
#[cfg(feature = "host")]
pub mod task;
#[cfg(feature = "host")]
pub mod timer;
#[cfg(feature = "host")]
pub mod user;
#[cfg(feature = "host")]
pub mod wait;

#[cfg(not(feature = "host"))]
pub mod driver;
#[cfg(not(feature = "host"))]
pub mod hash;
#[cfg(not(feature = "host"))]
pub mod keys;
#[cfg(not(feature = "host"))]
pub mod log;
#[cfg(not(feature = "host"))]
pub mod module;
#[cfg(not(feature = "host"))]
pub mod securityfs;
#[cfg(not(feature = "host"))]
pub mod sockopt;
#[cfg(not(feature = "host"))]
pub mod source;
#[cfg(not(feature = "host"))]
pub mod verify;

#[cfg(umd_module)]
mod panic;

use core::ffi::c_int;
use umd_core::error::Errno;
#[cfg(feature = "host")]
use umd_core::error::Error;

/// The errno in a negative return value of C's.
fn errno(value: i32) -> Errno {
    Errno::new(value.saturating_neg())
}

/// A negative errno for C.
fn negative(errno: Errno) -> c_int {
    errno.get().saturating_neg()
}

/// Length or negative errno, as system calls return them.
fn length(result: Result<usize, Errno>) -> isize {
    match result {
        Ok(length) => isize::try_from(length).unwrap_or(isize::MAX),
        Err(errno) => negative(errno) as isize,
    }
}

/// A slice of C's: empty where the length is 0, whatever the pointer.
///
/// # Safety
///
/// `data` is valid for reads of `len` bytes for all of `'a`.
#[cfg(feature = "host")]
unsafe fn bytes<'a>(data: *const u8, len: usize) -> Result<&'a [u8], Error> {
    match (data.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Error::InvalidArgument),
        // SAFETY: by this function's contract, and not NULL.
        (false, _) => Ok(unsafe { core::slice::from_raw_parts(data, len) }),
    }
}

/// The same for writing.
///
/// # Safety
///
/// `data` is valid for writes of `len` bytes, and nobody else's, for all of `'a`.
#[cfg(feature = "host")]
unsafe fn bytes_mut<'a>(data: *mut u8, len: usize) -> Result<&'a mut [u8], Error> {
    match (data.is_null(), len) {
        (_, 0) => Ok(&mut []),
        (true, _) => Err(Error::InvalidArgument),
        // SAFETY: by this function's contract, and not NULL.
        (false, _) => Ok(unsafe { core::slice::from_raw_parts_mut(data, len) }),
    }
}
