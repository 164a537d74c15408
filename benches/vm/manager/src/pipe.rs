// SPDX-License-Identifier: GPL-2.0-only
//! The baseline, written in C: `pipe.c`.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::NonNull;
use umd_kernel::Errno;

unsafe extern "C" {
    fn bench_pipe_new(fds: *const c_int, error: *mut c_int) -> *mut c_void;
    fn bench_pipe_load(
        pipe: *mut c_void,
        name: *const c_char,
        blob: *const u8,
        len: usize,
    ) -> c_int;
    fn bench_pipe_unload(pipe: *mut c_void);
    fn bench_pipe_start(pipe: *mut c_void) -> c_int;
    fn bench_pipe_kill(pipe: *mut c_void);
    fn bench_pipe_call(
        pipe: *mut c_void,
        request: *const u8,
        request_len: usize,
        reply: *mut u8,
        reply_len: usize,
    ) -> c_int;
    fn bench_pipe_free(pipe: *mut c_void);
    fn bench_kill(pid: c_int);
}

/// A handler behind a pair of pipes.
///
/// # Invariants
///
/// The pointer is one of `bench_pipe_new()` and lives as long as this.
pub(crate) struct Pipe(NonNull<c_void>);

// SAFETY: used by one session at a time.
unsafe impl Send for Pipe {}

fn result(value: c_int) -> Result<(), Errno> {
    match value {
        0 => Ok(()),
        error => Err(Errno::new(error.saturating_neg())),
    }
}

impl Pipe {
    pub(crate) fn new(fds: [i32; 4]) -> Result<Self, Errno> {
        let mut error = 0;
        // SAFETY: both pointers are valid during the call.
        let pipe = unsafe { bench_pipe_new(fds.as_ptr(), &raw mut error) };
        // INVARIANT: just made.
        NonNull::new(pipe)
            .map(Self)
            .ok_or_else(|| Errno::new(error.saturating_neg()))
    }

    pub(crate) fn load(&self, name: &CStr, blob: &[u8]) -> Result<(), Errno> {
        // SAFETY: by the invariant; name and blob are valid during the call.
        result(unsafe {
            bench_pipe_load(self.0.as_ptr(), name.as_ptr(), blob.as_ptr(), blob.len())
        })
    }

    pub(crate) fn unload(&self) {
        // SAFETY: by the invariant.
        unsafe { bench_pipe_unload(self.0.as_ptr()) };
    }

    pub(crate) fn start(&self) -> Result<(), Errno> {
        // SAFETY: by the invariant.
        result(unsafe { bench_pipe_start(self.0.as_ptr()) })
    }

    pub(crate) fn kill(&self) {
        // SAFETY: by the invariant.
        unsafe { bench_pipe_kill(self.0.as_ptr()) };
    }

    pub(crate) fn call(&self, request: &[u8], reply: &mut [u8]) -> Result<(), Errno> {
        // SAFETY: by the invariant; the buffers are valid for their lengths.
        result(unsafe {
            bench_pipe_call(
                self.0.as_ptr(),
                request.as_ptr(),
                request.len(),
                reply.as_mut_ptr(),
                reply.len(),
            )
        })
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // SAFETY: by the invariant.
        unsafe { bench_pipe_free(self.0.as_ptr()) };
    }
}

/// Kills a process, and waits until it is gone.
pub(crate) fn kill(pid: i32) {
    // SAFETY: any number will do.
    unsafe { bench_kill(pid) };
}
