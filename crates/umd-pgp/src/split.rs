// SPDX-License-Identifier: MIT OR Apache-2.0
//! A signature in parts, for those who have a key and verify numbers: `keyctl pkey_verify`.

use crate::crypto::RustCrypto;
use crate::error::Error;
use crate::keyring::{Keyring, place_of};
use pgp_proto::{Block, Detached, Request};
use pgp_rules::{Refusal, SignatureValue, data, der};

/// What RSA keys are multiples of, in bytes: signatures are as long as their key.
const RSA_STEP: usize = 64;

/// A signature in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// What was signed: the hash of the data and of what the signature says itself.
    pub digest: Vec<u8>,
    /// The hash's name, as the kernel has it.
    pub hash: &'static str,
    /// The signature's numbers.
    pub raw: Vec<u8>,
    /// How they are written, as the kernel calls it: `pkcs1` (RSA) or `x962` (ECDSA, DER).
    pub encoding: &'static str,
}

impl Keyring {
    /// Takes a detached signature over data apart, the first of several. It is not verified.
    ///
    /// # Errors
    ///
    /// It is no signature over data, or neither of RSA nor of ECDSA.
    pub fn split(&self, signature: &[u8], data: &[u8]) -> Result<Split, Error> {
        let binary = self.reader.binary(signature, Block::Signature)?;
        let reply = self.reader.ask(Request::Signature, &binary)?;
        let detached = Detached::decode(&reply, binary.len()).map_err(|_| Refusal::Reply)?;
        let claim = { detached.signatures }.next().ok_or(Refusal::Reply)?;
        let signature = data::signature(place_of(claim.object.body, &binary)?)?;
        let mut hashing = signature.hashing(&RustCrypto)?;
        hashing.update(data)?;
        let (raw, encoding) = match *signature.value() {
            SignatureValue::Rsa { s } => {
                let mut raw = vec![0; s.len().next_multiple_of(RSA_STEP) - s.len()];
                raw.extend(s);
                (raw, "pkcs1")
            }
            SignatureValue::Pair { r, s } => {
                let mut room = [0; der::PAIR_MAX];
                (der::pair(r, s, &mut room)?.to_vec(), "x962")
            }
            _ => return Err(Refusal::SignatureUnsupported.into()),
        };
        Ok(Split {
            digest: hashing.finish()?.digest().as_bytes().to_vec(),
            hash: signature.hash_algorithm().name(),
            raw,
            encoding,
        })
    }
}
