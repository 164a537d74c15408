// SPDX-License-Identifier: MIT OR Apache-2.0
//! A hostile handler in the PGP driver's seat: what it can do, and what it cannot.

use std::ops::Range;
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgp_proto::{Fingerprint, HEADER_LEN, LIST_HEADER_LEN, List, REPLY_MAX, Skipped};
use rustix::io::Errno;
use umd_testkit::pgp::Order;

use crate::harness::{Context, Topic, test};
use crate::keys::{self, Key, add};
use crate::pgp::{DRIVER, Request, file, fingerprints, hex};
use crate::time::{ms, timed, until};
use crate::{modules, process};

pub(crate) const TOPIC: Topic = Topic {
    name: "pgp hostile",
    modules: &[MODULE],
    tests: &[
        test("the truth is believed", truth),
        test("a reply that is no reply", nonsense),
        test("another primary key", other_primary),
        test("a subkey that nobody has bound", unbound),
        test(
            "a subkey, user id and signature out of each other",
            misplaced,
        ),
        test("parts within a notation or a user id", within),
        test("what it can hide", hidden),
        test("a newer self-signature that it hides", older),
        test(
            "a revocation is all that it shows of a user id",
            only_revoked,
        ),
        test("refusals of its own", refusals),
        test("a handler that dies", dies),
        test("a handler that hangs", hangs),
        test("certificates are added during a storm of bad keys", storm),
        test("a parser comes and goes while a handler hangs", parsers),
    ],
};

const MODULE: &str = "umd_pgp_hostile";

/// What the driver's policy gives a handler.
const DEADLINE: Duration = ms(1_000);

/// A key with an order behind it.
fn told(key: &[u8], letter: u8, body: &[u8]) -> Vec<u8> {
    [key, body, &Order::footer(letter, body)].concat()
}

/// Adds a key about which the handler says this.
fn add_told(key: &[u8], reply: &[u8]) -> Result<Key, Errno> {
    add(&told(key, b'r', reply))
}

/// What an honest handler says of a key.
fn honest(name: &str) -> Result<Vec<u8>> {
    honest_of(&file(&format!("{name}.pgp"))?, &fingerprints(name)?[0])
}

fn honest_of(key: &[u8], fingerprint: &[u8]) -> Result<Vec<u8>> {
    let fingerprint = Fingerprint::V4(fingerprint.try_into()?);
    let header = pgp_proto::Request::Key(fingerprint).encode(u32::try_from(key.len())?);
    let mut reply = vec![0; REPLY_MAX];
    let length = pgp_handler::answer(&[&header[..], key].concat(), &mut reply);
    let length = length.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
    reply.truncate(length);
    ensure!(
        HEADER_LEN == 44 && length > LIST_HEADER_LEN,
        "{length} bytes"
    );
    Ok(reply)
}

/// A reply's entries, one by one.
fn entries(reply: &[u8]) -> Vec<Vec<u8>> {
    let entries = reply[LIST_HEADER_LEN..].chunks(pgp_proto::ENTRY_LEN);
    entries.map(<[u8]>::to_vec).collect()
}

fn reply(entries: &[Vec<u8>]) -> Result<Vec<u8>> {
    let count = u32::try_from(entries.len())?;
    let header = List::encode_header(count, Skipped::default());
    Ok([&header[..], &entries.concat()].concat())
}

/// Where in the key something is that an entry tells of.
fn place(entry: &[u8]) -> Result<Range<usize>> {
    let word = |at: usize| -> Result<usize> {
        let bytes = entry[at..at + 4].try_into()?;
        Ok(usize::try_from(u32::from_le_bytes(bytes))?)
    };
    let (at, length) = (word(8)?, word(12)?);
    Ok(at..at + length)
}

/// A packet in the new format.
fn packet(tag: u8, body: &[u8]) -> Result<Vec<u8>> {
    let length = u32::try_from(body.len())?.to_be_bytes();
    Ok([&[0xc0 | tag, 0xff], &length[..], body].concat())
}

