// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is there: looks, and changes nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;
use rustix::fs::{Access, MemfdFlags, access, memfd_create};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, getpid, pidfd_open};

use super::sys;

/// What was asked, and what came of it; the text says why not.
pub(super) type Answer<T = ()> = Result<T, String>;

/// Everything that the doctor looks at.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    /// The kernel's release.
    pub(super) release: Answer<String>,
    /// Strict mode, entered by a process that ended then.
    pub(super) seccomp_strict: Answer,
    /// A filter, set by a process that ended then.
    pub(super) seccomp_filter: Answer,
    /// Landlock's version.
    pub(super) landlock: Answer<u32>,
    pub(super) clone3: Answer,
    pub(super) pidfd: Answer,
    pub(super) close_range: Answer,
    /// Files in memory that say that they may be executed.
    pub(super) memfd_exec: Answer,
    /// Files in memory that say nothing of it, as before Linux 6.3.
    pub(super) memfd: Answer,
    /// vm.memfd_noexec; none before Linux 6.3.
    pub(super) memfd_noexec: Option<String>,
    /// A user namespace, entered by a process that ended then.
    pub(super) user_namespaces: Answer,
    pub(super) cgroup: Cgroup,
    /// The kernel's list of security modules.
    pub(super) lsm: Answer<String>,
    pub(super) module: Module,
    /// What this process can see of a child of its own.
    pub(super) proc: Answer,
}

/// Control groups, version 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cgroup {
    /// None are mounted.
    Absent,
    /// They are, but this process's group is not seen there.
    Hidden,
    /// They are, and this process may not make a group below its own.
    Fixed(PathBuf),
    /// They are, and none counts memory: version 1 does.
    Powerless(PathBuf),
    /// This process may make groups below its own.
    Delegated(PathBuf),
}

/// umd.ko.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Module {
    /// It is loaded.
    Loaded,
    /// This process may load modules.
    Possible,
    /// It may not; why.
    Impossible(&'static str),
}

/// Something that can only be tried by a process that ends then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Trial {
    SeccompStrict,
    SeccompFilter,
    UserNamespace,
    /// Not a trial: waits for the end of its input.
    Wait,
}

impl Trial {
    /// Tries it, in this process. Returns why it failed.
    pub(crate) fn run(self) -> Result<(), Errno> {
        match self {
            Self::SeccompStrict => Err(sys::end_in_strict_mode()),
            Self::SeccompFilter => {
                rustix::thread::set_no_new_privs(true)?;
                sys::set_filter()
            }
            Self::UserNamespace => sys::enter_user_namespace(),
            Self::Wait => io::copy(&mut io::stdin(), &mut io::sink())
                .map(drop)
                .map_err(|_| Errno::IO),
        }
    }

    /// A process that tries it.
    fn command(self) -> io::Result<Command> {
        let name = self.to_possible_value();
        let name = name.as_ref().map_or("", |value| value.get_name());
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["doctor", "--try", name]);
        command.stdin(Stdio::null());
        Ok(command)
    }

    /// Has another process try it.
    fn in_a_process(self) -> Answer {
        match self.command().and_then(|mut child| child.output()) {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let said = said.trim().trim_start_matches("umd: ");
                Err(if said.is_empty() {
                    format!("a process that tried it ended with {}", output.status)
                } else {
                    said.to_owned()
                })
            }
            Err(error) => Err(format!("cannot start a process that tries it: {error}")),
        }
    }
}

