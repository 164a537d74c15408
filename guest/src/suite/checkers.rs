// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a kernel that looks for bugs has found by itself, after all that the other topics did to it.

use std::{fs, thread};

use anyhow::{Context as _, Result, ensure};

use crate::harness::{Context, Topic, test_where};
use crate::time::ms;

const LEAKS: &str = "/sys/kernel/debug/kmemleak";
const LOCKS: &str = "/proc/lockdep_stats";

pub(crate) const TOPIC: Topic = Topic {
    name: "checkers",
    modules: &[],
    tests: &[
        test_where(LEAKS, "no memory is lost", leaks),
        test_where(LOCKS, "locks were looked at to the end", locks),
    ],
};

/// Younger objects are not reported.
const AGE: std::time::Duration = ms(6_000);

/// A first look may take a pointer for lost that is just on its way from one place to another.
fn leaks(_: &Context) -> Result<()> {
    for _ in 0..2 {
        thread::sleep(AGE);
        fs::write(LEAKS, "scan").with_context(|| format!("a scan by {LEAKS}"))?;
    }
    let found = fs::read_to_string(LEAKS)?;
    ensure!(found.is_empty(), "nobody knows of this memory:\n{found}");
    Ok(())
}

/// After its first complaint, or when its tables are full, the validator is off.
fn locks(_: &Context) -> Result<()> {
    let text = fs::read_to_string(LOCKS)?;
    let line = text.lines().find(|line| line.contains("debug_locks:"));
    let line = line.with_context(|| format!("{LOCKS} does not say whether it is on:\n{text}"))?;
    ensure!(line.trim_end().ends_with(" 1"), "it is off: {line}");
    Ok(())
}
