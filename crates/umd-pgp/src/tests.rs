// SPDX-License-Identifier: MIT OR Apache-2.0
//! A handler that lies about a keyring or an armor. `tests/hostile.rs` has one that lies about a key.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::{Error, Keyring, Refusal};
use pgp::composed::{ArmorOptions, KeyType, SecretKeyParamsBuilder, SignedPublicKey};
use pgp::ser::Serialize;
use pgp_proto::{Armor, Block, Checksum, Place, REPLY_MAX, Request, Ring};
use std::sync::LazyLock;

/// The names of the keys in [`RING`], and of one that lies in packets of others.
const NAMES: [&str; 3] = ["first", "second", "third"];
const INNER: &str = "inner";

fn made(name: &str) -> SignedPublicKey {
    let secret = SecretKeyParamsBuilder::default()
        .key_type(KeyType::Ed25519)
        .can_certify(true)
        .can_sign(true)
        .primary_user_id(name.into())
        .build()
        .unwrap()
        .generate(rand::thread_rng())
        .unwrap();
    secret.to_public_key()
}

fn packet(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    [&[0xc0 | tag, 0xff][..], &length, body].concat()
}

/// Keys one after the other.
struct Keys {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

/// Each has, in the body of a signature, of a user id, or of a packet that nobody reads, another key.
static RING: LazyLock<Keys> = LazyLock::new(|| {
    let inner = made(INNER).to_bytes().unwrap();
    let (mut bytes, mut places) = (Vec::new(), Vec::new());
    for (name, tag) in NAMES.into_iter().zip([2, 13, 60]) {
        let at = bytes.len() as u32;
        bytes.extend(made(name).to_bytes().unwrap());
        bytes.extend(packet(tag, &inner));
        let len = bytes.len() as u32 - at;
        places.push(Place { at, len });
    }
    Keys { bytes, places }
});

fn honest(request: Request, input: &[u8]) -> Vec<u8> {
    let question = [&request.encode(input.len() as u32)[..], input].concat();
    let mut reply = vec![0; REPLY_MAX];
    // Where it refuses, it says nothing here.
    let length = pgp_handler::answer(&question, &mut reply).unwrap_or(0);
    reply.truncate(length);
    reply
}

fn lying(liar: impl Fn(Request, &[u8]) -> Vec<u8> + Send + Sync + 'static) -> Keyring {
    let mut keyring = Keyring::new().unwrap();
    keyring.reader.liar = Some(Box::new(liar));
    keyring
}

fn written(places: &[Place]) -> Vec<u8> {
    places
        .iter()
        .copied()
        .flat_map(Ring::encode_entry)
        .collect()
}

/// The names of the keys that are added where a handler says this about the ring, and how many are refused for its lies.
fn added(ring: Vec<u8>) -> (Vec<String>, usize) {
    let mut keyring = lying(move |request, input| match request {
        // What comes next is asked about by itself: it is all one key.
        Request::Ring if input.len() < RING.bytes.len() => written(&[Place {
            at: 0,
            len: input.len() as u32,
        }]),
        Request::Ring => ring.clone(),
        _ => honest(request, input),
    });
    let refused = keyring.add_all(&RING.bytes).unwrap().refused;
    let lies = refused
        .iter()
        .filter(|key| key.error == Error::Refused(Refusal::Reply));
    let names = keyring.keys().iter().map(|key| key.name().into_owned());
    (names.collect(), lies.count())
}

fn named(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn keys_are_where_they_are_said_to_be() {
    let truth = honest(Request::Ring, &RING.bytes);
    assert_eq!(truth, written(&RING.places));
    assert_eq!(added(truth), (named(&NAMES), 0));
}

#[test]
fn a_key_within_another_keys_packet_is_none() {
    let length = RING.bytes.len() as u32;
    let inner = made(INNER).to_bytes().unwrap().len() as u32;
    for place in &RING.places {
        // In the last packet of each key there is a whole one.
        let within = Place {
            at: place.end() - inner,
            len: inner,
        };
        let bytes = within.of(&RING.bytes).unwrap();
        assert_eq!(Keyring::new().unwrap().add(bytes).unwrap().name(), INNER);
        let rest = Place {
            at: within.end(),
            len: length - within.end(),
        };
        let mut lie = vec![within];
        lie.extend((rest.len > 0).then_some(rest));
        let (names, lies) = added(written(&lie));
        assert!(!names.contains(&INNER.to_owned()), "{names:?}");
        assert!(lies > 0);
    }
}

/// From each byte on: what begins with no key's packet is none.
#[test]
fn a_key_begins_where_its_packet_does() {
    let length = RING.bytes.len() as u32;
    for at in 0..length {
        let len = length - at;
        let (names, lies) = added(written(&[Place { at, len }]));
        match RING.places.iter().any(|place| place.at == at) {
            // The last is alone there; with the others is more than one key.
            true if at == RING.places[2].at => assert_eq!((names, lies), (named(&NAMES[2..]), 0)),
            true => assert_eq!(names, named(&[])),
            false => assert_eq!((names, lies), (named(&[]), 1), "at {at}"),
        }
    }
}

#[test]
fn keys_that_are_joined_or_left_out() {
    let [first, second, third] = RING.places[..] else {
        panic!("{:?}", RING.places)
    };
    let joined = Place {
        at: first.at,
        len: second.end(),
    };
    assert_eq!(added(written(&[joined, third])).0, named(&NAMES[2..]));
    assert_eq!(
        added(written(&[first, third])),
        (named(&["first", "third"]), 0)
    );
    // One that loses its end ends within a packet.
    let cut = Place {
        len: first.len - 1,
        ..first
    };
    let (names, _) = added(written(&[cut, second, third]));
    assert_eq!(names, named(&NAMES[1..]));
}

/// A key in an armor.
fn armored(key: &SignedPublicKey) -> Vec<u8> {
    key.to_armored_bytes(ArmorOptions::default()).unwrap()
}

/// What becomes of a text of which the handler says that it stands for these bytes.
fn unpacked(text: &[u8], binary: &[u8]) -> Result<String, Error> {
    let header = Armor::encode_header(Block::Key, Checksum::Right, text.len() as u32);
    let told = [&header[..], binary].concat();
    let mut keyring = lying(move |request, input| match request {
        Request::Armor => told.clone(),
        _ => honest(request, input),
    });
    keyring.add(text).map(|key| key.name().into_owned())
}

#[test]
fn an_armor_stands_for_what_is_in_it() {
    let (key, other) = (made("own"), made("other"));
    let (text, binary) = (armored(&key), key.to_bytes().unwrap());
    assert_eq!(unpacked(&text, &binary), Ok("own".to_owned()));
    let refused = Err(Error::Refused(Refusal::Reply));
    // Another's key; and one whose armor comes second.
    let theirs = other.to_bytes().unwrap();
    assert_eq!(unpacked(&text, &theirs), refused);
    let both = [&text[..], &armored(&other)].concat();
    assert_eq!(unpacked(&both, &theirs), refused);
    for end in 0..binary.len() {
        assert_eq!(unpacked(&text, &binary[..end]), refused, "cut at {end}");
    }
    for at in 0..binary.len() {
        let mut changed = binary.clone();
        changed[at] ^= 1;
        assert_eq!(unpacked(&text, &changed), refused, "changed at {at}");
    }
    // A packet that nobody reads would do no harm to the key, and is not there either.
    let more = [&binary[..], &packet(60, b"")].concat();
    assert_eq!(unpacked(&text, &more), refused);
}
