// SPDX-License-Identifier: MIT OR Apache-2.0
//! A handler that lies about a key: what it cannot have believed, and the four things that it can do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use pgp_proto::{Entry, Key, LIST_HEADER_LEN, List, Object, Place, Subject};
use pgp_rules::key::{SUBKEYS_MAX, VERIFICATIONS_MAX};
use proptest::prelude::*;
use std::sync::LazyLock;
use support::{Gpg, Judged, NOW, judge, judge_reply, packets, reply};
use umd_pgp::{Refusal, RustCrypto, State};

/// A key of somebody's, and behind it, in a packet of a kind that nobody reads, another's key.
struct Input {
    bytes: Vec<u8>,
    /// What is true.
    truth: Judged,
    /// Where the other's key is.
    other: Vec<Entry>,
}

/// When the owner's key expires, as it was said first and last.
const EXPIRIES: [u64; 2] = [NOW - 1000 + 30 * DAY, NOW - 10 + 10 * DAY];
const DAY: u64 = 86_400;

/// The owner's primary key may not sign data, and expires sooner than was said at first. There are two user ids, two subkeys that sign, one
/// that encrypts, and one that was revoked; in one self-signature there is a notation.
///
/// The back signatures of both subkeys have the same length, so that one can replace the other.
/// Leading zeros of a signature are not stored: the key is made again until the lengths are equal.
static INPUT: LazyLock<Input> = LazyLock::new(|| {
    loop {
        let input = input();
        let words = words_of_subkeys(&entries(&reply(&input.bytes).unwrap(), input.bytes.len()));
        if words[0].body.len == words[2].body.len {
            return input;
        }
    }
});

fn input() -> Input {
    let gpg = Gpg::new();
    let owner = gpg.make("owner <o@x>", "ed25519", "cert", "30d");
    let notation = ["--cert-notation", "note@x=owner <o@x>"];
    let second = [&notation[..], &["--quick-add-uid", &owner, "second <o@y>"]].concat();
    gpg.run_at(NOW - 950, &second);
    gpg.add_subkey(&owner, "ed25519", "sign", "never");
    gpg.add_subkey(&owner, "cv25519", "encr", "never");
    gpg.add_subkey(&owner, "nistp256/ecdsa", "sign", "1d");
    gpg.add_subkey(&owner, "ed25519", "sign", "never");
    gpg.run_edit(&owner, b"key 4\nrevkey\ny\n0\n\ny\nsave\n");
    // A newer self-signature takes the older one's place; whoever has met the key at both times has both.
    let reader = Gpg::new();
    reader.run(&["--import"], &gpg.export(&owner));
    gpg.run_at(NOW - 10, &["--quick-set-expire", &owner, "10d"]);
    reader.run(&["--import"], &gpg.export(&owner));
    let other = gpg.make("other <o@x>", "ed25519", "sign", "never");
    gpg.add_subkey(&other, "ed25519", "sign", "never");

    let mut bytes = reader.export(&owner);
    let truth = judge(&bytes).unwrap();
    let theirs = gpg.export(&other);
    // A packet of tag 60, for private use.
    bytes.extend([0xfc, 0xff]);
    bytes.extend((theirs.len() as u32).to_be_bytes());
    let shift = bytes.len() as u32;
    bytes.extend(&theirs);
    let other = entries(&reply(&theirs).unwrap(), theirs.len())
        .into_iter()
        .map(|entry| moved(entry, shift))
        .collect();
    assert_eq!(judge(&bytes), Ok(truth.clone()));
    Input {
        bytes,
        truth,
        other,
    }
}

/// The signatures by the subkeys that sign. Those of the first and the last are of Ed25519.
fn words_of_subkeys(entries: &[Entry]) -> Vec<Object> {
    let words = entries.iter().filter_map(|entry| match entry {
        Entry::Signature(claim) => claim.back,
        _ => None,
    });
    words.collect()
}

fn entries(reply: &[u8], length: usize) -> Vec<Entry> {
    let key = Key::decode(reply, length).unwrap();
    let mut entries = vec![Entry::Primary(key.primary)];
    entries.extend(key.direct.map(Entry::Signature));
    for component in key.components {
        entries.push(match component.subject {
            Subject::UserId(place) => Entry::UserId(place),
            Subject::Subkey(object) => Entry::Subkey(object),
        });
        entries.extend(component.signatures.map(Entry::Signature));
    }
    entries
}

