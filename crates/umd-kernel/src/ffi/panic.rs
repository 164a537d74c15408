// SPDX-License-Identifier: GPL-2.0-only
//! The language wants a panic handler. Nothing can reach this one: the build fails where an object
//! holds a call into `core::panicking`.

use core::panic::PanicInfo;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: an undefined instruction has no operand and touches no memory; the kernel turns it
    // into an oops of the current task.
    unsafe { core::arch::asm!("ud2", options(noreturn, nomem, nostack)) }
}
