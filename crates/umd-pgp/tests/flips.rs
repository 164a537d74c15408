// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys with one byte changed, at each place, and keys that end too soon.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use support::{Gpg, Judged, Packet, judge, packets, without};
use umd_pgp::Refusal;

const SIGNATURE: u8 = 2;
const KEY: u8 = 6;
const USER_ID: u8 = 13;
const SUBKEY: u8 = 14;

/// Where in a key a byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Region {
    /// In the primary key's body.
    Primary,
    /// In a user id, or a subkey's body.
    Subject,
    /// In the part of a signature that is hashed.
    Hashed,
    /// Anywhere else: heads of packets, what no signature is over, the signatures' own numbers.
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
        _ if at < packet.body => Region::Elsewhere,
        KEY => Region::Primary,
        USER_ID | SUBKEY => Region::Subject,
        SIGNATURE => {
            let length = [key[packet.body + 4], key[packet.body + 5]];
            let hashed = packet.body + 6 + usize::from(u16::from_be_bytes(length));
            match at < hashed {
                true => Region::Hashed,
                false => Region::Elsewhere,
            }
        }
        tag => panic!("packet {tag}"),
    }
}

/// Changes each byte, and sees that the key is what it must be then. Returns the outcomes by region: refused, less, the same.
fn flip(key: &[u8], counts: &mut BTreeMap<Region, [usize; 3]>) {
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
            for bits in [0x01, 0xff] {
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

fn each_byte(primary: &str, subkey: &str) {
    let gpg = Gpg::new();
    let fingerprint = gpg.make("first <a@x>", primary, "sign", "never");
    gpg.run(&["--quick-add-uid", &fingerprint, "second <b@x>"], &[]);
    gpg.add_subkey(&fingerprint, subkey, "sign", "30d");
    gpg.add_subkey(&fingerprint, "cv25519", "encr", "never");
    let key = gpg.export(&fingerprint);
    let mut counts = BTreeMap::new();
    flip(&key, &mut counts);
    for (region, [refused, less, same]) in &counts {
        println!(
            "{primary} with {subkey}: {region:?}: {refused} refused, {less} with less, {same} the same"
        );
    }
    assert_eq!(counts[&Region::Primary][1..], [0, 0]);

    let ends: Vec<usize> = packets(&key).iter().map(|packet| packet.end).collect();
    let mut shorter = 0;
    for length in 0..key.len() {
        match judged(&key[..length]) {
            Ok(judged) => {
                assert!(ends.contains(&length), "cut at {length}: {judged:?}");
                shorter += 1;
            }
            Err(_) => assert!(!ends[2..].contains(&length), "cut at {length}"),
        }
    }
    println!(
        "{primary}: {} ways to end too soon, {shorter} of them a key",
        key.len()
    );
}

#[test]
fn each_byte_of_an_ed25519_key() {
    each_byte("ed25519", "ed25519");
}

#[test]
fn each_byte_of_an_rsa_key() {
    each_byte("rsa1024", "rsa1024");
}

#[test]
fn each_byte_of_an_ecdsa_key() {
    each_byte("nistp256/ecdsa", "ed25519");
}

#[test]
fn each_byte_of_a_dsa_key() {
    each_byte("dsa1024", "rsa1024");
}
