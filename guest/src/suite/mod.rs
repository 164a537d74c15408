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

use crate::harness::{self, Context, Mode, Only, Topic};

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

/// Runs the tests that are asked for. Returns true if none failed.
pub(crate) fn run(context: Context, words: &[&str]) -> Result<bool> {
    let topics = topics(context.mode);
    let farewell = (context.mode != Mode::NoBpf).then_some(&farewell::TOPIC);
    harness::run(topics, farewell, context, &only(words))
}

/// The full names of those tests.
pub(crate) fn names(mode: Mode, words: &[&str]) -> Vec<String> {
    let mut topics = topics(mode).to_vec();
    if mode != Mode::NoBpf {
        topics.push(&farewell::TOPIC);
    }
    harness::names(&topics, mode, &only(words))
}

fn topics(mode: Mode) -> &'static [&'static Topic] {
    match mode {
        Mode::NoBpf => &[&no_bpf::TOPIC],
        Mode::Deterministic | Mode::Smp => TOPICS,
    }
}

fn only(words: &[&str]) -> Only {
    let mut only = Only::default();
    for text in words {
        only.add(
            &[TOPICS, &[&farewell::TOPIC, &no_bpf::TOPIC]].concat(),
            text,
        );
    }
    only
}

/// Runs what is about the keys that were brought along. Returns true if nothing failed.
pub(crate) fn keyrings() -> Result<bool> {
    let context = Context {
        mode: Mode::Deterministic,
        seed: 0,
        full: true,
    };
    harness::run(&[&pgp_keyrings::TOPIC], None, context, &Only::default())
}
