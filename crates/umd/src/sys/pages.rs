// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pages that are there as long as the program is.

use core::ffi::c_void;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

const LENGTH: usize = 4096;

/// One page of zeroes, made by whoever asks first. Copies of the program have it too, and find it empty (`MADV_WIPEONFORK`).
///
/// # Invariants
///
/// The pointer is null, or the address of a page that nobody unmaps.
pub(crate) struct Kept(AtomicPtr<c_void>);

impl Kept {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    /// Where it is. Whoever asks says the same of what may be done with it.
    pub(crate) fn get(&self, protection: ProtFlags) -> Result<NonNull<c_void>, Errno> {
        if let Some(page) = NonNull::new(self.0.load(Ordering::Acquire)) {
            return Ok(page);
        }
        // SAFETY: new memory, wherever the kernel likes.
        let page = unsafe { mmap_anonymous(null_mut(), LENGTH, protection, MapFlags::PRIVATE) }?;
        // SAFETY: ours, and nobody has a reference to it yet.
        let advised = unsafe { madvise(page, LENGTH, Advice::LinuxWipeOnFork) };
        let first = advised.map(|()| {
            let order = Ordering::AcqRel;
            let known = self
                .0
                .compare_exchange(null_mut(), page, order, Ordering::Acquire);
            // INVARIANT: mapped, and what is unmapped below was not put there.
            known.err()
        });
        if first != Ok(None) {
            // SAFETY: mapped just now, and nobody knows of it. A failure would leave it mapped, no more.
            let _ = unsafe { munmap(page, LENGTH) };
        }
        NonNull::new(first?.unwrap_or(page)).ok_or(Errno::NOMEM)
    }
}
