// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys that are kept.

use pgp_rules::{Fingerprint, Refusal, State};
use std::borrow::Cow;
use std::fmt::Write;

/// A primary key, who it belongs to, and its subkeys that sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key that vouches for all else.
    pub primary: PublicKey,
    /// Subkeys that sign, or did. Each agrees to be its primary key's.
    pub subkeys: Vec<PublicKey>,
    /// The user id to call it by, as its owner has written it.
    pub user_id: Option<Vec<u8>>,
    /// Why a subkey that signs is not among these, the last such one's reason.
    pub left_out: Option<Refusal>,
}

/// A public key, and what its owner says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// The body of its packet.
    pub(crate) body: Vec<u8>,
    /// 4 or 6.
    pub version: u8,
    /// When it was made, in seconds since 1970.
    pub created: u32,
    /// Its algorithm's number in OpenPGP.
    pub algorithm: u8,
    /// The hash by which it is known.
    pub fingerprint: Fingerprint,
    /// What is said about it.
    pub state: State,
}

impl Key {
    pub(crate) fn new(key: &pgp_rules::Key<'_>, subkeys: &[Option<pgp_rules::Subkey<'_>>]) -> Self {
        Self {
            primary: PublicKey::new(&key.public, key.state),
            subkeys: subkeys
                .iter()
                .flatten()
                .map(|subkey| PublicKey::new(&subkey.public, subkey.state))
                .collect(),
            user_id: key.user_id.map(<[u8]>::to_vec),
            left_out: key.left_out,
        }
    }

    /// What to call it: its user id, or its fingerprint where there is none.
    pub fn name(&self) -> Cow<'_, str> {
        match &self.user_id {
            Some(user_id) => String::from_utf8_lossy(user_id),
            None => self.primary.fingerprint_text().into(),
        }
    }

    /// The primary key and its subkeys.
    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        std::iter::once(&self.primary).chain(&self.subkeys)
    }
}

impl PublicKey {
    fn new(public: &pgp_rules::PublicKey<'_>, state: State) -> Self {
        Self {
            body: public.body.to_vec(),
            version: public.version,
            created: public.created,
            algorithm: public.algorithm,
            fingerprint: public.fingerprint,
            state,
        }
    }

    /// The fingerprint in hexadecimal.
    pub fn fingerprint_text(&self) -> String {
        self.fingerprint
            .as_bytes()
            .iter()
            .fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02X}");
                text
            })
    }

    /// Is this its key id, or its fingerprint?
    pub(crate) fn is_named(&self, issuer: &[u8]) -> bool {
        issuer == self.fingerprint.as_bytes() || issuer == self.fingerprint.key_id()
    }
}
