// SPDX-License-Identifier: MIT OR Apache-2.0
//! `test`: everything that has to hold, as one report.
//!
//! A run consists of parts (`schedule.rs`): checks that need no virtual machine (`checks.rs`), builds, and machines in
//! which the suite runs (`machines.rs`). [`plan`] says which parts there are and what each needs.

pub(crate) mod cargo;
mod checks;
mod machines;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::kbuild::{self, Modules};
use crate::kernel::{Id, Kernel};
use crate::schedule::{self, Ending, Exclusive, Part};
use crate::setup::{self, Setup};
use crate::tap::{Counts, Report};
use crate::{bench, fuzz, guest, keyrings, pgpfiles, progress, run};

use machines::{Choice, Times};
pub(crate) use machines::{Length, Mode};

/// What a test run is asked for.
pub(crate) struct Options {
    /// The kernels to test on.
    pub(crate) kernels: Vec<Id>,
    /// The kinds of machines that the suite runs in.
    pub(crate) machines: Vec<Mode>,
    /// Only the checks and tests with one of these in their names, or all.
    pub(crate) only: Vec<String>,
    /// How much of each.
    pub(crate) length: Length,
    /// Another number gives other interleavings.
    pub(crate) seed: u32,
}

/// A kernel, and what parts make for it.
struct Target {
    kernel: Kernel,
    modules: OnceLock<Modules>,
}

/// What parts make for others.
struct Made {
    setup: Setup,
    targets: Vec<Target>,
    program: OnceLock<PathBuf>,
    pgp: OnceLock<PathBuf>,
    keys: OnceLock<PathBuf>,
    times: Times,
}

/// A machine to boot: the kernel's index, the kind, and what of the suite it runs.
struct Machine {
    target: usize,
    mode: Mode,
    choice: Choice,
}

/// How many of the slowest parts, and topics, are listed.
const SLOWEST: usize = 10;

/// Seeds of the machines with two processors that a full run adds.
const MORE_SEEDS: [u32; 2] = [1, 2];

const GUEST: &str = "the guest program builds";
const PGP: &str = "the PGP driver's keys are made";
const KEYS: &str = "keys of Debian's keyrings are taken apart";

/// Runs the tests that are asked for, and reports them.
pub(crate) fn run(options: &Options, setup: Setup) -> Result<Counts> {
    let begin = Instant::now();
    for packages in [setup::VM, setup::FUZZ, setup::USER, setup::PGP] {
        setup.packages(packages)?;
    }
    setup.wished(setup::PGP_WISHED);
    setup.cargo_tools()?;
    let report = Report::default();
    let mut made = Made {
        setup,
        targets: Vec::new(),
        program: OnceLock::new(),
        pgp: OnceLock::new(),
        keys: OnceLock::new(),
        times: Times::default(),
    };
    for id in &options.kernels {
        made.targets.push(Target {
            kernel: id.prepare(setup)?,
            modules: OnceLock::new(),
        });
    }
    let machines = machines(options, &made.targets)?;
    progress::print("TAP version 13");
    let parts = chosen(plan(options, &machines, &made, &report), &options.only);
    let releases: Vec<_> = made
        .targets
        .iter()
        .map(|target| format!("{} ({})", target.kernel.name, target.kernel.release))
        .collect();
    progress::print(&format!("# kernels: {}", releases.join(", ")));
    let run = schedule::run(parts, schedule::workers());
    for (part, missing) in &run.left_out {
        progress::print(&format!("# left out: {part}, for this failed: {missing}"));
    }
    let counts = report.end();
    slowest("parts", run.times);
    slowest("topics", made.times.all());
    progress::print(&format!("# took {}", minutes(begin.elapsed())));
    counts.print();
    Ok(counts)
}

/// Prints where the time went.
fn slowest(what: &str, mut times: Vec<(String, Duration)>) {
    times.sort_by_key(|(_, took)| std::cmp::Reverse(*took));
    times.truncate(SLOWEST);
    if !times.is_empty() {
        progress::print(&format!("# the slowest {what}:"));
    }
    for (name, took) in times {
        progress::print(&format!("# {:>8.1} s  {name}", took.as_secs_f64()));
    }
}

fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{} min {} s", seconds / 60, seconds % 60)
}

/// Whether a check is asked for by one of these words.
fn is_named(name: &str, words: &[String]) -> bool {
    words.iter().any(|word| name.contains(word.as_str()))
}

