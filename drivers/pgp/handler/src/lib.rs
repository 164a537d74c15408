// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the PGP driver's handler does, without the process around it: it goes through OpenPGP packets
//! (RFC 4880 and RFC 9580), armor, cleartext-signed messages and headers of RPM packages, and says where
//! things are.
//!
//! It hashes nothing and verifies nothing: what it says is a map, and whoever asks looks for himself.
//!
//! # How long it takes
//!
//! Everything goes forward through the caller's bytes. No function calls itself, nothing is unpacked, and no byte
//! is looked at more often than the formats nest: a packet, the subpackets in it, a signature in one of these.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod armor;
mod cleartext;
mod cursor;
mod flaw;
mod key;
mod lines;
mod listing;
mod material;
mod message;
mod packet;
mod ring;
mod rpm;
mod signature;

#[cfg(test)]
extern crate self as pgp_handler;
#[cfg(test)]
#[path = "../tests/judge/mod.rs"]
mod judge;
#[cfg(test)]
#[path = "../tests/packets/mod.rs"]
mod packets;
#[cfg(test)]
mod tests;

use cursor::Cursor;
use pgp_proto::{Refusal, Request};

/// Answers a message of the host's; returns the number of bytes that it has written to `reply`.
pub fn answer(message: &[u8], reply: &mut [u8]) -> Result<usize, Refusal> {
    let (request, input) = Request::decode(message).map_err(|_| Refusal::Invalid)?;
    let input = Cursor::new(input);
    match request {
        Request::Key(fingerprint) => key::answer(input, &fingerprint, reply),
        Request::Ring => ring::answer(input, reply),
        Request::Signature => message::answer_detached(input, reply),
        Request::Message => message::answer_inline(input, reply),
        Request::Cleartext => cleartext::answer(input, reply),
        Request::Armor => armor::answer(input, reply),
        Request::Rpm => rpm::answer(input, reply),
    }
}
