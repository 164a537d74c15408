// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sample driver's handler: 128 KiB in which the byte that was asked for is 1.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use sample_proto::{BAD_REQUEST, REPLY_LEN, REQUEST_LEN, Request};
use umd_handler::Refusal;

fn serve(request: &[u8], reply: &mut [u8]) -> Result<usize, Refusal> {
    let request = Request::decode(request).map_err(|_| Refusal::new(BAD_REQUEST))?;
    reply.fill(0);
    if let Some(byte) = reply.get_mut(request.offset() as usize) {
        *byte = 1;
    }
    Ok(reply.len())
}

umd_handler::handler!(request = REQUEST_LEN, reply = REPLY_LEN, serve);
