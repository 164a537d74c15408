// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is believed of a key lasts no longer than the signatures that it is believed for. GnuPG writes none that end; rPGP does.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use pgp::composed::{KeyType, SecretKeyParamsBuilder, SignedSecretKey, SubkeyParamsBuilder};
use pgp::packet::{KeyFlags, PacketTrait, Signature, SignatureConfig, SignatureType};
use pgp::packet::{Subpacket, SubpacketData};
use pgp::ser::Serialize;
use pgp::types::{Duration, Password, SigningKey, Timestamp};
use std::time::UNIX_EPOCH;
use umd_pgp::{Key, Keyring};

/// When all is made, and when it is looked at: a day later. The clock may be set while a test runs.
const MADE: u32 = 1_700_000_000;
const NOW: u64 = MADE as u64 + DAY;
const DAY: u64 = 86_400;

/// Seconds for which a signature counts; none: for ever.
#[derive(Clone, Copy, Default)]
struct Lives {
    user_id: Option<u32>,
    binding: Option<u32>,
    back: Option<u32>,
}

fn config(by: &impl SigningKey, kind: SignatureType, life: Option<u32>) -> SignatureConfig {
    let mut config = SignatureConfig::from_key(rand::thread_rng(), by, kind).unwrap();
    let mut said = vec![
        SubpacketData::SignatureCreationTime(Timestamp::from_secs(MADE)),
        SubpacketData::IssuerFingerprint(by.fingerprint()),
    ];
    said.extend(life.map(|life| SubpacketData::SignatureExpirationTime(Duration::from_secs(life))));
    let said = said.into_iter().map(Subpacket::regular);
    config.hashed_subpackets = said.collect::<Result<_, _>>().unwrap();
    config
}

/// The key with its user id and its subkey signed anew.
fn signed(key: &SignedSecretKey, lives: Lives) -> Key {
    let none = Password::empty();
    let mut key = key.clone();
    let primary = key.primary_key.clone();
    let public = primary.public_key();
    let user = &mut key.details.users[0];
    let certification = config(&primary, SignatureType::CertPositive, lives.user_id);
    let certification =
        certification.sign_certification(&primary, &public, &none, user.id.tag(), &user.id);
    user.signatures = vec![certification.unwrap()];
    let subkey = &mut key.secret_subkeys[0];
    let of_subkey = subkey.key.public_key();
    let back = config(&subkey.key, SignatureType::KeyBinding, lives.back).sign_primary_key_binding(
        &subkey.key,
        &of_subkey,
        &none,
        &public,
    );
    let mut binding = config(&primary, SignatureType::SubkeyBinding, lives.binding);
    let mut flags = KeyFlags::default();
    flags.set_sign(true);
    let more: [SubpacketData; 2] = [
        SubpacketData::KeyFlags(flags),
        SubpacketData::EmbeddedSignature(Box::new(back.unwrap())),
    ];
    for more in more {
        let more = Subpacket::regular(more).unwrap();
        binding.hashed_subpackets.push(more);
    }
    let binding: Signature = binding
        .sign_subkey_binding(&primary, &public, &none, &of_subkey)
        .unwrap();
    subkey.signatures = vec![binding];
    let bytes = key.to_public_key().to_bytes().unwrap();
    let mut keys = Keyring::new().unwrap();
    keys.set_time(UNIX_EPOCH + std::time::Duration::from_secs(NOW));
    keys.add(&bytes).unwrap().clone()
}

#[test]
fn belief_lasts_as_long_as_what_it_was_founded_on() {
    let part = || (KeyType::Ed25519Legacy, pgp::types::KeyVersion::V4);
    let subkey = SubkeyParamsBuilder::default()
        .created_at(Timestamp::from_secs(MADE))
        .version(part().1)
        .key_type(part().0)
        .can_sign(true)
        .build()
        .unwrap();
    let key = SecretKeyParamsBuilder::default()
        .created_at(Timestamp::from_secs(MADE))
        .version(part().1)
        .key_type(part().0)
        .can_certify(true)
        .can_sign(true)
        .primary_user_id("somebody".into())
        .subkeys(vec![subkey])
        .build()
        .unwrap()
        .generate(rand::thread_rng())
        .unwrap();
    let ends = |lives: Lives| {
        let key = signed(&key, lives);
        assert_eq!(key.left_out, None);
        let [subkey] = &key.subkeys[..] else {
            panic!("{key:?}");
        };
        let days = |expires: Option<u64>| expires.map(|expires| (expires - u64::from(MADE)) / DAY);
        (days(key.primary.state.expires), days(subkey.state.expires))
    };
    let day = |count: u32| Some(count * 86_400);
    let for_ever = Lives::default();
    assert_eq!(ends(for_ever), (None, None));
    let user_id = day(30);
    let lives = Lives {
        user_id,
        ..for_ever
    };
    assert_eq!(ends(lives), (Some(30), Some(30)));
    let binding = day(20);
    let lives = Lives {
        binding,
        ..for_ever
    };
    assert_eq!(ends(lives), (None, Some(20)));
    let back = day(10);
    let lives = Lives { back, ..for_ever };
    assert_eq!(ends(lives), (None, Some(10)));
    let all = Lives {
        user_id,
        binding,
        back,
    };
    assert_eq!(ends(all), (Some(30), Some(10)));
}
