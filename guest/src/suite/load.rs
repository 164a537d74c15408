// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loading modules and registering drivers.

use anyhow::{Context as _, Result, ensure};
use rustix::io::Errno;

use crate::driver::{self, Driver};
use crate::harness::{Context, Topic, test};
use crate::session::{self, Session};
use crate::{modules, process, sample};

pub(crate) const TOPIC: Topic = Topic {
    name: "load",
    modules: &[session::MODULE],
    tests: &[
        test("modprobe brings umd along", brings_umd),
        test("a module with a handler starts it at once", starts),
        test("a module that is there cannot be loaded again", twice),
        test("a registered driver starts nothing", registered),
        test("bad names are refused", names),
        test("a name can be used once", same_name),
        test("a name can be used again later", again),
        test("commands that are none are refused", commands),
    ],
};

fn brings_umd(_: &Context) -> Result<()> {
    for name in modules::ours() {
        modules::unload(name)?;
    }
    modules::load(sample::MODULE)?;
    ensure!(modules::is_loaded("umd"), "umd is not loaded");
    modules::unload(sample::MODULE)?;
    modules::unload("umd")
}

fn starts(_: &Context) -> Result<()> {
    modules::load(sample::MODULE)?;
    sample::DRIVER.expect("state", "running")?;
    sample::DRIVER.expect("starts", "1")?;
    let pid = sample::DRIVER.pid()?;
    ensure!(
        process::handlers() == [pid],
        "handlers {:?}",
        process::handlers()
    );
    modules::unload(sample::MODULE)
}

fn twice(_: &Context) -> Result<()> {
    let file = modules::file(session::MODULE)?;
    let result = modules::insert(&file);
    ensure!(result == Err(Errno::EXIST), "the second gave {result:?}");
    Ok(())
}

fn registered(_: &Context) -> Result<()> {
    let session = Session::load("hostile")?;
    let driver = Driver("hostile");
    driver.expect("state", "loaded")?;
    driver.expect("starts", "0")?;
    driver.expect("pid", "0")?;
    driver.expect("last_exit", "none")?;
    driver.expect("last_error", "none")?;
    driver.expect("lockdown_in_force", "none")?;
    session.start()?.expect(b"")?;
    driver.expect("state", "running")?;
    driver.expect("starts", "1")?;
    driver.expect("lockdown_in_force", "strict")
}

fn names(_: &Context) -> Result<()> {
    let longest = "n".repeat(31);
    let too_long = "n".repeat(32);
    for name in ["", "a/b", "..", "a b", "\u{e4}", &too_long] {
        let session = Session::open()?;
        session
            .command(&format!("load {name}"))?
            .refused(Errno::INVAL, "not registered")
            .with_context(|| format!("name {name:?}"))?;
    }
    for name in ["x", "A-b_9", &longest] {
        Session::load(name).with_context(|| format!("name {name:?}"))?;
    }
    Ok(())
}

fn same_name(_: &Context) -> Result<()> {
    let first = Session::load("hostile")?;
    let second = Session::open()?;
    second
        .command("load hostile")?
        .refused(Errno::EXIST, "not registered")?;
    first.echo()?;
    second.command("load hostile-lax")?.expect(b"")?;
    second.echo()?;
    let pids = driver::pids();
    ensure!(pids.len() == 2, "handlers in service: {pids:?}");
    first.echo()
}

fn again(_: &Context) -> Result<()> {
    let session = Session::open()?;
    for _ in 0..3 {
        session.command("load hostile")?.expect(b"")?;
        session.echo()?;
        session.command("unload")?.expect(b"")?;
        let left = driver::names();
        ensure!(!left.contains(&"hostile".to_owned()), "drivers: {left:?}");
    }
    Ok(())
}

fn commands(_: &Context) -> Result<()> {
    let session = Session::open()?;
    for text in [
        "",
        "nonsense",
        "start",
        "unload",
        "call 1 echo",
        "call x echo a",
    ] {
        let result = session.write(text);
        ensure!(result == Err(Errno::INVAL), "{text:?} gave {result:?}");
    }
    Ok(())
}
