// SPDX-License-Identifier: MIT OR Apache-2.0
//! Time as the guest sees it. In a deterministic machine that is a count of instructions, the same
//! in every run; elsewhere it is as good as the machine that emulates.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often something is looked at that is waited for.
const STEP: Duration = Duration::from_millis(1);

/// See [`slowness`].
static SLOWNESS: AtomicU32 = AtomicU32::new(1);

/// How many times longer than elsewhere things may take in this machine.
pub(crate) fn slowness() -> u32 {
    SLOWNESS.load(Ordering::Relaxed)
}

/// Says so, before anything is measured.
pub(crate) fn set_slowness(factor: u32) {
    SLOWNESS.store(factor.max(1), Ordering::Relaxed);
}

/// So many milliseconds.
pub(crate) const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Waits until something is so; fails, naming it, where it is not within the limit, or longer as the machine is slow.
pub(crate) fn until(what: &str, limit: Duration, mut so: impl FnMut() -> bool) -> Result<()> {
    let limit = slowness() * limit;
    let begin = Instant::now();
    while !so() {
        if begin.elapsed() >= limit {
            bail!("not within {limit:?}: {what}");
        }
        thread::sleep(STEP);
    }
    Ok(())
}

/// What something gave, and how long it took.
pub(crate) fn timed<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    let begin = Instant::now();
    let result = work();
    (result, begin.elapsed())
}
