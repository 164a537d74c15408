// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signatures over data: which key of several has made one, and whether it may.

use crate::crypto::Crypto;
use crate::key::State;
use crate::public::PublicKey;
use crate::refusal::Refusal;
use crate::signature::{Hashed, Signature, Verified, kind};

/// Reads the packet of a signature over data. Then: [`Signature::hashing`], with all of the data.
///
/// Who makes data may make two of one digest, where the hash allows that: so one with known collisions is [`Refusal::HashWeak`].
pub fn signature(body: &[u8]) -> Result<Signature<'_>, Refusal> {
    let signature = Signature::read(body)?;
    if signature.hash_algorithm().has_collisions() {
        return Err(Refusal::HashWeak);
    }
    match signature.kind() {
        kind::BINARY | kind::TEXT => Ok(signature),
        _ => Err(Refusal::SignatureType),
    }
}

/// Has this key signed the data, and may it, at this time?
pub fn check<C: Crypto>(
    hashed: &Hashed<'_>,
    key: &PublicKey<'_>,
    state: &State,
    crypto: &C,
    now: u64,
) -> Result<Verified, Refusal> {
    let verified = hashed.verify(key, crypto)?;
    state.check(now)?;
    verified.check(now)?;
    Ok(verified)
}

/// The first of these keys that has signed the data. Each comes as its packet's body, what is said about it, and whatever its host
/// knows it by. Where none has so that it counts, [`Refusal::BadSignature`], or why the one that has does not count.
pub fn check_any<'k, C: Crypto, T>(
    hashed: &Hashed<'_>,
    keys: impl Iterator<Item = (&'k [u8], State, T)>,
    crypto: &C,
    now: u64,
) -> Result<(T, Verified), Refusal> {
    let mut why = Refusal::BadSignature;
    if !hashed.begins_right() {
        return Err(why);
    }
    for (body, state, name) in keys {
        let key = PublicKey::read(body, crypto)?;
        match check(hashed, &key, &state, crypto, now) {
            Ok(verified) => return Ok((name, verified)),
            Err(refusal) if refusal.is_final() => return Err(refusal),
            Err(Refusal::BadSignature) => {}
            // Somebody may have taken another's key for an expired one of his own. The other's comes yet.
            Err(refusal) if matches!(why, Refusal::BadSignature | Refusal::KeyUnsupported) => {
                why = refusal;
            }
            Err(_) => {}
        }
    }
    Err(why)
}
