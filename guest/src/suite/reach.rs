// SPDX-License-Identifier: MIT OR Apache-2.0
//! Root's reach: what `protect=` denies, what it denies nobody, and that nothing else waits for it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::io::Errno;

use crate::actor::Actor;
use crate::attack::{self, ATTACKS, Attack, Effect};
use crate::c_api;
use crate::driver::{self, Driver};
use crate::harness::{Context, Mode, Topic, test, test_only};
use crate::kernel::Log;
use crate::sample::{self, DRIVER};
use crate::session::{self, Answer, Session};
use crate::suite::c_api::{COMPUTE, Process, UNCONFINED};
use crate::suite::leaks::nothing_grows;
use crate::time::{ms, timed, until};
use crate::{modules, process};

pub(crate) const TOPIC: Topic = Topic {
    name: "reach",
    modules: &[],
    tests: &[
        test("protect=require: root's attacks are refused", refused),
        test("... those on a handler in C as well", refused_in_c),
        test("protect=off: the same attacks succeed", succeed),
        test(
            "protect=require: they succeed against any other process",
            others,
        ),
        test("... against an unconfined handler too", unconfined),
        test(
            "... and against the first process of a container",
            container,
        ),
        test("what root can still do is what the documents say", still),
        test("the deadline still ends a handler", deadline),
        test("so does restart", restart),
        test("a denied system call and a fault still end it", faults),
        test("... as does a system call that a filter denies", filtered),
        test("... and its own exit", exits),
        test("the deadline ends a handler in C", deadline_in_c),
        test("a signal that it sends itself does nothing", own_signals),
        test(
            "what a handler left behind is not out of reach",
            left_behind,
        ),
        test(
            "the end of its module ends it, and then umd can go",
            unloaded,
        ),
        test(
            "a shutdown's loop that kills all does not wait for it",
            kill_all,
        ),
        test("without protection that loop kills it", kill_all_off),
        test("protect=auto protects here", auto),
        test("protect= with anything else is refused", nonsense),
        test("the parameters are for reading only", read_only),
        test("loaded by who has no file open", no_files),
        test_only(
            Mode::Deterministic,
            "loaded with protect=require over and over: nothing grows",
            rounds,
        ),
    ],
};

/// Rounds of the last test after which caches have their size.
const WARM_UP: u32 = 5;

/// Loads umd with this parameter, and the sample, unless they are there like that.
fn sample_with(protect: &str) -> Result<()> {
    umd_with(protect)?;
    modules::load(sample::MODULE)
}

fn umd_with(protect: &str) -> Result<()> {
    if modules::parameter("umd", "protect").as_deref() == Some(protect) {
        return Ok(());
    }
    for name in modules::ours() {
        modules::unload(name)?;
    }
    modules::load_with("umd", &[&format!("protect={protect}")])
}

/// Makes an attack, and fails unless it is refused as it should be and the target knows nothing of it.
fn repelled(attack: &Attack, pid: i32) -> Result<()> {
    let result = (attack.run)(pid);
    ensure!(result == Err(attack.refused), "it gave {result:?}");
    let state = process::state(pid);
    ensure!(matches!(state, Some('S' | 'R')), "the target is {state:?}");
    Ok(())
}

/// Makes an attack, and fails unless it has its effect.
fn effective(attack: &Attack, pid: i32) -> Result<()> {
    (attack.run)(pid)?;
    until("the effect is there", || match attack.effect {
        Effect::Lives => process::exists(pid),
        Effect::Dies => !process::exists(pid),
        Effect::Stops => process::state(pid) == Some('T'),
    })
}

