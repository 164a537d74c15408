// SPDX-License-Identifier: MIT OR Apache-2.0
//! `umd-guest`: the side of tests, tour and benchmarks that runs as root inside the virtual machine.
//!
//! ```text
//! umd-guest suite --mode deterministic|smp|no-bpf [--only TEXT]… [--slowness N] [--seed N] [--full]
//!                                                          TAP; status 1 if anything failed
//! umd-guest list --mode … [--only TEXT]…                   the names of the tests that this would run
//! umd-guest demo                                           the tour; status 1 if anything was not so
//! umd-guest bench                                          one JSON line a measurement
//! umd-guest keyrings                                       TAP: each key in /usr/share/umd-keyrings
//! ```
//!
//! `--only` runs the tests of a topic, or those whose full name, `topic: name`, contains the text; with `--slowness` all
//! bounds of time are as many times wider; another `--seed` gives other interleavings and other random numbers; `--full`
//! makes all rounds of what by default is made a few times. There is also `umd-guest actor …`: what the suite runs as a process of
//! its own, to be killed or to be somebody else (`actor.rs`).
#![deny(unsafe_code)]

mod actor;
#[allow(unsafe_code)]
mod attack;
mod bench;
mod c_api;
mod demo;
mod driver;
#[allow(unsafe_code)]
mod frozen;
mod harness;
#[allow(unsafe_code)]
mod held;
mod injector;
mod iptables;
mod kernel;
#[allow(unsafe_code)]
mod keys;
mod modules;
mod pgp;
mod process;
mod processors;
#[allow(unsafe_code)]
mod raw;
mod sample;
mod session;
#[allow(unsafe_code)]
mod sockopt;
mod suite;
mod time;

use std::process::ExitCode;

use anyhow::Context as _;
use harness::Mode;

const USAGE: &str =
    "usage: umd-guest suite --mode deterministic|smp|no-bpf [--only TEXT]... [--slowness N]
                       [--seed N] [--full]
       umd-guest list --mode deterministic|smp|no-bpf [--only TEXT]...
       umd-guest demo
       umd-guest bench
       umd-guest keyrings";

/// Thousands of signatures take longer than a test may.
const KEYRINGS: u32 = 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["suite", options @ ..] => suite(options),
        ["list", options @ ..] => list(options),
        ["demo"] => demo::run(),
        ["bench"] => bench::run().map(|()| true),
        ["keyrings"] => {
            time::set_slowness(KEYRINGS);
            suite::keyrings()
        }
        ["actor", rest @ ..] => return actor::main(rest),
        _ => Err(anyhow::anyhow!("{USAGE}")),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("umd-guest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Parses the options: the machine, the length and the seed, and words in the names of tests.
fn options<'a>(words: &[&'a str]) -> anyhow::Result<(harness::Context, Vec<&'a str>)> {
    let (mut mode, mut only, mut seed, mut full) = (None, Vec::new(), 0, false);
    let mut options = words.iter().copied();
    while let Some(option) = options.next() {
        if option == "--full" {
            full = true;
            continue;
        }
        match (option, options.next().unwrap_or_default()) {
            ("--mode", "deterministic") => mode = Some(Mode::Deterministic),
            ("--mode", "smp") => mode = Some(Mode::Smp),
            ("--mode", "no-bpf") => mode = Some(Mode::NoBpf),
            ("--only", text) => only.push(text),
            ("--slowness", factor) => time::set_slowness(factor.parse()?),
            ("--seed", number) => seed = number.parse()?,
            (option, value) => anyhow::bail!("{option} {value}: what is that?\n{USAGE}"),
        }
    }
    let mode = mode.context(USAGE)?;
    Ok((harness::Context { mode, seed, full }, only))
}

fn suite(words: &[&str]) -> anyhow::Result<bool> {
    let (context, only) = options(words)?;
    if context.mode == Mode::Smp {
        processors::bring_up()?;
    }
    suite::run(context, &only)
}

fn list(words: &[&str]) -> anyhow::Result<bool> {
    let (context, only) = options(words)?;
    for name in suite::names(context.mode, &only) {
        println!("{name}");
    }
    Ok(true)
}
