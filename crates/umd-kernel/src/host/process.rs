// SPDX-License-Identifier: GPL-2.0-only
//! One handler's process, from its birth to its reaping, and the channel it is asked through.
//!
//! Who comes in here, and in which context:
//!
//! | method | who | context |
//! | --- | --- | --- |
//! | [`Process::start`], [`Process::exchange`] | the caller | may sleep, killable |
//! | [`Process::stream_read`], [`Process::stream_write`] | the owner of a stream's files | as above |
//! | [`Process::read`], [`Process::write`], [`Process::poll`] | the handler | its system call |
//! | `deadline` | the deadline's timer | hard IRQ |
//! | [`Process::dropped`] | whoever closes an owner's file | may sleep |
//! | [`Process::released`] | whoever drops the last descriptor | may sleep |
//! | [`Process::exited`] | a kernel worker, after the end | may sleep |
//!
//! They meet under one spinlock, which covers the [`Transfer`] and the caller's buffers. Bytes are
//! copied under it in bounded pieces and without page faults; a page that is missing is fetched
//! without it. So nobody waits for the handler's memory but the handler.

use super::driver::Driver;
use super::lockdown;
use crate::ffi::callbacks::Poll;
use crate::ffi::image::Image;
use crate::ffi::lending::{Lending, LendingGuard};
use crate::ffi::memory::{Arc, Buffer};
use crate::ffi::process::{self as raw, Pid};
use crate::ffi::report;
use crate::ffi::task;
use crate::ffi::timer::Timer;
use crate::ffi::user::UserBytes;
use crate::ffi::wait::{self, WaitQueues};
use core::cell::Cell;
use core::num::NonZeroU32;
use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use umd_core::error::{Errno, Error, LockdownCheck, Seen, StartError, Violation};
use umd_core::frame::HEADER_LEN;
use umd_core::host::{Interrupted, Lost};
use umd_core::lifecycle::WorkerId;
use umd_core::lockdown::Elements;
use umd_core::policy::{Framing, Instant, Priority};
use umd_core::ring::{PIPE_CAPACITY, Ring};
use umd_core::status::{Denied, ExitStatus};
use umd_core::transfer::{
    Answer, Ended, Incoming, Outgoing, Progress, Room, Tick, Transfer, Wanted, Withdrawn,
};

/// Most bytes that are copied with interrupts off.
const PIECE: usize = 16 * 1024;

/// The wait queues of a process.
const CALLER: usize = 0;
pub(crate) const HANDLER: usize = 1;
const TURN: usize = 2;

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
    /// What the owner of a stream wrote ahead: the handler reads it first.
    ahead: Ring<Buffer>,
    /// What the handler of a stream wrote, and nobody wanted yet.
    kept: Ring<Buffer>,
    /// The ends of a stream that its owner has closed.
    closed: Closed,
}

/// Which of its two files the owner of a stream has closed.
#[derive(Clone, Copy, Default)]
struct Closed {
    to: bool,
    from: bool,
}

