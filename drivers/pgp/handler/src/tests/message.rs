// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signatures of data.

use crate::packets::{Made, OWN, ask, inline, literal, packet};
use pgp_proto::{Detached, ENTRIES_MAX, Message, Refusal, Request};
use proptest::prelude::*;

/// How many signatures are told of, and how many are not.
fn detached(input: &[u8]) -> Result<(usize, u32, u32), Refusal> {
    let reply = ask(&Request::Signature, input)?;
    let found = Detached::decode(&reply, input.len()).unwrap();
    let skipped = found.skipped;
    assert_eq!(skipped.foreign, 0);
    Ok((found.signatures.len(), skipped.unsupported, skipped.invalid))
}

/// The data, and the number of signatures.
fn message(input: &[u8]) -> Result<(&[u8], usize), Refusal> {
    let reply = ask(&Request::Message, input)?;
    let found = Message::decode(&reply, input.len()).unwrap();
    let data = found.literal.data.of(input).unwrap();
    Ok((data, found.signatures.len()))
}

#[test]
fn signatures_are_told_of() {
    let one = Made::new(0).packet();
    let old = Made {
        version: 3,
        ..Made::new(0)
    }
    .packet();
    assert_eq!(detached(&old), Ok((1, 0, 0)));
    let old = Made {
        version: 2,
        ..Made::new(0)
    }
    .packet();
    let cut = packet(2, &[4, 0]);
    assert_eq!(detached(&one), Ok((1, 0, 0)));
    assert_eq!(
        detached(&[&one[..], &packet(10, b"PGP"), &one].concat()),
        Ok((2, 0, 0))
    );
    assert_eq!(
        detached(&[&packet(10, b"PGP")[..], &one].concat()),
        Ok((1, 0, 0))
    );
    assert_eq!(detached(&[&old[..], &cut, &one].concat()), Ok((1, 1, 1)));
    assert_eq!(detached(&old), Err(Refusal::Unsupported));
    assert_eq!(detached(&cut), Err(Refusal::Invalid));
    assert_eq!(detached(&packet(10, b"PGP")), Err(Refusal::Invalid));
    assert_eq!(detached(&one.repeat(ENTRIES_MAX)), Ok((ENTRIES_MAX, 0, 0)));
    assert_eq!(
        detached(&one.repeat(ENTRIES_MAX + 1)),
        Err(Refusal::TooMany)
    );
}

#[test]
fn a_detached_signature_is_not_a_message() {
    let one = Made::new(0).packet();
    for other in [literal(b"data"), packet(13, b"me"), packet(6, b"")] {
        assert_eq!(detached(&other), Err(Refusal::NotMine));
        assert_eq!(
            detached(&[&one[..], &other].concat()),
            Err(Refusal::Invalid)
        );
    }
    assert_eq!(detached(b""), Err(Refusal::NotMine));
    assert_eq!(detached(b"-----BEGIN"), Err(Refusal::NotMine));
}

fn announced(nested: u8) -> Vec<u8> {
    packet(4, &[&[3, 0, 8, 1][..], &OWN.key_id(), &[nested]].concat())
}

#[test]
fn data_lies_between_announcement_and_signature() {
    assert_eq!(message(&inline(b"hello")), Ok((&b"hello"[..], 1)));
    assert_eq!(message(&inline(b"")), Ok((&b""[..], 1)));
    let one = Made::new(0).packet();
    let two = [announced(0), announced(1), literal(b"x"), one.repeat(2)].concat();
    assert_eq!(message(&two), Ok((&b"x"[..], 2)));
    let before = [one.clone(), one.clone(), literal(b"x")].concat();
    assert_eq!(message(&before), Ok((&b"x"[..], 2)));
}

#[test]
fn as_many_signatures_come_as_were_announced() {
    let one = Made::new(0).packet();
    let data = literal(b"x");
    for (announced_count, count, expected) in [
        (1, 0, Refusal::Cut),
        (2, 1, Refusal::Cut),
        (1, 2, Refusal::Invalid),
        (2, 3, Refusal::Invalid),
    ] {
        let mut input = announced(0).repeat(announced_count - 1);
        input.extend([announced(1), data.clone(), one.repeat(count)].concat());
        assert_eq!(message(&input), Err(expected));
    }
    // Announced to go on, and around another signature.
    let input = [announced(0), data.clone(), one.clone()].concat();
    assert_eq!(message(&input), Err(Refusal::Invalid));
    let input = [announced(1), announced(1), data.clone(), one.repeat(2)].concat();
    assert_eq!(message(&input), Err(Refusal::Unsupported));
    // Both ways at once; a second text; no signature; no text.
    let input = [announced(1), one.clone(), data.clone(), one.clone()].concat();
    assert_eq!(message(&input), Err(Refusal::Invalid));
    let input = [one.clone(), announced(1), data.clone(), one.clone()].concat();
    assert_eq!(message(&input), Err(Refusal::Invalid));
    let input = [one.clone(), data.clone(), data.clone()].concat();
    assert_eq!(message(&input), Err(Refusal::Invalid));
    assert_eq!(message(&data), Err(Refusal::NotMine));
    let input = [packet(10, b"PGP"), data.clone()].concat();
    assert_eq!(message(&input), Err(Refusal::Invalid));
    assert_eq!(message(&one), Err(Refusal::Cut));
    assert_eq!(message(&packet(4, b"")), Err(Refusal::Invalid));
}

#[test]
fn signatures_that_are_not_read_still_count() {
    let old = Made {
        version: 5,
        ..Made::new(0)
    }
    .packet();
    let one = Made::new(0).packet();
    let two = [announced(0), announced(1), literal(b"x"), old.clone(), one].concat();
    assert_eq!(message(&two), Ok((&b"x"[..], 1)));
    let input = [announced(1), literal(b"x"), old].concat();
    assert_eq!(message(&input), Err(Refusal::Unsupported));
}

#[test]
fn text_is_in_one_piece_and_not_packed() {
    let one = Made::new(0).packet();
    let with = |packet: Vec<u8>| message(&[announced(1), packet, one.clone()].concat()).map(drop);
    assert_eq!(with(packet(8, b"\x01abc")), Err(Refusal::Compressed));
    assert_eq!(with(vec![0xa3, 1, 2, 3]), Err(Refusal::Compressed));
    assert_eq!(
        with([&[0xcb, 0xe9][..], &[b'b'; 512], &[0]].concat()),
        Err(Refusal::Partial)
    );
    assert_eq!(with(packet(18, b"secret")), Err(Refusal::Unsupported));
    assert_eq!(with(packet(11, b"")), Err(Refusal::Invalid));
    assert_eq!(with(packet(11, b"b\x04nam")), Err(Refusal::Invalid));
    assert_eq!(with(packet(11, b"b\0\0\0\0")), Err(Refusal::Invalid));
    for format in 0..=255 {
        let packet = packet(11, &[&[format, 0][..], &[0; 4]].concat());
        let is_known = b"btu".contains(&format);
        assert_eq!(with(packet).is_ok(), is_known, "{format}");
    }
}

#[test]
fn every_truncation_is_refused() {
    let input = inline(b"hello");
    for length in 0..input.len() {
        assert!(message(&input[..length]).is_err());
    }
}

proptest! {
    #[test]
    fn any_change_is_judged(at: proptest::sample::Index, byte: u8) {
        let mut input = inline(b"hello");
        let at = at.index(input.len());
        input[at] = byte;
        let _ = message(&input);
        let mut input = Made::new(0).packet().repeat(2);
        let at = at % input.len();
        input[at] = byte;
        let _ = detached(&input);
    }
}
