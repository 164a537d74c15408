// SPDX-License-Identifier: MIT OR Apache-2.0
//! Handlers for tests, and what a test says to them.
//!
//! - `hostile-handler` misbehaves in the way that its name asks for at its start ([`hostile::Start`])
//!   and that each request asks for ([`hostile::Ask`]).
//! - `bench-handler` answers with as little work as there can be ([`mod@bench`]).
#![no_std]
#![forbid(unsafe_code)]

pub mod bench;
pub mod hostile;

/// A decimal number, digits only.
fn number<T: core::str::FromStr>(text: &[u8]) -> Option<T> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(text).ok()?.parse().ok()
}
