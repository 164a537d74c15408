// SPDX-License-Identifier: MIT OR Apache-2.0
//! Callers who mean harm: what they get, that nobody else does, and that the next honest one is served.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bpfilter_proto::abi;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::process::Signal;

use crate::actor::Actor;
use crate::driver::Driver;
use crate::harness::{Context, Topic, test};
use crate::iptables::{self, named};
use crate::raw::{self, Area, NOWHERE, PAGE};
use crate::sample::{self, DRIVER};
use crate::session::{self, Session};
use crate::time::{ms, timed, until};
use crate::{modules, process};

pub(crate) const TOPIC: Topic = Topic {
    name: "hostile callers",
    modules: &[sample::MODULE, session::MODULE, BPFILTER],
    tests: &[
        test("text from where there is no memory: EFAULT", bad_texts),
        test("text across the end of memory", across),
        test("results to where there is no memory: EFAULT", bad_rooms),
        test("lengths from nothing to all there are", lengths),
        test("a text that changes while it is copied", changing_text),
        test(
            "memory that comes and goes while it is copied",
            vanishing_text,
        ),
        test("what the files are not made for", odd_calls),
        test("signals at each step", signals),
        test("killed at each step", killed),
        test(
            "a thousand callers: 65 are served, the others turned away",
            thousand,
        ),
        test("a thousand callers with one open file", thousand_one_file),
        test("closed while another thread is in it", closed),
        test("the sample in C, by the same callers", sample_c),
        test(
            "socket options: bad addresses are as without us",
            options_astray,
        ),
        test(
            "socket options: every length is as without us",
            option_lengths,
        ),
        test(
            "socket options: a length where the value is, and results to a page to read",
            option_rooms,
        ),
        test(
            "socket options: old counters to where there is no memory",
            counters_astray,
        ),
        test(
            "socket options that change and vanish while they are copied",
            changing_options,
        ),
        test(
            "socket options: signals and kills at each step",
            option_signals,
        ),
    ],
};

const BPFILTER: &str = "bpfilter_umd";

/// The sample in C: its file, and its modules, each before what needs it.
const SAMPLE_C: &str = "/dev/sample_c";
const SAMPLE_C_MODULES: [&str; 2] = ["sample_c", "sample_c_loader"];

fn open(path: &str) -> Result<File> {
    let file = File::options().read(true).write(true).open(path);
    file.with_context(|| format!("opening {path}"))
}

/// An honest caller is served.
fn honest(path: &str) -> Result<()> {
    for offset in ["0", "131071"] {
        let written = rustix::io::write(open(path)?, offset.as_bytes());
        ensure!(
            written == Ok(offset.len()),
            "an honest caller got {written:?}"
        );
    }
    Ok(())
}

/// Nothing of this was for the handler, which is the same as before.
fn unasked<R>(work: impl FnOnce() -> Result<R>) -> Result<R> {
    let before = (DRIVER.pid()?, DRIVER.number("requests")?);
    let result = work()?;
    let after = (DRIVER.pid()?, DRIVER.number("requests")?);
    ensure!(
        before == after,
        "pid and requests were {before:?} and are {after:?}"
    );
    honest(sample::PATH)?;
    Ok(result)
}

/// Nobody was hurt: the handler is the same as before.
fn unharmed<R>(work: impl FnOnce() -> Result<R>) -> Result<R> {
    let before = DRIVER.pid()?;
    let result = work()?;
    let after = DRIVER.pid()?;
    ensure!(before == after, "handler {before} was replaced by {after}");
    honest(sample::PATH)?;
    Ok(result)
}

fn bad_texts(_: &Context) -> Result<()> {
    unasked(|| texts_astray(&open(sample::PATH)?))
}

fn texts_astray(file: &File) -> Result<()> {
    let area = Area::new(2)?;
    area.hide(1)?;
    let places = [area.begin() + PAGE, area.end()];
    for address in NOWHERE.into_iter().chain(places) {
        for length in [1, 3, 2 * PAGE - 1] {
            let written = raw::write(file, address, length.min(4096));
            ensure!(
                written == Err(Errno::FAULT),
                "{length} bytes at {address:#x}: {written:?}"
            );
        }
    }
    Ok(())
}

fn across(_: &Context) -> Result<()> {
    unharmed(|| texts_across(&open(sample::PATH)?))
}

