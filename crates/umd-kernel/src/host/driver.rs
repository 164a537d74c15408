// SPDX-License-Identifier: GPL-2.0-only
//! A registered driver: its image, its processes, its queue of callers.
//!
//! [`umd_core::exchange`] is the journey; here is what it needs of the kernel.

use super::lease::Lease;
use super::loader::{self, Going, ModuleName};
use super::process::Process;
use super::registry;
use crate::ffi::exports::HealthCheck;
use crate::ffi::image::Image;
use crate::ffi::lock::SpinLock;
use crate::ffi::memory::Arc;
use crate::ffi::name::Name;
use crate::ffi::report;
use crate::ffi::sysfs::Directory;
use crate::ffi::task;
use crate::ffi::wait::{self, WaitQueues};
use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use umd_core::channel::start_error;
use umd_core::elf;
use umd_core::error::{Errno, Error, StartError};
use umd_core::exchange;
use umd_core::host::{Clock, Interrupted, Lost, Processes, Turnstile};
use umd_core::lifecycle::{Admission, Lifecycle, QUEUE_CAPACITY, Served, State, Ticket, WorkerId};
use umd_core::lockdown::{Elements, Lockdown};
use umd_core::policy::{Framing, Instant, Policy, Priority, Span};
use umd_core::status::{Counters, Denied, ExitStatus};
use umd_core::transfer::{Answer, Ended};

/// Processes of one driver. One worker for now; the core takes any number.
pub const SLOTS: usize = 1;

/// How long an unregistration waits for processes to die.
const UNLOAD_LIMIT: Span = Span::from_millis(5_000);

struct Inner {
    lifecycle: Lifecycle<SLOTS>,
    processes: [Option<Arc<Process>>; SLOTS],
    /// There as long as the lifecycle says so.
    image: Option<Arc<Image>>,
}

/// A registered driver.
pub struct Driver {
    name: Name,
    policy: Policy,
    /// The present image is linked dynamically.
    dynamic: AtomicBool,
    /// The policy's, until somebody sets another.
    deadline: AtomicU64,
    /// The module that brings an image.
    loader: Option<ModuleName>,
    keeper: Keeper,
    health_check: Option<HealthCheck>,
    inner: SpinLock<Inner>,
    /// One wait queue, and one flag that it was woken, for each place in the queue of callers.
    places: WaitQueues,
    woken: [AtomicBool; QUEUE_CAPACITY],
    /// Processes that are not reaped and calls that have not returned; unregistration waits here,
    /// and says so, for nobody else needs to be woken. [`Driver::listen`]
    quiet: WaitQueues,
    listeners: AtomicUsize,
    living: AtomicUsize,
    calls: AtomicUsize,
}

/// A driver as its module holds it: visible in sysfs until dropped, which ends the driver.
pub struct Registration {
    /// First, so that nobody comes in by sysfs while the rest goes.
    directory: Option<Directory>,
    driver: Arc<Driver>,
}

/// Who looks after a driver's processes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// We: they are started when they are needed, and go with the driver.
    Host,
    /// The driver's owner: each is his until he closes its files.
    Owner,
}

/// What a driver is registered with.
pub struct Definition<'d> {
    /// Its name.
    pub name: &'d CStr,
    /// The name of the executable, as the handler finds it in its first argument.
    pub program: &'d CStr,
    /// The executable; a driver without one needs a loader.
    pub blob: Option<&'d [u8]>,
    /// The module that brings one.
    pub loader: Option<&'d CStr>,
    /// What its owner decides.
    pub policy: Policy,
    /// Who looks after its processes.
    pub keeper: Keeper,
    /// Asked after each start.
    pub health_check: Option<HealthCheck>,
}

