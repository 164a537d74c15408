// SPDX-License-Identifier: MIT OR Apache-2.0
//! What no library does for us, and all the unsafe code of this crate.

pub(crate) mod clone;
pub(crate) mod files;
pub(crate) mod fork;
pub(crate) mod pages;
#[cfg(feature = "tokio")]
pub(crate) mod readiness;
pub(crate) mod signals;
pub(crate) mod socket;
