// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel says of a process: `/proc/PID/status`, as in proc_pid_status(5).

use rustix::fs::{Mode, OFlags, open};

/// What is of interest of it. What a kernel does not tell is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
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
    /// That of this process; nothing where `/proc` does not show it.
    pub(crate) fn of(process: &str) -> Option<Self> {
        let path = format!("/proc/{process}/status");
        let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut text = [0; 8192];
        let length = rustix::io::read(&file, &mut text).ok()?;
        Some(Self::parse(&String::from_utf8_lossy(text.get(..length)?)))
    }

    fn parse(text: &str) -> Self {
        let mut status = Self::default();
        for line in text.lines() {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            match name {
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

    #[test]
    fn a_process_sees_itself() {
        let status = Status::of("self").expect("/proc is there");
        let uid = rustix::process::getuid().as_raw();
        assert_eq!(status.uids.expect("a line")[0], uid);
        assert!(status.threads >= Some(1));
        assert!(status.seccomp.is_some());
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
