// SPDX-License-Identifier: MIT OR Apache-2.0
//! The suite: one file a topic.

mod bpfilter;
mod c_api;
mod callers;
mod checkers;
mod compute;
mod early;
mod farewell;
mod faults;
mod hook;
mod hostile;
mod hostile_callers;
mod injection;
mod leaks;
mod load;
mod lockdown;
mod no_bpf;
mod pgp;
mod pgp_bad;
mod pgp_hostile;
mod pgp_keyrings;
mod pgp_v6;
mod reach;
mod sample;
mod starts;
mod stress;
mod trace;
mod unload;

use anyhow::Result;

use crate::harness::{self, Context, Mode, Topic};

/// All topics. The first one looks at what happened before the suite began.
const TOPICS: &[&Topic] = &[
    &early::TOPIC,
    &load::TOPIC,
    &sample::TOPIC,
    &trace::TOPIC,
    &lockdown::TOPIC,
    &compute::TOPIC,
    &faults::TOPIC,
    &starts::TOPIC,
    &hostile::STRICT,
    &hostile::CUSTOM,
    &hostile::ALL,
    &callers::TOPIC,
    &hostile_callers::TOPIC,
    &unload::TOPIC,
    &hook::TOPIC,
    &c_api::calls::TOPIC,
    &c_api::faults::TOPIC,
    &c_api::misuse::TOPIC,
    &c_api::demand::TOPIC,
    &c_api::confinement::TOPIC,
    &c_api::modules::TOPIC,
    &c_api::sleep::TOPIC,
    &c_api::priority::TOPIC,
    &bpfilter::TOPIC,
    &pgp::TOPIC,
    &pgp_v6::TOPIC,
    &pgp_hostile::TOPIC,
    &pgp_bad::TOPIC,
    &reach::TOPIC,
    &stress::TOPIC,
    &leaks::TOPIC,
    &injection::TOPIC,
    &checkers::TOPIC,
];

/// Runs it. True if nothing failed.
pub(crate) fn run(context: Context, only: &str) -> Result<bool> {
    match context.mode {
        Mode::NoBpf => harness::run(&[&no_bpf::TOPIC], None, context, only),
        _ => harness::run(TOPICS, Some(&farewell::TOPIC), context, only),
    }
}

/// Runs what is about the keys that were brought along. True if nothing failed.
pub(crate) fn keyrings() -> Result<bool> {
    let context = Context {
        mode: Mode::Deterministic,
        seed: 0,
        full: true,
    };
    harness::run(&[&pgp_keyrings::TOPIC], None, context, "")
}
