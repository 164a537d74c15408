// SPDX-License-Identifier: MIT OR Apache-2.0
//! Running other programs, with errors that show what was run and what it said.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, anyhow, bail};

/// The command line as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .map(|word| quote(&word))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A word quoted for a POSIX shell, as it is where that needs no quotes.
pub(crate) fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Runs a command to its end without input and returns whatever came of it.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run `{}`", shown(command)))
}

/// Runs a command that has to succeed and returns what it printed.
pub(crate) fn stdout(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        bail!(
            "`{}` failed ({}):\n{}",
            shown(command),
            output.status,
            both(&output)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What a command printed, on both channels.
pub(crate) fn both(output: &Output) -> String {
    let text = [&output.stdout, &output.stderr]
        .map(|bytes| String::from_utf8_lossy(bytes).trim_end().to_owned());
    text.join("\n").trim().to_owned()
}

/// Whether a program of this name is to be found on the search path.
pub(crate) fn on_path(program: &str) -> bool {
    let directories = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&directories).any(|directory| directory.join(program).is_file())
}

/// Does all jobs, so many at a time.
pub(crate) fn side_by_side<J: Send>(
    count: usize,
    jobs: Vec<J>,
    work: impl Fn(J) + Sync,
) -> Result<()> {
    let jobs = Mutex::new(VecDeque::from(jobs));
    let next = || {
        jobs.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..count)
            .map(|_| {
                scope.spawn(|| {
                    while let Some(job) = next() {
                        work(job);
                    }
                })
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| anyhow!("a thread panicked")))
    })
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::paths::root());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_keeps_words_whole() {
        assert_eq!(quote("plain-1.2/x"), "plain-1.2/x");
        assert_eq!(quote("two words"), "'two words'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }

    #[test]
    fn a_failure_shows_command_and_message() {
        let error = stdout(Command::new("sh").args(["-c", "echo reason >&2; exit 3"]));
        let text = format!("{:#}", error.expect_err("exit status 3"));
        assert!(text.contains("exit 3") && text.contains("reason"), "{text}");
    }
}
