// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys.

use crate::packets::{Made, OWN, ask, integer, key, length, packet, small};
use pgp_proto::{
    Component, ENTRIES_MAX, Fingerprint, Key, Refusal, Request, Signature, Skipped, Subject,
};
use proptest::prelude::*;

const ASK: Request = Request::Key(OWN);
const OTHER: Fingerprint = Fingerprint::V4([8; 20]);

/// What is told of a key, shortly: `P` for the primary key, `U` and `S` for user ids and subkeys, a
/// signature's type for each signature; and how much is skipped for each reason.
fn told(input: &[u8]) -> Result<(String, [u32; 3]), Refusal> {
    let reply = ask(&ASK, input)?;
    let key = Key::decode(&reply, input.len()).unwrap();
    let kind = |it: Signature| {
        let body = &input[it.object.body.at as usize..];
        format!(" {:x}", body[if body[0] == 3 { 2 } else { 1 }])
    };
    let mut text = String::from("P");
    text.extend(key.direct.map(kind));
    for Component {
        subject,
        signatures,
    } in key.components
    {
        text += match subject {
            Subject::UserId(_) => " U",
            Subject::Subkey(_) => " S",
        };
        text.extend(signatures.map(kind));
    }
    let Skipped {
        foreign,
        unsupported,
        invalid,
    } = key.skipped;
    Ok((text, [foreign, unsupported, invalid]))
}

fn is(text: &str, skipped: [u32; 3]) -> Result<(String, [u32; 3]), Refusal> {
    Ok((text.to_owned(), skipped))
}

#[test]
fn all_parts_are_told_of_in_order() {
    let all = "P 1f U 13 13 U 10 30 S 18 S 18 28";
    assert_eq!(told(&small()), is(all, [0; 3]));
}

#[test]
fn keys_of_every_algorithm_are_read() {
    for version in [4, 6] {
        for algorithm in 0..=255 {
            let input = packet(6, &key(version, algorithm));
            let expected = match algorithm {
                1..=3 | 16..=19 | 22 | 25..=28 => is("P", [0; 3]),
                _ => Err(Refusal::Unsupported),
            };
            assert_eq!(told(&input), expected, "{version} {algorithm}");
            let subkey = [packet(6, &key(4, 1)), packet(14, &key(version, algorithm))].concat();
            let expected = expected.map(|_| ("P S".to_owned(), [0; 3]));
            let expected = expected.or_else(|_| is("P", [0, 1, 0]));
            assert_eq!(told(&subkey), expected, "{version} {algorithm}");
        }
    }
}

#[test]
fn keys_of_other_versions_are_not_read() {
    for version in (0..=255).filter(|version| !matches!(version, 4 | 6)) {
        let input = packet(6, &key(version, 1));
        assert_eq!(told(&input), Err(Refusal::Unsupported), "{version}");
    }
}

#[test]
fn signatures_of_every_algorithm_are_read() {
    let before = [packet(6, &key(4, 1)), packet(13, b"me")].concat();
    for version in 0..=255 {
        for algorithm in [
            0, 1, 2, 3, 16, 17, 18, 19, 20, 21, 22, 25, 26, 27, 28, 29, 255,
        ] {
            let made = Made {
                version,
                algorithm,
                ..Made::new(0x13)
            };
            let input = [before.clone(), made.packet()].concat();
            let expected = match (version, algorithm) {
                (3 | 4 | 6, 1 | 3 | 17 | 19 | 22 | 27 | 28) => is("P U 13", [0; 3]),
                _ => is("P U", [0, 1, 0]),
            };
            assert_eq!(told(&input), expected, "{version} {algorithm}");
        }
    }
}

