// SPDX-License-Identifier: GPL-2.0-only
//! The kernel log and the trace events. C: `kernel/shim/log.c`, `kernel/shim/trace.c`.
//! Context of all: any.

use super::process::Pid;
use core::ffi::{CStr, c_char, c_int, c_void};
use umd_core::error::Errno;
use umd_core::status::Denied;

unsafe extern "C" {
    fn umd_trace_start(driver: *const c_char, pid: *mut c_void, error: c_int);
    fn umd_trace_request(driver: *const c_char, pid: *mut c_void, id: u32, len: u32);
    fn umd_trace_reply(driver: *const c_char, pid: *mut c_void, id: u32, result: c_int);
    fn umd_trace_timeout(driver: *const c_char, pid: *mut c_void);
    fn umd_trace_exit(driver: *const c_char, pid: *mut c_void, status: u32);
    fn umd_log_failure(
        driver: *const c_char,
        pid: c_int,
        what: *const c_char,
        len: usize,
        error: c_int,
    );
    fn umd_log_exit(driver: *const c_char, pid: c_int, status: u32);
    fn umd_log_denied(
        driver: *const c_char,
        pid: c_int,
        name: *const c_char,
        len: usize,
        number: u32,
    );
}

/// A handler came into service, or failed to.
pub fn start(driver: &CStr, pid: &Pid, error: Option<Errno>) {
    let error = error.map_or(0, |errno| errno.get().saturating_neg());
    // SAFETY: the name is terminated, and copied; the pid is alive or NULL.
    unsafe { umd_trace_start(driver.as_ptr(), pid.as_ptr(), error) };
}

/// A request was put on the channel.
pub fn request(driver: &CStr, pid: &Pid, id: u32, len: u32) {
    // SAFETY: as above.
    unsafe { umd_trace_request(driver.as_ptr(), pid.as_ptr(), id, len) };
}

/// A request has ended: the length of the reply, or a negative errno.
pub fn reply(driver: &CStr, pid: &Pid, id: u32, result: i32) {
    // SAFETY: as above.
    unsafe { umd_trace_reply(driver.as_ptr(), pid.as_ptr(), id, result) };
}

/// A deadline has passed, and the handler was killed.
pub fn timeout(driver: &CStr, pid: &Pid) {
    // SAFETY: as above.
    unsafe { umd_trace_timeout(driver.as_ptr(), pid.as_ptr()) };
}

/// A process has ended, with this wait status.
pub fn exit(driver: &CStr, pid: &Pid, status: u32) {
    // SAFETY: as above.
    unsafe { umd_trace_exit(driver.as_ptr(), pid.as_ptr(), status) };
}

/// A log line: what went wrong with a handler.
pub fn log_failure(driver: &CStr, pid: i32, what: &str, errno: Errno) {
    // SAFETY: the name is terminated; what is valid for its length.
    unsafe {
        umd_log_failure(
            driver.as_ptr(),
            pid,
            what.as_ptr().cast(),
            what.len(),
            errno.get().saturating_neg(),
        );
    }
}

/// A log line: which system call its lockdown denied to a handler.
pub fn log_denied(driver: &CStr, pid: i32, denied: Denied) {
    let name = denied.name();
    // SAFETY: the driver's name is terminated; the call's is valid for its length.
    unsafe {
        umd_log_denied(
            driver.as_ptr(),
            pid,
            name.as_ptr().cast(),
            name.len(),
            denied.number(),
        );
    }
}

/// A log line: how a handler ended that nobody wanted to end.
pub fn log_exit(driver: &CStr, pid: i32, status: u32) {
    // SAFETY: as above.
    unsafe { umd_log_exit(driver.as_ptr(), pid, status) };
}
