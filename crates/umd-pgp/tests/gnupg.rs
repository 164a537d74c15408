// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys and signatures that GnuPG makes, and what it says of them.

mod support;

use support::{Gpg, Listing, NOW, keyring};
use umd_pgp::{Error, Refusal};

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

    let user = ["--local-user", signer];
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
        // How lines end matters to those that are over bytes.
        let dos = String::from_utf8(TEXT.to_vec())
            .unwrap()
            .replace('\n', "\r\n");
        let is_text = arguments.contains(&"--textmode");
        assert_eq!(keys.verify(&signature, dos.as_bytes()).is_ok(), is_text);
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
fn each_hash() {
    let gpg = Gpg::new();
    let fingerprint = gpg.make("hashes", "rsa2048", "sign", "never");
    let mut keys = keyring();
    keys.add(&gpg.export(&fingerprint)).unwrap();
    for (hash, good) in [
        ("MD5", Err(Refusal::HashWeak)),
        ("SHA1", Ok(())),
        ("RIPEMD160", Ok(())),
        ("SHA224", Ok(())),
        ("SHA256", Ok(())),
        ("SHA384", Ok(())),
        ("SHA512", Ok(())),
    ] {
        let signature = gpg.run(
            &[
                "--allow-weak-digest-algos",
                "--digest-algo",
                hash,
                "--detach-sign",
            ],
            TEXT,
        );
        let verified = keys.verify(&signature, TEXT).map(|_| ());
        assert_eq!(verified, good.map_err(Error::Refused), "{hash}");
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
    let expired = listing.subkeys[2].fingerprint.as_str();
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
    assert_eq!(without, "fourth: \u{e4}");
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
    let added = keys.add_all(&ring).unwrap();
    assert_eq!(added.added, 2);
    let refused = [(1, Error::Refused(Refusal::KeyUnsupported))];
    assert_eq!(added.refused, refused);
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
    let nobody = Err(Error::Refused(Refusal::BadSignature));
    assert_eq!(others.verify(&signature, TEXT), nobody);
}
