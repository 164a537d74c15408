// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs that may not do all that a host would like to: in containers, without `/proc`, without executable memory. Each is a process of its
//! own. What a filter denies is denied as container engines do it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
use std::os::fd::AsRawFd as _;
use std::process::Command;
use umd::{BuildError, Driver, Exit, Lockdown, Mechanism, Property, State, Why};
use umd_user_tests::STD;
use umd_user_tests::rig::{
    ORDINARY, again_as_an_ordinary_user, ask, by_itself, children, hostile, in_namespaces,
    is_alone, is_root, patient, until,
};
use umd_user_tests::sys::{self, Denied};

#[test]
fn again_as_an_ordinary_user_() {
    again_as_an_ordinary_user("again_as_an_ordinary_user_");
}

/// It starts, answers, dies, starts again, and is confined.
fn works(driver: &Driver) -> umd::Report {
    for _ in 0..3 {
        assert_eq!(ask(driver, "echo x").as_deref(), Ok("x"));
        // A forbidden call is its end.
        let error = ask(driver, "syscall").unwrap_err();
        let exit = error.exit();
        let killed = matches!(exit, Some(Exit::Signaled(9 | 31)) | None);
        assert!(killed, "{exit:?}");
    }
    assert_eq!(ask(driver, "echo x").as_deref(), Ok("x"));
    let report = driver.report().unwrap();
    println!("{report}");
    for property in Property::ALL {
        assert!(report.by(property).count() > 0, "{property:?}: {report}");
    }
    report
}

/// A line of what the kernel says of a handler.
fn line(pid: u32, field: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().to_owned()
}

/// Under a filter that denies these, strict is kept by one on top of it.
fn works_under(calls: &[(libc::c_long, Denied)]) -> umd::Report {
    sys::deny(calls);
    let driver = hostile().build().unwrap();
    let report = works(&driver);
    assert_eq!(report.profile, "strict");
    assert_eq!(report.state(Mechanism::Seccomp), State::InForce);
    assert_eq!(line(report.pid, "Seccomp:"), "2");
    assert_eq!(line(report.pid, "Seccomp_filters:"), "2");
    let std = patient(Driver::builder("words", STD)).lockdown(Lockdown::Compute);
    let std = std.build().unwrap();
    assert_eq!(ask(&std, "count a b a").as_deref(), Ok("a=2 b=1"));
    drop((driver, std));
    until("no child is left", || children().is_empty());
    report
}

const ENOSYS: Denied = Denied::With(libc::ENOSYS);
const EPERM: Denied = Denied::With(libc::EPERM);

#[test]
fn a_filtered_program() {
    by_itself("a_filtered_program", || {
        works_under(&[(libc::SYS_kexec_load, EPERM)]);
    });
}

#[test]
fn clone3_is_not_there() {
    by_itself("clone3_is_not_there", || {
        works_under(&[(libc::SYS_clone3, ENOSYS)]);
        assert_eq!(sys::try_call(libc::SYS_clone3), libc::ENOSYS);
    });
}

#[test]
fn clone3_is_not_permitted() {
    by_itself("clone3_is_not_permitted", || {
        // The C library makes no threads there: those of umd's are made before.
        let driver = hostile().build().unwrap();
        sys::deny(&[(libc::SYS_clone3, EPERM)]);
        assert_eq!(sys::try_call(libc::SYS_clone3), libc::EPERM);
        works(&driver);
    });
}

#[test]
fn a_program_that_puts_itself_under_a_filter_later() {
    by_itself("a_program_that_puts_itself_under_a_filter_later", || {
        let driver = hostile().build().unwrap();
        let report = works(&driver);
        assert_eq!(line(report.pid, "Seccomp_filters:"), "1");
        for filters in 2..4 {
            sys::deny(&[(libc::SYS_kexec_load, EPERM)]);
            driver.restart();
            let report = works(&driver);
            assert_eq!(report.state(Mechanism::Seccomp), State::InForce);
            assert_eq!(line(report.pid, "Seccomp:"), "2");
            assert_eq!(line(report.pid, "Seccomp_filters:"), filters.to_string());
        }
    });
}

