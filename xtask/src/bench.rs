// SPDX-License-Identifier: MIT OR Apache-2.0
//! `bench`: what a round trip costs, against pipes in the same boot; and what a socket option costs with the
//! bpfilter driver, against the same kernel without it.
//!
//! The machine is deterministic and an instruction takes a nanosecond there, so that the figures are counts of
//! instructions and the same in every run.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::kbuild::Modules;
use crate::kernel::{Id, Kernel};
use crate::setup::{self, Setup};
use crate::{guest, kbuild, paths, plot, progress};

/// The hosts that the others are compared with, each in its cases.
const BASELINES: [&str; 2] = ["pipe", "stock"];

/// The median of one case on one host.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    /// What was exchanged.
    pub(crate) case: String,
    /// Over what.
    pub(crate) host: String,
    /// Nanoseconds, which are instructions.
    pub(crate) ns: u64,
    /// The host that it is compared with, and the same case there.
    pub(crate) baseline: Option<(&'static str, u64)>,
}

impl Figure {
    /// How it compares with that: less is better.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let (_, baseline) = self.baseline.filter(|(_, ns)| *ns > 0)?;
        Some(self.ns as f64 / baseline as f64)
    }

    fn json(&self, kernel: &str) -> Value {
        json!({
            "kernel": kernel,
            "host": self.host,
            "case": self.case,
            "ns": self.ns,
            "baseline": self.baseline.map(|(host, _)| host),
            "baseline_ns": self.baseline.map(|(_, ns)| ns),
            "ratio": self.ratio().map(|ratio| (ratio * 10_000.0).round() / 10_000.0),
        })
    }
}

/// What something may cost against its baseline: case, host, ratio. The machine is deterministic, so this cannot fail
/// by chance.
const LIMITS: &[(&str, &str, f64)] = &[
    ("4B/4B", "raw", 0.90),
    ("4B/4B", "call", 1.10),
    ("4B/128KiB", "raw", 0.35),
    ("4B/128KiB", "call", 0.40),
    ("getsockopt SO_TYPE", "hooked", 1.10),
    ("getsockopt IP_TTL", "hooked", 1.10),
    ("getsockopt IP 63", "hooked", 1.10),
    ("getsockopt IP 67", "hooked", 1.10),
    ("setsockopt IP 66", "hooked", 1.10),
    ("getsockopt IPv6 64", "hooked", 1.10),
];

/// A call that bpfilter's handler leaves to the kernel, and what that may add to it: so many of these round trips.
const FALLS_BACK: (&str, &str) = ("IPT_SO_GET_INFO", "hooked");
const ROUND_TRIP: (&str, &str) = ("4B/4B", "raw");
const ROUND_TRIPS: f64 = 1.3;

/// Measures on one kernel; with `as_json` nothing but the figures goes to standard output.
pub(crate) fn run(id: &Id, as_json: bool, setup: Setup) -> Result<()> {
    setup.packages(setup::VM)?;
    let kernel = id.prepare(setup)?;
    let modules = kbuild::build(&kernel, setup)?;
    let program = guest::build()?;
    let figures = measure(&kernel, &modules, &program)?;
    let svg = paths::umd()
        .join("bench")
        .join(format!("{}.svg", kernel.name));
    paths::write_if_changed(&svg, plot::svg(&kernel.release, &figures).as_bytes())?;
    if as_json {
        let list: Vec<Value> = figures
            .iter()
            .map(|figure| figure.json(&kernel.name))
            .collect();
        progress::print(&serde_json::to_string_pretty(&list).context("figures as JSON")?);
    } else {
        table(&figures)
            .iter()
            .for_each(|line| progress::print(line));
    }
    progress::note(&format!("plot: {}", svg.display()));
    Ok(())
}

/// Fails where a round trip costs more than it may.
pub(crate) fn check(kernel: &Kernel, modules: &Modules, program: &Path) -> Result<()> {
    within_limits(&measure(kernel, modules, program)?)
}

fn within_limits(figures: &[Figure]) -> Result<()> {
    let measured = |case: &str, host: &str| {
        figures
            .iter()
            .find(|figure| figure.case == case && figure.host == host)
            .with_context(|| format!("{case} over {host} was not measured"))
    };
    for (case, host, limit) in LIMITS {
        let figure = measured(case, host)?;
        let (baseline, _) = figure.baseline.unwrap_or_default();
        let ratio = figure
            .ratio()
            .with_context(|| format!("{case} over {host} has no baseline"))?;
        ensure!(
            ratio <= *limit,
            "{case} over {host} costs {ratio:.3} of what it costs over {baseline}; it may cost {limit:.2}"
        );
    }
    let (case, host) = FALLS_BACK;
    let figure = measured(case, host)?;
    let (_, without) = figure
        .baseline
        .with_context(|| format!("{case} over {host} has no baseline"))?;
    let round_trip = measured(ROUND_TRIP.0, ROUND_TRIP.1)?.ns;
    let added = figure.ns.saturating_sub(without) as f64 / round_trip as f64;
    ensure!(
        added <= ROUND_TRIPS,
        "{case} over {host} costs {added:.3} round trips more than without; it may cost {ROUND_TRIPS:.2}"
    );
    Ok(())
}

