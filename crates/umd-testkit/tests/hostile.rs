// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hostile handler does what its documentation says, so that a test which it does not trouble
//! has been passed by the host.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "shared with tests that need more of it")]
mod rig;

use rig::{Handler, is_root};
use std::os::unix::process::ExitStatusExt;
use umd_core::frame::{FrameError, HEADER_LEN, Header};
use umd_handler::Refusal;
use umd_testkit::hostile::{LONG, MOST, Start, UNKNOWN, UNKNOWN_NAME};

const PROGRAM: &str = env!("CARGO_BIN_EXE_hostile-handler");
const SIGKILL: i32 = 9;
const SIGSEGV: i32 = 11;

fn start(start: Start) -> Handler {
    Handler::start(PROGRAM, start.name())
}

fn ready(start: Start) -> Handler {
    Handler::ready(PROGRAM, start.name())
}

fn hello() -> Vec<u8> {
    Header::hello().encode().to_vec()
}

#[test]
fn dies_before_its_hello() {
    let (bytes, status) = start(Start::Exit).rest();
    assert_eq!((bytes, status.code()), (vec![], Some(7)));
    let (bytes, status) = start(Start::Segv).rest();
    assert_eq!((bytes, status.signal()), (vec![], Some(SIGSEGV)));
    let (bytes, status) = Handler::start(PROGRAM, "hostile-typo").rest();
    assert_eq!((bytes, status.code()), (vec![], Some(UNKNOWN_NAME)));
}

#[test]
fn never_says_hello() {
    let mut handler = start(Start::Silent);
    assert!(handler.lives());
    handler.channel.set_nonblocking(true).unwrap();
    let error = std::io::Read::read(&mut handler.channel, &mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn says_a_wrong_hello() {
    for (start_, wrong) in [
        (Start::BadMagic, FrameError::Magic),
        (Start::Version, FrameError::Version(0x41)),
    ] {
        let mut handler = start(start_);
        let mut bytes = [0; HEADER_LEN];
        std::io::Read::read_exact(&mut handler.channel, &mut bytes).unwrap();
        assert_eq!(Header::decode(&bytes), Err(wrong));
    }
}

#[test]
fn keeps_what_it_should_give_up() {
    let lax = ready(Start::Lax);
    assert_eq!(lax.status("Seccomp"), "0");
    let thread = ready(Start::Thread);
    assert_eq!(thread.status("Threads"), "2");
    if !is_root() {
        return;
    }
    let root = ready(Start::Root);
    assert_eq!(root.status("Uid"), "0\t0\t0\t0");
    let caps = ready(Start::Caps);
    assert_eq!(caps.status("CapEff"), "0000000000000080");
    for handler in [lax, thread, caps] {
        assert_eq!(handler.status("Uid"), "65534\t65534\t65534\t65534");
    }
}

#[test]
fn every_start_but_the_lax_one_asks_for_strict_mode() {
    for start in [
        Start::Normal,
        Start::Root,
        Start::Caps,
        Start::Thread,
        Start::Early,
        Start::HalfRead,
    ] {
        assert_eq!(ready(start).status("Seccomp"), "1", "{start:?}");
    }
}

#[test]
fn misbehaves_after_its_hello() {
    let (bytes, status) = start(Start::Crash).rest();
    assert_eq!((bytes, status.code()), (hello(), Some(8)));

    let mut early = ready(Start::Early);
    assert_eq!(early.receive(), (Header::reply(1, 5, 0), b"early".to_vec()));
    assert_eq!(early.call(1, b"echo on"), (0, b"on".to_vec()));

    let mut half = ready(Start::HalfRead);
    half.send(1, b"echo never");
    let (bytes, status) = half.rest();
    assert_eq!((bytes, status.code()), (vec![], Some(3)));

    let mut hasty = ready(Start::Hasty);
    hasty.send(7, b"echo never");
    assert_eq!(hasty.receive(), (Header::reply(7, 5, 0), b"hasty".to_vec()));
}

#[test]
fn answers_when_it_is_asked_nicely() {
    let mut handler = ready(Start::Normal);
    assert_eq!(handler.call(1, b"echo a b"), (0, b"a b".to_vec()));
    assert_eq!(handler.call(2, b"echo "), (0, vec![]));
    assert_eq!(handler.call(3, b"status"), (0, b"hostile".to_vec()));
    assert_eq!(handler.call(4, b"refuse 77"), (77, vec![]));
    assert_eq!(handler.call(5, b"nonsense"), (UNKNOWN, vec![]));
    assert_eq!(
        handler.call(6, &vec![b'x'; MOST + 1]),
        (Refusal::TOO_LONG.status(), vec![])
    );
    for count in [0, 1, 251, 70_000, MOST] {
        let expected = (0..count).map(|index| (index % 251) as u8).collect();
        let ask = format!("fill {count}");
        assert_eq!(handler.call(7, ask.as_bytes()), (0, expected));
    }
    handler.send(8, b"ignore");
    assert_eq!(
        handler.call(9, b"echo still here"),
        (0, b"still here".to_vec())
    );
    assert_eq!(handler.close().code(), Some(0));
}

#[test]
fn dies_of_a_request() {
    for (ask, code, signal) in [
        (&b"exit 7"[..], Some(7), None),
        (b"exit 0", Some(0), None),
        (b"segv", None, Some(SIGSEGV)),
        (b"syscall", None, Some(SIGKILL)),
    ] {
        let mut handler = ready(Start::Normal);
        handler.send(1, ask);
        let (bytes, status) = handler.rest();
        assert_eq!(
            (bytes, status.code(), status.signal()),
            (vec![], code, signal)
        );
    }
}

#[test]
fn makes_a_forbidden_call_where_nothing_forbids_it() {
    assert_eq!(
        ready(Start::Lax).call(1, b"syscall"),
        (0, b"allowed".to_vec())
    );
}

#[test]
fn spins() {
    let mut handler = ready(Start::Normal);
    handler.send(1, b"spin");
    assert!(handler.lives());
}

#[test]
fn sends_half_a_reply() {
    let mut handler = ready(Start::Normal);
    handler.send(5, b"short-die");
    let (bytes, status) = handler.rest();
    assert_eq!(bytes[..HEADER_LEN], Header::reply(5, 64, 0).encode());
    assert_eq!((bytes.len(), status.code()), (HEADER_LEN + 32, Some(9)));

    let mut handler = ready(Start::Normal);
    handler.send(5, b"short-hang");
    let mut bytes = [0; HEADER_LEN + 32];
    std::io::Read::read_exact(&mut handler.channel, &mut bytes).unwrap();
    assert!(handler.lives());
}

#[test]
fn sends_wrong_replies() {
    let mut handler = ready(Start::Normal);
    handler.send(1, b"long");
    let (header, payload) = handler.receive();
    assert_eq!(header, Header::reply(1, LONG, 0));
    assert_eq!(payload.len(), LONG as usize);

    handler.send(2, b"wrong-id");
    assert_eq!(handler.receive().0.id, 3);

    handler.send(4, b"twice");
    assert_eq!(
        handler.receive(),
        (Header::reply(4, 5, 0), b"twice".to_vec())
    );
    assert_eq!(
        handler.receive(),
        (Header::reply(4, 5, 0), b"twice".to_vec())
    );

    handler.send(5, b"wrong-magic");
    let mut bytes = [0; HEADER_LEN];
    std::io::Read::read_exact(&mut handler.channel, &mut bytes).unwrap();
    assert_eq!(Header::decode(&bytes), Err(FrameError::Magic));
}
