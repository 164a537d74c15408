// SPDX-License-Identifier: MIT OR Apache-2.0
//! Models of the channel: every way in which caller, handler, deadline, signal, death and unload can
//! interleave, up to a number of preemptions. In each, whoever waits gets exactly one answer, nobody waits for
//! ever, and no byte goes to a buffer that was taken back.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --package umd-core --test loom_channel`
#![cfg(loom)]

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
use loom::thread::{self, JoinHandle};
use std::cell::{Cell, RefCell};
use std::ops::{Deref, DerefMut};
// Not for loom: what is signalled is seen by whoever is woken for it.
use std::sync::atomic::{AtomicBool as Plain, AtomicUsize};
use umd_core::channel::{Channel, State};
use umd_core::error::{Errno, LockdownCheck, Seen, StartError};
use umd_core::frame::Header;
use umd_core::host::{Clock, Flag, HandlerBytes, Interrupted, Lending, Lent, Lost, Peer, Queue};
use umd_core::policy::{Framing, Instant};
use umd_core::transfer::{Answer, Ended, Withdrawn};

/// The usual deadline: the clock stands until then, and is set to it when the timer fires.
const DEADLINE: Instant = Instant::from_nanos(10);
const LATER: Instant = Instant::from_nanos(20);
/// What callers ask, and what an honest handler makes of it.
const ASKED: u8 = 7;
const ANSWER: u8 = ASKED + 1;

/// A flag as loom knows it. One that is only written under the lock, and is told what it says already, does nothing, which
/// saves loom a great many ways.
struct Seeing {
    value: AtomicBool,
    last: Plain,
    /// Written without the lock as well.
    free: Plain,
}

impl Flag for Seeing {
    fn new(value: bool) -> Self {
        Self {
            value: AtomicBool::new(value),
            last: Plain::new(value),
            free: Plain::new(false),
        }
    }

    fn load(&self) -> bool {
        self.value.load(Ordering::Acquire)
    }

    fn store(&self, value: bool) {
        let changes = self.last.swap(value, Ordering::Relaxed) != value;
        if changes || self.free.load(Ordering::Relaxed) {
            self.value.store(value, Ordering::Release);
        }
    }

    fn take(&self) -> bool {
        self.free.store(true, Ordering::Relaxed);
        self.value
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }
}

thread_local! {
    /// The handler's memory. Loom's threads are one thread of the system's, and only the handler's looks here.
    static MEMORY: RefCell<[u8; 32]> = const { RefCell::new([0; 32]) };
    /// Its pages are not there until this one has fetched them.
    static PAGER: RefCell<Option<Arc<Process>>> = const { RefCell::new(None) };
}

/// Some bytes of it.
#[derive(Clone, Copy)]
struct Memory {
    from: usize,
    len: usize,
}

impl Memory {
    fn copy(self, len: usize, copy: impl FnOnce(&mut [u8])) -> usize {
        if PAGER.with_borrow(Option::is_some) {
            return 0;
        }
        let len = len.min(self.len);
        MEMORY.with_borrow_mut(|memory| copy(&mut memory[self.from..self.from + len]));
        len
    }
}

impl HandlerBytes for Memory {
    fn len(self) -> usize {
        self.len
    }

    fn skip(self, count: usize) -> Self {
        assert!(count <= self.len);
        Self {
            from: self.from + count,
            len: self.len - count,
        }
    }

    fn write(self, from: &[u8]) -> usize {
        self.copy(from.len(), |to| to.copy_from_slice(&from[..to.len()]))
    }

    fn read(self, to: &mut [u8]) -> usize {
        self.copy(to.len(), |from| to[..from.len()].copy_from_slice(from))
    }

    fn clear(self, len: usize) -> usize {
        self.copy(len, |to| to.fill(0))
    }

    fn fault_in_writeable(self) -> bool {
        // Others go on meanwhile: it is a deadlock where the handler holds the lock.
        if let Some(process) = PAGER.take() {
            process.channel.ended();
        }
        true
    }

    fn fault_in_readable(self) -> bool {
        self.fault_in_writeable()
    }
}

/// The buffers of a caller while they are lent.
struct Loan {
    request: Vec<u8>,
    reply: Vec<u8>,
}

