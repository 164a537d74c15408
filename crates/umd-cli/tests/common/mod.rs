// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command, run, and how it may end.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// How it ended and what it said.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) error: String,
}

/// Runs it here.
pub(crate) fn umd(arguments: &[&str]) -> Output {
    umd_in(Path::new("."), arguments)
}

/// Runs it there.
pub(crate) fn umd_in(directory: &Path, arguments: &[&str]) -> Output {
    run(arguments, |command| command.current_dir(directory))
}

/// Runs it with this file as its standard input.
#[allow(dead_code, reason = "not each test does")]
pub(crate) fn umd_from(file: &str, arguments: &[&str]) -> Output {
    let file = File::open(file).expect("a file");
    run(arguments, |command| command.stdin(file))
}

fn run(arguments: &[&str], how: impl FnOnce(&mut Command) -> &mut Command) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_umd"));
    command.args(arguments).stdin(Stdio::null());
    let output = how(&mut command).output().expect("umd");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Output {
        status: output.status.code().expect("an exit"),
        out: text(output.stdout),
        error: text(output.stderr),
    }
}

impl Output {
    fn ended(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{}{}", self.out, self.error);
        self
    }

    /// What it printed where all was well, and it had nothing to complain of.
    pub(crate) fn fine(self) -> String {
        let ended = self.ended(0);
        assert_eq!(ended.error, "");
        ended.out
    }

    /// What it printed where it found something.
    pub(crate) fn found(self) -> String {
        let ended = self.ended(1);
        assert_eq!(ended.error, "");
        ended.out
    }

    /// What it said where it failed; then it prints nothing.
    pub(crate) fn failed(self) -> String {
        let ended = self.ended(1);
        assert_eq!(ended.out, "");
        ended.error
    }

    /// What it said of its command line.
    pub(crate) fn usage(self) -> String {
        let ended = self.ended(2);
        assert_eq!(ended.out, "");
        ended.error
    }

    pub(crate) fn fine_json(self) -> Value {
        value(&self.fine())
    }

    pub(crate) fn found_json(self) -> Value {
        value(&self.found())
    }

    /// What it printed where it failed, for programs.
    pub(crate) fn failed_json(self) -> Value {
        self.found_json()
    }
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).expect("one JSON value")
}
