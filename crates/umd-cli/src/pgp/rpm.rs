// SPDX-License-Identifier: MIT OR Apache-2.0
//! `umd pgp rpm-verify`.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::failure::{Failure, PACKAGE};
use super::keys::{Keys, read_keys};
use super::outcome::{Outcome, Signer};
use crate::Verdict;
use crate::output::FormatArgs;

/// Say who has signed an RPM package
///
/// Exits with 0 only where one of the keys has signed its header, and the payload is what the header says. Where the header says
/// nothing of the payload it is `header only`, and exits with 1.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  umd pgp rpm-verify --key vendor.asc hello.rpm\n  umd pgp rpm-verify --key vendor.asc --json hello.rpm | jq .payload"
)]
pub(super) struct RpmVerify {
    #[command(flatten)]
    keys: Keys,

    /// The package
    package: PathBuf,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

impl RpmVerify {
    pub(super) fn run(&self) -> Result<Verdict> {
        let (keyring, refused) = read_keys(&self.keys.keys)?;
        let path = &self.package;
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let package = keyring.rpm(io::BufReader::new(file));
        let found = package.as_ref().ok();
        Outcome {
            file: path,
            signed: found.map(|package| Signer::of(&package.signed)),
            payload: found.map(|package| package.payload.into()),
            other_signatures: found
                .map(|package| package.others.clone())
                .unwrap_or_default(),
            error: package.err().map(|error| Failure::of(error, PACKAGE)),
            refused_keys: refused,
        }
        .told(self.format.format())
    }
}
