// SPDX-License-Identifier: MIT OR Apache-2.0
//! One request's journey, on a host that is made up: one thread, a clock that moves only when
//! somebody waits, and handlers that follow a script. Lifecycle and transfer are the real ones.

mod support;

use core::num::NonZeroU32;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use support::{Channel, Event, at};
use umd_core::error::{Errno, Error, LockdownCheck, Seen, StartError, Violation};
use umd_core::exchange::{call, replenish, start};
use umd_core::frame::{HEADER_LEN, Header};
use umd_core::host::{Clock, Interrupted, Lost, Processes, Turnstile};
use umd_core::lifecycle::{Admission, Lifecycle, Served, State, Ticket, WorkerId};
use umd_core::policy::{Instant, Policy, RestartPolicy, Span};
use umd_core::status::ExitStatus;
use umd_core::transfer::{Answer, Withdrawn};

/// What a process does from its exec to the end of its health check.
#[derive(Clone, Copy)]
enum Birth {
    /// It comes into service after this many milliseconds.
    Good(u64),
    /// The kernel does not execute it.
    Exec(Errno),
    /// It dies before its hello.
    Dies,
    /// It never says hello.
    Silent,
    /// It says something else.
    Babbles,
    /// It keeps a capability.
    Keeps,
    /// It fails the health check.
    Sick,
    /// While it starts, this happens.
    Meanwhile(Happening),
}

/// What a process does with a request.
#[derive(Clone, Copy)]
enum Deed {
    /// It answers with the request, reversed.
    Answer,
    /// It answers, this many milliseconds later.
    Slow(u64),
    /// It refuses, with this number.
    Refuse(u32),
    /// It answers, and goes on writing.
    Surplus,
    /// It answers, and dies.
    AnswerAndDie,
    /// It answers another request.
    WrongId,
    /// It answers before it has read anything.
    Early,
    /// It answers with more than the caller has room for.
    TooLong,
    /// It reads this many bytes, then this happens, then it does nothing any more.
    ReadThen(usize, Happening),
}

/// What happens around a process.
#[derive(Clone, Copy)]
enum Happening {
    Nothing,
    ItDies,
    Restart,
    /// A restart, and the process does not hear of it.
    RestartUnseen,
    Unload,
    /// The image is taken away.
    Withdraw,
    /// The caller receives a fatal signal.
    Signal,
}

/// The life of one process.
#[derive(Clone)]
struct Script {
    birth: Birth,
    /// Once they are done it goes on answering.
    deeds: VecDeque<Deed>,
}

struct Process {
    id: WorkerId,
    channel: Channel,
    script: Script,
    alive: bool,
}

type Later<const SLOTS: usize> = Box<dyn FnOnce(&Host<SLOTS>)>;

struct Host<const SLOTS: usize> {
    now: Cell<Instant>,
    lifecycle: RefCell<Lifecycle<SLOTS>>,
    processes: RefCell<Vec<Process>>,
    /// Scripts of processes to come; when there is none, processes are good.
    scripts: RefCell<VecDeque<Script>>,
    /// What will happen while callers wait in the queue.
    agenda: RefCell<VecDeque<(Instant, Later<SLOTS>)>>,
    signal: Cell<bool>,
    /// What a request for an image brings: `None` an image.
    loads: RefCell<VecDeque<Option<Error>>>,
    woken: Cell<Option<Ticket>>,
    requests: Cell<u32>,
}

impl<const SLOTS: usize> Host<SLOTS> {
    fn new(policy: Policy) -> Self {
        let host = Self {
            now: Cell::new(at(1_000_000)),
            lifecycle: RefCell::new(Lifecycle::new(policy)),
            processes: RefCell::default(),
            scripts: RefCell::default(),
            agenda: RefCell::default(),
            signal: Cell::new(false),
            loads: RefCell::default(),
            woken: Cell::new(None),
            requests: Cell::new(0),
        };
        host.update(Lifecycle::loaded);
        host
    }

    /// The next process is born like this.
    fn birth(&self, birth: Birth) -> &Self {
        let deeds = VecDeque::new();
        self.scripts.borrow_mut().push_back(Script { birth, deeds });
        self
    }

    /// The next process does this with its requests.
    fn deeds(&self, deeds: &[Deed]) -> &Self {
        self.scripts.borrow_mut().push_back(Script {
            birth: Birth::Good(1),
            deeds: deeds.iter().copied().collect(),
        });
        self
    }

    /// In `millis` from now, if somebody waits then.
    fn later(&self, millis: u64, happens: impl FnOnce(&Self) + 'static) {
        let when = self.now().after(Span::from_millis(millis));
        self.agenda
            .borrow_mut()
            .push_back((when, Box::new(happens)));
    }

    /// A call with room for eight bytes and a second to spare.
    fn call(&self, request: &[u8]) -> Result<Vec<u8>, Error> {
        self.call_within(1_000, request)
    }

    fn call_within(&self, millis: u64, request: &[u8]) -> Result<Vec<u8>, Error> {
        let result = self.call_unreported(millis, request);
        assert_eq!(self.report_deaths(), 0, "the call kept a death to itself");
        result
    }

