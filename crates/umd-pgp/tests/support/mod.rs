// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the tests have in common: GnuPG in a home of its own, its listing of a key, and the rules with the handler's code in this
//! process.
#![allow(dead_code, reason = "each test uses some of it")]

use pgp_proto::{REPLY_MAX, Request};
use pgp_rules::key::{self, SUBKEYS_MAX};
use pgp_rules::{Refusal, State};
use umd_pgp::RustCrypto;

pub(crate) use umd_pgp_testkit::NOW;

/// GnuPG in a home of its own.
pub(crate) struct Gpg(umd_pgp_testkit::Gpg);

impl std::ops::Deref for Gpg {
    type Target = umd_pgp_testkit::Gpg;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Gpg {
    pub(crate) fn new() -> Self {
        Self(umd_pgp_testkit::Gpg::default())
    }

    /// A key as gpg lists it that has never seen it.
    pub(crate) fn listing(key: &[u8]) -> Listing {
        let stranger = Self::new();
        let arguments = ["--with-colons", "--import-options", "show-only", "--import"];
        // It fails where a key has expired, and lists it all the same.
        let keys = Listing::read(&stranger.output(&arguments, key).stdout);
        keys.into_iter().next().unwrap_or_default().in_order(NOW)
    }
}

/// What gpg says of a key, and what the rules say, in the same words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) primary: Line,
    /// A character stands for a byte: see [`latin1`].
    pub(crate) user_id: Option<String>,
    /// Those that sign.
    pub(crate) subkeys: Vec<Line>,
}

/// One key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) fingerprint: String,
    pub(crate) algorithm: String,
    pub(crate) created: u64,
    pub(crate) expires: Option<u64>,
    pub(crate) revoked: bool,
    pub(crate) signs: bool,
}

impl Listing {
    /// gpg's listing with colons, of any number of keys.
    pub(crate) fn read(listing: &[u8]) -> Vec<Self> {
        let listing = latin1(listing);
        let mut keys: Vec<Self> = Vec::new();
        let mut line = None;
        for fields in listing
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
        {
            let kind = fields[0];
            if kind == "pub" {
                keys.push(Self::default());
            }
            let Some(key) = keys.last_mut() else {
                continue;
            };
            match kind {
                "pub" | "sub" => {
                    let number = |field: &str| field.parse::<u64>().ok();
                    line = Some((
                        kind == "pub",
                        fields[1] == "i",
                        Line {
                            fingerprint: String::new(),
                            algorithm: algorithm(fields[3], fields[2], fields[16]),
                            created: number(fields[5]).unwrap_or(0),
                            expires: number(fields[6]),
                            revoked: fields[1] == "r",
                            signs: fields[11].contains('s'),
                        },
                    ));
                }
                "fpr" => {
                    let Some((is_primary, is_invalid, mut line)) = line.take() else {
                        continue;
                    };
                    line.fingerprint = fields[9].to_string();
                    if is_primary {
                        key.primary = line;
                    } else if line.signs && !is_invalid {
                        // It says that a subkey has expired with its primary key, but not when.
                        let both = line.expires.into_iter().chain(key.primary.expires);
                        line.expires = both.min();
                        key.subkeys.push(line);
                    }
                }
                // Revoked ones are behind the others; those of a key that was revoked are all said to be.
                "uid" if key.user_id.is_none() => {
                    let is_good = key.primary.revoked || !matches!(fields[1], "r" | "i");
                    key.user_id = is_good.then(|| unescaped(fields[9]));
                }
                _ => {}
            }
        }
        keys
    }

    /// Subkeys in one order, since gpg has them as they lie there; and whether those that are not good any more could sign is not
    /// asked.
    pub(crate) fn in_order(mut self, now: u64) -> Self {
        for subkey in &mut self.subkeys {
            subkey.signs &= !subkey.revoked && subkey.expires.is_none_or(|expires| expires > now);
        }
        self.subkeys
            .sort_by(|one, other| one.fingerprint.cmp(&other.fingerprint));
        self
    }

    /// Is it the same, but for some subkeys that are not there?
    pub(crate) fn is_less_than(&self, other: &Self) -> bool {
        (&self.primary, &self.user_id) == (&other.primary, &other.user_id)
            && self.subkeys.iter().all(|line| other.subkeys.contains(line))
    }

    /// The key as the rules have it.
    pub(crate) fn of(key: &umd_pgp::Key) -> Self {
        let line = |key: &umd_pgp::PublicKey| Line {
            fingerprint: key.fingerprint_text(),
            algorithm: key.algorithm_name.clone(),
            created: key.created.into(),
            expires: key.state.expires,
            revoked: key.state.revoked,
            signs: key.state.signs,
        };
        Self {
            primary: line(&key.primary),
            user_id: key.user_id.as_deref().map(latin1),
            subkeys: key.subkeys.iter().map(line).collect(),
        }
        .in_order(0)
    }
}

