// SPDX-License-Identifier: MIT OR Apache-2.0
//! What it means.

use serde::Serialize;

use super::observe::{Answer, Cgroup, Module, Observed};

/// One thing that a machine has or lacks.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    /// What.
    pub(super) what: &'static str,
    /// Is it there?
    pub(super) state: State,
    /// What was seen.
    pub(super) found: String,
    /// What it is for, and how to get it.
    pub(super) means: String,
    /// Handlers cannot be started, or not locked down, without it.
    pub(super) needed: bool,
}

/// Is something there?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// All of it.
    Yes,
    /// Some of it.
    Limited,
    /// None of it.
    No,
    /// That cannot be told.
    Unknown,
}

impl Finding {
    /// Nothing works without it, and it is not there.
    pub(super) fn is_fatal(&self) -> bool {
        self.needed && self.state == State::No
    }

    fn new(
        what: &'static str,
        state: State,
        found: impl Into<String>,
        means: impl Into<String>,
    ) -> Self {
        Self {
            what,
            state,
            found: found.into(),
            means: means.into(),
            needed: false,
        }
    }

    fn of(what: &'static str, answer: &Answer, means: &str) -> Self {
        match answer {
            Ok(()) => Self::new(what, State::Yes, "it works", means),
            Err(why) => Self::new(what, State::No, why, means),
        }
    }

    fn needed(self) -> Self {
        let needed = if self.state == State::No {
            "needed: "
        } else {
            ""
        };
        Self {
            means: format!("{needed}{}", self.means),
            needed: true,
            ..self
        }
    }
}

/// What was seen, each with what it means.
pub(super) fn findings(seen: &Observed) -> Vec<Finding> {
    vec![
        kernel(seen),
        strict_mode(seen),
        filters(seen),
        landlock(seen),
        image(seen),
        memfd_policy(seen),
        Finding::of(
            "clone3",
            &seen.clone3,
            "handlers are started with clone instead, which takes a little longer. Linux has it since 5.3; containers forbid it often",
        ),
        Finding::of(
            "pidfd",
            &seen.pidfd,
            "a handler's end is noticed by it, also where the program's own code waits for all children. Linux has it since 5.3",
        ),
        Finding::of(
            "close_range",
            &seen.close_range,
            "files that a program has open are kept from its handlers one by one instead. Linux has it since 5.9",
        ),
        Finding::of(
            "/proc",
            &seen.proc,
            "what is in force on a handler is read there. Without it the enforcement report says `claimed`: mount /proc, without \
             hidepid=invisible for this user",
        ),
        Finding::of(
            "user namespaces",
            &seen.user_namespaces,
            "a handler can have an empty root directory and no network without root; strict needs neither. See user.max_user_namespaces, \
             kernel.unprivileged_userns_clone (Debian), kernel.apparmor_restrict_unprivileged_userns (Ubuntu)",
        ),
        cgroup(seen),
        bpf(seen),
        module(seen),
    ]
}

/// The first two numbers of a release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn kernel(seen: &Observed) -> Finding {
    const OLDEST: (u32, u32) = (6, 1);
    let means = "umd is tested on 6.1 and 6.12; what an older kernel lacks stands below";
    match &seen.release {
        Ok(release) => {
            let state = match version(release) {
                Some(version) if version >= OLDEST => State::Yes,
                Some(_) => State::Limited,
                None => State::Unknown,
            };
            Finding::new("kernel", state, release, means)
        }
        Err(why) => Finding::new("kernel", State::Unknown, why, means),
    }
}

fn strict_mode(seen: &Observed) -> Finding {
    let what = "seccomp strict mode";
    let means = "the lockdown `strict` is this mode, or a filter with the same list";
    match (&seen.seccomp_strict, &seen.seccomp_filter) {
        (Err(why), Ok(())) => {
            let means = format!(
                "{means}: that one, where the program is under a filter already, as in a container"
            );
            Finding::new(what, State::Limited, why, means)
        }
        (answer, _) => Finding::of(what, answer, means),
    }
}

fn filters(seen: &Observed) -> Finding {
    let finding = Finding::of(
        "seccomp filters",
        &seen.seccomp_filter,
        "the lockdowns `compute` and `custom` are filters, and `strict` is one where there is no strict mode. The kernel \
         needs CONFIG_SECCOMP_FILTER; a container's profile has to allow prctl(PR_SET_SECCOMP)",
    );
    match seen.seccomp_strict {
        Ok(()) => finding,
        Err(_) => finding.needed(),
    }
}

fn landlock(seen: &Observed) -> Finding {
    const ALL: u32 = 6;
    let what = "Landlock";
    let means = "a second mechanism for \"cannot open anything\", beside seccomp; since version 6 also for signals and sockets of others";
    match &seen.landlock {
        Ok(version) if *version >= ALL => {
            Finding::new(what, State::Yes, format!("version {version}"), means)
        }
        Ok(version) => {
            let means = format!("{means}: Linux has that since 6.12");
            Finding::new(what, State::Limited, format!("version {version}"), means)
        }
        Err(why) => {
            let means = format!(
                "{means}. Linux has it since 5.13; it has to be in the kernel's list of security modules (lsm= at boot)"
            );
            Finding::new(what, State::No, why, means)
        }
    }
}

