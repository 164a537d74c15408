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
use crate::lifecycle::{Admission, Served, Supply, Ticket, WorkerId};
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
    let mut journey = Journey::new(host, request.len(), limit);
    let result = travel(&mut journey, request, reply);
    journey.arrive(result)
}

fn travel<const SLOTS: usize, H: Host<SLOTS>>(
    journey: &mut Journey<'_, SLOTS, H>,
    request: &[u8],
    reply: &mut [u8],
) -> Result<usize, Error> {
    let host = journey.host;
    loop {
        let process = admission(journey)?;
        let asked = host.exchange(&process, request, reply, journey.deadline);
        if let Some(length) = journey.asked(asked)? {
            return Ok(length);
        }
    }
}

/// Makes sure that a handler is in service, and reports why not.
///
/// Returns within the policy's start deadline. Context: may sleep.
pub fn start<const SLOTS: usize, H: Host<SLOTS>>(host: &H) -> Result<(), Error> {
    let limit = host.update(|lifecycle| lifecycle.policy().start_deadline);
    let mut journey = Journey::new(host, 0, limit);
    admission(&mut journey)?;
    journey.let_go();
    Ok(())
}

/// A worker of one's own, started where there is none.
fn admission<const SLOTS: usize, H: Host<SLOTS>>(
    journey: &mut Journey<'_, SLOTS, H>,
) -> Result<ProcessOf<H>, Error> {
    let host = journey.host;
    loop {
        match journey.step()? {
            Step::Ask(process) => return Ok(process),
            Step::Start(worker, deadline) => {
                let started = host.start(worker, deadline);
                if let Some(process) = journey.started(started)? {
                    return Ok(process);
                }
            }
            Step::Wait(ticket, until) => {
                if let Err(Interrupted) = host.wait(ticket, until) {
                    return Err(Error::Interrupted);
                }
            }
            Step::Load(deadline) => host.load(deadline)?,
        }
    }
}

/// Starts the handlers that the policy wants ready beyond the callers' own. A host with spares
/// calls this off its callers' path after each death, and again at the instant that it returns, which is later than now. Context:
/// may sleep.
pub fn replenish<const SLOTS: usize, H: Host<SLOTS>>(host: &H) -> Instant {
    loop {
        let now = host.now();
        let (supply, limit) =
            host.update(|lifecycle| (lifecycle.replenish(now), lifecycle.policy().start_deadline));
        let worker = match supply {
            Supply::Enough => return Instant::NEVER,
            Supply::From(instant) => return instant,
            Supply::Start(worker) => worker,
        };
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
        StartError::Aborted | StartError::Interrupted => drop(lifecycle.retire(worker)),
        // The host's own troubles, which pass.
        StartError::Exec(
            Errno::ENOMEM
            | Errno::EAGAIN
            | Errno::EBUSY
            | Errno::EMFILE
            | Errno::ENFILE
            | Errno::ENOSPC,
        )
        | StartError::Lockdown(LockdownCheck::Memory) => lifecycle.starved(worker, now),
        _ => drop(lifecycle.died(worker, now)),
    });
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Retry {
    Allowed,
    Used,
}

type ProcessOf<H> = <H as Processes>::Process;

/// What a caller has to do next: each of these waits, so how is its host's affair.
#[derive(Debug)]
pub enum Step<P> {
    /// Ask this process, until the journey's [deadline](Journey::deadline), and say what [came of it](Journey::asked).
    Ask(P),
    /// Start this worker, which has until then, and say what [came of it](Journey::started).
    Start(WorkerId, Instant),
    /// Wait until this ticket is woken, but no longer than that.
    Wait(Ticket, Instant),
    /// There is no image: have one loaded, until then.
    Load(Instant),
}

/// One request's journey, step by step. What it decides is done at once; whatever waits is a [`Step`] for the caller
/// to make, be it with a thread that sleeps or without.
///
/// Whoever gives up on the way drops it: it leaves the queue, and a worker that it has in its hands is ended, since nobody knows what
/// that is doing by then.
#[must_use]
pub struct Journey<'h, const SLOTS: usize, H: Host<SLOTS>> {
    host: &'h H,
    request_len: usize,
    begin: Instant,
    /// The time, until some of it may have passed: reading the clock costs as much as a lock.
    now: Option<Instant>,
    deadline: Instant,
    retry: Retry,
    /// Of asking for an image.
    load: Retry,
    /// The place in the queue.
    place: Option<Ticket>,
    /// The worker that it has: to start, or to ask, or who has answered.
    worker: Option<WorkerId>,
}

impl<'h, const SLOTS: usize, H: Host<SLOTS>> Journey<'h, SLOTS, H> {
    /// That of a request of so many bytes, which is over within `limit`.
    pub fn new(host: &'h H, request_len: usize, limit: Span) -> Self {
        let begin = host.now();
        Self {
            host,
            request_len,
            begin,
            now: Some(begin),
            deadline: begin.after(limit),
            retry: Retry::Allowed,
            load: Retry::Allowed,
            place: None,
            worker: None,
        }
    }

