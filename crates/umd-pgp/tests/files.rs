// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files as people have them: several armors, text between them, revocations by themselves, and
//! what only looks like a key. Nothing in a file is passed over without a word.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::PathBuf;

use support::{Gpg, Packet, keyring, packets};
use umd_pgp::{Added, Error, Keyring, Refusal, TextFlaw};

const DATA: &[u8] = b"what was signed\n";

fn case(name: &str) -> Vec<u8> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/cases");
    fs::read(directory.join(name)).unwrap()
}

/// What the keys of a file say of a signature.
fn verified(keys: &[u8], signature: &[u8], data: &[u8]) -> Result<String, Error> {
    let mut ring = keyring();
    ring.add_all(keys)?;
    let signed = ring.verify(signature, data)?;
    Ok(signed.key.name().into_owned())
}

fn flaw(error: Error) -> Option<TextFlaw> {
    match error {
        Error::Text { flaw, .. } => Some(flaw),
        _ => None,
    }
}

#[test]
fn the_cases() {
    let good = Ok("A <a@example.org>".to_owned());
    let revoked = Err(Error::Refused(Refusal::KeyRevoked));
    let of = |key: &str, signature: &str, data: &str| {
        verified(&case(key), &case(signature), &case(data))
    };
    assert_eq!(of("two-armors.asc", "sig", "data"), revoked);
    assert_eq!(of("one-armor.asc", "sig", "data"), revoked);
    assert_eq!(of("other-then-good.asc", "sig", "data"), good);
    assert_eq!(of("good.asc", "sigs.asc", "data"), good);
    for key in [
        "f01-two-blocks.asc",
        "f02-two-blocks-text.asc",
        "f03-crlf.asc",
        "f04-noblank.asc",
    ] {
        assert_eq!(of(key, "keyfiles.sig", "keyfiles.data"), good, "{key}");
    }
    let armored = |name: &str| {
        of(
            "armor/plain.key",
            &format!("armor/{name}.asc"),
            "armor/data",
        )
    };
    assert_eq!(armored("v3-no-blank"), good);
    assert_eq!(armored("v4-no-blank-comment"), good);
    let flaws = [
        ("v9-badcrc", TextFlaw::Checksum),
        ("v21-cr-only", TextFlaw::LineEnds),
    ];
    for (name, expected) in flaws {
        assert_eq!(armored(name).map_err(flaw), Err(Some(expected)), "{name}");
    }
    let mut ring = keyring();
    ring.add(&case("k02-marker.key")).unwrap();
    assert_eq!(ring.keys()[0].name(), "A <a@example.org>");
    ring.add_all(&case("k02-marker.key")).unwrap();
    for (package, key) in [
        ("p07-v3sig.rpm", "good.asc"),
        ("p09-mpi-lead-zero-bits.rpm", "good.asc"),
    ] {
        let mut ring = keyring();
        ring.add(&case(key)).unwrap();
        let signed = ring.rpm(&case(package)[..]).unwrap();
        assert_eq!(signed.signed.key.name(), "A <a@example.org>", "{package}");
        // The key of somebody else.
        let mut ring = Keyring::new().unwrap();
        ring.add(&case("rsa.asc")).unwrap();
        let error = ring.rpm(&case(package)[..]).unwrap_err();
        assert!(matches!(error, Error::NotGiven(_)), "{package}: {error}");
    }
}

/// Alice's and Bob's keys and signatures in armors, and what revokes Alice's.
struct Made {
    gpg: Gpg,
    alice: String,
    /// Alice's key, and the same revoked.
    key: Vec<u8>,
    revoked: Vec<u8>,
    /// The revocation by itself.
    revocation: Vec<u8>,
    bob: Vec<u8>,
    by_alice: Vec<u8>,
    by_bob: Vec<u8>,
}

fn made() -> Made {
    let gpg = Gpg::new();
    let alice = gpg.make("alice", "ed25519", "sign", "never");
    let bob = gpg.make("bob", "ed25519", "sign", "never");
    let armored = |key: &str| gpg.run(&["--armor", "--export", key], &[]);
    let signed = |key: &str| gpg.run(&["--armor", "--local-user", key, "--detach-sign"], DATA);
    let (key, bobs) = (armored(&alice), armored(&bob));
    let (by_alice, by_bob) = (signed(&alice), signed(&bob));
    let path = gpg.home().join(format!("openpgp-revocs.d/{alice}.rev"));
    let revocation = fs::read_to_string(path).unwrap();
    // What is before the armor tells people what it is.
    let (_, revocation) = revocation.split_once("\n:").unwrap();
    gpg.revoke(&alice);
    Made {
        key,
        revoked: armored(&alice),
        revocation: revocation.into(),
        bob: bobs,
        by_alice,
        by_bob,
        alice,
        gpg,
    }
}

