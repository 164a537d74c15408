// SPDX-License-Identifier: MIT OR Apache-2.0
//! The suite in virtual machines.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use clap::ValueEnum;

use crate::kbuild::Modules;
use crate::kernel::Kernel;
use crate::rootfs::Add;
use crate::tap::{Guest, Report};
use crate::{guest, progress, run};

/// A kind of machine that the suite runs in. Each is deterministic: a run comes again instruction by instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Mode {
    /// One processor: times are counts of its instructions
    Deterministic,
    /// Two processors, which take turns
    Smp,
    /// Booted without the BPF LSM, which stock kernels have: only for what is about that
    NoBpf,
}

/// The LSMs of the machine without that one.
const OTHER_LSMS: &str = "lsm=lockdown,capability,yama";

/// What a kernel with two processors is told: the suite brings up the second one.
const ONE_FIRST: &str = "maxcpus=1";

impl Mode {
    /// The name, as the guest program and the command line have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Deterministic => "deterministic",
            Self::Smp => "smp",
            Self::NoBpf => "no-bpf",
        }
    }

    /// The seconds that the suite takes where nobody has measured it yet.
    pub(crate) fn seconds(self) -> u64 {
        match self {
            Self::Deterministic | Self::Smp => 200,
            Self::NoBpf => 15,
        }
    }
}

/// How much is tested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Length {
    /// What each change is tested with: each assertion, with few rounds.
    #[default]
    Short,
    /// The long tail as well: each place, many rounds, other interleavings.
    Full,
}

/// What the suite is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice {
    /// Only tests whose names contain one of these, or all.
    pub(crate) only: Vec<String>,
    /// How much of it.
    pub(crate) length: Length,
    /// Another number gives other interleavings.
    pub(crate) seed: u32,
}

impl Choice {
    fn arguments(&self) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        for text in &self.only {
            words.extend(["--only".to_owned(), text.clone()]);
        }
        if self.seed != 0 {
            words.extend(["--seed".to_owned(), self.seed.to_string()]);
        }
        if self.length == Length::Full {
            words.push("--full".to_owned());
        }
        words
    }
}

/// The full names of the tests that a kind of machine has and that are chosen.
pub(crate) fn list(program: &Path, mode: Mode, choice: &Choice) -> Result<Vec<String>> {
    let mut command = Command::new(program);
    command.args(["list", "--mode", mode.name()]);
    command.args(choice.arguments());
    Ok(run::stdout(&mut command)?
        .lines()
        .map(str::to_owned)
        .collect())
}

/// The name of a machine in the report.
pub(crate) fn name(kernel: &Kernel, mode: Mode, seed: u32) -> String {
    match seed {
        0 => format!("{} {}", kernel.name, mode.name()),
        _ => format!("{} {} seed {seed}", kernel.name, mode.name()),
    }
}

/// The command that runs tests of a machine again.
fn again(kernel: &str, mode: Mode, choice: &Choice, tests: &[String]) -> String {
    let mut words = vec![format!(
        "cargo xtask test --kernel {} --machine {}",
        run::quote(kernel),
        mode.name()
    )];
    let own = Choice {
        only: Vec::new(),
        ..choice.clone()
    };
    words.extend(own.arguments());
    words.extend(tests.iter().map(|test| run::quote(test)));
    words.join(" ")
}

/// How long each topic took, by the host's clock.
#[derive(Default)]
pub(crate) struct Times(Mutex<BTreeMap<String, Duration>>);

impl Times {
    fn add(&self, topic: String, took: Duration) {
        if let Ok(mut times) = self.0.lock() {
            *times.entry(topic).or_default() += took;
        }
    }

    /// The topics of all machines.
    pub(crate) fn all(self) -> Vec<(String, Duration)> {
        let times = self.0.into_inner().unwrap_or_default();
        times.into_iter().collect()
    }
}

