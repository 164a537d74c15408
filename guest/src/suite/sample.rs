// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sample driver: what it answers, and what its files in sysfs say and take.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};

use anyhow::{Context as _, Result, ensure};
use rustix::io::Errno;
use rustix::process::Signal;

use crate::driver;
use crate::harness::{Context, Topic, test};
use crate::sample::{self, DRIVER, MODULE};
use crate::time::{ms, timed};
use crate::{modules, process};

pub(crate) const TOPIC: Topic = Topic {
    name: "sample",
    modules: &[MODULE],
    tests: &[
        test("offsets at every edge", edges),
        test("500 offsets", five_hundred),
        test("a write returns the number of bytes written", length),
        test("what is no offset is refused and asks nobody", no_offsets),
        test("two open files at once", two_files),
        test(
            "every file in sysfs has its mode and a sensible value",
            files,
        ),
        test("files that are not for writing refuse it", read_only),
        test("requests and replies are counted", counters),
        test("deadline_ms takes what is sensible", deadline_values),
        test("deadline_ms is what calls end by", deadline_holds),
        test("restart with 1 gives a new handler", restart),
        test("restart with anything else is refused", no_restart),
        test("a handler that lies is found out", lies),
    ],
};

fn edges(_: &Context) -> Result<()> {
    for offset in [0, 1, 4095, 4096, 65_535, 65_536, 131_071] {
        sample::ask(offset).with_context(|| format!("offset {offset}"))?;
    }
    Ok(())
}

fn five_hundred(context: &Context) -> Result<()> {
    let file = sample::open()?;
    let before = DRIVER.number("replies")?;
    for offset in context.random(2026).take(500) {
        let text = offset.to_string();
        let written = rustix::io::write(&file, text.as_bytes());
        ensure!(written == Ok(text.len()), "offset {offset}: {written:?}");
    }
    let replies = DRIVER.number("replies")? - before;
    ensure!(replies == 500, "{replies} replies");
    DRIVER.expect("starts", "1")
}

fn length(_: &Context) -> Result<()> {
    for text in ["7", "7\n", "000007", "000007\n", "131071\n"] {
        let written = sample::write(text);
        ensure!(written == Ok(text.len()), "{text:?} gave {written:?}");
    }
    Ok(())
}

fn no_offsets(_: &Context) -> Result<()> {
    let digits = "1".repeat(40);
    let long = "0".repeat(5000);
    let texts = [
        "131072", "999999", "-1", "+1", "1x", "x", "", "\n", " 5", "5 ", "5\n\n", "5\0", "0x5",
        "1.0", "0000005", &digits, &long,
    ];
    let before = DRIVER.number("requests")?;
    for text in texts {
        let written = sample::write(text);
        let shown: String = text.chars().take(50).collect();
        ensure!(written == Err(Errno::INVAL), "{shown:?} gave {written:?}");
    }
    let asked = DRIVER.number("requests")? - before;
    ensure!(asked == 0, "{asked} requests were made of them");
    sample::ask(5)?;
    DRIVER.expect("starts", "1")
}

fn two_files(_: &Context) -> Result<()> {
    let (first, second) = (sample::open()?, sample::open()?);
    let users = modules::users(MODULE)?;
    ensure!(users == 2, "{MODULE} has {users} users");
    for _ in 0..20 {
        rustix::io::write(&first, b"1")?;
        rustix::io::write(&second, b"131070")?;
    }
    drop(first);
    rustix::io::write(&second, b"77")?;
    Ok(())
}

/// What a value in sysfs has to look like.
type Sensible = fn(&str) -> bool;

fn number(value: &str) -> bool {
    value
        .parse::<u64>()
        .is_ok_and(|number| number.to_string() == value)
}

fn positive(value: &str) -> bool {
    number(value) && value != "0"
}

/// An errno and words, or that there was none.
fn error(value: &str) -> bool {
    let described = value
        .split_once(' ')
        .is_some_and(|(errno, words)| positive(errno) && !words.is_empty());
    value == "none" || described
}