impl Registration {
    /// Stages the blob, if there is one, as an image and makes the driver's directory. Nothing is started.
    pub fn try_new(definition: Definition<'_>) -> Result<Self, Errno> {
        let name = Name::new(definition.name)?;
        let policy = definition.policy;
        if definition.blob.is_none() && definition.loader.is_none() {
            return Err(Errno::EINVAL);
        }
        let loader = definition.loader.map(ModuleName::new).transpose()?;
        let no_memory = |error: Error| error.errno();
        let driver = Arc::try_new(Driver {
            policy,
            dynamic: AtomicBool::new(false),
            deadline: AtomicU64::new(policy.deadline.as_nanos()),
            loader,
            keeper: definition.keeper,
            health_check: definition.health_check,
            inner: SpinLock::try_new(Inner {
                lifecycle: Lifecycle::new(policy),
                processes: [const { None }; SLOTS],
                image: None,
            })
            .map_err(no_memory)?,
            places: WaitQueues::try_new(QUEUE_CAPACITY).map_err(no_memory)?,
            woken: [const { AtomicBool::new(false) }; QUEUE_CAPACITY],
            quiet: WaitQueues::try_new(1).map_err(no_memory)?,
            listeners: AtomicUsize::new(0),
            living: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            name,
        })
        .map_err(no_memory)?;
        registry::add(&driver)?;
        // From here on a drop ends the driver, which somebody may have started by then.
        let mut registration = Self {
            directory: None,
            driver,
        };
        let driver = &registration.driver;
        match definition.blob {
            Some(blob) => driver.provide(definition.program, blob)?,
            None => Lease::adopt(driver),
        }
        // What its loader did to a driver before this one is forgotten.
        if let Some(loader) = &driver.loader {
            loader::came(loader);
        }
        registration.directory = Some(Directory::make(driver, driver.name())?);
        Ok(registration)
    }

    /// The driver.
    pub fn driver(&self) -> &Arc<Driver> {
        &self.driver
    }

    /// Ends the calls in flight and each one to come, and kills the handler; waits for nobody.
    pub fn abort(&self) {
        self.driver.end(Lifecycle::unload);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let processes = self.driver.vacate(Lifecycle::unload);
        let until = match self.driver.keeper {
            Keeper::Host => {
                abort(processes);
                wait::now().after(UNLOAD_LIMIT)
            }
            Keeper::Owner => Instant::ZERO,
        };
        // A writer of `restart` may be in there; it was just aborted.
        self.directory = None;
        let driver = &self.driver;
        registry::remove(driver);
        // Calls have been aborted, and each of their waits ends; their code is about to be unmapped.
        driver.listen(Instant::NEVER, || driver.is_uncalled());
        driver.listen(until, || driver.is_lifeless());
        // What is not gone by now (a frozen process, say) keeps the driver's memory and umd.ko
        // until it is.
    }
}

impl Driver {
    /// The name.
    pub fn name(&self) -> &CStr {
        self.name.as_c_str()
    }

    /// What the bytes on the channel look like.
    pub(super) fn framing(&self) -> Framing {
        self.policy.framing
    }

    /// When its handlers run.
    pub(super) fn priority(&self) -> Priority {
        self.policy.priority
    }

    /// Who looks after its processes.
    pub fn keeper(&self) -> Keeper {
        self.keeper
    }

    /// What its owner wants a handler to give up.
    pub fn lockdown(&self) -> Lockdown {
        self.policy.lockdown
    }

    /// What handlers give up in fact: one that is linked dynamically needs the system's files.
    pub fn profile(&self) -> Lockdown {
        self.profile_of(self.dynamic.load(Ordering::Relaxed))
    }

    fn profile_of(&self, dynamic: bool) -> Lockdown {
        match (self.policy.lockdown, dynamic) {
            (Lockdown::Basic, true) => Lockdown::SystemRoot,
            (lockdown, _) => lockdown,
        }
    }

    /// The address of the image's mount; 0 without an image.
    pub fn mount(&self) -> usize {
        let inner = self.inner.lock();
        inner.image.as_ref().map_or(0, |image| image.mount())
    }

    fn is_uncalled(&self) -> bool {
        self.calls.load(Ordering::SeqCst) == 0
    }

