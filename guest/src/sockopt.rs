// SPDX-License-Identifier: MIT OR Apache-2.0
//! Socket options as bytes: what `iptables-legacy` says to the kernel, no library knows.

use std::ffi::{c_int, c_void};
use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;

/// `IPPROTO_IP` and `IPPROTO_IPV6`: at these levels netfilter has its options.
pub(crate) const IP: i32 = 0;
pub(crate) const IPV6: i32 = 41;

unsafe extern "C" {
    fn getsockopt(
        socket: c_int,
        level: c_int,
        option: c_int,
        value: *mut c_void,
        length: *mut u32,
    ) -> c_int;
    fn setsockopt(
        socket: c_int,
        level: c_int,
        option: c_int,
        value: *const c_void,
        length: u32,
    ) -> c_int;
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

fn length_of(bytes: &[u8]) -> Result<u32, Errno> {
    u32::try_from(bytes.len()).map_err(|_| Errno::INVAL)
}

/// Reads an option: how many bytes it has. What the buffer holds before is part of the question.
pub(crate) fn get(
    socket: impl AsFd,
    level: i32,
    option: i32,
    value: &mut [u8],
) -> Result<usize, Errno> {
    let mut length = length_of(value)?;
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: the value can be written to for its length, and so can the length.
    let result = unsafe {
        getsockopt(
            socket,
            level,
            option,
            value.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    match result {
        0 => Ok(length as usize),
        _ => Err(last_error()),
    }
}

/// Writes an option.
pub(crate) fn set(socket: impl AsFd, level: i32, option: i32, value: &[u8]) -> Result<(), Errno> {
    let length = length_of(value)?;
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: the value can be read for its length.
    match unsafe { setsockopt(socket, level, option, value.as_ptr().cast(), length) } {
        0 => Ok(()),
        _ => Err(last_error()),
    }
}
