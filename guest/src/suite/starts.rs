// SPDX-License-Identifier: MIT OR Apache-2.0
//! A handler that is wrong from its start on.

use anyhow::{Context as _, Result, ensure};
use rustix::io::Errno;
use rustix::process::Signal;

use crate::driver::Driver;
use crate::harness::{Context, Topic, test};
use crate::process;
use crate::session::{self, Answer, Session};
use crate::time::{ms, timed, until};

pub(crate) const TOPIC: Topic = Topic {
    name: "starts",
    modules: &[session::MODULE],
    tests: &[
        test("exit before the hello", exits),
        test("SIGSEGV before the hello", segv),
        test("no hello", silent),
        test("a hello without the magic", bad_magic),
        test("a hello of another version", version),
        test("a name the handler does not know", unknown),
        test("a handler that stays root", stays_root),
        test("a handler that keeps a capability", keeps_capability),
        test("a handler with a second thread", second_thread),
        test("a handler with a child", child),
        test("a handler with a process beside it", sibling),
        test("a handler with another file open", another_file),
        test(
            "a handler that does not ask for strict mode is put in it",
            lax,
        ),
        test("a reply before any request", early),
        test("a reply before the request is read", hasty),
        test("death with half of the request read: asked once", half_read),
        test("death before the request is read: asked twice", crash),
        test("a failed health check", ill),
        test(
            "crash after crash: failed, and every call fails fast",
            fails,
        ),
        test("starts come later and later", back_off),
        test("a reply in between forgives", forgiven),
    ],
};

/// The start fails in this way, tells why, and leaves no handler in service.
fn fails_with(name: &'static str, errno: Errno, words: &str) -> Result<Session> {
    let session = Session::load(name)?;
    session.start()?.refused(errno, words).context("start")?;
    session
        .call("echo x")?
        .refused(errno, words)
        .context("call")?;
    let driver = Driver(name);
    driver.expect("pid", "0")?;
    driver.expect("lockdown_in_force", "none")?;
    driver.expect("last_error", &format!("{} {words}", errno.raw_os_error()))?;
    driver.expect("replies", "0")?;
    Ok(session)
}

fn exits(_: &Context) -> Result<()> {
    let words = "handler died during its start";
    let _session = fails_with("hostile-exit", Errno::CONNREFUSED, words)?;
    Driver("hostile-exit").await_value("last_exit", "exit 7")?;
    // It had read nothing, so each was tried twice.
    Driver("hostile-exit").expect("starts", "4")
}

fn segv(_: &Context) -> Result<()> {
    let words = "handler died during its start";
    let _session = fails_with("hostile-segv", Errno::CONNREFUSED, words)?;
    Driver("hostile-segv").await_value("last_exit", "signal 11")
}

fn silent(context: &Context) -> Result<()> {
    let session = Session::load("hostile-silent")?;
    let (answer, took) = timed(|| session.start());
    answer?.refused(Errno::TIMEDOUT, "not ready within the start deadline")?;
    context.at_deadline(session::deadline(), took)?;
    Driver("hostile-silent").await_value("last_exit", "signal 9")?;
    Driver("hostile-silent").expect("pid", "0")
}

fn bad_magic(_: &Context) -> Result<()> {
    let _session = fails_with("hostile-badmagic", Errno::BADMSG, "first frame is no hello")?;
    Driver("hostile-badmagic").await_value("last_exit", "signal 9")
}

fn version(_: &Context) -> Result<()> {
    let _session = fails_with("hostile-version", Errno::BADMSG, "first frame is no hello")?;
    Driver("hostile-version").await_value("last_exit", "signal 9")
}

fn unknown(_: &Context) -> Result<()> {
    let words = "handler died during its start";
    let _session = fails_with("nameless", Errno::CONNREFUSED, words)?;
    Driver("nameless").await_value("last_exit", "exit 64")
}

fn stays_root(_: &Context) -> Result<()> {
    let words = "lockdown: handler kept an id or a group";
    let _session = fails_with("hostile-root", Errno::PERM, words)?;
    Driver("hostile-root").await_value("last_exit", "signal 9")
}

fn keeps_capability(_: &Context) -> Result<()> {
    let words = "lockdown: handler kept a capability";
    let _session = fails_with("hostile-caps", Errno::PERM, words)?;
    Driver("hostile-caps").await_value("last_exit", "signal 9")
}

fn second_thread(_: &Context) -> Result<()> {
    let words = "lockdown: handler is not alone";
    let _session = fails_with("hostile-thread", Errno::PERM, words)?;
    Driver("hostile-thread").await_value("last_exit", "signal 9")
}

fn child(_: &Context) -> Result<()> {
    let words = "lockdown: handler is not alone";
    let _session = fails_with("hostile-child", Errno::PERM, words)?;
    Driver("hostile-child").await_value("last_exit", "signal 9")?;
    // The host knows of its handler only: what that left behind is ours to clear away.
    for pid in process::handlers() {
        // It may be gone by now.
        let _ = process::signal(pid, Signal::KILL);
    }
    until("the child is gone", || process::handlers().is_empty())
}

fn sibling(_: &Context) -> Result<()> {
    let session = Session::load("hostile-sibling")?;
    session.echo()?;
    let handlers = process::handlers();
    ensure!(handlers.len() == 1, "there are several: {handlers:?}");
    Ok(())
}

fn another_file(_: &Context) -> Result<()> {
    let words = "lockdown: handler has another file open";
    let _session = fails_with("hostile-file", Errno::PERM, words)?;
    Driver("hostile-file").await_value("last_exit", "signal 9")
}

