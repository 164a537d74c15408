// SPDX-License-Identifier: MIT OR Apache-2.0
//! The image: a private copy of the blob, which is executed from memory and which nobody can change.

use crate::error::BuildError;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, memfd_create, open};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use std::path::Path;

/// Descriptors of ours that a child needs are from here on, out of the way of those that it gets.
const FIRST: i32 = 10;

/// Where an executable file can be made that has no name, where memory is not executable.
const DIRECTORIES: [&str; 4] = ["/dev/shm", "/run", "/var/tmp", "/tmp"];

/// A blob that can be executed.
#[derive(Debug)]
pub(crate) struct Image {
    file: OwnedFd,
    kind: Kind,
}

/// Where an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In memory, and sealed.
    Sealed,
    /// In a file that has no name, and was opened again for reading only.
    Nameless,
}

impl Image {
    /// Copies the blob.
    pub(crate) fn new(name: &str, blob: &[u8]) -> Result<Self, BuildError> {
        let sealable = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Older kernels do not know EXEC, and need none.
        let memory = match memfd_create(name, sealable | MemfdFlags::EXEC) {
            Err(Errno::INVAL) => memfd_create(name, sealable),
            other => other,
        };
        match memory {
            Ok(memory) => Self::sealed(&memory, blob).map_err(BuildError::image),
            // vm.memfd_noexec is 2.
            Err(Errno::ACCESS) => Self::nameless(blob).ok_or(BuildError::NoExecutableMemory),
            Err(errno) => Err(BuildError::image(errno)),
        }
    }

    fn sealed(memory: &OwnedFd, blob: &[u8]) -> Result<Self, Errno> {
        write_all(memory, blob)?;
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        fcntl_add_seals(memory, seals)?;
        Ok(Self {
            file: fcntl_dupfd_cloexec(memory, FIRST)?,
            kind: Kind::Sealed,
        })
    }

    /// In the first directory that allows it.
    fn nameless(blob: &[u8]) -> Option<Self> {
        DIRECTORIES
            .iter()
            .find_map(|directory| Self::nameless_in(Path::new(directory), blob).ok())
    }

    fn nameless_in(directory: &Path, blob: &[u8]) -> Result<Self, Errno> {
        let mode = Mode::RUSR | Mode::XUSR | Mode::RGRP | Mode::XGRP | Mode::ROTH | Mode::XOTH;
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::EXCL | OFlags::CLOEXEC;
        let file = open(directory, flags, mode)?;
        if rustix::fs::fstatvfs(&file)?
            .f_flag
            .contains(rustix::fs::StatVfsMountFlags::NOEXEC)
        {
            return Err(Errno::ACCESS);
        }
        write_all(&file, blob)?;
        // A file that is open for writing is not executed.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let again = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self {
            file: fcntl_dupfd_cloexec(again, FIRST)?,
            kind: Kind::Nameless,
        })
    }

    /// Where it is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }
}

impl AsFd for Image {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// A descriptor out of the way of those that a child gets.
pub(crate) fn out_of_the_way(file: impl AsFd) -> Result<OwnedFd, Errno> {
    fcntl_dupfd_cloexec(file, FIRST)
}

/// One that is not standard input, output or error, which a program that has closed those reads and writes all the same.
pub(crate) fn not_standard(file: OwnedFd) -> Result<OwnedFd, Errno> {
    match file.as_raw_fd() {
        0..3 => out_of_the_way(file),
        _ => Ok(file),
    }
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
