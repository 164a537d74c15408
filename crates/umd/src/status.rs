// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a driver tells about itself.

use umd_core::status::Counters;

/// What a driver tells about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Status {
    /// Its name.
    pub name: String,
    /// loaded (nothing was started yet), starting, running, exited, failed (too many deaths in a row) or unloading.
    pub state: &'static str,
    /// The handlers in service, spares included.
    pub pids: Vec<u32>,
    /// Calls that were made.
    pub requests: u64,
    /// Calls that were answered.
    pub replies: u64,
    /// Calls whose deadline passed.
    pub timeouts: u64,
    /// Handlers that were executed.
    pub starts: u64,
    /// Handlers that have ended.
    pub exits: u64,
    /// How the last one ended: `exit 1`, `signal 9`.
    pub last_exit: Option<String>,
    /// Which system call a handler was denied last, as it says itself; with [`diagnose`](crate::Builder::diagnose) only.
    pub last_denied: Option<String>,
    /// Why the last call that failed did.
    pub last_error: Option<String>,
    /// Microseconds within which half of the calls were answered, rounded up to a power of two.
    pub latency_p50_us: u64,
    /// The same for ninety-nine in a hundred.
    pub latency_p99_us: u64,
}

impl Status {
    pub(crate) fn new(
        name: &str,
        state: &'static str,
        pids: Vec<u32>,
        counters: &Counters,
    ) -> Self {
        Self {
            name: name.into(),
            state,
            pids,
            requests: counters.requests,
            replies: counters.replies,
            timeouts: counters.timeouts,
            starts: counters.starts,
            exits: counters.exits,
            last_exit: counters.last_exit.map(|exit| exit.to_string()),
            last_denied: counters
                .last_denied
                .map(|denied| format!("{} ({})", denied.name(), denied.number())),
            last_error: counters.last_error.map(|error| error.to_string()),
            latency_p50_us: counters.latencies.percentile_us(50),
            latency_p99_us: counters.latencies.percentile_us(99),
        }
    }
}
