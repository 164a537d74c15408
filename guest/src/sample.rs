// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sample driver's file.

use std::fs::File;

use rustix::io::Errno;

use crate::driver::Driver;

/// Its module.
pub(crate) const MODULE: &str = "sample_umd";

/// Its file.
pub(crate) const PATH: &str = "/sys/kernel/security/sample_umd";

/// Its directory in sysfs.
pub(crate) const DRIVER: Driver = Driver("sample");

/// The file, opened to write.
pub(crate) fn open() -> Result<File, Errno> {
    let file = File::options().write(true).open(PATH);
    file.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// Opens the file, writes once, closes it.
pub(crate) fn write(text: impl AsRef<[u8]>) -> Result<usize, Errno> {
    rustix::io::write(&open()?, text.as_ref())
}

/// Asks for an offset.
pub(crate) fn ask(offset: u32) -> Result<usize, Errno> {
    write(offset.to_string())
}

/// Numbers that look random and are the same each time (xorshift).
pub(crate) struct Offsets(u32);

impl Offsets {
    /// From a seed that is not 0.
    pub(crate) const fn new(seed: u32) -> Self {
        Self(seed)
    }
}

impl Iterator for Offsets {
    type Item = u32;

    /// An offset from 0 to 131071.
    fn next(&mut self) -> Option<u32> {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        Some(self.0 % 131_072)
    }
}
