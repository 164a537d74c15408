// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lies in a reply, and replies that come in odd ways.

use crate::{busy, rogue};
use umd_core::frame::{HEADER_LEN, Header};
use umd_handler::channel::{Channel, End, Stdio, write_all};
use umd_handler::sys;
use umd_testkit::hostile::{Act, LONG};

/// More than a handler has.
pub(crate) const HUGE: usize = 1 << 40;

/// Does one of them.
pub(crate) fn lie(act: Act, id: u32, outbox: &mut Outbox) -> Result<(), End> {
    match act {
        Act::ShortDie => {
            outbox.half(id)?;
            sys::exit(9)
        }
        Act::ShortHang => {
            outbox.half(id)?;
            busy::spin()
        }
        Act::HeaderDie => {
            half_header(id)?;
            sys::exit(5)
        }
        Act::HeaderHang => {
            half_header(id)?;
            busy::spin()
        }
        Act::AnswerDie => {
            outbox.reply(id, b"gone")?;
            sys::exit(4)
        }
        Act::Long => outbox.long(id),
        Act::LengthMax => write_all(&mut Stdio, &Header::reply(id, u32::MAX, 0).encode()),
        Act::PromisesMore => outbox.promise(id, 64, b"five!"),
        Act::PromisesLess => outbox.promise(id, 2, b"five!"),
        Act::Overlong => outbox.promise(id, 8, b"overlong!"),
        Act::WrongId => outbox.reply(id.wrapping_add(1), b"wrong-id"),
        Act::OldId => outbox.reply(id.wrapping_sub(1), b"old-id"),
        Act::HelloAgain => write_all(&mut Stdio, &Header::hello().encode()),
        Act::WrongMagic => flipped(id, 0),
        Act::WrongVersion => flipped(id, 3),
        Act::RefuseLong => {
            write_all(&mut Stdio, &Header::reply(id, 5, 7).encode())?;
            write_all(&mut Stdio, b"five!")
        }
        Act::Noise => write_all(
            &mut Stdio,
            b"All of this is no frame, and does not want to be one.",
        ),
        Act::Twice => {
            outbox.reply(id, b"twice")?;
            outbox.reply(id, b"twice")
        }
        Act::Endless => loop {
            let _ = outbox.reply(id, b"endless");
        },
        Act::Drip => outbox.drip(id, b"drip", 0),
        Act::SlowDrip => outbox.drip(id, &[b'.'; 64], busy::A_WHILE),
        Act::WriteHuge => {
            let frame = outbox.frame(id, b"huge").as_ptr() as usize;
            rogue::attempt(rogue::nr::WRITE, [1, frame, HUGE, 0, 0, 0]);
            Ok(())
        }
        Act::Stderr => {
            let frame = outbox.frame(id, b"stderr");
            sys::write(2, frame).map(drop).map_err(|_| End::Broken)
        }
        _ => Ok(()),
    }
}

/// Half of a good header.
fn half_header(id: u32) -> Result<(), End> {
    let header = Header::reply(id, 4, 0).encode();
    write_all(&mut Stdio, &header[..HEADER_LEN / 2])
}

/// A good header but for one byte.
fn flipped(id: u32, at: usize) -> Result<(), End> {
    let mut header = Header::reply(id, 0, 0).encode();
    header[at] ^= 0x40;
    write_all(&mut Stdio, &header)
}

/// Where replies are made: room for a header, then the payload.
pub(crate) struct Outbox(&'static mut [u8]);

impl Outbox {
    pub(crate) fn new(buffer: &'static mut [u8]) -> Self {
        Self(buffer)
    }

    /// The right reply, with `payload`.
    pub(crate) fn reply(&mut self, id: u32, payload: &[u8]) -> Result<(), End> {
        self.promise(id, payload.len() as u32, payload)
    }

    /// Header, and as much payload as it says, in one write.
    pub(crate) fn send(&mut self, header: Header) -> Result<(), End> {
        self.0[..HEADER_LEN].copy_from_slice(&header.encode());
        write_all(&mut Stdio, &self.0[..HEADER_LEN + header.length as usize])
    }

    /// A header alone.
    pub(crate) fn send_header(&mut self, header: Header) -> Result<(), End> {
        write_all(&mut Stdio, &header.encode())
    }

    /// So many bytes.
    pub(crate) fn fill(&mut self, id: u32, count: usize) -> Result<(), End> {
        let room = self.0[HEADER_LEN..].iter_mut().take(count);
        for (byte, value) in room.zip((0..251).cycle()) {
            *byte = value;
        }
        self.send(Header::reply(id, count as u32, 0))
    }

    /// The right reply as it goes out.
    pub(crate) fn frame(&mut self, id: u32, payload: &[u8]) -> &mut [u8] {
        let header = Header::reply(id, payload.len() as u32, 0);
        self.0[..HEADER_LEN].copy_from_slice(&header.encode());
        self.0[HEADER_LEN..][..payload.len()].copy_from_slice(payload);
        &mut self.0[..HEADER_LEN + payload.len()]
    }

    /// A header that says `length`, and `payload`, in one write.
    fn promise(&mut self, id: u32, length: u32, payload: &[u8]) -> Result<(), End> {
        let frame = self.frame(id, payload);
        frame[..HEADER_LEN].copy_from_slice(&Header::reply(id, length, 0).encode());
        write_all(&mut Stdio, frame)
    }

    /// A header that says 64, and half of them.
    fn half(&mut self, id: u32) -> Result<(), End> {
        self.promise(id, 64, &[b'h'; 32])
    }

    /// Byte by byte, with so much computing before each.
    fn drip(&mut self, id: u32, payload: &[u8], rounds: u64) -> Result<(), End> {
        for byte in self.frame(id, payload).chunks(1) {
            busy::compute(rounds);
            Stdio.write(byte).map_err(|_| End::Broken)?;
        }
        Ok(())
    }

    fn long(&mut self, id: u32) -> Result<(), End> {
        write_all(&mut Stdio, &Header::reply(id, LONG, 0).encode())?;
        let mut left = LONG as usize;
        while left > 0 {
            let piece = left.min(self.0.len());
            write_all(&mut Stdio, &self.0[..piece])?;
            left -= piece;
        }
        Ok(())
    }
}
