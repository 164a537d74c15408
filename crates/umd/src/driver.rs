// SPDX-License-Identifier: MIT OR Apache-2.0
//! A driver: its policy, its workers, its queue of callers, and the calls.
//!
//! [`umd_core::exchange`] is the journey; here is what it needs of a program.

use crate::error::{BuildError, CallError, Cause, Error, Exit};
use crate::image::not_standard;
use crate::lock::lock;
use crate::process::Process;
use crate::quarantine::Quarantine;
use crate::report::Report;
use crate::spawner::{Spawner, errno};
use crate::start::{Extras, Plan, States};
use crate::status::Status;
use crate::sys::clone::Child;
use crate::sys::fork::Origin;
use crate::sys::signals::quiet_thread;
use crate::time::{now, span, until};
use crate::watch::Watch;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendFlags, Shutdown, SocketFlags, SocketType, send, shutdown, socketpair,
};
use std::array;
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::Duration;
use umd_core::error::{Error as CoreError, StartError};
use umd_core::exchange;
use umd_core::host::{Clock, Interrupted, Lost, Processes, Turnstile};
use umd_core::lifecycle::{Admission, Lifecycle, QUEUE_CAPACITY, Ticket, WorkerId};
use umd_core::policy::{Instant, Policy, Span};
use umd_core::proto::Question;
use umd_core::status::{Counters, Denied, ExitStatus};
use umd_core::transfer::{Answer, Ended};

/// Workers and spares of a driver, at most.
pub(crate) const SLOTS: usize = 64;

/// How long dropping a driver waits for its handlers, which are killed by then.
const FAREWELL: Duration = Duration::from_secs(5);

/// A handler that can be called like a function, from any thread.
///
/// Dropping it kills the handlers and reaps them.
#[derive(Debug)]
pub struct Driver {
    core: Arc<Core>,
}

impl Driver {
    /// Begins to describe a driver: what it is called, and its handler's executable. See [`Builder`](crate::Builder).
    pub fn builder<'b>(name: &'b str, blob: &'b [u8]) -> crate::Builder<'b> {
        crate::Builder::new(name, blob)
    }

    pub(crate) fn build(
        name: &str,
        blob: &[u8],
        policy: Policy,
        extras: Extras,
        quarantine: Option<Quarantine>,
    ) -> Result<Self, BuildError> {
        let resources = BuildError::resources;
        let core = Arc::new(Core {
            name: name.into(),
            plan: Arc::new(Plan::new(name, blob, &policy, extras)?),
            origin: Origin::here().map_err(resources)?,
            spawner: Spawner::get().map_err(resources)?,
            watch: Watch::get().map_err(resources)?,
            shared: Mutex::new(Shared {
                lifecycle: Lifecycle::new(policy),
                processes: [const { None }; SLOTS],
                woken: 0,
                #[cfg(feature = "tokio")]
                wakers: [const { None }; QUEUE_CAPACITY],
                living: 0,
            }),
            turns: array::from_fn(|_| Condvar::new()),
            changed: Condvar::new(),
            quarantine: quarantine.map(Mutex::new),
        });
        core.update(Lifecycle::loaded);
        if policy.spares > 0 {
            let keeper = core.clone();
            quiet_thread("umd-keeper", move || keeper.keep_spares())
                .map_err(|error| resources(errno(error)))?;
        }
        Ok(Self { core })
    }

    /// Asks the handler with types. Context: waits, at most the deadline.
    ///
    /// # Errors
    ///
    /// As [`call_bytes`](Self::call_bytes); and what is wrong with the reply.
    pub fn call<Q: Question>(&self, question: &Q) -> Result<Q::Answer, CallError<Q::Wrong>> {
        let mut request = vec![0; Q::REQUEST_MAX];
        let length = question.encode(&mut request);
        let mut reply = vec![0; Q::REPLY_MAX];
        let request = request.get(..length).unwrap_or(&request);
        let length = self.call_bytes(request, &mut reply)?;
        let reply = reply.get(..length).unwrap_or(&reply);
        question.decode(reply).map_err(CallError::Wrong)
    }

