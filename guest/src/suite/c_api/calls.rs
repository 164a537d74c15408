// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an owner of a process does when everything goes well.

use std::thread;

use anyhow::{Context as _, Result, ensure};
use rustix::io::Errno;

use super::Process;
use crate::c_api::{self, Api};
use crate::driver::Driver;
use crate::harness::{Context, Mode, Topic, test, test_only};
use crate::process;
use crate::suite::leaks;
use crate::time::{ms, patience, timed, until};

pub(crate) const TOPIC: Topic = Topic {
    name: "c api calls",
    modules: &[c_api::MODULE],
    tests: &[
        test(
            "load, fork, write, read, kill, wait, cleanup, unload",
            sequence,
        ),
        test(
            "an owner drops the files and the process id by itself",
            by_hand,
        ),
        test("what is loaded can be forked again and again", again),
        test("a process outlives the blob it was made of", unloaded),
        test(
            "a process exits when there is nothing more to read",
            end_of_input,
        ),
        test("cleanup alone ends a process", cleanup),
        test("a file that is still open keeps the process", kept_file),
        test("a read gives what there is", partial_read),
        test(
            "a read of more than there is does not wait for the rest",
            short_read,
        ),
        test("a write of more than the pipe holds", long_write),
        test("a megabyte is read piece by piece", long_read),
        test("reads and writes of nothing", nothing),
        test("an exchange takes what the files do not: all of it", mixed),
        test("exchanges of every size", sizes),
        test("a reply that comes byte by byte", bytewise),
        test("a handler that reads with room for more", in_parts),
        test("a reply that streams while the request is read", streamed),
        test("half exchanges", halves),
        test("buffers on the heap, in the module, on the stack", buffers),
        test("two infos, one process each", two),
        test("two infos of the same name", same_name),
        test("two callers of one info", callers),
        test("a line in the kernel's log", log_line),
        test("the driver is shown in sysfs", sysfs),
        test_only(
            Mode::Deterministic,
            "rounds of load, fork, exchange, unload: nothing grows",
            rounds,
        ),
    ],
};

fn show(api: &Api, wanted: &str) -> Result<()> {
    let brought = api.good("show 0")?;
    let found = brought.text()?;
    ensure!(found == wanted, "it is {found:?}, not {wanted:?}");
    Ok(())
}

const NOTHING: &str = "to=0 from=0 tgid=0 image=0";
const LOADED: &str = "to=0 from=0 tgid=0 image=1";
const FORKED: &str = "to=1 from=1 tgid=1 image=1";

fn sequence(context: &Context) -> Result<()> {
    let api = Api::open()?;
    api.good("name 0 c-sequence")?;
    show(&api, NOTHING)?;
    api.good("load 0 static")?;
    show(&api, LOADED)?;
    api.good("fork 0")?;
    show(&api, FORKED)?;
    let pid = i32::try_from(api.good("show 0")?.number)?;
    ensure!(process::exists(pid), "there is no process {pid}");
    let command = process::read(pid, "cmdline")?;
    ensure!(command == "c-sequence\0", "its arguments are {command:?}");
    ensure!(api.good("exited 0")?.number == 0, "it has exited");
    let written = api.good("write 0 e 64 64 0")?.number;
    ensure!(written == 64, "{written} bytes were written");
    let read = api.good("read 0 64")?;
    ensure!(read.number == 64, "{} bytes were read", read.number);
    api.good("kill 0")?;
    let (waited, took) = timed(|| api.good("wait 0"));
    waited?;
    context.at_once(took)?;
    ensure!(api.good("exited 0")?.number == 1, "it has not exited");
    api.good("cleanup 0")?;
    show(&api, LOADED)?;
    api.good("unload 0")?;
    show(&api, NOTHING)?;
    until("the process is reaped", || !process::exists(pid))
}

fn by_hand(_: &Context) -> Result<()> {
    let process = Process::start("c-by-hand")?;
    let pid = process.pid()?;
    process.echo()?;
    process.api.good("drop 0")?;
    show(&process.api, LOADED)?;
    until("the process ends", || !process::exists(pid))?;
    // And another one, which is not cleaned up after.
    process.api.good("fork 0")?;
    process.echo()?;
    process.api.good("drop 0")?;
    process.api.good("unload 0")?;
    show(&process.api, NOTHING)
}

fn again(_: &Context) -> Result<()> {
    let process = Process::load("c-again", "load 0 static")?;
    for _ in 0..10 {
        process.api.good("fork 0")?;
        process.echo()?;
        process.api.good("cleanup 0")?;
    }
    for _ in 0..10 {
        process.api.good("fork 0")?;
        process.api.good("kill 0")?;
        process.api.good("wait 0")?;
        process.api.good("cleanup 0")?;
    }
    process.api.good("fork 0")?;
    process.echo()
}

