// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program with a host in it, for long, and while all sorts of things happen to it. Each test has a process of its own, since it counts
//! what the process has, or changes it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use umd::{CallFailure, Cause, Driver, Exit, RestartPolicy};
use umd_user_tests::SAMPLE;
use umd_user_tests::rig::{
    self, HANG_GUARD, again_as_an_ordinary_user, ask, by_itself, children, descriptors, exists,
    go_on, hostile, is_alone, patient, stopped, stopping, told, until,
};
use umd_user_tests::sys::{self, Action, Thread};

#[test]
fn again_as_an_ordinary_user_() {
    again_as_an_ordinary_user("again_as_an_ordinary_user_");
}

fn echo(driver: &Driver) {
    assert_eq!(ask(driver, "echo x").as_deref(), Ok("x"));
}

/// Asks it to exit with status 7.
fn crash(driver: &Driver) -> Option<Exit> {
    let error = ask(driver, "exit 7").expect_err("it exits");
    assert_eq!(error.cause(), Cause::Call(CallFailure::ConnectionReset));
    error.exit()
}

/// The same, on a machine that has so much to do that nobody may know in time how it ended.
fn dies(driver: &Driver) {
    let exit = crash(driver);
    assert!(matches!(exit, Some(Exit::Exited(7)) | None), "{exit:?}");
}

/// Counts what the program has allocated and not given back: what it holds is known to the byte, which the kernel, that counts pages
/// and adds them up now and then, does not tell.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: what the system's does, unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's word.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's word.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Bytes.
fn allocated() -> usize {
    ALLOCATED.load(Ordering::Relaxed)
}

/// What must not grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    descriptors: usize,
    threads: u64,
    children: usize,
    mappings: usize,
}

impl Held {
    fn now() -> Self {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        Self {
            descriptors: descriptors(),
            threads: rig::status("Threads"),
            children: children().len(),
            mappings: maps.lines().count(),
        }
    }
}

#[test]
fn ten_thousand_calls_and_a_thousand_crashes() {
    by_itself("ten_thousand_calls_and_a_thousand_crashes", || {
        // One that starts handlers on the caller's path, and one off it.
        let plain = hostile().build().unwrap();
        let spare = hostile().spares(1).build().unwrap();
        let round = |calls: usize, crashes: usize| {
            for number in 0..calls {
                let driver = if number % 2 == 0 { &plain } else { &spare };
                echo(driver);
            }
            for number in 0..crashes {
                let driver = if number % 2 == 0 { &plain } else { &spare };
                dies(driver);
                // A reply between two deaths: there is no pause then.
                echo(driver);
            }
            for _ in 0..crashes / 10 {
                let short = hostile().workers(2).spares(1).build().unwrap();
                echo(&short);
                drop(short);
            }
            // All of them are in service again.
            echo(&plain);
            echo(&spare);
            until("three handlers", || {
                plain.status().pids.len() + spare.status().pids.len() == 3
                    && children().len() == 3
                    && rig::status("Threads") <= 5
            });
        };
        round(1_000, 200);
        let (before, memory) = (Held::now(), allocated());
        let begin = Instant::now();
        round(10_000, 1_000);
        // What ended last may be about to be let go.
        let same = |held: Held| Held {
            mappings: 0,
            ..held
        };
        let mut after = Held::now();
        until("as many are there as before", || {
            after = Held::now();
            same(before) == same(after)
        });
        // The allocator may keep a heap, of two mappings, for each of the five threads.
        assert!(
            after.mappings <= before.mappings + 10,
            "{before:?} {after:?}"
        );
        // There were 1,500 starts: what each leaves behind would be many times as much. Tables and lists may have grown, and text that is
        // about to be printed counts.
        let most = memory + 64 * 1024;
        until("no more memory is held than before", || allocated() <= most);
        println!(
            "# 10,000 calls, 1,000 crashes, 100 drivers: {:?}, {before:?}, {memory} bytes, then {}",
            begin.elapsed(),
            allocated()
        );
        drop((plain, spare));
        assert!(children().is_empty());
    });
}