/// The entry of something that lies further behind.
fn moved(mut entry: Entry, by: u32) -> Entry {
    let object = |object: &mut Object| {
        object.body.at += by;
        object.parts.at += by;
    };
    match &mut entry {
        Entry::Primary(key) | Entry::Subkey(key) => object(key),
        Entry::UserId(place) => place.at += by,
        Entry::Signature(signature) => {
            object(&mut signature.object);
            signature.issuer = None;
            signature.back.as_mut().map(object);
        }
    }
    entry
}

fn written(entries: &[Entry]) -> Vec<u8> {
    let mut reply = List::encode_header(entries.len() as u32, Default::default()).to_vec();
    reply.extend(entries.iter().flat_map(Entry::encode));
    reply
}

fn honest() -> Vec<Entry> {
    entries(&reply(&INPUT.bytes).unwrap(), INPUT.bytes.len())
}

fn judged(entries: &[Entry]) -> Result<Judged, Refusal> {
    judge_reply(&INPUT.bytes, &written(entries))
}

fn believed(entries: &[Entry]) -> Judged {
    judged(entries).unwrap()
}

/// What is believed is a part of what is true, whatever was said.
fn is_within_the_truth(judged: &Judged) {
    let truth = &INPUT.truth;
    assert_eq!(judged.fingerprint, truth.fingerprint);
    let known = [&b"owner <o@x>"[..], b"second <o@y>"];
    assert!(
        judged
            .user_id
            .as_ref()
            .is_none_or(|user_id| known.contains(&&user_id[..]))
    );
    // No self-signature says that it is for ever, or that it may sign.
    let expires = judged.state.expires.expect("it expires");
    assert!(EXPIRIES.contains(&expires), "{expires}");
    assert!(!judged.state.revoked && !judged.state.signs);
    for (fingerprint, state) in &judged.subkeys {
        let known = truth.subkeys.iter().find(|(known, _)| known == fingerprint);
        let (_, known) = known.expect("a subkey of the owner's");
        assert!(known.revoked || !state.revoked);
        // All that are not revoked are good: those that are said to be without a word of theirs are not there.
        assert_eq!(state.signs, !state.revoked);
        // One expires by itself, others with their primary key.
        let own = known
            .expires
            .filter(|own| Some(*own) != truth.state.expires);
        assert_eq!(state.expires, own.or(Some(expires)));
    }
}

#[test]
fn the_truth() {
    assert_eq!(judged(&honest()), Ok(INPUT.truth.clone()));
    assert_eq!(INPUT.truth.user_id.as_deref(), Some(&b"second <o@y>"[..]));
    let revoked: Vec<_> = INPUT
        .truth
        .subkeys
        .iter()
        .map(|(_, state)| state.revoked)
        .collect();
    assert_eq!(revoked, [true, false, false]);
    assert_eq!(INPUT.truth.state.expires, Some(EXPIRIES[1]));
    let own = Some(NOW - 900 + DAY);
    let expires = |(_, state): &&(_, State)| state.expires == own;
    assert_eq!(INPUT.truth.subkeys.iter().filter(expires).count(), 1);
    is_within_the_truth(&INPUT.truth);
}

#[test]
fn the_primary_key_is_the_one_at_the_front() {
    // Nothing else can be it: not the other's, nor a subkey, nor the same a byte further.
    let honest = honest();
    let mut others: Vec<Object> = INPUT
        .other
        .iter()
        .chain(&honest)
        .filter_map(|entry| match entry {
            Entry::Primary(key) | Entry::Subkey(key) => Some(*key),
            _ => None,
        })
        .collect();
    let Entry::Primary(own) = honest[0] else {
        panic!("{honest:?}")
    };
    others.retain(|key| *key != own);
    assert_eq!(others.len(), 6);
    for (at, len) in [(1, 0), (0, 1), (1, u32::MAX)] {
        let mut near = own;
        near.body.at += at;
        near.body.len = near.body.len.wrapping_sub(len);
        others.push(near);
    }
    for other in others {
        let alone = [Entry::Primary(other)];
        assert_eq!(judged(&alone), Err(Refusal::Reply));
        let mut instead = honest.clone();
        instead[0] = Entry::Primary(other);
        assert_eq!(judged(&instead), Err(Refusal::Reply));
    }
    assert_eq!(judged(&INPUT.other), Err(Refusal::Reply));
}

