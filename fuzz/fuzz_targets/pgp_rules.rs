// SPDX-License-Identifier: MIT OR Apache-2.0
//! Anybody's bytes, and any reply about them, before PGP's rules: what they believe is what a verified signature was over, found out from
//! what was hashed; the primary key is the one at the front; a key costs 64 verifications at most.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgp_proto::{ENTRY_LEN, Fingerprint, LIST_HEADER_LEN, REPLY_MAX, Request};
use pgp_rules::key::{self, SUBKEYS_MAX, VERIFICATIONS_MAX};
use pgp_rules::rpm::Header;
use pgp_rules::signature::kind;
use pgp_rules::{
    Crypto, Digest, Hash, HashAlgorithm, Material, PublicKey, Refusal, SignatureValue, State,
    Verified, data, packet, text,
};
use std::cell::RefCell;
use std::hash::{DefaultHasher, Hasher};
use umd_fuzz::Script;

fuzz_target!(|data: &[u8]| {
    let mut script = Script::new(data);
    match script.below(4) {
        0 => transferable_key(&mut script),
        1 => signed_data(&mut script),
        2 => header(&mut script),
        _ => texts(&mut script),
    }
});

/// Crypto that remembers what was hashed, and says of each signature whether it is good as it was told beforehand.
struct Witness {
    verdicts: u32,
    hashed: RefCell<Vec<(Digest, Vec<u8>)>>,
    asked: RefCell<Vec<Asked>>,
}

/// A verification.
struct Asked {
    key: Vec<u8>,
    salt: usize,
    hashed: Vec<u8>,
    is_good: bool,
}

struct Transcript<'w> {
    of: &'w Witness,
    algorithm: HashAlgorithm,
    bytes: Vec<u8>,
}

impl Witness {
    /// A bit for each verification, again from the first when there are no more.
    fn new(verdicts: u32) -> Self {
        Self {
            verdicts,
            hashed: RefCell::default(),
            asked: RefCell::default(),
        }
    }

    /// The types of the good signatures of this key over this.
    fn said(&self, by: &PublicKey<'_>, about: &[u8]) -> Vec<u8> {
        let key = numbers(&by.material);
        let asked = self.asked.borrow();
        let good = asked
            .iter()
            .filter(|asked| asked.is_good && asked.key == key);
        good.filter_map(|asked| {
            let salt = if by.version == 6 { asked.salt } else { 0 };
            let trailer = asked.hashed[salt..].strip_prefix(about)?;
            (trailer[0] == by.version).then_some(trailer[1])
        })
        .collect()
    }
}

impl<'w> Crypto for &'w Witness {
    type Hash = Transcript<'w>;

    fn hash(&self, algorithm: HashAlgorithm) -> Result<Transcript<'w>, Refusal> {
        Ok(Transcript {
            of: self,
            algorithm,
            bytes: Vec::new(),
        })
    }

    fn verify(
        &self,
        material: &Material<'_>,
        algorithm: HashAlgorithm,
        digest: &[u8],
        _: &SignatureValue<'_>,
    ) -> Result<(), Refusal> {
        if *material == Material::Other {
            return Err(Refusal::KeyUnsupported);
        }
        let all = self.hashed.borrow();
        let hashed = all.iter().find(|(known, _)| known.as_bytes() == digest);
        let (_, hashed) = hashed.expect("a digest of something that was hashed");
        let mut asked = self.asked.borrow_mut();
        let is_good = self.verdicts >> (asked.len() % 32) & 1 == 1;
        asked.push(Asked {
            key: numbers(material),
            salt: algorithm.salt_length().unwrap_or(0),
            hashed: hashed.clone(),
            is_good,
        });
        is_good.then_some(()).ok_or(Refusal::BadSignature)
    }
}

impl Hash for Transcript<'_> {
    fn update(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.bytes.extend(bytes);
        Ok(())
    }

    /// Two zeros, so that whoever writes a signature knows how its digest begins; then what is another for other bytes.
    fn finish(self) -> Result<Digest, Refusal> {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(self.algorithm as u8);
        hasher.write(&self.bytes);
        let mut bytes = vec![0; self.algorithm.length()];
        bytes[2..10].copy_from_slice(&hasher.finish().to_be_bytes());
        let digest = Digest::new(&bytes)?;
        self.of.hashed.borrow_mut().push((digest, self.bytes));
        Ok(digest)
    }
}

