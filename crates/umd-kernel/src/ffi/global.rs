// SPDX-License-Identifier: GPL-2.0-only
//! What umd.ko owns once, from its init to its exit.

use super::memory::Box;
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, Ordering};
use umd_core::error::Error;

/// A value that is made at init and dropped at exit.
///
/// # Invariants
///
/// NULL, or a pointer of `Box::into_raw()` that is owned here.
pub struct Global<T> {
    value: AtomicPtr<T>,
    owns: PhantomData<T>,
}

impl<T: Send + Sync> Default for Global<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Send + Sync> Global<T> {
    /// Not made yet.
    pub const fn new() -> Self {
        Self {
            value: AtomicPtr::new(core::ptr::null_mut()),
            owns: PhantomData,
        }
    }

    /// Context: init, once.
    pub fn set(&self, value: T) -> Result<(), Error> {
        // INVARIANT: fresh from into_raw().
        self.value
            .store(Box::try_new(value)?.into_raw(), Ordering::Release);
        Ok(())
    }

    /// The value; nothing before init and after exit.
    pub fn get(&self) -> Option<&T> {
        let value = NonNull::new(self.value.load(Ordering::Acquire))?;
        // SAFETY: by the invariant; clear() runs when nobody else does.
        Some(unsafe { value.as_ref() })
    }

    /// # Safety
    ///
    /// Nobody uses the value any more: umd.ko's exit, or a failed init.
    pub unsafe fn clear(&self) {
        let value = self.value.swap(core::ptr::null_mut(), Ordering::AcqRel);
        if let Some(value) = NonNull::new(value) {
            // SAFETY: by the invariant, and it was just taken out.
            drop(unsafe { Box::from_raw(value) });
        }
    }
}