#[test]
fn anothers_parts_are_not_the_owners() {
    let honest = honest();
    // All of the other's user ids, subkeys and signatures behind the owner's: nothing changes.
    let both = [&honest[..], &INPUT.other[1..]].concat();
    let judged_both = judged(&both).unwrap();
    assert_eq!(judged_both.left_out, Some(Refusal::NoSelfSignature));
    let same = Judged {
        left_out: INPUT.truth.left_out,
        ..judged_both
    };
    assert_eq!(same, INPUT.truth);
    // And instead of them: nobody vouches for the key.
    let instead = [&honest[..1], &INPUT.other[1..]].concat();
    assert_eq!(judged(&instead), Err(Refusal::NoSelfSignature));
}

#[test]
fn text_in_a_notation_is_no_user_id() {
    let honest = honest();
    let place = INPUT
        .bytes
        .windows(6 + 11)
        .position(|bytes| bytes == b"note@xowner <o@x>")
        .expect("a notation") as u32
        + 6;
    let holder = honest
        .iter()
        .position(|entry| {
            let body = entry.body();
            body.at < place && place < body.end()
        })
        .unwrap();
    // In front of the signature that it is in, it overlaps; in its place, the next signature is about something else.
    let false_id = Entry::UserId(Place { at: place, len: 11 });
    let mut overlapping = honest.clone();
    overlapping.insert(holder + 1, false_id);
    assert_eq!(judged(&overlapping), Err(Refusal::Reply));
    let mut instead = honest.clone();
    instead[holder] = false_id;
    let judged = judged(&instead).unwrap();
    is_within_the_truth(&judged);
    assert_eq!(judged.user_id.as_deref(), Some(&b"owner <o@x>"[..]));
}

#[test]
fn signatures_are_about_what_they_were_made_for() {
    let honest = honest();
    let subjects: Vec<usize> = (1..honest.len())
        .filter(|number| !matches!(honest[*number], Entry::Signature(_)))
        .collect();
    // Each subject loses what was said about it to the one before it, and the last one's goes to all the others.
    for subject in &subjects {
        let mut without = honest.clone();
        without.remove(*subject);
        let judged = judged(&without).unwrap_or_else(|error| panic!("{subject}: {error:?}"));
        is_within_the_truth(&judged);
        let lost = |judged: &Judged| judged.subkeys.len() + usize::from(judged.user_id.is_some());
        assert!(lost(&judged) <= lost(&INPUT.truth));
    }
    // A subkey that encrypts is no subkey that signs, nor is one that was revoked a user id.
    for (one, other) in [(0, 2), (2, 3), (3, 5), (1, 4)] {
        let (one, other) = (subjects[one], subjects[other]);
        let mut swapped = honest.clone();
        swapped.swap(one, other);
        // It lies in the wrong order.
        assert_eq!(judged(&swapped), Err(Refusal::Reply));
    }
}

#[test]
fn a_subkey_that_signs_has_to_agree() {
    let honest = honest();
    let words = words_of_subkeys(&honest);
    assert_eq!(words.len(), 3);
    let agrees = |entry: &Entry| matches!(entry, Entry::Signature(claim) if claim.back.is_some());
    // Without the subkey's word, with what is no signature, and with the word of a signature about something else.
    let first = honest.iter().position(agrees).unwrap();
    let mut cut = words[0];
    cut.body.len -= 1;
    cut.parts.lens[1] -= 1;
    let mut elsewhere = words[0];
    elsewhere.body = honest[first].body();
    for (other, why) in [
        (None, Refusal::NoBackSignature),
        (Some(cut), Refusal::Number),
        (Some(elsewhere), Refusal::NoBackSignature),
    ] {
        let mut lie = honest.clone();
        if let Entry::Signature(claim) = &mut lie[first] {
            claim.back = other;
        }
        let judged = believed(&lie);
        assert_eq!(judged.left_out, Some(why));
        assert_eq!(judged.subkeys, INPUT.truth.subkeys[..2]);
    }
    // What one subkey says is not another's word.
    let mut swapped = INPUT.bytes.clone();
    let (from, to) = (words[0], words[2]);
    let range = |object: Object| object.body.at as usize..object.body.end() as usize;
    assert_eq!(from.body.len, to.body.len, "it was made so");
    swapped.copy_within(range(to), from.body.at as usize);
    let judged = judge_reply(&swapped, &written(&honest)).unwrap();
    assert_eq!(judged.left_out, Some(Refusal::BadSignature));
    assert_eq!(judged.subkeys, INPUT.truth.subkeys[..2]);
}

