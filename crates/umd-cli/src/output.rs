// SPDX-License-Identifier: MIT OR Apache-2.0
//! What commands print: for people, or as JSON.

use std::io::{self, Write};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;

/// How something is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs: one JSON value on the standard output, whether it went well or not.
    Json,
}

/// The choice between them.
#[derive(Args, Default)]
pub(crate) struct FormatArgs {
    /// Print one JSON value, also where it fails: {"error": ...}
    #[arg(long)]
    json: bool,
}

impl FormatArgs {
    pub(crate) fn format(&self) -> Format {
        if self.json {
            Format::Json
        } else {
            Format::Text
        }
    }
}

/// Prints a result in one of its two forms.
pub(crate) fn result(
    format: Format,
    data: &impl Serialize,
    text: impl FnOnce() -> String,
) -> Result<()> {
    match format {
        Format::Text => print(&text()),
        Format::Json => {
            let mut json = serde_json::to_string_pretty(data).context("no JSON can say this")?;
            json.push('\n');
            print(&json)
        }
    }
}

/// Prints text as it is. A reader that has gone away has read enough.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to the standard output")
        }
        _ => Ok(()),
    }
}

/// Prints why a command failed. If even that fails, the exit status says it.
pub(crate) fn error(format: Format, error: &anyhow::Error) {
    let _ = match format {
        Format::Text => writeln!(io::stderr(), "umd: {error:#}").map_err(Into::into),
        Format::Json => print(&format!(
            "{}\n",
            serde_json::json!({ "error": format!("{error:#}") })
        )),
    };
}
