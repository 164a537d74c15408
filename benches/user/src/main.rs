// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a call of the user-space host costs, next to what there is without it.
//!
//! `umd-user-bench pinned` measures round trips and starts with both sides on one processor; `umd-user-bench unpinned` round trips
//! again, on whatever processors there are, and the call after a crash. Both print a line of JSON for each round of each case and host.
//! A round goes from host to host in short turns and takes the middle turn of each, so that what else the machine does meanwhile
//! hits them alike. Each round has processes of its own: where their memory happens to be makes a difference of some hundredths.
//!
//! `umd-user-bench peer …` is the other side of those that are not umd.

mod calls;
mod peer;
mod starts;
mod trips;

use anyhow::{Result, bail};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::time::{Duration, Instant};

/// Handlers, as the build made them.
mod handlers {
    /// Replies without content, of any length.
    pub(crate) const BENCH: &[u8] = umd::include_handler!("bench-handler");
    /// Dies when it is told to.
    pub(crate) const HOSTILE: &[u8] = umd::include_handler!("hostile-handler");
    /// Has a request and a reply with types.
    pub(crate) const SAMPLE: &[u8] = umd::include_handler!("sample-handler");
}

/// How often everything is measured.
const ROUNDS: usize = 10;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        ["pinned"] => {
            pin()?;
            come_first();
            trips::measure("")?;
            starts::measure()
        }
        ["unpinned"] => {
            come_first();
            calls::recovery()?;
            trips::measure(", unpinned")
        }
        ["peer", "stream", request, reply] => peer::stream(request.parse()?, reply.parse()?),
        ["peer", "ipc", server, reply] => peer::ipc(server, reply.parse()?),
        _ => bail!("usage: umd-user-bench pinned|unpinned"),
    }
}

/// Keeps this program, and all that it starts from now on, on one processor: the last that it may use.
fn pin() -> Result<()> {
    let allowed = sched_getaffinity(None)?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu));
    let mut one = CpuSet::new();
    one.set(last.unwrap_or(0));
    Ok(sched_setaffinity(None, &one)?)
}

/// Puts this program, and all that it starts from now on, in the real-time class where that is permitted, all with one priority: so
/// nothing but them is measured.
fn come_first() {
    let first = libc::sched_param { sched_priority: 1 };
    // SAFETY: changes how this thread is scheduled, and reads one struct.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const first) } < 0 {
        eprintln!("not in the real-time class: what else runs here is measured too");
    }
}

/// Something that can be timed: once over, with what has to be done before or after left out.
type Timed<'t> = Box<dyn FnMut() -> Result<Duration> + 't>;

/// Measures these side by side, so many turns each, one after the other: one round.
fn side_by_side(
    case: &str,
    round: usize,
    turns: usize,
    hosts: &mut [(&str, Timed<'_>)],
) -> Result<()> {
    let mut times = vec![Vec::with_capacity(turns); hosts.len()];
    for _ in 0..turns {
        for ((_, timed), times) in hosts.iter_mut().zip(&mut times) {
            times.push(timed()?.as_nanos());
        }
    }
    for ((host, _), times) in hosts.iter().zip(&mut times) {
        times.sort_unstable();
        let ns = times.get(times.len() / 2).copied().unwrap_or(0);
        println!(r#"{{"case":"{case}","host":"{host}","round":{round},"ns":{ns}}}"#);
    }
    Ok(())
}

/// How long one of `count` takes.
fn each(count: u32, mut what: impl FnMut() -> Result<()>) -> Result<Duration> {
    let begin = Instant::now();
    for _ in 0..count {
        what()?;
    }
    Ok(begin.elapsed() / count)
}
