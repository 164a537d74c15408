// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signatures of version 3, RFC 4880, section 5.2.2: packages of today's distributions carry them,
//! and keys of many years. No program of today makes them, so they are put together here.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use pgp::composed::{KeyType, SecretKeyParamsBuilder, SignedSecretKey};
use pgp::crypto::ecc_curve::ECCCurve;
use pgp::crypto::hash::HashAlgorithm;
use pgp::ser::Serialize;
use pgp::types::{KeyDetails, Password, SignatureBytes, SigningKey, Timestamp};
use std::time::{Duration, UNIX_EPOCH};
use umd_pgp::{Error, Issuer, Keyring, Refusal};

const TEXT: &[u8] = b"what was signed\nin two lines\n";

/// When the key was made, and the signatures.
const KEY_MADE: u32 = 1_700_000_000;
const MADE: u32 = KEY_MADE + 100;

fn secret() -> SignedSecretKey {
    SecretKeyParamsBuilder::default()
        .key_type(KeyType::ECDSA(ECCCurve::P256))
        .created_at(Timestamp::from_secs(KEY_MADE))
        .can_certify(true)
        .can_sign(true)
        .primary_user_id("by version 3".into())
        .build()
        .unwrap()
        .generate(rand::thread_rng())
        .unwrap()
}

fn keyring() -> Keyring {
    let mut keys = Keyring::new().unwrap();
    // rPGP dates the self-signature by the system's clock.
    keys.set_time(UNIX_EPOCH + Duration::from_secs(u64::from(u32::MAX)));
    keys
}

/// A packet with a head of the old format.
fn packet(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u16).to_be_bytes();
    [&[0x81 | tag << 2][..], &length, body].concat()
}

/// A signature of a kind over these bytes, made at a time.
fn signed_at(secret: &SignedSecretKey, kind: u8, over: &[u8], made: u32) -> Vec<u8> {
    let hashed = [&[kind][..], &made.to_be_bytes()].concat();
    let hash = HashAlgorithm::Sha256;
    let digest = hash.digest(&[over, &hashed].concat()).unwrap();
    let numbers = { &secret.primary_key }.sign(&Password::empty(), hash, &digest);
    let mut body = vec![3, 5];
    body.extend(hashed);
    body.extend(secret.legacy_key_id().as_ref());
    body.extend([19, 8]);
    body.extend(&digest[..2]);
    let SignatureBytes::Mpis(numbers) = numbers.unwrap() else {
        panic!("no numbers");
    };
    for number in numbers {
        number.to_writer(&mut body).unwrap();
    }
    packet(2, &body)
}

fn signed(secret: &SignedSecretKey, kind: u8, over: &[u8]) -> Vec<u8> {
    signed_at(secret, kind, over, MADE)
}

/// The key's packet, and what signatures about it are over.
fn primary(secret: &SignedSecretKey) -> (Vec<u8>, Vec<u8>) {
    let body = secret.primary_key.public_key().to_bytes().unwrap();
    let length = (body.len() as u16).to_be_bytes();
    (packet(6, &body), [&[0x99][..], &length, &body].concat())
}

#[test]
fn data() {
    let secret = secret();
    let mut keys = keyring();
    keys.add(&secret.to_public_key().to_bytes().unwrap())
        .unwrap();
    let binary = signed(&secret, 0x00, TEXT);
    let verified = keys.verify(&binary, TEXT).unwrap();
    assert_eq!((verified.made(), verified.is_over_text()), (MADE, false));
    let canonical = String::from_utf8(TEXT.to_vec())
        .unwrap()
        .replace('\n', "\r\n");
    let text = signed(&secret, 0x01, canonical.as_bytes());
    assert!(keys.verify(&text, TEXT).unwrap().is_over_text());
    // Each byte counts: the type, the time, the numbers. The key id says only who is asked first.
    for at in 3..binary.len() {
        let mut other = binary.clone();
        other[at] ^= 1;
        let is_key_id = (10..18).contains(&at);
        // The counts of bits are not signed either: what they count is.
        let is_good = keys.verify(&other, TEXT).is_ok();
        assert!(is_key_id || !is_good || is_count(&binary, at), "byte {at}");
        assert!(!is_key_id || is_good, "byte {at}");
    }
    assert!(keys.verify(&binary, b"other").is_err());
    // Older than its key; over a hash that has collisions; of a type that is over something else.
    let old = signed_at(&secret, 0x00, TEXT, KEY_MADE - 1);
    let refused = |refusal| Err(Error::Refused(refusal));
    assert_eq!(keys.verify(&old, TEXT), refused(Refusal::SignatureTime));
    let mut weak = binary.clone();
    weak[19] = 2;
    assert_eq!(keys.verify(&weak, TEXT), refused(Refusal::HashWeak));
    let direct = signed(&secret, 0x1f, TEXT);
    assert_eq!(keys.verify(&direct, TEXT), refused(Refusal::SignatureType));
    // The key that it names was not given.
    let mut others = keyring();
    others
        .add(&self::secret().to_public_key().to_bytes().unwrap())
        .unwrap();
    let Err(Error::NotGiven(Issuer::KeyId(id))) = others.verify(&binary, TEXT) else {
        panic!("another's key");
    };
    assert_eq!(id, secret.legacy_key_id().as_ref());
}

/// Is the byte one of a number's count of bits?
fn is_count(signature: &[u8], at: usize) -> bool {
    let first = 3 + 19;
    let bits = u16::from_be_bytes([signature[first], signature[first + 1]]);
    let second = first + 2 + usize::from(bits.div_ceil(8));
    [first, first + 1, second, second + 1].contains(&at)
}

#[test]
fn what_an_owner_says_of_a_key() {
    let secret = secret();
    let (key, over) = primary(&secret);
    let user_id = b"by version 3";
    // Of version 3 the user id is hashed without its length.
    let certified = signed(&secret, 0x13, &[&over[..], user_id].concat());
    let whole = [&key[..], &packet(13, user_id), &certified].concat();
    let mut keys = keyring();
    let added = keys.add(&whole).unwrap();
    assert_eq!(added.name(), "by version 3");
    assert!(added.primary.state.signs);
    keys.verify(&signed(&secret, 0x00, TEXT), TEXT).unwrap();
    let other = [&key[..], &packet(13, b"another"), &certified].concat();
    let refused = Err(Error::Refused(Refusal::NoSelfSignature));
    assert_eq!(keyring().add(&other).map(|_| ()), refused);
    // A revocation, at its place and at the end.
    let revoked = signed(&secret, 0x20, &over);
    for whole in [
        [&key[..], &revoked, &packet(13, user_id), &certified].concat(),
        [&whole[..], &revoked].concat(),
    ] {
        let mut keys = keyring();
        assert!(keys.add(&whole).unwrap().primary.state.revoked);
        let refused = Err(Error::Refused(Refusal::KeyRevoked));
        assert_eq!(keys.verify(&signed(&secret, 0x00, TEXT), TEXT), refused);
    }
    // GnuPG says the same of it.
    let gpg = umd_pgp_testkit::Gpg::default();
    let whole = [&key[..], &revoked, &packet(13, user_id), &certified].concat();
    for (key, state) in [
        (&whole, "pub:r"),
        (
            &[&key[..], &packet(13, user_id), &certified].concat(),
            "pub:-",
        ),
    ] {
        let listing = gpg.run(
            &["--with-colons", "--import-options", "show-only", "--import"],
            key,
        );
        let listing = String::from_utf8(listing).unwrap();
        assert!(
            listing.lines().any(|line| line.starts_with(state)),
            "{listing}"
        );
    }
}
