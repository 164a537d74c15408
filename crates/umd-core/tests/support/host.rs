// SPDX-License-Identifier: MIT OR Apache-2.0
//! A host that is made up: one thread, a clock that moves only when somebody waits, and handlers that
//! follow a script. Lifecycle and transfer are the real ones.

use crate::support::{Channel, Event, at};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use umd_core::error::{Errno, Error, LockdownCheck, Seen, StartError, Violation};
use umd_core::exchange::call;
use umd_core::frame::{HEADER_LEN, Header};
use umd_core::host::{Clock, Interrupted, Lost, Processes, Turnstile};
use umd_core::lifecycle::{Admission, Lifecycle, Served, State, Ticket, WorkerId};
use umd_core::policy::{Instant, Policy, Span};
use umd_core::status::ExitStatus;
use umd_core::transfer::Answer;

/// What a process does from its exec to the end of its health check.
#[derive(Clone, Copy)]
pub(crate) enum Birth {
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
    Keeps(LockdownCheck),
    /// It fails the health check.
    Sick,
    /// While it starts, this happens.
    Meanwhile(Happening),
}

/// What a process does with a request.
#[derive(Clone, Copy)]
pub(crate) enum Deed {
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
pub(crate) enum Happening {
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
pub(crate) struct Script {
    pub(crate) birth: Birth,
    /// Once they are done it goes on answering.
    pub(crate) deeds: VecDeque<Deed>,
}

pub(crate) struct Process {
    pub(crate) id: WorkerId,
    pub(crate) channel: Channel,
    pub(crate) script: Script,
    /// The number of the request that it was handed last.
    pub(crate) asked: u32,
    pub(crate) alive: bool,
}

pub(crate) type Later<const SLOTS: usize> = Box<dyn FnOnce(&Host<SLOTS>)>;

pub(crate) struct Host<const SLOTS: usize> {
    pub(crate) now: Cell<Instant>,
    pub(crate) lifecycle: RefCell<Lifecycle<SLOTS>>,
    pub(crate) processes: RefCell<Vec<Process>>,
    /// Scripts of processes to come; when there is none, processes are good.
    pub(crate) scripts: RefCell<VecDeque<Script>>,
    /// What will happen while callers wait in the queue.
    pub(crate) agenda: RefCell<VecDeque<(Instant, Later<SLOTS>)>>,
    pub(crate) signal: Cell<bool>,
    /// What a request for an image brings: `None` an image.
    pub(crate) loads: RefCell<VecDeque<Option<Error>>>,
    pub(crate) woken: Cell<Option<Ticket>>,
    pub(crate) requests: Cell<u32>,
    /// How many handlers have read a byte of the request under way.
    pub(crate) readers: Cell<u32>,
}

impl<const SLOTS: usize> Host<SLOTS> {
    pub(crate) fn new(policy: Policy) -> Self {
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
            readers: Cell::new(0),
        };
        host.update(Lifecycle::loaded);
        host
    }

    /// The next process is born like this.
    pub(crate) fn birth(&self, birth: Birth) -> &Self {
        let deeds = VecDeque::new();
        self.scripts.borrow_mut().push_back(Script { birth, deeds });
        self
    }

    /// The next process does this with its requests.
    pub(crate) fn deeds(&self, deeds: &[Deed]) -> &Self {
        self.scripts.borrow_mut().push_back(Script {
            birth: Birth::Good(1),
            deeds: deeds.iter().copied().collect(),
        });
        self
    }

    /// In `millis` from now, if somebody waits then.
    pub(crate) fn later(&self, millis: u64, happens: impl FnOnce(&Self) + 'static) {
        let when = self.now().after(Span::from_millis(millis));
        self.agenda
            .borrow_mut()
            .push_back((when, Box::new(happens)));
    }

    /// A call with room for eight bytes and a second to spare.
    pub(crate) fn call(&self, request: &[u8]) -> Result<Vec<u8>, Error> {
        self.call_within(1_000, request)
    }

    pub(crate) fn call_within(&self, millis: u64, request: &[u8]) -> Result<Vec<u8>, Error> {
        let result = self.call_unreported(millis, request);
        assert_eq!(self.report_deaths(), 0, "the call kept a death to itself");
        result
    }

    /// A call, after which the host has not yet reported a death that came after the answer.
    pub(crate) fn call_unreported(&self, millis: u64, request: &[u8]) -> Result<Vec<u8>, Error> {
        let mut reply = [0; 8];
        let begin = self.now();
        let limit = Span::from_millis(millis);
        self.readers.set(0);
        let result = call(self, request, &mut reply, limit);
        let expected = match result {
            Ok(_) | Err(Error::Rejected(_) | Error::ConnectionReset) => Some(1),
            Err(Error::ConnectionRefused | Error::TimedOut(Seen::Unread)) => Some(0),
            Err(_) => None,
        };
        assert!(expected.is_none_or(|readers| readers == self.readers.get()));
        let end = begin.after(limit);
        assert!(self.now() <= end, "returned after its deadline");
        let next = self.update(|lifecycle| lifecycle.next());
        assert_eq!(next, None, "the caller is still in the queue");
        result.map(|length| reply[..length].to_vec())
    }

    /// Another caller comes, and keeps the worker that it gets.
    pub(crate) fn occupy(&self) -> WorkerId {
        match self.update(|lifecycle| lifecycle.admit(None, self.now())) {
            Admission::Run(id) => id,
            other => panic!("no idle worker: {other:?}"),
        }
    }

    pub(crate) fn state(&self) -> State {
        self.update(|lifecycle| lifecycle.state(self.now()))
    }

    pub(crate) fn pass(&self, millis: u64) {
        self.now.set(self.now().after(Span::from_millis(millis)));
    }