/// Makes all attacks; fails with a line for each that was not as it should be.
fn each(mut one: impl FnMut(&Attack) -> Result<()>) -> Result<()> {
    let failures: Vec<String> = ATTACKS
        .iter()
        .filter_map(|attack| {
            let error = one(attack).err()?;
            Some(format!("{}: {error:#}", attack.name))
        })
        .collect();
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

fn refused(_: &Context) -> Result<()> {
    sample_with("require")?;
    let found = DRIVER.lockdown("protection")?;
    ensure!(
        found == ("yes".into(), "yes".into()),
        "in its table: {found:?}"
    );
    let pid = DRIVER.pid()?;
    each(|attack| {
        repelled(attack, pid)?;
        sample::ask(77).context("the next request")?;
        DRIVER.expect("pid", &pid.to_string())
    })?;
    DRIVER.expect("starts", "1")
}

fn refused_in_c(_: &Context) -> Result<()> {
    umd_with("require")?;
    modules::load(c_api::MODULE)?;
    let handler = Process::start("c-guarded")?;
    let pid = handler.pid()?;
    each(|attack| {
        repelled(attack, pid)?;
        handler.echo().context("the next request")
    })
}

fn succeed(_: &Context) -> Result<()> {
    sample_with("off")?;
    each(|attack| {
        DRIVER.restart()?;
        effective(attack, DRIVER.pid()?)?;
        DRIVER.restart()?;
        sample::ask(77).context("the next request")?;
        Ok(())
    })
}

/// A process that is nobody's child, and sleeps.
fn sleeper() -> Result<i32> {
    let mut shell = Command::new("sh");
    let output = shell
        .args(["-c", "sleep 1000 </dev/null >/dev/null 2>&1 & echo $!"])
        .output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Ends what an attack has left.
fn end(pid: i32) -> Result<()> {
    match attack::kill(pid, 9) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(error) => bail!("kill: {error}"),
    }
    until("it is gone", || !process::exists(pid))
}

fn others(_: &Context) -> Result<()> {
    sample_with("require")?;
    each(|attack| {
        let pid = sleeper()?;
        let result = effective(attack, pid);
        end(pid)?;
        result
    })
}

fn unconfined(_: &Context) -> Result<()> {
    umd_with("require")?;
    modules::load(c_api::MODULE)?;
    let command = format!("load-with 0 static {UNCONFINED} 0");
    let handler = Process::load("c-free", &command)?.fork()?;
    let pid = handler.pid()?;
    fs::read_link(process::path(pid, "exe"))?;
    attack::kill(pid, 9)?;
    until("it is gone", || !process::exists(pid))
}

/// It has the kernel's mark as well that handlers have.
fn container(_: &Context) -> Result<()> {
    sample_with("require")?;
    let mut unshare = Command::new("unshare")
        .args(["--pid", "--fork", "sleep", "1000"])
        .spawn()?;
    let mut first = None;
    let found = until("the container is there", || {
        let unshare = unshare.id().cast_signed();
        let mut all = process::all().into_iter();
        first = all.find(|pid| process::parent(*pid) == Some(unshare));
        first.is_some()
    });
    let result = found.and_then(|()| {
        let pid = first.context("a process id")?;
        fs::read_link(process::path(pid, "exe"))?;
        attack::kill(pid, 9)?;
        until("it is gone", || !process::exists(pid))
    });
    // It ends with what it started, if it got that far.
    let _ = unshare.kill();
    unshare.wait()?;
    result
}

/// docs/root-reach.md lists it.
fn still(_: &Context) -> Result<()> {
    sample_with("require")?;
    let pid = DRIVER.pid()?;
    for name in ["stat", "status", "cmdline", "comm", "limits", "sched"] {
        // Not each kernel is built with all of them.
        if Path::new("/proc/self").join(name).exists() {
            process::read(pid, name)?;
        }
    }
    for (name, text) in [
        ("oom_score_adj", "-899"),
        ("clear_refs", "1"),
        ("coredump_filter", "1"),
    ] {
        fs::write(process::path(pid, name), text).with_context(|| name.to_owned())?;
    }
    DRIVER.restart()
}

/// A driver with the hostile handler, under protection.
fn hostile() -> Result<Session> {
    umd_with("require")?;
    modules::load(session::MODULE)?;
    Session::load("hostile")
}

fn fails(answer: &Answer, errno: Errno) -> Result<()> {
    ensure!(
        answer.errno() == Some(errno),
        "{answer:?} came, not {errno}"
    );
    Ok(())
}

fn deadline(context: &Context) -> Result<()> {
    let session = hostile()?;
    session.echo()?;
    let driver = Driver("hostile");
    let pid = driver.pid()?;
    let limit = ms(driver.number("deadline_ms")?);
    let (answer, took) = timed(|| session.call("spin"));
    fails(&answer?, Errno::TIMEDOUT)?;
    context.at_deadline(limit, took)?;
    until("it is gone", || !process::exists(pid))?;
    session.echo()
}

fn restart(_: &Context) -> Result<()> {
    sample_with("require")?;
    let pid = DRIVER.pid()?;
    DRIVER.restart()?;
    until("it is gone", || !process::exists(pid))?;
    sample::ask(3)?;
    Ok(())
}

fn faults(_: &Context) -> Result<()> {
    let session = hostile()?;
    for (ask, end) in [("syscall", "signal 9"), ("segv", "signal 11")] {
        session.echo()?;
        let answer = session.call(ask)?;
        fails(&answer, Errno::CONNRESET).context(ask)?;
        Driver("hostile").await_value("last_exit", end)?;
    }
    session.echo()
}

fn filtered(_: &Context) -> Result<()> {
    umd_with("require")?;
    modules::load(c_api::MODULE)?;
    let command = format!("load-with 0 static {COMPUTE} 0");
    let handler = Process::load("c-filtered", &command)?.fork()?;
    handler.echo()?;
    let pid = handler.pid()?;
    handler.api.bad("ask 0 i 4 4096 0", Errno::FAULT)?;
    until("it is gone", || !process::exists(pid))?;
    Driver("c-filtered").await_value("last_exit", "signal 31")
}

fn exits(_: &Context) -> Result<()> {
    let session = hostile()?;
    fails(&session.call("exit 7")?, Errno::CONNRESET)?;
    Driver("hostile").await_value("last_exit", "exit 7")?;
    session.echo()
}

fn deadline_in_c(context: &Context) -> Result<()> {
    umd_with("require")?;
    modules::load(c_api::MODULE)?;
    let handler = Process::start_for("c-late", 300)?;
    let pid = handler.pid()?;
    let (result, took) = timed(|| handler.api.call("ask 0 h 64 64 0"));
    ensure!(
        result?.err() == Some(Errno::TIMEDOUT),
        "the deadline did not end it"
    );
    context.at_deadline(ms(300), took)?;
    until("it is gone", || !process::exists(pid))
}

fn own_signals(_: &Context) -> Result<()> {
    umd_with("require")?;
    modules::load(c_api::MODULE)?;
    let handler = Process::start("c-stops")?;
    handler.api.repeat("ask 0", 't', 64, 64)
}

/// Made before the handler's hello, when it may still make processes.
fn left_behind(_: &Context) -> Result<()> {
    umd_with("require")?;
    modules::load(session::MODULE)?;
    let session = Session::load("hostile-child")?;
    fails(&session.call("echo")?, Errno::PERM)?;
    Driver("hostile-child").await_value("last_exit", "signal 9")?;
    let mut left = process::handlers();
    left.retain(|pid| !driver::pids().contains(pid));
    ensure!(left.len() == 1, "there are {left:?}");
    for pid in left {
        fs::read_link(process::path(pid, "exe"))?;
        end(pid)?;
    }
    Ok(())
}

fn unloaded(context: &Context) -> Result<()> {
    sample_with("require")?;
    let pid = DRIVER.pid()?;
    let (removed, took) = timed(|| modules::remove(sample::MODULE));
    removed?;
    context.at_once(took)?;
    until("it is gone", || !process::exists(pid))?;
    for name in modules::ours() {
        modules::unload(name)?;
    }
    ensure!(driver::names().is_empty(), "a directory in sysfs is left");
    Ok(())
}

/// What a shutdown does before it unmounts: all are told to end, and those who could be told are waited for.
/// Returns those. Spared are, besides those that systemd spares, the processes that wait for us.
fn kill_everybody() -> Result<Vec<i32>> {
    let mut spared = vec![1];
    let mut next = Some(std::process::id().cast_signed());
    while let Some(pid) = next {
        spared.push(pid);
        next = process::parent(pid).filter(|pid| *pid > 1);
    }
    // So that nobody makes new ones meanwhile.
    attack::kill(-1, 19)?;
    let told: Vec<i32> = process::all()
        .into_iter()
        .filter(|pid| !spared.contains(pid) && !process::is_kernel_thread(*pid))
        .filter(|pid| attack::kill(*pid, 15).is_ok())
        .collect();
    attack::kill(-1, 18)?;
    until("all that were told are gone", || {
        told.iter()
            .all(|pid| attack::kill(*pid, 0) == Err(Errno::SRCH))
    })?;
    Ok(told)
}

fn kill_all(context: &Context) -> Result<()> {
    sample_with("require")?;
    sample::ask(5)?;
    let (handler, other) = (DRIVER.pid()?, sleeper()?);
    let (told, took) = timed(kill_everybody);
    let told = told?;
    ensure!(told == [other], "told were {told:?}, not {other} alone");
    context.at_once(took)?;
    sample::ask(6)?;
    DRIVER.expect("pid", &handler.to_string())
}

fn kill_all_off(context: &Context) -> Result<()> {
    sample_with("off")?;
    sample::ask(5)?;
    let (handler, other) = (DRIVER.pid()?, sleeper()?);
    let (told, took) = timed(kill_everybody);
    let mut told = told?;
    told.sort_unstable();
    let mut wanted = [handler, other];
    wanted.sort_unstable();
    ensure!(told == wanted, "told were {told:?}, not {wanted:?}");
    context.at_once(took)?;
    sample::ask(6)?;
    Ok(())
}

fn auto(_: &Context) -> Result<()> {
    let log = Log::from_now()?;
    sample_with("auto")?;
    log.expect("umd: handlers are protected from root")?;
    let kill = ATTACKS.iter().find(|attack| attack.name == "kill KILL");
    repelled(kill.context("the attack")?, DRIVER.pid()?)
}

fn nonsense(_: &Context) -> Result<()> {
    for name in modules::ours() {
        modules::unload(name)?;
    }
    let file = modules::file("umd")?;
    let log = Log::from_now()?;
    for parameters in [c"protect=yes", c"protect=", c"protect=requires"] {
        let result = modules::insert_with(&file, parameters);
        ensure!(
            result == Err(Errno::INVAL),
            "{parameters:?} gave {result:?}"
        );
        log.expect("is none of off, auto and require")?;
    }
    let result = modules::insert_with(&file, c"pin=2");
    ensure!(result == Err(Errno::INVAL), "pin=2 gave {result:?}");
    ensure!(!modules::is_loaded("umd"), "umd is loaded");
    Ok(())
}

fn read_only(_: &Context) -> Result<()> {
    for (name, value) in [("protect", "require"), ("pin", "N")] {
        umd_with("require")?;
        let found = modules::parameter("umd", name);
        ensure!(found.as_deref() == Some(value), "{name} is {found:?}");
        let written = fs::write(format!("/sys/module/umd/parameters/{name}"), "off");
        let error = written.err().and_then(|error| error.raw_os_error());
        ensure!(
            error == Some(Errno::ACCESS.raw_os_error()),
            "writing to {name}: {error:?}"
        );
    }
    Ok(())
}

/// As when the kernel asks for a module: then a descriptor can be 0.
fn no_files(_: &Context) -> Result<()> {
    for name in modules::ours() {
        modules::unload(name)?;
    }
    let file = modules::file("umd")?;
    let actor = Actor::spawn(&["insert", &file.to_string_lossy(), "protect=require"])?;
    let (inserted, _) = actor.wait()?;
    inserted.context("loading umd")?;
    sample_with("require")?;
    let kill = ATTACKS.iter().find(|attack| attack.name == "kill KILL");
    repelled(kill.context("the attack")?, DRIVER.pid()?)
}

fn rounds(context: &Context) -> Result<()> {
    for name in modules::ours() {
        modules::unload(name)?;
    }
    let (umd, driver) = (modules::file("umd")?, modules::file(sample::MODULE)?);
    let before = attack::settled_bpf_objects()?;
    let round = || -> Result<()> {
        modules::insert_with(&umd, c"protect=require").context("load umd")?;
        let loaded = attack::bpf_objects()?;
        ensure!(loaded != before, "BPF has nothing of ours");
        modules::insert(&driver).context("load the sample")?;
        sample::ask(131_071).context("request")?;
        modules::remove(sample::MODULE).context("unload the sample")?;
        modules::unload("umd")?;
        attack::bpf_objects_become(&before)
    };
    nothing_grows(WARM_UP, context.rounds(30, 60), |count| {
        (0..count).try_for_each(|number| round().with_context(|| format!("round {number}")))
    })
}
