// SPDX-License-Identifier: MIT OR Apache-2.0
//! Places in the caller's bytes.

use crate::Malformed;
use crate::wire::{Reader, Writer};

/// Some of the caller's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Where they begin.
    pub at: u32,
    /// How many there are.
    pub len: u32,
}

impl Place {
    /// Bytes of a place in a message.
    pub(crate) const LEN: usize = 8;

    /// The first byte behind it.
    pub const fn end(self) -> u32 {
        self.at.saturating_add(self.len)
    }

    /// Whether it lies wholly in another.
    pub const fn is_within(self, other: Self) -> bool {
        match self.at.checked_add(self.len) {
            Some(end) => self.at >= other.at && end <= other.end(),
            None => false,
        }
    }

    /// The bytes themselves; none where the place is outside.
    pub fn of(self, input: &[u8]) -> Option<&[u8]> {
        let begin = usize::try_from(self.at).ok()?;
        let length = usize::try_from(self.len).ok()?;
        input.get(begin..)?.get(..length)
    }

    /// The place of all of the caller's bytes.
    pub(crate) fn all(length: usize) -> Result<Self, Malformed> {
        let len = u32::try_from(length).map_err(|_| Malformed)?;
        Ok(Self { at: 0, len })
    }

    pub(crate) fn write(self, out: &mut Writer<'_>) {
        out.word(self.at).word(self.len);
    }

    /// Reads a place that must lie in `room`.
    pub(crate) fn read(from: &mut Reader<'_>, room: Self) -> Result<Self, Malformed> {
        let place = Self {
            at: from.word()?,
            len: from.word()?,
        };
        place.is_within(room).then_some(place).ok_or(Malformed)
    }

    /// Reads a place that is none where all is zero.
    pub(crate) fn read_some(from: &mut Reader<'_>, room: Self) -> Result<Option<Self>, Malformed> {
        let mut ahead = *from;
        if ahead.bytes()? == &[0; Self::LEN] {
            *from = ahead;
            return Ok(None);
        }
        let place = Self::read(from, room)?;
        // An empty place somewhere would be a second way to say none.
        (place.len > 0).then_some(Some(place)).ok_or(Malformed)
    }
}

/// The most parts of a key's material: DSA's p, q, g and y.
pub const PARTS_MAX: usize = 4;

/// The numbers of a key or a signature, one right behind the other.
///
/// | algorithm | of a key | of a signature |
/// | --- | --- | --- |
/// | RSA (1, 2, 3) | n, e | the value |
/// | Elgamal (16) | p, g, y | |
/// | DSA (17) | p, q, g, y | r, s |
/// | ECDH (18) | curve, point, parameters | |
/// | ECDSA (19), EdDSA (22) | curve, point | r, s |
/// | X25519 (25), X448 (26) | the key | |
/// | Ed25519 (27), Ed448 (28) | the key | the value |
///
/// Each part is whole: a multiprecision integer begins with its two octets of bit count, a curve and
/// ECDH's parameters with their octet of length. What has no such octets is of a fixed size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Where the first begins.
    pub at: u32,
    /// How long each is; zeros for those that there are not.
    pub lens: [u16; PARTS_MAX],
}

impl Parts {
    /// Bytes of parts in a message.
    const LEN: usize = 4 + 2 * PARTS_MAX;

    /// All of them as one.
    pub fn whole(self) -> Place {
        let len = self
            .lens
            .into_iter()
            .map(u32::from)
            .fold(0, u32::saturating_add);
        Place { at: self.at, len }
    }

    /// How many there are.
    pub fn count(self) -> usize {
        self.lens.into_iter().take_while(|len| *len > 0).count()
    }

    /// The place of each.
    pub fn iter(self) -> impl Iterator<Item = Place> {
        let mut at = self.at;
        let lens = self.lens.into_iter().take_while(|len| *len > 0);
        lens.map(move |len| {
            let place = Place {
                at,
                len: len.into(),
            };
            at = place.end();
            place
        })
    }

    /// The bytes of part `n`, from 0; none where there is no such part.
    pub fn get(self, n: usize, input: &[u8]) -> Option<&[u8]> {
        self.iter().nth(n)?.of(input)
    }

    fn write(self, out: &mut Writer<'_>) {
        out.word(self.at);
        for len in self.lens {
            out.half(len);
        }
    }

    /// Reads parts that must lie in `room`: at least one, and none behind one that there is not.
    fn read(from: &mut Reader<'_>, room: Place) -> Result<Self, Malformed> {
        let at = from.word()?;
        let mut lens = [0; PARTS_MAX];
        for len in &mut lens {
            *len = from.half()?;
        }
        let parts = Self { at, lens };
        let has_gap = lens.into_iter().skip(parts.count()).any(|len| len > 0);
        let is_sound = parts.count() > 0 && !has_gap && parts.whole().is_within(room);
        is_sound.then_some(parts).ok_or(Malformed)
    }
}

/// A key's or a signature's body (of a packet, or of a subpacket), and the numbers in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Object {
    /// The body, from its version on.
    pub body: Place,
    /// The numbers.
    pub parts: Parts,
}

impl Object {
    /// Bytes of an object in a message.
    pub(crate) const LEN: usize = Place::LEN + Parts::LEN;

    pub(crate) fn write(self, out: &mut Writer<'_>) {
        self.body.write(out);
        self.parts.write(out);
    }

    /// Reads an object whose body must lie in `room`.
    pub(crate) fn read(from: &mut Reader<'_>, room: Place) -> Result<Self, Malformed> {
        let body = Place::read(from, room)?;
        let parts = Parts::read(from, body)?;
        Ok(Self { body, parts })
    }

    /// Reads an object that is none where all is zero.
    pub(crate) fn read_some(from: &mut Reader<'_>, room: Place) -> Result<Option<Self>, Malformed> {
        let mut ahead = *from;
        if ahead.bytes()? == &[0; Self::LEN] {
            *from = ahead;
            return Ok(None);
        }
        Self::read(from, room).map(Some)
    }
}
