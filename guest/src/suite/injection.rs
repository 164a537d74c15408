// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that is refused and functions that fail, at each place where they can: an error, and nothing left.
//!
//! Two ways lead to each place. What a caller's own thread asks for is counted, and the first, the second, … is
//! refused until there are no more. What others ask for on its behalf (a kernel worker, the handler) is found by
//! the number of bytes that were granted before.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use bpfilter_proto::abi;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, socket};

use crate::c_api::{self, Api};
use crate::driver::Driver;
use crate::harness::{Context, Topic, test_where};
use crate::injector::{ALL, Code, Failing, Injector, SLAB, code_of_function, code_of_module};
use crate::session::{self, Answer, Session};
use crate::time::patience;
use crate::{iptables, modules, sample, sockopt};

pub(crate) const TOPIC: Topic = Topic {
    name: "injection",
    modules: &["umd", session::MODULE, c_api::MODULE],
    tests: &[
        test_where(SLAB, "umd.ko is loaded", umd),
        test_where(SLAB, "a driver module is loaded", driver_module),
        test_where(SLAB, "a driver module is unloaded", module_goes),
        test_where(SLAB, "a file is opened", opened),
        test_where(SLAB, "a driver is registered", registered),
        test_where(SLAB, "a handler is started", started),
        test_where(SLAB, "a call", call),
        test_where(SLAB, "a call that starts the handler", first_call),
        test_where(SLAB, "a restart", restart),
        test_where(SLAB, "a driver goes", unregistered),
        test_where(SLAB, "c api: load, fork, exchange, cleanup, unload", c_api),
        test_where(SLAB, "bpfilter: hook, questions, a new table", bpfilter),
        test_where(SLAB, "whoever works for umd", workers),
        test_where(
            SLAB,
            "who makes the process, and what executes the image",
            makers,
        ),
        test_where(
            SLAB,
            "a handler that cannot give up its ids does not serve",
            ids,
        ),
        test_where(
            SLAB,
            "a handler whose launcher cannot do its work is not executed",
            launcher,
        ),
    ],
};

/// What refused memory may look like: memory of the kernel's, and the caller's own.
const REFUSED: &[Errno] = &[Errno::NOMEM, Errno::FAULT];

/// And where the process that was to serve did not come to it.
const NOT_STARTED: &[Errno] = &[Errno::NOMEM, Errno::FAULT, Errno::AGAIN, Errno::CONNREFUSED];

/// More places than that are no way through a kernel but a loop.
const MOST: u32 = 5_000;

type Outcome = Result<(), Errno>;

/// Does something with the first fault of its thread's own, with the second, …, and at last with none. `work` says
/// how that went; `after` is told the same, and then makes sure that it works without a fault and leaves all as
/// it was before.
fn each_place(
    what: &str,
    below: &Code,
    allowed: &[Errno],
    mut work: impl FnMut() -> Outcome,
    mut after: impl FnMut(Outcome) -> Result<()>,
) -> Result<()> {
    let (mut refused, mut borne) = (0, 0);
    let injector = Injector::below(below)?;
    for nth in 1..MOST {
        let (outcome, happened) = injector.nth(nth, &mut work)?;
        let place = || format!("{what}: fault {nth}, which gave {outcome:?}");
        match outcome {
            Err(error) if !happened => bail!("{what}: {error} without a fault"),
            Err(error) => {
                ensure!(allowed.contains(&error), "{}", place());
                refused += 1;
            }
            Ok(()) => borne += u32::from(happened),
        }
        after(outcome).with_context(place)?;
        if !happened {
            println!("# {what}: {refused} faults refused it, {borne} did no harm");
            ensure!(
                refused + borne > 0,
                "{what}: there was no place for a fault"
            );
            return Ok(());
        }
    }
    bail!("{what}: more than {MOST} places")
}

fn outcome<T>(result: Result<T, Errno>) -> Outcome {
    result.map(drop)
}

/// The outcome of a command of a session's: of its write, and of what that left to be read.
fn told(session: &Session, written: Outcome) -> Result<Outcome> {
    if written.is_err() {
        return Ok(written);
    }
    Ok(match session.result()? {
        Answer::Good(_) => Ok(()),
        Answer::Bad(errno, _) => Err(errno),
    })
}

