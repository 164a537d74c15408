// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls without threads: on one thread, all of them.

use sample_proto::Request;
use std::sync::{Arc, mpsc};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};
use umd::{CallFailure, Cause, Driver, Exit, RestartPolicy};
use umd_user_tests::rig::{self, again_as_an_ordinary_user, go_on, stopped, stopping, until};
use umd_user_tests::sys::Thread;
use umd_user_tests::{HOSTILE, SAMPLE};

#[test]
fn again_as_an_ordinary_user_() {
    again_as_an_ordinary_user("again_as_an_ordinary_user_");
}

fn hostile() -> umd::Builder<'static> {
    Driver::builder("hostile", HOSTILE).restart(RestartPolicy::unlimited())
}

async fn ask(driver: &Driver, request: &str) -> Result<String, umd::Error> {
    let mut reply = vec![0; 1 << 20];
    let length = driver.call_bytes_async(request.as_bytes(), &mut reply);
    let length = length.await?;
    Ok(String::from_utf8_lossy(&reply[..length]).into_owned())
}

#[tokio::test]
async fn the_sample_answers_with_types() {
    let driver = Driver::builder("sample", SAMPLE).build().unwrap();
    driver.start_async().await.unwrap();
    assert_eq!(driver.status().starts, 1);
    let request = Request::new(77).unwrap();
    assert_eq!(driver.call_async(&request).await.unwrap(), 77);
}

#[tokio::test]
async fn one_thread_serves_many_callers() {
    let driver = hostile()
        .workers(4)
        .deadline(Duration::from_secs(20))
        .build()
        .unwrap();
    let driver = Arc::new(driver);
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let calls: Vec<_> = (0..60)
        .map(|number| {
            let driver = driver.clone();
            tokio::spawn(async move { ask(&driver, &format!("echo {number}")).await })
        })
        .collect();
    assert_eq!(threads(), before);
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap(), number.to_string());
    }
    assert_eq!(driver.status().replies, 60);
    assert!(driver.status().starts <= 4);
}

#[tokio::test]
async fn workers_work_side_by_side() {
    let driver = hostile()
        .workers(2)
        .deadline(Duration::from_millis(400))
        .build()
        .unwrap();
    ask(&driver, "echo warm").await.unwrap();
    let begin = Instant::now();
    let (hung, answered) = tokio::join!(ask(&driver, "spin"), ask(&driver, "echo x"));
    assert_eq!(answered.unwrap(), "x");
    let error = hung.unwrap_err();
    assert!(matches!(
        error.cause(),
        Cause::Call(CallFailure::TimedOut(_))
    ));
    assert_eq!(error.exit(), Some(Exit::Signaled(9)));
    assert!(begin.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn great_requests_and_replies() {
    let driver = hostile().deadline(Duration::from_secs(20)).build().unwrap();
    let text = "x".repeat(250_000);
    assert_eq!(ask(&driver, &format!("echo {text}")).await.unwrap(), text);
    let filled = ask(&driver, "fill 262144").await.unwrap();
    assert!(!filled.is_empty());
    assert_eq!(driver.status().starts, 1);
}

#[tokio::test]
async fn errors_are_those_of_callers_that_block() {
    let driver = hostile().build().unwrap();
    let error = ask(&driver, "exit 3").await.unwrap_err();
    assert_eq!(error.cause(), Cause::Call(CallFailure::ConnectionReset));
    assert_eq!(error.exit(), Some(Exit::Exited(3)));
    let error = ask(&driver, "wrong-id").await.unwrap_err();
    assert_eq!(error.errno(), 74);
    assert_eq!(ask(&driver, "echo on").await.unwrap(), "on");
}

#[tokio::test]
async fn who_goes_away_leaves_nothing() {
    let driver = hostile().deadline(Duration::from_secs(30)).build().unwrap();
    ask(&driver, "echo warm").await.unwrap();
    let old = driver.status().pids;
    // In the middle of an exchange, with another who waits for the same worker.
    let hung = tokio::time::timeout(Duration::from_millis(100), ask(&driver, "spin"));
    let behind = tokio::time::timeout(Duration::from_millis(50), ask(&driver, "echo y"));
    let (hung, behind) = tokio::join!(hung, behind);
    assert!(hung.is_err() && behind.is_err());
    let begin = Instant::now();
    assert_eq!(ask(&driver, "echo next").await.unwrap(), "next");
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert_ne!(driver.status().pids, old);
    let gone = |pid: &u32| !std::path::Path::new(&format!("/proc/{pid}")).exists();
    let deadline = Instant::now() + Duration::from_secs(5);
    while !old.iter().all(gone) {
        assert!(Instant::now() < deadline, "{old:?} lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
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
        let leaver = Driver::builder("test-leaver", HOSTILE);
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
    let driver = hostile()
        .queue_max(2)
        .deadline(Duration::from_millis(500))
        .build()
        .unwrap();
    ask(&driver, "echo warm").await.unwrap();
    let (a, b, c, d) = tokio::join!(
        ask(&driver, "spin"),
        ask(&driver, "echo b"),
        ask(&driver, "echo c"),
        ask(&driver, "echo d"),
    );
    assert!(a.is_err());
    let busy = d.unwrap_err();
    assert_eq!(busy.cause(), Cause::Call(CallFailure::Busy));
    // Those who waited have the same deadline as the one before them: an answer, or none in time.
    for waited in [b, c] {
        if let Err(error) = waited {
            assert_eq!(error.errno(), 110, "{error}");
        }
    }
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