#[test]
fn close_range_is_not_permitted() {
    by_itself("close_range_is_not_permitted", || {
        // As those of other libraries may be: inherited, and many.
        let file = std::fs::File::open("/dev/null").unwrap();
        let inherited: Vec<_> = (0..50).map(|_| rustix::io::dup(&file).unwrap()).collect();
        assert!(inherited.iter().all(|file| file.as_raw_fd() > 2));
        sys::deny(&[(libc::SYS_close_range, EPERM)]);
        let driver = hostile().build().unwrap();
        let report = works(&driver);
        // Another thread's could have been in between.
        assert_eq!(report.state(Mechanism::Descriptors), State::Claimed);
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", report.pid)).unwrap();
        assert_eq!(descriptors.count(), 3);
    });
}

#[test]
fn landlock_is_not_there() {
    by_itself("landlock_is_not_there", || {
        let report = works_under(&[
            (libc::SYS_landlock_create_ruleset, ENOSYS),
            (libc::SYS_landlock_add_rule, ENOSYS),
            (libc::SYS_landlock_restrict_self, ENOSYS),
        ]);
        for part in [
            Mechanism::Landlock,
            Mechanism::LandlockPorts,
            Mechanism::LandlockScopes,
        ] {
            assert_eq!(report.state(part), State::Missing(Why::NotSupported));
        }
    });
}

/// Which Landlock the program is made to believe in.
const LANDLOCK: &str = "UMD_TEST_LANDLOCK";

/// Versions that are older than this kernel's are this kernel's answers, changed on the way by strace.
#[test]
fn what_an_older_landlock_lacks_is_missing() {
    const TEST: &str = "what_an_older_landlock_lacks_is_missing";
    if is_alone(TEST) {
        let version: i32 = std::env::var(LANDLOCK).unwrap().parse().unwrap();
        let driver = hostile().build().unwrap();
        let report = works(&driver);
        for (mechanism, since) in [
            (Mechanism::Landlock, 1),
            (Mechanism::LandlockPorts, 4),
            (Mechanism::LandlockScopes, 6),
        ] {
            let expected = match version >= since {
                true => State::InForce,
                false => State::Missing(Why::NotSupported),
            };
            assert_eq!(
                report.state(mechanism),
                expected,
                "{version}: {mechanism:?}"
            );
        }
        return;
    }
    let ours = sys::landlock_version();
    println!("this kernel has version {ours}");
    for version in 0..=ours {
        // The questions, of which there is one for each part; then comes the ruleset itself.
        let answer = match version {
            0 => "error=ENOSYS".to_owned(),
            version => format!("retval={version}:when=1..3"),
        };
        let output = Command::new("strace")
            .args(["-f", "-qqq", "-o", "/dev/null", "-e"])
            .arg("trace=landlock_create_ruleset")
            .args(["-e", &format!("inject=landlock_create_ruleset:{answer}")])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", TEST, "--nocapture", "--test-threads=1"])
            .env("UMD_TEST_ALONE", TEST)
            .env(LANDLOCK, version.to_string())
            .output()
            .expect("strace is installed");
        let said = String::from_utf8_lossy(&output.stdout);
        println!("{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.contains("1 passed"));
    }
}

#[test]
fn as_a_container_engine_has_it() {
    by_itself("as_a_container_engine_has_it", || {
        works_under(&[
            (libc::SYS_clone3, ENOSYS),
            (libc::SYS_close_range, EPERM),
            (libc::SYS_io_uring_setup, EPERM),
            (libc::SYS_landlock_create_ruleset, ENOSYS),
            (libc::SYS_landlock_add_rule, ENOSYS),
            (libc::SYS_landlock_restrict_self, ENOSYS),
            (libc::SYS_ptrace, EPERM),
            (libc::SYS_unshare, EPERM),
            (libc::SYS_setns, EPERM),
            (libc::SYS_chroot, EPERM),
            (libc::SYS_mount, EPERM),
            (libc::SYS_keyctl, EPERM),
            (libc::SYS_bpf, EPERM),
        ]);
    });
}

/// Processes, mounts and `/proc` of the test's own.
const OWN: &[&str] = &["--mount", "--pid", "--fork", "--mount-proc"];

#[test]
fn what_a_hidden_proc_does_not_show_is_claimed() {
    in_namespaces("what_a_hidden_proc_does_not_show_is_claimed", OWN, || {
        sys::mount(c"tmpfs", c"/proc", c"mode=755", 0);
        let driver = hostile().build().unwrap();
        works_unseen(&driver);
        // Claimed, but true: nobody is asked whether a program is under a filter but the kernel.
        sys::deny(&[(libc::SYS_kexec_load, EPERM)]);
        driver.restart();
        works_unseen(&driver);
        // Nor does it know what it has open, where it cannot have all closed at once.
        let other = hostile().build().unwrap();
        drop(driver);
        let report = works(&other);
        assert_eq!(report.state(Mechanism::Descriptors), State::InForce);
    });
}

/// It works, and nothing is said to have been seen but what the host did itself.
fn works_unseen(driver: &Driver) {
    let report = works(driver);
    for mechanism in [
        Mechanism::Seccomp,
        Mechanism::SystemCalls,
        Mechanism::NoNewPrivs,
    ] {
        assert_eq!(report.state(mechanism), State::InForce, "{mechanism:?}");
    }
    for mechanism in [Mechanism::Capabilities, Mechanism::Ids] {
        assert_eq!(report.state(mechanism), State::Claimed, "{mechanism:?}");
    }
    // A filter that the handler sets nobody has seen.
    let compute = hostile().lockdown(Lockdown::Compute).build().unwrap();
    assert_eq!(ask(&compute, "echo x").as_deref(), Ok("x"));
    let report = compute.report().unwrap();
    for mechanism in [Mechanism::Seccomp, Mechanism::SystemCalls] {
        assert_eq!(report.state(mechanism), State::Claimed, "{mechanism:?}");
    }
}

/// As services have it whose manager hides the processes of others from them.
#[test]
fn a_proc_that_hides_the_processes_of_others() {
    in_namespaces("a_proc_that_hides_the_processes_of_others", OWN, || {
        // One group sees all: root's, where no other is named.
        sys::mount(c"proc", c"/proc", c"hidepid=2,gid=65532", 0);
        let with_all = hostile().build().unwrap();
        let report = works(&with_all);
        assert_eq!(report.state(Mechanism::Seccomp), State::InForce);
        // Root sees all because of one capability. A handler, once it has other ids, is somebody else.
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::SYS_PTRACE);
        sets.permitted.remove(CapabilitySet::SYS_PTRACE);
        set_capabilities(None, sets).unwrap();
        let driver = hostile().build().unwrap();
        works_unseen(&driver);
        let pid = driver.report().unwrap().pid;
        assert!(std::fs::read(format!("/proc/{pid}/status")).is_err());
        drop((with_all, driver));
        // An ordinary user's handlers are his own.
        sys::become_user(ORDINARY);
        let report = works(&hostile().build().unwrap());
        assert_eq!(report.state(Mechanism::Seccomp), State::InForce);
    });
}

