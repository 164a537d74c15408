// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs tests and reports them as TAP.
//!
//! A [`Topic`] names the modules that its tests need; they are loaded before the first and unloaded
//! after the last. After each test everything has to be as between two tests: see [`rest`].

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use crate::sample::Offsets;
use crate::time::{Spent, ms, slowness, until};
use crate::{driver, kernel, modules, process};

/// A test that has not ended by then has failed, and what comes after it is not run.
const LIMIT: Duration = ms(120_000);

/// The kind of the machine. In all kinds one instruction takes one nanosecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One processor: what something takes is its own work, and nobody else's.
    Deterministic,
    /// Two processors that take turns at the instructions, so that either may take time of the other's.
    Smp,
    /// A kernel that was booted without the BPF LSM.
    NoBpf,
}

/// The one bound for all that should take next to no time: far more instructions than a handler's death and start, an rmmod
/// with its waits for the kernel's grace periods, and a few turns of the scheduler take; far less than any deadline that
/// should not have been waited for. Two processors take turns, and each has to be heard before a
/// grace period ends: there it is twice as long, which is the shortest of those deadlines.
const GRACE: Duration = ms(100);

/// What a test is told.
#[derive(Clone, Copy)]
pub(crate) struct Context {
    /// The machine.
    pub(crate) mode: Mode,
    /// Runs with another seed see other interleavings; with the same, the same.
    pub(crate) seed: u32,
    /// Whether all rounds are wanted, and not only some of each kind.
    pub(crate) full: bool,
}

impl Context {
    /// How often something is done: some times by default, many times in a full run.
    pub(crate) fn rounds<N>(&self, some: N, many: N) -> N {
        if self.full { many } else { some }
    }

    /// Numbers that look random: another sequence for each of a test's streams, and for each seed.
    pub(crate) fn random(&self, stream: u32) -> Offsets {
        // An odd factor, so that no two seeds are the same; 0 has no successor.
        let mixed = stream ^ self.seed.wrapping_mul(0x9e37_79b9);
        Offsets::new(if mixed == 0 { 1 } else { mixed })
    }

    /// Spends some milliseconds, asleep and awake, so that the test meets the clock's ticks and the kernel's own work at
    /// another moment with each seed.
    fn shift(&self, number: usize) {
        let mut random = self.random(u32::try_from(number).unwrap_or(0));
        let mut below = |limit| u64::from(random.next().unwrap_or(0) % limit);
        thread::sleep(Duration::from_micros(below(5_000)));
        let (begin, busy) = (Instant::now(), Duration::from_micros(below(2_000)));
        while begin.elapsed() < busy {}
    }

    /// How much later than its deadline something may come.
    pub(crate) fn grace(&self) -> Duration {
        match self.mode {
            Mode::Deterministic | Mode::NoBpf => slowness() * GRACE,
            Mode::Smp => 2 * slowness() * GRACE,
        }
    }

    /// Fails unless something took at least `deadline` and not much more.
    pub(crate) fn at_deadline(&self, deadline: Duration, took: Duration) -> Result<()> {
        ensure!(
            took >= deadline && took <= deadline + self.grace(),
            "it took {took:?}; the deadline was {deadline:?}"
        );
        Ok(())
    }

    /// Fails unless something took next to no time.
    pub(crate) fn at_once(&self, took: Duration) -> Result<()> {
        ensure!(took <= self.grace(), "it took {took:?}");
        Ok(())
    }
}

/// What a test does.
pub(crate) type Run = fn(&Context) -> Result<()>;

/// What each test of a table does with its row.
pub(crate) type RunRow = fn(&Context, usize) -> Result<()>;

#[derive(Clone, Copy)]
enum Body {
    Alone(Run),
    Row(RunRow, usize),
}

impl Body {
    fn run(self, context: &Context) -> Result<()> {
        match self {
            Self::Alone(run) => run(context),
            Self::Row(run, row) => run(context, row),
        }
    }
}

/// A test.
#[derive(Clone, Copy)]
pub(crate) struct Test {
    name: &'static str,
    body: Body,
    only: Option<Mode>,
    needs: Option<&'static str>,
}

impl Test {
    fn is_for(&self, mode: Mode) -> bool {
        self.only.is_none_or(|wanted| wanted == mode)
    }
}

/// A test that runs in every machine.
pub(crate) const fn test(name: &'static str, run: Run) -> Test {
    Test {
        name,
        body: Body::Alone(run),
        only: None,
        needs: None,
    }
}

/// A test that runs in one kind of machine only.
pub(crate) const fn test_only(mode: Mode, name: &'static str, run: Run) -> Test {
    Test {
        only: Some(mode),
        ..test(name, run)
    }
}

/// A test for one row of a table.
pub(crate) const fn test_row(name: &'static str, run: RunRow, row: usize) -> Test {
    Test {
        name,
        body: Body::Row(run, row),
        only: None,
        needs: None,
    }
}

