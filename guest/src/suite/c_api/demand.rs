// SPDX-License-Identifier: MIT OR Apache-2.0
//! `<linux/usermode_driver_mgmt.h>`: handlers that are loaded, started and replaced when somebody asks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::io::Errno;
use rustix::process::Signal;

use super::faults::LATER;
use super::{Managed, failed, waiting};
use crate::actor::Actor;
use crate::c_api::{self, Api, LOADER};
use crate::driver::Driver;
use crate::harness::{Context, Topic, test};
use crate::modules;
use crate::process;
use crate::time::{ms, patience, slowness, timed, until};

pub(crate) const TOPIC: Topic = Topic {
    name: "c api on demand",
    modules: &[c_api::MODULE],
    tests: &[
        test("the first request loads the loader", first_request),
        test("a loader that went is loaded again", loaded_again),
        test("a loader that is loaded by hand", by_hand),
        test(
            "no loader: ENOPROTOOPT, and modprobe is not run each time",
            back_off,
        ),
        test("a loader that brings nothing: ENOPROTOOPT", brings_nothing),
        test("a loader that comes later is found", comes_later),
        test("a modprobe that hangs: the deadline holds", hung_modprobe),
        test(
            "a modprobe that is slow: ETIMEDOUT until it has come",
            slow_modprobe,
        ),
        test("messages of every size", sizes),
        test("a reply that streams while the request is read", streamed),
        test("a handler that exited is replaced", exited),
        test("a request right after SIGKILL succeeds", killed),
        test(
            "a handler that died with the request in hand: EFAULT once",
            died,
        ),
        test(
            "post_start runs after each start, with the lock held",
            post_start,
        ),
        test("post_start may use the two files", post_files),
        test(
            "post_start fails: its error is returned, the handler is dead",
            post_fails,
        ),
        test(
            "post_start fails while the loader loads: nothing is loaded",
            post_fails_at_load,
        ),
        test(
            "post_start asks and gets no reply: the deadline holds",
            post_hangs,
        ),
        test("more than was asked for: another handler answers", surplus),
        test("what was not asked for: no request is lost for ever", early),
        test(
            "a handler that hangs: ETIMEDOUT, and the others go on",
            hangs,
        ),
        test("a stopped handler: ETIMEDOUT, and another one", stopped),
        test("closes its end for reading, and lives", deaf),
        test("no caller dies of SIGPIPE", no_sigpipe),
        test(
            "SIGINT, SIGTERM, SIGKILL to a caller: the handler serves the next",
            signals,
        ),
        test("four callers", four),
        test("four callers while handlers are killed", four_killed),
        test(
            "rmmod of the loader with a request in flight",
            unload_in_flight,
        ),
        test(
            "a request while the loader goes: it is loaded again",
            unload_window,
        ),
        test("rmmod of the loader with a handler that hangs", unload_hung),
        test(
            "rmmod of the loader while four callers ask",
            unload_under_load,
        ),
        test("the owner's rmmod after the loader's", owner_goes),
    ],
};

/// What every test wants of the loader.
const POST: &str = "ask";

/// The driver that it brings.
const DRIVER: Driver = Driver("c-demand");

fn on_demand() -> Result<Managed> {
    Managed::new(DRIVER.0, LOADER, POST)
}

/// With a handler in service, and a deadline that is not met.
fn served() -> Result<Managed> {
    let managed = on_demand()?;
    managed.echo()?;
    DRIVER.set_deadline(patience())?;
    Ok(managed)
}

/// For so long after a loader went, with some to spare, a failure of modprobe may be about its end: then it is run again.
const GONE: Duration = ms(600);

fn first_request(_: &Context) -> Result<()> {
    let managed = on_demand()?;
    ensure!(!modules::is_loaded(LOADER), "the loader is there already");
    ensure!(managed.field("loaded")? == 0, "it counts as loaded");
    managed.echo()?;
    ensure!(modules::is_loaded(LOADER), "the loader is not loaded");
    ensure!(managed.field("loaded")? == 1, "it does not count as loaded");
    ensure!(managed.field("calls")? == 1, "post_start was not called");
    let pid = managed.pid()?;
    managed.echo()?;
    ensure!(managed.pid()? == pid, "each request has its own process");
    Ok(())
}

