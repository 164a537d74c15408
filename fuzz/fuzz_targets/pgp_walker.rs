// SPDX-License-Identifier: MIT OR Apache-2.0
//! Anybody's bytes before PGP's handler: what it says of them is so, and nothing is left out.
#![no_main]

#[path = "../../drivers/pgp/handler/tests/judge/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "shared with the handler's own tests"
)]
mod judge;

use libfuzzer_sys::fuzz_target;
use pgp_proto::{ARMOR_HEADER_LEN, Fingerprint, REPLY_MAX, Request};
use std::cell::RefCell;

thread_local! {
    static REPLY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

const REQUESTS: [Request; 8] = [
    Request::Key(Fingerprint::V4([7; 20])),
    Request::Key(Fingerprint::V6([7; 32])),
    Request::Ring,
    Request::Signature,
    Request::Message,
    Request::Cleartext,
    Request::Armor,
    Request::Rpm,
];

fuzz_target!(|data: &[u8]| {
    let Some((which, input)) = data.split_first() else {
        return;
    };
    let request = &REQUESTS[usize::from(*which) % REQUESTS.len()];
    let message = [&request.encode(input.len() as u32)[..], input].concat();
    REPLY.with_borrow_mut(|reply| {
        reply.resize(REPLY_MAX.max(ARMOR_HEADER_LEN + input.len()), 0);
        let outcome = pgp_handler::answer(&message, reply);
        judge::judge(request, input, outcome.map(|length| &reply[..length]));
    });
});
