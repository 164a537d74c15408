// SPDX-License-Identifier: GPL-2.0-only
//! The kernel's log. C: `kernel/shim/driver/log.c`; header `include/linux/printk.h`.

use crate::log::Line;

unsafe extern "C" {
    fn umd_mod_log(text: *const u8, len: usize);
}

/// Writes a line, behind the module's name, unless there were many right before. Context: any.
pub fn warn(line: &Line) {
    let text = line.as_bytes();
    // SAFETY: the text is valid for its length.
    unsafe { umd_mod_log(text.as_ptr(), text.len()) };
}
