// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a driver's owner decides: deadlines, limits, and how often a dead handler is replaced.

use crate::lockdown::Lockdown;

/// A point in time: nanoseconds on the host's clock for deadlines, which never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

/// A length of time in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(u64);

impl Instant {
    /// The beginning of the clock.
    pub const ZERO: Self = Self(0);
    /// A time that never comes (584 years after boot).
    pub const NEVER: Self = Self(u64::MAX);

    /// The instant `nanos` nanoseconds after the clock's beginning.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's beginning.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The instant that comes `span` later; [`Instant::NEVER`] where the clock ends before.
    pub const fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The time that passed since `earlier`; zero where that is later.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of `nanos` nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// A span of `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// The span in nanoseconds.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The span in whole milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Twice as long, so many times.
    pub const fn doubled(self, times: u32) -> Self {
        let factor = match 1u64.checked_shl(times) {
            Some(factor) => factor,
            None => u64::MAX,
        };
        Self(self.0.saturating_mul(factor))
    }
}

/// What the bytes on the channel look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A [`Header`](crate::frame::Header) before each message, and a hello first.
    Framed,
    /// No header and no hello: the request's bytes, then as many bytes as the caller's buffer
    /// holds. For handlers that know nothing of the frame.
    Raw,
    /// Two streams of bytes, as a pair of pipes would be: as [`Raw`](Self::Raw), but both sides may also
    /// write when nobody waits for it.
    Stream,
}

/// When a handler runs, among the others of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// As any process, with this nice value: -20 (first) to 19 (last).
    Nice(i8),
    /// As [`Nice(0)`](Self::Nice), but while it works on the request of a caller of a real-time class (SCHED_FIFO, SCHED_RR), in
    /// SCHED_FIFO with that caller's priority less one, so that it cannot keep the processor from the caller. Nothing of a lower
    /// priority than that can starve it. A caller of priority 1 lends none, and a caller in the queue none yet.
    Inherit,
}

/// How often, and how soon, a dead handler is replaced.
///
/// Deaths are counted *in a row*: a reply in between makes the count zero again. The first is
/// followed by a start at once, the next by one after `backoff`, then after twice that, and so on
/// up to `backoff_max`. After more than `budget` deaths the driver has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartPolicy {
    /// Deaths in a row that are forgiven.
    pub budget: u32,
    /// A death longer ago than this is forgotten, and so is a failure.
    pub window: Span,
    /// The pause before the start that follows the second death in a row.
    pub backoff: Span,
    /// The longest pause.
    pub backoff_max: Span,
}

impl RestartPolicy {
    /// Five deaths in a row within a minute; pauses of 100 ms to 5 s.
    pub const DEFAULT: Self = Self {
        budget: 5,
        window: Span::from_millis(60_000),
        backoff: Span::from_millis(100),
        backoff_max: Span::from_millis(5_000),
    };

    /// Never given up; pauses of 10 ms to 500 ms.
    pub const UNLIMITED: Self = Self {
        budget: u32::MAX,
        window: Span::from_millis(60_000),
        backoff: Span::from_millis(10),
        backoff_max: Span::from_millis(500),
    };
}

/// What a driver's owner decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What the bytes on the channel look like.
    pub framing: Framing,
    /// What a handler gives up.
    pub lockdown: Lockdown,
    /// From a call's begin to its end, queueing and a start included.
    pub deadline: Span,
    /// From exec to hello, health check included; the caller's own deadline holds besides, and a start
    /// that it cuts short counts as a death.
    pub start_deadline: Span,
    /// Longest request, in bytes.
    pub request_max: usize,
    /// Places in the queue of callers, one that was given up included until it is passed; at most [`QUEUE_CAPACITY`](crate::lifecycle::QUEUE_CAPACITY).
    pub queue_max: usize,
    /// Requests that are worked on at the same time.
    pub workers: usize,
    /// Handlers that are kept ready beyond those.
    pub spares: usize,
    /// How often a dead handler is replaced.
    pub restart: RestartPolicy,
    /// Address space of a handler in bytes, image and stack included (`RLIMIT_AS`).
    pub memory_max: u64,
    /// When a handler runs.
    pub priority: Priority,
}

impl Policy {
    /// Framed, strict, one worker, no spare, 1 s for a call and 5 s for a start, 1 MiB, 64 waiting callers, 64 MiB
    /// of memory, nice 0.
    pub const DEFAULT: Self = Self {
        framing: Framing::Framed,
        lockdown: Lockdown::Strict,
        deadline: Span::from_millis(1_000),
        start_deadline: Span::from_millis(5_000),
        request_max: 1 << 20,
        queue_max: crate::lifecycle::QUEUE_CAPACITY,
        workers: 1,
        spares: 0,
        restart: RestartPolicy::DEFAULT,
        memory_max: 64 << 20,
        priority: Priority::Nice(0),
    };
}

