// SPDX-License-Identifier: MIT OR Apache-2.0
//! The crypto of a program: what the rules ask for, by the RustCrypto project's primitives.

use pgp_rules::{Crypto, Curve, Digest, Hash, HashAlgorithm, Material, Refusal, SignatureValue};
use rsa::BigUint;
use sha2::digest::DynDigest;

/// Crypto in this process. Ed448 it has not.
#[derive(Clone, Copy, Debug, Default)]
pub struct RustCrypto;

/// A hash in the making.
pub struct AnyHash(Kind);

enum Kind {
    /// Finds out those that were made to collide.
    Sha1(Box<sha1_checked::Sha1>),
    Other(Box<dyn DynDigest>),
}

/// RSA keys are as long as GnuPG takes them.
const RSA_BITS_MAX: usize = 16_384;

/// Longer ones of DSA take too long.
const DSA_BYTES_MAX: usize = 1024;
const DSA_ORDER_BYTES_MAX: usize = 64;

impl Crypto for RustCrypto {
    type Hash = AnyHash;

    fn hash(&self, algorithm: HashAlgorithm) -> Result<AnyHash, Refusal> {
        let other: Box<dyn DynDigest> = match algorithm {
            // The rules take no signature over one.
            HashAlgorithm::Md5 => return Err(Refusal::HashUnsupported),
            HashAlgorithm::Sha1 => return Ok(AnyHash(Kind::Sha1(Box::default()))),
            HashAlgorithm::Ripemd160 => Box::new(ripemd::Ripemd160::default()),
            HashAlgorithm::Sha224 => Box::new(sha2::Sha224::default()),
            HashAlgorithm::Sha256 => Box::new(sha2::Sha256::default()),
            HashAlgorithm::Sha384 => Box::new(sha2::Sha384::default()),
            HashAlgorithm::Sha512 => Box::new(sha2::Sha512::default()),
            HashAlgorithm::Sha3_256 => Box::new(sha3::Sha3_256::default()),
            HashAlgorithm::Sha3_512 => Box::new(sha3::Sha3_512::default()),
        };
        Ok(AnyHash(Kind::Other(other)))
    }

    fn verify(
        &self,
        material: &Material<'_>,
        algorithm: HashAlgorithm,
        digest: &[u8],
        signature: &SignatureValue<'_>,
    ) -> Result<(), Refusal> {
        let good = match (*material, *signature) {
            (Material::Rsa { n, e }, SignatureValue::Rsa { s }) => rsa(n, e, algorithm, digest, s)?,
            (Material::Dsa { p, q, g, y }, SignatureValue::Pair { r, s }) => {
                dsa([p, q, g, y], digest, r, s)?
            }
            (Material::Ecdsa { curve, point }, SignatureValue::Pair { r, s }) => match curve {
                Curve::P256 => p256(point, digest, r, s),
                Curve::P384 => p384(point, digest, r, s),
                Curve::P521 => p521(point, digest, r, s),
            },
            (Material::Ed25519 { point }, SignatureValue::Ed25519 { r, s }) => {
                ed25519(point, digest, r, s)
            }
            (Material::Ed448 { .. } | Material::Other, _) => return Err(Refusal::KeyUnsupported),
            _ => None,
        };
        good.ok_or(Refusal::BadSignature)
    }
}

impl Hash for AnyHash {
    fn update(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        match &mut self.0 {
            Kind::Sha1(hash) => DynDigest::update(hash.as_mut(), bytes),
            Kind::Other(hash) => hash.update(bytes),
        }
        Ok(())
    }

    fn finish(self) -> Result<Digest, Refusal> {
        match self.0 {
            Kind::Sha1(hash) => {
                let result = hash.try_finalize();
                match result.has_collision() {
                    true => Err(Refusal::HashWeak),
                    false => Digest::new(result.hash()),
                }
            }
            Kind::Other(hash) => Digest::new(&hash.finalize()),
        }
    }
}