fn unloaded(_: &Context) -> Result<()> {
    let process = Process::start("c-unloaded")?;
    process.api.good("unload 0")?;
    process.echo()?;
    show(&process.api, "to=1 from=1 tgid=1 image=0")?;
    process.api.good("cleanup 0")?;
    process.api.bad("fork 0", Errno::INVAL)?;
    process.api.good("load 0 static")?;
    process.api.good("fork 0")?;
    process.echo()
}

fn end_of_input(_: &Context) -> Result<()> {
    let process = Process::start("c-eof")?;
    process.echo()?;
    let pid = process.pid()?;
    process.api.good("close 0 0")?;
    process.gone(pid)
}

fn cleanup(_: &Context) -> Result<()> {
    // It ignores the end of its input.
    let process = Process::start("c-hang")?;
    let pid = process.pid()?;
    process.api.good("cleanup 0")?;
    until("the process ends", || !process::exists(pid))
}

fn kept_file(_: &Context) -> Result<()> {
    let process = Process::start("c-kept")?;
    let pid = process.pid()?;
    process.api.good("hold 0")?;
    process.api.good("cleanup 0")?;
    // One that cares ends by the end of its input.
    until("the process ends", || !process::exists(pid))?;
    process.api.good("let")?;
    Ok(())
}

fn partial_read(_: &Context) -> Result<()> {
    let process = Process::start("c-partial")?;
    process.api.good("write 0 e 64 4096 1")?;
    let mut bytes = Vec::new();
    while bytes.len() < 4096 {
        let piece = process.api.good("read 0 100")?;
        let count = usize::try_from(piece.number)?;
        ensure!((1..=100).contains(&count), "a read gave {count} bytes");
        ensure!(piece.bytes.len() == count, "they did not come");
        bytes.extend(piece.bytes);
    }
    ensure!(bytes.len() == 4096, "{} bytes came", bytes.len());
    let (first, rest) = bytes.split_at(64);
    ensure!(rest.chunks(64).all(|chunk| chunk == first), "not an echo");
    process.echo()
}

fn short_read(context: &Context) -> Result<()> {
    let process = Process::start("c-short")?;
    process.api.good("write 0 e 64 64 1")?;
    let (piece, took) = timed(|| process.api.good("read 0 65536"));
    let count = piece?.number;
    ensure!((1..=64).contains(&count), "a read gave {count} bytes");
    context.at_once(took)
}

fn long_write(_: &Context) -> Result<()> {
    let process = Process::start("c-long")?;
    for size in [65_537, 307_200, 1_048_576] {
        let written = process.api.good(&format!("write 0 e {size} 4 1"))?.number;
        ensure!(written == size, "of {size} bytes {written} were written");
        let read = process.api.good("read 0 4")?.number;
        ensure!(read == 4, "{read} bytes were read");
    }
    Ok(())
}

fn long_read(_: &Context) -> Result<()> {
    let process = Process::start("c-long")?;
    process.api.good("write 0 e 4 1048576 1")?;
    let mut bytes = Vec::new();
    while bytes.len() < 1_048_576 {
        let piece = process.api.good("read 0 131072")?;
        ensure!(piece.number > 0, "the end came at {}", bytes.len());
        bytes.extend(piece.bytes);
    }
    let (first, rest) = bytes.split_at(4);
    ensure!(rest.chunks(4).all(|chunk| chunk == first), "not an echo");
    process.echo()
}

fn nothing(context: &Context) -> Result<()> {
    let process = Process::start("c-nothing")?;
    let (result, took) = timed(|| -> Result<()> {
        for command in ["write 0 e 0 0 0", "read 0 0"] {
            let number = process.api.good(command)?.number;
            ensure!(number == 0, "{command} gave {number}");
        }
        Ok(())
    });
    result?;
    context.at_once(took)?;
    process.echo()
}

fn mixed(_: &Context) -> Result<()> {
    let process = Process::start("c-mixed")?;
    for _ in 0..10 {
        process.api.good("write 0 e 64 5 1")?;
        let read = process.api.good("read 0 4")?.number;
        ensure!(read > 0, "nothing was read");
        let mut left = 5 - read;
        while left > 0 {
            left -= process.api.good("read 0 5")?.number;
        }
        process.echo()?;
    }
    Ok(())
}

fn sizes(_: &Context) -> Result<()> {
    let process = Process::start("c-sizes")?;
    for (input, output) in [
        (4, 4),
        (5, 4),
        (4, 5),
        (64, 64),
        (4096, 4096),
        (65_536, 4),
        (65_537, 65_537),
        (4, 131_072),
        (131_072, 131_072),
        (4, 1_048_576),
        (1_048_576, 4),
        (307_200, 307_200),
        (4, 4_194_304),
        (4_194_304, 4),
        (4, 4),
    ] {
        process
            .api
            .echo("ask 0", input, output)
            .with_context(|| format!("{input} B/{output} B"))?;
    }
    Ok(())
}

fn bytewise(_: &Context) -> Result<()> {
    let process = Process::start("c-bytewise")?;
    process.api.repeat("ask 0", '1', 64, 4096)?;
    process.echo()
}

