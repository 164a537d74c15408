// SPDX-License-Identifier: MIT OR Apache-2.0
//! The system calls that ask a kernel what it has. The only unsafe code of this program.

use std::ffi::c_int;

use rustix::io::Errno;
use umd_core::syscall::Syscall;

const PR_SET_SECCOMP: usize = 22;
const SECCOMP_MODE_STRICT: usize = 1;
const SECCOMP_MODE_FILTER: usize = 2;
const LANDLOCK_CREATE_RULESET_VERSION: usize = 1;
const CLONE_NEWUSER: usize = 0x1000_0000;

/// Which Landlock there is. Makes no ruleset.
pub(crate) fn landlock_version() -> Result<u32, Errno> {
    // SAFETY: no memory is touched: with this flag there are no attributes.
    let version = unsafe {
        call(
            Syscall::LANDLOCK_CREATE_RULESET,
            [0, 0, LANDLOCK_CREATE_RULESET_VERSION],
        )
    };
    version.map(|version| version as u32)
}

/// Is there a clone3? Makes no process: arguments of no size are wrong, which the kernel says first.
pub(crate) fn clone3() -> Result<(), Errno> {
    // SAFETY: the kernel does not read arguments that have no size.
    match unsafe { call(Syscall::CLONE3, [0, 0, 0]) } {
        Ok(_) | Err(Errno::INVAL) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Is there a close_range? Closes what no process has: the highest descriptor.
pub(crate) fn close_range() -> Result<(), Errno> {
    let last = u32::MAX as usize;
    // SAFETY: no memory is touched; nobody's descriptor is closed.
    unsafe { call(Syscall::CLOSE_RANGE, [last, last, 0]) }.map(drop)
}

/// Enters a user namespace of its own. For a process that ends then, and has one thread.
pub(crate) fn enter_user_namespace() -> Result<(), Errno> {
    // SAFETY: no memory is touched.
    unsafe { call(Syscall::UNSHARE, [CLONE_NEWUSER, 0, 0]) }.map(drop)
}

/// Enters strict mode and ends this process, with status 0. Returns if it could not be entered.
pub(crate) fn end_in_strict_mode() -> Errno {
    // SAFETY: no memory is touched.
    match unsafe { call(Syscall::PRCTL, [PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0]) } {
        // An ordinary end would be a forbidden call.
        Ok(_) => umd_handler::sys::exit(0),
        Err(error) => error,
    }
}

/// Sets a filter that lets everything pass.
pub(crate) fn set_filter() -> Result<(), Errno> {
    /// `struct sock_filter`: return SECCOMP_RET_ALLOW.
    #[repr(C)]
    struct Instruction {
        code: u16,
        jump: [u8; 2],
        value: u32,
    }
    /// `struct sock_fprog`
    #[repr(C)]
    struct Filter {
        len: u16,
        instructions: *const Instruction,
    }
    let allow = Instruction {
        code: 6,
        jump: [0; 2],
        value: 0x7fff_0000,
    };
    let filter = Filter {
        len: 1,
        instructions: &raw const allow,
    };
    let address = &raw const filter as usize;
    // SAFETY: the kernel only reads: the filter, and the one instruction that it says it has.
    unsafe {
        call(
            Syscall::PRCTL,
            [PR_SET_SECCOMP, SECCOMP_MODE_FILTER, address],
        )
    }
    .map(drop)
}

/// # Safety
///
/// As for [`umd_handler::sys::syscall`].
unsafe fn call(call: Syscall, [a, b, c]: [usize; 3]) -> Result<usize, Errno> {
    // SAFETY: as promised.
    let result = unsafe { umd_handler::sys::syscall(call.number().into(), [a, b, c, 0, 0, 0]) };
    usize::try_from(result).map_err(|_| Errno::from_raw_os_error(-result as c_int))
}
