// SPDX-License-Identifier: MIT OR Apache-2.0
//! OpenPGP packets, for tests. Nothing of it is signed: the handler verifies nothing.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use pgp_proto::{Fingerprint, REPLY_MAX, Refusal, Request};

/// The fingerprint that [`key`]s are said to have.
pub const OWN: Fingerprint = Fingerprint::V4([7; 20]);

/// A packet with a header of the new format.
pub fn packet(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0xc0 | tag];
    packet.extend(length(body.len()));
    packet.extend(body);
    packet
}

/// A length as short as can be, of packets and subpackets.
pub fn length(length: usize) -> Vec<u8> {
    match length {
        0..192 => vec![length as u8],
        192..8384 => {
            let rest = length - 192;
            vec![192 + (rest >> 8) as u8, rest as u8]
        }
        _ => [&[255][..], &(length as u32).to_be_bytes()].concat(),
    }
}

/// A number of `bits` bits.
pub fn integer(bits: u16) -> Vec<u8> {
    let mut bytes = vec![0xa5; usize::from(bits).div_ceil(8)];
    let first = (bits - 1) % 8;
    bytes[0] = 1 << first | (0xa5 & ((1 << first) - 1));
    [&bits.to_be_bytes()[..], &bytes].concat()
}

/// Numbers of a key, by algorithm.
pub fn material(algorithm: u8) -> Vec<Vec<u8>> {
    let curve = b"\x0a\x2b\x06\x01\x04\x01\x97\x55\x01\x05\x01".to_vec();
    match algorithm {
        1..=3 => vec![integer(2047), integer(17)],
        16 => vec![integer(1024), integer(3), integer(1023)],
        17 => vec![integer(1024), integer(160), integer(1022), integer(1000)],
        18 => vec![curve, integer(263), vec![3, 1, 8, 7]],
        19 | 22 => vec![curve, integer(263)],
        25 | 27 => vec![vec![9; 32]],
        26 => vec![vec![9; 56]],
        28 => vec![vec![9; 57]],
        _ => vec![vec![9; 5]],
    }
}

/// The body of a key.
pub fn key(version: u8, algorithm: u8) -> Vec<u8> {
    let material = material(algorithm).concat();
    let mut body = vec![version, 0x60, 0, 0, 1, algorithm];
    if version == 6 {
        body.extend((material.len() as u32).to_be_bytes());
    }
    body.extend(material);
    body
}

/// A signature.
#[derive(Clone)]
pub struct Made {
    pub version: u8,
    pub kind: u8,
    pub algorithm: u8,
    pub hashed: Vec<(u8, Vec<u8>)>,
    pub unhashed: Vec<(u8, Vec<u8>)>,
}

impl Made {
    /// An RSA signature that says when it was made, and names [`OWN`] twice.
    pub fn new(kind: u8) -> Self {
        Self {
            version: 4,
            kind,
            algorithm: 1,
            hashed: vec![(2, vec![0x60, 0, 0, 2]), named(&OWN)],
            unhashed: vec![(16, OWN.key_id().to_vec())],
        }
    }

    pub fn by(mut self, fingerprint: &Fingerprint) -> Self {
        self.hashed[1] = named(fingerprint);
        self.unhashed[0].1 = fingerprint.key_id().to_vec();
        self
    }

    pub fn at(mut self, created: u32) -> Self {
        self.hashed[0].1 = created.to_be_bytes().to_vec();
        self
    }

    pub fn hashed(mut self, number: u8, value: &[u8]) -> Self {
        self.hashed.push((number, value.to_vec()));
        self
    }

    pub fn unhashed(mut self, number: u8, value: &[u8]) -> Self {
        self.unhashed.push((number, value.to_vec()));
        self
    }

