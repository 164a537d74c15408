// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signatures of data, detached or around them.

use crate::wire::{Reader, Writer};
use crate::{Entry, LIST_HEADER_LEN, List, Malformed, Place, Signatures, Skipped};

/// Detached signatures.
///
/// On the wire: a [`List`] of signatures, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detached<'r> {
    /// The signatures.
    pub signatures: Signatures<'r>,
    /// What was not told of.
    pub skipped: Skipped,
}

impl<'r> Detached<'r> {
    /// The reply to [`Request::Signature`](crate::Request::Signature) about `length` bytes.
    pub fn decode(reply: &'r [u8], length: usize) -> Result<Self, Malformed> {
        Self::read(Reader(reply), length)
    }

    fn read(from: Reader<'r>, length: usize) -> Result<Self, Malformed> {
        let list = List::read(from, length)?;
        let mut entries = list.entries();
        let signatures = entries.take_signatures();
        if signatures.is_empty() || !entries.is_empty() {
            return Err(Malformed);
        }
        Ok(Self {
            signatures,
            skipped: list.skipped,
        })
    }
}

/// The data of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Literal {
    /// Where they are. They alone are what is signed.
    pub data: Place,
    /// What they are said to be: `b` (bytes), `t` or `u` (text). No signature is about that.
    pub format: u8,
}

impl Literal {
    /// Bytes of it in a reply.
    const LEN: usize = 12;

    /// The literal as it stands in a reply.
    pub fn encode(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let mut out = Writer(&mut bytes);
        self.data.write(&mut out);
        out.bytes(&[self.format, 0, 0, 0]);
        bytes
    }
}

/// Bytes in front of the entries of a [`Message`].
pub const MESSAGE_HEADER_LEN: usize = Literal::LEN + LIST_HEADER_LEN;

/// A signed message.
///
/// On the wire: its [`Literal`], then a [`List`] of signatures, at least one. They come before the data
/// or behind it, in the order in which they lie there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'r> {
    /// The data.
    pub literal: Literal,
    /// Signatures, each of all of the data.
    pub signatures: Signatures<'r>,
    /// What was not told of.
    pub skipped: Skipped,
}

impl<'r> Message<'r> {
    /// The reply to [`Request::Message`](crate::Request::Message) about `length` bytes.
    pub fn decode(reply: &'r [u8], length: usize) -> Result<Self, Malformed> {
        let mut from = Reader(reply);
        let data = Place::read(&mut from, Place::all(length)?)?;
        let [format @ (b'b' | b't' | b'u'), 0, 0, 0] = *from.bytes()? else {
            return Err(Malformed);
        };
        let detached = Detached::read(from, length)?;
        let is_apart = |body: Place| body.end() <= data.at || data.end() <= body.at;
        let bodies = |signature: crate::Signature| Entry::Signature(signature).body();
        if !detached.signatures.map(bodies).all(is_apart) {
            return Err(Malformed);
        }
        Ok(Self {
            literal: Literal { data, format },
            signatures: detached.signatures,
            skipped: detached.skipped,
        })
    }
}