    /// A call, after which the host has not yet reported a death that came after the answer.
    fn call_unreported(&self, millis: u64, request: &[u8]) -> Result<Vec<u8>, Error> {
        let mut reply = [0; 8];
        let begin = self.now();
        let limit = Span::from_millis(millis);
        let result = call(self, request, &mut reply, limit);
        let end = begin.after(limit);
        assert!(self.now() <= end, "returned after its deadline");
        let next = self.update(|lifecycle| lifecycle.next());
        assert_eq!(next, None, "the caller is still in the queue");
        result.map(|length| reply[..length].to_vec())
    }

    /// Another caller comes, and keeps the worker that it gets.
    fn occupy(&self) -> WorkerId {
        match self.update(|lifecycle| lifecycle.admit(None, self.now())) {
            Admission::Run(id) => id,
            other => panic!("no idle worker: {other:?}"),
        }
    }

    fn state(&self) -> State {
        self.update(|lifecycle| lifecycle.state(self.now()))
    }

    fn pass(&self, millis: u64) {
        self.now.set(self.now().after(Span::from_millis(millis)));
    }

    fn living(&self) -> usize {
        self.processes.borrow().iter().filter(|p| p.alive).count()
    }

    /// Processes that were ever made.
    fn made(&self) -> usize {
        self.processes.borrow().len()
    }

    /// How many requests have been handed to a handler, read or not.
    fn delivered(&self) -> u32 {
        self.requests.get()
    }

    fn last_error(&self) -> Option<Error> {
        self.update(|lifecycle| lifecycle.counters.last_error)
    }

    /// Reports each process that is dead, as a host's reaper does, late and once more. Returns
    /// for how many that was news.
    fn report_deaths(&self) -> usize {
        let dead: Vec<_> = {
            let processes = self.processes.borrow();
            let dead = processes.iter().filter(|process| !process.alive);
            dead.map(|process| process.id).collect()
        };
        let news = |id: &WorkerId| self.update(|lifecycle| lifecycle.died(*id, self.now()));
        dead.iter().filter(|id| news(id)).count()
    }

    fn with<R>(&self, id: WorkerId, change: impl FnOnce(&mut Process) -> R) -> R {
        let mut processes = self.processes.borrow_mut();
        let process = processes.iter_mut().find(|process| process.id == id);
        change(process.expect("a process that was started"))
    }

    fn kill(&self, id: WorkerId, how: ExitStatus) {
        let lived = self.with(id, |process| {
            process.channel.transfer.close();
            core::mem::replace(&mut process.alive, false)
        });
        if lived {
            self.update(|lifecycle| lifecycle.counters.exited(how, None));
        }
    }

    fn happen(&self, id: WorkerId, happening: Happening) {
        match happening {
            Happening::Nothing => {}
            Happening::ItDies => self.kill(id, ExitStatus::Exited(7)),
            Happening::Restart => self.restart(),
            Happening::RestartUnseen => self.update(Lifecycle::restart),
            Happening::Unload => {
                self.update(Lifecycle::unload);
                self.abort_all();
            }
            Happening::Withdraw => {
                self.update(Lifecycle::withdrawn);
                self.abort_all();
            }
            Happening::Signal => self.signal.set(true),
        }
    }

    fn restart(&self) {
        self.update(Lifecycle::restart);
        self.abort_all();
    }

    fn abort_all(&self) {
        for process in self.processes.borrow_mut().iter_mut() {
            process.channel.transfer.abort();
        }
    }

    /// The handler does its next deed.
    fn perform(&self, id: WorkerId) {
        let deed = self.with(id, |process| process.script.deeds.pop_front());
        match deed.unwrap_or(Deed::Answer) {
            Deed::Answer => self.answer(id, 0),
            Deed::Slow(millis) => {
                self.pass(millis);
                self.answer(id, 0);
            }
            Deed::Refuse(status) => {
                let asked = self.read_request(id).0;
                self.write(id, &Header::reply(asked, 0, status).encode());
            }
            Deed::Surplus => self.answer(id, 5),
            Deed::AnswerAndDie => {
                self.answer(id, 0);
                self.kill(id, ExitStatus::Exited(0));
            }
            Deed::WrongId => {
                let asked = self.read_request(id).0;
                self.write(id, &Header::reply(asked + 1, 0, 0).encode());
            }
            Deed::Early => {
                self.write(id, &Header::reply(self.requests.get(), 0, 0).encode());
            }
            Deed::TooLong => {
                let asked = self.read_request(id).0;
                self.write(id, &Header::reply(asked, 1 << 20, 0).encode());
            }
            Deed::ReadThen(bytes, happening) => {
                self.with(id, |process| {
                    for _ in 0..bytes {
                        process.channel.read(1);
                    }
                });
                self.happen(id, happening);
            }
        }
    }

    fn read_request(&self, id: WorkerId) -> (u32, Vec<u8>) {
        let mut bytes = self.with(id, |process| process.channel.read_all(usize::MAX));
        let payload = bytes.split_off(HEADER_LEN);
        let header = bytes.try_into().expect("sixteen bytes");
        let header = Header::decode(&header).expect("a header");
        assert_eq!(header.length as usize, payload.len());
        (header.id, payload)
    }

    fn answer(&self, id: WorkerId, surplus: usize) {
        let (asked, mut payload) = self.read_request(id);
        payload.reverse();
        let header = Header::reply(asked, payload.len() as u32, 0);
        let mut bytes = header.encode().to_vec();
        bytes.extend(payload);
        bytes.extend(vec![0xff; surplus]);
        self.write(id, &bytes);
    }