    /// Asks the handler. Returns the length of the reply, which is at the beginning of `reply`; what is behind it may have been
    /// written to. Context: waits, at most the deadline.
    ///
    /// # Errors
    ///
    /// See [`Error`]. What a handler that failed had of the request, [`Error::request_was_read`] says.
    pub fn call_bytes(&self, request: &[u8], reply: &mut [u8]) -> Result<usize, Error> {
        // Before the lock: it may be held for ever, where this was forked.
        self.at_home()?;
        let limit = self.core.lock().lifecycle.policy().deadline;
        self.call_within(limit, request, reply)
    }

    /// The same with a deadline of its own.
    ///
    /// # Errors
    ///
    /// As [`call_bytes`](Self::call_bytes).
    pub fn call_bytes_within(
        &self,
        limit: Duration,
        request: &[u8],
        reply: &mut [u8],
    ) -> Result<usize, Error> {
        self.call_within(span(limit), request, reply)
    }

    fn call_within(&self, limit: Span, request: &[u8], reply: &mut [u8]) -> Result<usize, Error> {
        self.admit(request)?;
        let caller = Caller::new(&self.core);
        let result = exchange::call(&caller, request, reply, limit);
        self.account(request, result.map_err(|error| caller.error(error)))
    }

    /// This request may be asked here.
    pub(crate) fn admit(&self, request: &[u8]) -> Result<(), Error> {
        self.at_home()?;
        let quarantine = self.core.quarantine.as_ref();
        match quarantine.and_then(|quarantine| lock(quarantine).refuses(request, now())) {
            Some(left) => Err(Cause::Quarantined(left).into()),
            None => Ok(()),
        }
    }

    /// This has come of it.
    pub(crate) fn account(
        &self,
        request: &[u8],
        result: Result<usize, Error>,
    ) -> Result<usize, Error> {
        if let Some(quarantine) = &self.core.quarantine {
            lock(quarantine).note(request, &result, now());
        }
        result
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn policy(&self) -> Policy {
        *self.core.lock().lifecycle.policy()
    }

    /// Sees to it that a handler is in service. Context: waits, at most the start deadline.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn start(&self) -> Result<(), Error> {
        self.at_home()?;
        let caller = Caller::new(&self.core);
        exchange::start(&caller).map_err(|error| caller.error(error))
    }

    /// What the driver tells about itself.
    ///
    /// In a process that was forked after the driver was built: nothing, state `forked`.
    pub fn status(&self) -> Status {
        if self.at_home().is_err() {
            return Status::new(&self.core.name, "forked", Vec::new(), &Counters::new());
        }
        let mut shared = self.core.lock();
        let state = shared.lifecycle.state(now()).name();
        let pids = shared
            .processes
            .iter()
            .flatten()
            .map(|process| process.pid());
        let pids = pids.collect();
        Status::new(&self.core.name, state, pids, &shared.lifecycle.counters)
    }

    /// What of its lockdown is in force on the handlers that are in service.
    pub fn reports(&self) -> Vec<Report> {
        if self.at_home().is_err() {
            return Vec::new();
        }
        let processes: Vec<_> = self
            .core
            .lock()
            .processes
            .iter()
            .flatten()
            .cloned()
            .collect();
        let plan = &self.core.plan;
        processes
            .iter()
            .filter_map(|process| process.report(plan))
            .collect()
    }

    /// What of its lockdown is in force on a handler that is in service; `None` where none is.
    pub fn report(&self) -> Option<Report> {
        self.reports().into_iter().next()
    }

    /// Kills the handlers and forgives all deaths: the next call has a fresh one. Calls in flight are cut short, and asked again
    /// where nobody had read the request.
    pub fn restart(&self) {
        if self.at_home().is_ok() {
            self.core.end_all(Lifecycle::restart);
        }
    }

    /// Ends the calls in flight and each one to come, kills the handlers, and waits until they are gone. Dropping the driver does
    /// the same.
    pub fn shutdown(&self) {
        // The handlers are the other process's.
        if self.at_home().is_err() {
            return;
        }
        self.core.end_all(Lifecycle::unload);
        let shared = self.core.lock();
        let gone = |shared: &mut Shared| shared.living > 0;
        drop(self.core.changed.wait_timeout_while(shared, FAREWELL, gone));
    }

