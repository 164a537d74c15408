// SPDX-License-Identifier: GPL-2.0-only
//! What is checked and completed on the handler's own task, in its own system call.

use super::process::Process;
use crate::ffi::{guard, task};
use umd_core::error::LockdownCheck;
use umd_core::lockdown::{Element, Elements, Lockdown};

/// The user and group that handlers run as: nobody and nogroup.
const NOBODY: u32 = 65_534;

/// Checks the task that calls, and completes what the profile says. Nothing here is the task's own word. Returns
/// what is in force: what this found or did, and what was done before the exec and cannot be undone by the task.
/// Context: the handler's system call, no locks.
pub fn confine(process: &Process, profile: Lockdown) -> Result<Elements, LockdownCheck> {
    match profile {
        Lockdown::Unconfined => {}
        Lockdown::SystemRoot | Lockdown::Basic => confine_launched()?,
        Lockdown::Custom(_) | Lockdown::Compute => {
            confine_launched()?;
            check(task::has_only(process), LockdownCheck::Files)?;
            task::no_more_files();
        }
        Lockdown::Strict => confine_strictly(process)?,
    }
    Ok(requested(profile))
}

/// What is asked for: what the profile says, and what umd.ko was loaded with.
pub fn requested(profile: Lockdown) -> Elements {
    let elements = Elements::requested(profile);
    if guard::is_on() && profile != Lockdown::Unconfined {
        return elements.with(Element::Protection);
    }
    elements
}

fn confine_strictly(process: &Process) -> Result<(), LockdownCheck> {
    // First: only then do the others read what is the task's own.
    check(task::is_itself(), LockdownCheck::Threads)?;
    check(task::is_single(), LockdownCheck::Threads)?;
    check(task::has_ids(NOBODY), LockdownCheck::Ids)?;
    check(task::has_no_capabilities(), LockdownCheck::Capabilities)?;
    check(task::has_no_new_privs(), LockdownCheck::NoNewPrivs)?;
    check(task::has_only(process), LockdownCheck::Files)?;
    check(task::drop_bounding_set(), LockdownCheck::Memory)?;
    check(task::set_strict(), LockdownCheck::Seccomp)?;
    task::release();
    Ok(())
}

/// All but the last was done by the launcher, before the handler's first instruction; it is looked at once
/// more.
fn confine_launched() -> Result<(), LockdownCheck> {
    check(task::is_itself(), LockdownCheck::Threads)?;
    check(task::cannot_fork(), LockdownCheck::Threads)?;
    check(task::has_ids(NOBODY), LockdownCheck::Ids)?;
    check(task::has_no_capabilities(), LockdownCheck::Capabilities)?;
    check(task::has_no_new_privs(), LockdownCheck::NoNewPrivs)?;
    check(task::has_filter(), LockdownCheck::Seccomp)?;
    check(task::drop_bounding_set(), LockdownCheck::Memory)
}

fn check(passed: bool, check: LockdownCheck) -> Result<(), LockdownCheck> {
    if passed { Ok(()) } else { Err(check) }
}
