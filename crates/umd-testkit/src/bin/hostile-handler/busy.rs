// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whoever never answers.

use crate::rogue;
use umd_handler::channel::{Channel, Stdio};

/// Rounds of [`compute`] that no deadline waits for: ten seconds on a quick processor.
pub(crate) const TOO_LONG: u64 = 1 << 35;

/// Rounds that are a good part of a short deadline.
pub(crate) const A_WHILE: u64 = 1 << 22;

/// Computes for ever.
pub(crate) fn spin() -> ! {
    loop {
        compute(u64::MAX);
    }
}

/// So many rounds of nothing, without a hint to the processor that this is a wait: emulators take a hundred
/// times as long for that.
pub(crate) fn compute(rounds: u64) {
    let mut left = rounds;
    while left > 0 {
        left = core::hint::black_box(left - 1);
    }
}

/// Reads no bytes, over and over.
pub(crate) fn read_nothing() -> ! {
    loop {
        let _ = Stdio.read(&mut []);
    }
}

/// Writes no bytes, over and over.
pub(crate) fn write_nothing() -> ! {
    loop {
        let _ = Stdio.write(&[]);
    }
}

/// Sleeps, and sleeps again.
pub(crate) fn sleep() -> ! {
    loop {
        rogue::attempt(rogue::nr::PAUSE, [0; 6]);
    }
}

/// Asks without a pause whether there is something to read.
pub(crate) fn poll() -> ! {
    const POLLIN: u64 = 1;
    // struct pollfd: the descriptor, 0, then what is asked, then the answer.
    let mut question = [POLLIN << 32];
    loop {
        let question = question.as_mut_ptr() as usize;
        rogue::attempt(rogue::nr::POLL, [question, 1, 0, 0, 0, 0]);
    }
}

/// No signal that can be blocked reaches it.
pub(crate) fn block_signals() {
    const SIG_BLOCK: usize = 0;
    let all = [u64::MAX];
    let address = all.as_ptr() as usize;
    rogue::attempt(
        rogue::nr::RT_SIGPROCMASK,
        [SIG_BLOCK, address, 0, size_of_val(&all), 0, 0],
    );
}
