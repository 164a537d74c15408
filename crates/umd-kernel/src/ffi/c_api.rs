// SPDX-License-Identifier: GPL-2.0-only
//! The Rust behind `kernel/shim/capi.c` and `kernel/shim/stream.c`.

use super::abi::{HealthCheckFn, Options};
use super::exports::{HealthCheck, confined, or_default};
use super::memory::Arc;
use super::{bytes, bytes_mut, negative};
use crate::host::loader::Going;
use crate::host::process::Process;
use crate::host::{c_api, lease, loader, registry};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::NonNull;
use umd_core::channel::End;
use umd_core::error::Errno;
use umd_core::policy::{Instant, Policy};

/// Context: umd.ko's init.
#[unsafe(no_mangle)]
extern "C" fn umd_rs_init() -> c_int {
    let made = loader::init()
        .and_then(|()| registry::init())
        .and_then(|()| lease::init())
        .and_then(|()| c_api::init());
    match made {
        Ok(()) => 0,
        Err(error) => {
            // SAFETY: nothing else has begun.
            unsafe { umd_rs_exit() };
            negative(error.errno())
        }
    }
}

/// # Safety
///
/// Nobody is in umd.ko any more but its exit.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_exit() {
    // SAFETY: by this function's contract.
    unsafe {
        c_api::global().clear();
        lease::global().clear();
        registry::global().clear();
        loader::global().clear();
    }
}

fn status(result: Result<(), Errno>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(errno) => negative(errno),
    }
}

/// # Safety
///
/// `options` is NULL or valid.
unsafe fn policy(options: *const Options) -> Result<Policy, Errno> {
    let default = c_api::POLICY;
    let Some(options) = NonNull::new(options.cast_mut()) else {
        return Ok(default);
    };
    // SAFETY: by this function's contract.
    let options = unsafe { options.as_ref() };
    if options.size as usize != size_of::<Options>() || options.reserved != 0 {
        return Err(Errno::EINVAL);
    }
    // SAFETY: by this function's contract.
    let default = unsafe { confined(&options.confinement, default)? };
    Ok(Policy {
        deadline: or_default(options.deadline_ns, default.deadline),
        start_deadline: or_default(options.start_deadline_ns, default.start_deadline),
        ..default
    })
}

/// The mount of the blob; NULL and an error where it could not be staged.
///
/// # Safety
///
/// `name` is terminated, `data` has `len` bytes, `options` is NULL or valid, all during the call; `check` may
/// be called with `context` until the blob is unloaded.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_blob_load(
    name: NonNull<c_char>,
    data: *const u8,
    len: usize,
    options: *const Options,
    check: Option<HealthCheckFn>,
    context: *mut c_void,
    error: NonNull<c_int>,
) -> *mut c_void {
    // SAFETY: by this function's contract.
    let (name, blob, policy) = unsafe {
        (
            CStr::from_ptr(name.as_ptr()),
            bytes(data, len).map_err(|error| error.errno()),
            policy(options),
        )
    };
    // SAFETY: by this function's contract.
    let health_check = || check.map(|check| unsafe { HealthCheck::new(check, context) });
    let loaded = blob.and_then(|blob| {
        policy.and_then(|policy| c_api::load(name, blob, policy, context.addr(), health_check))
    });
    match loaded {
        Ok(mount) => core::ptr::without_provenance_mut(mount),
        Err(errno) => {
            // SAFETY: C passes a variable of its own.
            unsafe { error.write(negative(errno)) };
            core::ptr::null_mut()
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn umd_rs_blob_unload(mount: *const c_void) -> c_int {
    status(c_api::unload(mount.addr()))
}

/// A reference to the process; NULL and an error where there is none.
///
/// # Safety
///
/// `error` may be written to.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_blob_fork(
    mount: *const c_void,
    error: NonNull<c_int>,
) -> *const c_void {
    match c_api::fork(mount.addr()) {
        Ok(process) => process.into_raw(),
        Err(errno) => {
            // SAFETY: by this function's contract.
            unsafe { error.write(negative(errno)) };
            core::ptr::null()
        }
    }
}

/// # Safety
///
/// The buffers are valid for their lengths; the reply's is nobody else's.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_blob_call(
    mount: *const c_void,
    context: *const c_void,
    begin: u64,
    request: *const u8,
    request_len: usize,
    reply: *mut u8,
    reply_len: usize,
) -> c_int {
    // SAFETY: by this function's contract.
    let buffers = unsafe { (bytes(request, request_len), bytes_mut(reply, reply_len)) };
    let (Ok(request), Ok(reply)) = buffers else {
        return negative(Errno::EINVAL);
    };
    let begin = Instant::from_nanos(begin);
    status(c_api::call(
        mount.addr(),
        context.addr(),
        begin,
        request,
        reply,
    ))
}

/// # Safety
///
/// `name` is terminated; `is_loaded` may be called with `context`.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_module_request(
    name: NonNull<c_char>,
    begin: u64,
    is_loaded: unsafe extern "C" fn(*mut c_void) -> bool,
    context: *mut c_void,
) -> c_int {
    // SAFETY: by this function's contract.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    let begin = Instant::from_nanos(begin);
    // SAFETY: by this function's contract.
    status(c_api::request_module(name, begin, || unsafe {
        is_loaded(context)
    }))
}