impl Policy {
    /// Are processes that are made under the one policy as those that are made under the other?
    pub fn makes_same_processes(&self, other: &Self) -> bool {
        (self.framing, self.lockdown, self.memory_max, self.priority)
            == (
                other.framing,
                other.lockdown,
                other.memory_max,
                other.priority,
            )
    }
}

/// The account of deaths that a [`RestartPolicy`] is applied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    deaths: u32,
    last: Instant,
}

/// What a [`Budget`] says about starting a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// Not before this instant (which may have passed).
    From(Instant),
    /// Not at all before this instant: the driver has failed.
    Spent(Instant),
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

impl Budget {
    /// An account without deaths.
    pub const fn new() -> Self {
        Self {
            deaths: 0,
            last: Instant::ZERO,
        }
    }

    /// A handler answered: what came before is forgiven. False: there was nothing.
    pub const fn served(&mut self) -> bool {
        let forgiven = self.deaths > 0;
        self.deaths = 0;
        forgiven
    }

    /// A handler died.
    pub const fn died(&mut self, now: Instant, policy: &RestartPolicy) {
        self.forget(now, policy);
        self.deaths = self.deaths.saturating_add(1);
        self.last = now;
    }

    /// May a handler be started?
    pub const fn permit(&mut self, now: Instant, policy: &RestartPolicy) -> Permit {
        self.forget(now, policy);
        if self.deaths > policy.budget {
            return Permit::Spent(self.last.after(policy.window));
        }
        if self.deaths < 2 {
            return Permit::From(self.last);
        }
        let pause = policy.backoff.doubled(self.deaths.saturating_sub(2));
        let pause = if pause.0 > policy.backoff_max.0 {
            policy.backoff_max
        } else {
            pause
        };
        Permit::From(self.last.after(pause))
    }

    const fn forget(&mut self, now: Instant, policy: &RestartPolicy) {
        if now.since(self.last).0 >= policy.window.0 {
            self.deaths = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RestartPolicy = RestartPolicy {
        budget: 4,
        window: Span::from_millis(1_000),
        backoff: Span::from_millis(10),
        backoff_max: Span::from_millis(25),
    };

    fn at(millis: u64) -> Instant {
        Instant::ZERO.after(Span::from_millis(millis))
    }

    #[test]
    fn at_once_then_later_and_later_then_not_at_all() {
        let mut budget = Budget::new();
        assert_eq!(
            budget.permit(at(5_000), &POLICY),
            Permit::From(Instant::ZERO)
        );
        for pause in [0, 10, 20, 25] {
            budget.died(at(5_000), &POLICY);
            assert_eq!(
                budget.permit(at(5_000), &POLICY),
                Permit::From(at(5_000 + pause))
            );
        }
        budget.died(at(5_000), &POLICY);
        assert_eq!(budget.permit(at(5_000), &POLICY), Permit::Spent(at(6_000)));
    }

    #[test]
    fn the_window_passes() {
        let mut budget = Budget::new();
        for _ in 0..9 {
            budget.died(at(100), &POLICY);
        }
        assert_eq!(budget.permit(at(1_099), &POLICY), Permit::Spent(at(1_100)));
        assert_eq!(budget.permit(at(1_100), &POLICY), Permit::From(at(100)));
    }

    #[test]
    fn a_reply_forgives() {
        let mut budget = Budget::new();
        for _ in 0..50 {
            budget.died(at(100), &POLICY);
            budget.served();
        }
        assert_eq!(budget.permit(at(100), &POLICY), Permit::From(at(100)));
    }

    #[test]
    fn huge_numbers_do_not_overflow() {
        let policy = RestartPolicy {
            budget: u32::MAX,
            backoff: Span::from_nanos(u64::MAX),
            backoff_max: Span::from_nanos(u64::MAX),
            ..POLICY
        };
        let mut budget = Budget::new();
        for _ in 0..200 {
            budget.died(Instant::from_nanos(u64::MAX - 1), &policy);
        }
        assert_eq!(
            budget.permit(Instant::from_nanos(u64::MAX - 1), &policy),
            Permit::From(Instant::NEVER)
        );
        assert_eq!(Span::from_millis(u64::MAX).as_nanos(), u64::MAX);
    }
}
