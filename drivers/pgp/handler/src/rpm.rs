// SPDX-License-Identifier: MIT OR Apache-2.0
//! The index entries of a package's two headers.

use crate::cursor::Cursor;
use pgp_proto::rpm::{Header, INDEX_LEN, MAGIC, PADDING, Tag};
use pgp_proto::{Place, Refusal};

pub(crate) fn answer(mut input: Cursor<'_>, reply: &mut [u8]) -> Result<usize, Refusal> {
    let (room, _) = reply.as_chunks_mut::<{ Tag::LEN }>();
    let mut list = List { room, count: 0 };
    if !input.rest().starts_with(&MAGIC) {
        return Err(Refusal::NotMine);
    }
    let begin = input.rest().len();
    read(&mut input, Header::Signature, &mut list)?;
    let length = begin.saturating_sub(input.rest().len());
    let padding = length.next_multiple_of(PADDING).saturating_sub(length);
    input.take(padding).ok_or(Refusal::Cut)?;
    read(&mut input, Header::Main, &mut list)?;
    if !input.is_empty() {
        return Err(Refusal::Invalid);
    }
    Ok(list.count.saturating_mul(Tag::LEN))
}

struct List<'r> {
    room: &'r mut [[u8; Tag::LEN]],
    count: usize,
}

/// Reads a header, and leaves what is behind it.
fn read(input: &mut Cursor<'_>, header: Header, list: &mut List<'_>) -> Result<(), Refusal> {
    if input.array().ok_or(Refusal::Cut)? != MAGIC {
        return Err(Refusal::Invalid);
    }
    let _reserved = input.word().ok_or(Refusal::Cut)?;
    let count = input.count().ok_or(Refusal::Cut)?;
    let length = input.count().ok_or(Refusal::Cut)?;
    let index = count.checked_mul(INDEX_LEN).ok_or(Refusal::Cut)?;
    let mut index = input.take(index).ok_or(Refusal::Cut)?;
    let data = input.take(length).ok_or(Refusal::Cut)?;
    // Each tag once: otherwise readers could differ about which is meant, and each costs a look at its value.
    let mut seen = 0_u32;
    let mut number = 0_u32;
    while !index.is_empty() {
        let tag = index.word().ok_or(Refusal::Cut)?;
        let kind = index.word().ok_or(Refusal::Cut)?;
        let offset = index.count().ok_or(Refusal::Cut)?;
        let count = index.count().ok_or(Refusal::Cut)?;
        if let Some(which) = header.tags().iter().position(|known| *known == tag) {
            let bit = 1_u32.checked_shl(which as u32).unwrap_or(0);
            if seen & bit != 0 {
                return Err(Refusal::Invalid);
            }
            seen |= bit;
            let room = list.room.get_mut(list.count).ok_or(Refusal::NoRoom)?;
            let value = value(data, kind, offset, count).ok_or(Refusal::Invalid)?;
            let tag = Tag {
                header,
                tag,
                index: number,
                value,
            };
            *room = tag.encode();
            list.count = list.count.saturating_add(1);
        }
        number = number.saturating_add(1);
    }
    Ok(())
}

/// Where a value is in a header's data.
fn value(mut data: Cursor<'_>, kind: u32, offset: usize, count: usize) -> Option<Place> {
    data.take(offset)?;
    let length = match kind {
        // Characters, bytes, and numbers of one to eight bytes.
        1 | 2 | 7 => count,
        3 => count.checked_mul(2)?,
        4 => count.checked_mul(4)?,
        5 => count.checked_mul(8)?,
        // A text, texts, texts in several languages: as many zeros as texts.
        6 | 8 | 9 => {
            let last = count.checked_sub(1)?;
            let zeros = data.rest().iter().enumerate();
            let mut zeros = zeros.filter(|(_, byte)| **byte == 0);
            zeros.nth(last)?.0
        }
        _ => return None,
    };
    data.take(length).map(|value| value.place())
}
