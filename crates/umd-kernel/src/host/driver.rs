// SPDX-License-Identifier: GPL-2.0-only
//! A registered driver: its image, its processes, its queue of callers.
//!
//! [`umd_core::exchange`] is the journey; here is what it needs of the kernel.

use super::process::{self, Process};
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
use umd_core::error::{Errno, Error, StartError};
use umd_core::exchange;
use umd_core::host::{Clock, Interrupted, Lost, Processes, Turnstile};
use umd_core::lifecycle::{Admission, Lifecycle, QUEUE_CAPACITY, Served, State, Ticket, WorkerId};
use umd_core::policy::{Framing, Instant, Policy, Span};
use umd_core::status::{Counters, ExitStatus};
use umd_core::transfer::{Answer, Ended};

/// Processes of one driver. One worker for now; the core takes any number.
pub const SLOTS: usize = 1;

/// How long an unregistration waits for processes to die.
const UNLOAD_LIMIT: Span = Span::from_millis(5_000);

struct Inner {
    lifecycle: Lifecycle<SLOTS>,
    processes: [Option<Arc<Process>>; SLOTS],
}

/// A registered driver.
pub struct Driver {
    name: Name,
    framing: Framing,
    request_max: usize,
    deadline: AtomicU64,
    health_check: Option<HealthCheck>,
    inner: SpinLock<Inner>,
    /// One wait queue, and one flag that it was woken, for each place in the queue of callers.
    places: WaitQueues,
    woken: [AtomicBool; QUEUE_CAPACITY],
    /// Processes that are not reaped and calls that have not returned; unregistration waits here,
    /// and says so, for nobody else needs to be woken.
    quiet: WaitQueues,
    ending: AtomicBool,
    living: AtomicUsize,
    calls: AtomicUsize,
    /// Last: processes that are being dropped above may still run from it.
    image: Image,
}

/// A driver as its module holds it: visible in sysfs until dropped, which ends the driver.
pub struct Registration {
    /// First, so that nobody comes in by sysfs while the rest goes.
    directory: Option<Directory>,
    driver: Arc<Driver>,
}

impl Registration {
    /// Stages the blob as an image and makes the driver's directory. Nothing is started.
    pub fn try_new(
        name: &CStr,
        blob: &[u8],
        policy: Policy,
        health_check: Option<HealthCheck>,
    ) -> Result<Self, Errno> {
        let name = Name::new(name)?;
        let image = Image::stage(name.as_c_str(), blob)?;
        let no_memory = |error: Error| error.errno();
        let mut lifecycle = Lifecycle::new(policy);
        lifecycle.loaded();
        let driver = Arc::try_new(Driver {
            framing: policy.framing,
            request_max: policy.request_max,
            deadline: AtomicU64::new(policy.deadline.as_nanos()),
            health_check,
            inner: SpinLock::try_new(Inner {
                lifecycle,
                processes: [const { None }; SLOTS],
            })
            .map_err(no_memory)?,
            places: WaitQueues::try_new(QUEUE_CAPACITY).map_err(no_memory)?,
            woken: [const { AtomicBool::new(false) }; QUEUE_CAPACITY],
            quiet: WaitQueues::try_new(1).map_err(no_memory)?,
            ending: AtomicBool::new(false),
            living: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            image,
            name,
        })
        .map_err(no_memory)?;
        // From here on a drop ends the driver, which somebody may have started by then.
        let mut registration = Self {
            directory: None,
            driver,
        };
        let driver = &registration.driver;
        registration.directory = Some(Directory::make(driver, driver.name())?);
        Ok(registration)
    }

    /// The driver.
    pub fn driver(&self) -> &Arc<Driver> {
        &self.driver
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.driver.end(Lifecycle::unload);
        // A writer of `restart` may be in there; it was just aborted.
        self.directory = None;
        let driver = &self.driver;
        // Ordered with the last call's leave(): one of the two sees the other.
        driver.ending.store(true, Ordering::SeqCst);
        // Calls have been aborted, and each of their waits ends; their code is about to be unmapped.
        driver.quiet.until(0, Instant::NEVER, || {
            driver.calls.load(Ordering::SeqCst) == 0
        });
        driver.quiet.until(0, wait::now().after(UNLOAD_LIMIT), || {
            driver.living.load(Ordering::SeqCst) == 0
        });
        // What is not gone by now (a frozen process, say) keeps the driver's memory and umd.ko
        // until it is.
    }
}

