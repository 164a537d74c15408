// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a key or a signed message is made of, thing by thing.

use crate::wire::{Reader, Writer};
use crate::{ENTRIES_MAX, Malformed, Object, Place};

/// Bytes of an [`Entry`] in a reply.
pub const ENTRY_LEN: usize = 16 + 2 * Object::LEN;

/// One thing that was found.
///
/// On the wire: its kind and a signature's hints, a byte each, two zeros, when it was made; then the body and its
/// parts, the issuer's place, the back signature's body and parts. What an entry has not is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The primary key.
    Primary(Object),
    /// A user id.
    UserId(Place),
    /// A subkey.
    Subkey(Object),
    /// A signature, of version 4 or 6.
    Signature(Signature),
}

/// A signature, and what it says of itself. Only the body's place means anything before the signature is verified; the
/// rest helps to try the right ones first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// Where it is.
    pub object: Object,
    /// When it says it was made; 0 if it does not.
    pub created: u32,
    /// It says that its user id is the primary one.
    pub is_primary: bool,
    /// Where in the body its issuer is named: 8 bytes of key id, or 20 or 32 of fingerprint.
    pub issuer: Option<Place>,
    /// The subkey's own signature, embedded in the body.
    pub back: Option<Object>,
}

const PRIMARY: u8 = 1;
const USER_ID: u8 = 2;
const SUBKEY: u8 = 3;
const SIGNATURE: u8 = 4;

/// A hint: see [`Signature::is_primary`].
const IS_PRIMARY: u8 = 1;

impl Entry {
    /// Its body.
    pub const fn body(&self) -> Place {
        match self {
            Self::Primary(key) | Self::Subkey(key) => key.body,
            Self::UserId(body) => *body,
            Self::Signature(signature) => signature.object.body,
        }
    }

    /// The entry as it stands in a reply.
    pub fn encode(&self) -> [u8; ENTRY_LEN] {
        let mut bytes = [0; ENTRY_LEN];
        let mut out = Writer(&mut bytes);
        match self {
            Self::Primary(key) => key.write(out.bytes(&[PRIMARY, 0, 0, 0]).word(0)),
            Self::UserId(body) => body.write(out.bytes(&[USER_ID, 0, 0, 0]).word(0)),
            Self::Subkey(key) => key.write(out.bytes(&[SUBKEY, 0, 0, 0]).word(0)),
            Self::Signature(signature) => {
                let hints = if signature.is_primary { IS_PRIMARY } else { 0 };
                out.bytes(&[SIGNATURE, hints, 0, 0]).word(signature.created);
                signature.object.write(&mut out);
                signature.issuer.unwrap_or_default().write(&mut out);
                signature.back.unwrap_or_default().write(&mut out);
            }
        }
        bytes
    }

    /// Reads an entry whose places must lie in `room`.
    fn decode(bytes: &[u8; ENTRY_LEN], room: Place) -> Result<Self, Malformed> {
        let mut from = Reader(bytes);
        let [kind, hints, 0, 0] = *from.bytes()? else {
            return Err(Malformed);
        };
        let created = from.word()?;
        if kind != SIGNATURE && (hints, created) != (0, 0) {
            return Err(Malformed);
        }
        let entry = match kind {
            PRIMARY => Self::Primary(Object::read(&mut from, room)?),
            USER_ID => Self::UserId(Place::read(&mut from, room)?),
            SUBKEY => Self::Subkey(Object::read(&mut from, room)?),
            SIGNATURE if hints <= IS_PRIMARY => {
                let object = Object::read(&mut from, room)?;
                let issuer = Place::read_some(&mut from, object.body)?;
                if issuer.is_some_and(|issuer| !matches!(issuer.len, 8 | 20 | 32)) {
                    return Err(Malformed);
                }
                Self::Signature(Signature {
                    object,
                    created,
                    is_primary: hints == IS_PRIMARY,
                    issuer,
                    back: Object::read_some(&mut from, object.body)?,
                })
            }
            _ => return Err(Malformed),
        };
        let is_over = from.0.iter().all(|byte| *byte == 0);
        is_over.then_some(entry).ok_or(Malformed)
    }
}

