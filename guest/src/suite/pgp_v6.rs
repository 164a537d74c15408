// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys and signatures of version 6, which GnuPG does not make: rPGP made these (`make_the_files` in `crates/umd-pgp/tests/v6.rs`).

use anyhow::{Context as _, Result, ensure};
use rustix::io::Errno;

use crate::harness::{Context, Topic, test};
use crate::keys::{self, add, keyctl};
use crate::pgp::{MODULE, Request, has_ecdsa, hex};

pub(crate) const TOPIC: Topic = Topic {
    name: "pgp v6",
    modules: &[MODULE],
    tests: &[
        test("RSA", rsa),
        test("ECDSA where the kernel has it", ecdsa),
        test("the standard's sample is not supported", sample),
        test("versions do not mix", versions),
    ],
};

/// What is signed.
const TEXT: &[u8] = b"What we need from the grocery store:\n\n- tofu\n- vegetables\n- noodles\n";

/// Made as 2025 begins.
const MADE: u64 = 1_735_689_600;

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("../../../crates/umd-pgp/tests/data/v6-", $name))
    };
}

/// A key with a subkey that signs, and a signature by each.
struct Made {
    key: &'static [u8],
    /// Over text.
    by_primary: &'static [u8],
    /// Over bytes.
    by_subkey: &'static [u8],
    kind: &'static str,
}

const RSA: Made = Made {
    key: file!("rsa2048.key"),
    by_primary: file!("rsa2048.primary.sig"),
    by_subkey: file!("rsa2048.subkey.sig"),
    kind: "PGP.rsa",
};

const ECDSA: Made = Made {
    key: file!("p256.key"),
    by_primary: file!("p256.primary.sig"),
    by_subkey: file!("p256.subkey.sig"),
    kind: "PGP.ecdsa-nist-p256",
};

/// The packets of this tag, with their headers off. These have headers of the new format, of one or two octets of length.
fn packets(mut bytes: &[u8], tag: u8) -> Result<Vec<&[u8]>> {
    let mut found = Vec::new();
    while let [head, rest @ ..] = bytes {
        let (length, body) = match *rest {
            [one @ 0..192, ref body @ ..] => (usize::from(one), body),
            [one @ 192..224, two, ref body @ ..] => {
                (usize::from(one - 192) * 256 + usize::from(two) + 192, body)
            }
            _ => anyhow::bail!("a packet of another length"),
        };
        ensure!(body.len() >= length, "a packet is cut");
        if *head == 0xc0 | tag {
            found.push(&body[..length]);
        }
        bytes = &body[length..];
    }
    Ok(found)
}

/// By somebody else: SHA-256 over a head, the length and the body, as busybox computes it.
fn fingerprint(body: &[u8]) -> Result<String> {
    let length = u32::try_from(body.len())?.to_be_bytes();
    let path = "/tmp/packet";
    std::fs::write(path, [&[0x9b], &length[..], body].concat())?;
    let output = std::process::Command::new("busybox")
        .args(["sha256sum", path])
        .output()?;
    let said = String::from_utf8(output.stdout)?;
    let digest = said.split(' ').next();
    Ok(digest.context("no digest")?.to_owned())
}

fn good(context: &Context, made: &Made) -> Result<()> {
    let key = add(made.key)?;
    let [primary] = packets(made.key, 6)?[..] else {
        anyhow::bail!("no primary key");
    };
    let [subkey] = packets(made.key, 14)?[..] else {
        anyhow::bail!("no subkey");
    };
    ensure!(primary[0] == 6 && subkey[0] == 6, "of another version");
    let (primary, subkey) = (fingerprint(primary)?, fingerprint(subkey)?);
    ensure!(primary.len() == 64, "{primary}");
    let shown = keys::shown(key.serial)?;
    let expected = format!("made by rPGP: {}: {} ", &primary[48..], made.kind);
    ensure!(shown.contains(&expected), "{shown}");
    for fingerprint in [&primary, &subkey] {
        for id in [
            format!("id:{}", &fingerprint[48..]),
            format!("ex:{fingerprint}"),
        ] {
            let found = keyctl(&["search", "@u", "asymmetric", &id], &[])?;
            ensure!(found == key.serial.to_string(), "{id} finds {found}");
        }
    }
    for (signature, by) in [(made.by_primary, &primary), (made.by_subkey, &subkey)] {
        let answer = Request::detached(key.serial, signature, TEXT).good()?;
        ensure!(
            hex(&answer.fingerprint) == *by && hex(&answer.primary) == primary,
            "{answer:?}"
        );
        ensure!(answer.made == MADE, "made at {}", answer.made);
        for at in [0, TEXT.len() / 2, TEXT.len() - 2] {
            let mut forged = TEXT.to_vec();
            forged[at] ^= 1;
            Request::detached(key.serial, signature, &forged).refused(Errno::KEYREJECTED)?;
        }
        changes(context, key.serial, signature)?;
    }
    // Text is the same whatever its lines end with, bytes are not.
    let text = String::from_utf8(TEXT.to_vec())?.replace('\n', "\r\n");
    Request::detached(key.serial, made.by_primary, text.as_bytes()).good()?;
    Request::detached(key.serial, made.by_subkey, text.as_bytes()).refused(Errno::KEYREJECTED)?;
    Ok(())
}

/// A signature with any of its bytes changed is good only where that is not hashed, not the number, and not the salt: in what it says
/// of itself without a signature, and that is nothing here.
fn changes(context: &Context, key: i32, signature: &[u8]) -> Result<()> {
    let every = context.rounds(5, 1);
    let mut good = Vec::new();
    for at in (context.seed as usize % every..signature.len()).step_by(every) {
        let mut forged = signature.to_vec();
        forged[at] ^= 1;
        if Request::detached(key, &forged, TEXT).ask()?.error == 0 {
            good.push(at);
        }
    }
    ensure!(good.is_empty(), "good with changes at {good:?}");
    Ok(())
}

fn rsa(context: &Context) -> Result<()> {
    good(context, &RSA)
}

fn ecdsa(context: &Context) -> Result<()> {
    if has_ecdsa()? {
        return good(context, &ECDSA);
    }
    let key = add(ECDSA.key);
    ensure!(matches!(key, Err(Errno::NOPKG)), "{key:?}");
    Ok(())
}

fn sample(_: &Context) -> Result<()> {
    let key = add(file!("ed25519.key"));
    ensure!(matches!(key, Err(Errno::NOPKG)), "{key:?}");
    Ok(())
}

/// The same numbers in a key of version 4 are another key, which nobody has signed for.
fn versions(_: &Context) -> Result<()> {
    let [body] = packets(RSA.key, 6)?[..] else {
        anyhow::bail!("no primary key");
    };
    // What is different is the octets that tell how long the numbers are.
    let old = [&[4], &body[1..6], &body[10..]].concat();
    let length = u16::try_from(old.len())?.to_be_bytes();
    let head = if RSA.key[1] < 192 { 2 } else { 3 };
    let rest = &RSA.key[head + body.len()..];
    let key = [&[0x99], &length[..], &old, rest].concat();
    let key = add(&key);
    ensure!(matches!(key, Err(Errno::KEYREJECTED)), "{key:?}");
    Ok(())
}
