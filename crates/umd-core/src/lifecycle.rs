// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may do what when: the states of a driver and of its workers, every legal step between them,
//! and no other.
//!
//! A [`Lifecycle`] decides and remembers; it does nothing. Its host keeps it under a lock, does
//! what it says, and reports what came of it. A report about a process that is no longer the one
//! in its slot changes nothing: each start gets a [`WorkerId`] of its own.
//!
//! ```text
//! driver  Unloaded → Loaded → Starting → Running ⇄ Exited → … → Failed        any → Unloaded, Unloading
//! slot    Vacant → Starting → Busy ⇄ Idle,  Vacant → Warming → Idle,  from each of these → Vacant
//! ```

use crate::error::Error;
use crate::policy::{Budget, Instant, Permit, Policy, Span};
use crate::status::Counters;

/// Places in the queue of waiting callers.
pub const QUEUE_CAPACITY: usize = 64;

/// What state a driver is in, as it tells its operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is no image.
    Unloaded,
    /// There is an image, and no process has been started from it.
    Loaded,
    /// A handler is being started, and none is in service.
    Starting,
    /// A handler is in service.
    Running,
    /// The last handler is gone; the next call starts another.
    Exited,
    /// Too many handlers died in a row; calls fail until the window has passed.
    Failed,
    /// The driver is going away.
    Unloading,
}

impl State {
    /// The state's name as operators read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unloaded => "unloaded",
            Self::Loaded => "loaded",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Exited => "exited",
            Self::Failed => "failed",
            Self::Unloading => "unloading",
        }
    }
}

/// One started handler: its slot, and which of the slot's starts it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerId {
    slot: usize,
    start: u64,
}

impl WorkerId {
    /// The slot's index, below the lifecycle's number of slots.
    pub const fn slot(self) -> usize {
        self.slot
    }
}

/// A place in the queue of waiting callers. Places are served in the order of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

impl Ticket {
    /// An index below [`QUEUE_CAPACITY`] that no other waiting ticket has.
    pub const fn place(self) -> usize {
        (self.0 % QUEUE_CAPACITY as u64) as usize
    }
}

/// What a caller may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Send the request to this worker, which is the caller's until it reports
    /// [`finished`](Lifecycle::finished) or [`died`](Lifecycle::died).
    Run(WorkerId),
    /// Start this worker; on [`started`](Lifecycle::started) it is the caller's.
    Start(WorkerId),
    /// Wait until the ticket is woken, or until this instant, and ask again.
    Wait(Instant),
    /// Give up.
    Refuse(Error),
}

/// What became of a worker that served a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// It replied.
    Reply,
    /// The call was withdrawn before the worker had read any of it.
    Nothing,
}

/// Whether a worker is to be started off the callers' path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supply {
    /// This one.
    Start(WorkerId),
    /// One, but not before this instant, because of those that died.
    From(Instant),
    /// None: not until a worker is gone.
    Enough,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Vacant,
    /// Being started by the caller whose it will be.
    Starting,
    /// Being started off the callers' path. It is nobody's, so it holds nobody up.
    Warming,
    Idle,
    Busy,
}

#[derive(Clone, Copy, Debug)]
struct Worker {
    slot: Slot,
    start: u64,
}

/// The states of one driver with up to `SLOTS` processes.
///
/// # Invariants
///
/// - At most `policy.workers` slots are Starting or Busy at a time.
/// - At most `policy.workers + policy.spares` slots are not Vacant.
/// - Once unloading, no slot leaves Vacant any more.
#[derive(Debug)]
pub struct Lifecycle<const SLOTS: usize> {
    policy: Policy,
    image: bool,
    unloading: bool,
    starts: u64,
    workers: [Worker; SLOTS],
    budget: Budget,
    /// No spare is started before.
    spares_from: Instant,
    queue: Queue,
    /// Something changed that the caller at the front of the queue waits for.
    changed: bool,
    /// How often something changed that spares wait for.
    supply_changes: u64,
    /// What the operator is told; kept here so that one lock covers it.
    pub counters: Counters,
}

impl<const SLOTS: usize> Lifecycle<SLOTS> {
    /// The least time between two spares that the host has nothing for.
    const PAUSE: Span = Span::from_millis(10);

    /// A driver without an image. Workers and spares beyond `SLOTS` are not used.
    pub const fn new(policy: Policy) -> Self {
        const { assert!(SLOTS > 0, "a driver needs at least one slot") };
        Self {
            policy,
            image: false,
            unloading: false,
            starts: 0,
            workers: [Worker {
                slot: Slot::Vacant,
                start: 0,
            }; SLOTS],
            budget: Budget::new(),
            spares_from: Instant::ZERO,
            queue: Queue::new(),
            changed: false,
            supply_changes: 0,
            counters: Counters::new(),
        }
    }