fn in_parts(_: &Context) -> Result<()> {
    let process = Process::start("c-in-parts")?;
    for size in [64, 65_537] {
        process.api.repeat("ask 0", 'v', size, 64)?;
    }
    process.echo()
}

fn streamed(_: &Context) -> Result<()> {
    let process = Process::start("c-streamed")?;
    for size in [64, 65_537, 307_200, 1_048_576] {
        process.api.repeat("ask 0", 's', size, size)?;
    }
    // More than the pipe holds before it has read the rest of more than the pipe holds.
    let reply = process.api.good("ask 0 b 307200 307200 0")?.bytes;
    ensure!(
        reply.len() == 307_200 && reply.iter().all(|byte| *byte == b'b'),
        "not what was written"
    );
    process.echo()
}

fn halves(context: &Context) -> Result<()> {
    let process = Process::start("c-halves")?;
    let (result, took) = timed(|| process.api.good("raw 0 - 0 - 0"));
    result?;
    context.at_once(took)?;
    // Only there.
    for size in [64, 307_200] {
        process.api.good(&format!("ask 0 n {size} 0 0"))?;
    }
    process.echo()?;
    // Only back: of what was written before.
    process.api.good("write 0 e 64 64 1")?;
    process.api.good("raw 0 - 0 B 64")?;
    process.echo()
}

fn buffers(_: &Context) -> Result<()> {
    let process = Process::start("c-buffers")?;
    process.api.echo("ask 0", 64, 64)?;
    process.api.echo("ask-static 0", 64, 64)?;
    process.api.echo("ask-static 0", 65_536, 65_536)?;
    process.api.echo("ask-stack 0", 64, 64)?;
    process.api.echo("ask-stack 0", 4, 4)
}

fn two(context: &Context) -> Result<()> {
    let process = Process::start("c-first")?;
    let api = &process.api;
    api.good("name 1 c-second")?;
    api.good("load 1 static")?;
    let result = api
        .good("fork 1")
        .and_then(|_| api.echo("ask 1", 64, 64))
        .and_then(|()| {
            // The first one hangs; the second one does not mind.
            let actor = super::waiting("ask 0 w 4 4 100")?;
            let (echo, took) = timed(|| api.echo("ask 1", 64, 64));
            echo?;
            context.at_once(took)?;
            actor.wait()?.0.context("the first")
        });
    api.good("cleanup 1")?;
    api.good("unload 1")?;
    result?;
    process.echo()
}

fn same_name(_: &Context) -> Result<()> {
    let process = Process::start("c-same")?;
    let api = &process.api;
    api.good("name 1 c-same")?;
    api.good("load 1 static")?;
    let result = api
        .good("fork 1")
        .and_then(|_| api.echo("ask 1", 64, 64))
        .and_then(|()| process.echo());
    api.good("cleanup 1")?;
    api.good("unload 1")?;
    result?;
    process.echo()
}

fn callers(_: &Context) -> Result<()> {
    let process = Process::start("c-callers")?;
    thread::scope(|scope| {
        let callers: Vec<_> = [4, 64, 4096, 131_072]
            .into_iter()
            .map(|size| {
                scope.spawn(move || -> Result<()> {
                    let api = Api::open()?;
                    (0..50).try_for_each(|_| api.echo("ask 0", size, size))
                })
            })
            .collect();
        callers.into_iter().try_for_each(|caller| {
            caller
                .join()
                .map_err(|_| anyhow::anyhow!("a caller panicked"))?
        })
    })?;
    process.echo()
}

fn log_line(_: &Context) -> Result<()> {
    let log = crate::kernel::Log::from_now()?;
    let process = Process::start("c-tells")?;
    process.echo()?;
    log.expect("umd c api: started")?;
    process.api.repeat("ask 0", 'm', 64, 64)?;
    log.expect("umd c api: asked for a line")
}

fn sysfs(context: &Context) -> Result<()> {
    let driver = Driver("c-sysfs");
    let process = Process::load(driver.0, "load 0 static")?.fork()?;
    driver.expect("deadline_ms", "2000")?;
    driver.set_deadline(patience())?;
    process.echo()?;
    process.echo()?;
    ensure!(driver.pid()? == process.pid()?, "another pid");
    driver.expect("lockdown_in_force", "basic")?;
    driver.expect("replies", "2")?;
    driver.set("deadline_ms", "300")?;
    let (result, took) = timed(|| process.api.call("ask 0 h 4 4 0"));
    super::failed(&result?, &[Errno::TIMEDOUT])?;
    context.at_deadline(ms(300), took)?;
    drop(process);
    ensure!(
        !crate::driver::names().contains(&driver.0.to_owned()),
        "its directory is left"
    );
    Ok(())
}

fn rounds(_: &Context) -> Result<()> {
    let api = Api::open()?;
    api.good("name 0 c-rounds")?;
    leaks::nothing_grows(leaks::WARM_UP, leaks::ROUNDS, |count| {
        api.good(&format!("rounds 0 {count}")).map(drop)
    })
}
