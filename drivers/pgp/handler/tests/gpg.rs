// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the handler says of keys and signatures that GnuPG has made is, line by line, what
//! `gpg --list-packets` says of them.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "shared with tests that need more of it")]
mod home;
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod judge;
mod listing;
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod packets;

use home::Home;
use listing::{Hex, Lister, blocks, compare, fingerprint, list_key};
use packets::ask;
use pgp_proto::{Armor, Block, Checksum, Cleartext, Detached, Message, Place, Request};

/// Keys of all kinds that GnuPG makes, named by what they are.
const KEYS: &str = "%no-protection
Key-Type: DSA
Key-Length: 1024
Subkey-Type: ELG
Subkey-Length: 1024
Name-Real: dsa
%commit
Key-Type: RSA
Key-Length: 2048
Key-Usage: cert,sign
Subkey-Type: RSA
Subkey-Length: 3072
Subkey-Usage: sign
Name-Real: rsa
Name-Email: rsa@example.org
Expire-Date: 2y
%commit
Key-Type: ECDSA
Key-Curve: NIST P-256
Subkey-Type: ECDH
Subkey-Curve: NIST P-384
Subkey-Usage: encrypt
Name-Real: nist
%commit
Key-Type: ECDSA
Key-Curve: NIST P-521
Subkey-Type: ECDSA
Subkey-Curve: secp256k1
Subkey-Usage: sign
Name-Real: koblitz
%commit
Key-Type: EDDSA
Key-Curve: Ed25519
Subkey-Type: ECDH
Subkey-Curve: Curve25519
Name-Real: edwards
%commit
Key-Type: ECDSA
Key-Curve: brainpoolP384r1
Subkey-Type: EDDSA
Subkey-Curve: Ed25519
Subkey-Usage: sign
Name-Real: brainpool
%commit
";

const NAMES: [&str; 6] = ["dsa", "rsa", "nist", "koblitz", "edwards", "brainpool"];

/// The keys, changed in all the ways that put more signatures into them.
fn home() -> Home {
    let home = Home::new();
    home.write("keys", KEYS.as_bytes());
    home.gpg(&["--gen-key", "keys"]);
    home.gpg(&["--quick-add-uid", "rsa", "se\u{e7}ond"]);
    home.gpg(&["--quick-add-uid", "rsa", "third"]);
    home.gpg(&["--quick-revoke-uid", "rsa", "third"]);
    home.gpg(&["--quick-set-primary-uid", "rsa", "se\u{e7}ond"]);
    home.edit("rsa", "key 1\nrevkey\ny\n0\n\ny\nsave\n");
    home.gpg(&["--quick-set-expire", &home.fingerprint("nist"), "3y"]);
    // A photo, and somebody else's word.
    let photo = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xd9";
    home.write("photo.jpg", photo);
    home.edit("edwards", "addphoto\nphoto.jpg\ny\ny\nsave\n");
    let edwards = home.fingerprint("edwards");
    home.gpg(&["--default-key", "rsa", "--quick-sign-key", &edwards]);
    home.revoke("brainpool");
    home
}

#[test]
fn keys_are_what_gnupg_lists() {
    let home = home();
    let mut told = [0; 3];
    for name in NAMES {
        let input = home.gpg(&["--export", name]);
        let fingerprint = fingerprint(&home.fingerprint(name));
        let (ours, skipped) = list_key(&input, fingerprint);
        let theirs = blocks(&home.list(&input));
        let left_out = compare(&ours, &theirs);
        let sum = skipped.foreign + skipped.unsupported + skipped.invalid;
        assert_eq!(left_out.len(), sum as usize, "{name}: {left_out:?}");
        let own = format!("{:X}", Hex(&fingerprint.key_id()));
        let is_foreign =
            |block: &&&Vec<String>| block[1].starts_with(":signature") && !block[1].ends_with(&own);
        let foreign = left_out.iter().filter(is_foreign).count();
        assert_eq!(foreign, skipped.foreign as usize, "{name}");
        for (told, count) in told
            .iter_mut()
            .zip([ours.len(), foreign, sum as usize - foreign])
        {
            *told += count;
        }
    }
    let [told, foreign, photos] = told;
    println!(
        "{told} packets as GnuPG lists them; {foreign} of others and {photos} of photos left out"
    );
    assert_eq!((foreign, photos), (2, 2));
    assert!(told >= 35, "{told}");
    // All of them as one ring.
    let ring = home.gpg(&["--export"]);
    let reply = ask(&Request::Ring, &ring).unwrap();
    let ring = pgp_proto::Ring::decode(&reply, ring.len()).unwrap();
    assert_eq!(ring.keys().count(), NAMES.len());
}

