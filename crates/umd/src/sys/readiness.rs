// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting for a descriptor on the runtime.

use rustix::fd::BorrowedFd;
use std::io;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Has the runtime watch this descriptor as long as what is returned lives.
pub(crate) fn watch(fd: BorrowedFd<'_>, interest: Interest) -> io::Result<AsyncFd<BorrowedFd<'_>>> {
    // SAFETY: a borrowed descriptor is open, and the same, as long as it is borrowed.
    let watched = unsafe { AsyncFd::register_with_interest(fd, interest) };
    watched.map_err(Into::into)
}
