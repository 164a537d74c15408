// SPDX-License-Identifier: GPL-2.0-only
//! A spinlock around a value. C header: `include/linux/spinlock.h`.

use core::cell::UnsafeCell;
use core::ffi::{c_ulong, c_void};
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use umd_core::error::Error;

unsafe extern "C" {
    fn umd_lock_new(class: u32) -> *mut c_void;
    fn umd_lock_free(lock: *mut c_void);
    fn umd_lock_acquire(lock: *mut c_void) -> c_ulong;
    fn umd_lock_release(lock: *mut c_void, flags: c_ulong);
}

/// Which locks are taken under which: one of a class may be taken under those of the classes before it, and under no
/// others. A kernel with lockdep checks that.
#[derive(Clone, Copy)]
pub enum Class {
    /// The list of all leases.
    Leases = 0,
    /// One lease.
    Lease = 1,
    /// All others: of a driver, of a channel, of a list. No lock is taken under one of them.
    Innermost = 2,
}

/// A value that one CPU at a time works on, with interrupts off. Whoever holds it must not sleep.
///
/// # Invariants
///
/// The lock is one of `umd_lock_new()` and lives as long as this.
pub struct SpinLock<T> {
    lock: NonNull<c_void>,
    value: UnsafeCell<T>,
}

// SAFETY: the lock may be used from any CPU, and hands the value from one to another.
unsafe impl<T: Send> Send for SpinLock<T> {}
// SAFETY: as above: access is exclusive, so Send is all that the value needs.
unsafe impl<T: Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
    /// An innermost one. Context: may sleep.
    pub fn try_new(value: T) -> Result<Self, Error> {
        Self::try_new_of(Class::Innermost, value)
    }

    /// Context: may sleep.
    pub fn try_new_of(class: Class, value: T) -> Result<Self, Error> {
        // SAFETY: no precondition; NULL is handled.
        let lock = NonNull::new(unsafe { umd_lock_new(class as u32) }).ok_or(Error::NoMemory)?;
        // INVARIANT: just made.
        Ok(Self {
            lock,
            value: UnsafeCell::new(value),
        })
    }

    /// Context: any.
    pub fn lock(&self) -> Guard<'_, T> {
        // SAFETY: by the invariant the lock is alive.
        let flags = unsafe { umd_lock_acquire(self.lock.as_ptr()) };
        Guard {
            lock: self,
            flags,
            not_send: PhantomData,
        }
    }
}

impl<T> Drop for SpinLock<T> {
    fn drop(&mut self) {
        // SAFETY: nobody holds it: a guard borrows the lock.
        unsafe { umd_lock_free(self.lock.as_ptr()) };
    }
}

/// The right to the value, until dropped, on this CPU.
pub struct Guard<'l, T> {
    lock: &'l SpinLock<T>,
    flags: c_ulong,
    not_send: PhantomData<*const ()>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: we hold the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: we hold the lock and are borrowed mutably.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: we hold the lock, and these are the flags that it gave.
        unsafe { umd_lock_release(self.lock.lock.as_ptr(), self.flags) };
    }
}