    fn is_lifeless(&self) -> bool {
        self.living.load(Ordering::SeqCst) == 0
    }

    /// Gives the driver an image of this blob. Nothing is started. Context: may sleep.
    ///
    /// # Errors
    ///
    /// `EBUSY` where there is one, `ESHUTDOWN` where the driver goes away, those of the staging.
    pub fn provide(&self, program: &CStr, blob: &[u8]) -> Result<(), Errno> {
        let dynamic = elf::has_interpreter(blob);
        let image = Image::stage(program, blob, self.profile_of(dynamic), &self.policy)?;
        let image = Arc::try_new(image).map_err(|error| error.errno())?;
        let mut given = Some(image);
        self.update_inner(|inner| {
            if inner.lifecycle.is_unloading() {
                return Err(Errno::ESHUTDOWN);
            }
            if inner.image.is_some() {
                return Err(Errno::EBUSY);
            }
            self.dynamic.store(dynamic, Ordering::Relaxed);
            inner.image = given.take();
            inner.lifecycle.loaded();
            Ok(())
        })?;
        if let Some(loader) = &self.loader {
            loader::came(loader);
        }
        Ok(())
    }

    /// Takes over the image of a driver that has been unloaded. False: nothing was changed. Context: any.
    pub fn succeed(&self, predecessor: &Self) -> bool {
        if !self.policy.makes_same_processes(&predecessor.policy) {
            return false;
        }
        let image = predecessor.update_inner(|inner| {
            let unloaded = inner.lifecycle.is_unloading();
            unloaded.then(|| inner.image.take()).flatten()
        });
        let dynamic = predecessor.dynamic.load(Ordering::Relaxed);
        let mut given = image;
        let taken = self.update_inner(|inner| {
            // Another loader may have been faster.
            if inner.image.is_some() || given.is_none() {
                return false;
            }
            self.dynamic.store(dynamic, Ordering::Relaxed);
            inner.image = given.take();
            inner.lifecycle.loaded();
            true
        });
        if given.is_some() {
            // Back to where it came from: it must not be dropped here.
            predecessor.update_inner(|inner| core::mem::swap(&mut inner.image, &mut given));
        }
        taken
    }

    /// Takes the image away, as [`recall`](Self::recall) does, and waits for the handler's death. Context: may
    /// sleep.
    pub fn withdraw(&self) {
        let goes = |how_far| {
            if let Some(loader) = &self.loader {
                loader::goes(loader, how_far);
            }
        };
        goes(Going::Begins);
        self.recall();
        let until = wait::now().after(UNLOAD_LIMIT);
        self.listen(until, || self.is_lifeless());
        goes(Going::HasLetGo);
    }

    /// Takes the image away. Calls that have a worker may end within the deadline, then they are aborted and
    /// the handler is killed. Context: may sleep.
    pub fn recall(&self) {
        // Dropped last: processes may still be made from it.
        let _image = self.update_inner(|inner| {
            inner.lifecycle.withdrawn();
            inner.image.take()
        });
        let until = wait::now().after(self.deadline());
        self.listen(until, || self.inner.lock().lifecycle.is_quiet());
        self.end(Lifecycle::restart);
    }

    /// Waits until a condition holds that a call's return or a process's end can bring about.
    fn listen(&self, until: Instant, condition: impl Fn() -> bool) {
        // Ordered with leave(): one of the two sees the other.
        self.listeners.fetch_add(1, Ordering::SeqCst);
        self.quiet.until(0, until, condition);
        self.listeners.fetch_sub(1, Ordering::SeqCst);
    }

    /// For a call.
    pub fn deadline(&self) -> Span {
        Span::from_nanos(self.deadline.load(Ordering::Relaxed))
    }

    /// Sets the deadline of later calls.
    pub fn set_deadline(&self, deadline: Span) {
        self.deadline.store(deadline.as_nanos(), Ordering::Relaxed);
    }

