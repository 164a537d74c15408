// SPDX-License-Identifier: GPL-2.0-only
//! The kernel's log.

pub use crate::ffi::log::warn;
