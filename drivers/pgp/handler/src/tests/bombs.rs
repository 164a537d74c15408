// SPDX-License-Identifier: MIT OR Apache-2.0
//! Input that is made to take long: each byte costs a few steps, whatever it says.

use crate::cursor::steps;
use crate::packets::{Made, OWN, inline, key, packet};
use pgp_proto::{ARMOR_REPLY_MAX, INPUT_MAX, REPLY_MAX, Refusal, Request};

/// Steps for each byte of input. A packet without a body has two bytes: its header's two are taken, and its
/// body.
const STEPS: u64 = 2;

fn ask(request: &Request, input: &[u8]) -> Result<usize, Refusal> {
    assert!(input.len() <= INPUT_MAX);
    let message = [&request.encode(input.len() as u32), input].concat();
    let mut reply = vec![0; REPLY_MAX.max(ARMOR_REPLY_MAX)];
    let (steps, outcome) = steps::of(|| crate::answer(&message, &mut reply));
    let bound = input.len() as u64 * STEPS + 100;
    assert!(steps <= bound, "{steps} steps for {} bytes", input.len());
    outcome
}

/// Bytes of texts: what is true of each holds for more.
const LONG: usize = 1 << 20;

const KEY: Request = Request::Key(OWN);

#[test]
fn a_million_packets() {
    let before = [packet(6, &key(4, 1)), packet(13, b"me")].concat();
    let many = |packet: &[u8]| [&before[..], &packet.repeat(1_000_000)].concat();
    // Of no interest, not to be read, and to be told of.
    for tag in [12, 2, 14] {
        assert!(ask(&KEY, &many(&packet(tag, b""))).is_ok(), "{tag}");
    }
    assert_eq!(ask(&KEY, &many(&packet(13, b""))), Err(Refusal::TooMany));
    assert!(ask(&Request::Ring, &many(&packet(6, b""))).is_ok());
    let signatures = packet(2, b"").repeat(1_000_000);
    assert_eq!(ask(&Request::Signature, &signatures), Err(Refusal::Invalid));
    let announced = packet(4, b"\0").repeat(1_000_000);
    assert_eq!(ask(&Request::Message, &announced), Err(Refusal::Cut));
}

#[test]
fn the_largest_input_of_small_subpackets() {
    // Embedded signatures, each with subpackets of its own; none is told of as a signature.
    let mut back = Made::new(0x19);
    back.unhashed = vec![(100, vec![]); 30_000];
    let mut binding = Made::new(0x18);
    binding.version = 6;
    binding.hashed.extend(vec![(32, back.body()); 200]);
    binding.hashed.extend(vec![(16, vec![]); 500_000]);
    let mut input = [packet(6, &key(4, 1)), packet(14, &key(4, 1))].concat();
    input.extend(binding.packet());
    assert!(input.len() > INPUT_MAX / 2);
    assert!(ask(&KEY, &input).is_ok());
}

#[test]
fn nested_signatures() {
    // Each in the one around it: only the outermost two are looked at.
    let mut made = Made::new(0x18);
    for _ in 0..200 {
        let inner = made.body();
        made = Made {
            version: 6,
            ..Made::new(0x18).hashed(32, &inner)
        };
    }
    let input = [packet(6, &key(4, 1)), packet(14, &key(4, 1)), made.packet()].concat();
    assert!(ask(&KEY, &input).is_ok());
    // Those that cannot be read are each looked at once.
    let broken = [&made.body()[..], &[0]].concat();
    let mut many = Made {
        version: 6,
        ..Made::new(0x18)
    };
    many.hashed.extend(vec![(32, broken); 150]);
    let input = [packet(6, &key(4, 1)), packet(14, &key(4, 1)), many.packet()].concat();
    assert!(ask(&KEY, &input).is_ok());
}

#[test]
fn packets_in_packets() {
    let mut inner = inline(b"hello");
    for _ in 0..1000 {
        inner = packet(8, &inner);
    }
    for request in [KEY, Request::Ring, Request::Signature, Request::Message] {
        assert_eq!(ask(&request, &inner), Err(Refusal::Compressed));
    }
}

#[test]
fn lengths_of_four_gigabytes() {
    let long = [0xff, 0xff, 0xff, 0xff, 0xff];
    for tag in [2, 4, 6, 11, 13, 14] {
        let header = [&[0xc0 | tag][..], &long].concat();
        let input = [packet(6, &key(4, 1)), header].concat();
        assert_eq!(ask(&KEY, &input), Err(Refusal::Cut));
    }
    // Of subpackets and of their areas.
    let mut body = Made {
        version: 6,
        ..Made::new(0x13)
    }
    .body();
    body[4..8].fill(0xff);
    let input = [packet(6, &key(4, 1)), packet(13, b""), packet(2, &body)].concat();
    assert!(ask(&KEY, &input).is_ok());
}

#[test]
fn text_without_an_end() {
    let lines = "\n".repeat(LONG);
    let message = format!("-----BEGIN PGP SIGNED MESSAGE-----\n\n{lines}");
    assert_eq!(
        ask(&Request::Cleartext, message.as_bytes()),
        Err(Refusal::Cut)
    );
    let armor = format!("-----BEGIN PGP SIGNATURE-----\n\n{}", "A".repeat(LONG));
    assert_eq!(ask(&Request::Armor, armor.as_bytes()), Err(Refusal::Cut));
    let begins = "-----BEGIN PGP \n".repeat(LONG / 16);
    assert_eq!(
        ask(&Request::Armor, begins.as_bytes()),
        Err(Refusal::NotMine)
    );
}

#[test]
fn an_index_of_a_million_entries() {
    let header = |entry: [u32; 4], count: usize| {
        let mut bytes = pgp_proto::rpm::MAGIC.to_vec();
        bytes.extend([0; 4]);
        bytes.extend((count as u32).to_be_bytes());
        bytes.extend([0, 0, 0, 0]);
        let entry: Vec<_> = entry.into_iter().flat_map(u32::to_be_bytes).collect();
        bytes.extend(entry.repeat(count));
        bytes
    };
    let input = [header([7, 8, 0, 1], 1_000_000), header([7, 8, 0, 1], 9)].concat();
    assert_eq!(ask(&Request::Rpm, &input), Ok(0));
    let input = [
        header([1000, 7, 0, 0], 5),
        header([1000, 7, 0, 0], 1_000_000),
    ]
    .concat();
    assert_eq!(ask(&Request::Rpm, &input), Err(Refusal::Invalid));
}
