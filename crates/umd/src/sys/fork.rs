// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this still the process that made the handlers?
//!
//! After fork(2) the child has copies of our sockets, but not our threads, and its requests would mix with those of its
//! parent. A page that the kernel wipes in children (`MADV_WIPEONFORK`) tells, at the price of a load.

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicU32, Ordering};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};
use rustix::time::{ClockId, clock_gettime};
use std::sync::OnceLock;

const LENGTH: usize = 4096;

/// A process, as seen from those that have its memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    page: Page,
    /// What is on the page in that process.
    mark: u32,
}

/// A number that becomes 0 in a child.
///
/// # Invariants
///
/// The address is that of a page that is never unmapped.
#[derive(Clone, Copy, Debug)]
struct Page(NonNull<AtomicU32>);

// SAFETY: an atomic number.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}

impl Origin {
    /// This process.
    pub(crate) fn here() -> Result<Self, Errno> {
        static PAGE: OnceLock<Result<Page, Errno>> = OnceLock::new();
        let page = (*PAGE.get_or_init(Page::map))?;
        let number = page.number();
        // A child's page is empty when it first comes here.
        let _ = number.compare_exchange(0, Self::new_mark(), Ordering::Relaxed, Ordering::Relaxed);
        let mark = number.load(Ordering::Relaxed);
        Ok(Self { page, mark })
    }

    /// Is it this process, and not one that this one was forked from?
    pub(crate) fn is_here(self) -> bool {
        self.page.number().load(Ordering::Relaxed) == self.mark
    }

    /// Another one than that of a process that forked this one: the time, and never 0.
    fn new_mark() -> u32 {
        clock_gettime(ClockId::Monotonic).tv_nsec as u32 | 1 << 31
    }
}

impl Page {
    fn map() -> Result<Self, Errno> {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: new memory, wherever the kernel likes.
        let page = unsafe { mmap_anonymous(null_mut(), LENGTH, prot, MapFlags::PRIVATE) }?;
        // SAFETY: ours, and nobody has a reference to it yet.
        unsafe { madvise(page, LENGTH, Advice::LinuxWipeOnFork) }?;
        // INVARIANT: mapped, and nobody unmaps it.
        NonNull::new(page.cast()).map(Self).ok_or(Errno::NOMEM)
    }

    fn number(&self) -> &AtomicU32 {
        // SAFETY: mapped for good, by the invariant; any bytes are a number.
        unsafe { self.0.as_ref() }
    }
}