#[test]
fn a_revocation_binds_nothing() {
    let mut lie = honest();
    let revocation = lie
        .iter()
        .position(|entry| INPUT.bytes[entry.body().at as usize + 1] == 0x28)
        .unwrap();
    // Its subkey's other signature lies before it or behind it.
    let binding = match lie[revocation - 1] {
        Entry::Signature(_) => revocation - 1,
        _ => revocation + 1,
    };
    lie.remove(binding);
    let judged = believed(&lie);
    assert_eq!(judged.left_out, Some(Refusal::NoSelfSignature));
    assert_eq!(judged.subkeys, INPUT.truth.subkeys[1..]);
}

#[test]
fn a_key_that_is_taken_for_ones_own_takes_nothing_from_its_owner() {
    let gpg = Gpg::new();
    let owner = gpg.make("owner", "ed25519", "sign", "never");
    let key = gpg.export(&owner);
    let packet = gpg.run(&["--detach-sign"], b"data");
    // An old header with one octet of length.
    let signature = pgp_rules::data::signature(&packet[2..]).unwrap();
    let mut hashing = signature.hashing(&RustCrypto).unwrap();
    hashing.update(b"data").unwrap();
    let hashed = hashing.finish().unwrap();
    let body = pgp_rules::packet::primary(&key).unwrap();
    let good = State {
        expires: None,
        revoked: false,
        signs: true,
    };
    let expired = State {
        expires: Some(1),
        ..good
    };
    let check = |states: &[State]| {
        let keys = states.iter().enumerate();
        let keys = keys.map(|(number, state)| (body, *state, number));
        pgp_rules::data::check_any(&hashed, keys, &RustCrypto, NOW).map(|(number, _)| number)
    };
    assert_eq!(check(&[good, expired]), Ok(0));
    assert_eq!(check(&[expired, good]), Ok(1));
    let revoked = State {
        revoked: true,
        ..good
    };
    assert_eq!(check(&[expired, revoked]), Err(Refusal::KeyExpired));
    assert_eq!(check(&[]), Err(Refusal::BadSignature));
}

#[test]
fn a_signature_about_a_key_is_none_over_data() {
    let input = &INPUT.bytes;
    let (key, name) = (packets(input)[0], packets(input)[1]);
    let claim = honest()
        .into_iter()
        .find(|entry| matches!(entry, Entry::Signature(_)))
        .unwrap();
    let body = claim.body().of(input).unwrap();
    // What it is over, as if that were data.
    let mut data = vec![0x99];
    data.extend(((key.end - key.body) as u16).to_be_bytes());
    data.extend(&input[key.body..key.end]);
    data.push(0xb4);
    data.extend(((name.end - name.body) as u32).to_be_bytes());
    data.extend(&input[name.body..name.end]);
    let public = pgp_rules::key::primary(input, &RustCrypto).unwrap();
    let mut hashing = pgp_rules::Signature::read(body)
        .unwrap()
        .hashing(&RustCrypto)
        .unwrap();
    hashing.update(&data).unwrap();
    assert!(
        hashing
            .finish()
            .unwrap()
            .verify(&public, &RustCrypto)
            .is_ok()
    );
    assert_eq!(
        pgp_rules::data::signature(body),
        Err(Refusal::SignatureType)
    );
}

#[test]
fn places_outside_of_the_input() {
    for number in 0..honest().len() {
        for (at, len) in [(u32::MAX, 1), (0, u32::MAX), (INPUT.bytes.len() as u32, 1)] {
            let mut lie = honest();
            match &mut lie[number] {
                Entry::Primary(key) | Entry::Subkey(key) => key.body = Place { at, len },
                Entry::UserId(place) => *place = Place { at, len },
                Entry::Signature(signature) => signature.object.body = Place { at, len },
            }
            assert_eq!(judged(&lie), Err(Refusal::Reply));
        }
    }
}

