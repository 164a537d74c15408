// SPDX-License-Identifier: GPL-2.0-only
//! Asking the handler.

use core::ffi::CStr;
use pgp_proto::{HEADER_LEN, NAME, REPLY_MAX, REQUEST_MAX, Request};
use umd_core::policy::{Policy, Span};
use umd_kernel::driver::{Driver, Handle, Probe};
use umd_kernel::ffi::memory::Buffer;
use umd_kernel::module::Blob;
use umd_kernel::{Errno, Error};

use crate::failure::Failure;

struct Walker;

impl Driver for Walker {
    const NAME: &'static CStr = NAME;

    /// So long may somebody who adds a key hold up those who want to bring or take a parser.
    const POLICY: Policy = Policy {
        deadline: Span::from_millis(1_000),
        start_deadline: Span::from_millis(1_000),
        request_max: REQUEST_MAX,
        ..Policy::DEFAULT
    };

    /// It refuses what is nothing.
    fn health_check(probe: &Probe<'_>) -> Result<(), Error> {
        match probe.call(&Request::Signature.encode(0), &mut []) {
            Err(Errno::EREMOTEIO) => Ok(()),
            _ => Err(Error::ConnectionReset),
        }
    }
}

pub(crate) struct Handler(Handle<Walker>);

impl Handler {
    pub(crate) fn start(blob: &Blob<'_>) -> Result<Self, Errno> {
        let handle = Handle::register(blob)?;
        handle.start().map_err(|error| error.errno())?;
        Ok(Self(handle))
    }

    /// Asks about bytes that anybody may have written.
    pub(crate) fn ask(&self, request: &Request, input: &[u8]) -> Result<Reply, Failure> {
        self.send(request, &mut Message::of(input)?)
    }

    /// The same with bytes that are in their place already.
    pub(crate) fn send(&self, request: &Request, message: &mut Message) -> Result<Reply, Failure> {
        let length = u32::try_from(message.input().len()).unwrap_or(u32::MAX);
        if let Some(header) = message.bytes.first_chunk_mut::<HEADER_LEN>() {
            *header = request.encode(length);
        }
        let mut bytes = Buffer::try_new(REPLY_MAX)?;
        let length = self.0.call(&message.bytes, &mut bytes)?;
        Ok(Reply { bytes, length })
    }
}

/// A request in the making: room for the header, and the bytes that it is about.
pub(crate) struct Message {
    bytes: Buffer,
}

impl Message {
    /// Room for so many bytes.
    pub(crate) fn new(length: usize) -> Result<Self, Failure> {
        let length = HEADER_LEN.saturating_add(length);
        if length > REQUEST_MAX {
            return Err(Error::RequestTooLong.into());
        }
        Ok(Self {
            bytes: Buffer::try_new(length)?,
        })
    }

    /// One about a copy of these.
    pub(crate) fn of(input: &[u8]) -> Result<Self, Failure> {
        let mut message = Self::new(input.len())?;
        for (to, from) in message.input().iter_mut().zip(input) {
            *to = *from;
        }
        Ok(message)
    }

    /// The bytes that it is about.
    pub(crate) fn input(&mut self) -> &mut [u8] {
        self.bytes.get_mut(HEADER_LEN..).unwrap_or_default()
    }
}

/// What the handler says. Nothing of it is true before it was looked at.
pub(crate) struct Reply {
    bytes: Buffer,
    length: usize,
}

impl Reply {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}
