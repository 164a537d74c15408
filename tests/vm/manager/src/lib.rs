// SPDX-License-Identifier: GPL-2.0-only
//! `umd_test.ko`: the test suite's hand in the kernel. It is never shipped.
//!
//! `/sys/kernel/security/umd_test` takes commands, one a write; the result of the last one is read
//! from the same open file. An open file owns at most one driver, which goes with it.
//!
//! | command | what it does |
//! | --- | --- |
//! | `load NAME` | registers a driver with the hostile blob; NAME chooses how it starts |
//! | `load-ill NAME` | the same, with a health check that always fails |
//! | `load-raw NAME` | the same, without frames |
//! | `load-custom NAME` | the same, with all system calls allowed |
//! | `blob BYTES` | adds these to a blob of the open file's own |
//! | `load-compute NAME` | registers a driver with that blob, or the hostile one, under the lockdown compute |
//! | `load-corrupt NAME` | the same, with a blob that is no executable |
//! | `load-empty NAME` | the same, with a blob of no bytes |
//! | `start` | starts a handler |
//! | `call SIZE REQUEST` | asks, with a reply buffer of SIZE bytes |
//! | `unload` | unregisters the driver |
//!
//! The result is `ok`, `ok LENGTH` and a newline and the reply, or `error ERRNO` and what it means.
#![no_std]

use core::ffi::CStr;
use umd_core::error::StartError;
use umd_core::lockdown::Lockdown;
use umd_core::policy::{Framing, Policy, Span};
use umd_core::syscall::Syscalls;
use umd_kernel::driver::{Driver, Handle, Probe};
use umd_kernel::ffi::memory::Buffer;
use umd_kernel::module::{Blob, Module};
use umd_kernel::securityfs::{File, Interface};
use umd_kernel::{Errno, Error};

/// Longest reply that a session can take, and room for the line before it.
const RESULT_MAX: usize = (1 << 20) + 64;

/// Longest blob of an open file's own.
const BLOB_MAX: usize = 4 << 20;

/// Of requests, and of starts.
const DEADLINE: Span = Span::from_millis(if cfg!(feature = "slow") { 5_000 } else { 500 });

const POLICY: Policy = Policy {
    deadline: DEADLINE,
    start_deadline: DEADLINE,
    ..Policy::DEFAULT
};

struct Framed;

impl Driver for Framed {
    const NAME: &'static CStr = c"test";
    const POLICY: Policy = POLICY;
}

struct Raw;

impl Driver for Raw {
    const NAME: &'static CStr = c"test-raw";
    const POLICY: Policy = Policy {
        framing: Framing::Raw,
        ..POLICY
    };
}

struct Custom;

impl Driver for Custom {
    const NAME: &'static CStr = c"test-custom";
    const POLICY: Policy = Policy {
        lockdown: Lockdown::Custom(Syscalls::ALL),
        ..POLICY
    };
}

struct Compute;

impl Driver for Compute {
    const NAME: &'static CStr = c"test-compute";
    const POLICY: Policy = Policy {
        lockdown: Lockdown::Compute,
        ..POLICY
    };
}

struct Ill;

impl Driver for Ill {
    const NAME: &'static CStr = c"test-ill";
    const POLICY: Policy = POLICY;

    fn health_check(_: &Probe<'_>) -> Result<(), Error> {
        Err(Error::Start(StartError::Health(Errno::EBADMSG)))
    }
}

/// Its health check never ends by itself: whoever starts it sits in an exchange.
struct Spinning;

impl Driver for Spinning {
    const NAME: &'static CStr = c"test-spin";

    fn health_check(probe: &Probe<'_>) -> Result<(), Error> {
        match probe.call(b"spin", &mut [0; 16]) {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::ConnectionReset),
        }
    }
}

enum AnyHandle {
    Framed(Handle<Framed>),
    Raw(Handle<Raw>),
    Custom(Handle<Custom>),
    Compute(Handle<Compute>),
    Ill(Handle<Ill>),
}