/// What it can do: hide. Each of the four, and what comes of it.
#[test]
fn what_a_liar_can_do() {
    let honest = honest();
    let position = |find: &dyn Fn(&Entry) -> bool| honest.iter().position(find).unwrap();
    let kind = |number: u8| {
        move |entry: &Entry| match entry {
            Entry::Signature(signature) => {
                INPUT.bytes[signature.object.body.at as usize + 1] == number
            }
            _ => false,
        }
    };
    let without = |hidden: usize| {
        let mut rest = honest.clone();
        rest.remove(hidden);
        judged(&rest).unwrap()
    };
    // A component, with what is said about it.
    let hiding_all_of = |find: &dyn Fn(&Entry) -> bool| {
        let begin = position(find);
        let said = honest[begin + 1..].iter();
        let count = said
            .take_while(|entry| matches!(entry, Entry::Signature(_)))
            .count();
        let mut rest = honest.clone();
        rest.drain(begin..=begin + count);
        believed(&rest)
    };

    // A revocation: the subkey is as good as before.
    let judged = without(position(&kind(0x28)));
    assert!(judged.subkeys.iter().all(|(_, state)| !state.revoked));
    is_within_the_truth(&judged);

    // Newer self-signatures: of two that say when the key expires the older one counts.
    let newest: Vec<_> = honest
        .iter()
        .filter(|entry| match entry {
            Entry::Signature(signature) => u64::from(signature.created) < NOW - 10,
            _ => true,
        })
        .copied()
        .collect();
    let older = believed(&newest);
    assert_eq!(older.state.expires, Some(EXPIRIES[0]));
    is_within_the_truth(&older);
    // It need not hide them, where it says that they are old.
    let mut aged = honest.clone();
    for entry in &mut aged {
        if let Entry::Signature(signature) = entry
            && u64::from(signature.created) >= NOW - 10
        {
            signature.created = 0;
        }
    }
    assert_eq!(believed(&aged).state, older.state);
    is_within_the_truth(&believed(&aged));

    // A user id.
    let fewer = hiding_all_of(&|entry| matches!(entry, Entry::UserId(_)));
    assert!(fewer.user_id.is_some());
    is_within_the_truth(&fewer);

    // A subkey.
    let fewer = hiding_all_of(&|entry| matches!(entry, Entry::Subkey(_)));
    // The one that lies first is the oldest.
    assert_eq!(fewer.subkeys, INPUT.truth.subkeys[..2]);
}

/// What its owner once said counts, where a newer word is hidden.
#[test]
fn a_use_that_was_taken_back() {
    let gpg = Gpg::new();
    let owner = gpg.make("signed once", "ed25519", "sign", "never");
    let reader = Gpg::new();
    reader.run(&["--import"], &gpg.export(&owner));
    gpg.run_edit(&owner, b"change-usage\nS\nQ\nsave\n");
    reader.run(&["--import"], &gpg.export(&owner));
    let key = reader.export(&owner);
    let honest = entries(&reply(&key).unwrap(), key.len());
    let signs = |entries: &[Entry]| {
        let judged = judge_reply(&key, &written(entries));
        judged.map(|judged| judged.state.signs)
    };
    let [primary, user_id, one, other] = honest[..] else {
        panic!("{honest:?}")
    };
    assert_eq!(signs(&honest), Ok(false));
    let alone = [one, other].map(|signature| signs(&[primary, user_id, signature]).unwrap());
    assert_ne!(alone[0], alone[1]);
    assert_eq!(signs(&[primary, user_id]), Err(Refusal::NoSelfSignature));
}

#[test]
fn a_revocation_of_a_user_id_gives_no_use() {
    let gpg = Gpg::new();
    let owner = gpg.make("old name", "ed25519", "sign", "never");
    gpg.run_at(NOW - 900, &["--quick-add-uid", &owner, "new name"]);
    gpg.run_at(NOW - 800, &["--quick-revoke-uid", &owner, "old name"]);
    let key = gpg.export(&owner);
    let honest = entries(&reply(&key).unwrap(), key.len());
    let judged = |entries: &[Entry]| judge_reply(&key, &written(entries)).unwrap();
    let truth = judged(&honest);
    assert_eq!(truth.user_id.as_deref(), Some(&b"new name"[..]));
    assert!(truth.state.signs);
    // All that says what the key is for is hidden.
    let place = |place: Place| place.of(&key).unwrap();
    let shown: Vec<Entry> = honest
        .into_iter()
        .filter(|entry| match entry {
            Entry::UserId(user_id) => place(*user_id) == b"old name",
            Entry::Signature(signature) => place(signature.object.body)[1] == 0x30,
            _ => true,
        })
        .collect();
    assert_eq!(shown.len(), 3);
    let judged = judged(&shown);
    assert_eq!((judged.user_id, judged.state), (None, State::default()));
}

