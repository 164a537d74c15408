// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys with one byte changed, at each place, and keys that end too soon.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use pgp::composed::{EncryptionCaps, KeyType, SecretKeyParamsBuilder, SubkeyParamsBuilder};
use pgp::ser::Serialize;
use pgp::types::{KeyVersion, Timestamp};
use std::collections::BTreeMap;
use support::{Gpg, Judged, NOW, Packet, judge, packets, without};
use umd_pgp::Refusal;

const SIGNATURE: u8 = 2;
const KEY: u8 = 6;
const USER_ID: u8 = 13;
const SUBKEY: u8 = 14;

/// How a byte is changed.
const BOTH: [u8; 2] = [0x01, 0xff];

/// Where in a key a byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Region {
    /// In the primary key's body.
    Primary,
    /// In a user id, or a subkey's body.
    Subject,
    /// In the part of a signature that is hashed.
    Hashed,
    /// In a packet's head: what it is, and how long.
    Head,
    /// Anywhere else: what no signature is over, the signatures' own numbers.
    Elsewhere,
}

/// What a changed key is judged to be. Why a subkey is left out does not matter here.
fn judged(key: &[u8]) -> Result<Judged, Refusal> {
    judge(key).map(|judged| Judged {
        left_out: None,
        ..judged
    })
}

fn region(key: &[u8], packet: &Packet, at: usize) -> Region {
    match packet.tag {
        _ if at < packet.body => Region::Head,
        KEY => Region::Primary,
        USER_ID | SUBKEY => Region::Subject,
        SIGNATURE => {
            let hashed = packet.body
                + match key[packet.body] {
                    6 => {
                        8 + u32::from_be_bytes(*key[packet.body + 4..].first_chunk().unwrap())
                            as usize
                    }
                    _ => {
                        6 + usize::from(u16::from_be_bytes(
                            *key[packet.body + 4..].first_chunk().unwrap(),
                        ))
                    }
                };
            match at < hashed {
                true => Region::Hashed,
                false => Region::Elsewhere,
            }
        }
        tag => panic!("packet {tag}"),
    }
}

/// Is this the key with only some of what it has?
fn is_part(judged: &Judged, whole: &Judged, less: &[Result<Judged, Refusal>]) -> bool {
    let of = |known: &Judged| {
        (&known.fingerprint, known.state) == (&judged.fingerprint, judged.state)
            && known.user_id == judged.user_id
    };
    let subkeys = &judged.subkeys;
    subkeys.iter().all(|subkey| whole.subkeys.contains(subkey))
        && (of(whole) || less.iter().flatten().any(of))
}

/// Changes each byte, and sees that the key is what it must be then. Returns the outcomes by region: refused, less, the same.
fn flip(key: &[u8], ways: &[u8], counts: &mut BTreeMap<Region, [usize; 3]>) {
    let whole = judged(key).unwrap();
    let all = packets(key);
    // The key without each subject and what is said about it, and without each signature.
    let mut less = Vec::new();
    for (number, packet) in all.iter().enumerate() {
        let mut gone = vec![number];
        if packet.tag != SIGNATURE {
            let next = all[number + 1..].iter();
            let count = next.take_while(|next| next.tag == SIGNATURE).count();
            gone.extend(number + 1..=number + count);
        }
        less.push(match packet.tag {
            KEY => Err(Refusal::NotAKey),
            _ => judged(&without(key, &gone)),
        });
    }
    for (number, packet) in all.iter().enumerate() {
        for at in packet.begin..packet.end {
            let region = region(key, packet, at);
            let counts = counts.entry(region).or_default();
            for bits in ways {
                let mut changed = key.to_vec();
                changed[at] ^= bits;
                let judged = judged(&changed);
                let Ok(judged) = judged else {
                    counts[0] += 1;
                    continue;
                };
                let what = format!("byte {at} ^ {bits:x} ({region:?}): {judged:?}");
                match region {
                    Region::Primary => assert_ne!(judged.fingerprint, whole.fingerprint, "{what}"),
                    Region::Subject | Region::Hashed => {
                        assert_eq!(Ok(&judged), less[number].as_ref(), "{what}");
                    }
                    // A changed length ends the packet elsewhere. The parser goes on in the middle
                    // of random numbers: they may look like unknown packets up to the end, which
                    // are left out.
                    Region::Head => assert!(is_part(&judged, &whole, &less), "{what}"),
                    Region::Elsewhere => {
                        let is_less = less.contains(&Ok(judged.clone()));
                        assert!(judged == whole || is_less, "{what}");
                    }
                }
                match judged == whole {
                    true => counts[2] += 1,
                    false => counts[1] += 1,
                }
            }
        }
    }
}

