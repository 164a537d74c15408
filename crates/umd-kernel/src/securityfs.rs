// SPDX-License-Identifier: GPL-2.0-only
//! Files in `/sys/kernel/security` through which user space asks a driver.
//!
//! One write is one request; what it leaves behind can be read from the same open file. An open file
//! keeps the module loaded, so `rmmod` says "in use" at once.

use umd_core::error::Errno;

pub use crate::ffi::securityfs::File;

/// Who serves a file.
pub trait Interface: Send + Sync + 'static {
    /// What belongs to one open file.
    type Session: Send + 'static;

    /// Longest write in bytes; a longer one is `EINVAL`.
    const WRITE_MAX: usize;

    /// The file is opened. Context: may sleep.
    fn open(&self) -> Result<Self::Session, Errno>;

    /// The file is written to: how many bytes were taken. Writes to one open file exclude each
    /// other. Context: may sleep.
    fn write(&self, session: &mut Self::Session, bytes: &[u8]) -> Result<usize, Errno>;

    /// What is there to read.
    fn read(session: &Self::Session) -> &[u8];
}
