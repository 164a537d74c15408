// SPDX-License-Identifier: MIT OR Apache-2.0
//! The samples of RFC 9580, appendix A: version 6, which GnuPG does not read.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod judge;
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod packets;

use packets::{ask, packet};
use pgp_proto::{Armor, Block, Checksum, Cleartext, Fingerprint, Key, Message, Request, Subject};

/// `CB186C4F0609A697E4D52DFA6C722B0C1F1E27C18A56708F6525EC27BAD9ACC9`
const FINGERPRINT: Fingerprint = Fingerprint::V6([
    0xcb, 0x18, 0x6c, 0x4f, 0x06, 0x09, 0xa6, 0x97, 0xe4, 0xd5, 0x2d, 0xfa, 0x6c, 0x72, 0x2b, 0x0c,
    0x1f, 0x1e, 0x27, 0xc1, 0x8a, 0x56, 0x70, 0x8f, 0x65, 0x25, 0xec, 0x27, 0xba, 0xd9, 0xac, 0xc9,
]);

fn dearmored(text: &str, block: Block) -> Vec<u8> {
    let reply = ask(&Request::Armor, text.as_bytes()).unwrap();
    let armor = Armor::decode(&reply, text.len()).unwrap();
    assert_eq!((armor.block, armor.checksum), (block, Checksum::Absent));
    assert_eq!(armor.end as usize, text.len());
    armor.binary.to_vec()
}

fn sample_key() -> Vec<u8> {
    dearmored(include_str!("data/rfc9580-key.asc"), Block::Key)
}

#[test]
fn a_key_of_version_6() {
    let input = sample_key();
    let reply = ask(&Request::Key(FINGERPRINT), &input).unwrap();
    let key = Key::decode(&reply, input.len()).unwrap();
    assert_eq!(key.primary.parts.lens, [32, 0, 0, 0]);
    let created = 0x6387_7fe3;
    let direct: Vec<_> = key.direct.collect();
    let [direct] = direct[..] else {
        panic!("{direct:?}")
    };
    assert_eq!((direct.created, direct.object.parts.lens[0]), (created, 64));
    assert_eq!(
        direct.issuer.unwrap().of(&input),
        Some(FINGERPRINT.as_bytes())
    );
    let components: Vec<_> = key.components.collect();
    let [component] = components[..] else {
        panic!("{components:?}")
    };
    let Subject::Subkey(subkey) = component.subject else {
        panic!("no subkey")
    };
    // X25519.
    assert_eq!(subkey.body.of(&input).unwrap()[5], 25);
    let mut signatures = component.signatures;
    assert_eq!(signatures.next().unwrap().created, created);
    assert_eq!(signatures.next(), None);
    assert_eq!(key.skipped, Default::default());
    // Of another key nothing of this is said.
    let other = Request::Key(Fingerprint::V6([1; 32]));
    let reply = ask(&other, &input).unwrap();
    let key = Key::decode(&reply, input.len()).unwrap();
    assert_eq!((key.direct.len(), key.skipped.foreign), (0, 2));
}

#[test]
fn a_message_of_version_6() {
    let input = dearmored(include_str!("data/rfc9580-message.asc"), Block::Message);
    let reply = ask(&Request::Message, &input).unwrap();
    let message = Message::decode(&reply, input.len()).unwrap();
    let text = "What we need from the grocery store:\n\n- tofu\n- vegetables\n- noodles\n";
    assert_eq!(message.literal.data.of(&input), Some(text.as_bytes()));
    assert_eq!(message.literal.format, b'u');
    let mut signatures = message.signatures;
    let signature = signatures.next().unwrap();
    assert_eq!(
        signature.issuer.unwrap().of(&input),
        Some(FINGERPRINT.as_bytes())
    );
    assert_eq!(signatures.next(), None);
}

#[test]
fn cleartext_of_version_6() {
    let input = include_str!("data/rfc9580-cleartext.asc");
    let reply = ask(&Request::Cleartext, input.as_bytes()).unwrap();
    let message = Cleartext::decode(&reply, input.len()).unwrap();
    let text = "What we need from the grocery store:\n\n- - tofu\n- - vegetables\n- - noodles\n";
    assert_eq!(message.text.of(input.as_bytes()), Some(text.as_bytes()));
    assert_eq!(message.hashes.len, 0);
    let at = message.signature.at as usize;
    let signature = dearmored(&input[at..], Block::Signature);
    assert!(ask(&Request::Signature, &signature).is_ok());
}

#[test]
fn every_truncation_and_every_flip_is_judged() {
    let input = sample_key();
    let request = Request::Key(FINGERPRINT);
    for length in 0..input.len() {
        let _ = ask(&request, &input[..length]);
    }
    for at in 0..input.len() {
        for bit in 0..8 {
            let mut flipped = input.clone();
            flipped[at] ^= 1 << bit;
            let _ = ask(&request, &flipped);
        }
    }
}

#[test]
fn padding_is_passed_over() {
    let input = [sample_key(), packet(21, &[0x55; 100])].concat();
    assert!(ask(&Request::Key(FINGERPRINT), &input).is_ok());
}
