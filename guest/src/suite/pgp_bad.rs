// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bad input for the PGP driver: each byte changed, each way to end too soon, and packets that are made to take long.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::io::Errno;

use super::pgp::{header_of, memory, payload_of};
use crate::harness::{Context, Topic, test};
use crate::keys::{self, USER_KEYRING, add};
use crate::pgp::{Answer, DRIVER, MODULE, Request, file, fingerprints, has_ecdsa, hex};
use crate::time::slowness;

pub(crate) const TOPIC: Topic = Topic {
    name: "pgp bad input",
    modules: &[MODULE],
    tests: &[
        test("each byte of a key", each_byte),
        test("each byte of a key with subkeys", each_byte_with_subkeys),
        test(
            "each byte of a key that is not supported",
            each_byte_unsupported,
        ),
        test("each key cut anywhere", cuts),
        test("a detached signature changed and cut", detached),
        test("a message changed and cut", message),
        test("a package's headers changed and cut", package),
        test("a key that is a bomb", key_bombs),
        test("a message that is a bomb", message_bombs),
        test("lengths of four gigabytes", lengths),
    ],
};

/// How a byte is changed.
const FLIPS: [u8; 2] = [0x01, 0xff];

/// The most bytes that a key may have.
const KEY_MAX: usize = 65_535;

/// The most bytes of a request's data, and of what the handler takes.
const DATA_MAX: usize = 1 << 20;
const INPUT_MAX: usize = 16 << 20;

/// Verifications that a key is worth, and signatures that a message is.
const VERIFICATIONS_MAX: usize = 64;
const SIGNATURES_MAX: usize = 8;

const MILLION: usize = 1_000_000;

/// Tags of packets.
const SIGNATURE: u8 = 2;
const ONE_PASS: u8 = 4;
const KEY: u8 = 6;
const COMPRESSED: u8 = 8;
const MARKER: u8 = 10;
const LITERAL: u8 = 11;
const TRUST: u8 = 12;
const USER_ID: u8 = 13;
const SUBKEY: u8 = 14;

/// Where in a key, a message or a signature a byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Region {
    /// In the primary key's body.
    Primary,
    /// In a user id, a subkey's body, data.
    Subject,
    /// In the part of a signature that is hashed.
    Hashed,
    /// Anywhere else: heads of packets, what no signature is over, the signatures' own numbers.
    Elsewhere,
}

/// Which of all ways there are tried: each in a full run, but where that takes hours; else some, which are others with
/// each seed.
#[derive(Clone, Copy)]
struct Choice {
    every: usize,
    first: usize,
}

impl Choice {
    fn new(context: &Context) -> Self {
        // No divisor of what things in packets are as long as.
        let every = match slowness() {
            1 => context.rounds(7, 1),
            _ => 13,
        };
        let first = context.seed as usize % every;
        Self { every, first }
    }

    fn of<T>(self, all: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
        all.into_iter().skip(self.first).step_by(self.every)
    }

    /// All ways to change bytes at these places.
    fn ways(self, places: impl IntoIterator<Item = usize>) -> impl Iterator<Item = (usize, u8)> {
        let places = self.of(places);
        places.flat_map(|at| FLIPS.map(|bits| (at, bits)))
    }

    /// How many there are to be of so many, then: fewer still, since each packet's places are counted anew.
    fn some(self, count: u32) -> u32 {
        count / (2 * self.every as u32 - 1)
    }
}

/// A packet: its tag, where it begins, where its body begins and ends.
#[derive(Clone, Copy)]
struct Packet {
    tag: u8,
    begin: usize,
    body: usize,
    end: usize,
}

impl Packet {
    fn region(&self, bytes: &[u8], at: usize) -> Region {
        let hashed = match (self.tag, bytes.get(self.body + 4..self.body + 6)) {
            (SIGNATURE, Some(&[high, low])) => {
                self.body + 6 + usize::from(u16::from_be_bytes([high, low]))
            }
            _ => self.end,
        };
        match self.tag {
            _ if at < self.body => Region::Elsewhere,
            KEY => Region::Primary,
            USER_ID | SUBKEY => Region::Subject,
            SIGNATURE if at < hashed => Region::Hashed,
            _ => Region::Elsewhere,
        }
    }
}

