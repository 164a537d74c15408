// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs `cargo test`, and reports each test as a point of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::run;
use crate::tap::{Failure, Report};

/// When nothing was printed for so long, a test hangs. No test, and no crate's build, takes as long on a machine on
/// which others compute too.
const SILENCE: Duration = Duration::from_secs(1_200);

/// The lines before the end that are shown where cargo itself failed.
const LAST_LINES: usize = 40;

/// Has cargo compile the workspace's own packages by clippy, which is the compiler and lints besides. So what is linted
/// and what is tested is built once. By an option and not by the environment, which tests that run cargo would inherit.
fn by_clippy(cargo: &mut Command) -> &mut Command {
    cargo.args(["--config", "build.rustc-workspace-wrapper='clippy-driver'"])
}

/// Runs a command of cargo's that builds. Fails where the compiler or clippy says anything.
pub(crate) fn lint(mut cargo: Command) -> Result<()> {
    by_clippy(&mut cargo).arg("--message-format=json");
    let (mut said, mut last) = (Vec::new(), Vec::new());
    let succeeded = stream(&mut cargo, |line| match message(line) {
        Some(text) if said.contains(&text) => {}
        Some(text) => said.push(text),
        None if line.starts_with('{') => {}
        None => last.push(line.to_owned()),
    })?;
    ensure!(said.is_empty(), "{}", said.join("\n"));
    let last = last_of(&last);
    ensure!(succeeded, "`{}` failed:\n{last}", run::shown(&cargo));
    Ok(())
}

/// What the compiler says in a line of cargo's messages.
fn message(line: &str) -> Option<String> {
    let value: Value = serde_json::from_str(line).ok()?;
    let rendered = value["message"]["rendered"].as_str()?;
    (value["reason"] == "compiler-message").then(|| rendered.trim_end().to_owned())
}

fn last_of(lines: &[String]) -> String {
    let from = lines.len().saturating_sub(LAST_LINES);
    lines.get(from..).unwrap_or_default().join("\n")
}

/// Runs all tests of the workspace. Fails where cargo does and no point says why.
pub(crate) fn test(mut cargo: Command, report: &Report) -> Result<()> {
    cargo.arg("test");
    by_clippy(&mut cargo).args([
        "--workspace",
        "--no-fail-fast",
        "--message-format=json-render-diagnostics",
    ]);
    let mut reader = Reader::new(report);
    let mut last = Vec::new();
    let status = stream(&mut cargo, |line| {
        if reader.line(line) == Use::Unknown && !line.trim().is_empty() {
            last.push(line.to_owned());
        }
    })
    .with_context(|| reader.place())?;
    reader.end_target();
    let failed = reader.failed;
    ensure!(
        failed == 0,
        "{failed} tests failed: each is a point of its own"
    );
    if status {
        return Ok(());
    }
    bail!("`{}` failed:\n{}", run::shown(&cargo), last_of(&last))
}

/// Runs a command, and hands on each line of both its outputs. Returns whether it succeeded.
fn stream(command: &mut Command, mut sink: impl FnMut(&str)) -> Result<bool> {
    let (output, input) = std::io::pipe()?;
    command.stdin(Stdio::null());
    command.stdout(input.try_clone()?).stderr(input);
    let shown = run::shown(command);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run `{shown}`"))?;
    // Else this process would keep the pipe open itself.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output
            .read_until(b'\n', &mut line)
            .is_ok_and(|count| count > 0)
        {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if sender.send(text).is_err() {
                break;
            }
        }
    });
    loop {
        match lines.recv_timeout(SILENCE) {
            Ok(line) => sink(&line),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                // It may have ended just now.
                let _ = child.kill();
                child.wait()?;
                bail!("`{shown}` printed nothing for {} s", SILENCE.as_secs());
            }
        }
    }
    Ok(child.wait()?.success())
}

/// What a line was good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Known,
    Unknown,
}

/// An executable with tests, or the tests in a library's documentation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Target {
    package: String,
    /// Arguments of cargo that choose it.
    arguments: String,
}

impl Target {
    fn again(&self, test: &str) -> String {
        let exact = if self.arguments == "--doc" {
            ""
        } else {
            "--exact "
        };
        format!(
            "cargo test --package {} {} -- {exact}{}",
            self.package,
            self.arguments,
            run::quote(test)
        )
    }

    fn name(&self, test: &str) -> String {
        format!(
            "{} {}: {test}",
            self.package,
            self.arguments.trim_start_matches("--")
        )
    }
}

/// Reads what cargo and the tests print.
struct Reader<'a> {
    report: &'a Report,
    /// By the path that cargo says it runs.
    executables: BTreeMap<String, Target>,
    /// By the name of the crate.
    libraries: BTreeMap<String, Target>,
    current: Target,
    /// Tests of the current target that failed, and what they printed.
    failures: BTreeMap<String, Vec<String>>,
    /// The test whose output is being read.
    reading: Option<String>,
    /// Whether a point says already why the current target failed.
    is_told: bool,
    failed: u32,
}

