// SPDX-License-Identifier: MIT OR Apache-2.0
//! The key that a signature names.

use pgp_rules::Fingerprint;
use std::fmt;

/// The key that a signature says has made it. Nobody has vouched for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issuer {
    /// Its fingerprint.
    Fingerprint(Fingerprint),
    /// Its key id.
    KeyId([u8; 8]),
}

impl Issuer {
    /// As a signature writes it: a key id, or a fingerprint.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        if let Ok(id) = bytes.try_into() {
            return Some(Self::KeyId(id));
        }
        if let Ok(v4) = bytes.try_into() {
            return Some(Fingerprint::V4(v4).into());
        }
        bytes.try_into().ok().map(|v6| Fingerprint::V6(v6).into())
    }

    /// Is it the key that has this fingerprint?
    pub fn is(&self, fingerprint: &Fingerprint) -> bool {
        match self {
            Self::Fingerprint(own) => own == fingerprint,
            Self::KeyId(own) => *own == fingerprint.key_id(),
        }
    }
}

impl From<Fingerprint> for Issuer {
    fn from(fingerprint: Fingerprint) -> Self {
        Self::Fingerprint(fingerprint)
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = match self {
            Self::Fingerprint(fingerprint) => fingerprint.as_bytes(),
            Self::KeyId(id) => id,
        };
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}