fn numbers(material: &Material<'_>) -> Vec<u8> {
    match material {
        Material::Rsa { n, e } => [&[1], *n, *e].concat(),
        Material::Dsa { p, q, g, y } => [&[2], *p, *q, *g, *y].concat(),
        Material::Ecdsa { point, .. } => [&[3], *point].concat(),
        Material::Ed25519 { point } => [&[4], &point[..]].concat(),
        Material::Ed448 { point } => [&[5], &point[..]].concat(),
        Material::Other => vec![6],
    }
}

/// A key as signatures are over it.
fn framed(key: &PublicKey<'_>) -> Vec<u8> {
    let length = (key.body.len() as u32).to_be_bytes();
    match key.version {
        6 => [&[0x9b], &length[..], key.body].concat(),
        _ => [&[0x99], &length[2..], key.body].concat(),
    }
}

fn is_within(part: &[u8], all: &[u8]) -> bool {
    let (part, all) = (part.as_ptr_range(), all.as_ptr_range());
    all.start <= part.start && part.end <= all.end
}

/// The body of the first packet, in another way than the rules.
fn front(input: &[u8]) -> Option<&[u8]> {
    let number = |octets: &[u8]| {
        octets
            .iter()
            .fold(0, |sum, octet| sum << 8 | usize::from(*octet))
    };
    let (head, length) = match *input {
        [0x98, ..] => (2, number(input.get(1..2)?)),
        [0x99, ..] => (3, number(input.get(1..3)?)),
        [0x9a, ..] => (5, number(input.get(1..5)?)),
        [0xc6, one @ ..=191, ..] => (2, usize::from(one)),
        [0xc6, 192..=223, ..] => (3, number(input.get(1..3)?) - 192 * 255),
        [0xc6, 255, ..] => (6, number(input.get(2..6)?)),
        _ => return None,
    };
    input.get(head..)?.get(..length)
}

fn transferable_key(script: &mut Script<'_>) {
    let now = u64::from(script.word());
    let witness = Witness::new(script.word());
    let crypto = &&witness;
    let is_honest = script.flip();
    let length = usize::from(script.byte()) << 8 | usize::from(script.byte());
    let input = script.bytes(length);
    let primary = match key::primary(input, crypto) {
        Ok(primary) => primary,
        Err(refusal) => {
            assert_eq!(
                front(input).is_none(),
                matches!(refusal, Refusal::NotAKey | Refusal::Length)
            );
            return;
        }
    };
    assert!(front(input).is_some_and(|front| std::ptr::eq(front, primary.body)));
    let reply = match is_honest {
        true => disturbed(input, &primary, script),
        false => script.rest().to_vec(),
    };
    let mut room = [None; SUBKEYS_MAX];
    let outcome = key::read(primary, input, &reply, crypto, now, &mut room);
    assert!(witness.asked.borrow().len() <= VERIFICATIONS_MAX as usize);
    let Ok(key) = outcome else {
        return;
    };
    assert!(std::ptr::eq(key.public.body, primary.body));
    assert!(u64::from(primary.created) <= now);
    let own = framed(&primary);
    let about_key = witness.said(&primary, &own);
    if let Some(user_id) = key.user_id {
        assert!(is_within(user_id, input));
        let length = (user_id.len() as u32).to_be_bytes();
        let about = [&own[..], &[0xb4], &length, user_id].concat();
        let said = witness.said(&primary, &about);
        assert!(said.iter().any(|said| kind::USER_ID.contains(said)));
    } else {
        let asked = witness.asked.borrow();
        assert!(asked.iter().any(|asked| asked.is_good));
    }
    assert!(!key.state.revoked || about_key.contains(&kind::REVOKE_KEY));
    assert!(key.subkeys <= SUBKEYS_MAX);
    assert!(room[key.subkeys..].iter().all(Option::is_none));
    for subkey in &room[..key.subkeys] {
        let subkey = subkey.expect("a subkey that is counted");
        assert!(is_within(subkey.public.body, input));
        let both = [&own[..], &framed(&subkey.public)].concat();
        let said = witness.said(&primary, &both);
        assert!(said.contains(&kind::SUBKEY));
        let state = subkey.state;
        assert!(!state.revoked || key.state.revoked || said.contains(&kind::REVOKE_SUBKEY));
        assert_eq!(state.check(now).is_ok(), state.signs);
        if state.signs {
            assert!(witness.said(&subkey.public, &both).contains(&kind::BACK));
        }
        let limit = key.state.expires.unwrap_or(u64::MAX);
        assert!(state.expires.unwrap_or(u64::MAX) <= limit);
    }
}