#[test]
fn a_signature_is_about_what_it_can_be_about() {
    for kind in 0..=255 {
        let signature = Made::new(kind).packet();
        let mut input = packet(6, &key(4, 1));
        let mut expect = |more: Vec<u8>, text: &str, kinds: &[u8]| {
            input = [input.clone(), more, signature.clone()].concat();
            let counted = told(&input).unwrap();
            let text = text.to_owned();
            // About the key itself a signature may be anywhere, and a subkey's revocation too.
            if kinds.contains(&kind) || matches!(kind, 0x1f | 0x20 | 0x28) {
                assert!(
                    counted.0.ends_with(&format!("{text} {kind:x}")),
                    "{counted:?}"
                );
            } else {
                assert!(counted.0.ends_with(&text), "{counted:?}");
                assert!(counted.1[2] > 0);
            }
        };
        expect(vec![], "P", &[]);
        expect(packet(13, b"me"), "U", &[0x10, 0x11, 0x12, 0x13, 0x30]);
        expect(packet(14, &key(4, 1)), "S", &[0x18, 0x28]);
    }
    // Behind what is skipped it stands with what is before that.
    let photo = [
        packet(6, &key(4, 1)),
        packet(13, b"me"),
        packet(17, &[9; 50]),
    ]
    .concat();
    for (kind, expected) in [
        (0x20, is("P U 20", [0, 1, 0])),
        (0x1f, is("P U 1f", [0, 1, 0])),
        (0x13, is("P U", [0, 2, 0])),
    ] {
        let input = [photo.clone(), Made::new(kind).packet()].concat();
        assert_eq!(told(&input), expected);
    }
}

#[test]
fn a_signature_of_version_3_names_its_maker() {
    let before = [packet(6, &key(4, 1)), packet(13, b"me")].concat();
    let v3 = Made {
        version: 3,
        ..Made::new(0x13)
    };
    let with = |body: &[u8]| told(&[before.clone(), packet(2, body)].concat());
    assert_eq!(with(&v3.body()), is("P U 13", [0; 3]));
    assert_eq!(with(&v3.clone().by(&OTHER).body()), is("P U", [1, 0, 0]));
    let mut other = v3.body();
    // More is hashed than there is.
    other[1] = 6;
    assert_eq!(with(&other), is("P U", [0, 0, 1]));
    for length in 0..v3.body().len() {
        assert_eq!(with(&v3.body()[..length]), is("P U", [0, 0, 1]), "{length}");
    }
    let input = [before.clone(), v3.at(77).packet()].concat();
    let reply = ask(&ASK, &input).unwrap();
    let mut components = Key::decode(&reply, input.len()).unwrap().components;
    let signature = components.next().unwrap().signatures.next().unwrap();
    assert_eq!(signature.created, 77);
    assert_eq!(
        signature.issuer.unwrap().of(&input),
        Some(&OWN.key_id()[..])
    );
}

#[test]
fn what_nobody_has_signed_may_be_written_badly() {
    let before = [packet(6, &key(4, 1)), packet(13, b"me")].concat();
    let with = |body: &[u8]| told(&[before.clone(), packet(2, body)].concat());
    let good = Made::new(0x13).body();
    let number = integer(2046);
    let front = &good[..good.len() - number.len()];
    assert_eq!(with(&good), is("P U 13", [0; 3]));
    for numbers in [
        // A count of bits that is too high, zeros in front, and something behind.
        [&[8, 0][..], &number[2..]].concat(),
        [&[8, 8, 0][..], &number[2..]].concat(),
        [&number[..], b"more"].concat(),
    ] {
        assert_eq!(with(&[front, &numbers].concat()), is("P U 13", [0; 3]));
    }
    // Of version 6 there is one way to write it.
    let v6 = Made {
        version: 6,
        ..Made::new(0x13)
    };
    let v6 = v6.body();
    let front_of_v6 = &v6[..v6.len() - number.len()];
    assert_eq!(with(&v6), is("P U 13", [0; 3]));
    for numbers in [
        [&[8, 0][..], &number[2..]].concat(),
        [&[8, 8, 0][..], &number[2..]].concat(),
        [&number[..], b"more"].concat(),
    ] {
        assert_eq!(
            with(&[front_of_v6, &numbers].concat()),
            is("P U", [0, 0, 1])
        );
    }
    for numbers in [&[0, 0][..], &[0, 8, 0], &[0, 9, 1]] {
        assert_eq!(with(&[front, numbers].concat()), is("P U", [0, 0, 1]));
    }
    // The area that is not signed: a subpacket that is longer than it, and one without a type.
    for subpacket in [200, 0] {
        let mut body = good.clone();
        let at = front.len() - 2 - 10;
        assert_eq!(body[at..at + 2], [9, 16]);
        body[at] = subpacket;
        assert_eq!(with(&body), is("P U 13", [0; 3]));
    }
}

