// SPDX-License-Identifier: GPL-2.0-only
//! `umd_bench.ko`: round trips over umd's channel and over a pair of pipes, in the same kernel, with
//! the same handler. It is never shipped.
//!
//! `/sys/kernel/security/umd_bench` takes commands, one a write; the time that the last one took, in
//! nanoseconds, is read from the same open file.
//!
//! | command | what is measured |
//! | --- | --- |
//! | `pipes A B C D` | nothing: names the file descriptors of two pipes (read and write end each) |
//! | `load HOST REQUEST REPLY` | nothing: starts a handler for these sizes, and asks it once |
//! | `calls N` | N round trips with it |
//! | `start HOST` | a driver from nothing to its first reply, 4 bytes each way |
//! | `kill [PID]` | the handler that is loaded, once it is dead (PID: of umd's), to the next reply |
//!
//! HOST is `raw`, `call` or `pipe`.
#![no_std]

#[allow(unsafe_code)]
mod pipe;

use core::ffi::CStr;
use pipe::Pipe;
use umd_core::policy::{Framing, Instant, Policy};
use umd_kernel::driver::{Driver, Handle};
use umd_kernel::ffi::driver::now;
use umd_kernel::ffi::memory::Buffer;
use umd_kernel::module::{Blob, Module};
use umd_kernel::securityfs::{File, Interface};
use umd_kernel::{Errno, Error};

/// Largest message.
const MOST: usize = 128 * 1024;

struct Raw;

impl Driver for Raw {
    const NAME: &'static CStr = c"bench-raw";
    const POLICY: Policy = Policy {
        framing: Framing::Raw,
        ..Policy::DEFAULT
    };
}

struct Framed;

impl Driver for Framed {
    const NAME: &'static CStr = c"bench-call";
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Host {
    Raw,
    Call,
    Pipe,
}

impl Host {
    fn named(name: &[u8]) -> Result<Self, Errno> {
        match name {
            b"raw" => Ok(Self::Raw),
            b"call" => Ok(Self::Call),
            b"pipe" => Ok(Self::Pipe),
            _ => Err(Errno::EINVAL),
        }
    }
}

/// A handler in service. That behind pipes stays with the session.
enum Served {
    Raw(Handle<Raw>),
    Call(Handle<Framed>),
    Pipe,
}

struct Session {
    pipe: Option<Pipe>,
    served: Option<Served>,
    request_len: usize,
    reply_len: usize,
    request: Buffer,
    reply: Buffer,
    result: [u8; 20],
}

struct Commands {
    blob: Buffer,
}

fn errno(error: Error) -> Errno {
    error.errno()
}

impl Session {
    fn pipe(&self) -> Result<&Pipe, Errno> {
        self.pipe.as_ref().ok_or(Errno::EINVAL)
    }

    /// Ends what is in service.
    fn unload(&mut self) {
        if let Some(Served::Pipe) = self.served.take()
            && let Some(pipe) = &self.pipe
        {
            pipe.kill();
            pipe.unload();
        }
    }

    /// From nothing to the first reply.
    fn load(&mut self, host: Host, sizes: (usize, usize), blob: &[u8]) -> Result<(), Errno> {
        (self.request_len, self.reply_len) = sizes;
        if sizes.0 < 4 || sizes.0 > MOST || sizes.1 == 0 || sizes.1 > MOST {
            return Err(Errno::EINVAL);
        }
        // The framed handler is told the length of the reply; the others go by their name.
        let length = (sizes.1 as u32).to_le_bytes();
        for (to, from) in self.request.iter_mut().zip(length) {
            *to = from;
        }
        let mut terminated = [0; 32];
        let name = raw_name(&mut terminated, sizes)?;
        self.served = Some(match host {
            Host::Raw => Served::Raw(Handle::register_as(name, blob)?),
            Host::Call => Served::Call(Handle::register_as(Framed::NAME, blob)?),
            Host::Pipe => {
                self.pipe()?.load(name, blob)?;
                self.pipe()?.start()?;
                Served::Pipe
            }
        });
        self.call()
    }

    fn call(&mut self) -> Result<(), Errno> {
        let request = self.request.get(..self.request_len).unwrap_or_default();
        let reply = self.reply.get_mut(..self.reply_len).unwrap_or_default();
        match &self.served {
            Some(Served::Raw(handle)) => handle.call(request, reply).map(drop).map_err(errno),
            Some(Served::Call(handle)) => handle.call(request, reply).map(drop).map_err(errno),
            Some(Served::Pipe) => self
                .pipe
                .as_ref()
                .ok_or(Errno::EINVAL)?
                .call(request, reply),
            None => Err(Errno::EINVAL),
        }
    }