fn texts_across(file: &File) -> Result<()> {
    let area = Area::new(2)?;
    let text = b"131071";
    for end in [area.begin() + PAGE, area.end()] {
        area.show(1)?;
        let begin = end - text.len();
        area.put(begin, text)?;
        if end != area.end() {
            area.hide(1)?;
        }
        let whole = raw::write(file, begin, text.len());
        ensure!(whole == Ok(text.len()), "all of it is there: {whole:?}");
        let beyond = raw::write(file, begin, text.len() + 1);
        ensure!(beyond == Err(Errno::FAULT), "a byte beyond: {beyond:?}");
    }
    // From a page to the next is nothing special.
    area.show(1)?;
    let begin = area.begin() + PAGE - 3;
    area.put(begin, text)?;
    let written = raw::write(file, begin, text.len());
    ensure!(written == Ok(text.len()), "from page to page: {written:?}");
    Ok(())
}

fn bad_rooms(_: &Context) -> Result<()> {
    let session = Session::load("hostile")?;
    session.echo()?;
    let file = session.as_fd();
    let expected = b"ok 10\nstill here";
    let area = Area::new(2)?;
    area.protect(1)?;
    for address in NOWHERE.into_iter().chain([area.begin() + PAGE, area.end()]) {
        let read = raw::read(file, address, 8);
        ensure!(read == Err(Errno::FAULT), "at {address:#x}: {read:?}");
    }
    // As much as fits, then the rest: nothing is lost.
    let begin = area.begin() + PAGE - 6;
    let read = raw::read(file, begin, 64);
    ensure!(read == Ok(6), "across the end: {read:?}");
    ensure!(area.get(begin, 6)? == expected[..6], "another text");
    let read = raw::read(file, area.begin(), 64);
    ensure!(read == Ok(expected.len() - 6), "the rest: {read:?}");
    ensure!(area.get(area.begin(), 10)? == expected[6..], "another text");
    session.echo()
}

fn lengths(_: &Context) -> Result<()> {
    unasked(|| {
        let file = open(sample::PATH)?;
        let area = Area::new(4)?;
        area.put(area.begin(), &[b'1'; 2 * PAGE])?;
        for length in [0, 4096, 4097, 2 * PAGE, 1 << 31, (1 << 31) - PAGE] {
            let written = raw::write(&file, area.begin(), length);
            ensure!(
                written == Err(Errno::INVAL),
                "{length} bytes gave {written:?}"
            );
        }
        // Below zero as the kernel sees it, or, from where the memory happens to be, beyond the end of what an
        // address can be.
        for length in [usize::MAX, 1 << 63, 1 << 62, 1 << 40] {
            let written = raw::write(&file, area.begin(), length);
            ensure!(
                matches!(written, Err(Errno::INVAL | Errno::FAULT)),
                "{length} bytes gave {written:?}"
            );
        }
        Ok(())
    })
}

/// How often a caller asks while another thread is at its memory.
const RACES: usize = 300;

/// A caller asks over and over while another thread changes what it asks with. What it got, each once.
fn race<R: Ord + Send>(
    mut ask: impl FnMut() -> R,
    change: impl Fn(usize) -> Result<()> + Sync,
) -> Result<BTreeSet<R>> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let changer = scope.spawn(|| {
            for round in 0.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                change(round)?;
                // On one processor the other thread has to come to its turn as well, anywhere in its call.
                if round % 16 == 0 {
                    thread::sleep(Duration::from_micros(round as u64 % 97));
                }
            }
            anyhow::Ok(())
        });
        let got = (0..RACES).map(|_| ask()).collect();
        over.store(true, Ordering::Relaxed);
        changer
            .join()
            .map_err(|_| anyhow::anyhow!("the other thread panicked"))??;
        Ok(got)
    })
}

/// An offset, or an errno.
type Written = Result<usize, i32>;

fn errno_of(written: Result<usize, Errno>) -> Written {
    written.map_err(Errno::raw_os_error)
}

/// These and no others.
fn among<R: Ord + std::fmt::Debug>(got: &BTreeSet<R>, allowed: &[R]) -> Result<()> {
    ensure!(
        got.iter().all(|one| allowed.contains(one)),
        "callers got {got:?}; they may get {allowed:?}"
    );
    Ok(())
}

