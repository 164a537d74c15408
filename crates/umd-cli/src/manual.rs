// SPDX-License-Identifier: MIT OR Apache-2.0
//! `umd man` and `umd completions`: what packagers install, made from the command line's own definition.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::{Cli, Verdict, output};

/// Write the manual pages into a directory: umd.1, and one for each command
#[derive(Args)]
#[command(
    after_help = "Examples:\n  umd man /usr/local/share/man/man1\n  umd man . && man ./umd-check.1"
)]
pub(crate) struct Man {
    /// Where to; made if it is not there. Pages of the same names are replaced
    directory: PathBuf,
}

/// Print a script that completes umd's command line in a shell
#[derive(Args)]
#[command(
    after_help = "Examples:\n  umd completions bash > /etc/bash_completion.d/umd\n  umd completions zsh > ~/.zfunc/_umd"
)]
pub(crate) struct Completions {
    /// For which shell
    shell: Shell,
}

impl Man {
    pub(crate) fn run(&self) -> Result<Verdict> {
        let directory = &self.directory;
        fs::create_dir_all(directory)
            .and_then(|()| clap_mangen::generate_to(command(), directory))
            .with_context(|| format!("cannot write manual pages into {}", directory.display()))?;
        Ok(Verdict::Fine)
    }
}

impl Completions {
    pub(crate) fn run(&self) -> Result<Verdict> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command(), "umd", &mut script);
        output::print(&String::from_utf8_lossy(&script))?;
        Ok(Verdict::Fine)
    }
}

/// The command line. `help` as a command needs no page of its own.
fn command() -> clap::Command {
    Cli::command().disable_help_subcommand(true)
}
