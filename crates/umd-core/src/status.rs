// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a driver tells its operator about itself.

use crate::error::Error;
use crate::policy::Span;
use crate::syscall::Syscall;
use core::fmt;

/// How a process ended, as `waitid(2)` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It called `exit` with this status.
    Exited(u8),
    /// This signal ended it.
    Signaled(u8),
}

impl ExitStatus {
    /// Reads the wait status of `wait(2)`.
    pub const fn from_wait_status(status: u32) -> Self {
        match (status & 0x7f) as u8 {
            0 => Self::Exited((status >> 8) as u8),
            signal => Self::Signaled(signal),
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exit {status}"),
            Self::Signaled(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// A system call that a lockdown denied, which ended a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// One of x86_64.
    Call(Syscall),
    /// By another convention, where this number means something else: 32 bits, or x32.
    Elsewhere(u32),
}

impl Denied {
    /// Its name, as far as there is one.
    pub fn name(self) -> &'static str {
        match self {
            Self::Call(call) => call.name().unwrap_or("unknown"),
            Self::Elsewhere(_) => "of another convention",
        }
    }

    /// Its number.
    pub fn number(self) -> u32 {
        match self {
            Self::Call(call) => call.number().into(),
            Self::Elsewhere(number) => number,
        }
    }
}

/// The times that calls took, counted in powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latencies {
    counts: [u32; Self::BUCKETS],
}

impl Latencies {
    /// Bucket `n` counts calls of less than 2^n microseconds; the last one all longer ones.
    pub const BUCKETS: usize = 32;

    const fn new() -> Self {
        Self {
            counts: [0; Self::BUCKETS],
        }
    }

    fn add(&mut self, span: Span) {
        let micros = span.as_nanos() / 1_000;
        let bucket = (u64::BITS - micros.leading_zeros()) as usize;
        let last = Self::BUCKETS - 1;
        if let Some(count) = self.counts.get_mut(bucket.min(last)) {
            *count = count.saturating_add(1);
        }
    }

    /// An upper bound, in microseconds and within a factor of two, of what `percent` per cent of
    /// the calls took. 0 where there was none.
    pub fn percentile_us(&self, percent: u64) -> u64 {
        let total: u64 = self.counts.iter().map(|count| u64::from(*count)).sum();
        let wanted = total.saturating_mul(percent.min(100)).div_ceil(100);
        let mut sum = 0u64;
        for (bucket, count) in self.counts.iter().enumerate() {
            sum = sum.saturating_add(u64::from(*count));
            if sum >= wanted && sum > 0 {
                return 1u64.checked_shl(bucket as u32).unwrap_or(u64::MAX);
            }
        }
        0
    }
}

/// Counts since the driver was loaded. They saturate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Calls that came, whatever became of them.
    pub requests: u64,
    /// Calls that were answered.
    pub replies: u64,
    /// Calls that a deadline ended.
    pub timeouts: u64,
    /// Processes that were made from the image; the host counts them with [`Counters::started`].
    pub starts: u64,
    /// Processes that ended; the host counts them with [`Counters::exited`].
    pub exits: u64,
    /// How the last of them ended.
    pub last_exit: Option<ExitStatus>,
    /// What the lockdown denied to the last of those that it ended.
    pub last_denied: Option<Denied>,
    /// The last error that a caller was given.
    pub last_error: Option<Error>,
    /// How long answered calls took.
    pub latencies: Latencies,
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

impl Counters {
    /// Nothing has happened.
    pub const fn new() -> Self {
        Self {
            requests: 0,
            replies: 0,
            timeouts: 0,
            starts: 0,
            exits: 0,
            last_exit: None,
            last_denied: None,
            last_error: None,
            latencies: Latencies::new(),
        }
    }

    /// A process was made from the image.
    pub const fn started(&mut self) {
        self.starts = self.starts.saturating_add(1);
    }

    /// A process ended, if by its lockdown then because of what that denied to it.
    pub const fn exited(&mut self, status: Option<ExitStatus>, denied: Option<Denied>) {
        self.exits = self.exits.saturating_add(1);
        self.last_exit = status;
        if denied.is_some() {
            self.last_denied = denied;
        }
    }

    /// A call is over, `took` after it began.
    pub fn called(&mut self, result: Result<(), Error>, took: Span) {
        self.requests = self.requests.saturating_add(1);
        match result {
            Ok(()) => {
                self.replies = self.replies.saturating_add(1);
                self.latencies.add(took);
            }
            Err(error) => {
                self.last_error = Some(error);
                if let Error::TimedOut(_) = error {
                    self.timeouts = self.timeouts.saturating_add(1);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn wait_statuses() {
        assert_eq!(ExitStatus::from_wait_status(7 << 8), ExitStatus::Exited(7));
        assert_eq!(ExitStatus::from_wait_status(9), ExitStatus::Signaled(9));
        // The 0x80 bit says that there was a core dump.
        assert_eq!(ExitStatus::from_wait_status(0x8b), ExitStatus::Signaled(11));
        assert_eq!(ExitStatus::Exited(7).to_string(), "exit 7");
        assert_eq!(ExitStatus::Signaled(31).to_string(), "signal 31");
    }

    #[test]
    fn what_was_denied_stays_until_the_next() {
        let mut counters = Counters::new();
        let denied = Denied::Call(Syscall::OPENAT);
        counters.exited(Some(ExitStatus::Signaled(9)), Some(denied));
        counters.exited(Some(ExitStatus::Exited(1)), None);
        assert_eq!((counters.exits, counters.last_denied), (2, Some(denied)));
        assert_eq!((denied.name(), denied.number()), ("openat", 257));
        let elsewhere = Denied::Elsewhere(5);
        assert_eq!(
            (elsewhere.name(), elsewhere.number()),
            ("of another convention", 5)
        );
    }

    #[test]
    fn percentiles_are_upper_bounds_within_a_factor_of_two() {
        let mut latencies = Latencies::new();
        assert_eq!(latencies.percentile_us(50), 0);
        for _ in 0..99 {
            latencies.add(Span::from_nanos(9_000));
        }
        latencies.add(Span::from_millis(3));
        assert_eq!(latencies.percentile_us(50), 16);
        assert_eq!(latencies.percentile_us(99), 16);
        assert_eq!(latencies.percentile_us(100), 4096);
        latencies.add(Span::from_nanos(u64::MAX));
        assert_eq!(latencies.percentile_us(100), 1 << 31);
    }

    #[test]
    fn calls_are_counted_by_their_result() {
        let mut counters = Counters::new();
        counters.called(Ok(()), Span::from_millis(1));
        counters.called(Err(Error::Failed), Span::ZERO);
        counters.called(
            Err(Error::TimedOut(crate::error::Seen::Read)),
            Span::from_millis(1_000),
        );
        assert_eq!(
            (counters.requests, counters.replies, counters.timeouts),
            (3, 1, 1)
        );
        assert_eq!(counters.last_error.map(|e| e.errno().get()), Some(110));
    }
}
