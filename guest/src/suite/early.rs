// SPDX-License-Identifier: MIT OR Apache-2.0
//! Modules that are loaded before anything is mounted.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use crate::harness::{Context, Topic, test};
use crate::sample::{self, DRIVER, MODULE};
use crate::{kernel, modules, process};

pub(crate) const TOPIC: Topic = Topic {
    name: "early",
    modules: &[],
    tests: &[
        test(
            "the sample was loaded before /proc was mounted",
            before_proc,
        ),
        test("its handler runs from a root of its own all the same", root),
        test("it serves", serves),
    ],
};

/// Where the first process notes what it loaded, if it saw that there was no /proc.
const MARK: &str = "/early-modules";

fn before_proc(_: &Context) -> Result<()> {
    let marked = fs::read_to_string(MARK)
        .with_context(|| format!("{MARK} is missing: was {MODULE} loaded early at all?"))?;
    let loaded = |line: &str| line.ends_with(&format!("/{MODULE}.ko"));
    ensure!(marked.lines().any(loaded), "loaded early: {marked:?}");
    ensure!(modules::is_loaded(MODULE), "{MODULE} is not loaded");
    DRIVER.expect("state", "running")?;
    DRIVER.expect("starts", "1")
}

fn root(_: &Context) -> Result<()> {
    let pid = DRIVER.pid()?;
    let names: Vec<_> = fs::read_dir(process::path(pid, "root"))?
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    ensure!(names == ["sample"], "its root holds {names:?}");
    let mounts = kernel::mounts()?;
    ensure!(!mounts.contains("sample"), "the mounts are:\n{mounts}");
    Ok(())
}

fn serves(_: &Context) -> Result<()> {
    for offset in [0, 4095, 131_071] {
        sample::ask(offset).with_context(|| format!("offset {offset}"))?;
    }
    DRIVER.expect("starts", "1")
}
