// SPDX-License-Identifier: GPL-2.0-only
//! `strict`: checked and completed on the handler's own task, in its own system call.

use crate::ffi::task;
use umd_core::error::LockdownCheck;

/// The user and group that handlers run as: nobody and nogroup.
const NOBODY: u32 = 65_534;

/// Checks the task that calls, and puts it in seccomp's strict mode. Nothing here is the task's own
/// word. Context: the handler's system call, no locks.
pub fn confine() -> Result<(), LockdownCheck> {
    let checks = [
        (task::is_single(), LockdownCheck::Threads),
        (task::has_ids(NOBODY), LockdownCheck::Ids),
        (task::has_no_capabilities(), LockdownCheck::Capabilities),
        (task::has_no_new_privs(), LockdownCheck::NoNewPrivs),
        (task::drop_bounding_set(), LockdownCheck::Capabilities),
    ];
    for (passed, check) in checks {
        if !passed {
            return Err(check);
        }
    }
    if task::set_strict() {
        Ok(())
    } else {
        Err(LockdownCheck::Seccomp)
    }
}
