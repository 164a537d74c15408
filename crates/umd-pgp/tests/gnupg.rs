// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys and signatures that GnuPG makes, and what it says of them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{self, Read};
use std::num::NonZeroU32;
use support::{Gpg, Listing, NOW, keyring, latin1};
use umd_pgp::{Error, Key, Keyring, Refusal, TextFlaw};

const TEXT: &[u8] = b"one\ntwo  \n- three\n\nfour\n";

/// A key, by itself and in an armor, is what gpg says that it is; its signatures are good, and others are not.
fn signs(gpg: &Gpg, fingerprint: &str, signer: &str) {
    let binary = gpg.export(fingerprint);
    let mut keys = keyring();
    let key = keys
        .add(&binary)
        .unwrap_or_else(|error| panic!("{signer}: {error}"));
    assert_eq!(Listing::of(key), Gpg::listing(&binary), "{signer}");
    let armored = gpg.run(&["--armor", "--export", fingerprint], &[]);
    let again = keys.add(&armored).unwrap().clone();
    assert_eq!(keys.keys(), [again]);

    // What old keys by DSA would take by themselves is SHA-1.
    let new = ["--enable-dsa2", "--personal-digest-preferences=SHA512"];
    let user = [&new[..], &["--local-user", signer]].concat();
    let sign = |arguments: &[&str]| gpg.run(&[&user[..], arguments].concat(), TEXT);
    for arguments in [
        &["--detach-sign"][..],
        &["--armor", "--detach-sign"],
        &["--textmode", "--detach-sign"],
    ] {
        let signature = sign(arguments);
        let signed = keys.verify(&signature, TEXT).unwrap();
        assert!(
            signed
                .by
                .fingerprint_text()
                .ends_with(signer.trim_end_matches('!'))
        );
        assert_eq!(u64::from(signed.made()), NOW);
        let mut forged = TEXT.to_vec();
        forged[0] ^= 1;
        let refused = Err(Error::Refused(Refusal::BadSignature));
        assert_eq!(keys.verify(&signature, &forged), refused);
        // A digest's begin is in the signature, so what is over something else is found out by that; not so what is no signature.
        if signature[0] & 0x80 != 0 {
            // Both bytes are in the last number, behind its first byte: a number of 20 bytes is
            // ten bytes short once in 2^80. Another first byte, or length, would make it no
            // canonical number, and the error would be another one.
            for back in [1, 10] {
                let mut forged = signature.clone();
                let place = forged.len() - back;
                forged[place] ^= 1;
                assert_eq!(keys.verify(&forged, TEXT), refused, "{signer}");
            }
        }
        // How lines end matters to those that are over bytes.
        let dos = String::from_utf8(TEXT.to_vec())
            .unwrap()
            .replace('\n', "\r\n");
        let is_text = arguments.contains(&"--textmode");
        assert_eq!(keys.verify(&signature, dos.as_bytes()).is_ok(), is_text);
        assert_eq!(signed.is_over_text(), is_text);
    }

    for arguments in [
        &["--compress-algo=none", "--sign"][..],
        &["--compress-algo=none", "--armor", "--sign"],
    ] {
        let mut message = sign(arguments);
        let read = keys.message(&message).unwrap();
        assert_eq!(read.data, TEXT);
        if message[0] & 0x80 != 0 {
            let place = message
                .windows(4)
                .position(|bytes| bytes == b"two ")
                .unwrap();
            message[place] = b'T';
            assert!(keys.message(&message).is_err());
        }
    }
    let compressed = sign(&["--compress-algo=zip", "--sign"]);
    let refused = Err(Error::Refused(Refusal::Compressed));
    assert_eq!(keys.message(&compressed), refused);

    let clear = sign(&["--clear-sign"]);
    let read = keys.cleartext(&clear).unwrap();
    assert_eq!(read.data, b"one\ntwo\n- three\n\nfour");
    let forged = String::from_utf8(clear).unwrap().replace("four", "five");
    let refused = Err(Error::Refused(Refusal::BadSignature));
    assert_eq!(keys.cleartext(forged.as_bytes()), refused);
}

#[test]
fn each_kind_of_key_signs() {
    let gpg = Gpg::new();
    for algorithm in [
        "rsa1024",
        "rsa2048",
        "rsa3072",
        "rsa4096",
        "dsa1024",
        "dsa2048",
        "dsa3072",
        "ed25519",
        "nistp256/ecdsa",
        "nistp384/ecdsa",
        "nistp521/ecdsa",
    ] {
        let fingerprint = gpg.make(&format!("{algorithm} <k@x>"), algorithm, "sign", "never");
        signs(&gpg, &fingerprint, &fingerprint);
    }
}

