// SPDX-License-Identifier: MIT OR Apache-2.0
//! Round trips over umd and over a pair of pipes, in turn, then socket options with and without the
//! bpfilter driver; one JSON line a measurement.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};

use crate::driver::Driver;
use crate::modules;
use crate::sockopt::{self, IP, IPV6};
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

/// A call of getsockopt(2) or setsockopt(2), over and over.
struct Option {
    case: &'static str,
    family: AddressFamily,
    is_set: bool,
    level: i32,
    option: i32,
    length: usize,
    answer: Result<(), Errno>,
}

impl Option {
    const fn get(case: &'static str, option: i32, answer: Result<(), Errno>) -> Self {
        Self {
            case,
            family: AddressFamily::INET,
            is_set: false,
            level: IP,
            option,
            length: 84,
            answer,
        }
    }

    /// Nanoseconds a call: the least of some batches, for one may have met the kernel's tick.
    fn measure(&self) -> Result<u64> {
        let socket = rustix::net::socket(self.family, SocketType::DGRAM, None)?;
        let mut least = u64::MAX;
        for _ in 0..BATCHES {
            let begin = Instant::now();
            for _ in 0..SOCKOPTS {
                self.call(&socket)?;
            }
            least = least.min(u64::try_from(begin.elapsed().as_nanos())?);
        }
        Ok(least / SOCKOPTS)
    }

    fn call(&self, socket: impl AsFd) -> Result<()> {
        // The name of a table, which is what ip_tables looks at first.
        let mut value = [0; 84];
        value[..6].copy_from_slice(b"filter");
        let value = &mut value[..self.length];
        let answer = match self.is_set {
            false => sockopt::get(socket, self.level, self.option, value).map(drop),
            true => sockopt::set(socket, self.level, self.option, value),
        };
        ensure!(answer == self.answer, "{}: {answer:?}", self.case);
        Ok(())
    }
}

/// The module that hooks into socket options.
const BPFILTER: &str = "bpfilter_umd";
/// The module that brings its handler, at the first call.
const LOADER: &str = "bpfilter_umd_loader";

/// Calls a batch.
const SOCKOPTS: u64 = 100;
const BATCHES: usize = 4;

const NONE: Result<(), Errno> = Err(Errno::NOPROTOOPT);

/// Options that are none of the driver's.
const OTHERS: [Option; 6] = [
    Option {
        level: 1,
        length: 4,
        ..Option::get("getsockopt SO_TYPE", 3, Ok(()))
    },
    Option {
        length: 4,
        ..Option::get("getsockopt IP_TTL", 2, Ok(()))
    },
    Option::get("getsockopt IP 63", 63, NONE),
    Option::get("getsockopt IP 67", 67, NONE),
    Option {
        is_set: true,
        ..Option::get("setsockopt IP 66", 66, NONE)
    },
    Option {
        family: AddressFamily::INET6,
        level: IPV6,
        ..Option::get("getsockopt IPv6 64", 64, NONE)
    },
];

/// One that the handler leaves to the kernel.
const FALLS_BACK: Option = Option::get("IPT_SO_GET_INFO", 64, Ok(()));

fn sockopts(options: &[Option], round: usize) -> Result<()> {
    for option in options {
        report(option.case, "stock", round, option.measure()?);
    }
    modules::load(BPFILTER)?;
    // Whatever comes first: it loads and starts the handler.
    let _ = FALLS_BACK.measure();
    thread::sleep(ms(1_000));
    for option in options {
        report(option.case, "hooked", round, option.measure()?);
    }
    modules::unload(LOADER)?;
    modules::unload(BPFILTER)?;
    thread::sleep(ms(1_000));
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
    // Without ip_tables the kernel has least to do for an option that it does not know.
    for round in 0..ROUNDS {
        sockopts(&OTHERS, round)?;
    }
    modules::load("iptable_filter")?;
    for round in 0..ROUNDS {
        sockopts(&[FALLS_BACK], round)?;
    }
    modules::unload("umd")
}
