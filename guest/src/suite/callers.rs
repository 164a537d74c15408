// SPDX-License-Identifier: MIT OR Apache-2.0
//! Callers: many at once, killed while they wait, or in the way of everybody else.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::actor::Actor;
use crate::driver::Driver;
use crate::harness::{Context, Topic, test};
use crate::process;
use crate::sample::{self, DRIVER};
use crate::session::{self, Session};
use crate::suite::trace;
use crate::time::{ms, patience, timed, until};

pub(crate) const TOPIC: Topic = Topic {
    name: "callers",
    modules: &[sample::MODULE, session::MODULE],
    tests: &[
        test(
            "a caller killed while it waits ends at once, the handler stays",
            killed_waiting,
        ),
        test(
            "a caller killed while the handler works: the next one waits for the deadline",
            killed_working,
        ),
        test("a caller killed in the queue", killed_queueing),
        test("a caller killed during a start", killed_starting),
        test("64 callers may wait, the next is turned away", bounded),
        test("callers in the queue are served in turn", in_turn),
        test("the queue ends at the deadline", queue_deadline),
        test("two writers to one open file", one_file),
        test(
            "ten callers while handlers are killed at random",
            killed_at_random,
        ),
        test(
            "SCHED_FIFO caller and spinning handler on one processor: the deadline holds",
            fifo,
        ),
    ],
};

/// An actor that waits in the kernel.
fn waiting(actor: Actor) -> Result<Actor> {
    until("the actor waits", || process::waits(actor.pid()))?;
    Ok(actor)
}

fn killed_waiting(context: &Context) -> Result<()> {
    DRIVER.patiently(|| {
        let pid = DRIVER.stop_handler()?;
        let actor = waiting(Actor::spawn(&["write", sample::PATH, "5"])?)?;
        let (killed, took) = timed(|| actor.kill());
        killed?;
        context.at_once(took)?;
        process::signal(pid, Signal::CONT)?;
        sample::ask(6)?;
        ensure!(DRIVER.pid()? == pid, "the handler was replaced");
        DRIVER.expect("last_error", "4 caller received a fatal signal")
    })
}

fn killed_working(context: &Context) -> Result<()> {
    let driver = Driver("hostile");
    let session = Session::load(driver.0)?;
    session.echo()?;
    driver.set_deadline(DEADLINE)?;
    let pid = driver.pid()?;
    let begin = Instant::now();
    let actor = waiting(Actor::send(&session, "call 64 spin")?)?;
    until("the handler computes", || process::state(pid) == Some('R'))?;
    let (killed, took) = timed(|| actor.kill());
    killed?;
    context.at_once(took)?;
    // It still works on what it has read. Nobody else may get its answer. The deadline of the next
    // request is not what this is about.
    driver.set_deadline(patience())?;
    session.echo()?;
    let took = begin.elapsed();
    // The actor's own start is in it as well.
    ensure!(
        took >= DEADLINE && took <= DEADLINE + 2 * context.grace(),
        "the next request was served after {took:?}"
    );
    ensure!(driver.pid()? != pid, "the handler still is {pid}");
    driver.expect("replies", "2")
}

fn killed_queueing(context: &Context) -> Result<()> {
    DRIVER.patiently(|| {
        let pid = DRIVER.stop_handler()?;
        let first = waiting(Actor::spawn(&["write", sample::PATH, "1"])?)?;
        let second = waiting(Actor::spawn(&["write", sample::PATH, "2"])?)?;
        let third = waiting(Actor::spawn(&["write", sample::PATH, "3"])?)?;
        let (killed, took) = timed(|| second.kill());
        killed?;
        context.at_once(took)?;
        process::signal(pid, Signal::CONT)?;
        first.wait()?.0.context("the first caller")?;
        third.wait()?.0.context("the third caller")?;
        ensure!(DRIVER.pid()? == pid, "the handler was replaced");
        Ok(())
    })
}

fn killed_starting(context: &Context) -> Result<()> {
    let driver = Driver("hostile-silent");
    let session = Session::load(driver.0)?;
    let actor = Actor::send(&session, "start")?;
    until("the handler starts", || {
        driver.get("starts").is_ok_and(|starts| starts == "1")
    })?;
    let actor = waiting(actor)?;
    let (killed, took) = timed(|| actor.kill());
    killed?;
    context.at_once(took)?;
    driver.await_value("last_exit", "signal 9")?;
    driver.expect("pid", "0")
}

