// SPDX-License-Identifier: GPL-2.0-only
//! The bpfilter driver's manager, `bpfilter_umd.ko`.
//!
//! `iptables-legacy` speaks to the kernel by five IPv4 socket options. Here each such call goes to
//! the handler first, as bytes. What the handler does not want, and what it cannot answer because it
//! is not there, dead or late, the kernel's own ip_tables serves as if this module were not loaded.
//! `docs/bpfilter.md` tells more.
#![no_std]

use bpfilter_proto::{
    HEADER_LEN, NAME, OPTION_MAX, OldCounters, REQUEST_MAX, Refusal, Request, abi,
};
use core::ffi::CStr;
use core::ops::Range;
use umd_core::policy::{Policy, Span};
use umd_kernel::driver::{Driver, Handle, Probe};
use umd_kernel::ffi::memory::Buffer;
use umd_kernel::module::{Blob, Module};
use umd_kernel::sockopt::{Answer, Call, Hook, Options};
use umd_kernel::{Errno, Error};

/// The module that carries the handler.
const LOADER: &CStr = c"bpfilter_umd_loader";

/// Errors beyond this are none that a system call returns.
const LAST_ERRNO: u32 = 133;

struct Bpfilter;

impl Driver for Bpfilter {
    const NAME: &'static CStr = NAME;
    const POLICY: Policy = Policy {
        deadline: Span::from_millis(1_000),
        start_deadline: Span::from_millis(1_000),
        request_max: REQUEST_MAX,
        ..Policy::DEFAULT
    };

    /// It refuses what nobody can answer, else it would come between the kernel and its users; and it
    /// knows its own table.
    fn health_check(probe: &Probe<'_>) -> Result<(), Error> {
        let nobodys = Request {
            is_set: false,
            pid: 0,
            command: u32::MAX,
        };
        let Err(Errno::EREMOTEIO) = probe.call(&nobodys.encode(0), &mut []) else {
            return Err(Error::ConnectionReset);
        };
        let own = Request {
            command: abi::GET_INFO,
            ..nobodys
        };
        let option = NAME.to_bytes().iter().copied().chain(core::iter::repeat(0));
        let header = own.encode(abi::info::LEN as u32);
        let mut request = [0; HEADER_LEN + abi::info::LEN];
        for (to, from) in request.iter_mut().zip(header.into_iter().chain(option)) {
            *to = from;
        }
        match probe.call(&request, &mut [0; abi::info::LEN]) {
            Ok(abi::info::LEN) => Ok(()),
            _ => Err(Error::ConnectionReset),
        }
    }
}

/// Room for bytes: a few of them are on the stack, for an allocation costs more than the copies.
struct Room {
    small: [u8; SMALL],
    large: Option<Buffer>,
}

/// Enough for all options but whole tables and their counters.
const SMALL: usize = 128;

impl Room {
    const fn new() -> Self {
        Self {
            small: [0; SMALL],
            large: None,
        }
    }

    /// The first `len` bytes, all of them zero.
    fn first(&mut self, len: usize) -> Result<&mut [u8], Error> {
        if let Some(bytes) = self.small.get_mut(..len) {
            return Ok(bytes);
        }
        let large = self.large.insert(Buffer::try_new(len)?);
        large.get_mut(..len).ok_or(Error::NoMemory)
    }
}

/// The socket options.
struct Sockopts {
    handle: Handle<Bpfilter>,
}

/// What the handler is to send back for a call.
enum Expected {
    /// At most so many bytes, for the caller's buffer.
    Option(usize),
    /// Exactly these.
    Counters(OldCounters, usize),
    /// Nothing.
    Nothing,
}

impl Expected {
    /// None where the kernel is to be asked: for the counters of a table that is larger than any of
    /// the handler's.
    fn of(call: &Call<'_>, option: &[u8]) -> Option<Self> {
        if !call.is_set() {
            return Some(Self::Option(option.len()));
        }
        let counters = match OldCounters::read(option) {
            Some(counters) if call.option() == abi::SET_REPLACE as i32 => counters,
            // With too few bytes for that it will be refused.
            _ => return Some(Self::Nothing),
        };
        let len = (counters.number as usize).checked_mul(abi::COUNTER_LEN)?;
        (len <= OPTION_MAX).then_some(Self::Counters(counters, len))
    }

    fn most(&self) -> usize {
        match *self {
            Self::Option(len) | Self::Counters(_, len) => len,
            Self::Nothing => 0,
        }
    }

    /// A reply of the handler's, put where it belongs.
    fn deliver(&self, call: &Call<'_>, reply: &[u8]) -> Answer {
        match *self {
            Self::Option(_) => match call.write(reply) {
                Ok(()) => Answer::Done(reply.len()),
                Err(errno) => Answer::Error(errno),
            },
            Self::Counters(counters, len) if reply.len() == len => {
                // As in ip_tables: the table has been replaced, so this cannot fail any more.
                let _ = call.write_at(counters.address, reply);
                Answer::Done(0)
            }
            Self::Nothing => Answer::Done(0),
            // The handler is wrong.
            Self::Counters(..) => Answer::Kernel,
        }
    }
}

impl Sockopts {
    /// An error of ours, not of the caller's request, is for the kernel to make good.
    fn ask(&self, call: &Call<'_>) -> Result<Answer, Error> {
        let length = call.length() as usize;
        let whole = HEADER_LEN.saturating_add(length);
        let mut room = Room::new();
        let request = room.first(whole)?;
        let (header, option) = request
            .split_first_chunk_mut()
            .ok_or(Error::InvalidArgument)?;
        *header = Request {
            is_set: call.is_set(),
            pid: call.pid(),
            command: call.option() as u32,
        }
        .encode(call.length());
        if call.read(option).is_err() {
            return Ok(Answer::Kernel);
        }
        let Some(expected) = Expected::of(call, option) else {
            return Ok(Answer::Kernel);
        };
        let mut room = Room::new();
        let reply = room.first(expected.most())?;
        let answered = self.handle.call(request, reply)?;
        let reply = reply.get(..answered).unwrap_or_default();
        Ok(expected.deliver(call, reply))
    }
}

impl Options for Sockopts {
    const GET: Range<i32> = 64..67;
    const SET: Range<i32> = 64..66;
    const LEN_MAX: u32 = OPTION_MAX as u32;

    fn serve(&self, call: &Call<'_>) -> Answer {
        match self.ask(call) {
            Ok(answer) => answer,
            Err(Error::Rejected(status)) => refused(status.get()),
            Err(Error::Interrupted) => Answer::Error(Errno::EINTR),
            Err(_) => Answer::Kernel,
        }
    }

    fn end(&self) {
        self.handle.abort();
    }
}

/// What the handler's refusal is for the caller.
fn refused(status: u32) -> Answer {
    let not_mine = Refusal::NotMine.errno().get();
    if status == not_mine || status > LAST_ERRNO {
        return Answer::Kernel;
    }
    Answer::Error(Errno::new(status as i32))
}

struct BpfilterModule {
    _hook: Hook<Sockopts>,
}

impl Module for BpfilterModule {
    fn init(_: &Blob<'_>) -> Result<Self, Errno> {
        let handle = Handle::on_demand(LOADER)?;
        Ok(Self {
            _hook: Hook::new(Sockopts { handle })?,
        })
    }
}

umd_kernel::module::module!(BpfilterModule);