    /// What the driver's owner decided.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The state that the operator is told.
    pub fn state(&mut self, now: Instant) -> State {
        if self.unloading {
            State::Unloading
        } else if !self.image {
            State::Unloaded
        } else if self.has(Slot::Idle) || self.has(Slot::Busy) {
            State::Running
        } else if self.has(Slot::Starting) || self.has(Slot::Warming) {
            State::Starting
        } else if let Permit::Spent(_) = self.budget.permit(now, &self.policy.restart) {
            State::Failed
        } else if self.starts == 0 {
            State::Loaded
        } else {
            State::Exited
        }
    }

    /// The image is staged: calls may be admitted.
    pub const fn loaded(&mut self) {
        self.image = true;
        self.changed = true;
        self.supply_changed();
    }

    /// The image is taken away: nobody is admitted until there is another. Workers that are busy may finish;
    /// when the host has waited for that ([`is_quiet`](Self::is_quiet)) it [restarts](Self::restart).
    pub const fn withdrawn(&mut self) {
        self.image = false;
        self.changed = true;
    }

    /// No caller has a worker, or starts one.
    pub fn is_quiet(&self) -> bool {
        !self.has(Slot::Busy) && !self.has(Slot::Starting)
    }

    /// The driver goes away, or has gone.
    pub const fn is_unloading(&self) -> bool {
        self.unloading
    }

    /// A caller takes a place in the queue.
    pub const fn enter(&mut self) -> Result<Ticket, Error> {
        if self.unloading {
            return Err(Error::Unloading);
        }
        self.queue.enter(self.policy.queue_max)
    }

    /// A caller leaves the queue: admitted, refused, or because it no longer wants to wait.
    pub fn leave(&mut self, ticket: Ticket) {
        self.queue.leave(ticket);
        self.changed = true;
    }

    /// The ticket whose turn it is, if anybody waits.
    pub const fn next(&self) -> Option<Ticket> {
        self.queue.front()
    }

    /// The ticket to wake because of what happened since this was asked last. Hosts ask after each
    /// change.
    pub const fn wakeup(&mut self) -> Option<Ticket> {
        let changed = self.changed;
        self.changed = false;
        if changed { self.queue.front() } else { None }
    }

    /// May the holder of `ticket` go ahead? Without a ticket: may somebody who just came, in
    /// which case those who wait come first.
    pub fn admit(&mut self, ticket: Option<Ticket>, now: Instant) -> Admission {
        if self.unloading {
            return Admission::Refuse(Error::Unloading);
        }
        if !self.image {
            return Admission::Refuse(Error::NotLoaded);
        }
        if self.queue.front() != ticket {
            return Admission::Wait(Instant::NEVER);
        }
        if self.count(Slot::Busy) + self.count(Slot::Starting) < self.limit(self.policy.workers) {
            if let Some(id) = self.take(Slot::Idle, Slot::Busy) {
                return Admission::Run(id);
            }
            match self.budget.permit(now, &self.policy.restart) {
                Permit::Spent(_) => return Admission::Refuse(Error::Failed),
                Permit::From(instant) if instant > now => return Admission::Wait(instant),
                Permit::From(_) => {}
            }
            if let Some(id) = self.begin_start(Slot::Starting) {
                return Admission::Start(id);
            }
        }
        Admission::Wait(Instant::NEVER)
    }

    /// How often something has changed, other than the time, that [`replenish`](Self::replenish) goes by. A keeper of spares asks this,
    /// *then* replenishes, and sleeps only while it is the same.
    pub const fn supply_changes(&self) -> u64 {
        self.supply_changes
    }

    const fn supply_changed(&mut self) {
        self.supply_changes = self.supply_changes.wrapping_add(1);
    }

    /// Should a worker be started off the callers' path? Then it is reserved, and
    /// [`ready`](Self::ready) puts it in service.
    pub fn replenish(&mut self, now: Instant) -> Supply {
        // Without a spare the next caller starts the worker, and hears why if that fails.
        if self.unloading || !self.image || self.policy.spares == 0 || !self.has(Slot::Vacant) {
            return Supply::Enough;
        }
        if self.spares_from > now {
            return Supply::From(self.spares_from);
        }
        match self.budget.permit(now, &self.policy.restart) {
            Permit::From(instant) if instant <= now => match self.begin_start(Slot::Warming) {
                Some(worker) => Supply::Start(worker),
                None => Supply::Enough,
            },
            Permit::From(instant) | Permit::Spent(instant) => Supply::From(instant),
        }
    }

