// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packages that Debian's rpm builds and signs, and what it says of them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::process::Command;
use support::Gpg;
use umd_pgp::{Error, Keyring, Payload, Refusal};
use umd_pgp_testkit::Rpm;

/// What rpm says, and what we say, in the same words: is the header signed, and the payload the right one?
fn compare(rpm: &Rpm<'_>, keys: &Keyring, package: &Path) -> (bool, bool) {
    let file = std::fs::File::open(package).unwrap();
    let ours = match keys.rpm(file) {
        Ok(package) => (true, package.payload == Payload::Verified),
        Err(Error::Refused(Refusal::Payload)) => (true, false),
        Err(_) => (false, false),
    };
    let checks = rpm.checks(package);
    let all = |what: &str| {
        let lines: Vec<_> = checks
            .iter()
            .filter(|(line, _)| line.contains(what))
            .collect();
        !lines.is_empty() && lines.iter().all(|(_, ok)| *ok)
    };
    let header = all("Header") && checks.iter().any(|(line, _)| line.contains("Header"));
    // Where the header is not believed, nobody asks what it says of the payload.
    let theirs = (header, header && all("Payload"));
    assert_eq!(ours, theirs, "{}: {checks:?}", package.display());
    ours
}

#[test]
fn packages_are_what_rpm_says() {
    let gpg = Gpg::new();
    let rpm = Rpm { gpg: &gpg };
    let plain = rpm.build();
    let mut keys = Keyring::new().unwrap();
    let rsa = gpg.make("rsa <r@x>", "rsa3072", "sign", "never");
    let edwards = gpg.make("ed25519 <e@x>", "ed25519", "sign", "never");
    let stranger = gpg.make("stranger <s@x>", "rsa2048", "sign", "never");
    for key in [&rsa, &edwards] {
        keys.add(&gpg.export(key)).unwrap();
        rpm.import(key);
    }
    assert_eq!(compare(&rpm, &keys, &plain), (false, false));
    let open = |path: &Path| std::fs::File::open(path).unwrap();
    let unsigned = keys.rpm(open(&plain));
    assert_eq!(unsigned, Err(Error::Refused(Refusal::Unsigned)));
    let strange = rpm.signed(&plain, &stranger, &[]);
    assert_eq!(compare(&rpm, &keys, &strange), (false, false));

    for key in [&rsa, &edwards] {
        let package = rpm.signed(&plain, key, &[]);
        assert_eq!(compare(&rpm, &keys, &package), (true, true));
        let found = keys.rpm(open(&package)).unwrap();
        assert_eq!(&found.signed.by.fingerprint_text(), key);
        assert!(found.others.is_empty());

        let bytes = std::fs::read(&package).unwrap();
        let summary = bytes
            .windows(9)
            .position(|bytes| bytes == b"A package")
            .unwrap();
        let change = |at: usize, name: &str| {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let path = package.with_extension(name);
            std::fs::write(&path, changed).unwrap();
            path
        };
        let header = change(summary, "header");
        assert_eq!(compare(&rpm, &keys, &header), (false, false));
        let refused = Err(Error::Refused(Refusal::BadSignature));
        assert_eq!(keys.rpm(open(&header)), refused);
        let payload = change(bytes.len() - 20, "payload");
        assert_eq!(compare(&rpm, &keys, &payload), (true, false));
        assert_eq!(
            keys.rpm(open(&payload)),
            Err(Error::Refused(Refusal::Payload))
        );
        // More behind the payload, or less of it, is another one.
        let longer = [&bytes[..], b"x"].concat();
        for other in [&longer[..], &bytes[..bytes.len() - 1]] {
            assert_eq!(keys.rpm(other), Err(Error::Refused(Refusal::Payload)));
        }
        for length in [0, 95, 96, 111, 112, 500, summary] {
            assert!(keys.rpm(&bytes[..length]).is_err());
        }
    }
    // The old way besides: it is named, and not read.
    let both = rpm.signed(&plain, &rsa, &["--rpmv3"]);
    let found = keys.rpm(open(&both)).unwrap();
    assert_eq!(found.others, [1002]);
    assert_eq!(compare(&rpm, &keys, &both), (true, true));
}