fn loaded_again(_: &Context) -> Result<()> {
    let managed = on_demand()?;
    for _ in 0..10 {
        managed.echo()?;
        let pid = managed.pid()?;
        modules::remove(LOADER)?;
        ensure!(!process::exists(pid), "the handler outlived the unload");
        ensure!(managed.field("loaded")? == 0, "it counts as loaded");
        ensure!(managed.field("tgid")? == 0, "tgid is set");
    }
    managed.echo()
}

fn by_hand(_: &Context) -> Result<()> {
    let managed = on_demand()?;
    modules::load(LOADER)?;
    ensure!(managed.field("calls")? == 1, "no handler was started");
    managed.echo()
}

/// Has the kernel run this script where it wants a module; it is told of each run by a line in a file.
struct Modprobe {
    before: String,
}

const SETTING: &str = "/proc/sys/kernel/modprobe";
const SCRIPT: &str = "/tmp/modprobe";
const RUNS: &str = "/tmp/modprobe-runs";

/// A script that hangs, and its command line then.
const HANG: &str = "exec sleep 1000";
const HUNG: &str = "sleep\x001000\0";

impl Modprobe {
    fn replace(then: &str) -> Result<Self> {
        let before = fs::read_to_string(SETTING)?;
        let script = format!("#!/bin/sh\necho \"$@\" >> {RUNS}\n{then}\n");
        fs::write(SCRIPT, script)?;
        fs::set_permissions(SCRIPT, fs::Permissions::from_mode(0o755))?;
        fs::write(RUNS, "")?;
        fs::write(SETTING, SCRIPT)?;
        Ok(Self { before })
    }

    /// How often it was run for the loader.
    fn runs(&self) -> Result<usize> {
        let text = fs::read_to_string(RUNS)?;
        Ok(text.lines().filter(|line| line.contains(LOADER)).count())
    }
}

impl Drop for Modprobe {
    fn drop(&mut self) {
        // Should that fail, the next test that loads a module says so.
        let _ = fs::write(SETTING, &self.before);
        // One that hangs is in everybody's way.
        let hung = |pid: &i32| process::read(*pid, "cmdline").is_ok_and(|line| line == HUNG);
        for pid in process::all().into_iter().filter(hung) {
            let _ = process::signal(pid, Signal::KILL);
        }
    }
}

fn back_off(context: &Context) -> Result<()> {
    let modprobe = Modprobe::replace("exit 1")?;
    let managed = on_demand()?;
    thread::sleep(GONE);
    let begin = Instant::now();
    let mut calls = 0;
    // Within the first pause, of half a second.
    while begin.elapsed() < ms(400) {
        let (result, took) = timed(|| managed.api.call("m-ask 0 e 64 64 0"));
        failed(&result?, &[Errno::NOPROTOOPT])?;
        context.at_once(took)?;
        calls += 1;
        thread::sleep(ms(5));
    }
    let runs = modprobe.runs()?;
    ensure!(runs == 1, "{calls} calls ran modprobe {runs} times");
    while begin.elapsed() < ms(4_000) {
        failed(
            &managed.api.call("m-ask 0 e 64 64 0")?,
            &[Errno::NOPROTOOPT],
        )?;
        thread::sleep(ms(50));
    }
    // After half a second, one, two; where the machine is slow there are fewer.
    let runs = modprobe.runs()?;
    ensure!(
        (2..=4).contains(&runs),
        "4 s of calls ran modprobe {runs} times"
    );
    Ok(())
}

