// SPDX-License-Identifier: MIT OR Apache-2.0
//! Judges what the handler says of any bytes: whether it is so, and whether it is all. Looks for
//! itself, and in another way.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use pgp_proto::rpm::{Header, Tag};
use pgp_proto::{
    Armor, Block, Cleartext, Component, Detached, Fingerprint, Key, Message, Object, Place,
    Refusal, Request, Ring, Rpm, Signature, Skipped, Subject,
};

/// Panics where an answer is wrong.
pub fn judge(request: &Request, input: &[u8], outcome: Result<&[u8], Refusal>) {
    let reply = match outcome {
        Ok(reply) => reply,
        Err(refusal) => return refused(request, input, refusal),
    };
    let length = input.len();
    match request {
        Request::Key(own) => key(input, own, &Key::decode(reply, length).expect("a key")),
        Request::Ring => ring(input, &Ring::decode(reply, length).expect("a ring")),
        Request::Signature => {
            let found = Detached::decode(reply, length).expect("signatures");
            let bodies: Vec<_> = found.signatures.map(|it| (2, it.object.body)).collect();
            found.signatures.for_each(|it| signature(input, it));
            told(&packets(input), &bodies, found.skipped);
        }
        Request::Message => message(input, &Message::decode(reply, length).expect("a message")),
        Request::Cleartext => {
            cleartext(input, Cleartext::decode(reply, length).expect("cleartext"));
        }
        Request::Armor => armor(input, &Armor::decode(reply, length).expect("armor")),
        Request::Rpm => {
            let rpm = Rpm::decode(reply, length).expect("headers");
            rpm.tags().for_each(|it| tag(input, it));
        }
    }
}

/// There is a reason for some refusals that is easily seen.
fn refused(request: &Request, input: &[u8], refusal: Refusal) {
    assert_ne!(refusal, Refusal::NoRoom);
    let first_tag = |first: u8| match first {
        0xc0.. => first & 0x3f,
        _ => first >> 2 & 0xf,
    };
    let is_packet = |tags: &[u8]| {
        let first = input.first();
        first.is_some_and(|first| first & 0x80 != 0 && tags.contains(&first_tag(*first)))
    };
    if refusal == Refusal::NotMine {
        match request {
            Request::Key(_) | Request::Ring => assert!(!is_packet(&[6])),
            Request::Signature => assert!(!is_packet(&[2])),
            Request::Message => assert!(!is_packet(&[2, 4])),
            Request::Rpm => assert!(!input.starts_with(b"\x8e\xad\xe8\x01")),
            Request::Cleartext => {
                assert!(!input.starts_with(b"-----BEGIN PGP SIGNED MESSAGE-----\n"));
            }
            Request::Armor => assert!(!input.starts_with(b"-----BEGIN PGP SIGNATURE-----\n")),
        }
    }
}

/// The packets' tags and bodies, but for those that may be ignored. All are sound, as somebody has
/// said, and of definite lengths.
pub fn packets(input: &[u8]) -> Vec<(u8, Place)> {
    let mut packets = Vec::new();
    let mut at = 0;
    while at < input.len() {
        let big = |from: usize, count: usize| {
            let bytes = &input[from..from + count];
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
        };
        let first = input[at];
        assert!(first & 0x80 != 0);
        let (tag, header, length) = if first & 0x40 != 0 {
            let (header, length) = match input[at + 1] {
                short @ 0..=191 => (2, usize::from(short)),
                192..=223 => (3, big(at + 1, 2) - (192 << 8) + 192),
                255 => (6, big(at + 2, 4)),
                partial => panic!("a length of {partial:#x}"),
            };
            (first & 0x3f, header, length)
        } else {
            let count = [1, 2, 4][usize::from(first & 3)];
            (first >> 2 & 0xf, 1 + count, big(at + 1, count))
        };
        at += header;
        if !matches!(tag, 10 | 12 | 21 | 40..) {
            let body = Place {
                at: at as u32,
                len: length as u32,
            };
            packets.push((tag, body));
        }
        at += length;
    }
    assert_eq!(at, input.len());
    packets
}

/// All that is told of is a packet, and all packets are told of or counted.
fn told(packets: &[(u8, Place)], told: &[(u8, Place)], skipped: Skipped) {
    for it in told {
        assert!(packets.contains(it), "{it:?} is no packet");
    }
    let sum = skipped.foreign + skipped.unsupported + skipped.invalid;
    assert_eq!(packets.len(), told.len() + sum as usize);
}

