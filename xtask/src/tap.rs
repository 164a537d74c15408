// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Test Anything Protocol: our own points, those that a guest reports, and at the end each failure again.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Result, ensure};

use crate::progress;

/// How many lines of a machine's log a failed point is shown with.
const LOG_LINES: usize = 12;

/// The report of a whole test run, on standard output.
#[derive(Default)]
pub(crate) struct Report {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    counts: Counts,
    failures: Vec<Failure>,
}

/// How many points there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Those that are as they should be.
    pub(crate) passed: u32,
    /// Those that are not.
    pub(crate) failed: u32,
}

/// A point that failed, as it is shown at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The point's name.
    pub(crate) name: String,
    /// Why it failed.
    pub(crate) reason: String,
    /// The command that runs this point again.
    pub(crate) again: String,
    /// The log that tells more, if there is one.
    pub(crate) log: Option<Log>,
}

/// The log of the machine in which a point failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    /// The last lines that the machine's kernel printed during that test.
    pub(crate) tail: Vec<String>,
    /// The file with all of it.
    pub(crate) file: PathBuf,
}

impl Report {
    /// Reports a point. `again` is the command that runs it again.
    pub(crate) fn point(&self, name: &str, result: Result<()>, again: &str) {
        match result {
            Ok(()) => self.passed(name),
            Err(error) => self.failed(Failure {
                name: name.to_owned(),
                reason: format!("{error:#}"),
                again: again.to_owned(),
                log: None,
            }),
        }
    }

    /// Reports a point that passed.
    pub(crate) fn passed(&self, name: &str) {
        let mut state = self.lock();
        state.counts.passed += 1;
        progress::print(&format!("ok {} - {name}", state.counts.sum()));
    }

    /// Reports a point that failed, and keeps what is known of it for the report's end.
    pub(crate) fn failed(&self, failure: Failure) {
        let mut state = self.lock();
        state.counts.failed += 1;
        progress::print(&format!("not ok {} - {}", state.counts.sum(), failure.name));
        comment(&failure.reason);
        state.failures.push(failure);
    }

    /// Adds a machine's log to a failure that was reported before.
    pub(crate) fn add_log(&self, name: &str, log: Log) {
        let mut state = self.lock();
        let failure = state
            .failures
            .iter_mut()
            .find(|failure| failure.name == name);
        if let Some(failure) = failure {
            failure.log = Some(log);
        }
    }

    /// Ends the report: each failure again, then the plan. The sums are for [`Counts::print`].
    pub(crate) fn end(&self) -> Counts {
        let state = self.lock();
        if !state.failures.is_empty() {
            progress::print(&format!("# {} failed:", state.failures.len()));
        }
        for failure in &state.failures {
            progress::print("#");
            comment(&failure.told());
        }
        progress::print(&format!("1..{}", state.counts.sum()));
        state.counts
    }

    /// Returns the points that failed so far.
    #[cfg(test)]
    pub(crate) fn failures(&self) -> Vec<Failure> {
        self.lock().failures.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn sum(self) -> u32 {
        self.passed + self.failed
    }

    /// Prints the sums, the last line of a test run.
    pub(crate) fn print(self) {
        progress::print(&format!("{} passed, {} failed", self.passed, self.failed));
    }
}

impl Failure {
    /// Everything that is known of it.
    fn told(&self) -> String {
        let mut text = format!("not ok - {}\n", self.name);
        let mut add = |title: &str, lines: &str| {
            if !lines.is_empty() {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "  {title}");
                lines.lines().for_each(|line| {
                    let _ = writeln!(text, "    {line}");
                });
            }
        };
        add("reason:", &self.reason);
        if let Some(log) = &self.log {
            add("the machine's last lines:", &log.tail.join("\n"));
            add("its whole log:", &log.file.display().to_string());
        }
        add("to run this point again:", &self.again);
        text
    }
}

/// Prints lines as comments.
fn comment(text: &str) {
    for line in text.lines() {
        progress::print(format!("# {line}").trim_end());
    }
}

