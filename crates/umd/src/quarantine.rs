// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests that kill handlers, and are not asked any more for a while.

use crate::error::{Cause, Error};
use crate::time::{duration, span};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use umd_core::error::{Error as CoreError, Seen};
use umd_core::policy::{Instant, Span};

/// How long.
const TERM: Duration = Duration::from_secs(60);
/// How many requests are remembered; of more, those that were remembered first are forgotten.
const ENTRIES: usize = 64;
/// How many handlers a request may kill in a row.
const DEATHS: u32 = 2;

/// The requests that have killed a handler, by a hash that nobody outside can foresee.
#[derive(Debug)]
pub(crate) struct Quarantine {
    key: RandomState,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    hash: u64,
    deaths: u32,
    last: Instant,
}

impl Quarantine {
    pub(crate) fn new() -> Self {
        Self {
            key: RandomState::new(),
            entries: Vec::with_capacity(ENTRIES),
        }
    }

    /// For how long still this request is refused.
    pub(crate) fn refuses(&mut self, request: &[u8], now: Instant) -> Option<Duration> {
        if self.entries.is_empty() {
            return None;
        }
        self.entries
            .retain(|entry| now.since(entry.last) < span(TERM));
        let hash = self.key.hash_one(request);
        let entry = self.entries.iter().find(|entry| entry.hash == hash)?;
        let left = entry.last.after(span(TERM)).since(now);
        (entry.deaths >= DEATHS && left > Span::ZERO).then(|| duration(left))
    }

    /// What came of a request.
    pub(crate) fn note(&mut self, request: &[u8], result: &Result<usize, Error>, now: Instant) {
        let killed = match result {
            Ok(_) => false,
            Err(error) => match error.cause() {
                Cause::Call(
                    CoreError::ConnectionReset
                    | CoreError::TimedOut(Seen::Read)
                    | CoreError::BadMessage(_),
                ) => true,
                Cause::Call(CoreError::Rejected(_)) => false,
                // It was not asked: nothing is known.
                _ => return,
            },
        };
        if !killed && self.entries.is_empty() {
            return;
        }
        let hash = self.key.hash_one(request);
        let at = self.entries.iter().position(|entry| entry.hash == hash);
        match (at, killed) {
            (Some(at), false) => drop(self.entries.remove(at)),
            (Some(at), true) => {
                let mut entry = self.entries.remove(at);
                entry.deaths = entry.deaths.saturating_add(1);
                entry.last = now;
                self.entries.push(entry);
            }
            (None, true) => {
                if self.entries.len() == ENTRIES {
                    self.entries.remove(0);
                }
                self.entries.push(Entry {
                    hash,
                    deaths: 1,
                    last: now,
                });
            }
            (None, false) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO.after(span(Duration::from_secs(seconds)))
    }

    fn died() -> Result<usize, Error> {
        Err(CoreError::ConnectionReset.into())
    }

    #[test]
    fn two_deaths_in_a_row_and_a_minute() {
        let mut quarantine = Quarantine::new();
        quarantine.note(b"bad", &died(), at(1));
        assert_eq!(quarantine.refuses(b"bad", at(1)), None);
        quarantine.note(b"bad", &died(), at(2));
        assert_eq!(
            quarantine.refuses(b"bad", at(3)),
            Some(Duration::from_secs(59))
        );
        assert_eq!(quarantine.refuses(b"good", at(3)), None);
        assert_eq!(quarantine.refuses(b"bad", at(62)), None);
    }

    #[test]
    fn a_reply_in_between_forgives() {
        let mut quarantine = Quarantine::new();
        quarantine.note(b"bad", &died(), at(1));
        quarantine.note(b"bad", &Ok(0), at(1));
        quarantine.note(b"bad", &died(), at(1));
        assert_eq!(quarantine.refuses(b"bad", at(1)), None);
        // Somebody else's trouble is nobody's fault.
        quarantine.note(b"bad", &Err(CoreError::Busy.into()), at(1));
        assert_eq!(quarantine.refuses(b"bad", at(1)), None);
    }

    #[test]
    fn it_remembers_so_many() {
        let mut quarantine = Quarantine::new();
        for number in 0..=ENTRIES {
            let request = number.to_ne_bytes();
            quarantine.note(&request, &died(), at(1));
            quarantine.note(&request, &died(), at(1));
        }
        assert_eq!(quarantine.entries.len(), ENTRIES);
        assert_eq!(quarantine.refuses(&0_usize.to_ne_bytes(), at(1)), None);
        assert!(quarantine.refuses(&ENTRIES.to_ne_bytes(), at(1)).is_some());
    }
}
