// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this still the process that made the handlers?
//!
//! After fork(2) the child has copies of our sockets, but not our threads, and its requests would mix with those of its
//! parent. A page that the kernel wipes in children (`MADV_WIPEONFORK`) tells, at the price of a load.
//!
//! What another thread was in the middle of when the copy was made stays in the middle in the child: a lock that it held is held for
//! ever. So nothing here waits for something that a parent's thread may have begun.

use super::pages::Kept;
use crate::lock::lock;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use rustix::io::Errno;
use rustix::mm::ProtFlags;
use rustix::time::{ClockId, clock_gettime};
use std::sync::Mutex;

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
        let page = Page::get()?;
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
    /// That of this program, which its copies have too.
    fn get() -> Result<Self, Errno> {
        static PAGE: Kept = Kept::new();
        let page = PAGE.get(ProtFlags::READ | ProtFlags::WRITE)?;
        // INVARIANT: nobody unmaps it.
        Ok(Self(page.cast()))
    }

    fn number(&self) -> &AtomicU32 {
        // SAFETY: mapped for good, by the invariant; any bytes are a number.
        unsafe { self.0.as_ref() }
    }
}

/// One value a process, made by whoever asks first. A copy of the process begins without one, and leaves that of its parent alone.
///
/// # Invariants
///
/// The pointer is null, or that of a place that was leaked.
pub(crate) struct PerProcess<T: 'static>(AtomicPtr<Place<T>>);

struct Place<T> {
    origin: Origin,
    /// Its threads are those of the origin: no other process waits for it.
    value: Mutex<Option<T>>,
}

impl<T: Clone + Send> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    /// That of this process. Whoever asks while it is made waits; where it cannot be made, the next one tries.
    pub(crate) fn get(&self, make: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
        let mut value = lock(&self.place()?.value);
        if let Some(value) = &*value {
            return Ok(value.clone());
        }
        Ok(value.insert(make()?).clone())
    }

    fn place(&self) -> Result<&'static Place<T>, Errno> {
        let origin = Origin::here()?;
        loop {
            let known = self.0.load(Ordering::Acquire);
            // SAFETY: leaked, by the invariant.
            if let Some(place) = unsafe { known.as_ref() }
                && place.origin.is_here()
            {
                return Ok(place);
            }
            let new = Box::into_raw(Box::new(Place {
                origin,
                value: Mutex::new(None),
            }));
            // INVARIANT: leaked, or not put there. What was there before was the parent's.
            let put = self
                .0
                .compare_exchange(known, new, Ordering::AcqRel, Ordering::Relaxed);
            if put.is_err() {
                // SAFETY: ours, and nobody knows of it.
                drop(unsafe { Box::from_raw(new) });
            }
        }
    }
}
