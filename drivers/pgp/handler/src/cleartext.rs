// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cleartext signature framework: RFC 9580, section 7.

use crate::cursor::Cursor;
use crate::lines::Lines;
use pgp_proto::{Block, Cleartext, Place, Refusal};

/// What a message begins with.
pub(crate) const SIGNED: &[u8] = b"PGP SIGNED MESSAGE";

pub(crate) fn answer(input: Cursor<'_>, reply: &mut [u8]) -> Result<usize, Refusal> {
    let message = read(input)?.encode();
    let room = reply.first_chunk_mut().ok_or(Refusal::NoRoom)?;
    *room = message;
    Ok(message.len())
}

/// Text before or behind the message is refused: readers would take it for signed.
fn read(input: Cursor<'_>) -> Result<Cleartext, Refusal> {
    let mut lines = Lines(input);
    let first = lines.next().ok_or(Refusal::NotMine)?;
    if !first.is_rule(b"BEGIN", SIGNED) {
        return Err(Refusal::NotMine);
    }
    let begin = lines.at();
    let hashes = loop {
        let line = lines.next().ok_or(Refusal::Cut)?;
        if line.is_blank() {
            break between(begin, line.place.at);
        }
        // No other header has a meaning in a message.
        if !line.text.starts_with(b"Hash: ") {
            return Err(Refusal::Invalid);
        }
    };
    let begin = lines.at();
    let mut end = begin;
    let signature = Block::Signature.name().as_bytes();
    let rule = loop {
        let line = lines.next().ok_or(Refusal::Cut)?;
        if line.is_rule(b"BEGIN", signature) {
            break line;
        }
        if line.text.starts_with(b"-") && !line.text.starts_with(b"- ") {
            return Err(Refusal::Invalid);
        }
        end = line.place.end();
    };
    let text = between(begin, end);
    let end = loop {
        let line = lines.next().ok_or(Refusal::Cut)?;
        if line.is_rule(b"END", signature) {
            break line.place.end();
        }
    };
    if lines.any(|line| !line.is_blank()) {
        return Err(Refusal::Invalid);
    }
    Ok(Cleartext {
        hashes,
        text,
        signature: between(rule.place.at, end),
    })
}

const fn between(begin: u32, end: u32) -> Place {
    Place {
        at: begin,
        len: end.saturating_sub(begin),
    }
}
