// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much of what was sent the other side has not read.

use rustix::fd::AsFd;
use rustix::ioctl::{Getter, Opcode, ioctl};
use std::ffi::c_int;

/// TIOCOUTQ, which sockets call SIOCOUTQ, as in unix(7).
const SIOCOUTQ: Opcode = 0x5411;

/// What is on its way still, in the kernel's measure: 0 is nothing.
pub(crate) fn unread(socket: impl AsFd) -> Option<c_int> {
    // SAFETY: this call writes an int, and does nothing else.
    unsafe { ioctl(socket, Getter::<SIOCOUTQ, c_int>::new()) }.ok()
}