impl Driver {
    /// The name.
    pub fn name(&self) -> &CStr {
        self.name.as_c_str()
    }

    /// The image.
    pub(super) fn image(&self) -> &Image {
        &self.image
    }

    /// What the bytes on the channel look like.
    pub(super) fn framing(&self) -> Framing {
        self.framing
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

    fn serving(&self) -> Option<Arc<Process>> {
        let mut inner = self.inner.lock();
        let Inner {
            lifecycle,
            processes,
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
        if request.len() > this.request_max {
            return Err(Error::RequestTooLong);
        }
        // Raw messages have no length of their own: none is no message.
        if this.framing == Framing::Raw && (request.is_empty() || reply.is_empty()) {
            return Err(Error::InvalidArgument);
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

    /// A fresh beginning: every handler is killed, every death forgiven, and a handler started.
    pub fn restart(this: &Arc<Self>) -> Result<(), Error> {
        this.end(Lifecycle::restart);
        Self::start(this)
    }

    /// Changes the lifecycle so that no process is in service, and ends those that were.
    fn end(&self, change: impl FnOnce(&mut Lifecycle<SLOTS>)) {
        let mut ended = [const { None }; SLOTS];
        let wakeup = {
            let mut inner = self.inner.lock();
            change(&mut inner.lifecycle);
            core::mem::swap(&mut inner.processes, &mut ended);
            inner.lifecycle.wakeup()
        };
        self.wake(wakeup);
        for process in ended.into_iter().flatten() {
            process.abort();
        }
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
    pub(super) fn exited(&self, status: ExitStatus) {
        self.inner.lock().lifecycle.counters.exited(status);
    }

    /// Nothing is left of a process.
    pub(super) fn reaped(&self) {
        self.leave(&self.living);
    }

    /// One call or process less.
    fn leave(&self, count: &AtomicUsize) {
        count.fetch_sub(1, Ordering::SeqCst);
        if self.ending.load(Ordering::SeqCst) {
            self.quiet.wake(0);
        }
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

    /// A worker has answered a call whose caller is gone.
    pub(super) fn drained(&self, worker: WorkerId) {
        self.update(|lifecycle| lifecycle.finished(worker, Served::Reply));
    }

    fn update<R>(&self, change: impl FnOnce(&mut Lifecycle<SLOTS>) -> R) -> R {
        let (result, wakeup) = {
            let mut inner = self.inner.lock();
            (change(&mut inner.lifecycle), inner.lifecycle.wakeup())
        };
        self.wake(wakeup);
        result
    }

    /// Puts the process in its slot, unless the slot's start was given up meanwhile: then an unload
    /// or a restart would not find it.
    fn seat(&self, process: &Arc<Process>) -> Result<(), StartError> {
        let mut previous = Some(process.clone());
        let mut inner = self.inner.lock();
        let Inner {
            lifecycle,
            processes,
        } = &mut *inner;
        match processes.get_mut(process.worker().slot()) {
            Some(seat) if lifecycle.knows(process.worker()) => {
                core::mem::swap(seat, &mut previous);
                // Dropped without the lock: it may be the last reference.
                drop(inner);
                drop(previous);
                Ok(())
            }
            _ => {
                drop(inner);
                Err(StartError::Aborted)
            }
        }
    }

    fn check_health(&self, process: &Arc<Process>) -> Result<(), StartError> {
        match &self.health_check {
            None => Ok(()),
            Some(check) if check.run(process) => Ok(()),
            Some(_) => {
                let ended = process.ended();
                process.abort();
                Err(match ended {
                    _ if task::is_dying() => StartError::Interrupted,
                    // What it said was wrong, and not its end.
                    None | Some(Ended::Broken(_)) => StartError::Health,
                    Some(ended) => process::start_error(ended),
                })
            }
        }
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

    fn start(&self, worker: WorkerId, deadline: Instant) -> Result<Arc<Process>, StartError> {
        let process = Process::try_new(self, worker, self.framing, deadline)
            .map_err(|error| StartError::Exec(error.errno()))?;
        let result = self
            .seat(&process)
            .and_then(|()| Process::start(&process, deadline))
            .and_then(|()| self.check_health(&process));
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
