// SPDX-License-Identifier: MIT OR Apache-2.0
//! Handlers that do not do what they should, and callers that are killed.

use anyhow::{Context as _, Result, ensure};
use rustix::io::Errno;
use rustix::process::Signal;

use super::{Process, failed, idle, waiting};
use crate::actor::Actor;
use crate::c_api;
use crate::harness::{Context, Topic, test};
use crate::process;
use crate::time::{ms, timed, until};

pub(crate) const TOPIC: Topic = Topic {
    name: "c api faults",
    modules: &[c_api::MODULE],
    tests: &[
        test("exit with the request in hand", exits),
        test("exit with half of a long request unread", exits_unread),
        test("exit or crash after half of the reply", exits_half),
        test("exit at once", exits_at_once),
        test("a reply, and then its exit", exits_after),
        test("no reply: the deadline holds", hangs),
        test("computes: the deadline holds", spins),
        test("half a reply and no more: the deadline holds", half),
        test("a stopped process: the deadline holds", stopped),
        test(
            "a request that it does not read: the deadline holds",
            unread,
        ),
        test(
            "a read that gets nothing ends at the deadline",
            read_nothing,
        ),
        test(
            "a write that nobody takes ends at the deadline",
            write_nothing,
        ),
        test("a dead process: a read says 0, a write EPIPE", dead_files),
        test("no caller dies of SIGPIPE", no_sigpipe),
        test("more than was asked for is noticed", surplus),
        test(
            "more than was asked for, a moment later, is noticed",
            surplus_later,
        ),
        test("what was not asked for is noticed", early),
        test("closes its end for reading, and lives", deaf),
        test("closes both ends, and lives", closed),
        test("forks, and exits", forks),
        test(
            "a caller killed while it waits: the process serves the next",
            killed,
        ),
        test("a caller killed in a read and in a write", killed_in_file),
        test("SIGINT and SIGTERM to a caller", signals),
        test("killed from outside, all the while", killed_process),
    ],
};

/// The deadline where one is met.
const DEADLINE: u32 = 300;

/// An exchange that fails with -EFAULT at once, and leaves no process.
fn dies(context: &Context, asked: &str) -> Result<()> {
    let process = Process::start("c-dies")?;
    process.echo()?;
    let pid = process.pid()?;
    let (result, took) = timed(|| process.api.call(&format!("ask 0 {asked}")));
    failed(&result?, &[Errno::FAULT]).with_context(|| asked.to_owned())?;
    context.at_once(took)?;
    process.gone(pid)?;
    process.api.bad("ask 0 e 4 4 0", Errno::FAULT)?;
    process.api.bad("fork 0", Errno::BUSY)?;
    process.api.good("cleanup 0")?;
    process.api.good("fork 0")?;
    process.echo()
}

fn exits(context: &Context) -> Result<()> {
    dies(context, "x 4 4 7")
}

fn exits_unread(context: &Context) -> Result<()> {
    dies(context, "x 1048576 4 7")
}

fn exits_half(context: &Context) -> Result<()> {
    dies(context, "X 64 64 7")?;
    dies(context, "X 4 307200 0")?;
    dies(context, "S 64 64 0")
}

fn exits_at_once(context: &Context) -> Result<()> {
    let process = Process::start("c-exit")?;
    let (result, took) = timed(|| process.api.call("ask 0 e 4 4 0"));
    failed(&result?, &[Errno::FAULT])?;
    context.at_once(took)?;
    process.api.good("wait 0")?;
    process.api.bad("ask 0 e 4 4 0", Errno::FAULT)
}

fn exits_after(_: &Context) -> Result<()> {
    let process = Process::start("c-after")?;
    let pid = process.pid()?;
    process.api.repeat("ask 0", 'q', 64, 307_200)?;
    process.gone(pid)?;
    process.api.bad("ask 0 e 4 4 0", Errno::FAULT)
}

/// An exchange that ends at the deadline, and leaves no process.
fn late(context: &Context, asked: &str) -> Result<()> {
    let process = Process::start_for("c-late", DEADLINE)?;
    process.echo()?;
    let pid = process.pid()?;
    let (result, took) = timed(|| process.api.call(&format!("ask 0 {asked}")));
    failed(&result?, &[Errno::TIMEDOUT])?;
    context.at_deadline(ms(DEADLINE.into()), took)?;
    process.gone(pid)?;
    process.api.good("cleanup 0")?;
    process.api.good("fork 0")?;
    process.echo()
}

fn hangs(context: &Context) -> Result<()> {
    late(context, "h 64 64 0")
}

