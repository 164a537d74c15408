// SPDX-License-Identifier: MIT OR Apache-2.0
//! A signature, step by step: each is a type, made only of the one before.
//!
//! [`Signature`] is a packet's body that was read. [`Hashing`] is fed with what it is over. [`Hashed`] knows what the signature must be
//! a signature of. [`Verified`] is one that a key has made, and alone can say what is written in it.

use crate::bytes::Bytes;
use crate::crypto::{Crypto, Digest, Hash, HashAlgorithm, SignatureValue};
use crate::public::{PublicKey, algorithm};
use crate::refusal::Refusal;
use crate::subpackets::{self, Facts};
use crate::text::Canonical;

/// Types of signatures by their numbers.
pub mod kind {
    /// Over data.
    pub const BINARY: u8 = 0x00;
    /// Over text: how its lines end does not matter.
    pub const TEXT: u8 = 0x01;
    /// Four ways to vouch for a user id, which count alike.
    pub const USER_ID: core::ops::RangeInclusive<u8> = 0x10..=0x13;
    /// Binds a subkey.
    pub const SUBKEY: u8 = 0x18;
    /// A signing subkey agrees to be bound.
    pub const BACK: u8 = 0x19;
    /// About the key itself.
    pub const DIRECT: u8 = 0x1f;
    /// Revokes the key.
    pub const REVOKE_KEY: u8 = 0x20;
    /// Revokes a subkey.
    pub const REVOKE_SUBKEY: u8 = 0x28;
    /// Takes back what was said about a user id.
    pub const REVOKE_USER_ID: u8 = 0x30;
}

/// Bytes that a signature of version 3 has behind its version: how many of them are hashed. RFC
/// 4880, section 5.2.2.
const V3_HASHED: u8 = 5;

/// Which [`kind`] a signature says that it is, whether or not the rest can be read.
pub(crate) fn kind_of(body: &[u8]) -> Option<u8> {
    match body {
        [4 | 6, kind, ..] | [3, V3_HASHED, kind, ..] => Some(*kind),
        _ => None,
    }
}

/// What a signature says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says<'a> {
    /// Of version 3: when it was made, in seconds since 1970.
    Made(u32),
    /// Of versions 4 and 6: subpackets.
    Subpackets(&'a [u8]),
}

/// A signature's packet. Whose it is, and over what, nobody knows yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    version: u8,
    kind: u8,
    algorithm: u8,
    hash: HashAlgorithm,
    /// What is hashed with what the signature is over: its front, up to the end of the hashed
    /// subpackets; of version 3 its type and time.
    hashed: &'a [u8],
    says: Says<'a>,
    /// The digest's first two bytes.
    begin: [u8; 2],
    salt: &'a [u8],
    value: SignatureValue<'a>,
}

impl<'a> Signature<'a> {
    /// Reads the body of its packet. What follows the numbers of a signature of version 3 or 4 is
    /// ignored, as other programs do: nobody has signed it.
    pub fn read(body: &'a [u8]) -> Result<Self, Refusal> {
        let mut bytes = Bytes::new(body);
        match bytes.u8().ok_or(Refusal::SignatureMalformed)? {
            3 => Self::read_v3(bytes),
            version @ (4 | 6) => Self::read_v4(version, body, bytes),
            _ => Err(Refusal::SignatureVersion),
        }
    }

    /// Reads what is behind the version 3: when and as what it was made is hashed, and nothing else
    /// is said. RFC 4880, section 5.2.2.
    fn read_v3(mut bytes: Bytes<'a>) -> Result<Self, Refusal> {
        if bytes.u8() != Some(V3_HASHED) {
            return Err(Refusal::SignatureMalformed);
        }
        let hashed: &[u8; 5] = bytes.array().ok_or(Refusal::SignatureMalformed)?;
        let [kind, time @ ..] = hashed;
        // The key id of its maker, which nobody has vouched for.
        bytes.take(8).ok_or(Refusal::SignatureMalformed)?;
        let [algorithm, hash] = *bytes.array().ok_or(Refusal::SignatureMalformed)?;
        let begin = *bytes.array().ok_or(Refusal::SignatureMalformed)?;
        Ok(Self {
            version: 3,
            kind: *kind,
            algorithm,
            hash: HashAlgorithm::from_number(hash)?,
            hashed,
            says: Says::Made(u32::from_be_bytes(*time)),
            begin,
            salt: &[],
            value: value(algorithm, &mut bytes, Bytes::lax_number)?,
        })
    }