struct Inner<T> {
    value: T,
    loan: Option<Loan>,
}

struct Lock<T>(Mutex<Inner<T>>);

struct Guard<'l, T>(MutexGuard<'l, Inner<T>>);

impl<T> Lock<T> {
    fn inner(&self) -> MutexGuard<'_, Inner<T>> {
        self.0.lock().expect("nobody panics")
    }
}

impl<T: 'static> Lending<T, Memory> for Lock<T> {
    type Guard<'l> = Guard<'l, T>;

    fn lock(&self) -> Guard<'_, T> {
        Guard(self.inner())
    }

    fn lend<R, E>(
        &self,
        request: &[u8],
        reply: &mut [u8],
        begin: impl FnOnce(&mut T, &mut [u8]) -> Result<(), E>,
        wait: impl FnOnce(),
        end: impl FnOnce(&mut T) -> R,
    ) -> Result<R, E> {
        let mut inner = self.inner();
        begin(&mut inner.value, reply)?;
        assert!(inner.loan.is_none(), "two callers at a time");
        inner.loan = Some(Loan {
            request: request.to_vec(),
            reply: reply.to_vec(),
        });
        drop(inner);
        wait();
        let mut inner = self.inner();
        let loan = inner.loan.take().expect("it is lent");
        reply.copy_from_slice(&loan.reply);
        Ok(end(&mut inner.value))
    }
}

impl<T> Lent<Memory> for Guard<'_, T> {
    fn copy_request(&self, offset: usize, len: usize, to: Memory) -> usize {
        let loan = self.0.loan.as_ref().expect("a request that was taken back");
        to.write(&loan.request[offset..offset + len])
    }

    fn copy_reply(&mut self, offset: usize, len: usize, from: Memory) -> usize {
        let loan = self.0.loan.as_mut().expect("a buffer that was taken back");
        from.read(&mut loan.reply[offset..offset + len])
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0.value
    }
}

/// A wait queue as the kernel has them: whoever is woken after he has queued does not sleep.
struct Sleepers {
    wakes: Mutex<u32>,
    woken: Condvar,
}

impl Sleepers {
    fn new() -> Self {
        Self {
            wakes: Mutex::new(0),
            woken: Condvar::new(),
        }
    }

    fn wakes(&self) -> MutexGuard<'_, u32> {
        self.wakes.lock().expect("nobody panics")
    }

    fn wake(&self) {
        *self.wakes() += 1;
        self.woken.notify_all();
    }

    fn wait(
        &self,
        condition: impl Fn() -> bool,
        is_interrupted: impl Fn() -> bool,
    ) -> Result<(), Interrupted> {
        if condition() {
            return Ok(());
        }
        loop {
            let queued = *self.wakes();
            let interrupted = is_interrupted();
            if condition() {
                return Ok(());
            }
            if interrupted {
                return Err(Interrupted);
            }
            let mut wakes = self.wakes();
            while *wakes == queued {
                wakes = self.woken.wait(wakes).expect("nobody panics");
            }
        }
    }
}

/// The clock and the channel's timer.
struct Time {
    now: Instant,
    armed: Option<Instant>,
    /// Nobody needs the timer any more.
    over: bool,
}

/// What was said about the process, by whoever said it.
#[derive(Clone, Debug, Default)]
struct Record {
    kills: u32,
    lost: Vec<Option<Ended>>,
    drained: u32,
    timeouts: u32,
    /// What the handler has read.
    read: Vec<u8>,
}

loom::thread_local! {
    /// Which caller this thread is.
    static CALLER: Cell<usize> = Cell::new(0);
}

/// A process of the model's.
struct Process {
    channel: Channel<Process>,
    sleepers: [Sleepers; 3],
    time: Mutex<Time>,
    set: Condvar,
    killed: Plain,
    /// The callers' signals.
    signals: [Plain; 2],
    good: bool,
    /// What happens when the first caller is about to sleep for its answer.
    on_sleep: Cell<Option<fn(&Process)>>,
    record: std::sync::Mutex<Record>,
}

impl Process {
    fn new(framing: Framing) -> Arc<Self> {
        Self::with(framing, true)
    }

