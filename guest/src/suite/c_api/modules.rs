// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whole modules in C: the sample, and such as were written for the facility in the kernel's tree and for
//! its management library.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use rustix::io::Errno;
use rustix::process::Signal;

use crate::driver::Driver;
use crate::harness::{Context, Topic, test};
use crate::sample::Offsets;
use crate::time::{ms, patience, timed, until};
use crate::{driver, modules, process};

pub(crate) const TOPIC: Topic = Topic {
    name: "c modules",
    modules: &["umd"],
    tests: &[
        test("sample: offsets at every edge", edges),
        test(
            "sample: what is no offset is refused and asks nobody",
            no_offsets,
        ),
        test(
            "sample: the loader goes, and comes back with the next request",
            loader_goes,
        ),
        test(
            "sample: a handler that was killed is replaced",
            sample_killed,
        ),
        test(
            "sample: a stopped handler ends by the deadline",
            sample_stopped,
        ),
        test(
            "sample: a handler without its loader is none",
            without_loader,
        ),
        test(
            "sample: rmmod of both while four writers write",
            sample_stress,
        ),
        test("in-tree style: asks, is killed, asks again", old_style),
        test("in-tree style: rmmod with a stopped handler", old_stopped),
        test("in-tree style: in and out, over and over", old_rounds),
        test("an owner that closes everything itself", by_hand),
        test(
            "management library style: loads on demand, is replaced",
            managed_style,
        ),
        test(
            "management library style: in and out, over and over",
            managed_rounds,
        ),
    ],
};

const SAMPLE: &str = "sample_c";
const SAMPLE_LOADER: &str = "sample_c_loader";
const SAMPLE_PATH: &str = "/dev/sample_c";
const SAMPLE_DRIVER: Driver = Driver("sample_c");

/// Opens a file, writes once, closes it.
fn write(path: &str, text: &str) -> Result<usize, Errno> {
    let file = File::options().write(true).open(path);
    let file = file.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    rustix::io::write(&file, text.as_bytes())
}

fn good(path: &str, text: &str) -> Result<()> {
    let written = write(path, text);
    ensure!(
        written == Ok(text.len()),
        "writing {text:?} to {path}: {written:?}"
    );
    Ok(())
}

/// Modules that are loaded, and unloaded when this is dropped; those first that others need.
struct Loaded(&'static [&'static str]);

impl Loaded {
    fn new(modules: &'static [&'static str]) -> Result<Self> {
        let loaded = Self(modules);
        // Loaders come by themselves.
        modules::load(modules.first().context("no module")?)?;
        Ok(loaded)
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        for name in self.0.iter().rev() {
            // The topic's end says so where that fails.
            let _ = modules::unload(name);
        }
    }
}

fn sample() -> Result<Loaded> {
    Loaded::new(&[SAMPLE, SAMPLE_LOADER])
}

fn edges(context: &Context) -> Result<()> {
    let _sample = sample()?;
    ensure!(!modules::is_loaded(SAMPLE_LOADER), "loaded before its time");
    for offset in [0, 1, 4095, 4096, 65_535, 65_536, 131_071] {
        good(SAMPLE_PATH, &offset.to_string())?;
    }
    ensure!(modules::is_loaded(SAMPLE_LOADER), "not loaded on demand");
    for offset in context.random(2026).take(100) {
        good(SAMPLE_PATH, &format!("{offset}\n"))?;
    }
    Ok(())
}

fn no_offsets(_: &Context) -> Result<()> {
    let _sample = sample()?;
    for text in [
        "131072",
        "-1",
        "x",
        "\n",
        "1 1",
        "4294967296",
        "99999999999999999999",
    ] {
        let written = write(SAMPLE_PATH, text);
        ensure!(
            matches!(written, Err(Errno::INVAL | Errno::RANGE)),
            "{text:?} gave {written:?}"
        );
    }
    ensure!(!modules::is_loaded(SAMPLE_LOADER), "somebody was asked");
    Ok(())
}

fn loader_goes(_: &Context) -> Result<()> {
    let _sample = sample()?;
    for _ in 0..5 {
        good(SAMPLE_PATH, "77")?;
        modules::remove(SAMPLE_LOADER)?;
        ensure!(process::handlers().is_empty(), "the handler is still there");
    }
    good(SAMPLE_PATH, "77")
}

fn sample_killed(_: &Context) -> Result<()> {
    let _sample = sample()?;
    good(SAMPLE_PATH, "1")?;
    for _ in 0..20 {
        process::signal(SAMPLE_DRIVER.pid()?, Signal::KILL)?;
        good(SAMPLE_PATH, "2")?;
    }
    Ok(())
}

fn sample_stopped(context: &Context) -> Result<()> {
    let _sample = sample()?;
    good(SAMPLE_PATH, "1")?;
    SAMPLE_DRIVER.set("deadline_ms", "300")?;
    process::signal(SAMPLE_DRIVER.pid()?, Signal::STOP)?;
    let (written, took) = timed(|| write(SAMPLE_PATH, "2"));
    ensure!(written == Err(Errno::TIMEDOUT), "it gave {written:?}");
    context.at_deadline(ms(300), took)?;
    good(SAMPLE_PATH, "3")
}