fn measure(kernel: &Kernel, modules: &Modules, program: &Path) -> Result<Vec<Figure>> {
    let machine = guest::machine(kernel, modules, program, &["bench"])?.deterministic(true);
    let mut samples = Vec::new();
    progress::step(
        &format!("bench {}", kernel.name),
        Duration::from_secs(60),
        || {
            let outcome = machine.run_lines(&mut |line| match sample(line) {
                Some(sample) => samples.push(sample),
                None => progress::note(&format!("guest: {line}")),
            })?;
            outcome.check()
        },
    )?;
    let figures = figures(&samples);
    ensure!(!figures.is_empty(), "the guest measured nothing");
    Ok(figures)
}

/// One line of the guest: case, host, nanoseconds.
pub(crate) fn sample(line: &str) -> Option<(String, String, u64)> {
    let value: Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    Some((text("case")?, text("host")?, value["ns"].as_u64()?))
}

/// The medians, in the order in which the guest first measured each.
fn figures(samples: &[(String, String, u64)]) -> Vec<Figure> {
    let mut order: Vec<(&str, &str)> = Vec::new();
    let mut rounds: BTreeMap<(&str, &str), Vec<u64>> = BTreeMap::new();
    for (case, host, ns) in samples {
        let key = (case.as_str(), host.as_str());
        if !order.contains(&key) {
            order.push(key);
        }
        rounds.entry(key).or_default().push(*ns);
    }
    let medians: BTreeMap<_, _> = rounds
        .into_iter()
        .filter_map(|(key, ns)| Some((key, median(ns)?)))
        .collect();
    order
        .iter()
        .filter_map(|(case, host)| {
            Some(Figure {
                case: (*case).to_owned(),
                host: (*host).to_owned(),
                ns: *medians.get(&(*case, *host))?,
                baseline: BASELINES
                    .into_iter()
                    .find_map(|host| Some((host, *medians.get(&(*case, host))?))),
            })
        })
        .collect()
}

pub(crate) fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

fn table(figures: &[Figure]) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<22} {:<6} {:>12} {:>18} {:>7}",
        "case", "host", "instructions", "baseline", "ratio"
    )];
    for figure in figures {
        let baseline = figure
            .baseline
            .map_or("-".to_owned(), |(host, ns)| format!("{host} {ns}"));
        let ratio = figure
            .ratio()
            .map_or("-".to_owned(), |ratio| format!("{ratio:.3}"));
        lines.push(format!(
            "{:<22} {:<6} {:>12} {baseline:>18} {ratio:>7}",
            figure.case, figure.host, figure.ns
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<(String, String, u64)> {
        let line = |case, host, ns| {
            sample(&format!(
                r#"{{"case":"{case}","host":"{host}","round":0,"ns":{ns}}}"#
            ))
            .expect("a sample")
        };
        vec![
            line("4B/4B", "raw", 70),
            line("4B/4B", "pipe", 100),
            line("4B/4B", "raw", 90),
            line("4B/4B", "pipe", 300),
            line("4B/4B", "raw", 80),
            line("4B/4B", "pipe", 200),
            line("kill to next reply", "call", 5000),
        ]
    }

    fn figure(case: &str, host: &str, ns: u64) -> Figure {
        Figure {
            case: case.to_owned(),
            host: host.to_owned(),
            ns,
            baseline: Some(("pipe", 1_000)),
        }
    }

    #[test]
    fn what_costs_too_much_fails() {
        let figures = |raw, falls_back| {
            let ns = |host: &str| if host == "raw" { raw } else { 300 };
            LIMITS
                .iter()
                .map(|(case, host, _)| figure(case, host, ns(host)))
                .chain([figure(FALLS_BACK.0, FALLS_BACK.1, falls_back)])
                .collect::<Vec<_>>()
        };
        assert!(within_limits(&figures(350, 1_000)).is_ok());
        assert!(within_limits(&figures(351, 1_000)).is_err());
        assert!(within_limits(&figures(350, 1_000)[1..]).is_err());
        assert!(within_limits(&figures(350, 1_455)).is_ok());
        assert!(within_limits(&figures(350, 1_456)).is_err());
    }

    #[test]
    fn medians_and_ratios() {
        let figures = figures(&samples());
        assert_eq!(figures.len(), 3);
        assert_eq!((figures[0].ns, figures[0].ratio()), (80, Some(0.4)));
        assert_eq!(
            (figures[1].host.as_str(), figures[1].ratio()),
            ("pipe", Some(1.0))
        );
        assert_eq!((figures[2].ns, figures[2].ratio()), (5000, None));
        let json = figures[0].json("6.12");
        assert_eq!(
            json,
            json!({"kernel": "6.12", "host": "raw", "case": "4B/4B", "ns": 80, "baseline": "pipe",
                   "baseline_ns": 200, "ratio": 0.4})
        );
        assert!(figures[2].json("6.12")["ratio"].is_null());
        assert!(
            table(&figures)[1].ends_with("0.400"),
            "{:?}",
            table(&figures)
        );
    }

    #[test]
    fn other_lines_are_no_samples() {
        assert_eq!(sample("# warming up"), None);
        assert_eq!(sample(r#"{"case":"x"}"#), None);
    }
}
