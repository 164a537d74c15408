// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel says, and what it has given out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context, Result};
use rustix::fs::SeekFrom;

use crate::time::until;

/// Words with which a kernel complains of itself.
const COMPLAINTS: &[&str] = &[
    "WARNING:",
    "BUG:",
    "Oops",
    "Call Trace:",
    "blocked for more than",
    "INFO: possible",
    "INFO: trying to register",
    "suspected memory leaks",
    "UBSAN:",
    "ODEBUG:",
];

/// The kernel's log from now on.
pub(crate) struct Log(File);

impl Log {
    /// Begins to listen.
    pub(crate) fn from_now() -> Result<Self> {
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = File::options()
            .read(true)
            .custom_flags(flags)
            .open("/dev/kmsg");
        let file = file.context("opening /dev/kmsg")?;
        rustix::fs::seek(&file, SeekFrom::End(0))?;
        Ok(Self(file))
    }

    /// The complaints since this was asked last.
    pub(crate) fn complaints(&self) -> Vec<String> {
        // What a handler writes to its /dev/kmsg may be anything.
        let is_a_handlers =
            |message: &str| message.starts_with("umd: ") && message.contains(": handler says: ");
        let complains = |message: &String| {
            !is_a_handlers(message) && COMPLAINTS.iter().any(|word| message.contains(word))
        };
        self.messages().into_iter().filter(complains).collect()
    }

    /// Whether a message since this was asked last contains this.
    pub(crate) fn has(&self, words: &str) -> bool {
        self.messages().iter().any(|line| line.contains(words))
    }

    /// Waits for a message that contains this.
    pub(crate) fn expect(&self, words: &str) -> Result<()> {
        until(&format!("a message with {words:?}"), || self.has(words))
    }

    /// What was said since this was asked last.
    fn messages(&self) -> Vec<String> {
        let records = self.records();
        records.into_iter().map(|record| record.message).collect()
    }

    /// The records since this was asked last.
    pub(crate) fn records(&self) -> Vec<Record> {
        let mut record = vec![0; 8192];
        let mut found = Vec::new();
        // One read(2) gives one record; it fails where there is no more.
        while let Ok(count) = rustix::io::read(&self.0, &mut record[..]) {
            let text = String::from_utf8_lossy(record.get(..count).unwrap_or_default());
            let text = text.lines().next().unwrap_or_default();
            let (head, message) = text.split_once(';').unwrap_or(("", text));
            let level = head.split(',').next().and_then(|level| level.parse().ok());
            found.push(Record {
                level: level.map_or(0, |level: u32| level & 7),
                message: message.to_owned(),
            });
        }
        found
    }
}

/// A record of the kernel's log.
#[derive(Debug)]
pub(crate) struct Record {
    /// Its level, of which 0 is the most urgent: syslog(2).
    pub(crate) level: u32,
    /// Its first line.
    pub(crate) message: String,
}

/// All mounts of our namespace.
pub(crate) fn mounts() -> Result<String> {
    fs::read_to_string("/proc/self/mountinfo").context("reading /proc/self/mountinfo")
}

/// A line of /proc/meminfo in KiB.
pub(crate) fn meminfo(name: &str) -> Result<i64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .with_context(|| format!("/proc/meminfo has no line {name}"))?;
    Ok(value.trim().trim_end_matches(" kB").parse()?)
}

/// KiB that are free on the lists of each processor's own, which `MemFree` leaves out.
pub(crate) fn free_on_lists() -> Result<i64> {
    let text = fs::read_to_string("/proc/zoneinfo").context("reading /proc/zoneinfo")?;
    let pages = text.lines().filter_map(|line| {
        line.trim()
            .strip_prefix("count:")?
            .trim()
            .parse::<i64>()
            .ok()
    });
    Ok(pages.sum::<i64>() * 4)
}

/// A slab cache, as a line of `/proc/slabinfo` has it.
pub(crate) struct Slab {
    /// The objects in use. The kernel counts all of a slab that a processor allocates from.
    pub(crate) objects: i64,
    /// The objects that one slab has room for.
    pub(crate) per_slab: i64,
}

/// Returns the slab caches by name.
pub(crate) fn slabs() -> Result<BTreeMap<String, Slab>> {
    let text = fs::read_to_string("/proc/slabinfo").context("reading /proc/slabinfo")?;
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next()?.to_owned();
        let objects = words.next()?.parse().ok()?;
        // Between them: the objects with the free ones, and an object's size.
        let per_slab = words.nth(2)?.parse().ok()?;
        Some((name, Slab { objects, per_slab }))
    };
    // Two lines of heading.
    let mut slabs: BTreeMap<String, Slab> = text.lines().skip(2).filter_map(entry).collect();
    // Address space that is free, and whose records the kernel gives back by and by.
    if let Some(areas) = slabs.get_mut("vmap_area") {
        let unpurged = fs::read_to_string("/proc/vmallocinfo")
            .context("reading /proc/vmallocinfo")?
            .lines()
            .filter(|line| line.contains("unpurged"))
            .count();
        areas.objects = areas.objects.saturating_sub(i64::try_from(unpurged)?);
    }
    Ok(slabs)
}

/// Gives back the free objects that each processor keeps: `/proc/slabinfo` counts them as in use.
pub(crate) fn shrink_slabs() -> Result<()> {
    for cache in fs::read_dir("/sys/kernel/slab").context("reading /sys/kernel/slab")? {
        let file = cache?.path().join("shrink");
        fs::write(&file, "1").with_context(|| format!("writing to {}", file.display()))?;
    }
    Ok(())
}

/// Gives back what the kernel only keeps in case that somebody wants it again.
pub(crate) fn drop_caches() -> Result<()> {
    fs::write("/proc/sys/vm/drop_caches", "3").context("writing to drop_caches")
}
