// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nothing stays behind, however often.

use std::collections::BTreeMap;
use std::{fs, thread};

use anyhow::{Context as _, Result, ensure};

use crate::harness::{Context, Mode, Topic, test_only};
use crate::kernel;
use crate::sample::{self, MODULE};
use crate::time::{ms, slowness};
use crate::{modules, process};

pub(crate) const TOPIC: Topic = Topic {
    name: "leaks",
    modules: &["umd"],
    tests: &[test_only(
        Mode::Deterministic,
        "rounds of load, one request, unload: nothing grows",
        rounds,
    )],
};

/// Rounds after which caches and pools have the size that they keep, even where nothing else was done before.
pub(crate) const WARM_UP: u32 = 300;

/// Rounds that are measured: more than a slab of the smallest objects has, 512, which is what a
/// cache may have more by itself.
pub(crate) const ROUNDS: u32 = 700;

/// The objects that a cache may have more by itself, besides a slab: one a round, and no more than
/// this.
const FEW: i64 = 100;

/// Rounds on a kernel that checks itself.
const CHECKED: u32 = 50;

/// How often more is looked at once more, a second apart.
const PATIENCE: u32 = 5;

/// What the system holds.
struct Holdings {
    processes: usize,
    mounts: String,
    /// KiB.
    unreclaimable: i64,
    free: i64,
    available: i64,
    /// All of /proc/meminfo.
    memory: String,
    slabs: BTreeMap<String, kernel::Slab>,
}

fn holdings() -> Result<Holdings> {
    // What is freed after a grace period of RCU, or by a kernel worker, has a moment for that.
    thread::sleep(ms(500));
    kernel::drop_caches()?;
    thread::sleep(ms(500));
    kernel::shrink_slabs()?;
    let lists = kernel::free_on_lists()?;
    Ok(Holdings {
        processes: process::users().len(),
        mounts: kernel::mounts()?,
        unreclaimable: kernel::meminfo("SUnreclaim")?,
        free: kernel::meminfo("MemFree")? + lists,
        available: kernel::meminfo("MemAvailable")? + lists,
        memory: fs::read_to_string("/proc/meminfo")?,
        slabs: kernel::slabs()?,
    })
}

fn round(file: &std::path::Path) -> Result<()> {
    modules::insert(file).context("load")?;
    sample::ask(131_071).context("request")?;
    modules::remove(MODULE).context("unload")
}

fn rounds(_: &Context) -> Result<()> {
    let file = modules::file(MODULE)?;
    nothing_grows(WARM_UP, ROUNDS, |count| {
        (0..count).try_for_each(|number| round(&file).with_context(|| format!("round {number}")))
    })
}

/// Does something `warm_up` and then `rounds` times; fails where the system holds more after the latter.
/// On a kernel that checks itself some of the rounds to warm up are all that is done.
pub(crate) fn nothing_grows(
    warm_up: u32,
    rounds: u32,
    repeat: impl Fn(u32) -> Result<()>,
) -> Result<()> {
    // Else khugepaged gives programs, this one among them, some megabytes when it likes.
    let _ = fs::write("/sys/kernel/mm/transparent_hugepage/enabled", "never");
    if slowness() > 1 {
        // A kernel that checks itself keeps account of all this, in memory that grows. It counts, too: `checkers`.
        return repeat(warm_up.min(CHECKED));
    }
    repeat(warm_up)?;
    let before = holdings()?;
    repeat(rounds)?;
    // What is on its way out may take longer than that; what was lost never comes back.
    let mut compared = compare(&before, &holdings()?, rounds);
    for _ in 0..PATIENCE {
        if compared.is_ok() {
            break;
        }
        compared = compare(&before, &holdings()?, rounds);
    }
    compared
}

fn compare(before: &Holdings, after: &Holdings, rounds: u32) -> Result<()> {
    ensure!(
        after.processes <= before.processes,
        "processes: {} and then {}",
        before.processes,
        after.processes
    );
    ensure!(
        after.mounts == before.mounts,
        "mounts:\n{}and then\n{}",
        before.mounts,
        after.mounts
    );
    // An object that every round leaves is `rounds` objects more in its cache. What the kernel does
    // besides moves a cache by the slab that the processor allocates from, of which every object
    // counts as in use (512 of the smallest), and by `FEW`.
    for (name, slab) in &after.slabs {
        let grown = slab.objects - before.slabs.get(name).map_or(0, |slab| slab.objects);
        let rounds = i64::from(rounds);
        let limit = (rounds * 3 / 4).max(slab.per_slab + rounds.min(FEW));
        ensure!(
            grown < limit,
            "slab cache {name} has {grown} objects more after {rounds} rounds"
        );
    }
    // Below a page each eight rounds: what leaks pages, by whatever allocator, leaks at least one
    // in every round. A few rounds are lost among what the kernel does by itself: there below three pages each four.
    let limit = match rounds {
        0..200 => i64::from(rounds) * 3,
        _ => i64::from(rounds) / 8 * 4,
    };
    for (name, more) in [
        ("SUnreclaim", after.unreclaimable - before.unreclaimable),
        ("memory that is not free", before.free - after.free),
        (
            "memory that is not available",
            before.available - after.available,
        ),
    ] {
        ensure!(
            more < limit,
            "{name}: {more} KiB more after {rounds} rounds; before:\n{}and after:\n{}",
            before.memory,
            after.memory
        );
    }
    Ok(())
}