#[test]
fn subkeys_that_sign_and_others() {
    let gpg = Gpg::new();
    let fingerprint = gpg.make("subkeys", "ed25519", "cert", "never");
    for (algorithm, usage, expires) in [
        ("rsa2048", "sign", "never"),
        ("cv25519", "encr", "never"),
        ("rsa2048", "auth", "never"),
        ("nistp256/ecdsa", "sign", "1d"),
        ("dsa2048", "sign", "seconds=100"),
        ("ed25519", "sign", "never"),
    ] {
        gpg.add_subkey(&fingerprint, algorithm, usage, expires);
    }
    let listing = Gpg::listing(&gpg.export(&fingerprint));
    assert_eq!(listing.subkeys.len(), 4);
    assert!(!listing.primary.signs);
    for subkey in &listing.subkeys {
        if subkey.expires != Some(NOW - 800) {
            signs(&gpg, &fingerprint, &format!("{}!", subkey.fingerprint));
        }
    }
    // Its primary key may not sign data, and the one that has expired not any more.
    let mut keys = keyring();
    keys.add(&gpg.export(&fingerprint)).unwrap();
    let has_expired = |subkey: &&support::Line| subkey.expires == Some(NOW - 800);
    let expired = listing.subkeys.iter().find(has_expired).unwrap();
    let expired = &expired.fingerprint;
    let time = format!("--faked-system-time={}!", NOW - 850);
    let signature = gpg.run(
        &[
            &time,
            "--local-user",
            &format!("{expired}!"),
            "--detach-sign",
        ],
        TEXT,
    );
    assert_eq!(
        keys.verify(&signature, TEXT),
        Err(Error::Refused(Refusal::KeyExpired))
    );
}

#[test]
fn a_primary_key_that_may_only_certify() {
    let gpg = Gpg::new();
    let fingerprint = gpg.make("first signs", "rsa2048", "sign,cert", "never");
    let signature = gpg.run(&["--detach-sign"], TEXT);
    let before = gpg.export(&fingerprint);
    // Its owner changes what it is for: a new self-signature.
    let change = b"change-usage\nS\nQ\nsave\n";
    gpg.run_edit(&fingerprint, change);
    let after = gpg.export(&fingerprint);
    assert_ne!(before, after);
    let mut keys = keyring();
    assert!(keys.add(&before).unwrap().primary.state.signs);
    keys.verify(&signature, TEXT).unwrap();
    let key = keys.add(&after).unwrap();
    assert_eq!(Listing::of(key), Gpg::listing(&after));
    assert_eq!(
        keys.verify(&signature, TEXT),
        Err(Error::Refused(Refusal::KeyUsage))
    );
}

#[test]
fn keys_that_are_not_supported() {
    let gpg = Gpg::new();
    for algorithm in ["brainpoolP256r1/ecdsa", "secp256k1/ecdsa"] {
        let fingerprint = gpg.make(algorithm, algorithm, "sign", "never");
        assert_eq!(
            keyring().add(&gpg.export(&fingerprint)).map(|_| ()),
            Err(Error::Refused(Refusal::KeyUnsupported)),
            "{algorithm}"
        );
    }
    // As a subkey it is left out, and the key is as good as without.
    let fingerprint = gpg.make("brainpool below", "rsa2048", "sign", "never");
    gpg.add_subkey(&fingerprint, "brainpoolP384r1/ecdsa", "sign", "never");
    let mut keys = keyring();
    let key = keys.add(&gpg.export(&fingerprint)).unwrap();
    assert_eq!(key.subkeys, []);
    assert_eq!(key.left_out, Some(Refusal::KeyUnsupported));
    let signature = gpg.run(
        &["--local-user", &format!("{fingerprint}!"), "--detach-sign"],
        TEXT,
    );
    keys.verify(&signature, TEXT).unwrap();
}