#[test]
fn only_signatures_of_the_keys_own_are_told_of() {
    let before = [packet(6, &key(4, 1)), packet(13, b"me")].concat();
    let key_id = |it: &Fingerprint| it.key_id().to_vec();
    let none = Made {
        hashed: vec![],
        unhashed: vec![],
        ..Made::new(0x13)
    };
    let by_id = |it| none.clone().unhashed(16, &key_id(it));
    let v6 = Fingerprint::V6([9; 32]);
    for (made, is_told) in [
        (Made::new(0x13), true),
        (Made::new(0x13).by(&OTHER), false),
        (none.clone(), true),
        (by_id(&OWN), true),
        (by_id(&OTHER), false),
        (by_id(&OTHER).unhashed(16, &key_id(&OWN)), true),
        (by_id(&OTHER).hashed(16, &key_id(&OWN)), true),
        (none.clone().hashed(0x80 | 16, &key_id(&OTHER)), false),
        (none.clone().by_fingerprint(&OWN), true),
        (by_id(&OTHER).by_fingerprint(&OWN), true),
        (by_id(&OTHER).by_fingerprint(&OTHER), false),
        // What is no name names nobody.
        (none.clone().hashed(16, &[8; 7]), true),
        (none.clone().hashed(33, &[4; 20]), true),
        (none.clone().hashed(33, &[5; 21]), true),
        (none.clone().hashed(33, &[4; 33]), true),
        (none.clone().hashed(33, &[6; 33]), false),
        (none.clone().by_fingerprint(&v6), false),
    ] {
        let input = [before.clone(), made.packet()].concat();
        let expected = match is_told {
            true => is("P U 13", [0; 3]),
            false => is("P U", [1, 0, 0]),
        };
        assert_eq!(
            told(&input),
            expected,
            "{:?} {:?}",
            made.hashed,
            made.unhashed
        );
    }
}

impl Made {
    fn by_fingerprint(self, fingerprint: &Fingerprint) -> Self {
        let version = [fingerprint.version()];
        self.hashed(33, &[&version[..], fingerprint.as_bytes()].concat())
    }
}

/// The first signature that is told of.
fn first(made: &Made) -> Signature {
    let input = [packet(6, &key(4, 1)), packet(14, &key(4, 1)), made.packet()].concat();
    let reply = ask(&ASK, &input).unwrap();
    let mut components = Key::decode(&reply, input.len()).unwrap().components;
    let mut signature = components.next().unwrap().signatures.next().unwrap();
    // From its own begin.
    let begin = signature.object.body.at;
    for object in [&mut signature.object]
        .into_iter()
        .chain(&mut signature.back)
    {
        object.body.at -= begin;
        object.parts.at -= begin;
    }
    if let Some(issuer) = &mut signature.issuer {
        issuer.at -= begin;
    }
    signature
}

