// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a host supplies: a clock, a lock with its waiting callers, processes and their channels.

use crate::channel::State;
use crate::error::{Errno, Error, LockdownCheck, StartError};
use crate::lifecycle::{Admission, Lifecycle, Ticket, WorkerId};
use crate::policy::Instant;
use crate::transfer::{Answer, Ended, Withdrawn};
use core::ops::DerefMut;
use core::sync::atomic::{AtomicBool, Ordering};

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

/// Yes or no, written under a lock and read without one.
pub trait Flag {
    /// One that says so.
    fn new(value: bool) -> Self;

    /// What it says. Whoever reads `true` sees all that was done before it was stored.
    fn load(&self) -> bool;

    /// Says so from now on, to all who see it together with what was done before.
    fn store(&self, value: bool);

    /// Has it say yes, where it said no: true for one of those who try at the same time, who then sees what was done before
    /// it said no.
    fn take(&self) -> bool;
}

impl Flag for AtomicBool {
    fn new(value: bool) -> Self {
        Self::new(value)
    }

    fn load(&self) -> bool {
        self.load(Ordering::Acquire)
    }

    fn store(&self, value: bool) {
        self.store(value, Ordering::Release);
    }

    fn take(&self) -> bool {
        self.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }
}

/// Where the handler wants bytes to be read or written: in its memory, or on the way there. They may not be within reach at
/// once; then nobody waits for them who holds a lock, and nobody but the handler.
pub trait HandlerBytes: Copy {
    /// How many bytes.
    fn len(self) -> usize;

    /// No byte at all.
    fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Without the first `count` bytes.
    fn skip(self, count: usize) -> Self;

    /// Copies the beginning of `from` there; returns how many bytes went, which are fewer where the rest is out of reach.
    /// Never sleeps.
    fn write(self, from: &[u8]) -> usize;

    /// Copies the first bytes from there to `to`; as [`write`](Self::write).
    fn read(self, to: &mut [u8]) -> usize;

    /// Writes up to `len` zeros; as [`write`](Self::write).
    fn clear(self, len: usize) -> usize;

    /// Brings the first of them within reach for writing. False: that cannot be. Context: the handler's own, without a lock;
    /// may sleep as long as the handler wants.
    fn fault_in_writeable(self) -> bool;

    /// The same for reading.
    fn fault_in_readable(self) -> bool;
}

/// A value under a lock, to which a caller's two buffers can be lent for the time of an exchange.
pub trait Lending<T, U> {
    /// The right to the value.
    type Guard<'l>: Lent<U> + DerefMut<Target = T>
    where
        Self: 'l;

    /// Takes the lock. Context: any.
    fn lock(&self) -> Self::Guard<'_>;

    /// `begin` under the lock, with the reply's buffer; then, while the two buffers are lent, `wait` without it; then `end`
    /// under the lock, after which nobody touches the buffers any more. Where `begin` fails, nothing
    /// else happens.
    fn lend<R, E>(
        &self,
        request: &[u8],
        reply: &mut [u8],
        begin: impl FnOnce(&mut T, &mut [u8]) -> Result<(), E>,
        wait: impl FnOnce(),
        end: impl FnOnce(&mut T) -> R,
    ) -> Result<R, E>;
}

/// The right to the buffers that are lent, if some are.
pub trait Lent<U> {
    /// Copies `len` bytes of the lent request, from `offset` on, to the handler. Returns how many
    /// went: none where that part is not there.
    fn copy_request(&self, offset: usize, len: usize, to: U) -> usize;

    /// Copies `len` bytes from the handler to the lent reply buffer, at `offset`. Returns as above.
    fn copy_reply(&mut self, offset: usize, len: usize, from: U) -> usize;
}

/// Those who wait for a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// The caller, for its answer, or for the start.
    Caller,
    /// The handler, for a request, or for room.
    Handler,
    /// Callers, for their turn at a stream.
    Turn,
}

/// The process at the other end of a [`Channel`](crate::channel::Channel), and those who wait for it.
pub trait Peer: Clock + Sized {
    /// The channel's lock.
    type Lock: Lending<State<Self::Buffer>, Self::Bytes>;
    /// The handler's side of a copy.
    type Bytes: HandlerBytes;
    /// A flag of the channel's.
    type Flag: Flag;
    /// Memory for what a stream keeps.
    type Buffer: DerefMut<Target = [u8]>;
    /// What a caller does for the handler while it waits for it.
    type Attention<'p>
    where
        Self: 'p;
    /// What a system call of the handler's returns that a signal cuts short.
    const INTERRUPTED: Errno;

    /// Has [`Channel::deadline`](crate::channel::Channel::deadline) called at this instant, and not at the one set before; at once where it has passed. Called with
    /// the channel's lock held.
    fn start_timer(&self, at: Instant);

    /// Kills the process, if it lives. Does not wait for its death. Context: any.
    fn kill(&self);

    /// Wakes all who sleep there. Context: any.
    fn wake(&self, queue: Queue);

    /// A caller sleeps until `condition` holds, but no longer than `until`.
    fn wait(
        &self,
        queue: Queue,
        until: Instant,
        condition: impl Fn() -> bool,
    ) -> Result<(), Interrupted>;

    /// The handler sleeps in its own system call until `condition` holds, or it receives a signal.
    fn handler_waits(&self, condition: impl Fn() -> bool) -> Result<(), Interrupted>;

    /// The handler, in its own system call, has received a fatal signal.
    fn is_dying(&self) -> bool;

    /// Checks that the handler, in its own system call, has given up what it must.
    fn check(&self) -> Result<(), LockdownCheck>;

    /// Until when the owner of a stream may wait now.
    fn patience(&self) -> Instant;

    /// `len` bytes of memory. Context: may sleep.
    fn buffer(&self, len: usize) -> Result<Self::Buffer, Errno>;

    /// The process is of no use any more, for this reason; none is nobody's doing. Context: any.
    fn lost(&self, ended: Option<Ended>);

    /// The handler has answered a request whose caller is gone: it is free again.
    fn drained(&self);

    /// A request is under way, and its caller about to wait; what this returns is dropped when the wait is over, whichever
    /// way. Context of both: the caller's, without a lock.
    fn attend(&self) -> Self::Attention<'_>;

    /// A request is under way. For the record; called with the channel's lock held.
    fn asked(&self, id: u32, len: u32);

    /// It is over. For the record.
    fn answered(&self, id: u32, result: &Result<Answer, Lost>);

    /// The deadline has passed, and the process was killed. For the record.
    fn timed_out(&self);
}
