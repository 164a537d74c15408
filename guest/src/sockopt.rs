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

/// What mmap(2) is told: memory to read and write, of this process alone, below 4 GiB.
const READ_WRITE: c_int = 0x3;
const PRIVATE_ANONYMOUS_LOW: c_int = 0x2 | 0x20 | 0x40;
/// getsockopt(2) among the system calls of 32 bits.
const GETSOCKOPT_32: u32 = 365;

unsafe extern "C" {
    fn mmap(
        address: *mut c_void,
        length: usize,
        access: c_int,
        flags: c_int,
        file: c_int,
        offset: i64,
    ) -> *mut c_void;
    fn munmap(address: *mut c_void, length: usize) -> c_int;
}

/// Reads an option as a program of 32 bits does.
pub(crate) fn get_compat(
    socket: impl AsFd,
    level: i32,
    option: i32,
    value: &mut [u8],
) -> Result<(), Errno> {
    let length = length_of(value)?;
    let whole = size_of::<u32>() + value.len();
    // SAFETY: new memory, wherever the kernel likes.
    let memory = unsafe {
        let anywhere = std::ptr::null_mut();
        mmap(anywhere, whole, READ_WRITE, PRIVATE_ANONYMOUS_LOW, -1, 0)
    };
    let address = memory as u32;
    if memory as usize != address as usize {
        return Err(Errno::NOMEM);
    }
    let bytes = memory.cast::<u8>();
    let result: i32;
    // SAFETY: the memory has room for the length and the value, and nobody else has it. The call writes to
    // both and to no other memory; ebx, which the compiler keeps for itself, is put back.
    unsafe {
        memory.cast::<u32>().write(length);
        bytes.add(4).copy_from(value.as_ptr(), value.len());
        std::arch::asm!(
            "xchg rbx, {socket}",
            "int 0x80",
            "xchg rbx, {socket}",
            socket = inout(reg) i64::from(socket.as_fd().as_raw_fd()) => _,
            inlateout("eax") GETSOCKOPT_32 => result,
            in("ecx") level,
            in("edx") option,
            in("esi") address + 4,
            in("edi") address,
            lateout("r8") _,
            lateout("r9") _,
            lateout("r10") _,
            lateout("r11") _,
        );
        bytes.add(4).copy_to(value.as_mut_ptr(), value.len());
        munmap(memory, whole);
    }
    match result {
        0 => Ok(()),
        _ => Err(Errno::from_raw_os_error(-result)),
    }
}