/// The tags of packets.
const SIGNATURE_PACKET: u8 = 2;
const USER_ID_PACKET: u8 = 13;

/// Kinds of entries, by their first byte.
const PRIMARY: u8 = 1;
const USER_ID: u8 = 2;
const SUBKEY: u8 = 3;
const SIGNATURE: u8 = 4;

/// Where in an entry it is said where things are: the body, its numbers, the issuer, the back signature, its numbers.
const PLACES: [usize; 5] = [8, 16, 28, 36, 44];

/// The entry as it would be if what it is about came so many bytes later.
fn moved(mut entry: Vec<u8>, bytes: usize) -> Vec<u8> {
    for at in PLACES {
        let place = entry[at..at + 4].try_into().map_or(0, u32::from_le_bytes);
        if place > 0 {
            let place = place.wrapping_add(bytes as u32);
            entry[at..at + 4].copy_from_slice(&place.to_le_bytes());
        }
    }
    entry
}

fn truth(_: &Context) -> Result<()> {
    for name in ["rsa2048", "rsa4096", "subkey"] {
        let key = add_told(&file(&format!("{name}.pgp"))?, &honest(name)?).context(name)?;
        let signature = told_signature(name)?;
        Request::detached(key.serial, &signature, &file("data")?).good()?;
    }
    Ok(())
}

/// A signature with what an honest handler says of it behind.
fn told_signature(name: &str) -> Result<Vec<u8>> {
    let signature = file(&format!("{name}.sig"))?;
    let header = pgp_proto::Request::Signature.encode(u32::try_from(signature.len())?);
    let mut reply = vec![0; REPLY_MAX];
    let length = pgp_handler::answer(&[&header[..], &signature].concat(), &mut reply);
    let length = length.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
    Ok(told(&signature, b'r', &reply[..length]))
}

fn refused(what: &str, key: Result<Key, Errno>, error: Errno) -> Result<()> {
    match key {
        Err(found) if found == error => Ok(()),
        other => anyhow::bail!("{what}: {other:?}, not {error:?}"),
    }
}

/// A reply with one bit of a byte changed.
fn small_lies(reply: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let places = (0..reply.len()).flat_map(|at| [(at, 0), (at, 7)]);
    places.map(|(at, bit)| {
        let mut lie = reply.to_vec();
        lie[at] ^= 1 << bit;
        lie
    })
}

fn nonsense(_: &Context) -> Result<()> {
    let key = file("subkey.pgp")?;
    let honest = honest("subkey")?;
    for end in [0, 1, LIST_HEADER_LEN, honest.len() / 2, honest.len() - 1] {
        refused("a part", add_told(&key, &honest[..end]), Errno::BADMSG)?;
    }
    refused(
        "more",
        add_told(&key, &[&honest[..], &[0; 72]].concat()),
        Errno::BADMSG,
    )?;
    refused(
        "ones",
        add_told(&key, &vec![0xff; honest.len()]),
        Errno::BADMSG,
    )?;
    refused(
        "zeros",
        add_told(&key, &vec![0; honest.len()]),
        Errno::BADMSG,
    )?;
    // Each byte changed at its turn: refused, or a key whose primary key is the one at its front.
    let fingerprint = &fingerprints("subkey")?[0];
    let tail = hex(&fingerprint[12..]);
    let (mut refused, mut added) = (0, 0);
    for lie in small_lies(&honest) {
        match add_told(&key, &lie) {
            Ok(key) => {
                added += 1;
                let shown = keys::shown(key.serial)?;
                ensure!(shown.contains(&tail), "{shown}");
            }
            Err(_) => refused += 1,
        }
    }
    println!(
        "# of lies of one bit {refused} are refused, {added} make no difference to the primary key"
    );
    ensure!(
        DRIVER.get("starts")? == "1",
        "the handler did not survive that"
    );
    Ok(())
}

