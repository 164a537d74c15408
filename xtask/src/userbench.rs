// SPDX-License-Identifier: MIT OR Apache-2.0
//! `bench --host user`: what a call of the user-space host costs, against a bare pair of sockets in the same run.
//!
//! Here figures are times, and differ from run to run; so each is compared with what was measured in turns with it, round by
//! round, and the ratio is the median of the rounds'. The test suite does not judge them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bench::{median, sample};
use crate::{paths, progress, run};

/// What is compared with what: case, host, baseline, and how many times the baseline it may cost at most.
const COMPARED: &[(&str, &str, &str, Option<f64>)] = &[
    ("64B/64B", "umd", "socketpair", Some(1.15)),
    ("64B/64B", "pipes", "socketpair", None),
    ("64B/64B", "ipc-channel", "socketpair", None),
    ("64B/128KiB", "umd", "socketpair", Some(1.20)),
    ("64B/128KiB", "pipes", "socketpair", None),
    ("64B/128KiB", "ipc-channel", "socketpair", None),
    ("4B/128KiB", "umd typed", "umd", None),
    (
        "start to first reply",
        "umd",
        "vfork, locked down",
        Some(1.30),
    ),
    ("start to first reply", "umd", "vfork", Some(3.00)),
    ("start, by heap", "512 MiB heap", "small heap", Some(1.50)),
    ("call", "after a crash", "after a call", Some(3.00)),
    ("64B/64B, unpinned", "umd", "socketpair", None),
    ("64B/64B, unpinned", "pipes", "socketpair", None),
    ("64B/64B, unpinned", "ipc-channel", "socketpair", None),
    ("64B/128KiB, unpinned", "umd", "socketpair", None),
    ("64B/128KiB, unpinned", "pipes", "socketpair", None),
    ("64B/128KiB, unpinned", "ipc-channel", "socketpair", None),
    ("4B/128KiB, unpinned", "umd typed", "umd", None),
];

/// One line of the table.
#[derive(Debug, PartialEq)]
struct Figure {
    case: &'static str,
    host: &'static str,
    ns: u64,
    baseline: &'static str,
    baseline_ns: u64,
    /// The median of the rounds' ratios.
    ratio: f64,
    limit: Option<f64>,
}

impl Figure {
    fn is_within(&self) -> bool {
        self.limit.is_none_or(|limit| self.ratio <= limit)
    }

    fn json(&self) -> Value {
        json!({
            "host": self.host,
            "case": self.case,
            "ns": self.ns,
            "baseline": self.baseline,
            "baseline_ns": self.baseline_ns,
            "ratio": (self.ratio * 10_000.0).round() / 10_000.0,
            "limit": self.limit,
        })
    }

    fn line(&self) -> String {
        let limit = self
            .limit
            .map_or("-".to_owned(), |limit| format!("{limit:.2}"));
        let missed = if self.is_within() { "" } else { "  missed" };
        format!(
            "{:<22} {:<14} {:>10} {:>26} {:>7.3} {limit:>6}{missed}",
            self.case,
            self.host,
            self.ns,
            format!("{} {}", self.baseline, self.baseline_ns),
            self.ratio,
        )
    }
}

/// Measures; with `as_json` nothing but the figures goes to standard output. Fails where something costs more than it may.
pub(crate) fn run(as_json: bool) -> Result<()> {
    let program = build()?;
    let mut rounds = Rounds::new();
    for mode in ["pinned", "unpinned"] {
        measure(&program, mode, &mut rounds)?;
    }
    let figures = figures(&rounds)?;
    if as_json {
        let list: Vec<Value> = figures.iter().map(Figure::json).collect();
        progress::print(&serde_json::to_string_pretty(&list).context("figures as JSON")?);
    } else {
        progress::print(&format!(
            "{:<22} {:<14} {:>10} {:>26} {:>7} {:>6}",
            "case", "host", "ns", "baseline", "ratio", "limit"
        ));
        figures
            .iter()
            .for_each(|figure| progress::print(&figure.line()));
    }
    let missed = figures.iter().filter(|figure| !figure.is_within()).count();
    ensure!(missed == 0, "{missed} limits are missed");
    Ok(())
}

