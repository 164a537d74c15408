// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packets, one after the other: RFC 9580, section 4.

use crate::cursor::Cursor;
use pgp_proto::Refusal;

/// What a packet is, as far as it is of interest here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Signature,
    OnePass,
    Key,
    Literal,
    UserId,
    Subkey,
    Attribute,
    /// Markers, padding, what GnuPG notes about trust, and types that may be unknown to a reader.
    Ignored,
}

/// A packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'i> {
    pub(crate) tag: Tag,
    /// Where its header begins.
    pub(crate) at: u32,
    pub(crate) body: Cursor<'i>,
}

/// The packets, one by one, until one that cannot be read.
#[derive(Clone, Copy)]
pub(crate) struct Packets<'i>(Cursor<'i>);

impl<'i> Packets<'i> {
    /// The packets of `input`, which does not begin as packets do if the first has another tag than
    /// `first` says.
    pub(crate) fn new(input: Cursor<'i>, first: &[Tag]) -> Result<Self, Refusal> {
        let packets = Self(input);
        match packets.tag().ok_or(Refusal::NotMine)?? {
            tag if first.contains(&tag) => Ok(packets),
            _ => Err(Refusal::NotMine),
        }
    }

    /// The next packet of any kind. One that cannot be read stays the next.
    fn read(&mut self) -> Result<Option<Packet<'i>>, Refusal> {
        let mut input = self.0;
        if input.is_empty() {
            return Ok(None);
        }
        let at = input.at();
        let first = input.byte().ok_or(Refusal::Cut)?;
        let (number, length) = split(first).ok_or(Refusal::Invalid)?;
        let tag = tag(number)?;
        let length = match length {
            Length::New => match input.byte().ok_or(Refusal::Cut)? {
                one @ 0..192 => usize::from(one),
                high @ 192..224 => {
                    let low = input.byte().ok_or(Refusal::Cut)?;
                    two_octets(high, low)
                }
                224..255 => return Err(Refusal::Partial),
                255 => input.count().ok_or(Refusal::Cut)?,
            },
            Length::Octet => input.byte().ok_or(Refusal::Cut)?.into(),
            Length::Half => input.half().ok_or(Refusal::Cut)?.into(),
            Length::Word => input.count().ok_or(Refusal::Cut)?,
            Length::Unknown => return Err(Refusal::Partial),
        };
        let body = input.take(length).ok_or(Refusal::Cut)?;
        self.0 = input;
        Ok(Some(Packet { tag, at, body }))
    }

    /// The next packet that is of interest.
    pub(crate) fn next(&mut self) -> Result<Option<Packet<'i>>, Refusal> {
        loop {
            match self.read()? {
                Some(packet) if packet.tag == Tag::Ignored => {}
                other => return Ok(other),
            }
        }
    }

    /// Where the next packet begins.
    pub(crate) const fn at(&self) -> u32 {
        self.0.at()
    }

    /// What the next packet is, by its first byte; none where that is no packet's.
    pub(crate) fn tag(&self) -> Option<Result<Tag, Refusal>> {
        let (number, _) = split(*self.0.rest().first()?)?;
        Some(tag(number))
    }
}

/// How a packet says how long it is.
enum Length {
    /// In the new format: the first octet decides.
    New,
    Octet,
    Half,
    Word,
    /// To the end of all.
    Unknown,
}

/// A packet's first byte: the number of its tag, and how long its length is.
const fn split(first: u8) -> Option<(u8, Length)> {
    if first & 0xc0 == 0xc0 {
        return Some((first & 0x3f, Length::New));
    }
    if first & 0x80 == 0 {
        return None;
    }
    let length = match first & 3 {
        0 => Length::Octet,
        1 => Length::Half,
        2 => Length::Word,
        _ => Length::Unknown,
    };
    Some((first >> 2 & 0xf, length))
}

const fn tag(number: u8) -> Result<Tag, Refusal> {
    match number {
        2 => Ok(Tag::Signature),
        4 => Ok(Tag::OnePass),
        6 => Ok(Tag::Key),
        11 => Ok(Tag::Literal),
        13 => Ok(Tag::UserId),
        14 => Ok(Tag::Subkey),
        17 => Ok(Tag::Attribute),
        10 | 12 | 21 | 40.. => Ok(Tag::Ignored),
        8 => Err(Refusal::Compressed),
        0 => Err(Refusal::Invalid),
        // Secret keys, what is encrypted, and what a reader must not ignore.
        _ => Err(Refusal::Unsupported),
    }
}

/// A length of two octets, of packets and subpackets alike.
pub(crate) fn two_octets(high: u8, low: u8) -> usize {
    let high = usize::from(high.saturating_sub(192));
    (high << 8)
        .saturating_add(usize::from(low))
        .saturating_add(192)
}
