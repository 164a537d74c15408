// SPDX-License-Identifier: MIT OR Apache-2.0
//! `umd doctor`: what this machine can enforce, and how to get what it cannot.

mod findings;
mod observe;
mod sys;

use std::fmt::Write;

use anyhow::{Result, anyhow};
use clap::Args;
use serde::Serialize;

use self::findings::{Finding, State, findings};
use self::observe::{Observed, Trial};
use crate::Verdict;
use crate::output::{self, Format, FormatArgs};

/// See what this machine can enforce on a handler, and how to get what is missing
///
/// Only looks: what has to be tried to be known is tried by a process that ends then. It answers for the user, the container
/// and the limits that it is run with; run it as your program is.
///
/// Exits with 1 where handlers cannot be started, or cannot be locked down.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  umd doctor\n  sudo -u daemon umd doctor\n  umd doctor --json | jq '.checks[] | select(.state != \"yes\")'"
)]
pub(crate) struct Doctor {
    #[command(flatten)]
    format: FormatArgs,

    /// Try something in this process, which ends then
    #[arg(long = "try", value_name = "TRIAL", hide = true)]
    trial: Option<Trial>,
}

/// All of it.
#[derive(Debug, Serialize)]
struct Report {
    /// Handlers can be started and locked down.
    works: bool,
    checks: Vec<Finding>,
}

impl Doctor {
    pub(crate) fn format(&self) -> Format {
        self.format.format()
    }

    pub(crate) fn run(&self) -> Result<Verdict> {
        if let Some(trial) = self.trial {
            return trial
                .run()
                .map(|()| Verdict::Fine)
                .map_err(|error| anyhow!("{error}"));
        }
        let checks = findings(&Observed::now());
        let report = Report {
            works: !checks.iter().any(Finding::is_fatal),
            checks,
        };
        output::result(self.format(), &report, || report.text())?;
        Ok(if report.works {
            Verdict::Fine
        } else {
            Verdict::Found
        })
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = String::new();
        for check in &self.checks {
            let state = match check.state {
                State::Yes => "yes",
                State::Limited => "limited",
                State::No => "no",
                State::Unknown => "unknown",
            };
            // Writing to a string does not fail.
            let _ = writeln!(text, "{state:<8} {}: {}", check.what, check.found);
            if check.state != State::Yes {
                let _ = writeln!(text, "         {}", check.means);
            }
        }
        let end = if self.works {
            "\nHandlers can be started here and locked down.\n"
        } else {
            "\nHandlers cannot be started here and locked down: see what has `needed` behind it.\n"
        };
        text + end
    }
}