impl Observed {
    /// Looks at this machine.
    pub(super) fn now() -> Self {
        let root = Path::new("/");
        let memfd = |flags: MemfdFlags| {
            let flags = flags | MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            memfd_create("umd doctor", flags).map(drop).map_err(said)
        };
        Self {
            release: read(root, "proc/sys/kernel/osrelease"),
            seccomp_strict: Trial::SeccompStrict.in_a_process(),
            seccomp_filter: Trial::SeccompFilter.in_a_process(),
            landlock: sys::landlock_version().map_err(said),
            clone3: sys::clone3().map_err(said),
            pidfd: pidfd_open(getpid(), PidfdFlags::empty())
                .map(drop)
                .map_err(said),
            close_range: sys::close_range().map_err(said),
            memfd_exec: memfd(MemfdFlags::EXEC),
            memfd: memfd(MemfdFlags::empty()),
            memfd_noexec: read(root, "proc/sys/vm/memfd_noexec").ok(),
            user_namespaces: Trial::UserNamespace.in_a_process(),
            cgroup: Cgroup::at(root),
            lsm: read(root, "sys/kernel/security/lsm"),
            module: Module::at(root),
            proc: other_process(),
        }
    }
}

fn said(error: Errno) -> String {
    match error {
        Errno::NOSYS => "the kernel does not have it, or a filter says so (ENOSYS)".to_owned(),
        error => error.to_string(),
    }
}

/// A file that has one line.
fn read(root: &Path, file: &str) -> Answer<String> {
    match fs::read_to_string(root.join(file)) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => Err(format!("/{file}: {error}")),
    }
}

impl Cgroup {
    fn at(root: &Path) -> Self {
        let mounts = read(root, "proc/self/mountinfo").unwrap_or_default();
        let Some((within, mount)) = mounts.lines().find_map(cgroup2_mount) else {
            return Self::Absent;
        };
        let groups = read(root, "proc/self/cgroup").unwrap_or_default();
        let own = groups.lines().find_map(|line| line.strip_prefix("0::"));
        // What is mounted may begin at a group below the root.
        let Some(own) = own.and_then(|own| Path::new(own).strip_prefix(within).ok()) else {
            return Self::Hidden;
        };
        let relative = |path: &str| {
            Path::new(path)
                .strip_prefix("/")
                .unwrap_or(Path::new(path))
                .to_owned()
        };
        let path: PathBuf = Path::new(mount).join(own).components().collect();
        let here = root.join(relative(mount)).join(own);
        let controllers = |group: &Path| {
            let list = fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
            list.split_whitespace()
                .any(|controller| controller == "memory")
        };
        let may = |file: &Path| access(file, Access::WRITE_OK).is_ok();
        if !here.join("cgroup.procs").exists() {
            Self::Hidden
        } else if !controllers(&here) {
            Self::Powerless(path)
        } else if may(&here) && may(&here.join("cgroup.procs")) {
            Self::Delegated(path)
        } else {
            Self::Fixed(path)
        }
    }
}

/// The group that is mounted, and where, of a line of mountinfo that is about control groups.
fn cgroup2_mount(line: &str) -> Option<(&str, &str)> {
    let (mount, kind) = line.split_once(" - ")?;
    if !kind.starts_with("cgroup2 ") {
        return None;
    }
    let mut fields = mount.split(' ').skip(3);
    Some((fields.next()?, fields.next()?))
}

impl Module {
    fn at(root: &Path) -> Self {
        const CAP_SYS_MODULE: u32 = 16;
        let is_there = |file: &str| root.join(file).exists();
        let status = read(root, "proc/self/status").unwrap_or_default();
        let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        let capabilities = capabilities.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        if is_there("sys/module/umd") {
            Self::Loaded
        } else if !is_there("proc/modules") {
            Self::Impossible("this kernel has no modules")
        } else if read(root, "proc/sys/kernel/modules_disabled").is_ok_and(|value| value == "1") {
            Self::Impossible("kernel.modules_disabled is 1, until the next boot")
        } else if capabilities.is_none_or(|mask| mask & 1 << CAP_SYS_MODULE == 0) {
            Self::Impossible("this process does not have CAP_SYS_MODULE: ask as root")
        } else {
            Self::Possible
        }
    }
}