#[test]
fn expired_and_revoked_keys_say_so() {
    let gpg = Gpg::new();
    let expired = gpg.make("expired", "ed25519", "sign", "seconds=500");
    gpg.run_at(
        NOW - 990,
        &["--quick-add-key", &expired, "ed25519", "sign", "never"],
    );
    let revoked = gpg.make("revoked", "ed25519", "sign", "never");
    gpg.add_subkey(&revoked, "ed25519", "sign", "never");
    let early = format!("--faked-system-time={}!", NOW - 700);
    let sign = |key: &str| {
        let user = format!("{key}!");
        gpg.run(&[&early, "--local-user", &user, "--detach-sign"], TEXT)
    };
    let by_expired = sign(&expired);
    let by_revoked = sign(&revoked);
    gpg.revoke(&revoked);

    let mut keys = keyring();
    for (fingerprint, signature, refusal) in [
        (&expired, by_expired, Refusal::KeyExpired),
        (&revoked, by_revoked, Refusal::KeyRevoked),
    ] {
        let key = gpg.export(fingerprint);
        let listing = Gpg::listing(&key);
        assert_eq!(
            listing.subkeys.len(),
            1,
            "{fingerprint} {} {listing:?}",
            key.len()
        );
        assert_eq!(Listing::of(keys.add(&key).unwrap()), listing);
        let verified = keys.verify(&signature, TEXT);
        assert_eq!(verified, Err(Error::Refused(refusal)));
    }
}

#[test]
fn a_subkey_that_was_revoked_stays_so() {
    let gpg = Gpg::new();
    let fingerprint = gpg.make("revokes a subkey", "ed25519", "sign", "never");
    gpg.add_subkey(&fingerprint, "ed25519", "sign", "never");
    let signature = gpg.run(&["--detach-sign"], TEXT);
    gpg.run_edit(&fingerprint, b"key 1\nrevkey\ny\n0\n\ny\nsave\n");
    // A newer binding does not bring it back.
    gpg.run_edit(&fingerprint, b"key 1\nexpire\n9\nsave\n");
    let key = gpg.export(&fingerprint);
    let mut keys = keyring();
    let added = keys.add(&key).unwrap();
    assert!(added.subkeys[0].state.revoked);
    assert_eq!(Listing::of(added), Gpg::listing(&key));
    assert_eq!(
        keys.verify(&signature, TEXT),
        Err(Error::Refused(Refusal::KeyRevoked))
    );
}

/// What a keyring has of a key when these copies were added one after the other.
fn added(copies: &[&[u8]]) -> (Keyring, Key) {
    let mut keys = keyring();
    for copy in copies {
        keys.add(copy).unwrap();
    }
    let [key] = keys.keys() else {
        panic!("copies of one key")
    };
    let key = key.clone();
    (keys, key)
}

#[test]
fn a_revocation_is_not_forgotten() {
    let gpg = Gpg::new();
    let fingerprint = gpg.make("revoked at last", "ed25519", "sign", "never");
    let young = gpg.export(&fingerprint);
    gpg.add_subkey(&fingerprint, "ed25519", "sign", "never");
    let sign = |key: &str| {
        let user = format!("{key}!");
        gpg.run(&["--local-user", &user, "--detach-sign"], TEXT)
    };
    let subkey = Gpg::listing(&gpg.export(&fingerprint)).subkeys[0].clone();
    let signatures = [sign(&fingerprint), sign(&subkey.fingerprint)];
    let before = gpg.export(&fingerprint);
    gpg.revoke(&fingerprint);
    let after = gpg.export(&fingerprint);
    let (_, revoked) = added(&[&after]);
    assert!(revoked.keys().all(|key| key.state.revoked));
    for copies in [
        &[&after[..], &before][..],
        &[&before, &after],
        &[&after, &young, &before],
        &[&before, &after, &young],
    ] {
        let (keys, key) = added(copies);
        assert_eq!(key, revoked);
        for signature in &signatures {
            let refused = Err(Error::Refused(Refusal::KeyRevoked));
            assert_eq!(keys.verify(signature, TEXT), refused);
        }
    }
    // The revoked copy need not have the subkey.
    let tags: Vec<u8> = support::packets(&after)
        .iter()
        .map(|packet| packet.tag)
        .collect();
    assert_eq!(tags, [6, 2, 13, 2, 14, 2]);
    let alone = support::without(&after, &[4, 5]);
    assert_eq!(added(&[&alone, &before]).1, revoked);
    // A keyring that never saw it does not know.
    assert!(!added(&[&before]).1.primary.state.revoked);
}

