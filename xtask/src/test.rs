// SPDX-License-Identifier: MIT OR Apache-2.0
//! `test`: everything that has to hold, as one report.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use crate::kbuild::{self, Modules};
use crate::kernel::{Id, Kernel};
use crate::rootfs::Add;
use crate::setup::{self, Setup};
use crate::tap::{Counts, Report};
use crate::{bench, fuzz, guest, keyrings, paths, pgpfiles, progress, run};

/// How many virtual machines run side by side.
const MACHINES: usize = 2;

/// The checks that need no virtual machine: name, usual seconds, arguments of cargo.
///
/// The Rust of umd.ko and that of driver modules exclude each other: what belongs to the former alone is checked
/// with the feature `host`.
const HOST: &[(&str, u64, &[&str])] = &[
    ("formatting", 2, &["fmt", "--all", "--check", "--", "-l"]),
    (
        "clippy",
        30,
        &["clippy", "--quiet", "--workspace", "--all-targets"],
    ),
    (
        "clippy for umd.ko",
        3,
        &[
            "clippy",
            "--quiet",
            "--package=umd-kernel",
            "--features=host",
        ],
    ),
    (
        "formatting of the fuzz targets",
        2,
        &[
            "fmt",
            "--manifest-path=fuzz/Cargo.toml",
            "--check",
            "--",
            "-l",
        ],
    ),
    (
        "clippy for the fuzz targets",
        30,
        &[
            "clippy",
            "--quiet",
            "--locked",
            "--manifest-path=fuzz/Cargo.toml",
            "--target-dir=target/umd/cargo/fuzz",
        ],
    ),
    (
        "documentation",
        20,
        &["doc", "--quiet", "--workspace", "--no-deps"],
    ),
    (
        "documentation of umd.ko",
        3,
        &[
            "doc",
            "--quiet",
            "--package=umd-kernel",
            "--features=host",
            "--no-deps",
        ],
    ),
    (
        "unit and doc tests",
        60,
        &["test", "--quiet", "--workspace"],
    ),
];

/// What clippy gets besides.
const LINTS: &[&str] = &["--", "-Dwarnings", "-Dclippy::undocumented_unsafe_blocks"];

/// A boot of the guest program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Instruction by instruction the same each time.
    Deterministic,
    /// With two processors.
    Smp,
    /// Booted without the BPF LSM, which stock kernels have: only for what is about that.
    NoBpf,
}

/// The LSMs of the machine without that one.
const OTHER_LSMS: &str = "lsm=lockdown,capability,yama";

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Deterministic => "deterministic",
            Self::Smp => "smp",
            Self::NoBpf => "no-bpf",
        }
    }
}

/// A kernel with everything it takes to boot the guest on it.
struct Ready {
    kernel: Kernel,
    modules: Modules,
}

/// Runs all tests and reports them; `quick` leaves out the machines with two processors.
pub(crate) fn run(kernels: &[Id], quick: bool, setup: Setup) -> Result<Counts> {
    setup.packages(setup::VM)?;
    setup.packages(setup::FUZZ)?;
    setup.packages(setup::USER)?;
    setup.packages(setup::PGP)?;
    setup.cargo_tools()?;
    let report = Report::default();
    progress::print("TAP version 13");
    for (name, seconds, arguments) in HOST {
        let result = progress::step(name, Duration::from_secs(*seconds), || {
            let mut cargo = run::cargo();
            cargo
                .args(*arguments)
                .env("RUSTDOCFLAGS", "-Dwarnings")
                .env("CARGO_TERM_COLOR", "never");
            if arguments.first() == Some(&"clippy") {
                cargo.args(LINTS);
            }
            run::stdout(&mut cargo).map(drop)
        });
        report.point(name, result);
    }
    miri(&report);
    models(&report);
    fuzz::check(&report);
    let ready = build(kernels, &report, setup)?;
    match guest::build() {
        Ok(program) => {
            report.point("the guest program builds", Ok(()));
            let pgp = pgpfiles::make(setup)?;
            boot_all(&ready, &program, &pgp, quick, &report)?;
            // A ratio of costs is of use where a cost is one that users have.
            for ready in ready
                .iter()
                .filter(|ready| ready.kernel.needs.slowness == 1)
            {
                report.point(
                    &format!("{}: round trips cost what they may", ready.kernel.name),
                    bench::check(&ready.kernel, &ready.modules, &program),
                );
            }
            real_keys(&ready, &program, setup, &report);
        }
        Err(error) => report.point("the guest program builds", Err(error)),
    }
    Ok(report.end())
}

/// The core's tests under Miri, where the toolchain has it.
fn miri(report: &Report) {
    let version = run::output(run::cargo().args(["miri", "--version"]));
    if !version.is_ok_and(|output| output.status.success()) {
        progress::note("the toolchain has no Miri: the core's tests run without it");
        return;
    }
    let name = "the core's tests under Miri";
    let result = progress::step(name, Duration::from_secs(180), || {
        let mut cargo = run::cargo();
        cargo.args(["miri", "test", "--quiet", "--package=umd-core"]);
        run::stdout(&mut cargo).map(drop)
    });
    report.point(name, result);
}

