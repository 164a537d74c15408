// SPDX-License-Identifier: MIT OR Apache-2.0
//! `umd pgp`: signatures, packages and keys, by the PGP driver's handler and rules.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use clap::{Args, Subcommand};
use serde::Serialize;
use umd_pgp::{Error, Key, Keyring, Payload, PublicKey, Refusal, Signed};

use crate::Verdict;
use crate::output::{self, Format, FormatArgs};

/// Verify signatures and packages, look at keys; what is read is read in a locked-down process
///
/// Exits with 1 where something is not signed so that it counts, or cannot be read.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  umd pgp verify --key alice.asc file.sig file\n  umd pgp show alice.asc\n  umd pgp rpm-verify --key vendor.asc hello.rpm"
)]
pub(crate) struct Pgp {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Verify(Verify),
    RpmVerify(RpmVerify),
    Show(Show),
    Minimize(Minimize),
    Split(Split),
}

/// Say who has signed a file, with a signature that lies beside it
///
/// Exits with 0 only where one of the keys has signed it, and may do so now.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  umd pgp verify --key alice.asc file.sig file\n  umd pgp verify --key alice.asc --key ring.gpg --json file.asc file"
)]
struct Verify {
    #[command(flatten)]
    keys: Keys,

    /// The detached signature, in an armor or not
    #[arg(value_name = "SIG")]
    signature: PathBuf,

    /// What it is over
    file: PathBuf,

    #[command(flatten)]
    format: FormatArgs,
}

/// Say who has signed an RPM package
///
/// Exits with 0 only where one of the keys has signed its header, and the payload is what the header says. Where the header says
/// nothing of the payload it is `header only`, and exits with 1.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  umd pgp rpm-verify --key vendor.asc hello.rpm\n  umd pgp rpm-verify --key vendor.asc --json hello.rpm | jq .payload"
)]
struct RpmVerify {
    #[command(flatten)]
    keys: Keys,

    /// The package
    package: PathBuf,

    #[command(flatten)]
    format: FormatArgs,
}

/// Show what is believed of a key, or of each key of a keyring
#[derive(Args)]
#[command(
    after_help = "Examples:\n  umd pgp show alice.asc\n  umd pgp show --json ring.gpg | jq '.keys[].primary.fingerprint'"
)]
struct Show {
    /// The key or keyring, in an armor or not
    key: PathBuf,

    #[command(flatten)]
    format: FormatArgs,
}

/// Write a key without what others say about it, and what is not read here
#[derive(Args)]
#[command(
    after_help = "Examples:\n  umd pgp minimize alice.asc -o alice.gpg\n  umd pgp minimize alice.asc | keyctl padd asymmetric \"\" @u"
)]
struct Minimize {
    /// The key, in an armor or not
    key: PathBuf,

    /// Where to, not the standard output; nothing is overwritten
    #[arg(short, long, value_name = "OUT", required_if_eq("json", "true"))]
    output: Option<PathBuf>,

    #[command(flatten)]
    format: FormatArgs,
}

/// Take a signature apart for keyctl: a file with the digest, and one with the numbers
///
/// Of several signatures it is the first. Nothing is verified, unless there is a --key.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  umd pgp split file.sig file -o file\n  umd pgp split file.sig file DIGEST RAWSIG\n  umd pgp split --key alice.asc file.sig file -o file"
)]
struct Split {
    /// Take it apart only if one of these keys has signed: a key or keyring, in an armor or not; may be given several times
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<PathBuf>,

    /// The detached signature, in an armor or not
    #[arg(value_name = "SIG")]
    signature: PathBuf,

    /// What it is over
    file: PathBuf,

    /// Where the digest goes; nothing is overwritten
    #[arg(required_unless_present = "prefix", requires = "raw")]
    digest: Option<PathBuf>,

    /// Where the numbers go
    #[arg(value_name = "RAWSIG")]
    raw: Option<PathBuf>,

    /// They go to PREFIX.digest and PREFIX.rawsig
    #[arg(
        short = 'o',
        long = "output",
        value_name = "PREFIX",
        conflicts_with = "digest"
    )]
    prefix: Option<PathBuf>,

    #[command(flatten)]
    format: FormatArgs,
}