fn spins(context: &Context) -> Result<()> {
    late(context, "p 64 64 0")
}

fn half(context: &Context) -> Result<()> {
    late(context, "H 64 64 0")?;
    late(context, "H 4 307200 0")
}

fn stopped(context: &Context) -> Result<()> {
    late(context, "t 64 64 0")
}

fn unread(context: &Context) -> Result<()> {
    late(context, "z 307200 4 0")
}

fn read_nothing(context: &Context) -> Result<()> {
    let process = Process::start_for("c-nothing", DEADLINE)?;
    let pid = process.pid()?;
    let (result, took) = timed(|| process.api.call("read 0 4"));
    failed(&result?, &[Errno::TIMEDOUT])?;
    context.at_deadline(ms(DEADLINE.into()), took)?;
    process.gone(pid)
}

fn write_nothing(context: &Context) -> Result<()> {
    let process = Process::start_for("c-hang", DEADLINE)?;
    let pid = process.pid()?;
    // There is room for this much.
    process.api.good("write 0 e 4096 4 0")?;
    let (result, took) = timed(|| process.api.call("write 0 e 307200 4 0"));
    let result = result?;
    // As write(2): what was taken is told before the error.
    ensure!(
        matches!(&result, Err(Errno::TIMEDOUT))
            || result
                .as_ref()
                .is_ok_and(|brought| brought.number < 307_200),
        "it gave {}",
        c_api::shown(&result)
    );
    context.at_deadline(ms(DEADLINE.into()), took)?;
    process.gone(pid)
}

fn dead_files(context: &Context) -> Result<()> {
    let process = Process::start("c-dead")?;
    process.api.good("kill 0")?;
    process.api.good("wait 0")?;
    let (result, took) = timed(|| -> Result<()> {
        let read = process.api.good("read 0 64")?.number;
        ensure!(read == 0, "a read gave {read}");
        process.api.bad("write 0 e 64 4 0", Errno::PIPE)
    });
    result?;
    context.at_once(took)?;
    // What it had written is there all the same.
    process.api.good("cleanup 0")?;
    process.api.good("fork 0")?;
    let pid = process.pid()?;
    process.api.good("write 0 q 64 64 0")?;
    process.gone(pid)?;
    let read = process.api.good("read 0 128")?.number;
    ensure!(read == 64, "of 64 bytes {read} were there");
    let read = process.api.good("read 0 128")?.number;
    ensure!(read == 0, "behind the last byte: {read}");
    Ok(())
}

/// What a shell says of a write: shells have the signal's default action, and Rust programs do not.
pub(super) fn shell_writes(command: &str) -> Result<std::process::ExitStatus> {
    let script = format!("echo '{command}' > {}; exit 0", c_api::PATH);
    let status = std::process::Command::new("sh")
        .args(["-c", &script])
        .stderr(std::process::Stdio::null())
        .status();
    status.context("cannot run a shell")
}

fn no_sigpipe(_: &Context) -> Result<()> {
    let process = Process::start("c-sigpipe")?;
    process.api.repeat("ask 0", 'q', 64, 64)?;
    process.api.good("wait 0")?;
    for command in ["ask 0 e 64 64 0", "write 0 e 64 64 0"] {
        let status = shell_writes(command)?;
        ensure!(status.success(), "{command}: {status}");
    }
    process.api.good("cleanup 0")?;
    process.api.good("fork 0")?;
    process.api.repeat("ask 0", 'c', 64, 64)?;
    process.api.good("kill 0")?;
    let status = shell_writes("ask 0 e 64 64 0")?;
    ensure!(status.success(), "{status}");
    Ok(())
}

fn surplus(context: &Context) -> Result<()> {
    let process = Process::start("c-surplus")?;
    let pid = process.pid()?;
    // Either it is found out at once, or the reply is good and the next exchange finds it out.
    if process.api.call("ask 0 u 64 64 0")?.is_ok() {
        let (result, took) = timed(|| process.api.call("ask 0 e 64 64 0"));
        failed(&result?, &[Errno::FAULT])?;
        context.at_once(took)?;
    }
    process.gone(pid)
}

fn surplus_later(_: &Context) -> Result<()> {
    let process = Process::start("c-surplus")?;
    let pid = process.pid()?;
    process.api.repeat("ask 0", 'l', 64, 64)?;
    idle(pid)?;
    process.api.bad("ask 0 e 64 64 0", Errno::FAULT)?;
    process.gone(pid)
}