/// [`each_place`] for a command of a session's: `before` and `after` are what is done without faults.
fn each_place_of(
    command: &str,
    allowed: &[Errno],
    before: impl Fn() -> Result<Session>,
    after: impl Fn(&Session, Outcome) -> Result<()>,
) -> Result<()> {
    let below = code_of_module("umd")?;
    for below in [&below, &ALL] {
        let mut session = before()?;
        let name = match below == &ALL {
            true => command.to_owned(),
            false => format!("{command}, in umd"),
        };
        let (mut refused, mut borne) = (0, 0);
        let injector = Injector::below(below)?;
        for nth in 1..MOST {
            let (written, happened) = injector.nth(nth, || session.write(command))?;
            let outcome = told(&session, outcome(written))?;
            let place = || format!("{name}: fault {nth}, which gave {outcome:?}");
            match outcome {
                Err(error) if !happened => bail!("{name}: {error} without a fault"),
                Err(error) => {
                    ensure!(allowed.contains(&error), "{}", place());
                    refused += 1;
                }
                Ok(()) => borne += u32::from(happened),
            }
            after(&session, outcome).with_context(place)?;
            drop(session);
            if !happened {
                break;
            }
            ensure!(nth + 1 < MOST, "{name}: more than {MOST} places");
            session = before()?;
        }
        println!("# {name}: {refused} faults refused it, {borne} did no harm");
    }
    Ok(())
}

fn file(name: &str) -> Result<File> {
    Ok(File::open(modules::file(name)?)?)
}

fn insert(file: &File) -> Outcome {
    rustix::system::finit_module(file, c"", 0)
}

/// All our modules but umd.ko, and perhaps that, are gone.
fn alone(umd: bool) -> Result<()> {
    for name in modules::ours() {
        if umd || name != "umd" {
            modules::unload(name)?;
        }
    }
    Ok(())
}

fn umd(_: &Context) -> Result<()> {
    alone(true)?;
    let file = file("umd")?;
    // Its own code only: the kernel's trace events warn of themselves where they get no memory for a new module's.
    let init = code_of_function("do_one_initcall")?;
    each_place(
        "umd.ko",
        &init,
        REFUSED,
        || insert(&file),
        |outcome| {
            if outcome.is_err() {
                ensure!(!modules::is_loaded("umd"), "it is loaded all the same");
                ensure!(
                    !Path::new("/sys/kernel/umd").exists(),
                    "its directory is left"
                );
                insert(&file).context("without a fault")?;
            }
            modules::unload("umd")
        },
    )
}

fn driver_module(_: &Context) -> Result<()> {
    alone(false)?;
    let file = file(sample::MODULE)?;
    for below in [code_of_module("umd")?, ALL] {
        let what = if below == ALL {
            "module"
        } else {
            "module, in umd"
        };
        each_place(
            what,
            &below,
            REFUSED,
            || insert(&file),
            |outcome| {
                if outcome.is_err() {
                    ensure!(
                        !modules::is_loaded(sample::MODULE),
                        "it is loaded all the same"
                    );
                    ensure!(crate::driver::names().is_empty(), "a driver is left");
                    insert(&file).context("without a fault")?;
                }
                sample::ask(77).context("a request")?;
                modules::unload(sample::MODULE)
            },
        )?;
    }
    Ok(())
}

fn module_goes(_: &Context) -> Result<()> {
    alone(false)?;
    let file = file(sample::MODULE)?;
    insert(&file)?;
    each_place(
        "rmmod",
        &ALL,
        REFUSED,
        || modules::remove(sample::MODULE),
        |outcome| {
            if outcome.is_err() {
                sample::ask(77).context("a request")?;
                modules::unload(sample::MODULE)?;
            }
            ensure!(!modules::is_loaded(sample::MODULE), "it is still there");
            Ok(insert(&file)?)
        },
    )?;
    modules::unload(sample::MODULE)
}

fn opened(_: &Context) -> Result<()> {
    modules::load(sample::MODULE)?;
    each_place(
        "open",
        &ALL,
        REFUSED,
        || outcome(sample::open()),
        |_| outcome(sample::ask(77)).context("without a fault"),
    )
}

const HOSTILE: Driver = Driver("hostile");

fn registered(_: &Context) -> Result<()> {
    each_place_of(
        "load hostile",
        REFUSED,
        Session::open,
        |session, outcome| {
            if outcome.is_err() {
                session.command("load hostile")?.expect(b"")?;
            }
            session.echo()
        },
    )
}

fn started(_: &Context) -> Result<()> {
    let load = || Session::load("hostile");
    each_place_of("start", NOT_STARTED, load, |session, outcome| {
        match outcome {
            Ok(()) => HOSTILE.expect("state", "running")?,
            Err(_) => HOSTILE.expect("pid", "0")?,
        }
        session.start()?.expect(b"")?;
        session.echo()
    })
}

