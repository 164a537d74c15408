// SPDX-License-Identifier: MIT OR Apache-2.0
//! `umd pgp verify`.

use anyhow::Result;
use clap::Args;

use super::failure::{Expected, Failure, SIGNATURE, begins_as, is_of_form};
use super::files::{Source, front};
use super::keys::{Keys, read_keys};
use super::outcome::{Outcome, Signer};
use crate::Verdict;
use crate::output::FormatArgs;

/// Say who has signed a file, with a signature that lies beside it
///
/// Exits with 0 only where one of the keys has signed it, and may do so now. `-` is the standard input, for one of the files.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  umd pgp verify --key alice.asc file.sig file\n  umd pgp verify --key alice.asc --key ring.gpg --json file.asc file\n  xz -dc file.xz | umd pgp verify --key alice.asc file.sig -"
)]
pub(super) struct Verify {
    #[command(flatten)]
    keys: Keys,

    /// The detached signature, in an armor or not
    #[arg(value_name = "SIG")]
    signature: Source,

    /// What it is over; of any length
    file: Source,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

impl Verify {
    pub(super) fn run(&self) -> Result<Verdict> {
        let believed = read_keys(&self.keys.keys)?;
        let keyring = &believed.keyring;
        let signature = self.signature.read(Expected::Signature)?;
        let mut data = self.file.open()?;
        let front = front(&mut data);
        let signed = keyring.verify_reader(&signature, data);
        let is_no_signature = signed.as_ref().is_err_and(|error| is_of_form(*error));
        let failure = |error| {
            let mut failure = Failure::of(error, Expected::Signature, &signature);
            failure.hint = failure.hint.or_else(|| believed.hint(error));
            if is_no_signature && begins_as(&front) == Some(SIGNATURE) {
                let file = &self.file;
                let swapped = format!("{file} begins as one does: the signature comes first");
                failure.hint = Some(swapped);
            }
            failure
        };
        Outcome {
            file: &self.file,
            blamed: match is_no_signature {
                true => &self.signature,
                false => &self.file,
            },
            signed: signed.as_ref().ok().map(Signer::of),
            payload: None,
            other_signatures: Vec::new(),
            error: signed.err().map(failure),
            refused_keys: &believed.refused,
        }
        .told(self.format.format())
    }
}
