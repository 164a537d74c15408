// SPDX-License-Identifier: MIT OR Apache-2.0
//! `umd pgp minimize`.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;

use super::failure::{Expected, why};
use super::files::{Source, write_new};
use super::keys::keyring;
use crate::Verdict;
use crate::output::{self, FormatArgs};

/// Write a key without what others say about it, and what is not read here
///
/// Exits with 0 where it is written. The kernel takes keys of at most 65,535 bytes; of one that is longer still it says so.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  umd pgp minimize alice.asc -o alice.gpg\n  umd pgp minimize alice.asc | keyctl padd asymmetric \"\" @u\n  gpg --export alice | umd pgp minimize - -o alice.gpg"
)]
pub(super) struct Minimize {
    /// The key, in an armor or not; or `-`
    key: Source,

    /// Where to, not the standard output; nothing is overwritten
    #[arg(short, long, value_name = "OUT", required_if_eq("json", "true"))]
    output: Option<PathBuf>,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

impl Minimize {
    pub(super) fn run(&self) -> Result<Verdict> {
        let bytes = self.key.read(Expected::Key)?;
        let small = keyring()?.minimize(&bytes);
        let small = small.map_err(|error| why(&self.key, error, Expected::Key, &bytes))?;
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
                if out.is_terminal() {
                    bail!("a key is nothing for a terminal: -o OUT writes it into a file");
                }
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

/// The kernel's own parser of certificates, which comes first, refuses more.
const KERNEL_MAX: usize = 65_535;

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
        let kernel = match self.bytes > KERNEL_MAX {
            true => "; the kernel takes 65,535 at most",
            false => "",
        };
        format!(
            "left out: {} signatures of others, {} packets that are not read here; {} bytes are left{kernel}\n",
            self.foreign, self.others, self.bytes
        )
    }
}
