// SPDX-License-Identifier: GPL-2.0-only
//! One handler's process, from its birth to its reaping, and the channel it is asked through.
//!
//! Who comes in here, and in which context:
//!
//! | method | who | context |
//! | --- | --- | --- |
//! | [`Process::start`], [`Process::exchange`] | the caller | may sleep, killable |
//! | [`Process::read`], [`Process::write`], [`Process::poll`] | the handler | its system call |
//! | `deadline` | the deadline's timer | hard IRQ |
//! | [`Process::released`] | whoever drops the last descriptor | may sleep |
//! | [`Process::exited`] | a kernel worker, after the end | may sleep |
//!
//! They meet under one spinlock, which covers the [`Transfer`] and the caller's buffers. Bytes are
//! copied under it in bounded pieces and without page faults; a page that is missing is fetched
//! without it. So nobody waits for the handler's memory but the handler.

use super::driver::Driver;
use super::lockdown;
use crate::ffi::callbacks::Poll;
use crate::ffi::lending::{Lending, LendingGuard};
use crate::ffi::memory::Arc;
use crate::ffi::process::{self as raw, Pid};
use crate::ffi::report;
use crate::ffi::timer::Timer;
use crate::ffi::user::UserBytes;
use crate::ffi::wait::{self, WaitQueues};
use core::num::NonZeroU32;
use core::sync::atomic::{AtomicBool, Ordering};
use umd_core::error::{Errno, Error, LockdownCheck, Seen, StartError};
use umd_core::frame::HEADER_LEN;
use umd_core::host::{Interrupted, Lost};
use umd_core::lifecycle::WorkerId;
use umd_core::policy::{Framing, Instant};
use umd_core::status::ExitStatus;
use umd_core::transfer::{Answer, Ended, Incoming, Outgoing, Progress, Tick, Transfer};

/// Most bytes that are copied with interrupts off.
const PIECE: usize = 16 * 1024;

/// The wait queues of a process.
const CALLER: usize = 0;
pub(crate) const HANDLER: usize = 1;

/// poll(2)'s answers, as in `include/uapi/asm-generic/poll.h`.
const POLLIN: u32 = 0x41;
const POLLOUT: u32 = 0x104;
const POLLHUP: u32 = 0x10;

/// The errno that makes the kernel restart a system call after a signal, as in
/// `include/linux/errno.h`; never seen by user space.
const ERESTARTSYS: i32 = 512;

/// What exec says when SIGKILL cuts it short, as in `include/linux/errno.h`: `EINTR`, `E2BIG` (its
/// one argument and empty environment are never too big), `EFAULT`, and the errnos of a restart.
const KILLED_IN_EXEC: [i32; 7] = [4, 7, 14, 512, 513, 514, 516];

struct Channel {
    transfer: Transfer,
    /// When the timer will look; it is started again only for something earlier.
    armed: Option<Instant>,
    last_id: u32,
}

/// One handler's process.
pub struct Process {
    /// First, so that it is cancelled before anything that its callback uses is gone.
    timer: Timer<Process>,
    channel: Lending<Channel>,
    queues: WaitQueues,
    pid: Pid,
    driver: Arc<Driver>,
    worker: WorkerId,
    /// For the exchanges of the health check.
    start_deadline: Instant,
    /// The task has passed the host's checks.
    confined: AtomicBool,
    /// What those who sleep wait for, as [`Process::with`] last saw it.
    answered: AtomicBool,
    readable: AtomicBool,
}

impl Process {
    /// Makes the record of a process; nothing runs yet.
    pub fn try_new(
        driver: &Arc<Driver>,
        worker: WorkerId,
        framing: Framing,
        deadline: Instant,
    ) -> Result<Arc<Self>, Error> {
        let process = Arc::try_new(Self {
            timer: Timer::try_new()?,
            channel: Lending::try_new(Channel {
                transfer: Transfer::new(framing, deadline),
                armed: None,
                last_id: 0,
            })?,
            queues: WaitQueues::try_new(2)?,
            pid: Pid::new(),
            driver: driver.clone(),
            worker,
            start_deadline: deadline,
            confined: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            readable: AtomicBool::new(false),
        })?;
        Timer::bind(&process);
        Ok(process)
    }

