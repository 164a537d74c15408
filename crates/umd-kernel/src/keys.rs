// SPDX-License-Identifier: GPL-2.0-only
//! Asymmetric keys of a driver's own: `keyctl padd asymmetric "" KEYRING`.
//!
//! A [`Parser`] makes a [`Key`] of the bytes that somebody adds. The kernel then owns it: it keeps the module
//! loaded, is found by its ids and its description, and is asked by `keyctl pkey_query` and `pkey_verify`.

use crate::ffi::memory::Box;
use crate::log::Line;
use crate::verify::PublicKey;
use core::ffi::CStr;
use umd_core::error::Errno;

pub use crate::ffi::keys::{Keys, Registered, real_seconds};

/// Who makes keys of bytes.
pub trait Parser: Send + Sync + 'static {
    /// What it makes.
    type Key: Key;

    /// Its name, also of the kind of key in `/proc/keys`.
    const NAME: &'static CStr;

    /// Makes a key of bytes that anybody may have written. `EBADMSG`: they are not for this parser, another one is
    /// asked. Context: any task, with the lock held that parsers take to come and go; so no module may be loaded
    /// that brings a parser, and each sleep has an end.
    fn parse(&self, input: &[u8]) -> Result<Parsed<Self::Key>, Errno>;
}

/// A key, as the kernel asks it.
pub trait Key: Send + Sync + 'static {
    /// The key that stands for all that there may be in this one.
    fn primary(&self) -> PublicKey<'_>;

    /// A few words for `/proc/keys`.
    fn kind(&self) -> &'static CStr;

    /// What it can do.
    fn query(&self) -> Query;

    /// Is this a signature of the key? `EKEYREJECTED` where it is not. Context: may sleep.
    fn verify(&self, claim: &Claim<'_>) -> Result<(), Errno>;
}

/// What `keyctl pkey_query` tells. Longer digests and signatures are refused before [`Key::verify`] is asked.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Size of the key.
    pub bits: u32,
    /// Most bytes of a digest.
    pub digest_max: u16,
    /// Most bytes of a signature.
    pub value_max: u16,
}

/// What somebody claims to be a signature.
#[derive(Clone, Copy)]
pub struct Claim<'a> {
    /// The form of the signature, in the claimer's words.
    pub encoding: Option<&'a CStr>,
    /// The hash, in the claimer's words.
    pub hash: Option<&'a CStr>,
    /// What is said to be signed.
    pub digest: &'a [u8],
    /// The signature.
    pub value: &'a [u8],
}

/// What a parser has made.
pub struct Parsed<K> {
    /// The key.
    pub key: Box<K>,
    /// What it is called where nobody has a name for it.
    pub description: Line,
    /// What it is found by.
    pub ids: Ids,
    /// Bytes that its owner is charged.
    pub quota: u32,
}

/// What a key is found by. The kernel has room for three: `id:` and `ex:` of a search look at the first two, `dn:` at the
/// third.
#[derive(Clone, Copy, Default)]
pub struct Ids {
    ids: [[u8; Self::LEN_MAX]; Self::MAX],
    lens: [u32; Self::MAX],
    count: usize,
}

impl Ids {
    /// Most ids.
    pub const MAX: usize = 3;

    /// Most bytes of each.
    pub const LEN_MAX: usize = 32;

    /// Adds one, if there is room for it.
    pub fn push(&mut self, id: &[u8]) {
        let room = self.ids.get_mut(self.count);
        let (Some(room), Some(len)) = (room, self.lens.get_mut(self.count)) else {
            return;
        };
        if let Some(room) = room.get_mut(..id.len()) {
            room.copy_from_slice(id);
            // At most 32.
            *len = id.len() as u32;
            self.count = self.count.saturating_add(1);
        }
    }

    pub(crate) fn parts(&self) -> (&[[u8; Self::LEN_MAX]; Self::MAX], &[u32; Self::MAX]) {
        (&self.ids, &self.lens)
    }
}
