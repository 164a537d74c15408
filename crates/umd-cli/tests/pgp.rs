// SPDX-License-Identifier: MIT OR Apache-2.0
//! `umd pgp` as a process, with what GnuPG and rpm write.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Output, umd, umd_from};
use serde_json::{Value, json};
use umd_pgp_testkit::Rpm;

const EBADMSG: (i32, &str) = (74, "EBADMSG");
const ENOKEY: (i32, &str) = (126, "ENOKEY");
const EKEYEXPIRED: (i32, &str) = (127, "EKEYEXPIRED");
const EKEYREVOKED: (i32, &str) = (128, "EKEYREVOKED");
const EKEYREJECTED: (i32, &str) = (129, "EKEYREJECTED");

/// When keys and signatures are made.
const KEY_MADE_TEXT: &str = "2023-11-14 21:56:40 UTC";
const MADE: u64 = umd_pgp_testkit::NOW;
const MADE_TEXT: &str = "2023-11-14 22:13:20 UTC";

const DATA: &[u8] = b"what was signed\n";

/// GnuPG in a home of its own, in which the test's files are as well.
struct Gpg(umd_pgp_testkit::Gpg);

impl std::ops::Deref for Gpg {
    type Target = umd_pgp_testkit::Gpg;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Gpg {
    fn new() -> Self {
        Self(umd_pgp_testkit::Gpg::default())
    }

    /// Makes a key that signs; its fingerprint.
    fn make(&self, user_id: &str, algorithm: &str, expires: &str) -> String {
        self.0.make(user_id, algorithm, "sign", expires)
    }

    fn path(&self, name: &str) -> String {
        self.home().join(name).to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// A file with these keys.
    fn export(&self, name: &str, arguments: &[&str]) -> String {
        let keys = self.run(&[&["--export"], arguments].concat(), b"");
        self.file(name, &keys)
    }

    /// A file with a signature over [`DATA`].
    fn sign(&self, name: &str, key: &str, arguments: &[&str]) -> String {
        let sign = ["--local-user", key, "--detach-sign"];
        let signature = self.run(&[arguments, &sign].concat(), DATA);
        self.file(name, &signature)
    }
}

fn pgp(arguments: &[&str]) -> Output {
    umd(&[&["pgp"], arguments].concat())
}

/// With this file as the standard input.
fn from(file: &str, arguments: &[&str]) -> Output {
    umd_from(file, &[&["pgp"], arguments].concat())
}

fn has(text: &str, words: &[&str]) {
    for words in words {
        assert!(text.contains(words), "{words}: {text}");
    }
}

/// Is this a row of the table?
fn row(text: &str, name: &str, value: &str) {
    let rows = text.lines().map(str::trim);
    let mut values = rows.filter_map(|row| row.strip_prefix(name)).map(str::trim);
    assert!(values.any(|found| found == value), "{name} {value}: {text}");
}

#[test]
fn a_good_signature_is_told_with_its_key() {
    let gpg = Gpg::new();
    let alice = gpg.make("alice <a@x>", "rsa2048", "never");
    let bob = gpg.make("bob <b@x>", "ed25519", "never");
    let data = gpg.file("data", DATA);
    let alice_key = gpg.export("alice.gpg", &[&alice]);
    let bob_key = gpg.export("bob.asc", &["--armor", &bob]);
    let ring = gpg.export("ring", &[]);
    let by_alice = gpg.sign("alice.sig", &alice, &[]);
    let by_bob = gpg.sign("bob.asc.sig", &bob, &["--armor"]);
    for (keys, signature, user_id, fingerprint) in [
        (&["--key", &alice_key][..], &by_alice, "alice <a@x>", &alice),
        (&["--key", &bob_key], &by_bob, "bob <b@x>", &bob),
        (&["--key", &ring], &by_alice, "alice <a@x>", &alice),
        (
            &["--key", &alice_key, "--key", &bob_key],
            &by_bob,
            "bob <b@x>",
            &bob,
        ),
    ] {
        let arguments = [&["verify"], keys, &[signature, &data]].concat();
        let told = pgp(&arguments).fine();
        has(&told, &["good signature"]);
        row(&told, "user id", user_id);
        row(&told, "fingerprint", fingerprint);
        row(&told, "signed", MADE_TEXT);
        let json = pgp(&[&arguments[..], &["--json"]].concat()).fine_json();
        let signed = json!({
            "user_id": user_id, "fingerprint": fingerprint, "by": fingerprint, "made": MADE,
            "over_text": false
        });
        assert_eq!((&json["signed"], &json["error"]), (&signed, &Value::Null));
    }
    let of_text = gpg.sign("text.sig", &alice, &["--textmode"]);
    let arguments = ["verify", "--key", &alice_key, &of_text, &data];
    let told = pgp(&arguments).fine();
    row(&told, "as", "text: how its lines end was not signed");
    let json = pgp(&[&arguments[..], &["--json"]].concat()).fine_json();
    assert_eq!(json["signed"]["over_text"], json!(true));
    // A subkey's signature is its primary key's, and is told as the subkey's.
    gpg.run(&["--quick-add-key", &bob, "rsa2048", "sign", "never"], b"");
    let ring = gpg.export("ring", &[]);
    let by_subkey = gpg.sign("subkey.sig", &bob, &[]);
    let json = pgp(&["verify", "--key", &ring, &by_subkey, &data, "--json"]).fine_json();
    let signed = &json["signed"];
    assert_eq!(signed["fingerprint"], json!(bob));
    assert_ne!(signed["by"], json!(bob));
    let told = pgp(&["verify", "--key", &ring, &by_subkey, &data]).fine();
    row(&told, "by subkey", signed["by"].as_str().unwrap());
}

#[test]
fn what_is_not_signed_so_that_it_counts_is_told_with_its_reason() {
    let gpg = Gpg::new();
    let alice = gpg.make("alice <a@x>", "rsa2048", "never");
    let old = gpg.make("old <o@x>", "ed25519", "2023-12-01");
    let revoked = gpg.make("revoked <r@x>", "ed25519", "never");
    let mallory = gpg.make("mallory <m@x>", "ed25519", "never");
    let data = gpg.file("data", DATA);
    let other = gpg.file("other", b"something else\n");
    let sign = |name: &str, key: &str| gpg.sign(name, key, &[]);
    let by_alice = sign("alice.sig", &alice);
    let weak = gpg.sign("weak.sig", &alice, &["--digest-algo", "SHA1"]);
    let by_old = sign("old.sig", &old);
    let by_revoked = sign("revoked.sig", &revoked);
    let by_mallory = sign("mallory.sig", &mallory);
    let before = gpg.export("before", &[&revoked]);
    gpg.revoke(&revoked);
    let keys = gpg.export("keys", &[&alice, &old, &revoked]);
    // The last byte of the signature's number.
    let mut forged = fs::read(&by_alice).unwrap();
    *forged.last_mut().unwrap() ^= 1;
    let forged = gpg.file("forged.sig", &forged);
    let inline = gpg.run(&["--local-user", &alice, "--sign"], DATA);
    let inline = gpg.file("inline", &inline);
    // What is no signature is named, else what it is over.
    let blamed = |signature, file| match [&data, &keys].contains(&signature) {
        true => signature,
        false => file,
    };
    for (signature, file, (errno, name), words) in [
        (&forged, &data, EKEYREJECTED, "not this key's"),
        (&by_alice, &other, EKEYREJECTED, "was changed"),
        (&by_mallory, &data, ENOKEY, "that the signature names"),
        (&weak, &data, EKEYREJECTED, "--digest-algo SHA256"),
        (&by_old, &data, EKEYEXPIRED, "the key has expired"),
        (&by_revoked, &data, EKEYREVOKED, "the key has been revoked"),
        (&data, &other, EBADMSG, "gpg --detach-sign"),
        (&keys, &data, EBADMSG, "gpg --detach-sign"),
    ] {
        let arguments = ["verify", "--key", &keys, signature, file];
        let told = pgp(&arguments).failed();
        has(
            &told,
            &[words, &format!("({name})"), blamed(signature, file)],
        );
        let json = pgp(&[&arguments[..], &["--json"]].concat()).failed_json();
        assert_eq!(json["error"]["errno"], errno, "{json:#}");
        assert_eq!(json["signed"], Value::Null);
    }
    // A copy from before the revocation makes no difference, where it was known.
    for copies in [[&keys, &before], [&before, &keys]] {
        let [one, other] = copies;
        let arguments = ["verify", "--key", one, "--key", other, &by_revoked, &data];
        has(&pgp(&arguments).failed(), &["the key has been revoked"]);
    }
    pgp(&["verify", "--key", &before, &by_revoked, &data]).fine();
    // What is genuine and not read is not damaged.
    let mut newer = fs::read(&by_alice).unwrap();
    newer[3] = 5;
    let newer = gpg.file("newer.sig", &newer);
    let told = pgp(&["verify", "--key", &keys, &newer, &data]).failed();
    has(&told, &["of none of the versions 3, 4 and 6", "(ENOPKG)"]);
    assert!(!told.contains("damaged"), "{told}");
    // Compressed, and no detached signature anyway.
    let told = pgp(&["verify", "--key", &keys, &inline, &data]).failed();
    has(&told, &["gpg --detach-sign"]);
}

#[test]
fn a_file_is_read_to_its_end() {
    let gpg = Gpg::new();
    let alice = gpg.make("alice <a@x>", "ed25519", "never");
    let bob = gpg.make("bob <b@x>", "ed25519", "never");
    let armored = |key: &str| gpg.run(&["--armor", "--export", key], b"");
    let (key, bobs) = (armored(&alice), armored(&bob));
    let data = gpg.file("data", DATA);
    let by_alice = gpg.sign("alice.sig", &alice, &["--armor"]);
    let by_bob = gpg.sign("bob.sig", &bob, &["--armor"]);
    let revocation = gpg.home().join(format!("openpgp-revocs.d/{alice}.rev"));
    let revocation = fs::read_to_string(revocation).unwrap();
    let (_, revocation) = revocation.split_once("\n:").unwrap();
    let keys = gpg.file("KEYS", &[&bobs[..], b"\nAlice, 2023\n", &key].concat());
    let revoked = gpg.file(
        "revoked",
        &[&key[..], b"\n", revocation.as_bytes()].concat(),
    );
    let alone = gpg.file("alone", revocation.as_bytes());
    let quoted = String::from_utf8(key.clone())
        .unwrap()
        .replace("-----BEGIN", "> -----BEGIN");
    let quoted = gpg.file("quoted", &[&bobs[..], quoted.as_bytes()].concat());
    let verify = |key: &str, more: &[&str], signature: &str| {
        pgp(&[&["verify", "--key", key], more, &[signature, &data]].concat())
    };
    verify(&keys, &[], &by_alice).fine();
    let shown = pgp(&["show", &keys]).fine();
    has(&shown, &["alice <a@x>", "bob <b@x>"]);
    let both = [fs::read(&by_bob).unwrap(), fs::read(&by_alice).unwrap()].concat();
    let both = gpg.file("both.sig", &both);
    verify(&keys, &[], &both).fine();
    has(
        &verify(&revoked, &[], &by_alice).failed(),
        &["the key has been revoked"],
    );
    has(
        &verify(&keys, &["--key", &alone], &by_alice).failed(),
        &["the key has been revoked"],
    );
    verify(&keys, &["--key", &alone], &by_bob).fine();
    has(
        &verify(&alone, &["--key", &keys], &by_alice).failed(),
        &[&alice, "was not given", "comes before it"],
    );
    let told = verify(&quoted, &[], &by_bob).failed();
    has(&told, &["quoted: line ", "has to begin its line"]);
    // A key of which another file has a copy that is refused is taken away, and it is said why.
    let binary = gpg.run(&["--export", &alice], b"");
    let mut damaged = binary.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let damaged = gpg.file(
        "damaged",
        &[&gpg.run(&["--export", &bob], b""), &damaged[..]].concat(),
    );
    verify(&keys, &[], &by_alice).fine();
    let told = verify(&keys, &["--key", &damaged], &by_alice).failed();
    has(
        &told,
        &[&alice, "it was given, but not taken: no self-signature"],
    );
    verify(&keys, &["--key", &damaged], &by_bob).fine();
}

#[test]
fn wrong_keys_files_and_command_lines_are_told() {
    let gpg = Gpg::new();
    let alice = gpg.make("alice <a@x>", "ed25519", "never");
    let key = gpg.export("key", &[&alice]);
    let data = gpg.file("data", DATA);
    let signature = gpg.sign("sig", &alice, &[]);
    let secret = gpg.run(&["--export-secret-keys", &alice], b"");
    let secret = gpg.file("secret", &secret);
    for wrong in [&data, &signature, &secret] {
        let told = pgp(&["verify", "--key", wrong, &signature, &data]).failed();
        has(&told, &[wrong, "gpg --export"]);
        let told = pgp(&["show", wrong]).failed();
        has(&told, &[wrong, "gpg --export"]);
        let json = pgp(&["show", wrong, "--json"]).failed_json();
        has(json["error"].as_str().unwrap(), &["gpg --export"]);
    }
    let told = pgp(&["verify", "--key", &key, "/nowhere", &data]).failed();
    has(&told, &["cannot read /nowhere"]);
    for wrong in [
        &[][..],
        &["verify", &signature, &data],
        &["verify", "--key", &key, &signature],
        &["rpm-verify", "x.rpm"],
        &["show"],
        &["minimize", &key, "--json"],
        &["split", &signature, &data],
        &["split", &signature, &data, "digest"],
        &["split", &signature, &data, "digest", "raw", "-o", "x"],
    ] {
        pgp(wrong).usage();
    }
    for task in ["verify", "rpm-verify", "show", "minimize", "split"] {
        has(
            &pgp(&[task, "--help"]).fine(),
            &[&format!("umd pgp {task}"), "--json"],
        );
    }
}

#[test]
fn a_file_that_is_not_what_it_should_be_is_told_with_what_would_be_right() {
    let gpg = Gpg::new();
    let alice = gpg.make("alice <a@x>", "rsa2048", "never");
    let bob = gpg.make("bob <b@x>", "ed25519", "never");
    let key = gpg.export("key", &[&alice]);
    let ring = gpg.export("ring", &[&alice, &bob]);
    let data = gpg.file("data", DATA);
    let signature = gpg.sign("sig", &alice, &["--armor"]);
    let secret = gpg.run(&["--armor", "--export-secret-keys", &alice], b"");
    let secret = gpg.file("secret", &secret);
    let empty = gpg.file("empty", b"");
    let binary = gpg.file("binary", b"\x7fELF\x02\x01\x01");
    let directory = gpg.path("openpgp-revocs.d");
    // A photo of 17 MiB.
    const LENGTH: u32 = 17 << 20;
    let mut long = fs::read(&key).unwrap();
    long.extend([0xd1, 0xff]);
    long.extend(LENGTH.to_be_bytes());
    long.resize(long.len() + LENGTH as usize, 0);
    let long = gpg.file("long", &long);
    let damaged = fs::read(&key).unwrap();
    let damaged = gpg.file("damaged", &damaged[..damaged.len() - 1]);
    let prefix = gpg.path("parts");

    let of_keys = [
        ("/nowhere", "cannot read /nowhere: No such file"),
        (&directory, "cannot read"),
        (&directory, "it is a directory"),
        (&empty, "is empty; a key is what `gpg --export` writes"),
        (&secret, "it begins as a secret key does"),
        (&binary, "a key is what `gpg --export` writes"),
        (&signature, "it begins as a signature does"),
        (&long, "at most 16 MiB"),
        (&damaged, "it is damaged"),
    ];
    for (file, words) in of_keys {
        for arguments in [
            &["show", file][..],
            &["verify", "--key", &key, "--key", file, &signature, &data],
            &["rpm-verify", "--key", file, &data],
            &["split", "--key", file, &signature, &data, "-o", &prefix],
        ] {
            has(&pgp(arguments).failed(), &[file, words]);
        }
    }
    has(&pgp(&["minimize", &long]).failed(), &["more than 16 MiB"]);
    let told = pgp(&["minimize", &ring]).failed();
    has(&told, &["more than one key", "gpg --export FINGERPRINT"]);

    for (file, words) in [
        ("/nowhere", "No such file"),
        (&directory, "it is a directory"),
        (
            &empty,
            "is empty; a signature is what `gpg --detach-sign` writes",
        ),
        (&long, "more than 16 MiB"),
        (&key, "it begins as a public key does"),
    ] {
        let told = pgp(&["verify", "--key", &key, file, &data]).failed();
        has(&told, &[file, words]);
        let told = pgp(&["split", file, &data, "-o", &prefix]).failed();
        has(&told, &[file, words]);
    }
    let swapped = pgp(&["verify", "--key", &key, &data, &signature]).failed();
    has(
        &swapped,
        &["sig begins as one does: the signature comes first"],
    );
    for (file, words) in [
        ("/nowhere", "No such file"),
        (&directory, "it is a directory"),
    ] {
        let told = pgp(&["verify", "--key", &key, &signature, file]).failed();
        has(&told, &[file, words]);
        let told = pgp(&["rpm-verify", "--key", &key, file]).failed();
        has(&told, &[file, words]);
    }
    let told = pgp(&["verify", "--key", &key, &signature, "/proc/self/mem"]).failed();
    has(&told, &["/proc/self/mem: the data cannot be read", "EIO"]);
    for (file, words) in [
        (&empty, "a package is what `rpmbuild` writes"),
        (&data, "a package is what `rpmbuild` writes"),
        (&key, "it begins as a public key does"),
    ] {
        let told = pgp(&["rpm-verify", "--key", &key, file]).failed();
        has(&told, &[file, words]);
    }
    assert!(!Path::new(&format!("{prefix}.digest")).exists());
}

#[test]
fn the_standard_input_is_one_of_the_files() {
    let gpg = Gpg::new();
    let alice = gpg.make("alice <a@x>", "rsa2048", "never");
    let key = gpg.export("key", &[&alice]);
    let data = gpg.file("data", DATA);
    let signature = gpg.sign("sig", &alice, &[]);
    let prefix = gpg.path("parts");
    for (arguments, input) in [
        (&["verify", "--key", &key, &signature, "-"][..], &data),
        (&["verify", "--key", &key, "-", &data], &signature),
        (&["verify", "--key", "-", &signature, &data], &key),
        (&["show", "-"], &key),
        (&["minimize", "-", "-o", &gpg.path("small")], &key),
        (
            &["split", "--key", &key, &signature, "-", "-o", &prefix],
            &data,
        ),
    ] {
        let told = from(input, arguments).fine();
        assert!(!told.is_empty());
    }
    let told = from(&data, &["verify", "--key", &key, &signature, "-"]).fine();
    has(&told, &["the standard input: good signature"]);
    let json = from(&data, &["verify", "--key", &key, &signature, "-", "--json"]).fine_json();
    assert_eq!(json["file"], "-");
    let told = from(&data, &["verify", "--key", &key, "-", "-"]).failed();
    has(&told, &["one of the files only"]);
    let told = from(&signature, &["show", "-"]).failed();
    has(
        &told,
        &["the standard input: this does not begin as it should"],
    );
    let told = from(&data, &["rpm-verify", "--key", &key, "-"]).failed();
    has(&told, &["the standard input", "rpmbuild"]);
}

#[test]
fn data_need_not_fit_into_memory() {
    const LENGTH: u64 = 1 << 30;
    // In KiB, of addresses: what the process has mapped counts, whether it is used or not.
    const MOST: u64 = LENGTH / 2 / 1024;
    let gpg = Gpg::new();
    let alice = gpg.make("alice <a@x>", "ed25519", "never");
    let key = gpg.export("key", &[&alice]);
    let data = gpg.path("data");
    fs::File::create(&data).unwrap().set_len(LENGTH).unwrap();
    let signature = gpg.run(
        &[
            "--digest-algo",
            "SHA256",
            "--local-user",
            &alice,
            "--detach-sign",
            "--output",
            "-",
            &data,
        ],
        b"",
    );
    let signature = gpg.file("sig", &signature);
    let umd = env!("CARGO_BIN_EXE_umd");
    let script = format!("ulimit -v {MOST} && exec \"$0\" pgp \"$@\"");
    let output = Command::new("sh")
        .args([
            "-c", &script, umd, "verify", "--key", &key, &signature, &data,
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_key_is_shown_with_all_that_is_believed_of_it() {
    let gpg = Gpg::new();
    let alice = gpg.make("alice <a@x>", "rsa2048", "2090-01-01");
    gpg.run(
        &["--quick-add-key", &alice, "nistp256/ecdsa", "sign", "never"],
        b"",
    );
    let old = gpg.make("old <o@x>", "ed25519", "2023-12-01");
    let revoked = gpg.make("revoked <r@x>", "nistp384", "never");
    gpg.revoke(&revoked);
    gpg.run(
        &["--yes", "--local-user", &old, "--quick-sign-key", &alice],
        b"",
    );
    let key = gpg.export("alice", &[&alice]);
    let told = pgp(&["show", &key]).fine();
    for (name, value) in [
        ("user id", "alice <a@x>"),
        ("fingerprint", &alice[..]),
        ("key id", &alice[24..]),
        ("algorithm", "RSA 2048"),
        ("created", KEY_MADE_TEXT),
        ("revoked", "no"),
        ("may sign", "yes"),
        ("algorithm", "ECDSA P-256"),
        ("expires", "2090-01-01 12:00:00 UTC"),
    ] {
        row(&told, name, value);
    }
    has(
        &told,
        &[
            "subkey that signs\n",
            "left out\n  1 signatures of others\n",
        ],
    );
    let json = pgp(&["show", &key, "--json"]).fine_json();
    let shown = &json["keys"][0];
    assert_eq!(shown["primary"]["expires"], 3_786_955_200_u64);
    assert_eq!(shown["subkeys"][0]["algorithm"], "ECDSA P-256");
    assert_eq!(
        (&shown["foreign"], &shown["others"]),
        (&json!(1), &json!(0))
    );

    // Keys that are not good any more are shown with the reason.
    let dsa = gpg.make("dsa <d@x>", "dsa2048", "never");
    let ring = gpg.export("ring", &["--armor", &old, &revoked, &dsa]);
    let told = pgp(&["show", &ring]).fine();
    row(&told, "may sign", "no: the key has expired");
    row(&told, "may sign", "no: the key has been revoked");
    row(&told, "algorithm", "Ed25519");
    row(&told, "algorithm", "ECDSA P-384");
    row(&told, "algorithm", "DSA 2048");
    row(&told, "revoked", "yes");
    row(&told, "expires", "never");
    let json = pgp(&["show", &ring, "--json"]).fine_json();
    let keys = json["keys"].as_array().unwrap();
    let of = |fingerprint: &str| {
        let mut keys = keys.iter();
        keys.find(|key| key["primary"]["fingerprint"] == fingerprint)
            .unwrap()
    };
    assert_eq!(of(&old)["primary"]["may_sign"], false);
    assert_eq!(of(&revoked)["primary"]["revoked"], true);

    // One that nobody vouches for is told beside one that is good: it has its packet only.
    let bare = fs::read(&key).unwrap();
    let length = 3 + usize::from(u16::from_be_bytes([bare[1], bare[2]]));
    let other = fs::read(gpg.export("old", &[&old])).unwrap();
    let both = gpg.file("both", &[&bare[..length], &other].concat());
    let told = pgp(&["show", &both]).found();
    has(
        &told,
        &["key 0 was not taken: no self-signature", "old <o@x>"],
    );
    let json = pgp(&["show", &both, "--json"]).found_json();
    assert_eq!(json["refused_keys"][0]["error"]["errno"], EKEYREJECTED.0);
    let bare = gpg.file("bare", &bare[..length]);
    has(&pgp(&["show", &bare]).failed(), &["no self-signature"]);
}

#[test]
fn minimizing_leaves_out_what_others_say() {
    let gpg = Gpg::new();
    let alice = gpg.make("alice <a@x>", "rsa2048", "never");
    for other in ["bob <b@x>", "carol <c@x>"] {
        let other = gpg.make(other, "rsa2048", "never");
        gpg.run(
            &["--yes", "--local-user", &other, "--quick-sign-key", &alice],
            b"",
        );
    }
    let key = gpg.export("key", &["--armor", &alice]);
    let out = gpg.path("small");
    let told = pgp(&["minimize", &key, "-o", &out]).fine();
    has(&told, &["left out: 2 signatures of others, 0 packets"]);
    let small = fs::read(&out).unwrap();
    let shown = pgp(&["show", &out]).fine();
    row(&shown, "fingerprint", &alice);
    assert!(!shown.contains("left out"), "{shown}");
    // Nothing is overwritten.
    has(
        &pgp(&["minimize", &key, "-o", &out]).failed(),
        &["cannot write", &out],
    );
    assert_eq!(fs::read(&out).unwrap(), small);
    let json = gpg.path("json");
    let json = pgp(&["minimize", &key, "-o", &json, "--json"]).fine_json();
    assert_eq!(
        json,
        json!({ "bytes": small.len(), "foreign": 2, "others": 0 })
    );

    // The standard output has the key and nothing else.
    let output = Command::new(env!("CARGO_BIN_EXE_umd"))
        .args(["pgp", "minimize", &key])
        .output()
        .unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout, small);
    has(&String::from_utf8_lossy(&output.stderr), &["2 signatures"]);
    // A terminal has nothing.
    let output = Command::new("script")
        .args([
            "-qec",
            &format!("{} pgp minimize {key}", env!("CARGO_BIN_EXE_umd")),
            "/dev/null",
        ])
        .stdin(Stdio::null())
        .output()
        .expect("script is installed");
    has(
        &String::from_utf8_lossy(&output.stdout),
        &["nothing for a terminal"],
    );

    let ring = gpg.export("ring", &[]);
    has(
        &pgp(&["minimize", &ring]).failed(),
        &["more than one key", "gpg --export FINGERPRINT"],
    );
}

#[test]
fn a_signature_is_taken_apart_into_new_files() {
    let gpg = Gpg::new();
    let alice = gpg.make("alice <a@x>", "rsa2048", "never");
    let bob = gpg.make("bob <b@x>", "nistp256", "never");
    let edwards = gpg.make("ed <e@x>", "ed25519", "never");
    let (alice_key, bob_key) = (gpg.export("a", &[&alice]), gpg.export("b", &[&bob]));
    let data = gpg.file("data", DATA);
    let by_alice = gpg.sign("a.sig", &alice, &["--digest-algo", "SHA256"]);
    let by_bob = gpg.sign("b.sig", &bob, &["--digest-algo", "SHA512", "--armor"]);
    let by_edwards = gpg.sign("e.sig", &edwards, &[]);

    let prefix = gpg.path("parts");
    let told = pgp(&[
        "split", "--key", &alice_key, &by_alice, &data, "-o", &prefix,
    ])
    .fine();
    let (digest, raw) = (format!("{prefix}.digest"), format!("{prefix}.rawsig"));
    assert_eq!(
        told,
        format!("keyctl pkey_verify ID 0 {digest} {raw} enc=pkcs1 hash=sha256\n")
    );
    let number = fs::read(&raw).unwrap();
    assert_eq!((fs::read(&digest).unwrap().len(), number.len()), (32, 256));
    // Zeros in front of it, as one signature in 256 has, are not in the packet.
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let packet = fs::read(&by_alice).unwrap();
    assert!(packet.ends_with(&number[zeros..]) && zeros < 128);

    let (digest, raw) = (gpg.path("digest"), gpg.path("raw"));
    let json = pgp(&["split", &by_bob, &data, &digest, &raw, "--json"]).fine_json();
    let expected = json!({
        "digest": &digest, "rawsig": &raw, "hash": "sha512", "encoding": "x962",
        "number": 0, "signatures": 1, "signed": null
    });
    assert_eq!(json, expected);
    assert_eq!(fs::read(&digest).unwrap().len(), 64);
    assert_eq!(fs::read(&raw).unwrap().first(), Some(&0x30), "DER");

    // Nothing is overwritten, and nothing is half done.
    has(
        &pgp(&["split", &by_alice, &data, "-o", &prefix]).failed(),
        &["cannot write"],
    );
    let fresh = gpg.path("fresh");
    has(
        &pgp(&["split", &by_alice, &data, &fresh, &raw]).failed(),
        &["cannot write", &raw],
    );
    assert!(!Path::new(&fresh).exists());
    assert_eq!(fs::read(&raw).unwrap().first(), Some(&0x30));
    // Nor is it where the key is not the one, or keyctl has no such signatures.
    let told = pgp(&["split", "--key", &bob_key, &by_alice, &data, "-o", &fresh]).failed();
    has(&told, &["was not given"]);
    has(
        &pgp(&["split", &by_edwards, &data, "-o", &fresh]).failed(),
        &["not supported"],
    );
    assert!(!Path::new(&format!("{fresh}.digest")).exists());
}

#[test]
fn of_several_signatures_the_one_is_taken_apart_that_a_key_has_made() {
    let gpg = Gpg::new();
    let alice = gpg.make("alice <a@x>", "rsa2048", "never");
    let bob = gpg.make("bob <b@x>", "nistp256", "never");
    let bob_key = gpg.export("b", &[&bob]);
    let data = gpg.file("data", DATA);
    let by = |key: &str| fs::read(gpg.sign("sig", key, &["--digest-algo", "SHA256"])).unwrap();
    let both = gpg.file("both.sig", &[by(&alice), by(&bob)].concat());
    let prefix = |name: &str| gpg.path(name);
    let told = pgp(&["split", &both, &data, "-o", &prefix("first")]).fine();
    has(&told, &["# signature 1 of 2\nkeyctl", "enc=pkcs1"]);
    let arguments = ["split", "--key", &bob_key, &both, &data];
    let told = pgp(&[&arguments[..], &["-o", &prefix("bob")]].concat()).fine();
    has(&told, &["# signature 2 of 2\nkeyctl", "enc=x962"]);
    let json = ["-o", &prefix("json"), "--json"];
    let json = pgp(&[&arguments[..], &json].concat()).fine_json();
    assert_eq!(
        (&json["number"], &json["signatures"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(json["signed"]["by"], json!(bob));
}

/// A header of a package with one entry of bytes.
fn header(tag: u32, bytes: &[u8]) -> Vec<u8> {
    const BIN: u32 = 7;
    let length = bytes.len() as u32;
    let mut header = vec![0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];
    for number in [1, length, tag, BIN, 0, length] {
        header.extend(u32::to_be_bytes(number));
    }
    header.extend(bytes);
    header
}

#[test]
fn packages_are_good_or_told_why_not() {
    let gpg = Gpg::new();
    let vendor = gpg.make("vendor <v@x>", "rsa2048", "never");
    let stranger = gpg.make("stranger <s@x>", "rsa2048", "never");
    let key = gpg.export("vendor", &[&vendor]);
    let other_key = gpg.export("stranger", &[&stranger]);
    let rpm = Rpm { gpg: &gpg };
    let unsigned = rpm.build();
    let package = rpm.signed(&unsigned, &vendor, &[]);
    let [unsigned, package] = [&unsigned, &package].map(|path| path.to_str().unwrap());
    let verify = |key: &str, package: &str| pgp(&["rpm-verify", "--key", key, package]);

    let told = verify(&key, unsigned).failed();
    has(
        &told,
        &["the package's header is not signed", "rpmsign --addsign"],
    );
    let told = verify(&key, package).fine();
    row(&told, "user id", "vendor <v@x>");
    row(&told, "fingerprint", &vendor);
    row(&told, "payload", "verified");
    let json = pgp(&["rpm-verify", "--key", &key, package, "--json"]).fine_json();
    assert_eq!(json["payload"], "verified");
    assert_eq!(json["signed"]["by"], json!(vendor));
    has(&verify(&other_key, package).failed(), &["was not given"]);

    let mut changed = fs::read(package).unwrap();
    let end = changed.len();
    changed[end - 20] ^= 1;
    let changed = gpg.file("changed.rpm", &changed);
    has(
        &verify(&key, &changed).failed(),
        &["the payload is not what the header says"],
    );
    let json = pgp(&["rpm-verify", "--key", &key, &changed, "--json"]).failed_json();
    assert_eq!(json["error"]["errno"], EKEYREJECTED.0);
    let told = verify(&key, &key).failed();
    has(&told, &["rpmbuild"]);
}

#[test]
fn a_package_whose_payload_nobody_vouches_for_is_header_only() {
    const RSA: u32 = 268;
    const NAME: u32 = 1000;
    let gpg = Gpg::new();
    let vendor = gpg.make("vendor <v@x>", "rsa2048", "never");
    let key = gpg.export("vendor", &[&vendor]);
    let main = header(NAME, b"hello\0");
    let signature = gpg.run(&["--local-user", &vendor, "--detach-sign"], &main);
    let mut package = vec![0; 96];
    package[..4].copy_from_slice(&[0xed, 0xab, 0xee, 0xdb]);
    package.extend(header(RSA, &signature));
    package.resize(package.len().next_multiple_of(8), 0);
    package.extend(main);
    package.extend(b"whatever");
    let package = gpg.file("old.rpm", &package);
    let told = pgp(&["rpm-verify", "--key", &key, &package]).found();
    row(
        &told,
        "payload",
        "header only: nothing is known of the payload",
    );
    let json = pgp(&["rpm-verify", "--key", &key, &package, "--json"]).found_json();
    assert_eq!(json["payload"], "header-only");
    assert_eq!(json["error"], Value::Null);
}