const FILES: [(&str, u32, Sensible); 16] = [
    ("deadline_ms", 0o644, |value| value == "1000"),
    ("exits", 0o444, number),
    ("last_denied", 0o444, |value| value == "none"),
    ("last_error", 0o444, error),
    ("last_exit", 0o444, |value| {
        value == "none" || value.starts_with("signal ") || value.starts_with("exit ")
    }),
    ("latency_p50_us", 0o444, positive),
    ("latency_p99_us", 0o444, positive),
    ("lockdown", 0o444, |value| {
        value
            .starts_with("element       requested    in-force\nprofile       strict       strict\n")
    }),
    ("lockdown_in_force", 0o444, |value| value == "strict"),
    ("pid", 0o444, positive),
    ("replies", 0o444, positive),
    ("requests", 0o444, positive),
    ("restart", 0o200, |_| false),
    ("starts", 0o444, positive),
    ("state", 0o444, |value| value == "running"),
    ("timeouts", 0o444, number),
];

fn files(_: &Context) -> Result<()> {
    sample::ask(1)?;
    ensure!(
        driver::names() == ["sample"],
        "drivers: {:?}",
        driver::names()
    );
    let mut names = Vec::new();
    for entry in fs::read_dir(DRIVER.path(""))? {
        names.push(entry?.file_name().into_string().unwrap_or_default());
    }
    names.sort();
    let wanted = FILES.map(|(name, _, _)| name);
    ensure!(names == wanted, "the files are {names:?}, not {wanted:?}");
    for (name, mode, sensible) in FILES {
        let found = fs::metadata(DRIVER.path(name))?.permissions().mode() & 0o7777;
        ensure!(found == mode, "{name} has mode {found:o}, not {mode:o}");
        if mode & 0o444 != 0 {
            let value = DRIVER.get(name)?;
            ensure!(sensible(&value), "{name} is {value:?}");
        }
    }
    let found = fs::metadata(sample::PATH)?.permissions().mode() & 0o7777;
    ensure!(
        found == 0o600,
        "{} has mode {found:o}, not 600",
        sample::PATH
    );
    let (median, most) = (
        DRIVER.number("latency_p50_us")?,
        DRIVER.number("latency_p99_us")?,
    );
    ensure!(
        median <= most,
        "latencies: median {median}, 99th percentile {most}"
    );
    Ok(())
}

fn read_only(_: &Context) -> Result<()> {
    for (name, mode, _) in FILES {
        if mode & 0o222 == 0 {
            let result = DRIVER.set(name, "1");
            ensure!(result == Err(Errno::ACCESS), "{name}: {result:?}");
        }
    }
    let secret = fs::read_to_string(DRIVER.path("restart"));
    ensure!(secret.is_err(), "restart can be read: {secret:?}");
    Ok(())
}

fn counters(_: &Context) -> Result<()> {
    let counts = || Ok::<_, anyhow::Error>((DRIVER.number("requests")?, DRIVER.number("replies")?));
    let (requests, replies) = counts()?;
    for offset in 0..10 {
        sample::ask(offset)?;
    }
    ensure!(
        counts()? == (requests + 10, replies + 10),
        "{:?}",
        counts()?
    );
    Ok(())
}

fn deadline_values(_: &Context) -> Result<()> {
    for value in ["1", "250\n", "3600000"] {
        DRIVER
            .set("deadline_ms", value)
            .with_context(|| format!("{value:?}"))?;
        DRIVER.expect("deadline_ms", value.trim())?;
    }
    for value in [
        "0",
        "3600001",
        "-1",
        "x",
        " 5",
        "5 ",
        "1.5",
        "\n",
        "5\n\n",
        "99999999999999999999",
    ] {
        let result = DRIVER.set("deadline_ms", value);
        ensure!(result == Err(Errno::INVAL), "{value:?} gave {result:?}");
        DRIVER.expect("deadline_ms", "3600000")?;
    }
    DRIVER.set("deadline_ms", "1000")?;
    Ok(())
}

