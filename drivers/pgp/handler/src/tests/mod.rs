// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the handler says, judged as a host could judge it.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod armor;
mod bombs;
mod cleartext;
mod key;
mod message;
mod ring;
mod rpm;
