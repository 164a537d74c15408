// SPDX-License-Identifier: GPL-2.0-only
//! The kernel's cryptography, as the rules want it.
//!
//! All that is ever used is found when the module is loaded, and kept: keys are added with the parsers' lock held, where
//! nothing may be loaded.

use core::ffi::CStr;
use pgp_rules::crypto::Digest;
use pgp_rules::{Crypto, Curve, Hash, HashAlgorithm, Material, Refusal, SignatureValue, der};
use umd_kernel::ffi::memory::Buffer;
use umd_kernel::verify::{Algorithm, PublicKey, Signature, Verifier};
use umd_kernel::{Errno, hash, verify};

/// The hashes that are looked for, by the kernel's names for them.
const HASHES: [(HashAlgorithm, &CStr); 7] = [
    (HashAlgorithm::Sha1, c"sha1"),
    (HashAlgorithm::Sha224, c"sha224"),
    (HashAlgorithm::Sha256, c"sha256"),
    (HashAlgorithm::Sha384, c"sha384"),
    (HashAlgorithm::Sha512, c"sha512"),
    (HashAlgorithm::Sha3_256, c"sha3-256"),
    (HashAlgorithm::Sha3_512, c"sha3-512"),
];

/// Bytes of the moduli that the kernel takes: 1024, 1536, 2048, 3072, 4096 bits.
const MODULI: [usize; 5] = [128, 192, 256, 384, 512];

/// Bytes of the longest exponent. The kernel takes longer ones, with which a verification costs as much as a signature.
const EXPONENT_MAX: usize = 4;

/// Bytes of the longest signature in the kernel's form.
const VALUE_MAX: usize = 512;

/// What of the kernel's there is.
pub(crate) struct Tools {
    hashes: [Option<Found>; HASHES.len()],
    p256: Option<Verifier>,
    p384: Option<Verifier>,
}

/// A hash, and whether signatures over it are verified.
struct Found {
    hash: hash::Algorithm,
    rsa: Option<Verifier>,
}

