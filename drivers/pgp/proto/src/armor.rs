// SPDX-License-Identifier: MIT OR Apache-2.0
//! Armor: packets as text.

use crate::wire::{Reader, Writer};
use crate::{INPUT_MAX, Malformed};

/// What an armor says it is around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// `PGP PUBLIC KEY BLOCK`
    Key,
    /// `PGP SIGNATURE`
    Signature,
    /// `PGP MESSAGE`
    Message,
}

impl Block {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Key, Self::Signature, Self::Message];

    /// What stands between `-----BEGIN ` and the dashes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "PGP PUBLIC KEY BLOCK",
            Self::Signature => "PGP SIGNATURE",
            Self::Message => "PGP MESSAGE",
        }
    }

    const fn number(self) -> u32 {
        match self {
            Self::Key => 1,
            Self::Signature => 2,
            Self::Message => 3,
        }
    }
}

/// What an armor's checksum says. RFC 4880 has one, GnuPG refuses a wrong one; RFC 9580 wants it
/// ignored. The host decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// There is none.
    Absent,
    /// It is that of the bytes.
    Right,
    /// It is not.
    Wrong,
}

impl Checksum {
    const ALL: [Self; 3] = [Self::Absent, Self::Right, Self::Wrong];

    const fn number(self) -> u32 {
        match self {
            Self::Absent => 0,
            Self::Right => 1,
            Self::Wrong => 2,
        }
    }
}

/// Bytes in front of the binary ones in a reply.
pub const ARMOR_HEADER_LEN: usize = 12;

/// What an armor is around.
///
/// On the wire: numbers of block and checksum, [`end`](Self::end), then the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Armor<'r> {
    /// What it says it is.
    pub block: Block,
    /// What its checksum says.
    pub checksum: Checksum,
    /// The first byte of the caller's behind the armor's last line. There may be another armor.
    pub end: u32,
    /// The bytes.
    pub binary: &'r [u8],
}

impl<'r> Armor<'r> {
    /// What goes in front of the bytes.
    pub fn encode_header(block: Block, checksum: Checksum, end: u32) -> [u8; ARMOR_HEADER_LEN] {
        let mut bytes = [0; ARMOR_HEADER_LEN];
        let mut out = Writer(&mut bytes);
        out.word(block.number()).word(checksum.number()).word(end);
        bytes
    }

    /// The reply to [`Request::Armor`](crate::Request::Armor) about `length` bytes.
    pub fn decode(reply: &'r [u8], length: usize) -> Result<Self, Malformed> {
        let mut from = Reader(reply);
        let (block, checksum, end) = (from.word()?, from.word()?, from.word()?);
        let block = Block::ALL.into_iter().find(|it| it.number() == block);
        let checksum = Checksum::ALL.into_iter().find(|it| it.number() == checksum);
        let binary = from.0;
        let is_sound = usize::try_from(end).is_ok_and(|end| end <= length)
            && length <= INPUT_MAX
            && binary.len() <= length;
        match (block, checksum) {
            (Some(block), Some(checksum)) if is_sound => Ok(Self {
                block,
                checksum,
                end,
                binary,
            }),
            _ => Err(Malformed),
        }
    }
}
