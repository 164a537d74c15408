// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hashes that are too weak for data, and hashes that a host does not have.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::{Gpg, NOW, judge, keyring, packets};
use umd_pgp::{Error, Refusal};

const SIGNATURE: u8 = 2;
const USER_ID: u8 = 0x13;
const SUBKEY: u8 = 0x18;
const REVOKE_KEY: u8 = 0x20;
const REVOKE_SUBKEY: u8 = 0x28;
const REVOKE_USER_ID: u8 = 0x30;

/// A number that no hash has.
const NO_HASH: u8 = 99;

const MD5: u8 = 1;

/// The key with its newest signature of this type said to be over another hash. What gpg writes last is the newest.
fn over(key: &[u8], kind: u8, hash: u8) -> Vec<u8> {
    let packets = packets(key).into_iter();
    let newest = packets
        .filter(|packet| packet.tag == SIGNATURE && key[packet.body + 1] == kind)
        .max_by_key(|packet| made(&key[packet.body..packet.end]))
        .unwrap();
    let mut changed = key.to_vec();
    changed[newest.body + 3] = hash;
    changed
}

/// When a signature was made: gpg writes that as the second hashed subpacket, behind the fingerprint, or as the first one that has
/// its length.
fn made(body: &[u8]) -> u32 {
    let mut rest = &body[6..];
    while rest[1] & 0x7f != 2 {
        rest = &rest[1 + usize::from(rest[0])..];
    }
    u32::from_be_bytes(rest[2..6].try_into().unwrap())
}

#[test]
fn a_revocation_over_a_hash_that_is_not_there_may_be_genuine() {
    let gpg = Gpg::new();
    let owner = gpg.make("owner", "ed25519", "sign", "never");
    gpg.add_subkey(&owner, "ed25519", "sign", "never");
    gpg.add_subkey(&owner, "rsa1024", "sign", "never");
    let whole = judge(&gpg.export(&owner)).unwrap();
    gpg.run_edit(&owner, b"key 1\nrevkey\ny\n0\n\ny\nsave\n");
    let key = gpg.export(&owner);
    let subkeys = judge(&key).unwrap().subkeys;
    assert_eq!(subkeys.iter().filter(|(_, state)| state.revoked).count(), 1);
    // The other subkey stays as it is.
    let judged = judge(&over(&key, REVOKE_SUBKEY, NO_HASH)).unwrap();
    assert_eq!(judged.left_out, Some(Refusal::HashUnsupported));
    let others: Vec<_> = subkeys.into_iter().filter(|(_, s)| !s.revoked).collect();
    assert_eq!(judged.subkeys, others);
    // One over a hash that anybody can find collisions of is none, as with GnuPG.
    let judged = judge(&over(&key, REVOKE_SUBKEY, MD5)).unwrap();
    assert_eq!(judged.subkeys, whole.subkeys);

    gpg.revoke(&owner);
    let key = gpg.export(&owner);
    assert!(judge(&key).unwrap().state.revoked);
    let refused = Err(Refusal::HashUnsupported);
    assert_eq!(judge(&over(&key, REVOKE_KEY, NO_HASH)), refused);
    assert!(!judge(&over(&key, REVOKE_KEY, MD5)).unwrap().state.revoked);
    assert_eq!(Refusal::HashUnsupported.errno().get(), 65, "ENOPKG");
}

#[test]
fn a_newer_word_over_a_hash_that_is_not_there_may_be_genuine() {
    let gpg = Gpg::new();
    let owner = gpg.make("owner", "ed25519", "sign", "never");
    gpg.run_at(NOW - 950, &["--quick-add-uid", &owner, "second name"]);
    gpg.add_subkey(&owner, "ed25519", "sign", "never");
    // Shorter lives, told of later.
    gpg.run_at(NOW - 800, &["--quick-set-expire", &owner, "2000"]);
    gpg.run_at(NOW - 800, &["--quick-set-expire", &owner, "2000", "*"]);
    let key = gpg.export(&owner);
    let short = judge(&key).unwrap();
    assert!(short.state.expires.is_some());
    let refused = Err(Refusal::HashUnsupported);
    assert_eq!(judge(&over(&key, USER_ID, NO_HASH)), refused);
    let judged = judge(&over(&key, SUBKEY, NO_HASH)).unwrap();
    assert_eq!(judged.left_out, Some(Refusal::HashUnsupported));
    assert_eq!((judged.subkeys, judged.state), (vec![], short.state));
    // So is one that takes back what was said about a user id.
    gpg.run(&["--quick-revoke-uid", &owner, "second name"], &[]);
    let key = gpg.export(&owner);
    assert_eq!(judge(&over(&key, REVOKE_USER_ID, NO_HASH)), refused);
}

/// Others may say what they want over whatever they want.
#[test]
fn somebody_elses_certification_over_such_a_hash_changes_nothing() {
    let gpg = Gpg::new();
    let owner = gpg.make("owner", "ed25519", "sign", "never");
    let other = gpg.make("other", "ed25519", "cert", "never");
    let alone = gpg.export(&owner);
    gpg.run(&["--local-user", &other, "--quick-sign-key", &owner], &[]);
    let key = gpg.export(&owner);
    assert!(key.len() > alone.len());
    let changed = over(&key, 0x10, NO_HASH);
    assert_ne!(changed, key);
    assert_eq!(judge(&changed), judge(&alone));
}

#[test]
fn data_are_not_signed_over_a_hash_with_collisions() {
    let gpg = Gpg::new();
    let owner = gpg.make("hashes", "rsa2048", "sign", "never");
    let mut keys = keyring();
    keys.add(&gpg.export(&owner)).unwrap();
    let sign = |hash: &str, arguments: &[&str]| {
        let weak = ["--allow-weak-digest-algos", "--digest-algo", hash];
        gpg.run(&[&weak[..], arguments].concat(), b"data")
    };
    let weak = Err(Error::Refused(Refusal::HashWeak));
    for (hash, good) in [
        ("MD5", false),
        ("SHA1", false),
        ("RIPEMD160", true),
        ("SHA224", true),
        ("SHA256", true),
        ("SHA384", true),
        ("SHA512", true),
    ] {
        let verified = keys.verify(&sign(hash, &["--detach-sign"]), b"data");
        let expected = if good { Ok(()) } else { weak };
        assert_eq!(verified.map(drop), expected, "{hash}");
        let message = sign(hash, &["--compress-algo=none", "--sign"]);
        assert_eq!(keys.message(&message).map(drop), expected, "{hash}");
        let message = sign(hash, &["--clear-sign"]);
        assert_eq!(keys.cleartext(&message).map(drop), expected, "{hash}");
    }
}

#[test]
fn a_subkey_of_the_future_does_not_sign_yet() {
    let gpg = Gpg::new();
    let owner = gpg.make("owner", "ed25519", "sign", "never");
    gpg.add_subkey(&owner, "ed25519", "sign", "never");
    let before = judge(&gpg.export(&owner)).unwrap();
    let add = ["--quick-add-key", &owner, "ed25519", "sign", "never"];
    gpg.run_at(NOW + 1000, &add);
    let judged = judge(&gpg.export(&owner)).unwrap();
    assert_eq!(judged.left_out, Some(Refusal::KeyFuture));
    assert_eq!(judged.subkeys, before.subkeys);
}
