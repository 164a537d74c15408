// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where each of several keys begins and ends.

use crate::wire::{Reader, Writer};
use crate::{ENTRIES_MAX, Malformed, Place};

/// Bytes of a key's place in a reply.
pub const RING_ENTRY_LEN: usize = Place::LEN;

/// Transferable public keys, one after the other; each is a [`Request::Key`](crate::Request::Key) of its own.
///
/// On the wire: a [`Place`] for each key, at most [`ENTRIES_MAX`], as they lie in the caller's bytes.
///
/// A key ends where the next primary key begins, or where the bytes end, if that is the end of a packet as well. Keys that
/// are cut are not told of. So a ring of any length is read in pieces: whoever has more bytes goes on with
/// the last key that was told of, which may have more packets, or behind it if it was the only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring<'r> {
    keys: &'r [[u8; Place::LEN]],
    room: Place,
}

impl<'r> Ring<'r> {
    /// A key's place as it stands in a reply.
    pub fn encode_entry(key: Place) -> [u8; RING_ENTRY_LEN] {
        let mut bytes = [0; RING_ENTRY_LEN];
        key.write(&mut Writer(&mut bytes));
        bytes
    }

    /// The reply to [`Request::Ring`](crate::Request::Ring) about `length` bytes.
    pub fn decode(reply: &'r [u8], length: usize) -> Result<Self, Malformed> {
        let room = Place::all(length)?;
        let (keys, rest) = reply.as_chunks();
        if !rest.is_empty() || keys.len() > ENTRIES_MAX {
            return Err(Malformed);
        }
        let mut end = 0;
        for key in keys {
            let key = Place::read(&mut Reader(key), room)?;
            if key.len == 0 || key.at < end {
                return Err(Malformed);
            }
            end = key.end();
        }
        Ok(Self { keys, room })
    }

    /// The keys.
    pub fn keys(&self) -> impl Iterator<Item = Place> + use<'r> {
        let room = self.room;
        // All were read when the reply was.
        let read = move |key: &[u8; Place::LEN]| Place::read(&mut Reader(key), room).ok();
        self.keys.iter().filter_map(read)
    }
}