    pub fn body(&self) -> Vec<u8> {
        if self.version == 3 {
            return self.body_v3();
        }
        let mut body = vec![self.version, self.kind, self.algorithm, 8];
        for area in [&self.hashed, &self.unhashed] {
            let mut bytes = Vec::new();
            for (number, value) in area {
                bytes.extend(length(value.len() + 1));
                bytes.push(*number);
                bytes.extend(value);
            }
            match self.version {
                6 => body.extend((bytes.len() as u32).to_be_bytes()),
                _ => body.extend((bytes.len() as u16).to_be_bytes()),
            }
            body.extend(bytes);
        }
        body.extend([0xab, 0xcd]);
        if self.version == 6 {
            body.push(16);
            body.extend([5; 16]);
        }
        body.extend(self.numbers());
        body
    }

    /// Of version 3: its time, and the key id of its maker, are where the subpackets name them.
    fn body_v3(&self) -> Vec<u8> {
        let value = |area: &[(u8, Vec<u8>)], wanted: u8, length: usize| {
            let found = area.iter().find(|(number, _)| *number == wanted);
            found.map_or(vec![0; length], |(_, value)| value.clone())
        };
        let mut body = vec![3, 5, self.kind];
        body.extend(value(&self.hashed, 2, 4));
        body.extend(value(&self.unhashed, 16, 8));
        body.extend([self.algorithm, 8, 0xab, 0xcd]);
        body.extend(self.numbers());
        body
    }

    fn numbers(&self) -> Vec<u8> {
        match self.algorithm {
            1 | 3 => integer(2046),
            17 | 19 | 22 => [integer(255), integer(256)].concat(),
            27 => vec![8; 64],
            28 => vec![8; 114],
            _ => vec![8; 5],
        }
    }

    pub fn packet(&self) -> Vec<u8> {
        packet(2, &self.body())
    }
}

/// The subpacket that names an issuer by its fingerprint.
fn named(fingerprint: &Fingerprint) -> (u8, Vec<u8>) {
    let version = [fingerprint.version()];
    (33, [&version[..], fingerprint.as_bytes()].concat())
}

/// A small key: two user ids, a subkey for signatures, one for secrets.
pub fn small() -> Vec<u8> {
    let back = Made::new(0x19).body();
    [
        packet(6, &key(4, 1)),
        Made::new(0x1f).packet(),
        packet(13, b"Alice <alice@example.org>"),
        Made::new(0x13).at(5).packet(),
        Made::new(0x13).at(9).hashed(25, &[1]).packet(),
        packet(13, b"Alice"),
        Made::new(0x10).packet(),
        Made::new(0x30).packet(),
        packet(14, &key(4, 22)),
        Made::new(0x18).unhashed(32, &back).packet(),
        packet(14, &key(4, 18)),
        Made::new(0x18).packet(),
        Made::new(0x28).packet(),
    ]
    .concat()
}

/// A message in one pass: announced, the data, signed.
pub fn inline(data: &[u8]) -> Vec<u8> {
    let one_pass = [&[3, 0, 8, 1][..], &OWN.key_id(), &[1]].concat();
    [packet(4, &one_pass), literal(data), Made::new(0).packet()].concat()
}

/// A literal data packet.
pub fn literal(data: &[u8]) -> Vec<u8> {
    packet(11, &[b"b\x04name\x60\0\0\x03", data].concat())
}

/// Asks the handler; the reply is judged.
pub fn ask(request: &Request, input: &[u8]) -> Result<Vec<u8>, Refusal> {
    ask_with_room(request, input, REPLY_MAX.max(input.len() + 12))
}

/// Asks the handler, whose reply may have `room` bytes.
pub fn ask_with_room(request: &Request, input: &[u8], room: usize) -> Result<Vec<u8>, Refusal> {
    let mut message = request.encode(input.len() as u32).to_vec();
    message.extend(input);
    let mut reply = vec![0xee; room];
    let outcome = pgp_handler::answer(&message, &mut reply).map(|length| &reply[..length]);
    super::judge::judge(request, input, outcome);
    outcome.map(<[u8]>::to_vec)
}