fn without_loader(context: &Context) -> Result<()> {
    let _sample = sample()?;
    // The loader of the test before is long gone: so soon after it, modprobe would be run again.
    thread::sleep(ms(600));
    let setting = "/proc/sys/kernel/modprobe";
    let before = std::fs::read_to_string(setting)?;
    std::fs::write(setting, "/bin/false")?;
    let (written, took) = timed(|| write(SAMPLE_PATH, "1"));
    std::fs::write(setting, before)?;
    ensure!(written == Err(Errno::NOPROTOOPT), "it gave {written:?}");
    context.at_once(took)?;
    modules::load(SAMPLE_LOADER)?;
    good(SAMPLE_PATH, "1")
}

/// How often the manager has to be unloaded between two writes.
const REMOVALS: u32 = 5;

fn sample_stress(context: &Context) -> Result<()> {
    let sample = sample()?;
    let over = AtomicBool::new(false);
    let removals = thread::scope(|scope| -> Result<u32> {
        let writers: Vec<_> = (1..=4)
            .map(|seed| {
                let over = &over;
                scope.spawn(move || writer(context.random(seed), over))
            })
            .collect();
        let mut removals = 0;
        let begin = Instant::now();
        while removals < REMOVALS && begin.elapsed() < patience() {
            thread::sleep(ms(7));
            // It may not be loaded, or be in use just now; then the manager stays as well.
            let _ = modules::remove(SAMPLE_LOADER);
            if modules::remove(SAMPLE).is_ok() {
                removals += 1;
                modules::load(SAMPLE)?;
            }
        }
        over.store(true, Ordering::Relaxed);
        for writer in writers {
            writer
                .join()
                .map_err(|_| anyhow::anyhow!("a writer panicked"))??;
        }
        Ok(removals)
    })?;
    drop(sample);
    ensure!(
        !modules::is_loaded(SAMPLE) && !modules::is_loaded(SAMPLE_LOADER),
        "a module stays"
    );
    ensure!(
        removals >= REMOVALS,
        "the manager was unloaded {removals} times only"
    );
    Ok(())
}

/// Writes until it is over; modules come and go meanwhile, and nothing else may go wrong.
fn writer(offsets: Offsets, over: &AtomicBool) -> Result<()> {
    for offset in offsets {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let written = write(SAMPLE_PATH, &offset.to_string());
        ensure!(
            matches!(
                written,
                Ok(_)
                    | Err(Errno::NOENT | Errno::NODEV | Errno::NXIO | Errno::NOPROTOOPT)
                    // On a slow machine modprobe takes as long as that.
                    | Err(Errno::TIMEDOUT)
            ),
            "a writer got {written:?}"
        );
        // Moments in which nobody has a file open, nor waits for modprobe.
        thread::sleep(ms(u64::from(offset % 200)));
    }
    Ok(())
}

const OLD: &str = "umd_c_old";
const OLD_PATH: &str = "/sys/kernel/debug/umd_c_old";

fn old_style(_: &Context) -> Result<()> {
    let _old = Loaded::new(&[OLD])?;
    let driver = Driver(OLD);
    for number in 0..20 {
        good(OLD_PATH, &number.to_string())?;
    }
    for _ in 0..10 {
        let pid = driver.kill_handler()?;
        good(OLD_PATH, "7")?;
        ensure!(driver.pid()? != pid, "still the same process");
    }
    Ok(())
}

fn old_stopped(context: &Context) -> Result<()> {
    let _old = Loaded::new(&[OLD])?;
    let pid = Driver(OLD).pid()?;
    process::signal(pid, Signal::STOP)?;
    let (removed, took) = timed(|| modules::remove(OLD));
    removed?;
    context.at_once(took)?;
    until("the handler is gone", || !process::exists(pid))
}

fn old_rounds(context: &Context) -> Result<()> {
    for _ in 0..context.rounds(8, 20) {
        modules::load(OLD)?;
        good(OLD_PATH, "9")?;
        modules::remove(OLD)?;
    }
    ensure!(!Path::new(OLD_PATH).exists(), "its file is left");
    ensure!(driver::names().is_empty(), "sysfs: {:?}", driver::names());
    Ok(())
}

fn by_hand(_: &Context) -> Result<()> {
    let _by_hand = Loaded::new(&["umd_c_byhand"])?;
    for number in 0..50 {
        good(
            "/sys/module/umd_c_byhand/parameters/ask",
            &number.to_string(),
        )?;
    }
    until("no handler is left", || process::handlers().is_empty())
}

const MANAGED: &str = "umd_c_managed";
const MANAGED_LOADER: &str = "umd_c_managed_loader";
const MANAGED_PATH: &str = "/sys/kernel/security/umd_c_managed";

fn managed_style(_: &Context) -> Result<()> {
    let _managed = Loaded::new(&[MANAGED, MANAGED_LOADER])?;
    ensure!(
        !modules::is_loaded(MANAGED_LOADER),
        "loaded before its time"
    );
    good(MANAGED_PATH, "repeat this")?;
    ensure!(modules::is_loaded(MANAGED_LOADER), "not loaded on demand");
    let driver = Driver(MANAGED);
    for _ in 0..20 {
        process::signal(driver.pid()?, Signal::KILL)?;
        good(MANAGED_PATH, "and this")?;
    }
    modules::remove(MANAGED_LOADER)?;
    good(MANAGED_PATH, "and again")
}

fn managed_rounds(context: &Context) -> Result<()> {
    for _ in 0..context.rounds(8, 20) {
        modules::load(MANAGED)?;
        good(MANAGED_PATH, "once")?;
        modules::remove(MANAGED_LOADER)?;
        modules::remove(MANAGED)?;
    }
    ensure!(driver::names().is_empty(), "sysfs: {:?}", driver::names());
    Ok(())
}