/// The packets of what GnuPG has made: in the old format, or the new one with a short body.
fn packets(bytes: &[u8]) -> Result<Vec<Packet>> {
    let mut packets = Vec::new();
    let mut begin = 0;
    while begin < bytes.len() {
        let first = bytes[begin];
        let (tag, octets) = match first & 0xc0 {
            0xc0 => (first & 0x3f, 1),
            _ => (first >> 2 & 0xf, 1 << (first & 3)),
        };
        let body = begin + 1 + octets;
        let length = bytes
            .get(begin + 1..body)
            .context("a packet without an end")?;
        let end = body
            + length
                .iter()
                .fold(0, |length, octet| length << 8 | usize::from(*octet));
        packets.push(Packet {
            tag,
            begin,
            body,
            end,
        });
        begin = end;
    }
    ensure!(begin == bytes.len(), "the last packet does not end");
    Ok(packets)
}

/// A packet of any length, in the new format.
fn packet(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0xc0 | tag, 0xff][..], &length, body].concat()
}

/// A packet of a few bytes.
fn small(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[0xc0 | tag, body.len() as u8][..], body].concat()
}

/// As much of a unit as there is room for behind the bytes.
fn filled(bytes: &[u8], unit: &[u8], length: usize) -> Vec<u8> {
    let count = (length - bytes.len()) / unit.len();
    [bytes, &unit.repeat(count)].concat()
}

fn changed(bytes: &[u8], at: usize, bits: u8) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[at] ^= bits;
    changed
}

/// Outcomes by region: refused, with less, the same.
#[derive(Default)]
struct Counts(BTreeMap<Region, [u32; 3]>);

impl Counts {
    fn count(&mut self, region: Region, outcome: usize) {
        self.0.entry(region).or_default()[outcome] += 1;
    }

    fn of(&self, region: Region) -> [u32; 3] {
        self.0.get(&region).copied().unwrap_or_default()
    }

    fn print(&self, what: &str) {
        for (region, [refused, less, same]) in &self.0 {
            println!("# {what}: {region:?}: {refused} refused, {less} with less, {same} the same");
        }
    }
}

/// What the kernel shows of a key: its line in /proc/keys, and whether it is found by its subkey's fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    line: String,
    subkey: bool,
}

/// Adds a key. What it is refused with is about the key, and not about the handler.
fn seen(key: &[u8], subkey: &str) -> Result<Option<Seen>> {
    const ABOUT_KEYS: [Errno; 5] = [
        Errno::BADMSG,
        Errno::NOPKG,
        Errno::MSGSIZE,
        Errno::KEYREJECTED,
        Errno::KEYEXPIRED,
    ];
    let key = match add(key) {
        Ok(key) => key,
        Err(error) if ABOUT_KEYS.contains(&error) => return Ok(None),
        Err(error) => bail!("refused with {error:?}"),
    };
    let shown = keys::shown(key.serial)?;
    let (_, line) = shown.split_once("asymmetri").context("another kind")?;
    let found = keys::search(USER_KEYRING, &CString::new(format!("ex:{subkey}"))?);
    ensure!(
        found.is_err() || found == Ok(key.serial),
        "another key has this subkey: {found:?}"
    );
    Ok(Some(Seen {
        line: line.to_owned(),
        subkey: found.is_ok(),
    }))
}

/// Does something that nobody must die of; then the handler answers as before.
fn survived(work: impl FnOnce() -> Result<()>) -> Result<()> {
    let starts = DRIVER.number("starts")?;
    work()?;
    let key = add(&file("rsa1024.pgp")?).context("a good key afterwards")?;
    Request::detached(key.serial, &file("rsa1024.sig")?, &file("data")?).good()?;
    let now = DRIVER.number("starts")?;
    ensure!(now == starts, "{} handlers died of it", now - starts);
    Ok(())
}

