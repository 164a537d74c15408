// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::io::Errno;
use rustix::process::Signal;

use crate::harness::{Context, Topic, test};
use crate::sample::{self, DRIVER, MODULE, Offsets};
use crate::time::ms;
use crate::{modules, process};

pub(crate) const TOPIC: Topic = Topic {
    name: "stress",
    modules: &["umd"],
    tests: &[
        test("rmmod under load", rmmod_under_load),
        test("restarts under load", restarts_under_load),
    ],
};

/// How long each test makes trouble.
const TIME: Duration = ms(2_000);

/// How often what was tried ended how. `None` is success.
type Tally = BTreeMap<Option<i32>, u32>;

/// Four writers that open, write, close and pause until it is over; what became of it.
fn under_load(trouble: impl FnOnce(Instant) -> Result<()>) -> Result<Tally> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (1..=4)
            .map(|seed| {
                let over = &over;
                scope.spawn(move || {
                    let mut tally = Tally::new();
                    for offset in Offsets::new(seed) {
                        if over.load(Ordering::Relaxed) {
                            break;
                        }
                        let begin = Instant::now();
                        // An error of open is told from one of write by its sign.
                        let result = match sample::open() {
                            Ok(file) => rustix::io::write(&file, offset.to_string().as_bytes())
                                .err()
                                .map(|error| error.raw_os_error()),
                            Err(error) => Some(-error.raw_os_error()),
                        };
                        *tally.entry(result).or_default() += 1;
                        // Without a pause there would be no moment in which nobody has the file open.
                        thread::sleep(begin.elapsed() * 2);
                    }
                    tally
                })
            })
            .collect();
        let troubled = trouble(Instant::now());
        over.store(true, Ordering::Relaxed);
        let mut sum = Tally::new();
        for writer in writers {
            let tally = writer
                .join()
                .map_err(|_| anyhow::anyhow!("a writer panicked"))?;
            for (result, count) in tally {
                *sum.entry(result).or_default() += count;
            }
        }
        troubled.map(|()| sum)
    })
}

/// Fails where anything but success and these happened. Positive: by write; negative: by open.
fn only(tally: &Tally, allowed: &[i32]) -> Result<()> {
    let served = tally.get(&None).copied().unwrap_or_default();
    ensure!(
        served >= 20,
        "only {served} requests were served: {tally:?}"
    );
    let other = tally
        .keys()
        .flatten()
        .find(|errno| !allowed.contains(errno));
    ensure!(other.is_none(), "by errno (of open: negative): {tally:?}");
    Ok(())
}

fn rmmod_under_load(_: &Context) -> Result<()> {
    let file = modules::file(MODULE)?;
    let (loads, busy) = (AtomicU32::new(0), AtomicU32::new(0));
    let tally = under_load(|begin| {
        while begin.elapsed() < TIME
            || (loads.load(Ordering::Relaxed) < 10 && begin.elapsed() < 10 * TIME)
        {
            match modules::insert(&file) {
                Ok(()) => loads.fetch_add(1, Ordering::Relaxed),
                Err(error) => anyhow::bail!("loading gave {error}"),
            };
            thread::sleep(ms(5));
            let unload = Instant::now();
            while let Err(error) = modules::remove(MODULE) {
                ensure!(error == Errno::AGAIN, "unloading gave {error}");
                ensure!(unload.elapsed() < 3 * TIME, "the module was always in use");
                busy.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_micros(300));
            }
        }
        Ok(())
    })?;
    // While the module is on its way in or out there is no file, or it cannot be opened.
    only(
        &tally,
        &[-Errno::NOENT.raw_os_error(), -Errno::NODEV.raw_os_error()],
    )?;
    let (loads, busy) = (loads.into_inner(), busy.into_inner());
    ensure!(loads >= 10, "the module was loaded {loads} times only");
    ensure!(busy > 0, "the module was never in use: there was no load");
    Ok(())
}

fn restarts_under_load(_: &Context) -> Result<()> {
    modules::load(MODULE)?;
    let mut random = Offsets::new(99);
    let mut restarts = 0;
    let tally = under_load(|begin| {
        while begin.elapsed() < TIME || (restarts < 20 && begin.elapsed() < 10 * TIME) {
            let number = random.next().unwrap_or(0);
            if number.is_multiple_of(3) {
                // It may have none just now.
                let _ = DRIVER
                    .pid()
                    .and_then(|pid| process::signal(pid, Signal::KILL));
            } else {
                DRIVER.restart()?;
                restarts += 1;
            }
            thread::sleep(Duration::from_micros(2_000 + u64::from(number % 20_000)));
        }
        Ok(())
    })?;
    // The last one: two restarts during one call.
    let allowed = [Errno::CONNRESET, Errno::CONNREFUSED, Errno::SHUTDOWN];
    only(&tally, &allowed.map(Errno::raw_os_error))?;
    ensure!(restarts >= 20, "only {restarts} restarts");
    DRIVER.restart()?;
    sample::ask(1).context("afterwards")?;
    Ok(())
}