fn brings_nothing(context: &Context) -> Result<()> {
    // A module that is no loader, and one that there is not.
    for kmod in ["umd_test", "umd-no-such-module"] {
        let managed = Managed::new("c-nothing", kmod, "none")?;
        for call in 0..3 {
            let ask = || managed.api.call("m-ask 0 e 64 64 0");
            let (mut result, took) = timed(ask);
            // The first one runs modprobe, five times, with 20 ms in between and each no more than what takes no time.
            let limit = if call == 0 {
                ms(100) + 4 * context.grace()
            } else {
                ms(0)
            };
            ensure!(took <= limit + context.grace(), "it took {took:?}");
            // Where the machine is slow that may take longer than a request has.
            for _ in 1..slowness() {
                if let Ok(Err(Errno::TIMEDOUT)) = result {
                    result = ask();
                }
            }
            failed(&result?, &[Errno::NOPROTOOPT])?;
        }
    }
    Ok(())
}

fn comes_later(_: &Context) -> Result<()> {
    let managed = on_demand()?;
    {
        let _modprobe = Modprobe::replace("exit 1")?;
        managed.api.bad("m-ask 0 e 64 64 0", Errno::NOPROTOOPT)?;
    }
    // By hand at once, whatever the back-off says.
    modules::load(LOADER)?;
    managed.echo()?;
    modules::remove(LOADER)?;
    // And when the pause is over, which may have grown in the tests before this one.
    until("it is loaded on demand", || managed.echo().is_ok())
}

fn hung_modprobe(context: &Context) -> Result<()> {
    let managed = on_demand()?;
    let modprobe = Modprobe::replace(HANG)?;
    let caller = waiting("m-ask 0 e 64 64 0")?;
    let (killed, took) = timed(|| caller.kill());
    killed?;
    context.at_once(took)?;
    managed
        .api
        .good(&format!("mgmt 1 c-demand-too {LOADER} {POST}"))?;
    let (result, took) = timed(|| managed.api.call("m-ask 1 e 64 64 0"));
    // It waits for the same modprobe: nobody knows yet that it brings nothing.
    failed(&result?, &[Errno::TIMEDOUT])?;
    context.at_deadline(ms(2_000), took)?;
    ensure!(modprobe.runs()? == 1, "it was run again while it hung");
    drop(modprobe);
    // Its end is a failure, and then there is a pause; by hand it comes at once.
    until("the hung one has ended", || {
        let asked = managed.api.call("m-ask 0 e 64 64 0");
        matches!(asked, Ok(Err(Errno::NOPROTOOPT)))
    })?;
    modules::load(LOADER)?;
    managed.echo()
}

/// A modprobe that takes longer than a caller has time: nobody is told that there is nothing.
fn slow_modprobe(_: &Context) -> Result<()> {
    let modprobe = Modprobe::replace(&format!("sleep 3\nexec /sbin/modprobe {LOADER}"))?;
    let managed = on_demand()?;
    thread::sleep(GONE);
    let mut late = 0;
    while let Err(error) = managed.api.call("m-ask 0 e 64 64 0")? {
        ensure!(error == Errno::TIMEDOUT, "it gave {error}");
        late += 1;
        ensure!(late < 10, "it never comes");
    }
    ensure!(late > 0, "it was not slow");
    ensure!(modprobe.runs()? == 1, "modprobe was run again");
    managed.echo()
}

fn sizes(_: &Context) -> Result<()> {
    let managed = on_demand()?;
    for (input, output) in [
        (4, 4),
        (64, 5),
        (4096, 4096),
        (65_537, 65_537),
        (4, 131_072),
        (4, 1_048_576),
        (1_048_576, 4),
        (307_200, 307_200),
        (4_194_304, 4_194_304),
    ] {
        managed
            .api
            .echo("m-ask 0", input, output)
            .with_context(|| format!("{input} B/{output} B"))?;
    }
    ensure!(
        managed.field("calls")? == 1,
        "there was more than one start"
    );
    Ok(())
}

fn streamed(_: &Context) -> Result<()> {
    let managed = on_demand()?;
    for size in [64, 65_537, 307_200, 1_048_576] {
        managed.api.repeat("m-ask 0", 's', size, size)?;
    }
    let reply = managed.api.good("m-ask 0 b 307200 307200 0")?.bytes;
    ensure!(
        reply.iter().all(|byte| *byte == b'b'),
        "not what was written"
    );
    managed.echo()
}