impl<'a> Reader<'a> {
    fn new(report: &'a Report) -> Self {
        Self {
            report,
            executables: BTreeMap::new(),
            libraries: BTreeMap::new(),
            current: Target::default(),
            failures: BTreeMap::new(),
            reading: None,
            is_told: false,
            failed: 0,
        }
    }

    /// Where it is now, for an error.
    fn place(&self) -> String {
        format!(
            "in the tests of {} {}",
            self.current.package, self.current.arguments
        )
    }

    fn line(&mut self, line: &str) -> Use {
        if let Some(artifact) = artifact(line) {
            if artifact.is_library {
                let target = Target {
                    package: artifact.package.clone(),
                    arguments: "--doc".to_owned(),
                };
                self.libraries.insert(artifact.crate_name, target);
            }
            if let Some(executable) = artifact.executable {
                let target = Target {
                    package: artifact.package,
                    arguments: artifact.arguments,
                };
                self.executables.insert(executable, target);
            }
            return Use::Known;
        }
        if line.starts_with('{') && line.contains("\"reason\":") {
            return Use::Known;
        }
        let words = line.trim_start();
        if let Some(rest) = words.strip_prefix("Running ") {
            return self.begin_executable(rest);
        }
        if let Some(name) = words.strip_prefix("Doc-tests ") {
            self.begin(self.libraries.get(name).cloned().unwrap_or_default());
            return Use::Known;
        }
        if let Some(name) = line
            .strip_prefix("---- ")
            .and_then(|l| l.strip_suffix(" stdout ----"))
        {
            self.reading = Some(name.to_owned());
            return Use::Known;
        }
        if line == "failures:" {
            self.reading = None;
            return Use::Known;
        }
        if line.starts_with("test result: ") {
            self.end_target();
            return Use::Known;
        }
        if line.contains("process didn't exit successfully") {
            self.died(line);
            return Use::Known;
        }
        if let Some(reading) = &self.reading {
            let lines = self.failures.entry(reading.clone()).or_default();
            lines.push(line.to_owned());
            return Use::Known;
        }
        self.outcome(line)
    }

    /// The program with the tests ended otherwise than they do: by a signal, say.
    fn died(&mut self, line: &str) {
        if !std::mem::replace(&mut self.is_told, true) {
            self.failed += 1;
            let Target { package, arguments } = &self.current;
            self.report.failed(Failure {
                name: self.current.name("the tests run to their end"),
                reason: line.trim().to_owned(),
                again: format!("cargo test --package {package} {arguments}"),
                log: None,
            });
        }
    }

    /// A line `test NAME ... OUTCOME`.
    fn outcome(&mut self, line: &str) -> Use {
        let outcome = line
            .strip_prefix("test ")
            .and_then(|rest| rest.rsplit_once(" ... "));
        match outcome {
            Some((name, "ok")) => self.report.passed(&self.current.name(plain(name))),
            Some((name, "FAILED")) => {
                self.failures.entry(plain(name).to_owned()).or_default();
            }
            Some((_, ignored)) if ignored.starts_with("ignored") => {}
            _ => return Use::Unknown,
        }
        Use::Known
    }

    fn begin_executable(&mut self, rest: &str) -> Use {
        let path = rest
            .rsplit_once('(')
            .and_then(|(_, path)| path.strip_suffix(')'));
        let found = path.and_then(|path| {
            let is_it = |(executable, _): &(&String, &Target)| executable.ends_with(path);
            self.executables
                .iter()
                .find(is_it)
                .map(|(_, target)| target.clone())
        });
        match found {
            Some(target) => {
                self.begin(target);
                Use::Known
            }
            None => Use::Unknown,
        }
    }

    fn begin(&mut self, target: Target) {
        self.end_target();
        self.is_told = false;
        self.current = target;
    }

    /// Reports what failed.
    fn end_target(&mut self) {
        self.reading = None;
        for (test, output) in std::mem::take(&mut self.failures) {
            self.failed += 1;
            self.is_told = true;
            self.report.failed(Failure {
                name: self.current.name(&test),
                reason: output.join("\n").trim().to_owned(),
                again: self.current.again(&test),
                log: None,
            });
        }
    }
}

