// SPDX-License-Identifier: MIT OR Apache-2.0
//! A handler that was fine at its start, and then is not.

use std::thread;

use anyhow::{Context as _, Result, ensure};
use rustix::io::Errno;
use rustix::process::Signal;

use crate::driver::Driver;
use crate::harness::{Context, Topic, test};
use crate::process;
use crate::session::{self, Answer, Session};
use crate::time::{timed, until};

pub(crate) const TOPIC: Topic = Topic {
    name: "faults",
    modules: &[session::MODULE],
    tests: &[
        test("a good handler answers", good),
        test("replies of every length", lengths),
        test("exit(7) with the request in hand", exits),
        test("SIGSEGV with the request in hand", segv),
        test("a denied system call is the end", denied),
        test("SIGKILL between two requests", killed_idle),
        test("SIGKILL with the request in hand", killed_busy),
        test(
            "SIGKILL with the request unread: another handler is asked",
            killed_unread,
        ),
        test("a handler that computes for ever", spins),
        test("a handler that ignores a request", ignores),
        test("a handler that is stopped", stopped),
        test("half a reply, then death", short_die),
        test("half a reply, then nothing", short_hang),
        test("a reply that is far too long", long),
        test("a reply that is one byte too long", byte_too_long),
        test("a reply nobody asked for", twice),
        test("a reply to another request", wrong_id),
        test("a reply without the magic", wrong_magic),
        test("a refusal", refusal),
        test("an image that is no executable", corrupt),
        test("an image of no bytes", empty),
        test("a driver without frames", raw),
        test("a death does not touch the driver beside it", neighbour),
    ],
};

const DRIVER: Driver = Driver("hostile");

const IN_HAND: &str = "handler died with the request in hand";

/// A driver whose handler is in service.
fn ready() -> Result<(Session, i32)> {
    let session = Session::load(DRIVER.0)?;
    session.echo()?;
    let pid = DRIVER.pid()?;
    Ok((session, pid))
}

/// The handler is another one, and fine.
fn replaced(session: &Session, old: i32) -> Result<()> {
    session.echo().context("the next request")?;
    let new = DRIVER.pid()?;
    ensure!(new != old, "the handler is still {old}");
    DRIVER.expect("state", "running")
}

/// The request ends the handler in this way, the caller is told, and the next request is served.
fn fatal(request: &str, errno: Errno, words: &str, exit: &str) -> Result<()> {
    let (session, pid) = ready()?;
    session.call(request)?.refused(errno, words)?;
    DRIVER.await_value("last_exit", exit)?;
    DRIVER.expect("last_error", &format!("{} {words}", errno.raw_os_error()))?;
    DRIVER.expect("starts", "1")?;
    replaced(&session, pid)?;
    DRIVER.expect("starts", "2")
}

/// The request is ended by its deadline.
fn late(context: &Context, request: &str) -> Result<()> {
    let (session, pid) = ready()?;
    let (answer, took) = timed(|| session.call(request));
    answer?.refused(Errno::TIMEDOUT, "deadline passed, request read")?;
    context.at_deadline(session::deadline(), took)?;
    DRIVER.expect("timeouts", "1")?;
    DRIVER.await_value("last_exit", "signal 9")?;
    let (next, took) = timed(|| replaced(&session, pid));
    next?;
    context.at_once(took)
}

fn good(_: &Context) -> Result<()> {
    let (session, pid) = ready()?;
    session.call("echo ")?.expect(b"")?;
    session.call("echo a\nb")?.expect(b"a\nb")?;
    session.call("status")?.expect(b"hostile")?;
    ensure!(DRIVER.pid()? == pid, "another handler answered");
    DRIVER.expect("requests", "4")?;
    DRIVER.expect("replies", "4")
}

fn lengths(_: &Context) -> Result<()> {
    let (session, pid) = ready()?;
    for length in [0, 1, 15, 16, 4095, 4096, 65_536, 100_001, 262_144] {
        let reply: Vec<u8> = (0..251).cycle().take(length).collect();
        session
            .call_for(length, &format!("fill {length}"))?
            .expect(&reply)
            .with_context(|| format!("{length} bytes"))?;
    }
    let request = format!("echo {}", "r".repeat(4000));
    session.call_for(4000, &request)?.expect(&[b'r'; 4000])?;
    ensure!(DRIVER.pid()? == pid, "another handler answered");
    Ok(())
}

fn exits(_: &Context) -> Result<()> {
    fatal("exit 7", Errno::CONNRESET, IN_HAND, "exit 7")
}

fn segv(_: &Context) -> Result<()> {
    fatal("segv", Errno::CONNRESET, IN_HAND, "signal 11")
}

fn denied(_: &Context) -> Result<()> {
    fatal("syscall", Errno::CONNRESET, IN_HAND, "signal 9")
}

fn killed_idle(_: &Context) -> Result<()> {
    let (session, _) = ready()?;
    let old = DRIVER.kill_handler()?;
    DRIVER.await_value("last_exit", "signal 9")?;
    DRIVER.await_value("state", "exited")?;
    DRIVER.expect("pid", "0")?;
    replaced(&session, old)?;
    DRIVER.expect("last_error", "none")
}