    fn write(&self, id: WorkerId, bytes: &[u8]) -> Vec<Event> {
        let events = self.with(id, |process| process.channel.write(bytes));
        if events.contains(&Event::Kill) {
            self.kill(id, ExitStatus::Signaled(9));
        }
        events
    }

    /// A handler that had been left with a withdrawn request answers it after all. The host tells
    /// the lifecycle.
    fn drain(&self, id: WorkerId) {
        let events = self.write(id, &Header::reply(self.requests.get(), 0, 0).encode());
        assert_eq!(events, [Event::Drained(Answer::Reply(0))]);
        assert!(self.update(|lifecycle| lifecycle.finished(id, Served::Reply)));
    }
}

impl<const SLOTS: usize> Clock for Host<SLOTS> {
    fn now(&self) -> Instant {
        self.now.get()
    }
}

impl<const SLOTS: usize> Turnstile<SLOTS> for Host<SLOTS> {
    type Process = WorkerId;

    fn admit(
        &self,
        ask: impl FnOnce(&mut Lifecycle<SLOTS>) -> Admission,
    ) -> (Admission, Option<WorkerId>) {
        let admission = self.update(ask);
        let process = match admission {
            Admission::Run(id) => Some(id),
            _ => None,
        };
        (admission, process)
    }

    fn update<R>(&self, change: impl FnOnce(&mut Lifecycle<SLOTS>) -> R) -> R {
        let mut lifecycle = self.lifecycle.borrow_mut();
        let result = change(&mut lifecycle);
        if let Some(ticket) = lifecycle.wakeup() {
            self.woken.set(Some(ticket));
        }
        result
    }

    fn wait(&self, ticket: Ticket, until: Instant) -> Result<(), Interrupted> {
        assert!(self.now() < until, "waits for what has passed");
        while self.woken.get() != Some(ticket) && !self.signal.get() && self.now() < until {
            let is_due = |(when, _): &(Instant, Later<SLOTS>)| *when < until;
            let mut agenda = self.agenda.borrow_mut();
            if agenda.front().is_some_and(is_due) {
                let (when, happens) = agenda.pop_front().expect("due");
                drop(agenda);
                self.now.set(self.now().max(when));
                happens(self);
            } else {
                assert_ne!(until, Instant::NEVER, "a wait that never ends");
                self.now.set(until);
            }
        }
        self.woken.set(None);
        if self.signal.take() {
            Err(Interrupted)
        } else {
            Ok(())
        }
    }
}

impl<const SLOTS: usize> Processes for Host<SLOTS> {
    type Process = WorkerId;

    fn load(&self, deadline: Instant) -> Result<(), Error> {
        assert!(self.now() < deadline, "a loader that has no time at all");
        let brings = self.loads.borrow_mut().pop_front();
        match brings.expect("a request for an image that no test asked for") {
            Some(error) => Err(error),
            None => {
                self.update(Lifecycle::loaded);
                Ok(())
            }
        }
    }

    fn start(&self, id: WorkerId, deadline: Instant) -> Result<WorkerId, StartError> {
        let good = Script {
            birth: Birth::Good(1),
            deeds: VecDeque::new(),
        };
        let script = self.scripts.borrow_mut().pop_front().unwrap_or(good);
        let birth = script.birth;
        if let Birth::Exec(errno) = birth {
            return Err(StartError::Exec(errno));
        }
        let policy = self.update(|lifecycle| {
            lifecycle.counters.started();
            *lifecycle.policy()
        });
        let slot_is_free = |p: &Process| p.id.slot() != id.slot() || !p.alive;
        assert!(self.processes.borrow().iter().all(slot_is_free));
        self.processes.borrow_mut().push(Process {
            id,
            channel: Channel::new(policy.framing, deadline),
            script,
            alive: true,
        });
        match birth {
            Birth::Good(millis) => self.pass(millis),
            Birth::Exec(_) => {}
            Birth::Dies => {
                self.kill(id, ExitStatus::Exited(7));
                return Err(StartError::Died);
            }
            Birth::Silent => {
                self.now.set(deadline);
                assert!(self.with(id, |process| process.channel.expires(deadline)));
                return Err(StartError::TimedOut);
            }
            Birth::Babbles => {
                assert_eq!(self.write(id, b"Hello, who are you?"), [Event::Kill]);
                return Err(StartError::Hello(Violation::Magic));
            }
            Birth::Keeps => return Err(StartError::Lockdown(LockdownCheck::Capabilities)),
            Birth::Sick => return Err(StartError::Health(Errno::EIO)),
            Birth::Meanwhile(happening) => {
                self.happen(id, happening);
                if self.signal.take() {
                    return Err(StartError::Interrupted);
                }
                if self
                    .with(id, |process| process.channel.transfer.ended())
                    .is_some()
                {
                    return Err(StartError::Aborted);
                }
            }
        }
        assert_eq!(self.write(id, &Header::hello().encode()), [Event::Hello]);
        self.with(id, |process| process.channel.transfer.admit());
        Ok(id)
    }