    fn read_v4(version: u8, body: &'a [u8], mut bytes: Bytes<'a>) -> Result<Self, Refusal> {
        let is_v6 = version == 6;
        let [kind, algorithm, hash] = *bytes.array().ok_or(Refusal::SignatureMalformed)?;
        let subpackets = area(&mut bytes, is_v6)?;
        let length = body.len().checked_sub(bytes.rest().len());
        let hashed = length.and_then(|length| body.get(..length));
        // Nobody has vouched for what is in the other area.
        area(&mut bytes, is_v6)?;
        let begin = *bytes.array().ok_or(Refusal::SignatureMalformed)?;
        let hash = HashAlgorithm::from_number(hash)?;
        let salt = if is_v6 {
            let length = bytes.u8().map(usize::from);
            let right = hash.salt_length().ok_or(Refusal::HashWeak)?;
            let length = length.filter(|length| *length == right);
            let salt = length.and_then(|length| bytes.take(length));
            salt.ok_or(Refusal::SignatureMalformed)?
        } else {
            &[]
        };
        let number = match is_v6 {
            true => Bytes::number,
            false => Bytes::lax_number,
        };
        let value = value(algorithm, &mut bytes, number)?;
        if is_v6 && !bytes.is_empty() {
            return Err(Refusal::SignatureMalformed);
        }
        Ok(Self {
            version,
            kind,
            algorithm,
            hash,
            hashed: hashed.ok_or(Refusal::SignatureMalformed)?,
            says: Says::Subpackets(subpackets),
            begin,
            salt,
            value,
        })
    }

    /// Which [`kind`] it says that it is.
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// The hash that it is over.
    pub fn hash_algorithm(&self) -> HashAlgorithm {
        self.hash
    }

    /// The version of the keys that make such signatures.
    fn key_version(&self) -> u8 {
        match self.version {
            3 => 4,
            version => version,
        }
    }

    /// Its numbers.
    pub fn value(&self) -> &SignatureValue<'a> {
        &self.value
    }

    /// Begins to hash what it is over. A signature over text takes the text in any form.
    pub fn hashing<C: Crypto>(&self, crypto: &C) -> Result<Hashing<'a, C::Hash>, Refusal> {
        // SHA-1 counts where a key's owner speaks of the key: those of many years have nothing else.
        if self.hash == HashAlgorithm::Md5 {
            return Err(Refusal::HashWeak);
        }
        let mut hash = crypto.hash(self.hash)?;
        hash.update(self.salt)?;
        Ok(Hashing {
            signature: *self,
            hash,
            text: (self.kind == kind::TEXT).then(Canonical::default),
        })
    }
}

fn area<'a>(bytes: &mut Bytes<'a>, is_v6: bool) -> Result<&'a [u8], Refusal> {
    let length = if is_v6 {
        bytes.u32().map(|length| length as usize)
    } else {
        bytes.u16().map(usize::from)
    };
    let area = length.and_then(|length| bytes.take(length));
    area.ok_or(Refusal::SignatureMalformed)
}

/// Reads the numbers of a signature by this algorithm, each by `number`.
fn value<'a>(
    algorithm: u8,
    bytes: &mut Bytes<'a>,
    number: impl Fn(&mut Bytes<'a>) -> Result<&'a [u8], Refusal>,
) -> Result<SignatureValue<'a>, Refusal> {
    Ok(match algorithm {
        algorithm::RSA | algorithm::RSA_SIGN_ONLY => SignatureValue::Rsa { s: number(bytes)? },
        algorithm::DSA | algorithm::ECDSA => SignatureValue::Pair {
            r: number(bytes)?,
            s: number(bytes)?,
        },
        algorithm::EDDSA => SignatureValue::Ed25519 {
            r: number(bytes)?,
            s: number(bytes)?,
        },
        algorithm::ED25519 => {
            let halves: Option<(&[u8; 32], &[u8; 32])> = bytes.array().zip(bytes.array());
            let (r, s) = halves.ok_or(Refusal::SignatureMalformed)?;
            SignatureValue::Ed25519 { r, s }
        }
        algorithm::ED448 => SignatureValue::Ed448 {
            signature: bytes.array().ok_or(Refusal::SignatureMalformed)?,
        },
        _ => return Err(Refusal::SignatureUnsupported),
    })
}

