// SPDX-License-Identifier: GPL-2.0-only
//! User mode drivers in the Linux kernel.
//!
//! Two things are built from this crate, for stock kernels that know no Rust:
//!
//! - with the feature `host`, the Rust of `umd.ko`: `host` implements the traits of
//!   [`umd_core::host`] over the C shims in `kernel/shim`;
//! - without it, the API for driver modules written in Rust: `driver`, `module`, and what a driver may
//!   have besides: `securityfs`, `sockopt`, `keys` with `hash` and `verify`, `source`, `log`.
//!
//! Only [`ffi`] holds `unsafe`. Nothing here can panic: the build looks for it in the object.
#![no_std]
#![deny(unsafe_code)]

#[allow(unsafe_code)]
pub mod ffi;

#[cfg(feature = "host")]
pub mod host;

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

pub use umd_core::error::{Errno, Error};