    /// Kills the handler and waits until it is gone; then the time to the next reply.
    fn kill(&mut self, pid: Option<i32>) -> Result<Instant, Errno> {
        match (&self.served, pid) {
            (Some(Served::Pipe), _) => self.pipe()?.kill(),
            (_, Some(pid)) => pipe::kill(pid),
            _ => return Err(Errno::EINVAL),
        }
        let begin = now();
        if let Some(Served::Pipe) = self.served {
            self.pipe()?.start()?;
        }
        self.call()?;
        Ok(begin)
    }

    fn report(&mut self, begin: Instant) {
        let mut nanos = now().since(begin).as_nanos();
        for digit in self.result.iter_mut().rev() {
            *digit = b'0'.saturating_add((nanos % 10) as u8);
            nanos /= 10;
        }
    }
}

/// The name by which the bench handler knows its sizes: `bench-raw-REQUEST-REPLY`.
fn raw_name(room: &mut [u8; 32], sizes: (usize, usize)) -> Result<&CStr, Errno> {
    let mut len: usize = 0;
    let mut push = |byte| {
        if let Some(to) = room.get_mut(len) {
            *to = byte;
            len = len.saturating_add(1);
        }
    };
    b"bench-raw".iter().copied().for_each(&mut push);
    for size in [sizes.0, sizes.1] {
        push(b'-');
        for unit in [100_000, 10_000, 1_000, 100, 10, 1] {
            let digits = size.checked_div(unit).unwrap_or_default();
            if digits > 0 {
                push(b'0'.saturating_add((digits % 10) as u8));
            }
        }
    }
    CStr::from_bytes_until_nul(room).map_err(|_| Errno::EINVAL)
}

impl Interface for Commands {
    type Session = Session;

    const WRITE_MAX: usize = 128;

    fn open(&self) -> Result<Session, Errno> {
        Ok(Session {
            pipe: None,
            served: None,
            request_len: 0,
            reply_len: 0,
            request: Buffer::try_new(MOST).map_err(errno)?,
            reply: Buffer::try_new(MOST).map_err(errno)?,
            result: [b'0'; 20],
        })
    }

    fn write(&self, session: &mut Session, text: &[u8]) -> Result<usize, Errno> {
        let mut words = text.split(|byte| *byte == b' ');
        let command = words.next().unwrap_or_default();
        let mut begin = now();
        match command {
            b"pipes" => {
                let mut fds = [0; 4];
                for fd in &mut fds {
                    *fd = number(words.next())? as i32;
                }
                session.pipe = Some(Pipe::new(fds)?);
            }
            b"load" => {
                session.unload();
                let host = Host::named(words.next().unwrap_or_default())?;
                let sizes = (number(words.next())?, number(words.next())?);
                session.load(host, sizes, &self.blob)?;
            }
            b"calls" => {
                let count = number(words.next())?;
                begin = now();
                for _ in 0..count {
                    session.call()?;
                }
            }
            b"start" => {
                session.unload();
                let host = Host::named(words.next().unwrap_or_default())?;
                begin = now();
                session.load(host, (4, 4), &self.blob)?;
            }
            b"kill" => {
                let pid = words.next().map(|word| number(Some(word))).transpose()?;
                begin = session.kill(pid.map(|pid| pid as i32))?;
            }
            _ => return Err(Errno::EINVAL),
        }
        session.report(begin);
        Ok(text.len())
    }

    fn read(session: &Session) -> &[u8] {
        &session.result
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.unload();
    }
}

fn number(word: Option<&[u8]>) -> Result<usize, Errno> {
    let word = word.ok_or(Errno::EINVAL)?;
    let text = core::str::from_utf8(word).map_err(|_| Errno::EINVAL)?;
    text.trim_ascii().parse().map_err(|_| Errno::EINVAL)
}

struct Bench {
    _file: File<Commands>,
}

impl Module for Bench {
    fn init(blob: &Blob<'_>) -> Result<Self, Errno> {
        let mut copy = Buffer::try_new(blob.bytes().len()).map_err(errno)?;
        for (to, from) in copy.iter_mut().zip(blob.bytes()) {
            *to = *from;
        }
        Ok(Self {
            _file: File::make(c"umd_bench", 0o600, Commands { blob: copy })?,
        })
    }
}

umd_kernel::module::module!(Bench);
