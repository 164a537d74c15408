// SPDX-License-Identifier: MIT OR Apache-2.0
//! Replies as handlers write them, and as none should.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

use super::*;
use crate::rpm::{Header, Tag};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use std::vec::Vec;

/// Of the caller's bytes in these tests.
const LENGTH: usize = 1 << 20;

const fn place(at: u32, len: u32) -> Place {
    Place { at, len }
}

const fn object(at: u32, len: u32, lens: [u16; PARTS_MAX]) -> Object {
    let parts = Parts { at: at + 6, lens };
    Object {
        body: place(at, len),
        parts,
    }
}

const PRIMARY: Entry = Entry::Primary(object(2, 40, [10, 12, 0, 0]));
const SIGNATURE: Signature = Signature {
    object: object(100, 60, [9, 0, 0, 0]),
    created: 0x0403_0201,
    is_primary: true,
    issuer: Some(place(120, 8)),
    back: Some(object(130, 20, [1, 2, 3, 4])),
};

fn list(entries: &[Entry]) -> Vec<u8> {
    let skipped = Skipped {
        foreign: 1,
        unsupported: 2,
        invalid: 3,
    };
    let mut bytes = List::encode_header(entries.len() as u32, skipped).to_vec();
    for entry in entries {
        bytes.extend(entry.encode());
    }
    bytes
}

/// The same signature, further behind.
fn moved(signature: Signature, by: u32) -> Signature {
    let object = |mut object: Object| {
        object.body.at += by;
        object.parts.at += by;
        object
    };
    Signature {
        object: object(signature.object),
        issuer: signature
            .issuer
            .map(|issuer| place(issuer.at + by, issuer.len)),
        back: signature.back.map(object),
        ..signature
    }
}

#[test]
fn layout_is_pinned() {
    let mut expected = std::vec![4, 1, 0, 0, 1, 2, 3, 4];
    expected.extend([
        100, 0, 0, 0, 60, 0, 0, 0, 106, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0,
    ]);
    expected.extend([120, 0, 0, 0, 8, 0, 0, 0]);
    expected.extend([
        130, 0, 0, 0, 20, 0, 0, 0, 136, 0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0,
    ]);
    assert_eq!(Entry::Signature(SIGNATURE).encode().to_vec(), expected);
    assert_eq!(
        list(&[])[..],
        [0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]
    );
    assert_eq!(
        Entry::UserId(place(1, 2)).encode()[..16],
        [2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]
    );
    assert_eq!(
        (
            PRIMARY.encode()[0],
            Entry::Subkey(SIGNATURE.object).encode()[0]
        ),
        (1, 3)
    );
}

#[test]
fn a_key_is_read_thing_by_thing() {
    let entries = [
        PRIMARY,
        Entry::Signature(moved(SIGNATURE, 0)),
        Entry::UserId(place(200, 5)),
        Entry::Signature(moved(SIGNATURE, 200)),
        Entry::Signature(moved(SIGNATURE, 300)),
        Entry::UserId(place(460, 0)),
        Entry::Subkey(object(470, 30, [24, 0, 0, 0])),
        Entry::Signature(moved(SIGNATURE, 500)),
    ];
    let bytes = list(&entries);
    let key = Key::decode(&bytes, 700).unwrap();
    assert_eq!(Entry::Primary(key.primary), PRIMARY);
    assert_eq!(key.direct.collect::<Vec<_>>(), [SIGNATURE]);
    assert_eq!(
        (
            key.skipped.foreign,
            key.skipped.unsupported,
            key.skipped.invalid
        ),
        (1, 2, 3)
    );
    let components: Vec<_> = key.components.collect();
    let counts: Vec<_> = components.iter().map(|it| it.signatures.len()).collect();
    assert_eq!(counts, [2, 0, 1]);
    assert_eq!(components[0].subject, Subject::UserId(place(200, 5)));
    assert_eq!(components[1].subject, Subject::UserId(place(460, 0)));
    assert_eq!(
        components[2].subject,
        Subject::Subkey(object(470, 30, [24, 0, 0, 0]))
    );
    // All is there, and nothing behind.
    assert!(Key::decode(&bytes, 659).is_err());
    assert!(Key::decode(&bytes, 660).is_ok());
}