/// Changes each byte of a key, and sees that it is what it must be then: refused in the primary key's body; in what is signed exactly the
/// key without that part; elsewhere that, the same, or refused.
fn flip(name: &str, choice: Choice) -> Result<Counts> {
    let key = file(&format!("{name}.pgp"))?;
    let fingerprints = fingerprints(name)?;
    // The one that signs.
    let subkey = hex(fingerprints.get(1).unwrap_or(&fingerprints[0]));
    let whole = seen(&key, &subkey)?.context("it is refused as it is")?;
    let tail = hex(&fingerprints[0][12..]);
    let own_name = format!(" {name} <{name}@example.org>: {tail}: PGP.");
    ensure!(whole.line.contains(&own_name), "{whole:?}");
    ensure!(whole.subkey, "it is not found by its fingerprint");
    let (signature, data) = (file(&format!("{name}.sig"))?, file("data")?);
    let all = packets(&key)?;
    let mut less = Vec::new();
    for (number, packet) in all.iter().enumerate() {
        let mut gone = number..number + 1;
        if packet.tag != SIGNATURE {
            let about = all[number + 1..].iter();
            gone.end += about.take_while(|next| next.tag == SIGNATURE).count();
        }
        let begin = &key[..packet.begin];
        let rest = all.get(gone.end).map_or(&[][..], |next| &key[next.begin..]);
        less.push(match packet.tag {
            KEY => None,
            _ => seen(&[begin, rest].concat(), &subkey)?,
        });
    }
    let mut counts = Counts::default();
    for (number, packet) in all.iter().enumerate() {
        for (at, bits) in choice.ways(packet.begin..packet.end) {
            let region = packet.region(&key, at);
            let what = || format!("{name}: byte {at} ^ {bits:x} ({region:?})");
            let seen = seen(&changed(&key, at, bits), &subkey).with_context(what)?;
            let right = match region {
                Region::Primary => seen.is_none(),
                Region::Subject | Region::Hashed => seen == less[number],
                Region::Elsewhere => {
                    seen.is_none() || seen.as_ref() == Some(&whole) || less.contains(&seen)
                }
            };
            ensure!(right, "{}: {seen:?}", what());
            let outcome = match seen {
                None => 0,
                Some(seen) if seen == whole => 2,
                Some(_) => {
                    // What the subkey has signed is nobody's now.
                    let key = add(&changed(&key, at, bits))?;
                    let request = Request::detached(key.serial, &signature, &data);
                    refused(&what(), &request, Errno::NOKEY)?;
                    1
                }
            };
            counts.count(region, outcome);
        }
    }
    counts.print(name);
    Ok(counts)
}

fn each_byte(context: &Context) -> Result<()> {
    let choice = Choice::new(context);
    let mut names = vec!["rsa1024"];
    if has_ecdsa()? {
        names.push("p256");
    }
    survived(|| {
        for name in names {
            let counts = flip(name, choice)?;
            // It has one user id, and one signature.
            for region in [Region::Primary, Region::Subject, Region::Hashed] {
                let [refused, less, same] = counts.of(region);
                ensure!(
                    refused > choice.some(40) && less + same == 0,
                    "{name}: {region:?}"
                );
            }
            // Heads of packets and the signature's numbers; what it says in its part that is not hashed.
            let [refused, less, same] = counts.of(Region::Elsewhere);
            ensure!(
                refused > choice.some(100) && less == 0 && same >= choice.some(10),
                "{name}: elsewhere"
            );
        }
        Ok(())
    })
}

fn each_byte_with_subkeys(context: &Context) -> Result<()> {
    let choice = Choice::new(context);
    survived(|| {
        let counts = flip("subkey", choice)?;
        let [_, less, same] = counts.of(Region::Primary);
        ensure!(less + same == 0, "the primary key");
        for region in [Region::Subject, Region::Hashed, Region::Elsewhere] {
            // The user id's, the signing subkey's, the other subkey's.
            let outcomes = counts.of(region);
            ensure!(
                outcomes.iter().all(|count| *count > choice.some(20)),
                "{region:?}"
            );
        }
        Ok(())
    })
}

/// What makes a key another one makes it none that anybody has signed.
fn each_byte_unsupported(context: &Context) -> Result<()> {
    let choice = Choice::new(context);
    survived(|| {
        for name in ["ed25519", "rsa2560", "dsa2048", "p521"] {
            let key = file(&format!("{name}.pgp"))?;
            for (at, bits) in choice.ways(0..key.len()) {
                let seen = seen(&changed(&key, at, bits), "")?;
                ensure!(seen.is_none(), "{name}: byte {at} ^ {bits:x}: {seen:?}");
            }
        }
        Ok(())
    })
}

