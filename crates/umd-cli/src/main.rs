// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command umd: begin a driver, check a handler, call one, see what a machine can enforce, verify signatures.

mod call;
mod check;
mod doctor;
mod input;
mod manual;
mod new;
mod output;
mod pgp;
mod reach;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::output::Format;

/// User mode drivers: code that you do not trust, in a process that can do nothing but answer.
#[derive(Parser)]
#[command(name = "umd", version, max_term_width = 100)]
#[command(
    after_help = "Exit status: 0 all is well, 1 it failed or something was found, 2 the command line is wrong."
)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    Call(call::Call),
    New(new::New),
    Check(check::Check),
    Doctor(doctor::Doctor),
    Pgp(pgp::Pgp),
    Man(manual::Man),
    Completions(manual::Completions),
}

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// All is well.
    Fine,
    /// It was done, and what was found is not well.
    Found,
}

impl Task {
    fn run(&self) -> Result<Verdict> {
        match self {
            Self::Call(call) => call.run(),
            Self::New(new) => new.run(),
            Self::Check(check) => check.run(),
            Self::Doctor(doctor) => doctor.run(),
            Self::Pgp(pgp) => pgp.run(),
            Self::Man(man) => man.run(),
            Self::Completions(completions) => completions.run(),
        }
    }

    /// How it prints what it has to say, errors as well.
    fn format(&self) -> Format {
        match self {
            Self::Call(call) => call.format(),
            Self::New(new) => new.format(),
            Self::Check(check) => check.format(),
            Self::Doctor(doctor) => doctor.format(),
            Self::Pgp(pgp) => pgp.format(),
            Self::Man(_) | Self::Completions(_) => Format::Text,
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.run() {
        Ok(Verdict::Fine) => ExitCode::SUCCESS,
        Ok(Verdict::Found) => ExitCode::FAILURE,
        Err(error) => {
            output::error(cli.command.format(), &error);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_examples() {
        shows_examples("umd", &Cli::command());
    }

    fn shows_examples(before: &str, group: &clap::Command) {
        for command in group.get_subcommands() {
            let example = format!("{before} {}", command.get_name());
            let help = command.get_after_help().map(ToString::to_string);
            assert!(
                help.is_some_and(|help| help.contains(&example)),
                "{example}"
            );
            shows_examples(&example, command);
        }
    }
}