/// What the handler says of a key, and what becomes of that in other hands.
fn disturbed(input: &[u8], primary: &PublicKey<'_>, script: &mut Script<'_>) -> Vec<u8> {
    // By whom the key's signatures say that they are; its fingerprint here is nobody's in the world.
    let fingerprint = match primary.version {
        6 => Fingerprint::V6(array(script)),
        _ => Fingerprint::V4(array(script)),
    };
    let request = Request::Key(fingerprint);
    let message = [&request.encode(input.len() as u32)[..], input].concat();
    let mut reply = vec![0; REPLY_MAX];
    let Ok(length) = pgp_handler::answer(&message, &mut reply) else {
        return Vec::new();
    };
    let entries = reply[LIST_HEADER_LEN..length].chunks(ENTRY_LEN);
    let mut entries: Vec<Vec<u8>> = entries.map(<[u8]>::to_vec).collect();
    while !script.is_over() && !entries.is_empty() {
        let at = usize::from(script.byte()) % entries.len();
        let other = usize::from(script.byte()) % entries.len();
        match script.below(5) {
            0 => drop(entries.remove(at)),
            1 => entries.insert(at, entries[other].clone()),
            2 => entries.swap(at, other),
            3 => entries[at][script.below(ENTRY_LEN as u8) as usize] = script.byte(),
            _ => {
                let word = usize::from(script.below(ENTRY_LEN as u8 / 4));
                entries[at][4 * word..][..2].copy_from_slice(&[script.byte(), script.byte()]);
            }
        }
    }
    let mut header = reply[..LIST_HEADER_LEN].to_vec();
    header[..4].copy_from_slice(&(entries.len() as u32).to_le_bytes());
    [header, entries.concat()].concat()
}

fn array<const N: usize>(script: &mut Script<'_>) -> [u8; N] {
    [(); N].map(|()| script.byte())
}

fn signed_data(script: &mut Script<'_>) {
    let now = u64::from(script.word());
    let witness = Witness::new(script.word());
    let crypto = &&witness;
    let states = [(); 2].map(|()| State {
        expires: script.flip().then(|| script.word().into()),
        revoked: script.flip(),
        signs: script.flip(),
    });
    let pieces = usize::from(script.byte()) + 1;
    let length = usize::from(script.byte()) << 8 | usize::from(script.byte());
    let packet = script.bytes(length);
    let length = usize::from(script.byte()) << 8 | usize::from(script.byte());
    let body = script.bytes(length);
    let bytes = script.rest();
    let (Ok(signature), Ok(key)) = (data::signature(packet), PublicKey::read(body, crypto)) else {
        return;
    };
    assert!(matches!(signature.kind(), kind::BINARY | kind::TEXT));
    assert!(!signature.hash_algorithm().has_collisions());
    let mut hashing = signature.hashing(crypto).expect("any hash");
    for piece in bytes.chunks(pieces) {
        hashing.update(piece).expect("a hash that takes all");
    }
    let hashed = hashing.finish().expect("a hash that ends");
    let keys = states
        .iter()
        .enumerate()
        .map(|(number, state)| (body, *state, number));
    if let Ok((number, _)) = data::check_any(&hashed, keys, crypto, now) {
        assert_eq!(states[number].check(now), Ok(()));
        let before = states[..number].iter();
        let asked = witness.asked.borrow();
        let last = asked.last().expect("a verification");
        assert!(last.is_good && last.key == numbers(&key.material));
        assert!(before.len() < asked.len());
        let salt = if key.version == 6 { last.salt } else { 0 };
        let (is_text, front) = (
            signature.kind() == kind::TEXT,
            if key.version == 6 { 8 } else { 6 },
        );
        let end = front
            + packet[4..front]
                .iter()
                .fold(0, |sum, octet| sum << 8 | usize::from(*octet));
        let signed = if is_text {
            lines(bytes)
        } else {
            bytes.to_vec()
        };
        let trailer = [
            &packet[..end],
            &[packet[0], 0xff],
            &(end as u32).to_be_bytes(),
        ]
        .concat();
        assert_eq!(last.hashed[salt..], [signed, trailer].concat());
    }
}

/// Text with other ends of lines: CR, LF, and no CR before them.
fn lines(text: &[u8]) -> Vec<u8> {
    let lines = text.split(|byte| *byte == b'\n').map(|line| {
        let end = line.iter().rposition(|byte| *byte != b'\r');
        &line[..end.map_or(0, |end| end + 1)]
    });
    lines.collect::<Vec<_>>().join(&b"\r\n"[..])
}