#[test]
fn hints_are_the_hashed_ones() {
    let none = Made {
        hashed: vec![],
        unhashed: vec![],
        ..Made::new(0x18)
    };
    assert_eq!((first(&none).created, first(&none).is_primary), (0, false));
    let time = 0x0102_0304_u32.to_be_bytes();
    assert_eq!(first(&none.clone().hashed(2, &time)).created, 0x0102_0304);
    assert_eq!(
        first(&none.clone().hashed(0x82, &time)).created,
        0x0102_0304
    );
    assert_eq!(first(&none.clone().hashed(2, &time[..3])).created, 0);
    assert_eq!(first(&none.clone().unhashed(2, &time)).created, 0);
    assert!(first(&none.clone().hashed(25, &[1])).is_primary);
    assert!(!first(&none.clone().hashed(25, &[0])).is_primary);
    assert!(!first(&none.clone().unhashed(25, &[1])).is_primary);
}

#[test]
fn a_fingerprint_tells_more_than_a_key_id() {
    let issuer = |made: &Made| first(made).issuer.map(|place| place.len);
    let none = Made {
        hashed: vec![],
        unhashed: vec![],
        ..Made::new(0x18)
    };
    let by_id = none.clone().hashed(16, &OWN.key_id());
    assert_eq!(issuer(&none), None);
    assert_eq!(issuer(&by_id), Some(8));
    assert_eq!(issuer(&by_id.clone().by_fingerprint(&OWN)), Some(20));
    assert_eq!(issuer(&Made::new(0x18)), Some(20));
    let v6 = Request::Key(Fingerprint::V6([3; 32]));
    let made = none.by_fingerprint(&Fingerprint::V6([3; 32]));
    let input = [packet(6, &key(6, 27)), made.packet()].concat();
    assert!(ask(&v6, &input).is_ok());
}

#[test]
fn the_subkeys_own_signature_is_found_in_its_binding() {
    let back = Made::new(0x19).body();
    let place = |made: &Made| first(made).back.map(|back| back.body.len as usize);
    let plain = Made::new(0x18);
    assert_eq!(place(&plain), None);
    assert_eq!(place(&plain.clone().hashed(32, &back)), Some(back.len()));
    assert_eq!(place(&plain.clone().unhashed(32, &back)), Some(back.len()));
    // One that cannot be read does not hide another, and is no reason to refuse the binding.
    let cut = &back[..back.len() - 1];
    assert_eq!(place(&plain.clone().hashed(32, cut)), None);
    assert_eq!(
        place(&plain.clone().hashed(32, cut).unhashed(32, &back)),
        Some(back.len())
    );
    assert_eq!(
        place(&Made {
            kind: 0x28,
            ..plain.hashed(32, &back)
        }),
        None
    );
}

#[test]
fn subpackets_fill_their_area() {
    let body = Made::new(0x13).body();
    let before = [packet(6, &key(4, 1)), packet(13, b"me")].concat();
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut body = body.clone();
        change(&mut body);
        told(&[before.clone(), packet(2, &body)].concat())
    };
    let broken = is("P U", [0, 0, 1]);
    assert_eq!(with(&|_| {}), is("P U 13", [0; 3]));
    // The first subpacket: five bytes at offset 6.
    assert_eq!(with(&|body| body[6] = 0), broken);
    assert_eq!(with(&|body| body[6] = 100), broken);
    assert_eq!(with(&|body| body[6] = 192), broken);
    assert_eq!(with(&|body| body[6] = 255), broken);
    // The areas: behind the body's end, and one into the other.
    assert_eq!(with(&|body| body[4] = 255), broken);
    assert_eq!(with(&|body| body[5] -= 1), broken);
    assert_eq!(with(&|body| body.truncate(5)), broken);
}