fn key(input: &[u8], own: &Fingerprint, key: &Key<'_>) {
    object(input, key.primary, true);
    let mut bodies = vec![(6, key.primary.body)];
    assert_eq!(packets(input).first(), bodies.first());
    let signatures = |list: pgp_proto::Signatures<'_>, kinds: &[u8]| {
        let mut bodies = Vec::new();
        for it in list {
            signature(input, it);
            let kind = kind(input, it.object.body);
            assert!(kinds.contains(&kind) || matches!(kind, 0x1f | 0x20 | 0x28));
            bodies.push((2, it.object.body));
            // One that names one issuer names this.
            if let Some(name) = it.issuer.and_then(|issuer| issuer.of(input)) {
                let is_own = name == own.as_bytes() || name == own.key_id();
                assert!(is_own || names(input, it.object.body).len() > 1);
            }
        }
        bodies
    };
    bodies.extend(signatures(key.direct, &[0x1f, 0x20]));
    for Component {
        subject,
        signatures: list,
    } in key.components
    {
        match subject {
            Subject::UserId(body) => {
                bodies.push((13, body));
                bodies.extend(signatures(list, &[0x10, 0x11, 0x12, 0x13, 0x30]));
            }
            Subject::Subkey(subkey) => {
                object(input, subkey, true);
                bodies.push((14, subkey.body));
                bodies.extend(signatures(list, &[0x18, 0x28]));
            }
        }
    }
    told(&packets(input), &bodies, key.skipped);
}

/// A signature's type.
fn kind(input: &[u8], body: Place) -> u8 {
    let body = body.of(input).expect("inside");
    body[if body[0] == 3 { 2 } else { 1 }]
}

/// A body that is as it should be at the places that are fixed, and whose numbers fill its end.
/// Behind those of a signature may be more.
fn object(input: &[u8], object: Object, is_key: bool) {
    let body = object.body.of(input).expect("inside");
    let is_lax = !is_key && body[0] != 6;
    assert!(matches!(body[0], 4 | 6) || body[0] == 3 && is_lax);
    match is_lax {
        true => assert!(object.parts.whole().end() <= object.body.end()),
        false => assert_eq!(object.parts.whole().end(), object.body.end()),
    }
    let algorithm = body[match (is_key, body[0]) {
        (true, _) => 5,
        (false, 3) => 15,
        (false, _) => 2,
    }];
    let integers: &[usize] = match (is_key, algorithm) {
        (true, 1..=3) => &[0, 1],
        (true, 16) => &[0, 1, 2],
        (true, 17) => &[0, 1, 2, 3],
        (true, 18 | 19 | 22) => &[1],
        (false, 1 | 3) => &[0],
        (false, 17 | 19 | 22) => &[0, 1],
        (_, 25..=28) => &[],
        other => panic!("algorithm {other:?}"),
    };
    for number in integers {
        let part = object.parts.get(*number, input).expect("a part");
        let bits = usize::from(part[0]) << 8 | usize::from(part[1]);
        assert_eq!(part.len(), 2 + bits.div_ceil(8));
        assert!(part[2..].iter().any(|byte| *byte != 0));
        assert!(is_lax || part[2].ilog2() as usize == (bits - 1) % 8);
    }
    if is_key {
        let begin = if body[0] == 6 { 10 } else { 6 };
        assert_eq!(object.parts.at, object.body.at + begin);
    }
}

/// Where the subpackets of a signature are.
fn areas(input: &[u8], body: Place) -> [Place; 2] {
    let bytes = body.of(input).expect("inside");
    if bytes[0] == 3 {
        // Its key id, which has no subpacket around it.
        let at = body.at + 7;
        return [Place { at, len: 8 }, Place { at, len: 0 }];
    }
    let wide = bytes[0] == 6;
    let number = |at: usize| {
        let bytes = &bytes[at..at + if wide { 4 } else { 2 }];
        bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
    };
    let width = if wide { 4 } else { 2 };
    let hashed = number(4);
    let at = 4 + width + hashed;
    let unhashed = number(at as usize);
    [(4 + width, hashed), (at + width, unhashed)].map(|(at, len)| Place {
        at: body.at + at,
        len,
    })
}

/// The issuers that a signature names.
fn names(input: &[u8], body: Place) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    let [first, second] = areas(input, body);
    if input[body.at as usize] == 3 {
        return vec![first.of(input).expect("inside").to_vec()];
    }
    for area in [first, second] {
        let mut bytes = area.of(input).expect("inside");
        while let Some(first) = bytes.first() {
            let byte = |at: usize| usize::from(bytes.get(at).copied().unwrap_or(0));
            let (header, length) = match *first {
                short @ 0..=191 => (1, usize::from(short)),
                255 => (5, (1..5).fold(0, |sum, at| sum << 8 | byte(at))),
                high => (2, ((usize::from(high) - 192) << 8) + byte(1) + 192),
            };
            let rest = bytes.get(header..).unwrap_or_default();
            let Some((subpacket, rest)) = rest.split_at_checked(length).filter(|_| length > 0)
            else {
                // Only what nobody has signed may be broken.
                assert_eq!(area, second);
                break;
            };
            let name = match subpacket {
                [16 | 0x90, name @ ..] if name.len() == 8 => name,
                [33 | 0xa1, 4, name @ ..] if name.len() == 20 => name,
                [33 | 0xa1, 6, name @ ..] if name.len() == 32 => name,
                _ => &[],
            };
            if !name.is_empty() && !names.contains(&name.to_vec()) {
                names.push(name.to_vec());
            }
            bytes = rest;
        }
    }
    names
}