    pub(crate) fn living(&self) -> usize {
        self.processes.borrow().iter().filter(|p| p.alive).count()
    }

    /// Processes that were ever made.
    pub(crate) fn made(&self) -> usize {
        self.processes.borrow().len()
    }

    /// How many requests have been handed to a handler, read or not.
    pub(crate) fn delivered(&self) -> u32 {
        self.requests.get()
    }

    pub(crate) fn last_error(&self) -> Option<Error> {
        self.update(|lifecycle| lifecycle.counters.last_error)
    }

    /// Reports each process that is dead, as a host's reaper does, late and once more. Returns
    /// for how many that was news.
    pub(crate) fn report_deaths(&self) -> usize {
        let dead: Vec<_> = {
            let processes = self.processes.borrow();
            let dead = processes.iter().filter(|process| !process.alive);
            dead.map(|process| process.id).collect()
        };
        let news = |id: &WorkerId| self.update(|lifecycle| lifecycle.died(*id, self.now()));
        dead.iter().filter(|id| news(id)).count()
    }

    pub(crate) fn with<R>(&self, id: WorkerId, change: impl FnOnce(&mut Process) -> R) -> R {
        let mut processes = self.processes.borrow_mut();
        let process = processes.iter_mut().find(|process| process.id == id);
        change(process.expect("a process that was started"))
    }

    pub(crate) fn kill(&self, id: WorkerId, how: ExitStatus) {
        let lived = self.with(id, |process| {
            process.channel.transfer.close();
            core::mem::replace(&mut process.alive, false)
        });
        if lived {
            self.update(|lifecycle| lifecycle.counters.exited(Some(how), None));
        }
    }

    pub(crate) fn happen(&self, id: WorkerId, happening: Happening) {
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

    pub(crate) fn restart(&self) {
        self.update(Lifecycle::restart);
        self.abort_all();
    }

    pub(crate) fn abort_all(&self) {
        let living: Vec<_> = {
            let mut processes = self.processes.borrow_mut();
            let living = processes.iter_mut().filter(|process| process.alive);
            living
                .map(|process| {
                    process.channel.transfer.abort();
                    process.id
                })
                .collect()
        };
        for id in living {
            self.kill(id, ExitStatus::Signaled(9));
        }
    }

    /// The handler does its next deed.
    pub(crate) fn perform(&self, id: WorkerId, deadline: Instant) {
        let deed = self.with(id, |process| process.script.deeds.pop_front());
        match deed.unwrap_or(Deed::Answer) {
            Deed::Answer => self.answer(id, 0),
            Deed::Slow(millis) => {
                if self.now().after(Span::from_millis(millis)) < deadline {
                    self.pass(millis);
                    self.answer(id, 0);
                }
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

    pub(crate) fn read_request(&self, id: WorkerId) -> (u32, Vec<u8>) {
        let mut bytes = self.with(id, |process| process.channel.read_all(usize::MAX));
        let payload = bytes.split_off(HEADER_LEN);
        let header = bytes.try_into().expect("sixteen bytes");
        let header = Header::decode(&header).expect("a header");
        assert_eq!(header.length as usize, payload.len());
        (header.id, payload)
    }

    pub(crate) fn answer(&self, id: WorkerId, surplus: usize) {
        let (asked, mut payload) = self.read_request(id);
        payload.reverse();
        let header = Header::reply(asked, payload.len() as u32, 0);
        let mut bytes = header.encode().to_vec();
        bytes.extend(payload);
        bytes.extend(vec![0xff; surplus]);
        self.write(id, &bytes);
    }

    pub(crate) fn write(&self, id: WorkerId, bytes: &[u8]) -> Vec<Event> {
        let events = self.with(id, |process| process.channel.write(bytes));
        if events.contains(&Event::Kill) {
            self.kill(id, ExitStatus::Signaled(9));
        }
        events
    }

    /// A handler that had been left with a withdrawn request answers it after all. The host tells
    /// the lifecycle.
    pub(crate) fn drain(&self, id: WorkerId) {
        let events = self.write(id, &Header::reply(self.requests.get(), 0, 0).encode());
        assert_eq!(events, [Event::Drained(Answer::Reply(0))]);
        assert!(self.update(|lifecycle| lifecycle.finished(id, Served::Reply)));
    }

    /// The handler does its deed, and the caller waits for what comes of it.
    fn converse(&self, id: WorkerId, reply: &mut [u8], deadline: Instant) -> Result<Answer, Lost> {
        self.perform(id, deadline);
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
            asked: 0,
            alive: true,
        });
        match birth {
            Birth::Good(millis) if self.now().after(Span::from_millis(millis)) < deadline => {
                self.pass(millis);
            }
            Birth::Exec(_) => {}
            Birth::Dies => {
                self.kill(id, ExitStatus::Exited(7));
                return Err(StartError::Died);
            }
            Birth::Silent | Birth::Good(_) => {
                self.now.set(deadline);
                assert!(self.with(id, |process| process.channel.expires(deadline)));
                return Err(StartError::TimedOut);
            }
            Birth::Babbles => {
                assert_eq!(self.write(id, b"Hello, who are you?"), [Event::Kill]);
                return Err(StartError::Hello(Violation::Magic));
            }
            Birth::Keeps(check) => return Err(StartError::Lockdown(check)),
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
            process.asked = self.requests.get();
            process
                .channel
                .submit(process.asked, request, reply.len(), deadline)
        })
        .map_err(Lost::Worker)?;
        let result = self.converse(id, reply, deadline);
        if self.with(id, |process| process.channel.taken > 0) {
            self.readers.set(self.readers.get() + 1);
        }
        assert!(
            self.readers.get() <= 1,
            "a request that was read goes to another handler"
        );
        result
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