fn optional<T>(found: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

impl Tools {
    /// Context: the module's init.
    pub(crate) fn find() -> Result<Self, Errno> {
        let mut hashes = [const { None }; HASHES.len()];
        for (place, (_, name)) in hashes.iter_mut().zip(HASHES) {
            if let Some(hash) = optional(hash::Algorithm::find(name))? {
                let rsa = optional(Verifier::find(Algorithm::Rsa, name))?;
                *place = Some(Found { hash, rsa });
            }
        }
        Ok(Self {
            hashes,
            p256: optional(Verifier::find(Algorithm::EcdsaP256, c"sha256"))?,
            p384: optional(Verifier::find(Algorithm::EcdsaP384, c"sha256"))?,
        })
    }

    fn hash_of(&self, algorithm: HashAlgorithm) -> Result<(&Found, &'static CStr), Refusal> {
        let (found, (_, name)) = self
            .hashes
            .iter()
            .zip(HASHES)
            .find(|(_, (known, _))| *known == algorithm)
            .ok_or(Refusal::HashUnsupported)?;
        let found = found.as_ref().ok_or(Refusal::HashUnsupported)?;
        Ok((found, name))
    }

    /// The kernel's form of a key that it can verify signatures of.
    pub(crate) fn form(&self, material: &Material<'_>) -> Result<Form, Refusal> {
        let is_there = match Algorithm::of(material)? {
            Algorithm::Rsa => true,
            Algorithm::EcdsaP256 => self.p256.is_some(),
            Algorithm::EcdsaP384 => self.p384.is_some(),
        };
        match is_there {
            true => Form::new(material),
            false => Err(Refusal::KeyUnsupported),
        }
    }

    /// Is this a signature of the key's, in the kernel's form?
    pub(crate) fn verify_raw(
        &self,
        form: &Form,
        algorithm: HashAlgorithm,
        digest: &[u8],
        value: &[u8],
    ) -> Result<(), Refusal> {
        let (found, hash) = self.hash_of(algorithm)?;
        // The kernel has one list for all algorithms, and says of others what it says of a wrong signature.
        if found.rsa.is_none() {
            return Err(Refusal::HashUnsupported);
        }
        let signature = Signature {
            hash,
            digest,
            value,
        };
        match verify::verify(&form.public(), &signature) {
            Ok(()) => Ok(()),
            Err(Errno::EINVAL | Errno::EBADMSG | EKEYREJECTED) => Err(Refusal::BadSignature),
            Err(Errno::ENOENT | ENOPKG) => Err(Refusal::KeyUnsupported),
            Err(_) => Err(Refusal::NoMemory),
        }
    }
}

const ENOPKG: Errno = Errno::new(65);
const EKEYREJECTED: Errno = Errno::new(129);

/// The hash with this name, as the kernel has it.
pub(crate) fn hash_named(name: &CStr) -> Option<HashAlgorithm> {
    let known = HASHES.iter().find(|(_, known)| *known == name);
    known.map(|(algorithm, _)| *algorithm)
}

/// Odd, neither one nor long.
fn is_exponent(e: &[u8]) -> bool {
    e.len() <= EXPONENT_MAX && e != [1] && e.last().is_some_and(|last| last & 1 == 1)
}

/// What a key is for.
trait Known: Sized {
    fn of(material: &Material<'_>) -> Result<Self, Refusal>;
}

impl Known for Algorithm {
    fn of(material: &Material<'_>) -> Result<Self, Refusal> {
        match material {
            Material::Rsa { n, e } if MODULI.contains(&n.len()) && is_exponent(e) => Ok(Self::Rsa),
            Material::Ecdsa {
                curve: Curve::P256, ..
            } => Ok(Self::EcdsaP256),
            Material::Ecdsa {
                curve: Curve::P384, ..
            } => Ok(Self::EcdsaP384),
            _ => Err(Refusal::KeyUnsupported),
        }
    }
}

/// A key in the kernel's form.
pub(crate) struct Form {
    algorithm: Algorithm,
    /// Room for any; much for a stack.
    bytes: Buffer,
    len: usize,
    /// Bytes of a modulus, or of a coordinate.
    size: usize,
}

impl Form {
    /// A modulus and an exponent, with what DER has in front.
    const MAX: usize = 512 + EXPONENT_MAX + 16;

    fn new(material: &Material<'_>) -> Result<Self, Refusal> {
        let mut form = Self {
            algorithm: Algorithm::of(material)?,
            bytes: Buffer::try_new(Self::MAX).map_err(|_| Refusal::NoMemory)?,
            len: 0,
            size: 0,
        };
        match *material {
            Material::Rsa { n, e } => {
                form.len = der::pair(n, e, &mut form.bytes)?.len();
                form.size = n.len();
            }
            Material::Ecdsa { point, .. } => {
                let room = form.bytes.get_mut(..point.len()).ok_or(Refusal::Room)?;
                room.copy_from_slice(point);
                form.len = point.len();
                form.size = point.len() / 2;
            }
            _ => return Err(Refusal::KeyUnsupported),
        }
        Ok(form)
    }

    pub(crate) fn public(&self) -> PublicKey<'_> {
        PublicKey {
            algorithm: self.algorithm,
            bytes: self.bytes.get(..self.len).unwrap_or_default(),
        }
    }

    /// Bits of the modulus, or of a coordinate.
    pub(crate) fn bits(&self) -> u32 {
        // At most 512 bytes.
        (self.size as u32).saturating_mul(8)
    }

    /// Most bytes of a signature in the kernel's form. Each of ECDSA's two numbers has two bytes in front, and a zero
    /// that keeps it from being negative.
    pub(crate) fn value_max(&self) -> u16 {
        let size = self.size as u16;
        match self.algorithm {
            Algorithm::Rsa => size,
            _ => size.saturating_add(3).saturating_mul(2).saturating_add(2),
        }
    }

    /// A signature in the kernel's form; none where it cannot be this key's.
    fn value<'r>(&self, value: &SignatureValue<'_>, room: &'r mut [u8]) -> Option<&'r [u8]> {
        match (self.algorithm, *value) {
            // As many bytes as the modulus has.
            (Algorithm::Rsa, SignatureValue::Rsa { s }) => {
                let room = room.get_mut(..self.size)?;
                let zeros = room.len().checked_sub(s.len())?;
                room.get_mut(zeros..)?.copy_from_slice(s);
                Some(room)
            }
            (Algorithm::EcdsaP256 | Algorithm::EcdsaP384, SignatureValue::Pair { r, s }) => {
                let fits = r.len().max(s.len()) <= self.size;
                fits.then(|| der::pair(r, s, room).ok())?
            }
            _ => None,
        }
    }
}

/// A hash in the making.
pub(crate) struct Running<'t>(hash::Hash<'t>);

impl Hash for Running<'_> {
    fn update(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.0.update(bytes).map_err(|_| Refusal::HashFailed)
    }

    fn finish(self) -> Result<Digest, Refusal> {
        let mut room = [0; hash::DIGEST_MAX];
        let length = self.0.finish(&mut room).map_err(|_| Refusal::HashFailed)?;
        Digest::new(room.get(..length).ok_or(Refusal::HashFailed)?)
    }
}

impl<'t> Crypto for &'t Tools {
    type Hash = Running<'t>;

    fn hash(&self, algorithm: HashAlgorithm) -> Result<Running<'t>, Refusal> {
        let tools: &'t Tools = self;
        let (found, _) = tools.hash_of(algorithm)?;
        found
            .hash
            .begin()
            .map(Running)
            .map_err(|_| Refusal::HashFailed)
    }

    fn verify(
        &self,
        material: &Material<'_>,
        algorithm: HashAlgorithm,
        digest: &[u8],
        signature: &SignatureValue<'_>,
    ) -> Result<(), Refusal> {
        let form = self.form(material)?;
        let mut room = Buffer::try_new(VALUE_MAX).map_err(|_| Refusal::NoMemory)?;
        let value = form.value(signature, &mut room);
        self.verify_raw(
            &form,
            algorithm,
            digest,
            value.ok_or(Refusal::BadSignature)?,
        )
    }
}
