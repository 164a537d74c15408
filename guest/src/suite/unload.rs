// SPDX-License-Identifier: MIT OR Apache-2.0
//! Unloading: refused while it would hurt, bounded in time, and nothing stays.

use std::thread;

use anyhow::{Context as _, Result, ensure};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use crate::actor::{self, Actor};
use crate::driver::{self, Driver};
use crate::harness::{Context, Topic, test};
use crate::sample::{self, DRIVER, MODULE};
use crate::session::{self, Session};
use crate::time::{ms, timed, until};
use crate::{modules, process};

pub(crate) const TOPIC: Topic = Topic {
    name: "unload",
    modules: &[],
    tests: &[
        test(
            "an idle driver's module goes, and its handler with it",
            idle,
        ),
        test("a stopped handler does not hold it up", stopped),
        test("an open file keeps the module", open_file),
        test(
            "with a request in flight: in use, until the request's own deadline",
            in_flight,
        ),
        test("umd stays while a driver is there", umd_in_use),
        test(
            "a writer of restart is ended, and the module goes",
            restart_writer,
        ),
        test(
            "closing the file ends a driver with a handler that computes",
            close_working,
        ),
        test(
            "a copy of the channel keeps umd, and only umd",
            copied_channel,
        ),
        test("a handler that has just been killed", just_killed),
        test("a failed driver", failed),
    ],
};

/// Unloads a module at the first attempt.
fn remove(context: &Context, name: &str) -> Result<()> {
    let (removed, took) = timed(|| modules::remove(name));
    removed.with_context(|| format!("rmmod {name}"))?;
    context.at_once(took)
}

/// Nothing of the sample is left.
fn gone(pid: i32) -> Result<()> {
    ensure!(!modules::is_loaded(MODULE), "{MODULE} is still loaded");
    ensure!(
        process::handlers().is_empty(),
        "handlers {:?} are left",
        process::handlers()
    );
    until("the handler is reaped", || !process::exists(pid))?;
    ensure!(
        driver::names().is_empty(),
        "in sysfs: {:?}",
        driver::names()
    );
    let opened = sample::open().err();
    ensure!(
        opened == Some(Errno::NOENT),
        "opening {}: {opened:?}",
        sample::PATH
    );
    Ok(())
}

fn idle(context: &Context) -> Result<()> {
    modules::load(MODULE)?;
    sample::ask(1)?;
    let pid = DRIVER.pid()?;
    remove(context, MODULE)?;
    gone(pid)
}

fn stopped(context: &Context) -> Result<()> {
    modules::load(MODULE)?;
    let pid = DRIVER.stop_handler()?;
    remove(context, MODULE)?;
    gone(pid)
}

/// delete_module(2) says EWOULDBLOCK where the module is in use; rmmod calls that "in use".
fn in_use(context: &Context, name: &str) -> Result<()> {
    let (removed, took) = timed(|| modules::remove(name));
    ensure!(
        removed == Err(Errno::AGAIN),
        "rmmod {name} gave {removed:?}"
    );
    context.at_once(took)
}

fn open_file(context: &Context) -> Result<()> {
    modules::load(MODULE)?;
    let file = sample::open()?;
    in_use(context, MODULE)?;
    rustix::io::write(&file, b"8").context("a request after the refused rmmod")?;
    DRIVER.expect("starts", "1")?;
    drop(file);
    let pid = DRIVER.pid()?;
    remove(context, MODULE)?;
    gone(pid)
}

fn in_flight(context: &Context) -> Result<()> {
    modules::load(MODULE)?;
    let pid = DRIVER.stop_handler()?;
    let (written, took) = thread::scope(|scope| {
        let writer = scope.spawn(|| timed(|| sample::ask(1)));
        let waits = until("the writer waits", || process::waiting_threads() == 1);
        let refused = waits.and_then(|()| in_use(context, MODULE));
        let written = writer
            .join()
            .map_err(|_| anyhow::anyhow!("the writer panicked"))?;
        refused.map(|()| written)
    })?;
    ensure!(
        written == Err(Errno::TIMEDOUT),
        "the write gave {written:?}"
    );
    context.at_deadline(ms(1_000), took)?;
    remove(context, MODULE)?;
    gone(pid)
}

fn umd_in_use(context: &Context) -> Result<()> {
    modules::load(MODULE)?;
    in_use(context, "umd")?;
    DRIVER.kill_handler()?;
    in_use(context, "umd")?;
    remove(context, MODULE)?;
    modules::unload("umd")
}

fn restart_writer(context: &Context) -> Result<()> {
    modules::load(session::MODULE)?;
    let spinning = Driver("test-spin");
    let path = spinning.path("restart");
    let actor = Actor::spawn(&["write", &path.to_string_lossy(), "1"])?;
    until("the writer sits in an exchange", || {
        process::waits(actor.pid())
            && spinning
                .pid()
                .is_ok_and(|pid| process::state(pid) == Some('R'))
    })?;
    let (removed, took) = timed(|| modules::remove(session::MODULE));
    removed.context("rmmod")?;
    // The exchange is ended, and not waited for.
    context.at_once(took)?;
    let (result, _) = actor.wait()?;
    ensure!(
        matches!(
            result,
            Err(Errno::SHUTDOWN | Errno::BADMSG | Errno::CONNRESET)
        ),
        "the writer got {result:?}"
    );
    ensure!(
        process::handlers().is_empty(),
        "handlers {:?} are left",
        process::handlers()
    );
    Ok(())
}

fn close_working(context: &Context) -> Result<()> {
    modules::load(session::MODULE)?;
    let session = Session::load("hostile")?;
    session.echo()?;
    let pid = Driver("hostile").pid()?;
    let actor = Actor::send(&session, "call 64 spin")?;
    until("the handler computes", || process::state(pid) == Some('R'))?;
    actor.kill()?;
    // Its last user is gone, but the handler computes on for its deadline.
    let ((), took) = timed(|| drop(session));
    context.at_once(took)?;
    ensure!(
        process::handlers().is_empty(),
        "handlers {:?} are left",
        process::handlers()
    );
    remove(context, session::MODULE)
}

fn copied_channel(context: &Context) -> Result<()> {
    modules::load(MODULE)?;
    let pid = DRIVER.pid()?;
    let copy = actor::copy_fd(Pid::from_raw(pid).context("a pid")?, 1)?;
    remove(context, MODULE)?;
    gone(pid)?;
    in_use(context, "umd")?;
    let result = rustix::io::read(&copy, &mut [0_u8; 64]);
    ensure!(result == Err(Errno::PERM), "reading gave {result:?}");
    let result = rustix::io::write(&copy, &[0; 64]);
    ensure!(result == Err(Errno::PERM), "writing gave {result:?}");
    modules::load(MODULE).context("while the copy is open")?;
    sample::ask(1)?;
    remove(context, MODULE)?;
    in_use(context, "umd")?;
    drop(copy);
    modules::unload("umd").context("after the copy was closed")
}

fn just_killed(context: &Context) -> Result<()> {
    for _ in 0..5 {
        modules::load(MODULE)?;
        let pid = DRIVER.pid()?;
        process::signal(pid, Signal::KILL)?;
        remove(context, MODULE)?;
        gone(pid)?;
    }
    Ok(())
}

fn failed(context: &Context) -> Result<()> {
    modules::load(session::MODULE)?;
    let driver = Driver("hostile-root");
    let session = Session::load(driver.0)?;
    until("it has failed", || {
        let _ = session.start();
        driver.get("state").is_ok_and(|state| state == "failed")
    })?;
    in_use(context, session::MODULE)?;
    drop(session);
    remove(context, session::MODULE)
}