/// Behind a whole packet that comes after a signature about the key, it may be a key with less. Anywhere else it is none.
fn cuts(context: &Context) -> Result<()> {
    let choice = Choice::new(context);
    let names = [
        "rsa1024", "rsa2048", "rsa3072", "rsa4096", "rsa2560", "p256", "p384", "p521", "ed25519",
        "dsa2048", "revoked", "usage", "expired", "subkey", "mixed",
    ];
    survived(|| {
        let (mut refused, mut less) = (0, 0);
        for name in names {
            let key = file(&format!("{name}.pgp"))?;
            let is_taken = seen(&key, "")?.is_some();
            let all = packets(&key)?;
            let user_id = all.iter().position(|packet| packet.tag == USER_ID);
            let vouched = all[user_id.context("no user id")? + 1].end;
            for length in choice.of(1..key.len()) {
                let between = all.iter().any(|packet| packet.end == length);
                let is_key = seen(&key[..length], "")?.is_some();
                ensure!(
                    is_key == (is_taken && between && length >= vouched),
                    "{name} cut at {length}: {is_key}"
                );
                match is_key {
                    true => less += 1,
                    false => refused += 1,
                }
            }
        }
        println!("# cut anywhere {refused} are refused, {less} are a key");
        ensure!(
            refused > choice.some(10_000) && less >= choice.some(5),
            "{refused} and {less}"
        );
        Ok(())
    })
}

/// It is not the handler that has not answered.
fn ask(request: &Request<'_>) -> Result<Answer> {
    let answer = request.ask()?;
    let about_input = [0, 7, 65, 74, 90, 126, 127, 129];
    ensure!(about_input.contains(&answer.error), "{answer:?}");
    ensure!(
        answer.error == 0 || answer.fingerprint.is_empty(),
        "{answer:?}"
    );
    Ok(answer)
}

fn refused(what: &str, request: &Request<'_>, error: Errno) -> Result<()> {
    let answer = ask(request).with_context(|| what.to_owned())?;
    ensure!(
        answer.error == error.raw_os_error().cast_unsigned(),
        "{what}: {answer:?}"
    );
    Ok(())
}

fn detached(context: &Context) -> Result<()> {
    let choice = Choice::new(context);
    let key = add(&file("rsa2048.pgp")?)?;
    let (signature, data) = (file("rsa2048.sig")?, file("data")?);
    let own = &fingerprints("rsa2048")?[0];
    let all = packets(&signature)?;
    survived(|| {
        let mut counts = Counts::default();
        for (at, bits) in choice.ways(0..signature.len()) {
            let region = all[0].region(&signature, at);
            let answer = ask(&Request::detached(
                key.serial,
                &changed(&signature, at, bits),
                &data,
            ))?;
            let is_good = answer.error == 0;
            ensure!(
                !is_good || (region == Region::Elsewhere && answer.fingerprint == *own),
                "byte {at} ^ {bits:x} ({region:?}): {answer:?}"
            );
            counts.count(region, if is_good { 2 } else { 0 });
        }
        counts.print("a signature");
        for length in choice.of(1..signature.len()) {
            let cut = Request::detached(key.serial, &signature[..length], &data);
            refused(&format!("cut at {length}"), &cut, Errno::BADMSG)?;
        }
        let [bad, _, good] = counts.of(Region::Elsewhere);
        ensure!(
            counts.of(Region::Hashed)[0] > choice.some(20),
            "nothing is hashed"
        );
        ensure!(
            bad > choice.some(500) && good >= choice.some(10),
            "{bad} and {good}"
        );
        Ok(())
    })
}