fn call(_: &Context) -> Result<()> {
    let started = || {
        let session = Session::load("hostile")?;
        session.echo()?;
        Ok(session)
    };
    each_place_of("call 64 echo a", REFUSED, started, |session, outcome| {
        if outcome.is_ok() {
            session.result()?.expect(b"a")?;
        }
        session.echo()?;
        // Nothing that happens to a caller is the handler's fault.
        HOSTILE.expect("starts", "1")
    })
}

fn first_call(_: &Context) -> Result<()> {
    let load = || Session::load("hostile");
    each_place_of(
        "call 64 echo first",
        NOT_STARTED,
        load,
        |session, outcome| {
            if outcome.is_ok() {
                session.result()?.expect(b"first")?;
            }
            session.echo()
        },
    )
}

fn restart(_: &Context) -> Result<()> {
    modules::load(sample::MODULE)?;
    let path = sample::DRIVER.path("restart");
    let file = File::options().write(true).open(path)?;
    let work = || outcome(rustix::io::pwrite(&file, b"1", 0));
    each_place("restart", &ALL, NOT_STARTED, work, |outcome| {
        sample::ask(77).context("a request")?;
        if outcome.is_err() {
            sample::DRIVER.restart()?;
        }
        sample::ask(78)
            .context("a request after a restart")
            .map(drop)
    })
}

fn unregistered(_: &Context) -> Result<()> {
    let started = || {
        let session = Session::load("hostile")?;
        session.echo()?;
        Ok(session)
    };
    each_place_of("unload", REFUSED, started, |session, outcome| {
        if outcome.is_err() {
            session.echo()?;
            session.command("unload")?.expect(b"")?;
        }
        let names = crate::driver::names();
        ensure!(!names.contains(&"hostile".to_owned()), "drivers: {names:?}");
        Ok(())
    })
}

fn c_api(_: &Context) -> Result<()> {
    let (umd, device) = (code_of_module("umd")?, Api::open()?);
    device.good("name 0 c-injected")?;
    for below in [umd, ALL] {
        for (command, before, undo) in [
            ("load 0 static", &[][..], &["unload 0"][..]),
            ("fork 0", &["load 0 static"], &["cleanup 0", "unload 0"]),
            (
                "ask 0 e 64 64 1",
                &["load 0 static", "fork 0"],
                &["cleanup 0", "unload 0"],
            ),
            (
                "ask 0 e 65537 64 1",
                &["load 0 static", "fork 0"],
                &["cleanup 0", "unload 0"],
            ),
            (
                "write 0 e 64 64 0",
                &["load 0 static", "fork 0"],
                &["cleanup 0", "unload 0"],
            ),
        ] {
            // All that an exchange asks for is its caller's.
            if below != ALL
                && ["ask", "write"]
                    .iter()
                    .any(|word| command.starts_with(word))
            {
                continue;
            }
            let prepare = || {
                before
                    .iter()
                    .try_for_each(|text| device.good(text).map(drop))
            };
            let what = if below == ALL {
                command.to_owned()
            } else {
                format!("{command}, in umd")
            };
            prepare()?;
            each_place(
                &what,
                &below,
                NOT_STARTED,
                || outcome(device.raw(command)),
                |outcome| {
                    // An exchange that failed may have ended the process; all else is as it was.
                    if outcome.is_err()
                        && !command.starts_with("ask")
                        && !command.starts_with("write")
                    {
                        device.good(command).context("without a fault")?;
                    }
                    undo.iter()
                        .try_for_each(|text| device.good(text).map(drop))?;
                    prepare()
                },
            )?;
            // What `prepare` made for a next round that does not come.
            let made = before.len();
            undo.iter()
                .skip(undo.len() - made)
                .try_for_each(|text| device.good(text).map(drop))?;
        }
    }
    Ok(())
}

const BPFILTER: &str = "bpfilter_umd";
const BPFILTER_LOADER: &str = "bpfilter_umd_loader";

/// A question that the handler answers, however long its loader takes.
fn ask_bpfilter() -> Result<()> {
    Driver("bpfilter").set_deadline(patience())?;
    outcome(iptables::info("bpfilter")).context("a question")
}