fn early(_: &Context) -> Result<()> {
    let process = Process::start("c-early")?;
    let pid = process.pid()?;
    process.api.bad("ask 0 e 64 64 0", Errno::FAULT)?;
    process.gone(pid)?;
    // Whoever reads gets it: the bytes are the owner's affair.
    process.api.good("cleanup 0")?;
    process.api.good("fork 0")?;
    let brought = process.api.good("read 0 64")?;
    ensure!(brought.bytes == b"soon", "it read {:?}", brought.bytes);
    process.echo()
}

fn deaf(context: &Context) -> Result<()> {
    let process = Process::start_for("c-serves", DEADLINE)?;
    process.api.repeat("ask 0", 'c', 64, 64)?;
    let pid = process.pid()?;
    let (result, took) = timed(|| process.api.call("ask 0 e 64 64 0"));
    failed(&result?, &[Errno::FAULT, Errno::TIMEDOUT])?;
    ensure!(took <= ms(DEADLINE.into()) + context.grace(), "{took:?}");
    process.gone(pid)
}

fn closed(context: &Context) -> Result<()> {
    let process = Process::start_for("c-closes", DEADLINE)?;
    let pid = process.pid()?;
    let (result, took) = timed(|| process.api.call("ask 0 C 64 64 0"));
    failed(&result?, &[Errno::FAULT, Errno::TIMEDOUT])?;
    ensure!(took <= ms(DEADLINE.into()) + context.grace(), "{took:?}");
    process.gone(pid)
}

fn forks(context: &Context) -> Result<()> {
    let before = process::users();
    dies(context, "f 64 64 3")?;
    until("no child is left", || process::users().is_subset(&before))
}

fn killed(context: &Context) -> Result<()> {
    let process = Process::start("c-killed")?;
    let pid = process.pid()?;
    let actor = waiting(&format!("ask 0 w 64 64 {LATER}"))?;
    let (killed, took) = timed(|| actor.kill());
    killed?;
    context.at_once(took)?;
    process.echo()?;
    ensure!(process.pid()? == pid, "another process");
    // The same with a long request and a long reply under way.
    let actor = waiting(&format!("ask 0 w 1048576 1048576 {LATER}"))?;
    actor.kill()?;
    process.echo()?;
    ensure!(process.api.good("exited 0")?.number == 0, "it is dead");
    Ok(())
}

fn killed_in_file(context: &Context) -> Result<()> {
    for command in ["read 0 64", "write 0 e 307200 4 0"] {
        let process = Process::start("c-hang")?;
        let actor = waiting(command)?;
        let (killed, took) = timed(|| actor.kill());
        killed.with_context(|| command.to_owned())?;
        context.at_once(took)?;
        ensure!(
            process.api.good("exited 0")?.number == 0,
            "{command}: it is dead"
        );
    }
    Ok(())
}

fn signals(context: &Context) -> Result<()> {
    let process = Process::start("c-signals")?;
    let pid = process.pid()?;
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let actor = waiting(&format!("ask 0 w 64 64 {LATER}"))?;
        let (ended, took) = timed(|| ended_by(actor, signal));
        ended?;
        context.at_once(took)?;
        process.echo()?;
        ensure!(process.pid()? == pid, "another process");
    }
    Ok(())
}

/// When it answers, in hundredths of a second, whose caller will be gone by then: the longest that there is.
pub(super) const LATER: u8 = 255;

/// Sends a signal to an actor, and waits until it is gone.
pub(super) fn ended_by(actor: Actor, signal: Signal) -> Result<()> {
    process::signal(actor.pid(), signal)?;
    until("the caller is gone", || {
        matches!(process::state(actor.pid()), None | Some('Z'))
    })
}

fn killed_process(context: &Context) -> Result<()> {
    let process = Process::load("c-killed", "load 0 static")?;
    let apart = context.rounds(4, 1);
    for round in (u64::from(context.seed % 4)..50).step_by(apart) {
        process.api.good("fork 0")?;
        process.echo()?;
        let pid = process.pid()?;
        let actor = Actor::spawn(&["write", c_api::PATH, "ask 0 w 4 4 1"])?;
        std::thread::sleep(std::time::Duration::from_micros(200 * round));
        process::signal(pid, Signal::KILL)?;
        let (result, _) = actor.wait()?;
        ensure!(
            matches!(result, Ok(()) | Err(Errno::FAULT)),
            "round {round}: {result:?}"
        );
        process.api.good("wait 0")?;
        process.api.good("cleanup 0")?;
    }
    Ok(())
}