#[test]
fn a_subkeys_revocation_is_not_forgotten() {
    let gpg = Gpg::new();
    let fingerprint = gpg.make("revokes one", "ed25519", "sign", "never");
    let without = gpg.export(&fingerprint);
    gpg.add_subkey(&fingerprint, "ed25519", "sign", "never");
    let by_subkey = gpg.run(&["--detach-sign"], TEXT);
    let before = gpg.export(&fingerprint);
    gpg.run_edit(&fingerprint, b"key 1\nrevkey\ny\n0\n\ny\nsave\n");
    let after = gpg.export(&fingerprint);
    gpg.run_at(
        NOW - 10,
        &["--quick-add-key", &fingerprint, "rsa2048", "sign", "never"],
    );
    let later = gpg.export(&fingerprint);
    let by_other = gpg.run(&["--detach-sign"], TEXT);
    let user = format!("{fingerprint}!");
    let by_primary = gpg.run(&["--local-user", &user, "--detach-sign"], TEXT);
    let refused = Err(Error::Refused(Refusal::KeyRevoked));
    for copies in [
        &[&after[..], &before][..],
        &[&before, &after],
        &[&after, &without, &before],
        &[&after, &without],
    ] {
        let (keys, key) = added(copies);
        assert_eq!(key, added(&[&after]).1);
        assert_eq!(keys.verify(&by_subkey, TEXT), refused);
        keys.verify(&by_primary, TEXT).unwrap();
    }
    // It is that subkey's alone: one that was made later is good, and is gone with the copy that had it.
    let (keys, _) = added(&[&after, &before, &later]);
    keys.verify(&by_other, TEXT).unwrap();
    let (keys, key) = added(&[&later, &before]);
    assert_eq!(key, added(&[&after]).1);
    let nobody = keys.verify(&by_other, TEXT).unwrap_err();
    assert!(matches!(nobody, Error::NotGiven(_)), "{nobody}");
}

#[test]
fn of_two_copies_the_later_one_counts() {
    let gpg = Gpg::new();
    let fingerprint = gpg.make("expires", "ed25519", "sign", "1d");
    let short = gpg.export(&fingerprint);
    gpg.run_at(NOW - 800, &["--quick-set-expire", &fingerprint, "2d"]);
    let long = gpg.export(&fingerprint);
    assert_eq!(added(&[&short, &long]).1, added(&[&long]).1);
    assert_eq!(added(&[&long, &short]).1, added(&[&short]).1);
    let expires = |key: &[u8]| added(&[key]).1.primary.state.expires;
    assert_ne!(expires(&short), expires(&long));
}

/// A file that breaks off.
struct Broken<'b>(&'b [u8]);

impl Read for Broken<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self.0.read(room)? {
            0 => Err(io::ErrorKind::ConnectionReset.into()),
            length => Ok(length),
        }
    }
}

/// What was read of it, and the most at once.
struct Pieces<R>(R, usize, usize);

impl<R: Read> Read for &mut Pieces<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let length = self.0.read(room)?;
        self.1 += length;
        self.2 = self.2.max(room.len());
        Ok(length)
    }
}

#[test]
fn data_that_are_not_in_memory() {
    const LENGTH: usize = 20 << 20;
    let gpg = Gpg::new();
    let fingerprint = gpg.make("long", "ed25519", "sign", "never");
    let mut keys = keyring();
    keys.add(&gpg.export(&fingerprint)).unwrap();
    let mut data = b"line\r\n".repeat(LENGTH / 6 + 1);
    data.truncate(LENGTH);
    for how in [&["--detach-sign"][..], &["--textmode", "--detach-sign"]] {
        let signature = gpg.run(how, &data);
        let mut pieces = Pieces(&data[..], 0, 0);
        keys.verify_reader(&signature, &mut pieces).unwrap();
        assert_eq!(pieces.1, LENGTH);
        assert!(pieces.2 <= 64 << 10);
        // One that gives a byte at a time, now and then none because of a signal, is as good.
        let short = gpg.run(how, TEXT);
        let bytes = TEXT.chunks(1).map(io::Cursor::new);
        let slow = bytes.fold(Box::new(io::empty()) as Box<dyn Read>, |all, byte| {
            Box::new(all.chain(Interrupted(false)).chain(byte))
        });
        keys.verify_reader(&short, slow).unwrap();
        let other = keys.verify_reader(&signature, &data[..LENGTH - 1]);
        assert_eq!(other, Err(Error::Refused(Refusal::BadSignature)));
        let broken = keys.verify_reader(&short, Broken(TEXT));
        let reset = Error::Read(io::ErrorKind::ConnectionReset);
        assert_eq!(broken, Err(reset));
        assert_eq!(reset.errno(), 5);
    }
    // Of two signatures each sees all of it.
    let both = [
        gpg.run(&["--detach-sign"], b"other"),
        gpg.run(&["--detach-sign"], TEXT),
    ];
    let mut pieces = Pieces(TEXT, 0, 0);
    keys.verify_reader(&both.concat(), &mut pieces).unwrap();
    assert_eq!(pieces.1, TEXT.len());
    // Where no signature can count, the data are left alone.
    let mut pieces = Pieces(TEXT, 0, 0);
    let weak = gpg.run(
        &[
            "--allow-weak-digest-algos",
            "--digest-algo",
            "MD5",
            "--detach-sign",
        ],
        TEXT,
    );
    let refused = Err(Error::Refused(Refusal::HashWeak));
    assert_eq!(keys.verify_reader(&weak, &mut pieces), refused);
    assert_eq!(pieces.1, 0);
}