/// A test's name without what the test runner adds to it.
fn plain(name: &str) -> &str {
    [" - should panic", " - compile", " - compile fail"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .unwrap_or(name)
}

/// What cargo has built.
struct Artifact {
    package: String,
    crate_name: String,
    is_library: bool,
    arguments: String,
    executable: Option<String>,
}

fn artifact(line: &str) -> Option<Artifact> {
    let value: Value = serde_json::from_str(line).ok()?;
    if value["reason"] != "compiler-artifact" {
        return None;
    }
    let name = value["target"]["name"].as_str()?;
    let kind = value["target"]["kind"][0].as_str()?;
    let (is_library, arguments) = match kind {
        "test" | "bin" | "example" | "bench" => (false, format!("--{kind} {name}")),
        _ => (true, "--lib".to_owned()),
    };
    let is_test = value["profile"]["test"] == true;
    Some(Artifact {
        package: package(
            value["package_id"].as_str()?,
            value["manifest_path"].as_str()?,
        ),
        crate_name: name.replace('-', "_"),
        is_library,
        arguments,
        executable: value["executable"]
            .as_str()
            .filter(|_| is_test)
            .map(str::to_owned),
    })
}

/// The package's name, from an id such as `path+file:///x/umd-core#0.1.0` or `path+file:///x/core#umd-core@0.1.0`.
fn package(id: &str, manifest: &str) -> String {
    let after = id.rsplit_once('#').map_or(id, |(_, after)| after);
    let name = after.split_once('@').map(|(name, _)| name);
    let folder = || {
        let directory = manifest
            .rsplit_once('/')
            .map_or("", |(directory, _)| directory);
        directory.rsplit('/').next().unwrap_or_default().to_owned()
    };
    name.map_or_else(folder, str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tap::Counts;

    const ARTIFACTS: &[&str] = &[
        r#"{"reason":"compiler-artifact","package_id":"path+file:///w/crates/umd-core#0.1.0","manifest_path":"/w/crates/umd-core/Cargo.toml","target":{"kind":["lib"],"name":"umd_core"},"profile":{"test":false},"executable":null}"#,
        r#"{"reason":"compiler-artifact","package_id":"path+file:///w/drivers/pgp/rules#pgp-rules@0.1.0","manifest_path":"/w/drivers/pgp/rules/Cargo.toml","target":{"kind":["test"],"name":"armor"},"profile":{"test":true},"executable":"/w/target/debug/deps/armor-12ab"}"#,
    ];

    fn read(lines: &[&str]) -> (Counts, Vec<Failure>) {
        let report = Report::default();
        let mut reader = Reader::new(&report);
        for line in ARTIFACTS.iter().chain(lines) {
            assert_eq!(reader.line(line), Use::Known, "{line}");
        }
        (report.end(), report.failures())
    }

    #[test]
    fn each_test_is_a_point() {
        let (counts, failures) = read(&[
            r#"{"reason":"build-finished","success":true}"#,
            "     Running tests/armor.rs (target/debug/deps/armor-12ab)",
            "test one ... ok",
            "test two ... FAILED",
            "test three - should panic ... ok",
            "test four ... ignored, needs a keyring",
            "failures:",
            "---- two stdout ----",
            "thread 'two' panicked at x.rs:1:",
            "because",
            "",
            "failures:",
            "test result: FAILED. 2 passed; 1 failed; 1 ignored",
            "   Doc-tests umd_core",
            "test crates/umd-core/src/lib.rs - frame (line 3) - compile ... ok",
            "test result: ok. 1 passed; 0 failed",
        ]);
        assert_eq!((counts.passed, counts.failed), (3, 1));
        let failure = Failure {
            name: "pgp-rules test armor: two".to_owned(),
            reason: "thread 'two' panicked at x.rs:1:\nbecause".to_owned(),
            again: "cargo test --package pgp-rules --test armor -- --exact two".to_owned(),
            log: None,
        };
        assert_eq!(failures, [failure]);
    }

    #[test]
    fn a_program_that_dies_is_a_failure() {
        let (counts, failures) = read(&[
            "     Running tests/armor.rs (target/debug/deps/armor-12ab)",
            "test one ... ok",
            "  process didn't exit successfully: `armor-12ab` (signal: 6, SIGABRT)",
        ]);
        assert_eq!((counts.passed, counts.failed), (1, 1));
        assert!(failures[0].reason.contains("SIGABRT"), "{failures:?}");
        assert_eq!(
            failures[0].again,
            "cargo test --package pgp-rules --test armor"
        );
    }

    #[test]
    fn what_the_compiler_says_is_found() {
        let line = r#"{"reason":"compiler-message","message":{"rendered":"warning: unused\n --> x.rs\n\n"}}"#;
        assert_eq!(message(line).as_deref(), Some("warning: unused\n --> x.rs"));
        assert_eq!(message(ARTIFACTS[0]), None);
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo error: no such package >&2; exit 101"]);
        let error = lint(shell).expect_err("it failed").to_string();
        assert!(error.contains("no such package"), "{error}");
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("printf '%s\\n' '{line}'")]);
        let error = lint(shell).expect_err("there is a warning").to_string();
        assert_eq!(error, "warning: unused\n --> x.rs");
    }

    #[test]
    fn other_lines_are_kept_for_the_end() {
        let report = Report::default();
        let mut reader = Reader::new(&report);
        for line in [
            "error: could not compile",
            "test x has been running for over 60 seconds",
        ] {
            assert_eq!(reader.line(line), Use::Unknown, "{line}");
        }
    }

    #[test]
    fn both_outputs_come_in_one_stream() {
        let mut lines = Vec::new();
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo a; echo b >&2; echo c; exit 3"]);
        let succeeded = stream(&mut shell, |line| lines.push(line.to_owned())).expect("a shell");
        assert!(!succeeded);
        assert_eq!(lines, ["a", "b", "c"]);
    }
}