impl AnyHandle {
    fn start(&self) -> Result<(), Error> {
        match self {
            Self::Framed(handle) => handle.start(),
            Self::Raw(handle) => handle.start(),
            Self::Custom(handle) => handle.start(),
            Self::Compute(handle) => handle.start(),
            Self::Ill(handle) => handle.start(),
        }
    }

    fn call(&self, request: &[u8], reply: &mut [u8]) -> Result<usize, Error> {
        match self {
            Self::Framed(handle) => handle.call(request, reply),
            Self::Raw(handle) => handle.call(request, reply),
            Self::Custom(handle) => handle.call(request, reply),
            Self::Compute(handle) => handle.call(request, reply),
            Self::Ill(handle) => handle.call(request, reply),
        }
    }
}

/// One open file.
struct Session {
    handle: Option<AnyHandle>,
    blob: Option<Buffer>,
    blob_len: usize,
    reply: Buffer,
    result: Buffer,
    len: usize,
}

impl Session {
    fn clear(&mut self) {
        self.len = 0;
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = self.result.get_mut(self.len..).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(bytes) {
            *to = *from;
            self.len = self.len.saturating_add(1);
        }
    }

    fn push_number(&mut self, number: usize) {
        let rest = number / 10;
        if rest > 0 {
            self.push_number(rest);
        }
        self.push(&[b'0'.saturating_add((number % 10) as u8)]);
    }

    fn push_errno(&mut self, errno: Errno, what: &str) {
        self.push(b"error ");
        self.push_number(errno.get().unsigned_abs() as usize);
        self.push(b" ");
        self.push(what.as_bytes());
    }

    fn push_outcome(&mut self, outcome: Result<(), Error>) {
        match outcome {
            Ok(()) => self.push(b"ok"),
            Err(error) => self.push_errno(error.errno(), error.describe()),
        }
    }

    fn load(&mut self, handle: Result<AnyHandle, Errno>) {
        match handle {
            Ok(handle) => {
                self.handle = Some(handle);
                self.push(b"ok");
            }
            Err(errno) => self.push_errno(errno, "not registered"),
        }
    }

    fn add_to_blob(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let blob = match &mut self.blob {
            Some(blob) => blob,
            none => none.insert(Buffer::try_new(BLOB_MAX).map_err(|error| error.errno())?),
        };
        let room = blob.get_mut(self.blob_len..).unwrap_or_default();
        let room = room.get_mut(..bytes.len()).ok_or(Errno::EINVAL)?;
        for (to, from) in room.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.blob_len = self.blob_len.saturating_add(bytes.len());
        Ok(())
    }

    fn own_blob(&self) -> Option<&[u8]> {
        self.blob.as_ref()?.get(..self.blob_len)
    }

    fn call(&mut self, size: usize, request: &[u8]) -> Result<(), Errno> {
        let handle = self.handle.as_ref().ok_or(Errno::EINVAL)?;
        let reply = self.reply.get_mut(..size).ok_or(Errno::EINVAL)?;
        match handle.call(request, reply) {
            Ok(length) => {
                self.push(b"ok ");
                self.push_number(length);
                self.push(b"\n");
                let Self {
                    reply, result, len, ..
                } = self;
                let room = result.get_mut(*len..).unwrap_or_default();
                for (to, from) in room.iter_mut().zip(reply.iter().take(length)) {
                    *to = *from;
                }
                self.len = self.len.saturating_add(length);
            }
            Err(error) => self.push_errno(error.errno(), error.describe()),
        }
        Ok(())
    }
}

struct Commands {
    /// The module's own copy of the blob: drivers are registered long after init.
    blob: Buffer,
}

impl Commands {
    fn corrupt(&self) -> Result<Buffer, Errno> {
        let mut blob = Buffer::try_new(self.blob.len()).map_err(|error| error.errno())?;
        for (to, from) in blob.iter_mut().zip(self.blob.iter().skip(1)) {
            *to = *from;
        }
        Ok(blob)
    }
}

impl Interface for Commands {
    type Session = Session;

    const WRITE_MAX: usize = 4096;

