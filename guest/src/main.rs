// SPDX-License-Identifier: MIT OR Apache-2.0
//! `umd-guest`: the side of tests, tour and benchmarks that runs as root inside the virtual machine.
//!
//! ```text
//! umd-guest suite --mode deterministic|smp|no-bpf [--only TEXT]   TAP; status 1 if anything failed
//! umd-guest demo                                           the tour; status 1 if anything was not so
//! umd-guest bench                                          one JSON line a measurement
//! ```
//!
//! `--only` runs the tests whose name, `topic: name`, contains the text. There is also `umd-guest actor …`:
//! what the suite runs as a process of its own, to be killed or to be somebody else (`actor.rs`).
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
mod iptables;
mod kernel;
mod modules;
mod process;
#[allow(unsafe_code)]
mod raw;
mod sample;
mod session;
#[allow(unsafe_code)]
mod sockopt;
mod suite;
mod time;

use std::process::ExitCode;

use harness::Mode;

const USAGE: &str = "usage: umd-guest suite --mode deterministic|smp|no-bpf [--only TEXT]
       umd-guest demo
       umd-guest bench";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["suite", "--mode", mode] => suite(mode, ""),
        ["suite", "--mode", mode, "--only", only] => suite(mode, only),
        ["demo"] => demo::run(),
        ["bench"] => bench::run().map(|()| true),
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

fn suite(mode: &str, only: &str) -> anyhow::Result<bool> {
    let mode = match mode {
        "deterministic" => Mode::Deterministic,
        "smp" => Mode::Smp,
        "no-bpf" => Mode::NoBpf,
        _ => anyhow::bail!("--mode {mode}: the modes are deterministic, smp and no-bpf"),
    };
    suite::run(mode, only)
}
