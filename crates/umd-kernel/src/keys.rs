// SPDX-License-Identifier: GPL-2.0-only
//! Asymmetric keys of a driver's own: `keyctl padd asymmetric "" KEYRING`.
//!
//! A [`Parser`] makes a [`Key`] of the bytes that somebody adds. The kernel then owns it: it keeps the module
//! loaded, is found by its ids and its description, and is asked by `keyctl pkey_query` and `pkey_verify`.

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
    pub key: K,
    /// What it is called where nobody has a name for it.
    pub description: Description,
    /// What it is found by.
    pub ids: Ids,
    /// Bytes that its owner is charged.
    pub quota: u32,
}

/// A line of text that shows in `/proc/keys`. What is too long is cut, and what could be mistaken for
/// something else there becomes a question mark.
#[derive(Clone, Copy)]
pub struct Description {
    bytes: [u8; Self::MAX],
    len: usize,
}

impl Default for Description {
    fn default() -> Self {
        Self::new()
    }
}

impl Description {
    /// Most bytes.
    pub const MAX: usize = 192;

    /// No text.
    pub const fn new() -> Self {
        Self {
            bytes: [0; Self::MAX],
            len: 0,
        }
    }

    /// Adds text.
    pub fn push(&mut self, text: &[u8]) {
        for byte in text {
            let shown = if byte.is_ascii_control() { b'?' } else { *byte };
            self.push_byte(shown);
        }
    }

    /// Adds bytes in hexadecimal digits.
    pub fn push_hex(&mut self, bytes: &[u8]) {
        for byte in bytes {
            for digit in [byte >> 4, byte & 0xf] {
                self.push_byte(match digit {
                    0..10 => b'0'.wrapping_add(digit),
                    _ => b'a'.wrapping_add(digit.wrapping_sub(10)),
                });
            }
        }
    }

    fn push_byte(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len = self.len.saturating_add(1);
        }
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
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
