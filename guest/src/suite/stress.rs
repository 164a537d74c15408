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
use crate::sample::{self, DRIVER, MODULE};
use crate::time::{ms, patience, until};
use crate::{modules, process};

pub(crate) const TOPIC: Topic = Topic {
    name: "stress",
    modules: &["umd"],
    tests: &[
        test("rmmod under load", rmmod_under_load),
        test("restarts under load", restarts_under_load),
    ],
};

/// How many requests have to be served at least while there is trouble.
const SERVED: u32 = 20;

/// How often what was tried ended how. `None` is success.
type Tally = BTreeMap<Option<i32>, u32>;

/// Four writers that open, write, close and pause until the trouble is over, after so many rounds of it and when enough was
/// served; what became of it.
fn under_load(
    context: &Context,
    rounds: u32,
    mut trouble: impl FnMut() -> Result<()>,
) -> Result<Tally> {
    let (over, served) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        let writers: Vec<_> = (1..=4)
            .map(|seed| {
                let (over, served) = (&over, &served);
                scope.spawn(move || {
                    let mut tally = Tally::new();
                    for offset in context.random(seed) {
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
                        served.fetch_add(u32::from(result.is_none()), Ordering::Relaxed);
                        // Without a pause there would be no moment in which nobody has the file open.
                        thread::sleep(begin.elapsed() * 2);
                    }
                    tally
                })
            })
            .collect();
        let enough = || served.load(Ordering::Relaxed) >= SERVED;
        let mut troubled = (0..rounds).try_for_each(|_| trouble());
        // Where a round of trouble leaves no time for a request, ten times as many will not either.
        for _ in 0..10 * rounds {
            if troubled.is_err() || enough() {
                break;
            }
            troubled = trouble();
        }
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
        served >= SERVED,
        "only {served} requests were served: {tally:?}"
    );
    let other = tally
        .keys()
        .flatten()
        .find(|errno| !allowed.contains(errno));
    ensure!(other.is_none(), "by errno (of open: negative): {tally:?}");
    Ok(())
}

fn rmmod_under_load(context: &Context) -> Result<()> {
    let file = modules::file(MODULE)?;
    let mut busy = 0;
    let tally = under_load(context, context.rounds(10, 30), || {
        modules::insert(&file).context("loading")?;
        thread::sleep(ms(5));
        let mut unloaded = Ok(());
        until("the module is in use by nobody for once", || {
            // Other moments than those at which it is looked for another reason.
            thread::sleep(Duration::from_micros(300));
            unloaded = modules::remove(MODULE);
            busy += u32::from(unloaded == Err(Errno::AGAIN));
            unloaded != Err(Errno::AGAIN)
        })?;
        unloaded.context("unloading")
    })?;
    // While the module is on its way in or out there is no file, or it cannot be opened.
    only(
        &tally,
        &[-Errno::NOENT.raw_os_error(), -Errno::NODEV.raw_os_error()],
    )?;
    ensure!(busy > 0, "the module was never in use: there was no load");
    Ok(())
}

fn restarts_under_load(context: &Context) -> Result<()> {
    modules::load(MODULE)?;
    // None of this is about deadlines.
    DRIVER.set_deadline(patience())?;
    let mut random = context.random(99);
    let mut number = 0;
    let tally = under_load(context, context.rounds(40, 150), || {
        let pause = random.next().unwrap_or(0);
        number += 1;
        if number % 3 == 0 {
            // It may have none just now.
            let _ = DRIVER
                .pid()
                .and_then(|pid| process::signal(pid, Signal::KILL));
        } else {
            DRIVER.restart()?;
        }
        thread::sleep(Duration::from_micros(2_000 + u64::from(pause % 20_000)));
        Ok(())
    })?;
    // The last one: two restarts during one call.
    let allowed = [Errno::CONNRESET, Errno::CONNREFUSED, Errno::SHUTDOWN];
    only(&tally, &allowed.map(Errno::raw_os_error))?;
    DRIVER.restart()?;
    sample::ask(1).context("afterwards")?;
    Ok(())
}