fn other_primary(_: &Context) -> Result<()> {
    let (first, second) = (file("rsa2048.pgp")?, file("rsa3072.pgp")?);
    let both = [&first[..], &second].concat();
    // As the second one would be in its own place.
    let of_second: Vec<_> = entries(&honest("rsa3072")?)
        .into_iter()
        .map(|entry| moved(entry, first.len()))
        .collect();
    refused(
        "another one",
        add_told(&both, &reply(&of_second)?),
        Errno::BADMSG,
    )?;
    // The user ids of the other one, with their signatures, below the first one.
    let mut mixed = vec![entries(&honest("rsa2048")?)[0].clone()];
    mixed.extend_from_slice(&of_second[1..]);
    refused(
        "other user ids",
        add_told(&both, &reply(&mixed)?),
        Errno::KEYREJECTED,
    )
}

fn unbound(_: &Context) -> Result<()> {
    // Another key's subkey, with the signature that binds it there.
    let (first, second) = (file("rsa2048.pgp")?, file("subkey.pgp")?);
    let both = [&first[..], &second].concat();
    let mut all = entries(&honest("rsa2048")?);
    let others = entries(&honest("subkey")?);
    let bound = others.into_iter().skip_while(|entry| entry[0] != SUBKEY);
    let before = all.len();
    all.extend(bound.map(|entry| moved(entry, first.len())));
    ensure!(all.len() > before, "no subkey");
    let key = add_told(&both, &reply(&all)?)?;
    Request::detached(key.serial, &told_signature("subkey")?, &file("data")?)
        .refused(Errno::NOKEY)
        .map(drop)
}

/// Kinds are swapped: user ids are said to be subkeys and so on.
fn misplaced(_: &Context) -> Result<()> {
    let key = file("subkey.pgp")?;
    let tail = hex(&fingerprints("subkey")?[0][12..]);
    for (from, to) in [
        (USER_ID, SUBKEY),
        (SUBKEY, USER_ID),
        (SIGNATURE, USER_ID),
        (SIGNATURE, SUBKEY),
        (USER_ID, SIGNATURE),
    ] {
        let mut all = entries(&honest("subkey")?);
        for entry in all.iter_mut().filter(|entry| entry[0] == from) {
            entry[0] = to;
            if to == USER_ID {
                entry[16..].fill(0);
            }
            if from == SIGNATURE {
                entry[1..8].fill(0);
                entry[28..].fill(0);
            }
        }
        if let Ok(key) = add_told(&key, &reply(&all)?) {
            let shown = keys::shown(key.serial)?;
            ensure!(shown.contains(&tail), "{from} as {to}: {shown}");
            Request::detached(key.serial, &told_signature("subkey")?, &file("data")?)
                .refused(Errno::NOKEY)?;
        }
    }
    Ok(())
}