fn exited(_: &Context) -> Result<()> {
    let managed = on_demand()?;
    for round in 1..=20 {
        let pid = managed.pid()?;
        managed.api.repeat("m-ask 0", 'q', 64, 64)?;
        ensure!(managed.pid()? != pid, "still the same process");
        let calls = managed.field("calls")?;
        ensure!(calls == round, "post_start was called {calls} times");
    }
    managed.echo()
}

fn killed(context: &Context) -> Result<()> {
    let managed = served()?;
    for round in 0..context.rounds(40, 200) {
        if round % 2 == 0 {
            managed.api.good("m-kill 0")?;
        } else {
            process::signal(managed.pid()?, Signal::KILL)?;
        }
        managed.echo().with_context(|| format!("round {round}"))?;
    }
    Ok(())
}

fn died(context: &Context) -> Result<()> {
    let managed = on_demand()?;
    for asked in ["x 64 64 7", "x 307200 64 7", "X 64 64 7", "S 64 64 0"] {
        let (result, took) = timed(|| managed.api.call(&format!("m-ask 0 {asked}")));
        failed(&result?, &[Errno::FAULT]).with_context(|| asked.to_owned())?;
        context.at_once(took)?;
        managed.echo()?;
    }
    Ok(())
}

fn post_start(_: &Context) -> Result<()> {
    let managed = on_demand()?;
    for calls in 1..=10 {
        managed.echo()?;
        let (called, unlocked) = (managed.field("calls")?, managed.field("unlocked")?);
        ensure!(called == calls, "{called} calls after {calls} starts");
        ensure!(unlocked == 0, "{unlocked} calls without the lock");
        managed.api.good("m-kill 0")?;
    }
    Ok(())
}

fn post_files(_: &Context) -> Result<()> {
    let managed = Managed::loaded("c-files", "files", 0)?;
    managed.echo()?;
    managed.api.good("m-kill 0")?;
    managed.echo()?;
    ensure!(managed.field("calls")? == 2, "post_start was not called");
    Ok(())
}

fn post_fails(_: &Context) -> Result<()> {
    let managed = Managed::loaded("c-fails", "ok", 0)?;
    managed.echo()?;
    managed.api.good("m-post 0 fail")?;
    managed.api.good("m-kill 0")?;
    managed.api.bad("m-ask 0 e 64 64 0", Errno::REMOTEIO)?;
    until("no handler is left", || process::handlers().is_empty())?;
    // Its fault may be over.
    managed.api.good("m-post 0 ask")?;
    until("it is started again", || managed.echo().is_ok())
}

fn post_fails_at_load(_: &Context) -> Result<()> {
    let managed = Managed::new("c-fails", "-", "fail")?;
    managed.api.bad("m-load 0 static", Errno::REMOTEIO)?;
    ensure!(managed.field("loaded")? == 0, "it counts as loaded");
    until("no handler is left", || process::handlers().is_empty())?;
    managed.api.bad("m-ask 0 e 64 64 0", Errno::NOPROTOOPT)?;
    managed.api.good("m-post 0 ask")?;
    managed.api.good("m-load 0 static")?;
    managed.echo()?;
    // The same of a loader: its module is not loaded either, and that is what the caller learns.
    drop(managed);
    let managed = Managed::new("c-fails", LOADER, "fail")?;
    let result = managed.api.call("m-ask 0 e 64 64 0")?;
    failed(&result, &[Errno::NOPROTOOPT, Errno::REMOTEIO])?;
    ensure!(!modules::is_loaded(LOADER), "the loader is loaded");
    Ok(())
}

fn post_hangs(context: &Context) -> Result<()> {
    let managed = Managed::new("c-late", "-", "hang")?;
    let (result, took) = timed(|| managed.api.call("m-load-with 0 static 0 300"));
    failed(&result?, &[Errno::TIMEDOUT])?;
    context.at_deadline(ms(300), took)?;
    managed.api.good("m-post 0 ok")?;
    managed.api.good("m-load-with 0 static 0 300")?;
    managed.api.good("m-post 0 hang")?;
    managed.api.good("m-kill 0")?;
    let (result, took) = timed(|| managed.api.call("m-ask 0 e 64 64 0"));
    failed(&result?, &[Errno::TIMEDOUT])?;
    context.at_deadline(ms(300), took)
}

