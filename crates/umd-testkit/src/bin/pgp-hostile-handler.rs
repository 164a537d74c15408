// SPDX-License-Identifier: MIT OR Apache-2.0
//! In the PGP driver's seat, it says what it is told: see `umd_testkit::pgp`.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::num::NonZeroU32;
use umd_handler::Refusal;
use umd_testkit::pgp::Order;

/// As much as the driver's own handler takes of a key, and more than that one answers.
const MOST_ASKED: usize = 128 << 10;
const MOST_TOLD: usize = 128 << 10;

umd_handler::handler!(request = MOST_ASKED, reply = MOST_TOLD, serve);

fn serve(request: &[u8], reply: &mut [u8]) -> Result<usize, Refusal> {
    match Order::read(request) {
        Some(Order::Reply(body)) => {
            let room = reply.get_mut(..body.len()).ok_or(Refusal::TOO_LONG)?;
            room.copy_from_slice(body);
            Ok(body.len())
        }
        Some(Order::Refuse(status)) => {
            Err(NonZeroU32::new(status).map_or(Refusal::TOO_LONG, Refusal::new))
        }
        // Without a hint that this is a wait: emulators take a hundred times as long for that.
        Some(Order::Spin) => loop {
            core::hint::black_box(request);
        },
        Some(Order::Panic) => panic!(),
        // As any handler: it does not know what this is.
        None => Err(Refusal::new(const { NonZeroU32::new(74).unwrap() })),
    }
}
