// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the bpfilter driver's handler does, without the process around it: a table of rules that
//! answers the socket options of `iptables-legacy -t bpfilter`, and refuses every other.
//!
//! [`check`] decides whether bytes from a caller are a table, by the rules of the kernel's own
//! `ip_tables`; [`Table`] keeps one that is. A table has no effect on packets yet.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod check;
mod table;

#[cfg(test)]
#[path = "../tests/blob/mod.rs"]
mod blob;

pub use table::{TABLE_MAX, TABLE_NAME, Table};
#[cfg(test)]
mod random;
