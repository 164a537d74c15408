// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Lifecycle`] against a model that is too simple to be wrong: a list of living processes, a list
//! of waiting callers, a list of deaths. Both are put through the same random history, and must
//! give the same answers after each step.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::{BTreeSet, VecDeque};
use umd_core::error::Error;
use umd_core::lifecycle::{
    Admission, Lifecycle, QUEUE_CAPACITY, Served, State, Supply, Ticket, WorkerId,
};
use umd_core::policy::{Instant, Policy, RestartPolicy, Span};

/// Small numbers, so that a short history runs into each of them.
const BUDGET: u32 = 3;
const WINDOW_MS: u64 = 50;
const BACKOFF_MS: u64 = 4;
/// The least that spares wait that the host has nothing for.
const PAUSE_MS: u64 = 10;
const BACKOFF_MAX_MS: u64 = 6;
const QUEUE_MAX: usize = 4;

/// Which process a report is about.
#[derive(Clone, Debug)]
enum Who {
    /// One that lives.
    Living(Index),
    /// One that ever was: most of these reports are stale.
    Any(Index),
}

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    Load,
    /// A caller comes, and queues if it must.
    Arrive,
    /// A waiting caller asks again.
    Ask(Index),
    /// A waiting caller does not want to wait any longer.
    GiveUp(Index),
    /// A caller that has left says so once more.
    LeaveAgain(Index),
    /// So many callers come and go that tickets get the places that others had before.
    Crowd(usize),
    /// A spare is started, where one is wanted.
    Replenish,
    /// A process that a caller started says hello.
    Started(Who),
    /// A process that was started off the callers' path says hello.
    Ready(Who),
    /// A call ends well.
    Reply(Who),
    /// A call ends without the worker having done anything.
    Nothing(Who),
    Die(Who),
    /// A process does nothing until a deadline kills it.
    Hang(Who),
    Retire(Who),
    /// It could not be made, and that is nobody's fault.
    Starve(Who),
    Restart,
    /// The image is taken away.
    Withdraw,
    Unload,
    Pass(u64),
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![
        4 => any::<Index>().prop_map(Who::Living),
        1 => any::<Index>().prop_map(Who::Any),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => Just(Step::Arrive),
        10 => any::<Index>().prop_map(Step::Ask),
        2 => any::<Index>().prop_map(Step::GiveUp),
        1 => any::<Index>().prop_map(Step::LeaveAgain),
        1 => (QUEUE_CAPACITY - 4..QUEUE_CAPACITY).prop_map(Step::Crowd),
        4 => Just(Step::Replenish),
        8 => who().prop_map(Step::Started),
        6 => who().prop_map(Step::Ready),
        6 => who().prop_map(Step::Reply),
        2 => who().prop_map(Step::Nothing),
        8 => who().prop_map(Step::Die),
        2 => who().prop_map(Step::Hang),
        1 => who().prop_map(Step::Retire),
        1 => who().prop_map(Step::Starve),
        1 => Just(Step::Restart),
        1 => Just(Step::Withdraw),
        1 => Just(Step::Load),
        8 => (0u64..10).prop_map(Step::Pass),
        1 => Just(Step::Pass(WINDOW_MS)),
    ]
}