/// What lies in a signature's notation or in a user id is text, whatever it looks like.
fn within(_: &Context) -> Result<()> {
    const NAME: &[u8] = b"root <root@example.org>";
    let key = file("renamed.pgp")?;
    let all = entries(&honest("renamed")?);
    let holder = all.last().context("no signature")?;
    let begin = place(holder)?.start;
    let at = key[begin..]
        .windows(NAME.len())
        .position(|text| text == NAME);
    let at = begin + at.context("no notation")?;
    let mut name = vec![0; pgp_proto::ENTRY_LEN];
    name[0] = USER_ID;
    name[8..12].copy_from_slice(&u32::try_from(at)?.to_le_bytes());
    name[12..16].copy_from_slice(&u32::try_from(NAME.len())?.to_le_bytes());
    // It lies in something else that was told of.
    let lie = [&all[..], slice::from_ref(&name)].concat();
    refused("both", add_told(&key, &reply(&lie)?), Errno::BADMSG)?;
    // By itself nobody has signed it: not with the signature that it is in, of which there is another one behind.
    let twice = [&key[..], &packet(SIGNATURE_PACKET, &key[place(holder)?])?].concat();
    let second = moved(holder.clone(), twice.len() - place(holder)?.end);
    ensure!(twice[place(&second)?] == twice[place(holder)?], "not moved");
    let lie = [all[0].clone(), name.clone(), second.clone()];
    let told = add_told(&twice, &reply(&lie)?);
    refused("a name in a notation", told, Errno::KEYREJECTED)?;
    let lie = [&all[..all.len() - 1], &[name, second]].concat();
    let added = add_told(&twice, &reply(&lie)?)?;
    let shown = keys::shown(added.serial)?;
    ensure!(!shown.contains("root"), "{shown}");
    drop(added);

    // A user id that is somebody's whole key, with a subkey that signs.
    let (own, other) = (file("rsa2048.pgp")?, file("subkey.pgp")?);
    let both = [&own[..], &packet(USER_ID_PACKET, &other)?].concat();
    let shift = both.len() - other.len();
    let others: Vec<_> = entries(&honest("subkey")?)
        .into_iter()
        .map(|entry| moved(entry, shift))
        .collect();
    let told = add_told(&both, &reply(&others)?);
    refused("a key in a user id", told, Errno::BADMSG)?;
    let all = entries(&honest("rsa2048")?);
    let lie = [&all[..1], &others[1..]].concat();
    let told = add_told(&both, &reply(&lie)?);
    refused("a user id in a user id", told, Errno::KEYREJECTED)?;
    let lie = [&all[..], &others[1..]].concat();
    let added = add_told(&both, &reply(&lie)?)?;
    let shown = keys::shown(added.serial)?;
    ensure!(shown.contains("rsa2048 <"), "{shown}");
    Request::detached(added.serial, &told_signature("subkey")?, &file("data")?)
        .refused(Errno::NOKEY)
        .map(drop)
}

/// A handler in others' hands can hide things: docs/pgp.md says so.
fn hidden(_: &Context) -> Result<()> {
    let data = file("data")?;
    // A revocation: the first signature, right behind the primary key.
    let key = file("revoked.pgp")?;
    let signature = told_signature("revoked")?;
    let mut all = entries(&honest("revoked")?);
    let whole = add_told(&key, &reply(&all)?)?;
    Request::detached(whole.serial, &signature, &data).refused(Errno::KEYREVOKED)?;
    drop(whole);
    ensure!(all[1][0] == SIGNATURE, "no revocation");
    all.remove(1);
    let without = add_told(&key, &reply(&all)?)?;
    Request::detached(without.serial, &signature, &data).good()?;
    drop(without);
    // A subkey.
    let key = file("subkey.pgp")?;
    let all = entries(&honest("subkey")?);
    let end = all.iter().position(|entry| entry[0] == SUBKEY);
    let less = add_told(&key, &reply(&all[..end.context("no subkey")?])?)?;
    Request::detached(less.serial, &told_signature("subkey")?, &data).refused(Errno::NOKEY)?;
    drop(less);
    // User ids: without anybody's word for the key there is none.
    refused(
        "no user id",
        add_told(&key, &reply(&all[..1])?),
        Errno::KEYREJECTED,
    )
}