/// How many packets the handler has not told of, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Signatures that name another issuer than the primary key.
    pub foreign: u32,
    /// What is of a version, an algorithm or a kind that is not read here, such as photos and the
    /// signatures of them.
    pub unsupported: u32,
    /// Bodies that break their format, and signatures of a type that has no meaning where they are.
    pub invalid: u32,
}

/// Bytes in front of the entries of a [`List`].
pub const LIST_HEADER_LEN: usize = 16;

/// What was found, in the order in which it lies in the caller's bytes.
///
/// On the wire: the number of entries, the numbers of what was [`Skipped`], then the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List<'r> {
    /// What was not told of.
    pub skipped: Skipped,
    entries: &'r [[u8; ENTRY_LEN]],
    room: Place,
}

impl<'r> List<'r> {
    /// What goes in front of `count` entries.
    pub fn encode_header(count: u32, skipped: Skipped) -> [u8; LIST_HEADER_LEN] {
        let mut bytes = [0; LIST_HEADER_LEN];
        Writer(&mut bytes)
            .word(count)
            .word(skipped.foreign)
            .word(skipped.unsupported)
            .word(skipped.invalid);
        bytes
    }

    /// Reads all that is left, about `length` bytes of the caller's.
    pub(crate) fn read(mut from: Reader<'r>, length: usize) -> Result<Self, Malformed> {
        let room = Place::all(length)?;
        let count = from.word()?;
        let skipped = Skipped {
            foreign: from.word()?,
            unsupported: from.word()?,
            invalid: from.word()?,
        };
        let (entries, rest) = from.0.as_chunks();
        if !rest.is_empty()
            || entries.len() > ENTRIES_MAX
            || u32::try_from(entries.len()) != Ok(count)
        {
            return Err(Malformed);
        }
        let mut end = 0;
        for entry in entries {
            let body = Entry::decode(entry, room)?.body();
            if body.at < end {
                return Err(Malformed);
            }
            end = body.end();
        }
        Ok(Self {
            skipped,
            entries,
            room,
        })
    }

    /// The entries.
    pub fn entries(&self) -> Entries<'r> {
        Entries {
            entries: self.entries,
            room: self.room,
        }
    }
}

/// Entries, one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entries<'r> {
    entries: &'r [[u8; ENTRY_LEN]],
    room: Place,
}

impl<'r> Entries<'r> {
    /// How many there are.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes the signatures that come next.
    pub(crate) fn take_signatures(&mut self) -> Signatures<'r> {
        let is_other = |entry: &[u8; ENTRY_LEN]| entry.first() != Some(&SIGNATURE);
        let count = self.entries.iter().position(is_other);
        let count = count.unwrap_or(self.entries.len());
        let (taken, rest) = self.entries.split_at_checked(count).unwrap_or_default();
        self.entries = rest;
        Signatures(Self {
            entries: taken,
            room: self.room,
        })
    }
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let (entry, rest) = self.entries.split_first()?;
        self.entries = rest;
        // All were read when the reply was.
        Entry::decode(entry, self.room).ok()
    }
}

/// Signatures about one thing, one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signatures<'r>(Entries<'r>);

impl<'r> Signatures<'r> {
    /// How many there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those first that say they were made last; of two at one time the one further behind.
    ///
    /// Each step goes through all of them, which needs no memory.
    pub const fn newest_first(self) -> NewestFirst<'r> {
        NewestFirst {
            all: self,
            last: None,
        }
    }
}

impl Iterator for Signatures<'_> {
    type Item = Signature;

    fn next(&mut self) -> Option<Signature> {
        match self.0.next()? {
            Entry::Signature(signature) => Some(signature),
            _ => None,
        }
    }
}

/// See [`Signatures::newest_first`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewestFirst<'r> {
    all: Signatures<'r>,
    /// Time and number of the one before.
    last: Option<(u32, usize)>,
}

impl Iterator for NewestFirst<'_> {
    type Item = Signature;

    fn next(&mut self) -> Option<Signature> {
        let mut next = None;
        for (number, signature) in self.all.enumerate() {
            let rank = (signature.created, number);
            if self.last.is_none_or(|last| rank < last) && next.is_none_or(|(best, _)| rank > best)
            {
                next = Some((rank, signature));
            }
        }
        let (rank, signature) = next?;
        self.last = Some(rank);
        Some(signature)
    }
}