#[test]
fn signals_at_any_time() {
    by_itself("signals_at_any_time", || {
        for (signal, action) in [
            (libc::SIGUSR1, Action::Interrupt),
            (libc::SIGUSR2, Action::Restart),
            (libc::SIGALRM, Action::Interrupt),
        ] {
            sys::on_signal(signal, action);
        }
        sys::alarms(Duration::from_micros(700));
        let driver = hostile().workers(2).spares(1).build().unwrap();
        let over = AtomicBool::new(false);
        let (threads, ready) = mpsc::channel();
        thread::scope(|scope| {
            for number in 0..3 {
                let (driver, over, threads) = (&driver, &over, threads.clone());
                scope.spawn(move || {
                    threads.send(Thread::current()).unwrap();
                    let text = "x".repeat(200);
                    while !over.load(Ordering::Relaxed) {
                        match number {
                            0 => echo(driver),
                            1 => {
                                let reply = ask(driver, &format!("echo {text}"));
                                assert_eq!(reply.as_ref(), Ok(&text));
                                let mut reply = vec![0; 256 * 1024];
                                let length = driver.call_bytes(b"fill 262144", &mut reply);
                                assert_eq!(length, Ok(262_144));
                            }
                            _ => {
                                dies(driver);
                                let fresh = hostile().build().unwrap();
                                fresh.start().unwrap();
                                echo(&fresh);
                            }
                        }
                    }
                });
            }
            let callers: Vec<Thread> = ready.iter().take(3).collect();
            // At least for three seconds, and for as long as it takes on a busy machine. A caller that fails ends the test.
            let begin = Instant::now();
            let enough = || sys::signals() > 1_000 && driver.status().starts > 20;
            while begin.elapsed() < Duration::from_secs(3) || !enough() {
                for caller in &callers {
                    caller.signal(libc::SIGUSR1);
                    caller.signal(libc::SIGUSR2);
                }
                thread::sleep(Duration::from_micros(50));
                if begin.elapsed() > HANG_GUARD {
                    break;
                }
            }
            over.store(true, Ordering::Relaxed);
        });
        let status = driver.status();
        println!(
            "# {} signals, {} calls, {} starts",
            sys::signals(),
            status.requests,
            status.starts
        );
        assert!(sys::signals() > 1_000 && status.starts > 20, "{status:?}");
    });
}

#[test]
fn with_sigchld_ignored_nobody_knows_the_status() {
    by_itself("with_sigchld_ignored_nobody_knows_the_status", || {
        sys::on_signal(libc::SIGCHLD, Action::Ignore);
        let driver = hostile().spares(1).build().unwrap();
        let mut rounds = 0;
        let mut unknown = 0;
        until("somebody was told that it is not known", || {
            echo(&driver);
            let exit = crash(&driver);
            assert!(matches!(exit, Some(Exit::Unknown) | None), "{exit:?}");
            unknown += usize::from(exit.is_some());
            rounds += 1;
            rounds >= 50 && unknown > 0
        });
        let limit = Duration::from_millis(50);
        let error = driver.call_bytes_within(limit, b"spin", &mut [0; 8]);
        assert_eq!(error.unwrap_err().errno(), libc::ETIMEDOUT);
        driver.restart();
        echo(&driver);
        until("what died was noticed", || {
            let status = driver.status();
            status.starts == status.exits + 2
        });
        drop(driver);
        assert!(children().is_empty());
    });
}

#[test]
fn a_program_that_reaps_all_its_children() {
    by_itself("a_program_that_reaps_all_its_children", || {
        let reaped = mpsc::channel();
        thread::spawn(move || {
            loop {
                match sys::reap_any() {
                    Some(pid) => drop(reaped.0.send(pid)),
                    None => thread::yield_now(),
                }
            }
        });
        let driver = hostile().build().unwrap();
        let (mut rounds, mut unknown) = (0, 0);
        // Who comes first is not for us to say: both do, sooner or later.
        until("the program came first", || {
            echo(&driver);
            match crash(&driver) {
                Some(Exit::Unknown) => unknown += 1,
                // It came first, or neither was soon enough.
                Some(Exit::Exited(7)) | None => {}
                other => panic!("{other:?}"),
            }
            rounds += 1;
            rounds >= 200 && unknown > 0
        });
        let others = reaped.1.try_iter().count();
        println!("# reaped by the program: {others} of {rounds}, unknown to umd: {unknown}");
        let limit = Duration::from_millis(50);
        let error = driver.call_bytes_within(limit, b"spin", &mut [0; 8]);
        assert_eq!(error.unwrap_err().errno(), libc::ETIMEDOUT);
        echo(&driver);
        drop(driver);
        // The program may have asked, and its answer be on the way.
        until("all are reaped", || children().is_empty());
    });
}

#[test]
fn the_first_callers_thread_ends_and_the_handler_lives() {
    let driver = hostile().build().unwrap();
    thread::scope(|scope| {
        // Joined: the thread is gone when this returns.
        scope.spawn(|| echo(&driver)).join().unwrap();
    });
    let pids = driver.status().pids;
    thread::sleep(Duration::from_millis(50));
    echo(&driver);
    assert_eq!((driver.status().pids, driver.status().starts), (pids, 1));
}