#[test]
fn numbers_are_canonical_and_fill_the_body() {
    let broken = Err(Refusal::Invalid);
    let with = |material: &[u8]| told(&packet(6, &[&key(4, 1)[..6], material].concat()));
    let (n, e) = (integer(1024), integer(17));
    assert_eq!(with(&[&n[..], &e].concat()), is("P", [0; 3]));
    assert_eq!(with(&[&n[..], &e, &[0]].concat()), broken);
    assert_eq!(with(&[&n[..], &e[..4]].concat()), broken);
    assert_eq!(with(&n), broken);
    // No bits; one bit too many, and too few; leading zeros.
    assert_eq!(with(&[&n[..], &[0, 0]].concat()), broken);
    assert_eq!(with(&[&n[..], &[0, 18, 1, 0, 1]].concat()), broken);
    assert_eq!(with(&[&n[..], &[0, 17, 3, 0, 1]].concat()), broken);
    assert_eq!(with(&[&n[..], &[0, 24, 0, 0, 1]].concat()), broken);
    assert_eq!(with(&[&n[..], &[0, 16, 0, 1]].concat()), broken);
    assert_eq!(with(&[&n[..], &[0, 1, 1]].concat()), is("P", [0; 3]));
    // The longest number.
    assert_eq!(
        with(&[&integer(u16::MAX)[..], &e].concat()),
        is("P", [0; 3])
    );
    // Version 6 says how long it all is.
    let v6 = key(6, 27);
    for wrong in [0, 31, 33] {
        let mut body = v6.clone();
        body[9] = wrong;
        assert_eq!(told(&packet(6, &body)), broken);
    }
    // A curve has a name, of a length that is not reserved.
    for wrong in [0, 255] {
        let body = [&key(4, 22)[..6], &[wrong], &[1; 255], &integer(263)].concat();
        assert_eq!(told(&packet(6, &body)), broken);
    }
}

#[test]
fn what_is_broken_is_left_out_and_counted() {
    let broken_key = &key(4, 1)[..20];
    let input = [
        packet(6, &key(4, 1)),
        packet(13, b"me"),
        packet(2, &[4, 0x13]),
        packet(2, &[]),
        // A photo, and signatures of it.
        packet(17, &[9; 500]),
        Made::new(0x13).packet(),
        Made::new(0x13).by(&OTHER).packet(),
        packet(14, broken_key),
        Made::new(0x18).packet(),
        packet(14, &key(4, 1)),
        Made::new(0x18).packet(),
    ];
    assert_eq!(told(&input.concat()), is("P U S 18", [1, 3, 3]));
}

#[test]
fn packets_without_a_meaning_are_passed_over() {
    let mut input = packet(6, &key(4, 1));
    for tag in [10, 12, 21].into_iter().chain(40..64) {
        input.extend(packet(tag, b"PGP"));
    }
    input.extend(packet(13, b"me"));
    assert_eq!(told(&input), is("P U", [0; 3]));
}

#[test]
fn packets_with_a_meaning_elsewhere_are_refused() {
    for tag in 0..40 {
        let input = [packet(6, &key(4, 1)), packet(tag, b"?")].concat();
        let expected = match tag {
            8 => Err(Refusal::Compressed),
            6 => Err(Refusal::Several),
            0 | 4 | 11 => Err(Refusal::Invalid),
            2 => is("P", [0, 1, 0]),
            10 | 12 | 21 => is("P", [0; 3]),
            13 => is("P U", [0; 3]),
            14 | 17 => is("P", [0, 1, 0]),
            _ => Err(Refusal::Unsupported),
        };
        assert_eq!(told(&input), expected, "{tag}");
    }
}

