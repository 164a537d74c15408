// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the rules need of the host: hashes, and signatures over hashes.

use crate::refusal::Refusal;

/// Bytes of the longest digest.
pub const DIGEST_MAX: usize = 64;

/// The host's cryptography.
pub trait Crypto {
    /// A hash in the making.
    type Hash: Hash;

    /// Begins a hash; [`Refusal::HashUnsupported`] where the host does not have it.
    fn hash(&self, algorithm: HashAlgorithm) -> Result<Self::Hash, Refusal>;

    /// Does this key say that it has signed a digest of this kind? Refused with [`Refusal::BadSignature`] where it does not, and with
    /// [`Refusal::KeyUnsupported`] where the host does not take such keys.
    fn verify(
        &self,
        material: &Material<'_>,
        algorithm: HashAlgorithm,
        digest: &[u8],
        signature: &SignatureValue<'_>,
    ) -> Result<(), Refusal>;
}

/// A hash in the making.
pub trait Hash {
    /// More of what is hashed.
    fn update(&mut self, bytes: &[u8]) -> Result<(), Refusal>;

    /// The end.
    fn finish(self) -> Result<Digest, Refusal>;
}

/// What a hash comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    bytes: [u8; DIGEST_MAX],
    length: u8,
}

impl Digest {
    /// A digest of these bytes, of which there are at most [`DIGEST_MAX`].
    pub fn new(digest: &[u8]) -> Result<Self, Refusal> {
        let mut bytes = [0; DIGEST_MAX];
        let room = bytes
            .get_mut(..digest.len())
            .ok_or(Refusal::HashUnsupported)?;
        room.copy_from_slice(digest);
        Ok(Self {
            bytes,
            length: digest.len() as u8,
        })
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length.into()).unwrap_or(&[])
    }
}

/// The hashes that signatures name, by their numbers in OpenPGP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "names say it all")]
pub enum HashAlgorithm {
    Md5 = 1,
    Sha1 = 2,
    Ripemd160 = 3,
    Sha256 = 8,
    Sha384 = 9,
    Sha512 = 10,
    Sha224 = 11,
    Sha3_256 = 12,
    Sha3_512 = 14,
}

impl HashAlgorithm {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Md5,
        Self::Sha1,
        Self::Ripemd160,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
        Self::Sha224,
        Self::Sha3_256,
        Self::Sha3_512,
    ];

    /// The hash with this number; [`Refusal::HashUnsupported`] where there is none.
    pub fn from_number(number: u8) -> Result<Self, Refusal> {
        Self::ALL
            .into_iter()
            .find(|algorithm| *algorithm as u8 == number)
            .ok_or(Refusal::HashUnsupported)
    }

    /// Has anybody shown two things of one digest?
    pub const fn has_collisions(self) -> bool {
        matches!(self, Self::Md5 | Self::Sha1)
    }

    /// Bytes of its digest.
    pub const fn length(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 | Self::Ripemd160 => 20,
            Self::Sha224 => 28,
            Self::Sha256 | Self::Sha3_256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 | Self::Sha3_512 => 64,
        }
    }

    /// Its name, as the kernel and most others write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Ripemd160 => "rmd160",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
            Self::Sha224 => "sha224",
            Self::Sha3_256 => "sha3-256",
            Self::Sha3_512 => "sha3-512",
        }
    }

    /// Bytes of the salt in front of what a v6 signature hashes; none where v6 does not allow the hash.
    pub const fn salt_length(self) -> Option<usize> {
        match self {
            Self::Md5 | Self::Sha1 | Self::Ripemd160 => None,
            Self::Sha224 | Self::Sha256 | Self::Sha3_256 => Some(16),
            Self::Sha384 => Some(24),
            Self::Sha512 | Self::Sha3_512 => Some(32),
        }
    }
}

/// A curve that signatures by ECDSA are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "names say it all")]
pub enum Curve {
    P256,
    P384,
    P521,
}

/// The numbers of a public key, as they are in its packet: big-endian, without leading zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Material<'a> {
    /// RSA.
    Rsa {
        /// The modulus.
        n: &'a [u8],
        /// The exponent.
        e: &'a [u8],
    },
    /// DSA.
    Dsa {
        /// The prime.
        p: &'a [u8],
        /// The group's order.
        q: &'a [u8],
        /// The generator.
        g: &'a [u8],
        /// The public value.
        y: &'a [u8],
    },
    /// ECDSA.
    Ecdsa {
        /// The curve.
        curve: Curve,
        /// The point: 4, then two coordinates of the curve's length.
        point: &'a [u8],
    },
    /// Ed25519, by its number of its own (27) or as EdDSA with a curve's name (22).
    Ed25519 {
        /// The point.
        point: &'a [u8; 32],
    },
    /// Ed448.
    Ed448 {
        /// The point.
        point: &'a [u8; 57],
    },
    /// Any other that the rules do not read.
    Other,
}

/// The numbers of a signature, as they are in its packet: big-endian, without leading zeros; those of Ed25519 and Ed448 are
/// strings of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureValue<'a> {
    /// RSA.
    Rsa {
        /// The signature.
        s: &'a [u8],
    },
    /// DSA and ECDSA.
    Pair {
        /// The first number.
        r: &'a [u8],
        /// The second.
        s: &'a [u8],
    },
    /// Ed25519. Each half has 32 bytes, at whose front zeros may be missing.
    Ed25519 {
        /// The first half.
        r: &'a [u8],
        /// The second.
        s: &'a [u8],
    },
    /// Ed448.
    Ed448 {
        /// All of it.
        signature: &'a [u8; 114],
    },
}
