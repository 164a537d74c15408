// SPDX-License-Identifier: GPL-2.0-only
//! The sample driver's manager, `sample_umd.ko`.
//!
//! `/sys/kernel/security/sample_umd` takes a decimal offset from 0 to 131071. The handler answers
//! with 128 KiB of which exactly the byte at that offset is 1; the manager believes nothing and
//! checks them all. `docs/abi/securityfs-sample_umd` lists the errors.
#![no_std]

use core::ffi::CStr;
use sample_proto::{REPLY_LEN, Request};
use umd_kernel::driver::{Driver, Handle, Probe};
use umd_kernel::ffi::memory::Buffer;
use umd_kernel::module::{Blob, Module};
use umd_kernel::securityfs::{File, Interface};
use umd_kernel::{Errno, Error};

struct Sample;

impl Driver for Sample {
    const NAME: &'static CStr = c"sample";

    /// A handler that cannot answer for the first byte is of no use.
    fn health_check(probe: &Probe<'_>) -> Result<(), Error> {
        let request = Request::parse(b"0").map_err(|_| Error::InvalidArgument)?;
        let mut reply = Buffer::try_new(REPLY_LEN)?;
        let answered = probe.call(&request.encode(), &mut reply);
        let length = answered.map_err(|_| Error::ConnectionReset)?;
        verify(request, &reply, length)
            .map_err(|_| Error::ConnectionReset)
            .map(drop)
    }
}

/// The reply is what was asked for, byte by byte.
fn verify(request: Request, reply: &[u8], length: usize) -> Result<(), Errno> {
    let reply = reply.get(..length).ok_or(Errno::EBADMSG)?;
    sample_proto::check(request, reply).map_err(|_| Errno::EBADMSG)
}

/// Serves the file.
struct Offsets {
    handle: Handle<Sample>,
}

impl Interface for Offsets {
    /// Where the reply goes, before it is checked.
    type Session = Buffer;

    const WRITE_MAX: usize = 4096;

    fn open(&self) -> Result<Buffer, Errno> {
        Buffer::try_new(REPLY_LEN).map_err(|error| error.errno())
    }

    fn write(&self, reply: &mut Buffer, text: &[u8]) -> Result<usize, Errno> {
        let request = Request::parse(text).map_err(|_| Errno::EINVAL)?;
        let answered = self.handle.call(&request.encode(), reply);
        let length = answered.map_err(|error| error.errno())?;
        verify(request, reply, length)?;
        Ok(text.len())
    }

    fn read(_: &Buffer) -> &[u8] {
        &[]
    }
}

struct SampleModule {
    _file: File<Offsets>,
}

impl Module for SampleModule {
    fn init(blob: &Blob<'_>) -> Result<Self, Errno> {
        let handle = Handle::<Sample>::register(blob)?;
        handle.start().map_err(|error| error.errno())?;
        Ok(Self {
            _file: File::make(c"sample_umd", 0o600, Offsets { handle })?,
        })
    }
}

umd_kernel::module::module!(SampleModule);
