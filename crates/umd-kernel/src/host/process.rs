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
//! What happens when they meet is [`umd_core::channel`]'s; here is what it needs of the kernel.

use super::driver::Driver;
use super::lockdown;
use crate::ffi::callbacks::Poll;
use crate::ffi::image::Image;
use crate::ffi::lending::SpinLending;
use crate::ffi::memory::{Arc, Buffer};
use crate::ffi::process::{self as raw, LentPriority, Pid};
use crate::ffi::report;
use crate::ffi::task;
use crate::ffi::timer::Timer;
use crate::ffi::user::UserBytes;
use crate::ffi::wait::{self, WaitQueues};
use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use umd_core::channel::{Channel, End, State, start_error};
use umd_core::error::{Errno, Error, LockdownCheck, Seen, StartError};
use umd_core::host::{Clock, Interrupted, Lost, Peer, Queue};
use umd_core::lifecycle::WorkerId;
use umd_core::lockdown::Elements;
use umd_core::policy::{Framing, Instant, Priority};
use umd_core::status::{Denied, ExitStatus};
use umd_core::transfer::{Answer, Ended};

/// How many wait queues a process has: one for each [`Queue`].
const QUEUES: usize = 3;

/// poll(2)'s answers, as in `include/uapi/asm-generic/poll.h`.
const POLLIN: u32 = 0x41;
const POLLOUT: u32 = 0x104;
const POLLHUP: u32 = 0x10;

/// The errno that makes the kernel restart a system call after a signal, as in
/// `include/linux/errno.h`; never seen by user space.
const ERESTARTSYS: Errno = Errno::new(512);

/// What exec says when SIGKILL cuts it short, as in `include/linux/errno.h`: `EINTR`, `E2BIG` (its
/// one argument and empty environment are never too big), `EFAULT`, and the errnos of a restart.
const KILLED_IN_EXEC: [i32; 7] = [4, 7, 14, 512, 513, 514, 516];

/// One handler's process.
pub struct Process {
    /// First, so that it is cancelled before anything that its callback uses is gone.
    timer: Timer<Process>,
    channel: Channel<Process>,
    queues: WaitQueues,
    pid: Pid,
    driver: Arc<Driver>,
    worker: WorkerId,
    /// For the exchanges of the health check.
    start_deadline: Instant,
    /// Until when a stream may be asked, in nanoseconds: the start's deadline until that is over.
    limit: AtomicU64,
    /// The task has passed the host's checks.
    confined: AtomicBool,
    /// What of its lockdown is in force: [`Elements`] as a number.
    in_force: AtomicU16,
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
            channel: Channel::new(
                framing,
                SpinLending::try_new(State::new(framing, deadline))?,
            ),
            queues: WaitQueues::try_new(QUEUES)?,
            pid: Pid::new(),
            driver: driver.clone(),
            worker,
            start_deadline: deadline,
            limit: AtomicU64::new(deadline.as_nanos()),
            confined: AtomicBool::new(false),
            in_force: AtomicU16::new(0),
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

