// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a program asks for, and gets.

use sample_proto::Request;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use umd::{BuildError, CallFailure, Cause, Driver, Exit, Lockdown, RestartPolicy, Seen};
use umd_user_tests::rig::{
    self, HANG_GUARD, again_as_an_ordinary_user, hostile, in_namespaces, patient, stopped,
    stopping, told, until,
};
use umd_user_tests::sys::{self, Denied};
use umd_user_tests::{HOSTILE, SAMPLE, STD};

#[test]
fn again_as_an_ordinary_user_() {
    again_as_an_ordinary_user("again_as_an_ordinary_user_");
}

/// The handler with the standard library.
fn words() -> umd::Builder<'static> {
    patient(Driver::builder("words", STD)).restart(RestartPolicy::unlimited())
}

fn ask(driver: &Driver, request: &str) -> Result<String, umd::Error> {
    let mut reply = [0; 1024];
    let length = driver.call_bytes(request.as_bytes(), &mut reply)?;
    Ok(String::from_utf8_lossy(&reply[..length]).into_owned())
}

#[test]
fn the_sample_answers_with_types() {
    let driver = patient(Driver::builder("sample", SAMPLE)).build().unwrap();
    for offset in [0, 1, 77, 131_071] {
        let request = Request::new(offset).unwrap();
        assert_eq!(driver.call(&request).unwrap(), offset);
    }
    let status = driver.status();
    assert_eq!((status.requests, status.replies, status.starts), (4, 4, 1));
    assert_eq!(status.state, "running");
}

#[test]
fn requests_and_replies_of_every_size() {
    let driver = hostile().request_max(1 << 20).build().unwrap();
    let mut reply = vec![0; 256 * 1024];
    for size in [0, 1, 15, 16, 17, 4095, 4096, 65_536, 200_000, 256 * 1024] {
        let length = driver.call_bytes(format!("fill {size}").as_bytes(), &mut reply);
        assert_eq!(length, Ok(size));
        for (index, byte) in reply[..size].iter().enumerate() {
            assert_eq!(usize::from(*byte), index % 251);
        }
        let text = "x".repeat(size.saturating_sub(5));
        let length = driver.call_bytes(format!("echo {text}").as_bytes(), &mut reply);
        assert_eq!(length, Ok(text.len()));
        assert_eq!(&reply[..text.len()], text.as_bytes());
    }
    assert_eq!(driver.status().starts, 1);
}

#[test]
fn errors_say_what_happened() {
    let driver = hostile().build().unwrap();
    let fails = |request: &str| ask(&driver, request).expect_err(request);
    let ends = |request: &str| told(|| fails(request));

    let error = ends("exit 3");
    assert_eq!(error.cause(), Cause::Call(CallFailure::ConnectionReset));
    assert_eq!(error.exit(), Some(Exit::Exited(3)));
    assert_eq!(error.request_was_read(), Some(Seen::Read));
    assert_eq!(error.errno(), 104);

    let error = ends("segv");
    assert_eq!(error.exit(), Some(Exit::Signaled(11)));

    // Whether the handler gets the processor, and so the request, before the deadline passes is not for us to say: sooner or later it does.
    let mut limit = Duration::from_millis(300);
    loop {
        assert_eq!(ask(&driver, "echo warm").unwrap(), "warm");
        let begin = Instant::now();
        let error = driver.call_bytes_within(limit, b"spin", &mut [0; 8]);
        assert!(begin.elapsed() >= limit);
        let error = error.unwrap_err();
        let Cause::Call(CallFailure::TimedOut(seen)) = error.cause() else {
            panic!("{error}");
        };
        let exit = error.exit();
        assert!(matches!(exit, Some(Exit::Signaled(9)) | None), "{exit:?}");
        if seen == Seen::Read && exit.is_some() {
            break;
        }
        limit *= 2;
        assert!(limit < HANG_GUARD, "it never reads the request");
    }

    let error = fails("refuse 7");
    assert!(
        matches!(error.cause(), Cause::Call(CallFailure::Rejected(status)) if status.get() == 7)
    );
    assert_eq!(error.exit(), None);

    let error = fails("long");
    assert_eq!(error.errno(), 74, "{error}");
    assert_eq!(ask(&driver, "echo on").unwrap(), "on");
}

