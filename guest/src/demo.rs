// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tour: what umd does, each line something that was just observed.

use std::fmt::Display;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::io::Errno;
use rustix::process::Signal;

use crate::driver::Driver;
use crate::sample::{self, DRIVER, MODULE, Offsets};
use crate::session::Session;
use crate::time::{ms, timed, until};
use crate::{kernel, modules, process};

/// The deadline that the tour sets, so that nobody has to wait for it.
const DEADLINE: Duration = ms(300);

fn chapter(title: &str) {
    println!("\n{title}");
}

fn line(what: &str, seen: impl Display) {
    println!("  {what:<44} {seen}");
}

/// What a write gave, in words.
fn told<T>(result: Result<T, Errno>) -> String {
    match result {
        Ok(_) => "reply checked, all 131072 bytes".to_owned(),
        Err(Errno::TIMEDOUT) => "ETIMEDOUT".to_owned(),
        Err(Errno::CONNRESET) => "ECONNRESET".to_owned(),
        Err(Errno::CONNREFUSED) => "ECONNREFUSED".to_owned(),
        Err(Errno::HOSTDOWN) => "EHOSTDOWN".to_owned(),
        Err(Errno::INVAL) => "EINVAL".to_owned(),
        Err(Errno::AGAIN) => "in use".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// Tells the story; an error is an observation that was not as it should be.
pub(crate) fn run() -> Result<bool> {
    let mounts = kernel::mounts()?;
    load()?;
    handler()?;
    offsets()?;
    killed()?;
    stopped()?;
    crashing()?;
    unload()?;
    chapter("Nothing is left");
    let handlers = process::handlers();
    line("handlers among the processes", handlers.len());
    line("modules of umd", modules::ours().len());
    line("mounts as before", kernel::mounts()? == mounts);
    ensure!(handlers.is_empty(), "handlers are left: {handlers:?}");
    ensure!(modules::ours().is_empty(), "modules are left");
    ensure!(kernel::mounts()? == mounts, "a mount is left");
    Ok(true)
}

fn load() -> Result<()> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    println!("A user mode driver on the stock kernel {}", release.trim());
    chapter("modprobe sample_umd");
    modules::load(MODULE)?;
    line("state", DRIVER.get("state")?);
    DRIVER.expect("state", "running")
}

fn handler() -> Result<()> {
    chapter("Its handler is a process that can do nothing");
    let pid = DRIVER.pid()?;
    line("process id", pid);
    for (what, field, wanted) in [
        ("user ids", "Uid", "65534 65534 65534 65534"),
        ("supplementary groups", "Groups", ""),
        ("capabilities", "CapEff", "0000000000000000"),
        ("no_new_privs", "NoNewPrivs", "1"),
        ("seccomp (1: read, write, exit)", "Seccomp", "1"),
    ] {
        let value = process::status(pid, field)?;
        line(what, if value.is_empty() { "none" } else { &value });
        ensure!(value == wanted, "{field} is {value:?}, not {wanted:?}");
    }
    let root: Vec<String> = fs::read_dir(process::path(pid, "root"))?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    line("all files in its root directory", root.join(" "));
    ensure!(root == ["sample"], "its root holds {root:?}");
    Ok(())
}

fn offsets() -> Result<()> {
    chapter("500 requests: 4 bytes there, 128 KiB back");
    for offset in Offsets::new(1).take(500) {
        sample::ask(offset)?;
    }
    line("replies, each byte checked", DRIVER.get("replies")?);
    let refused = sample::write("131072");
    line("an offset out of range", told(refused));
    ensure!(refused == Err(Errno::INVAL), "131072 was not refused");
    Ok(())
}

fn killed() -> Result<()> {
    chapter("kill -9 the handler");
    let old = DRIVER.kill_handler()?;
    let next = sample::ask(7);
    line("the next write", told(next));
    let new = DRIVER.pid()?;
    line("process id", format!("{old} -> {new}"));
    ensure!(next.is_ok() && new != old, "no new handler");
    Ok(())
}

fn stopped() -> Result<()> {
    chapter("kill -STOP the handler: it hangs");
    DRIVER.set("deadline_ms", &DEADLINE.as_millis().to_string())?;
    let old = DRIVER.pid()?;
    process::signal(old, Signal::STOP)?;
    let (result, took) = timed(|| sample::ask(8));
    line(
        &format!("a write, with a deadline of {DEADLINE:?}"),
        format!("{} after {took:.0?}", told(result)),
    );
    ensure!(result == Err(Errno::TIMEDOUT), "the write did not time out");
    let next = sample::ask(9);
    line("the next write", told(next));
    line("process id", format!("{old} -> {}", DRIVER.pid()?));
    ensure!(next.is_ok(), "the next write failed");
    Ok(())
}

fn crashing() -> Result<()> {
    chapter("A handler that crashes at every start");
    modules::load("umd_test")?;
    let driver = Driver("hostile-segv");
    let session = Session::load(driver.0)?;
    for attempt in 1.. {
        let result = session.start();
        let state = driver.get("state")?;
        line(&format!("start {attempt}"), format!("{}; {state}", result?));
        if state == "failed" {
            break;
        }
        ensure!(attempt < 20, "it never failed for good");
    }
    let starts = driver.number("starts")?;
    let (_, took) = timed(|| session.start());
    line(
        "one more",
        format!("refused after {took:.0?}, {starts} starts in all"),
    );
    ensure!(driver.number("starts")? == starts, "it was started again");
    drop(session);
    modules::unload("umd_test")
}

fn unload() -> Result<()> {
    chapter("rmmod with a request in flight");
    let file = sample::open()?;
    let pid = DRIVER.pid()?;
    process::signal(pid, Signal::STOP)?;
    let caller = thread::spawn(move || {
        let result = rustix::io::write(&file, b"10");
        (result, OwnedFd::from(file))
    });
    until("the caller waits", || process::waiting_threads() > 0)?;
    let (refused, took) = timed(|| modules::remove(MODULE));
    line(
        "rmmod sample_umd, file open",
        format!("{} after {took:.0?}", told(refused)),
    );
    ensure!(refused == Err(Errno::AGAIN), "rmmod was not refused");
    let (result, file) = caller
        .join()
        .map_err(|_| anyhow::anyhow!("the caller panicked"))?;
    line("the request", told(result));
    ensure!(
        result == Err(Errno::TIMEDOUT),
        "the request did not time out"
    );
    drop::<File>(file.into());
    modules::unload(MODULE)?;
    line("rmmod sample_umd, file closed", "done");
    modules::unload("umd")?;
    line("rmmod umd", "done");
    Ok(())
}
