// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bpfilter driver's handler: it keeps the table `bpfilter`, and leaves all others to the kernel.
//!
//! The table is in this process's memory and ends with it. No packet is filtered by it yet.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use bpfilter_handler::{TABLE_MAX, Table};
use bpfilter_proto::{OPTION_MAX, REQUEST_MAX};
use umd_handler::{Buffer, Refusal};

umd_handler::handler!(request = REQUEST_MAX, reply = OPTION_MAX, {
    static MEMORY: Buffer<TABLE_MAX> = Buffer::new();
    let mut table = Table::new(MEMORY.take());
    move |message: &[u8], reply: &mut [u8]| {
        let answered = table.answer(message, reply);
        answered.map_err(|refusal| Refusal::new(refusal.errno()))
    }
});
