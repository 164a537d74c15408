// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signatures of data: detached, or around them (RFC 9580, section 10.3).

use crate::cursor::Cursor;
use crate::flaw::Flaw;
use crate::listing::Listing;
use crate::packet::{Packet, Packets, Tag};
use crate::signature;
use pgp_proto::{Entry, Literal, Refusal};

pub(crate) fn answer_detached(input: Cursor<'_>, reply: &mut [u8]) -> Result<usize, Refusal> {
    let mut packets = Packets::new(input, &[Tag::Signature, Tag::Ignored])?;
    let mut list = Listing::new(reply)?;
    while let Some(packet) = packets.next()? {
        take_signature(&mut list, packet)?;
    }
    finish(list)
}

/// Signatures before the data, or announced before and then behind.
pub(crate) fn answer_inline(input: Cursor<'_>, reply: &mut [u8]) -> Result<usize, Refusal> {
    let first = [Tag::OnePass, Tag::Signature, Tag::Ignored];
    let mut packets = Packets::new(input, &first)?;
    let (header, room) = reply.split_first_chunk_mut().ok_or(Refusal::NoRoom)?;
    let mut list = Listing::new(room)?;
    let mut announced = 0_usize;
    let mut is_announced_last = false;
    let mut is_signed_before = false;
    let data = loop {
        let packet = packets.next()?.ok_or(Refusal::Cut)?;
        match packet.tag {
            Tag::OnePass if !is_signed_before => {
                // One that is around another signature signs that as well.
                if is_announced_last {
                    return Err(Refusal::Unsupported);
                }
                let flag = packet.body.rest().last().ok_or(Refusal::Invalid)?;
                is_announced_last = *flag != 0;
                announced = announced.saturating_add(1);
            }
            Tag::Signature if announced == 0 => {
                take_signature(&mut list, packet)?;
                is_signed_before = true;
            }
            Tag::Literal => break packet.body,
            _ => return Err(Refusal::Invalid),
        }
    };
    if is_announced_last != (announced > 0) || announced == 0 && !is_signed_before {
        return Err(Refusal::Invalid);
    }
    *header = literal(data).ok_or(Refusal::Invalid)?.encode();
    for _ in 0..announced {
        take_signature(&mut list, packets.next()?.ok_or(Refusal::Cut)?)?;
    }
    if packets.next()?.is_some() {
        return Err(Refusal::Invalid);
    }
    Ok(header.len().saturating_add(finish(list)?))
}

fn take_signature(list: &mut Listing<'_>, packet: Packet<'_>) -> Result<(), Refusal> {
    if packet.tag != Tag::Signature {
        return Err(Refusal::Invalid);
    }
    match signature::read(packet.body, None) {
        Ok(found) => list.push(&Entry::Signature(found.signature)),
        Err(flaw) => {
            flaw.note(&mut list.skipped);
            Ok(())
        }
    }
}

/// There has to be a signature that can be read.
fn finish(list: Listing<'_>) -> Result<usize, Refusal> {
    if !list.is_empty() {
        Ok(list.finish())
    } else if list.skipped.unsupported > 0 {
        Err(Flaw::Unsupported.refusal())
    } else {
        Err(Flaw::Invalid.refusal())
    }
}

/// Skips what stands before a message's data: format, a file's name, a date.
fn literal(mut body: Cursor<'_>) -> Option<Literal> {
    let format = body.byte()?;
    let name = body.byte()?;
    body.take(name.into())?;
    let _date = body.word()?;
    matches!(format, b'b' | b't' | b'u').then_some(Literal {
        data: body.place(),
        format,
    })
}