    /// What state the driver is in, and what it has counted.
    #[inline(never)]
    pub fn status(&self) -> (State, Counters) {
        let mut inner = self.inner.lock();
        (inner.lifecycle.state(wait::now()), inner.lifecycle.counters)
    }

    /// The handler's process id, 0 where there is none in service.
    pub fn pid(&self) -> i32 {
        self.serving().map_or(0, |process| process.pid().number())
    }

    /// A handler is in service, and has passed the host's checks.
    pub fn is_confined(&self) -> bool {
        self.serving().is_some_and(|process| process.is_confined())
    }

    /// What of its lockdown is in force for the handler in service.
    pub fn in_force(&self) -> Elements {
        self.serving()
            .map_or(Elements::NONE, |process| process.in_force())
    }

    fn serving(&self) -> Option<Arc<Process>> {
        let mut inner = self.inner.lock();
        let Inner {
            lifecycle,
            processes,
            ..
        } = &mut *inner;
        processes
            .iter()
            .flatten()
            .find(|process| lifecycle.knows(process.worker()))
            .cloned()
    }

    /// Asks the handler: see [`exchange::call`]. Without a limit, the driver's deadline holds.
    pub fn call(
        this: &Arc<Self>,
        request: &[u8],
        reply: &mut [u8],
        limit: Option<Span>,
    ) -> Result<usize, Error> {
        if request.len() > this.policy.request_max {
            return Err(Error::RequestTooLong);
        }
        // Raw messages have no length of their own: none is no message.
        if this.policy.framing == Framing::Raw && (request.is_empty() || reply.is_empty()) {
            return Err(Error::InvalidArgument);
        }
        // A length has 32 bits in the transfer.
        if u32::try_from(request.len()).is_err() {
            return Err(Error::RequestTooLong);
        }
        let _call = Call::enter(this);
        let result = exchange::call(this, request, reply, limit.unwrap_or(this.deadline()));
        if let Err(error @ (Error::TimedOut(_) | Error::BadMessage(_))) = result {
            report::log_failure(this.name(), 0, error.describe(), error.errno());
        }
        result
    }

    /// Sees to it that a handler is in service.
    pub fn start(this: &Arc<Self>) -> Result<(), Error> {
        let _call = Call::enter(this);
        exchange::start(this)
    }

    /// A fresh beginning: every handler is killed, every death forgiven, and a handler started; that of a
    /// stream is started by its owner, or by the next call.
    pub fn restart(this: &Arc<Self>) -> Result<(), Error> {
        this.end(Lifecycle::restart);
        match this.policy.framing {
            Framing::Framed | Framing::Raw => Self::start(this),
            Framing::Stream => Ok(()),
        }
    }

    /// A process for an owner who looks after it himself: one that was there is ended. It has been executed,
    /// and may be dead by now. Context: may sleep.
    pub fn fork(this: &Arc<Self>) -> Result<Arc<Process>, Error> {
        this.end(Lifecycle::restart);
        let _call = Call::enter(this);
        let now = wait::now();
        let (admission, _) = this.admit(|lifecycle| lifecycle.admit(None, now));
        let worker = match admission {
            Admission::Start(worker) => worker,
            Admission::Refuse(error) => return Err(error),
            // Somebody else forks it too.
            Admission::Run(_) | Admission::Wait(_) => return Err(Error::Busy),
        };
        let started = Processes::start(this, worker, now.after(this.policy.start_deadline));
        this.update(|lifecycle| match started {
            Ok(_) => lifecycle.started(worker) && lifecycle.finished(worker, Served::Nothing),
            Err(_) => lifecycle.retire(worker),
        });
        if started.is_err() {
            this.discard(worker);
        }
        started.map_err(Error::Start)
    }

    /// Changes the lifecycle so that no process is in service, and ends those that were.
    fn end(&self, change: impl FnOnce(&mut Lifecycle<SLOTS>)) {
        abort(self.vacate(change));
    }

