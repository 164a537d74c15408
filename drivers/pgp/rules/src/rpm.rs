// SPDX-License-Identifier: MIT OR Apache-2.0
//! An RPM package: a lead, a header with signatures, the header that they are over, the payload.
//!
//! The host computes where each begins and ends, and hashes the second header from its first byte to its last: so whatever is in it is
//! what its signer has signed. The payload's digest is read from there.

use crate::bytes::Bytes;
use crate::crypto::{Digest, HashAlgorithm};
use crate::refusal::Refusal;
use crate::signature::{Verified, kind as signs};
use pgp_proto::Rpm;
use pgp_proto::rpm::{Header as Which, Tag, main, signature};

/// Bytes of the lead; the header with signatures follows.
pub const LEAD: u64 = 96;

/// Bytes at the front of a header that say how long it is.
pub const INTRO: usize = 16;

/// What a package begins with.
const LEAD_MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];

/// What a header begins with: magic, version 1, four bytes reserved.
const MAGIC: [u8; 8] = [0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];

/// Bytes of an entry of a header's index: tag, type, offset, count.
const ENTRY: usize = 16;

/// The most entries, and bytes of data, that rpm takes.
const ENTRIES_MAX: u32 = 0xffff;
const DATA_MAX: u32 = 0x0fff_ffff;

/// Types of entries.
mod kind {
    pub(super) const INT32: u32 = 4;
    pub(super) const BIN: u32 = 7;
    pub(super) const STRING_ARRAY: u32 = 8;
}

/// Is this the front of a package?
pub fn check_lead(lead: &[u8]) -> Result<(), Refusal> {
    match lead.starts_with(&LEAD_MAGIC) {
        true => Ok(()),
        false => Err(Refusal::Package),
    }
}

/// How long a header is, by its [`INTRO`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    entries: u32,
    data: u32,
}

impl Extent {
    /// Reads the front of a header.
    pub fn read(intro: &[u8]) -> Result<Self, Refusal> {
        let mut bytes = Bytes::new(intro);
        let magic = bytes.array().ok_or(Refusal::Package)?;
        let entries = bytes.u32().ok_or(Refusal::Package)?;
        let data = bytes.u32().ok_or(Refusal::Package)?;
        if *magic != MAGIC || entries > ENTRIES_MAX || data > DATA_MAX {
            return Err(Refusal::Package);
        }
        Ok(Self { entries, data })
    }

    /// Bytes of the header, its front included.
    pub fn length(self) -> u64 {
        // Below 2^29: nothing overflows.
        u64::from(self.entries)
            .saturating_add(1)
            .saturating_mul(ENTRY as u64)
            .saturating_add(self.data.into())
    }

    /// The same, and what is behind a header with signatures to make it a multiple of eight.
    pub fn padded_length(self) -> u64 {
        self.length().next_multiple_of(8)
    }
}

/// A header.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    index: &'a [u8],
    data: &'a [u8],
}

/// An entry of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    tag: u32,
    kind: u32,
    offset: u32,
    count: u32,
}

impl<'a> Header<'a> {
    /// A header, all of it and no more.
    pub fn read(header: &'a [u8]) -> Result<Self, Refusal> {
        let extent = Extent::read(header)?;
        if extent.length() != header.len() as u64 {
            return Err(Refusal::Package);
        }
        let (_, rest) = header.split_at_checked(INTRO).ok_or(Refusal::Package)?;
        let index = (extent.entries as usize).saturating_mul(ENTRY);
        let (index, data) = rest.split_at_checked(index).ok_or(Refusal::Package)?;
        Ok(Self { index, data })
    }

    /// The signatures over the main header that the reply says are in this one, each as a packet.
    pub fn signatures(&self, reply: &Rpm<'_>) -> impl Iterator<Item = Result<&'a [u8], Refusal>> {
        let is_over_header = |tag: &Tag| {
            tag.header == Which::Signature && matches!(tag.tag, signature::RSA | signature::DSA)
        };
        let found = reply.tags().filter(is_over_header);
        found.map(|tag| self.signature(tag.index as usize))
    }

    /// The signature over the main header that this entry holds.
    pub fn signature(&self, number: usize) -> Result<&'a [u8], Refusal> {
        let entry = self.entries().nth(number).ok_or(Refusal::Package)?;
        if !matches!(entry.tag, signature::DSA | signature::RSA) || entry.kind != kind::BIN {
            return Err(Refusal::Package);
        }
        let data = self.data_of(entry)?;
        data.get(..entry.count as usize).ok_or(Refusal::Package)
    }

    /// Is there an entry with this tag?
    pub fn has(&self, tag: u32) -> bool {
        self.entries().any(|entry| entry.tag == tag)
    }