/// Where the newest self-signature is hidden, or said to be an old one, what the owner once said counts; and nothing that the owner
/// never said.
fn older(_: &Context) -> Result<()> {
    let data = file("data")?;
    for (name, error) in [
        // It may not sign any more.
        ("usage", Errno::KEYREJECTED),
        ("shortened", Errno::KEYEXPIRED),
    ] {
        let fingerprint = &fingerprints(name)?[0];
        let before = file(&format!("{name}.before.pgp"))?;
        let once = entries(&honest_of(&before, fingerprint)?);
        let [.., once] = &once[..] else {
            anyhow::bail!("no signature")
        };
        let once = packet(SIGNATURE_PACKET, &before[place(once)?])?;
        let key = [file(&format!("{name}.pgp"))?, once].concat();
        let all = entries(&honest_of(&key, fingerprint)?);
        let kinds: Vec<u8> = all.iter().map(|entry| entry[0]).collect();
        ensure!(
            kinds == [PRIMARY, USER_ID, SIGNATURE, SIGNATURE],
            "{name}: {kinds:?}"
        );
        let signature = told_signature(name)?;
        let said = |entries: &[Vec<u8>]| -> Result<_> {
            let added = add_told(&key, &reply(entries)?).context(name)?;
            Request::detached(added.serial, &signature, &data).ask()
        };
        let refused = error.raw_os_error().cast_unsigned();
        let with = |numbers: &[usize]| -> Vec<Vec<u8>> {
            numbers.iter().map(|number| all[*number].clone()).collect()
        };
        for (numbers, expected) in [
            (&[0, 1, 2, 3][..], refused),
            (&[0, 1, 3], 0),
            (&[0, 1, 2], refused),
        ] {
            let answer = said(&with(numbers))?;
            ensure!(answer.error == expected, "{name} {numbers:?}: {answer:?}");
        }
        let mut swapped = all.clone();
        let (newer, older) = (all[2][4..8].to_vec(), all[3][4..8].to_vec());
        ensure!(newer != older, "{name}: of one time");
        swapped[2][4..8].copy_from_slice(&older);
        swapped[3][4..8].copy_from_slice(&newer);
        ensure!(said(&swapped)?.error == 0, "{name}: what it says first");
        // Without the older one, however it is told: what it is for, and until when, no lie changes.
        let mut added = 0;
        for lie in small_lies(&reply(&with(&[0, 1, 2]))?) {
            if let Ok(key) = add_told(&key, &lie) {
                added += 1;
                let answer = Request::detached(key.serial, &signature, &data).ask()?;
                ensure!(answer.error == refused, "{name}: {answer:?}");
            }
        }
        ensure!(added > 0, "{name}: all lies are refused");
    }
    Ok(())
}

/// What was said of a user id goes with it: a key that has no more than a revocation of one is for nothing.
fn only_revoked(_: &Context) -> Result<()> {
    const REVOCATION: u8 = 0x30;
    let (key, data) = (file("renamed.pgp")?, file("data")?);
    let signature = told_signature("renamed")?;
    let all = entries(&honest("renamed")?);
    let whole = add_told(&key, &reply(&all)?)?;
    let shown = keys::shown(whole.serial)?;
    ensure!(shown.contains("new <"), "{shown}");
    Request::detached(whole.serial, &signature, &data).good()?;
    drop(whole);
    let is_revocation = |entry: &&Vec<u8>| {
        entry[0] == SIGNATURE && place(entry).is_ok_and(|place| key[place.start + 1] == REVOCATION)
    };
    let revocation = all.iter().find(is_revocation).context("no revocation")?;
    let lie = [&all[..2], slice::from_ref(revocation)].concat();
    let added = add_told(&key, &reply(&lie)?)?;
    let shown = keys::shown(added.serial)?;
    ensure!(shown.contains("(no user id)"), "{shown}");
    Request::detached(added.serial, &signature, &data)
        .refused(Errno::KEYREJECTED)
        .map(drop)
}

fn refusals(_: &Context) -> Result<()> {
    let key = file("rsa2048.pgp")?;
    for (status, error) in [
        (74_u32, Errno::BADMSG),
        (65, Errno::NOPKG),
        (95, Errno::NOPKG),
        (7, Errno::MSGSIZE),
        // Numbers that no handler has reason to say are not handed on.
        (1, Errno::BADMSG),
        (129, Errno::BADMSG),
        (0xffff_fff0, Errno::BADMSG),
    ] {
        let key = add(&told(&key, b'n', &status.to_le_bytes()));
        refused(&format!("status {status}"), key, error)?;
    }
    Ok(())
}