    fn exchange(
        &self,
        &id: &WorkerId,
        request: &[u8],
        reply: &mut [u8],
        deadline: Instant,
    ) -> Result<Answer, Lost> {
        assert!(self.now() < deadline, "a handler that has no time at all");
        self.requests.set(self.requests.get() + 1);
        self.with(id, |process| {
            let number = self.requests.get();
            process
                .channel
                .submit(number, request, reply.len(), deadline)
        })
        .map_err(Lost::Worker)?;
        self.perform(id);
        if self.signal.take() {
            let withdrawn = self.with(id, |process| process.channel.withdraw());
            return Err(Lost::Caller(withdrawn));
        }
        loop {
            if let Some(result) = self.with(id, |process| process.channel.collect()) {
                let (answer, bytes) = result.map_err(Lost::Worker)?;
                if let Answer::Reply(length) = answer {
                    reply[..length].copy_from_slice(&bytes);
                }
                return Ok(answer);
            }
            self.now.set(deadline);
            assert!(self.with(id, |process| process.channel.expires(deadline)));
        }
    }

    fn discard(&self, id: WorkerId) {
        if self
            .processes
            .borrow()
            .iter()
            .any(|process| process.id == id)
        {
            self.kill(id, ExitStatus::Signaled(9));
        }
    }
}

/// A driver with one worker and no spare.
fn one() -> Host<1> {
    Host::new(Policy::DEFAULT)
}

/// One that has answered once already.
fn running(deeds: &[Deed]) -> Host<1> {
    let host = one();
    let mut all = vec![Deed::Answer];
    all.extend(deeds);
    host.deeds(&all);
    assert_eq!(host.call(b"abc"), Ok(b"cba".to_vec()));
    host
}

const DIES_UNREAD: Deed = Deed::ReadThen(0, Happening::ItDies);
const DIES_READ: Deed = Deed::ReadThen(1, Happening::ItDies);

// Good calls.

#[test]
fn the_first_call_starts_a_handler_and_the_next_ones_use_it() {
    let host = one();
    assert_eq!(host.state(), State::Loaded);
    assert_eq!(host.call(b"abc"), Ok(b"cba".to_vec()));
    assert_eq!(host.call(b""), Ok(b"".to_vec()));
    assert_eq!(host.call(b"12"), Ok(b"21".to_vec()));
    assert_eq!((host.made(), host.state()), (1, State::Running));
}

#[test]
fn calls_are_counted() {
    let host = running(&[Deed::Slow(3), DIES_READ]);
    assert!(host.call(b"1").is_ok());
    assert_eq!(host.call(b"1"), Err(Error::ConnectionReset));
    let counters = host.update(|lifecycle| lifecycle.counters);
    assert_eq!((counters.requests, counters.replies), (3, 2));
    assert_eq!((counters.starts, counters.exits), (1, 1));
    assert_eq!(counters.last_exit, Some(ExitStatus::Exited(7)));
    assert_eq!(counters.last_error, Some(Error::ConnectionReset));
    assert_eq!(counters.timeouts, 0);
    // Answered calls only: one of 1 ms with the start in it, and one of 3 ms.
    assert_eq!(counters.latencies.percentile_us(100), 4_096);
    assert_eq!(counters.latencies.percentile_us(50), 1_024);
}

#[test]
fn a_refusal_is_an_answer_and_the_worker_stays() {
    let host = running(&[Deed::Refuse(42)]);
    let status = NonZeroU32::new(42).expect("42");
    assert_eq!(host.call(b"1"), Err(Error::Rejected(status)));
    assert_eq!(host.last_error(), Some(Error::Rejected(status)));
    assert!(host.call(b"1").is_ok());
    assert_eq!((host.made(), host.living()), (1, 1));
}

/// Whether the host reports the death before the next call comes, or that meets a closed channel.
#[test]
fn a_death_after_the_answer_costs_neither_this_call_nor_the_next() {
    for deed in [Deed::Surplus, Deed::AnswerAndDie] {
        for reported in [true, false] {
            let host = running(&[deed]);
            assert!(host.call_unreported(1_000, b"1").is_ok());
            if reported {
                assert_eq!(host.report_deaths(), 1);
                assert_eq!(host.state(), State::Exited);
            }
            assert!(host.call(b"1").is_ok());
            assert_eq!((host.made(), host.living()), (2, 1));
        }
    }
}

// The retry rule.

#[test]
fn a_handler_that_died_before_it_read_is_replaced_once() {
    let host = running(&[DIES_UNREAD]);
    assert_eq!(host.call(b"12"), Ok(b"21".to_vec()));
    assert_eq!((host.made(), host.delivered()), (2, 3));
    assert_eq!(host.last_error(), None);
}

#[test]
fn the_second_that_dies_before_it_read_is_the_last() {
    let host = running(&[DIES_UNREAD]);
    host.deeds(&[DIES_UNREAD]);
    assert_eq!(host.call(b"1"), Err(Error::ConnectionRefused));
    assert_eq!((host.made(), host.living()), (2, 0));
    assert_eq!(host.state(), State::Exited);
}

#[test]
fn a_request_that_was_read_is_never_delivered_again() {
    let request = b"12345";
    for bytes in 1..=HEADER_LEN + request.len() {
        let host = running(&[Deed::ReadThen(bytes, Happening::ItDies)]);
        assert_eq!(host.call(request), Err(Error::ConnectionReset));
        assert_eq!((host.made(), host.delivered()), (1, 2));
        // It is the next call that starts afresh.
        assert!(host.call(request).is_ok());
        assert_eq!(host.made(), 2);
    }
}