fn image(seen: &Observed) -> Finding {
    let what = "executables in memory";
    let means = "a handler is executed from a sealed file in memory. See vm.memfd_noexec; where it is 2 an executable mount with O_TMPFILE serves instead";
    match (&seen.memfd_exec, &seen.memfd) {
        (Ok(()), _) => Finding::new(what, State::Yes, "memfd_create with MFD_EXEC", means),
        // MFD_EXEC is of Linux 6.3.
        (Err(_), Ok(())) if seen.memfd_noexec.is_none() => Finding::new(
            what,
            State::Yes,
            "memfd_create, which is from before MFD_EXEC",
            means,
        ),
        (Err(why), _) => Finding::new(what, State::Limited, why, means),
    }
}

fn memfd_policy(seen: &Observed) -> Finding {
    let what = "vm.memfd_noexec";
    match seen.memfd_noexec.as_deref() {
        None => Finding::new(
            what,
            State::Yes,
            "there is none: files in memory are executable",
            "",
        ),
        Some(value @ ("0" | "1")) => Finding::new(
            what,
            State::Yes,
            format!("{value}: files in memory may be executable"),
            "",
        ),
        Some(value) => Finding::new(
            what,
            State::Limited,
            format!("{value}: no file in memory is executable"),
            "handlers are executed from an unlinked file on a mount without noexec instead, if there is one that the program may write to; \
             `sysctl vm.memfd_noexec=1` allows files in memory that ask for it",
        ),
    }
}

fn cgroup(seen: &Observed) -> Finding {
    let what = "control groups, version 2";
    let means = "memory and processor time of all of a driver's handlers together can be limited; each handler's own memory is limited without";
    let say = |state, found: String, how: &str| {
        Finding::new(what, state, found, format!("{means}. {how}"))
    };
    match &seen.cgroup {
        Cgroup::Delegated(path) => say(
            State::Yes,
            format!("{} is ours to divide", path.display()),
            "",
        ),
        Cgroup::Fixed(path) => {
            let how = "This process may not divide its group: in a systemd unit, `Delegate=yes`";
            say(
                State::Limited,
                format!("mounted; {} is not ours to divide", path.display()),
                how,
            )
        }
        Cgroup::Powerless(path) => {
            let how = "Boot with systemd.unified_cgroup_hierarchy=1, or have the group above pass `memory` on (cgroup.subtree_control)";
            say(
                State::Limited,
                format!("mounted; {} does not count memory", path.display()),
                how,
            )
        }
        Cgroup::Hidden => say(
            State::Limited,
            "mounted, but this process's group is not among them".to_owned(),
            "It is in another hierarchy, or beyond a container's",
        ),
        Cgroup::Absent => say(
            State::No,
            "not mounted".to_owned(),
            "mount -t cgroup2 none /sys/fs/cgroup",
        ),
    }
}

fn bpf(seen: &Observed) -> Finding {
    let what = "BPF LSM";
    let means = "for umd.ko only: with it root's processes can be kept away from handlers (`modprobe umd protect=require`)";
    match &seen.lsm {
        Ok(list) if list.split(',').any(|module| module == "bpf") => {
            Finding::new(what, State::Yes, list, means)
        }
        Ok(list) => {
            let means = format!("{means}. Boot with lsm={list},bpf");
            Finding::new(
                what,
                State::No,
                format!("not in the kernel's list: {list}"),
                means,
            )
        }
        Err(why) => {
            let means = format!("{means}. The list is in securityfs: mount it, or ask as root");
            Finding::new(what, State::Unknown, why, means)
        }
    }
}

