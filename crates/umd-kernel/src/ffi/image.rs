// SPDX-License-Identifier: GPL-2.0-only
//! The private, write-protected copy of a blob. C: `kernel/shim/image.c`.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::NonNull;
use umd_core::error::Errno;
use umd_core::policy::Lockdown;

unsafe extern "C" {
    fn umd_image_new(
        name: *const c_char,
        data: *const c_void,
        len: usize,
        profile: u32,
        foreign: bool,
        error: *mut c_int,
    ) -> *mut c_void;
    fn umd_image_mount(image: *const c_void) -> *const c_void;
    fn umd_image_free(image: *mut c_void);
}

/// For whom a handler was made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// For us: it gives up what it must.
    Own,
    /// For the in-tree facility: it knows nothing of us, and the launcher gives up for it what only the
    /// process itself can.
    Foreign,
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
    /// Copies the blob, for processes with this profile. Context: may sleep.
    pub fn stage(
        name: &CStr,
        blob: &[u8],
        profile: Lockdown,
        origin: Origin,
    ) -> Result<Self, Errno> {
        let mut error = 0;
        // SAFETY: name and blob are valid during the call, which keeps neither.
        let image = unsafe {
            umd_image_new(
                name.as_ptr(),
                blob.as_ptr().cast(),
                blob.len(),
                profile as u32,
                origin == Origin::Foreign,
                &raw mut error,
            )
        };
        // INVARIANT: just made.
        NonNull::new(image)
            .map(Self)
            .ok_or_else(|| super::errno(error))
    }

    /// The address of its mount, by which C knows it.
    pub fn mount(&self) -> usize {
        // SAFETY: by the invariant the image is alive.
        unsafe { umd_image_mount(self.0.as_ptr()) }.addr()
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
