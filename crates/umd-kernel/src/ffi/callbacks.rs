// SPDX-License-Identifier: GPL-2.0-only
//! What the C shims call: pointers become references here, and nowhere else.

use super::memory::Arc;
use super::user::UserBytes;
use crate::host::driver::Driver;
use crate::host::process::Process;
use crate::host::sysfs;
use core::ffi::{c_char, c_void};
use core::ptr::NonNull;
use umd_core::status::Denied;
use umd_core::syscall::Syscall;

/// poll(2) under way.
pub struct Poll {
    pub(super) file: *mut c_void,
    pub(super) table: *mut c_void,
}

/// # Safety
///
/// `process` is a reference that C holds; `pid` is one that it gives away.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_process_born(process: NonNull<c_void>, pid: NonNull<c_void>) {
    // SAFETY: by this function's contract.
    unsafe { Arc::<Process>::borrow_raw(process).pid().set(pid) };
    // SAFETY: as above.
    unsafe { Arc::<Process>::borrow_raw(process) }.born();
}

/// # Safety
///
/// `process` is a reference that C gives away.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_process_exited(process: NonNull<c_void>, status: u32, denied: u32) {
    // SAFETY: by this function's contract.
    Process::exited(
        unsafe { Arc::from_raw(process) },
        status,
        denied_call(denied),
    );
}

/// What C knows of a system call that was denied: `UMD_NONE_DENIED`, `UMD_DENIED_ELSEWHERE`.
fn denied_call(number: u32) -> Option<Denied> {
    const ELSEWHERE: u32 = 1 << 31;
    match (number, u16::try_from(number)) {
        (u32::MAX, _) => None,
        (_, Ok(number)) => Some(Denied::Call(Syscall::new(number))),
        _ => Some(Denied::Elsewhere(number & !ELSEWHERE)),
    }
}

/// # Safety
///
/// `process` is the file's reference.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_channel_read(
    process: NonNull<c_void>,
    to: *mut c_char,
    len: usize,
    nonblock: bool,
) -> isize {
    // SAFETY: by this function's contract.
    let process = unsafe { Arc::<Process>::borrow_raw(process) };
    super::length(process.read(UserBytes::new(to.addr(), len), nonblock))
}

/// # Safety
///
/// `process` is the file's reference.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_channel_write(
    process: NonNull<c_void>,
    from: *const c_char,
    len: usize,
    nonblock: bool,
) -> isize {
    // SAFETY: by this function's contract.
    let process = unsafe { Arc::<Process>::borrow_raw(process) };
    super::length(process.write(UserBytes::new(from.addr(), len), nonblock))
}

/// # Safety
///
/// `process` is the file's reference; the other two come from the kernel's poll.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_channel_poll(
    process: NonNull<c_void>,
    file: *mut c_void,
    table: *mut c_void,
) -> u32 {
    // SAFETY: by this function's contract.
    let process = unsafe { Arc::<Process>::borrow_raw(process) };
    process.poll(&Poll { file, table })
}

/// # Safety
///
/// `process` is the file's reference, given away.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_channel_release(process: NonNull<c_void>) {
    // SAFETY: by this function's contract.
    unsafe { Arc::<Process>::from_raw(process) }.released();
}

/// # Safety
///
/// `driver` is kept alive by the directory; `page` has `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_sysfs_show(
    driver: NonNull<c_void>,
    index: u32,
    page: NonNull<u8>,
    len: usize,
) -> isize {
    // SAFETY: by this function's contract.
    let driver = unsafe { Arc::<Driver>::borrow_raw(driver) };
    // SAFETY: by this function's contract; the kernel zeroes the page.
    let page = unsafe { core::slice::from_raw_parts_mut(page.as_ptr(), len) };
    super::length(sysfs::show(driver, index as usize, page))
}

/// # Safety
///
/// `driver` is kept alive by the directory; `text` has `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_rs_sysfs_store(
    driver: NonNull<c_void>,
    index: u32,
    text: NonNull<u8>,
    len: usize,
) -> isize {
    // SAFETY: as_raw() made this pointer from an Arc that the directory keeps, so adding an owner
    // for the time of this call is sound.
    let driver = unsafe { Arc::<Driver>::share_raw(driver) };
    // SAFETY: by this function's contract.
    let text = unsafe { core::slice::from_raw_parts(text.as_ptr(), len) };
    super::length(sysfs::store(&driver, index as usize, text).map(|()| len))
}
