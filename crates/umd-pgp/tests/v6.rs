// SPDX-License-Identifier: MIT OR Apache-2.0
//! Version 6, which Debian's GnuPG does not have: the samples of RFC 9580, appendix A, and keys that rPGP makes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use pgp::composed::{
    DetachedSignature, KeyType, SecretKeyParamsBuilder, SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::crypto::ecc_curve::ECCCurve;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{
    KeyFlags, PacketTrait, Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData,
    UserId,
};
use pgp::ser::Serialize;
use pgp::types::{
    KeyDetails, KeyVersion, PacketHeaderVersion, Password, SigningKey, Tag, Timestamp,
};
use std::time::{Duration, SystemTime};
use umd_pgp::{Error, Keyring, Refusal, RustCrypto, TextFlaw};

const V4_KEY: &[u8] = include_bytes!("data/v4-key.asc");
const V4_SIGNATURE: &[u8] = include_bytes!("data/v4-signature.asc");
const SECRET: &[u8] = include_bytes!("data/v6-secret.asc");
const LOCKED: &[u8] = include_bytes!("data/v6-locked.asc");
const ENCRYPTED: &[u8] = include_bytes!("data/v6-encrypted.asc");
const CERTIFICATE: &[u8] = include_bytes!("data/v6-certificate.asc");
const CLEARTEXT: &[u8] = include_bytes!("data/v6-cleartext.asc");
const MESSAGE: &[u8] = include_bytes!("data/v6-message.asc");
const TEXT: &[u8] = b"What we need from the grocery store:\n\n- tofu\n- vegetables\n- noodles\n";

#[test]
fn the_samples_of_version_4() {
    use pgp_rules::{PublicKey, data, packet};
    // It is a key's packet and no more: nobody vouches for it, so it is no key to anybody.
    let refused = Err(Error::Refused(Refusal::NoSelfSignature));
    assert_eq!(Keyring::new().unwrap().add(V4_KEY).map(|_| ()), refused);
    let key = unpacked(V4_KEY);
    let key = PublicKey::read(packet::primary(&key).unwrap(), &RustCrypto).unwrap();
    let hex = |byte: &u8| format!("{byte:02x}");
    let fingerprint: String = key.fingerprint.as_bytes().iter().map(hex).collect();
    assert_eq!(fingerprint, "c959bdbafa32a2f89a153b678cfde12197965a9a");
    let signature = unpacked(V4_SIGNATURE);
    // An old header with one octet of length.
    let signature = data::signature(&signature[2..]).unwrap();
    let hashed = |text: &[u8]| {
        let mut hashing = signature.hashing(&RustCrypto).unwrap();
        hashing.update(text).unwrap();
        hashing.finish().unwrap()
    };
    let verified = hashed(b"OpenPGP").verify(&key, &RustCrypto).unwrap();
    assert_eq!(verified.facts().made, 0x55f9_5f95);
    let refused = hashed(b"OpenPgp").verify(&key, &RustCrypto);
    assert_eq!(refused.map(|_| ()), Err(Refusal::BadSignature));
}

/// The samples of what is not for us: a secret key, open and locked, and an encrypted message.
#[test]
fn the_samples_of_what_is_secret() {
    for key in [SECRET, LOCKED] {
        let refused = Keyring::new().unwrap().add(key).map(|_| ());
        let flaw = TextFlaw::OtherKind;
        assert!(matches!(refused, Err(Error::Text { flaw: found, .. }) if found == flaw));
        let refused = Err(Error::Refused(Refusal::NotAKey));
        let key = unpacked(key);
        assert_eq!(Keyring::new().unwrap().add(&key).map(|_| ()), refused);
    }
    let refused = Err(Error::Refused(Refusal::Unsupported));
    let keys = Keyring::new().unwrap();
    assert_eq!(keys.message(ENCRYPTED), refused);
    assert_eq!(keys.message(&unpacked(ENCRYPTED)), refused);
}

/// What an armor is around, as rPGP says.
fn unpacked(armored: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut armor = pgp::armor::Dearmor::new(armored);
    std::io::Read::read_to_end(&mut armor, &mut bytes).unwrap();
    bytes
}

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

/// One of rPGP's, with a signing subkey of the same kind, made at a time.
fn secret(version: KeyVersion, kind: KeyType, created: Timestamp) -> SignedSecretKey {
    let mut rng = rand::thread_rng();
    let subkey = SubkeyParamsBuilder::default()
        .version(version)
        .key_type(kind.clone())
        .created_at(created)
        .can_sign(true)
        .build()
        .unwrap();
    SecretKeyParamsBuilder::default()
        .version(version)
        .key_type(kind)
        .created_at(created)
        .can_certify(true)
        .can_sign(true)
        .primary_user_id("made by rPGP".into())
        .subkeys(vec![subkey])
        .build()
        .unwrap()
        .generate(&mut rng)
        .unwrap()
}

/// Returns a keyring whose clock is an hour ahead. rPGP dates signatures by the system clock, which
/// may be set back while a test runs.
fn keyring() -> Keyring {
    let mut keys = Keyring::new().unwrap();
    keys.set_time(SystemTime::now() + Duration::from_secs(3_600));
    keys
}

