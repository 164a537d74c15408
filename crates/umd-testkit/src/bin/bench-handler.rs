// SPDX-License-Identifier: MIT OR Apache-2.0
//! Replies without content, of any length: see `umd_testkit::bench`.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::num::NonZeroU32;
use umd_handler::{Buffer, HEADER_LEN, Refusal, lockdown, name, run, run_raw};
use umd_testkit::bench::{MOST, raw_sizes};

fn main() -> ! {
    static REQUEST: Buffer<{ HEADER_LEN + MOST }> = Buffer::new();
    static REPLY: Buffer<{ HEADER_LEN + MOST }> = Buffer::new();
    let (request, reply) = (REQUEST.take(), REPLY.take());
    lockdown::lock_down();
    if let Some((asked, answered)) = raw_sizes(name()) {
        // Both lengths are at most MOST.
        run_raw(&mut request[..asked], &mut reply[..answered], |_, _| {})
    }
    run(request, reply, |request, reply| {
        let length = request
            .first_chunk()
            .map(|bytes| u32::from_le_bytes(*bytes) as usize);
        length
            .filter(|length| *length <= reply.len())
            .ok_or(Refusal::new(NonZeroU32::MIN))
    })
}

umd_handler::entry!(main);