const INVAL: Written = Err(Errno::INVAL.raw_os_error());
const FAULT: Written = Err(Errno::FAULT.raw_os_error());

fn changing_text(_: &Context) -> Result<()> {
    unharmed(|| {
        let file = open(sample::PATH)?;
        among(&texts_that_change(&file)?, &[Ok(6), INVAL])
    })
}

/// Offsets, and what are none: what was checked must be what is asked for, else the answer is the wrong one.
fn texts_that_change(file: &File) -> Result<BTreeSet<Written>> {
    const TEXTS: [&[u8]; 4] = [b"000000", b"131071", b"131072", b"x31071"];
    let area = Area::new(1)?;
    area.put(area.begin(), TEXTS[0])?;
    race(
        || errno_of(raw::write(file, area.begin(), 6)),
        |round| area.put(area.begin(), TEXTS[round % TEXTS.len()]),
    )
}

fn vanishing_text(_: &Context) -> Result<()> {
    unharmed(|| {
        let file = open(sample::PATH)?;
        among(&texts_that_vanish(&file)?, &[Ok(6), INVAL, FAULT])
    })
}

/// The text is half on a page that is protected, emptied and replaced.
fn texts_that_vanish(file: &File) -> Result<BTreeSet<Written>> {
    let area = Area::new(2)?;
    let begin = area.begin() + PAGE - 3;
    let text = b"131071";
    area.put(begin, text)?;
    race(
        || errno_of(raw::write(file, begin, text.len())),
        |round| {
            match round % 4 {
                0 => area.hide(1)?,
                1 => area.show(1)?,
                2 => area.replace(1)?,
                _ => area.empty(1)?,
            }
            if round % 4 == 0 {
                return Ok(());
            }
            area.put(begin, text)
        },
    )
}

fn odd_calls(_: &Context) -> Result<()> {
    unharmed(|| odd(sample::PATH))
}

/// What nobody does with such a file.
fn odd(path: &str) -> Result<()> {
    use rustix::fs::SeekFrom;
    let file = open(path)?;
    let fails = |what: &str, result: Result<(), Errno>| {
        ensure!(result.is_err(), "{what} succeeded");
        Ok(())
    };
    // A position means nothing, as long as it is one.
    for position in [0, 1, i64::MAX as u64 - 1] {
        let written = rustix::io::pwrite(&file, b"5", position);
        ensure!(
            matches!(written, Ok(1) | Err(Errno::INVAL | Errno::OVERFLOW)),
            "pwrite at {position}: {written:?}"
        );
        let read = rustix::io::pread(&file, &mut [0; 8], position);
        ensure!(
            matches!(read, Ok(0) | Err(Errno::INVAL | Errno::OVERFLOW)),
            "pread at {position}: {read:?}"
        );
    }
    fails(
        "pwrite below zero",
        rustix::io::pwrite(&file, b"5", u64::MAX).map(drop),
    )?;
    for to in [
        SeekFrom::Start(i64::MAX as u64),
        SeekFrom::Current(i64::MIN),
        SeekFrom::End(-1),
        SeekFrom::Start(0),
    ] {
        // Whatever it says.
        let _ = rustix::fs::seek(&file, to);
    }
    let five = std::io::IoSlice::new(b"5");
    let written = rustix::io::writev(&file, &[five; 3]);
    // Each part is a request, or all of it is one.
    ensure!(written == Ok(3), "writev: {written:?}");
    let (from, to) = rustix::pipe::pipe()?;
    rustix::io::write(&to, b"5")?;
    let flags = rustix::pipe::SpliceFlags::NONBLOCK;
    fails(
        "splice to it",
        rustix::pipe::splice(&from, None, &file, None, 1, flags).map(drop),
    )?;
    // There is nothing to be had from it.
    let spliced = rustix::pipe::splice(&file, None, &to, None, 1, flags);
    ensure!(!matches!(spliced, Ok(1..)), "splice from it: {spliced:?}");
    let source = File::open("/proc/self/cmdline")?;
    let sent = rustix::fs::sendfile(&file, &source, None, 1);
    ensure!(!matches!(sent, Ok(1..)), "sendfile to it: {sent:?}");
    fails("mmap", raw::map(&file).map(drop))?;
    fails(
        "fallocate",
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 1),
    )?;
    fails("ioctl", raw::ioctl(&file))?;
    // A copy of the descriptor is the same file, in this process or another.
    let copy = file.try_clone()?;
    drop(file);
    ensure!(rustix::io::write(&copy, b"5") == Ok(1), "a copy is dead");
    let actor = Actor::send(&copy, "6")?;
    drop(copy);
    actor.wait()?.0.context("a child with the file")
}

