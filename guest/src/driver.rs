// SPDX-License-Identifier: MIT OR Apache-2.0
//! A driver as sysfs shows it: `/sys/kernel/umd/<name>/`.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::io::Errno;

use crate::process;
use crate::time::{patience, until};

/// Where all drivers are.
const ROOT: &str = "/sys/kernel/umd";

/// The elements of a lockdown that a handler with a filter or in strict mode has by itself.
pub(crate) const ELEMENTS: [&str; 8] = [
    "root",
    "ids",
    "capabilities",
    "no-new-privs",
    "processes",
    "files",
    "limits",
    "system-calls",
];

/// A driver, whether it is there or not.
#[derive(Clone, Copy)]
pub(crate) struct Driver(pub(crate) &'static str);

/// The names of the drivers there are.
pub(crate) fn names() -> Vec<String> {
    let entries = fs::read_dir(ROOT).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// The process ids of all drivers' handlers.
pub(crate) fn pids() -> Vec<i32> {
    let read = |name: String| fs::read_to_string(format!("{ROOT}/{name}/pid")).ok();
    names()
        .into_iter()
        .filter_map(|name| read(name)?.trim().parse().ok())
        .filter(|pid| *pid != 0)
        .collect()
}

impl Driver {
    /// The path of one of its files.
    pub(crate) fn path(self, file: &str) -> PathBuf {
        PathBuf::from(format!("{ROOT}/{}/{file}", self.0))
    }

    /// The value of one of its files.
    pub(crate) fn get(self, file: &str) -> Result<String> {
        let path = self.path(file);
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let value = text
            .strip_suffix('\n')
            .with_context(|| format!("{file} has no newline at its end: {text:?}"))?;
        Ok(value.to_owned())
    }

    /// The value of a file that holds a number.
    pub(crate) fn number(self, file: &str) -> Result<u64> {
        let value = self.get(file)?;
        value
            .parse()
            .with_context(|| format!("{file} is no number: {value:?}"))
    }

    /// Writes to one of its files.
    pub(crate) fn set(self, file: &str, value: &str) -> Result<(), Errno> {
        let file = File::options()
            .write(true)
            .open(self.path(file))
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        rustix::io::write(&file, value.as_bytes()).map(drop)
    }

    /// The handler in service.
    pub(crate) fn pid(self) -> Result<i32> {
        let pid = self.get("pid")?.parse()?;
        ensure!(pid != 0, "driver {} has no handler", self.0);
        Ok(pid)
    }

    /// Fails unless the driver is in this state.
    pub(crate) fn expect(self, file: &str, value: &str) -> Result<()> {
        let found = self.get(file)?;
        ensure!(
            found == value,
            "{file} of {} is {found:?}, not {value:?}",
            self.0
        );
        Ok(())
    }

    /// What its table says of an element of its lockdown: requested, and in force.
    pub(crate) fn lockdown(self, element: &str) -> Result<(String, String)> {
        let table = self.get("lockdown")?;
        let row = table.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(element)).then_some(words)
        });
        let mut words = row.with_context(|| format!("no {element} in\n{table}"))?;
        match (words.next(), words.next(), words.next()) {
            (Some(requested), Some(in_force), None) => Ok((requested.into(), in_force.into())),
            _ => bail!("an odd row of {element} in\n{table}"),
        }
    }

    /// Each element that its lockdown is made of is in force, and no other was asked for.
    pub(crate) fn expect_lockdown(self, profile: &str, elements: &[&str]) -> Result<()> {
        let found = self.lockdown("profile")?;
        ensure!(
            found == (profile.into(), profile.into()),
            "{found:?}, not {profile}"
        );
        let table = self.get("lockdown")?;
        for row in table.lines().skip(2) {
            let element = row.split_whitespace().next().unwrap_or_default();
            let wanted = if elements.contains(&element) {
                "yes"
            } else {
                "no"
            };
            let found = self.lockdown(element)?;
            ensure!(
                found == (wanted.into(), wanted.into()),
                "{element}: {found:?}, not {wanted}"
            );
        }
        Ok(())
    }

    /// Waits until a file has this value: what is counted at a process's end is counted a moment
    /// after it.
    pub(crate) fn await_value(self, file: &str, value: &str) -> Result<()> {
        until(&format!("{file} of {} is {value:?}", self.0), || {
            self.get(file).is_ok_and(|found| found == value)
        })
        .with_context(|| format!("it is {:?}", self.get(file)))
    }

    /// Sets the deadline of later calls.
    pub(crate) fn set_deadline(self, deadline: Duration) -> Result<()> {
        self.set("deadline_ms", &deadline.as_millis().to_string())
            .with_context(|| format!("the deadline of {}", self.0))
    }

    /// Does something with a deadline that is not met, whatever the machine is busy with.
    pub(crate) fn patiently<R>(self, work: impl FnOnce() -> Result<R>) -> Result<R> {
        self.with_deadline(patience(), work)
    }

    /// Does something with another deadline.
    pub(crate) fn with_deadline<R>(
        self,
        deadline: Duration,
        work: impl FnOnce() -> Result<R>,
    ) -> Result<R> {
        let before = self.get("deadline_ms")?;
        self.set_deadline(deadline)?;
        let result = work();
        // Whatever went wrong: that comes first.
        let restored = self.set("deadline_ms", &before);
        let result = result?;
        restored.context("the deadline as it was")?;
        Ok(result)
    }

    /// Stops the handler, and waits until it is stopped.
    pub(crate) fn stop_handler(self) -> Result<i32> {
        let pid = self.pid()?;
        process::stop(pid)?;
        Ok(pid)
    }

    /// Fresh, forgiven, with a handler.
    pub(crate) fn restart(self) -> Result<()> {
        self.set("restart", "1")
            .with_context(|| format!("restart of {}", self.0))
    }

    /// Kills the handler, and waits until it is gone.
    pub(crate) fn kill_handler(self) -> Result<i32> {
        let pid = self.pid()?;
        process::signal(pid, rustix::process::Signal::KILL)?;
        until("the killed handler is gone", || !process::exists(pid))?;
        Ok(pid)
    }
}