/// A test that runs where the kernel has a file: of something that not each is built with.
pub(crate) const fn test_where(path: &'static str, name: &'static str, run: Run) -> Test {
    Test {
        needs: Some(path),
        ..test(name, run)
    }
}

/// Tests that belong together.
pub(crate) struct Topic {
    /// What they are about.
    pub(crate) name: &'static str,
    /// The modules that they need.
    pub(crate) modules: &'static [&'static str],
    /// The tests, in the order in which they run.
    pub(crate) tests: &'static [Test],
}

/// The name of the point at each topic's end.
const NOTHING_LEFT: &str = "nothing is left when the modules are gone";

/// Which tests to run.
#[derive(Debug, Default)]
pub(crate) struct Only(Vec<String>);

impl Only {
    /// Adds the topic of this name, or else the tests that have this text in their full names, `topic: name`.
    pub(crate) fn add(&mut self, topics: &[&Topic], text: &str) {
        let is_topic = topics.iter().any(|topic| topic.name == text);
        self.0.push(if is_topic {
            format!("{text}: ")
        } else {
            text.to_owned()
        });
    }

    /// Whether a test of this full name is to run: each, where nothing was added.
    fn has(&self, name: &str) -> bool {
        let is_asked_for = |text: &String| match text.ends_with(": ") {
            true => name.starts_with(text),
            false => name.contains(text),
        };
        self.0.is_empty() || self.0.iter().any(is_asked_for)
    }
}

/// The full names of the tests that `run` would run, but for those that a kernel cannot have.
pub(crate) fn names(topics: &[&Topic], mode: Mode, only: &Only) -> Vec<String> {
    let all = topics.iter().flat_map(|topic| {
        let own = topic.tests.iter().filter(|test| test.is_for(mode));
        own.map(|test| full_name(topic, test.name))
    });
    all.filter(|name| only.has(name)).collect()
}

/// Runs the topics' tests that are asked for, and last those of `farewell`, which may leave something. Returns true if
/// none failed.
pub(crate) fn run(
    topics: &[&Topic],
    farewell: Option<&Topic>,
    context: Context,
    only: &Only,
) -> Result<bool> {
    // Else the kernel drops lines that the suite and handlers write to its log.
    std::fs::write("/proc/sys/kernel/printk_devkmsg", "on\n").context("printk_devkmsg")?;
    let mode = context.mode;
    let chosen: Vec<(&Topic, Vec<&Test>)> = topics
        .iter()
        .map(|topic| (*topic, choose(topic, mode, only)))
        .filter(|(_, tests)| !tests.is_empty())
        .collect();
    let last = farewell.map(|topic| (topic, choose(topic, mode, only)));
    println!("TAP version 13");
    for (name, path) in left_out(topics, only) {
        println!("# left out: {name}: this kernel has no {path}");
    }
    println!(
        "1..{}",
        chosen
            .iter()
            .map(|(_, tests)| tests.len() + 1)
            .chain(last.iter().map(|(_, tests)| tests.len()))
            .sum::<usize>()
    );
    let report = Report::new()?;
    thread::scope(|scope| {
        scope.spawn(|| report.watch());
        for (topic, tests) in &chosen {
            run_topic(&report, &context, topic, tests);
        }
        if let Some((topic, tests)) = &last {
            for test in tests {
                report.point(topic, test.name, || test.body.run(&context));
            }
        }
        report.end()
    })
}

fn choose<'t>(topic: &'t Topic, mode: Mode, only: &Only) -> Vec<&'t Test> {
    let tests = topic.tests.iter();
    tests
        .filter(|test| test.is_for(mode))
        .filter(|test| test.needs.is_none_or(|path| Path::new(path).exists()))
        .filter(|test| only.has(&full_name(topic, test.name)))
        .collect()
}

/// Topics with tests that this kernel is not built for, and the file that it lacks.
fn left_out(topics: &[&Topic], only: &Only) -> BTreeSet<(&'static str, &'static str)> {
    let mut found = BTreeSet::new();
    for topic in topics {
        let asked = |test: &&Test| only.has(&full_name(topic, test.name));
        let needed = topic.tests.iter().filter(asked).filter_map(|t| t.needs);
        let missing = needed.filter(|path| !Path::new(path).exists());
        found.extend(missing.map(|path| (topic.name, path)));
    }
    found
}

fn full_name(topic: &Topic, name: &str) -> String {
    format!("{}: {name}", topic.name)
}

