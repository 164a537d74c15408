// SPDX-License-Identifier: MIT OR Apache-2.0
//! `umd pgp verify`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::failure::{Failure, SIGNATURE};
use super::files::read;
use super::keys::{Keys, read_keys};
use super::outcome::{Outcome, Signer};
use crate::Verdict;
use crate::output::FormatArgs;

/// Say who has signed a file, with a signature that lies beside it
///
/// Exits with 0 only where one of the keys has signed it, and may do so now.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  umd pgp verify --key alice.asc file.sig file\n  umd pgp verify --key alice.asc --key ring.gpg --json file.asc file"
)]
pub(super) struct Verify {
    #[command(flatten)]
    keys: Keys,

    /// The detached signature, in an armor or not
    #[arg(value_name = "SIG")]
    signature: PathBuf,

    /// What it is over
    file: PathBuf,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

impl Verify {
    pub(super) fn run(&self) -> Result<Verdict> {
        let (keyring, refused) = read_keys(&self.keys.keys)?;
        let (signature, data) = (read(&self.signature)?, read(&self.file)?);
        let signed = keyring.verify(&signature, &data);
        Outcome {
            file: &self.file,
            signed: signed.as_ref().ok().map(Signer::of),
            payload: None,
            other_signatures: Vec::new(),
            error: signed.err().map(|error| Failure::of(error, SIGNATURE)),
            refused_keys: refused,
        }
        .told(self.format.format())
    }
}
