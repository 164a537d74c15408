// SPDX-License-Identifier: MIT OR Apache-2.0
//! What others say of the same files: the tables of differences in `docs/pgp.md`. GnuPG and rpmkeys
//! are asked, and sqv (of the Sequoia project) where it is on the machine.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use pgp::composed::{KeyType, SecretKeyParamsBuilder, SignedSecretKey};
use pgp::crypto::ecc_curve::ECCCurve;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{
    KeyFlags, PacketTrait, SignatureConfig, SignatureType, Subpacket, SubpacketData, UserId,
};
use pgp::types::{Duration, KeyDetails, PacketHeaderVersion, Password, Tag, Timestamp};
use std::fs;
use std::num::NonZeroU32;
use std::process::{Command, Stdio};
use support::{Gpg, NOW, keyring};
use umd_pgp::{Error, Payload, Refusal, TextFlaw};
use umd_pgp_testkit::Rpm;

const DATA: &[u8] = b"what was signed\n";

/// When the keys are made, a while before the present of these tests.
const MADE: u32 = NOW as u32 - 10_000;

/// What somebody says of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Good,
    Refused,
}

use Says::{Good, Refused};

impl From<bool> for Says {
    fn from(is_good: bool) -> Self {
        match is_good {
            true => Good,
            false => Refused,
        }
    }
}