    /// The deadline's timer.
    pub(crate) fn timer(&self) -> &Timer<Self> {
        &self.timer
    }

    /// Who waits for what.
    pub(crate) fn queues(&self) -> &WaitQueues {
        &self.queues
    }

    /// The process id.
    pub fn pid(&self) -> &Pid {
        &self.pid
    }

    /// Which start of which slot this is.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }

    /// The task has passed the host's checks, and strict mode is in force.
    pub fn is_confined(&self) -> bool {
        self.confined.load(Ordering::Acquire)
    }

    /// Executes the image and waits for a good hello; kills what does not give one. Context: the
    /// caller.
    pub fn start(this: &Arc<Self>, deadline: Instant) -> Result<(), StartError> {
        this.arm(&mut this.channel.lock(), deadline);
        let result = raw::spawn(this, this.driver.image(), this.driver.name())
            .map_err(|errno| this.exec_error(errno))
            .and_then(|()| this.await_hello());
        if result.is_err() {
            this.abort();
        }
        result
    }

    /// Why it was not executed: a process that is killed on the way gives all kinds of errnos.
    fn exec_error(&self, errno: Errno) -> StartError {
        match self.ended() {
            Some(ended @ (Ended::TimedOut(_) | Ended::Aborted(_))) => start_error(ended),
            _ if KILLED_IN_EXEC.contains(&errno.get()) => StartError::Died,
            _ => StartError::Exec(errno),
        }
    }

    /// Why the channel is closed, once it is.
    pub fn ended(&self) -> Option<Ended> {
        self.channel.lock().transfer.ended()
    }

    fn await_hello(&self) -> Result<(), StartError> {
        // The deadline's timer ends this wait too.
        let waited = self.queues.killable(CALLER, Instant::NEVER, || {
            self.channel.lock().transfer.start_result().is_some()
        });
        match (self.channel.lock().transfer.start_result(), waited) {
            (Some(result), _) => result.map_err(start_error),
            (None, Err(Interrupted)) => Err(StartError::Interrupted),
            // Cannot be: the wait ended because there is a result.
            (None, Ok(())) => Err(StartError::Aborted),
        }
    }

    /// One request, one answer. Context: the caller.
    pub fn exchange(
        &self,
        request: &[u8],
        reply: &mut [u8],
        deadline: Instant,
    ) -> Result<Answer, Lost> {
        let length = u32::try_from(request.len()).unwrap_or(u32::MAX);
        let capacity = reply.len();
        let mut id = 0;
        let exchanged = self.channel.lend(
            request,
            reply,
            |channel| {
                let next = next_id(channel.last_id);
                id = next.get();
                channel.transfer.submit(next, length, capacity, deadline)?;
                channel.last_id = id;
                self.arm(channel, deadline);
                self.publish(channel);
                report::request(self.driver.name(), &self.pid, id, length);
                Ok(())
            },
            || {
                self.queues.wake(HANDLER);
                // The deadline ends this wait too, by its timer; whether by a signal or not is seen
                // from whether there is a result.
                let _ = self.queues.killable(CALLER, Instant::NEVER, || {
                    self.answered.load(Ordering::Acquire)
                });
            },
            |channel| {
                let result = match channel.transfer.collect() {
                    Some(result) => result.map_err(Lost::Worker),
                    None => Err(Lost::Caller(channel.transfer.withdraw())),
                };
                self.publish(channel);
                result
            },
        );
        let result = match exchanged {
            Ok(result) => result,
            Err(ended) => Err(Lost::Worker(ended)),
        };
        report::reply(self.driver.name(), &self.pid, id, traced(&result));
        result
    }