fn bounded(context: &Context) -> Result<()> {
    DRIVER.patiently(|| {
        let pid = DRIVER.stop_handler()?;
        thread::scope(|scope| {
            // One is served, 64 wait.
            let callers: Vec<_> = (0..65)
                .map(|offset| scope.spawn(move || sample::ask(offset)))
                .collect();
            let full = until("65 callers wait", || process::waiting_threads() == 65);
            let (refused, took) = timed(|| sample::ask(65));
            let resumed = process::signal(pid, Signal::CONT);
            let mut wrong = Vec::new();
            for (offset, caller) in callers.into_iter().enumerate() {
                let written = caller
                    .join()
                    .map_err(|_| anyhow::anyhow!("a caller panicked"))?;
                wrong.extend(written.err().map(|error| (offset, error)));
            }
            full?;
            ensure!(
                refused == Err(Errno::AGAIN),
                "the 66th caller got {refused:?}"
            );
            ensure!(wrong.is_empty(), "of the 65 callers: {wrong:?}");
            context.at_once(took)?;
            resumed?;
            ensure!(DRIVER.pid()? == pid, "the handler was replaced");
            Ok(())
        })
    })
}

fn in_turn(_: &Context) -> Result<()> {
    DRIVER.patiently(|| {
        let pid = DRIVER.stop_handler()?;
        let order = Mutex::new(Vec::new());
        let mut callers = Vec::new();
        let mut served = Ok(Vec::new());
        thread::scope(|scope| {
            let mut queued = Ok(());
            for number in 0..6 {
                let (number_of, order) = (std::sync::mpsc::channel(), &order);
                let tell = number_of.0;
                scope.spawn(move || {
                    // Nobody listens only where the test has failed already.
                    let _ = tell.send(rustix::thread::gettid().as_raw_pid());
                    if let (Ok(_), Ok(mut order)) = (sample::ask(number), order.lock()) {
                        order.push(number);
                    }
                });
                callers.push(number_of.1.recv()?);
                let wanted = callers.len();
                queued = queued.and(until("the next caller waits", || {
                    process::waiting_threads() == wanted
                }));
            }
            served = trace::callers(|| {
                process::signal(pid, Signal::CONT)?;
                until("all are served", || {
                    order.lock().is_ok_and(|order| order.len() == 6)
                })
            });
            queued
        })?;
        let answered = order
            .into_inner()
            .map_err(|_| anyhow::anyhow!("a caller panicked"))?
            .len();
        ensure!(answered == 6, "{answered} of 6 callers were answered");
        // The first one had handed its request over before the trace began.
        let served = served?;
        let queue = callers.get(1..).unwrap_or_default();
        ensure!(
            served == queue,
            "the queue was {queue:?}, served were {served:?}"
        );
        Ok(())
    })
}

fn queue_deadline(context: &Context) -> Result<()> {
    const LIMIT: Duration = ms(200);
    DRIVER.set_deadline(LIMIT)?;
    let result = thread::scope(|scope| {
        DRIVER.stop_handler()?;
        let callers: Vec<_> = (0..5)
            .map(|offset| scope.spawn(move || timed(|| sample::ask(offset))))
            .collect();
        let mut late = 0;
        for caller in callers {
            let (written, took) = caller
                .join()
                .map_err(|_| anyhow::anyhow!("a caller panicked"))?;
            // Whoever had its turn when the stopped handler was killed is served by the next one.
            ensure!(
                matches!(written, Ok(_) | Err(Errno::TIMEDOUT)),
                "a caller got {written:?}"
            );
            ensure!(took <= LIMIT + context.grace(), "a caller waited {took:?}");
            late += usize::from(written.is_err());
        }
        ensure!(late >= 1, "no caller met the deadline");
        Ok(())
    });
    DRIVER.set("deadline_ms", "1000")?;
    result?;
    sample::ask(1)?;
    Ok(())
}

fn one_file(_: &Context) -> Result<()> {
    DRIVER.patiently(|| {
        let pid = DRIVER.stop_handler()?;
        let file = sample::open()?;
        thread::scope(|scope| {
            let first = scope.spawn(|| rustix::io::write(&file, b"1"));
            let waits = until("the first writer waits", || process::waiting_threads() == 1);
            let second = rustix::io::write(&file, b"2");
            let resumed = process::signal(pid, Signal::CONT);
            let first = first
                .join()
                .map_err(|_| anyhow::anyhow!("a writer panicked"))?;
            waits?;
            ensure!(first == Ok(1), "the first writer got {first:?}");
            ensure!(
                second == Err(Errno::BUSY),
                "the second writer got {second:?}"
            );
            resumed
        })
    })
}