/// Without a look it is known all the same that a handler with root's ids is under no limit of processes.
#[test]
fn root_that_keeps_its_ids_where_proc_is_hidden() {
    in_namespaces("root_that_keeps_its_ids_where_proc_is_hidden", OWN, || {
        sys::mount(c"tmpfs", c"/proc", c"mode=755", 0);
        set_capabilities(
            None,
            CapabilitySets {
                effective: CapabilitySet::empty(),
                permitted: CapabilitySet::empty(),
                inheritable: CapabilitySet::empty(),
            },
        )
        .unwrap();
        let report = works(&hostile().build().unwrap());
        for mechanism in [Mechanism::Ids, Mechanism::ProcessLimit] {
            let state = report.state(mechanism);
            assert_eq!(state, State::Missing(Why::NotPermitted), "{mechanism:?}");
        }
        assert_eq!(report.state(Mechanism::Capabilities), State::Claimed);
    });
}

/// As where a container has the host's: its numbers are other processes there.
#[test]
fn the_proc_of_another_namespace() {
    in_namespaces(
        "the_proc_of_another_namespace",
        &["--pid", "--fork"],
        || {
            let own = std::fs::read_link("/proc/self").unwrap();
            assert_ne!(own.to_str(), Some(std::process::id().to_string().as_str()));
            let driver = hostile().build().unwrap();
            works_unseen(&driver);
            // There is somebody of this number, whom nobody has looked at.
            assert!(std::fs::exists("/proc/1").unwrap());
        },
    );
}

