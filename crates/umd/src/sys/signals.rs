// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signals of the calling thread, and what the program does with them.
//!
//! The C library's own calls leave out two signals that it uses itself, and a child that shares our memory must not handle any. So
//! these are the kernel's, as in rt_sigprocmask(2) and rt_sigaction(2).

use core::arch::asm;

/// Signals that are the C library's: whoever blocks them for long keeps setuid(2) in other threads from returning.
const LIBRARY: u64 = 1 << 31 | 1 << 32;

const SIG_SETMASK: usize = 2;
const RT_SIGACTION: usize = 13;
const RT_SIGPROCMASK: usize = 14;
const SIG_IGN: usize = 1;

/// Bytes of a set of signals.
pub(crate) const SET: usize = 8;

/// The signals that there are.
pub(crate) const ALL: core::ops::RangeInclusive<usize> = 1..=64;

/// While it lives, this thread gets no signal at all. Not to be held while the thread waits for anybody.
pub(crate) struct AllBlocked(u64);

impl AllBlocked {
    pub(crate) fn new() -> Self {
        Self(set_mask(u64::MAX))
    }
}

impl Drop for AllBlocked {
    fn drop(&mut self) {
        set_mask(self.0);
    }
}

/// Makes a thread that gets no signals: they are for the program's own.
pub(crate) fn quiet_thread(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> std::io::Result<()> {
    // It has the mask of its maker.
    let mask = set_mask(!LIBRARY);
    let made = std::thread::Builder::new().name(name.into()).spawn(body);
    set_mask(mask);
    made.map(drop)
}

fn set_mask(mask: u64) -> u64 {
    let mut before = 0_u64;
    let (new, old) = (&raw const mask as usize, &raw mut before as usize);
    // SAFETY: reads one set, writes another, both of eight bytes.
    unsafe { syscall(RT_SIGPROCMASK, [SIG_SETMASK, new, old, SET]) };
    before
}

/// Does the program ignore this signal?
pub(crate) fn is_ignored(signal: usize) -> bool {
    /// `struct sigaction` as the kernel has it.
    #[derive(Default)]
    #[repr(C)]
    struct Action {
        handler: usize,
        flags: u64,
        restorer: usize,
        mask: u64,
    }
    let mut action = Action::default();
    let address = &raw mut action as usize;
    // SAFETY: writes the action, and changes none.
    unsafe { syscall(RT_SIGACTION, [signal, 0, address, SET]) };
    action.handler == SIG_IGN
}

/// # Safety
///
/// The call, with these arguments, must not do what Rust's rules forbid.
pub(super) unsafe fn syscall(number: usize, [a, b, c, d]: [usize; 4]) -> isize {
    let result;
    // SAFETY: the kernel's calling convention; what the call does is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}
