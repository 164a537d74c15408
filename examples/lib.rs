// SPDX-License-Identifier: MIT OR Apache-2.0
//! The handlers that the examples embed: `build.rs` has built them.

/// The sample driver's: 128 KiB in which the byte that was asked for is 1.
pub const SAMPLE: &[u8] = umd::include_handler!("sample-handler");

/// One with the standard library: it counts words, and does what it is told to do wrong.
pub const WORDS: &[u8] = umd::include_handler!("std-handler");