/// What one guest has reported so far.
pub(crate) struct Guest<'a> {
    report: &'a Report,
    name: String,
    again: Box<dyn Fn(&str) -> String + Send + 'a>,
    counts: Counts,
    plan: Option<u32>,
    /// A point that failed, whose reason follows line by line.
    open: Option<(String, Vec<String>)>,
    failed: Vec<String>,
}

/// One line of a guest's report.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Point { passed: bool, name: &'a str },
    Plan(u32),
    Other(&'a str),
}

impl<'a> Guest<'a> {
    /// Creates the report of a guest, which becomes part of `report`. Points get `name` in front; `again` gives the
    /// command that runs a point of this guest again.
    pub(crate) fn new(
        report: &'a Report,
        name: &str,
        again: impl Fn(&str) -> String + Send + 'a,
    ) -> Self {
        Self {
            report,
            name: name.to_owned(),
            again: Box::new(again),
            counts: Counts::default(),
            plan: None,
            open: None,
            failed: Vec::new(),
        }
    }

    /// Takes a line of what the guest printed. Returns the name of the test that it reports, if it reports one.
    pub(crate) fn line<'l>(&mut self, line: &'l str) -> Option<&'l str> {
        match parse(line) {
            Line::Point { passed, name } => {
                self.close();
                if passed {
                    self.counts.passed += 1;
                    self.report.passed(&format!("{}: {name}", self.name));
                } else {
                    self.counts.failed += 1;
                    self.open = Some((name.to_owned(), Vec::new()));
                }
                return Some(without_directive(name));
            }
            Line::Plan(count) => self.plan = Some(count),
            Line::Other(text) => match &mut self.open {
                Some((_, reason)) if line.starts_with('#') => reason.push(text.to_owned()),
                _ => progress::print(&format!("# {}: {text}", self.name)),
            },
        }
        None
    }

    /// Reports the point whose reason was being read.
    fn close(&mut self) {
        if let Some((name, reason)) = self.open.take() {
            let plain = without_directive(&name);
            let full = format!("{}: {plain}", self.name);
            self.report.failed(Failure {
                name: full,
                reason: reason.join("\n"),
                again: (self.again)(plain),
                log: None,
            });
            self.failed.push(plain.to_owned());
        }
    }

    /// Takes what the machine's kernel printed, when the machine has ended: the failures are shown with their parts.
    pub(crate) fn end(&mut self, console: &str, file: PathBuf) {
        self.close();
        for name in std::mem::take(&mut self.failed) {
            let tail = section(console, &name);
            let log = Log {
                tail,
                file: file.clone(),
            };
            self.report.add_log(&format!("{}: {name}", self.name), log);
        }
    }

    /// Whether the guest itself has reported a failure.
    pub(crate) fn has_failures(&self) -> bool {
        self.counts.failed > 0
    }

    /// Fails unless the guest has reported as many points as it planned to.
    pub(crate) fn complete(&self) -> Result<()> {
        let points = self.counts.sum();
        ensure!(
            self.plan == Some(points) && points > 0,
            "the guest reported {points} points, and its plan was {}",
            self.plan
                .map_or("missing".to_owned(), |plan| plan.to_string())
        );
        Ok(())
    }
}

/// The prefix of the line that a guest writes to its kernel log when a test begins. The name of the
/// test follows.
const BEGINS: &str = "umd-guest: test: ";

/// The last lines of what a kernel printed during a test.
fn section(console: &str, test: &str) -> Vec<String> {
    let lines: Vec<&str> = console.lines().map(str::trim_end).collect();
    let begins = |line: &str| line.contains(BEGINS);
    let begin = lines.iter().rposition(|line| {
        line.split_once(BEGINS)
            .is_some_and(|(_, name)| name == test)
    });
    let from = begin.map_or(0, |index| index + 1);
    let rest = lines.get(from..).unwrap_or_default();
    let length = match begin {
        Some(_) => rest.iter().position(|line| begins(line)),
        None => None,
    };
    let own = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
    let tail = own.get(own.len().saturating_sub(LOG_LINES)..);
    tail.unwrap_or_default()
        .iter()
        .map(|line| (*line).to_owned())
        .collect()
}

