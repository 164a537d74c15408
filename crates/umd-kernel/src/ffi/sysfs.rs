// SPDX-License-Identifier: GPL-2.0-only
//! A driver's directory in sysfs. C: `kernel/shim/sysfs.c`; header `include/linux/sysfs.h`.

use super::memory::Arc;
use crate::host::driver::Driver;
use crate::host::sysfs::FILES;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::NonNull;
use umd_core::error::Errno;

unsafe extern "C" {
    fn umd_sysfs_new(
        name: *const c_char,
        files: *const *const c_char,
        modes: *const u16,
        count: usize,
        driver: *const c_void,
        error: *mut c_int,
    ) -> *mut c_void;
    fn umd_sysfs_free(sysfs: *mut c_void);
}

/// A directory with the files of [`FILES`].
///
/// # Invariants
///
/// The pointer is one of `umd_sysfs_new()`; the driver outlives it.
pub struct Directory {
    sysfs: NonNull<c_void>,
    _driver: Arc<Driver>,
}

// SAFETY: the kernel's directories have locks of their own.
unsafe impl Send for Directory {}
// SAFETY: as above.
unsafe impl Sync for Directory {}

impl Directory {
    /// Context: may sleep.
    pub fn make(driver: &Arc<Driver>, name: &CStr) -> Result<Self, Errno> {
        let files = FILES.each_ref().map(|file| file.name.as_ptr());
        let modes = FILES.each_ref().map(|file| file.mode);
        let mut error = 0;
        // SAFETY: the arrays are valid during the call, and the names in them static; the driver
        // stays alive by the reference that we keep until the directory is gone.
        let sysfs = unsafe {
            umd_sysfs_new(
                name.as_ptr(),
                files.as_ptr(),
                modes.as_ptr(),
                FILES.len(),
                driver.as_raw(),
                &raw mut error,
            )
        };
        match NonNull::new(sysfs) {
            // INVARIANT: just made, and the driver is kept.
            Some(sysfs) => Ok(Self {
                sysfs,
                _driver: driver.clone(),
            }),
            None => Err(super::errno(error)),
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // SAFETY: by the invariant. This waits until nobody is in show() or store() any more.
        unsafe { umd_sysfs_free(self.sysfs.as_ptr()) };
    }
}
