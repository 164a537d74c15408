// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every key of real keyrings, and what GnuPG says of it: `cargo xtask keyrings --kernel K`.
//!
//! There are files beside each other for each key: what it is, or what it was before it was made small enough, and what is expected. The
//! last are lines of words, written by `crates/umd-pgp/tests/keyrings.rs`:
//!
//! ```text
//! key FINGERPRINT good|expired|revoked|useless ALGORITHM
//! name USER-ID
//! subkey FINGERPRINT ALGORITHM
//! claim ENCODING HASH DIGEST NUMBERS
//! unknown
//! ```

use std::ffi::CString;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::io::Errno;

use crate::harness::{Context, Topic, test};
use crate::keys::{self, Key, add};
use crate::pgp::{MODULE, bytes, has_ecdsa, hex};
use crate::time::timed;

pub(crate) const TOPIC: Topic = Topic {
    name: "pgp keyrings",
    modules: &[MODULE],
    tests: &[test("each key is what gpg says", each_key)],
};

const DIRECTORY: &str = "/usr/share/umd-keyrings";

/// Bytes of a user id that are shown.
const USER_ID_SHOWN: usize = 128;

/// What gpg says of a primary key's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Good,
    Expired,
    Revoked,
    /// Not for signatures over data.
    Useless,
}

impl State {
    /// What becomes of its signatures.
    fn verdict(self) -> Result<(), Errno> {
        match self {
            Self::Good => Ok(()),
            Self::Expired => Err(Errno::KEYEXPIRED),
            Self::Revoked => Err(Errno::KEYREVOKED),
            Self::Useless => Err(Errno::KEYREJECTED),
        }
    }
}

/// A signature by the primary key.
struct Claim {
    how: CString,
    digest: Vec<u8>,
    raw: Vec<u8>,
}

/// What gpg says.
struct Expected {
    fingerprint: Vec<u8>,
    state: State,
    algorithm: String,
    user_id: Option<Vec<u8>>,
    /// Fingerprint and algorithm, the newest first.
    subkeys: Vec<(Vec<u8>, String)>,
    /// None where the primary key has made none that counts for data.
    claim: Option<Claim>,
    /// Whether something that the primary key says of itself is over a hash that kernels lack: then nobody knows.
    is_unknown: bool,
}

impl Expected {
    fn read(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let first = lines.next().context("nothing is expected")?;
        let words: Vec<&str> = first.splitn(4, ' ').collect();
        let ["key", fingerprint, state, algorithm] = words[..] else {
            bail!("{first:?} is no key");
        };
        let mut expected = Self {
            fingerprint: bytes(fingerprint)?,
            state: match state {
                "good" => State::Good,
                "expired" => State::Expired,
                "revoked" => State::Revoked,
                "useless" => State::Useless,
                _ => bail!("{state:?} is no state"),
            },
            algorithm: algorithm.to_owned(),
            user_id: None,
            subkeys: Vec::new(),
            claim: None,
            is_unknown: false,
        };
        for line in lines {
            match line.splitn(5, ' ').collect::<Vec<_>>()[..] {
                ["name", user_id] => expected.user_id = Some(bytes(user_id)?),
                ["subkey", fingerprint, ref algorithm @ ..] => {
                    let subkey = (bytes(fingerprint)?, algorithm.join(" "));
                    expected.subkeys.push(subkey);
                }
                ["claim", encoding, hash, digest, raw] => {
                    expected.claim = Some(Claim {
                        how: CString::new(format!("enc={encoding} hash={hash}"))?,
                        digest: bytes(digest)?,
                        raw: bytes(raw)?,
                    });
                }
                ["unknown"] => expected.is_unknown = true,
                _ => bail!("what is {line:?}?"),
            }
        }
        Ok(expected)
    }

    /// The key's name: what shows of the user id, and the end of the fingerprint.
    fn name(&self) -> Vec<u8> {
        let user_id = self.user_id.as_deref().unwrap_or(b"(no user id)");
        let mut end = user_id.len().min(USER_ID_SHOWN);
        while user_id.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
            end -= 1;
        }
        // Controls, what is no character, ends of lines, marks of direction.
        let plain = |char: char| match char {
            '\u{fffd}' | '\u{61c}' | '\u{200e}' | '\u{200f}' => '?',
            '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '?',
            char if char.is_control() => '?',
            char => char,
        };
        let text = String::from_utf8_lossy(&user_id[..end]);
        let mut name = text.chars().map(plain).collect::<String>().into_bytes();
        name.extend(format!(": {}", tail(&self.fingerprint)).into_bytes());
        name
    }
}

fn tail(fingerprint: &[u8]) -> String {
    hex(&fingerprint[fingerprint.len() - 8..])
}

/// What /proc/keys shows of keys that this kernel takes; none for others.
fn shown_kind(algorithm: &str) -> Result<Option<&'static str>> {
    let words: Vec<&str> = algorithm.split(' ').collect();
    Ok(match words[..] {
        // The highest bit of a modulus may be zero.
        ["RSA", bits] => {
            let bits = bits.parse::<u32>()?.next_multiple_of(8);
            [1024, 1536, 2048, 3072, 4096]
                .contains(&bits)
                .then_some("PGP.rsa")
        }
        ["ECDSA", "P-256"] if has_ecdsa()? => Some("PGP.ecdsa-nist-p256"),
        ["ECDSA", "P-384"] if has_ecdsa()? => Some("PGP.ecdsa-nist-p384"),
        _ => None,
    })
}

