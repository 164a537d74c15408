// SPDX-License-Identifier: MIT OR Apache-2.0
//! What no handler should do, and the system calls for it. Results are ignored: where a host
//! prevents one of these, all the better.

use core::arch::asm;
use umd_handler::sys::syscall;

const CLOSE: usize = 3;
const EVENTFD2: usize = 290;
const GETPID: usize = 39;
const CLONE: usize = 56;
const PAUSE: usize = 34;
const CAPSET: usize = 126;
const PRCTL: usize = 157;

const PR_SET_KEEPCAPS: usize = 8;
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;
const CAP_SETUID: u32 = 1 << 7;

/// CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM
pub(crate) const THREAD: usize = 0x100 | 0x200 | 0x400 | 0x800 | 0x1_0000 | 0x4_0000;

/// SIGCHLD: a process of its own, as fork(2) makes it.
pub(crate) const CHILD: usize = 17;

/// CLONE_VM | CLONE_FILES | CLONE_PARENT: a process that shares all, with another parent.
pub(crate) const SIBLING: usize = 0x100 | 0x400 | 0x8000;

/// Writes to address 0.
pub(crate) fn segv() -> ! {
    // SAFETY: nothing is mapped there, so nothing is changed: the store ends the process.
    unsafe { asm!("mov byte ptr [{0}], 0", "ud2", in(reg) 0_usize, options(noreturn)) }
}

/// A call that lockdown forbids.
pub(crate) fn getpid() {
    // SAFETY: touches no memory.
    unsafe { syscall(GETPID, [0; 6]) };
}

/// Has the capabilities stay permitted when the uid changes.
pub(crate) fn keep_capabilities() {
    // SAFETY: touches no memory.
    unsafe { syscall(PRCTL, [PR_SET_KEEPCAPS, 1, 0, 0, 0, 0]) };
}

/// Makes the one capability that was kept effective.
pub(crate) fn raise_setuid() {
    let mut header = [CAPABILITY_VERSION_3, 0];
    // Effective, permitted, inheritable; then the same for capabilities from 32 on.
    let sets = [CAP_SETUID, CAP_SETUID, 0, 0, 0, 0];
    let (header, sets) = (header.as_mut_ptr() as usize, sets.as_ptr() as usize);
    // SAFETY: both arrays have the lengths of this version. The kernel reads them, and writes to
    // the first where it does not know the version.
    unsafe { syscall(CAPSET, [header, sets, 0, 0, 0, 0]) };
}

/// Closes standard error and takes its number for an eventfd.
pub(crate) fn replace_stderr() {
    // SAFETY: both touch no memory; nobody else uses that descriptor.
    unsafe {
        syscall(CLOSE, [2, 0, 0, 0, 0, 0]);
        syscall(EVENTFD2, [0; 6]);
    }
}

/// Starts a thread or process of this kind that sleeps for ever, if it may.
pub(crate) fn clone(flags: usize) {
    // SAFETY: what is new may share the memory but touches none of it: its code is the loop below.
    // The first thread goes on as after any system call.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 3f",
            "2: mov eax, {pause}",
            "syscall",
            "jmp 2b",
            "3:",
            pause = const PAUSE,
            inout("rax") CLONE => _,
            in("rdi") flags,
            in("rsi") 0,
            in("rdx") 0,
            in("r10") 0,
            in("r8") 0,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
}