fn signals(context: &Context) -> Result<()> {
    for restart in [true, false] {
        raw::in_a_storm(restart, || {
            let file = open(sample::PATH)?;
            for offset in context.random(7).take(context.rounds(40, 100)) {
                let written = rustix::io::write(&file, offset.to_string().as_bytes());
                ensure!(written.is_ok(), "in the exchange: {written:?}");
            }
            for _ in 0..5 {
                DRIVER.kill_handler()?;
                let written = rustix::io::write(&file, b"77");
                ensure!(written == Ok(2), "in a start: {written:?}");
            }
            Ok(())
        })?;
        in_the_queue(restart)?;
        honest(sample::PATH)?;
    }
    Ok(())
}

/// A signal that does not kill is no reason to leave the queue.
fn in_the_queue(restart: bool) -> Result<()> {
    stopped(|pid| {
        thread::scope(|scope| {
            let callers: Vec<_> = (0..3)
                .map(|_| scope.spawn(|| raw::in_a_storm(restart, || sample::ask(9))))
                .collect();
            let waiting = until("three callers wait", || process::waiting_threads() == 3);
            // A hundred signals for each.
            thread::sleep(ms(20));
            let resumed = process::signal(pid, Signal::CONT);
            for caller in callers {
                let written = caller
                    .join()
                    .map_err(|_| anyhow::anyhow!("a caller panicked"))?;
                ensure!(written == Ok(1), "in the queue: {written:?}");
            }
            waiting.and(resumed)
        })
    })
}

/// With the sample's handler stopped, and a deadline that is far away.
fn stopped<R>(work: impl FnOnce(i32) -> Result<R>) -> Result<R> {
    DRIVER.patiently(|| {
        let pid = DRIVER.stop_handler()?;
        let result = work(pid);
        // Whatever went wrong, nobody is left waiting.
        let resumed = process::signal(pid, Signal::CONT);
        let result = result?;
        resumed?;
        Ok(result)
    })
}

fn killed(context: &Context) -> Result<()> {
    let mut random = context.random(24);
    for step in 0..24_u64 {
        // Every third one has to start a handler first.
        if step % 3 == 0 {
            DRIVER.kill_handler()?;
        }
        let actor = Actor::spawn(&["write", sample::PATH, "5"])?;
        let pause = step * step * 20 + u64::from(random.next().unwrap_or(0) % 500);
        thread::sleep(Duration::from_micros(pause));
        drop(actor);
        let written = sample::ask(6);
        ensure!(
            written == Ok(1),
            "step {step}: the next caller got {written:?}"
        );
    }
    honest(sample::PATH)
}

/// Threads that do the same at the same time, with little memory each; how often each result came.
fn crowd(
    count: usize,
    work: impl Fn() -> Result<usize, Errno> + Sync,
    meanwhile: impl FnOnce(&AtomicUsize) -> Result<()>,
) -> Result<Vec<(Written, usize)>> {
    const STACK: usize = 64 * 1024;
    let (done, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..count {
            let spawned = thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, || {
                    let result = errno_of(work());
                    if let Ok(mut results) = results.lock() {
                        results.push(result);
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                });
            spawned.context("a thread")?;
        }
        meanwhile(&done)
    })?;
    let mut results = results
        .into_inner()
        .map_err(|_| anyhow::anyhow!("a caller panicked"))?;
    results.sort_unstable();
    let distinct: BTreeSet<Written> = results.iter().copied().collect();
    let count = |one: &Written| results.iter().filter(|other| *other == one).count();
    Ok(distinct.iter().map(|one| (*one, count(one))).collect())
}

const THOUSAND: usize = 1_000;

/// One is served and 64 wait.
const ADMITTED: usize = 65;

