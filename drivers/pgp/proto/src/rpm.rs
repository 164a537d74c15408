// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which index entries of a package's headers hold what is wanted.
//!
//! The caller's bytes are those of the package from its signature header's magic to its main header's
//! end.

use crate::wire::{Reader, Writer};
use crate::{Malformed, Place};

/// Bytes in front of a header's index: magic and version, four reserved, the number of entries, the number of
/// bytes of data (both big-endian).
pub const INTRO_LEN: usize = 16;

/// What a header begins with.
pub const MAGIC: [u8; 4] = [0x8e, 0xad, 0xe8, 1];

/// Bytes of an index entry: tag, type, offset, count (all big-endian).
pub const INDEX_LEN: usize = 16;

/// What a signature header's end is padded to, from its begin.
pub const PADDING: usize = 8;

/// Tags of the signature header that are told of.
pub mod signature {
    /// The region of the header that its maker has written.
    pub const REGION: u32 = 62;
    /// A DSA, ECDSA or EdDSA signature of the main header: a packet.
    pub const DSA: u32 = 267;
    /// An RSA signature of the main header: a packet.
    pub const RSA: u32 = 268;
    /// SHA-1 of the main header, as text.
    pub const SHA1: u32 = 269;
    /// SHA-256 of the main header, as text.
    pub const SHA256: u32 = 273;
    /// Signatures of the main header, each base64.
    pub const OPENPGP: u32 = 278;
    /// An RSA signature of main header and payload: a packet.
    pub const PGP: u32 = 1002;
    /// MD5 of main header and payload.
    pub const MD5: u32 = 1004;
    /// A DSA signature of main header and payload: a packet.
    pub const GPG: u32 = 1005;

    /// All of them.
    pub const ALL: [u32; 9] = [REGION, DSA, RSA, SHA1, SHA256, OPENPGP, PGP, MD5, GPG];
}

/// Tags of the main header that are told of.
pub mod main {
    /// The region of the header that is never changed.
    pub const REGION: u32 = 63;
    /// Name.
    pub const NAME: u32 = 1000;
    /// Version.
    pub const VERSION: u32 = 1001;
    /// Release.
    pub const RELEASE: u32 = 1002;
    /// Architecture.
    pub const ARCH: u32 = 1022;
    /// The compressed payload's hash, as text.
    pub const PAYLOAD_DIGEST: u32 = 5092;
    /// Which hash that is: the number that OpenPGP has for it.
    pub const PAYLOAD_DIGEST_ALGORITHM: u32 = 5093;
    /// The payload's hash before it was compressed, as text.
    pub const PAYLOAD_DIGEST_ALT: u32 = 5097;

    /// All of them.
    pub const ALL: [u32; 8] = [
        REGION,
        NAME,
        VERSION,
        RELEASE,
        ARCH,
        PAYLOAD_DIGEST,
        PAYLOAD_DIGEST_ALGORITHM,
        PAYLOAD_DIGEST_ALT,
    ];
}

/// The most index entries that are told of.
pub const TAGS_MAX: usize = signature::ALL.len() + main::ALL.len();

/// One of the two headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Header {
    /// The signature header.
    Signature,
    /// The main header.
    Main,
}

impl Header {
    /// Tags that are told of.
    pub const fn tags(self) -> &'static [u32] {
        match self {
            Self::Signature => &signature::ALL,
            Self::Main => &main::ALL,
        }
    }
}

/// An index entry that has a tag that is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// In which header.
    pub header: Header,
    /// Which tag.
    pub tag: u32,
    /// The entry's number, from 0.
    pub index: u32,
    /// Where its value is, by the entry's type, offset and count. The zero behind a text, or behind the last of several, is no
    /// part of it.
    pub value: Place,
}

/// The index entries.
///
/// On the wire: for each the header (0 for the signature header, 1 for the main one), tag, number, and the value's
/// place; by header and number. No tag is in a header twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rpm<'r> {
    tags: &'r [[u8; Tag::LEN]],
    room: Place,
}

impl Tag {
    /// Bytes of it in a reply.
    pub const LEN: usize = 12 + Place::LEN;

    /// The entry as it stands in a reply.
    pub fn encode(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let mut out = Writer(&mut bytes);
        let header = match self.header {
            Header::Signature => 0,
            Header::Main => 1,
        };
        out.word(header).word(self.tag).word(self.index);
        self.value.write(&mut out);
        bytes
    }

    fn decode(bytes: &[u8; Self::LEN], room: Place) -> Result<Self, Malformed> {
        let mut from = Reader(bytes);
        let header = match from.word()? {
            0 => Header::Signature,
            1 => Header::Main,
            _ => return Err(Malformed),
        };
        let tag = from.word()?;
        if !header.tags().contains(&tag) {
            return Err(Malformed);
        }
        Ok(Self {
            header,
            tag,
            index: from.word()?,
            value: Place::read(&mut from, room)?,
        })
    }
}

impl<'r> Rpm<'r> {
    /// The reply to [`Request::Rpm`](crate::Request::Rpm) about `length` bytes.
    pub fn decode(reply: &'r [u8], length: usize) -> Result<Self, Malformed> {
        let room = Place::all(length)?;
        let (tags, rest) = reply.as_chunks();
        if !rest.is_empty() || tags.len() > TAGS_MAX {
            return Err(Malformed);
        }
        let rpm = Self { tags, room };
        let mut last = None;
        for (number, tag) in tags.iter().enumerate() {
            let tag = Tag::decode(tag, room)?;
            let place = Some((tag.header, tag.index));
            let is_same = |other: Tag| (other.header, other.tag) == (tag.header, tag.tag);
            if place <= last || rpm.tags().take(number).any(is_same) {
                return Err(Malformed);
            }
            last = place;
        }
        Ok(rpm)
    }

    /// The entries.
    pub fn tags(&self) -> impl Iterator<Item = Tag> + use<'r> {
        let room = self.room;
        // All were read when the reply was.
        self.tags
            .iter()
            .filter_map(move |tag| Tag::decode(tag, room).ok())
    }
}