/// Can this process read the status of another of its user?
fn other_process() -> Answer {
    let child = Trial::Wait
        .command()
        .and_then(|mut child| child.stdin(Stdio::piped()).spawn());
    let mut child = child.map_err(|error| format!("cannot start a process: {error}"))?;
    let status = fs::read_to_string(format!("/proc/{}/status", child.id()));
    let seen = status.and_then(|status| {
        let has = |field: &str| status.lines().any(|line| line.starts_with(field));
        if has("Seccomp:") && has("CapEff:") {
            Ok(())
        } else {
            Err(io::Error::other("it lacks Seccomp and CapEff"))
        }
    });
    // It waits for the end of its input.
    drop(child.stdin.take());
    let _ = child.wait();
    seen.map_err(|error| format!("a child's /proc/PID/status: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that is a directory.
    struct Machine(PathBuf);

    impl Machine {
        fn with(name: &str, files: &[(&str, &str)]) -> Self {
            let name = format!("umd-doctor-{}-{name}", std::process::id());
            let machine = Self(std::env::temp_dir().join(name));
            for (file, text) in files {
                let path = machine.0.join(file);
                fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
                fs::write(path, text).expect("a file");
            }
            machine
        }
    }

    impl Drop for Machine {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const MOUNTS: &str = "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
        30 21 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn groups_are_found_where_they_are_mounted() {
        let at = |name, files: &[(&str, &str)]| {
            let machine = Machine::with(name, files);
            Cgroup::at(&machine.0)
        };
        assert_eq!(
            at(
                "none",
                &[("proc/self/mountinfo", "21 1 8:1 / / rw - ext4 x rw")]
            ),
            Cgroup::Absent
        );
        let own = ("proc/self/cgroup", "1:cpu:/other\n0::/user/me\n");
        let mounts = ("proc/self/mountinfo", MOUNTS);
        assert_eq!(
            at("old", &[mounts, ("proc/self/cgroup", "1:cpu:/\n")]),
            Cgroup::Hidden
        );
        assert_eq!(at("hidden", &[mounts, own]), Cgroup::Hidden);
        let group = ("sys/fs/cgroup/user/me/cgroup.procs", "");
        let path = PathBuf::from("/sys/fs/cgroup/user/me");
        let powerless = Cgroup::Powerless(path.clone());
        assert_eq!(at("powerless", &[mounts, own, group]), powerless);
        let controllers = ("sys/fs/cgroup/user/me/cgroup.controllers", "cpu memory\n");
        let files = [mounts, own, group, controllers];
        assert_eq!(at("delegated", &files), Cgroup::Delegated(path));
        // In a container: what is mounted is the container's own group.
        let below = MOUNTS.replace("0:26 / ", "0:26 /user ");
        let group = ("sys/fs/cgroup/me/cgroup.procs", "");
        let controllers = ("sys/fs/cgroup/me/cgroup.controllers", "memory\n");
        let path = PathBuf::from("/sys/fs/cgroup/me");
        let files = [("proc/self/mountinfo", &*below), own, group, controllers];
        assert_eq!(at("below", &files), Cgroup::Delegated(path));
    }

    #[test]
    fn modules_can_be_impossible_in_several_ways() {
        let at = |name, files: &[(&str, &str)]| {
            let machine = Machine::with(name, files);
            Module::at(&machine.0)
        };
        let why = |module| match module {
            Module::Impossible(why) => why,
            other => panic!("{other:?}"),
        };
        let (modules, all) = (
            ("proc/modules", ""),
            ("proc/self/status", "CapEff:\t000001ffffffffff\n"),
        );
        assert_eq!(
            at("loaded", &[("sys/module/umd/refcnt", "0")]),
            Module::Loaded
        );
        assert_eq!(at("possible", &[modules, all]), Module::Possible);
        assert!(why(at("no-modules", &[all])).contains("has no modules"));
        let disabled = ("proc/sys/kernel/modules_disabled", "1\n");
        assert!(why(at("disabled", &[modules, all, disabled])).contains("modules_disabled"));
        for mask in [
            "CapEff:\t0000000000000000\n",
            "CapEff:\t000001fffffeffff\n",
            "",
        ] {
            let status = ("proc/self/status", mask);
            assert!(why(at("user", &[modules, status])).contains("CAP_SYS_MODULE"));
        }
    }
}
