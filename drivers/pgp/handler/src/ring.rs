// SPDX-License-Identifier: MIT OR Apache-2.0
//! Several keys, one after the other.

use crate::cursor::Cursor;
use crate::packet::{Packet, Packets, Tag};
use pgp_proto::{ENTRIES_MAX, Place, RING_ENTRY_LEN, Refusal, Ring};

pub(crate) fn answer(input: Cursor<'_>, reply: &mut [u8]) -> Result<usize, Refusal> {
    let mut packets = Packets::new(input, &[Tag::Key, Tag::Ignored])?;
    let (room, _) = reply.as_chunks_mut::<RING_ENTRY_LEN>();
    let mut room = room.iter_mut().take(ENTRIES_MAX);
    let mut count = 0_usize;
    let mut begin = None;
    loop {
        let end = match packets.next() {
            Ok(Some(Packet {
                tag: Tag::Key, at, ..
            })) => at,
            Ok(Some(_)) if begin.is_none() => return Err(Refusal::NotMine),
            Ok(Some(_)) => continue,
            Ok(None) => packets.at(),
            // The last key is not whole, but the one before it may be.
            Err(Refusal::Cut) if packets.tag() == Some(Ok(Tag::Key)) => packets.at(),
            Err(Refusal::Cut) => break,
            Err(refusal) => return Err(refusal),
        };
        if let Some(at) = begin.replace(end) {
            // What finds no room is for another request.
            let Some(entry) = room.next() else { break };
            let len = end.saturating_sub(at);
            *entry = Ring::encode_entry(Place { at, len });
            count = count.saturating_add(1);
        }
        if end == packets.at() {
            break;
        }
    }
    Ok(count.saturating_mul(RING_ENTRY_LEN))
}
