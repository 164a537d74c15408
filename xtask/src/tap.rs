// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Test Anything Protocol: our own points, and those that a guest reports.

use std::sync::{Mutex, PoisonError};

use anyhow::{Result, ensure};

use crate::progress;

/// The report of a whole test run, on standard output.
#[derive(Default)]
pub(crate) struct Report {
    counts: Mutex<Counts>,
}

/// How many points there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Those that are as they should be.
    pub(crate) passed: u32,
    /// Those that are not.
    pub(crate) failed: u32,
}

/// What one guest has reported so far.
pub(crate) struct Guest<'a> {
    report: &'a Report,
    name: String,
    counts: Counts,
    plan: Option<u32>,
}

/// One line of a guest's report.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Point { passed: bool, name: &'a str },
    Plan(u32),
    Other(&'a str),
}

impl Report {
    /// Reports a point.
    pub(crate) fn point(&self, name: &str, result: Result<()>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let number = counts.passed + counts.failed + 1;
        match result {
            Ok(()) => {
                counts.passed += 1;
                progress::print(&format!("ok {number} - {name}"));
            }
            Err(error) => {
                counts.failed += 1;
                progress::print(&format!("not ok {number} - {name}"));
                for line in format!("{error:#}").lines() {
                    progress::print(&format!("# {line}"));
                }
            }
        }
    }

    /// Ends the report with its plan and the sums.
    pub(crate) fn end(&self) -> Counts {
        let counts = *self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        progress::print(&format!("1..{}", counts.passed + counts.failed));
        progress::print(&format!(
            "{} passed, {} failed",
            counts.passed, counts.failed
        ));
        counts
    }

    /// A guest whose report becomes part of this one.
    pub(crate) fn guest(&self, name: &str) -> Guest<'_> {
        Guest {
            report: self,
            name: name.to_owned(),
            counts: Counts::default(),
            plan: None,
        }
    }
}

impl Guest<'_> {
    /// Takes a line of what the guest printed.
    pub(crate) fn line(&mut self, line: &str) {
        match parse(line) {
            Line::Point { passed, name } => {
                let result = if passed {
                    self.counts.passed += 1;
                    Ok(())
                } else {
                    self.counts.failed += 1;
                    Err(anyhow::anyhow!("reported by the guest"))
                };
                self.report.point(&format!("{}: {name}", self.name), result);
            }
            Line::Plan(count) => self.plan = Some(count),
            Line::Other(text) => progress::print(&format!("# {}: {text}", self.name)),
        }
    }

    /// Whether the guest itself has reported a failure.
    pub(crate) fn has_failures(&self) -> bool {
        self.counts.failed > 0
    }

    /// Fails unless the guest has reported as many points as it planned to.
    pub(crate) fn complete(&self) -> Result<()> {
        let points = self.counts.passed + self.counts.failed;
        ensure!(
            self.plan == Some(points) && points > 0,
            "the guest reported {points} points, and its plan was {}",
            self.plan
                .map_or("missing".to_owned(), |plan| plan.to_string())
        );
        Ok(())
    }
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
    }

    #[test]
    fn a_guest_that_stops_early_is_found_out() {
        let report = Report::default();
        let mut guest = report.guest("6.12");
        assert!(guest.complete().is_err());
        guest.line("1..2");
        guest.line("ok 1 - one");
        assert!(guest.complete().is_err());
        guest.line("not ok 2 - two");
        assert!(guest.complete().is_ok());
        assert!(guest.has_failures());
        assert_eq!(
            report.end(),
            Counts {
                passed: 1,
                failed: 1
            }
        );
    }
}