/// One of rPGP's: (key, subkey's signature, primary key's). The key is an hour old.
fn made(version: KeyVersion, kind: KeyType, hash: HashAlgorithm) -> [Vec<u8>; 3] {
    let mut rng = rand::thread_rng();
    let made = Timestamp::from_secs(Timestamp::now().as_secs() - 3_600);
    let secret = secret(version, kind, made);
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
            let mut keys = keyring();
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

/// When the files are made: before the clock of the machines begins, with the year 2026.
const MADE: u32 = 1_735_689_600;

/// What a key of them is over, and they are called by.
const FILES: [(&str, KeyType); 2] = [
    ("rsa2048", KeyType::Rsa(2048)),
    ("p256", KeyType::ECDSA(ECCCurve::P256)),
];

/// A signature in the making, with a time.
fn config(by: &impl SigningKey, kind: SignatureType, more: &[SubpacketData]) -> SignatureConfig {
    let mut config = SignatureConfig::from_key(rand::thread_rng(), by, kind).unwrap();
    let made = SubpacketData::SignatureCreationTime(Timestamp::from_secs(MADE));
    let issuer = SubpacketData::IssuerFingerprint(by.fingerprint());
    config.hashed_subpackets = [made, issuer]
        .into_iter()
        .chain(more.iter().cloned())
        .map(|data| Subpacket::regular(data).unwrap())
        .collect();
    config
}

fn packet(packet: &impl PacketTrait) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.to_writer_with_header(&mut bytes).unwrap();
    bytes
}

#[test]
#[ignore = "makes the files that other tests, and the suite, read: tests/data/v6-*"]
fn make_the_files() {
    for (name, kind) in FILES {
        let secret = secret(KeyVersion::V6, kind, Timestamp::from_secs(MADE));
        let (primary, subkey) = (&secret.primary_key, &secret.secret_subkeys[0].key);
        let none = Password::empty();
        let mut flags = KeyFlags::default();
        flags.set_certify(true);
        flags.set_sign(true);
        let direct = config(
            primary,
            SignatureType::Key,
            &[SubpacketData::KeyFlags(flags)],
        );
        let direct = direct.sign_key(primary, &none, primary.public_key());
        let user_id = UserId::from_str(PacketHeaderVersion::New, "made by rPGP").unwrap();
        let certification = config(primary, SignatureType::CertPositive, &[]);
        let certification = certification.sign_certification(
            primary,
            primary.public_key(),
            &none,
            Tag::UserId,
            &user_id,
        );
        let back = config(subkey, SignatureType::KeyBinding, &[]);
        let back =
            back.sign_primary_key_binding(subkey, subkey.public_key(), &none, primary.public_key());
        let mut flags = KeyFlags::default();
        flags.set_sign(true);
        let facts = [
            SubpacketData::KeyFlags(flags),
            SubpacketData::EmbeddedSignature(Box::new(back.unwrap())),
        ];
        let binding = config(primary, SignatureType::SubkeyBinding, &facts);
        let binding =
            binding.sign_subkey_binding(primary, primary.public_key(), &none, subkey.public_key());
        let key = [
            packet(primary.public_key()),
            packet(&direct.unwrap()),
            packet(&user_id),
            packet(&certification.unwrap()),
            packet(subkey.public_key()),
            packet(&binding.unwrap()),
        ];
        let sign = |signature: Result<Signature, pgp::errors::Error>| packet(&signature.unwrap());
        let by_primary = config(primary, SignatureType::Text, &[]).sign(primary, &none, TEXT);
        let by_subkey = config(subkey, SignatureType::Binary, &[]).sign(subkey, &none, TEXT);
        for (kind, bytes) in [
            ("key", key.concat()),
            ("primary.sig", sign(by_primary)),
            ("subkey.sig", sign(by_subkey)),
        ] {
            std::fs::write(format!("tests/data/v6-{name}.{kind}"), bytes).unwrap();
        }
    }
    std::fs::write("tests/data/v6-ed25519.key", unpacked(CERTIFICATE)).unwrap();
}

/// What the suite has a kernel look at is good in a program.
#[test]
fn the_files_are_good() {
    let read = |name: &str| std::fs::read(format!("tests/data/v6-{name}")).unwrap();
    assert_eq!(read("ed25519.key"), unpacked(CERTIFICATE));
    for (name, _) in FILES {
        let mut keys = Keyring::new().unwrap();
        let key = keys.add(&read(&format!("{name}.key"))).unwrap();
        assert_eq!((key.primary.version, key.left_out), (6, None));
        let [by_primary, by_subkey] =
            ["primary", "subkey"].map(|by| read(&format!("{name}.{by}.sig")));
        let signed = keys.verify(&by_primary, TEXT).unwrap();
        assert_eq!((signed.by, signed.made()), (&signed.key.primary, MADE));
        let signed = keys.verify(&by_subkey, TEXT).unwrap();
        assert_eq!(signed.by, &signed.key.subkeys[0]);
    }
}
