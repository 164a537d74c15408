// SPDX-License-Identifier: MIT OR Apache-2.0
//! The checks that need no virtual machine.

use anyhow::Result;

use super::cargo;
use super::machines::Length;
use super::point;
use crate::schedule::{Exclusive, Part};
use crate::tap::Report;
use crate::{fuzz, paths, progress, run};

/// A check that is one run of cargo.
pub(super) struct Check {
    /// The point's name.
    pub(super) name: &'static str,
    /// The seconds that it takes usually.
    seconds: u64,
    /// The build directory that it has to itself.
    exclusive: Option<Exclusive>,
    /// The arguments of cargo.
    arguments: &'static [&'static str],
}

/// What clippy gets besides.
const LINTS: &[&str] = &["--", "-Dwarnings", "-Dclippy::undocumented_unsafe_blocks"];

/// Clippy on all packages, which is also the build of their tests.
pub(super) const CLIPPY: &str = "clippy";

/// The unit, integration and documentation tests of all packages: one part, and a point for each test.
pub(super) const TESTS: &str = "unit and doc tests";

/// The models of the channel: every way in which those who meet there can interleave.
pub(super) const MODELS: &str = "models of the channel";

/// All of them.
///
/// The Rust of umd.ko and that of driver modules exclude each other: what belongs to the former alone is checked with the
/// feature `host`.
pub(super) const ALL: &[Check] = &[
    Check {
        name: "formatting",
        seconds: 2,
        exclusive: None,
        arguments: &["fmt", "--all", "--check", "--", "-l"],
    },
    Check {
        name: "clippy for umd.ko",
        seconds: 3,
        exclusive: Some(Exclusive::Workspace),
        arguments: &[
            "clippy",
            "--quiet",
            "--package=umd-kernel",
            "--features=host",
        ],
    },
    Check {
        name: "formatting of the fuzz targets",
        seconds: 2,
        exclusive: None,
        arguments: &[
            "fmt",
            "--manifest-path=fuzz/Cargo.toml",
            "--check",
            "--",
            "-l",
        ],
    },
    Check {
        name: "documentation of the libraries",
        seconds: 20,
        exclusive: Some(Exclusive::Workspace),
        arguments: &["doc", "--quiet", "--workspace", "--lib", "--no-deps"],
    },
    Check {
        name: "documentation of umd.ko",
        seconds: 3,
        exclusive: Some(Exclusive::Workspace),
        arguments: &[
            "doc",
            "--quiet",
            "--package=umd-kernel",
            "--features=host",
            "--no-deps",
        ],
    },
];

/// The parts of a run that are checks.
pub(super) fn parts(length: Length, report: &Report) -> Vec<Part<'_>> {
    let mut parts: Vec<Part<'_>> = ALL.iter().map(|check| part(check, report)).collect();
    let clippy = || {
        let mut cargo = cargo();
        cargo.args(["test", "--workspace", "--no-run"]);
        cargo::lint(cargo)
    };
    parts.push(point(report, CLIPPY, 60, clippy).alone_with(Exclusive::Workspace));
    let tests = || cargo::test(cargo(), report);
    parts.push(point(report, TESTS, 90, tests).alone_with(Exclusive::Workspace));
    parts.push(point(report, MODELS, 60, models));
    parts.extend(fuzz::parts(length, report));
    if length == Length::Full {
        if has_miri() {
            parts.push(point(report, "the core's tests under Miri", 180, miri));
        } else {
            progress::note("the toolchain has no Miri: the core's tests run without it");
        }
    }
    parts
}

fn part<'a>(check: &'static Check, report: &'a Report) -> Part<'a> {
    let part = point(report, check.name, check.seconds, || {
        let mut cargo = cargo();
        cargo.args(check.arguments);
        if check.arguments.first() == Some(&"clippy") {
            cargo.args(LINTS);
        }
        run::stdout(&mut cargo).map(drop)
    });
    match check.exclusive {
        Some(what) => part.alone_with(what),
        None => part,
    }
}

/// Cargo, in an environment that is the same for all checks, so that they share what they build.
fn cargo() -> std::process::Command {
    let mut cargo = run::cargo();
    cargo
        .env("RUSTDOCFLAGS", "-Dwarnings")
        .env("CARGO_TERM_COLOR", "never");
    cargo
}

fn models() -> Result<()> {
    let mut cargo = run::cargo();
    cargo
        .args(["test", "--quiet", "--release", "--package=umd-core"])
        .args(["--test=loom_channel", "--target-dir"])
        .arg(paths::umd().join("cargo/loom"))
        .env("RUSTFLAGS", "--cfg loom");
    run::stdout(&mut cargo).map(drop)
}

fn has_miri() -> bool {
    let version = run::output(run::cargo().args(["miri", "--version"]));
    version.is_ok_and(|output| output.status.success())
}

fn miri() -> Result<()> {
    let mut cargo = run::cargo();
    cargo.args(["miri", "test", "--quiet", "--package=umd-core"]);
    run::stdout(&mut cargo).map(drop)
}