#[test]
fn a_key_begins_with_its_primary_key() {
    assert_eq!(told(b""), Err(Refusal::NotMine));
    assert_eq!(
        told(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n"),
        Err(Refusal::NotMine)
    );
    for tag in [2, 4, 11, 13, 14, 17] {
        let input = [packet(tag, &key(4, 1)), packet(6, &key(4, 1))].concat();
        assert_eq!(told(&input), Err(Refusal::NotMine), "{tag}");
    }
    // What readers ignore they ignore in front as well.
    for tag in [10, 12, 21, 40] {
        let input = [packet(tag, b"PGP"), packet(6, &key(4, 1))].concat();
        assert_eq!(told(&input), is("P", [0; 3]), "{tag}");
        assert_eq!(told(&packet(tag, b"PGP")), Err(Refusal::NotMine), "{tag}");
    }
    // A secret key.
    assert_eq!(told(&packet(5, &key(4, 1))), Err(Refusal::Unsupported));
    assert_eq!(told(&packet(8, b"")), Err(Refusal::Compressed));
}

#[test]
fn headers_of_all_forms_are_read() {
    let body = key(4, 1);
    let count = body.len() as u32;
    let short = key(4, 27);
    let heads = [
        [&[0xc6, 255][..], &count.to_be_bytes(), &body].concat(),
        [&[0xc6][..], &length(body.len()), &body].concat(),
        [&[0xc6, short.len() as u8][..], &short].concat(),
        [&[0x98, short.len() as u8][..], &short].concat(),
        [&[0x99][..], &(count as u16).to_be_bytes(), &body].concat(),
        [&[0x9a][..], &count.to_be_bytes(), &body].concat(),
    ];
    for head in heads {
        let input = [head, packet(13, b"me")].concat();
        assert_eq!(told(&input), is("P U", [0; 3]), "{:x?}", &input[..6]);
    }
    for partial in 224..255 {
        let input = [&[0xc6, partial][..], &[0; 600]].concat();
        assert_eq!(told(&input), Err(Refusal::Partial), "{partial}");
    }
    assert_eq!(told(&[&[0x9b][..], &body].concat()), Err(Refusal::Partial));
}

#[test]
fn lengths_beyond_the_end_are_refused() {
    for head in [
        &[0xc6, 9][..],
        &[0xc6, 255, 255, 255, 255, 255],
        &[0x9a, 255, 255, 255, 255],
    ] {
        assert_eq!(told(&[head, &[4; 8]].concat()), Err(Refusal::Cut));
    }
    for cut in [
        &[0xc6][..],
        &[0xc6, 192],
        &[0xc6, 255, 0, 0, 0],
        &[0x99, 0],
        &[0x9a, 0, 0, 0],
    ] {
        assert_eq!(told(cut), Err(Refusal::Cut), "{cut:x?}");
    }
}

#[test]
fn there_is_an_end_to_what_is_told() {
    let user_ids = |count: usize| {
        let more = packet(13, b"me").repeat(count);
        [packet(6, &key(4, 1)), more].concat()
    };
    assert!(told(&user_ids(ENTRIES_MAX - 1)).is_ok());
    assert_eq!(told(&user_ids(ENTRIES_MAX)), Err(Refusal::TooMany));
    // What is not told of costs nothing.
    let foreign = Made::new(0x13).by(&OTHER).packet().repeat(2 * ENTRIES_MAX);
    let input = [user_ids(1), foreign].concat();
    assert_eq!(told(&input), is("P U", [2 * ENTRIES_MAX as u32, 0, 0]));
}

#[test]
fn every_truncation_is_a_smaller_key_or_refused() {
    let input = small();
    let whole = told(&input).unwrap().0;
    let mut smaller = 0;
    for length in 0..input.len() {
        if let Ok((text, skipped)) = told(&input[..length]) {
            assert!(whole.starts_with(&text));
            assert_eq!(skipped, [0; 3]);
            smaller += 1;
        }
    }
    // One at the begin of each packet but the first.
    assert_eq!(smaller, 12);
}

proptest! {
    #[test]
    fn any_change_is_judged(at: proptest::sample::Index, byte: u8) {
        let mut input = small();
        let at = at.index(input.len());
        input[at] = byte;
        let _ = told(&input);
    }

    #[test]
    fn any_packets_are_judged(packets in proptest::collection::vec((0_u8..64, proptest::collection::vec(any::<u8>(), 0..40)), 0..8)) {
        let packets = packets.iter().flat_map(|(tag, body)| packet(*tag, body));
        let input: Vec<_> = packet(6, &key(4, 1)).into_iter().chain(packets).collect();
        let _ = told(&input);
    }
}