    /// The worker that its caller started said hello and is that caller's.
    /// False: it was retired meanwhile.
    pub fn started(&mut self, id: WorkerId) -> bool {
        self.step(id, Slot::Starting, Slot::Busy)
    }

    /// The worker that was started off the callers' path is at everybody's service.
    /// False: it was retired meanwhile.
    pub fn ready(&mut self, id: WorkerId) -> bool {
        self.changed = true;
        self.step(id, Slot::Warming, Slot::Idle)
    }

    /// The call on this worker is over. False: the worker was retired meanwhile; a reply counts all
    /// the same, so one that dies after each reply does not use up the budget.
    pub fn finished(&mut self, id: WorkerId, served: Served) -> bool {
        if served == Served::Reply && self.budget.served() {
            self.supply_changed();
        }
        self.changed = true;
        self.step(id, Slot::Busy, Slot::Idle)
    }

    /// Is this worker in service, or being brought into it?
    pub fn knows(&mut self, id: WorkerId) -> bool {
        matches!(self.worker(id), Some(worker) if worker.slot != Slot::Vacant)
    }

    /// The worker died, of itself or because it broke a rule or a deadline. True where this is
    /// news; the death has then been charged to the budget.
    pub fn died(&mut self, id: WorkerId, now: Instant) -> bool {
        let news = self.retire(id);
        if news {
            self.budget.died(now, &self.policy.restart);
        }
        news
    }

    /// The worker could not be made, for want of something that is not its own. Nobody is blamed, but spares are not tried again at
    /// once, which would go on for as long as it is wanting.
    pub fn starved(&mut self, id: WorkerId, now: Instant) {
        self.retire(id);
        let pause = self.policy.restart.backoff.max(Self::PAUSE);
        self.spares_from = now.after(pause);
    }

    /// The worker is taken out of service without blame. True where it was in service.
    pub fn retire(&mut self, id: WorkerId) -> bool {
        match self.worker(id) {
            Some(worker) if worker.slot != Slot::Vacant => {
                worker.slot = Slot::Vacant;
                self.changed = true;
                self.supply_changed();
                true
            }
            _ => false,
        }
    }

    /// The operator wants a fresh beginning: every worker is retired and every death forgiven.
    /// The host kills the processes.
    pub fn restart(&mut self) {
        for worker in &mut self.workers {
            worker.slot = Slot::Vacant;
        }
        self.budget = Budget::new();
        self.spares_from = Instant::ZERO;
        self.changed = true;
        self.supply_changed();
    }

    /// The driver goes away: every worker is retired, and nobody is admitted any more.
    pub fn unload(&mut self) {
        self.restart();
        self.unloading = true;
    }

    fn limit(&self, count: usize) -> usize {
        count.clamp(1, SLOTS)
    }

    fn has(&self, slot: Slot) -> bool {
        self.count(slot) > 0
    }

    fn count(&self, slot: Slot) -> usize {
        self.used().iter().filter(|w| w.slot == slot).count()
    }

    /// The slots that workers and spares can be in: a start takes the first that is vacant.
    fn used(&self) -> &[Worker] {
        self.workers.get(..self.wanted()).unwrap_or(&self.workers)
    }

    /// Workers and spares.
    fn wanted(&self) -> usize {
        self.limit(self.policy.workers.saturating_add(self.policy.spares))
    }

    fn worker(&mut self, id: WorkerId) -> Option<&mut Worker> {
        self.workers
            .get_mut(id.slot)
            .filter(|worker| worker.start == id.start)
    }

    fn step(&mut self, id: WorkerId, from: Slot, to: Slot) -> bool {
        match self.worker(id) {
            Some(worker) if worker.slot == from => {
                worker.slot = to;
                true
            }
            _ => false,
        }
    }

    fn take(&mut self, from: Slot, to: Slot) -> Option<WorkerId> {
        let (slot, worker) = self
            .workers
            .iter_mut()
            .enumerate()
            .find(|(_, worker)| worker.slot == from)?;
        worker.slot = to;
        Some(WorkerId {
            slot,
            start: worker.start,
        })
    }

    fn begin_start(&mut self, slot: Slot) -> Option<WorkerId> {
        if self.count(Slot::Vacant) == 0 {
            return None;
        }
        let start = self.starts.checked_add(1)?;
        let id = self.take(Slot::Vacant, slot)?;
        self.starts = start;
        let worker = self.workers.get_mut(id.slot)?;
        worker.start = start;
        Some(WorkerId { start, ..id })
    }
}

