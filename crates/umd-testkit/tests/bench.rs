// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bench handler, framed and raw.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "shared with tests that need more of it")]
mod rig;

use rig::Handler;
use std::io::{Read, Write};
use umd_testkit::bench::MOST;

const PROGRAM: &str = env!("CARGO_BIN_EXE_bench-handler");

#[test]
fn framed_replies_have_the_length_that_was_asked_for() {
    let mut handler = Handler::ready(PROGRAM, "bench");
    for length in [0, 4, 64, MOST] {
        let mut request = [0; 64];
        request[..4].copy_from_slice(&(length as u32).to_le_bytes());
        for size in [4, 64] {
            let expected = (0, vec![0; length]);
            assert_eq!(handler.call(1, &request[..size]), expected);
        }
    }
    assert_eq!(handler.call(2, &u32::MAX.to_le_bytes()), (1, vec![]));
    assert_eq!(handler.call(3, b"abc"), (1, vec![]));
    assert_eq!(handler.close().code(), Some(0));
}

#[test]
fn raw_replies_have_the_length_in_the_name() {
    for (asked, answered) in [(4, 4), (64, 64), (4, MOST)] {
        let mut handler = Handler::start(PROGRAM, &format!("bench-raw-{asked}-{answered}"));
        for _ in 0..3 {
            let request = vec![7; asked];
            let (first, rest) = request.split_at(1);
            handler.channel.write_all(first).unwrap();
            handler.channel.write_all(rest).unwrap();
            let mut reply = vec![1; answered];
            handler.channel.read_exact(&mut reply).unwrap();
            assert_eq!(reply, vec![0; answered]);
        }
        assert_eq!(handler.status("Seccomp"), "1");
        assert_eq!(handler.close().code(), Some(0));
    }
}
