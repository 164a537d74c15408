// SPDX-License-Identifier: MIT OR Apache-2.0
//! The heads of packets: of the first, from which all hangs that is believed of a key, and of those of a keyring, where its keys begin.

use crate::bytes::Bytes;
use crate::refusal::Refusal;

/// The tag of a signature's packet.
pub const SIGNATURE: u8 = 2;

/// The tag of a subkey's packet.
pub const SUBKEY: u8 = 14;

/// The tag of a primary public key's packet.
const PUBLIC_KEY: u8 = 6;

/// The tag of a marker's packet, and its body. A reader ignores it: RFC 9580, section 5.8.
const MARKER: u8 = 10;
const MARKER_BODY: &[u8] = b"PGP";

/// The body of the public key's packet at the input's front, behind markers.
pub fn primary(input: &[u8]) -> Result<&[u8], Refusal> {
    let mut bytes = Bytes::new(input);
    loop {
        let (tag, length) = head(&mut bytes).ok_or(Refusal::NotAKey)?;
        let mut body = || length.and_then(|length| bytes.take(length));
        match tag {
            PUBLIC_KEY => return body().ok_or(Refusal::Length),
            MARKER if body() == Some(MARKER_BODY) => {}
            _ => return Err(Refusal::NotAKey),
        }
    }
}

/// Where the keys of a keyring begin, and where the packets end: the front of each packet up to the first that has no length or does not end,
/// and whether that is a primary public key's. The end of the last comes last, and is nobody's.
pub fn fronts(ring: &[u8]) -> impl Iterator<Item = (usize, bool)> {
    let mut bytes = Some(Bytes::new(ring));
    core::iter::from_fn(move || {
        let mut packet = bytes.take()?;
        let at = ring.len().saturating_sub(packet.rest().len());
        let tag = match head(&mut packet) {
            Some((tag, length)) => {
                bytes = length
                    .and_then(|length| packet.take(length))
                    .map(|_| packet);
                Some(tag)
            }
            None => None,
        };
        Some((at, tag == Some(PUBLIC_KEY)))
    })
}

/// Is the first packet, behind markers, one with this tag?
pub fn begins_with(input: &[u8], tag: u8) -> bool {
    let mut bytes = Bytes::new(input);
    while let Some((found, length)) = head(&mut bytes) {
        let body = length.and_then(|length| bytes.take(length));
        if found != MARKER || body.is_none() {
            return found == tag;
        }
    }
    false
}

/// The bodies of the packets that have this tag, up to the first packet that has no length or does
/// not end.
pub fn bodies(input: &[u8], tag: u8) -> impl Iterator<Item = &[u8]> {
    let mut bytes = Bytes::new(input);
    let packets = core::iter::from_fn(move || {
        let (found, length) = head(&mut bytes)?;
        Some((found, bytes.take(length?)?))
    });
    packets.filter_map(move |(found, body)| (found == tag).then_some(body))
}

/// The packet's tag, and its length where it has one that ends: bodies in pieces, and those that end with the input, have none.
fn head(bytes: &mut Bytes<'_>) -> Option<(u8, Option<usize>)> {
    let first = bytes.u8()?;
    match first >> 6 {
        0b11 => Some((first & 0x3f, new_length(bytes))),
        0b10 => {
            let length = match first & 3 {
                0 => bytes.u8().map(usize::from),
                1 => bytes.u16().map(usize::from),
                2 => bytes.u32().map(|length| length as usize),
                _ => None,
            };
            Some((first >> 2 & 0xf, length))
        }
        _ => None,
    }
}

fn new_length(bytes: &mut Bytes<'_>) -> Option<usize> {
    match bytes.u8()? {
        length @ ..192 => Some(length.into()),
        first @ 192..224 => two_octets(first, bytes.u8()?),
        255 => bytes.u32().map(|length| length as usize),
        _ => None,
    }
}