fn message(context: &Context) -> Result<()> {
    let choice = Choice::new(context);
    let key = add(&file("rsa2048.pgp")?)?;
    let (message, data) = (file("rsa2048.message")?, file("data")?);
    let own = &fingerprints("rsa2048")?[0];
    let good = Request::inline(key.serial, &message).good()?;
    let (begin, end) = (good.data.0, good.data.0 + good.data.1);
    let all = packets(&message)?;
    survived(|| {
        let mut counts = Counts::default();
        for packet in &all {
            for (at, bits) in choice.ways(packet.begin..packet.end) {
                let region = match (begin..end).contains(&at) {
                    true => Region::Subject,
                    false => packet.region(&message, at),
                };
                let changed = changed(&message, at, bits);
                let answer = ask(&Request::inline(key.serial, &changed))?;
                let what = || format!("byte {at} ^ {bits:x} ({region:?}): {answer:?}");
                if answer.error != 0 {
                    counts.count(region, 0);
                    continue;
                }
                let (begin, length) = answer.data;
                let told = changed.get(begin..begin + length);
                ensure!(told == Some(&data[..]), "other data: {}", what());
                ensure!(answer.fingerprint == *own, "another key: {}", what());
                ensure!(region == Region::Elsewhere, "{}", what());
                counts.count(region, 2);
            }
        }
        counts.print("a message");
        for length in choice.of(0..message.len()) {
            let cut = Request::inline(key.serial, &message[..length]);
            refused(&format!("cut at {length}"), &cut, Errno::BADMSG)?;
        }
        ensure!(counts.of(Region::Subject)[0] > choice.some(90), "data");
        ensure!(
            counts.of(Region::Hashed)[0] > choice.some(20),
            "nothing is hashed"
        );
        let [bad, _, good] = counts.of(Region::Elsewhere);
        ensure!(
            bad > choice.some(500) && good >= choice.some(10),
            "{bad} and {good}"
        );
        Ok(())
    })
}

fn package(context: &Context) -> Result<()> {
    let choice = Choice::new(context);
    /// Of what is before the header each so many-th byte is changed: it is mostly room that nobody uses.
    const STEP: usize = 7;
    let key = add(&file("rsa4096.pgp")?)?;
    let package = file("rsa4096.rpm")?;
    let (header, payload) = (header_of(&package)?, payload_of(&package)?);
    let ask = |bytes: &[u8]| ask(&Request::rpm(key.serial, &memory(bytes)?));
    survived(|| {
        let mut counts = Counts::default();
        let places = (0..header).step_by(STEP).chain(header..payload);
        for (at, bits) in choice.ways(places) {
            let answer = ask(&changed(&package, at, bits))?;
            let is_good = answer.error == 0;
            let region = match at >= header {
                true => Region::Hashed,
                false => Region::Elsewhere,
            };
            ensure!(
                !is_good || region == Region::Elsewhere,
                "byte {at} ^ {bits:x}: {answer:?}"
            );
            counts.count(region, if is_good { 2 } else { 0 });
        }
        counts.print("a package's headers");
        for length in choice.of(0..payload) {
            let answer = ask(&package[..length])?;
            ensure!(answer.error == 74, "cut at {length}: {answer:?}");
        }
        let [bad, _, good] = counts.of(Region::Elsewhere);
        ensure!(
            bad > choice.some(100) && good >= choice.some(10),
            "{bad} and {good}"
        );
        ensure!(
            counts.of(Region::Hashed)[0] > choice.some(2000),
            "the header"
        );
        Ok(())
    })
}

/// A signature of version 4 with such a hashed part; it is nobody's.
fn nobodys(kind: u8, hashed: &[u8]) -> Vec<u8> {
    let length = (hashed.len() as u16).to_be_bytes();
    let behind = [0, 0, 0, 0, 0, 1, 1];
    [&[4, kind, 1, 8][..], &length, hashed, &behind].concat()
}

