// SPDX-License-Identifier: MIT OR Apache-2.0
//! When handlers run, where others want the processor too.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::Managed;
use crate::actor::{Actor, moment};
use crate::c_api::{self, Api};
use crate::harness::{Context, Topic, test};
use crate::process;
use crate::time::{ms, slowness};

pub(crate) const TOPIC: Topic = Topic {
    name: "priority",
    modules: &[c_api::MODULE],
    tests: &[
        test(
            "by default others of a real-time class starve it",
            inversion,
        ),
        test(
            "inherited: a real-time caller is served though others compute",
            inherited,
        ),
        test("inherited: it is taken back after the answer", taken_back),
        test(
            "inherited: a handler that computes in its caller's class is ended in time",
            deadline,
        ),
        test(
            "inherited: a handler that has answered does not keep the processor",
            computes_on,
        ),
        test("nice is what was asked for", nice),
        test("priorities that there are not are refused", refused),
    ],
};

/// `enum umd_priority` of `<linux/umd.h>`.
const NICE: u32 = 0;
const INHERIT: u32 = 1;

/// Of whoever wants the processor, and of the caller.
const HOG: u32 = 20;
const CALLER: u32 = 50;

const DEADLINE: Duration = ms(300);

/// How long it computes: it begins 100 ms before the caller asks, and ends after that one's deadline.
const HOG_MS: &str = "500";

fn load(priority: u32, nice: u32) -> Result<Managed> {
    let managed = Managed::new("c-prio", "-", "ok")?;
    let millis = DEADLINE.as_millis();
    let command = format!("m-load-prio 0 static {millis} {priority} {nice}");
    managed.api.good(&command)?;
    managed.echo()?;
    Ok(managed)
}

/// Whatever is started by `start`, and the handler, share one processor.
fn on_one_processor<R>(handler: i32, start: impl FnOnce() -> Result<R>) -> Result<R> {
    let all = sched_getaffinity(None)?;
    let mut first = CpuSet::new();
    first.set(0);
    sched_setaffinity(Pid::from_raw(handler), &first)?;
    sched_setaffinity(None, &first)?;
    let started = start();
    sched_setaffinity(None, &all)?;
    started
}

/// What a caller in SCHED_FIFO gets, and after which time, while a process of a lower priority computes.
fn ask_beside_a_hog(priority: u32) -> Result<(Result<(), Errno>, Duration)> {
    let managed = load(priority, 0)?;
    let api = Api::open()?;
    let ask = api.as_fd().try_clone_to_owned()?;
    let (hog, caller) = on_one_processor(managed.pid()?, || {
        // Both are there by then.
        let begin = slowness() * ms(1_000);
        let words = ["at", &moment(begin + ms(100)), "m-ask 0 e 64 64 0"];
        let caller = Actor::fifo(CALLER, ask, &words)?;
        let hog = Actor::fifo(HOG, Stdio::null(), &["spin", &moment(begin), HOG_MS])?;
        Ok((hog, caller))
    })?;
    let (result, text) = caller.wait()?;
    hog.wait()?.0.context("the hog")?;
    let nanos = text.trim().parse().context("the caller's time")?;
    managed.echo()?;
    Ok((result, Duration::from_nanos(nanos)))
}

/// Newer kernels (sched/fair_server) have the others served for 50 ms in each second, which may be just then: so it is tried again.
fn inversion(context: &Context) -> Result<()> {
    const TRIES: usize = 6;
    for _ in 0..TRIES {
        let (result, took) = ask_beside_a_hog(NICE)?;
        if result == Err(Errno::TIMEDOUT) {
            return context.at_deadline(DEADLINE, took);
        }
        ensure!(result == Ok(()), "it gave {result:?}");
    }
    bail!("it was served {TRIES} times");
}

fn inherited(context: &Context) -> Result<()> {
    let (result, took) = ask_beside_a_hog(INHERIT)?;
    ensure!(result == Ok(()), "it gave {result:?}");
    context.at_once(took)
}