/// Callers that wait, in the order in which they came. A place that was given up stays taken until
/// all before it are gone, so the queue is bounded by its capacity without moving anything.
#[derive(Debug)]
struct Queue {
    /// The ticket at the front; equal to `end` when nobody waits.
    front: u64,
    /// The ticket that the next caller gets.
    end: u64,
    /// One bit a place: its ticket has left.
    left: u64,
}

impl Queue {
    const fn new() -> Self {
        Self {
            front: 0,
            end: 0,
            left: 0,
        }
    }

    const fn enter(&mut self, max: usize) -> Result<Ticket, Error> {
        let waiting = self.end.wrapping_sub(self.front);
        if waiting >= max as u64 || waiting >= QUEUE_CAPACITY as u64 {
            return Err(Error::Busy);
        }
        let ticket = Ticket(self.end);
        self.end = self.end.wrapping_add(1);
        self.left &= !Self::bit(ticket);
        Ok(ticket)
    }

    fn leave(&mut self, ticket: Ticket) {
        // One that left before must not give up the place of the one that has it now.
        if ticket.0.wrapping_sub(self.front) >= self.end.wrapping_sub(self.front) {
            return;
        }
        self.left |= Self::bit(ticket);
        while self.front != self.end && self.left & Self::bit(Ticket(self.front)) != 0 {
            self.front = self.front.wrapping_add(1);
        }
    }

    const fn front(&self) -> Option<Ticket> {
        if self.front == self.end {
            None
        } else {
            Some(Ticket(self.front))
        }
    }

    const fn bit(ticket: Ticket) -> u64 {
        1 << ticket.place()
    }
}

