// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes as /proc shows them.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

/// What the handlers' descriptors are called.
const CHANNEL: &str = "anon_inode:[umd]";

/// The path of a file in a process's directory.
pub(crate) fn path(pid: i32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}

/// The content of a file in a process's directory.
pub(crate) fn read(pid: i32, file: &str) -> Result<String> {
    fs::read_to_string(path(pid, file)).with_context(|| format!("reading /proc/{pid}/{file}"))
}

/// A field of /proc/PID/status, with single spaces.
pub(crate) fn status(pid: i32, field: &str) -> Result<String> {
    let text = read(pid, "status")?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .with_context(|| format!("/proc/{pid}/status has no line {field}"))?;
    Ok(value.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Sends a signal.
pub(crate) fn signal(pid: i32, signal: Signal) -> Result<()> {
    let target = Pid::from_raw(pid).with_context(|| format!("{pid} is no process id"))?;
    kill_process(target, signal).with_context(|| format!("signal {} to {pid}", signal.as_raw()))
}

/// Whether there is a process of this id (a zombie counts).
pub(crate) fn exists(pid: i32) -> bool {
    path(pid, "stat").exists()
}

/// The process's state: R, S, D, T, Z.
pub(crate) fn state(pid: i32) -> Option<char> {
    state_in(&fs::read_to_string(path(pid, "stat")).ok()?)
}

/// The state is what follows the name, which stands in parentheses and may hold anything.
fn state_in(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}

/// The processes that hold an end of a channel: the handlers, all of them.
pub(crate) fn handlers() -> Vec<i32> {
    all()
        .into_iter()
        .filter(|pid| {
            fs::read_link(path(*pid, "fd/0")).is_ok_and(|link| link.as_os_str() == CHANNEL)
        })
        .collect()
}

/// All processes.
pub(crate) fn all() -> Vec<i32> {
    numbers("/proc")
}

/// How many of this process's threads wait in the kernel and only a fatal signal can wake them: the
/// way in which a caller waits for its handler.
pub(crate) fn waiting_threads() -> usize {
    numbers("/proc/self/task")
        .into_iter()
        .filter_map(|thread| fs::read_to_string(format!("/proc/self/task/{thread}/stat")).ok())
        .filter(|stat| state_in(stat) == Some('D'))
        .count()
}

fn numbers(directory: &str) -> Vec<i32> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}
