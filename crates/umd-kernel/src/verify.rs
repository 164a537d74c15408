// SPDX-License-Identifier: GPL-2.0-only
//! Signatures of public keys, as the kernel verifies them.
//!
//! What a driver verifies with it looks for once, where modules may be loaded: in the module's init. Whoever has a
//! [`Verifier`] can [`verify`] such signatures without a module being loaded.

use core::ffi::CStr;

pub use crate::ffi::verify::{Verifier, verify};

/// What a public key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA. The key is the DER of `SEQUENCE { n, e }`; a signature has PKCS #1's padding, and as many bytes as the
    /// modulus.
    Rsa,
    /// ECDSA on P-256. The key is 4, x, y; a signature the DER of `SEQUENCE { r, s }`.
    EcdsaP256,
    /// The same on P-384.
    EcdsaP384,
}

impl Algorithm {
    /// The kernel's name for it.
    pub const fn name(self) -> &'static CStr {
        match self {
            Self::Rsa => c"rsa",
            Self::EcdsaP256 => c"ecdsa-nist-p256",
            Self::EcdsaP384 => c"ecdsa-nist-p384",
        }
    }

    /// The kernel's name for the form of its signatures.
    pub const fn encoding(self) -> &'static CStr {
        match self {
            Self::Rsa => c"pkcs1",
            Self::EcdsaP256 | Self::EcdsaP384 => c"x962",
        }
    }
}

/// A public key in the form in which the kernel takes those of its algorithm.
#[derive(Clone, Copy)]
pub struct PublicKey<'a> {
    /// What it is for.
    pub algorithm: Algorithm,
    /// The key itself.
    pub bytes: &'a [u8],
}

/// A signature over a digest.
#[derive(Clone, Copy)]
pub struct Signature<'a> {
    /// The kernel's name for the hash.
    pub hash: &'a CStr,
    /// What was signed.
    pub digest: &'a [u8],
    /// The signature, in the form of its algorithm.
    pub value: &'a [u8],
}
