// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fuzzing: the targets in `fuzz/`, built with the compiler's own coverage and without a sanitizer, so that
//! any stable toolchain does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::schedule::Part;
use crate::setup::{self, Setup};
use crate::tap::Report;
use crate::test::{Length, cargo, point};
use crate::{paths, progress, run};

/// Every target, and how many inputs a full test tries of it: some ten seconds each.
const TARGETS: &[(&str, u64)] = &[
    ("bpfilter_proto", 1_000_000),
    ("bpfilter_table", 150_000),
    ("elf", 100_000),
    ("exchange", 400_000),
    ("frame", 500_000),
    ("inbox", 1_500_000),
    ("pgp_proto", 2_000_000),
    ("pgp_rules", 400_000),
    ("pgp_walker", 400_000),
    ("sample_proto", 30_000),
    ("transfer", 900_000),
];

/// A short test tries one input of so many.
const SHORT: u64 = 10;

/// The part that builds all targets, and lints them.
const BUILD: &str = "clippy for the fuzz targets, and their build";

/// How many targets run side by side.
const SIDE_BY_SIDE: usize = 2;
/// How long a target runs before it says how far it has come, and the next has its turn.
const TURN: Duration = Duration::from_secs(60);
/// No input is longer; the longest that matter are tables of rules.
const LENGTH_MAX: &str = "-max_len=4096";
/// An input that takes longer hangs.
const HANG: &str = "-timeout=20";

const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// The flags of cargo-fuzz, but for the sanitizer's.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// Which targets there are.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TARGETS.iter().map(|(name, _)| *name)
}

/// Fuzzes one target, or all in turns: for so many seconds each, or until one fails. What is found on the way is kept
/// for the next time.
pub(crate) fn run(only: Option<&str>, seconds: Option<u64>, setup: Setup) -> Result<()> {
    setup.packages(setup::FUZZ)?;
    let programs = build()?;
    let names: Vec<_> = names()
        .filter(|name| only.is_none_or(|only| only == *name))
        .collect();
    let end = seconds.map(Duration::from_secs);
    let mut spent = Duration::ZERO;
    loop {
        let turn = end.map_or(TURN, |end| end.saturating_sub(spent).min(TURN));
        if turn.is_zero() {
            return Ok(());
        }
        spent += turn;
        let failure = Mutex::new(None);
        run::side_by_side(SIDE_BY_SIDE, names.clone(), |name| {
            let result = take_turn(&programs, name, turn);
            if let (Err(error), Ok(mut failure)) = (result, failure.lock()) {
                failure.get_or_insert(error);
            }
        })?;
        if let Ok(Some(error)) = failure.into_inner() {
            return Err(error);
        }
    }
}

fn take_turn(programs: &Path, name: &str, turn: Duration) -> Result<()> {
    let found = state("corpus", name)?;
    let begin = Instant::now();
    let step = format!("fuzzing {name}");
    let summary = progress::step(&step, turn, || {
        let time = format!("-max_total_time={}", turn.as_secs());
        fuzz(programs, name, &[&time], &found)
    })?;
    let inputs = paths::entries(&found)?.len();
    progress::print(&format!(
        "{name}: {summary}; {inputs} inputs kept, {} s",
        begin.elapsed().as_secs()
    ));
    Ok(())
}

/// For each target the name of the part that tries a fixed number of inputs on it, and that number.
fn points(length: Length) -> impl Iterator<Item = (String, &'static str, u64)> {
    TARGETS.iter().map(move |(name, runs)| {
        let runs = match length {
            Length::Short => runs / SHORT,
            Length::Full => *runs,
        };
        (format!("fuzzing {name}: {runs} inputs"), *name, runs)
    })
}

/// The names of the parts of a test.
pub(crate) fn part_names(length: Length) -> impl Iterator<Item = String> {
    std::iter::once(BUILD.to_owned()).chain(points(length).map(|(name, ..)| name))
}