/// All that can become of a key, whose user ids and subkeys are more than one each.
fn each_byte(what: &str, key: &[u8], ways: &[u8]) {
    let mut counts = BTreeMap::new();
    flip(key, ways, &mut counts);
    for (region, [refused, less, same]) in &counts {
        println!("{what}: {region:?}: {refused} refused, {less} with less, {same} the same");
    }
    let primary = counts[&Region::Primary];
    assert!(primary[0] > 60);
    assert_eq!(primary[1..], [0, 0]);
    // What is signed is the chosen user id, the signing subkey; and others that are not shown.
    for region in [Region::Subject, Region::Hashed] {
        let [_, less, same] = counts[&region];
        assert!(less > 60 && same > 60, "{region:?}");
    }
    let elsewhere = counts[&Region::Elsewhere];
    assert!(elsewhere[1..].iter().all(|count| *count > 10));
    // Most of them are the end of it.
    assert!(counts[&Region::Head][0] > 10);

    // Behind a whole packet it is a key, from the first signature about a user id or the key on.
    let all = packets(key);
    let vouched = all.iter().position(|packet| packet.tag == SIGNATURE);
    let ends: Vec<usize> = all.iter().map(|packet| packet.end).collect();
    let ends = &ends[vouched.unwrap()..];
    let mut shorter = 0;
    for length in 0..key.len() {
        let judged = judged(&key[..length]);
        assert_eq!(
            judged.is_ok(),
            ends.contains(&length),
            "cut at {length}: {judged:?}"
        );
        shorter += usize::from(judged.is_ok());
    }
    assert_eq!(shorter, ends.len() - 1);
    println!(
        "{what}: {} ways to end too soon, {shorter} of them a key",
        key.len()
    );
}

/// One of GnuPG's, with two user ids, a subkey that signs, and one that encrypts.
fn each_byte_of_gpgs(primary: &str, subkey: &str, ways: &[u8]) {
    let gpg = Gpg::new();
    let fingerprint = gpg.make("first <a@x>", primary, "sign", "never");
    gpg.run(&["--quick-add-uid", &fingerprint, "second <b@x>"], &[]);
    gpg.add_subkey(&fingerprint, subkey, "sign", "30d");
    gpg.add_subkey(&fingerprint, "cv25519", "encr", "never");
    each_byte(
        &format!("{primary} with {subkey}"),
        &gpg.export(&fingerprint),
        ways,
    );
}

#[test]
fn each_byte_of_an_ed25519_key() {
    each_byte_of_gpgs("ed25519", "ed25519", &BOTH);
}

#[test]
fn each_byte_of_an_rsa_key() {
    each_byte_of_gpgs("rsa1024", "rsa1024", &BOTH);
}

#[test]
fn each_byte_of_an_ecdsa_key() {
    each_byte_of_gpgs("nistp256/ecdsa", "ed25519", &BOTH);
}

#[test]
fn each_byte_of_a_dsa_key() {
    each_byte_of_gpgs("dsa1024", "rsa1024", &BOTH);
}

/// One way: it takes long.
#[test]
fn each_byte_of_a_key_on_a_larger_curve() {
    each_byte_of_gpgs("nistp384/ecdsa", "ed25519", &BOTH[1..]);
}

/// One of rPGP's, with the same as those of GnuPG.
#[test]
fn each_byte_of_a_key_of_version_6() {
    let mut rng = rand::thread_rng();
    let made = Timestamp::from_secs(NOW as u32 - 1000);
    let subkey = |kind, signs, encrypts| {
        let mut subkey = SubkeyParamsBuilder::default();
        subkey
            .version(KeyVersion::V6)
            .key_type(kind)
            .created_at(made);
        subkey.can_sign(signs).can_encrypt(encrypts);
        subkey.build().unwrap()
    };
    let secret = SecretKeyParamsBuilder::default()
        .version(KeyVersion::V6)
        .key_type(KeyType::Ed25519)
        .created_at(made)
        .can_certify(true)
        .can_sign(true)
        .primary_user_id("first <a@x>".into())
        .user_id("second <b@x>")
        .subkeys(vec![
            subkey(KeyType::Ed25519, true, EncryptionCaps::None),
            subkey(KeyType::X25519, false, EncryptionCaps::All),
        ])
        .build()
        .unwrap()
        .generate(&mut rng)
        .unwrap();
    let key = secret.to_public_key().to_bytes().unwrap();
    each_byte("Ed25519 of version 6", &key, &BOTH);
}