    fn open(&self) -> Result<Session, Errno> {
        let buffer = || Buffer::try_new(RESULT_MAX).map_err(|error| error.errno());
        Ok(Session {
            handle: None,
            blob: None,
            blob_len: 0,
            reply: buffer()?,
            result: buffer()?,
            len: 0,
        })
    }

    fn write(&self, session: &mut Session, text: &[u8]) -> Result<usize, Errno> {
        session.clear();
        let (command, rest) = split(text);
        if command.starts_with(b"load") && session.handle.is_some() {
            return Err(Errno::EBUSY);
        }
        match command {
            b"load" => {
                let handle = name(rest, |name| Handle::register_as(name, &self.blob));
                session.load(handle.map(AnyHandle::Framed));
            }
            b"load-ill" => {
                let handle = name(rest, |name| Handle::register_as(name, &self.blob));
                session.load(handle.map(AnyHandle::Ill));
            }
            b"load-raw" => {
                let handle = name(rest, |name| Handle::register_as(name, &self.blob));
                session.load(handle.map(AnyHandle::Raw));
            }
            b"load-custom" => {
                let handle = name(rest, |name| Handle::register_as(name, &self.blob));
                session.load(handle.map(AnyHandle::Custom));
            }
            b"blob" => {
                session.add_to_blob(rest)?;
                session.push(b"ok");
            }
            b"load-compute" => {
                let blob = session.own_blob().unwrap_or(&self.blob);
                let handle = name(rest, |name| Handle::register_as(name, blob));
                session.load(handle.map(AnyHandle::Compute));
            }
            b"load-corrupt" => {
                let blob = self.corrupt()?;
                let handle = name(rest, |name| Handle::register_as(name, &blob));
                session.load(handle.map(AnyHandle::Framed));
            }
            b"load-empty" => {
                let handle = name(rest, |name| Handle::register_as(name, &[]));
                session.load(handle.map(AnyHandle::Framed));
            }
            b"start" => {
                let outcome = session.handle.as_ref().ok_or(Errno::EINVAL)?.start();
                session.push_outcome(outcome);
            }
            b"call" => {
                let (size, request) = split(rest);
                session.call(number(size).ok_or(Errno::EINVAL)?, request)?;
            }
            b"unload" => {
                session.handle.take().ok_or(Errno::EINVAL)?;
                session.push(b"ok");
            }
            _ => return Err(Errno::EINVAL),
        }
        Ok(text.len())
    }

    fn read(session: &Session) -> &[u8] {
        session.result.get(..session.len).unwrap_or_default()
    }
}

/// The first word, and what follows the space after it.
fn split(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| *byte == b' ');
    let end = end.unwrap_or(text.len());
    let rest = text.get(end.saturating_add(1)..).unwrap_or_default();
    (text.get(..end).unwrap_or_default(), rest)
}

fn number(digits: &[u8]) -> Option<usize> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// The text as a terminated string, for as long as `then` needs it.
fn name<R>(text: &[u8], then: impl FnOnce(&CStr) -> Result<R, Errno>) -> Result<R, Errno> {
    let mut terminated = [0; 64];
    let room = terminated.get_mut(..text.len()).ok_or(Errno::EINVAL)?;
    for (to, from) in room.iter_mut().zip(text) {
        *to = *from;
    }
    then(CStr::from_bytes_until_nul(&terminated).map_err(|_| Errno::EINVAL)?)
}

struct Test {
    _file: File<Commands>,
    _spinning: Handle<Spinning>,
}

impl Module for Test {
    fn init(blob: &Blob<'_>) -> Result<Self, Errno> {
        let mut copy = Buffer::try_new(blob.bytes().len()).map_err(|error| error.errno())?;
        for (to, from) in copy.iter_mut().zip(blob.bytes()) {
            *to = *from;
        }
        Ok(Self {
            _spinning: Handle::register(blob)?,
            _file: File::make(c"umd_test", 0o600, Commands { blob: copy })?,
        })
    }
}

umd_kernel::module::module!(Test);
