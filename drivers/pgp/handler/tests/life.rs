// SPDX-License-Identifier: MIT OR Apache-2.0
//! The PGP handler as a process: locked down, and nothing kept from one request to the next.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod judge;
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod packets;
#[path = "../../../../crates/umd-testkit/tests/rig/mod.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod rig;

use packets::{OWN, inline, packet, small};
use pgp_proto::{INPUT_MAX, Refusal, Request};
use rig::Handler;

fn pgp() -> Handler {
    Handler::ready(env!("CARGO_BIN_EXE_pgp-handler"), "pgp")
}

fn call(handler: &mut Handler, request: &Request, input: &[u8]) -> Result<Vec<u8>, Refusal> {
    let message = [&request.encode(input.len() as u32)[..], input].concat();
    match handler.call(1, &message) {
        (0, reply) => Ok(reply),
        (status, reply) => {
            assert!(reply.is_empty());
            Err(Refusal::from_status(status).unwrap())
        }
    }
}

#[test]
fn is_locked_down_when_it_says_hello() {
    assert_eq!(pgp().status("Seccomp"), "1");
}

#[test]
fn says_what_the_library_says() {
    let mut handler = pgp();
    let key = small();
    let message = inline(b"hello");
    let armor = b"-----BEGIN PGP MESSAGE-----\n\naGVsbG8h\n-----END PGP MESSAGE-----\n";
    for _ in 0..2 {
        for (request, input) in [
            (Request::Key(OWN), &key[..]),
            (Request::Ring, &key),
            (Request::Message, &message),
            (Request::Armor, armor),
            (Request::Signature, &message),
            (Request::Cleartext, armor),
            (Request::Rpm, armor),
            (Request::Key(OWN), &key[..100]),
        ] {
            let expected = packets::ask(&request, input);
            assert_eq!(call(&mut handler, &request, input), expected);
        }
    }
    assert_eq!(handler.close().code(), Some(0));
}

#[test]
fn what_is_no_request_is_refused() {
    let mut handler = pgp();
    let invalid = Refusal::Invalid.errno().get();
    assert_eq!(handler.call(7, b""), (invalid, vec![]));
    assert_eq!(handler.call(8, &[0xff; 100]), (invalid, vec![]));
    assert_eq!(handler.close().code(), Some(0));
}

#[test]
fn takes_the_longest_input() {
    let mut handler = pgp();
    let mut longest = small();
    let rest = INPUT_MAX - longest.len() - 6;
    longest.extend(packet(21, &vec![0x55; rest]));
    assert_eq!(longest.len(), INPUT_MAX);
    let expected = packets::ask(&Request::Key(OWN), &small());
    assert_eq!(call(&mut handler, &Request::Key(OWN), &longest), expected);
    let begin = "-----BEGIN PGP SIGNATURE-----\n\n";
    let end = "\n-----END PGP SIGNATURE-----\n";
    let characters = (INPUT_MAX - begin.len() - end.len()) / 4 * 4;
    let armor = format!("{begin}{}{end}", "A".repeat(characters));
    let reply = call(&mut handler, &Request::Armor, armor.as_bytes()).unwrap();
    assert_eq!(
        reply.len(),
        pgp_proto::ARMOR_HEADER_LEN + characters / 4 * 3
    );
}