    /// Until when it is over.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What to do next.
    ///
    /// # Errors
    ///
    /// There is no next: this is what has become of it.
    pub fn step(&mut self) -> Result<Step<ProcessOf<H>>, Error> {
        loop {
            let now = self.now.take().unwrap_or_else(|| self.host.now());
            let (admission, process) = self.host.admit(|lifecycle| {
                let mut admission = if self.request_len > lifecycle.policy().request_max {
                    Admission::Refuse(Error::RequestTooLong)
                } else if now >= self.deadline {
                    // A worker taken now would be killed by a deadline that it never had.
                    Admission::Refuse(Error::TimedOut(Seen::Unread))
                } else {
                    lifecycle.admit(self.place, now)
                };
                if let Admission::Wait(_) = admission {
                    if self.place.is_none() {
                        match lifecycle.enter() {
                            Ok(ticket) => self.place = Some(ticket),
                            Err(error) => admission = Admission::Refuse(error),
                        }
                    }
                } else if let Some(ticket) = self.place.take() {
                    lifecycle.leave(ticket);
                }
                admission
            });
            match (admission, self.place) {
                (Admission::Run(worker), _) => match process {
                    Some(process) => {
                        self.worker = Some(worker);
                        return Ok(Step::Ask(process));
                    }
                    // A host that lost a process without saying so: it is dead to us too.
                    None => self.lose(worker, Lost::Worker(Ended::Died(Seen::Unread)))?,
                },
                (Admission::Refuse(Error::NotLoaded), _) if self.load == Retry::Allowed => {
                    self.load = Retry::Used;
                    return Ok(Step::Load(self.deadline));
                }
                (Admission::Refuse(error), _) => return Err(error),
                (Admission::Start(worker), _) => {
                    let limit = self
                        .host
                        .update(|lifecycle| lifecycle.policy().start_deadline);
                    let deadline = self.host.now().after(limit).min(self.deadline);
                    self.worker = Some(worker);
                    return Ok(Step::Start(worker, deadline));
                }
                (Admission::Wait(until), Some(ticket)) => {
                    return Ok(Step::Wait(ticket, until.min(self.deadline)));
                }
                // Waiting without a ticket: enter() above gave one or refused.
                (Admission::Wait(_), None) => return Err(Error::Busy),
            }
        }
    }

    /// What came of a start: the process, which is the caller's now; or nothing, and there is a next [`step`](Self::step).
    ///
    /// # Errors
    ///
    /// Why there is none, and no other attempt.
    pub fn started(
        &mut self,
        started: Result<ProcessOf<H>, StartError>,
    ) -> Result<Option<ProcessOf<H>>, Error> {
        // Whoever was given no worker has started none.
        let worker = self.worker.ok_or(Error::InvalidArgument)?;
        match started {
            Ok(process) => {
                if self.host.update(|lifecycle| lifecycle.started(worker)) {
                    return Ok(Some(process));
                }
                self.worker = None;
                self.host.discard(worker);
                self.retry(Error::ConnectionRefused)?;
                Ok(None)
            }
            Err(error) => {
                self.worker = None;
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

    /// What came of an exchange: the length of a reply; or nothing, and there is a next [`step`](Self::step).
    ///
    /// # Errors
    ///
    /// What has become of the request.
    pub fn asked(&mut self, asked: Result<Answer, Lost>) -> Result<Option<usize>, Error> {
        match asked {
            Ok(Answer::Reply(length)) => Ok(Some(length)),
            Ok(Answer::Rejected(status)) => Err(Error::Rejected(status)),
            Err(lost) => match self.worker.take() {
                Some(worker) => self.lose(worker, lost).map(|()| None),
                // Whoever was given no worker has asked none.
                None => Err(Error::InvalidArgument),
            },
        }
    }

    /// Nothing is to be asked: the worker that was started is everybody's.
    pub fn let_go(mut self) {
        if let Some(worker) = self.worker.take() {
            self.host
                .update(|lifecycle| lifecycle.finished(worker, Served::Nothing));
        }
    }

    /// The journey is over, and accounted for.
    pub fn arrive(mut self, result: Result<usize, Error>) -> Result<usize, Error> {
        let took = self.host.now().since(self.begin);
        let worker = self.worker.take();
        self.host.update(|lifecycle| {
            if let Some(worker) = worker {
                lifecycle.finished(worker, Served::Reply);
            }
            lifecycle.counters.called(result.map(drop), took);
        });
        result
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
}

impl<const SLOTS: usize, H: Host<SLOTS>> Drop for Journey<'_, SLOTS, H> {
    fn drop(&mut self) {
        if let Some(ticket) = self.place.take() {
            self.host.update(|lifecycle| lifecycle.leave(ticket));
        }
        if let Some(worker) = self.worker.take() {
            self.host.discard(worker);
            self.host.update(|lifecycle| lifecycle.retire(worker));
        }
    }
}
