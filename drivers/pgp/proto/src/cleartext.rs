// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cleartext signature framework.

use crate::wire::{Reader, Writer};
use crate::{Malformed, Place};

/// A cleartext-signed message. There is nothing before it, and nothing but white space behind.
///
/// On the wire: the three places, in this order, which is the order in which they lie there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleartext {
    /// The lines `Hash: …`, ends of lines included; empty where there is none.
    pub hashes: Place,
    /// The text as it was written: with dashes escaped, and without the end of its last line, which is not signed.
    pub text: Place,
    /// The armor around the signature, from its first dash to the end.
    pub signature: Place,
}

impl Cleartext {
    /// Bytes of a reply.
    pub const LEN: usize = 3 * Place::LEN;

    /// The reply.
    pub fn encode(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let mut out = Writer(&mut bytes);
        for place in [self.hashes, self.text, self.signature] {
            place.write(&mut out);
        }
        bytes
    }

    /// The reply to [`Request::Cleartext`](crate::Request::Cleartext) about `length` bytes.
    pub fn decode(reply: &[u8], length: usize) -> Result<Self, Malformed> {
        let room = Place::all(length)?;
        let mut from = Reader(reply);
        let message = Self {
            hashes: Place::read(&mut from, room)?,
            text: Place::read(&mut from, room)?,
            signature: Place::read(&mut from, room)?,
        };
        let is_sound = from.0.is_empty()
            && message.hashes.end() <= message.text.at
            && message.text.end() <= message.signature.at
            && message.signature.len > 0;
        is_sound.then_some(message).ok_or(Malformed)
    }
}
