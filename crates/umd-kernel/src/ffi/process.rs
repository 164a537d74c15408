// SPDX-License-Identifier: GPL-2.0-only
//! A handler's process and its channel file. C: `kernel/shim/process.c`, `kernel/shim/channel.c`.

use super::callbacks::Poll;
use super::image::Image;
use super::memory::Arc;
use super::timer::{Timed, Timer};
use crate::host::process::Process;
use core::ffi::{c_int, c_void};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, Ordering};
use umd_core::error::Errno;
use umd_core::host::Queue;
use umd_core::policy::Instant;

unsafe extern "C" {
    fn umd_process_spawn(
        image: *mut c_void,
        channel: *mut c_void,
        process: *const c_void,
        until: u64,
        watched: *mut bool,
    ) -> c_int;
    fn umd_process_kill(pid: *mut c_void);
    fn umd_process_lend_priority(pid: *mut c_void) -> bool;
    fn umd_process_take_priority(pid: *mut c_void);
    fn umd_process_number(pid: *mut c_void) -> c_int;
    fn umd_process_put(pid: *mut c_void);
    fn umd_task_is(pid: *const c_void) -> bool;
    fn umd_channel_file(process: *const c_void, error: *mut c_int) -> *mut c_void;
}

/// A reference to a process that is born once: empty before.
///
/// # Invariants
///
/// NULL, or a `struct pid` of which this owns a reference; it changes once, from NULL.
pub struct Pid(AtomicPtr<c_void>);

impl Default for Pid {
    fn default() -> Self {
        Self::new()
    }
}

impl Pid {
    /// Of a process that is not born yet.
    pub const fn new() -> Self {
        Self(AtomicPtr::new(core::ptr::null_mut()))
    }

    /// # Safety
    ///
    /// `pid` is a `struct pid` with a reference that is given to us.
    pub(super) unsafe fn set(&self, pid: NonNull<c_void>) {
        // INVARIANT: by this function's contract. A process is born once; were it not, the other
        // reference would be leaked, and nothing worse.
        let _ = self.0.compare_exchange(
            core::ptr::null_mut(),
            pid.as_ptr(),
            Ordering::Release,
            Ordering::Relaxed,
        );
    }

    /// NULL before the birth.
    pub(super) fn as_ptr(&self) -> *mut c_void {
        self.0.load(Ordering::Acquire)
    }

    fn get(&self) -> Option<NonNull<c_void>> {
        NonNull::new(self.as_ptr())
    }

    /// Sends SIGKILL. Nothing happens before the birth or after the death. Context: any.
    pub fn kill(&self) {
        if let Some(pid) = self.get() {
            // SAFETY: by the invariant we own a reference.
            unsafe { umd_process_kill(pid.as_ptr()) };
        }
    }

    /// Gives it the calling task's priority, where that is of a real-time class, until the guard is dropped.
    /// Context: no locks.
    pub fn lend_priority(&self) -> Option<LentPriority<'_>> {
        let pid = self.get()?;
        // SAFETY: as above.
        unsafe { umd_process_lend_priority(pid.as_ptr()) }.then_some(LentPriority(self))
    }

    /// The number in the first pid namespace; 0 before the birth and after the death.
    pub fn number(&self) -> i32 {
        match self.get() {
            // SAFETY: as above.
            Some(pid) => unsafe { umd_process_number(pid.as_ptr()) },
            None => 0,
        }
    }

    /// Is the calling task this process?
    pub fn is_current(&self) -> bool {
        match self.get() {
            // SAFETY: as above.
            Some(pid) => unsafe { umd_task_is(pid.as_ptr()) },
            None => false,
        }
    }
}

/// The priority of a caller that a process has until this is dropped. Context of the drop: no locks.
pub struct LentPriority<'p>(&'p Pid);

impl Drop for LentPriority<'_> {
    fn drop(&mut self) {
        if let Some(pid) = self.0.get() {
            // SAFETY: by its invariant it owns a reference.
            unsafe { umd_process_take_priority(pid.as_ptr()) };
        }
    }
}

impl Drop for Pid {
    fn drop(&mut self) {
        if let Some(pid) = self.get() {
            // SAFETY: by the invariant the reference is ours.
            unsafe { umd_process_put(pid.as_ptr()) };
        }
    }
}

// SAFETY: the timer is the first field of Process, so it is dropped before the others.
unsafe impl Timed for Process {
    fn timer(&self) -> &Timer<Self> {
        Process::timer(self)
    }

    fn fire(&self) {
        self.deadline();
    }
}

/// Adds the caller of poll(2) on the process's channel to those whom new requests wake.
pub fn poll(process: &Process, poll: &Poll) {
    // SAFETY: the channel's file owns the process, and with it the queues.
    unsafe { process.queues().poll(Queue::Handler as usize, poll) };
}

/// Opens the file of a channel. Ownership: the caller's.
fn open_channel(process: &Arc<Process>) -> Result<NonNull<c_void>, Errno> {
    let reference = process.clone().into_raw();
    let mut error = 0;
    // SAFETY: the file takes over the reference, and release gives it back.
    let file = NonNull::new(unsafe { umd_channel_file(reference, &raw mut error) });
    if file.is_none()
        && let Some(reference) = NonNull::new(reference.cast_mut())
    {
        // SAFETY: there is no file, so the reference is still ours.
        drop(unsafe { Arc::<Process>::from_raw(reference) });
    }
    file.ok_or_else(|| super::errno(error))
}

/// Executes the image as a process with a channel served by `process`. Returns when it has been
/// executed. From the birth on, `process` hears of it: `born`, then `read`, `write` and `released`
/// of the channel, and last `exited`. Context: may sleep, until the
/// deadline, but not on the handler's will.
pub fn spawn(process: &Arc<Process>, image: &Image, deadline: Instant) -> Result<(), Errno> {
    let file = open_channel(process)?;
    let reference = process.clone().into_raw();
    let mut watched = false;
    // SAFETY: the image is valid during the call, and the file goes there. The reference goes to the watch of
    // the process's end, or comes back as `watched` says.
    let result = unsafe {
        umd_process_spawn(
            image.as_ptr(),
            file.as_ptr(),
            reference,
            deadline.as_nanos(),
            &raw mut watched,
        )
    };
    if !watched && let Some(reference) = NonNull::new(reference.cast_mut()) {
        // SAFETY: nothing watches, so the reference is still ours.
        drop(unsafe { Arc::<Process>::from_raw(reference) });
    }
    match result {
        0 => Ok(()),
        error => Err(super::errno(error)),
    }
}