#[test]
fn what_nobody_has_read_is_asked_again() {
    let driver = hostile().build().unwrap();
    assert_eq!(ask(&driver, "answer-die").unwrap(), "gone");
    // It was dead, or about to be, when this was sent.
    assert_eq!(ask(&driver, "echo again").unwrap(), "again");
    assert_eq!(driver.status().starts, 2);
    // Bytes that nobody asked for.
    let pid = driver.status().pids[0];
    assert_eq!(ask(&driver, "twice").unwrap(), "twice");
    until("it has said all", || {
        rig::is_asleep(pid) || !rig::exists(pid)
    });
    assert_eq!(ask(&driver, "echo again").unwrap(), "again");
    assert_eq!(driver.status().starts, 3);
}

#[test]
fn a_restart_does_not_ask_again_what_was_read() {
    let driver = stopping().build().unwrap();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| ask(&driver, "try stop"));
        until("it has read the request", || stopped(&driver).len() == 1);
        driver.restart();
        let error = call.join().unwrap().unwrap_err();
        assert_eq!(error.cause(), Cause::Call(CallFailure::ConnectionReset));
        assert_eq!(error.request_was_read(), Some(Seen::Read));
    });
    // One that was stopped before has not read it.
    driver.start().unwrap();
    rig::stop(driver.status().pids[0]);
    until("it has stopped", || stopped(&driver).len() == 1);
    std::thread::scope(|scope| {
        let (threads, caller) = mpsc::channel();
        let driver = &driver;
        let call = scope.spawn(move || {
            threads.send(sys::Thread::current()).unwrap();
            ask(driver, "echo y")
        });
        let caller = caller.recv().unwrap();
        until("it waits for an answer", || caller.is_asleep());
        driver.restart();
        assert_eq!(call.join().unwrap().unwrap(), "y");
    });
}

#[test]
fn the_lockdown_is_in_force_and_reported() {
    for (lockdown, blob, name) in [
        (Lockdown::Strict, SAMPLE, "strict"),
        (Lockdown::Compute, SAMPLE, "compute"),
        (Lockdown::Compute, STD, "compute"),
    ] {
        let driver = patient(Driver::builder("sample", blob))
            .lockdown(lockdown)
            .build()
            .unwrap();
        driver.start().unwrap();
        let report = driver.report().unwrap();
        assert_eq!(report.profile, name);
        for property in umd::Property::ALL {
            assert!(report.by(property).count() > 0, "{property:?}: {report}");
        }
        assert_eq!(report.state(umd::Mechanism::Seccomp), umd::State::InForce);
        let status = std::fs::read_to_string(format!("/proc/{}/status", report.pid)).unwrap();
        assert!(status.contains("Seccomp:\t2\n"), "{status}");
        assert!(status.contains("CapEff:\t0000000000000000"));
        assert!(status.contains("NoNewPrivs:\t1"));
        assert!(status.contains("Threads:\t1"));
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", report.pid));
        if let Ok(descriptors) = descriptors {
            assert_eq!(descriptors.count(), 3);
        }
        let environment = std::fs::read(format!("/proc/{}/environ", report.pid));
        if let Ok(environment) = environment {
            assert!(environment.is_empty());
        }
    }
}

#[test]
fn under_strict_the_filter_is_there_before_the_first_instruction() {
    // The standard library's start takes calls that strict has not.
    let driver = words().build().unwrap();
    let error = told(|| driver.start().unwrap_err());
    assert_eq!(error.exit(), Some(Exit::Signaled(31)), "{error}");
    // The host has set it itself, and so can say what is in it; but not of one that a handler sets.
    let calls = |driver: Driver| {
        driver.start().unwrap();
        let report = driver.report().unwrap();
        report.state(umd::Mechanism::SystemCalls)
    };
    assert_eq!(calls(hostile().build().unwrap()), umd::State::InForce);
    for handlers_own in [hostile().diagnose(), hostile().lockdown(Lockdown::Compute)] {
        assert_eq!(calls(handlers_own.build().unwrap()), umd::State::Claimed);
    }
}