#[test]
fn one_retry_covers_start_and_request_together() {
    let host = one();
    host.birth(Birth::Dies).deeds(&[DIES_UNREAD]);
    assert_eq!(host.call(b"1"), Err(Error::ConnectionRefused));
    assert_eq!(host.made(), 2);
}

#[test]
fn a_restart_under_an_unread_request_asks_another_handler() {
    let host = running(&[Deed::ReadThen(0, Happening::Restart)]);
    assert!(host.call(b"1").is_ok());
    assert_eq!(host.made(), 2);
}

#[test]
fn a_restart_under_a_request_that_was_read_resets_it() {
    let host = running(&[Deed::ReadThen(1, Happening::Restart)]);
    assert_eq!(host.call(b"1"), Err(Error::ConnectionReset));
    assert_eq!((host.made(), host.living()), (1, 0));
}

// Deadlines.

#[test]
fn a_call_that_times_out_ends_its_handler_and_the_next_starts_afresh() {
    for (bytes, seen) in [(0, Seen::Unread), (1, Seen::Read), (99, Seen::Read)] {
        let host = running(&[Deed::ReadThen(bytes, Happening::Nothing)]);
        let begin = host.now();
        assert_eq!(host.call_within(300, b"1"), Err(Error::TimedOut(seen)));
        assert_eq!(host.now(), begin.after(Span::from_millis(300)));
        assert_eq!(host.living(), 0);
        assert_eq!(host.update(|lifecycle| lifecycle.counters.timeouts), 1);
        assert!(host.call(b"1").is_ok());
        assert_eq!(host.made(), 2);
    }
}

#[test]
fn the_deadline_includes_queue_and_start() {
    let host = running(&[]);
    let id = host.occupy();
    host.birth(Birth::Good(100));
    host.later(100, move |host| {
        assert!(host.update(|lifecycle| lifecycle.died(id, host.now())));
        host.discard(id);
    });
    // 100 ms in the queue, 100 ms for a start, the rest for the handler.
    host.scripts.borrow_mut()[0].deeds = [Deed::ReadThen(99, Happening::Nothing)].into();
    let begin = host.now();
    assert_eq!(
        host.call_within(300, b"1"),
        Err(Error::TimedOut(Seen::Read))
    );
    assert_eq!(host.now(), begin.after(Span::from_millis(300)));
}

#[test]
fn whoever_waits_in_vain_leaves_the_worker_alone() {
    let host = running(&[]);
    let id = host.occupy();
    assert_eq!(
        host.call_within(50, b"1"),
        Err(Error::TimedOut(Seen::Unread))
    );
    assert_eq!((host.living(), host.delivered()), (1, 1));
    assert!(host.update(|lifecycle| lifecycle.finished(id, Served::Reply)));
    assert!(host.call(b"1").is_ok());
}

/// A worker that is taken at one's deadline would be killed at once, for nothing.
#[test]
fn no_worker_is_taken_when_the_time_is_up() {
    let host = running(&[]);
    assert_eq!(
        host.call_within(0, b"1"),
        Err(Error::TimedOut(Seen::Unread))
    );
    let id = host.occupy();
    host.later(49, move |host| {
        host.pass(1);
        assert!(host.update(|lifecycle| lifecycle.finished(id, Served::Reply)));
    });
    assert_eq!(
        host.call_within(50, b"1"),
        Err(Error::TimedOut(Seen::Unread))
    );
    assert_eq!((host.living(), host.delivered()), (1, 1));
}

// Handlers that break rules.

#[test]
fn a_handler_that_breaks_a_rule_is_ended() {
    for (deed, violation) in [
        (Deed::WrongId, Violation::Id),
        (Deed::TooLong, Violation::TooLong),
    ] {
        let host = running(&[deed]);
        assert_eq!(host.call(b"1"), Err(Error::BadMessage(violation)));
        assert_eq!((host.living(), host.delivered()), (0, 2));
        assert!(host.call(b"1").is_ok());
    }
}

// Starts that fail.

#[test]
fn a_failed_start_says_why() {
    for (birth, error) in [
        (
            Birth::Exec(Errno::ENOEXEC),
            StartError::Exec(Errno::ENOEXEC),
        ),
        (Birth::Silent, StartError::TimedOut),
        (Birth::Babbles, StartError::Hello(Violation::Magic)),
        (
            Birth::Keeps,
            StartError::Lockdown(LockdownCheck::Capabilities),
        ),
        (Birth::Sick, StartError::Health(Errno::EIO)),
    ] {
        let host = one();
        host.birth(birth);
        assert_eq!(host.call(b"1"), Err(Error::Start(error)));
        assert_eq!(host.last_error(), Some(Error::Start(error)));
        assert_eq!((host.living(), host.delivered()), (0, 0));
        assert!(
            host.call(b"1").is_ok(),
            "one failed start is forgiven at once"
        );
    }
}

#[test]
fn a_handler_that_dies_in_its_start_is_replaced_once() {
    let host = one();
    host.birth(Birth::Dies);
    assert!(host.call(b"1").is_ok());

    let host = one();
    host.birth(Birth::Dies).birth(Birth::Dies);
    assert_eq!(host.call(b"1"), Err(Error::Start(StartError::Died)));
    assert_eq!((host.made(), host.living()), (2, 0));
}