    /// One that passes the host's checks, or does not.
    fn with(framing: Framing, good: bool) -> Arc<Self> {
        let state = Lock(Mutex::new(Inner {
            value: State::new(framing, DEADLINE),
            loan: None,
        }));
        Arc::new(Self {
            channel: Channel::new(framing, state),
            sleepers: [Sleepers::new(), Sleepers::new(), Sleepers::new()],
            time: Mutex::new(Time {
                now: Instant::ZERO,
                armed: None,
                over: false,
            }),
            set: Condvar::new(),
            killed: Plain::new(false),
            signals: [Plain::new(false), Plain::new(false)],
            good,
            on_sleep: Cell::new(None),
            record: std::sync::Mutex::default(),
        })
    }

    fn time(&self) -> MutexGuard<'_, Time> {
        self.time.lock().expect("nobody panics")
    }

    fn record(&self) -> std::sync::MutexGuard<'_, Record> {
        self.record.lock().expect("nobody panics")
    }

    fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    fn signal(&self, caller: usize) {
        self.signals[caller].store(true, Ordering::Release);
        self.wake(Queue::Caller);
        self.wake(Queue::Turn);
    }

    /// A caller's call: a byte for a byte.
    fn call(&self, asked: u8) -> Result<u8, Lost> {
        self.call_until(asked, DEADLINE)
    }

    fn call_until(&self, asked: u8, deadline: Instant) -> Result<u8, Lost> {
        let mut reply = [0];
        match self
            .channel
            .exchange(self, &[asked], &mut reply, deadline)?
        {
            Answer::Reply(1) => Ok(reply[0]),
            other => panic!("{other:?}"),
        }
    }

    /// The handler's read(2) of a byte. None: it ends.
    fn read(&self) -> Option<u8> {
        let to = Memory { from: 0, len: 1 };
        match self.channel.read(self, to, false) {
            Ok(1) => {
                let byte = MEMORY.with_borrow(|memory| memory[0]);
                self.record().read.push(byte);
                Some(byte)
            }
            Ok(0) | Err(_) => None,
            Ok(more) => panic!("{more} bytes"),
        }
    }

    /// The handler's write(2).
    fn write(&self, bytes: &[u8]) -> Option<()> {
        let len = bytes.len();
        MEMORY.with_borrow_mut(|memory| memory[..len].copy_from_slice(bytes));
        let written = self.channel.write(self, Memory { from: 0, len }, false);
        (written == Ok(len)).then_some(())
    }

    /// Answers so many requests.
    fn serve(&self, requests: usize) -> Option<()> {
        (0..requests).try_for_each(|_| {
            let byte = self.read()?;
            // A request that was taken back is read as zeros.
            assert!(byte == 0 || byte >= ASKED);
            self.write(&[byte.wrapping_add(1)])
        })
    }

    /// Nothing else is to come from the timer.
    fn stop(&self, timer: JoinHandle<()>) {
        self.time().over = true;
        self.set.notify_all();
        timer.join().expect("the timer ends");
    }
}

impl Clock for Process {
    fn now(&self) -> Instant {
        self.time().now
    }
}

impl Peer for Process {
    type Lock = Lock<State<Vec<u8>>>;
    type Bytes = Memory;
    type Flag = Seeing;
    type Buffer = Vec<u8>;
    type Attention<'p> = ();
    const INTERRUPTED: Errno = Errno::EINTR;

    fn start_timer(&self, at: Instant) {
        self.time().armed = Some(at);
        self.set.notify_all();
    }

    fn kill(&self) {
        self.record().kills += 1;
        self.killed.store(true, Ordering::Release);
        self.wake(Queue::Handler);
    }

    fn wake(&self, queue: Queue) {
        self.sleepers[queue as usize].wake();
    }

    fn wait(
        &self,
        queue: Queue,
        _: Instant,
        condition: impl Fn() -> bool,
    ) -> Result<(), Interrupted> {
        if queue == Queue::Caller
            && CALLER.with(Cell::get) == 0
            && let Some(act) = self.on_sleep.take()
        {
            act(self);
        }
        let signal = &self.signals[CALLER.with(Cell::get)];
        self.sleepers[queue as usize].wait(condition, || signal.load(Ordering::Acquire))
    }