fn deadline_holds(context: &Context) -> Result<()> {
    for millis in [50_u32, 300] {
        DRIVER.set("deadline_ms", &millis.to_string())?;
        let timeouts = DRIVER.number("timeouts")?;
        process::signal(DRIVER.pid()?, Signal::STOP)?;
        let (written, took) = timed(|| sample::ask(3));
        DRIVER.set("deadline_ms", "1000")?;
        ensure!(
            written == Err(Errno::TIMEDOUT),
            "the write gave {written:?}"
        );
        context.at_deadline(ms(millis.into()), took)?;
        ensure!(
            DRIVER.number("timeouts")? == timeouts + 1,
            "the timeout was not counted"
        );
        sample::ask(3)?;
    }
    Ok(())
}

fn restart(_: &Context) -> Result<()> {
    for value in ["1", "1\n"] {
        let (pid, starts) = (DRIVER.pid()?, DRIVER.number("starts")?);
        DRIVER
            .set("restart", value)
            .with_context(|| format!("{value:?}"))?;
        ensure!(DRIVER.pid()? != pid, "the handler is still {pid}");
        ensure!(
            DRIVER.number("starts")? == starts + 1,
            "starts is {}",
            DRIVER.get("starts")?
        );
        DRIVER.expect("state", "running")?;
        sample::ask(9)?;
    }
    Ok(())
}

fn no_restart(_: &Context) -> Result<()> {
    let pid = DRIVER.pid()?;
    for value in ["0", "2", "11", "x", "-1", "\n", " 1", "1 1"] {
        let result = DRIVER.set("restart", value);
        ensure!(result == Err(Errno::INVAL), "{value:?} gave {result:?}");
    }
    ensure!(DRIVER.pid()? == pid, "there is a new handler all the same");
    Ok(())
}

/// The handler's code is changed under it, by root, one byte a try. Somewhere there is the 1 that it
/// puts at the offset: made a 2, it gives a reply that is good for the channel and wrong all the same.
fn lies(_: &Context) -> Result<()> {
    let places = ones(DRIVER.pid()?)?;
    let mut found_out = 0;
    DRIVER.set("deadline_ms", "100")?;
    for place in &places {
        DRIVER.restart()?;
        let (pid, replies) = (DRIVER.pid()?, DRIVER.number("replies")?);
        let memory = File::options()
            .write(true)
            .open(process::path(pid, "mem"))?;
        memory.write_at(&[2], code(pid)?.start + place)?;
        let written = sample::ask(77);
        if DRIVER.number("replies")? > replies && written == Err(Errno::BADMSG) {
            found_out += 1;
        }
    }
    DRIVER.set("deadline_ms", "1000")?;
    DRIVER.restart()?;
    sample::ask(77)?;
    ensure!(
        found_out > 0,
        "{} changes of its code, and no reply was found wrong",
        places.len()
    );
    Ok(())
}

/// Where the handler's code is.
fn code(pid: i32) -> Result<std::ops::Range<u64>> {
    let maps = process::read(pid, "maps")?;
    // As in "401000-402000 r-xp 00001000 00:1c 2  /sample".
    let line = maps
        .lines()
        .find(|line| line.contains(" r-xp ") && line.ends_with("/sample"));
    let (range, _) = line
        .context("no code")
        .and_then(|line| line.split_once(' ').context("no range"))?;
    let (from, to) = range.split_once('-').context("no range")?;
    Ok(u64::from_str_radix(from, 16)?..u64::from_str_radix(to, 16)?)
}

/// The offsets in its code of the bytes that are 1.
fn ones(pid: i32) -> Result<Vec<u64>> {
    let range = code(pid)?;
    let mut bytes = vec![0; (range.end - range.start) as usize];
    File::open(process::path(pid, "mem"))?.read_exact_at(&mut bytes, range.start)?;
    let numbered = (0_u64..).zip(bytes);
    Ok(numbered
        .filter(|(_, byte)| *byte == 1)
        .map(|(place, _)| place)
        .collect())
}
