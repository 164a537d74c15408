// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a host supplies: a clock, a lock with its waiting callers, processes and their channels.

use crate::error::{Error, StartError};
use crate::lifecycle::{Admission, Lifecycle, Ticket, WorkerId};
use crate::policy::Instant;
use crate::transfer::{Answer, Ended, Withdrawn};

/// The caller received a fatal signal while it waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

/// Why an exchange brought no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The worker is done for.
    Worker(Ended),
    /// The caller received a fatal signal; this has become of the worker. One that is
    /// [draining](Withdrawn::Draining) stays busy until the host reports it
    /// [finished](Lifecycle::finished) or [dead](Lifecycle::died).
    Caller(Withdrawn),
}

/// The clock.
pub trait Clock {
    /// The time now.
    fn now(&self) -> Instant;
}

/// The one lock of a driver, and those who wait for what is under it.
pub trait Turnstile<const SLOTS: usize> {
    /// A process in service, as its caller holds it.
    type Process;

    /// Changes the lifecycle under the lock, then wakes [`Lifecycle::wakeup`].
    fn update<R>(&self, change: impl FnOnce(&mut Lifecycle<SLOTS>) -> R) -> R;

    /// As [`update`](Self::update), for a caller who may be admitted: with [`Admission::Run`] comes
    /// the worker's process, taken under the same lock.
    fn admit(
        &self,
        ask: impl FnOnce(&mut Lifecycle<SLOTS>) -> Admission,
    ) -> (Admission, Option<Self::Process>);

    /// Sleeps until `ticket` has been woken since it last slept, or until `until`. May return
    /// early.
    fn wait(&self, ticket: Ticket, until: Instant) -> Result<(), Interrupted>;
}

/// The processes made from the driver's image, and their channels.
pub trait Processes {
    /// A process in service, as its caller holds it.
    type Process;

    /// There is no image: sees to it that there is one. Never returns later than the deadline needs.
    ///
    /// # Errors
    ///
    /// [`NotLoaded`](Error::NotLoaded) where nothing brings one, `TimedOut`, `Interrupted`.
    fn load(&self, deadline: Instant) -> Result<(), Error>;

    /// Makes a process from the image, gives it a channel, and returns when it has said hello,
    /// passed the host's checks and the driver's health check; or says why not. Never returns
    /// later than the deadline needs.
    fn start(&self, worker: WorkerId, deadline: Instant) -> Result<Self::Process, StartError>;

    /// One request, one answer. When this returns, nothing touches the two buffers any more.
    /// Never returns later than the deadline needs.
    fn exchange(
        &self,
        process: &Self::Process,
        request: &[u8],
        reply: &mut [u8],
        deadline: Instant,
    ) -> Result<Answer, Lost>;

    /// Kills the process, if it lives, and lets go of it. Does not wait for its death.
    fn discard(&self, worker: WorkerId);
}

/// All that [`exchange`](crate::exchange) needs of a host.
pub trait Host<const SLOTS: usize>:
    Clock + Turnstile<SLOTS> + Processes<Process = <Self as Turnstile<SLOTS>>::Process>
{
}

impl<const SLOTS: usize, P, H> Host<SLOTS> for H where
    H: Clock + Turnstile<SLOTS, Process = P> + Processes<Process = P>
{
}
