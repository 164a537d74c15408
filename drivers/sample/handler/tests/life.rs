// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sample handler as a process: its start, its replies, its end.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../../crates/umd-testkit/tests/rig/mod.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod rig;

use rig::{Handler, is_root};
use sample_proto::{BAD_REQUEST, REPLY_LEN, Request, check};
use std::io::Write;
use umd_core::frame::{HEADER_LEN, Header};
use umd_handler::Refusal;

fn sample() -> Handler {
    Handler::ready(env!("CARGO_BIN_EXE_sample-handler"), "sample")
}

#[test]
fn is_locked_down_when_it_says_hello() {
    let handler = sample();
    assert_eq!(handler.status("Seccomp"), "1");
    assert_eq!(handler.status("Threads"), "1");
    if is_root() {
        assert_eq!(handler.status("Uid"), "65534\t65534\t65534\t65534");
        assert_eq!(handler.status("Gid"), "65534\t65534\t65534\t65534");
        assert_eq!(handler.status("Groups"), "");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(handler.status(set), "0000000000000000");
        }
    }
}

#[test]
fn marks_the_byte_that_was_asked_for() {
    let mut handler = sample();
    for (offset, id) in [0, 1, 77_777, 131_071, 5].into_iter().zip(1..) {
        let request = Request::new(offset).unwrap();
        let (status, reply) = handler.call(id, &request.encode());
        assert_eq!(status, 0);
        assert_eq!(check(request, &reply), Ok(()));
    }
    assert_eq!(handler.close().code(), Some(0));
}

#[test]
fn takes_a_request_in_pieces() {
    let mut handler = sample();
    let request = Request::new(4711).unwrap();
    let header = Header::request(9, 4).encode();
    let frame = [&header[..], &request.encode()].concat();
    for size in [1, 3, 7, HEADER_LEN, 19] {
        for piece in frame.chunks(size) {
            handler.channel.write_all(piece).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let (header, reply) = handler.receive();
        assert_eq!(header, Header::reply(9, REPLY_LEN as u32, 0));
        assert_eq!(check(request, &reply), Ok(()));
    }
    assert_eq!(handler.close().code(), Some(0));
}

#[test]
fn refuses_what_is_no_request_of_the_sample() {
    let mut handler = sample();
    let bad = (BAD_REQUEST.get(), vec![]);
    assert_eq!(handler.call(1, b""), bad);
    assert_eq!(handler.call(2, b"abc"), bad);
    assert_eq!(handler.call(3, &131_072_u32.to_le_bytes()), bad);
    assert_eq!(
        handler.call(4, &[0; 1000]),
        (Refusal::TOO_LONG.status(), vec![])
    );
    assert_eq!(handler.call(5, &[0; 4]).0, 0);
    assert_eq!(handler.close().code(), Some(0));
}

#[test]
fn ends_at_a_frame_that_is_none() {
    for bytes in [*b"nonsense, really", Header::hello().encode()] {
        let mut handler = sample();
        handler.channel.write_all(&bytes).unwrap();
        let (output, status) = handler.rest();
        assert_eq!(output, b"");
        assert_eq!(status.code(), Some(2));
    }
}

#[test]
fn ends_with_an_error_when_the_channel_ends_inside_a_request() {
    let mut handler = sample();
    handler.channel.write_all(b"umd").unwrap();
    assert_eq!(handler.close().code(), Some(1));
}
