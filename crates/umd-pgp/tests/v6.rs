// SPDX-License-Identifier: MIT OR Apache-2.0
//! Version 6, which Debian's GnuPG does not have: the samples of RFC 9580, appendix A, and keys that rPGP makes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use pgp::composed::{DetachedSignature, KeyType, SecretKeyParamsBuilder, SubkeyParamsBuilder};
use pgp::crypto::ecc_curve::ECCCurve;
use pgp::crypto::hash::HashAlgorithm;
use pgp::ser::Serialize;
use pgp::types::{KeyDetails, KeyVersion, Password};
use umd_pgp::{Error, Keyring, Refusal, RustCrypto};

const CERTIFICATE: &[u8] = include_bytes!("data/v6-certificate.asc");
const CLEARTEXT: &[u8] = include_bytes!("data/v6-cleartext.asc");
const MESSAGE: &[u8] = include_bytes!("data/v6-message.asc");
const TEXT: &[u8] = b"What we need from the grocery store:\n\n- tofu\n- vegetables\n- noodles\n";

#[test]
fn the_samples_of_the_standard() {
    let mut keys = Keyring::new().unwrap();
    let key = keys.add(CERTIFICATE).unwrap();
    assert_eq!(
        key.name(),
        "CB186C4F0609A697E4D52DFA6C722B0C1F1E27C18A56708F6525EC27BAD9ACC9"
    );
    assert_eq!((key.primary.version, key.primary.algorithm), (6, 27));
    assert!(key.primary.state.signs);
    assert_eq!(key.subkeys, []);
    assert_eq!(keys.cleartext(CLEARTEXT).unwrap().data, TEXT);
    let message = keys.message(MESSAGE).unwrap();
    assert_eq!(message.data, TEXT);
    assert_eq!(message.signed.made(), 0x6398_a363);

    let forged = String::from_utf8(CLEARTEXT.to_vec()).unwrap();
    let forged = forged.replace("tofu", "tofi");
    let refused = Err(Error::Refused(Refusal::BadSignature));
    assert_eq!(keys.cleartext(forged.as_bytes()), refused);
}

/// One of rPGP's, with a signing subkey of the same kind: (key, subkey's signature, primary key's).
fn made(version: KeyVersion, kind: KeyType, hash: HashAlgorithm) -> [Vec<u8>; 3] {
    let mut rng = rand::thread_rng();
    let subkey = SubkeyParamsBuilder::default()
        .version(version)
        .key_type(kind.clone())
        .can_sign(true)
        .build()
        .unwrap();
    let secret = SecretKeyParamsBuilder::default()
        .version(version)
        .key_type(kind)
        .can_certify(true)
        .can_sign(true)
        .primary_user_id("made by rPGP".into())
        .subkeys(vec![subkey])
        .build()
        .unwrap()
        .generate(&mut rng)
        .unwrap();
    let none = Password::empty();
    let primary = &secret.primary_key;
    let subkey = &secret.secret_subkeys[0].key;
    let by_subkey = DetachedSignature::sign_binary_data(&mut rng, subkey, &none, hash, TEXT);
    let by_primary = DetachedSignature::sign_text_data(&mut rng, primary, &none, hash, TEXT);
    [
        secret.to_public_key().to_bytes().unwrap(),
        by_subkey.unwrap().to_bytes().unwrap(),
        by_primary.unwrap().to_bytes().unwrap(),
    ]
}

#[test]
fn keys_of_another_maker() {
    for version in [KeyVersion::V4, KeyVersion::V6] {
        for (kind, hash) in [
            (KeyType::Ed25519, HashAlgorithm::Sha512),
            (KeyType::Ed25519, HashAlgorithm::Sha3_512),
            (KeyType::Rsa(2048), HashAlgorithm::Sha256),
            (KeyType::Rsa(2048), HashAlgorithm::Sha3_256),
            (KeyType::ECDSA(ECCCurve::P256), HashAlgorithm::Sha256),
            (KeyType::ECDSA(ECCCurve::P384), HashAlgorithm::Sha384),
            (KeyType::ECDSA(ECCCurve::P521), HashAlgorithm::Sha512),
        ] {
            let what = format!("{version:?} {kind:?} {hash:?}");
            let [key, by_subkey, by_primary] = made(version, kind, hash);
            let mut keys = Keyring::new().unwrap();
            let added = keys
                .add(&key)
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(added.primary.version, u8::from(version), "{what}");
            assert_eq!(added.name(), "made by rPGP");
            assert_eq!((added.subkeys.len(), added.left_out), (1, None), "{what}");
            let signed = keys.verify(&by_subkey, TEXT).unwrap();
            assert_eq!(signed.by, &signed.key.subkeys[0], "{what}");
            let signed = keys.verify(&by_primary, TEXT).unwrap();
            assert_eq!(signed.by, &signed.key.primary, "{what}");
            for signature in [&by_subkey, &by_primary] {
                let refused = Err(Error::Refused(Refusal::BadSignature));
                assert_eq!(keys.verify(signature, b"other"), refused, "{what}");
            }
            // The fingerprint that they know it by.
            use pgp::composed::{Deserializable, SignedPublicKey};
            let theirs = SignedPublicKey::from_bytes(&key[..]).unwrap();
            let ours = &keys.keys()[0].primary.fingerprint;
            assert_eq!(theirs.fingerprint().as_bytes(), ours.as_bytes());
        }
    }
}

#[test]
fn what_a_program_does_not_verify() {
    let [key, ..] = made(KeyVersion::V6, KeyType::Ed448, HashAlgorithm::Sha512);
    let refused = Err(Error::Refused(Refusal::KeyUnsupported));
    assert_eq!(Keyring::new().unwrap().add(&key).map(|_| ()), refused);
    let curve = KeyType::ECDSA(ECCCurve::Secp256k1);
    let [key, ..] = made(KeyVersion::V4, curve, HashAlgorithm::Sha256);
    assert_eq!(Keyring::new().unwrap().add(&key).map(|_| ()), refused);
}

#[test]
fn signatures_are_of_their_keys_version() {
    use pgp_rules::{PublicKey, data, packet};
    let ed25519 = (KeyType::Ed25519, HashAlgorithm::Sha256);
    let [key, _, signature] = made(KeyVersion::V4, ed25519.0, ed25519.1);
    let body = packet::primary(&key).unwrap();
    // The same numbers as a key of version 6, which has their length in front.
    let mut other = vec![6];
    other.extend(&body[1..6]);
    other.extend([0, 0, 0, 32]);
    other.extend(&body[6..]);
    let read = |body| PublicKey::read(body, &RustCrypto).unwrap();
    let (own, other) = (read(body), read(&other));
    assert_eq!(own.material, other.material);
    // A new header with one octet of length.
    let signature = data::signature(&signature[2..]).unwrap();
    let mut hashing = signature.hashing(&RustCrypto).unwrap();
    hashing.update(TEXT).unwrap();
    let hashed = hashing.finish().unwrap();
    assert!(hashed.verify(&own, &RustCrypto).is_ok());
    assert_eq!(
        hashed.verify(&other, &RustCrypto),
        Err(Refusal::BadSignature)
    );
}