fn run_topic(report: &Report, context: &Context, topic: &Topic, tests: &[&Test]) {
    let before = kernel::mounts();
    if !topic.modules.is_empty() {
        // With `--only`, what was loaded early may still be there.
        for name in modules::ours() {
            // If that fails the first test will say so.
            let _ = modules::unload(name);
        }
    }
    for test in tests {
        let passed = report.point(topic, test.name, || {
            topic
                .modules
                .iter()
                .try_for_each(|name| modules::load(name))?;
            context.shift(report.number());
            test.body.run(context)?;
            rest().context("after the test")
        });
        if !passed {
            clean_up();
        }
    }
    let passed = report.point(topic, NOTHING_LEFT, || {
        for name in modules::ours() {
            modules::unload(name)?;
        }
        rest()?;
        ensure!(driver::names().is_empty(), "a directory in sysfs is left");
        let (before, after) = (before?, kernel::mounts()?);
        ensure!(
            before == after,
            "the mounts were:\n{before}and are:\n{after}"
        );
        Ok(())
    });
    if !passed {
        clean_up();
    }
}

/// Between two tests the only handlers are those in service, one a driver at most, and the only
/// references those that modules and handlers need.
fn rest() -> Result<()> {
    let mut found = (Vec::new(), Vec::new());
    until("handlers in service and no others", || {
        found = (process::handlers(), driver::pids());
        found.0.sort_unstable();
        found.1.sort_unstable();
        found.0 == found.1
    })
    .with_context(|| format!("handlers {:?}, in service {:?}", found.0, found.1))?;
    let sessions: Vec<String> = driver::names();
    let known = |name: &String| ["sample", "test-spin", "bpfilter", "pgp"].contains(&name.as_str());
    ensure!(sessions.iter().all(known), "drivers left: {sessions:?}");
    for name in modules::ours() {
        let wanted = match name {
            "umd" => modules::holders(name) + REFERENCES * found.0.len(),
            _ => modules::holders(name),
        };
        let mut users = 0;
        until(&format!("{wanted} references to {name}"), || {
            users = modules::users(name).unwrap_or_default();
            users == wanted
        })
        .with_context(|| format!("it has {users}"))?;
    }
    Ok(())
}

/// References to umd.ko for a handler: of its channel's file, and of who waits for its end.
const REFERENCES: usize = 2;

/// After a failed test: whatever can be ended is ended, so that the next test starts afresh.
fn clean_up() {
    for pid in process::handlers() {
        // It may be gone by now.
        let _ = process::signal(pid, Signal::KILL);
    }
    for name in modules::ours() {
        // What cannot be unloaded fails the topic's last point.
        let _ = modules::unload(name);
    }
}

/// The report as it grows.
struct Report {
    log: kernel::Log,
    /// The test that runs: its number and name, and when it began. None at the end.
    running: Mutex<Option<(usize, String, Instant)>>,
    counts: Mutex<(usize, usize)>,
}

impl Report {
    fn new() -> Result<Self> {
        Ok(Self {
            log: kernel::Log::from_now()?,
            running: Mutex::new(Some((0, "set-up".to_owned(), Instant::now()))),
            counts: Mutex::new((0, 0)),
        })
    }

    /// Runs one test and reports it. True if it passed.
    fn point(&self, topic: &Topic, name: &str, run: impl FnOnce() -> Result<()>) -> bool {
        let name = full_name(topic, name);
        let (mut number, mut failures) = *lock(&self.counts);
        number += 1;
        *lock(&self.running) = Some((number, name.clone(), Instant::now()));
        // So that the log of a failure can be cut from the kernel's; if it cannot be written the log is whole.
        let _ = std::fs::write("/dev/kmsg", format!("umd-guest: test: {name}\n"));
        let spent = Spent::from_now();
        let result = run().and_then(|()| {
            let complaints = self.log.complaints();
            ensure!(
                complaints.is_empty(),
                "the kernel said: {}",
                complaints.join(" / ")
            );
            Ok(())
        });
        match &result {
            Ok(()) => println!("ok {number} - {name} # {spent}"),
            Err(error) => {
                failures += 1;
                report_failure(number, &name, &format!("{error:#}"));
                // Of this test, not of the next.
                self.log.complaints();
            }
        }
        *lock(&self.counts) = (number, failures);
        result.is_ok()
    }

    /// How many points were reported.
    fn number(&self) -> usize {
        lock(&self.counts).0
    }

    fn end(&self) -> Result<bool> {
        *lock(&self.running) = None;
        let (points, failures) = *lock(&self.counts);
        ensure!(points > 0, "no test has such a name");
        Ok(failures == 0)
    }

    /// Ends everything when a test does not end.
    fn watch(&self) {
        loop {
            thread::sleep(ms(100));
            match &*lock(&self.running) {
                None => return,
                Some((number, name, begin)) if begin.elapsed() > slowness() * LIMIT => {
                    let reason = format!("it did not end within {:?}", slowness() * LIMIT);
                    report_failure(*number, name, &reason);
                    println!("Bail out! A test hangs; the kernel's log tells where.");
                    // Lists the tasks that wait; if it cannot, that is no other failure.
                    let _ = std::fs::write("/proc/sysrq-trigger", "w");
                    std::process::exit(1);
                }
                Some(_) => {}
            }
        }
    }
}

fn report_failure(number: usize, name: &str, reason: &str) {
    println!("not ok {number} - {name}");
    for line in reason.lines() {
        println!("# {line}");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