/// The machines to boot. Where only some tests are asked for, those that have such tests.
fn machines(options: &Options, targets: &[Target]) -> Result<Vec<Machine>> {
    let choice = Choice {
        only: Vec::new(),
        length: options.length,
        seed: options.seed,
    };
    let booted = |mode: Mode, choice: &Choice| {
        (0..targets.len())
            .map(move |target| Machine {
                target,
                mode,
                choice: choice.clone(),
            })
            .collect::<Vec<_>>()
    };
    if options.only.is_empty() {
        let all = options
            .machines
            .iter()
            .flat_map(|mode| booted(*mode, &choice));
        let mut found: Vec<Machine> = all.collect();
        if options.length == Length::Full && options.machines.contains(&Mode::Smp) {
            for seed in MORE_SEEDS {
                let seed = options.seed.wrapping_add(seed);
                found.extend(booted(
                    Mode::Smp,
                    &Choice {
                        seed,
                        ..choice.clone()
                    },
                ));
            }
        }
        // A short run sees one order of events, on the last kernel, which is the newest.
        let is_left_out = |machine: &Machine| {
            options.length == Length::Short
                && options.machines.len() > 1
                && machine.mode == Mode::Smp
                && machine.target + 1 < targets.len()
        };
        found.retain(|machine| !is_left_out(machine));
        return Ok(found);
    }
    let names = check_names(options, targets);
    let is_check = |word: &&String| names.iter().any(|name| name.contains(word.as_str()));
    let words: Vec<String> = options
        .only
        .iter()
        .filter(|word| !is_check(word))
        .cloned()
        .collect();
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let program = guest::build()?;
    let mut found = Vec::new();
    let mut unknown = words.clone();
    for mode in &options.machines {
        let mut own = Vec::new();
        for word in &words {
            let only = Choice {
                only: vec![word.clone()],
                ..choice.clone()
            };
            if !machines::list(&program, *mode, &only)?.is_empty() {
                unknown.retain(|other| other != word);
                own.push(word.clone());
            }
        }
        if !own.is_empty() {
            found.extend(booted(
                *mode,
                &Choice {
                    only: own,
                    ..choice.clone()
                },
            ));
        }
    }
    if let Some(word) = unknown.first() {
        let mut topics: Vec<String> = Vec::new();
        for mode in &options.machines {
            for test in machines::list(&program, *mode, &choice)? {
                let topic = test
                    .split_once(": ")
                    .map_or("", |(topic, _)| topic)
                    .to_owned();
                if !topics.contains(&topic) {
                    topics.push(topic);
                }
            }
        }
        bail!(
            "no test of these machines and no check has {word:?} in its name; the topics are: {}; \
             the checks are: {}",
            topics.join(", "),
            names.join(", ")
        );
    }
    Ok(found)
}

/// The names of all parts that are no machines and that can be asked for.
fn check_names(options: &Options, targets: &[Target]) -> Vec<String> {
    let mut names: Vec<String> = checks::ALL
        .iter()
        .map(|check| check.name.to_owned())
        .collect();
    names.extend([checks::CLIPPY, checks::TESTS, checks::MODELS].map(str::to_owned));
    names.extend(fuzz::part_names(options.length));
    for target in targets {
        let kernel = &target.kernel;
        names.extend([modules_of(kernel), costs_of(kernel), keys_of(kernel)]);
    }
    names
}

fn modules_of(kernel: &Kernel) -> String {
    format!("{}: modules build without a warning", kernel.name)
}

fn costs_of(kernel: &Kernel) -> String {
    format!("{}: round trips cost what they may", kernel.name)
}

fn keys_of(kernel: &Kernel) -> String {
    format!("{}: real keys are what GnuPG says", kernel.name)
}

/// The parts that are asked for, and those that they need.
fn chosen<'a>(parts: Vec<Part<'a>>, only: &[String]) -> Vec<Part<'a>> {
    if only.is_empty() {
        return parts;
    }
    let mut names: Vec<String> = parts
        .iter()
        .filter(|part| is_named(part.name(), only) || part.name().starts_with(machines::STEP))
        .map(|part| part.name().to_owned())
        .collect();
    let mut next = 0;
    while let Some(name) = names.get(next).cloned() {
        let needs = parts
            .iter()
            .filter(|part| part.name() == name)
            .flat_map(Part::needs);
        let missing: Vec<String> = needs
            .filter(|need| !names.contains(need))
            .cloned()
            .collect();
        names.extend(missing);
        next += 1;
    }
    parts
        .into_iter()
        .filter(|part| names.iter().any(|name| name == part.name()))
        .collect()
}

