// SPDX-License-Identifier: MIT OR Apache-2.0
//! Handlers for tests, and what a test says to them.
//!
//! - `hostile-handler` misbehaves in the way that its name asks for at its start ([`hostile::Start`])
//!   and that each request asks for ([`hostile::Ask`]). What every host has to make of each misbehaviour is
//!   a table, [`mod@matrix`].
//! - `pgp-hostile-handler` sits in the PGP driver's seat, and does what the bytes that it is asked about tell it ([`mod@pgp`]).
//! - `bench-handler` answers with as little work as there can be ([`mod@bench`]).
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod bench;
pub mod hostile;
pub mod matrix;
pub mod pgp;

/// A decimal number, digits only.
fn number<T: core::str::FromStr>(text: &[u8]) -> Option<T> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(text).ok()?.parse().ok()
}
