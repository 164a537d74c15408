// SPDX-License-Identifier: MIT OR Apache-2.0
//! Headers of packages.

use crate::packets::ask;
use pgp_proto::rpm::{self, Header, MAGIC, Tag};
use pgp_proto::{Refusal, Request, Rpm};
use proptest::prelude::*;

/// An index entry: tag, type, offset, count.
type Entry = [u32; 4];

fn header(entries: &[Entry], data: &[u8]) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend([0; 4]);
    header.extend((entries.len() as u32).to_be_bytes());
    header.extend((data.len() as u32).to_be_bytes());
    header.extend(entries.iter().flatten().flat_map(|word| word.to_be_bytes()));
    header.extend(data);
    header
}

fn both(signature: &[u8], main: &[u8]) -> Vec<u8> {
    let mut bytes = signature.to_vec();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.extend(main);
    bytes
}

/// Header, tag, number, value.
type Told = (Header, u32, u32, Vec<u8>);

fn told(input: &[u8]) -> Result<Vec<Told>, Refusal> {
    let reply = ask(&Request::Rpm, input)?;
    let rpm = Rpm::decode(&reply, input.len()).unwrap();
    let tag = |tag: Tag| {
        (
            tag.header,
            tag.tag,
            tag.index,
            tag.value.of(input).unwrap().to_vec(),
        )
    };
    Ok(rpm.tags().map(tag).collect())
}

const DATA: &[u8] = b"signature\0name\0one\0two\0\0\0\0\x08";

fn sample() -> Vec<u8> {
    let signature = header(
        &[
            [62, 7, 0, 2],
            [9999, 4, 0, 1],
            [rpm::signature::RSA, 7, 0, 9],
        ],
        DATA,
    );
    let main = [
        [rpm::main::NAME, 6, 10, 1],
        [rpm::main::PAYLOAD_DIGEST, 8, 15, 2],
        [rpm::main::PAYLOAD_DIGEST_ALGORITHM, 4, 23, 1],
    ];
    both(&signature, &header(&main, DATA))
}

#[test]
fn wanted_entries_are_told_of() {
    use Header::{Main, Signature};
    let expected = vec![
        (Signature, 62, 0, b"si".to_vec()),
        (Signature, 268, 2, b"signature".to_vec()),
        (Main, 1000, 0, b"name".to_vec()),
        (Main, 5092, 1, b"one\0two".to_vec()),
        (Main, 5093, 2, [0, 0, 0, 8].to_vec()),
    ];
    assert_eq!(told(&sample()), Ok(expected));
    let empty = header(&[], b"");
    assert_eq!(told(&both(&empty, &empty)), Ok(vec![]));
}

#[test]
fn values_are_in_their_header() {
    let empty = header(&[], b"");
    let with =
        |entry: Entry| told(&both(&header(&[entry], DATA), &empty)).map(|told| told[0].3.len());
    let length = DATA.len() as u32;
    for (entry, expected) in [
        ([268, 7, 0, length], Some(DATA.len())),
        ([268, 7, 0, length + 1], None),
        ([268, 7, length, 0], Some(0)),
        ([268, 7, length, 1], None),
        ([268, 7, length + 1, 0], None),
        ([268, 7, u32::MAX, 1], None),
        ([268, 7, 1, u32::MAX], None),
        ([268, 1, 0, 3], Some(3)),
        ([268, 2, 0, 3], Some(3)),
        ([268, 3, 0, 3], Some(6)),
        ([268, 4, 0, 3], Some(12)),
        ([268, 5, 0, 3], Some(24)),
        ([268, 5, 0, u32::MAX], None),
        ([268, 6, 0, 1], Some(9)),
        ([268, 9, 0, 2], Some(14)),
        ([268, 8, 0, 8], None),
        ([268, 6, 0, 0], None),
        // The last byte is no zero.
        ([268, 6, 26, 1], None),
        ([268, 0, 0, 1], None),
        ([268, 10, 0, 1], None),
    ] {
        let expected = expected.ok_or(Refusal::Invalid);
        assert_eq!(with(entry), expected, "{entry:?}");
    }
}

#[test]
fn a_tag_that_is_there_twice_is_refused() {
    let empty = header(&[], b"");
    for tag in rpm::signature::ALL {
        let twice = header(&[[tag, 7, 0, 1], [tag, 7, 1, 1]], DATA);
        assert_eq!(told(&both(&twice, &empty)), Err(Refusal::Invalid), "{tag}");
    }
    for tag in rpm::main::ALL {
        let twice = header(&[[tag, 7, 0, 1], [1, 7, 0, 1], [tag, 7, 1, 1]], DATA);
        assert_eq!(told(&both(&empty, &twice)), Err(Refusal::Invalid), "{tag}");
    }
    let all = rpm::main::ALL.map(|tag| [tag, 7, 0, 1]);
    assert_eq!(
        told(&both(&empty, &header(&all, DATA))).map(|told| told.len()),
        Ok(all.len())
    );
}

#[test]
fn there_are_two_headers_and_nothing_else() {
    let input = sample();
    assert_eq!(told(&[&input[..], &[0]].concat()), Err(Refusal::Invalid));
    assert_eq!(told(b"\xed\xab\xee\xdb"), Err(Refusal::NotMine));
    assert_eq!(told(b""), Err(Refusal::NotMine));
    for length in 0..input.len() {
        let expected = if length < 4 {
            Refusal::NotMine
        } else {
            Refusal::Cut
        };
        assert_eq!(told(&input[..length]), Err(expected), "{length}");
    }
    let mut other = input.clone();
    let main = input.len() - header(&[[0; 4]; 3], DATA).len();
    assert_eq!(other[main..main + 4], MAGIC);
    other[main + 3] = 2;
    assert_eq!(told(&other), Err(Refusal::Invalid));
}

#[test]
fn counts_beyond_the_end_are_refused() {
    for at in [8, 12] {
        let mut input = sample();
        input[at..at + 4].fill(0xff);
        assert_eq!(told(&input), Err(Refusal::Cut));
    }
}

proptest! {
    #[test]
    fn any_change_is_judged(at: proptest::sample::Index, byte: u8) {
        let mut input = sample();
        let at = at.index(input.len());
        input[at] = byte;
        let _ = told(&input);
    }
}