/// Boots one machine, and makes its report part of ours.
pub(crate) fn boot(
    (kernel, modules): (&Kernel, &Modules),
    mode: Mode,
    choice: &Choice,
    (program, pgp): (&Path, &Path),
    (report, times): (&Report, &Times),
) {
    let name = name(kernel, mode, choice.seed);
    let again = |tests: &[String]| again(&kernel.name, mode, choice, tests);
    let mut guest = Guest::new(report, &name, |test| again(&[test.to_owned()]));
    let result = progress::step(&step(&name), Duration::from_secs(mode.seconds()), || {
        let slowness = kernel.needs.slowness.to_string();
        let mut arguments = vec!["suite", "--mode", mode.name(), "--slowness", &slowness];
        let chosen = choice.arguments();
        arguments.extend(chosen.iter().map(String::as_str));
        let machine = guest::machine(kernel, modules, program, &arguments)?;
        let machine = machine
            .adds([
                Add::new(pgp, Some("/usr/share/umd-pgp"))?,
                Add::new(Path::new("/usr/bin/keyctl"), None)?,
            ])
            .deterministic(true)
            .seed(choice.seed);
        // Loaded before even /proc is mounted: the suite begins with that.
        let early = ["sample_umd".to_owned()];
        let machine = match mode {
            Mode::Deterministic => machine.early(early),
            Mode::Smp => machine.early(early).processors(2).parameters(ONE_FIRST),
            Mode::NoBpf => machine.parameters(OTHER_LSMS),
        };
        let mut last = Instant::now();
        let mut outcome = machine.run_lines(&mut |line| {
            if let Some(test) = guest.line(line) {
                let topic = test.split_once(": ").map_or(test, |(topic, _)| topic);
                times.add(format!("{name}: {topic}"), last.elapsed());
                last = Instant::now();
            }
        })?;
        guest.end(&outcome.console, outcome.logs.join("console.log"));
        // A guest whose points failed says so with its status too: that is one failure, not two.
        if guest.has_failures() && outcome.status == Some(1) {
            outcome.status = Some(0);
        }
        outcome.check()?;
        match mode {
            Mode::Deterministic | Mode::Smp if choice.only.is_empty() => {
                powers_off_at_once(&outcome.console)
            }
            _ => Ok(()),
        }
    });
    let result = result.and_then(|()| guest.complete());
    let point = format!("{name}: the machine ran to its end, and its kernel had no complaint");
    report.point(&point, result, &again(&choice.only));
}

/// What the names of parts that boot a machine begin with.
pub(crate) const STEP: &str = "test ";

/// The name of the part that boots a machine.
pub(crate) fn step(name: &str) -> String {
    format!("{STEP}{name}")
}

/// What the suite says last, with a handler there that root cannot kill.
const SUITE_ENDED: &str = "umd-guest: the suite has ended";

/// The most seconds from there to the kernel's end. A machine that has nobody to wait for needs a tenth of one; one
/// that waits for the handler waits until it is killed, which is never.
const POWER_OFF: f64 = 2.0;

/// Fails where the way from the suite's end to the kernel's took the machine too long.
fn powers_off_at_once(console: &str) -> Result<()> {
    let (begin, end) = (
        at(console, SUITE_ENDED)?,
        at(console, "reboot: Power down")?,
    );
    ensure!(
        end - begin <= POWER_OFF,
        "the machine took {:.1} s to power off",
        end - begin
    );
    Ok(())
}

/// When the kernel's log says something, in the machine's seconds.
fn at(console: &str, words: &str) -> Result<f64> {
    let line = console.lines().rev().find(|line| line.contains(words));
    let stamp = line.and_then(|line| line.split_once('[')?.1.split_once(']'));
    let (seconds, _) = stamp.with_context(|| format!("the console does not say {words:?}"))?;
    seconds
        .trim()
        .parse()
        .map_err(|_| anyhow!("the console says {words:?} at {seconds:?}, which is no time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_the_power_switch_is_timed() {
        let console =
            |end| format!("x\n[   12.500000] {SUITE_ENDED}\r\n[{end}] reboot: Power down\r\n");
        powers_off_at_once(&console("   13.250000")).expect("soon");
        let late = powers_off_at_once(&console("   23.250000"));
        assert!(late.is_err_and(|error| error.to_string().contains("10.8 s")));
        let never = powers_off_at_once("[   13.250000] reboot: Power down");
        assert!(never.is_err_and(|error| error.to_string().contains("does not say")));
    }

    #[test]
    fn a_test_is_run_again_as_it_was() {
        let choice = Choice {
            only: vec!["faults".to_owned()],
            length: Length::Full,
            seed: 7,
        };
        let test = |name: &str| [name.to_owned()];
        assert_eq!(
            again("6.12", Mode::Smp, &choice, &test("faults: it hangs")),
            "cargo xtask test --kernel 6.12 --machine smp --seed 7 --full 'faults: it hangs'"
        );
        assert_eq!(
            again("6.1", Mode::NoBpf, &Choice::default(), &[]),
            "cargo xtask test --kernel 6.1 --machine no-bpf"
        );
    }
}