    fn handler_waits(&self, condition: impl Fn() -> bool) -> Result<(), Interrupted> {
        self.sleepers[Queue::Handler as usize].wait(condition, || self.is_killed())
    }

    fn is_dying(&self) -> bool {
        self.is_killed()
    }

    fn check(&self) -> Result<(), LockdownCheck> {
        // Takes the lock: it is not held by whoever checks.
        let _ = self.channel.ended();
        self.good.then_some(()).ok_or(LockdownCheck::Ids)
    }

    fn patience(&self) -> Instant {
        DEADLINE
    }

    fn buffer(&self, len: usize) -> Result<Vec<u8>, Errno> {
        Ok(vec![0; len.min(4)])
    }

    fn lost(&self, ended: Option<Ended>) {
        self.record().lost.push(ended);
    }

    fn drained(&self) {
        self.record().drained += 1;
    }

    fn attend(&self) {}

    fn asked(&self, _: u32, _: u32) {}

    fn answered(&self, _: u32, _: &Result<Answer, Lost>) {}

    fn timed_out(&self) {
        self.record().timeouts += 1;
    }
}

/// A thread for somebody at the channel.
fn spawn<R: 'static>(
    process: &Arc<Process>,
    act: impl FnOnce(&Process) -> R + 'static,
) -> JoinHandle<R> {
    let process = process.clone();
    thread::spawn(move || act(&process))
}

/// A handler that does this, and then is no more.
fn handler(
    process: &Arc<Process>,
    act: impl FnOnce(&Process) -> Option<()> + 'static,
) -> JoinHandle<()> {
    spawn(process, move |process| {
        let _ = act(process);
        process.channel.close(process);
    })
}

/// The timer: the time comes whenever it likes.
fn timer(process: &Arc<Process>) -> JoinHandle<()> {
    spawn(process, |process| {
        loop {
            let mut time = process.time();
            while time.armed.is_none() && !time.over {
                time = process.set.wait(time).expect("nobody panics");
            }
            let Some(at) = time.armed.take() else { return };
            time.now = time.now.max(at);
            drop(time);
            process.channel.deadline(process);
        }
    })
}

/// The process is not wanted any more; what it was is returned when it is gone.
fn finish(process: &Process, handler: JoinHandle<()>) -> Record {
    process.channel.abort(process);
    handler.join().expect("the handler ends");
    process.record().clone()
}

fn seen(record: &Record) -> Seen {
    match record.read[..] {
        [] => Seen::Unread,
        _ => Seen::Read,
    }
}

/// Tries the model in every way with so many preemptions, and prints how many that were.
fn model(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let ways = std::sync::Arc::new(AtomicUsize::new(0));
    let count = ways.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("{} ways", ways.load(Ordering::Relaxed));
}

/// Caller and handler alone: each wakes the other.
#[test]
fn a_call() {
    model(3, || {
        let process = Process::new(Framing::Raw);
        let handler = handler(&process, |process| process.serve(2));
        assert_eq!(process.call(ASKED), Ok(ANSWER));
        assert!(!process.is_killed());
        finish(&process, handler);
    });
}

/// It is answered, or its deadline passes; the handler is killed in the second case, and only then.
#[test]
fn a_call_and_its_deadline() {
    model(2, || {
        let process = Process::new(Framing::Raw);
        let timer = timer(&process);
        let handler = handler(&process, |process| process.serve(1));
        let result = process.call(ASKED);
        process.stop(timer);
        let killed = process.is_killed();
        assert_eq!(process.record().kills, u32::from(killed));
        assert_eq!(process.record().timeouts, u32::from(killed));
        let record = finish(&process, handler);
        match result {
            Ok(answer) => assert!(answer == ANSWER && !killed),
            Err(Lost::Worker(Ended::TimedOut(when))) => {
                assert!(killed && record.lost[0] == Some(Ended::TimedOut(when)));
                assert!(when == seen(&record) || record.read.is_empty());
            }
            other => panic!("{other:?}"),
        }
    });
}