    /// Changes the lifecycle so that no process is in service, and takes those that were out of their slots.
    fn vacate(&self, change: impl FnOnce(&mut Lifecycle<SLOTS>)) -> [Option<Arc<Process>>; SLOTS] {
        let mut processes = [const { None }; SLOTS];
        self.update_inner(|inner| {
            change(&mut inner.lifecycle);
            core::mem::swap(&mut inner.processes, &mut processes);
        });
        processes
    }

    /// A call that did not come by way of the queue is over.
    pub fn account(&self, result: Result<(), Error>, took: Span) {
        self.update(|lifecycle| lifecycle.counters.called(result, took));
    }

    fn wake(&self, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket
            && let Some(woken) = self.woken.get(ticket.place())
        {
            woken.store(true, Ordering::Release);
            self.places.wake(ticket.place());
        }
    }

    /// A process was made.
    pub(super) fn born(&self) {
        self.living.fetch_add(1, Ordering::Relaxed);
        self.inner.lock().lifecycle.counters.started();
    }

    /// A process has ended.
    pub(super) fn exited(&self, status: ExitStatus, denied: Option<Denied>) {
        let mut inner = self.inner.lock();
        inner.lifecycle.counters.exited(Some(status), denied);
    }

    /// Nothing is left of a process.
    pub(super) fn reaped(&self) {
        self.leave(&self.living);
    }

    /// One call or process less.
    fn leave(&self, count: &AtomicUsize) {
        count.fetch_sub(1, Ordering::SeqCst);
        self.tell();
    }

    /// A process is of no use any more. Context: any.
    pub(super) fn lost(&self, worker: WorkerId, ended: Option<Ended>) {
        // Whoever aborts a process says himself what that means for its worker: it may be a death to
        // be charged (a failed health check), or none of its fault (a restart).
        if let Some(Ended::Aborted(_)) | None = ended {
            return;
        }
        let now = wait::now();
        self.update(|lifecycle| lifecycle.died(worker, now));
    }

    /// A worker's owner has let go of it.
    pub(super) fn retired(&self, worker: WorkerId) {
        self.update(|lifecycle| lifecycle.retire(worker));
    }

    /// A worker has answered a call whose caller is gone.
    pub(super) fn drained(&self, worker: WorkerId) {
        self.update(|lifecycle| lifecycle.finished(worker, Served::Reply));
    }

    fn update<R>(&self, change: impl FnOnce(&mut Lifecycle<SLOTS>) -> R) -> R {
        self.update_inner(|inner| change(&mut inner.lifecycle))
    }

    fn update_inner<R>(&self, change: impl FnOnce(&mut Inner) -> R) -> R {
        let (result, wakeup) = {
            let mut inner = self.inner.lock();
            (change(&mut inner), inner.lifecycle.wakeup())
        };
        self.wake(wakeup);
        self.tell();
        result
    }

    /// Something changed that somebody may listen for.
    fn tell(&self) {
        if self.listeners.load(Ordering::SeqCst) > 0 {
            self.quiet.wake(0);
        }
    }

    /// Puts the process in its slot, and says what it is made from, unless the slot's start was given up meanwhile: then an unload
    /// or a restart would not find it.
    fn seat(&self, process: &Arc<Process>) -> Result<Arc<Image>, StartError> {
        let mut previous = Some(process.clone());
        let mut inner = self.inner.lock();
        let Inner {
            lifecycle,
            processes,
            image,
        } = &mut *inner;
        match (processes.get_mut(process.worker().slot()), image) {
            (Some(seat), Some(image)) if lifecycle.knows(process.worker()) => {
                let image = image.clone();
                core::mem::swap(seat, &mut previous);
                // Dropped without the lock: it may be the last reference.
                drop(inner);
                drop(previous);
                Ok(image)
            }
            _ => {
                drop(inner);
                Err(StartError::Aborted)
            }
        }
    }

