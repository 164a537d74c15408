// SPDX-License-Identifier: GPL-2.0-only
//! The private, write-protected copy of a blob. C: `kernel/shim/image.c`.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::NonNull;
use umd_core::error::Errno;

unsafe extern "C" {
    fn umd_image_new(
        name: *const c_char,
        data: *const c_void,
        len: usize,
        error: *mut c_int,
    ) -> *mut c_void;
    fn umd_image_free(image: *mut c_void);
}

/// An executable in a mount of its own.
///
/// # Invariants
///
/// The pointer is one of `umd_image_new()` and lives as long as this.
pub struct Image(NonNull<c_void>);

// SAFETY: an image is not changed after it was made, and the kernel counts its users.
unsafe impl Send for Image {}
// SAFETY: as above.
unsafe impl Sync for Image {}

impl Image {
    /// Copies the blob. Context: may sleep.
    pub fn stage(name: &CStr, blob: &[u8]) -> Result<Self, Errno> {
        let mut error = 0;
        // SAFETY: name and blob are valid during the call, which keeps neither.
        let image = unsafe {
            umd_image_new(
                name.as_ptr(),
                blob.as_ptr().cast(),
                blob.len(),
                &raw mut error,
            )
        };
        // INVARIANT: just made.
        NonNull::new(image)
            .map(Self)
            .ok_or_else(|| super::errno(error))
    }

    pub(super) fn as_ptr(&self) -> *mut c_void {
        self.0.as_ptr()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: by the invariant the image is alive; a process that still runs holds the mount.
        unsafe { umd_image_free(self.0.as_ptr()) };
    }
}