/// A handler that reads and is silent dies at the deadline, and its caller is told, whoever comes first.
#[test]
fn a_deadline_and_an_abort() {
    model(2, || {
        let process = Process::new(Framing::Raw);
        let timer = timer(&process);
        let aborter = spawn(&process, |process| process.channel.abort(process));
        let handler = handler(&process, |process| process.read().map(drop));
        let result = process.call(ASKED);
        aborter.join().expect("it ends");
        process.stop(timer);
        let record = finish(&process, handler);
        assert!(process.is_killed());
        let timeouts = match result {
            Err(Lost::Worker(Ended::TimedOut(_))) => 1,
            // The handler has read, and ended by itself.
            Err(Lost::Worker(Ended::Aborted(_) | Ended::Died(_))) => 0,
            other => panic!("{other:?}"),
        };
        assert_eq!(record.timeouts, timeouts);
    });
}

/// An unload, or a restart, while a call is under way: the caller is told whether the handler had read any of it.
#[test]
fn a_call_and_an_abort() {
    model(2, || {
        let process = Process::new(Framing::Raw);
        let aborter = spawn(&process, |process| process.channel.abort(process));
        let handler = handler(&process, |process| process.serve(1));
        let result = process.call(ASKED);
        aborter.join().expect("it ends");
        assert!(process.is_killed());
        let record = finish(&process, handler);
        match result {
            Ok(answer) => assert_eq!(answer, ANSWER),
            Err(Lost::Worker(Ended::Aborted(when))) => assert_eq!(when, seen(&record)),
            other => panic!("{other:?}"),
        }
    });
}

/// The handler is gone in the middle of a call.
#[test]
fn a_call_and_a_death() {
    for reads in [false, true] {
        model(3, move || {
            let process = Process::new(Framing::Raw);
            let handler = handler(&process, move |process| {
                if reads {
                    process.read().map(drop)
                } else {
                    None
                }
            });
            let result = process.call(ASKED);
            let record = finish(&process, handler);
            let Err(Lost::Worker(Ended::Died(when))) = result else {
                panic!("{result:?}")
            };
            assert_eq!(when, seen(&record));
            assert_eq!(record.lost, [Some(Ended::Died(when))]);
        });
    }
}

/// A page of the handler's that is not there is fetched without the lock, while the deadline passes.
#[test]
fn a_page_that_is_missing_and_a_deadline() {
    model(2, || {
        let process = Process::new(Framing::Raw);
        PAGER.set(Some(process.clone()));
        let timer = timer(&process);
        let handler = handler(&process, |process| process.serve(1));
        let result = process.call(ASKED);
        process.stop(timer);
        PAGER.take();
        let killed = process.is_killed();
        let record = finish(&process, handler);
        match result {
            Ok(answer) => assert!(answer == ANSWER && !killed),
            Err(Lost::Worker(Ended::TimedOut(when))) => {
                assert!(killed && when == seen(&record), "{when:?} {record:?}");
            }
            other => panic!("{other:?}"),
        }
    });
}

/// The caller receives a signal: it leaves with its answer, or at once, and then its buffers are not touched any more. The
/// handler finishes what it had begun, and is free again once.
#[test]
fn a_call_and_a_signal() {
    model(2, || {
        let process = Process::new(Framing::Raw);
        let killer = spawn(&process, |process| process.signal(0));
        let handler = handler(&process, |process| process.serve(1));
        let result = process.call(ASKED);
        killer.join().expect("it ends");
        let record = match result {
            Ok(answer) => {
                assert_eq!(answer, ANSWER);
                finish(&process, handler)
            }
            Err(Lost::Caller(Withdrawn::Free)) => {
                let record = finish(&process, handler);
                assert_eq!(record.read, [], "read, and said to be free");
                record
            }
            Err(Lost::Caller(Withdrawn::Draining)) => {
                // It answers, or waits for ever.
                handler.join().expect("the handler ends");
                process.record().clone()
            }
            // Its last act was the answer, which came too late.
            other => panic!("{other:?}"),
        };
        let draining = result == Err(Lost::Caller(Withdrawn::Draining));
        assert_eq!(record.drained, u32::from(draining));
    });
}