fn thousand(_: &Context) -> Result<()> {
    unharmed(|| {
        stopped(|pid| {
            let results = crowd(
                THOUSAND,
                || sample::ask(5),
                |done| {
                    let turned_away = until("all others were turned away", || {
                        done.load(Ordering::Relaxed) == THOUSAND - ADMITTED
                    });
                    turned_away.and(process::signal(pid, Signal::CONT))
                },
            )?;
            let again = Err(Errno::AGAIN.raw_os_error());
            let expected = [(Ok(1), ADMITTED), (again, THOUSAND - ADMITTED)];
            ensure!(results == expected, "callers got {results:?}");
            Ok(())
        })
    })
}

fn thousand_one_file(_: &Context) -> Result<()> {
    unharmed(|| {
        stopped(|pid| {
            let file = open(sample::PATH)?;
            let results = crowd(
                THOUSAND,
                || rustix::io::write(&file, b"5"),
                |done| {
                    let turned_away = until("all others were turned away", || {
                        done.load(Ordering::Relaxed) == THOUSAND - 1
                    });
                    turned_away.and(process::signal(pid, Signal::CONT))
                },
            )?;
            let busy = Err(Errno::BUSY.raw_os_error());
            let expected = [(Ok(1), 1), (busy, THOUSAND - 1)];
            ensure!(results == expected, "callers got {results:?}");
            Ok(())
        })
    })
}

/// The descriptor is gone, the call goes on; and the file is closed after it, once.
fn closed(_: &Context) -> Result<()> {
    unharmed(|| {
        stopped(|pid| {
            let file = open(sample::PATH)?;
            let number = std::os::fd::AsRawFd::as_raw_fd(&file);
            thread::scope(|scope| {
                let caller = scope.spawn(move || {
                    let result = raw::write(&file, c"5".as_ptr() as usize, 1);
                    // It was closed by then.
                    std::mem::forget(file);
                    result
                });
                let waits = until("the caller waits", || process::waiting_threads() == 1);
                raw::close(number);
                let gone = std::fs::read_link(format!("/proc/self/fd/{number}")).is_err();
                let resumed = process::signal(pid, Signal::CONT);
                let result = caller
                    .join()
                    .map_err(|_| anyhow::anyhow!("the caller panicked"))?;
                waits.and(resumed)?;
                ensure!(gone, "the descriptor is still there");
                ensure!(result == Ok(1), "the caller got {result:?}");
                Ok(())
            })
        })
    })
}

/// Loaded while something is done.
fn with_sample_c<R>(work: impl FnOnce() -> Result<R>) -> Result<R> {
    modules::load(SAMPLE_C_MODULES[0])?;
    let result = work();
    for name in SAMPLE_C_MODULES.into_iter().rev() {
        modules::unload(name)?;
    }
    result
}

fn sample_c(_: &Context) -> Result<()> {
    with_sample_c(|| {
        honest(SAMPLE_C)?;
        let driver = Driver("sample_c");
        let pid = driver.pid()?;
        let file = open(SAMPLE_C)?;
        texts_astray(&file).context("bad addresses")?;
        // It takes text up to a newline or the end, and looks at no more than a number can have.
        among(&texts_that_change(&file)?, &[Ok(6), INVAL])?;
        among(&texts_that_vanish(&file)?, &[Ok(6), INVAL, FAULT])?;
        let area = Area::new(1)?;
        area.put(area.begin(), &[b'1'; 16])?;
        for length in [0, 16, 1 << 31, 1 << 40, usize::MAX] {
            let written = raw::write(&file, area.begin(), length);
            ensure!(written.is_err(), "{length} bytes gave {written:?}");
        }
        let read = raw::read(&file, area.begin(), 8);
        ensure!(read.is_err(), "there is something to read: {read:?}");
        raw::in_a_storm(false, || {
            (0..50).try_for_each(|_| {
                let written = rustix::io::write(&file, b"77");
                ensure!(written == Ok(2), "amid signals: {written:?}");
                Ok(())
            })
        })?;
        ensure!(driver.pid()? == pid, "the handler was replaced");
        honest(SAMPLE_C)
    })
}

/// The options that come to the handler first.
const GETS: [u32; 3] = [abi::GET_INFO, abi::GET_ENTRIES, abi::GET_REVISION_MATCH];
const SETS: [u32; 2] = [abi::SET_REPLACE, abi::SET_ADD_COUNTERS];