/// What a signature is over, on its way into the hash.
pub struct Hashing<'a, H> {
    signature: Signature<'a>,
    hash: H,
    text: Option<Canonical>,
}

impl<'a, H: Hash> Hashing<'a, H> {
    /// More of it.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        match &mut self.text {
            Some(text) => text.update(bytes, &mut self.hash),
            None => self.hash.update(bytes),
        }
    }

    /// A key.
    pub(crate) fn key(&mut self, key: &PublicKey<'_>) -> Result<(), Refusal> {
        key.hash_into(&mut self.hash)
    }

    /// A user id. Signatures of version 3 are over its bytes alone.
    pub(crate) fn user_id(&mut self, user_id: &[u8]) -> Result<(), Refusal> {
        let length = u32::try_from(user_id.len()).map_err(|_| Refusal::SignatureMalformed)?;
        if self.signature.version != 3 {
            self.hash.update(&[0xb4])?;
            self.hash.update(&length.to_be_bytes())?;
        }
        self.hash.update(user_id)
    }

    /// The end: of the signature itself comes what it says, so that nobody can change that.
    pub fn finish(mut self) -> Result<Hashed<'a>, Refusal> {
        let Signature {
            hashed, version, ..
        } = self.signature;
        let length = u32::try_from(hashed.len()).map_err(|_| Refusal::SignatureMalformed)?;
        self.hash.update(hashed)?;
        // Of version 3 the type is in the place of this 0xff, and is never 0xff: no version's bytes
        // are those of another.
        if version != 3 {
            self.hash.update(&[version, 0xff])?;
            self.hash.update(&length.to_be_bytes())?;
        }
        Ok(Hashed {
            signature: self.signature,
            digest: self.hash.finish()?,
        })
    }
}

/// A signature, and the digest that it must be a signature of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashed<'a> {
    signature: Signature<'a>,
    digest: Digest,
}

impl<'a> Hashed<'a> {
    /// The signature.
    pub fn signature(&self) -> &Signature<'a> {
        &self.signature
    }

    /// The digest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Could it be anybody's over this? The digest's begin is in the signature, so it costs nothing to ask.
    pub fn begins_right(&self) -> bool {
        self.digest.as_bytes().starts_with(&self.signature.begin)
    }

    /// Could it be this key's over this?
    pub fn may_be_by(&self, key: &PublicKey<'_>) -> bool {
        self.signature.key_version() == key.version
            && same_algorithm(self.signature.algorithm, key.algorithm)
            && self.begins_right()
    }

    /// Is it this key's? What it says is the key owner's word then.
    pub fn verify<C: Crypto>(&self, key: &PublicKey<'_>, crypto: &C) -> Result<Verified, Refusal> {
        if !self.may_be_by(key) {
            return Err(Refusal::BadSignature);
        }
        let Signature {
            kind,
            hash,
            says,
            ref value,
            ..
        } = self.signature;
        crypto.verify(&key.material, hash, self.digest.as_bytes(), value)?;
        let facts = match says {
            Says::Made(made) => Facts {
                made,
                ..Facts::default()
            },
            Says::Subpackets(area) => subpackets::read(area)?,
        };
        if facts.made < key.created {
            return Err(Refusal::SignatureTime);
        }
        Ok(Verified { kind, facts })
    }
}

/// RSA has two numbers for keys that sign.
fn same_algorithm(one: u8, other: u8) -> bool {
    let plain = |number| match number {
        algorithm::RSA_SIGN_ONLY => algorithm::RSA,
        _ => number,
    };
    plain(one) == plain(other)
}

/// A signature that a key has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    kind: u8,
    facts: Facts,
}

impl Verified {
    /// Which [`kind`] of signature it is.
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// What its maker says in it.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Does it still count at this time?
    pub fn check(&self, now: u64) -> Result<(), Refusal> {
        match self.facts.expires {
            Some(expires) if expires <= now => Err(Refusal::SignatureExpired),
            _ => Ok(()),
        }
    }
}
