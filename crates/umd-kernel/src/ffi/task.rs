// SPDX-License-Identifier: GPL-2.0-only
//! What the calling task has given up. C: `kernel/shim/task.c`.

use super::memory::Arc;
use crate::host::process::Process;
use core::ffi::{c_int, c_void};

unsafe extern "C" {
    fn umd_task_is_itself() -> bool;
    fn umd_task_is_single() -> bool;
    fn umd_task_has_only(process: *const c_void) -> bool;
    fn umd_task_no_more_files();
    fn umd_task_release();
    fn umd_task_has_ids(id: u32) -> bool;
    fn umd_task_has_no_caps() -> bool;
    fn umd_task_has_no_new_privs() -> bool;
    fn umd_task_cannot_fork() -> bool;
    fn umd_task_drop_bounding_set() -> c_int;
    fn umd_task_set_strict() -> bool;
    fn umd_task_has_filter() -> bool;
    fn umd_task_is_dying() -> bool;
}

/// It acts for itself: with its own credentials, and without a ring of io_uring.
pub fn is_itself() -> bool {
    // SAFETY: no precondition but process context, in which all of this crate runs that calls it.
    unsafe { umd_task_is_itself() }
}

/// It has one thread and no child.
pub fn is_single() -> bool {
    // SAFETY: as above.
    unsafe { umd_task_is_single() }
}

/// It has no descriptor but those of this process's channel.
pub fn has_only(process: &Process) -> bool {
    // SAFETY: the pointer is only compared.
    unsafe { umd_task_has_only(Arc::raw_of(process)) }
}

/// It can open nothing from now on, whatever it closes.
pub fn no_more_files() {
    // SAFETY: as above.
    unsafe { umd_task_no_more_files() };
}

/// Ends what protected its start from itself: it may be killed like any other.
pub fn release() {
    // SAFETY: as above.
    unsafe { umd_task_release() };
}

/// All its user and group ids are `id`, and it has no other group.
pub fn has_ids(id: u32) -> bool {
    // SAFETY: as above.
    unsafe { umd_task_has_ids(id) }
}

/// It has no capability.
pub fn has_no_capabilities() -> bool {
    // SAFETY: as above.
    unsafe { umd_task_has_no_caps() }
}

/// It can make no process and no thread.
pub fn cannot_fork() -> bool {
    // SAFETY: as above.
    unsafe { umd_task_cannot_fork() }
}

/// It can gain nothing by exec.
pub fn has_no_new_privs() -> bool {
    // SAFETY: as above.
    unsafe { umd_task_has_no_new_privs() }
}

/// Empties its capability bounding set. False: no memory.
pub fn drop_bounding_set() -> bool {
    // SAFETY: as above.
    unsafe { umd_task_drop_bounding_set() == 0 }
}

/// Puts it in seccomp's strict mode. False: a filter is in force already.
pub fn set_strict() -> bool {
    // SAFETY: as above.
    unsafe { umd_task_set_strict() }
}

/// A filter of seccomp's is in force for it.
pub fn has_filter() -> bool {
    // SAFETY: as above.
    unsafe { umd_task_has_filter() }
}

/// It has received a fatal signal.
pub fn is_dying() -> bool {
    // SAFETY: as above.
    unsafe { umd_task_is_dying() }
}
