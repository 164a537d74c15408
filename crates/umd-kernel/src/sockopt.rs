// SPDX-License-Identifier: GPL-2.0-only
//! IPv4 socket options that a driver answers before netfilter's own handlers are asked.
//!
//! Only whoever could ask netfilter itself comes here: `CAP_NET_ADMIN` in the socket's user
//! namespace, a socket of the initial network namespace, a caller of 64 bits. The calls of others,
//! and of other options and families, go to the kernel as if there were no hook.
//!
//! A caller does not keep the module loaded: `rmmod` ends the hook, and waits until everybody has left
//! it.

use core::ops::Range;
use umd_core::error::Errno;

pub use crate::ffi::sockopt::{Call, Hook};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is not for this driver: the kernel's own code serves it, as if there were no hook.
    Kernel,
    /// It is done. For a get: so many bytes have been written, which is the option's length now.
    Done(usize),
    /// It failed. `ENOPROTOOPT` is the same as [`Answer::Kernel`].
    Error(Errno),
}

/// Who answers.
pub trait Options: Send + Sync + 'static {
    /// The options that are read here.
    const GET: Range<i32>;

    /// The options that are written here.
    const SET: Range<i32>;

    /// Most bytes of an option; calls with more are the kernel's.
    const LEN_MAX: u32;

    /// Answers a call. Context: the calling task, which holds no lock; may sleep, but each sleep has
    /// an end, and ends early when the task gets a fatal signal.
    fn serve(&self, call: &Call<'_>) -> Answer;

    /// The hook is being dropped: whoever sleeps in [`serve`](Self::serve) shall be let go, and
    /// nobody sleep there any more. Calls may still come, until the drop is over.
    fn end(&self);
}
