// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs the parts of a test run side by side, each when the parts that it needs have succeeded.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::progress;

/// The most parts that run side by side: a virtual machine takes a gigabyte of memory.
const WORKERS_MAX: usize = 4;

/// Something that only one part may use at a time, because a second one would only wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exclusive {
    /// Cargo's build directory of the workspace.
    Workspace,
    /// The directories of the modules' builds.
    Modules,
}

/// A part of a test run.
pub(crate) struct Part<'a> {
    name: String,
    expected: Duration,
    needs: Vec<String>,
    exclusive: Option<Exclusive>,
    work: Box<dyn FnOnce() -> Ending + Send + 'a>,
}

/// Whether the parts that need a part can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// They can.
    Done,
    /// They cannot: what they need is not there.
    Useless,
}

/// How a run of all parts went.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    /// The parts that ran, and how long each took.
    pub(crate) times: Vec<(String, Duration)>,
    /// The parts that did not run, and the part without which each cannot.
    pub(crate) left_out: Vec<(String, String)>,
}

impl<'a> Part<'a> {
    /// Creates a part that takes about `seconds` where nobody has measured it yet.
    pub(crate) fn new(
        name: impl Into<String>,
        seconds: u64,
        work: impl FnOnce() -> Ending + Send + 'a,
    ) -> Self {
        let name = name.into();
        let expected = progress::expected(&name, Duration::from_secs(seconds));
        Self {
            name,
            expected,
            needs: Vec::new(),
            exclusive: None,
            work: Box::new(work),
        }
    }

    /// Adds parts that have to succeed first. A name that no part has is not waited for.
    pub(crate) fn after(mut self, parts: &[&str]) -> Self {
        self.needs
            .extend(parts.iter().map(|name| (*name).to_owned()));
        self
    }

    /// Says what no other part may use meanwhile.
    pub(crate) fn alone_with(mut self, what: Exclusive) -> Self {
        self.exclusive = Some(what);
        self
    }

    /// The name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The names of the parts that have to succeed first.
    pub(crate) fn needs(&self) -> &[String] {
        &self.needs
    }
}

/// The state that the workers share.
struct State<'a> {
    waiting: Vec<Part<'a>>,
    running: BTreeSet<String>,
    in_use: BTreeSet<Exclusive>,
    useless: BTreeSet<String>,
    run: Run,
}

/// How many parts run side by side here.
pub(crate) fn workers() -> usize {
    thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(WORKERS_MAX)
}

/// Runs all parts, `workers` at a time: of those that can run first the one on which the longest work depends.
pub(crate) fn run(parts: Vec<Part<'_>>, workers: usize) -> Run {
    let urgency = urgency(&parts);
    let state = Mutex::new(State {
        waiting: parts,
        running: BTreeSet::new(),
        in_use: BTreeSet::new(),
        useless: BTreeSet::new(),
        run: Run::default(),
    });
    let changed = Condvar::new();
    thread::scope(|scope| {
        for _ in 0..workers.max(1) {
            scope.spawn(|| work(&state, &changed, &urgency));
        }
    });
    let state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut run = state.run;
    let circle = state.waiting.into_iter().map(|part| part.name);
    run.left_out.extend(circle.map(|name| (name.clone(), name)));
    run
}

fn work(state: &Mutex<State<'_>>, changed: &Condvar, urgency: &BTreeMap<String, Duration>) {
    let mut shared = lock(state);
    loop {
        shared.leave_out();
        if let Some(part) = shared.take(urgency) {
            drop(shared);
            let begin = Instant::now();
            let ending = (part.work)();
            let took = begin.elapsed();
            shared = lock(state);
            shared.running.remove(&part.name);
            if let Some(what) = part.exclusive {
                shared.in_use.remove(&what);
            }
            if ending == Ending::Useless {
                shared.useless.insert(part.name.clone());
            }
            shared.run.times.push((part.name, took));
            changed.notify_all();
        } else if shared.waiting.is_empty() || shared.running.is_empty() {
            // Where nothing runs, what waits needs itself: it would wait for ever.
            changed.notify_all();
            return;
        } else {
            shared = changed.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<'a> State<'a> {
    /// Takes out the parts that need one that failed, or one that was taken out.
    fn leave_out(&mut self) {
        let missing = |part: &Part<'_>, useless: &BTreeSet<String>| {
            part.needs
                .iter()
                .find(|name| useless.contains(*name))
                .cloned()
        };
        while let Some(index) = self
            .waiting
            .iter()
            .position(|part| missing(part, &self.useless).is_some())
        {
            let part = self.waiting.remove(index);
            let why = missing(&part, &self.useless).unwrap_or_default();
            self.useless.insert(part.name.clone());
            self.run.left_out.push((part.name, why));
        }
    }

    /// Takes the most urgent part that can run now.
    fn take(&mut self, urgency: &BTreeMap<String, Duration>) -> Option<Part<'a>> {
        let can_run = |part: &Part<'_>| {
            let is_unfinished = |name: &String| {
                self.running.contains(name) || self.waiting.iter().any(|other| other.name == *name)
            };
            !part.needs.iter().any(is_unfinished)
                && part
                    .exclusive
                    .is_none_or(|what| !self.in_use.contains(&what))
        };
        let (index, _) = self
            .waiting
            .iter()
            .enumerate()
            .filter(|(_, part)| can_run(part))
            .max_by_key(|(index, part)| (urgency.get(&part.name), std::cmp::Reverse(*index)))?;
        let part = self.waiting.remove(index);
        self.running.insert(part.name.clone());
        self.in_use.extend(part.exclusive);
        Some(part)
    }
}