#[test]
fn truncated_and_changed_keys_are_judged() {
    let home = home();
    for name in ["rsa", "edwards"] {
        let input = home.gpg(&["--export", name]);
        let request = Request::Key(fingerprint(&home.fingerprint(name)));
        let whole = ask(&request, &input).unwrap().len();
        for length in 0..input.len() {
            if let Ok(reply) = ask(&request, &input[..length]) {
                assert!(reply.len() < whole);
            }
        }
        for at in 0..input.len() {
            let mut changed = input.clone();
            changed[at] ^= 1 << (at % 8);
            let _ = ask(&request, &changed);
        }
    }
}

#[test]
fn signatures_are_what_gnupg_lists() {
    let home = home();
    home.write("data", b"dear\n- all \n\nthis  \nends\n");
    let signers = ["-u", "koblitz", "-u", "edwards", "-u", "dsa"];
    let sign = |how: &[&str]| home.gpg(&[&signers[..], &["-o", "-"], how, &["data"]].concat());

    let input = sign(&["--detach-sign"]);
    let reply = ask(&Request::Signature, &input).unwrap();
    let signatures = Detached::decode(&reply, input.len()).unwrap().signatures;
    let lister = Lister::new(&input);
    let ours: Vec<_> = signatures.map(|it| lister.signature(it)).collect();
    assert_eq!(
        (
            ours.len(),
            compare(&ours, &blocks(&home.list(&input))).len()
        ),
        (3, 0)
    );

    let input = sign(&["--compress-algo", "none", "--sign"]);
    let reply = ask(&Request::Message, &input).unwrap();
    let message = Message::decode(&reply, input.len()).unwrap();
    let lister = Lister::new(&input);
    let mut ours = vec![lister.literal(&message)];
    ours.extend(message.signatures.map(|it| lister.signature(it)));
    // What is left out is what announces the signatures.
    let theirs = blocks(&home.list(&input));
    let left_out = compare(&ours, &theirs);
    assert!(
        left_out
            .iter()
            .all(|block| block[1].starts_with(":onepass_sig"))
    );
    assert_eq!((ours.len(), left_out.len()), (4, 3));
    let data = message.literal.data.of(&input).unwrap();
    assert_eq!(data, home.read("data"));

    // Packed, as GnuPG does it if nothing else is asked for.
    let refused = Err(pgp_proto::Refusal::Compressed);
    assert_eq!(ask(&Request::Message, &sign(&["--sign"])), refused);
}

#[test]
fn armor_is_what_gnupg_unpacks() {
    let home = home();
    home.write("data", b"some data\n");
    for (block, how) in [
        (Block::Key, &["--export", "rsa"][..]),
        (
            Block::Signature,
            &["-u", "rsa", "-o", "-", "--detach-sign", "data"],
        ),
        (Block::Message, &["-u", "rsa", "-o", "-", "--sign", "data"]),
    ] {
        let input = home.gpg(&[&["--armor", "--comment", "no"][..], how].concat());
        let reply = ask(&Request::Armor, &input).unwrap();
        let armor = Armor::decode(&reply, input.len()).unwrap();
        assert_eq!((armor.block, armor.checksum), (block, Checksum::Right));
        home.write("armor", &input);
        assert_eq!(armor.binary, home.gpg(&["-o", "-", "--dearmor", "armor"]));
    }
}

#[test]
fn cleartext_is_what_gnupg_signed() {
    let home = home();
    // Lines that are escaped, white space that is not signed, no end of the last line.
    for (data, text) in [
        (
            "dear\n- all \n\nthis  \nends\n",
            "dear\n- - all \n\nthis  \nends",
        ),
        ("-----BEGIN\nFrom me", "- -----BEGIN\n- From me"),
        ("\n", ""),
    ] {
        home.write("data", data.as_bytes());
        let input = home.gpg(&["-u", "rsa", "-u", "dsa", "-o", "-", "--clearsign", "data"]);
        let reply = ask(&Request::Cleartext, &input).unwrap();
        let message = Cleartext::decode(&reply, input.len()).unwrap();
        let of = |place: Place| String::from_utf8(place.of(&input).unwrap().to_vec()).unwrap();
        assert_eq!(of(message.text), text);
        let hashes = of(message.hashes);
        assert!(hashes.starts_with("Hash: SHA"), "{hashes}");
        let armor = of(message.signature).into_bytes();
        let reply = ask(&Request::Armor, &armor).unwrap();
        let input = Armor::decode(&reply, armor.len()).unwrap().binary;
        let reply = ask(&Request::Signature, input).unwrap();
        let signatures = Detached::decode(&reply, input.len()).unwrap().signatures;
        let lister = Lister::new(input);
        let ours: Vec<_> = signatures.map(|it| lister.signature(it)).collect();
        let theirs = blocks(&home.list(input));
        assert_eq!((ours.len(), compare(&ours, &theirs).len()), (2, 0));
    }
}