const _: () = assert!(QUEUE_CAPACITY == u64::BITS as usize);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::RestartPolicy;

    fn one() -> Lifecycle<1> {
        let mut lifecycle = Lifecycle::new(Policy::DEFAULT);
        lifecycle.loaded();
        lifecycle
    }

    fn at(millis: u64) -> Instant {
        Instant::ZERO.after(Span::from_millis(millis))
    }

    fn start(lifecycle: &mut Lifecycle<1>, now: Instant) -> WorkerId {
        let Admission::Start(id) = lifecycle.admit(None, now) else {
            panic!("no start")
        };
        assert!(lifecycle.started(id));
        id
    }

    #[test]
    fn without_an_image_nobody_is_admitted() {
        let mut lifecycle = Lifecycle::<1>::new(Policy::DEFAULT);
        assert_eq!(lifecycle.state(at(0)), State::Unloaded);
        assert_eq!(
            lifecycle.admit(None, at(0)),
            Admission::Refuse(Error::NotLoaded)
        );
    }

    #[test]
    fn the_way_of_a_good_worker() {
        let mut lifecycle = one();
        assert_eq!(lifecycle.state(at(0)), State::Loaded);
        let Admission::Start(id) = lifecycle.admit(None, at(0)) else {
            panic!("no start")
        };
        assert_eq!(lifecycle.state(at(0)), State::Starting);
        assert!(lifecycle.started(id));
        assert_eq!(lifecycle.state(at(0)), State::Running);
        assert_eq!(
            lifecycle.admit(None, at(0)),
            Admission::Wait(Instant::NEVER)
        );
        assert!(lifecycle.finished(id, Served::Reply));
        assert_eq!(lifecycle.admit(None, at(0)), Admission::Run(id));
    }

    #[test]
    fn a_late_report_about_an_earlier_process_changes_nothing() {
        let mut lifecycle = one();
        let first = start(&mut lifecycle, at(0));
        assert!(lifecycle.died(first, at(1)));
        assert!(!lifecycle.died(first, at(1)));
        let second = start(&mut lifecycle, at(1));
        assert_ne!(first, second);
        assert!(!lifecycle.finished(first, Served::Reply));
        assert!(!lifecycle.died(first, at(1)));
        assert!(!lifecycle.retire(first));
        assert!(lifecycle.finished(second, Served::Reply));
    }

    #[test]
    fn death_after_death_ends_in_failure_and_the_operator_forgives() {
        let mut lifecycle = one();
        let mut now = at(10);
        for _ in 0..=RestartPolicy::DEFAULT.budget {
            let id = loop {
                match lifecycle.admit(None, now) {
                    Admission::Start(id) => break id,
                    Admission::Wait(instant) => now = instant,
                    other => panic!("{other:?}"),
                }
            };
            assert!(lifecycle.died(id, now));
        }
        assert_eq!(lifecycle.state(now), State::Failed);
        assert_eq!(lifecycle.admit(None, now), Admission::Refuse(Error::Failed));
        lifecycle.restart();
        assert_eq!(lifecycle.state(now), State::Exited);
        assert!(matches!(lifecycle.admit(None, now), Admission::Start(_)));
    }

    #[test]
    fn first_come_first_served() {
        let mut lifecycle = one();
        let id = start(&mut lifecycle, at(0));
        let first = lifecycle.enter().unwrap();
        let second = lifecycle.enter().unwrap();
        assert!(lifecycle.finished(id, Served::Reply));
        assert_eq!(
            lifecycle.admit(Some(second), at(0)),
            Admission::Wait(Instant::NEVER)
        );
        assert_eq!(
            lifecycle.admit(None, at(0)),
            Admission::Wait(Instant::NEVER)
        );
        assert_eq!(lifecycle.next(), Some(first));
        assert_eq!(lifecycle.admit(Some(first), at(0)), Admission::Run(id));
        lifecycle.leave(first);
        assert_eq!(lifecycle.next(), Some(second));
        lifecycle.leave(second);
        assert_eq!(lifecycle.next(), None);
    }

    #[test]
    fn the_queue_is_bounded() {
        let policy = Policy {
            queue_max: 3,
            ..Policy::DEFAULT
        };
        let mut lifecycle = Lifecycle::<1>::new(policy);
        lifecycle.loaded();
        let tickets = [(); 3].map(|()| lifecycle.enter().unwrap());
        assert_eq!(lifecycle.enter(), Err(Error::Busy));
        lifecycle.leave(tickets[0]);
        assert!(lifecycle.enter().is_ok());
        lifecycle.unload();
        assert_eq!(lifecycle.enter(), Err(Error::Unloading));
    }

    #[test]
    fn no_start_while_unloading() {
        let mut lifecycle = one();
        let id = start(&mut lifecycle, at(0));
        lifecycle.unload();
        assert_eq!(lifecycle.state(at(0)), State::Unloading);
        assert!(!lifecycle.finished(id, Served::Reply));
        assert_eq!(
            lifecycle.admit(None, at(0)),
            Admission::Refuse(Error::Unloading)
        );
        assert_eq!(lifecycle.replenish(at(0)), Supply::Enough);
    }

    #[test]
    fn two_workers_and_a_warm_spare() {
        let policy = Policy {
            workers: 2,
            spares: 1,
            ..Policy::DEFAULT
        };
        let mut lifecycle = Lifecycle::<3>::new(policy);
        lifecycle.loaded();
        while let Supply::Start(id) = lifecycle.replenish(at(0)) {
            assert!(lifecycle.ready(id));
        }
        let Admission::Run(first) = lifecycle.admit(None, at(0)) else {
            panic!("not ready")
        };
        assert!(matches!(lifecycle.admit(None, at(0)), Admission::Run(_)));
        // The third is the spare: it takes over when a worker dies, and is replaced.
        assert_eq!(
            lifecycle.admit(None, at(0)),
            Admission::Wait(Instant::NEVER)
        );
        assert!(lifecycle.died(first, at(0)));
        assert!(matches!(lifecycle.admit(None, at(0)), Admission::Run(_)));
        assert!(matches!(lifecycle.replenish(at(0)), Supply::Start(_)));
        assert_eq!(lifecycle.replenish(at(0)), Supply::Enough);
    }

    #[test]
    fn a_spare_that_is_slow_to_start_holds_nobody_up() {
        let policy = Policy {
            spares: 1,
            ..Policy::DEFAULT
        };
        let mut lifecycle = Lifecycle::<2>::new(policy);
        lifecycle.loaded();
        let Supply::Start(warm) = lifecycle.replenish(at(0)) else {
            panic!("no spare")
        };
        let Admission::Start(own) = lifecycle.admit(None, at(0)) else {
            panic!("no start")
        };
        assert!(lifecycle.started(own));
        assert!(lifecycle.finished(own, Served::Reply));
        assert_eq!(lifecycle.admit(None, at(0)), Admission::Run(own));
        // Each start has its own end.
        assert!(!lifecycle.started(warm));
        assert!(lifecycle.ready(warm));
    }

    #[test]
    fn leaving_twice_takes_nobody_elses_place() {
        let mut lifecycle = one();
        let first = lifecycle.enter().unwrap();
        lifecycle.leave(first);
        for _ in 1..QUEUE_CAPACITY {
            let ticket = lifecycle.enter().unwrap();
            lifecycle.leave(ticket);
        }
        let same_place = lifecycle.enter().unwrap();
        assert_eq!(same_place.place(), first.place());
        lifecycle.leave(first);
        assert_eq!(lifecycle.next(), Some(same_place));
    }
}