/// The length in two octets that packets and subpackets share.
pub(crate) fn two_octets(first: u8, second: u8) -> Option<usize> {
    let high = usize::from(first).checked_sub(192)?;
    high.checked_mul(256)?
        .checked_add(second.into())?
        .checked_add(192)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    fn packet(head: &[u8], length: usize) -> Vec<u8> {
        let mut packet = head.to_vec();
        packet.resize(head.len() + length, 7);
        packet
    }

    #[test]
    fn heads_of_both_formats() {
        for (head, length) in [
            (&[0x98, 5][..], 5),
            (&[0x99, 1, 0], 256),
            (&[0x9a, 0, 0, 1, 0], 256),
            (&[0xc6, 191], 191),
            (&[0xc6, 192, 0], 192),
            (&[0xc6, 223, 255], 8383),
            (&[0xc6, 255, 0, 0, 0, 9], 9),
        ] {
            let whole = packet(head, length);
            assert_eq!(primary(&whole), Ok(&whole[head.len()..]), "{head:x?}");
            let with_more = packet(head, length + 3);
            assert_eq!(primary(&with_more).map(<[u8]>::len), Ok(length));
            for cut in head.len()..whole.len() {
                assert_eq!(primary(&whole[..cut]), Err(Refusal::Length), "{head:x?}");
            }
        }
    }

    #[test]
    fn a_keyring_has_keys_where_packets_begin() {
        // A key; a user id that looks like one; another key; a key without an end.
        let mut ring = packet(&[0x98, 5], 5);
        ring.extend([0xb4, 4, 0x98, 2, 7, 7]);
        ring.extend(packet(&[0xc6, 3], 3));
        let last = ring.len();
        let keys = |ring: &[u8]| -> Vec<usize> {
            let keys = fronts(ring).filter(|(_, is_key)| *is_key);
            keys.map(|(at, _)| at).collect()
        };
        assert_eq!(fronts(&ring).count(), 4);
        assert_eq!(keys(&ring), [0, 13]);
        ring.extend([0x98, 200, 0x98, 0]);
        assert_eq!(keys(&ring), [0, 13, last]);
        assert_eq!(keys(&[]), []);
        assert!(bodies(&ring, 13).eq([&[0x98, 2, 7, 7]]));
        assert!(bodies(&ring, PUBLIC_KEY).eq([&[7; 5][..], &[7; 3]]));
    }

    #[test]
    fn what_is_no_public_key() {
        for first in 0..=255 {
            let is_key = matches!(first, 0x98..=0x9b | 0xc6);
            let input = [first, 0, 0, 0, 0, 0];
            let refused = primary(&input) == Err(Refusal::NotAKey);
            assert_eq!(refused, !is_key, "{first:x}");
        }
        assert_eq!(primary(&[]), Err(Refusal::NotAKey));
    }

    #[test]
    fn markers_in_front_of_a_key_are_ignored() {
        let key = packet(&[0x98, 5], 5);
        for markers in [&b"\xa8\x03PGP"[..], b"\xca\x03PGP\xa9\0\x03PGP"] {
            let input = [markers, &key].concat();
            assert_eq!(primary(&input), Ok(&key[2..]));
            assert_eq!(primary(markers), Err(Refusal::NotAKey));
        }
        for other in [
            &b"\xa8\x03PGQ"[..],
            b"\xa8\x02PG",
            b"\xa8\x04PGPP",
            b"\xa8\x7fPGP",
        ] {
            assert_eq!(primary(&[other, &key].concat()), Err(Refusal::NotAKey));
        }
    }

    #[test]
    fn lengths_that_do_not_end() {
        // To the end of the input; in pieces.
        assert_eq!(primary(&packet(&[0x9b], 20)), Err(Refusal::Length));
        for piece in 224..255 {
            assert_eq!(primary(&packet(&[0xc6, piece], 20)), Err(Refusal::Length));
        }
        assert_eq!(
            primary(&packet(&[0xc6, 255, 255, 255, 255, 255], 20)),
            Err(Refusal::Length)
        );
    }
}
