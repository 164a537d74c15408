// SPDX-License-Identifier: GPL-2.0-only
//! The handler's memory. C headers: `include/linux/uaccess.h`, `include/linux/pagemap.h`.

use core::ffi::c_void;
use umd_core::host::HandlerBytes;

unsafe extern "C" {
    fn umd_copy_to_handler(to: *mut c_void, from: *const c_void, len: usize) -> usize;
    fn umd_copy_from_handler(to: *mut c_void, from: *const c_void, len: usize) -> usize;
    fn umd_clear_handler(to: *mut c_void, len: usize) -> usize;
    fn umd_fault_in_writeable(to: *mut c_void, len: usize) -> usize;
    fn umd_fault_in_readable(from: *const c_void, len: usize) -> usize;
}

/// Addresses in the memory of the task that calls, as it passed them to a system call: any numbers
/// at all. The kernel checks them at each access. Within reach is what is present: faults are off while bytes are copied.
#[derive(Clone, Copy)]
pub struct UserBytes {
    address: usize,
    len: usize,
}

impl UserBytes {
    /// `len` bytes from `address` on.
    pub fn new(address: usize, len: usize) -> Self {
        Self { address, len }
    }

    /// # Safety
    ///
    /// `from` is valid for reads of `len` bytes.
    pub(super) unsafe fn write_raw(self, from: *const u8, len: usize) -> usize {
        let len = len.min(self.len);
        let to = core::ptr::without_provenance_mut(self.address);
        // SAFETY: the kernel checks `to`; `from` is valid by this function's contract.
        len.saturating_sub(unsafe { umd_copy_to_handler(to, from.cast(), len) })
    }

    /// # Safety
    ///
    /// `to` is valid for writes of `len` bytes, and nobody else accesses them.
    pub(super) unsafe fn read_raw(self, to: *mut u8, len: usize) -> usize {
        let len = len.min(self.len);
        let from = core::ptr::without_provenance(self.address);
        // SAFETY: the kernel checks `from`; `to` is valid by this function's contract.
        len.saturating_sub(unsafe { umd_copy_from_handler(to.cast(), from, len) })
    }
}

impl HandlerBytes for UserBytes {
    fn len(self) -> usize {
        self.len
    }

    fn skip(self, count: usize) -> Self {
        let count = count.min(self.len);
        Self {
            address: self.address.wrapping_add(count),
            len: self.len.saturating_sub(count),
        }
    }

    fn write(self, from: &[u8]) -> usize {
        // SAFETY: `from` is valid for its length.
        unsafe { self.write_raw(from.as_ptr(), from.len()) }
    }

    fn read(self, to: &mut [u8]) -> usize {
        // SAFETY: `to` is valid for its length, and exclusively ours.
        unsafe { self.read_raw(to.as_mut_ptr(), to.len()) }
    }

    fn clear(self, len: usize) -> usize {
        let len = len.min(self.len);
        let to = core::ptr::without_provenance_mut(self.address);
        // SAFETY: the kernel checks `to`.
        len.saturating_sub(unsafe { umd_clear_handler(to, len) })
    }

    fn fault_in_writeable(self) -> bool {
        let to = core::ptr::without_provenance_mut(self.address);
        // SAFETY: the kernel checks `to`.
        !self.is_empty() && unsafe { umd_fault_in_writeable(to, 1) } == 0
    }

    fn fault_in_readable(self) -> bool {
        let from = core::ptr::without_provenance(self.address);
        // SAFETY: the kernel checks `from`.
        !self.is_empty() && unsafe { umd_fault_in_readable(from, 1) } == 0
    }
}