/// One of the two files through which the owner of a stream reaches the handler.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The one that it writes to.
    To,
    /// The one that it reads from.
    From,
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
    /// Until when a stream may be asked, in nanoseconds: the start's deadline until that is over.
    limit: AtomicU64,
    /// Somebody has his turn at the stream.
    taken: AtomicBool,
    /// The handler still works on a request whose caller is gone, as [`Process::with`] last saw it: nobody has
    /// his turn.
    draining: AtomicBool,
    /// The task has passed the host's checks.
    confined: AtomicBool,
    /// What of its lockdown is in force: [`Elements`] as a number.
    in_force: AtomicU16,
    /// What those who sleep wait for, as [`Process::with`] last saw it.
    answered: AtomicBool,
    readable: AtomicBool,
    writable: AtomicBool,
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
                ahead: Ring::new(),
                kept: Ring::new(),
                closed: Closed::default(),
            })?,
            queues: WaitQueues::try_new(3)?,
            pid: Pid::new(),
            driver: driver.clone(),
            worker,
            start_deadline: deadline,
            limit: AtomicU64::new(deadline.as_nanos()),
            taken: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            confined: AtomicBool::new(false),
            in_force: AtomicU16::new(0),
            answered: AtomicBool::new(false),
            readable: AtomicBool::new(false),
            writable: AtomicBool::new(true),
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

    /// What of its lockdown is in force: what the host has done or seen itself.
    pub fn in_force(&self) -> Elements {
        Elements::from_bits(self.in_force.load(Ordering::Acquire))
    }

    /// What its driver is.
    pub fn driver(&self) -> &Arc<Driver> {
        &self.driver
    }

    /// Executes the image and waits for a good hello; kills what does not give one. The process of a stream
    /// says none: it has started when it is executed, even if it is dead by now. Context: the caller.
    pub fn start(this: &Arc<Self>, image: &Image, deadline: Instant) -> Result<(), StartError> {
        this.arm(&mut this.channel.lock(), deadline);
        let result = raw::spawn(this, image, deadline)
            .map_err(|errno| this.exec_error(errno))
            .and_then(|()| match this.driver.framing() {
                // Dead or alive, but not unwanted.
                Framing::Stream => match this.ended() {
                    Some(ended @ (Ended::Aborted(_) | Ended::TimedOut(_))) => {
                        Err(start_error(ended))
                    }
                    _ => Ok(()),
                },
                Framing::Framed | Framing::Raw => this.await_hello(),
            });
        if result.is_err() {
            this.abort();
        }
        result
    }

    /// Until when its start may take.
    pub fn start_deadline(&self) -> Instant {
        self.start_deadline
    }

    /// The start is over.
    pub fn in_service(&self) {
        self.limit
            .store(Instant::NEVER.as_nanos(), Ordering::Relaxed);
    }

    /// Why it was not executed: a process that is killed on the way gives all kinds of errnos.
    fn exec_error(&self, errno: Errno) -> StartError {
        match self.ended() {
            Some(ended @ (Ended::TimedOut(_) | Ended::Aborted(_))) => start_error(ended),
            _ if task::is_dying() => StartError::Interrupted,
            _ if errno == Errno::ETIMEDOUT => StartError::TimedOut,
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
        match self.driver.framing() {
            Framing::Framed | Framing::Raw => {
                self.exchange_alone(request, reply, Wanted::All, deadline)
            }
            Framing::Stream => self.exchange_in_turn(request, reply, Wanted::All, Some(deadline)),
        }
    }

    /// As [`exchange`](Self::exchange), for a stream, which several may want to use at the same time.
    fn exchange_in_turn(
        &self,
        request: &[u8],
        reply: &mut [u8],
        wanted: Wanted,
        deadline: Option<Instant>,
    ) -> Result<Answer, Lost> {
        let _turn = Turn::take(self, deadline.unwrap_or_else(|| self.patience()))?;
        // What is there already may do, even if the process is dead by now.
        if let Some(answer) = self.kept(request, reply, wanted) {
            return Ok(answer);
        }
        // The handler of an owner has its time, however long the turn took.
        let deadline = deadline.unwrap_or_else(|| self.patience());
        let result = self.exchange_alone(request, reply, wanted, deadline);
        if let Err(Lost::Worker(_)) = result
            && let Some(answer) = self.kept(request, reply, wanted)
        {
            // Its last words, which came before its end.
            return Ok(answer);
        }
        if let Err(Lost::Worker(Ended::Broken(..))) = result {
            // It may have been found out only now.
            self.end();
        }
        result
    }

    /// Whoever only wants to receive, and as much as was kept, need not ask.
    fn kept(&self, request: &[u8], reply: &mut [u8], wanted: Wanted) -> Option<Answer> {
        if !request.is_empty() {
            return None;
        }
        let enough = match wanted {
            Wanted::All => reply.len(),
            Wanted::Any => 1,
        };
        let length =
            self.with(|channel| (channel.kept.len() >= enough).then(|| channel.kept.pop(reply)))?;
        self.queues.wake(HANDLER);
        Some(Answer::Reply(length))
    }

    fn exchange_alone(
        &self,
        request: &[u8],
        reply: &mut [u8],
        wanted: Wanted,
        deadline: Instant,
    ) -> Result<Answer, Lost> {
        self.pid.attend();
        // Until the exchange is over, whichever way.
        let _lent = match self.driver.priority() {
            Priority::Nice(_) => None,
            Priority::Inherit => self.pid.lend_priority(),
        };
        let length = u32::try_from(request.len()).unwrap_or(u32::MAX);
        let mut id = 0;
        let exchanged = self.channel.lend(
            request,
            reply,
            |channel, reply| {
                if !channel.kept.is_empty() && !request.is_empty() && !reply.is_empty() {
                    // Of what was asked before, or of nothing at all.
                    channel.transfer.left_over();
                    self.publish(channel);
                    return Err(Ended::Broken(Violation::Unasked, Seen::Unread));
                }
                // Of a dead process it stays where it is.
                let filled = match (request, channel.transfer.ended()) {
                    ([], None) => channel.kept.pop(reply),
                    _ => 0,
                };
                let room = Room {
                    capacity: reply.len(),
                    filled,
                    wanted,
                };
                let next = next_id(channel.last_id);
                id = next.get();
                channel.transfer.submit(next, length, room, deadline)?;
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
            Err(Lost::Worker(Ended::Broken(violation, _))) => Err(Error::BadMessage(violation)),
            Err(Lost::Worker(_)) => Err(Error::ConnectionReset),
            Err(Lost::Caller(_)) => Err(Error::Interrupted),
        }
    }

    /// Until when the owner of a stream may wait now.
    fn patience(&self) -> Instant {
        let limit = Instant::from_nanos(self.limit.load(Ordering::Relaxed));
        wait::now().after(self.driver.deadline()).min(limit)
    }

    /// The owner of a stream asks: all of the request goes out, and the reply is filled. Context: may sleep.
    pub fn stream_exchange(&self, request: &[u8], reply: &mut [u8]) -> Result<(), Lost> {
        self.exchange_in_turn(request, reply, Wanted::All, None)
            .map(drop)
    }

    /// The owner of a stream reads: what there is, or what comes first; 0 at the end. Context: may sleep.
    pub fn stream_read(&self, to: &mut [u8]) -> Result<usize, Errno> {
        if to.is_empty() {
            return Ok(0);
        }
        match self.exchange_in_turn(&[], to, Wanted::Any, None) {
            Ok(Answer::Reply(length)) => Ok(length),
            Err(Lost::Worker(Ended::TimedOut(_))) => Err(Errno::ETIMEDOUT),
            Err(Lost::Worker(Ended::Lockdown(_))) => Err(Errno::EPERM),
            Err(Lost::Caller(_)) => Err(Errno::EINTR),
            Ok(Answer::Rejected(_)) | Err(Lost::Worker(_)) => Ok(0),
        }
    }

    /// The owner of a stream writes: all of it, or an error. As much as a pipe holds is kept for the
    /// handler; whoever writes more waits. Context: may sleep.
    pub fn stream_write(&self, from: &[u8]) -> Result<usize, Errno> {
        // Not into the middle of a request whose caller is gone. A reader who waits does not matter.
        let drained = || !self.draining.load(Ordering::Acquire);
        if !drained() {
            self.queues
                .killable(TURN, self.patience(), drained)
                .map_err(|Interrupted| Errno::EINTR)?;
        }
        let mut left = from;
        while !left.is_empty() {
            self.make_room(|channel| &mut channel.ahead)?;
            let piece = left.get(..PIECE).unwrap_or(left);
            let pushed = self.with(|channel| match channel.transfer.ended() {
                None => Ok(channel.ahead.push(piece)),
                Some(Ended::TimedOut(_)) => Err(Errno::ETIMEDOUT),
                Some(Ended::Lockdown(_)) => Err(Errno::EPERM),
                Some(_) => Err(Errno::EPIPE),
            })?;
            self.queues.wake(HANDLER);
            left = left.get(pushed..).unwrap_or_default();
            if pushed == piece.len() {
                continue;
            }
            // All but the last of it goes by hand, one byte at least: then there is room for the rest.
            let by_hand = left.len().saturating_sub(PIPE_CAPACITY).max(1);
            let (now, later) = left.split_at_checked(by_hand).unwrap_or((left, &[]));
            match self.exchange_in_turn(now, &mut [], Wanted::All, None) {
                Ok(_) => left = later,
                Err(Lost::Worker(Ended::TimedOut(_))) => return Err(Errno::ETIMEDOUT),
                Err(Lost::Worker(Ended::Lockdown(_))) => return Err(Errno::EPERM),
                Err(Lost::Worker(_)) => return Err(Errno::EPIPE),
                Err(Lost::Caller(_)) => return Err(Errno::EINTR),
            }
        }
        Ok(from.len())
    }

    /// Sees to it that a ring can hold something.
    fn make_room(&self, ring: impl Fn(&mut Channel) -> &mut Ring<Buffer>) -> Result<(), Errno> {
        if self.with(|channel| ring(channel).has_room()) {
            return Ok(());
        }
        let buffer = Buffer::try_new(PIPE_CAPACITY).map_err(|error| error.errno())?;
        // What is not needed is dropped without the lock.
        drop(self.with(|channel| ring(channel).give_room(buffer)));
        Ok(())
    }

    /// The owner of a stream has closed one of its files. Without both, nobody wants the process any more.
    pub fn dropped(&self, end: End) {
        let closed = self.with(|channel| {
            match end {
                End::To => channel.closed.to = true,
                End::From => channel.closed.from = true,
            }
            channel.closed
        });
        self.queues.wake(HANDLER);
        if closed.to && closed.from {
            self.abort();
            self.driver.retired(self.worker);
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
        self.draining
            .store(transfer.is_draining(), Ordering::Release);
        let readable = transfer.is_readable() || !channel.ahead.is_empty() || channel.closed.to;
        self.readable.store(readable, Ordering::Release);
        let writable = !channel.kept.has_room() || !channel.kept.is_full() || channel.is_deaf();
        self.writable.store(writable, Ordering::Release);
    }

    /// Kills, and wakes both sides. What the caller is told has been decided before.
    fn end(&self) {
        self.pid.kill();
        self.queues.wake(CALLER);
        self.queues.wake(HANDLER);
        self.queues.wake(TURN);
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
    pub fn exited(this: Arc<Self>, status: u32, denied: Option<Denied>) {
        // Somebody else may have a copy of the channel's descriptor, so this can come before release.
        let ended = this.closed();
        let (driver, name) = (&this.driver, this.driver.name());
        report::exit(name, &this.pid, status);
        if !matches!(ended, Some(Ended::Aborted(_) | Ended::TimedOut(_))) {
            report::log_exit(name, this.pid.number(), status);
        }
        if let Some(denied) = denied {
            report::log_denied(name, this.pid.number(), denied);
        }
        driver.exited(ExitStatus::from_wait_status(status), denied);
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
        self.queues.wake(TURN);
        self.driver.lost(self.worker, ended);
        ended
    }

    /// The handler has answered a request whose caller is gone.
    fn drained(&self) {
        self.queues.wake(TURN);
        self.driver.drained(self.worker);
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
            // Who was killed before it was asked is not to have had the request in hand.
            if done == 0 && task::is_dying() {
                return Err(Errno::new(ERESTARTSYS));
            }
            let (stop, progress) = if self.readable.load(Ordering::Acquire) {
                self.with(|channel| give(channel, to, &mut done))
            } else {
                (Stop::Nothing, Progress::More)
            };
            match progress {
                Progress::Answered => self.queues.wake(CALLER),
                Progress::Drained(_) => self.drained(),
                Progress::More | Progress::Hello | Progress::Kill => {}
            }
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
    pub fn write(&self, from: UserBytes, nonblock: bool) -> Result<usize, Errno> {
        self.enter()?;
        let mut done: usize = 0;
        loop {
            let rest = from.skip(done);
            if rest.is_empty() {
                return Ok(done);
            }
            let (wanted, taken, progress) = match self.with(|channel| take(channel, rest)) {
                Taken::Bytes {
                    wanted,
                    taken,
                    progress,
                } => (wanted, taken, progress),
                Taken::NoRoom => {
                    self.make_room(|channel| &mut channel.kept)?;
                    continue;
                }
                Taken::Full if nonblock && done == 0 => return Err(Errno::EAGAIN),
                Taken::Full if nonblock => return Ok(done),
                Taken::Full => {
                    let waited = self
                        .queues
                        .interruptible(HANDLER, || self.writable.load(Ordering::Acquire));
                    match waited {
                        Ok(()) => continue,
                        Err(_) if done > 0 => return Ok(done),
                        Err(_) => return Err(Errno::new(ERESTARTSYS)),
                    }
                }
                Taken::Closed => return Err(Errno::EPIPE),
            };
            done = done.saturating_add(taken);
            match progress {
                Progress::More => {}
                Progress::Hello => self.hello()?,
                Progress::Answered => self.queues.wake(CALLER),
                Progress::Drained(_) => self.drained(),
                Progress::Kill => {
                    self.end();
                    self.driver
                        .lost(self.worker, self.with(|c| c.transfer.ended()));
                    return Err(Errno::EPIPE);
                }
            }
            if taken < wanted && !from.skip(done).fault_in_readable() {
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
        let channel = self.channel.lock();
        let writable = match self.writable.load(Ordering::Acquire) {
            true => POLLOUT,
            false => 0,
        };
        match channel.transfer.outgoing(1) {
            Outgoing::Closed => POLLIN | POLLHUP,
            Outgoing::Nothing if !self.readable.load(Ordering::Acquire) => writable,
            _ => POLLIN | writable,
        }
    }

    /// Is it the handler that reads or writes? Somebody else's copy of the descriptor is dead. A raw
    /// handler says no hello: it is checked when it first uses the channel.
    fn enter(&self) -> Result<(), Errno> {
        if !self.pid.is_current() {
            return Err(Errno::EPERM);
        }
        if self.driver.framing() != Framing::Framed && !self.is_confined() {
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
        match lockdown::confine(self, self.driver.profile()) {
            Ok(in_force) => {
                self.in_force.store(in_force.bits(), Ordering::Release);
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
fn give(
    channel: &mut LendingGuard<'_, Channel>,
    to: UserBytes,
    done: &mut usize,
) -> (Stop, Progress) {
    let mut left = PIECE;
    loop {
        let to = to.skip(*done);
        if to.is_empty() {
            return (Stop::Full, Progress::More);
        }
        if left == 0 {
            return (Stop::Piece, Progress::More);
        }
        let max = to.len().min(left);
        let (len, sent, progress) = if channel.ahead.is_empty() {
            let (len, sent) = match channel.transfer.outgoing(max) {
                Outgoing::Header { header, from, len } => {
                    let end = from.saturating_add(len);
                    (len, to.write(header.get(from..end).unwrap_or_default()))
                }
                Outgoing::Payload { offset, len } => (len, channel.copy_request(offset, len, to)),
                Outgoing::Filler { len } => (len, to.clear(len)),
                Outgoing::Nothing if channel.closed.to => return (Stop::Closed, Progress::More),
                Outgoing::Nothing => return (Stop::Nothing, Progress::More),
                Outgoing::Closed => return (Stop::Closed, Progress::More),
            };
            (len, sent, channel.transfer.sent(sent))
        } else {
            let bytes = channel.ahead.front();
            let bytes = bytes.get(..max).unwrap_or(bytes);
            let (len, sent) = (bytes.len(), to.write(bytes));
            channel.ahead.consume(sent);
            (len, sent, Progress::More)
        };
        *done = done.saturating_add(sent);
        left = left.saturating_sub(sent.max(1));
        if sent < len {
            return (Stop::Fault, progress);
        }
        if progress != Progress::More {
            return (Stop::Piece, progress);
        }
    }
}

/// What became of bytes that the handler wrote.
enum Taken {
    /// So many were wanted, so many came, and this came of it.
    Bytes {
        wanted: usize,
        taken: usize,
        progress: Progress,
    },
    /// They are to be kept, and the ring has no room yet.
    NoRoom,
    /// They are to be kept, and the ring is full.
    Full,
    /// Nobody will ever read them.
    Closed,
}

/// Takes up to one piece from the handler, under the lock.
fn take(channel: &mut LendingGuard<'_, Channel>, from: UserBytes) -> Taken {
    let max = from.len().min(PIECE);
    let (wanted, taken, progress) = match channel.transfer.incoming(max) {
        Incoming::Header { len } => {
            let mut bytes = [0; HEADER_LEN];
            let header = bytes.get_mut(..len).unwrap_or_default();
            let taken = from.read(header);
            let header = header.get(..taken).unwrap_or_default();
            (len, taken, channel.transfer.header(header))
        }
        Incoming::Payload { offset, len } => {
            let taken = channel.copy_reply(offset, len, from);
            (len, taken, channel.transfer.received(taken))
        }
        Incoming::Discard { len } => (len, len, channel.transfer.received(len)),
        Incoming::Keep if channel.is_deaf() => return Taken::Closed,
        Incoming::Keep if !channel.kept.has_room() => return Taken::NoRoom,
        Incoming::Keep if channel.kept.is_full() => return Taken::Full,
        Incoming::Keep => {
            let room = channel.kept.back();
            let len = room.len().min(max);
            let taken = from.read(room.get_mut(..len).unwrap_or_default());
            channel.kept.produce(taken);
            (len, taken, Progress::More)
        }
        Incoming::Kill => (0, 0, Progress::Kill),
        Incoming::Closed => return Taken::Closed,
    };
    Taken::Bytes {
        wanted,
        taken,
        progress,
    }
}

impl Channel {
    /// Will nobody ever read what is kept?
    fn is_deaf(&self) -> bool {
        self.closed.from || self.transfer.ended().is_some()
    }
}

/// The right to use a stream, for one exchange.
struct Turn<'p>(&'p Process);

impl<'p> Turn<'p> {
    /// Context: may sleep, until the deadline; killable.
    fn take(process: &'p Process, deadline: Instant) -> Result<Self, Lost> {
        let taken = Cell::new(false);
        let waited = process.queues.killable(TURN, deadline, || {
            if !taken.get() && !process.taken.swap(true, Ordering::Acquire) {
                // Only now: whoever had the turn may have left a request behind. Its answer wakes us.
                let draining = process.draining.load(Ordering::Acquire);
                process.taken.store(!draining, Ordering::Release);
                taken.set(!draining);
            }
            taken.get()
        });
        match (taken.get(), waited) {
            // Too late all the same: a handler is not to be killed by a deadline that it never had.
            (true, _) if wait::now() >= deadline => {
                drop(Self(process));
                Err(Lost::Worker(Ended::TimedOut(Seen::Unread)))
            }
            (true, _) => Ok(Self(process)),
            (false, Err(Interrupted)) => Err(Lost::Caller(Withdrawn::Free)),
            (false, Ok(())) => Err(Lost::Worker(Ended::TimedOut(Seen::Unread))),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Release);
        self.0.queues.wake(TURN);
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
        Ended::Broken(violation, _) => StartError::Hello(violation),
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
        Err(Lost::Worker(Ended::Broken(violation, _))) => Error::BadMessage(*violation),
        Err(Lost::Worker(Ended::Lockdown(check))) => Error::Start(StartError::Lockdown(*check)),
        Err(Lost::Caller(_)) => Error::Interrupted,
    };
    error.errno().get().saturating_neg()
}
