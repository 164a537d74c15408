// SPDX-License-Identifier: MIT OR Apache-2.0
//! Descriptors by number.

use super::signals::syscall;

const FCNTL: usize = 72;
const F_GETFD: usize = 1;

/// Is there a file of this number? Whose it is does not matter.
pub(crate) fn is_open(fd: usize) -> bool {
    // SAFETY: reads a flag.
    unsafe { syscall(FCNTL, [fd, F_GETFD, 0, 0]) >= 0 }
}
