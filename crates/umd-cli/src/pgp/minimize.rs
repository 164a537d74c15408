// SPDX-License-Identifier: MIT OR Apache-2.0
//! `umd pgp minimize`.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;

use super::failure::{KEY, why};
use super::files::{read, write_new};
use super::keys::keyring;
use crate::Verdict;
use crate::output::{self, FormatArgs};

/// Write a key without what others say about it, and what is not read here
#[derive(Args)]
#[command(
    after_help = "Examples:\n  umd pgp minimize alice.asc -o alice.gpg\n  umd pgp minimize alice.asc | keyctl padd asymmetric \"\" @u"
)]
pub(super) struct Minimize {
    /// The key, in an armor or not
    key: PathBuf,

    /// Where to, not the standard output; nothing is overwritten
    #[arg(short, long, value_name = "OUT", required_if_eq("json", "true"))]
    output: Option<PathBuf>,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

impl Minimize {
    pub(super) fn run(&self) -> Result<Verdict> {
        let path = &self.key;
        let bytes = read(path)?;
        let small = keyring()?.minimize(&bytes);
        let small = small.map_err(|error| why(path, error, KEY))?;
        let report = Minimized {
            bytes: small.key.len(),
            foreign: small.foreign,
            others: small.others,
        };
        match &self.output {
            Some(path) => {
                write_new(path, &small.key)?;
                output::result(self.format.format(), &report, || report.text())?;
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