/// A point's name without what follows `#`, which is how long the test took.
fn without_directive(name: &str) -> &str {
    name.split_once(" # ").map_or(name, |(name, _)| name)
}

fn parse(line: &str) -> Line<'_> {
    let line = line.trim_end();
    let numbered = |rest: &'_ str| rest.starts_with(' ') || rest.is_empty();
    let (passed, rest) = match (line.strip_prefix("ok"), line.strip_prefix("not ok")) {
        (Some(rest), _) if numbered(rest) => (true, rest),
        (_, Some(rest)) if numbered(rest) => (false, rest),
        _ => {
            return match line
                .strip_prefix("1..")
                .and_then(|count| count.parse().ok())
            {
                Some(count) => Line::Plan(count),
                None => Line::Other(line.trim_start_matches("# ")),
            };
        }
    };
    let name = rest
        .trim_start()
        .trim_start_matches(|c: char| c.is_ascii_digit());
    Line::Point {
        passed,
        name: name.trim_start().trim_start_matches("- "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_guest() {
        assert_eq!(
            parse("ok 1 - exit(7)"),
            Line::Point {
                passed: true,
                name: "exit(7)"
            }
        );
        assert_eq!(
            parse("not ok 12 - hang"),
            Line::Point {
                passed: false,
                name: "hang"
            }
        );
        assert_eq!(parse("1..40"), Line::Plan(40));
        assert_eq!(parse("# pid 77"), Line::Other("pid 77"));
        assert_eq!(parse("okay"), Line::Other("okay"));
        assert_eq!(without_directive("a: b # time=12ms"), "a: b");
    }

    fn guest(report: &Report) -> Guest<'_> {
        Guest::new(report, "6.12", |name| format!("again {name}"))
    }

    #[test]
    fn a_guest_that_stops_early_is_found_out() {
        let report = Report::default();
        let mut guest = guest(&report);
        assert!(guest.complete().is_err());
        guest.line("1..2");
        assert_eq!(guest.line("ok 1 - one # time=3ms"), Some("one"));
        assert!(guest.complete().is_err());
        guest.line("not ok 2 - two");
        assert!(guest.complete().is_ok());
        assert!(guest.has_failures());
        guest.end("", PathBuf::new());
        assert_eq!(
            report.end(),
            Counts {
                passed: 1,
                failed: 1
            }
        );
    }

    const CONSOLE: &str = "\
[ 1.0] umd-guest: test: faults: exits\r
[ 1.1] umd: sample: exit 7\r
[ 1.2] umd-guest: test: faults: hangs\r
[ 1.3] umd: sample: deadline passed\r
[ 1.4] umd-guest: test: faults: is killed\r
[ 1.5] umd: sample: signal 9\r
";

    #[test]
    fn a_failure_has_its_reason_its_log_and_its_command() {
        let report = Report::default();
        let mut guest = guest(&report);
        guest.line("not ok 1 - faults: hangs # time=3ms");
        guest.line("# it took 3 s");
        guest.line("# the deadline was 1 s");
        guest.line("ok 2 - faults: is killed");
        guest.line("# a remark");
        guest.end(CONSOLE, PathBuf::from("/x/console.log"));
        let failures = report.failures();
        let wanted = Failure {
            name: "6.12: faults: hangs".to_owned(),
            reason: "it took 3 s\nthe deadline was 1 s".to_owned(),
            again: "again faults: hangs".to_owned(),
            log: Some(Log {
                tail: vec!["[ 1.3] umd: sample: deadline passed".to_owned()],
                file: PathBuf::from("/x/console.log"),
            }),
        };
        assert_eq!(failures, [wanted]);
        let told = failures[0].told();
        for part in [
            "faults: hangs\n",
            "    it took 3 s\n",
            "    [ 1.3] umd: sample: deadline passed\n",
            "    /x/console.log\n",
            "    again faults: hangs\n",
        ] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn a_log_without_the_test_gives_its_end() {
        assert_eq!(section(CONSOLE, "no such test").len(), 6);
        assert_eq!(
            section(CONSOLE, "faults: is killed"),
            ["[ 1.5] umd: sample: signal 9"]
        );
        assert!(section("", "x").is_empty());
    }
}
