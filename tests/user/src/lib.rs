// SPDX-License-Identifier: MIT OR Apache-2.0
//! The handlers, and what the tests have in common.

pub mod rig;
pub mod sys;

/// 128 KiB in which the byte that was asked for is 1.
pub const SAMPLE: &[u8] = umd::include_handler!("sample-handler");

/// Misbehaves as it is asked to.
pub const HOSTILE: &[u8] = umd::include_handler!("hostile-handler");

/// Has the standard library.
pub const STD: &[u8] = umd::include_handler!("std-handler");
