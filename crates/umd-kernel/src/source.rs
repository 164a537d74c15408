// SPDX-License-Identifier: GPL-2.0-only
//! Files that a caller names by a descriptor, for what is too long to be written to a driver.

pub use crate::ffi::source::Source;