#[test]
fn the_newest_come_first() {
    let times = [5, 9, 0, 9, u32::MAX];
    let mut entries = std::vec![PRIMARY];
    for (number, created) in times.into_iter().enumerate() {
        let signature = moved(SIGNATURE, number as u32 * 100);
        entries.push(Entry::Signature(Signature {
            created,
            ..signature
        }));
    }
    let bytes = list(&entries);
    let key = Key::decode(&bytes, LENGTH).unwrap();
    let order = |signature: Signature| (signature.created, signature.object.body.at);
    let order: Vec<_> = key.direct.newest_first().map(order).collect();
    assert_eq!(
        order,
        [(u32::MAX, 500), (9, 400), (9, 200), (5, 100), (0, 300)]
    );
}

#[test]
fn a_key_has_one_primary_key_and_it_comes_first() {
    let user_id = Entry::UserId(place(200, 5));
    let second = Entry::Primary(object(300, 40, [10, 12, 0, 0]));
    for wrong in [
        &[][..],
        &[user_id],
        &[Entry::Signature(SIGNATURE)],
        &[PRIMARY, user_id, second],
    ] {
        assert_eq!(
            Key::decode(&list(wrong), LENGTH),
            Err(Malformed),
            "{wrong:?}"
        );
    }
}

#[test]
fn detached_signatures_are_nothing_else() {
    let signature = Entry::Signature(SIGNATURE);
    assert!(Detached::decode(&list(&[signature]), LENGTH).is_ok());
    for wrong in [
        &[][..],
        &[PRIMARY],
        &[signature, Entry::UserId(place(200, 1))],
    ] {
        assert_eq!(
            Detached::decode(&list(wrong), LENGTH),
            Err(Malformed),
            "{wrong:?}"
        );
    }
}

#[test]
fn things_do_not_overlap() {
    let user_id = |at| Entry::UserId(place(at, 5));
    for at in 0..60 {
        let is_behind = at >= 42;
        assert_eq!(
            Key::decode(&list(&[PRIMARY, user_id(at)]), LENGTH).is_ok(),
            is_behind,
            "{at}"
        );
    }
}

#[test]
fn parts_lie_in_what_they_are_parts_of() {
    let wrong = [
        // Before the body, behind it, none, a gap.
        Object {
            body: place(2, 40),
            parts: Parts {
                at: 1,
                lens: [3, 0, 0, 0],
            },
        },
        Object {
            body: place(2, 40),
            parts: Parts {
                at: 39,
                lens: [1, 3, 0, 0],
            },
        },
        Object {
            body: place(2, 40),
            parts: Parts {
                at: u32::MAX,
                lens: [1, 0, 0, 0],
            },
        },
        Object {
            body: place(2, 40),
            parts: Parts {
                at: 8,
                lens: [0; 4],
            },
        },
        Object {
            body: place(2, 40),
            parts: Parts {
                at: 8,
                lens: [1, 0, 1, 0],
            },
        },
        Object {
            body: place(u32::MAX, 2),
            parts: Parts {
                at: u32::MAX,
                lens: [1, 0, 0, 0],
            },
        },
        Object {
            body: place(2, u32::MAX),
            parts: Parts {
                at: 8,
                lens: [1, 0, 0, 0],
            },
        },
    ];
    for wrong in wrong {
        let refused = Key::decode(&list(&[Entry::Primary(wrong)]), LENGTH).is_err();
        assert!(refused, "{wrong:?}");
        let back = Signature {
            object: object(0, 100, [9, 0, 0, 0]),
            back: Some(wrong),
            ..SIGNATURE
        };
        let back = Signature {
            issuer: None,
            ..back
        };
        assert!(
            Detached::decode(&list(&[Entry::Signature(back)]), LENGTH).is_err(),
            "{wrong:?}"
        );
    }
    for issuer in [
        place(99, 8),
        place(153, 8),
        place(120, 7),
        place(120, 0),
        place(120, 21),
    ] {
        let signature = Signature {
            issuer: Some(issuer),
            ..SIGNATURE
        };
        assert!(
            Detached::decode(&list(&[Entry::Signature(signature)]), LENGTH).is_err(),
            "{issuer:?}"
        );
    }
    for back in [object(99, 20, [1, 0, 0, 0]), object(150, 20, [1, 0, 0, 0])] {
        let signature = Signature {
            back: Some(back),
            ..SIGNATURE
        };
        assert!(
            Detached::decode(&list(&[Entry::Signature(signature)]), LENGTH).is_err(),
            "{back:?}"
        );
    }
}