fn rsa(
    n: &[u8],
    e: &[u8],
    algorithm: HashAlgorithm,
    digest: &[u8],
    s: &[u8],
) -> Result<Option<()>, Refusal> {
    use rsa::Pkcs1v15Sign as Padding;
    let (n_number, e) = (BigUint::from_bytes_be(n), BigUint::from_bytes_be(e));
    let key = rsa::RsaPublicKey::new_with_max_size(n_number, e, RSA_BITS_MAX)
        .map_err(|_| Refusal::KeyUnsupported)?;
    let padding = match algorithm {
        HashAlgorithm::Md5 => return Err(Refusal::HashWeak),
        HashAlgorithm::Sha1 => Padding::new::<sha1_checked::Sha1>(),
        HashAlgorithm::Ripemd160 => Padding::new::<ripemd::Ripemd160>(),
        HashAlgorithm::Sha224 => Padding::new::<sha2::Sha224>(),
        HashAlgorithm::Sha256 => Padding::new::<sha2::Sha256>(),
        HashAlgorithm::Sha384 => Padding::new::<sha2::Sha384>(),
        HashAlgorithm::Sha512 => Padding::new::<sha2::Sha512>(),
        HashAlgorithm::Sha3_256 => Padding::new::<sha3::Sha3_256>(),
        HashAlgorithm::Sha3_512 => Padding::new::<sha3::Sha3_512>(),
    };
    let Some(signature) = padded(s, n.len()) else {
        return Ok(None);
    };
    Ok(key.verify(padding, digest, &signature).ok())
}

fn dsa(numbers: [&[u8]; 4], digest: &[u8], r: &[u8], s: &[u8]) -> Result<Option<()>, Refusal> {
    use dsa::signature::hazmat::PrehashVerifier;
    let [p, q, ..] = numbers;
    if p.len() > DSA_BYTES_MAX || q.len() > DSA_ORDER_BYTES_MAX {
        return Err(Refusal::KeyUnsupported);
    }
    let number = dsa::BigUint::from_bytes_be;
    let [p, q, g, y] = numbers.map(number);
    let key = dsa::Components::from_components(p, q, g)
        .and_then(|components| dsa::VerifyingKey::from_components(components, y))
        .map_err(|_| Refusal::KeyMalformed)?;
    let signature = dsa::Signature::from_components(number(r), number(s));
    Ok(signature
        .and_then(|signature| key.verify_prehash(digest, &signature))
        .ok())
}

/// A function for each curve: their types have nothing in common.
macro_rules! ecdsa {
    ($curve:ident, $length:literal) => {
        fn $curve(point: &[u8], digest: &[u8], r: &[u8], s: &[u8]) -> Option<()> {
            use $curve::ecdsa::signature::hazmat::PrehashVerifier;
            let key = $curve::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?;
            let mut both = padded(r, $length)?;
            both.extend(padded(s, $length)?);
            let signature = $curve::ecdsa::Signature::from_slice(&both).ok()?;
            // Short digests are numbers all the same.
            let digest = padded(digest, $length).unwrap_or_else(|| digest.to_vec());
            key.verify_prehash(&digest, &signature).ok()
        }
    };
}

ecdsa!(p256, 32);
ecdsa!(p384, 48);
ecdsa!(p521, 66);

fn ed25519(point: &[u8; 32], digest: &[u8], r: &[u8], s: &[u8]) -> Option<()> {
    use ed25519_dalek::Verifier;
    let key = ed25519_dalek::VerifyingKey::from_bytes(point).ok()?;
    let halves = (padded(r, 32)?, padded(s, 32)?);
    let r = halves.0.first_chunk()?;
    let s = halves.1.first_chunk()?;
    let signature = ed25519_dalek::Signature::from_components(*r, *s);
    key.verify(digest, &signature).ok()
}

/// The same number in so many bytes; none where it has more.
fn padded(number: &[u8], length: usize) -> Option<Vec<u8>> {
    let zeros = length.checked_sub(number.len())?;
    let mut bytes = vec![0; zeros];
    bytes.extend(number);
    Some(bytes)
}