fn surplus(_: &Context) -> Result<()> {
    for asked in ["u", "l"] {
        let managed = served()?;
        let pid = managed.pid()?;
        // Found out at once it is an error; later, nobody's.
        let result = managed.api.call(&format!("m-ask 0 {asked} 64 64 0"))?;
        if result.is_err() {
            failed(&result, &[Errno::FAULT])?;
        }
        if process::exists(pid) {
            // It may be on its way out; else what is too much is there when it reads on.
            until("it listens, or is gone", || {
                process::listens(pid) || !process::exists(pid)
            })?;
        }
        managed.echo()?;
        ensure!(managed.pid()? != pid, "{asked}: still the same process");
    }
    Ok(())
}

fn early(context: &Context) -> Result<()> {
    let managed = Managed::new("c-early", "-", "none")?;
    managed.api.good("m-load-with 0 static 0 300")?;
    // Whoever is started speaks first: nothing can be had of it, but that is soon said.
    for _ in 0..3 {
        let (result, took) = timed(|| managed.api.call("m-ask 0 e 64 64 0"));
        ensure!(result?.is_err(), "it was believed");
        ensure!(took <= ms(300) + context.grace(), "it took {took:?}");
    }
    Ok(())
}

fn hangs(context: &Context) -> Result<()> {
    const LIMIT: Duration = ms(400);
    let managed = Managed::loaded("c-late", "ok", 0)?;
    let driver = Driver("c-late");
    for asked in ["h 64 64 0", "p 64 64 0", "H 64 307200 0", "z 307200 4 0"] {
        driver.set_deadline(LIMIT)?;
        let (result, took) = timed(|| managed.api.call(&format!("m-ask 0 {asked}")));
        failed(&result?, &[Errno::TIMEDOUT]).with_context(|| asked.to_owned())?;
        context.at_deadline(LIMIT, took)?;
        driver.set_deadline(patience())?;
        managed.echo().with_context(|| format!("after {asked}"))?;
    }
    driver.set_deadline(LIMIT)?;
    let hung = waiting("m-ask 0 h 64 64 0")?;
    // The second one has more time than the first: some is left when that one's is over.
    driver.set_deadline(patience())?;
    let (second, took) = timed(|| managed.api.call("m-ask 0 e 64 64 0"));
    second?.context("the second caller")?;
    ensure!(took <= LIMIT + context.grace(), "it took {took:?}");
    let (hung, _) = hung.wait()?;
    ensure!(hung == Err(Errno::TIMEDOUT), "the first caller: {hung:?}");
    Ok(())
}

fn stopped(context: &Context) -> Result<()> {
    let managed = Managed::loaded("c-stopped", "ok", 300)?;
    process::signal(managed.pid()?, Signal::STOP)?;
    let (result, took) = timed(|| managed.api.call("m-ask 0 e 64 64 0"));
    failed(&result?, &[Errno::TIMEDOUT])?;
    context.at_deadline(ms(300), took)?;
    managed.echo()
}

fn deaf(context: &Context) -> Result<()> {
    let managed = Managed::loaded("c-closes", "ok", 300)?;
    for asked in ["c 64 64 0", "C 64 64 0"] {
        // The reply, or what it is worth that there will be no more.
        let (result, took) = timed(|| managed.api.call(&format!("m-ask 0 {asked}")));
        result?.ok();
        ensure!(took <= ms(300) + context.grace(), "it took {took:?}");
        let (result, took) = timed(|| managed.api.call("m-ask 0 e 64 64 0"));
        if let Err(error) = result? {
            ensure!(
                matches!(error, Errno::FAULT | Errno::TIMEDOUT),
                "{asked}: {error}"
            );
        }
        ensure!(took <= ms(300) + context.grace(), "it took {took:?}");
        managed.echo()?;
    }
    Ok(())
}

