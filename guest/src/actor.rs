// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the suite runs as a process of its own, because it is going to be killed, is scheduled in
//! another way, or is another user.
//!
//! An actor's exit status is 0 or an errno.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags};
use rustix::time::{ClockId, clock_gettime};

use crate::{attack, iptables};

/// What lockdown makes of a handler's user and group.
const NOBODY: u32 = 65_534;

/// The actor's own side.
pub(crate) fn main(words: &[&str]) -> ExitCode {
    let result = match words {
        ["write", path, text] => write(path, text),
        ["send", text] => send(text),
        ["at", moment, text] => sleep_until(moment).and_then(|()| send(text)),
        ["spin", moment, millis] => sleep_until(moment).and_then(|()| spin(millis)),
        ["read", path] => File::open(path).map(drop).map_err(errno),
        ["getfd", pid] => get_fd(pid),
        ["insert", path, parameters] => insert(path, parameters),
        ["info", table] => iptables::info(table).map(drop),
        ["info32", table] => iptables::info_compat(table),
        _ => Err(Errno::INVAL),
    };
    let status = result.err().map_or(0, Errno::raw_os_error);
    ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX))
}

fn write(path: &str, text: &str) -> Result<(), Errno> {
    let file = File::options().write(true).open(path).map_err(errno)?;
    rustix::io::write(&file, text.as_bytes()).map(drop)
}

/// Writes to standard input, and tells how long that took.
fn send(text: &str) -> Result<(), Errno> {
    let begin = Instant::now();
    let result = rustix::io::write(std::io::stdin().as_fd(), text.as_bytes());
    println!("{}", begin.elapsed().as_nanos());
    result.map(drop)
}

fn number(millis: &str) -> Result<Duration, Errno> {
    millis
        .parse()
        .map(Duration::from_millis)
        .map_err(|_| Errno::INVAL)
}

/// The moment that is so far away, on a clock that all processes have in common.
pub(crate) fn moment(away: Duration) -> String {
    (clock() + away).as_millis().to_string()
}

fn clock() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::try_from(now).unwrap_or_default()
}

fn sleep_until(moment: &str) -> Result<(), Errno> {
    number(moment).map(|moment| std::thread::sleep(moment.saturating_sub(clock())))
}

/// Computes for so long.
fn spin(millis: &str) -> Result<(), Errno> {
    let (begin, length) = (Instant::now(), number(millis)?);
    while begin.elapsed() < length {}
    Ok(())
}

fn get_fd(pid: &str) -> Result<(), Errno> {
    let pid = pid
        .parse()
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(Errno::INVAL)?;
    copy_fd(pid, 1).map(drop)
}

/// As a kernel that asks for a module may have it done: with no file open.
fn insert(path: &str, parameters: &str) -> Result<(), Errno> {
    let image = std::fs::read(path).map_err(errno)?;
    let parameters = CString::new(parameters).map_err(|_| Errno::INVAL)?;
    attack::insert_without_files(&image, &parameters)
}

/// A copy of a descriptor of another process.
pub(crate) fn copy_fd(pid: Pid, fd: i32) -> Result<OwnedFd, Errno> {
    let process = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    rustix::process::pidfd_getfd(&process, fd, PidfdGetfdFlags::empty())
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

/// The director's side: an actor that plays. Dropping it ends it.
pub(crate) struct Actor(Child);

impl Actor {
    /// An actor with nothing on standard input.
    pub(crate) fn spawn(words: &[&str]) -> Result<Self> {
        Self::start(itself()?.args(words).stdin(Stdio::null()))
    }

    /// One that writes to this descriptor.
    pub(crate) fn send(to: impl AsFd, text: &str) -> Result<Self> {
        let to = to.as_fd().try_clone_to_owned()?;
        Self::start(itself()?.args(["send", text]).stdin(to))
    }

    /// The same in the scheduling class SCHED_FIFO.
    pub(crate) fn send_fifo(to: impl AsFd, text: &str, priority: u32) -> Result<Self> {
        let to = to.as_fd().try_clone_to_owned()?;
        Self::fifo(priority, to, &["send", text])
    }

    /// One in the scheduling class SCHED_FIFO.
    pub(crate) fn fifo(priority: u32, stdin: impl Into<Stdio>, words: &[&str]) -> Result<Self> {
        let mut chrt = Command::new("chrt");
        chrt.args(["--fifo", &priority.to_string()])
            .arg(std::env::current_exe()?)
            .arg("actor")
            .args(words);
        Self::start(chrt.stdin(stdin))
    }

    /// One that `unshare` has given namespaces of its own. Returns how it ended.
    pub(crate) fn unshared(options: &[&str], words: &[&str]) -> Result<Result<(), Errno>> {
        let mut unshare = Command::new("unshare");
        unshare
            .args(options)
            .arg(std::env::current_exe()?)
            .arg("actor")
            .args(words)
            .stdin(Stdio::null());
        Self::start(&mut unshare)?.wait().map(|(result, _)| result)
    }

    /// One that runs as the user that handlers run as. Returns how it ended.
    pub(crate) fn nobody(words: &[&str]) -> Result<Result<(), Errno>> {
        let mut command = itself()?;
        command.args(words).stdin(Stdio::null());
        command.uid(NOBODY).gid(NOBODY);
        Self::start(&mut command)?.wait().map(|(result, _)| result)
    }

    fn start(command: &mut Command) -> Result<Self> {
        let command = command.stdout(Stdio::piped());
        Ok(Self(command.spawn().context("cannot start an actor")?))
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> i32 {
        // Process ids of Linux are positive numbers of 22 bits.
        self.0.id().cast_signed()
    }

    /// Waits for its end: its errno, and what it printed.
    pub(crate) fn wait(mut self) -> Result<(Result<(), Errno>, String)> {
        let mut text = String::new();
        if let Some(mut stdout) = self.0.stdout.take() {
            std::io::Read::read_to_string(&mut stdout, &mut text)?;
        }
        let status = self.0.wait()?;
        let result = match status.code() {
            Some(0) => Ok(()),
            Some(errno) => Err(Errno::from_raw_os_error(errno)),
            None => anyhow::bail!("an actor was ended by signal {:?}", status.signal()),
        };
        Ok((result, text))
    }

    /// Kills it, and waits for its end. Fails if it had ended by itself.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.0.kill()?;
        let status = self.0.wait()?;
        ensure!(status.signal().is_some(), "an actor had ended: {status}");
        Ok(())
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // It may have ended, and been waited for, long ago.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn itself() -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("actor");
    Ok(command)
}