#[test]
fn spares_that_cannot_be_made_cost_little_and_come_when_they_can() {
    const TEST: &str = "spares_that_cannot_be_made_cost_little_and_come_when_they_can";
    by_itself(TEST, || {
        let driver = hostile().spares(1).build().unwrap();
        let both = || driver.status().pids.len() == 2;
        until("two handlers", both);
        let limits = getrlimit(Resource::Nofile);
        let none = Rlimit {
            current: Some(3),
            ..limits
        };
        setrlimit(Resource::Nofile, none).unwrap();
        driver.restart();
        let (begin, busy) = (Instant::now(), sys::processor_time());
        thread::sleep(Duration::from_millis(500));
        let (took, busy) = (begin.elapsed(), sys::processor_time() - busy);
        assert_eq!(driver.status().pids, []);
        setrlimit(Resource::Nofile, limits).unwrap();
        until("two handlers again", both);
        println!("# without descriptors: {busy:?} of {took:?}");
        // Processor time, which a busy machine gives less of and not more. Tries that follow each other at once take all of a processor,
        // or half of it where two others want it as well; as it is, a hundredth.
        assert!(busy < took / 4, "{busy:?} of {took:?}");
    });
}

#[test]
fn an_answer_brings_the_spares_back_whose_deaths_it_forgives() {
    const TEST: &str = "an_answer_brings_the_spares_back_whose_deaths_it_forgives";
    by_itself(TEST, || {
        let hour = Duration::from_secs(3_600);
        let driver = hostile()
            .spares(2)
            .restart(RestartPolicy {
                window: hour,
                backoff: hour,
                backoff_max: hour,
                ..RestartPolicy::default()
            })
            .build()
            .unwrap();
        let so_many = |count: usize| driver.status().pids.len() == count;
        until("three handlers", || so_many(3));
        // The first is followed by another at once; then there is a pause.
        for (left, deaths) in [(3, 1), (2, 2), (1, 3)] {
            rig::kill(driver.status().pids[0]);
            until("it is gone", || {
                driver.status().exits == deaths && so_many(left)
            });
        }
        thread::sleep(Duration::from_millis(100));
        assert!(so_many(1));
        echo(&driver);
        until("three handlers again", || so_many(3));
    });
}

#[test]
fn a_program_that_is_killed_takes_its_handlers_along() {
    const TEST: &str = "a_program_that_is_killed_takes_its_handlers_along";
    if is_alone(TEST) {
        // It is killed before that passes.
        let for_ever = Duration::from_secs(3_600);
        let driver = hostile().workers(2).deadline(for_ever).build().unwrap();
        thread::scope(|scope| {
            let spin = || drop(ask(&driver, "spin"));
            scope.spawn(spin);
            scope.spawn(spin);
            until("two handlers", || driver.status().pids.len() == 2);
            println!("\npids {:?}", driver.status().pids);
        });
        return;
    }
    let mut program = Command::new("/proc/self/exe")
        .args(["--exact", TEST, "--nocapture"])
        .env("UMD_TEST_ALONE", TEST)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let line = lines
        .map_while(Result::ok)
        .find(|line| line.starts_with("pids"));
    let pids: Vec<u32> = line
        .unwrap()
        .split(|character: char| !character.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    assert_eq!(pids.len(), 2);
    assert!(pids.iter().all(|pid| exists(*pid)));
    program.kill().unwrap();
    program.wait().unwrap();
    until("the handlers are gone", || {
        !pids.iter().any(|pid| exists(*pid))
    });
}

#[test]
fn a_fork_has_no_part_in_the_drivers() {
    by_itself("a_fork_has_no_part_in_the_drivers", || {
        let driver = hostile().spares(1).build().unwrap();
        echo(&driver);
        let good = sys::in_a_copy(|| {
            let forked = |error: umd::Error| error.cause() == Cause::Forked;
            let refused =
                ask(&driver, "echo x").is_err_and(forked) && driver.start().is_err_and(forked);
            driver.restart();
            driver.shutdown();
            let own = hostile().spares(1).build().unwrap();
            let segv = || ask(&own, "segv").expect_err("it ends");
            let answered = ask(&own, "echo own").is_ok_and(|reply| reply == "own")
                && told(segv).exit() == Some(Exit::Signaled(11))
                && ask(&own, "echo own").is_ok();
            let twice = sys::in_a_copy(|| {
                ask(&own, "echo x").is_err_and(forked)
                    && ask(&hostile().build().unwrap(), "echo x").is_ok()
            });
            drop(own);
            refused && answered && twice && children().is_empty()
        });
        assert!(good);
        echo(&driver);
        assert_eq!(driver.status().exits, 0);
        // In the copy it is dropped, and nothing comes of it here.
        let moved = hostile().build().unwrap();
        echo(&moved);
        let mut moved = Some(moved);
        assert!(sys::in_a_copy(|| {
            drop(moved.take());
            true
        }));
        echo(moved.as_ref().unwrap());
        assert_eq!(moved.unwrap().status().exits, 0);
    });
}

/// A copy may be made at any moment, and what other threads were about to do is never done there: one of them had the right to make umd's own
/// threads, maybe.
#[test]
fn a_fork_while_another_thread_builds_the_first_driver() {
    by_itself(
        "a_fork_while_another_thread_builds_the_first_driver",
        || {
            for round in 0..200 {
                let good = sys::in_a_copy(|| {
                    thread::scope(|scope| {
                        let (begun, begin) = mpsc::channel();
                        let other = scope.spawn(move || {
                            begun.send(()).unwrap();
                            let driver = hostile().build().unwrap();
                            ask(&driver, "echo x").is_ok()
                        });
                        begin.recv().unwrap();
                        let later = Instant::now() + Duration::from_micros(round * 5);
                        while Instant::now() < later {}
                        let good = sys::in_a_copy(|| {
                            sys::die_in(HANG_GUARD.as_secs() as u32);
                            let driver = hostile().build().unwrap();
                            ask(&driver, "echo x").is_ok()
                        });
                        good && other.join().unwrap()
                    })
                });
                assert!(good, "in round {round}");
            }
        },
    );
}

#[test]
fn a_program_without_standard_files() {
    const TEST: &str = "a_program_without_standard_files";
    if !is_alone(TEST) {
        let output = rig::alone(TEST, |_| {});
        assert_eq!(output.status.code(), Some(42), "{output:?}");
        return;
    }
    sys::close_standard_files();
    let worked = std::panic::catch_unwind(|| {
        let driver = hostile().spares(1).build().unwrap();
        for number in 0..20 {
            // It says something all the same, to whoever has these numbers now.
            println!("{number}");
            eprintln!("{number}");
            echo(&driver);
            dies(&driver);
        }
        driver.status().requests == 40
    });
    sys::exit_now(if worked.is_ok_and(|good| good) { 42 } else { 1 });
}

#[test]
fn drivers_from_many_threads_at_once() {
    by_itself("drivers_from_many_threads_at_once", || {
        let (before, start) = (descriptors(), Barrier::new(16));
        thread::scope(|scope| {
            for number in 0..16 {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    for _ in 0..8 {
                        let driver = hostile().build().unwrap();
                        echo(&driver);
                        dies(&driver);
                        echo(&driver);
                        let sample = patient(Driver::builder("sample", SAMPLE));
                        let sample = sample.build().unwrap();
                        let request = sample_proto::Request::new(number).unwrap();
                        assert_eq!(sample.call(&request).unwrap(), number);
                    }
                });
            }
        });
        until("no child is left", || children().is_empty());
        // The bell and the events of the two threads.
        until("nothing is open but these", || descriptors() <= before + 2);
    });
}

