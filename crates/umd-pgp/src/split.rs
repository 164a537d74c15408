// SPDX-License-Identifier: MIT OR Apache-2.0
//! A signature in parts, for those who have a key and verify numbers: `keyctl pkey_verify`.

use crate::claims::{Claim, Claims, read_all};
use crate::error::Error;
use crate::keyring::{Keyring, Signed};
use pgp_proto::{Block, Detached, Request};
use pgp_rules::{Refusal, SignatureValue, der};
use std::io::Read;

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
    /// Which of the signatures that were given it is, from 0.
    pub number: usize,
    /// How many were given.
    pub signatures: usize,
}

impl Keyring {
    /// Takes a detached signature over data apart. Nothing is verified. Of several it is the first that can be taken apart:
    /// [`Split::number`] says which. The keys in the keyring have no part in it.
    ///
    /// # Errors
    ///
    /// It is no signature over data, or neither of RSA nor of ECDSA, or the data cannot be read.
    pub fn split(&self, signature: &[u8], data: impl Read) -> Result<Split, Error> {
        self.split_if(signature, data, |_| Ok(()))
            .map(|(split, ())| split)
    }

    /// Verifies a detached signature, and takes it apart. Of several it is the first that counts and can be taken apart.
    ///
    /// # Errors
    ///
    /// As [`verify_reader`](Self::verify_reader) and [`split`](Self::split).
    pub fn split_verified(
        &self,
        signature: &[u8],
        data: impl Read,
    ) -> Result<(Split, Signed<'_>), Error> {
        self.split_if(signature, data, |claim| self.by_any(claim))
    }

    fn split_if<T>(
        &self,
        signature: &[u8],
        data: impl Read,
        judge: impl Fn(&Claim<'_>) -> Result<T, Error>,
    ) -> Result<(Split, T), Error> {
        let binary = self.reader.packets(signature, Block::Signature)?;
        let reply = self.ask_of_signatures(Request::Signature, &binary)?;
        let detached = Detached::decode(&reply, binary.len()).map_err(|_| Refusal::Reply)?;
        let claims = Claims::new(detached.signatures, &binary, |feed| read_all(data, feed))?;
        claims.first(|claim| {
            let judged = judge(claim)?;
            Ok((parts(claim, claims.len())?, judged))
        })
    }
}

fn parts(claim: &Claim<'_>, signatures: usize) -> Result<Split, Error> {
    let signature = claim.hashed.signature();
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
        digest: claim.hashed.digest().as_bytes().to_vec(),
        hash: signature.hash_algorithm().name(),
        raw,
        encoding,
        number: claim.number,
        signatures,
    })
}