fn bpfilter(_: &Context) -> Result<()> {
    let file = file(BPFILTER)?;
    // What the kernel does to load a module is the same as for the sample's.
    let init = code_of_function("do_one_initcall")?;
    each_place(
        "bpfilter_umd.ko",
        &init,
        REFUSED,
        || insert(&file),
        |outcome| {
            if outcome.is_err() {
                ensure!(!modules::is_loaded(BPFILTER), "it is loaded all the same");
                insert(&file).context("without a fault")?;
            }
            ask_bpfilter()?;
            modules::unload(BPFILTER_LOADER)?;
            modules::unload(BPFILTER)
        },
    )?;
    insert(&file)?;
    ask_bpfilter()?;
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    let mut value = iptables::named("bpfilter", abi::info::LEN);
    let ask = || {
        let option = abi::GET_INFO.cast_signed();
        outcome(sockopt::get(&socket, sockopt::IP, option, &mut value))
    };
    // Whatever befalls us, the kernel is asked: it has no such table.
    let kernels = [NOT_STARTED, &[Errno::NOPROTOOPT, Errno::NOENT]].concat();
    each_place("a question", &ALL, &kernels, ask, |_| {
        outcome(iptables::info("bpfilter")).context("without a fault")
    })?;
    modules::unload(BPFILTER_LOADER)?;
    modules::unload(BPFILTER)
}

/// From nothing to an answer and back.
fn life() -> Result<Outcome> {
    let session = Session::open()?;
    for command in ["load hostile", "start", "call 64 echo life", "unload"] {
        let written = session.write(command);
        let told = told(&session, outcome(written))?;
        if told.is_err() {
            return Ok(told);
        }
    }
    Ok(Ok(()))
}

/// One refusal after each `step` bytes of what a life takes below this code.
fn lives(what: &str, below: &Code, step: u64) -> Result<()> {
    let injector = Injector::below(below)?;
    let whole = injector.taken_by(|| Ok(life()??))?;
    let (mut refused, mut borne) = (0, 0);
    for space in (0..=whole).step_by(usize::try_from(step)?) {
        let (outcome, happened) = injector.after(space, life)?;
        let place = || format!("{what}: a fault after {space} of {whole} bytes");
        match outcome.with_context(place)? {
            Err(error) => {
                ensure!(happened, "{what}: {error} without a fault");
                ensure!(NOT_STARTED.contains(&error), "{}: {error}", place());
                refused += 1;
            }
            Ok(()) => borne += u32::from(happened),
        }
        life()?.with_context(place).context("without a fault")?;
    }
    println!("# {what}: {whole} bytes; {refused} faults refused it, {borne} did no harm");
    ensure!(refused > 0, "{what}: no fault was noticed");
    Ok(())
}

fn workers(_: &Context) -> Result<()> {
    lives("below umd", &code_of_module("umd")?, 64)
}

fn makers(_: &Context) -> Result<()> {
    for (name, step) in [
        ("call_usermodehelper_exec_work", 512),
        ("call_usermodehelper_exec_async", 512),
    ] {
        lives(name, &code_of_function(name)?, step)?;
    }
    Ok(())
}

/// Does something of which a function of the kernel's fails once. Fails where it was not called.
fn with_failing<R>(function: &'static str, work: impl FnOnce() -> R) -> Result<R> {
    let failing = Failing::new(function, Errno::NOMEM, 1)?;
    let result = work();
    ensure!(failing.left()? == 0, "{function} was not called");
    Ok(result)
}

fn ids(_: &Context) -> Result<()> {
    for function in [
        "__x64_sys_setgroups",
        "__x64_sys_setresgid",
        "__x64_sys_setresuid",
        "__x64_sys_prctl",
    ] {
        let session = Session::load("hostile")?;
        let answer = with_failing(function, || session.start())??;
        match function {
            "__x64_sys_setresgid" | "__x64_sys_setresuid" => {
                answer.refused(Errno::PERM, "").context(function)?;
                session.start()?.expect(b"").context(function)?;
            }
            // It had no groups, and strict mode is set by the host as well.
            _ => answer.expect(b"").context(function)?,
        }
        session.echo()?;
    }
    Ok(())
}

fn launcher(_: &Context) -> Result<()> {
    let device = Api::open()?;
    device.good("name 0 c-launched")?;
    device.good("load 0 static")?;
    for function in [
        "__x64_sys_setgroups",
        "__x64_sys_setresgid",
        "__x64_sys_setresuid",
        "__x64_sys_setrlimit",
        "__x64_sys_chdir",
        "__x64_sys_fcntl",
        "__x64_sys_execveat",
    ] {
        let result = with_failing(function, || device.raw("fork 0"))?;
        ensure!(result == Err(Errno::NOMEM), "{function}: {result:?}");
        device.good("fork 0").context(function)?;
        device.echo("ask 0", 64, 64).context(function)?;
        device.good("cleanup 0")?;
    }
    device.good("unload 0").map(drop)
}