/// Somebody's word, since what is in a package's header is believed of nobody else.
fn verified() -> Verified {
    const SIGNATURE: &[u8] = &[4, 0, 1, 8, 0, 6, 5, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1];
    const KEY: &[u8] = &[4, 0, 0, 0, 0, 1, 0, 1, 1, 0, 1, 1];
    let witness = Witness::new(u32::MAX);
    let key = PublicKey::read(KEY, &&witness).expect("a key");
    let signature = data::signature(SIGNATURE).expect("a signature");
    let hashing = signature.hashing(&&witness).expect("a hash");
    let hashed = hashing.finish().expect("a digest");
    hashed.verify(&key, &&witness).expect("a good signature")
}

fn header(script: &mut Script<'_>) {
    const PAYLOAD_DIGEST: u32 = 5092;
    let number = usize::from(script.byte());
    let bytes = script.rest();
    let Ok(header) = Header::read(bytes) else {
        return;
    };
    let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|byte| bytes[at + byte]));
    let (entries, length) = (word(8) as usize, word(12) as usize);
    assert_eq!(16 + 16 * entries + length, bytes.len());
    let data = &bytes[16 + 16 * entries..];
    if let Ok(signature) = header.signature(number) {
        let [tag, kind, offset, count] = [0, 4, 8, 12].map(|at| word(16 + 16 * number + at));
        assert!(matches!(tag, 267 | 268) && kind == 7);
        assert_eq!(signature, &data[offset as usize..][..count as usize]);
    }
    let signed = header.signed(&verified()).expect("over its bytes");
    let Ok(Some(payload)) = signed.payload() else {
        return;
    };
    let tags = (0..entries).map(|entry| 16 + 16 * entry);
    let told: Vec<_> = tags.filter(|at| word(*at) == PAYLOAD_DIGEST).collect();
    let [told] = told[..] else {
        panic!("it is told {} times", told.len());
    };
    let told = &data[word(told + 8) as usize..];
    let told = told.split(|byte| *byte == 0).next().unwrap_or_default();
    let digits: Option<Vec<u8>> = told
        .iter()
        .map(|digit| char::from(*digit).to_digit(16).map(|digit| digit as u8))
        .collect();
    let right = digits.filter(|digits| digits.len() == 2 * payload.algorithm().length());
    let right = right.map(|digits| {
        let pairs = digits.chunks(2);
        pairs.map(|pair| pair[0] << 4 | pair[1]).collect::<Vec<_>>()
    });
    let mut other = right
        .clone()
        .unwrap_or(vec![0; payload.algorithm().length()]);
    if let Some(right) = right {
        let right = Digest::new(&right).expect("a digest");
        assert_eq!(payload.check(&right), Ok(()));
    }
    other[0] ^= 1;
    let other = Digest::new(&other).expect("a digest");
    assert_eq!(payload.check(&other), Err(Refusal::Payload));
}

/// A cleartext-signed message, and the fronts of a keyring's packets.
fn texts(script: &mut Script<'_>) {
    let bytes = script.rest();
    let mut fed: Vec<u8> = Vec::new();
    let outcome = text::cleartext(bytes, |piece| {
        fed.extend(piece);
        Ok(())
    });
    assert_eq!(outcome, Ok(()));
    let lines = bytes.split(|byte| *byte == b'\n').map(|line| {
        let mut line = line.strip_prefix(b"- ").unwrap_or(line);
        while let [rest @ .., b' ' | b'\t' | b'\r'] = line {
            line = rest;
        }
        line
    });
    assert_eq!(fed, lines.collect::<Vec<_>>().join(&b"\r\n"[..]));

    let fronts: Vec<_> = packet::fronts(bytes).collect();
    assert_eq!(fronts.first().map(|(at, _)| *at), Some(0));
    assert!(fronts.is_sorted_by(|(one, _), (other, _)| one < other));
    for (number, (at, is_key)) in fronts.iter().enumerate() {
        let outcome = packet::primary(&bytes[*at..]);
        assert_eq!(*is_key, outcome != Err(Refusal::NotAKey));
        assert!(*is_key || number + 1 == fronts.len() || fronts[number + 1].0 <= bytes.len());
        if let (Some((next, _)), Some(body)) = (fronts.get(number + 1), front(&bytes[*at..])) {
            assert!(body.as_ptr_range().end == bytes[..*next].as_ptr_range().end);
        }
    }
}