#[test]
fn a_handler_that_does_not_set_the_filter_that_it_is_sent_does_not_serve() {
    let build = |builder: fn(umd::Builder<'static>) -> umd::Builder<'static>| {
        let lax = patient(Driver::builder("hostile-lax", HOSTILE));
        builder(lax.restart(RestartPolicy::unlimited()))
            .build()
            .unwrap()
    };
    for driver in [
        build(|lax| lax.lockdown(Lockdown::Compute)),
        build(|lax| lax.lockdown(Lockdown::Custom(umd::Syscalls::ALL))),
        build(umd::Builder::diagnose),
    ] {
        // It takes the filter for a request and ends; sooner or later it is looked at before.
        until("somebody has looked", || {
            driver.restart();
            let errno = ask(&driver, "echo x").unwrap_err().errno();
            assert!([1, 111].contains(&errno), "{errno}");
            errno == 1
        });
    }
}

#[test]
fn before_its_filter_a_handler_is_under_all_else() {
    // What these try before their hello their limits deny.
    for name in [
        "hostile-thread",
        "hostile-child",
        "hostile-file",
        "hostile-ring",
    ] {
        let driver = patient(Driver::builder(name, HOSTILE))
            .diagnose()
            .build()
            .unwrap();
        assert_eq!(ask(&driver, "echo x").unwrap(), "x", "{name}");
    }
}

#[test]
fn a_handler_with_the_standard_library_has_a_heap_and_nothing_else() {
    let driver = words().lockdown(Lockdown::Compute).build().unwrap();
    assert_eq!(ask(&driver, "count a b a").unwrap(), "a=2 b=1");
    assert_eq!(ask(&driver, "clock ").unwrap(), "true");
    assert_eq!(
        ask(&driver, "fill 8").unwrap(),
        (7_u64 * (8 << 20)).to_string()
    );
    assert_eq!(
        ask(&driver, "open /etc/passwd").unwrap(),
        "Err(PermissionDenied)"
    );
    let error = told(|| ask(&driver, "thread x").unwrap_err());
    assert_eq!(error.exit(), Some(Exit::Signaled(31)), "{error}");
    let error = told(|| ask(&driver, "panic x").unwrap_err());
    assert_eq!(error.exit(), Some(Exit::Exited(101)));
}

#[test]
fn namespaces_are_its_own_where_asked_for() {
    let driver = hostile()
        .namespaces(umd::Namespaces::WithUser)
        .build()
        .unwrap();
    assert_eq!(ask(&driver, "echo x").unwrap(), "x");
    let report = driver.report().unwrap();
    assert_eq!(
        report.state(umd::Mechanism::Namespaces),
        umd::State::InForce
    );
    let space = |pid: &str, kind: &str| std::fs::read_link(format!("/proc/{pid}/ns/{kind}"));
    for kind in ["pid", "net", "mnt", "ipc", "uts"] {
        let ours = space("self", kind).unwrap();
        if let Ok(its) = space(&report.pid.to_string(), kind) {
            assert_ne!(its, ours, "{kind}");
        }
    }
    let error = told(|| ask(&driver, "exit 3").unwrap_err());
    assert_eq!(error.exit(), Some(Exit::Exited(3)));
}

#[test]
fn its_control_group_is_the_one_that_was_asked_for() {
    const TEST: &str = "its_control_group_is_the_one_that_was_asked_for";
    in_namespaces(TEST, &["--mount"], || {
        sys::mount(c"cgroup2", c"/sys/fs/cgroup", c"", 0);
        let name = format!("umd-test-{}", std::process::id());
        let group = std::path::Path::new("/sys/fs/cgroup").join(&name);
        std::fs::create_dir(&group).unwrap();
        let directory = || std::fs::File::open(&group).unwrap().into();
        let driver = hostile()
            .cgroup(directory())
            .workers(2)
            .spares(1)
            .build()
            .unwrap();
        until("three handlers", || driver.status().pids.len() == 3);
        for report in driver.reports() {
            let state = report.state(umd::Mechanism::Cgroup);
            assert_eq!(state, umd::State::InForce);
            let its = std::fs::read_to_string(format!("/proc/{}/cgroup", report.pid)).unwrap();
            let its = its.lines().find(|line| line.starts_with("0::")).unwrap();
            assert!(its.ends_with(&format!("/{name}")), "{its}");
        }
        // Frozen, it does not answer; that does not keep it from being killed.
        std::fs::write(group.join("cgroup.freeze"), "1").unwrap();
        let error = driver
            .call_bytes_within(Duration::from_millis(100), b"echo x", &mut [0; 8])
            .unwrap_err();
        assert_eq!(error.errno(), 110);
        std::fs::write(group.join("cgroup.freeze"), "0").unwrap();
        assert_eq!(ask(&driver, "echo x").unwrap(), "x");
        drop(driver);
        // Whoever is left would be in it. Newer kernels take a process out when its end has been told already.
        until("nobody is in it", || std::fs::remove_dir(&group).is_ok());

        // An older way of making processes has no place for it.
        std::fs::create_dir(&group).unwrap();
        sys::deny(&[(libc::SYS_clone3, Denied::With(libc::ENOSYS))]);
        let driver = hostile().cgroup(directory()).build().unwrap();
        assert_eq!(ask(&driver, "echo x").unwrap(), "x");
        let state = driver.report().unwrap().state(umd::Mechanism::Cgroup);
        assert_eq!(state, umd::State::Missing(umd::Why::NotSupported));
        until("nobody is in it", || std::fs::remove_dir(&group).is_ok());
    });
}

#[test]
fn who_asks_is_told_which_call_was_denied() {
    for lockdown in [Lockdown::Strict, Lockdown::Custom(umd::Syscalls::NONE)] {
        let driver = hostile().lockdown(lockdown).diagnose().build().unwrap();
        assert_eq!(ask(&driver, "echo x").unwrap(), "x");
        let error = told(|| ask(&driver, "syscall").unwrap_err());
        assert_eq!(error.cause(), Cause::Call(CallFailure::ConnectionReset));
        assert_eq!(error.exit(), Some(Exit::Exited(159)));
        let denied = error
            .denied()
            .map(|denied| (denied.name(), denied.number()));
        assert_eq!(denied, Some(("getpid", 39)), "{error}");
        assert_eq!(driver.status().last_denied.as_deref(), Some("getpid (39)"));
        assert_eq!(ask(&driver, "echo x").unwrap(), "x");
    }
    // A standard library wants memory.
    let driver = words().diagnose().build().unwrap();
    let error = ask(&driver, "fill 8").unwrap_err();
    let denied = error.denied().map(|denied| denied.name());
    assert_eq!(denied, Some("mmap"), "{error}");
    // Off by default.
    let driver = hostile().build().unwrap();
    assert_eq!(ask(&driver, "syscall").unwrap_err().denied(), None);
}

/// What errors and policies consist of can be named by whoever depends on this crate alone.
#[test]
fn all_that_can_be_matched_has_a_name() {
    let why = |error: umd::StartError| match error {
        umd::StartError::Exec(errno) | umd::StartError::Health(errno) => errno,
        umd::StartError::Lockdown(umd::LockdownCheck::Memory) => umd::Errno::ENOMEM,
        umd::StartError::Hello(umd::Violation::Magic) => umd::Errno::EBADMSG,
        _ => umd::Errno::EIO,
    };
    assert_eq!(why(umd::StartError::Exec(umd::Errno::EMFILE)).get(), 24);
    let (BuildError::Image(errno) | BuildError::Resources(errno)) =
        BuildError::Resources(umd::Errno::EMFILE)
    else {
        unreachable!("it is")
    };
    assert_eq!(errno, umd::Errno::EMFILE);
    let restart = RestartPolicy {
        budget: 1,
        window: Duration::from_secs(3_600),
        backoff: Duration::from_millis(1),
        ..RestartPolicy::default()
    };
    assert_eq!(restart.backoff_max, Duration::from_secs(5));
    let driver = hostile().restart(restart).build().unwrap();
    for _ in 0..2 {
        ask(&driver, "exit 3").unwrap_err();
    }
    let error = ask(&driver, "echo x").unwrap_err();
    assert_eq!(error.cause(), Cause::Call(CallFailure::Failed));
}

#[test]
fn a_bad_description_is_told_so() {
    let wrong = |builder: umd::Builder<'_>| builder.build().expect_err("a bad description");
    assert_eq!(wrong(Driver::builder("", SAMPLE)), BuildError::Name);
    assert_eq!(wrong(Driver::builder("a b", SAMPLE)), BuildError::Name);
    assert_eq!(
        wrong(Driver::builder("a", b"#!/bin/sh")),
        BuildError::NotExecutable
    );
    let own = std::fs::read("/proc/self/exe").unwrap();
    assert_eq!(wrong(Driver::builder("a", &own)), BuildError::Dynamic);
    let error = wrong(Driver::builder("a", SAMPLE).workers(0));
    assert!(matches!(
        error,
        BuildError::OutOfRange {
            what: "workers",
            least: 1,
            most: 64
        }
    ));
    let error = wrong(Driver::builder("a", SAMPLE).workers(60).spares(5));
    assert!(matches!(
        error,
        BuildError::OutOfRange {
            what: "spares",
            most: 4,
            ..
        }
    ));
    let error = wrong(Driver::builder("a", SAMPLE).deadline(Duration::ZERO));
    assert_eq!(error.to_string(), "deadline is out of range: 1 to 3600000");
}
