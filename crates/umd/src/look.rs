// SPDX-License-Identifier: MIT OR Apache-2.0
//! A look at a handler: what of its lockdown is in force, as the kernel says of its process.

use crate::report::{Item, Mechanism, Report, State, Why};
use crate::start::{FilterBy, Plan, States};
use crate::sys::clone::Child;
use rustix::fd::AsFd;
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{WaitId, WaitIdOptions, getpid, getuid, waitid};
use umd_core::error::LockdownCheck;

/// "nobody" and "nogroup".
const NOBODY: [u32; 4] = [65534; 4];

/// Before it serves: each property of the lockdown has a mechanism. The filter gives all of them, so it is this that there is no start
/// without. Where the child has set it there was no exec without, and nothing is left to be looked at.
pub(crate) fn check(child: &Child, plan: &Plan, states: &States) -> Result<(), LockdownCheck> {
    let FilterBy::Handler { filters } = states.filter else {
        return Ok(());
    };
    let status = visible(child, plan);
    match status.threads {
        Some(threads) if threads != 1 => Err(LockdownCheck::Threads),
        _ if status.is_filtered(filters) == Some(false) => Err(LockdownCheck::Seccomp),
        _ if status.no_new_privs == Some(0) => Err(LockdownCheck::NoNewPrivs),
        _ => Ok(()),
    }
}

/// What of its lockdown is in force now.
pub(crate) fn report(child: &Child, plan: &Plan, states: &States) -> Report {
    let status = visible(child, plan);
    let (seccomp, calls) = match states.filter {
        // What the kernel has said to the child.
        FilterBy::Child => (State::InForce, State::InForce),
        FilterBy::Handler { filters } => {
            let seccomp = status.is_filtered(filters);
            let calls = match seccomp {
                Some(false) => State::Missing(Why::NotSeen),
                Some(true) | None => State::Claimed,
            };
            (seen(seccomp), calls)
        }
    };
    // Where it is not seen: the child has it, or there was no exec.
    let no_new_privs = status.no_new_privs.is_none_or(|set| set == 1);
    let nobody = |((uids, gids), groups)| uids == NOBODY && gids == NOBODY && groups == 0;
    let ids = match states.drops_ids {
        true => seen(status.uids.zip(status.gids).zip(status.groups).map(nobody)),
        false => State::Missing(Why::NotPermitted),
    };
    let mut list = vec![
        (Mechanism::Seccomp, seccomp),
        (Mechanism::SystemCalls, calls),
        (Mechanism::NoNewPrivs, seen(Some(no_new_privs))),
        (
            Mechanism::Capabilities,
            seen(status.capabilities.map(|set| set == 0)),
        ),
        (Mechanism::Ids, ids),
    ];
    list.extend(&states.list);
    let is_root = match status.uids {
        Some([real, ..]) => real == 0,
        None => !states.drops_ids && getuid().is_root(),
    };
    for (mechanism, state) in &mut list {
        // Root is under no limit of processes.
        if *mechanism == Mechanism::ProcessLimit && is_root {
            *state = State::Missing(Why::NotPermitted);
        }
    }
    for mechanism in [Mechanism::Descriptors, Mechanism::OtherLimits] {
        if list.iter().all(|(listed, _)| *listed != mechanism) {
            list.push((mechanism, State::InForce));
        }
    }
    Report {
        profile: plan.lockdown().name(),
        pid: child.pid.get().unsigned_abs(),
        mechanisms: list
            .into_iter()
            .map(|(mechanism, state)| Item { mechanism, state })
            .collect(),
    }
}

/// What `/proc` shows of it.
fn visible(child: &Child, plan: &Plan) -> Status {
    match plan.proc_is_ours() {
        true => Status::of_child(child).unwrap_or_default(),
        false => Status::default(),
    }
}

fn seen(found: Option<bool>) -> State {
    match found {
        Some(true) => State::InForce,
        Some(false) => State::Missing(Why::NotSeen),
        None => State::Claimed,
    }
}

/// Does `/proc` number processes as this one does? Not where it is that of another PID namespace, in which our numbers are others'.
pub(crate) fn proc_is_ours() -> bool {
    let own = Status::of("self").and_then(|own| own.pids);
    own.is_some_and(|pids| pids == [getpid().as_raw_nonzero().get().unsigned_abs()])
}