/// The parts of a test. The inputs of each target are the same each time.
pub(crate) fn parts(length: Length, report: &Report) -> Vec<Part<'_>> {
    let mut parts = vec![point(report, BUILD, 60, || cargo::lint(targets()))];
    parts.extend(points(length).map(|(part, name, runs)| {
        point(report, &part, 12, move || {
            let found = state("test", name)?;
            fs::remove_dir_all(&found).context("cannot empty the corpus of the last test")?;
            let found = state("test", name)?;
            let runs = format!("-runs={runs}");
            fuzz(&programs(), name, &["-seed=1", &runs], &found).map(drop)
        })
        .after(&[BUILD])
    }));
    parts
}

/// Builds all targets. Returns the directory that they are in.
fn build() -> Result<PathBuf> {
    progress::step("building the fuzz targets", Duration::from_secs(60), || {
        run::stdout(&mut targets()).map(drop)
    })?;
    Ok(programs())
}

/// The directory of the targets' programs.
fn programs() -> PathBuf {
    target_directory().join(TRIPLE).join("release")
}

fn target_directory() -> PathBuf {
    paths::umd().join("cargo/fuzz")
}

/// The command that builds all targets.
fn targets() -> Command {
    let mut cargo = run::cargo();
    cargo
        .args(["build", "--quiet", "--release", "--locked"])
        .arg("--manifest-path=fuzz/Cargo.toml")
        .arg(format!("--target={TRIPLE}"))
        .arg("--target-dir")
        .arg(target_directory())
        .env("CARGO_TERM_COLOR", "never")
        .env("RUSTFLAGS", FLAGS);
    cargo
}

/// Runs a target on its corpus in the source tree and on what was `found`, to which it adds. Returns what it says at its end.
fn fuzz(programs: &Path, name: &str, options: &[&str], found: &Path) -> Result<String> {
    let artifacts = state("artifacts", name)?;
    let mut command = Command::new(programs.join(name));
    command
        .args(options)
        .args([LENGTH_MAX, HANG])
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(found)
        .arg(paths::root().join("fuzz/corpus").join(name));
    let output = run::output(&mut command)?;
    let text = run::both(&output);
    if !output.status.success() {
        let program = programs.join(name);
        bail!(
            "{name} has found something; to see it again, run `{} FILE` with the file that is named last\n{}",
            program.display(),
            telling(&text)
        );
    }
    let summary = text.lines().find_map(|line| {
        let (runs, rest) = line.strip_prefix('#')?.split_once('\t')?;
        let rest = rest.trim_start().strip_prefix("DONE")?;
        let edges = rest.split_once("cov: ")?.1.split_whitespace().next()?;
        Some(format!("{runs} inputs tried, {edges} edges reached"))
    });
    summary.with_context(|| format!("{name} did not say what it has done:\n{}", telling(&text)))
}

/// What is worth showing of a target's last words: from the panic on.
fn telling(text: &str) -> String {
    const LINES: usize = 40;
    let lines: Vec<_> = text.lines().collect();
    let panic = lines.iter().position(|line| line.contains("panicked at"));
    let from = panic.unwrap_or_else(|| lines.len().saturating_sub(LINES));
    let (head, tail) = lines[from..].split_at(lines[from..].len().min(LINES));
    let last = tail
        .iter()
        .filter(|line| line.contains("Test unit written"));
    head.iter()
        .chain(last)
        .copied()
        .collect::<Vec<_>>()
        .join("\n")
}

/// A directory of ours for what a target finds.
fn state(kind: &str, name: &str) -> Result<PathBuf> {
    let directory = paths::umd().join("fuzz").join(kind).join(name);
    paths::create_dir(&directory)?;
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_listed_and_has_a_corpus() {
        let fuzz = paths::root().join("fuzz");
        let stems = |directory: &str| -> Vec<String> {
            let paths = paths::entries(&fuzz.join(directory)).expect("a directory");
            let stem = |path: &PathBuf| path.file_stem().expect("a name").to_string_lossy().into();
            paths.iter().map(stem).collect()
        };
        let names: Vec<_> = names().collect();
        assert_eq!(stems("fuzz_targets"), names);
        assert_eq!(stems("corpus"), names);
    }

    #[test]
    fn the_panic_and_the_file_are_shown() {
        let text = format!(
            "#1 NEW\nthread panicked at here\nbecause\n{}Test unit written to x\n",
            "y\n".repeat(99)
        );
        let told = telling(&text);
        assert!(told.starts_with("thread panicked at here\nbecause"));
        assert!(told.ends_with("Test unit written to x"));
    }
}
