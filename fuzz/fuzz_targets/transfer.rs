// SPDX-License-Identifier: MIT OR Apache-2.0
//! One channel between a host that keeps the rules and a handler that keeps none: nothing is copied
//! beyond the buffers or after they are gone, and what is called an answer is one.
#![no_main]

#[path = "../../crates/umd-core/tests/support/play.rs"]
#[allow(dead_code, reason = "shared with the core's own tests")]
mod play;
#[path = "../../crates/umd-core/tests/support/mod.rs"]
#[allow(dead_code, reason = "shared with the core's own tests")]
mod support;

use libfuzzer_sys::fuzz_target;
use play::{Act, play};
use umd_core::policy::Framing;
use umd_fuzz::Script;

/// Longer plays find nothing new, and are slow.
const ACTS: usize = 64;

fn act(script: &mut Script<'_>) -> Act {
    let size = |script: &mut Script<'_>, end| usize::from(script.below(end));
    match script.below(12) {
        0 => Act::Read(1 + size(script, 40)),
        1 => {
            let count = 1 + size(script, 20);
            match script.bytes(count) {
                [] => Act::Close,
                bytes => Act::Write(bytes.to_vec()),
            }
        }
        2 => Act::Frame {
            right_id: script.flip(),
            len: size(script, 12),
            status: u32::from(script.below(3)),
        },
        3 => Act::Hello,
        4 => Act::Behave,
        5 => Act::Close,
        6 => Act::Admit,
        7 => Act::Submit {
            len: size(script, 20),
            capacity: size(script, 10),
            any: script.flip(),
        },
        8 => Act::Collect,
        9 => Act::Withdraw,
        10 => Act::Abort,
        _ => Act::Pass(script.below(30).into()),
    }
}

fuzz_target!(|data: &[u8]| {
    let mut script = Script::new(data);
    let framing = match script.below(3) {
        0 => Framing::Framed,
        1 => Framing::Raw,
        _ => Framing::Stream,
    };
    let admitted = script.flip();
    let mut acts = vec![];
    while !script.is_over() && acts.len() < ACTS {
        acts.push(act(&mut script));
    }
    play(framing, admitted, &acts);
});
