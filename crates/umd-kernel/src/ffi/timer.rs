// SPDX-License-Identifier: GPL-2.0-only
//! A timer that calls its owner in hard IRQ context. C header: `include/linux/hrtimer.h`.

use super::memory::Arc;
use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr::NonNull;
use umd_core::error::Error;
use umd_core::policy::Instant;

unsafe extern "C" {
    fn umd_timer_new(fire: extern "C" fn(*mut c_void)) -> *mut c_void;
    fn umd_timer_bind(timer: *mut c_void, context: *const c_void);
    fn umd_timer_start(timer: *mut c_void, at: u64);
    fn umd_timer_free(timer: *mut c_void);
}

/// Something that owns a timer.
///
/// # Safety
///
/// `timer()` always returns the same timer, which is a field of `self` and declared before all
/// fields that `fire()` uses: it is dropped, and so cancelled, before they are.
pub unsafe trait Timed: Send + Sync + Sized {
    /// The timer.
    fn timer(&self) -> &Timer<Self>;

    /// The time has come. Context: hard IRQ; must not sleep.
    fn fire(&self);
}

/// A one-shot timer on the clock of deadlines. It may fire early, where that stood still.
///
/// # Invariants
///
/// The pointer is one of `umd_timer_new()` and lives as long as this.
pub struct Timer<T> {
    timer: NonNull<c_void>,
    owner: PhantomData<fn(&T)>,
}

// SAFETY: the kernel's timers have locks of their own.
unsafe impl<T> Send for Timer<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Timer<T> {}

extern "C" fn fire<T: Timed>(context: *mut c_void) {
    if let Some(context) = NonNull::new(context) {
        // SAFETY: bind() passed an Arc's pointer, and by Timed's contract the timer is cancelled
        // before the owner's fields are dropped.
        unsafe { Arc::<T>::borrow_raw(context) }.fire();
    }
}

impl<T: Timed> Timer<T> {
    /// Context: may sleep.
    pub fn try_new() -> Result<Self, Error> {
        // SAFETY: no precondition; NULL is handled.
        let timer = NonNull::new(unsafe { umd_timer_new(fire::<T>) }).ok_or(Error::NoMemory)?;
        // INVARIANT: just made.
        Ok(Self {
            timer,
            owner: PhantomData,
        })
    }

    /// Tells the timer whom to call: before that it calls nobody.
    pub fn bind(owner: &Arc<T>) {
        // SAFETY: the timer is alive with its owner, and cancelled before the owner is gone.
        unsafe { umd_timer_bind(owner.timer().timer.as_ptr(), owner.as_raw()) };
    }

    /// Fires at `at`, and not at the instant set before. Starts must be serialised by a lock of the
    /// owner's. Context: any, `fire` included.
    pub fn start(&self, at: Instant) {
        // SAFETY: by the invariant the timer is alive.
        unsafe { umd_timer_start(self.timer.as_ptr(), at.as_nanos()) };
    }
}

impl<T> Drop for Timer<T> {
    fn drop(&mut self) {
        // SAFETY: by the invariant the timer is alive. This waits for a running callback, and
        // never happens in it: the callback only borrows the owner.
        unsafe { umd_timer_free(self.timer.as_ptr()) };
    }
}
