// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys that are kept.

use pgp_rules::{Curve, Fingerprint, Material, Refusal, State};
use std::borrow::Cow;
use std::fmt::Write;

/// A primary key, who it belongs to, and its subkeys that sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key that vouches for all else.
    pub primary: PublicKey,
    /// Subkeys that sign, or did. Each one that is still good agrees to be its primary key's.
    pub subkeys: Vec<PublicKey>,
    /// The user id to call it by, as its owner has written it.
    pub user_id: Option<Vec<u8>>,
    /// Why a subkey that signs is not among these, the last such one's reason.
    pub left_out: Option<Refusal>,
    /// All other subkeys, and why each does not sign.
    pub(crate) others: Vec<(Fingerprint, Refusal)>,
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
    /// Its algorithm's name and its size, as `RSA 3072` or `ECDSA P-256`.
    pub algorithm_name: String,
    /// The hash by which it is known.
    pub fingerprint: Fingerprint,
    /// What is said about it.
    pub state: State,
}

impl Key {
    pub(crate) fn new(
        key: &pgp_rules::Key<'_>,
        subkeys: &[Option<pgp_rules::Subkey<'_>>],
        others: Vec<(Fingerprint, Refusal)>,
    ) -> Self {
        Self {
            others,
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

    /// Is the same believed of both?
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let believed = |key: &Self| (key.user_id.clone(), key.left_out);
        (&self.primary, &self.subkeys) == (&other.primary, &other.subkeys)
            && believed(self) == believed(other)
    }

    /// Its owner does not use it any more.
    pub(crate) fn revoke(&mut self) {
        self.primary.state.revoked = true;
        self.subkeys.iter_mut().for_each(PublicKey::revoke_subkey);
    }

    /// Revokes what an earlier copy of this key said was revoked.
    pub(crate) fn keep_revocations(&mut self, earlier: &Self) {
        if earlier.primary.state.revoked {
            self.revoke();
        }
        for revoked in earlier.subkeys.iter().filter(|key| key.state.revoked) {
            let mut own = self.subkeys.iter_mut();
            match own.find(|own| own.fingerprint == revoked.fingerprint) {
                Some(own) => own.revoke_subkey(),
                // The copy after this one may have it again.
                None => self.subkeys.push(revoked.clone()),
            }
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
            algorithm_name: algorithm_name(&public.material, public.algorithm),
            fingerprint: public.fingerprint,
            state,
        }
    }

    fn revoke_subkey(&mut self) {
        self.state.revoked = true;
        // As with any subkey that is not good any more.
        self.state.signs = false;
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

fn algorithm_name(material: &Material<'_>, number: u8) -> String {
    // There are no zeros in front, so that a number's first byte says how many bits it has.
    let bits = |number: &[u8]| {
        let unused = number.first().map_or(0, |first| first.leading_zeros());
        (number.len() * 8).saturating_sub(unused as usize)
    };
    match material {
        Material::Rsa { n, .. } => format!("RSA {}", bits(n)),
        Material::Dsa { p, .. } => format!("DSA {}", bits(p)),
        Material::Ecdsa { curve, .. } => match curve {
            Curve::P256 => "ECDSA P-256".to_owned(),
            Curve::P384 => "ECDSA P-384".to_owned(),
            Curve::P521 => "ECDSA P-521".to_owned(),
        },
        Material::Ed25519 { .. } => "Ed25519".to_owned(),
        Material::Ed448 { .. } => "Ed448".to_owned(),
        Material::Other => format!("number {number}"),
    }
}