    pub(crate) fn at_home(&self) -> Result<(), Error> {
        match self.core.origin.is_here() {
            true => Ok(()),
            false => Err(Cause::Forked.into()),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// What a driver consists of.
#[derive(Debug)]
pub(crate) struct Core {
    name: Box<str>,
    plan: Arc<Plan>,
    origin: Origin,
    spawner: Spawner,
    watch: Arc<Watch>,
    shared: Mutex<Shared>,
    /// One a place in the queue.
    turns: [Condvar; QUEUE_CAPACITY],
    /// There may be a spare to start, for the keeper; or the last process is gone, for whoever waits for the end.
    changed: Condvar,
    quarantine: Option<Mutex<Quarantine>>,
}

/// What is under the driver's lock.
#[derive(Debug)]
struct Shared {
    lifecycle: Lifecycle<SLOTS>,
    processes: [Option<Arc<Process>>; SLOTS],
    /// One bit a place in the queue: its caller was woken.
    woken: u64,
    /// Whom to wake there, where that is no thread.
    #[cfg(feature = "tokio")]
    wakers: [Option<std::task::Waker>; QUEUE_CAPACITY],
    /// Processes that are not reaped yet, and those about to be made: one for each [`Living`].
    living: usize,
}

impl Core {
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }

    /// Changes the lifecycle, and wakes whoever may go on because of it.
    fn update<R>(&self, change: impl FnOnce(&mut Lifecycle<SLOTS>) -> R) -> R {
        let mut shared = self.lock();
        let before = shared.lifecycle.supply_changes();
        let result = change(&mut shared.lifecycle);
        let supply_changed = shared.lifecycle.supply_changes() != before;
        self.wake(shared);
        if supply_changed {
            self.changed.notify_all();
        }
        result
    }

    fn wake(&self, mut shared: MutexGuard<'_, Shared>) {
        if let Some(ticket) = shared.lifecycle.wakeup() {
            let place = ticket.place();
            shared.woken |= 1 << place;
            #[cfg(feature = "tokio")]
            let waker = shared.wakers.get_mut(place).and_then(Option::take);
            drop(shared);
            // It may be of somebody who had the place before, and went away: whoever has it now sleeps there.
            #[cfg(feature = "tokio")]
            if let Some(waker) = waker {
                waker.wake();
            }
            if let Some(turn) = self.turns.get(place) {
                turn.notify_one();
            }
        }
    }

    /// Has this ticket been woken since this was asked last? If not, it is to be woken by `waker`.
    #[cfg(feature = "tokio")]
    pub(crate) fn was_woken(&self, ticket: Ticket, waker: &std::task::Waker) -> bool {
        let mut shared = self.lock();
        let bit = 1_u64 << ticket.place();
        if shared.woken & bit != 0 {
            shared.woken &= !bit;
            return true;
        }
        if let Some(place) = shared.wakers.get_mut(ticket.place()) {
            *place = Some(waker.clone());
        }
        false
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// A process has ended, and was reaped.
    pub(crate) fn lost(&self, process: &Process, exit: Exit) {
        let mut shared = self.lock();
        let worker = process.worker();
        match process.is_over() {
            Some(Ended::Aborted(_)) => shared.lifecycle.retire(worker),
            _ => shared.lifecycle.died(worker, now()),
        };
        let status = match exit {
            Exit::Exited(status) => Some(ExitStatus::Exited(status)),
            Exit::Signaled(signal) => Some(ExitStatus::Signaled(signal)),
            Exit::Unknown => None,
        };
        // What it was denied, whoever asked it hears.
        shared.lifecycle.counters.exited(status, None);
        let discarded = shared.take(worker);
        self.wake(shared);
        self.changed.notify_all();
        drop(discarded);
    }

    /// Retires all workers in this way, and ends their processes.
    fn end_all(&self, change: impl FnOnce(&mut Lifecycle<SLOTS>)) {
        let mut shared = self.lock();
        change(&mut shared.lifecycle);
        let processes: Vec<_> = shared
            .processes
            .iter_mut()
            .filter_map(Option::take)
            .collect();
        self.wake(shared);
        for process in processes {
            process.abort();
        }
        self.changed.notify_all();
    }

    /// The process that was made is this worker's.
    fn adopt(
        self: &Arc<Self>,
        worker: WorkerId,
        socket: Arc<OwnedFd>,
        child: (Child, States),
        living: Living,
        deadline: Instant,
    ) -> Launch {
        let process = Process::new(self, worker, socket, child, living, deadline);
        let mut shared = self.lock();
        shared.lifecycle.counters.started();
        let wanted = shared.lifecycle.knows(worker);
        if let Some(slot) = shared.processes.get_mut(worker.slot())
            && wanted
        {
            *slot = Some(process.clone());
        }
        drop(shared);
        if let Err(errno) = self.watch.add(&process) {
            // Nobody would see its end.
            process.abort();
            process.end_unseen();
            // Whatever it is, it is not the handler's fault: the program may have closed a descriptor of ours.
            let passing = matches!(errno, Errno::NOMEM | Errno::NOSPC);
            return Err(not_executed(if passing { errno } else { Errno::AGAIN }));
        }
        self.watch.expect(deadline);
        if !wanted {
            process.abort();
        }
        process.send_filter(&self.plan);
        Ok(process)
    }

    /// The thread that starts spares, off the callers' path, until the driver goes away.
    ///
    /// It sleeps only while all is as it was before it looked for something to do; what changes, changes under the lock, and
    /// is said afterwards. So no change can come between the look and the sleep.
    fn keep_spares(self: Arc<Self>) {
        loop {
            let before = self.lock().lifecycle.supply_changes();
            let again = exchange::replenish(&Caller::new(&self));
            let shared = self.lock();
            if shared.lifecycle.is_unloading() {
                return;
            }
            let same = |shared: &mut Shared| shared.lifecycle.supply_changes() == before;
            drop(self.changed.wait_timeout_while(shared, until(again), same));
        }
    }
}

impl Shared {
    /// Takes the process of this worker out of its slot, if it is there still.
    fn take(&mut self, worker: WorkerId) -> Option<Arc<Process>> {
        let slot = self.processes.get_mut(worker.slot())?;
        slot.take_if(|process| process.worker() == worker)
    }
}

/// A caller on its way, and what it has come to know.
pub(crate) struct Caller<'c> {
    core: &'c Arc<Core>,
    last: Mutex<Last>,
}

/// What is known of the handler that was lost last.
#[derive(Clone, Copy, Default)]
struct Last {
    exit: Option<Exit>,
    denied: Option<Denied>,
}

/// What comes back from the spawner: a process that is about to say hello.
pub(crate) type Launch = Result<Arc<Process>, StartError>;

/// A process that is about to be made, or not reaped yet: whoever ends the driver waits until there is none.
#[derive(Debug)]
pub(crate) struct Living(Weak<Core>);

impl Living {
    fn new(core: &Arc<Core>) -> Self {
        core.lock().living += 1;
        Self(Arc::downgrade(core))
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        if let Some(core) = self.0.upgrade() {
            let mut shared = core.lock();
            shared.living = shared.living.saturating_sub(1);
            drop(shared);
            core.changed.notify_all();
        }
    }
}

impl<'c> Caller<'c> {
    pub(crate) fn new(core: &'c Arc<Core>) -> Self {
        Self {
            core,
            last: Mutex::default(),
        }
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn core(&self) -> &Core {
        self.core
    }

    pub(crate) fn error(&self, error: CoreError) -> Error {
        let Last { exit, denied } = *lock(&self.last);
        Error {
            cause: Cause::Call(error),
            exit,
            denied,
        }
    }

    /// A handler was lost on the way, and has ended like this.
    pub(crate) fn lost(&self, process: &Process, exit: Option<Exit>) {
        let denied = process.denied();
        if denied.is_some() {
            self.core.lock().lifecycle.counters.last_denied = denied;
        }
        *lock(&self.last) = Last { exit, denied };
    }

    /// Has a process made that is this worker's, and has until then to say hello; our end of its channel. `done` gets what came of it, in
    /// the spawner's thread; where it is nothing, the other end is closed.
    pub(crate) fn launch(
        &self,
        worker: WorkerId,
        deadline: Instant,
        done: impl FnOnce(Launch) + Send + 'static,
    ) -> Result<Arc<OwnedFd>, StartError> {
        let flags = SocketFlags::CLOEXEC;
        let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        let (ours, theirs) = pair
            .and_then(|(ours, theirs)| Ok((not_standard(ours)?, not_standard(theirs)?)))
            .map_err(not_executed)?;
        if let Some(filter) = self.core.plan.filter() {
            // There is room for it: nothing was sent before.
            send(&ours, filter, SendFlags::NOSIGNAL | SendFlags::DONTWAIT).map_err(not_executed)?;
        }
        let ours = Arc::new(ours);
        let socket = ours.clone();
        let living = Living::new(self.core);
        let core = self.core.clone();
        self.core.spawner.run(move |stack| {
            // Whoever wanted it may have given up meanwhile.
            if !core.lock().lifecycle.knows(worker) {
                return;
            }
            let launched = core.plan.launch(&theirs, stack).map_err(not_executed);
            let process = launched
                .and_then(|child| core.adopt(worker, socket.clone(), child, living, deadline));
            let failed = process.is_err();
            done(process);
            if failed {
                // A copy of the other end may be open in a fork of the program.
                let _ = shutdown(&*socket, Shutdown::Both);
            }
        });
        Ok(ours)
    }
}

/// Waits until there is something to receive, or the end of it; at most so long. A wait that is interrupted is over too: those that follow
/// have bounds of their own.
fn await_word(socket: &OwnedFd, patience: Duration) {
    let mut word = [PollFd::new(socket, PollFlags::IN)];
    let patience = Timespec::try_from(patience).ok();
    let _ = poll(&mut word, patience.as_ref());
}

/// Whoever wanted this process is gone.
pub(crate) fn give_up(launched: Launch) {
    if let Ok(process) = launched {
        process.abort();
    }
}

fn not_executed(errno: Errno) -> StartError {
    StartError::Exec(umd_core::error::Errno::new(errno.raw_os_error()))
}

impl Clock for Caller<'_> {
    fn now(&self) -> Instant {
        now()
    }
}

impl Turnstile<SLOTS> for Caller<'_> {
    type Process = Arc<Process>;

    fn update<R>(&self, change: impl FnOnce(&mut Lifecycle<SLOTS>) -> R) -> R {
        self.core.update(change)
    }

    fn admit(
        &self,
        ask: impl FnOnce(&mut Lifecycle<SLOTS>) -> Admission,
    ) -> (Admission, Option<Arc<Process>>) {
        let mut shared = self.core.lock();
        let admission = ask(&mut shared.lifecycle);
        let process = match admission {
            Admission::Run(worker) => shared.processes.get(worker.slot()).cloned().flatten(),
            _ => None,
        };
        self.core.wake(shared);
        (admission, process)
    }

    fn wait(&self, ticket: Ticket, until_then: Instant) -> Result<(), Interrupted> {
        let place = ticket.place();
        let bit = 1_u64 << place;
        let Some(turn) = self.core.turns.get(place) else {
            return Ok(());
        };
        let mut shared = self.core.lock();
        // A year is as good as for ever.
        let patience = until(until_then).min(Duration::from_secs(365 * 86_400));
        if shared.woken & bit == 0 {
            let asleep = |shared: &mut Shared| shared.woken & bit == 0;
            shared = match turn.wait_timeout_while(shared, patience, asleep) {
                Ok((shared, _)) => shared,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        shared.woken &= !bit;
        Ok(())
    }
}

impl Processes for Caller<'_> {
    type Process = Arc<Process>;

    fn load(&self, _: Instant) -> Result<(), CoreError> {
        // The image is there as long as the driver is.
        Err(CoreError::NotLoaded)
    }

    fn start(&self, worker: WorkerId, deadline: Instant) -> Result<Arc<Process>, StartError> {
        let (sender, result) = channel();
        let done = move |launched| {
            if let Err(unwanted) = sender.send(launched) {
                give_up(unwanted.0);
            }
        };
        let socket = self.launch(worker, deadline, done)?;
        // The hello or the end is what wakes us, and not that there is a process: that would be one more switch.
        await_word(&socket, until(deadline));
        let launched = result.recv_timeout(until(deadline));
        let process = launched.map_err(|_| StartError::TimedOut)??;
        let greeted = process.greet(&self.core.plan);
        if greeted.is_err() {
            self.lost(&process, process.exit());
        }
        greeted.map(|()| process)
    }

    fn exchange(
        &self,
        process: &Arc<Process>,
        request: &[u8],
        reply: &mut [u8],
        deadline: Instant,
    ) -> Result<Answer, Lost> {
        let result = process.exchange(&self.core.watch, request, reply, deadline);
        if result.is_err() {
            self.lost(process, process.exit());
        }
        result
    }

    fn discard(&self, worker: WorkerId) {
        let mut shared = self.core.lock();
        let process = shared.take(worker);
        drop(shared);
        if let Some(process) = process {
            process.abort();
        }
    }
}