/// Says once that a signal came.
struct Interrupted(bool);

impl Read for Interrupted {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        match std::mem::replace(&mut self.0, true) {
            false => Err(io::ErrorKind::Interrupted.into()),
            true => Ok(0),
        }
    }
}

#[test]
fn the_user_id_is_the_one_that_gpg_chooses() {
    let gpg = Gpg::new();
    let fingerprint = gpg.make("first", "ed25519", "sign", "never");
    let same = |gpg: &Gpg| {
        let key = gpg.export(&fingerprint);
        let mut keys = keyring();
        let ours = Listing::of(keys.add(&key).unwrap());
        assert_eq!(ours, Gpg::listing(&key));
        ours.user_id.unwrap()
    };
    gpg.run_at(NOW - 800, &["--quick-add-uid", &fingerprint, "second"]);
    gpg.run_at(
        NOW - 800,
        &["--quick-add-uid", &fingerprint, "of the same time"],
    );
    let newest = same(&gpg);
    gpg.run_at(
        NOW - 700,
        &["--quick-set-primary-uid", &fingerprint, "first"],
    );
    assert_eq!(same(&gpg), "first");
    gpg.run_at(
        NOW - 600,
        &["--quick-add-uid", &fingerprint, "fourth: \u{e4}"],
    );
    assert_eq!(same(&gpg), "first");
    gpg.run_at(NOW - 500, &["--quick-revoke-uid", &fingerprint, "first"]);
    let without = same(&gpg);
    assert_eq!(without, latin1("fourth: \u{e4}".as_bytes()));
    assert_ne!(newest, without);
}

#[test]
fn an_expiry_that_was_changed() {
    let gpg = Gpg::new();
    let fingerprint = gpg.make("changes", "rsa2048", "sign", "1d");
    gpg.run_at(NOW - 950, &["--quick-add-uid", &fingerprint, "another"]);
    for (time, expires) in [
        (NOW - 800, "2d"),
        (NOW - 700, "never"),
        (NOW - 600, "seconds=100000"),
    ] {
        gpg.run_at(time, &["--quick-set-expire", &fingerprint, expires]);
        let key = gpg.export(&fingerprint);
        let mut keys = keyring();
        let ours = Listing::of(keys.add(&key).unwrap());
        assert_eq!(ours, Gpg::listing(&key), "{expires}");
    }
}

#[test]
fn a_keyring_of_several_keys() {
    let gpg = Gpg::new();
    let one = gpg.make("one", "ed25519", "sign", "never");
    gpg.make("unsupported", "secp256k1/ecdsa", "sign", "never");
    gpg.make("two", "rsa2048", "sign", "never");
    let ring = gpg.run(&["--export"], &[]);
    let mut keys = keyring();
    let mut watched = Vec::new();
    let added = keys.add_all_watched(&ring, |at| watched.push(at)).unwrap();
    let fronts = support::packets(&ring).into_iter();
    let fronts = fronts
        .filter(|packet| packet.tag == 6)
        .map(|packet| packet.begin);
    assert_eq!(watched, fronts.collect::<Vec<_>>());
    assert_eq!(added.added, 2);
    let unsupported = Error::Refused(Refusal::KeyUnsupported);
    let refused = { added.refused.iter() }.map(|key| (key.number, key.error));
    assert!(refused.eq([(1, unsupported)]));
    assert_eq!(
        keys.add(&ring).map(|_| ()),
        Err(Error::Refused(Refusal::SeveralKeys))
    );
    let signature = gpg.run(&["--local-user", &one, "--detach-sign"], TEXT);
    let signed = keys.verify(&signature, TEXT).unwrap();
    assert_eq!(signed.key.name(), "one");
    // Without the key that it names it is nobody's.
    let mut others = keyring();
    assert_eq!(others.verify(&signature, TEXT), Err(Error::NoKeys));
    others.add(&gpg.export("two")).unwrap();
    let nobody = others.verify(&signature, TEXT).unwrap_err();
    assert!(matches!(nobody, Error::NotGiven(issuer) if issuer.to_string() == one));
    assert_eq!(nobody.errno(), 126);
}