#[test]
fn a_start_has_its_own_deadline_within_that_of_the_call() {
    let policy = Policy {
        start_deadline: Span::from_millis(20),
        ..Policy::DEFAULT
    };
    for (call_ms, start_ms) in [(1_000, 20), (10, 10)] {
        let host = Host::<1>::new(policy);
        host.birth(Birth::Silent);
        let begin = host.now();
        assert_eq!(
            host.call_within(call_ms, b"1"),
            Err(Error::Start(StartError::TimedOut))
        );
        assert_eq!(host.now(), begin.after(Span::from_millis(start_ms)));
    }
}

#[test]
fn a_restart_during_a_start_starts_another() {
    let host = one();
    host.birth(Birth::Meanwhile(Happening::Restart));
    assert!(host.call(b"1").is_ok());
    assert_eq!((host.made(), host.living()), (2, 1));
}

#[test]
fn a_worker_that_was_retired_while_it_started_is_not_used() {
    let host = one();
    host.birth(Birth::Meanwhile(Happening::RestartUnseen));
    assert!(host.call(b"1").is_ok());
    assert_eq!((host.made(), host.living()), (2, 1));

    let host = two_and_a_spare();
    host.birth(Birth::Meanwhile(Happening::RestartUnseen));
    replenish(&host);
    assert_eq!((host.made(), host.living()), (4, 3));
}

// Back-off and budget.

#[test]
fn an_image_that_cannot_be_executed_ends_in_failure_that_is_fast() {
    let host = one();
    let error = Error::Start(StartError::Exec(Errno::ENOEXEC));
    for _ in 0..=RestartPolicy::DEFAULT.budget {
        host.birth(Birth::Exec(Errno::ENOEXEC));
        assert_eq!(host.call(b"1"), Err(error));
    }
    assert_eq!(host.state(), State::Failed);
    let begin = host.now();
    assert_eq!(host.call(b"1"), Err(Error::Failed));
    assert_eq!(start(&host), Err(Error::Failed));
    assert_eq!(host.now(), begin, "failed slowly");
    assert_eq!(host.last_error(), Some(Error::Failed));
}

#[test]
fn the_pause_grows_from_death_to_death_and_callers_sit_it_out() {
    let host = one();
    let mut waited = vec![];
    for _ in 0..=RestartPolicy::DEFAULT.budget {
        let begin = host.now();
        host.birth(Birth::Sick);
        assert_eq!(
            host.call(b"1"),
            Err(Error::Start(StartError::Health(Errno::EIO)))
        );
        waited.push(host.now().since(begin).as_millis());
    }
    assert_eq!(waited, [0, 0, 100, 200, 400, 800]);
}

#[test]
fn a_pause_that_outlasts_the_deadline_is_a_timeout_and_costs_no_process() {
    let host = one();
    host.birth(Birth::Dies).birth(Birth::Dies);
    assert!(host.call(b"1").is_err());
    assert_eq!(
        host.call_within(50, b"1"),
        Err(Error::TimedOut(Seen::Unread))
    );
    assert_eq!(host.made(), 2);
    // The rest of the pause.
    let begin = host.now();
    assert!(host.call(b"1").is_ok());
    assert_eq!(host.now().since(begin).as_millis(), 50 + 1);
}

fn failed() -> Host<1> {
    let host = one();
    for _ in 0..=RestartPolicy::DEFAULT.budget {
        host.birth(Birth::Sick);
        assert!(host.call(b"1").is_err());
    }
    assert_eq!(host.state(), State::Failed);
    host
}

#[test]
fn failure_passes_with_the_window() {
    let host = failed();
    host.pass(RestartPolicy::DEFAULT.window.as_millis() - 1);
    assert_eq!(host.call(b"1"), Err(Error::Failed));
    host.pass(1);
    assert_eq!(host.state(), State::Exited);
    assert!(host.call(b"1").is_ok());
}

#[test]
fn a_restart_forgives() {
    let host = failed();
    host.restart();
    let begin = host.now();
    assert!(host.call(b"1").is_ok());
    assert_eq!(host.now().since(begin).as_millis(), 1);
}

#[test]
fn a_reply_forgives() {
    let host = one();
    for _ in 0..3 * RestartPolicy::DEFAULT.budget {
        host.deeds(&[Deed::Answer, DIES_READ]);
        let begin = host.now();
        assert!(host.call(b"1").is_ok());
        assert_eq!(host.call(b"1"), Err(Error::ConnectionReset));
        assert!(host.now().since(begin).as_millis() <= 1, "paused");
    }
}

#[test]
fn a_hello_does_not_forgive() {
    let host = one();
    for _ in 0..=RestartPolicy::DEFAULT.budget {
        host.deeds(&[DIES_READ]);
        assert_eq!(host.call(b"1"), Err(Error::ConnectionReset));
    }
    assert_eq!(host.call(b"1"), Err(Error::Failed));
}

// The queue.

#[test]
fn whoever_waits_goes_on_when_the_worker_is_free() {
    let host = running(&[]);
    let id = host.occupy();
    host.later(10, move |host| {
        assert!(host.update(|lifecycle| lifecycle.finished(id, Served::Reply)));
    });
    let begin = host.now();
    assert!(host.call(b"1").is_ok());
    assert_eq!(host.now().since(begin).as_millis(), 10);
}