    /// The task has passed the host's checks.
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
        this.channel.starts(this, deadline);
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
                Framing::Framed | Framing::Raw => this.channel.await_hello(&**this),
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
        self.channel.ended()
    }

    /// One request, one answer. Context: the caller.
    pub fn exchange(
        &self,
        request: &[u8],
        reply: &mut [u8],
        deadline: Instant,
    ) -> Result<Answer, Lost> {
        self.channel.exchange(self, request, reply, deadline)
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

    /// The owner of a stream asks: all of the request goes out, and the reply is filled. Context: may sleep.
    pub fn stream_exchange(&self, request: &[u8], reply: &mut [u8]) -> Result<(), Lost> {
        self.channel.stream_exchange(self, request, reply)
    }

    /// The owner of a stream reads: what there is, or what comes first; 0 at the end. Context: may sleep.
    pub fn stream_read(&self, to: &mut [u8]) -> Result<usize, Errno> {
        self.channel.stream_read(self, to)
    }

    /// The owner of a stream writes: all of it, or an error. Context: may sleep.
    pub fn stream_write(&self, from: &[u8]) -> Result<usize, Errno> {
        self.channel.stream_write(self, from)
    }

    /// The owner of a stream has closed one of its files. Without both, nobody wants the process any more.
    pub fn dropped(&self, end: End) {
        if self.channel.dropped(self, end) {
            self.driver.retired(self.worker);
        }
    }

    /// Nobody wants this process any more: it is killed, and whoever waits for it is woken.
    /// Context: any.
    pub fn abort(&self) {
        self.channel.abort(self);
    }

    /// The deadline's timer has come to its instant. Context: hard IRQ.
    pub(crate) fn deadline(&self) {
        self.channel.deadline(self);
    }

    /// The process exists, and is about to be executed. Context: the child.
    pub fn born(&self) {
        self.driver.born();
    }

    /// The process is a zombie or gone, and with it the reference to it that is given here. Context:
    /// a kernel worker.
    pub fn exited(this: Arc<Self>, status: u32, denied: Option<Denied>) {
        // Somebody else may have a copy of the channel's descriptor, so this can come before release.
        let ended = this.channel.close(&*this);
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

    /// The last descriptor of the channel is closed: by the process's end, mostly.
    pub fn released(&self) {
        self.channel.close(self);
        // It may live on without a channel; it is of no use then.
        self.pid.kill();
    }

    /// The handler's read(2): at most one request, as much of it as fits.
    pub fn read(&self, to: UserBytes, nonblock: bool) -> Result<usize, Errno> {
        self.enter()?;
        self.channel.read(self, to, nonblock)
    }

    /// The handler's write(2): its hello, or its reply.
    pub fn write(&self, from: UserBytes, nonblock: bool) -> Result<usize, Errno> {
        self.enter()?;
        self.channel.write(self, from, nonblock)
    }

    /// The handler's poll(2).
    pub fn poll(&self, poll: &Poll) -> u32 {
        raw::poll(self, poll);
        let readiness = self.channel.readiness();
        if readiness.hung_up {
            return POLLIN | POLLHUP;
        }
        let bit = |ready, bit| if ready { bit } else { 0 };
        bit(readiness.readable, POLLIN) | bit(readiness.writable, POLLOUT)
    }

    /// Is it the handler that reads or writes? Somebody else's copy of the descriptor is dead. A raw
    /// handler says no hello: it is checked when it first uses the channel.
    fn enter(&self) -> Result<(), Errno> {
        if !self.pid.is_current() {
            return Err(Errno::EPERM);
        }
        if self.driver.framing() != Framing::Framed && !self.is_confined() {
            self.channel.confine(self)?;
        }
        Ok(())
    }
}

impl Clock for Process {
    fn now(&self) -> Instant {
        wait::now()
    }
}

impl Peer for Process {
    type Lock = SpinLending<State<Buffer>>;
    type Bytes = UserBytes;
    type Flag = AtomicBool;
    type Buffer = Buffer;
    type Attention<'p> = Option<LentPriority<'p>>;
    const INTERRUPTED: Errno = ERESTARTSYS;

    fn start_timer(&self, at: Instant) {
        self.timer.start(at);
    }

    fn kill(&self) {
        self.pid.kill();
    }

    fn wake(&self, queue: Queue) {
        self.queues.wake(queue as usize);
    }

    fn wait(
        &self,
        queue: Queue,
        until: Instant,
        condition: impl Fn() -> bool,
    ) -> Result<(), Interrupted> {
        self.queues.killable(queue as usize, until, condition)
    }

    fn handler_waits(&self, condition: impl Fn() -> bool) -> Result<(), Interrupted> {
        self.queues
            .interruptible(Queue::Handler as usize, condition)
            .map_err(|_| Interrupted)
    }

    fn is_dying(&self) -> bool {
        task::is_dying()
    }

    fn check(&self) -> Result<(), LockdownCheck> {
        let in_force = lockdown::confine(self, self.driver.profile())?;
        self.in_force.store(in_force.bits(), Ordering::Release);
        self.confined.store(true, Ordering::Release);
        Ok(())
    }

    fn patience(&self) -> Instant {
        let limit = Instant::from_nanos(self.limit.load(Ordering::Relaxed));
        wait::now().after(self.driver.deadline()).min(limit)
    }

    fn buffer(&self, len: usize) -> Result<Buffer, Errno> {
        Buffer::try_new(len).map_err(|error| error.errno())
    }

    fn lost(&self, ended: Option<Ended>) {
        self.driver.lost(self.worker, ended);
    }

    fn drained(&self) {
        self.driver.drained(self.worker);
    }

    fn attend(&self) -> Option<LentPriority<'_>> {
        match self.driver.priority() {
            Priority::Nice(_) => None,
            Priority::Inherit => self.pid.lend_priority(),
        }
    }

    fn asked(&self, id: u32, len: u32) {
        report::request(self.driver.name(), &self.pid, id, len);
    }

    fn answered(&self, id: u32, result: &Result<Answer, Lost>) {
        report::reply(self.driver.name(), &self.pid, id, traced(result));
    }

    fn timed_out(&self) {
        report::timeout(self.driver.name(), &self.pid);
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
