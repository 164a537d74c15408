// SPDX-License-Identifier: MIT OR Apache-2.0
//! Armor: RFC 9580, section 6, with RFC 4880's checksum.

use crate::cleartext::SIGNED;
use crate::cursor::Cursor;
use crate::lines::Lines;
use pgp_proto::{ARMOR_HEADER_LEN, Armor, Block, Checksum, Refusal};

pub(crate) fn answer(input: Cursor<'_>, reply: &mut [u8]) -> Result<usize, Refusal> {
    let (header, room) = reply.split_first_chunk_mut().ok_or(Refusal::NoRoom)?;
    let mut lines = Lines(input);
    let block = begin(&mut lines)?;
    let mut text = lines.0;
    let mut binary = Binary {
        room,
        length: 0,
        crc: Crc::INIT,
    };
    let checksum = decode(&mut text, &mut binary)?;
    let mut lines = Lines(text);
    let last = lines.next().ok_or(Refusal::Cut)?;
    if !last.is_rule(b"END", block.name().as_bytes()) {
        return Err(Refusal::Invalid);
    }
    *header = Armor::encode_header(block, checksum, lines.at());
    Ok(ARMOR_HEADER_LEN.saturating_add(binary.length))
}

/// Skips what is before the armor, its first line, and its headers, which mean nothing.
fn begin(lines: &mut Lines<'_>) -> Result<Block, Refusal> {
    let block = loop {
        let line = lines.next().ok_or(Refusal::NotMine)?;
        let Some(name) = line.rule(b"BEGIN").filter(|it| it.starts_with(b"PGP ")) else {
            continue;
        };
        if name == SIGNED {
            return Err(Refusal::NotMine);
        }
        let mut blocks = Block::ALL.into_iter();
        let block = blocks.find(|block| block.name().as_bytes() == name);
        break block.ok_or(Refusal::Unsupported)?;
    };
    // Without the blank line the first line that is no header begins the bytes, as others read it.
    loop {
        let before = *lines;
        let line = lines.next().ok_or(Refusal::Cut)?;
        if line.is_blank() {
            return Ok(block);
        }
        if !line.text.contains(&b':') {
            *lines = before;
            return Ok(block);
        }
    }
}

/// Room for the bytes, and the checksum of those that are there.
struct Binary<'r> {
    room: &'r mut [u8],
    length: usize,
    crc: Crc,
}

impl Binary<'_> {
    /// The first `count` of the bytes that a group of characters stands for.
    fn push(&mut self, group: Group, count: usize) -> Result<(), Refusal> {
        let [_, bytes @ ..] = group.bits.to_be_bytes();
        for byte in bytes.into_iter().take(count) {
            *self.room.get_mut(self.length).ok_or(Refusal::NoRoom)? = byte;
            self.length = self.length.saturating_add(1);
            self.crc = self.crc.with(byte);
        }
        Ok(())
    }
}

/// Up to four characters of six bits each, of which the first are the highest of 24.
#[derive(Clone, Copy, Default)]
struct Group {
    bits: u32,
    count: u32,
}

impl Group {
    /// Takes characters until there are four, or something else comes.
    fn read(text: &mut Cursor<'_>) -> Result<Self, Refusal> {
        let mut group = Self::default();
        while group.count < 4
            && let Some(value) = value(peek(text)?)
        {
            text.take(1);
            group.count = group.count.saturating_add(1);
            let shift = 24_u32.saturating_sub(group.count.saturating_mul(6));
            group.bits |= u32::from(value) << (shift & 31);
        }
        Ok(group)
    }
}

/// The six bits of a character.
const fn value(character: u8) -> Option<u8> {
    Some(match character {
        b'A'..=b'Z' => character.wrapping_sub(b'A'),
        b'a'..=b'z' => character.wrapping_sub(b'a').wrapping_add(26),
        b'0'..=b'9' => character.wrapping_sub(b'0').wrapping_add(52),
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// The next byte that is no white space. It is left there.
fn peek(text: &mut Cursor<'_>) -> Result<u8, Refusal> {
    loop {
        match text.rest().first().ok_or(Refusal::Cut)? {
            b' ' | b'\t' | b'\r' | b'\n' => drop(text.take(1)),
            byte => return Ok(*byte),
        }
    }
}

/// Decodes up to the armor's last line.
fn decode(text: &mut Cursor<'_>, binary: &mut Binary<'_>) -> Result<Checksum, Refusal> {
    let padding = loop {
        let group = Group::read(text)?;
        match group.count {
            4 => binary.push(group, 3)?,
            3 => {
                binary.push(group, 2)?;
                break 1;
            }
            2 => {
                binary.push(group, 1)?;
                break 2;
            }
            0 => break 0,
            _ => return Err(Refusal::Invalid),
        }
    };
    for _ in 0..padding {
        if peek(text)? != b'=' {
            return Err(Refusal::Invalid);
        }
        text.take(1);
    }
    let checksum = if peek(text)? == b'=' {
        text.take(1);
        let group = Group::read(text)?;
        match group.count {
            4 if group.bits == binary.crc.0 => Checksum::Right,
            4 => Checksum::Wrong,
            _ => return Err(Refusal::Invalid),
        }
    } else {
        Checksum::Absent
    };
    match peek(text)? {
        b'-' => Ok(checksum),
        _ => Err(Refusal::Invalid),
    }
}

/// The checksum, 24 bits.
#[derive(Clone, Copy)]
struct Crc(u32);

impl Crc {
    const INIT: Self = Self(0x00b7_04ce);

    fn with(self, byte: u8) -> Self {
        let [_, high, ..] = self.0.to_be_bytes();
        let changed = CRC_TABLE.get(usize::from(high ^ byte)).unwrap_or(&0);
        Self((self.0 << 8 & 0x00ff_ffff) ^ changed)
    }
}

/// What each byte makes of a checksum of zero.
#[allow(clippy::indexing_slicing, reason = "computed when it is compiled")]
static CRC_TABLE: [u32; 256] = {
    const POLYNOMIAL: u32 = 0x0186_4cfb;
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut crc = (byte as u32) << 16;
        let mut bit = 0;
        while bit < 8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= POLYNOMIAL;
            }
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};
