// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls without threads: on one thread, all of them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sample_proto::Request;
use std::sync::{Arc, mpsc};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};
use umd::{CallFailure, Cause, Driver, Exit};
use umd_user_tests::rig::{
    self, HANG_GUARD, again_as_an_ordinary_user, by_itself, go_on, hostile, patient, stopped,
    stopping, until,
};
use umd_user_tests::sys::Thread;
use umd_user_tests::{HOSTILE, SAMPLE};

#[test]
fn again_as_an_ordinary_user_() {
    again_as_an_ordinary_user("again_as_an_ordinary_user_");
}

async fn ask(driver: &Driver, request: &str) -> Result<String, umd::Error> {
    let mut reply = vec![0; 1 << 20];
    let length = driver.call_bytes_async(request.as_bytes(), &mut reply);
    let length = length.await?;
    Ok(String::from_utf8_lossy(&reply[..length]).into_owned())
}

#[tokio::test]
async fn the_sample_answers_with_types() {
    let driver = patient(Driver::builder("sample", SAMPLE)).build().unwrap();
    driver.start_async().await.unwrap();
    assert_eq!(driver.status().starts, 1);
    let request = Request::new(77).unwrap();
    assert_eq!(driver.call_async(&request).await.unwrap(), 77);
}

/// In a process of its own, since the threads of other tests come and go.
#[test]
fn one_thread_serves_many_callers() {
    by_itself("one_thread_serves_many_callers", || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        runtime.block_on(many_callers());
    });
}

async fn many_callers() {
    let driver = Arc::new(hostile().workers(4).build().unwrap());
    // With umd's own.
    ask(&driver, "echo warm").await.unwrap();
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let calls: Vec<_> = (0..60)
        .map(|number| {
            let driver = driver.clone();
            tokio::spawn(async move {
                let reply = ask(&driver, &format!("echo {number}")).await;
                assert_eq!(threads(), before);
                reply
            })
        })
        .collect();
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap(), number.to_string());
    }
    assert_eq!(driver.status().replies, 61);
    assert!(driver.status().starts <= 4);
}

#[tokio::test]
async fn workers_work_side_by_side() {
    const LIMIT: Duration = Duration::from_millis(400);
    let driver = hostile().workers(2).build().unwrap();
    ask(&driver, "echo warm").await.unwrap();
    let begin = Instant::now();
    let mut reply = [0; 8];
    let (hung, answered) = tokio::join!(
        driver.call_bytes_within_async(LIMIT, b"spin", &mut reply),
        ask(&driver, "echo x")
    );
    assert_eq!(answered.unwrap(), "x");
    let error = hung.unwrap_err();
    assert!(matches!(
        error.cause(),
        Cause::Call(CallFailure::TimedOut(_))
    ));
    // Nobody may know in time how it ended.
    let exit = error.exit();
    assert!(matches!(exit, Some(Exit::Signaled(9)) | None), "{exit:?}");
    assert!(begin.elapsed() >= LIMIT);
}

#[tokio::test]
async fn great_requests_and_replies() {
    let driver = hostile().build().unwrap();
    let text = "x".repeat(250_000);
    assert_eq!(ask(&driver, &format!("echo {text}")).await.unwrap(), text);
    let filled = ask(&driver, "fill 262144").await.unwrap();
    assert!(!filled.is_empty());
    assert_eq!(driver.status().starts, 1);
}

#[tokio::test]
async fn errors_are_those_of_callers_that_block() {
    let driver = hostile().build().unwrap();
    let begin = Instant::now();
    // Again where nobody knows in time how it ended.
    let exit = loop {
        let error = ask(&driver, "exit 3").await.unwrap_err();
        assert_eq!(error.cause(), Cause::Call(CallFailure::ConnectionReset));
        if let Some(exit) = error.exit() {
            break exit;
        }
        assert!(begin.elapsed() < HANG_GUARD, "nobody was told");
    };
    assert_eq!(exit, Exit::Exited(3));
    let error = ask(&driver, "wrong-id").await.unwrap_err();
    assert_eq!(error.errno(), 74);
    assert_eq!(ask(&driver, "echo on").await.unwrap(), "on");
}

