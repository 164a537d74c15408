// SPDX-License-Identifier: MIT OR Apache-2.0
//! `umd pgp split`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use clap::Args;
use serde::Serialize;

use super::failure::{SIGNATURE, why};
use super::files::{read, write_new};
use super::keys::{keyring, read_keys};
use crate::Verdict;
use crate::output::{self, FormatArgs};

/// Take a signature apart for keyctl: a file with the digest, and one with the numbers
///
/// Of several signatures it is the first. Nothing is verified, unless there is a --key.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  umd pgp split file.sig file -o file\n  umd pgp split file.sig file DIGEST RAWSIG\n  umd pgp split --key alice.asc file.sig file -o file"
)]
pub(super) struct Split {
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
    pub(super) format: FormatArgs,
}

impl Split {
    pub(super) fn run(&self) -> Result<Verdict> {
        let (signature, data) = (read(&self.signature)?, read(&self.file)?);
        let failed = |error| why(&self.signature, error, SIGNATURE);
        let keyring = match &self.keys[..] {
            [] => keyring()?,
            keys => {
                let (keyring, _) = read_keys(keys)?;
                keyring.verify(&signature, &data).map_err(failed)?;
                keyring
            }
        };
        let parts = keyring.split(&signature, &data[..]).map_err(failed)?;
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
