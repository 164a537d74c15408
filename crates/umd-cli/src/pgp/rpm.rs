// SPDX-License-Identifier: MIT OR Apache-2.0
//! `umd pgp rpm-verify`.

use anyhow::Result;
use clap::Args;

use super::failure::{Expected, Failure};
use super::files::{Source, front};
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

    /// The package, or `-`
    package: Source,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

impl RpmVerify {
    pub(super) fn run(&self) -> Result<Verdict> {
        let believed = read_keys(&self.keys.keys)?;
        let keyring = &believed.keyring;
        let mut file = self.package.open()?;
        let front = front(&mut file);
        let package = keyring.rpm(file);
        let found = package.as_ref().ok();
        Outcome {
            file: &self.package,
            blamed: &self.package,
            signed: found.map(|package| Signer::of(&package.signed)),
            payload: found.map(|package| package.payload.into()),
            other_signatures: found
                .map(|package| package.others.clone())
                .unwrap_or_default(),
            error: package.err().map(|error| {
                let mut failure = Failure::of(error, Expected::Package, &front);
                failure.hint = failure.hint.or_else(|| believed.hint(error));
                failure
            }),
            refused_keys: &believed.refused,
        }
        .told(self.format.format())
    }
}