fn no_sigpipe(_: &Context) -> Result<()> {
    let managed = on_demand()?;
    for asked in ["c", "q"] {
        managed
            .api
            .repeat("m-ask 0", asked.chars().next().unwrap_or('q'), 64, 64)?;
        let status = super::faults::shell_writes("m-ask 0 e 64 64 0")?;
        ensure!(status.success(), "{asked}: {status}");
        managed.echo()?;
    }
    Ok(())
}

fn signals(context: &Context) -> Result<()> {
    let managed = served()?;
    let pid = managed.pid()?;
    let later = format!("m-ask 0 w 64 64 {LATER}");
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let actor = waiting(&later)?;
        let (ended, took) = timed(|| super::faults::ended_by(actor, signal));
        ended?;
        context.at_once(took)?;
        managed.echo()?;
        ensure!(managed.pid()? == pid, "{signal:?}: another process");
    }
    // In the queue as well.
    let first = waiting(&later)?;
    let second = waiting("m-ask 0 e 64 64 0")?;
    let (killed, took) = timed(|| second.kill());
    killed?;
    context.at_once(took)?;
    first.wait()?.0.context("the first caller")?;
    ensure!(managed.pid()? == pid, "another process");
    Ok(())
}

/// Four callers that ask until told to stop, or so often; what they got but replies.
fn ask_by_four(
    count: u32,
    allowed: &[Errno],
    meanwhile: impl FnOnce(&AtomicU32) -> Result<()>,
) -> Result<u32> {
    let over = AtomicBool::new(false);
    let served = AtomicU32::new(0);
    thread::scope(|scope| {
        let callers: Vec<_> = [4, 64, 4096, 131_072]
            .into_iter()
            .map(|size| {
                let (over, served) = (&over, &served);
                scope.spawn(move || -> Result<()> {
                    let api = Api::open()?;
                    for _ in 0..count {
                        if over.load(Ordering::Relaxed) {
                            break;
                        }
                        let result = api.call(&format!("m-ask 0 e {size} {size} 1"))?;
                        match result {
                            Ok(brought) => {
                                ensure!(brought.bytes.len() == size, "half a reply");
                                served.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(_) => failed(&result, allowed)?,
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        let result = meanwhile(&served);
        if result.is_err() || count == u32::MAX {
            over.store(true, Ordering::Relaxed);
        }
        for caller in callers {
            caller
                .join()
                .map_err(|_| anyhow::anyhow!("a caller panicked"))??;
        }
        result
    })?;
    Ok(served.into_inner())
}

fn four(context: &Context) -> Result<()> {
    let each = context.rounds(50, 200);
    let managed = on_demand()?;
    let served = ask_by_four(each, &[], |_| Ok(()))?;
    ensure!(served == 4 * each, "{served} of {} were served", 4 * each);
    ensure!(
        managed.field("calls")? == 1,
        "there was more than one start"
    );
    Ok(())
}

fn four_killed(context: &Context) -> Result<()> {
    let managed = served()?;
    let mut random = context.random(4);
    // What was killed with a request in hand answers it no more.
    ask_by_four(u32::MAX, &[Errno::FAULT], |served| {
        for _ in 0..context.rounds(15, 40) {
            // Not so soon that each dies in its start.
            let before = served.load(Ordering::Relaxed);
            until("somebody is served", || {
                served.load(Ordering::Relaxed) > before
            })?;
            let pause = u64::from(random.next().unwrap_or(0) % 20_000);
            thread::sleep(Duration::from_micros(pause));
            // There may be none just now.
            managed.api.call("m-kill 0")?.ok();
        }
        let before = served.load(Ordering::Relaxed);
        until("callers are served", || {
            served.load(Ordering::Relaxed) > before + 20
        })
    })?;
    managed.echo()
}

fn unload_in_flight(_: &Context) -> Result<()> {
    let managed = served()?;
    let pid = managed.pid()?;
    let actor = waiting(&format!("m-ask 0 w 64 64 {LATER}"))?;
    // So that it does not answer before its time has come.
    process::stop(pid)?;
    thread::scope(|scope| {
        let rmmod = scope.spawn(|| modules::remove(LOADER));
        let waits = until("rmmod waits", || {
            managed.field("loaded").is_ok_and(|is| is == 0)
        });
        // One that comes meanwhile waits as well, until the loader is gone and loaded again.
        let next = Actor::spawn(&["write", c_api::PATH, "m-ask 0 e 64 64 0"])?;
        let waits = waits.and_then(|()| until("the next one waits", || process::waits(next.pid())));
        let in_time = !rmmod.is_finished();
        process::signal(pid, Signal::CONT)?;
        let removed = rmmod.join();
        waits?;
        ensure!(in_time, "rmmod did not wait");
        removed
            .map_err(|_| anyhow::anyhow!("rmmod panicked"))?
            .context("rmmod")?;
        actor.wait()?.0.context("the request in flight")?;
        // Its own time, with which it began, may be over by now.
        let (next, _) = next.wait()?;
        ensure!(
            matches!(next, Ok(()) | Err(Errno::TIMEDOUT)),
            "the next request: {next:?}"
        );
        Ok(())
    })?;
    ensure!(!process::exists(pid), "the handler is still there");
    managed.echo()
}

/// Whoever asks while the loader goes has it loaded again.
fn unload_window(context: &Context) -> Result<()> {
    let managed = served()?;
    let mut random = context.random(9);
    for round in 0..context.rounds(20, 60) {
        thread::scope(|scope| {
            let pause = u64::from(random.next().unwrap_or(0) % 60_000);
            let asker = scope.spawn(move || {
                thread::sleep(Duration::from_micros(pause));
                Api::open()?.echo("m-ask 0", 64, 64)
            });
            let removed = modules::remove(LOADER);
            asker
                .join()
                .map_err(|_| anyhow::anyhow!("the asker panicked"))?
                .with_context(|| format!("round {round}, {pause} us"))?;
            // It may have just been loaded again.
            ensure!(
                matches!(removed, Ok(()) | Err(Errno::AGAIN)),
                "rmmod: {removed:?}"
            );
            Ok(())
        })?;
    }
    managed.echo()
}

fn unload_hung(context: &Context) -> Result<()> {
    let managed = on_demand()?;
    managed.echo()?;
    let actor = waiting("m-ask 0 h 64 64 0")?;
    let (removed, took) = timed(|| modules::remove(LOADER));
    removed.context("rmmod")?;
    ensure!(took <= ms(2_000) + context.grace(), "rmmod took {took:?}");
    let (result, _) = actor.wait()?;
    ensure!(
        matches!(result, Err(Errno::TIMEDOUT | Errno::FAULT)),
        "the request in flight: {result:?}"
    );
    managed.echo()?;
    // One that hangs while nobody asks.
    process::signal(managed.pid()?, Signal::STOP)?;
    let (removed, took) = timed(|| modules::remove(LOADER));
    removed.context("rmmod with a stopped handler")?;
    context.at_once(took)
}

fn unload_under_load(context: &Context) -> Result<()> {
    let managed = on_demand()?;
    managed.echo()?;
    let mut removals = 0;
    // Where the loader goes over and over, a call may have no time left.
    let allowed = [Errno::TIMEDOUT];
    let served = ask_by_four(u32::MAX, &allowed, |served| {
        for _ in 0..context.rounds(8, 20) {
            thread::sleep(ms(30));
            removals += usize::from(modules::remove(LOADER).is_ok());
        }
        let before = served.load(Ordering::Relaxed);
        until("callers are served", || {
            served.load(Ordering::Relaxed) > before + 8
        })
    })?;
    ensure!(removals > 0, "the loader was never unloaded");
    ensure!(served > 8, "only {served} were served");
    managed.echo()
}

fn owner_goes(context: &Context) -> Result<()> {
    let managed = on_demand()?;
    managed.echo()?;
    let removed = modules::remove(c_api::MODULE);
    ensure!(
        removed == Err(Errno::AGAIN),
        "its loader is loaded: {removed:?}"
    );
    drop(managed);
    let (removed, took) = timed(|| modules::remove(c_api::MODULE));
    removed?;
    context.at_once(took)?;
    modules::load(c_api::MODULE)?;
    on_demand()?.echo()
}