#[test]
fn a_list_has_as_many_entries_as_it_says_and_no_more_than_it_may() {
    let bytes = list(&[PRIMARY, Entry::UserId(place(100, 1))]);
    for length in 0..bytes.len() {
        assert_eq!(Key::decode(&bytes[..length], LENGTH), Err(Malformed));
    }
    let full = |count: usize| {
        let user_id = |n| Entry::UserId(place(100 + n as u32, 1));
        let mut entries: Vec<_> = (0..count).map(user_id).collect();
        entries[0] = PRIMARY;
        list(&entries)
    };
    assert!(Key::decode(&full(ENTRIES_MAX), LENGTH).is_ok());
    assert!(full(ENTRIES_MAX).len() <= REPLY_MAX);
    assert_eq!(Key::decode(&full(ENTRIES_MAX + 1), LENGTH), Err(Malformed));
}

fn message(literal: Literal, entries: &[Entry]) -> Vec<u8> {
    [&literal.encode()[..], &list(entries)].concat()
}

#[test]
fn a_message_is_beside_its_signatures() {
    let signature = Entry::Signature(SIGNATURE);
    for (at, len, is_apart) in [
        (10, 90, true),
        (10, 91, false),
        (160, 9, true),
        (159, 9, false),
        (110, 5, false),
        (90, 200, false),
    ] {
        let literal = Literal {
            data: place(at, len),
            format: b'b',
        };
        let bytes = message(literal, &[signature]);
        assert_eq!(
            Message::decode(&bytes, LENGTH).is_ok(),
            is_apart,
            "{at} {len}"
        );
    }
    let literal = Literal {
        data: place(0, 10),
        format: b'b',
    };
    assert_eq!(
        Message::decode(&message(literal, &[]), LENGTH),
        Err(Malformed)
    );
    let outside = Literal {
        data: place(LENGTH as u32, 1),
        ..literal
    };
    assert_eq!(
        Message::decode(&message(outside, &[signature]), LENGTH),
        Err(Malformed)
    );
    for format in 0..=u8::MAX {
        let bytes = message(Literal { format, ..literal }, &[signature]);
        let is_known = b"btu".contains(&format);
        assert_eq!(
            Message::decode(&bytes, LENGTH).is_ok(),
            is_known,
            "{format}"
        );
    }
}

#[test]
fn cleartext_comes_in_its_order() {
    let right = [place(35, 14), place(50, 9), place(60, 100)];
    let decode = |[hashes, text, signature]: [Place; 3], length| {
        let message = Cleartext {
            hashes,
            text,
            signature,
        };
        let decoded = Cleartext::decode(&message.encode(), length);
        assert!(decoded.is_err() || decoded == Ok(message));
        decoded.is_ok()
    };
    assert!(decode(right, 160));
    assert!(!decode(right, 159));
    assert!(!decode([place(35, 16), right[1], right[2]], 160));
    assert!(!decode([right[0], place(50, 11), right[2]], 160));
    assert!(!decode([right[0], right[1], place(60, 0)], 160));
    assert!(!decode([right[2], right[1], right[0]], 160));
    let bytes = Cleartext {
        hashes: right[0],
        text: right[1],
        signature: right[2],
    }
    .encode();
    assert!(Cleartext::decode(&bytes[1..], 160).is_err());
    assert!(Cleartext::decode(&[&bytes[..], &[0]].concat(), 160).is_err());
}