#[test]
fn more_subkeys_than_there_is_room_for() {
    let gpg = Gpg::new();
    let owner = gpg.make("many", "ed25519", "sign", "never");
    for _ in 0..SUBKEYS_MAX + 1 {
        gpg.add_subkey(&owner, "ed25519", "sign", "never");
    }
    let judged = judge(&gpg.export(&owner)).unwrap();
    assert_eq!(judged.subkeys.len(), SUBKEYS_MAX);
    assert_eq!(judged.left_out, Some(Refusal::Room));
    // With twice as many there are not even verifications left, and the newest are there all the same.
    for _ in 0..SUBKEYS_MAX {
        gpg.add_subkey(&owner, "ed25519", "sign", "never");
    }
    let more = judge(&gpg.export(&owner)).unwrap();
    assert_eq!(more.subkeys.len(), SUBKEYS_MAX);
    assert_eq!(more.left_out, Some(Refusal::TooManySignatures));
    assert_ne!(more.subkeys, judged.subkeys);
}

#[test]
fn more_user_ids_than_there_are_verifications() {
    let gpg = Gpg::new();
    let owner = gpg.make("many names 0", "ed25519", "sign", "never");
    let add = |number| {
        let user_id = format!("many names {number}");
        gpg.run_at(NOW - 900 + number, &["--quick-add-uid", &owner, &user_id]);
    };
    (1..u64::from(VERIFICATIONS_MAX)).for_each(add);
    let judged = judge(&gpg.export(&owner)).unwrap();
    assert_eq!(judged.user_id.as_deref(), Some(&b"many names 63"[..]));
    add(VERIFICATIONS_MAX.into());
    assert_eq!(judge(&gpg.export(&owner)), Err(Refusal::TooManySignatures));
}

/// An entry about any place; most often one that there is something at.
fn any_entry() -> impl Strategy<Value = Entry> {
    let pool: Vec<Entry> = honest().into_iter().chain(INPUT.other.clone()).collect();
    let length = INPUT.bytes.len() as u32;
    let pool_entry = proptest::sample::select(pool);
    (pool_entry, any::<bool>(), 0..length, 0..300_u32, 0..4_u8).prop_map(
        |(entry, keep, at, len, kind)| {
            if keep {
                return entry;
            }
            let mut object = Object {
                body: Place { at, len },
                ..Object::default()
            };
            object.parts.at = at;
            object.parts.lens[0] = 1;
            match (kind, entry) {
                (0, Entry::Signature(mut signature)) => {
                    signature.back = Some(object);
                    Entry::Signature(signature)
                }
                (1, _) => Entry::Subkey(object),
                (2, _) => Entry::UserId(object.body),
                _ => Entry::Signature(pgp_proto::Signature {
                    object,
                    ..Default::default()
                }),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_reply_makes_more_than_the_truth(
        mut entries in proptest::collection::vec(any_entry(), 0..24),
        keep_primary: bool,
        sorted: bool,
    ) {
        if keep_primary {
            entries.insert(0, honest()[0]);
        }
        if sorted {
            entries.sort_by_key(|entry| entry.body().at);
            let mut end = 0;
            entries.retain(|entry| {
                let keep = entry.body().at >= end;
                if keep {
                    end = entry.body().end();
                }
                keep
            });
        }
        if let Ok(judged) = judged(&entries) {
            is_within_the_truth(&judged);
        }
    }

    #[test]
    fn changed_bytes_of_a_reply(changes in proptest::collection::vec((LIST_HEADER_LEN..2000_usize, any::<u8>()), 1..6)) {
        let mut reply = written(&honest());
        for (at, byte) in changes {
            let length = reply.len();
            reply[at % length] = byte;
        }
        if let Ok(judged) = judge_reply(&INPUT.bytes, &reply) {
            is_within_the_truth(&judged);
        }
    }

    #[test]
    fn any_bytes(input in proptest::collection::vec(any::<u8>(), 0..200), reply in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(judge_reply(&input, &reply).is_err());
        let _ = judge_reply(&INPUT.bytes, &reply);
        let _ = pgp_rules::Signature::read(&input);
    }
}
