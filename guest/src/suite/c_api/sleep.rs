// SPDX-License-Identifier: MIT OR Apache-2.0
//! The system goes to sleep while somebody waits for a handler.

use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, ensure};
use rustix::io::Errno;

use super::{Managed, Process};
use crate::c_api::{self, Api};
use crate::frozen::Frozen;
use crate::harness::{Context, Topic, test};
use crate::process;
use crate::time::{ms, until};

pub(crate) const TOPIC: Topic = Topic {
    name: "sleep",
    modules: &[c_api::MODULE],
    tests: &[
        test(
            "a caller in flight does not keep the system awake, and is answered after it",
            in_flight,
        ),
        test("nor do callers in the queue", queued),
        test(
            "a handler that computes has its time, and no more",
            computing,
        ),
    ],
};

/// Of a handler that answers late.
const DEADLINE: u32 = 2_000;

/// Longer than any deadline here.
const NIGHT: std::time::Duration = ms(3_000);

/// Freezes everybody when these wait, and thaws them when the night is over. What became of each.
fn asleep<R: Send>(
    context: &Context,
    asks: &[&(dyn Fn() -> R + Sync)],
    at_night: impl FnOnce() -> Result<()>,
) -> Result<Vec<R>> {
    thread::scope(|scope| {
        let askers: Vec<_> = asks.iter().map(|ask| scope.spawn(ask)).collect();
        let wait = until("the askers wait", || {
            process::waiting_threads() == asks.len()
        });
        let (frozen, took) = Frozen::new()?;
        thread::sleep(NIGHT);
        let seen = at_night();
        drop(frozen);
        wait?;
        context.at_once(took).context("freezing")?;
        let answers = askers
            .into_iter()
            .map(|asker| asker.join().map_err(|_| anyhow!("an asker panicked")));
        let answers = answers.collect::<Result<Vec<_>>>()?;
        seen.map(|()| answers)
    })
}

fn in_flight(context: &Context) -> Result<()> {
    let process = Process::start_for("c-sleep", DEADLINE)?;
    process.echo()?;
    let pid = process.pid()?;
    // It takes 500 ms to answer.
    let ask = || Api::open()?.call("ask 0 w 64 64 50");
    let answers = asleep(context, &[&ask], || {
        ensure!(process::exists(pid), "it was killed while it was frozen");
        Ok(())
    })?;
    for answer in answers {
        answer?.context("the answer")?;
    }
    ensure!(process.pid()? == pid, "it is another process");
    process.echo()
}

fn queued(context: &Context) -> Result<()> {
    let managed = Managed::loaded("c-sleep", "ok", DEADLINE)?;
    managed.echo()?;
    let pid = managed.pid()?;
    // All three have their turns before anybody's deadline, but not before all are frozen.
    let ask = || Api::open()?.call("m-ask 0 w 64 64 20");
    let answers = asleep(context, &[&ask, &ask, &ask], || Ok(()))?;
    for answer in answers {
        answer?.context("the answer")?;
    }
    ensure!(managed.pid()? == pid, "it is another process");
    managed.echo()
}

/// How exactly the clock of deadlines knows when all were frozen, at both ends.
const LOOKS: std::time::Duration = ms(20);

fn computing(context: &Context) -> Result<()> {
    let process = Process::start_for("c-sleep", 400)?;
    process.echo()?;
    let pid = process.pid()?;
    let ask = || {
        let begin = Instant::now();
        let answer = Api::open()?.call("ask 0 p 64 64 0")?;
        Ok::<_, anyhow::Error>((answer, begin.elapsed()))
    };
    let answers = asleep(context, &[&ask], || {
        ensure!(process::exists(pid), "it was killed while it was frozen");
        Ok(())
    })?;
    for answer in answers {
        let (answer, took) = answer?;
        ensure!(
            answer.as_ref().err() == Some(&Errno::TIMEDOUT),
            "it gave {}",
            c_api::shown(&answer)
        );
        context.at_deadline(ms(400) + NIGHT - LOOKS, took)?;
    }
    process.gone(pid)
}