fn module(seen: &Observed) -> Finding {
    let what = "umd.ko";
    let means = "for drivers in the kernel only; programs need no module";
    match &seen.module {
        Module::Loaded => Finding::new(what, State::Yes, "loaded", means),
        Module::Possible => Finding::new(
            what,
            State::Limited,
            "not loaded; modules can be",
            format!("{means}. Build it with `cargo xtask build --kernel host`, then `insmod`"),
        ),
        Module::Impossible(why) => {
            Finding::new(what, State::No, format!("not loaded: {why}"), means)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that has everything.
    fn good() -> Observed {
        Observed {
            release: Ok("6.12.48+deb13-cloud-amd64".into()),
            seccomp_strict: Ok(()),
            seccomp_filter: Ok(()),
            landlock: Ok(6),
            clone3: Ok(()),
            pidfd: Ok(()),
            close_range: Ok(()),
            memfd_exec: Ok(()),
            memfd: Ok(()),
            memfd_noexec: Some("0".into()),
            user_namespaces: Ok(()),
            cgroup: Cgroup::Delegated("/sys/fs/cgroup/x".into()),
            lsm: Ok("lockdown,capability,yama,bpf".into()),
            module: Module::Loaded,
            proc: Ok(()),
        }
    }

    fn works(seen: &Observed) -> bool {
        !findings(seen).iter().any(Finding::is_fatal)
    }

    #[test]
    fn a_machine_that_has_everything_is_well() {
        assert!(works(&good()));
        for finding in findings(&good()) {
            assert_eq!(finding.state, State::Yes, "{}", finding.what);
        }
    }

    /// A change of a machine, and what is then said of it.
    type Case = (fn(&mut Observed), &'static str, State, &'static str);

    #[test]
    fn what_is_missing_is_named_and_what_to_do() {
        fn no<T>() -> Answer<T> {
            Err("ENOSYS".into())
        }
        let cases: &[Case] = &[
            (
                |m| m.release = Ok("5.10.0-8".into()),
                "kernel",
                State::Limited,
                "older kernel",
            ),
            (|m| m.release = Ok("6.1.0".into()), "kernel", State::Yes, ""),
            (
                |m| m.release = Ok("strange".into()),
                "kernel",
                State::Unknown,
                "",
            ),
            (|m| m.release = no(), "kernel", State::Unknown, ""),
            (
                |m| m.seccomp_strict = no(),
                "seccomp strict mode",
                State::Limited,
                "container",
            ),
            (
                |m| m.seccomp_filter = no(),
                "seccomp filters",
                State::No,
                "CONFIG_SECCOMP_FILTER",
            ),
            (|m| m.landlock = Ok(2), "Landlock", State::Limited, "6.12"),
            (|m| m.landlock = no(), "Landlock", State::No, "lsm="),
            (|m| m.clone3 = no(), "clone3", State::No, "clone instead"),
            (|m| m.pidfd = no(), "pidfd", State::No, "5.3"),
            (|m| m.close_range = no(), "close_range", State::No, "5.9"),
            (
                |m| m.memfd_exec = no(),
                "executables in memory",
                State::Limited,
                "O_TMPFILE",
            ),
            (
                |m| m.memfd_noexec = Some("1".into()),
                "vm.memfd_noexec",
                State::Yes,
                "",
            ),
            (
                |m| m.memfd_noexec = Some("2".into()),
                "vm.memfd_noexec",
                State::Limited,
                "sysctl vm.memfd_noexec=1",
            ),
            (
                |m| m.user_namespaces = no(),
                "user namespaces",
                State::No,
                "max_user_namespaces",
            ),
            (
                |m| m.cgroup = Cgroup::Absent,
                "control groups, version 2",
                State::No,
                "mount",
            ),
            (
                |m| m.cgroup = Cgroup::Hidden,
                "control groups, version 2",
                State::Limited,
                "container",
            ),
            (
                |m| m.cgroup = Cgroup::Powerless("/x".into()),
                "control groups, version 2",
                State::Limited,
                "subtree_control",
            ),
            (
                |m| m.cgroup = Cgroup::Fixed("/x".into()),
                "control groups, version 2",
                State::Limited,
                "Delegate=yes",
            ),
            (
                |m| m.lsm = Ok("yama,bpfilter".into()),
                "BPF LSM",
                State::No,
                "lsm=yama,bpfilter,bpf",
            ),
            (|m| m.lsm = no(), "BPF LSM", State::Unknown, "securityfs"),
            (
                |m| m.module = Module::Possible,
                "umd.ko",
                State::Limited,
                "cargo xtask build",
            ),
            (
                |m| m.module = Module::Impossible("why"),
                "umd.ko",
                State::No,
                "programs need no module",
            ),
            (|m| m.proc = no(), "/proc", State::No, "hidepid"),
        ];
        for (change, what, state, words) in cases {
            let mut machine = good();
            change(&mut machine);
            let all = findings(&machine);
            let finding = all.iter().find(|finding| finding.what == *what);
            let finding = finding.expect("it is looked at");
            assert_eq!(finding.state, *state, "{what}");
            assert!(finding.means.contains(words), "{what}: {}", finding.means);
            let others = all.iter().filter(|other| other.what != *what);
            assert!(
                others.into_iter().all(|other| other.state == State::Yes),
                "{what}"
            );
        }
    }

    #[test]
    fn before_mfd_exec_files_in_memory_were_executable() {
        let mut old = good();
        old.memfd_exec = Err("EINVAL".into());
        old.memfd_noexec = None;
        let all = findings(&old);
        assert!(all.iter().all(|finding| finding.state == State::Yes));
    }

    #[test]
    fn nothing_works_without_strict_mode_and_filters() {
        let mut without = good();
        without.seccomp_filter = Err("EPERM".into());
        assert!(works(&without), "strict does");
        without.seccomp_strict = Err("EPERM".into());
        assert!(!works(&without));
        let all = findings(&without);
        assert!(
            all.iter()
                .any(|finding| finding.means.starts_with("needed: "))
        );
        let mut poor = good();
        poor.landlock = Err("ENOSYS".into());
        poor.user_namespaces = Err("EPERM".into());
        poor.cgroup = Cgroup::Absent;
        assert!(works(&poor), "the rest is not needed");
    }
}
