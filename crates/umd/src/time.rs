// SPDX-License-Identifier: MIT OR Apache-2.0
//! The clock of deadlines: CLOCK_MONOTONIC, which stands still while the machine sleeps.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;
use umd_core::policy::{Instant, Span};

/// The time.
pub(crate) fn now() -> Instant {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Instant::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// As core has it.
pub(crate) fn span(duration: Duration) -> Span {
    Span::from_nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

/// As the standard library has it.
pub(crate) fn duration(span: Span) -> Duration {
    Duration::from_nanos(span.as_nanos())
}

/// How long it is until then.
pub(crate) fn until(instant: Instant) -> Duration {
    duration(instant.since(now()))
}