fn build() -> Result<PathBuf> {
    let target = paths::umd().join("cargo/user");
    let mut cargo = run::cargo();
    cargo
        .args(["build", "--quiet", "--release", "--package=umd-user-bench"])
        .arg("--target-dir")
        .arg(&target);
    let name = "building the benchmark";
    progress::step(name, Duration::from_secs(60), || {
        run::stdout(&mut cargo).map(drop)
    })?;
    Ok(target.join("release/umd-user-bench"))
}

/// What each host took for each case, round by round.
type Rounds = BTreeMap<(String, String), Vec<u64>>;

fn measure(program: &Path, mode: &str, rounds: &mut Rounds) -> Result<()> {
    let name = format!("bench, {mode}");
    let output = progress::step(&name, Duration::from_secs(20), || {
        run::output(std::process::Command::new(program).arg(mode))
    })?;
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines().for_each(progress::note);
    ensure!(
        output.status.success(),
        "the benchmark failed ({})",
        output.status
    );
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some((case, host, ns)) = sample(line) {
            rounds.entry((case, host)).or_default().push(ns);
        }
    }
    Ok(())
}

fn figures(rounds: &Rounds) -> Result<Vec<Figure>> {
    let measured = |case: &str, host: &str| {
        rounds
            .get(&(case.to_owned(), host.to_owned()))
            .with_context(|| format!("{case} over {host} was not measured"))
    };
    COMPARED
        .iter()
        .map(|&(case, host, baseline, limit)| {
            let (ours, theirs) = (measured(case, host)?, measured(case, baseline)?);
            let mut ratios: Vec<f64> = ours
                .iter()
                .zip(theirs)
                .map(|(ours, theirs)| *ours as f64 / *theirs as f64)
                .collect();
            ratios.sort_unstable_by(f64::total_cmp);
            let no_round = || format!("{case} over {host} has no round");
            Ok(Figure {
                case,
                host,
                ns: median(ours.clone()).with_context(no_round)?,
                baseline,
                baseline_ns: median(theirs.clone()).with_context(no_round)?,
                ratio: *ratios.get(ratios.len() / 2).with_context(no_round)?,
                limit,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All hosts and baselines take the same, but what is said otherwise.
    fn rounds(case: &str, host: &str, ns: &[u64]) -> Rounds {
        let mut rounds = Rounds::new();
        for (case, host, baseline, _) in COMPARED {
            for host in [host, baseline] {
                let key = ((*case).to_owned(), (*host).to_owned());
                rounds.insert(key, vec![100; 3]);
            }
        }
        rounds.insert((case.to_owned(), host.to_owned()), ns.to_vec());
        rounds
    }

    fn missed(rounds: &Rounds) -> Vec<&'static str> {
        let figures = figures(rounds).expect("all is measured");
        let missed = figures.into_iter().filter(|figure| !figure.is_within());
        missed.map(|figure| figure.case).collect()
    }

    #[test]
    fn what_costs_too_much_is_missed() {
        assert!(missed(&rounds("64B/64B", "umd", &[115, 90, 300])).is_empty());
        let slow = rounds("64B/64B", "umd", &[116, 90, 300]);
        assert_eq!(missed(&slow), ["64B/64B"]);
        // Nobody judges that.
        assert!(missed(&rounds("64B/64B, unpinned", "umd", &[900; 3])).is_empty());
        // One start, two baselines.
        let slow = rounds("start to first reply", "umd", &[301; 3]);
        assert_eq!(missed(&slow).len(), 2);
    }

    #[test]
    fn the_ratio_is_that_of_pairs() {
        let mut rounds = rounds("64B/64B", "umd", &[110, 1_100, 220]);
        let key = ("64B/64B".to_owned(), "socketpair".to_owned());
        rounds.insert(key, vec![100, 1_000, 220]);
        let figures = figures(&rounds).expect("all is measured");
        let figure = figures.first().expect("a figure");
        assert!((figure.ratio - 1.1).abs() < 1e-9, "{figure:?}");
        assert_eq!((figure.ns, figure.baseline_ns), (220, 220));
        assert_eq!(figure.json()["limit"], 1.15);
    }

    #[test]
    fn what_was_not_measured_is_told() {
        let error = figures(&Rounds::new()).expect_err("nothing");
        assert!(error.to_string().contains("was not measured"));
    }
}
