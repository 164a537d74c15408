// SPDX-License-Identifier: MIT OR Apache-2.0
//! The parts of a transferable public key.

use crate::wire::Reader;
use crate::{Entries, Entry, List, Malformed, Object, Place, Signatures, Skipped};

/// A transferable public key.
///
/// On the wire: a [`List`]. Its first entry is the primary key; behind each key or user id come the signatures about it
/// that name the primary key as their issuer, or nobody. There is one primary key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'r> {
    /// The primary key.
    pub primary: Object,
    /// Signatures about the primary key itself: types 0x1f and 0x20.
    pub direct: Signatures<'r>,
    /// User ids and subkeys.
    pub components: Components<'r>,
    /// What was not told of.
    pub skipped: Skipped,
}

impl<'r> Key<'r> {
    /// The reply to [`Request::Key`](crate::Request::Key) about `length` bytes.
    pub fn decode(reply: &'r [u8], length: usize) -> Result<Self, Malformed> {
        let list = List::read(Reader(reply), length)?;
        let mut entries = list.entries();
        let Some(Entry::Primary(primary)) = entries.next() else {
            return Err(Malformed);
        };
        if entries
            .into_iter()
            .any(|entry| matches!(entry, Entry::Primary(_)))
        {
            return Err(Malformed);
        }
        Ok(Self {
            primary,
            direct: entries.take_signatures(),
            components: Components(entries),
            skipped: list.skipped,
        })
    }
}

/// A user id or a subkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component<'r> {
    /// Which.
    pub subject: Subject,
    /// The signatures about it: of a user id types 0x10 to 0x13 and 0x30, of a subkey 0x18 and 0x28.
    pub signatures: Signatures<'r>,
}

/// What signatures in a key can be about, beside its primary key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A user id.
    UserId(Place),
    /// A subkey.
    Subkey(Object),
}

/// User ids and subkeys, one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Components<'r>(Entries<'r>);

impl<'r> Iterator for Components<'r> {
    type Item = Component<'r>;

    fn next(&mut self) -> Option<Component<'r>> {
        let subject = match self.0.next()? {
            Entry::UserId(body) => Subject::UserId(body),
            Entry::Subkey(key) => Subject::Subkey(key),
            // Decoding has seen that neither comes here.
            Entry::Primary(_) | Entry::Signature(_) => return None,
        };
        Some(Component {
            subject,
            signatures: self.0.take_signatures(),
        })
    }
}
