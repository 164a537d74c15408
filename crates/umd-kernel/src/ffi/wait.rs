// SPDX-License-Identifier: GPL-2.0-only
//! Wait queues. C header: `include/linux/wait.h`.

use core::ffi::{c_int, c_void};
use core::ptr::NonNull;
use umd_core::error::{Errno, Error};
use umd_core::host::Interrupted;
use umd_core::policy::Instant;

type Ready = extern "C" fn(*mut c_void) -> bool;

unsafe extern "C" {
    fn umd_waitq_new(count: usize) -> *mut c_void;
    fn umd_waitq_free(waitq: *mut c_void);
    fn umd_waitq_wake(waitq: *mut c_void, index: usize);
    fn umd_waitq_killable(
        q: *mut c_void,
        i: usize,
        ready: Ready,
        context: *mut c_void,
        until: u64,
    ) -> c_int;
    fn umd_waitq_interruptible(
        q: *mut c_void,
        i: usize,
        ready: Ready,
        context: *mut c_void,
    ) -> c_int;
    fn umd_waitq_until(
        q: *mut c_void,
        i: usize,
        ready: Ready,
        context: *mut c_void,
        until: u64,
    ) -> c_int;
    fn umd_waitq_poll(q: *mut c_void, i: usize, file: *mut c_void, table: *mut c_void);
    fn umd_now() -> u64;
}

/// The time on the clock of deadlines. Context: any.
pub fn now() -> Instant {
    // SAFETY: no precondition.
    Instant::from_nanos(unsafe { umd_now() })
}

/// Some wait queues, known by their index. An index beyond the last is taken modulo their number.
///
/// # Invariants
///
/// The pointer is one of `umd_waitq_new()` and lives as long as this.
pub struct WaitQueues(NonNull<c_void>);

// SAFETY: the kernel's wait queues have locks of their own.
unsafe impl Send for WaitQueues {}
// SAFETY: as above.
unsafe impl Sync for WaitQueues {}

/// Calls a closure behind C's untyped pointer.
extern "C" fn ready<F: Fn() -> bool>(context: *mut c_void) -> bool {
    // SAFETY: every wait below passes a pointer to a closure of this very type, which lives until
    // the wait returns.
    unsafe { (*context.cast::<F>())() }
}

impl WaitQueues {
    /// Context: may sleep.
    pub fn try_new(count: usize) -> Result<Self, Error> {
        // SAFETY: no precondition; NULL is handled.
        let waitq = unsafe { umd_waitq_new(count.max(1)) };
        // INVARIANT: just made.
        NonNull::new(waitq).map(Self).ok_or(Error::NoMemory)
    }

    /// Wakes all who sleep there. Context: any.
    pub fn wake(&self, index: usize) {
        // SAFETY: by the invariant the queues are alive.
        unsafe { umd_waitq_wake(self.0.as_ptr(), index) };
    }

    /// Sleeps until `condition` holds, or a fatal signal comes, but no longer than `until`.
    pub fn killable<F: Fn() -> bool>(
        &self,
        index: usize,
        until: Instant,
        condition: F,
    ) -> Result<(), Interrupted> {
        let context = (&raw const condition).cast_mut().cast();
        // SAFETY: the queues are alive; `ready::<F>` fits the closure, which outlives the call.
        let result = unsafe {
            umd_waitq_killable(
                self.0.as_ptr(),
                index,
                ready::<F>,
                context,
                until.as_nanos(),
            )
        };
        if result < 0 && super::errno(result) == Errno::EINTR {
            Err(Interrupted)
        } else {
            Ok(())
        }
    }

    /// Sleeps until `condition` holds, or any signal comes: then the errno that makes the kernel
    /// restart the system call.
    pub fn interruptible<F: Fn() -> bool>(&self, index: usize, condition: F) -> Result<(), Errno> {
        let context = (&raw const condition).cast_mut().cast();
        // SAFETY: as above.
        match unsafe { umd_waitq_interruptible(self.0.as_ptr(), index, ready::<F>, context) } {
            0 => Ok(()),
            error => Err(super::errno(error)),
        }
    }

    /// Sleeps until `condition` holds, but no longer than `until`. True: it holds.
    pub fn until<F: Fn() -> bool>(&self, index: usize, until: Instant, condition: F) -> bool {
        let context = (&raw const condition).cast_mut().cast();
        // SAFETY: as above.
        let result = unsafe {
            umd_waitq_until(
                self.0.as_ptr(),
                index,
                ready::<F>,
                context,
                until.as_nanos(),
            )
        };
        result == 0
    }

    /// Adds the caller of poll(2) to the queue.
    ///
    /// # Safety
    ///
    /// The queues live as long as the file that is polled.
    pub(super) unsafe fn poll(&self, index: usize, poll: &super::callbacks::Poll) {
        // SAFETY: by this function's contract; the other two come from the kernel's poll, which is
        // under way.
        unsafe { umd_waitq_poll(self.0.as_ptr(), index, poll.file, poll.table) };
    }
}

impl Drop for WaitQueues {
    fn drop(&mut self) {
        // SAFETY: waiters borrow the queues, so there are none.
        unsafe { umd_waitq_free(self.0.as_ptr()) };
    }
}