    /// The header, as signed by who made this signature. One over text is of no use: it is over other bytes as well.
    pub fn signed(self, by: &Verified) -> Result<SignedHeader<'a>, Refusal> {
        match by.kind() {
            signs::BINARY => Ok(SignedHeader(self)),
            _ => Err(Refusal::SignatureType),
        }
    }

    fn digest(&self) -> Result<Option<PayloadDigest<'a>>, Refusal> {
        let Some(digest) = self.entry(main::PAYLOAD_DIGEST)? else {
            return Ok(None);
        };
        let algorithm = match self.entry(main::PAYLOAD_DIGEST_ALGORITHM)? {
            Some(entry) if entry.kind == kind::INT32 && entry.count == 1 => {
                let number = Bytes::new(self.data_of(entry)?).u32();
                number.ok_or(Refusal::Package)?
            }
            Some(_) => return Err(Refusal::Package),
            None => HashAlgorithm::Sha256 as u32,
        };
        let algorithm = u8::try_from(algorithm)
            .ok()
            .and_then(|number| HashAlgorithm::from_number(number).ok())
            .filter(|algorithm| !algorithm.has_collisions())
            .ok_or(Refusal::PayloadUnsupported)?;
        if digest.kind != kind::STRING_ARRAY || digest.count != 1 {
            return Err(Refusal::Package);
        }
        let hex = self.data_of(digest)?.split(|byte| *byte == 0).next();
        Ok(Some(PayloadDigest {
            algorithm,
            hex: hex.ok_or(Refusal::Package)?,
        }))
    }

    fn entries(&self) -> impl Iterator<Item = Entry> + use<'a> {
        let (entries, _) = self.index.as_chunks::<ENTRY>();
        entries.iter().map(|entry| {
            let [tag, kind, offset, count] = words(entry);
            Entry {
                tag,
                kind,
                offset,
                count,
            }
        })
    }

    /// The entry with this tag. Of two, others might take the other one.
    fn entry(&self, tag: u32) -> Result<Option<Entry>, Refusal> {
        let mut entries = self.entries().filter(|entry| entry.tag == tag);
        match (entries.next(), entries.next()) {
            (entry, None) => Ok(entry),
            _ => Err(Refusal::Package),
        }
    }

    fn data_of(&self, entry: Entry) -> Result<&'a [u8], Refusal> {
        let data = self.data.get(entry.offset as usize..);
        data.ok_or(Refusal::Package)
    }
}

fn words(entry: &[u8; ENTRY]) -> [u32; 4] {
    let (chunks, _) = entry.as_chunks();
    let mut words = [0; 4];
    for (word, chunk) in words.iter_mut().zip(chunks) {
        *word = u32::from_be_bytes(*chunk);
    }
    words
}

/// A header that somebody has signed, from its first byte to its last.
#[derive(Clone, Copy, Debug)]
pub struct SignedHeader<'a>(Header<'a>);

impl<'a> SignedHeader<'a> {
    /// What the payload's digest must be; none where the header does not say.
    pub fn payload(&self) -> Result<Option<PayloadDigest<'a>>, Refusal> {
        self.0.digest()
    }
}

/// What the digest of a package's payload must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadDigest<'a> {
    algorithm: HashAlgorithm,
    hex: &'a [u8],
}

impl PayloadDigest<'_> {
    /// The hash to compute over all that follows the header.
    pub fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// Is this what it comes to?
    pub fn check(&self, digest: &Digest) -> Result<(), Refusal> {
        let (pairs, rest) = self.hex.as_chunks::<2>();
        let bytes = digest.as_bytes();
        let same = rest.is_empty()
            && bytes.len() == self.algorithm.length()
            && pairs.len() == bytes.len()
            && pairs
                .iter()
                .zip(bytes)
                .all(|([high, low], byte)| byte_of(*high, *low) == Some(*byte));
        match same {
            true => Ok(()),
            false => Err(Refusal::Payload),
        }
    }
}

