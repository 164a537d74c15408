// SPDX-License-Identifier: MIT OR Apache-2.0
//! Time as the guest sees it. In the tests' machines that is a count of instructions, the same in every run.

use std::fmt;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How soon something is looked at again that is waited for: soon at first, for looking costs time as well.
const STEP: Duration = Duration::from_millis(1);
const STEP_MAX: Duration = Duration::from_millis(16);

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

/// How long somebody waits for what is certain to come: a limit for tests that would wait for ever, and as a deadline one that
/// is not met. It says nothing about how long anything should take. Idle time costs nothing outside the machine.
pub(crate) fn patience() -> Duration {
    slowness() * ms(30_000)
}

/// Waits until something is so that has to be so at last; fails, naming it, where it is not.
pub(crate) fn until(what: &str, so: impl FnMut() -> bool) -> Result<()> {
    bounded(patience(), what, so)
}

/// The same within a limit, which is longer as the machine is slow.
pub(crate) fn within(limit: Duration, what: &str, so: impl FnMut() -> bool) -> Result<()> {
    bounded(slowness() * limit, what, so)
}

fn bounded(limit: Duration, what: &str, mut so: impl FnMut() -> bool) -> Result<()> {
    let (begin, mut step) = (Instant::now(), STEP);
    while !so() {
        if begin.elapsed() >= limit {
            bail!("not within {limit:?}: {what}");
        }
        thread::sleep(step);
        // The longer it takes, the less a little more matters.
        step = (begin.elapsed() / 8).clamp(STEP, STEP_MAX);
    }
    Ok(())
}

/// What something gave, and how long it took.
pub(crate) fn timed<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    let begin = Instant::now();
    let result = work();
    (result, begin.elapsed())
}

/// How much time has passed, and how much of it somebody computed. The rest the emulator skips: what a test costs
/// outside is in proportion to the latter.
pub(crate) struct Spent {
    begin: Instant,
    /// Of all processors, where the kernel told it.
    idle: Option<Duration>,
}

impl Spent {
    /// None yet.
    pub(crate) fn from_now() -> Self {
        Self {
            begin: Instant::now(),
            idle: idle(),
        }
    }
}

/// As in `time=123ms busy=45ms`.
impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.begin.elapsed();
        let processors = thread::available_parallelism().map_or(1, |count| count.get() as u32);
        let idle = self.idle.zip(idle());
        let idle = idle.map_or(Duration::ZERO, |(from, to)| to.saturating_sub(from));
        // Where two processors compute they take turns at the instructions, and both call it their time.
        let busy = (processors * time).saturating_sub(idle).min(time);
        write!(f, "time={}ms busy={}ms", time.as_millis(), busy.as_millis())
    }
}

/// How long the processors had nothing to do, added up.
fn idle() -> Option<Duration> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}
