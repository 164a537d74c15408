// SPDX-License-Identifier: MIT OR Apache-2.0
//! Time as the guest sees it. In a deterministic machine that is a count of instructions, the same
//! in every run; elsewhere it is as good as the machine that emulates.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often something is looked at that is waited for.
const STEP: Duration = Duration::from_millis(1);

/// So many milliseconds.
pub(crate) const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Waits until something is so; fails, naming it, where it is not within the limit.
pub(crate) fn until(what: &str, limit: Duration, mut so: impl FnMut() -> bool) -> Result<()> {
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
