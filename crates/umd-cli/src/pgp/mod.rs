// SPDX-License-Identifier: MIT OR Apache-2.0
//! `umd pgp`: signatures, packages and keys, by the PGP driver's handler and rules.

mod failure;
mod files;
mod keys;
mod minimize;
mod outcome;
mod progress;
mod rpm;
mod show;
mod split;
mod table;
mod verify;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::Verdict;
use crate::output::Format;

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
    Verify(verify::Verify),
    RpmVerify(rpm::RpmVerify),
    Show(show::Show),
    Minimize(minimize::Minimize),
    Split(split::Split),
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
            Task::Verify(verify) => verify.run(),
            Task::RpmVerify(verify) => verify.run(),
            Task::Show(show) => show.run(),
            Task::Minimize(minimize) => minimize.run(),
            Task::Split(split) => split.run(),
        }
    }
}
