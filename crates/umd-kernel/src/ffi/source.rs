// SPDX-License-Identifier: GPL-2.0-only
//! Files of the calling task's. C: `kernel/shim/driver/source.c`; header `include/linux/fs.h`.

use core::ffi::{c_int, c_void};
use core::ptr::NonNull;
use umd_core::error::Errno;

unsafe extern "C" {
    fn umd_mod_source_get(fd: i32, error: *mut c_int) -> *mut c_void;
    fn umd_mod_source_read(file: *mut c_void, to: *mut u8, len: usize, at: u64) -> isize;
    fn umd_mod_source_put(file: *mut c_void);
}

/// A file that the calling task has open.
///
/// # Invariants
///
/// The pointer is one of `umd_mod_source_get()` and lives as long as this.
pub struct Source(NonNull<c_void>);

impl Source {
    /// What is behind a descriptor. Context: the task that has it.
    ///
    /// # Errors
    ///
    /// `EBADF` where there is nothing, or nothing that may be read; `EINVAL` for what is no regular file.
    pub fn open(fd: i32) -> Result<Self, Errno> {
        let mut error = 0;
        // SAFETY: error may be written to.
        let file = unsafe { umd_mod_source_get(fd, &raw mut error) };
        // INVARIANT: just got.
        NonNull::new(file).map(Self).ok_or(super::errno(error))
    }

    /// Reads from a place on: how many bytes there were, 0 at the end. Others may write to the file meanwhile.
    /// Context: may sleep, killable.
    pub fn read(&self, at: u64, to: &mut [u8]) -> Result<usize, Errno> {
        // SAFETY: by the invariant; `to` may be written to for its length.
        let result = unsafe { umd_mod_source_read(self.0.as_ptr(), to.as_mut_ptr(), to.len(), at) };
        usize::try_from(result)
            .map_err(|_| Errno::new(i32::try_from(result.unsigned_abs()).unwrap_or(0)))
    }

    /// The same until `to` is full, or the file at its end.
    pub fn read_all(&self, at: u64, to: &mut [u8]) -> Result<usize, Errno> {
        let mut done = 0_usize;
        while let Some(rest) = to.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.read(at.saturating_add(done as u64), rest)? {
                0 => break,
                count => done = done.saturating_add(count),
            }
        }
        Ok(done)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // SAFETY: by the invariant.
        unsafe { umd_mod_source_put(self.0.as_ptr()) };
    }
}