/// What is in an armor.
fn unpacked(made: &Made, armored: &[u8]) -> Vec<u8> {
    made.gpg.run(&["--dearmor"], armored)
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn a_revocation_counts_wherever_it_is_in_a_file() {
    let made = made();
    let Made {
        key,
        revoked,
        revocation,
        bob,
        ..
    } = &made;
    let (binary, binary_revocation) = (unpacked(&made, key), unpacked(&made, revocation));
    // In the key itself the revocation stands behind the primary key. Other programs put it at the
    // end.
    let at_the_end = joined(&[&binary, &binary_revocation]);
    let primary = packets(&binary)[0];
    let behind_user_id = {
        let end = packets(&binary)[1].end;
        joined(&[&binary[..end], &binary_revocation, &binary[end..]])
    };
    let at_its_place = {
        let end = primary.end;
        joined(&[&binary[..end], &binary_revocation, &binary[end..]])
    };
    for (what, file) in [
        ("revoked copy", revoked.clone()),
        ("copy, revoked copy", joined(&[key, revoked])),
        ("revoked copy, copy", joined(&[revoked, key])),
        (
            "copy, text, revoked",
            joined(&[key, b"Zo\xeb\n\n", revoked]),
        ),
        ("bob, copy, revoked", joined(&[bob, key, revoked])),
        ("copy, bob, revoked", joined(&[key, bob, revoked])),
        ("copy, revocation", joined(&[key, revocation])),
        ("revocation, copy", joined(&[revocation, key])),
        ("copy, bob, revocation", joined(&[key, bob, revocation])),
        ("binary", at_its_place),
        ("binary, revocation at the end", at_the_end),
        ("binary, revocation behind the user id", behind_user_id),
    ] {
        let refused = Err(Error::Refused(Refusal::KeyRevoked));
        assert_eq!(verified(&file, &made.by_alice, DATA), refused, "{what}");
    }
    // Without it the key is good, and a revocation of Alice's is nothing to Bob.
    let all = joined(&[key, bob]);
    assert_eq!(verified(&all, &made.by_alice, DATA), Ok("alice".to_owned()));
    let all = joined(&[key, bob, revocation]);
    assert_eq!(verified(&all, &made.by_bob, DATA), Ok("bob".to_owned()));
}

#[test]
fn a_revocation_by_itself_is_for_a_key_that_is_there() {
    let made = made();
    for revocation in [made.revocation.clone(), unpacked(&made, &made.revocation)] {
        let mut keys = keyring();
        keys.add(&made.key).unwrap();
        let Added {
            added,
            revoked,
            refused,
        } = keys.add_all(&revocation).unwrap();
        assert_eq!((added, revoked, refused.len()), (0, 1, 0));
        let refused = Err(Error::Refused(Refusal::KeyRevoked));
        assert_eq!(keys.verify(&made.by_alice, DATA), refused);
        // A copy from before brings nothing back.
        keys.add(&made.key).unwrap();
        assert_eq!(keys.verify(&made.by_alice, DATA), refused);

        let mut others = keyring();
        others.add(&made.bob).unwrap();
        let added = others.add_all(&revocation).unwrap();
        let [refused] = added.refused[..] else {
            panic!("{added:?}")
        };
        let Error::Revocation(issuer) = refused.error else {
            panic!("{refused:?}")
        };
        assert_eq!(issuer.to_string(), made.alice);
    }
    // One that was changed revokes nothing.
    let mut changed = unpacked(&made, &made.revocation);
    *changed.last_mut().unwrap() ^= 1;
    let mut keys = keyring();
    keys.add(&made.key).unwrap();
    assert_eq!(keys.add_all(&changed).unwrap().revoked, 0);
    keys.verify(&made.by_alice, DATA).unwrap();
}

#[test]
fn signatures_in_several_armors_are_all_looked_at() {
    let made = made();
    let signatures = joined(&[&made.by_bob, b"\r\nand another\r\n", &made.by_alice]);
    assert_eq!(verified(&made.key, &signatures, DATA), Ok("alice".into()));
    assert_eq!(verified(&made.bob, &signatures, DATA), Ok("bob".into()));
    // That of Alice's is the second.
    let mut keys = keyring();
    keys.add(&made.key).unwrap();
    let gpg = &made.gpg;
    let rsa = gpg.make("rsa", "rsa2048", "sign", "never");
    let by_rsa = gpg.run(&["--armor", "--local-user", &rsa, "--detach-sign"], DATA);
    let both = joined(&[&made.by_bob, &by_rsa]);
    let split = keyring().split(&both, DATA).unwrap();
    assert_eq!((split.number, split.signatures), (1, 2));
    // One key's signature over something else takes nothing from the other's.
    let other = gpg.run(
        &["--armor", "--local-user", &rsa, "--detach-sign"],
        b"other",
    );
    let mut keys = keyring();
    keys.add(&gpg.export(&rsa)).unwrap();
    keys.verify(&joined(&[&other, &by_rsa]), DATA).unwrap();
    keys.verify(&joined(&[&by_rsa, &other]), DATA).unwrap();
    let bad = keys.verify(&joined(&[&made.by_bob, &other]), DATA);
    assert_eq!(bad, Err(Error::Refused(Refusal::BadSignature)));
}

/// The text in UTF-16, the low byte first.
fn utf16(text: &[u8]) -> Vec<u8> {
    text.iter().flat_map(|byte| [*byte, 0]).collect()
}

fn quoted(text: &[u8], with: &str) -> Vec<u8> {
    let text = String::from_utf8(text.to_vec()).unwrap();
    text.lines()
        .map(|line| format!("{with}{line}\n"))
        .collect::<String>()
        .into()
}

#[test]
fn what_is_not_read_is_named() {
    let made = made();
    let (key, revoked) = (&made.key, &made.revoked);
    let binary = unpacked(&made, revoked);
    let cr_only: Vec<u8> = String::from_utf8(revoked.clone())
        .unwrap()
        .replace('\n', "\r")
        .into();
    let secret = made
        .gpg
        .run(&["--armor", "--export-secret-keys", &made.alice], &[]);
    let page = |text: &[u8]| joined(&[b"<!DOCTYPE html>\n<pre>", text, b"</pre>\n"]);
    let mut keybox = b"\0\0\0\x20\x01\x01\0\x02KBXf".to_vec();
    keybox.resize(600, 0);
    for (what, part, expected) in [
        ("quoted", quoted(revoked, "> "), TextFlaw::Quoted),
        ("indented", quoted(revoked, "    "), TextFlaw::Quoted),
        ("a colon", quoted(revoked, ":"), TextFlaw::Quoted),
        (
            "a byte-order mark",
            joined(&[b"\xef\xbb\xbf", revoked]),
            TextFlaw::ByteOrderMark,
        ),
        ("UTF-16", utf16(revoked), TextFlaw::Utf16),
        ("lines that end with CR", cr_only, TextFlaw::LineEnds),
        ("a secret key", secret, TextFlaw::OtherKind),
        ("a signature", made.by_bob.clone(), TextFlaw::OtherKind),
    ] {
        let alone = keyring().add_all(&part).map(|_| ()).unwrap_err();
        assert_eq!(flaw(alone), Some(expected), "{what}: {alone}");
        assert!(alone.to_string().starts_with("line 1: "), "{alone}");
        let behind = joined(&[key, &part]);
        let behind = keyring().add_all(&behind).map(|_| ()).unwrap_err();
        assert_eq!(flaw(behind), Some(expected), "{what} behind a key");
    }
    let marked = joined(&[b"\xff\xfe", &utf16(revoked)]);
    for (what, file, expected) in [
        ("UTF-16 with its mark", marked, TextFlaw::Utf16),
        ("a page", page(b"Not found"), TextFlaw::Html),
        ("a page with an armor", page(key), TextFlaw::Html),
        ("a keybox", keybox, TextFlaw::Keybox),
        (
            "binary behind an armor",
            joined(&[key, &binary]),
            TextFlaw::Binary,
        ),
        (
            "an armor behind binary",
            joined(&[&unpacked(&made, key), revoked]),
            TextFlaw::BehindPackets,
        ),
    ] {
        let error = keyring().add_all(&file).map(|_| ()).unwrap_err();
        assert_eq!(flaw(error), Some(expected), "{what}: {error}");
    }
    // A page that has the armor on lines of its own is as good as any text.
    let page = page(&joined(&[b"\n", key]));
    assert_eq!(verified(&page, &made.by_alice, DATA), Ok("alice".into()));
    // Signatures are read by the same rules.
    let mut keys = keyring();
    keys.add(key).unwrap();
    for (file, expected) in [
        (quoted(&made.by_alice, "> "), TextFlaw::Quoted),
        (joined(&[&made.by_alice, key]), TextFlaw::OtherKind),
        (
            joined(&[&unpacked(&made, &made.by_alice), &made.by_bob]),
            TextFlaw::BehindPackets,
        ),
    ] {
        let error = keys.verify(&file, DATA).unwrap_err();
        assert_eq!(flaw(error), Some(expected), "{error}");
    }
    // A message is one.
    let inline = ["--armor", "--compress-algo", "none", "--local-user"];
    let rsa = made.gpg.make("rsa", "rsa2048", "sign", "never");
    let message = made
        .gpg
        .run(&[&inline[..], &[&rsa, "--sign"]].concat(), DATA);
    keys.add(&made.gpg.export(&rsa)).unwrap();
    assert_eq!(keys.message(&message).unwrap().data, DATA);
    let error = keys.message(&joined(&[&message, &message])).unwrap_err();
    assert_eq!(flaw(error), Some(TextFlaw::Second));
}

#[test]
fn a_key_of_which_another_copy_is_refused_does_not_count() {
    let made = made();
    let binary = unpacked(&made, &made.key);
    // The same key, whose self-signature was damaged: what else it said is not known.
    let Packet { end, .. } = packets(&binary)[2];
    let mut damaged = binary.clone();
    damaged[end - 1] ^= 1;
    let bob = unpacked(&made, &made.bob);
    for ring in [
        joined(&[&binary, &bob, &damaged]),
        joined(&[&damaged, &bob, &binary]),
    ] {
        let mut keys = keyring();
        let added = keys.add_all(&ring).unwrap();
        assert_eq!((added.added, added.refused.len()), (1, 2));
        assert_eq!(keys.verify(&made.by_bob, DATA).unwrap().key.name(), "bob");
        let error = keys.verify(&made.by_alice, DATA).unwrap_err();
        assert!(matches!(error, Error::NotGiven(_)), "{error}");
        let copies = added.refused.iter().filter(|key| {
            assert_eq!(
                key.fingerprint
                    .map(umd_pgp::Issuer::from)
                    .unwrap()
                    .to_string(),
                made.alice
            );
            matches!(key.error, Error::OtherCopy(Refusal::NoSelfSignature))
        });
        assert_eq!(copies.count(), 1);
    }
}

#[test]
fn who_could_have_signed_is_named() {
    let gpg = Gpg::new();
    let alice = gpg.make("alice", "ed25519", "sign", "never");
    gpg.add_subkey(&alice, "ed25519", "sign", "never");
    gpg.add_subkey(&alice, "secp256k1/ecdsa", "sign", "never");
    let listing = gpg.run(&["--with-colons", "--list-keys", &alice], &[]);
    let listing = String::from_utf8(listing).unwrap();
    let fingerprints = { listing.lines() }.filter(|line| line.starts_with("fpr:"));
    let fingerprints: Vec<&str> = fingerprints
        .flat_map(|line| line.split(':').nth(9))
        .collect();
    let signed = |number: usize| {
        let subkey = format!("{}!", fingerprints[number]);
        gpg.run(&["--local-user", &subkey, "--detach-sign"], DATA)
    };
    let (by_first, curve) = (signed(1), signed(2));
    let mut keys = keyring();
    let key = gpg.export(&alice);
    keys.add(&key).unwrap();
    let error = keys.verify(&curve, DATA).unwrap_err();
    let why = Refusal::KeyUnsupported;
    assert!(
        matches!(error, Error::LeftOut { why: found, .. } if found == why),
        "{error}"
    );
    assert_eq!(error.errno(), why.errno().get().cast_signed());
    assert!(error.to_string().contains("was left out: "), "{error}");
    keys.verify(&by_first, DATA).unwrap();
    let binding = packets(&key)
        .into_iter()
        .filter(|packet| packet.tag == 2)
        .nth(1)
        .unwrap();
    let mut changed = key.clone();
    // The last byte of the subkey's binding.
    changed[binding.end - 1] ^= 1;
    let mut keys = keyring();
    keys.add(&changed).unwrap();
    let error = keys.verify(&by_first, DATA).unwrap_err();
    let why = Refusal::NoSelfSignature;
    assert!(
        matches!(error, Error::LeftOut { why: found, .. } if found == why),
        "{error}"
    );
    // A signature that cannot be read, beside one of a key that is not there.
    let mut newer = curve.clone();
    let version = packets(&newer)[0].body;
    newer[version] = 5;
    let refused = Err(Error::Refused(Refusal::SignatureVersion));
    assert_eq!(keys.verify(&newer, DATA), refused);
    let other = Gpg::new();
    other.make("other", "ed25519", "sign", "never");
    let other = other.run(&["--detach-sign"], DATA);
    assert_eq!(keys.verify(&joined(&[&other, &newer]), DATA), refused);
    let error = keys.verify(&other, DATA).unwrap_err();
    assert!(matches!(error, Error::NotGiven(_)), "{error}");
}