#[test]
fn a_keyring_that_is_damaged_or_has_a_long_key_adds_nothing() {
    const PIECE: usize = umd_pgp::INPUT_MAX;
    let gpg = Gpg::new();
    let one = gpg.export(&gpg.make("one", "ed25519", "sign", "never"));
    let two = gpg.export(&gpg.make("two", "ed25519", "sign", "never"));
    // A packet that is passed over, of so many bytes with its head.
    let ignored = |length: usize| {
        let body = length - 6;
        let mut packet = vec![0xc0 | 60, 0xff];
        packet.extend((body as u32).to_be_bytes());
        packet.resize(length, 0);
        packet
    };
    for (ring, refusal) in [
        ([&one[..], &two[..two.len() - 1]].concat(), Refusal::Cut),
        // One key, in whose midst the first piece ends: within a packet, and between two.
        ([&one[..], &ignored(PIECE), &two].concat(), Refusal::TooLong),
        (
            [&one[..], &ignored(PIECE - one.len()), &ignored(10), &two].concat(),
            Refusal::TooLong,
        ),
    ] {
        let mut keys = keyring();
        let added = keys.add_all(&ring).map(|_| ());
        assert_eq!(added, Err(Error::Refused(refusal)));
        assert_eq!(keys.keys(), []);
    }
    // Where it ends between two keys, or in the second one, all is well.
    for length in [PIECE - one.len(), PIECE - one.len() - two.len() / 2] {
        let ring = [&one[..], &ignored(length), &two].concat();
        let mut keys = keyring();
        assert_eq!(keys.add_all(&ring).unwrap().added, 2);
    }
}

#[test]
fn signatures_have_their_time() {
    let gpg = Gpg::new();
    let fingerprint = gpg.make("in time", "ed25519", "sign", "never");
    let key = gpg.export(&fingerprint);
    let mut keys = keyring();
    keys.add(&key).unwrap();
    let sign = |time: u64, more: &[&str]| {
        let time = format!("--faked-system-time={time}!");
        gpg.run(&[&[&time[..]], more, &["--detach-sign"]].concat(), TEXT)
    };
    for (signature, result) in [
        (
            sign(NOW - 500, &["--default-sig-expire", "seconds=600"]),
            Ok(()),
        ),
        (
            sign(NOW - 500, &["--default-sig-expire", "seconds=400"]),
            Err(Refusal::SignatureExpired),
        ),
        (
            sign(
                NOW - 2000,
                &["--ignore-time-conflict", "--ignore-valid-from"],
            ),
            Err(Refusal::SignatureTime),
        ),
    ] {
        let verified = keys.verify(&signature, TEXT).map(|_| ());
        assert_eq!(verified, result.map_err(Error::Refused));
    }
    // A key of the future is none yet.
    keys.set_time(std::time::UNIX_EPOCH + std::time::Duration::from_secs(NOW - 1001));
    let refused = Err(Error::Refused(Refusal::KeyFuture));
    assert_eq!(keys.add(&key).map(|_| ()), refused);
}

#[test]
fn what_is_critical_and_not_known() {
    let gpg = Gpg::new();
    let fingerprint = gpg.make("notes", "ed25519", "sign", "never");
    let mut keys = keyring();
    keys.add(&gpg.export(&fingerprint)).unwrap();
    let sign = |notation: &str| gpg.run(&["--sig-notation", notation, "--detach-sign"], TEXT);
    keys.verify(&sign("note@x=of no matter"), TEXT).unwrap();
    assert_eq!(
        keys.verify(&sign("!note@x=to be understood"), TEXT),
        Err(Error::Refused(Refusal::Critical))
    );
}