#[tokio::test]
async fn who_goes_away_leaves_nothing() {
    let driver = stopping().build().unwrap();
    ask(&driver, "echo warm").await.unwrap();
    let old = driver.status().pids;
    // In the middle of an exchange, with another who waits for the same worker.
    let in_the_middle = async {
        let begin = Instant::now();
        while stopped(&driver).is_empty() {
            assert!(begin.elapsed() < HANG_GUARD, "it never has the request");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        biased;
        hung = ask(&driver, "try stop") => panic!("{hung:?}"),
        behind = ask(&driver, "echo y") => panic!("{behind:?}"),
        () = in_the_middle => {}
    }
    // Nobody waits for the one that is stopped.
    assert_eq!(ask(&driver, "echo next").await.unwrap(), "next");
    assert_ne!(driver.status().pids, old);
    until("the old one is gone", || {
        !old.iter().any(|pid| rig::exists(*pid))
    });
    // In the middle of a start.
    driver.restart();
    let started = tokio::time::timeout(Duration::from_micros(50), driver.start_async());
    let _ = started.await;
    assert_eq!(ask(&driver, "echo after").await.unwrap(), "after");
    assert_eq!(driver.status().pids.len(), 1);
}

#[tokio::test]
async fn a_driver_that_goes_away_leaves_no_start_behind() {
    for round in 0..60 {
        let leaver = patient(Driver::builder("test-leaver", HOSTILE));
        let driver = leaver.spares(round % 2).build().unwrap();
        let started = tokio::time::timeout(
            Duration::from_micros(20 * round as u64),
            driver.start_async(),
        );
        let _ = started.await;
        let children = || -> Vec<_> {
            let tasks = std::fs::read_dir("/proc/self/task").unwrap();
            let spawners = tasks.filter_map(|task| {
                let path = task.ok()?.path();
                let name = std::fs::read_to_string(path.join("comm")).ok()?;
                (name == "umd-spawner\n").then_some(path)
            });
            let named = spawners.flat_map(|path| {
                let children = std::fs::read_to_string(path.join("children")).unwrap();
                children
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            });
            // Other tests have handlers of other names at the same time.
            named
                .filter(|pid| {
                    let line = std::fs::read(format!("/proc/{pid}/cmdline"));
                    line.is_ok_and(|line| line.starts_with(b"test-leaver"))
                })
                .collect()
        };
        drop(driver);
        assert_eq!(children(), Vec::<String>::new(), "round {round}");
    }
}

#[tokio::test]
async fn past_the_queue_it_is_busy() {
    let driver = hostile().queue_max(2).build().unwrap();
    ask(&driver, "echo warm").await.unwrap();
    let limit = Duration::from_millis(500);
    let mut reply = [0; 8];
    let (a, b, c, d) = tokio::join!(
        driver.call_bytes_within_async(limit, b"spin", &mut reply),
        ask(&driver, "echo b"),
        ask(&driver, "echo c"),
        ask(&driver, "echo d"),
    );
    assert!(a.is_err());
    let busy = d.unwrap_err();
    assert_eq!(busy.cause(), Cause::Call(CallFailure::Busy));
    assert_eq!((b.unwrap(), c.unwrap()), ("b".into(), "c".into()));
}

/// A place in the queue has been that of a caller who waited without a thread, and went away, when one comes who sleeps.
#[tokio::test]
async fn who_went_away_takes_no_turn_of_a_caller_that_blocks() {
    let driver = stopping().build().unwrap();
    let blocking = |request: &str| rig::ask(&driver, request).unwrap();
    let asked = std::thread::scope(|scope| {
        let busy = scope.spawn(|| blocking("try stop"));
        until("the handler is busy", || stopped(&driver).len() == 1);
        let calls: Vec<_> = (0..64).map(|_| ask(&driver, "echo x")).collect();
        let mut context = Context::from_waker(Waker::noop());
        for mut call in calls.into_iter().map(Box::pin) {
            assert!(call.as_mut().poll(&mut context).is_pending());
        }
        let mut waiting = Vec::new();
        let (threads, callers) = mpsc::channel();
        for number in 0..3 {
            let threads = threads.clone();
            waiting.push(scope.spawn(move || {
                threads.send(Thread::current()).unwrap();
                blocking(&format!("echo {number}"))
            }));
            let caller = callers.recv().unwrap();
            until("it waits", || caller.is_asleep());
        }
        stopped(&driver).into_iter().for_each(go_on);
        waiting.push(busy);
        let replies = waiting.into_iter().map(|call| call.join().unwrap());
        replies.collect::<Vec<_>>()
    });
    assert_eq!(asked, ["0", "1", "2", ""]);
}

/// Those with a thread and those without stand in one queue.
#[tokio::test]
async fn both_kinds_of_callers_are_served_in_turn() {
    const CALLERS: usize = 6;
    let driver = Arc::new(stopping().build().unwrap());
    let (done, order) = mpsc::channel();
    let (threads, callers) = mpsc::channel();
    let mut calls = Vec::new();
    for number in 0..CALLERS {
        let (asked, done, threads) = (driver.clone(), done.clone(), threads.clone());
        if number % 2 == 0 {
            calls.push(tokio::task::spawn_blocking(move || {
                threads.send(Thread::current()).unwrap();
                rig::ask(&asked, "try stop").unwrap();
                done.send(number).unwrap();
            }));
            let caller = callers.recv().unwrap();
            until("it waits", || caller.is_asleep());
            until("the first is served", || stopped(&driver).len() == 1);
        } else {
            calls.push(tokio::spawn(async move {
                ask(&asked, "try stop").await.unwrap();
                done.send(number).unwrap();
            }));
            // It goes as far as it can.
            tokio::task::yield_now().await;
        }
    }
    let in_turn = tokio::task::spawn_blocking(move || {
        for number in 0..CALLERS {
            until("the next is served", || stopped(&driver).len() == 1);
            go_on(stopped(&driver)[0]);
            assert_eq!(order.recv(), Ok(number));
        }
    });
    in_turn.await.unwrap();
    for call in calls {
        call.await.unwrap();
    }
}