#[test]
fn armor_is_no_longer_than_what_it_was() {
    for block in Block::ALL {
        for checksum in [Checksum::Absent, Checksum::Right, Checksum::Wrong] {
            let mut bytes = Armor::encode_header(block, checksum, 90).to_vec();
            bytes.extend(b"packets");
            let armor = Armor {
                block,
                checksum,
                end: 90,
                binary: b"packets",
            };
            assert_eq!(Armor::decode(&bytes, 100), Ok(armor));
            assert!(Armor::decode(&bytes, 89).is_err());
            assert!(Armor::decode(&bytes, 6).is_err());
        }
    }
    let right = Armor::encode_header(Block::Key, Checksum::Right, 0);
    for (at, wrong) in [(0, 0), (0, 4), (1, 1), (4, 3), (7, 1)] {
        let mut bytes = right;
        bytes[at] = wrong;
        assert!(Armor::decode(&bytes, 100).is_err(), "{at}");
    }
    assert!(Armor::decode(&right[..11], 100).is_err());
}

#[test]
fn keys_of_a_ring_do_not_overlap() {
    let ring = |keys: &[Place]| {
        keys.iter()
            .copied()
            .flat_map(Ring::encode_entry)
            .collect::<Vec<_>>()
    };
    let keys = [place(0, 5), place(5, 7), place(20, 80)];
    let bytes = ring(&keys);
    assert_eq!(
        Ring::decode(&bytes, 100)
            .unwrap()
            .keys()
            .collect::<Vec<_>>(),
        keys
    );
    assert!(Ring::decode(&bytes, 99).is_err());
    assert!(Ring::decode(&bytes[1..], 100).is_err());
    assert!(Ring::decode(&[], 100).is_ok());
    assert!(Ring::decode(&ring(&[place(0, 6), place(5, 7)]), 100).is_err());
    assert!(Ring::decode(&ring(&[place(0, 0)]), 100).is_err());
    let many: Vec<_> = (0..=ENTRIES_MAX as u32).map(|at| place(at, 1)).collect();
    assert!(Ring::decode(&ring(&many[1..]), LENGTH).is_ok());
    assert!(Ring::decode(&ring(&many), LENGTH).is_err());
}

#[test]
fn a_tag_is_told_of_once_a_header_and_in_order() {
    let tag = |header, tag, index| Tag {
        header,
        tag,
        index,
        value: place(10, 20),
    };
    let decode = |tags: &[Tag]| {
        let bytes: Vec<_> = tags.iter().flat_map(|tag| tag.encode()).collect();
        let decoded = Rpm::decode(&bytes, 30);
        assert!(decoded.is_err() || decoded.unwrap().tags().eq(tags.iter().copied()));
        assert!(Rpm::decode(&bytes, 29).is_err() || tags.is_empty());
        decoded.is_ok()
    };
    let rsa = tag(Header::Signature, rpm::signature::RSA, 2);
    let dsa = tag(Header::Signature, rpm::signature::DSA, 3);
    let release = tag(Header::Main, rpm::main::RELEASE, 1);
    assert!(decode(&[]));
    assert!(decode(&[rsa, dsa, release]));
    assert!(decode(&[
        tag(Header::Signature, rpm::signature::PGP, 0),
        release
    ]));
    assert!(!decode(&[dsa, rsa]));
    assert!(!decode(&[release, rsa]));
    assert!(!decode(&[rsa, Tag { index: 3, ..rsa }]));
    assert!(!decode(&[rsa, Tag { index: 2, ..dsa }]));
    assert!(!decode(&[tag(Header::Main, rpm::signature::RSA, 0)]));
    let mut bytes = rsa.encode();
    bytes[0] = 2;
    assert!(Rpm::decode(&bytes, 30).is_err());
}