/// Whose signatures count.
#[derive(Args)]
struct Keys {
    /// Whose signatures count: a key or keyring, in an armor or not; may be given several times
    #[arg(long = "key", value_name = "KEY", required = true)]
    keys: Vec<PathBuf>,
}

impl Pgp {
    pub(crate) fn format(&self) -> Format {
        match &self.task {
            Task::Verify(verify) => verify.format.format(),
            Task::RpmVerify(verify) => verify.format.format(),
            Task::Show(show) => show.format.format(),
            Task::Minimize(minimize) => minimize.format.format(),
            Task::Split(split) => split.format.format(),
        }
    }

    pub(crate) fn run(&self) -> Result<Verdict> {
        match &self.task {
            Task::Verify(verify) => self.verify(verify),
            Task::RpmVerify(verify) => self.rpm_verify(verify),
            Task::Show(show) => self.show(show),
            Task::Minimize(minimize) => self.minimize(minimize),
            Task::Split(split) => self.split(split),
        }
    }

    fn verify(&self, verify: &Verify) -> Result<Verdict> {
        let (keyring, refused) = read_keys(&verify.keys.keys)?;
        let (signature, data) = (read(&verify.signature)?, read(&verify.file)?);
        let signed = keyring.verify(&signature, &data);
        self.outcome(Outcome {
            file: &verify.file,
            signed: signed.as_ref().ok().map(Signer::of),
            payload: None,
            other_signatures: Vec::new(),
            error: signed.err().map(|error| Failure::of(error, SIGNATURE)),
            refused_keys: refused,
        })
    }

    fn rpm_verify(&self, verify: &RpmVerify) -> Result<Verdict> {
        let (keyring, refused) = read_keys(&verify.keys.keys)?;
        let path = &verify.package;
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let package = keyring.rpm(io::BufReader::new(file));
        let found = package.as_ref().ok();
        self.outcome(Outcome {
            file: path,
            signed: found.map(|package| Signer::of(&package.signed)),
            payload: found.map(|package| package.payload.into()),
            other_signatures: found
                .map(|package| package.others.clone())
                .unwrap_or_default(),
            error: package.err().map(|error| Failure::of(error, PACKAGE)),
            refused_keys: refused,
        })
    }

    fn outcome(&self, outcome: Outcome<'_>) -> Result<Verdict> {
        match (&outcome.error, self.format()) {
            (Some(failure), Format::Text) => {
                let refused =
                    { outcome.refused_keys.iter() }.map(|key| format!("\n{}", key.text()));
                Err(anyhow!(
                    "{}: {}{}",
                    outcome.file.display(),
                    failure.text(),
                    refused.collect::<String>()
                ))
            }
            _ => {
                output::result(self.format(), &outcome, || outcome.text())?;
                Ok(outcome.verdict())
            }
        }
    }

    fn show(&self, show: &Show) -> Result<Verdict> {
        let bytes = read(&show.key)?;
        let (keyring, refused) = read_keys(std::slice::from_ref(&show.key))?;
        let now = now();
        let keys = keyring.keys().iter().map(|key| Shown::of(key, now));
        let mut shown = Listing {
            keys: keys.collect(),
            refused_keys: refused,
        };
        // What was passed over is counted where there is one key.
        if let ([key], Ok(small)) = (&mut shown.keys[..], keyring.minimize(&bytes)) {
            (key.foreign, key.others) = (Some(small.foreign), Some(small.others));
        }
        output::result(self.format(), &shown, || shown.text())?;
        Ok(match shown.refused_keys.is_empty() {
            true => Verdict::Fine,
            false => Verdict::Found,
        })
    }

    fn minimize(&self, minimize: &Minimize) -> Result<Verdict> {
        let path = &minimize.key;
        let bytes = read(path)?;
        let small = keyring()?.minimize(&bytes);
        let small = small.map_err(|error| why(path, error, KEY))?;
        let report = Minimized {
            bytes: small.key.len(),
            foreign: small.foreign,
            others: small.others,
        };
        match &minimize.output {
            Some(path) => {
                write_new(path, &small.key)?;
                output::result(self.format(), &report, || report.text())?;
            }
            None => {
                let mut out = io::stdout().lock();
                out.write_all(&small.key)
                    .and_then(|()| out.flush())
                    .context("cannot write to the standard output")?;
                // The key has the standard output to itself.
                let _ = write!(io::stderr(), "{}", report.text());
            }
        }
        Ok(Verdict::Fine)
    }