fn byte_of(high: u8, low: u8) -> Option<u8> {
    let digit = |character| char::from(character).to_digit(16);
    let number = digit(high)?.checked_mul(16)?.checked_add(digit(low)?)?;
    u8::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    /// A header of entries (tag, type, offset, count) and data.
    fn header(entries: &[[u32; 4]], data: &[u8]) -> Vec<u8> {
        let mut header = MAGIC.to_vec();
        header.extend((entries.len() as u32).to_be_bytes());
        header.extend((data.len() as u32).to_be_bytes());
        for word in entries.iter().flatten() {
            header.extend(word.to_be_bytes());
        }
        header.extend(data);
        header
    }

    #[test]
    fn a_header_has_the_length_that_it_says() {
        let whole = header(&[[1, 2, 3, 4]; 3], &[7; 21]);
        let extent = Extent::read(&whole).unwrap();
        assert_eq!((extent.length(), extent.padded_length()), (85, 88));
        assert!(Header::read(&whole).is_ok());
        for length in 0..whole.len() {
            assert!(Header::read(&whole[..length]).is_err());
        }
        let longer = [&whole[..], b"x"].concat();
        assert_eq!(Header::read(&longer).err(), Some(Refusal::Package));
    }

    #[test]
    fn fronts_that_are_none() {
        let good = header(&[], &[]);
        assert!(Extent::read(&good).is_ok());
        for (at, byte) in [(0, 0x8f), (3, 2), (4, 1), (7, 1), (9, 1), (12, 0x10)] {
            let mut other = good.clone();
            other[at] = byte;
            assert_eq!(Extent::read(&other), Err(Refusal::Package), "byte {at}");
        }
        let mut most = good;
        most[8..16].copy_from_slice(&[0, 0, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff]);
        let length = Extent::read(&most).unwrap().length();
        assert_eq!(length, 16 + 16 * 0xffff + 0x0fff_ffff);
        assert_eq!(check_lead(&[0xed, 0xab, 0xee, 0xdb, 3]), Ok(()));
        assert_eq!(check_lead(&[0xed, 0xab, 0xee]), Err(Refusal::Package));
    }

    #[test]
    fn a_signature_is_where_the_entry_says() {
        let data = b"..packet";
        let entries = [
            [signature::RSA, kind::BIN, 2, 6],
            [signature::DSA, kind::BIN, 2, 7],
            [signature::RSA, kind::BIN, 9, 0],
            [signature::RSA, kind::STRING_ARRAY, 2, 6],
            [signature::PGP, kind::BIN, 2, 6],
        ];
        let bytes = header(&entries, data);
        let header = Header::read(&bytes).unwrap();
        assert_eq!(header.signature(0), Ok(&b"packet"[..]));
        for other in 1..6 {
            assert_eq!(header.signature(other), Err(Refusal::Package), "{other}");
        }
    }

    const ALGORITHM: u32 = main::PAYLOAD_DIGEST_ALGORITHM;
    const DIGEST: [u32; 4] = [main::PAYLOAD_DIGEST, kind::STRING_ARRAY, 4, 1];

    fn payload(entries: &[[u32; 4]]) -> Result<Option<HashAlgorithm>, Refusal> {
        let bytes = header(entries, b"\0\0\0\x0a0123\0");
        let digest = Header::read(&bytes)?.digest();
        digest.map(|digest| digest.map(|digest| digest.algorithm()))
    }

    #[test]
    fn what_the_payload_must_be_is_said_once() {
        let sha512 = Ok(Some(HashAlgorithm::Sha512));
        let algorithm = [ALGORITHM, kind::INT32, 0, 1];
        assert_eq!(payload(&[]), Ok(None));
        assert_eq!(payload(&[algorithm]), Ok(None));
        assert_eq!(payload(&[DIGEST]), Ok(Some(HashAlgorithm::Sha256)));
        assert_eq!(payload(&[DIGEST, algorithm]), sha512);
        for wrong in [
            &[DIGEST, DIGEST][..],
            &[DIGEST, algorithm, algorithm],
            &[DIGEST, [ALGORITHM, kind::BIN, 0, 1]],
            &[DIGEST, [ALGORITHM, kind::INT32, 0, 2]],
            &[DIGEST, [ALGORITHM, kind::INT32, 6, 1]],
            &[[main::PAYLOAD_DIGEST, kind::STRING_ARRAY, 10, 1]],
            &[[main::PAYLOAD_DIGEST, kind::STRING_ARRAY, 4, 2]],
            &[[main::PAYLOAD_DIGEST, kind::BIN, 4, 1]],
        ] {
            assert_eq!(payload(wrong), Err(Refusal::Package), "{wrong:?}");
        }
        let unknown = [ALGORITHM, kind::INT32, 1, 1];
        let refused = Err(Refusal::PayloadUnsupported);
        assert_eq!(payload(&[DIGEST, unknown]), refused);
    }

    #[test]
    fn digests_in_hexadecimal() {
        let check = |hex: &[u8], digest: &Digest| {
            let expected = PayloadDigest {
                algorithm: HashAlgorithm::Sha1,
                hex,
            };
            expected.check(digest)
        };
        let digest = Digest::new(&[0xab; 20]).unwrap();
        assert_eq!(check(&b"ab".repeat(20), &digest), Ok(()));
        assert_eq!(check(&b"aB".repeat(20), &digest), Ok(()));
        for (wrong, count) in [
            (b"ac", 20),
            (b"ab", 19),
            (b"ab", 21),
            (b"a+", 20),
            (b"ab", 0),
        ] {
            let refused = Err(Refusal::Payload);
            assert_eq!(check(&wrong.repeat(count), &digest), refused);
        }
        let odd = [&b"ab".repeat(20)[..], b"a"].concat();
        assert_eq!(check(&odd, &digest), Err(Refusal::Payload));
        let shorter = Digest::new(&[0xab; 19]).unwrap();
        assert_eq!(check(&b"ab".repeat(19), &shorter), Err(Refusal::Payload));
    }
}