/// The same calls with our hook in the way, and with the kernel's own code alone: they give the same.
fn as_without_us<R: PartialEq + std::fmt::Debug>(calls: impl Fn() -> Result<R>) -> Result<()> {
    modules::load("iptable_filter")?;
    iptables::info("bpfilter").context("our table")?;
    let with = calls()?;
    modules::unload(BPFILTER)?;
    let without = calls();
    modules::load(BPFILTER)?;
    let without = without?;
    ensure!(with == without, "with us {with:?}, without {without:?}");
    served()
}

/// An honest caller is served.
fn served() -> Result<()> {
    iptables::info("bpfilter").context("our table")?;
    iptables::info("filter").context("the kernel's table")?;
    Ok(())
}

fn options_astray(_: &Context) -> Result<()> {
    as_without_us(|| {
        let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
        let area = Area::new(2)?;
        area.hide(1)?;
        area.put(area.begin(), &84_u32.to_le_bytes())?;
        let mut got = Vec::new();
        for address in
            NOWHERE
                .into_iter()
                .chain([area.begin() + PAGE, area.end(), area.begin() + PAGE - 40])
        {
            for option in GETS {
                let option = option.cast_signed();
                got.push(errno_of(raw::get_option(
                    &socket,
                    option,
                    address,
                    area.begin(),
                )));
                // The length's own address.
                got.push(errno_of(raw::get_option(
                    &socket,
                    option,
                    area.begin() + 8,
                    address,
                )));
            }
            for option in SETS {
                got.push(errno_of(raw::set_option(
                    &socket,
                    option.cast_signed(),
                    address,
                    96,
                )));
            }
        }
        ensure!(got.iter().all(Result::is_err), "one succeeded: {got:?}");
        Ok(got)
    })
}

fn option_lengths(_: &Context) -> Result<()> {
    const MIB: i32 = 1 << 20;
    let lengths: Vec<i32> = (0..132)
        .chain([4095, 4096, 4097, 65_535, MIB - 16, MIB - 1, MIB, MIB + 1])
        .chain([i32::MAX - 1, i32::MAX, -1, i32::MIN])
        .collect();
    as_without_us(|| {
        let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
        let area = Area::new(300)?;
        let value = area.begin() + 8;
        let mut got = Vec::new();
        for length in &lengths {
            for name in ["filter", ""] {
                for option in GETS {
                    area.put(value, &named(name, 200))?;
                    area.put(area.begin(), &length.to_le_bytes())?;
                    let result =
                        raw::get_option(&socket, option.cast_signed(), value, area.begin());
                    got.push((*length, errno_of(result)));
                }
                for option in SETS {
                    area.put(value, &named(name, 200))?;
                    let result = raw::set_option(&socket, option.cast_signed(), value, *length);
                    got.push((*length, errno_of(result)));
                }
            }
        }
        Ok(got)
    })
}

fn option_rooms(_: &Context) -> Result<()> {
    modules::load("iptable_filter")?;
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    let option = abi::GET_INFO.cast_signed();
    let length = abi::info::LEN as u32;
    for table in ["bpfilter", "filter"] {
        let area = Area::new(3)?;
        // A page that can only be read.
        area.put(area.begin(), &length.to_le_bytes())?;
        area.put(area.begin() + PAGE, &named(table, abi::info::LEN))?;
        area.protect(1)?;
        let got = raw::get_option(&socket, option, area.begin() + PAGE, area.begin());
        ensure!(got == Err(Errno::FAULT), "{table}, a page to read: {got:?}");
        // The length lies within the value.
        area.show(1)?;
        area.put(area.begin() + PAGE, &named(table, abi::info::LEN))?;
        let inside = area.begin() + PAGE + 40;
        area.put(inside, &length.to_le_bytes())?;
        let got = raw::get_option(&socket, option, area.begin() + PAGE, inside);
        ensure!(got.is_ok(), "{table}, a length within the value: {got:?}");
    }
    served()
}