#[test]
fn an_armor_that_was_damaged() {
    let gpg = Gpg::new();
    let fingerprint = gpg.make("armored", "ed25519", "sign", "never");
    let armored = gpg.run(&["--armor", "--export", &fingerprint], &[]);
    let mut keys = keyring();
    keys.add(&armored).unwrap();
    let signature = gpg.run(&["--armor", "--detach-sign"], TEXT);
    // In the middle of the checksum, which is the last line but one.
    let sum = armored.iter().rposition(|byte| *byte == b'=').unwrap() + 2;
    let mut damaged = armored.clone();
    damaged[sum] = if damaged[sum] == b'A' { b'B' } else { b'A' };
    let text = |flaw| Error::Text {
        flaw,
        line: NonZeroU32::new(1),
    };
    let refused = Err(text(TextFlaw::Checksum));
    assert_eq!(keys.add(&damaged).map(|_| ()), refused);
    // A signature is no key, nor the other way round.
    let not_this = text(TextFlaw::OtherKind);
    assert_eq!(keys.add(&signature).map(|_| ()), Err(not_this));
    assert_eq!(keys.verify(&armored, TEXT), Err(not_this));
}

#[test]
fn a_key_without_what_others_say() {
    let gpg = Gpg::new();
    let fingerprint = gpg.make("well known", "ed25519", "sign", "never");
    gpg.add_subkey(&fingerprint, "ed25519", "sign", "never");
    let alone = gpg.export(&fingerprint);
    for number in 0..3 {
        let friend = gpg.make(&format!("friend {number}"), "ed25519", "sign", "never");
        gpg.run(
            &[
                "--yes",
                "--local-user",
                &friend,
                "--quick-sign-key",
                &fingerprint,
            ],
            &[],
        );
    }
    let whole = gpg.export(&fingerprint);
    assert!(whole.len() > alone.len());
    let mut keys = keyring();
    let small = keys.minimize(&whole).unwrap();
    assert_eq!((small.foreign, small.others), (3, 0));
    // As it was when nobody had signed it, but for the heads of its packets.
    assert_eq!(Gpg::listing(&small.key), Gpg::listing(&alone));
    let own = keys.add(&whole).unwrap().clone();
    assert_eq!(keys.add(&small.key).unwrap(), &own);
    assert_eq!(keys.minimize(&small.key).unwrap().key, small.key);
}

/// Returns the offset of the numbers of a signature: behind its two areas of subpackets and the
/// first two bytes of its digest.
fn number_of(packet: &[u8]) -> usize {
    let body = support::packets(packet)[0].body;
    let behind = |at: usize| {
        let length = u16::from_be_bytes(*packet[at..].first_chunk().unwrap());
        at + 2 + usize::from(length)
    };
    behind(behind(body + 4)) + 2
}