/// The models of the channel: every way in which those who meet there can interleave.
fn models(report: &Report) {
    let name = "models of the channel";
    let result = progress::step(name, Duration::from_secs(60), || {
        let mut cargo = run::cargo();
        cargo
            .args(["test", "--quiet", "--release", "--package=umd-core"])
            .args(["--test=loom_channel", "--target-dir"])
            .arg(paths::umd().join("cargo/loom"))
            .env("RUSTFLAGS", "--cfg loom");
        run::stdout(&mut cargo).map(drop)
    });
    report.point(name, result);
}

fn build(kernels: &[Id], report: &Report, setup: Setup) -> Result<Vec<Ready>> {
    let mut ready = Vec::new();
    for id in kernels {
        let kernel = id.prepare(setup)?;
        let name = format!("{}: modules build without a warning", kernel.name);
        match kbuild::build(&kernel, setup) {
            Ok(modules) => {
                report.point(&name, Ok(()));
                ready.push(Ready { kernel, modules });
            }
            Err(error) => report.point(&name, Err(error)),
        }
    }
    Ok(ready)
}

fn boot_all(
    ready: &[Ready],
    program: &Path,
    pgp: &Path,
    quick: bool,
    report: &Report,
) -> Result<()> {
    let modes: &[Mode] = if quick {
        &[Mode::Deterministic, Mode::NoBpf]
    } else {
        &[Mode::Deterministic, Mode::Smp, Mode::NoBpf]
    };
    let jobs: Vec<(&Ready, Mode)> = modes
        .iter()
        .flat_map(|mode| ready.iter().map(move |ready| (ready, *mode)))
        .collect();
    run::side_by_side(MACHINES, jobs, |(ready, mode)| {
        boot(ready, mode, program, pgp, report);
    })
}

/// Has the kernels look at the keys of Debian's keyrings; but not those that take too long.
fn real_keys(ready: &[Ready], program: &Path, setup: Setup, report: &Report) {
    let stock = ready
        .iter()
        .filter(|ready| ready.kernel.needs.slowness == 1);
    let mut keys = None;
    for Ready { kernel, modules } in stock {
        let keys = keys.get_or_insert_with(|| keyrings::keys(setup));
        let result = match keys {
            Ok(keys) => keyrings::check(kernel, modules, program, keys),
            Err(error) => Err(anyhow!("there are none: {error:#}")),
        };
        let name = format!("{}: real keys are what GnuPG says", kernel.name);
        report.point(&name, result);
    }
}

/// Boots one machine and makes its report part of ours.
fn boot(ready: &Ready, mode: Mode, program: &Path, pgp: &Path, report: &Report) {
    let name = format!("{} {}", ready.kernel.name, mode.name());
    let mut guest = report.guest(&name);
    let usual = Duration::from_secs(if mode == Mode::NoBpf { 15 } else { 300 });
    let result = progress::step(&format!("test {name}"), usual, || {
        let slowness = ready.kernel.needs.slowness.to_string();
        let arguments = ["suite", "--mode", mode.name(), "--slowness", &slowness];
        let machine = guest::machine(&ready.kernel, &ready.modules, program, &arguments)?;
        let machine = machine.adds([
            Add::new(pgp, Some("/usr/share/umd-pgp"))?,
            Add::new(Path::new("/usr/bin/keyctl"), None)?,
        ]);
        // Loaded before even /proc is mounted: the suite begins with that.
        let early = ["sample_umd".to_owned()];
        let machine = match mode {
            Mode::Deterministic => machine.early(early).deterministic(true),
            Mode::Smp => machine.early(early).processors(2).deterministic(true),
            Mode::NoBpf => machine.parameters(OTHER_LSMS).deterministic(true),
        };
        let mut outcome = machine.run_lines(&mut |line| guest.line(line))?;
        // A guest whose points failed says so with its status too: that is one failure, not two.
        if guest.has_failures() && outcome.status == Some(1) {
            outcome.status = Some(0);
        }
        outcome.check()?;
        match mode {
            Mode::NoBpf => Ok(()),
            _ => powers_off_at_once(&outcome.console),
        }
    });
    let result = result.and_then(|()| guest.complete());
    report.point(
        &format!("{name}: the machine ran to its end, and its kernel had no complaint"),
        result,
    );
}

/// What the suite says last, with a handler there that root cannot kill.
const SUITE_ENDED: &str = "umd-guest: the suite has ended";

/// Fails where the way from the suite's end to the kernel's took the machine more than two seconds.
fn powers_off_at_once(console: &str) -> Result<()> {
    let (begin, end) = (
        at(console, SUITE_ENDED)?,
        at(console, "reboot: Power down")?,
    );
    ensure!(
        end - begin <= 2.0,
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
    Ok(seconds.trim().parse()?)
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
}