/// For each part the time that it and what depends on it take, one after the other.
fn urgency(parts: &[Part<'_>]) -> BTreeMap<String, Duration> {
    let mut found: BTreeMap<String, Duration> = BTreeMap::new();
    // As many rounds as the longest chain may have parts; a circle ends there too.
    for _ in 0..parts.len() {
        for part in parts {
            let dependents = parts
                .iter()
                .filter(|other| other.needs.contains(&part.name));
            let longest = dependents.filter_map(|other| found.get(&other.name)).max();
            let sum = part.expected + longest.copied().unwrap_or_default();
            found.insert(part.name.clone(), sum);
        }
    }
    found
}

fn lock<'m, 'a>(state: &'m Mutex<State<'a>>) -> MutexGuard<'m, State<'a>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Notes the names of parts as they run.
    #[derive(Default)]
    struct Notes(Mutex<Vec<&'static str>>);

    impl Notes {
        fn part(&self, name: &'static str, seconds: u64, ending: Ending) -> Part<'_> {
            Part::new(name, seconds, move || {
                if let Ok(mut notes) = self.0.lock() {
                    notes.push(name);
                }
                ending
            })
        }

        fn end(self) -> Vec<&'static str> {
            self.0.into_inner().expect("no part panicked")
        }
    }

    #[test]
    fn parts_run_after_what_they_need() {
        let notes = Notes::default();
        let parts = vec![
            notes
                .part("machine", 1, Ending::Done)
                .after(&["module", "guest"]),
            notes.part("guest", 1, Ending::Done),
            notes
                .part("module", 1, Ending::Done)
                .after(&["guest", "not in this run"]),
        ];
        let run = run(parts, 3);
        assert_eq!(run.times.len(), 3);
        assert_eq!(run.left_out, []);
        assert_eq!(notes.end(), ["guest", "module", "machine"]);
    }

    #[test]
    fn what_the_longest_work_depends_on_is_first() {
        let notes = Notes::default();
        let parts = vec![
            notes.part("lint", 50, Ending::Done),
            notes.part("module", 1, Ending::Done),
            notes.part("machine", 100, Ending::Done).after(&["module"]),
        ];
        run(parts, 1);
        assert_eq!(notes.end(), ["module", "machine", "lint"]);
    }

    #[test]
    fn a_failure_leaves_out_what_needs_it() {
        let notes = Notes::default();
        let parts = vec![
            notes.part("module", 1, Ending::Useless),
            notes.part("machine", 1, Ending::Done).after(&["module"]),
            notes.part("report", 1, Ending::Done).after(&["machine"]),
            notes.part("lint", 1, Ending::Done),
        ];
        let run = run(parts, 2);
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            run.left_out,
            [pair("machine", "module"), pair("report", "machine")]
        );
        let mut ran = notes.end();
        ran.sort_unstable();
        assert_eq!(ran, ["lint", "module"]);
    }

    #[test]
    fn what_is_exclusive_is_used_by_one_at_a_time() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let part = |name: &str| {
            Part::new(name, 1, || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(5));
                now.fetch_sub(1, Ordering::SeqCst);
                Ending::Done
            })
            .alone_with(Exclusive::Workspace)
        };
        let ran = run(vec![part("a"), part("b"), part("c"), part("d")], 4);
        assert_eq!(ran.times.len(), 4);
        assert_eq!(most.into_inner(), 1);
    }

    #[test]
    fn a_circle_ends() {
        let notes = Notes::default();
        let parts = vec![
            notes.part("a", 1, Ending::Done).after(&["b"]),
            notes.part("b", 1, Ending::Done).after(&["a"]),
        ];
        let run = run(parts, 2);
        assert_eq!((run.times.len(), run.left_out.len()), (0, 2));
        assert_eq!(notes.end(), [""; 0]);
    }
}
