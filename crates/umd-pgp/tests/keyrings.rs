// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every key of real keyrings, and what GnuPG says of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use pgp_proto::{ARMOR_HEADER_LEN, Armor, INPUT_MAX, REPLY_MAX, Request, Ring};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use support::{Gpg, Listing};
use umd_pgp::{Keyring, RustCrypto};

/// The keys of a keyring, by the handler's code in this process.
fn split(ring: &[u8]) -> Vec<&[u8]> {
    let (mut keys, mut rest) = (Vec::new(), ring);
    let mut reply = vec![0; REPLY_MAX];
    while !rest.is_empty() {
        let piece = &rest[..rest.len().min(INPUT_MAX)];
        let mut message = Request::Ring.encode(piece.len() as u32).to_vec();
        message.extend(piece);
        let length = pgp_handler::answer(&message, &mut reply).unwrap();
        let places: Vec<_> = Ring::decode(&reply[..length], piece.len())
            .unwrap()
            .keys()
            .collect();
        let last = *places.last().unwrap();
        let is_end = last.end() as usize == rest.len();
        let whole = match is_end || places.len() == 1 {
            true => &places[..],
            false => &places[..places.len() - 1],
        };
        keys.extend(whole.iter().map(|place| place.of(piece).unwrap()));
        rest = &rest[whole.last().unwrap().end() as usize..];
    }
    keys
}

/// Without its armor.
fn binary(ring: Vec<u8>) -> Vec<u8> {
    if ring[0] & 0x80 != 0 {
        return ring;
    }
    let mut message = Request::Armor.encode(ring.len() as u32).to_vec();
    message.extend(&ring);
    let mut reply = vec![0; ARMOR_HEADER_LEN + ring.len()];
    let length = pgp_handler::answer(&message, &mut reply).unwrap();
    let armor = Armor::decode(&reply[..length], ring.len()).unwrap();
    armor.binary.to_vec()
}

/// What gpg says of all of them at once.
fn listing(ring: &Path) -> Vec<Listing> {
    let gpg = Gpg::new();
    let output = Command::new("gpg")
        .arg("--homedir")
        .arg(gpg.home())
        .args(["--batch", "--quiet", "--with-colons"])
        .args(["--import-options", "show-only", "--import"])
        .arg(ring)
        .stderr(Stdio::null())
        .output()
        .unwrap();
    Listing::read(&output.stdout)
}

/// `UMD_KEYRINGS` is a list of files, with colons between.
#[test]
#[ignore = "needs the keyrings that `cargo xtask keyrings` fetches, which then runs it"]
fn each_key_is_what_gnupg_says() {
    let rings = std::env::var("UMD_KEYRINGS").expect("UMD_KEYRINGS names keyrings");
    let (mut all, mut same) = (0, 0);
    for ring in rings.split(':').map(PathBuf::from) {
        let begin = Instant::now();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let bytes = binary(std::fs::read(&ring).unwrap());
        let theirs: BTreeMap<String, Listing> = listing(&ring)
            .into_iter()
            .map(|key| (key.primary.fingerprint.clone(), key.in_order(now)))
            .collect();
        let gpg_took = begin.elapsed();
        let begin = Instant::now();
        let keys = split(&bytes);
        let mut counts = BTreeMap::<String, usize>::new();
        let mut count = |what: String| *counts.entry(what).or_default() += 1;
        let mut agree = 0;
        for key in &keys {
            let primary = pgp_rules::key::primary(key, &RustCrypto).unwrap();
            let name = text(primary.fingerprint.as_bytes());
            if key.len() <= 65_535 {
                count("of at most 65535 bytes".to_string());
            }
            let theirs = theirs.get(&name).unwrap();
            let mut keyring = Keyring::new().unwrap();
            let (ours, why) = match keyring.add(key) {
                Ok(key) => (Listing::of(key), key.left_out),
                Err(error) => panic!("{name}: {error}\n# gpg: {theirs:?}"),
            };
            if key.len() > 65_535 {
                let small = keyring.minimize(key).unwrap();
                if small.key.len() <= 65_535 {
                    count("of at most 65535 bytes when minimized".to_string());
                }
            }
            if ours == *theirs {
                agree += 1;
            } else if let Some(why) = why
                && ours.is_less_than(theirs)
            {
                agree += 1;
                println!("# {name} lacks a subkey: {}", why.sentence());
                count(format!("with fewer subkeys ({why:?})"));
            } else {
                println!("# {name}: {ours:?}\n# gpg: {theirs:?}");
            }
        }
        println!(
            "{}: {agree} of {} keys are what gpg says, {counts:?}; {:.1?}, gpg: {gpg_took:.1?}",
            ring.file_name().unwrap().to_string_lossy(),
            keys.len(),
            begin.elapsed(),
        );
        all += keys.len();
        same += agree;
    }
    println!("{same} of {all}");
    assert_eq!(same, all);
}

fn text(fingerprint: &[u8]) -> String {
    fingerprint
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect()
}