/// A header of entries (tag, type, count, value).
fn header(entries: &[(u32, u32, u32, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    let mut index = Vec::new();
    for (tag, kind, count, value) in entries {
        let offset = data.len() as u32;
        index.extend([*tag, *kind, offset, *count].map(u32::to_be_bytes).concat());
        data.extend(*value);
    }
    let mut header = vec![0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];
    header.extend((entries.len() as u32).to_be_bytes());
    header.extend((data.len() as u32).to_be_bytes());
    [header, index, data].concat()
}

/// A package with these two headers.
fn package(signatures: &[u8], main: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut package = vec![0; 96];
    package[..4].copy_from_slice(&[0xed, 0xab, 0xee, 0xdb]);
    package.extend(signatures);
    package.resize(package.len().next_multiple_of(8), 0);
    [&package, main, payload].concat()
}

const INT32: u32 = 4;
const BIN: u32 = 7;
const STRING: u32 = 6;
const STRING_ARRAY: u32 = 8;

#[test]
fn packages_that_no_rpm_writes() {
    let gpg = Gpg::new();
    let vendor = gpg.make("vendor <v@x>", "rsa2048", "sign", "never");
    let mut keys = Keyring::new().unwrap();
    keys.add(&gpg.export(&vendor)).unwrap();
    // For GnuPG a zero at the end of a line is part of the end.
    let name = (1000, STRING, 1, &b"hello\0."[..]);
    let sign = |how: &[&str], main: &[u8]| gpg.run(&[how, &["--detach-sign"]].concat(), main);
    let signed = |how: &[&str], main: &[u8]| {
        let signature = sign(how, main);
        let count = signature.len() as u32;
        package(&header(&[(268, BIN, count, &signature)]), main, b"payload")
    };
    let plain = header(&[name]);
    let found = signed(&[], &plain);
    assert_eq!(
        keys.rpm(&found[..]).unwrap().payload,
        Payload::HeaderOnly,
        "nothing is said of the payload"
    );
    // A signature over text is over other bytes as well.
    let refused = Err(Error::Refused(Refusal::SignatureType));
    let text = signed(&["--textmode"], &plain);
    assert_eq!(keys.rpm(&text[..]), refused);

    for (algorithm, program, payload) in [
        (8_u8, "sha256sum", Ok(Payload::Verified)),
        (
            2,
            "sha1sum",
            Err(Error::Refused(Refusal::PayloadUnsupported)),
        ),
        (
            1,
            "md5sum",
            Err(Error::Refused(Refusal::PayloadUnsupported)),
        ),
    ] {
        let file = gpg.home().join("payload");
        std::fs::write(&file, "payload").unwrap();
        let told = Command::new(program).arg(file).output().unwrap().stdout;
        let hex = told.split(|byte| *byte == b' ').next().unwrap();
        let hex = [hex, b"\0"].concat();
        let number = [0, 0, 0, algorithm];
        let main = header(&[
            (5093, INT32, 1, &number),
            name,
            (5092, STRING_ARRAY, 1, &hex),
        ]);
        let found = signed(&[], &main);
        let found = keys.rpm(&found[..]).map(|package| package.payload);
        assert_eq!(found, payload, "{program}");
    }
}

#[test]
fn which_signatures_there_are_the_host_sees_itself() {
    let keys = Keyring::new().unwrap();
    let main = header(&[(1000, STRING, 1, b"hello\0")]);
    for (tag, refusal) in [
        (1000, Refusal::Unsigned),
        (1002, Refusal::PackageSignature),
        (1005, Refusal::PackageSignature),
        (278, Refusal::PackageSignature),
    ] {
        let package = package(&header(&[(tag, BIN, 1, b"x")]), &main, b"");
        assert_eq!(
            keys.rpm(&package[..]),
            Err(Error::Refused(refusal)),
            "{tag}"
        );
    }
}

/// A file that ends with an error, and not at its end.
struct Broken<'p>(&'p [u8]);

impl std::io::Read for Broken<'_> {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(room) {
            Ok(0) => Err(std::io::ErrorKind::TimedOut.into()),
            read => read,
        }
    }
}

#[test]
fn what_cannot_be_read_is_no_damaged_package() {
    let gpg = Gpg::new();
    let rpm = Rpm { gpg: &gpg };
    let vendor = gpg.make("vendor <v@x>", "rsa2048", "sign", "never");
    let mut keys = Keyring::new().unwrap();
    keys.add(&gpg.export(&vendor)).unwrap();
    let package = rpm.signed(&rpm.build(), &vendor, &[]);
    let package = std::fs::read(package).unwrap();
    for end in [10, 100, 500, package.len() - 1, package.len()] {
        let told = keys.rpm(Broken(&package[..end]));
        assert_eq!(
            told,
            Err(Error::Read(std::io::ErrorKind::TimedOut)),
            "{end}"
        );
    }
}
