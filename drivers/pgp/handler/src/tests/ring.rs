// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rings of keys.

use crate::packets::{ask, key, packet, small};
use pgp_proto::{ENTRIES_MAX, Place, Refusal, Request, Ring};

/// Begin and length of each key.
fn told(input: &[u8]) -> Result<Vec<(u32, u32)>, Refusal> {
    let reply = ask(&Request::Ring, input)?;
    let ring = Ring::decode(&reply, input.len()).unwrap();
    Ok(ring.keys().map(|Place { at, len }| (at, len)).collect())
}

#[test]
fn each_key_is_told_of() {
    let key = small();
    let length = key.len() as u32;
    let three = [(0, length), (length, length), (2 * length, length)];
    assert_eq!(told(&key.repeat(3)), Ok(three.to_vec()));
    assert_eq!(told(&key), Ok(vec![(0, length)]));
}

#[test]
fn a_key_that_is_cut_is_for_the_next_piece() {
    let key = small();
    let two = key.repeat(2);
    // The second key's first packet, without its last byte, and whole.
    let first = packet(6, &crate::packets::key(4, 1)).len();
    for length in [key.len() + 1, key.len() + first - 1] {
        assert_eq!(told(&two[..length]), Ok(vec![(0, key.len() as u32)]));
    }
    let whole = told(&two[..key.len() + first]).unwrap();
    assert_eq!(whole[1], (key.len() as u32, first as u32));
    assert_eq!(told(&key[..key.len() - 1]), Ok(vec![]));
}

#[test]
fn a_ring_begins_with_a_key() {
    assert_eq!(told(b""), Err(Refusal::NotMine));
    assert_eq!(told(&packet(13, b"me")), Err(Refusal::NotMine));
    assert_eq!(
        told(&[small(), packet(8, b"")].concat()),
        Err(Refusal::Compressed)
    );
    let marker = packet(10, b"PGP");
    let length = small().len() as u32;
    assert_eq!(
        told(&[marker.clone(), small()].concat()),
        Ok(vec![(5, length)])
    );
    assert_eq!(
        told(&[marker, packet(13, b"me"), small()].concat()),
        Err(Refusal::NotMine)
    );
}

#[test]
fn what_finds_no_room_is_for_the_next_piece() {
    let one = packet(6, &key(4, 27));
    let told = told(&one.repeat(ENTRIES_MAX + 5)).unwrap();
    assert_eq!(told.len(), ENTRIES_MAX);
    let last = (ENTRIES_MAX - 1) * one.len();
    assert_eq!(told.last(), Some(&(last as u32, one.len() as u32)));
}

#[test]
fn every_truncation_is_judged() {
    let two = small().repeat(2);
    for length in 1..two.len() {
        assert!(told(&two[..length]).is_ok());
    }
}