fn key_bombs(_: &Context) -> Result<()> {
    let key = file("rsa1024.pgp")?;
    let all = packets(&key)?;
    let whole = seen(&key, "")?;
    let self_signature = &key[all[2].begin..];
    let mut bad = self_signature.to_vec();
    // Of its number: the digest is what it says.
    *bad.last_mut().context("no signature")? ^= 1;
    // Each in the one around it, below a subkey.
    let mut inner = nobodys(0x18, &[]);
    while inner.len() < 60_000 {
        let length = (inner.len() as u32 + 1).to_be_bytes();
        inner = nobodys(0x18, &[&[0xff][..], &length, &[32], &inner].concat());
    }
    let subkey = packet(SUBKEY, &key[all[0].body..all[0].end]);
    let nested_signatures = [&key[..], &subkey, &packet(SIGNATURE, &inner)].concat();
    let mut compressed = packet(COMPRESSED, b"");
    while key.len() + compressed.len() + 6 <= KEY_MAX {
        compressed = packet(COMPRESSED, &compressed);
    }
    let empty = |tag| filled(&key, &small(tag, b""), KEY_MAX);
    survived(|| {
        // Of no interest, or nothing.
        for (what, bomb) in [
            ("trust", empty(TRUST)),
            ("signatures", empty(SIGNATURE)),
            ("subkeys", empty(SUBKEY)),
            ("self-signatures", filled(&key, self_signature, KEY_MAX)),
            // Of signatures of one time the last is tried first.
            (
                "as many verifications as a key is worth",
                [&key[..], &bad.repeat(VERIFICATIONS_MAX - 1)].concat(),
            ),
        ] {
            let bomb = seen(&bomb, "").with_context(|| what.to_owned())?;
            ensure!(bomb == whole, "{what}: {bomb:?}");
        }
        let bomb = seen(&nested_signatures, "")?;
        ensure!(bomb == whole, "signatures in signatures: {bomb:?}");
        for (what, bomb, error) in [
            ("user ids", empty(USER_ID), Errno::MSGSIZE),
            ("primary keys", empty(KEY), Errno::BADMSG),
            ("compressed", empty(COMPRESSED), Errno::NOPKG),
            (
                "compressed, nested",
                [&key[..], &compressed].concat(),
                Errno::NOPKG,
            ),
            (
                "more verifications than a key is worth",
                [&key[..], &bad.repeat(VERIFICATIONS_MAX)].concat(),
                Errno::KEYREJECTED,
            ),
            (
                "as many as there is room for",
                filled(&key, &bad, KEY_MAX),
                Errno::KEYREJECTED,
            ),
        ] {
            let key = add(&bomb);
            ensure!(
                matches!(key, Err(found) if found == error),
                "{what}: {key:?}"
            );
        }
        Ok(())
    })
}

fn message_bombs(_: &Context) -> Result<()> {
    let key = add(&file("rsa2048.pgp")?)?;
    let (message, data) = (file("rsa2048.message")?, file("data")?);
    let signature = file("rsa2048.sig")?;
    let mut bad = signature.clone();
    *bad.last_mut().context("no signature")? ^= 1;
    let literal = packet(LITERAL, &[b"b\0\0\0\0\0", &data[..]].concat());
    let marker = small(MARKER, b"PGP");
    let good = |request: &Request<'_>, bytes: &[u8]| -> Result<()> {
        let (begin, length) = request.good()?.data;
        let told = bytes.get(begin..begin + length);
        ensure!(told == Some(&data[..]), "other data");
        Ok(())
    };
    let in_file = |bytes: &[u8]| -> Result<File> { memory(bytes) };
    survived(|| {
        // As many markers as there is room for in front of a message.
        let room = DATA_MAX - message.len();
        let markers = marker.repeat(room / marker.len());
        let bytes = [&markers[..], &message].concat();
        good(&Request::inline(key.serial, &bytes), &bytes)?;
        let bytes = [&marker.repeat(MILLION)[..], &message].concat();
        let request = Request::inline(key.serial, &[]);
        good(&request.clone().of_file(&in_file(&bytes)?), &bytes)?;
        // Signatures in front of their data: the first that is good counts, and not all are tried.
        let signed = |bad_ones: usize, good_ones: usize| {
            let bad = bad.repeat(bad_ones);
            [&bad[..], &signature.repeat(good_ones), &literal].concat()
        };
        for bytes in [signed(0, 1000), signed(SIGNATURES_MAX - 1, 900)] {
            good(&Request::inline(key.serial, &bytes), &bytes)?;
        }
        for bytes in [signed(1000, 0), signed(SIGNATURES_MAX, 900)] {
            let request = Request::inline(key.serial, &bytes);
            refused("bad signatures", &request, Errno::TOOBIG)?;
        }
        let mut compressed = packet(COMPRESSED, b"");
        for _ in 0..10_000 {
            compressed = packet(COMPRESSED, &compressed);
        }
        let largest = filled(b"", &[&signature[..], &literal].concat(), INPUT_MAX);
        for (what, bytes, error) in [
            (
                "one-pass packets",
                small(ONE_PASS, b"\0").repeat(MILLION),
                Errno::BADMSG,
            ),
            (
                "signatures of nothing",
                small(SIGNATURE, b"").repeat(MILLION),
                Errno::BADMSG,
            ),
            (
                "signatures",
                filled(b"", &signature, INPUT_MAX),
                Errno::MSGSIZE,
            ),
            ("messages", largest, Errno::BADMSG),
            (
                "compressed, nested",
                [&marker[..], &compressed].concat(),
                Errno::NOPKG,
            ),
            ("a byte too many", vec![0; INPUT_MAX + 1], Errno::MSGSIZE),
        ] {
            refused(what, &request.clone().of_file(&in_file(&bytes)?), error)?;
        }
        Ok(())
    })
}