/// A caller that is gone leaves the deadline behind.
#[test]
fn a_signal_and_a_deadline() {
    for early in [true, false] {
        model(2, move || {
            let process = Process::new(Framing::Raw);
            let timer = timer(&process);
            // It reads, and is silent until it is killed.
            let handler = handler(&process, move |process| {
                if early {
                    process.signal(0);
                }
                let read = process.read();
                process.signal(0);
                read?;
                process.handler_waits(|| false).ok()
            });
            let result = process.call(ASKED);
            match result {
                Err(Lost::Caller(Withdrawn::Free)) => {
                    process.stop(timer);
                    assert!(!process.is_killed());
                    finish(&process, handler);
                }
                Err(Lost::Caller(Withdrawn::Draining)) => {
                    // Nobody but the timer ends it.
                    handler.join().expect("the handler ends");
                    process.stop(timer);
                    let record = process.record().clone();
                    assert_eq!((record.kills, record.timeouts, record.drained), (1, 1, 0));
                    assert_eq!(record.lost[0], Some(Ended::TimedOut(Seen::Read)));
                }
                Err(
                    Lost::Caller(Withdrawn::Ended(Ended::TimedOut(_)))
                    | Lost::Worker(Ended::TimedOut(_)),
                ) => {
                    process.stop(timer);
                    let record = finish(&process, handler);
                    assert_eq!(record.timeouts, 1);
                }
                other => panic!("{other:?}"),
            }
        });
    }
}

/// The next call finds the handler as the last has left it: the timer may still look for the deadline of that.
#[test]
fn two_calls_and_a_timer() {
    model(2, || {
        let process = Process::new(Framing::Raw);
        let timer = timer(&process);
        let handler = handler(&process, |process| process.serve(2));
        let first = process.call(ASKED);
        let second = process.call(ASKED + 1);
        process.stop(timer);
        finish(&process, handler);
        let timed_out =
            |result: &Result<u8, Lost>| matches!(result, Err(Lost::Worker(Ended::TimedOut(_))));
        match first {
            Ok(answer) => assert_eq!(answer, ANSWER),
            first => assert!(timed_out(&first), "{first:?}"),
        }
        match second {
            Ok(answer) => assert!(answer == ANSWER + 1 && first.is_ok()),
            // Refused by a handler that is gone.
            Err(Lost::Worker(Ended::Died(Seen::Unread))) => assert!(timed_out(&first)),
            second => assert!(timed_out(&second) && first.is_ok(), "{second:?}"),
        }
    });
}

/// The timer is still set for a call that was answered when the next begins, which has longer: it is set again, and
/// nobody is killed before the time.
#[test]
fn a_later_deadline() {
    model(2, || {
        let process = Process::new(Framing::Raw);
        let timer = timer(&process);
        let handler = handler(&process, |process| {
            process.serve(1)?;
            process.read()?;
            process.handler_waits(|| false).ok()
        });
        let first = process.call(ASKED);
        let second = process.call_until(ASKED, LATER);
        let now = process.now();
        process.stop(timer);
        finish(&process, handler);
        match first {
            Ok(answer) => {
                assert_eq!(answer, ANSWER);
                assert!(matches!(second, Err(Lost::Worker(Ended::TimedOut(_)))));
                assert_eq!(now, LATER);
            }
            Err(Lost::Worker(Ended::TimedOut(_))) => assert!(second.is_err()),
            first => panic!("{first:?}"),
        }
    });
}

/// A start: the hello comes, is good or not, or comes too late.
#[test]
fn a_hello_and_its_deadline() {
    for good in [true, false] {
        model(2, move || {
            let process = Process::with(Framing::Framed, good);
            process.channel.starts(&process, DEADLINE);
            let timer = timer(&process);
            let handler = handler(&process, |process| {
                process.write(&Header::hello().encode())?;
                process.read().map(drop)
            });
            let result = process.channel.await_hello(&process);
            process.stop(timer);
            let killed = process.is_killed();
            finish(&process, handler);
            match result {
                Ok(()) => assert!(good && !killed),
                Err(StartError::Lockdown(LockdownCheck::Ids)) => assert!(!good && killed),
                Err(StartError::TimedOut) => assert!(killed),
                other => panic!("{other:?}"),
            }
        });
    }
}

