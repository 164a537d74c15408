// SPDX-License-Identifier: MIT OR Apache-2.0
//! A key as a host believes it to be.

use crate::public::PublicKey;
use crate::refusal::Refusal;

/// Signing subkeys that a key has room for.
pub const SUBKEYS_MAX: usize = 16;

/// Verifications that one key is worth.
pub const VERIFICATIONS_MAX: u32 = 64;

/// What its owner says about a key, by a signature that was verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// When it expires, in seconds since 1970.
    pub expires: Option<u64>,
    /// It is not to be used any more, whatever is said elsewhere.
    pub revoked: bool,
    /// It may sign data.
    pub signs: bool,
}

impl State {
    /// May a key of this state sign data at this time?
    pub fn check(&self, now: u64) -> Result<(), Refusal> {
        if self.revoked {
            return Err(Refusal::KeyRevoked);
        }
        if self.expires.is_some_and(|expires| expires <= now) {
            return Err(Refusal::KeyExpired);
        }
        if !self.signs {
            return Err(Refusal::KeyUsage);
        }
        Ok(())
    }
}

/// A subkey that signs data, or may once have: bound by its primary key, and agreeing to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subkey<'a> {
    /// The key itself.
    pub public: PublicKey<'a>,
    /// What is said about it. That of a key whose primary has expired or is revoked says so, too.
    pub state: State,
}

/// A primary key and who it belongs to. Its subkeys are in the room that [`key`](crate::key) was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    /// The key at the input's front.
    pub public: PublicKey<'a>,
    /// What is said about it.
    pub state: State,
    /// The user id to call it by; none where the owner vouches for none.
    pub user_id: Option<&'a [u8]>,
    /// How many subkeys there are in the room.
    pub subkeys: usize,
    /// Why some subkeys are not among them, the last one's reason; most often [`Refusal::KeyUnsupported`].
    pub left_out: Option<Refusal>,
}
