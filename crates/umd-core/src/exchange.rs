// SPDX-License-Identifier: MIT OR Apache-2.0
//! One request's journey, the same on every host.
//!
//! A caller is admitted (now, after a wait in the queue, or never), starts a handler where there
//! is none, hands over its request and takes the answer. What goes wrong on the way becomes one
//! [`Error`].
//!
//! *The retry rule.* A handler that died, or broke a rule, before it had read a byte of the request cannot
//! have acted on it: another one is asked, once. A handler that had read it may have acted: the caller is told
//! so ([`Error::ConnectionReset`]), and the request is never delivered again.

use crate::error::{Errno, Error, LockdownCheck, Seen, StartError};
use crate::host::{Host, Interrupted, Lost, Processes};
use crate::lifecycle::{Admission, Served, WorkerId};
use crate::policy::{Instant, Span};
use crate::transfer::{Answer, Ended, Withdrawn};

/// Asks the handler. Returns the length of the reply, which is at the beginning of `reply`.
///
/// Returns within `limit` (queueing and a start included), give or take what the host needs to
/// kill a handler. Context: may sleep.
pub fn call<const SLOTS: usize, H: Host<SLOTS>>(
    host: &H,
    request: &[u8],
    reply: &mut [u8],
    limit: Span,
) -> Result<usize, Error> {
    let begin = host.now();
    let journey = Journey {
        host,
        request_len: request.len(),
        now: Some(begin),
        deadline: begin.after(limit),
        retry: Retry::Allowed,
        load: Retry::Allowed,
    };
    let (result, worker) = journey.travel(request, reply);
    let took = host.now().since(begin);
    host.update(|lifecycle| {
        if let Some(worker) = worker {
            lifecycle.finished(worker, Served::Reply);
        }
        lifecycle.counters.called(result.map(drop), took);
    });
    result
}

/// Makes sure that a handler is in service, and reports why not.
///
/// Returns within the policy's start deadline. Context: may sleep.
pub fn start<const SLOTS: usize, H: Host<SLOTS>>(host: &H) -> Result<(), Error> {
    let limit = host.update(|lifecycle| lifecycle.policy().start_deadline);
    let mut journey = Journey {
        host,
        request_len: 0,
        now: None,
        deadline: host.now().after(limit),
        retry: Retry::Allowed,
        load: Retry::Allowed,
    };
    let (worker, _) = journey.admission()?;
    host.update(|lifecycle| lifecycle.finished(worker, Served::Nothing));
    Ok(())
}

/// Starts the handlers that the policy wants ready beyond the callers' own. A host with spares
/// calls this off its callers' path after each death. Context: may sleep.
pub fn replenish<const SLOTS: usize, H: Host<SLOTS>>(host: &H) {
    loop {
        let now = host.now();
        let (worker, limit) =
            host.update(|lifecycle| (lifecycle.replenish(now), lifecycle.policy().start_deadline));
        let Some(worker) = worker else { return };
        match host.start(worker, now.after(limit)) {
            Ok(_) => {
                if !host.update(|lifecycle| lifecycle.ready(worker)) {
                    host.discard(worker);
                }
            }
            Err(error) => bury(host, worker, error),
        }
    }
}

/// A worker whose start failed is let go, and blamed where the failure was its own.
fn bury<const SLOTS: usize, H: Host<SLOTS>>(host: &H, worker: WorkerId, error: StartError) {
    host.discard(worker);
    let now = host.now();
    host.update(|lifecycle| match error {
        StartError::Aborted | StartError::Interrupted => lifecycle.retire(worker),
        // The host's own troubles, which pass.
        StartError::Exec(Errno::ENOMEM | Errno::EAGAIN | Errno::EBUSY)
        | StartError::Lockdown(LockdownCheck::Memory) => lifecycle.retire(worker),
        _ => lifecycle.died(worker, now),
    });
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Retry {
    Allowed,
    Used,
}

type ProcessOf<H> = <H as Processes>::Process;

struct Journey<'h, const SLOTS: usize, H: Host<SLOTS>> {
    host: &'h H,
    request_len: usize,
    /// The time, until some of it may have passed: reading the clock costs as much as a lock.
    now: Option<Instant>,
    deadline: Instant,
    retry: Retry,
    /// Of asking for an image.
    load: Retry,
}