    /// As [`exchange`](Self::exchange), for the health check: within the start's deadline.
    pub fn probe(&self, request: &[u8], reply: &mut [u8]) -> Result<usize, Error> {
        match self.exchange(request, reply, self.start_deadline) {
            Ok(Answer::Reply(length)) => Ok(length),
            Ok(Answer::Rejected(status)) => Err(Error::Rejected(status)),
            Err(Lost::Worker(Ended::TimedOut(seen))) => Err(Error::TimedOut(seen)),
            Err(Lost::Worker(Ended::Broken(violation))) => Err(Error::BadMessage(violation)),
            Err(Lost::Worker(_)) => Err(Error::ConnectionReset),
            Err(Lost::Caller(_)) => Err(Error::Interrupted),
        }
    }

    /// Nobody wants this process any more: it is killed, and whoever waits for it is woken.
    /// Context: any.
    pub fn abort(&self) {
        self.with(|channel| channel.transfer.abort());
        self.end();
    }

    /// Changes the channel under its lock, so that those who sleep see it when they are woken.
    fn with<R>(&self, change: impl FnOnce(&mut LendingGuard<'_, Channel>) -> R) -> R {
        let mut channel = self.channel.lock();
        let result = change(&mut channel);
        self.publish(&channel);
        result
    }

    fn publish(&self, channel: &Channel) {
        let transfer = &channel.transfer;
        self.answered
            .store(transfer.has_result(), Ordering::Release);
        self.readable
            .store(transfer.is_readable(), Ordering::Release);
    }

    /// Kills, and wakes both sides. What the caller is told has been decided before.
    fn end(&self) {
        self.pid.kill();
        self.queues.wake(CALLER);
        self.queues.wake(HANDLER);
    }

    /// Sets the timer for `deadline`, unless it looks earlier anyway. A timer that finds the
    /// deadline moved sets itself again: so a call in the common case starts and stops none.
    fn arm(&self, channel: &mut Channel, deadline: Instant) {
        if channel.armed.is_none_or(|armed| deadline < armed) {
            channel.armed = Some(deadline);
            self.timer.start(deadline);
        }
    }

    /// The deadline's timer: decides first, then kills. Context: hard IRQ.
    pub(crate) fn deadline(&self) {
        let tick = self.with(|channel| {
            channel.armed = None;
            let tick = channel.transfer.tick(wait::now());
            if let Tick::At(deadline) = tick {
                self.arm(channel, deadline);
            }
            tick
        });
        if tick == Tick::Expired {
            self.end();
            // There may be no caller any more who would say so.
            self.driver
                .lost(self.worker, self.with(|c| c.transfer.ended()));
            report::timeout(self.driver.name(), &self.pid);
        }
    }

    /// The process exists, and is about to be executed. Context: the child.
    pub fn born(&self) {
        self.driver.born();
    }

    /// The process is a zombie or gone, and with it the reference to it that is given here. Context:
    /// a kernel worker.
    pub fn exited(this: Arc<Self>, status: u32) {
        // Somebody else may have a copy of the channel's descriptor, so this can come before release.
        let ended = this.closed();
        let (driver, name) = (&this.driver, this.driver.name());
        report::exit(name, &this.pid, status);
        if !matches!(ended, Some(Ended::Aborted(_) | Ended::TimedOut(_))) {
            report::log_exit(name, this.pid.number(), status);
        }
        driver.exited(ExitStatus::from_wait_status(status));
        let driver = driver.clone();
        drop(this);
        driver.reaped();
    }

    /// No byte passes any more: whoever waits is told, and so is the driver. Returns why.
    fn closed(&self) -> Option<Ended> {
        let ended = self.with(|channel| {
            channel.transfer.close();
            channel.transfer.ended()
        });
        self.queues.wake(CALLER);
        self.driver.lost(self.worker, ended);
        ended
    }

    /// The last descriptor of the channel is closed: by the process's end, mostly.
    pub fn released(&self) {
        self.closed();
        // It may live on without a channel; it is of no use then.
        self.pid.kill();
    }

    /// The handler's read(2): at most one request, as much of it as fits.
    pub fn read(&self, to: UserBytes, nonblock: bool) -> Result<usize, Errno> {
        self.enter()?;
        let mut done: usize = 0;
        loop {
            let stop = if self.readable.load(Ordering::Acquire) {
                self.with(|channel| give(channel, to, &mut done))
            } else {
                Stop::Nothing
            };
            match stop {
                Stop::Full => return Ok(done),
                Stop::Fault if to.skip(done).fault_in_writeable() => {}
                Stop::Fault if done == 0 => return Err(Errno::EFAULT),
                Stop::Fault => return Ok(done),
                Stop::Nothing if done > 0 => return Ok(done),
                Stop::Nothing if nonblock => return Err(Errno::EAGAIN),
                Stop::Nothing => self
                    .queues
                    .interruptible(HANDLER, || self.readable.load(Ordering::Acquire))
                    .map_err(|_| Errno::new(ERESTARTSYS))?,
                Stop::Piece => {}
                Stop::Closed => return Ok(done),
            }
        }
    }

    /// The handler's write(2): its hello, or its reply.
    pub fn write(&self, from: UserBytes) -> Result<usize, Errno> {
        self.enter()?;
        let mut done: usize = 0;
        loop {
            let rest = from.skip(done);
            if rest.is_empty() {
                return Ok(done);
            }
            let (len, taken, progress) = self.with(|channel| take(channel, rest))?;
            done = done.saturating_add(taken);
            match progress {
                Progress::More => {}
                Progress::Hello => self.hello()?,
                Progress::Answered => self.queues.wake(CALLER),
                Progress::Drained(_) => self.driver.drained(self.worker),
                Progress::Kill => {
                    self.end();
                    self.driver
                        .lost(self.worker, self.with(|c| c.transfer.ended()));
                    return Err(Errno::EPIPE);
                }
            }
            if taken < len && !from.skip(done).fault_in_readable() {
                return if done == 0 {
                    Err(Errno::EFAULT)
                } else {
                    Ok(done)
                };
            }
        }
    }

    /// The handler's poll(2).
    pub fn poll(&self, poll: &Poll) -> u32 {
        raw::poll(self, poll);
        match self.channel.lock().transfer.outgoing(1) {
            Outgoing::Nothing => POLLOUT,
            Outgoing::Closed => POLLIN | POLLHUP,
            _ => POLLIN | POLLOUT,
        }
    }

    /// Is it the handler that reads or writes? Somebody else's copy of the descriptor is dead. A raw
    /// handler says no hello: it is checked when it first uses the channel.
    fn enter(&self) -> Result<(), Errno> {
        if !self.pid.is_current() {
            return Err(Errno::EPERM);
        }
        if self.driver.framing() == Framing::Raw && !self.is_confined() {
            self.confine()?;
        }
        Ok(())
    }

    /// A good hello is complete: now the task is checked.
    fn hello(&self) -> Result<(), Errno> {
        self.confine()?;
        self.with(|channel| channel.transfer.admit());
        self.queues.wake(CALLER);
        Ok(())
    }

    fn confine(&self) -> Result<(), Errno> {
        match lockdown::confine(self) {
            Ok(()) => {
                self.confined.store(true, Ordering::Release);
                Ok(())
            }
            Err(check) => {
                self.refuse(check);
                Err(Errno::EPERM)
            }
        }
    }

    fn refuse(&self, check: LockdownCheck) {
        self.with(|channel| channel.transfer.fail(Ended::Lockdown(check)));
        self.end();
    }
}

/// Why copying to the handler stopped.
enum Stop {
    /// Its buffer is full.
    Full,
    /// Let others have the lock, then go on.
    Piece,
    /// A page of its buffer is not present.
    Fault,
    /// There is nothing more to read now.
    Nothing,
    /// There never will be.
    Closed,
}

/// Copies up to one piece to the handler, under the lock.
fn give(channel: &mut LendingGuard<'_, Channel>, to: UserBytes, done: &mut usize) -> Stop {
    let mut left = PIECE;
    loop {
        let to = to.skip(*done);
        if to.is_empty() {
            return Stop::Full;
        }
        if left == 0 {
            return Stop::Piece;
        }
        let max = to.len().min(left);
        let (len, sent) = match channel.transfer.outgoing(max) {
            Outgoing::Header { header, from, len } => {
                let end = from.saturating_add(len);
                (len, to.write(header.get(from..end).unwrap_or_default()))
            }
            Outgoing::Payload { offset, len } => (len, channel.copy_request(offset, len, to)),
            Outgoing::Filler { len } => (len, to.clear(len)),
            Outgoing::Nothing => return Stop::Nothing,
            Outgoing::Closed => return Stop::Closed,
        };
        channel.transfer.sent(sent);
        *done = done.saturating_add(sent);
        left = left.saturating_sub(sent.max(1));
        if sent < len {
            return Stop::Fault;
        }
    }
}

/// Takes up to one piece from the handler, under the lock: how much was wanted, how much came,
/// and what came of it.
fn take(
    channel: &mut LendingGuard<'_, Channel>,
    from: UserBytes,
) -> Result<(usize, usize, Progress), Errno> {
    match channel.transfer.incoming(from.len().min(PIECE)) {
        Incoming::Header { len } => {
            let mut bytes = [0; HEADER_LEN];
            let header = bytes.get_mut(..len).unwrap_or_default();
            let taken = from.read(header);
            let header = header.get(..taken).unwrap_or_default();
            Ok((len, taken, channel.transfer.header(header)))
        }
        Incoming::Payload { offset, len } => {
            let taken = channel.copy_reply(offset, len, from);
            Ok((len, taken, channel.transfer.received(taken)))
        }
        Incoming::Discard { len } => Ok((len, len, channel.transfer.received(len))),
        Incoming::Kill => Ok((0, 0, Progress::Kill)),
        Incoming::Closed => Err(Errno::EPIPE),
    }
}

fn next_id(last: u32) -> NonZeroU32 {
    NonZeroU32::new(last.wrapping_add(1)).unwrap_or(NonZeroU32::MIN)
}

/// What the end of a process means for its start.
pub fn start_error(ended: Ended) -> StartError {
    match ended {
        Ended::Died(_) => StartError::Died,
        Ended::TimedOut(_) => StartError::TimedOut,
        Ended::Broken(violation) => StartError::Hello(violation),
        Ended::Lockdown(check) => StartError::Lockdown(check),
        Ended::Aborted(_) => StartError::Aborted,
    }
}

/// A result as the trace event shows it: the length, or a negative errno.
fn traced(result: &Result<Answer, Lost>) -> i32 {
    let error = match result {
        Ok(Answer::Reply(length)) => return i32::try_from(*length).unwrap_or(i32::MAX),
        Ok(Answer::Rejected(status)) => Error::Rejected(*status),
        Err(Lost::Worker(Ended::Died(Seen::Unread))) => Error::ConnectionRefused,
        Err(Lost::Worker(Ended::Died(Seen::Read) | Ended::Aborted(_))) => Error::ConnectionReset,
        Err(Lost::Worker(Ended::TimedOut(seen))) => Error::TimedOut(*seen),
        Err(Lost::Worker(Ended::Broken(violation))) => Error::BadMessage(*violation),
        Err(Lost::Worker(Ended::Lockdown(check))) => Error::Start(StartError::Lockdown(*check)),
        Err(Lost::Caller(_)) => Error::Interrupted,
    };
    error.errno().get().saturating_neg()
}
