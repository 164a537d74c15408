// SPDX-License-Identifier: GPL-2.0-only
//! Whether handlers are out of root's reach. C: `kernel/shim/guard.c`.

unsafe extern "C" {
    fn umd_guard_is_on() -> bool;
}

/// From load to unload it is the same: every handler that is not unconfined is protected, or none is. Context: any.
pub fn is_on() -> bool {
    // SAFETY: no precondition.
    unsafe { umd_guard_is_on() }
}