fn killed_at_random(context: &Context) -> Result<()> {
    let kills = context.rounds(20, 60);
    let over = AtomicBool::new(false);
    let (served, lost) = (AtomicU32::new(0), AtomicU32::new(0));
    let wrong = Mutex::new(BTreeSet::new());
    // Ten in a queue, and a start before each second answer: that may take as long as it likes.
    DRIVER.patiently(|| {
        thread::scope(|scope| {
            for caller in 1..=10 {
                let (over, served, lost, wrong) = (&over, &served, &lost, &wrong);
                scope.spawn(move || {
                    for offset in context.random(caller) {
                        if over.load(Ordering::Relaxed) {
                            break;
                        }
                        match sample::ask(offset) {
                            Ok(_) => served.fetch_add(1, Ordering::Relaxed),
                            Err(Errno::CONNRESET | Errno::CONNREFUSED) => {
                                lost.fetch_add(1, Ordering::Relaxed)
                            }
                            Err(other) => {
                                let other = other.raw_os_error();
                                wrong.lock().map(|mut wrong| wrong.insert(other)).ok();
                                0
                            }
                        };
                    }
                });
            }
            let mut random = context.random(77);
            let killed = (0..kills).try_for_each(|_| {
                // Not so soon that each dies in its start: that is what the budget is for.
                let before = served.load(Ordering::Relaxed);
                until("somebody is served", || {
                    served.load(Ordering::Relaxed) > before
                })?;
                let pause = u64::from(random.next().unwrap_or(0) % 40_000);
                thread::sleep(Duration::from_micros(pause));
                // There may be none just now.
                until("a handler is killed", || {
                    let killed = DRIVER
                        .pid()
                        .and_then(|pid| process::signal(pid, Signal::KILL));
                    killed.is_ok()
                })
            });
            // Not every kill meets a request that was read; some have to.
            let killed = killed.and_then(|()| {
                until("a kill has met a request", || {
                    let _ = DRIVER.kill_handler();
                    lost.load(Ordering::Relaxed) > 0
                })
            });
            over.store(true, Ordering::Relaxed);
            killed
        })
    })?;
    let (served, lost) = (served.into_inner(), lost.into_inner());
    let wrong = wrong.into_inner().unwrap_or_default();
    ensure!(
        wrong.is_empty(),
        "callers got {wrong:?}; {served} were served, {lost} lost, {kills} kills"
    );
    DRIVER.restart()?;
    for offset in context.random(5).take(20) {
        sample::ask(offset)?;
    }
    Ok(())
}

/// Of a handler that computes on.
const DEADLINE: Duration = ms(300);

/// The priority of both; any will do, but it must be the same.
const PRIORITY: u32 = 10;

fn fifo(context: &Context) -> Result<()> {
    let driver = Driver("hostile");
    let session = Session::load(driver.0)?;
    session.echo()?;
    driver.set_deadline(DEADLINE)?;
    let pid = driver.pid()?;
    let all = sched_getaffinity(None)?;
    let mut first = CpuSet::new();
    first.set(0);
    sched_setaffinity(Pid::from_raw(pid), &first)?;
    let status = std::process::Command::new("chrt")
        .args(["--fifo", "--pid", &PRIORITY.to_string(), &pid.to_string()])
        .status()
        .context("cannot run chrt")?;
    ensure!(status.success(), "chrt ended with {status}");
    // The actor inherits the processor.
    sched_setaffinity(None, &first)?;
    let actor = Actor::send_fifo(&session, "call 64 spin", PRIORITY);
    sched_setaffinity(None, &all)?;
    let actor = actor?;
    // Should the deadline not hold, this gets the processor when the kernel takes it from the
    // real-time class for a moment, and ends the test.
    let begin = Instant::now();
    while process::exists(pid) && begin.elapsed() < ms(10_000) {
        thread::sleep(ms(20));
    }
    let held = !process::exists(pid);
    let _ = process::signal(pid, Signal::KILL);
    let (result, text) = actor.wait()?;
    result.context("the caller's write")?;
    let took = Duration::from_nanos(text.trim().parse().context("the caller's time")?);
    session
        .result()?
        .refused(Errno::TIMEDOUT, "deadline passed, request read")?;
    ensure!(
        held,
        "the handler outlived its deadline; the caller was free after {took:?}"
    );
    context.at_deadline(DEADLINE, took)?;
    session.echo()
}
