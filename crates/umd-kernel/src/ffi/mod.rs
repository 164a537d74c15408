// SPDX-License-Identifier: GPL-2.0-only
//! The only place with `unsafe`: safe types over the C shims, and the functions that C calls.
//!
//! `kernel/shim/shim.h` and `kernel/include/linux/umd.h` are the other side; each function's
//! context and ownership rules stand there.

mod abi;
pub mod memory;

#[cfg(feature = "host")]
pub mod callbacks;
#[cfg(feature = "host")]
pub mod exports;
#[cfg(feature = "host")]
pub mod image;
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
pub mod module;
#[cfg(not(feature = "host"))]
pub mod securityfs;

#[cfg(umd_module)]
mod panic;

use umd_core::error::Errno;

/// The errno in a negative return value of C's.
fn errno(value: i32) -> Errno {
    Errno::new(value.saturating_neg())
}