/// A history: maybe some steps without an image, many with one, maybe some after the unload.
fn history() -> impl Strategy<Value = Vec<Step>> {
    let few = || prop::collection::vec(step(), 0..4);
    // A step costs Miri a tenth of a second or more.
    let many = if cfg!(miri) { 15 } else { 80 };
    (few(), prop::collection::vec(step(), 0..many), few()).prop_map(|(before, during, after)| {
        let mut steps = before;
        steps.push(Step::Load);
        steps.extend(during);
        steps.push(Step::Unload);
        steps.extend(after);
        steps
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A caller starts it.
    Starting,
    /// Nobody in particular starts it.
    Warming,
    Idle,
    Busy,
}

#[derive(Clone, Copy, Debug)]
struct Process {
    id: WorkerId,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    ticket: Ticket,
    /// It gave up. Its place stays taken until those before it are gone.
    left: bool,
    /// It sleeps until then, unless it is woken.
    until: Instant,
    woken: bool,
}

/// Who starts spares, and had nothing to do.
#[derive(Clone, Copy, Debug)]
struct Keeper {
    /// It sleeps until then, or until what it goes by has changed more often.
    until: Instant,
    changes: u64,
}

#[derive(Debug)]
struct Model {
    workers: usize,
    processes: usize,
    spares: usize,
    now_ms: u64,
    image: bool,
    unloading: bool,
    living: Vec<Process>,
    /// Every process there ever was.
    ever: Vec<WorkerId>,
    queue: VecDeque<Waiting>,
    /// Tickets of callers that have left.
    gone: Vec<Ticket>,
    /// Deaths in a row, when they came.
    deaths_ms: Vec<u64>,
    /// No spare before.
    spares_from_ms: u64,
    keeper: Option<Keeper>,
}

/// What the budget says.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Now,
    Later(u64),
    Failed,
}

impl Model {
    fn verdict(&self) -> Verdict {
        let Some(&last) = self.deaths_ms.last() else {
            return Verdict::Now;
        };
        if self.now_ms - last >= WINDOW_MS {
            return Verdict::Now;
        }
        let pause = match self.deaths_ms.len() {
            1 => 0,
            2 => BACKOFF_MS,
            3 => (2 * BACKOFF_MS).min(BACKOFF_MAX_MS),
            _ => return Verdict::Failed,
        };
        if self.now_ms < last + pause {
            Verdict::Later(last + pause)
        } else {
            Verdict::Now
        }
    }

    fn death(&mut self) {
        if let Some(&last) = self.deaths_ms.last()
            && self.now_ms - last >= WINDOW_MS
        {
            self.deaths_ms.clear();
        }
        self.deaths_ms.push(self.now_ms);
    }

    fn state(&self) -> State {
        let is = |phase| self.living.iter().any(|p| p.phase == phase);
        if self.unloading {
            State::Unloading
        } else if !self.image {
            State::Unloaded
        } else if is(Phase::Idle) || is(Phase::Busy) {
            State::Running
        } else if is(Phase::Starting) || is(Phase::Warming) {
            State::Starting
        } else if self.verdict() == Verdict::Failed {
            State::Failed
        } else if self.ever.is_empty() {
            State::Loaded
        } else {
            State::Exited
        }
    }

    fn next(&self) -> Option<Ticket> {
        self.queue.front().map(|waiting| waiting.ticket)
    }

    /// Workers that are taken up by a caller.
    fn taken(&self) -> usize {
        self.living
            .iter()
            .filter(|p| p.phase == Phase::Starting || p.phase == Phase::Busy)
            .count()
    }

    fn find(&mut self, id: WorkerId) -> Option<&mut Process> {
        self.living.iter_mut().find(|p| p.id == id)
    }

    /// Takes a process from one phase to another. False: it was not in that phase.
    fn step(&mut self, id: WorkerId, from: Phase, to: Phase) -> bool {
        match self.find(id) {
            Some(process) if process.phase == from => {
                process.phase = to;
                true
            }
            _ => false,
        }
    }

    /// Forgets a process. False: it was forgotten before.
    fn remove(&mut self, id: WorkerId) -> bool {
        let before = self.living.len();
        self.living.retain(|p| p.id != id);
        self.living.len() < before
    }

    fn begin(&mut self, id: WorkerId, phase: Phase) {
        assert!(!self.ever.contains(&id), "two processes with one id");
        self.ever.push(id);
        self.living.push(Process { id, phase });
    }

    fn leave(&mut self, ticket: Ticket) {
        for waiting in &mut self.queue {
            if waiting.ticket == ticket {
                waiting.left = true;
            }
        }
        self.gone.push(ticket);
        while self.queue.front().is_some_and(|waiting| waiting.left) {
            self.queue.pop_front();
        }
    }

    /// Is this what a caller should be told? If so, it is done.
    fn admission(&mut self, ticket: Option<Ticket>, told: Admission) {
        let forever = Admission::Wait(Instant::NEVER);
        if self.unloading {
            return assert_eq!(told, Admission::Refuse(Error::Unloading));
        }
        if !self.image {
            return assert_eq!(told, Admission::Refuse(Error::NotLoaded));
        }
        if self.next() != ticket || self.taken() >= self.workers {
            return assert_eq!(told, forever);
        }
        if self.living.iter().any(|p| p.phase == Phase::Idle) {
            let Admission::Run(id) = told else {
                panic!("{told:?} though a worker is idle")
            };
            // Which of the idle ones is the lifecycle's own affair.
            return assert!(self.step(id, Phase::Idle, Phase::Busy), "ran a busy worker");
        }
        match self.verdict() {
            Verdict::Failed => assert_eq!(told, Admission::Refuse(Error::Failed)),
            Verdict::Later(until) => assert_eq!(told, Admission::Wait(at(until))),
            Verdict::Now if self.living.len() >= self.processes => assert_eq!(told, forever),
            Verdict::Now => {
                let Admission::Start(id) = told else {
                    panic!("{told:?} though nothing hinders a start")
                };
                self.begin(id, Phase::Starting);
            }
        }
    }

    /// Would the caller at the front of the queue be told anything but to wait?
    fn front_may_go(&self) -> bool {
        if self.unloading || !self.image {
            return true;
        }
        let idle = self.living.iter().any(|p| p.phase == Phase::Idle);
        let startable = match self.verdict() {
            Verdict::Failed => true,
            Verdict::Later(_) => false,
            Verdict::Now => self.living.len() < self.processes,
        };
        self.taken() < self.workers && (idle || startable)
    }

    fn wants_a_spare(&self) -> bool {
        self.image
            && !self.unloading
            && self.spares > 0
            && self.living.len() < self.processes
            && self.now_ms >= self.spares_from_ms
            && self.verdict() == Verdict::Now
    }

    fn pick(&self, who: &Who) -> Option<WorkerId> {
        match who {
            Who::Living(index) if !self.living.is_empty() => Some(index.get(&self.living).id),
            Who::Living(_) => None,
            Who::Any(index) if !self.ever.is_empty() => Some(*index.get(&self.ever)),
            Who::Any(_) => None,
        }
    }

    fn pick_waiting(&self, index: &Index) -> Option<Ticket> {
        let waiting: Vec<_> = self.queue.iter().filter(|w| !w.left).collect();
        (!waiting.is_empty()).then(|| index.get(&waiting).ticket)
    }
}

fn at(millis: u64) -> Instant {
    Instant::ZERO.after(Span::from_millis(millis))
}

/// What a history came upon, to see that histories come upon everything.
type Sights = BTreeSet<&'static str>;

fn run<const SLOTS: usize>(workers: usize, spares: usize, history: &[Step]) -> Sights {
    let mut sights = Sights::new();
    let mut real = Lifecycle::<SLOTS>::new(Policy {
        workers,
        spares,
        queue_max: QUEUE_MAX,
        restart: RestartPolicy {
            budget: BUDGET,
            window: Span::from_millis(WINDOW_MS),
            backoff: Span::from_millis(BACKOFF_MS),
            backoff_max: Span::from_millis(BACKOFF_MAX_MS),
        },
        ..Policy::DEFAULT
    });
    let mut model = Model {
        workers: workers.clamp(1, SLOTS),
        processes: (workers + spares).clamp(1, SLOTS),
        spares,
        now_ms: 1_000,
        image: false,
        unloading: false,
        living: Vec::new(),
        ever: Vec::new(),
        queue: VecDeque::new(),
        gone: Vec::new(),
        deaths_ms: Vec::new(),
        spares_from_ms: 0,
        keeper: None,
    };
    for step in history {
        take(&mut real, &mut model, step, &mut sights);
        wake(&mut real, &mut model);
        wake_the_keeper(&real, &model);
        compare(&mut real, &model);
        sights.insert(model.state().name());
    }
    sights
}

/// One step, by both.
fn take<const SLOTS: usize>(
    real: &mut Lifecycle<SLOTS>,
    model: &mut Model,
    step: &Step,
    sights: &mut Sights,
) {
    match step {
        Step::Load => {
            real.loaded();
            model.image = true;
        }
        Step::Arrive => {
            let told = real.admit(None, at(model.now_ms));
            model.admission(None, told);
            sights.insert(name(told));
            if let Admission::Wait(until) = told {
                match real.enter() {
                    Ok(ticket) => {
                        assert!(model.queue.len() < QUEUE_MAX);
                        model.queue.push_back(Waiting {
                            ticket,
                            left: false,
                            until,
                            woken: false,
                        });
                    }
                    Err(error) => {
                        assert_eq!(error, Error::Busy);
                        assert_eq!(model.queue.len(), QUEUE_MAX);
                        sights.insert("queue full");
                    }
                }
            }
        }
        Step::Ask(index) => {
            let Some(ticket) = model.pick_waiting(index) else {
                return;
            };
            let told = real.admit(Some(ticket), at(model.now_ms));
            model.admission(Some(ticket), told);
            sights.insert(name(told));
            if let Admission::Wait(until) = told {
                let mut queue = model.queue.iter_mut();
                let waiting = queue.find(|waiting| waiting.ticket == ticket);
                let waiting = waiting.expect("it asked");
                waiting.until = until;
                waiting.woken = false;
            } else {
                real.leave(ticket);
                model.leave(ticket);
            }
        }
        Step::GiveUp(index) => {
            if let Some(ticket) = model.pick_waiting(index) {
                real.leave(ticket);
                model.leave(ticket);
            }
        }
        Step::LeaveAgain(index) => {
            if !model.gone.is_empty() {
                real.leave(*index.get(&model.gone));
            }
        }
        Step::Crowd(callers) => {
            for _ in 0..*callers {
                // Behind a caller that waits, places of those that left stay taken.
                if model.queue.is_empty() && !model.unloading {
                    let ticket = real.enter().expect("an empty queue");
                    real.leave(ticket);
                    model.gone.push(ticket);
                }
            }
        }
        Step::Replenish => {
            let changes = real.supply_changes();
            let supply = real.replenish(at(model.now_ms));
            let asleep = |until| Some(Keeper { until, changes });
            model.keeper = match supply {
                // It ends.
                _ if real.is_unloading() => None,
                Supply::Enough => asleep(Instant::NEVER),
                Supply::From(instant) => asleep(instant),
                Supply::Start(_) => None,
            };
            let wanted = model.wants_a_spare();
            assert_eq!(matches!(supply, Supply::Start(_)), wanted);
            if let Supply::From(instant) = supply {
                assert!(instant > at(model.now_ms));
            }
            if let Supply::Start(id) = supply {
                model.begin(id, Phase::Warming);
                sights.insert("spare");
            }
        }
        Step::Started(who) => {
            if let Some(id) = model.pick(who) {
                let ours = model.step(id, Phase::Starting, Phase::Busy);
                assert_eq!(real.started(id), ours);
            }
        }
        Step::Ready(who) => {
            if let Some(id) = model.pick(who) {
                let ours = model.step(id, Phase::Warming, Phase::Idle);
                assert_eq!(real.ready(id), ours);
            }
        }
        Step::Reply(who) => {
            if let Some(id) = model.pick(who) {
                let ours = model.step(id, Phase::Busy, Phase::Idle);
                // The reply of one that has died meanwhile counts too.
                model.deaths_ms.clear();
                assert_eq!(real.finished(id, Served::Reply), ours);
            }
        }
        Step::Nothing(who) => {
            if let Some(id) = model.pick(who) {
                let ours = model.step(id, Phase::Busy, Phase::Idle);
                assert_eq!(real.finished(id, Served::Nothing), ours);
            }
        }
        Step::Die(who) => die(real, model, who, sights),
        Step::Hang(who) => {
            model.now_ms += 10;
            die(real, model, who, sights);
        }
        Step::Retire(who) => {
            if let Some(id) = model.pick(who) {
                assert_eq!(real.retire(id), model.remove(id));
            }
        }
        Step::Starve(who) => {
            if let Some(id) = model.pick(who) {
                real.starved(id, at(model.now_ms));
                model.remove(id);
                model.spares_from_ms = model.now_ms + PAUSE_MS.max(BACKOFF_MS);
                sights.insert("starved");
            }
        }
        Step::Restart => {
            real.restart();
            model.living.clear();
            model.deaths_ms.clear();
            model.spares_from_ms = 0;
        }
        Step::Withdraw => {
            real.withdrawn();
            model.image = false;
            let busy = |phase| matches!(phase, Phase::Starting | Phase::Busy);
            let quiet = !model.living.iter().any(|process| busy(process.phase));
            assert_eq!(real.is_quiet(), quiet);
        }
        Step::Unload => {
            real.unload();
            model.living.clear();
            model.deaths_ms.clear();
            model.unloading = true;
        }
        Step::Pass(millis) => model.now_ms += millis,
    }
}

fn die<const SLOTS: usize>(
    real: &mut Lifecycle<SLOTS>,
    model: &mut Model,
    who: &Who,
    sights: &mut Sights,
) {
    let Some(id) = model.pick(who) else { return };
    let news = model.remove(id);
    if news {
        model.death();
    } else {
        sights.insert("stale death");
    }
    assert_eq!(real.died(id, at(model.now_ms)), news);
}

/// The host wakes whom it must, and nobody who could go on is left asleep.
fn wake<const SLOTS: usize>(real: &mut Lifecycle<SLOTS>, model: &mut Model) {
    let woken = real.wakeup();
    assert!(woken.is_none() || woken == model.next());
    assert_eq!(real.wakeup(), None, "woken twice for one change");
    let may_go = model.front_may_go();
    if let Some(front) = model.queue.front_mut() {
        front.woken |= woken.is_some();
        let asleep = !front.woken && at(model.now_ms) < front.until;
        assert!(!(asleep && may_go), "the caller at the front sleeps on");
    }
}

/// Whoever starts spares does not sleep while there is one to start, nor when it is to end.
fn wake_the_keeper<const SLOTS: usize>(real: &Lifecycle<SLOTS>, model: &Model) {
    if let Some(keeper) = model.keeper {
        let asleep = real.supply_changes() == keeper.changes && at(model.now_ms) < keeper.until;
        let has_work = model.wants_a_spare() || model.unloading;
        assert!(!(asleep && has_work), "the keeper of spares sleeps on");
    }
}

/// What holds at all times.
fn compare<const SLOTS: usize>(real: &mut Lifecycle<SLOTS>, model: &Model) {
    assert_eq!(real.state(at(model.now_ms)), model.state());
    assert_eq!(real.next(), model.next());
    assert_eq!(real.is_unloading(), model.unloading);

    assert!(model.taken() <= model.workers, "too many at work");
    assert!(model.living.len() <= model.processes, "too many processes");
    assert!(model.living.is_empty() || !model.unloading);
    for id in &model.ever {
        let lives = model.living.iter().any(|p| p.id == *id);
        assert_eq!(real.knows(*id), lives);
    }

    let slots: BTreeSet<_> = model.living.iter().map(|p| p.id.slot()).collect();
    assert_eq!(slots.len(), model.living.len(), "two processes in one slot");
    assert!(slots.iter().all(|slot| *slot < SLOTS));

    let places: BTreeSet<_> = model.queue.iter().map(|w| w.ticket.place()).collect();
    assert_eq!(places.len(), model.queue.len(), "two callers in one place");
    assert!(places.iter().all(|place| *place < QUEUE_CAPACITY));

    if model.unloading {
        assert_eq!(real.enter(), Err(Error::Unloading));
    }
}

fn name(admission: Admission) -> &'static str {
    match admission {
        Admission::Run(_) => "run",
        Admission::Start(_) => "start",
        Admission::Wait(Instant::NEVER) => "wait",
        Admission::Wait(_) => "back off",
        Admission::Refuse(Error::Failed) => "refuse: failed",
        Admission::Refuse(Error::Unloading) => "refuse: unloading",
        Admission::Refuse(Error::NotLoaded) => "refuse: not loaded",
        Admission::Refuse(_) => "refuse: other",
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 200 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn one_worker(history in history()) {
        run::<1>(1, 0, &history);
    }

    #[test]
    fn one_worker_and_a_spare(history in history()) {
        run::<2>(1, 1, &history);
    }

    #[test]
    fn two_workers_and_a_spare(history in history()) {
        run::<3>(2, 1, &history);
    }

    #[test]
    fn more_slots_than_the_policy_wants(history in history()) {
        run::<8>(2, 2, &history);
    }

    #[test]
    fn more_workers_than_slots(history in history()) {
        run::<2>(9, 9, &history);
    }

    /// A policy cannot ask for no worker: then nobody would ever be served.
    #[test]
    fn no_worker_means_one(history in history()) {
        run::<2>(0, 0, &history);
    }
}

/// A model test is worth what its histories come upon.
#[test]
#[cfg_attr(miri, ignore = "needs many histories")]
fn random_histories_come_upon_everything() {
    let mut runner = TestRunner::deterministic();
    let mut sights = Sights::new();
    for _ in 0..300 {
        let history = history()
            .new_tree(&mut runner)
            .expect("a history")
            .current();
        sights.extend(run::<3>(2, 1, &history));
    }
    let expected: Sights = [
        "unloaded",
        "loaded",
        "starting",
        "running",
        "exited",
        "failed",
        "unloading",
        "run",
        "start",
        "wait",
        "back off",
        "refuse: failed",
        "refuse: unloading",
        "refuse: not loaded",
        "queue full",
        "spare",
        "starved",
        "stale death",
    ]
    .into();
    assert_eq!(sights, expected);
}