#[test]
fn a_full_queue_refuses_at_once() {
    let policy = Policy {
        queue_max: 2,
        ..Policy::DEFAULT
    };
    let host = Host::<1>::new(policy);
    assert!(host.call(b"1").is_ok());
    let id = host.occupy();
    let places = [(); 2].map(|()| host.update(|lifecycle| lifecycle.enter()).expect("room"));
    let mut reply = [0; 8];
    let begin = host.now();
    assert_eq!(
        call(&host, b"1", &mut reply, Span::from_millis(100)),
        Err(Error::Busy)
    );
    assert_eq!(host.now(), begin);
    for place in places {
        host.update(|lifecycle| lifecycle.leave(place));
    }
    assert!(host.update(|lifecycle| lifecycle.finished(id, Served::Reply)));
    assert!(host.call(b"1").is_ok());
}

#[test]
fn a_request_that_is_too_long_is_refused_before_anything_starts() {
    let policy = Policy {
        request_max: 4,
        ..Policy::DEFAULT
    };
    let host = Host::<1>::new(policy);
    assert_eq!(host.call(b"12345"), Err(Error::RequestTooLong));
    assert_eq!((host.made(), host.state()), (0, State::Loaded));
    assert_eq!(host.last_error(), Some(Error::RequestTooLong));
    assert_eq!(host.call(b"1234"), Ok(b"4321".to_vec()));
}

// Callers that are killed.

#[test]
fn a_caller_killed_in_the_queue_leaves_it_clean() {
    let host = running(&[]);
    let id = host.occupy();
    host.later(10, |host| host.signal.set(true));
    assert_eq!(host.call(b"1"), Err(Error::Interrupted));
    assert_eq!((host.living(), host.delivered()), (1, 1));
    assert!(host.update(|lifecycle| lifecycle.finished(id, Served::Reply)));
    assert!(host.call(b"1").is_ok());
}

#[test]
fn a_caller_killed_during_a_start_blames_nobody() {
    let host = one();
    for _ in 0..2 * RestartPolicy::DEFAULT.budget {
        host.birth(Birth::Meanwhile(Happening::Signal));
        let begin = host.now();
        assert_eq!(host.call(b"1"), Err(Error::Start(StartError::Interrupted)));
        assert_eq!(host.now(), begin, "paused");
        assert_eq!(host.living(), 0);
    }
    assert!(host.call(b"1").is_ok());
}

#[test]
fn a_caller_killed_before_its_request_was_read_frees_the_worker() {
    let host = running(&[Deed::ReadThen(0, Happening::Signal)]);
    assert_eq!(host.call(b"1"), Err(Error::Interrupted));
    assert_eq!(host.living(), 1);
    assert!(host.call(b"1").is_ok());
    assert_eq!(host.made(), 1);
}

#[test]
fn a_worker_with_a_withdrawn_request_is_busy_until_it_has_answered() {
    let host = running(&[Deed::ReadThen(99, Happening::Signal)]);
    assert_eq!(host.call(b"1"), Err(Error::Interrupted));
    let id = host.processes.borrow()[0].id;
    assert_eq!(host.with(id, |p| p.channel.withdraw()), Withdrawn::Draining);
    assert_eq!(
        host.call_within(50, b"1"),
        Err(Error::TimedOut(Seen::Unread))
    );
    host.later(10, move |host| host.drain(id));
    assert!(host.call(b"1").is_ok());
    assert_eq!(host.made(), 1);
}

#[test]
fn a_caller_killed_with_a_dead_handler_reports_the_death() {
    let host = running(&[]);
    let id = host.processes.borrow()[0].id;
    host.with(id, |process| {
        process.script.deeds.push_back(DIES_UNREAD);
    });
    host.signal.set(true);
    assert_eq!(host.call(b"1"), Err(Error::Interrupted));
    assert_eq!((host.living(), host.state()), (0, State::Exited));
}

// Unload.

#[test]
fn an_unloading_driver_refuses() {
    let host = running(&[]);
    host.update(Lifecycle::unload);
    assert_eq!(host.call(b"1"), Err(Error::Unloading));
    assert_eq!(start(&host), Err(Error::Unloading));
    replenish(&host);
    assert_eq!(host.made(), 1);
}

#[test]
fn unload_ends_a_call_wherever_it_is() {
    // With the request in the handler's hands, read or not;
    for bytes in [0, 1] {
        let host = running(&[Deed::ReadThen(bytes, Happening::Unload)]);
        assert_eq!(host.call(b"1"), Err(Error::Unloading));
        assert_eq!((host.living(), host.state()), (0, State::Unloading));
    }
    // in a start;
    let host = one();
    host.birth(Birth::Meanwhile(Happening::Unload));
    assert_eq!(host.call(b"1"), Err(Error::Unloading));
    assert_eq!(host.living(), 0);
    // in the queue.
    let host = running(&[]);
    host.occupy();
    host.later(10, |host| host.update(Lifecycle::unload));
    assert_eq!(host.call(b"1"), Err(Error::Unloading));
}

// Starts without a request.

