// SPDX-License-Identifier: MIT OR Apache-2.0
//! The PGP driver's handler. It keeps nothing from one request to the next.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use pgp_proto::{ARMOR_REPLY_MAX, REQUEST_MAX};
use umd_handler::Refusal;

umd_handler::handler!(request = REQUEST_MAX, reply = ARMOR_REPLY_MAX, answer);

fn answer(message: &[u8], reply: &mut [u8]) -> Result<usize, Refusal> {
    let answered = pgp_handler::answer(message, reply);
    answered.map_err(|refusal| Refusal::new(refusal.errno()))
}