fn dies(_: &Context) -> Result<()> {
    let key = file("rsa2048.pgp")?;
    refused("it dies", add(&told(&key, b'p', &[])), Errno::CONNRESET)?;
    add_told(&key, &honest("rsa2048")?)?;
    Ok(())
}

fn hangs(context: &Context) -> Result<()> {
    let key = file("rsa2048.pgp")?;
    let (hung, took) = timed(|| add(&told(&key, b's', &[])));
    refused("it hangs", hung, Errno::TIMEDOUT)?;
    context.at_deadline(DEADLINE, took)?;
    add_told(&key, &honest("rsa2048")?)?;
    Ok(())
}

fn storm(context: &Context) -> Result<()> {
    // So many bad keys beside them are a storm.
    const BAD: u32 = 5;
    let certificates = context.rounds(20, 40);
    let (key, certificate) = (file("rsa2048.pgp")?, file("x509-2048.der")?);
    let orders = [
        told(&key, b's', &[]),
        told(&key, b'p', &[]),
        told(&key, b'r', b"lie"),
    ];
    let (over, bad) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        let storm: Vec<_> = orders
            .iter()
            .map(|order| {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        bad.fetch_add(u32::from(add(order).is_err()), Ordering::Relaxed);
                        // A handler that died too often is not asked: that costs next to nothing.
                        thread::sleep(ms(5));
                    }
                })
            })
            .collect();
        let mut longest = Duration::ZERO;
        let mut count = 0;
        let mut one = || -> Result<()> {
            thread::sleep(ms(50));
            count += 1;
            let (key, took) = timed(|| add(&certificate));
            longest = longest.max(took);
            key.context("a certificate")?;
            Ok(())
        };
        let mut added = (0..certificates).try_for_each(|_| one());
        // Two that hang, one after the other, take that long.
        for _ in 0..certificates {
            if added.is_err() || bad.load(Ordering::Relaxed) >= BAD {
                break;
            }
            added = one();
        }
        over.store(true, Ordering::Relaxed);
        for thread in storm {
            let ended = thread.join();
            ended.map_err(|_| anyhow::anyhow!("a thread panicked"))?;
        }
        added?;
        let bad = bad.load(Ordering::Relaxed);
        println!(
            "# {count} certificates were added beside {bad} bad keys; the longest took {longest:?}"
        );
        ensure!(bad >= BAD, "{bad} bad keys are no storm");
        ensure!(longest < DEADLINE + context.grace(), "one took {longest:?}");
        Ok(())
    })?;
    // What is written there ends a back-off.
    DRIVER.restart()?;
    add_told(&key, &honest("rsa2048")?)?;
    Ok(())
}

/// Whoever brings a parser waits for those who are in one, and those who come later for him.
fn parsers(context: &Context) -> Result<()> {
    const OTHER: &str = "pkcs8_key_parser";
    let (key, certificate) = (file("rsa2048.pgp")?, file("x509-2048.der")?);
    thread::scope(|scope| {
        let hung = scope.spawn(|| add(&told(&key, b's', &[])));
        until("it hangs", || process::waiting_threads() == 1)?;
        // It cannot be unloaded while somebody is in it.
        let removed = modules::remove(MODULE);
        let (loaded, took) = timed(|| modules::load(OTHER));
        let (added, later) = timed(|| add(&certificate));
        ensure!(removed == Err(Errno::AGAIN), "rmmod: {removed:?}");
        loaded?;
        added.context("a certificate")?;
        for took in [took, later] {
            ensure!(
                took < DEADLINE + context.grace(),
                "somebody waited for {took:?}"
            );
        }
        let hung = hung
            .join()
            .map_err(|_| anyhow::anyhow!("a thread panicked"))?;
        refused("it hangs", hung, Errno::TIMEDOUT)
    })?;
    modules::unload(OTHER)
}