    fn check_health(&self, process: &Arc<Process>) -> Result<(), StartError> {
        match self.health_check.as_ref().map(|check| check.run(process)) {
            None | Some(Ok(())) => Ok(()),
            Some(Err(errno)) => {
                let ended = process.ended();
                process.abort();
                Err(match ended {
                    _ if task::is_dying() => StartError::Interrupted,
                    // What it said was wrong, and not its end.
                    None | Some(Ended::Broken(..)) => StartError::Health(errno),
                    // The check has its own word for it.
                    Some(_) if self.policy.framing == Framing::Stream => StartError::Health(errno),
                    Some(ended) => start_error(ended),
                })
            }
        }
    }
}

fn abort(processes: [Option<Arc<Process>>; SLOTS]) {
    for process in processes.into_iter().flatten() {
        process.abort();
    }
}

/// A call in flight: unregistration waits for it.
struct Call<'d>(&'d Driver);

impl<'d> Call<'d> {
    fn enter(driver: &'d Driver) -> Self {
        driver.calls.fetch_add(1, Ordering::Relaxed);
        Self(driver)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.leave(&self.0.calls);
    }
}

impl Clock for Arc<Driver> {
    fn now(&self) -> Instant {
        wait::now()
    }
}

impl Turnstile<SLOTS> for Arc<Driver> {
    type Process = Arc<Process>;

    fn admit(
        &self,
        ask: impl FnOnce(&mut Lifecycle<SLOTS>) -> Admission,
    ) -> (Admission, Option<Arc<Process>>) {
        let mut inner = self.inner.lock();
        let admission = ask(&mut inner.lifecycle);
        let process = match admission {
            Admission::Run(worker) => inner
                .processes
                .get(worker.slot())
                .and_then(Option::as_ref)
                .filter(|process| process.worker() == worker)
                .cloned(),
            _ => None,
        };
        let wakeup = inner.lifecycle.wakeup();
        drop(inner);
        self.wake(wakeup);
        (admission, process)
    }

    fn update<R>(&self, change: impl FnOnce(&mut Lifecycle<SLOTS>) -> R) -> R {
        Driver::update(self, change)
    }

    fn wait(&self, ticket: Ticket, until: Instant) -> Result<(), Interrupted> {
        self.places.killable(ticket.place(), until, || {
            self.woken
                .get(ticket.place())
                .is_none_or(|woken| woken.swap(false, Ordering::Acquire))
        })
    }
}

impl Processes for Arc<Driver> {
    type Process = Arc<Process>;

    fn load(&self, deadline: Instant) -> Result<(), Error> {
        let Some(loader) = &self.loader else {
            return Err(Error::NotLoaded);
        };
        let is_loaded = || self.inner.lock().image.is_some();
        loader::request(loader, deadline, is_loaded)
    }

    fn start(&self, worker: WorkerId, deadline: Instant) -> Result<Arc<Process>, StartError> {
        let process = Process::try_new(self, worker, self.policy.framing, deadline)
            .map_err(|error| StartError::Exec(error.errno()))?;
        let result = self
            .seat(&process)
            .and_then(|image| Process::start(&process, &image, deadline))
            .and_then(|()| self.check_health(&process));
        process.in_service();
        let pid = process.pid().number();
        report::start(
            self.name(),
            process.pid(),
            result.err().map(StartError::errno),
        );
        if let Err(error) = result {
            report::log_failure(self.name(), pid, error.describe(), error.errno());
        }
        result.map(|()| process)
    }

    fn exchange(
        &self,
        process: &Arc<Process>,
        request: &[u8],
        reply: &mut [u8],
        deadline: Instant,
    ) -> Result<Answer, Lost> {
        process.exchange(request, reply, deadline)
    }

    fn discard(&self, worker: WorkerId) {
        let process = {
            let mut inner = self.inner.lock();
            inner
                .processes
                .get_mut(worker.slot())
                .and_then(|seat| seat.take_if(|process| process.worker() == worker))
        };
        if let Some(process) = process {
            process.abort();
        }
    }
}