#[test]
fn callers_are_served_in_turn_and_turned_away_past_the_bound() {
    const WAITING: usize = 5;
    let driver = stopping().queue_max(WAITING).build().unwrap();
    let (done, order) = mpsc::channel();
    let (threads, callers) = mpsc::channel();
    thread::scope(|scope| {
        for number in 0..=WAITING {
            let (driver, done, threads) = (&driver, done.clone(), threads.clone());
            scope.spawn(move || {
                threads.send(Thread::current()).unwrap();
                assert_eq!(ask(driver, "try stop").as_deref(), Ok(""));
                done.send(number).unwrap();
            });
            let caller = callers.recv().unwrap();
            until("it waits", || caller.is_asleep());
            until("the first is served", || stopped(driver).len() == 1);
        }
        // While all of them are kept waiting: it does not wait for them.
        let error = ask(&driver, "echo x").unwrap_err();
        assert_eq!(error.cause(), Cause::Call(CallFailure::Busy));
        for number in 0..=WAITING {
            until("the next is served", || stopped(&driver).len() == 1);
            go_on(stopped(&driver)[0]);
            assert_eq!(order.recv(), Ok(number));
        }
    });
    assert_eq!(driver.status().starts, 1);
}

#[test]
fn workers_work_side_by_side() {
    let driver = stopping().workers(4).build().unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(ask(&driver, "try stop").as_deref(), Ok("")));
        }
        until("four requests are served", || stopped(&driver).len() == 4);
        stopped(&driver).into_iter().for_each(go_on);
    });
    assert_eq!(driver.status().starts, 4);
    thread::scope(|scope| {
        for caller in 0..24 {
            let driver = &driver;
            scope.spawn(move || {
                for number in 0..200 {
                    let text = format!("{caller} {number}");
                    let reply = ask(driver, &format!("echo {text}"));
                    assert_eq!(reply.as_ref(), Ok(&text));
                    if caller == 0 && number % 20 == 0 {
                        dies(driver);
                    }
                }
            });
        }
    });
    until("the last end was noticed", || driver.status().exits == 10);
}