/// Looks at a key that was added, and looks for it by its names; how many subkeys have one.
fn compare(key: &Key, expected: &Expected, kind: &str) -> Result<usize> {
    let name = keys::description(key)?;
    ensure!(
        name == expected.name(),
        "it is called {:?}, not {:?}",
        String::from_utf8_lossy(&name),
        String::from_utf8_lossy(&expected.name())
    );
    let shown = keys::shown(key.serial)?;
    ensure!(shown.contains(&format!(": {kind} ")), "{shown}");
    let find = |kind: &str, id: String| -> Result<()> {
        let what = format!("{kind}:{id}");
        let found = keys::search(keys::USER_KEYRING, &CString::new(what.clone())?);
        ensure!(found == Ok(key.serial), "{what} finds {found:?}");
        Ok(())
    };
    find("id", tail(&expected.fingerprint))?;
    find("ex", hex(&expected.fingerprint))?;
    let mut subkeys = Vec::new();
    for (fingerprint, algorithm) in &expected.subkeys {
        if shown_kind(algorithm)?.is_some() {
            subkeys.push(fingerprint);
        }
    }
    if let Some(first) = subkeys.first() {
        find("id", tail(first))?;
        find("ex", hex(first))?;
    }
    // There is a name for no more.
    if let Some(second) = subkeys.get(1) {
        find("dn", hex(second))?;
    }
    Ok(subkeys.len().min(2))
}

/// Has a key verify what it has signed, and so say what it thinks of itself.
fn judge(key: &Key, claim: &Claim, state: State) -> Result<()> {
    let verdict = keys::pkey_verify(key, &claim.how, &claim.digest, &claim.raw);
    ensure!(
        verdict == state.verdict(),
        "of its signature it is said {verdict:?}; the key is {state:?}"
    );
    let mut forged = claim.digest.clone();
    forged[0] ^= 1;
    let verdict = keys::pkey_verify(key, &claim.how, &forged, &claim.raw);
    ensure!(
        verdict == Err(Errno::KEYREJECTED),
        "of a forged signature: {verdict:?}"
    );
    Ok(())
}

/// How many keys of which kind.
#[derive(Default)]
struct Counts {
    all: usize,
    /// Of those that are as gpg says.
    supported: usize,
    unsupported: usize,
    no_hash: usize,
    too_long: usize,
    /// Of the supported ones: those with subkeys that are found, and those that are expired, revoked or not for signing.
    subkeys: usize,
    bad: usize,
    judged: usize,
}

/// One key of them, by the path of what is expected of it.
fn one_key(path: &PathBuf, counts: &mut Counts) -> Result<()> {
    let expected = Expected::read(&fs::read_to_string(path)?)?;
    for longer in ["long", "longer"].map(|kind| path.with_extension(kind)) {
        if longer.exists() {
            let key = add(&fs::read(longer)?);
            ensure!(matches!(key, Err(Errno::MSGSIZE)), "too long, and {key:?}");
        }
    }
    let path = path.with_extension("pgp");
    if !path.exists() {
        counts.too_long += 1;
        return Ok(());
    }
    let key = add(&fs::read(path)?);
    let kind = shown_kind(&expected.algorithm)?;
    if matches!(key, Err(Errno::NOPKG)) && (kind.is_none() || expected.is_unknown) {
        let count = match kind {
            Some(_) => &mut counts.no_hash,
            None => &mut counts.unsupported,
        };
        *count += 1;
        return Ok(());
    }
    let Some(kind) = kind else {
        bail!("{}, and {key:?}", expected.algorithm);
    };
    let key = key.context("it is refused")?;
    let subkeys = compare(&key, &expected, kind)?;
    if let Some(claim) = &expected.claim {
        judge(&key, claim, expected.state)?;
        counts.judged += 1;
    }
    counts.supported += 1;
    counts.subkeys += usize::from(subkeys > 0);
    counts.bad += usize::from(expected.state != State::Good);
    Ok(())
}

fn each_key(_: &Context) -> Result<()> {
    let entries = fs::read_dir(DIRECTORY).context(DIRECTORY)?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "expected") {
            paths.push(path);
        }
    }
    paths.sort();
    ensure!(!paths.is_empty(), "no keys were brought along");
    let mut counts = Counts::default();
    let mut failures = 0;
    let (_, took) = timed(|| {
        for path in &paths {
            counts.all += 1;
            if let Err(error) = one_key(path, &mut counts) {
                failures += 1;
                println!("# {}: {error:#}", path.display());
            }
            if counts.all % 100 == 0 {
                println!("# looked at {} keys", counts.all);
            }
        }
    });
    println!(
        "# {} of {} keys are what gpg says: {} supported ({} with subkeys that sign, {} expired, revoked or not for signing; \
         {} say so of a signature), \
         {} ENOPKG for their kind and {} for their signatures' hash, {} too long; {took:.1?}",
        counts.all - failures,
        counts.all,
        counts.supported,
        counts.subkeys,
        counts.bad,
        counts.judged,
        counts.unsupported,
        counts.no_hash,
        counts.too_long,
    );
    ensure!(failures == 0, "{failures} are not");
    Ok(())
}
