// SPDX-License-Identifier: MIT OR Apache-2.0
//! The byte stream between host and handler, and the frames on it.
//!
//! Reads and writes may be partial on either side. [`Inbox`] asks for as much as its buffer holds,
//! so a request that the host hands over whole comes in by one read.

use crate::sys::{self, Errno};
use umd_core::frame::{HEADER_LEN, HELLO_ID, Header};

/// A byte stream in both directions.
pub trait Channel {
    /// Reads some bytes into `buffer` and says how many; 0 at the end of the stream.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Errno>;

    /// Writes some of `bytes` and says how many.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno>;
}

/// The handler's own channel: file descriptor 0 for requests, 1 for replies.
pub struct Stdio;

impl Channel for Stdio {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        sys::read(0, buffer)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        sys::write(1, bytes)
    }
}

/// Why a handler stops serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The host closed the channel between two requests.
    Closed,
    /// The channel failed, or ended inside a request.
    Broken,
    /// What came was not a request.
    Protocol,
    /// The handler made a reply longer than its buffer.
    Bug,
}

impl End {
    /// The exit status that tells the host.
    pub const fn exit_status(self) -> i32 {
        match self {
            Self::Closed => 0,
            Self::Broken => 1,
            Self::Protocol => 2,
            Self::Bug => sys::PANICKED,
        }
    }
}

/// A request frame that has come in.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Goes back in the reply.
    pub id: u32,
    /// The payload; `None` when it was longer than the buffer, and has been thrown away.
    pub payload: Option<&'a [u8]>,
}

/// Takes request frames off a channel.
pub struct Inbox<'b> {
    buffer: &'b mut [u8],
    /// Bytes at the buffer's front that have come in.
    filled: usize,
    /// How many of them belong to the request that was returned last.
    returned: usize,
}

impl<'b> Inbox<'b> {
    /// An inbox for requests that fit `buffer` together with their header.
    pub fn new(buffer: &'b mut [u8]) -> Self {
        Self {
            buffer,
            filled: 0,
            returned: 0,
        }
    }

    /// Waits for the next request.
    pub fn receive(&mut self, channel: &mut impl Channel) -> Result<Request<'_>, End> {
        self.forget_last();
        let header = loop {
            if let Some(bytes) = self.buffer.first_chunk()
                && self.filled >= HEADER_LEN
            {
                break Header::decode(bytes).map_err(|_| End::Protocol)?;
            }
            self.fill(channel)?;
        };
        if header.id == HELLO_ID || header.status != 0 {
            return Err(End::Protocol);
        }
        let length = HEADER_LEN.saturating_add(header.length as usize);
        if length > self.buffer.len() {
            self.throw_away(channel, length)?;
            return Ok(Request {
                id: header.id,
                payload: None,
            });
        }
        while self.filled < length {
            self.fill(channel)?;
        }
        self.returned = length;
        Ok(Request {
            id: header.id,
            payload: self.buffer.get(HEADER_LEN..length),
        })
    }

    /// Makes room: what has come in behind the last request moves to the front.
    fn forget_last(&mut self) {
        if self.filled > self.returned {
            self.buffer.copy_within(self.returned..self.filled, 0);
        }
        self.filled -= self.returned;
        self.returned = 0;
    }

    fn fill(&mut self, channel: &mut impl Channel) -> Result<(), End> {
        let room = self.buffer.get_mut(self.filled..).ok_or(End::Bug)?;
        match read(channel, room)? {
            0 if self.filled == 0 => Err(End::Closed),
            0 => Err(End::Broken),
            count => {
                self.filled += count;
                Ok(())
            }
        }
    }

    /// Reads to the end of a frame of `length` bytes, more than the buffer holds, so that the next
    /// frame is found.
    fn throw_away(&mut self, channel: &mut impl Channel, length: usize) -> Result<(), End> {
        let mut left = length - self.filled;
        self.filled = 0;
        while left > 0 {
            let room = left.min(self.buffer.len());
            match read(channel, self.buffer.get_mut(..room).ok_or(End::Bug)?)? {
                0 => return Err(End::Broken),
                count => left = left.saturating_sub(count),
            }
        }
        Ok(())
    }
}

/// Reads as much as `buffer` holds. The channel may end before the first byte, not after it.
pub fn read_all(channel: &mut impl Channel, buffer: &mut [u8]) -> Result<(), End> {
    let mut filled = 0;
    loop {
        match read(channel, buffer.get_mut(filled..).ok_or(End::Bug)?)? {
            0 if filled == 0 => return Err(End::Closed),
            0 => return Err(End::Broken),
            count => filled += count,
        }
        if filled == buffer.len() {
            return Ok(());
        }
    }
}

/// Writes all of `bytes`.
pub fn write_all(channel: &mut impl Channel, mut bytes: &[u8]) -> Result<(), End> {
    while !bytes.is_empty() {
        match channel.write(bytes) {
            Err(Errno::EINTR) => {}
            Err(_) | Ok(0) => return Err(End::Broken),
            Ok(count) => bytes = bytes.get(count..).ok_or(End::Broken)?,
        }
    }
    Ok(())
}

fn read(channel: &mut impl Channel, buffer: &mut [u8]) -> Result<usize, End> {
    loop {
        match channel.read(buffer) {
            Err(Errno::EINTR) => {}
            Err(_) => return Err(End::Broken),
            Ok(count) => return Ok(count),
        }
    }
}
