// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine's second processor.
//!
//! The processors of a deterministic machine take turns: where one halts or says that it spins (`pause`), and when
//! timers are due. A kernel before 6.5 waits for a new processor in a loop that does neither, and QEMU before 8.1 then
//! never lets the other one run. So machines are booted with one (`maxcpus=1`), and the other is brought up here,
//! beside a thread that spins and says so.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context as _, Result};
use rustix::thread::{CpuSet, sched_setaffinity};

/// Whether the second processor is there; 0 or 1.
const ONLINE: &str = "/sys/devices/system/cpu/cpu1/online";

/// Brings up the second processor, unless it is there.
pub(crate) fn bring_up() -> Result<()> {
    let is_there = fs::read_to_string(ONLINE).with_context(|| format!("reading {ONLINE}"))?;
    if is_there.trim() == "1" {
        return Ok(());
    }
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut first = CpuSet::new();
            first.set(0);
            // Where that fails there is only this processor to run on.
            let _ = sched_setaffinity(None, &first);
            while !over.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        let done = fs::write(ONLINE, "1").with_context(|| format!("writing to {ONLINE}"));
        over.store(true, Ordering::Relaxed);
        done
    })
}