/// Where something is relative to what lies before it, and how it is divided.
fn lengths() -> impl Strategy<Value = (u32, [u16; PARTS_MAX], usize, u32)> {
    (0_u32..9, any::<[u16; PARTS_MAX]>(), 1..=PARTS_MAX, 0_u32..9)
}

fn objects() -> impl Strategy<Value = Object> {
    lengths().prop_map(|(before, lens, count, behind)| {
        let mut used = [0; PARTS_MAX];
        for (used, len) in used.iter_mut().zip(lens).take(count) {
            *used = len % 9000 + 1;
        }
        let parts = Parts {
            at: before,
            lens: used,
        };
        let body = place(0, before + parts.whole().len + behind);
        Object { body, parts }
    })
}

fn entries() -> impl Strategy<Value = Entry> {
    let signature = (
        objects(),
        any::<(u32, bool)>(),
        proptest::option::of(0_usize..3),
        proptest::option::of(objects()),
    );
    let signature = signature.prop_map(|(mut object, (created, is_primary), issuer, back)| {
        let grow = |object: &mut Object, by: u32| {
            let at = object.body.end();
            object.body.len += by;
            at
        };
        let issuer = issuer.map(|which| {
            let len = [8, 20, 32][which];
            place(grow(&mut object, len), len)
        });
        let back = back.map(|mut back| {
            let at = grow(&mut object, back.body.len);
            back.body.at += at;
            back.parts.at += at;
            back
        });
        Entry::Signature(Signature {
            object,
            created,
            is_primary,
            issuer,
            back,
        })
    });
    prop_oneof![
        objects().prop_map(Entry::Primary),
        objects().prop_map(Entry::Subkey),
        (0_u32..999).prop_map(|len| Entry::UserId(place(0, len))),
        signature,
    ]
}

/// Entries with gaps between them, at their places; and how long all is.
fn lists() -> impl Strategy<Value = (Vec<Entry>, usize)> {
    vec((entries(), 0_u32..99), 0..20).prop_map(|entries| {
        let mut end = 0;
        let mut moved_entries = Vec::new();
        for (entry, gap) in entries {
            let at = end + gap;
            let moved = |mut object: Object| {
                object.body.at += at;
                object.parts.at += at;
                object
            };
            let entry = match entry {
                Entry::Primary(key) => Entry::Primary(moved(key)),
                Entry::Subkey(key) => Entry::Subkey(moved(key)),
                Entry::UserId(body) => Entry::UserId(place(body.at + at, body.len)),
                Entry::Signature(signature) => Entry::Signature(self::moved(signature, at)),
            };
            end = entry.body().end();
            moved_entries.push(entry);
        }
        (moved_entries, end as usize)
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded((entries, length) in lists()) {
        let bytes = list(&entries);
        let decoded = List::read(wire::Reader(&bytes), length).unwrap();
        prop_assert_eq!(decoded.entries().collect::<Vec<_>>(), entries);
        if length > 0 {
            prop_assert_eq!(List::read(wire::Reader(&bytes), length - 1), Err(Malformed));
        }
    }

    /// There is one way to say each thing.
    #[test]
    fn what_is_decoded_is_encoded_like_that((entries, length) in lists(), at: Index, byte: u8) {
        let mut bytes = list(&entries);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(decoded) = List::read(wire::Reader(&bytes), length) {
            let entries: Vec<_> = decoded.entries().collect();
            let mut again = List::encode_header(entries.len() as u32, decoded.skipped).to_vec();
            again.extend(entries.iter().flat_map(Entry::encode));
            prop_assert_eq!(again, bytes);
        }
    }

    #[test]
    fn no_reply_makes_it_panic(reply in vec(any::<u8>(), 0..200), length in 0..LENGTH) {
        let _ = Key::decode(&reply, length);
        let _ = Detached::decode(&reply, length);
        let _ = Message::decode(&reply, length);
        let _ = Cleartext::decode(&reply, length);
        let _ = Armor::decode(&reply, length);
        let _ = Ring::decode(&reply, length);
        let _ = Rpm::decode(&reply, length);
    }
}