    fn split(&self, split: &Split) -> Result<Verdict> {
        let (signature, data) = (read(&split.signature)?, read(&split.file)?);
        let failed = |error| why(&split.signature, error, SIGNATURE);
        let keyring = match &split.keys[..] {
            [] => keyring()?,
            keys => {
                let (keyring, _) = read_keys(keys)?;
                keyring.verify(&signature, &data).map_err(failed)?;
                keyring
            }
        };
        let parts = keyring.split(&signature, &data).map_err(failed)?;
        let (digest, raw) = match (&split.prefix, &split.digest, &split.raw) {
            (Some(prefix), _, _) => (with_end(prefix, ".digest"), with_end(prefix, ".rawsig")),
            (None, Some(digest), Some(raw)) => (digest.clone(), raw.clone()),
            _ => return Err(anyhow!("there is no place for digest and numbers")),
        };
        write_new(&digest, &parts.digest)?;
        if let Err(error) = write_new(&raw, &parts.raw) {
            // One without the other is of no use.
            let _ = fs::remove_file(&digest);
            return Err(error);
        }
        let report = Parts {
            digest,
            rawsig: raw,
            hash: parts.hash,
            encoding: parts.encoding,
        };
        output::result(self.format(), &report, || report.text())?;
        Ok(Verdict::Fine)
    }
}

/// What each file should be.
const KEY: &str = "a key is what `gpg --export` writes";
const SIGNATURE: &str = "a signature is what `gpg --detach-sign` writes";
const PACKAGE: &str = "a package is what `rpmbuild` writes";

fn keyring() -> Result<Keyring> {
    Keyring::new().context("nothing can be read")
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// All keys of these files that are believed, one at least of each file; and why others are not.
fn read_keys(paths: &[PathBuf]) -> Result<(Keyring, Vec<RefusedKey>)> {
    let (mut keyring, mut all) = (keyring()?, Vec::new());
    for path in paths {
        let added = keyring.add_all(&read(path)?);
        let added = added.map_err(|error| why(path, error, KEY))?;
        let mut refused = added.refused.into_iter();
        if added.added == 0 {
            let (_, error) = refused.next().unwrap_or((0, Error::NoKeys));
            return Err(why(path, error, KEY));
        }
        all.extend(refused.map(|(number, error)| RefusedKey {
            file: path.clone(),
            number,
            error: Failure::of(error, KEY),
        }));
    }
    Ok((keyring, all))
}

fn why(path: &Path, error: Error, expected: &'static str) -> anyhow::Error {
    anyhow!(
        "{}: {}",
        path.display(),
        Failure::of(error, expected).text()
    )
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let file = File::create_new(path);
    file.and_then(|mut file| file.write_all(bytes))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Which check failed.
#[derive(Debug, Serialize)]
struct Failure {
    message: String,
    /// As errno(3).
    errno: i32,
    /// What would be right.
    hint: Option<&'static str>,
}

impl Failure {
    fn of(error: Error, expected: &'static str) -> Self {
        use Refusal::*;
        let hint = match error {
            Error::Refused(refusal) => match refusal {
                NotAKey | Length | NotMine | Malformed | Cut | Unsupported | Compressed
                | Package => Some(expected),
                BadSignature => {
                    Some("what was signed, or the signature, was changed, or its key was not given")
                }
                KeyExpired => Some("its owner may have a newer copy, which expires later"),
                Unsigned => Some("`rpmsign --addsign` signs it"),
                PackageSignature => Some("`rpmsign --addsign` signs the header"),
                SeveralKeys => Some("`gpg --export FINGERPRINT` writes one"),
                _ => None,
            },
            _ => None,
        };
        Self {
            message: error.to_string(),
            errno: error.errno(),
            hint,
        }
    }

    fn text(&self) -> String {
        let errno = io::Error::from_raw_os_error(self.errno);
        let hint = self.hint.map(|hint| format!("; {hint}"));
        format!("{} ({errno}){}", self.message, hint.unwrap_or_default())
    }
}

/// A key that is not believed.
#[derive(Debug, Serialize)]
struct RefusedKey {
    file: PathBuf,
    /// Which of the file's keys, from 0.
    number: usize,
    error: Failure,
}

impl RefusedKey {
    fn text(&self) -> String {
        format!(
            "{}: key {} was not taken: {}",
            self.file.display(),
            self.number,
            self.error.message
        )
    }
}

/// What came of a verification.
#[derive(Debug, Serialize)]
struct Outcome<'o> {
    file: &'o Path,
    signed: Option<Signer>,
    /// Of a package.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Checked>,
    /// Tags of a package's signatures that were not read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    other_signatures: Vec<u32>,
    error: Option<Failure>,
    refused_keys: Vec<RefusedKey>,
}

/// Who signed.
#[derive(Debug, Serialize)]
struct Signer {
    user_id: Option<String>,
    /// The primary key's.
    fingerprint: String,
    /// That of the key that made the signature: the primary one, or a subkey.
    by: String,
    /// In seconds since 1970.
    made: u32,
}

/// What is known of a package's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Checked {
    Verified,
    HeaderOnly,
}