fn lax(_: &Context) -> Result<()> {
    let driver = Driver("hostile-lax");
    let session = Session::load(driver.0)?;
    session.echo()?;
    driver.expect("lockdown_in_force", "strict")?;
    let mode = process::status(driver.pid()?, "Seccomp")?;
    ensure!(mode == "1", "Seccomp: {mode}");
    let words = "handler died with the request in hand";
    session.call("syscall")?.refused(Errno::CONNRESET, words)?;
    driver.await_value("last_exit", "signal 9")
}

/// When the unasked reply comes, the handler may be idle, or have a request before it: then it is
/// killed for that, or before it has read it. Never is it believed.
fn early(_: &Context) -> Result<()> {
    let session = Session::load("hostile-early")?;
    let answer = session.call("echo x")?;
    let refused = matches!(answer.errno(), Some(Errno::BADMSG | Errno::CONNREFUSED));
    ensure!(refused, "the answer was {answer}");
    Driver("hostile-early").expect("replies", "0")?;
    Driver("hostile-early").await_value("last_exit", "signal 9")
}

fn hasty(_: &Context) -> Result<()> {
    let driver = Driver("hostile-hasty");
    let session = Session::load(driver.0)?;
    let words = "reply before the request was read";
    session.call("echo x")?.refused(Errno::BADMSG, words)?;
    driver.await_value("last_exit", "signal 9")?;
    driver.expect("starts", "1")
}

fn half_read(_: &Context) -> Result<()> {
    let driver = Driver("hostile-halfread");
    let session = Session::load(driver.0)?;
    let words = "handler died with the request in hand";
    session.call("echo x")?.refused(Errno::CONNRESET, words)?;
    driver.await_value("last_exit", "exit 3")?;
    driver.expect("starts", "1")
}

fn crash(_: &Context) -> Result<()> {
    let driver = Driver("hostile-crash");
    let session = Session::load(driver.0)?;
    // It is seen to have died during its start or, if its hello is noticed first, after it.
    let answer = session.call("echo x")?;
    answer.refused(Errno::CONNREFUSED, "handler died")?;
    driver.await_value("last_exit", "exit 8")?;
    driver.expect("starts", "2")
}

fn ill(_: &Context) -> Result<()> {
    let driver = Driver("hostile");
    let session = Session::with("load-ill", driver.0)?;
    session
        .start()?
        .refused(Errno::BADMSG, "handler failed the health check")?;
    session
        .call("echo x")?
        .refused(Errno::BADMSG, "handler failed the health check")?;
    driver.expect("pid", "0")?;
    driver.await_value("last_exit", "signal 9")?;
    driver.expect("replies", "0")
}

/// Calls until the driver has failed.
fn exhaust(session: &Session, driver: Driver) -> Result<()> {
    for _ in 0..20 {
        // While a start is due later than the call's deadline, the call ends by that.
        let answer = session.call("echo x")?;
        let known = matches!(
            answer.errno(),
            Some(Errno::CONNREFUSED | Errno::TIMEDOUT | Errno::HOSTDOWN)
        );
        ensure!(known, "the answer was {answer}");
        if driver.get("state")? == "failed" {
            return Ok(());
        }
    }
    anyhow::bail!("after 20 calls it is still {}", driver.get("state")?)
}

fn fails(context: &Context) -> Result<()> {
    let driver = Driver("hostile-crash");
    let session = Session::load(driver.0)?;
    exhaust(&session, driver)?;
    // Six in a row: the budget is five.
    driver.expect("starts", "6")?;
    for _ in 0..3 {
        let (answer, took) = timed(|| session.call("echo x"));
        answer?.refused(Errno::HOSTDOWN, "too many deaths in a row")?;
        context.at_once(took)?;
        session
            .start()?
            .refused(Errno::HOSTDOWN, "too many deaths in a row")?;
    }
    driver.expect("starts", "6")?;
    driver.expect("state", "failed")?;
    driver.expect("last_error", "112 too many deaths in a row")?;
    driver.await_value("exits", "6")?;
    // The operator forgives; the handler is as it was.
    let _ = driver.set("restart", "1");
    let starts = driver.number("starts")?;
    ensure!(starts > 6, "nothing was started after a restart");
    let state = driver.get("state")?;
    ensure!(state != "failed", "it is {state} after a restart");
    let answer = session.call("echo x")?;
    ensure!(
        answer.errno() == Some(Errno::CONNREFUSED),
        "the answer was {answer}"
    );
    Ok(())
}

fn back_off(context: &Context) -> Result<()> {
    let driver = Driver("hostile-exit");
    let session = Session::load(driver.0)?;
    // Two deaths in each: the first start comes at once, the second death is followed by a pause of
    // 100 ms, the third of 200 ms, the fourth of 400 ms.
    let (answer, took) = timed(|| session.call("echo x"));
    refused(&answer?)?;
    context.at_once(took)?;
    let (answer, took) = timed(|| session.call("echo x"));
    refused(&answer?)?;
    context.at_deadline(ms(290), took)?;
    driver.expect("starts", "4")?;
    driver.set("deadline_ms", "500")?;
    let (answer, took) = timed(|| session.call("echo x"));
    answer?.refused(Errno::TIMEDOUT, "deadline passed, request unread")?;
    context.at_deadline(ms(500), took)?;
    driver.expect("starts", "5")
}

fn refused(answer: &Answer) -> Result<()> {
    answer.refused(Errno::CONNREFUSED, "handler died during its start")
}

fn forgiven(_: &Context) -> Result<()> {
    let driver = Driver("hostile");
    let session = Session::load(driver.0)?;
    for round in 0..12 {
        session.echo().with_context(|| format!("round {round}"))?;
        session
            .call("exit 1")?
            .refused(Errno::CONNRESET, "in hand")?;
    }
    driver.expect("starts", "12")?;
    session.echo()?;
    driver.expect("state", "running")
}