#[test]
fn a_signature_in_parts() {
    use p256::ecdsa::signature::hazmat::PrehashVerifier;
    let gpg = Gpg::new();
    let rsa = gpg.make("rsa", "rsa2048", "sign", "never");
    let ecdsa = gpg.make("ecdsa", "nistp256/ecdsa", "sign", "never");
    let edwards = gpg.make("ed25519", "ed25519", "sign", "never");
    let keys = keyring();
    let split = |key: &str| {
        let user = [
            "--local-user",
            key,
            "--digest-algo",
            "SHA256",
            "--detach-sign",
        ];
        keys.split(&gpg.run(&user, TEXT), TEXT)
    };
    let material = |key: &str| gpg.export(key);

    let parts = split(&rsa).unwrap();
    assert_eq!((parts.hash, parts.encoding), ("sha256", "pkcs1"));
    let key = material(&rsa);
    let public = pgp_rules::key::primary(&key, &umd_pgp::RustCrypto).unwrap();
    let pgp_rules::Material::Rsa { n, e } = public.material else {
        panic!("{public:?}")
    };
    let number = rsa::BigUint::from_bytes_be;
    let public = rsa::RsaPublicKey::new(number(n), number(e)).unwrap();
    let padding = rsa::Pkcs1v15Sign::new::<sha2::Sha256>();
    public.verify(padding, &parts.digest, &parts.raw).unwrap();

    // A number that is shorter, as one of 256 is: with a byte less in its packet, it is as long as the key all the same.
    // So may be the one that this is made of.
    let mut short = gpg.run(&["--local-user", &rsa, "--detach-sign"], TEXT);
    let number = number_of(&short);
    short.truncate(number);
    short.extend(2040_u16.to_be_bytes());
    short.push(0x80);
    short.resize(number + 2 + 255, 0x55);
    assert_eq!(short[0], 0x89, "a header with two octets of length");
    let length = (short.len() - 3) as u16;
    short[1..3].copy_from_slice(&length.to_be_bytes());
    let parts = keys.split(&short, TEXT).unwrap();
    assert_eq!(
        (parts.raw.len(), parts.raw[0], parts.raw[1]),
        (256, 0, 0x80)
    );

    let parts = split(&ecdsa).unwrap();
    assert_eq!((parts.hash, parts.encoding), ("sha256", "x962"));
    let key = material(&ecdsa);
    let public = pgp_rules::key::primary(&key, &umd_pgp::RustCrypto).unwrap();
    let pgp_rules::Material::Ecdsa { point, .. } = public.material else {
        panic!("{public:?}")
    };
    let public = p256::ecdsa::VerifyingKey::from_sec1_bytes(point).unwrap();
    let signature = p256::ecdsa::Signature::from_der(&parts.raw).unwrap();
    public.verify_prehash(&parts.digest, &signature).unwrap();

    let refused = Err(Error::Refused(Refusal::SignatureUnsupported));
    assert_eq!(split(&edwards), refused);

    // Of several, the first that keyctl takes; with keys, the first that one of them has made.
    let sign = |key: &str| gpg.run(&["--local-user", key, "--detach-sign"], TEXT);
    let several = [sign(&edwards), sign(&rsa), sign(&ecdsa)].concat();
    let mut keys = keys;
    let first = keys.split(&several, TEXT).unwrap();
    assert_eq!((first.number, first.signatures), (1, 3));
    let none = keys.split_verified(&several, TEXT).map(|_| ());
    assert_eq!(none, Err(Error::NoKeys));
    keys.add(&gpg.export(&ecdsa)).unwrap();
    let (split, signed) = keys.split_verified(&several, TEXT).unwrap();
    assert_eq!((split.number, split.encoding), (2, "x962"));
    assert_eq!(signed.by.fingerprint_text(), ecdsa);
    assert_eq!(keys.split(&several, TEXT).unwrap(), first);
    let forged = keys.split_verified(&several, &b"other"[..]).map(|_| ());
    assert_eq!(forged, Err(Error::Refused(Refusal::BadSignature)));
    // The key has signed, but keyctl has no such signatures.
    let mut other = keyring();
    other.add(&gpg.export(&edwards)).unwrap();
    let edwards = other.split_verified(&several, TEXT).map(|_| ());
    assert_eq!(edwards, Err(Error::Refused(Refusal::SignatureUnsupported)));
}

#[test]
fn a_user_id_is_no_longer_than_gnupg_takes_it() {
    let gpg = Gpg::new();
    let owner = gpg.make("owner", "ed25519", "sign", "never");
    let key = gpg.export(&owner);
    let user_id = support::packets(&key)[1];
    let with_length = |length: u16| {
        let mut changed = key[..user_id.begin].to_vec();
        changed.push(0xb5);
        changed.extend(length.to_be_bytes());
        changed.extend(vec![b'x'; length.into()]);
        changed.extend(&key[user_id.end..]);
        support::judge(&changed)
    };
    assert_eq!(with_length(2048), Err(Refusal::NoSelfSignature));
    assert_eq!(with_length(2049), Err(Refusal::TooLong));
}

#[test]
fn a_bounded_number_of_signatures_is_looked_at() {
    let gpg = Gpg::new();
    let owner = gpg.make("owner", "ed25519", "sign", "never");
    let mut keys = keyring();
    keys.add(&gpg.export(&owner)).unwrap();
    let good = gpg.run(&["--detach-sign"], TEXT);
    let mut wrong = good.clone();
    *wrong.last_mut().unwrap() ^= 1;
    let behind = |count: usize| [wrong.repeat(count), good.clone()].concat();
    assert!(keys.verify(&behind(63), TEXT).is_ok());
    let refused = Err(Error::Refused(Refusal::TooManySignatures));
    assert_eq!(keys.verify(&behind(64), TEXT), refused);
    let refused = Err(Error::Refused(Refusal::BadSignature));
    assert_eq!(keys.verify(&wrong.repeat(64), TEXT), refused);
}