#[test]
fn descriptors_without_close_range_and_proc() {
    in_namespaces("descriptors_without_close_range_and_proc", OWN, || {
        let file = std::fs::File::open("/dev/null").unwrap();
        let _inherited = rustix::io::dup(&file).unwrap();
        sys::deny(&[(libc::SYS_close_range, ENOSYS)]);
        let driver = hostile().build().unwrap();
        driver.start().unwrap();
        sys::mount(c"tmpfs", c"/proc", c"mode=755", 0);
        driver.restart();
        assert_eq!(ask(&driver, "echo x").as_deref(), Ok("x"));
        // What it has, the real one shows.
        let pid = driver.report().unwrap().pid;
        sys::unmount(c"/proc");
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        assert_eq!(descriptors.count(), 3);
    });
}

#[test]
fn executable_memory_is_forbidden() {
    in_namespaces("executable_memory_is_forbidden", OWN, || {
        std::fs::write("/proc/sys/vm/memfd_noexec", "2").unwrap();
        // As root, and as an ordinary user.
        for ordinary in [false, true] {
            if ordinary {
                sys::become_user(ORDINARY);
            }
            let driver = hostile().build().unwrap();
            let report = works(&driver);
            let image = std::fs::read_link(format!("/proc/{}/exe", report.pid));
            if let Ok(image) = image {
                let image = image.to_string_lossy().into_owned();
                assert!(
                    image.contains("(deleted)") && !image.contains("memfd"),
                    "{image}"
                );
            }
        }
    });
}

#[test]
fn no_place_for_an_image() {
    in_namespaces("no_place_for_an_image", OWN, || {
        std::fs::write("/proc/sys/vm/memfd_noexec", "2").unwrap();
        for directory in [c"/dev/shm", c"/run", c"/var/tmp", c"/tmp"] {
            sys::mount(c"tmpfs", directory, c"mode=1777", libc::MS_NOEXEC);
        }
        let error = hostile().build().expect_err("there is no place");
        assert_eq!(error, BuildError::NoExecutableMemory);
        assert!(error.to_string().contains("vm.memfd_noexec"), "{error}");
    });
}

/// As many rootless containers have it: root, and no other user.
#[test]
fn root_and_nobody_else() {
    const TEST: &str = "root_and_nobody_else";
    if is_alone(TEST) {
        let driver = hostile().build().unwrap();
        let report = works(&driver);
        // It keeps its ids, and says so; they give it nothing.
        assert_eq!(report.state(Mechanism::Ids), State::Missing(Why::NotSeen));
        assert_eq!(report.state(Mechanism::Capabilities), State::InForce);
        assert_eq!(line(report.pid, "CapPrm:"), "0000000000000000");
        return;
    }
    let alone = Command::new("unshare")
        .args(["--user", "--map-root-user", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture", "--test-threads=1"])
        .env("UMD_TEST_ALONE", TEST)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&alone.stdout);
    println!("{said}{}", String::from_utf8_lossy(&alone.stderr));
    assert!(alone.status.success() && said.contains("1 passed"));
}

#[test]
fn root_without_capabilities() {
    const TEST: &str = "root_without_capabilities";
    if is_alone(TEST) {
        let driver = hostile().build().unwrap();
        let report = works(&driver);
        // It cannot have other ids, and says so; nor another root.
        let ids = report.state(Mechanism::Ids);
        assert_eq!(ids, State::Missing(Why::NotPermitted));
        let limit = report.state(Mechanism::ProcessLimit);
        assert_eq!(limit, State::Missing(Why::NotPermitted));
        let root = report.state(Mechanism::EmptyRoot);
        assert_eq!(root, State::Missing(Why::NotPermitted));
        assert_eq!(report.state(Mechanism::Capabilities), State::InForce);
        assert_eq!(line(report.pid, "CapEff:"), "0000000000000000");
        return;
    }
    if !is_root() {
        return;
    }
    let output = Command::new("setpriv")
        .args(["--inh-caps=-all", "--bounding-set=-all", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture", "--test-threads=1"])
        .env("UMD_TEST_ALONE", TEST)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"));
}