/// A character for each byte: user ids need not be UTF-8, and must be the same to the byte.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// In the driver's words.
fn algorithm(number: &str, bits: &str, curve: &str) -> String {
    match (number, curve) {
        ("1" | "3", _) => format!("RSA {bits}"),
        ("17", _) => format!("DSA {bits}"),
        ("19", "nistp256") => "ECDSA P-256".to_string(),
        ("19", "nistp384") => "ECDSA P-384".to_string(),
        ("19", "nistp521") => "ECDSA P-521".to_string(),
        ("22", "ed25519") => "Ed25519".to_string(),
        _ => format!("number {number}"),
    }
}

/// Colons and others are written as `\x3a`.
fn unescaped(text: &str) -> String {
    let mut parts = text.split("\\x");
    let mut unescaped = parts.next().unwrap_or("").to_string();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        unescaped.push(char::from(u8::from_str_radix(digits, 16).unwrap()));
        unescaped.push_str(rest);
    }
    unescaped
}

/// The rules' word on a key, in words of its own: what borrows is of no use to a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) state: State,
    pub(crate) user_id: Option<Vec<u8>>,
    /// Fingerprint and state.
    pub(crate) subkeys: Vec<(Vec<u8>, State)>,
    pub(crate) left_out: Option<Refusal>,
}

/// The handler's reply about a key, by its code in this process.
pub(crate) fn reply(input: &[u8]) -> Result<Vec<u8>, Refusal> {
    let primary = key::primary(input, &RustCrypto)?;
    let mut message = Request::Key(primary.fingerprint)
        .encode(input.len() as u32)
        .to_vec();
    message.extend(input);
    let mut reply = vec![0; REPLY_MAX];
    let length = pgp_handler::answer(&message, &mut reply)?;
    reply.truncate(length);
    Ok(reply)
}

/// What the rules make of a reply about a key.
pub(crate) fn judge_reply(input: &[u8], reply: &[u8]) -> Result<Judged, Refusal> {
    let primary = key::primary(input, &RustCrypto)?;
    let mut room = [None; SUBKEYS_MAX];
    let key = key::read(primary, input, reply, &RustCrypto, NOW, &mut room)?;
    Ok(Judged {
        fingerprint: key.public.fingerprint.as_bytes().to_vec(),
        state: key.state,
        user_id: key.user_id.map(<[u8]>::to_vec),
        subkeys: room
            .iter()
            .flatten()
            .map(|subkey| (subkey.public.fingerprint.as_bytes().to_vec(), subkey.state))
            .collect(),
        left_out: key.left_out,
    })
}

/// What the rules make of a key.
pub(crate) fn judge(input: &[u8]) -> Result<Judged, Refusal> {
    judge_reply(input, &reply(input)?)
}

/// A keyring whose present is [`NOW`].
pub(crate) fn keyring() -> umd_pgp::Keyring {
    let mut keyring = umd_pgp::Keyring::new().unwrap();
    keyring.set_time(std::time::UNIX_EPOCH + std::time::Duration::from_secs(NOW));
    keyring
}

/// A packet of a key: its tag, where it begins, where its body begins and ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    pub(crate) tag: u8,
    pub(crate) begin: usize,
    pub(crate) body: usize,
    pub(crate) end: usize,
}

/// The packets of a well-formed key.
pub(crate) fn packets(key: &[u8]) -> Vec<Packet> {
    let mut packets = Vec::new();
    let mut begin = 0;
    while begin < key.len() {
        let (tag, octets) = match key[begin] {
            // The new format: GnuPG writes the old one, rPGP this.
            first @ 0xc0.. => (first & 0x3f, if key[begin + 1] < 192 { 1 } else { 2 }),
            first => (first >> 2 & 0xf, 1 << (first & 3)),
        };
        let body = begin + 1 + octets;
        let length = key[begin + 1..body]
            .iter()
            .fold(0, |length, octet| length << 8 | usize::from(*octet));
        let length = match (key[begin], octets) {
            (0xc0.., 2) => length - (192 << 8) + 192,
            _ => length,
        };
        let end = body + length;
        packets.push(Packet {
            tag,
            begin,
            body,
            end,
        });
        begin = end;
    }
    packets
}

/// The key without its packets of these numbers.
pub(crate) fn without(key: &[u8], numbers: &[usize]) -> Vec<u8> {
    packets(key)
        .iter()
        .enumerate()
        .filter(|(number, _)| !numbers.contains(number))
        .flat_map(|(_, packet)| key[packet.begin..packet.end].to_vec())
        .collect()
}
