// SPDX-License-Identifier: GPL-2.0-only
//! The kernel's log. C: `kernel/shim/driver/log.c`; header `include/linux/printk.h`.

unsafe extern "C" {
    fn umd_mod_log(text: *const u8, len: usize);
}

/// Writes a line, behind the module's name, unless there were many right before. Context: any.
pub fn warn(text: &[u8]) {
    // SAFETY: the text is valid for its length.
    unsafe { umd_mod_log(text.as_ptr(), text.len()) };
}
