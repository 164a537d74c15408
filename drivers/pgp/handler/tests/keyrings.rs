// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every key of real keyrings: what the handler says of it is, line by line, what `gpg --list-packets` says.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "shared with tests that need more of it")]
mod home;
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod judge;
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod listing;
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod packets;

use home::Home;
use listing::{blocks, compare, fingerprint, list_key};
use packets::ask;
use pgp_proto::{Armor, INPUT_MAX, Request, Ring};

/// These have an EdDSA subkey whose own signature has an integer with a leading zero, so that it is
/// not told of.
const NOT_CANONICAL: [&str; 2] = [
    "0152DF7147EC5E633E0057FB56034877E1F87C35",
    "7CB6197E385A02DC15D8E223E4DB6492FDB9B5D5",
];

/// Without its armor, if it has one.
fn binary(ring: Vec<u8>) -> Vec<u8> {
    if ring[0] & 0x80 != 0 {
        return ring;
    }
    let reply = ask(&Request::Armor, &ring).unwrap();
    Armor::decode(&reply, ring.len()).unwrap().binary.to_vec()
}

/// The keys, as they are found in pieces of the longest input.
fn keys(mut ring: &[u8]) -> Vec<&[u8]> {
    let mut keys = Vec::new();
    while !ring.is_empty() {
        let piece = &ring[..ring.len().min(INPUT_MAX)];
        let reply = ask(&Request::Ring, piece).unwrap();
        let mut places: Vec<_> = Ring::decode(&reply, piece.len()).unwrap().keys().collect();
        // The last may go on in the next piece.
        if places.last().unwrap().end() as usize != ring.len() && places.len() > 1 {
            places.pop();
        }
        keys.extend(places.iter().map(|place| place.of(piece).unwrap()));
        ring = &ring[places.last().unwrap().end() as usize..];
    }
    keys
}

/// `UMD_KEYRINGS` is a list of files, with colons between.
#[test]
#[ignore = "needs the keyrings that `cargo xtask keyrings` fetches, which then runs it"]
fn each_packet_is_what_gnupg_lists() {
    let rings = std::env::var("UMD_KEYRINGS").expect("UMD_KEYRINGS names keyrings");
    let home = Home::new();
    // Makes GnuPG's own files.
    home.gpg(&["--passphrase", "", "--quick-gen-key", "me"]);
    let (mut all, mut told, mut left_out) = (0, 0, [0; 3]);
    let mut odd = 0;
    for ring in rings.split(':') {
        let bytes = binary(std::fs::read(ring).unwrap());
        for input in keys(&bytes) {
            home.write("key", input);
            let name = home.fingerprint_of_file("key");
            let (mut ours, skipped) = list_key(input, fingerprint(&name));
            let mut theirs = blocks(&home.list(input));
            let is_odd = NOT_CANONICAL.contains(&&name[..]);
            for line in ours.iter_mut().chain(&mut theirs) {
                // GnuPG lists a primary user id that is said to be none as well.
                line.retain(|line| !line.starts_with("subpkt 25 "));
                line.retain(|line| !is_odd || !line.starts_with("subpkt 32 "));
            }
            odd += usize::from(is_odd);
            let skipped = [skipped.foreign, skipped.unsupported, skipped.invalid];
            let count = compare(&ours, &theirs).len();
            assert_eq!(count, skipped.iter().sum::<u32>() as usize, "{name}");
            for (sum, count) in left_out.iter_mut().zip(skipped) {
                *sum += count;
            }
            all += 1;
            told += ours.len();
        }
    }
    let [foreign, unsupported, invalid] = left_out;
    println!(
        "{} of {all} keys are what gpg lists, and {odd} but for an integer that is not canonical; {told} packets are told of, \
         left out are {foreign} of others, {unsupported} not read, {invalid} broken",
        all - odd
    );
}