/// The module of this name has brought what it is there for.
///
/// # Safety
///
/// `name` is terminated.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_module_came(name: NonNull<c_char>) {
    // SAFETY: by this function's contract.
    c_api::module_came(unsafe { CStr::from_ptr(name.as_ptr()) });
}

/// The module of this name goes: it is about to let go of what it had brought, or has done so.
///
/// # Safety
///
/// `name` is terminated.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_module_goes(name: NonNull<c_char>, has_let_go: bool) {
    let how_far = match has_let_go {
        false => Going::Begins,
        true => Going::HasLetGo,
    };
    // SAFETY: by this function's contract.
    c_api::module_goes(unsafe { CStr::from_ptr(name.as_ptr()) }, how_far);
}

/// modprobe has ended for the module of this name.
///
/// # Safety
///
/// `name` is terminated.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_module_ended(name: NonNull<c_char>, result: c_int) {
    // SAFETY: by this function's contract.
    c_api::modprobe_ended(unsafe { CStr::from_ptr(name.as_ptr()) }, result == 0);
}

/// Another reference to a process.
///
/// # Safety
///
/// `process` is a reference that somebody holds during the call.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_process_get(process: NonNull<c_void>) {
    // SAFETY: by this function's contract.
    let _ = unsafe { Arc::<Process>::share_raw(process) }.into_raw();
}

/// # Safety
///
/// `process` is a reference that is given back.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_process_put(process: NonNull<c_void>) {
    // SAFETY: by this function's contract.
    drop(unsafe { Arc::<Process>::from_raw(process) });
}

/// Its `struct pid`, without a reference.
///
/// # Safety
///
/// `process` is a reference that somebody holds.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_process_pid(process: NonNull<c_void>) -> *mut c_void {
    // SAFETY: by this function's contract.
    unsafe { Arc::<Process>::borrow_raw(process) }
        .pid()
        .as_ptr()
}

/// Until when its start may take, in nanoseconds on the monotonic clock.
///
/// # Safety
///
/// `process` is a reference that somebody holds.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_process_start_deadline(process: NonNull<c_void>) -> u64 {
    // SAFETY: by this function's contract.
    unsafe { Arc::<Process>::borrow_raw(process) }
        .start_deadline()
        .as_nanos()
}

/// # Safety
///
/// `process` is the file's reference; the buffers are valid for their lengths.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_stream_exchange(
    process: NonNull<c_void>,
    request: *const u8,
    request_len: usize,
    reply: *mut u8,
    reply_len: usize,
) -> c_int {
    // SAFETY: by this function's contract. The owner may close the file meanwhile.
    let process = unsafe { Arc::<Process>::share_raw(process) };
    // SAFETY: by this function's contract.
    let buffers = unsafe { (bytes(request, request_len), bytes_mut(reply, reply_len)) };
    let (Ok(request), Ok(reply)) = buffers else {
        return negative(Errno::EFAULT);
    };
    status(c_api::exchange(&process, request, reply))
}

/// # Safety
///
/// `process` is the file's reference; `to` has `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_stream_read(
    process: NonNull<c_void>,
    to: *mut u8,
    len: usize,
) -> isize {
    // SAFETY: by this function's contract.
    let process = unsafe { Arc::<Process>::borrow_raw(process) };
    // SAFETY: by this function's contract.
    let to = unsafe { bytes_mut(to, len) }.map_err(|_| Errno::EFAULT);
    super::length(to.and_then(|to| process.stream_read(to)))
}

/// # Safety
///
/// `process` is the file's reference; `from` has `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_stream_write(
    process: NonNull<c_void>,
    from: *const u8,
    len: usize,
) -> isize {
    // SAFETY: by this function's contract.
    let process = unsafe { Arc::<Process>::borrow_raw(process) };
    // SAFETY: by this function's contract.
    let from = unsafe { bytes(from, len) }.map_err(|_| Errno::EFAULT);
    super::length(from.and_then(|from| process.stream_write(from)))
}

/// # Safety
///
/// `process` is the file's reference, given away.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_stream_release(process: NonNull<c_void>, to_handler: bool) {
    let end = if to_handler { End::To } else { End::From };
    // SAFETY: by this function's contract.
    unsafe { Arc::<Process>::from_raw(process) }.dropped(end);
}
