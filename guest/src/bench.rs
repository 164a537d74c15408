// SPDX-License-Identifier: MIT OR Apache-2.0
//! Round trips over umd and over a pair of pipes, in turn; one JSON line a measurement.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;

use anyhow::{Context, Result};

use crate::driver::Driver;
use crate::modules;
use crate::time::ms;

/// The module that measures; its commands stand at the head of `benches/vm/manager/src/lib.rs`.
const MODULE: &str = "umd_bench";
const PATH: &str = "/sys/kernel/security/umd_bench";

const ROUNDS: usize = 9;
const HOSTS: [&str; 3] = ["raw", "call", "pipe"];

/// Name, bytes of request and reply, round trips a measurement.
const CASES: [(&str, u32, u32, u64); 3] = [
    ("4B/4B", 4, 4, 500),
    ("64B/64B", 64, 64, 500),
    ("4B/128KiB", 4, 131_072, 50),
];

/// Round trips that are not counted, before those that are.
const WARM_UP: u64 = 50;

/// One open file of the module's, and the pipes that it was given.
struct Session {
    file: File,
    _pipes: [OwnedFd; 4],
}

impl Session {
    fn open() -> Result<Self> {
        let file = File::options().read(true).write(true).open(PATH);
        let (request_out, request_in) = rustix::pipe::pipe()?;
        let (reply_out, reply_in) = rustix::pipe::pipe()?;
        let session = Self {
            file: file.with_context(|| format!("opening {PATH}"))?,
            _pipes: [request_out, request_in, reply_out, reply_in],
        };
        let fds = session._pipes.each_ref().map(AsRawFd::as_raw_fd);
        session.order(&format!(
            "pipes {} {} {} {}",
            fds[0], fds[1], fds[2], fds[3]
        ))?;
        Ok(session)
    }

    /// Has the module do something; how many nanoseconds it took.
    fn order(&self, command: &str) -> Result<u64> {
        rustix::io::write(&self.file, command.as_bytes())
            .with_context(|| format!("umd_bench: {command}"))?;
        let mut digits = [0; 20];
        rustix::io::pread(&self.file, &mut digits, 0)?;
        let text = str::from_utf8(&digits)?;
        text.parse()
            .with_context(|| format!("umd_bench: {command}: {text:?} is no number"))
    }
}

fn report(case: &str, host: &str, round: usize, ns: u64) {
    println!(r#"{{"case":"{case}","host":"{host}","round":{round},"ns":{ns}}}"#);
}

fn round_trips(round: usize) -> Result<()> {
    for (case, request, reply, count) in CASES {
        for host in HOSTS {
            let session = Session::open()?;
            session.order(&format!("load {host} {request} {reply}"))?;
            session.order(&format!("calls {WARM_UP}"))?;
            let ns = session.order(&format!("calls {count}"))?;
            report(case, host, round, ns / count);
        }
    }
    Ok(())
}

fn starts(round: usize) -> Result<()> {
    for host in HOSTS {
        let session = Session::open()?;
        let ns = session.order(&format!("start {host}"))?;
        report("start to first reply", host, round, ns);
    }
    Ok(())
}

fn kills(round: usize) -> Result<()> {
    for host in HOSTS {
        let session = Session::open()?;
        session.order(&format!("load {host} 4 4"))?;
        let command = match host {
            "raw" => format!("kill {}", Driver("bench-raw-4-4").pid()?),
            "call" => format!("kill {}", Driver("bench-call").pid()?),
            _ => "kill".to_owned(),
        };
        report("kill to next reply", host, round, session.order(&command)?);
    }
    Ok(())
}

/// Prints nine rounds of all cases.
pub(crate) fn run() -> Result<()> {
    modules::load(MODULE)?;
    // What the kernel puts off at its boot would be measured too.
    thread::sleep(ms(5_000));
    for round in 0..ROUNDS {
        round_trips(round)?;
        starts(round)?;
        kills(round)?;
    }
    modules::unload(MODULE)?;
    modules::unload("umd")
}