/// What GnuPG says, with the key and nothing else at hand.
fn gnupg(key: &[u8], signature: &[u8]) -> Says {
    let gpg = Gpg::new();
    let file = |name: &str, bytes: &[u8]| {
        let path = gpg.home().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    gpg.output(&["--import"], key);
    let (signature, data) = (file("sig", signature), file("data", DATA));
    let verify = ["--status-fd", "1", "--verify", &signature, &data];
    let output = gpg.output(&verify, &[]);
    // Of an armor without the blank line it says that it is good, and fails nevertheless.
    let told = String::from_utf8_lossy(&output.stdout).contains("[GNUPG:] GOODSIG");
    (told || output.status.success()).into()
}

/// What sqv says; nothing where it is not on the machine.
fn sqv(key: &[u8], signature: &[u8]) -> Option<Says> {
    let home = Gpg::new();
    let file = |name: &str, bytes: &[u8]| {
        let path = home.home().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let status = Command::new("sqv")
        .arg("--keyring")
        .arg(file("key", key))
        .arg(file("sig", signature))
        .arg(file("data", DATA))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match status {
        Ok(status) => Some(status.success().into()),
        Err(_) => {
            println!("sqv is not on this machine, and is not asked");
            None
        }
    }
}

/// A key's packet, and its parts that a test puts together.
struct Parts(SignedSecretKey);

impl Parts {
    fn new() -> Self {
        let params = SecretKeyParamsBuilder::default()
            .key_type(KeyType::ECDSA(ECCCurve::P256))
            .created_at(Timestamp::from_secs(MADE))
            .can_certify(true)
            .can_sign(true)
            .primary_user_id("never used".into())
            .build();
        Self(params.unwrap().generate(rand::thread_rng()).unwrap())
    }

    fn user_id() -> UserId {
        UserId::from_str(PacketHeaderVersion::New, "alice <a@example.org>").unwrap()
    }

    fn config(&self, kind: SignatureType, made: u32, more: Vec<SubpacketData>) -> SignatureConfig {
        let by = &self.0.primary_key;
        let mut config = SignatureConfig::from_key(rand::thread_rng(), by, kind).unwrap();
        config.hash_alg = HashAlgorithm::Sha256;
        let created = SubpacketData::SignatureCreationTime(Timestamp::from_secs(made));
        let issuer = SubpacketData::IssuerFingerprint(by.fingerprint());
        let all = [created, issuer].into_iter().chain(more);
        config.hashed_subpackets = all.map(|data| Subpacket::regular(data).unwrap()).collect();
        // GnuPG wants this as well.
        let key_id = SubpacketData::IssuerKeyId(by.legacy_key_id());
        config.unhashed_subpackets = vec![Subpacket::regular(key_id).unwrap()];
        config
    }

    /// Says of the user id what the type of the signature says.
    fn about_user_id(&self, kind: SignatureType, made: u32, more: Vec<SubpacketData>) -> Vec<u8> {
        let mut flags = KeyFlags::default();
        flags.set_sign(true);
        flags.set_certify(true);
        let more = [vec![SubpacketData::KeyFlags(flags)], more].concat();
        let by = &self.0.primary_key;
        let signature = self.config(kind, made, more).sign_certification(
            by,
            &by.public_key(),
            &Password::empty(),
            Tag::UserId,
            &Self::user_id(),
        );
        written(&signature.unwrap())
    }

    /// The key with these signatures about its user id.
    fn key(&self, signatures: &[Vec<u8>]) -> Vec<u8> {
        let primary = self.0.primary_key.public_key();
        let front = [written(&primary), written(&Self::user_id())].concat();
        [front, signatures.concat()].concat()
    }

    fn signed(&self, made: u32) -> Vec<u8> {
        let config = self.config(SignatureType::Binary, made, Vec::new());
        let signature = config.sign(&self.0.primary_key, &Password::empty(), DATA);
        written(&signature.unwrap())
    }
}

fn written(packet: &impl PacketTrait) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.to_writer_with_header(&mut bytes).unwrap();
    bytes
}

/// The key and its signature, and what each says: we (with our reason), GnuPG, sqv.
fn row(what: &str, key: &[u8], signature: &[u8], expected: (Option<Error>, Says, Says)) {
    let mut keys = keyring();
    let ours = keys.add(key).map(|_| ());
    let ours = ours.and_then(|()| keys.verify(signature, DATA).map(|_| ()));
    let (own, gpg_says, sqv_says) = expected;
    let found = (ours.err(), gnupg(key, signature), sqv(key, signature));
    println!("{what}: {found:?}");
    assert_eq!(found.0, own, "{what}");
    assert_eq!(found.1, gpg_says, "{what}: GnuPG");
    assert_eq!(found.2.unwrap_or(sqv_says), sqv_says, "{what}: sqv");
}

#[test]
fn keys_and_signatures() {
    let refused = |refusal| Some(Error::Refused(refusal));
    let parts = Parts::new();
    let certified = parts.about_user_id(SignatureType::CertPositive, MADE, Vec::new());
    let good = parts.key(std::slice::from_ref(&certified));
    let signature = parts.signed(MADE + 100);
    row("a good one", &good, &signature, (None, Good, Good));
    let expires = SubpacketData::SignatureExpirationTime(Duration::from_secs(1_000));
    let expired = parts.about_user_id(SignatureType::CertPositive, MADE, vec![expires]);
    row(
        "an expired self-signature alone",
        &parts.key(&[expired]),
        &signature,
        (refused(Refusal::SignatureExpired), Good, Good),
    );
    let revoked = parts.about_user_id(SignatureType::CertRevocation, MADE + 10, Vec::new());
    row(
        "a sole user id, revoked",
        &parts.key(&[certified.clone(), revoked]),
        &signature,
        (refused(Refusal::KeyUsage), Good, Good),
    );
    let future = parts.signed(u32::MAX - 1_000);
    row(
        "a signature of the future",
        &good,
        &future,
        (None, Good, Refused),
    );
    // Of keys that are not good any more, and over a weak hash.
    let gpg = Gpg::new();
    let old = gpg.make("old", "rsa2048", "sign", "seconds=500");
    let time = format!("--faked-system-time={}!", NOW - 900);
    let sign = |key: &str, more: &[&str]| {
        let arguments = [&[&time, "--local-user", key][..], more, &["--detach-sign"]].concat();
        gpg.run(&arguments, DATA)
    };
    let (by_old, old) = (sign(&old, &[]), gpg.export(&old));
    let since = (refused(Refusal::KeyExpired), Good, Good);
    row("a key that has expired since", &old, &by_old, since);
    let alice = gpg.make("alice", "rsa2048", "sign", "never");
    let (by_alice, weak) = (sign(&alice, &[]), sign(&alice, &["--digest-algo", "SHA1"]));
    let key = gpg.export(&alice);
    let of_weak = (refused(Refusal::HashWeak), Good, Refused);
    row("a signature over SHA-1", &key, &weak, of_weak);
    gpg.revoke(&alice);
    let since = (refused(Refusal::KeyRevoked), Good, Refused);
    row(
        "a key that was revoked since",
        &gpg.export(&alice),
        &by_alice,
        since,
    );
    // The revocation of a subkey at its place, and in front of all user ids.
    let bob = gpg.make("bob", "rsa2048", "sign", "never");
    gpg.add_subkey(&bob, "rsa2048", "sign", "never");
    let by_subkey = gpg.run(&["--local-user", &bob, "--detach-sign"], DATA);
    gpg.run_edit(&bob, b"key 1\nrevkey\ny\n0\n\ny\nsave\n");
    let whole = gpg.export(&bob);
    let of_revoked = (refused(Refusal::KeyRevoked), Good, Refused);
    row("a subkey that was revoked", &whole, &by_subkey, of_revoked);
    let all = support::packets(&whole);
    let bytes = |packet: &support::Packet| whole[packet.begin..packet.end].to_vec();
    let is_revocation =
        |packet: &&support::Packet| packet.tag == 2 && whole[packet.body + 1] == 0x28;
    let revocation = all.iter().find(is_revocation).unwrap();
    let others = all.iter().filter(|packet| !is_revocation(packet));
    let mut moved: Vec<Vec<u8>> = others.map(bytes).collect();
    moved.insert(1, bytes(revocation));
    row(
        "its revocation behind the primary key",
        &moved.concat(),
        &by_subkey,
        (refused(Refusal::KeyRevoked), Good, Refused),
    );
    // Armors.
    let armored = gpg.run(&["--enarmor"], &by_alice);
    let armored = String::from_utf8(armored)
        .unwrap()
        .replace("ARMORED FILE", "SIGNATURE");
    let (front, body) = armored.split_once("\n\n").unwrap();
    let (first, _comment) = front.split_once('\n').unwrap();
    let blank = format!("{first}\n{body}");
    row("no blank line", &key, blank.as_bytes(), (None, Good, Good));
    let at = armored.rfind("\n=").unwrap() + 2;
    let mut wrong = armored.into_bytes();
    wrong[at] = if wrong[at] == b'A' { b'B' } else { b'A' };
    let line = NonZeroU32::new(1);
    let flaw = TextFlaw::Checksum;
    let checksum = (Some(Error::Text { flaw, line }), Refused, Good);
    row("a wrong checksum", &key, &wrong, checksum);
}

/// What of a package's signature header is not signed, rpm compares nevertheless.
#[test]
fn packages() {
    let gpg = Gpg::new();
    let rpm = Rpm { gpg: &gpg };
    let vendor = gpg.make("vendor <v@x>", "rsa2048", "sign", "never");
    let package = rpm.signed(&rpm.build(), &vendor, &[]);
    let mut keys = umd_pgp::Keyring::new().unwrap();
    keys.add(&gpg.export(&vendor)).unwrap();
    rpm.import(&vendor);
    let bytes = fs::read(&package).unwrap();
    let theirs = |bytes: &[u8]| {
        let path = package.with_extension("changed.rpm");
        fs::write(&path, bytes).unwrap();
        let status = rpm.run("rpmkeys", &["-K", path.to_str().unwrap()]).status;
        Says::from(status.success())
    };
    assert_eq!(theirs(&bytes), Good);
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let entries = word(96 + 8);
    let data = 96 + 16 + 16 * entries;
    // The last byte of a value in the signature header.
    let value = |tag: usize| {
        let entry = (0..entries)
            .map(|number| 112 + 16 * number)
            .find(|at| word(*at) == tag);
        data + word(entry.unwrap() + 8)
    };
    for (what, at, expected) in [
        ("MD5 of header and payload", value(1004), Refused),
        ("SHA-1 of the header", value(269), Refused),
        ("SHA-256 of the header", value(273), Refused),
        ("the name in the lead", 12, Good),
    ] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let ours = keys.rpm(&changed[..]).map(|package| package.payload);
        assert_eq!(ours, Ok(Payload::Verified), "{what}");
        assert_eq!(theirs(&changed), expected, "{what}: rpmkeys");
    }
}