/// Two callers of a stream: each has its turn, and its own answer.
#[test]
fn turns_of_a_stream() {
    model(2, || {
        let process = Process::new(Framing::Stream);
        let handler = handler(&process, |process| process.serve(2));
        let other = spawn(&process, |process| {
            CALLER.with(|caller| caller.set(1));
            assert_eq!(process.call(ASKED + 1), Ok(ANSWER + 1));
        });
        assert_eq!(process.call(ASKED), Ok(ANSWER));
        other.join().expect("it is answered");
        finish(&process, handler);
    });
}

/// The one whose turn it is receives a signal: the other's turn comes when the handler has finished, and not before.
#[test]
fn a_turn_that_is_given_up() {
    model(2, || {
        let process = Process::new(Framing::Stream);
        let handler = handler(&process, |process| process.serve(2));
        let other = spawn(&process, |process| {
            CALLER.with(|caller| caller.set(1));
            assert_eq!(process.call(ASKED + 1), Ok(ANSWER + 1));
        });
        process.signal(0);
        match process.call(ASKED) {
            Ok(answer) => assert_eq!(answer, ANSWER),
            Err(Lost::Caller(Withdrawn::Free | Withdrawn::Draining)) => {}
            result => panic!("{result:?}"),
        }
        other.join().expect("it is answered");
        finish(&process, handler);
    });
}

/// A request was left behind. One who does not want to wait for its turn goes, and does not take the turn of the one who
/// stays.
#[test]
fn a_turn_that_is_not_waited_for() {
    model(2, || {
        let process = Process::new(Framing::Stream);
        process.signal(0);
        // Its caller is gone when the handler has read it.
        process
            .on_sleep
            .set(Some(|process| assert_eq!(process.read(), Some(ASKED))));
        assert_eq!(process.call(ASKED), Err(Lost::Caller(Withdrawn::Draining)));
        let handler = handler(&process, |process| {
            process.write(&[ANSWER])?;
            process.serve(2)
        });
        let other = spawn(&process, |process| {
            CALLER.with(|caller| caller.set(1));
            assert_eq!(process.call(ASKED + 1), Ok(ANSWER + 1));
        });
        match process.call(ASKED) {
            Ok(answer) => assert_eq!(answer, ANSWER),
            Err(Lost::Caller(Withdrawn::Free | Withdrawn::Draining)) => {}
            result => panic!("{result:?}"),
        }
        other.join().expect("it is answered");
        finish(&process, handler);
    });
}

/// The one whose turn it is leaves a request behind, and only then does the other, who has seen no such thing, find that
/// nobody has his turn.
#[test]
fn a_turn_that_comes_too_soon() {
    model(2, || {
        let process = Process::new(Framing::Stream);
        process.signal(0);
        process
            .on_sleep
            .set(Some(|process| assert_eq!(process.read(), Some(ASKED))));
        let other = spawn(&process, |process| {
            CALLER.with(|caller| caller.set(1));
            assert_eq!(process.call(ASKED + 1), Ok(ANSWER + 1));
        });
        let result = process.call(ASKED);
        let handler = handler(&process, move |process| {
            match result {
                Err(Lost::Caller(Withdrawn::Draining)) => process.write(&[ANSWER])?,
                Err(Lost::Caller(Withdrawn::Free)) => {}
                result => panic!("{result:?}"),
            }
            process.serve(2)
        });
        other.join().expect("it is answered");
        finish(&process, handler);
    });
}

/// What a stream's handler says before it is asked, and when there is room for it again.
#[test]
fn a_stream_that_is_full() {
    model(2, || {
        let process = Process::new(Framing::Stream);
        // A byte more than there is room for.
        let handler = handler(&process, |process| process.write(&[1, 2, 3, 4, 5]));
        let mut all: Vec<u8> = vec![];
        while all.len() < 5 {
            let mut to = [0; 3];
            let count = process
                .channel
                .stream_read(&*process, &mut to)
                .expect("bytes");
            assert!(count > 0, "the end, and bytes are missing");
            all.extend(&to[..count]);
        }
        assert_eq!(all, [1, 2, 3, 4, 5]);
        finish(&process, handler);
    });
}