fn signature(input: &[u8], signature: Signature) {
    let body = signature.object.body;
    object(input, signature.object, false);
    let areas = areas(input, body);
    let is_in_one = |place: Place| areas.iter().any(|area| place.is_within(*area));
    if let Some(issuer) = signature.issuer {
        assert!(is_in_one(issuer));
        let name = issuer.of(input).expect("inside").to_vec();
        assert!(names(input, body).contains(&name));
    }
    if let Some(back) = signature.back {
        assert!(is_in_one(back.body));
        object(input, back, false);
    }
}

fn ring(input: &[u8], ring: &Ring<'_>) {
    // Only what is ignored is before the first key.
    let mut end = ring.keys().next().map_or(0, |first| first.at);
    assert_eq!(packets(&input[..end as usize]), []);
    for key in ring.keys() {
        // Ring by ring, nothing is left out between two keys.
        assert_eq!(key.at, end);
        end = key.end();
        let packets = packets(key.of(input).expect("inside"));
        let mut tags = packets.iter().map(|(tag, _)| *tag);
        assert_eq!(tags.next(), Some(6));
        assert!(tags.all(|tag| tag != 6));
    }
}

fn message(input: &[u8], message: &Message<'_>) {
    let packets = packets(input);
    let literals = packets.iter().filter(|(tag, _)| *tag == 11);
    let literals: Vec<_> = literals.map(|(_, body)| *body).collect();
    let [literal] = literals[..] else {
        panic!("{} texts", literals.len())
    };
    assert_eq!(message.literal.data.end(), literal.end());
    let head = &literal.of(input).expect("inside")[..2];
    assert_eq!(head[0], message.literal.format);
    let before = 6 + u32::from(head[1]);
    assert_eq!(message.literal.data.at, literal.at + before);
    let bodies: Vec<_> = message.signatures.map(|it| (2, it.object.body)).collect();
    message.signatures.for_each(|it| signature(input, it));
    let signatures: Vec<_> = packets.into_iter().filter(|(tag, _)| *tag == 2).collect();
    told(&signatures, &bodies, message.skipped);
}

/// The message put together again.
fn cleartext(input: &[u8], message: Cleartext) {
    let of = |place: Place| std::str::from_utf8(place.of(input).expect("inside"));
    // Text is not of any encoding; what is told of it has to be.
    if let (Ok(hashes), Ok(text), Ok(signature)) =
        (of(message.hashes), of(message.text), of(message.signature))
    {
        assert!(hashes.lines().all(|line| line.starts_with("Hash: ")));
        let mut lines = text.split('\n');
        assert!(lines.all(|line| !line.starts_with('-') || line.starts_with("- ")));
        assert!(signature.starts_with("-----BEGIN PGP SIGNATURE-----"));
        assert!(
            signature
                .trim_end()
                .ends_with("-----END PGP SIGNATURE-----")
        );
        let before = &input[..message.hashes.at as usize];
        assert_eq!(
            before.trim_ascii_end(),
            b"-----BEGIN PGP SIGNED MESSAGE-----"
        );
        let gap = |from: Place, to: Place| &input[from.end() as usize..to.at as usize];
        assert!(gap(message.hashes, message.text).trim_ascii().is_empty());
        assert!(matches!(
            gap(message.text, message.signature),
            b"" | b"\n" | b"\r\n"
        ));
        let behind = &input[message.signature.end() as usize..];
        assert!(behind.trim_ascii().is_empty());
    }
}

fn armor(input: &[u8], armor: &Armor<'_>) {
    let text = &input[..armor.end as usize];
    let name = armor.block.name().as_bytes();
    let end = [b"-----END ", name, b"-----"].concat();
    assert!(text.trim_ascii_end().ends_with(&end));
    assert!(Block::ALL.contains(&armor.block));
    // All characters of six bits, from the end: as many as these bytes need are before the checksum.
    let body = &text.trim_ascii_end()[..text.trim_ascii_end().len() - end.len()];
    let characters = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
    let count = body.iter().rev().filter(characters).count();
    assert!(armor.binary.len() * 4 <= count * 3);
}

fn tag(input: &[u8], tag: Tag) {
    let word = |at: usize| u32::from_be_bytes(input[at..at + 4].try_into().unwrap()) as usize;
    let end = |at: usize| at + 16 + 16 * word(at + 8) + word(at + 12);
    let at = match tag.header {
        Header::Signature => 0,
        Header::Main => end(0).next_multiple_of(8),
    };
    assert_eq!(input[at..at + 4], pgp_proto::rpm::MAGIC);
    let index = at + 16 + 16 * tag.index as usize;
    let data = at + 16 + 16 * word(at + 8);
    assert_eq!(word(index), tag.tag as usize);
    assert_eq!(tag.value.at as usize, data + word(index + 8));
    assert!(tag.value.end() as usize <= end(at));
    let value = tag.value.of(input).expect("inside");
    let count = word(index + 12);
    match word(index + 4) {
        6 | 8 | 9 => {
            assert_eq!(value.iter().filter(|byte| **byte == 0).count(), count - 1);
            assert_eq!(input[tag.value.end() as usize], 0);
        }
        kind => assert_eq!(value.len(), count * [0, 1, 1, 2, 4, 8, 0, 1][kind]),
    }
}