impl From<Payload> for Checked {
    fn from(payload: Payload) -> Self {
        match payload {
            Payload::Verified => Self::Verified,
            Payload::HeaderOnly => Self::HeaderOnly,
        }
    }
}

impl Signer {
    fn of(signed: &Signed<'_>) -> Self {
        Self {
            user_id: user_id(signed.key),
            fingerprint: signed.key.primary.fingerprint_text(),
            by: signed.by.fingerprint_text(),
            made: signed.made(),
        }
    }
}

impl Outcome<'_> {
    fn verdict(&self) -> Verdict {
        match (&self.error, self.payload) {
            (None, None | Some(Checked::Verified)) => Verdict::Fine,
            _ => Verdict::Found,
        }
    }

    fn text(&self) -> String {
        let mut rows = Rows(String::new());
        if let Some(signer) = &self.signed {
            let user_id = signer.user_id.as_deref().unwrap_or("no user id");
            rows.title(&format!("{}: good signature", self.file.display()));
            rows.row("user id", &printable(user_id));
            rows.row("fingerprint", &signer.fingerprint);
            if signer.by != signer.fingerprint {
                rows.row("by subkey", &signer.by);
            }
            rows.row("signed", &date(signer.made.into()));
        }
        match self.payload {
            Some(Checked::Verified) => rows.row("payload", "verified"),
            Some(Checked::HeaderOnly) => {
                rows.row("payload", "header only: nothing is known of the payload");
            }
            None => {}
        }
        for tag in &self.other_signatures {
            rows.row("not read", &format!("the signature in tag {tag}"));
        }
        rows.refused(&self.refused_keys);
        rows.0
    }
}

/// Keys that are believed, and those that are not.
#[derive(Debug, Serialize)]
struct Listing {
    keys: Vec<Shown>,
    refused_keys: Vec<RefusedKey>,
}

/// A key that is believed.
#[derive(Debug, Serialize)]
struct Shown {
    user_id: Option<String>,
    primary: ShownPublic,
    /// Those that sign, or did.
    subkeys: Vec<ShownPublic>,
    /// Why a subkey that signs is not among these.
    left_out: Option<&'static str>,
    /// Signatures of others; nothing where there are several keys.
    foreign: Option<u32>,
    /// Packets that are not read here; nothing where there are several keys.
    others: Option<u32>,
}

#[derive(Debug, Serialize)]
struct ShownPublic {
    fingerprint: String,
    key_id: String,
    version: u8,
    algorithm: String,
    /// In seconds since 1970.
    created: u32,
    expires: Option<u64>,
    revoked: bool,
    may_sign: bool,
    /// Why it may not.
    why_not: Option<&'static str>,
}

impl Shown {
    fn of(key: &Key, now: u64) -> Self {
        let public = |key| ShownPublic::of(key, now);
        Self {
            user_id: user_id(key),
            primary: public(&key.primary),
            subkeys: key.subkeys.iter().map(public).collect(),
            left_out: key.left_out.map(Refusal::sentence),
            foreign: None,
            others: None,
        }
    }