/// As in ip_tables: the table was replaced, so the call has succeeded.
fn counters_astray(_: &Context) -> Result<()> {
    modules::load("iptable_filter")?;
    for table in ["bpfilter", "filter"] {
        let info = iptables::info(table)?;
        let number = |at: usize| {
            let bytes = info.get(at..at + 4).unwrap_or_default();
            u32::from_le_bytes(bytes.try_into().unwrap_or_default())
        };
        let size = number(abi::info::SIZE);
        let mut entries = named(table, abi::entries::LEN + size as usize);
        put(&mut entries, abi::entries::SIZE, &size.to_le_bytes());
        iptables::get(abi::GET_ENTRIES, &mut entries)?;
        let entries = entries.split_off(abi::entries::LEN);
        for address in NOWHERE {
            let mut replace = named(table, abi::replace::LEN);
            put(
                &mut replace,
                abi::replace::VALID_HOOKS,
                &info[abi::info::VALID_HOOKS..][..4],
            );
            let count = number(abi::info::NUM_ENTRIES).to_le_bytes();
            put(&mut replace, abi::replace::NUM_ENTRIES, &count);
            put(&mut replace, abi::replace::SIZE, &size.to_le_bytes());
            let hooks = 4 * abi::HOOKS;
            put(
                &mut replace,
                abi::replace::HOOK_ENTRY,
                &info[abi::info::HOOK_ENTRY..][..hooks],
            );
            put(
                &mut replace,
                abi::replace::UNDERFLOW,
                &info[abi::info::UNDERFLOW..][..hooks],
            );
            put(&mut replace, abi::replace::NUM_COUNTERS, &count);
            put(
                &mut replace,
                abi::replace::COUNTERS,
                &(address as u64).to_le_bytes(),
            );
            replace.extend_from_slice(&entries);
            let set = iptables::set(abi::SET_REPLACE, &replace);
            ensure!(set == Ok(()), "{table}, counters to {address:#x}: {set:?}");
        }
        // A number of counters that nobody has.
        let mut replace = named(table, abi::replace::LEN);
        put(
            &mut replace,
            abi::replace::NUM_COUNTERS,
            &u32::MAX.to_le_bytes(),
        );
        let set = iptables::set(abi::SET_REPLACE, &replace);
        ensure!(set.is_err(), "{table}, four billion counters: {set:?}");
    }
    served()
}

fn put(to: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(room) = to.get_mut(at..at + bytes.len()) {
        room.copy_from_slice(bytes);
    }
}

fn changing_options(_: &Context) -> Result<()> {
    modules::load("iptable_filter")?;
    served()?;
    let driver = Driver("bpfilter");
    let pid = driver.pid()?;
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    let area = Area::new(2)?;
    // The name on a page that stays, the length on one that does not, and back.
    let value = area.begin() + PAGE - 8;
    let length = area.begin();
    let wanted = abi::info::LEN as u32;
    let names: [&[u8]; 3] = [b"bpfilter", b"filter\0\0", b"nothing\0"];
    let got = race(
        || {
            // Nobody but us is at the length's page.
            area.put(length, &wanted.to_le_bytes())
                .map_err(|_| 0)
                .and_then(|()| {
                    let option = abi::GET_INFO.cast_signed();
                    errno_of(raw::get_option(&socket, option, value, length))
                })
        },
        |round| {
            area.put(value, names[round % names.len()])?;
            match round % 7 {
                0 => area.hide(1),
                1 => area.show(1),
                3 => area.replace(1),
                5 => area.empty(1),
                _ => Ok(()),
            }
        },
    )?;
    area.show(1)?;
    let nothing = Err(Errno::NOENT.raw_os_error());
    among(&got, &[Ok(0), INVAL, FAULT, nothing])?;
    ensure!(driver.pid()? == pid, "the handler was replaced");
    served()
}

fn option_signals(context: &Context) -> Result<()> {
    modules::load("iptable_filter")?;
    let driver = Driver("bpfilter");
    for restart in [true, false] {
        raw::in_a_storm(restart, || {
            for round in 0..context.rounds(24, 60) {
                if round % 20 == 19 {
                    driver.kill_handler()?;
                }
                served().with_context(|| format!("round {round}"))?;
            }
            anyhow::Ok(())
        })?;
    }
    for step in 0..12_u64 {
        if step % 3 == 0 {
            driver.kill_handler()?;
        }
        let actor = Actor::spawn(&["info", "bpfilter"])?;
        thread::sleep(Duration::from_micros(step * step * 60));
        drop(actor);
        let (result, took) = timed(served);
        result.with_context(|| format!("step {step}"))?;
        // Two calls, and two starts where the handler is another one by then.
        ensure!(
            took <= 2 * context.grace(),
            "step {step}: the next one waited {took:?}"
        );
    }
    Ok(())
}