/// What is of interest of `/proc/PID/status`, as in proc_pid_status(5). What a kernel does not tell is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    /// Its id in the PID namespace of `/proc`, and in each below that it is in.
    pub(crate) pids: Option<Vec<u32>>,
    pub(crate) threads: Option<u64>,
    pub(crate) uids: Option<[u32; 4]>,
    pub(crate) gids: Option<[u32; 4]>,
    /// How many.
    pub(crate) groups: Option<usize>,
    /// All sets of capabilities but the bounding one, in one.
    pub(crate) capabilities: Option<u64>,
    pub(crate) no_new_privs: Option<u64>,
    pub(crate) seccomp: Option<u64>,
    pub(crate) filters: Option<u64>,
}

impl Status {
    /// That of a child; nothing where `/proc` does not show it, or that is somebody else by now.
    fn of_child(child: &Child) -> Option<Self> {
        let status = Self::of(&child.pid.to_string())?;
        // Its id was its own until now if nobody has reaped it, be it dead or alive.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let unreaped = waitid(WaitId::PidFd(child.pidfd.as_fd()), options).is_ok();
        unreaped.then_some(status)
    }

    /// That of what `/proc` has under this name; nothing where it does not show it.
    pub(crate) fn of(process: &str) -> Option<Self> {
        let path = format!("/proc/{process}/status");
        let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut text = [0; 8192];
        let length = rustix::io::read(&file, &mut text).ok()?;
        Some(Self::parse(&String::from_utf8_lossy(text.get(..length)?)))
    }

    /// Is it under so many filters, or more?
    fn is_filtered(&self, filters: u64) -> Option<bool> {
        match (self.seccomp, self.filters) {
            (Some(mode), Some(number)) => Some(mode == 2 && number >= filters),
            // Before Linux 5.9 filters are not counted.
            (Some(mode), None) if mode != 2 => Some(false),
            _ => None,
        }
    }

    fn parse(text: &str) -> Self {
        let mut status = Self::default();
        for line in text.lines() {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            match name {
                "NSpid" => {
                    status.pids = value
                        .split_whitespace()
                        .map(|pid| pid.parse().ok())
                        .collect()
                }
                "Threads" => status.threads = value.parse().ok(),
                "Uid" => status.uids = four(value),
                "Gid" => status.gids = four(value),
                "Groups" => status.groups = Some(value.split_whitespace().count()),
                "CapInh" | "CapPrm" | "CapEff" | "CapAmb" => {
                    if let Ok(set) = u64::from_str_radix(value, 16) {
                        *status.capabilities.get_or_insert(0) |= set;
                    }
                }
                "NoNewPrivs" => status.no_new_privs = value.parse().ok(),
                "Seccomp" => status.seccomp = value.parse().ok(),
                "Seccomp_filters" => status.filters = value.parse().ok(),
                _ => {}
            }
        }
        status
    }
}

fn four(text: &str) -> Option<[u32; 4]> {
    let mut numbers = text.split_whitespace().map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some([next()?, next()?, next()?, next()?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    use std::process::Command;

    #[test]
    fn a_process_sees_itself() {
        let status = Status::of("self").expect("/proc is there");
        let uid = rustix::process::getuid().as_raw();
        assert_eq!(status.uids.expect("a line")[0], uid);
        assert!(status.threads >= Some(1));
        assert!(status.seccomp.is_some());
    }

    #[test]
    fn an_id_that_was_given_to_another_is_not_looked_up() {
        let mut program = Command::new("true").spawn().expect("a program");
        let pid = Pid::from_child(&program);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("pidfds");
        // As if the id were ours by now.
        let child = Child {
            pid: getpid().as_raw_nonzero(),
            pidfd,
        };
        assert!(Status::of_child(&child).is_some());
        program.wait().expect("it ends");
        assert_eq!(Status::of_child(&child), None);
    }

    #[test]
    fn whose_namespace_it_is() {
        assert!(proc_is_ours());
        let pids = |text| Status::parse(text).pids;
        assert_eq!(pids("NSpid:\t412\t7\n"), Some(vec![412, 7]));
        assert_eq!(pids("NSpid:\t-1\n"), None);
        assert_eq!(pids("Pid:\t7\n"), None);
    }

    #[test]
    fn what_is_not_there_is_absent() {
        let status = Status::parse(
            "Name:\tx:y\nThreads: many\nGroups:\t \nCapEff:\t0000000000000003\nCapPrm:\t4\n",
        );
        let wanted = Status {
            groups: Some(0),
            capabilities: Some(7),
            ..Status::default()
        };
        assert_eq!(status, wanted);
        assert_eq!(Status::of("0"), None);
    }
}