    fn rows(&self, rows: &mut Rows) {
        rows.title("key");
        let user_id = self.user_id.as_deref().unwrap_or("none");
        rows.row("user id", &printable(user_id));
        self.primary.rows(rows);
        for subkey in &self.subkeys {
            rows.title("subkey that signs");
            subkey.rows(rows);
        }
        let counts = [
            (self.foreign, "signatures of others"),
            (self.others, "packets that are not read here"),
        ];
        let counts = counts.map(|(count, what)| {
            let count = count.filter(|count| *count > 0)?;
            Some(format!("{count} {what}"))
        });
        let subkey = self
            .left_out
            .map(|why| format!("a subkey that signs: {why}"));
        for (number, what) in subkey
            .into_iter()
            .chain(counts.into_iter().flatten())
            .enumerate()
        {
            if number == 0 {
                rows.title("left out");
            }
            rows.line(&what);
        }
    }
}

impl ShownPublic {
    fn of(key: &PublicKey, now: u64) -> Self {
        let why_not = key.state.check(now).err();
        Self {
            fingerprint: key.fingerprint_text(),
            key_id: hex(&key.fingerprint.key_id()),
            version: key.version,
            algorithm: key.algorithm_name.clone(),
            created: key.created,
            expires: key.state.expires,
            revoked: key.state.revoked,
            may_sign: why_not.is_none(),
            why_not: why_not.map(Refusal::sentence),
        }
    }

    fn rows(&self, rows: &mut Rows) {
        rows.row("fingerprint", &self.fingerprint);
        rows.row("key id", &self.key_id);
        rows.row("algorithm", &self.algorithm);
        rows.row("created", &date(self.created.into()));
        let expires = self.expires.map_or("never".to_owned(), date);
        rows.row("expires", &expires);
        rows.row("revoked", if self.revoked { "yes" } else { "no" });
        let may_sign = self.why_not.map(|why| format!("no: {why}"));
        rows.row("may sign", may_sign.as_deref().unwrap_or("yes"));
    }
}

impl Listing {
    fn text(&self) -> String {
        let mut rows = Rows(String::new());
        for (number, key) in self.keys.iter().enumerate() {
            if number > 0 {
                rows.title("");
            }
            key.rows(&mut rows);
        }
        rows.refused(&self.refused_keys);
        rows.0
    }
}

/// What was left out of a key.
#[derive(Debug, Serialize)]
struct Minimized {
    /// What is left.
    bytes: usize,
    foreign: u32,
    others: u32,
}

impl Minimized {
    fn text(&self) -> String {
        format!(
            "left out: {} signatures of others, {} packets that are not read here; {} bytes are left\n",
            self.foreign, self.others, self.bytes
        )
    }
}

/// A signature in parts.
#[derive(Debug, Serialize)]
struct Parts {
    digest: PathBuf,
    rawsig: PathBuf,
    hash: &'static str,
    encoding: &'static str,
}

impl Parts {
    fn text(&self) -> String {
        format!(
            "keyctl pkey_verify ID 0 {} {} enc={} hash={}\n",
            self.digest.display(),
            self.rawsig.display(),
            self.encoding,
            self.hash
        )
    }
}

/// A table in the making. Writing to a string does not fail.
struct Rows(String);

impl Rows {
    fn title(&mut self, text: &str) {
        let _ = writeln!(self.0, "{text}");
    }

    fn row(&mut self, name: &str, value: &str) {
        let _ = writeln!(self.0, "  {name:<12} {value}");
    }

    fn refused(&mut self, keys: &[RefusedKey]) {
        for key in keys {
            self.title(&key.text());
        }
    }

    fn line(&mut self, text: &str) {
        let _ = writeln!(self.0, "  {text}");
    }
}

fn user_id(key: &Key) -> Option<String> {
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    key.user_id.as_ref().map(text)
}

/// Somebody else has written it: it may not move the cursor, nor begin another line.
fn printable(text: &str) -> String {
    let escaped = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(escaped).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Seconds since 1970 as a date and a time.
fn date(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut day) = (1970 + days / 146_097 * 400, days % 146_097);
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!(
        "{year}-{month:02}-{:02} {hour:02}:{minute:02}:{second:02} UTC",
        day + 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_700_000_000, "2023-11-14 22:13:20 UTC"),
            (4_107_542_399, "2100-02-28 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (13_569_465_600, "2400-01-01 00:00:00 UTC"),
        ] {
            assert_eq!(date(seconds), text);
        }
        assert!(date(u64::MAX).ends_with("UTC"));
    }

    #[test]
    fn user_ids_move_no_cursor() {
        assert_eq!(printable("Zoë\n\x1b[2Jx\u{9b}"), "Zoë\\n\\u{1b}[2Jx\\u{9b}");
    }
}
