// SPDX-License-Identifier: GPL-2.0-only
//! The private, write-protected copy of a blob. C: `kernel/shim/image.c`.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::NonNull;
use umd_core::error::Errno;
use umd_core::lockdown::Lockdown;
use umd_core::policy::{Framing, Policy, Priority};

unsafe extern "C" {
    fn umd_image_new(
        name: *const c_char,
        data: *const c_void,
        len: usize,
        plan: *const Plan,
        error: *mut c_int,
    ) -> *mut c_void;
    fn umd_image_mount(image: *const c_void) -> *const c_void;
    fn umd_image_free(image: *mut c_void);
}

/// `struct umd_image_plan`.
#[repr(C)]
struct Plan {
    orders: [u8; Lockdown::ENCODED],
    memory_max: u64,
    profile: u32,
    nice: i32,
    foreign: u32,
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
    /// Copies the blob, for processes of this policy, with this profile in the place of its lockdown. Context: may
    /// sleep.
    pub fn stage(
        name: &CStr,
        blob: &[u8],
        profile: Lockdown,
        policy: &Policy,
    ) -> Result<Self, Errno> {
        let plan = Plan {
            orders: profile.encode(),
            memory_max: policy.memory_max,
            profile: profile.number().into(),
            nice: match policy.priority {
                Priority::Nice(nice) => nice.into(),
                Priority::Inherit => 0,
            },
            foreign: match policy.framing {
                Framing::Framed | Framing::Raw => 0,
                Framing::Stream => 1,
            },
        };
        let mut error = 0;
        // SAFETY: name, blob and plan are valid during the call, which keeps none of them.
        let image = unsafe {
            umd_image_new(
                name.as_ptr(),
                blob.as_ptr().cast(),
                blob.len(),
                &raw const plan,
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