/// A part that is one point of the report.
pub(crate) fn point<'a>(
    report: &'a Report,
    name: &str,
    seconds: u64,
    work: impl FnOnce() -> Result<()> + Send + 'a,
) -> Part<'a> {
    let owned = name.to_owned();
    Part::new(name, seconds, move || {
        let result = progress::step(&owned, Duration::from_secs(seconds), work);
        let ending = match &result {
            Ok(()) => Ending::Done,
            Err(_) => Ending::Useless,
        };
        let again = format!("cargo xtask test {}", run::quote(&owned));
        report.point(&owned, result, &again);
        ending
    })
}

/// All parts of a run.
fn plan<'a>(
    options: &Options,
    machines: &'a [Machine],
    made: &'a Made,
    report: &'a Report,
) -> Vec<Part<'a>> {
    let mut parts = checks::parts(options.length, report);
    parts.push(point(report, GUEST, 15, || {
        keep(&made.program, guest::build())
    }));
    parts.push(point(report, PGP, 60, || {
        keep(&made.pgp, pgpfiles::make(made.setup))
    }));
    let length = options.length;
    let keys = move || keep(&made.keys, keyrings::keys(length, made.setup));
    parts.push(point(report, KEYS, 30, keys).alone_with(Exclusive::Workspace));
    for target in &made.targets {
        let kernel = &target.kernel;
        let modules = modules_of(kernel);
        let build = || keep(&target.modules, kbuild::build(kernel, made.setup));
        parts.push(point(report, &modules, 30, build).alone_with(Exclusive::Modules));
        // A ratio of costs is of use where a cost is one that users have.
        if kernel.needs.slowness > 1 {
            continue;
        }
        let cost = || bench::check(kernel, get(&target.modules)?, get(&made.program)?);
        parts.push(point(report, &costs_of(kernel), 60, cost).after(&[&modules, GUEST]));
        let keys = || {
            let keys = get(&made.keys)?;
            keyrings::check(kernel, get(&target.modules)?, get(&made.program)?, keys)
        };
        parts.push(point(report, &keys_of(kernel), 30, keys).after(&[&modules, GUEST, KEYS]));
    }
    parts.extend(
        machines
            .iter()
            .filter_map(|machine| boot(machine, made, report)),
    );
    parts
}

fn boot<'a>(machine: &'a Machine, made: &'a Made, report: &'a Report) -> Option<Part<'a>> {
    let Machine {
        target,
        mode,
        choice,
    } = machine;
    let target = made.targets.get(*target)?;
    let name = machines::step(&machines::name(&target.kernel, *mode, choice.seed));
    let work = move || {
        // It runs after the parts that make these.
        let (Ok(modules), Ok(program), Ok(pgp)) =
            (get(&target.modules), get(&made.program), get(&made.pgp))
        else {
            return Ending::Useless;
        };
        let of = (&target.kernel, modules);
        machines::boot(of, *mode, choice, (program, pgp), (report, &made.times));
        Ending::Done
    };
    let needs = [&*modules_of(&target.kernel), GUEST, PGP];
    Some(Part::new(name, mode.seconds(), work).after(&needs))
}

/// Keeps what a part has made.
fn keep<T>(place: &OnceLock<T>, made: Result<T>) -> Result<()> {
    // A part runs once, so that nothing is there yet.
    let _ = place.set(made?);
    Ok(())
}

/// What a part has made that ran before.
fn get<T>(place: &OnceLock<T>) -> Result<&T> {
    place
        .get()
        .context("a part that this one needs has made nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_brings_what_it_needs() {
        let part = |name: &str, needs: &[&str]| Part::new(name, 1, || Ending::Done).after(needs);
        let parts = vec![
            part("clippy", &[]),
            part("core builds", &[]),
            part("6.12: modules", &["core builds"]),
            part("6.12: costs", &["6.12: modules"]),
            part("test 6.12 smp", &["6.12: modules"]),
        ];
        let parts = chosen(parts, &["costs".to_owned()]);
        let names: Vec<_> = parts.iter().map(Part::name).collect();
        assert_eq!(
            names,
            [
                "core builds",
                "6.12: modules",
                "6.12: costs",
                "test 6.12 smp"
            ]
        );
    }
}