impl<const SLOTS: usize, H: Host<SLOTS>> Journey<'_, SLOTS, H> {
    /// The result, and the worker that is free again because of it.
    fn travel(
        mut self,
        request: &[u8],
        reply: &mut [u8],
    ) -> (Result<usize, Error>, Option<WorkerId>) {
        loop {
            let (worker, process) = match self.admission() {
                Ok(admitted) => admitted,
                Err(error) => return (Err(error), None),
            };
            let lost = match self.host.exchange(&process, request, reply, self.deadline) {
                Ok(Answer::Reply(length)) => return (Ok(length), Some(worker)),
                Ok(Answer::Rejected(status)) => {
                    return (Err(Error::Rejected(status)), Some(worker));
                }
                Err(lost) => lost,
            };
            if let Err(error) = self.lose(worker, lost) {
                return (Err(error), None);
            }
        }
    }

    /// What a failed exchange means: `Ok` is another attempt.
    fn lose(&mut self, worker: WorkerId, lost: Lost) -> Result<(), Error> {
        let ended = match lost {
            Lost::Worker(ended) | Lost::Caller(Withdrawn::Ended(ended)) => ended,
            Lost::Caller(Withdrawn::Draining) => return Err(Error::Interrupted),
            Lost::Caller(Withdrawn::Free) => {
                self.host
                    .update(|lifecycle| lifecycle.finished(worker, Served::Nothing));
                return Err(Error::Interrupted);
            }
        };
        self.host.discard(worker);
        let now = self.host.now();
        let unloading = self.host.update(|lifecycle| {
            match ended {
                Ended::Aborted(_) | Ended::Lockdown(LockdownCheck::Memory) => {
                    lifecycle.retire(worker)
                }
                _ => lifecycle.died(worker, now),
            };
            lifecycle.is_unloading()
        });
        if let Lost::Caller(_) = lost {
            return Err(Error::Interrupted);
        }
        match ended {
            Ended::Died(Seen::Unread) | Ended::Aborted(Seen::Unread) => {
                self.retry(Error::ConnectionRefused)
            }
            Ended::Aborted(Seen::Read) if unloading => Err(Error::Unloading),
            Ended::Died(Seen::Read) | Ended::Aborted(Seen::Read) => Err(Error::ConnectionReset),
            Ended::TimedOut(seen) => Err(Error::TimedOut(seen)),
            // What it said was no answer to this request.
            Ended::Broken(violation, Seen::Unread) => self.retry(Error::BadMessage(violation)),
            Ended::Broken(violation, Seen::Read) => Err(Error::BadMessage(violation)),
            Ended::Lockdown(check) => Err(Error::Start(StartError::Lockdown(check))),
        }
    }

    fn retry(&mut self, otherwise: Error) -> Result<(), Error> {
        match self.retry {
            Retry::Allowed => {
                self.retry = Retry::Used;
                Ok(())
            }
            Retry::Used => Err(otherwise),
        }
    }

    /// A worker of one's own, started where there is none.
    fn admission(&mut self) -> Result<(WorkerId, ProcessOf<H>), Error> {
        let mut place = None;
        loop {
            let now = self.now.take().unwrap_or_else(|| self.host.now());
            let (admission, process) = self.host.admit(|lifecycle| {
                let mut admission = if self.request_len > lifecycle.policy().request_max {
                    Admission::Refuse(Error::RequestTooLong)
                } else if now >= self.deadline {
                    // A worker taken now would be killed by a deadline that it never had.
                    Admission::Refuse(Error::TimedOut(Seen::Unread))
                } else {
                    lifecycle.admit(place, now)
                };
                if let Admission::Wait(_) = admission {
                    if place.is_none() {
                        match lifecycle.enter() {
                            Ok(ticket) => place = Some(ticket),
                            Err(error) => admission = Admission::Refuse(error),
                        }
                    }
                } else if let Some(ticket) = place.take() {
                    lifecycle.leave(ticket);
                }
                admission
            });
            match (admission, place) {
                (Admission::Run(worker), _) => match process {
                    Some(process) => return Ok((worker, process)),
                    // A host that lost a process without saying so: it is dead to us too.
                    None => self.lose(worker, Lost::Worker(Ended::Died(Seen::Unread)))?,
                },
                (Admission::Refuse(Error::NotLoaded), _) if self.load == Retry::Allowed => {
                    self.load = Retry::Used;
                    self.host.load(self.deadline)?;
                }
                (Admission::Refuse(error), _) => return Err(error),
                (Admission::Start(worker), _) => {
                    if let Some(process) = self.start(worker)? {
                        return Ok((worker, process));
                    }
                }
                (Admission::Wait(until), Some(ticket)) => {
                    let slept = self.host.wait(ticket, until.min(self.deadline));
                    if let Err(Interrupted) = slept {
                        self.host.update(|lifecycle| lifecycle.leave(ticket));
                        return Err(Error::Interrupted);
                    }
                }
                // Waiting without a ticket: enter() above gave one or refused.
                (Admission::Wait(_), None) => return Err(Error::Busy),
            }
        }
    }

    /// Brings the reserved worker into service. Nothing: try again.
    fn start(&mut self, worker: WorkerId) -> Result<Option<ProcessOf<H>>, Error> {
        let limit = self
            .host
            .update(|lifecycle| lifecycle.policy().start_deadline);
        let deadline = self.host.now().after(limit).min(self.deadline);
        match self.host.start(worker, deadline) {
            Ok(process) => {
                if self.host.update(|lifecycle| lifecycle.started(worker)) {
                    return Ok(Some(process));
                }
                self.host.discard(worker);
                self.retry(Error::ConnectionRefused)?;
                Ok(None)
            }
            Err(error) => {
                bury(self.host, worker, error);
                match error {
                    StartError::Died | StartError::Aborted => {
                        self.retry(Error::Start(error))?;
                        Ok(None)
                    }
                    _ => Err(Error::Start(error)),
                }
            }
        }
    }
}
