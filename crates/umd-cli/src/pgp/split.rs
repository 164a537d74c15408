// SPDX-License-Identifier: MIT OR Apache-2.0
//! `umd pgp split`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use clap::Args;
use serde::Serialize;

use super::failure::{Expected, Failure};
use super::files::{Source, write_new};
use super::keys::{Believed, read_keys};
use super::outcome::Signer;
use crate::Verdict;
use crate::output::{self, FormatArgs};

/// Take a signature apart for keyctl: a file with the digest, and one with the numbers
///
/// With --key it is a signature that one of these keys has made, and that counts. Without, nothing is verified, and of several it is the
/// first that keyctl can take: of RSA or ECDSA. Where there are several, it says which. Exits with 0 where both files are written; `-` is
/// the standard input, for one of the files.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  umd pgp split file.sig file -o file\n  umd pgp split file.sig file DIGEST RAWSIG\n  umd pgp split --key alice.asc file.sig file -o file"
)]
pub(super) struct Split {
    /// Take apart what one of these keys has signed: a file with keys, in an armor or not; may be given several times
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<Source>,

    /// The detached signature, in an armor or not
    #[arg(value_name = "SIG")]
    signature: Source,

    /// What it is over
    file: Source,

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
    pub(super) format: FormatArgs,
}

impl Split {
    pub(super) fn run(&self) -> Result<Verdict> {
        let believed = match &self.keys[..] {
            [] => Believed::none()?,
            keys => read_keys(keys)?,
        };
        let keyring = &believed.keyring;
        let signature = self.signature.read(Expected::Signature)?;
        let data = self.file.open()?;
        let parts = match &self.keys[..] {
            [] => keyring.split(&signature, data).map(|parts| (parts, None)),
            _ => { keyring.split_verified(&signature, data) }
                .map(|(parts, signed)| (parts, Some(Signer::of(&signed)))),
        };
        let (parts, signed) = parts.map_err(|error| {
            let mut failure = Failure::of(error, Expected::Signature, &signature);
            failure.hint = failure.hint.or_else(|| believed.hint(error));
            let why = format!("{}: {}", self.signature, failure.text());
            let refused = { believed.refused.iter() }.map(|key| format!("\n{}", key.text()));
            anyhow!("{why}{}", refused.collect::<String>())
        })?;
        let (digest, raw) = match (&self.prefix, &self.digest, &self.raw) {
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
            number: parts.number,
            signatures: parts.signatures,
            signed,
        };
        output::result(self.format.format(), &report, || report.text())?;
        Ok(Verdict::Fine)
    }
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// A signature in parts.
#[derive(Debug, Serialize)]
struct Parts {
    digest: PathBuf,
    rawsig: PathBuf,
    hash: &'static str,
    encoding: &'static str,
    /// Which of the signatures it is, from 0.
    number: usize,
    signatures: usize,
    /// By whom, where that was asked for.
    signed: Option<Signer>,
}

impl Parts {
    fn text(&self) -> String {
        let which = match self.signatures {
            1 => String::new(),
            all => format!("# signature {} of {all}\n", self.number + 1),
        };
        format!(
            "{which}keyctl pkey_verify ID 0 {} {} enc={} hash={}\n",
            self.digest.display(),
            self.rawsig.display(),
            self.encoding,
            self.hash
        )
    }
}