/// What a request gives whose handler is killed by `kill` while the caller waits.
fn while_waiting(
    session: &Session,
    request: &str,
    kill: impl FnOnce() -> Result<()>,
) -> Result<Answer> {
    thread::scope(|scope| {
        let caller = scope.spawn(|| session.call(request));
        let waiting = until("the caller waits", || process::waiting_threads() > 0);
        let killed = waiting.and_then(|()| kill());
        let answer = caller
            .join()
            .map_err(|_| anyhow::anyhow!("the caller panicked"))?;
        killed.and(answer)
    })
}

fn killed_busy(context: &Context) -> Result<()> {
    let (session, pid) = ready()?;
    let (answer, took) = timed(|| {
        while_waiting(&session, "spin", || {
            until("the handler computes", || process::state(pid) == Some('R'))?;
            process::signal(pid, Signal::KILL)
        })
    });
    answer?.refused(Errno::CONNRESET, IN_HAND)?;
    context.at_once(took)?;
    DRIVER.expect("timeouts", "0")?;
    replaced(&session, pid)
}

fn killed_unread(context: &Context) -> Result<()> {
    let (session, pid) = ready()?;
    process::stop(pid)?;
    let (answer, took) = timed(|| {
        while_waiting(&session, "echo again", || {
            process::signal(pid, Signal::KILL)
        })
    });
    answer?.expect(b"again")?;
    context.at_once(took)?;
    DRIVER.expect("starts", "2")?;
    DRIVER.expect("last_error", "none")?;
    replaced(&session, pid)
}

fn spins(context: &Context) -> Result<()> {
    late(context, "spin")
}

fn ignores(context: &Context) -> Result<()> {
    late(context, "ignore")
}

fn stopped(context: &Context) -> Result<()> {
    let (session, pid) = ready()?;
    process::stop(pid)?;
    let (answer, took) = timed(|| session.call("echo x"));
    answer?.refused(Errno::TIMEDOUT, "deadline passed, request unread")?;
    context.at_deadline(session::deadline(), took)?;
    DRIVER.await_value("last_exit", "signal 9")?;
    replaced(&session, pid)
}

fn short_die(_: &Context) -> Result<()> {
    fatal("short-die", Errno::CONNRESET, IN_HAND, "exit 9")
}

fn short_hang(context: &Context) -> Result<()> {
    late(context, "short-hang")
}

fn long(_: &Context) -> Result<()> {
    fatal(
        "long",
        Errno::BADMSG,
        "reply longer than the buffer",
        "signal 9",
    )
}

fn byte_too_long(_: &Context) -> Result<()> {
    let (session, pid) = ready()?;
    session
        .call_for(10, "echo 0123456789")?
        .expect(b"0123456789")?;
    let answer = session.call_for(9, "echo 0123456789")?;
    answer.refused(Errno::BADMSG, "reply longer than the buffer")?;
    DRIVER.await_value("last_exit", "signal 9")?;
    replaced(&session, pid)
}

fn twice(_: &Context) -> Result<()> {
    let (session, pid) = ready()?;
    session.call("twice")?.expect(b"twice")?;
    DRIVER.await_value("last_exit", "signal 9")?;
    DRIVER.await_value("pid", "0")?;
    replaced(&session, pid)?;
    DRIVER.expect("last_error", "none")
}

fn wrong_id(_: &Context) -> Result<()> {
    fatal(
        "wrong-id",
        Errno::BADMSG,
        "reply to another request",
        "signal 9",
    )
}

fn wrong_magic(_: &Context) -> Result<()> {
    fatal(
        "wrong-magic",
        Errno::BADMSG,
        "frame without the magic",
        "signal 9",
    )
}

fn refusal(_: &Context) -> Result<()> {
    let (session, pid) = ready()?;
    for request in ["refuse 5", "refuse 4294967295", "nonsense"] {
        let answer = session.call(request)?;
        answer.refused(Errno::REMOTEIO, "handler refused the request")?;
        session.echo()?;
    }
    ensure!(DRIVER.pid()? == pid, "a refusal was the handler's end");
    Ok(())
}

fn corrupt(_: &Context) -> Result<()> {
    no_executable("load-corrupt")
}

fn empty(_: &Context) -> Result<()> {
    no_executable("load-empty")
}

fn no_executable(command: &str) -> Result<()> {
    let session = Session::with(command, DRIVER.0)?;
    for answer in [session.start()?, session.call("echo x")?] {
        answer.refused(Errno::NOEXEC, "image could not be executed")?;
    }
    DRIVER.expect("pid", "0")?;
    DRIVER.expect("lockdown_in_force", "none")
}

/// The hostile handler always sends frames, so what comes first is a hello nobody asked for.
fn raw(_: &Context) -> Result<()> {
    let session = Session::with("load-raw", DRIVER.0)?;
    let answer = session.call("echo x")?;
    ensure!(answer.errno().is_some(), "the answer was {answer}");
    DRIVER.await_value("last_exit", "signal 9")?;
    session
        .call_for(0, "echo x")?
        .refused(Errno::INVAL, "argument")
}

fn neighbour(_: &Context) -> Result<()> {
    let other = Session::load("hostile-lax")?;
    other.echo()?;
    let pid = Driver("hostile-lax").pid()?;
    let (session, _) = ready()?;
    session.call("exit 1")?.refused(Errno::CONNRESET, IN_HAND)?;
    session.call("long")?.refused(Errno::BADMSG, "longer")?;
    session.call("spin")?.refused(Errno::TIMEDOUT, "read")?;
    other.echo()?;
    ensure!(
        Driver("hostile-lax").pid()? == pid,
        "the neighbour was replaced"
    );
    Driver("hostile-lax").expect("exits", "0")
}
