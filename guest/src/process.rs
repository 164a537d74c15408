// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes as /proc shows them.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::time::until;

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

/// Stops a process, and waits until it is stopped.
pub(crate) fn stop(pid: i32) -> Result<()> {
    signal(pid, Signal::STOP)?;
    until("it is stopped", || state(pid) == Some('T'))
}

/// Whether there is a process of this id (a zombie counts).
pub(crate) fn exists(pid: i32) -> bool {
    path(pid, "stat").exists()
}

/// The process's state: R, S, D, T, Z.
pub(crate) fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(path(pid, "stat")).ok()?;
    // It follows the name, which stands in parentheses and may hold anything.
    stat.rsplit_once(") ")?.1.chars().next()
}

/// The processes that hold an end of a channel: the handlers, all of them. Of those that are out of reach nobody
/// can see what they hold, and there are no others of that kind.
pub(crate) fn handlers() -> Vec<i32> {
    let is_handler = |pid: &i32| match fs::read_link(path(*pid, "fd/0")) {
        Ok(link) => link.as_os_str() == CHANNEL,
        Err(error) => error.kind() == ErrorKind::PermissionDenied,
    };
    all().into_iter().filter(is_handler).collect()
}

/// Whether it is a thread of the kernel's.
pub(crate) fn is_kernel_thread(pid: i32) -> bool {
    const PF_KTHREAD: u32 = 0x0020_0000;
    let flags = fs::read_to_string(path(pid, "stat")).ok().and_then(|stat| {
        // After the name, which may hold anything: state, parent, group, session, terminal, its group, flags.
        let (_, fields) = stat.rsplit_once(") ")?;
        fields.split(' ').nth(6)?.parse::<u32>().ok()
    });
    flags.is_some_and(|flags| flags & PF_KTHREAD != 0)
}

/// Its parent; none of one that is gone.
pub(crate) fn parent(pid: i32) -> Option<i32> {
    status(pid, "PPid").ok()?.parse().ok()
}

/// All processes.
pub(crate) fn all() -> Vec<i32> {
    numbers("/proc")
}

/// Returns the user processes. Kernel threads come and go at any time; they have no memory map.
pub(crate) fn users() -> BTreeSet<i32> {
    let is_user = |pid: &i32| read(*pid, "maps").is_ok_and(|maps| !maps.is_empty());
    all().into_iter().filter(is_user).collect()
}

/// Whether a task waits in umd for a handler, or for its turn, and only a fatal signal can wake it.
pub(crate) fn waits(task: i32) -> bool {
    // A thread waits in this way for other things as well (memory, say); where is in its stack.
    let stack = fs::read_to_string(path(task, "stack")).unwrap_or_default();
    stack.contains("[umd]") && state(task) == Some('D')
}

/// How many of this process's threads wait like that.
pub(crate) fn waiting_threads() -> usize {
    let threads = numbers("/proc/self/task").into_iter();
    threads.filter(|thread| waits(*thread)).count()
}

/// Whether a handler waits for bytes from its caller.
pub(crate) fn listens(handler: i32) -> bool {
    let stack = fs::read_to_string(path(handler, "stack")).unwrap_or_default();
    stack.contains("[umd]") && state(handler) == Some('S')
}

fn numbers(directory: &str) -> Vec<i32> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}