#[test]
fn start_brings_a_handler_into_service_once() {
    let host = one();
    assert_eq!(start(&host), Ok(()));
    assert_eq!(start(&host), Ok(()));
    assert_eq!((host.made(), host.state()), (1, State::Running));
    let counters = host.update(|lifecycle| lifecycle.counters);
    assert_eq!((counters.requests, counters.starts), (0, 1));
    assert!(host.call(b"1").is_ok());
}

#[test]
fn start_says_why_not() {
    let host = one();
    host.birth(Birth::Sick);
    assert_eq!(
        start(&host),
        Err(Error::Start(StartError::Health(Errno::EIO)))
    );
    assert_eq!(host.living(), 0);
}

// Several workers, and spares.

fn two_and_a_spare() -> Host<3> {
    Host::new(Policy {
        workers: 2,
        spares: 1,
        ..Policy::DEFAULT
    })
}

#[test]
fn spares_are_ready_before_they_are_needed() {
    let host = two_and_a_spare();
    replenish(&host);
    assert_eq!((host.made(), host.state()), (3, State::Running));
    replenish(&host);
    assert_eq!(host.made(), 3);
    let begin = host.now();
    assert!(host.call(b"1").is_ok());
    assert_eq!(host.now(), begin, "the call paid for a start");
}

#[test]
fn a_crash_costs_the_next_caller_no_start() {
    let host = two_and_a_spare();
    host.deeds(&[DIES_READ]);
    replenish(&host);
    assert_eq!(host.call(b"1"), Err(Error::ConnectionReset));
    let begin = host.now();
    assert!(host.call(b"1").is_ok());
    assert_eq!((host.now(), host.living()), (begin, 2));
    replenish(&host);
    assert_eq!(host.living(), 3);
}

#[test]
fn a_spare_is_no_third_worker() {
    let host = two_and_a_spare();
    replenish(&host);
    host.occupy();
    let id = host.occupy();
    assert_eq!(
        host.call_within(50, b"1"),
        Err(Error::TimedOut(Seen::Unread))
    );
    host.later(10, move |host| {
        host.discard(id);
        assert!(host.update(|lifecycle| lifecycle.died(id, host.now())));
    });
    let begin = host.now();
    assert!(host.call(b"1").is_ok());
    assert_eq!(host.now().since(begin).as_millis(), 10);
}

#[test]
fn spares_that_fail_are_charged_and_stop_at_the_pause() {
    let host = two_and_a_spare();
    for _ in 0..9 {
        host.birth(Birth::Sick);
    }
    replenish(&host);
    assert_eq!((host.made(), host.living()), (2, 0));
    host.pass(100);
    replenish(&host);
    assert_eq!((host.made(), host.living()), (3, 0));
}

#[test]
fn a_restart_while_a_spare_starts_lets_it_go() {
    let host = two_and_a_spare();
    host.birth(Birth::Meanwhile(Happening::Restart));
    replenish(&host);
    assert_eq!((host.made(), host.living()), (4, 3));
}

#[test]
fn two_calls_at_once_have_a_worker_each() {
    let host = two_and_a_spare();
    replenish(&host);
    let id = host.occupy();
    let begin = host.now();
    assert!(host.call(b"1").is_ok());
    assert_eq!(host.now(), begin, "waited for the other call");
    assert!(host.update(|lifecycle| lifecycle.finished(id, Served::Reply)));
}

// Without an image.

#[test]
fn an_image_is_asked_for_once_and_then_the_call_goes_on() {
    let host = one();
    assert_eq!(host.call(b"12"), Ok(b"21".to_vec()));
    host.update(Lifecycle::withdrawn);
    for process in host.processes.borrow_mut().iter_mut() {
        process.channel.transfer.abort();
        process.alive = false;
    }
    assert_eq!(host.state(), State::Unloaded);
    host.loads.borrow_mut().push_back(None);
    assert_eq!(host.call(b"34"), Ok(b"43".to_vec()));
    assert_eq!(host.made(), 2);
    assert!(host.loads.borrow().is_empty());
}

#[test]
fn whoever_gets_no_image_is_told_why() {
    for error in [
        Error::NotLoaded,
        Error::TimedOut(Seen::Unread),
        Error::Interrupted,
    ] {
        let host = one();
        host.update(Lifecycle::withdrawn);
        host.loads.borrow_mut().push_back(Some(error));
        assert_eq!(host.call(b"12"), Err(error));
        host.loads.borrow_mut().push_back(Some(error));
        assert_eq!(start(&host), Err(error));
        assert_eq!(host.made(), 0);
    }
}

#[test]
fn an_image_that_is_gone_again_is_not_asked_for_twice() {
    let host = one();
    host.update(Lifecycle::withdrawn);
    host.loads.borrow_mut().push_back(None);
    host.birth(Birth::Meanwhile(Happening::Withdraw));
    assert_eq!(host.call(b"12"), Err(Error::NotLoaded));
}

#[test]
fn bytes_before_the_request_was_read_cost_the_handler_its_life_and_not_the_caller_his_reply() {
    let host = one();
    host.deeds(&[Deed::Early]);
    assert_eq!(host.call(b"12"), Ok(b"21".to_vec()));
    assert_eq!((host.made(), host.living()), (2, 1));
    // A second one that does the same shows that it is no accident.
    let host = one();
    host.deeds(&[Deed::Early]).deeds(&[Deed::Early]);
    assert_eq!(host.call(b"12"), Err(Error::BadMessage(Violation::Early)));
}