/// The scheduling policy of a process: 0 for SCHED_NORMAL, 1 for SCHED_FIFO.
fn policy(pid: i32) -> Result<String> {
    // Field 41 of proc(5)'s stat; the second is in brackets and may hold spaces.
    let stat = process::read(pid, "stat")?;
    let (_, rest) = stat.rsplit_once(") ").context("a stat without brackets")?;
    let field = rest.split_whitespace().nth(41 - 3);
    Ok(field.context("a short stat")?.to_owned())
}

fn taken_back(_: &Context) -> Result<()> {
    let managed = load(INHERIT, 0)?;
    let pid = managed.pid()?;
    let api = Api::open()?;
    // It takes 200 ms to answer.
    let ask = api.as_fd().try_clone_to_owned()?;
    let caller = Actor::fifo(CALLER, ask, &["at", "0", "m-ask 0 w 64 64 20"])?;
    let lent = crate::time::until("it has its caller's class", || {
        policy(pid).is_ok_and(|policy| policy == "1")
    });
    caller.wait()?.0.context("the caller")?;
    lent?;
    let now = policy(pid)?;
    ensure!(now == "0", "its class is {now}");
    // Of a caller without one it gets none.
    managed.api.repeat("m-ask 0", 'w', 64, 64)?;
    let now = policy(pid)?;
    ensure!(now == "0", "its class is {now}");
    Ok(())
}

fn deadline(context: &Context) -> Result<()> {
    let managed = load(INHERIT, 0)?;
    let pid = managed.pid()?;
    let api = Api::open()?;
    let ask = api.as_fd().try_clone_to_owned()?;
    let caller = on_one_processor(pid, || {
        let words = ["at", &moment(ms(50)), "m-ask 0 p 64 64 0"];
        Actor::fifo(CALLER, ask, &words)
    })?;
    let (result, text) = caller.wait()?;
    ensure!(result == Err(Errno::TIMEDOUT), "it gave {result:?}");
    let nanos = text.trim().parse().context("the caller's time")?;
    context.at_deadline(DEADLINE, Duration::from_nanos(nanos))?;
    managed.echo()
}

fn computes_on(context: &Context) -> Result<()> {
    let managed = load(INHERIT, 0)?;
    let pid = managed.pid()?;
    let api = Api::open()?;
    let ask = api.as_fd().try_clone_to_owned()?;
    let caller = on_one_processor(pid, || {
        let words = ["at", &moment(ms(50)), "m-ask 0 o 64 64 0"];
        Actor::fifo(CALLER, ask, &words)
    })?;
    let (result, text) = caller.wait()?;
    ensure!(result == Ok(()), "it gave {result:?}");
    let nanos = text.trim().parse().context("the caller's time")?;
    context.at_once(Duration::from_nanos(nanos))?;
    // It reads no more.
    managed.api.bad("m-ask 0 e 64 64 0", Errno::TIMEDOUT)?;
    managed.echo()
}

fn nice(_: &Context) -> Result<()> {
    for wanted in [0, 7, 19] {
        let managed = load(NICE, wanted)?;
        let stat = process::read(managed.pid()?, "stat")?;
        let (_, rest) = stat.rsplit_once(") ").context("a stat without brackets")?;
        let found = rest
            .split_whitespace()
            .nth(19 - 3)
            .context("a short stat")?;
        ensure!(found == wanted.to_string(), "nice {found}, not {wanted}");
    }
    Ok(())
}

fn refused(_: &Context) -> Result<()> {
    for (priority, nice) in [(2, 0), (INHERIT, 5), (NICE, 20), (NICE, 300)] {
        let managed = Managed::new("c-prio", "-", "ok")?;
        let command = format!("m-load-prio 0 static 300 {priority} {nice}");
        managed.api.bad(&command, Errno::INVAL)?;
    }
    Ok(())
}
