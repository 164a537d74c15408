// SPDX-License-Identifier: MIT OR Apache-2.0
//! The body of a public key's packet.

use crate::bytes::Bytes;
use crate::crypto::{Crypto, Curve, Hash, HashAlgorithm, Material};
use crate::refusal::Refusal;
use pgp_proto::Fingerprint;

/// Algorithms by their numbers.
pub(crate) mod algorithm {
    pub(crate) const RSA: u8 = 1;
    pub(crate) const RSA_SIGN_ONLY: u8 = 3;
    pub(crate) const DSA: u8 = 17;
    pub(crate) const ECDSA: u8 = 19;
    pub(crate) const EDDSA: u8 = 22;
    pub(crate) const ED25519: u8 = 27;
    pub(crate) const ED448: u8 = 28;
}

/// The fingerprint of a key's packet by its body, whether or not all of it can be read; none of a
/// version that is not known.
pub fn fingerprint_of<C: Crypto>(body: &[u8], crypto: &C) -> Option<Fingerprint> {
    let is_v6 = match body.first()? {
        4 => false,
        6 => true,
        _ => return None,
    };
    fingerprint(body, is_v6, crypto).ok()
}

/// When a key says that it was made. Nobody has vouched for that.
pub(crate) fn created(body: &[u8]) -> Option<u32> {
    Bytes::new(body.get(1..)?).u32()
}

/// Can keys of this algorithm sign at all?
pub(crate) fn can_sign(number: u8) -> bool {
    use algorithm::*;
    matches!(
        number,
        RSA | RSA_SIGN_ONLY | DSA | ECDSA | EDDSA | ED25519 | ED448
    )
}

const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P384: &[u8] = &[0x2b, 0x81, 4, 0, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 4, 0, 0x23];
const ED25519: &[u8] = &[0x2b, 6, 1, 4, 1, 0xda, 0x47, 0xf, 1];

/// A public key as it is in its packet; nobody has vouched for it yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey<'a> {
    /// The packet's body: what fingerprints and signatures are over.
    pub body: &'a [u8],
    /// 4 or 6.
    pub version: u8,
    /// When it was made, in seconds since 1970.
    pub created: u32,
    /// Its algorithm's number.
    pub algorithm: u8,
    /// Its numbers.
    pub material: Material<'a>,
    /// Recomputed from its packet.
    pub fingerprint: Fingerprint,
}

impl<'a> PublicKey<'a> {
    /// Reads the body of its packet, all of it.
    pub fn read<C: Crypto>(body: &'a [u8], crypto: &C) -> Result<Self, Refusal> {
        let mut bytes = Bytes::new(body);
        let version = bytes.u8().ok_or(Refusal::KeyMalformed)?;
        let is_v6 = match version {
            4 => false,
            6 => true,
            _ => return Err(Refusal::KeyVersion),
        };
        let created = bytes.u32().ok_or(Refusal::KeyMalformed)?;
        let algorithm = bytes.u8().ok_or(Refusal::KeyMalformed)?;
        let numbers = if is_v6 {
            let count = bytes.u32().ok_or(Refusal::KeyMalformed)?;
            bytes.take(count as usize).ok_or(Refusal::KeyMalformed)?
        } else {
            bytes.rest()
        };
        if is_v6 && !bytes.is_empty() {
            return Err(Refusal::KeyMalformed);
        }
        Ok(Self {
            body,
            version,
            created,
            algorithm,
            material: material(algorithm, is_v6, numbers)?,
            fingerprint: fingerprint(body, is_v6, crypto)?,
        })
    }

    /// Feeds a hash with the key, as signatures over it and its fingerprint do.
    pub(crate) fn hash_into<H: Hash>(&self, hash: &mut H) -> Result<(), Refusal> {
        feed(self.body, self.version == 6, hash)
    }
}

/// The numbers, which fill what there is of them.
fn material(algorithm: u8, is_v6: bool, numbers: &[u8]) -> Result<Material<'_>, Refusal> {
    let mut bytes = Bytes::new(numbers);
    let material = match algorithm {
        algorithm::RSA | algorithm::RSA_SIGN_ONLY => Material::Rsa {
            n: bytes.number()?,
            e: bytes.number()?,
        },
        algorithm::DSA => Material::Dsa {
            p: bytes.number()?,
            q: bytes.number()?,
            g: bytes.number()?,
            y: bytes.number()?,
        },
        algorithm::ECDSA => {
            let (curve, length) = match oid(&mut bytes)? {
                P256 => (Curve::P256, 65),
                P384 => (Curve::P384, 97),
                P521 => (Curve::P521, 133),
                _ => return Ok(Material::Other),
            };
            let point = bytes.number()?;
            if point.len() != length || point.first() != Some(&4) {
                return Err(Refusal::KeyMalformed);
            }
            Material::Ecdsa { curve, point }
        }
        // The old way to write it is not for new keys.
        algorithm::EDDSA if !is_v6 => {
            if oid(&mut bytes)? != ED25519 {
                return Ok(Material::Other);
            }
            let point = bytes.number()?.strip_prefix(&[0x40]);
            let point = point.and_then(|point| point.try_into().ok());
            Material::Ed25519 {
                point: point.ok_or(Refusal::KeyMalformed)?,
            }
        }
        algorithm::ED25519 => Material::Ed25519 {
            point: bytes.array().ok_or(Refusal::KeyMalformed)?,
        },
        algorithm::ED448 => Material::Ed448 {
            point: bytes.array().ok_or(Refusal::KeyMalformed)?,
        },
        _ => return Ok(Material::Other),
    };
    if !bytes.is_empty() {
        return Err(Refusal::KeyMalformed);
    }
    Ok(material)
}

fn oid<'a>(bytes: &mut Bytes<'a>) -> Result<&'a [u8], Refusal> {
    let length = bytes.u8().ok_or(Refusal::KeyMalformed)?;
    bytes.take(length.into()).ok_or(Refusal::KeyMalformed)
}

fn fingerprint<C: Crypto>(body: &[u8], is_v6: bool, crypto: &C) -> Result<Fingerprint, Refusal> {
    let algorithm = match is_v6 {
        true => HashAlgorithm::Sha256,
        false => HashAlgorithm::Sha1,
    };
    let mut hash = crypto.hash(algorithm)?;
    feed(body, is_v6, &mut hash)?;
    let digest = hash.finish()?;
    let fingerprint = match is_v6 {
        true => digest.as_bytes().try_into().map(Fingerprint::V6),
        false => digest.as_bytes().try_into().map(Fingerprint::V4),
    };
    fingerprint.map_err(|_| Refusal::HashFailed)
}

fn feed<H: Hash>(body: &[u8], is_v6: bool, hash: &mut H) -> Result<(), Refusal> {
    if is_v6 {
        let length = u32::try_from(body.len()).map_err(|_| Refusal::KeyMalformed)?;
        hash.update(&[0x9b])?;
        hash.update(&length.to_be_bytes())?;
    } else {
        let length = u16::try_from(body.len()).map_err(|_| Refusal::KeyMalformed)?;
        hash.update(&[0x99])?;
        hash.update(&length.to_be_bytes())?;
    }
    hash.update(body)
}
