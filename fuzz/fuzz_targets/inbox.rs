// SPDX-License-Identifier: MIT OR Apache-2.0
//! A handler's side of a channel: whatever bytes come, in whatever pieces, each request that it takes
//! is one that was there, and it stops where they stop being requests.
#![no_main]

use libfuzzer_sys::fuzz_target;
use umd_core::frame::{HEADER_LEN, HELLO_ID, Header};
use umd_fuzz::Script;
use umd_handler::channel::{Channel, End, Inbox};
use umd_handler::sys::Errno;

/// Brings the bytes in pieces, and signals in between.
struct Pieces<'b> {
    sizes: Script<'b>,
    bytes: Script<'b>,
}

impl Channel for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        assert!(!buffer.is_empty(), "a read of nothing looks like the end");
        let size = match self.sizes.byte() {
            0 => buffer.len(),
            255 => return Err(Errno::EINTR),
            size => usize::from(size).min(buffer.len()),
        };
        let piece = self.bytes.bytes(size);
        buffer[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }

    fn write(&mut self, _: &[u8]) -> Result<usize, Errno> {
        panic!("an inbox does not write");
    }
}

/// The request at the front of the bytes, as the wire's description has it.
fn next<'b>(bytes: &mut &'b [u8]) -> Result<(u32, &'b [u8]), End> {
    if bytes.is_empty() {
        return Err(End::Closed);
    }
    let (header, rest) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(End::Broken)?;
    let header = Header::decode(header).map_err(|_| End::Protocol)?;
    if header.id == HELLO_ID || header.status != 0 {
        return Err(End::Protocol);
    }
    let payload = rest.get(..header.length as usize).ok_or(End::Broken)?;
    *bytes = &rest[payload.len()..];
    Ok((header.id, payload))
}

fuzz_target!(|data: &[u8]| {
    let mut script = Script::new(data);
    let room = HEADER_LEN + usize::from(script.byte());
    let count = script.byte().into();
    let sizes = Script::new(script.bytes(count));
    let mut expected = script.rest();
    let mut channel = Pieces {
        sizes,
        bytes: Script::new(expected),
    };
    let mut buffer = vec![0x5a; room];
    let mut inbox = Inbox::new(&mut buffer);
    loop {
        let request = inbox.receive(&mut channel);
        match (request, next(&mut expected)) {
            (Ok(request), Ok((id, payload))) => {
                assert_eq!(request.id, id);
                let fits = HEADER_LEN + payload.len() <= room;
                assert_eq!(request.payload, fits.then_some(payload));
            }
            (Err(end), Err(why)) => {
                assert_eq!(end, why);
                return;
            }
            (request, expected) => panic!("{request:?}, and not {expected:?}"),
        }
    }
});