fn lengths(_: &Context) -> Result<()> {
    const LONG: [u8; 4] = [0xff; 4];
    let key = file("rsa1024.pgp")?;
    let whole = seen(&key, "")?;
    let new = |tag: u8| [&[0xc0 | tag, 0xff][..], &LONG].concat();
    let old = |tag: u8| [&[0x80 | tag << 2 | 2][..], &LONG].concat();
    let long: Vec<_> = (0..64).map(new).chain((0..16).map(old)).collect();
    survived(|| {
        for head in &long {
            for bytes in [
                head.clone(),
                [&key[..], head].concat(),
                [&head[..], &key].concat(),
            ] {
                let seen = seen(&bytes, "")?;
                ensure!(seen.is_none(), "{head:x?}: {seen:?}");
            }
        }
        // Of a signature's areas, of subpackets, of a number: the signature is left out.
        let area = [&[6, 0x13, 1, 8][..], &LONG].concat();
        let subpacket = nobodys(0x13, &[&[0xff][..], &LONG, &[2]].concat());
        let mut number = nobodys(0x13, &[]);
        let end = number.len();
        number[end - 3..end - 1].fill(0xff);
        for body in [area, subpacket, number] {
            let seen = seen(&[&key[..], &packet(SIGNATURE, &body)].concat(), "")?;
            ensure!(seen == whole, "{body:x?}: {seen:?}");
            let owner = add(&key)?;
            let signature = packet(SIGNATURE, &body);
            let request = Request::detached(owner.serial, &signature, b"data");
            ensure!(ask(&request)?.error != 0, "{body:x?}");
        }
        // Of a key's numbers.
        let body = [&[6, 0, 0, 0, 0, 1][..], &LONG].concat();
        let seen = seen(&packet(KEY, &body), "")?;
        ensure!(seen.is_none(), "{seen:?}");
        let owner = add(&key)?;
        for head in &long {
            let signature = Request::detached(owner.serial, head, b"data");
            ensure!(ask(&signature)?.error != 0, "{head:x?}");
            let message = Request::inline(owner.serial, head);
            ensure!(ask(&message)?.error != 0, "{head:x?}");
        }
        long_headers(owner.serial)
    })
}

/// Counts and offsets in a package's headers.
fn long_headers(key: i32) -> Result<()> {
    const LEAD: usize = 96;
    let package = file("rsa4096.rpm")?;
    let header = header_of(&package)?;
    let entries = (LEAD + 16..header).step_by(16);
    let counts = [LEAD + 8, LEAD + 12, header + 8, header + 12];
    let places = entries.take(4).flat_map(|entry| [entry + 8, entry + 12]);
    for at in counts.into_iter().chain(places) {
        for value in [u32::MAX, 0x0fff_ffff, 0xffff] {
            let mut bytes = package.clone();
            bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
            let answer = ask(&Request::rpm(key, &memory(&bytes)?))?;
            ensure!(answer.error != 0, "{value:x} at {at}: {answer:?}");
        }
    }
    Ok(())
}
