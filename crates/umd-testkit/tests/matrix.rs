// SPDX-License-Identifier: MIT OR Apache-2.0
//! The matrix under strict, with a host of a hundred lines: the core's rules over a pair of sockets. What only a kernel
//! can see or do is left out, and named.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "shared with tests that need more of it")]
mod rig;

use rig::Handler;
use std::io::{Read, Write};
use std::num::NonZeroU32;
use std::time::{Duration, Instant as Time};
use umd_core::error::Seen;
use umd_core::policy::{Framing, Instant};
use umd_core::transfer::{Answer, Ended, Incoming, Outgoing, Progress, Room, Transfer};
use umd_testkit::hostile::{Act, Start};
use umd_testkit::matrix::{By, Contained, Fate, How, MATRIX, Outcome, ROOM, errno};

const PROGRAM: &str = env!("CARGO_BIN_EXE_hostile-handler");

/// For those that hang for ever.
const SHORT: Duration = Duration::from_millis(400);

/// For those that answer, or end: it never passes, however busy the machine is.
const LONG: Duration = Duration::from_secs(300);

/// Turns a hang into a failure: less than the deadline, and many times what a busy machine keeps anybody waiting for.
const HANG_GUARD: Duration = Duration::from_secs(180);

/// Why a behaviour is not for this host, if it is not.
fn left_out(how: How, expected: &Contained) -> Option<&'static str> {
    if expected.caller == [Outcome::Error(errno::EPERM)] {
        return Some("nobody looks at the process");
    }
    match how {
        How::Start(Start::Early | Start::Hasty) => Some("a socket does not tell what was read"),
        How::Start(Start::Crash) => Some("nor whether it was"),
        How::Start(Start::Stop | Start::Kill | Start::Exec | Start::Sibling) => {
            Some("nothing confines it before its hello")
        }
        How::Do(Act::Stderr) => Some("standard error is no channel"),
        How::Do(Act::Tail) => Some("a socket takes all of a write or nothing"),
        _ => None,
    }
}

/// A handler, and what it has said so far.
struct Host {
    handler: Handler,
    deadline: Duration,
    transfer: Transfer,
    reply: [u8; ROOM],
    last: u32,
}

impl Host {
    fn start(name: &str, deadline: Duration) -> Result<Self, i32> {
        let mut host = Self {
            handler: Handler::start(PROGRAM, name),
            deadline,
            transfer: Transfer::new(Framing::Framed, Instant::ZERO),
            reply: [0; ROOM],
            last: 0,
        };
        host.pump(|transfer| transfer.start_result().is_some());
        match host.transfer.start_result().unwrap() {
            Ok(()) => Ok(host),
            Err(ended) => Err(errno_of(ended)),
        }
    }

    fn call(&mut self, request: &[u8]) -> Result<Vec<u8>, i32> {
        self.last += 1;
        let id = NonZeroU32::new(self.last).unwrap();
        let room = Room::all(ROOM);
        let submitted = self
            .transfer
            .submit(id, request.len() as u32, room, Instant::ZERO);
        submitted.map_err(errno_of)?;
        self.send(request);
        self.pump(Transfer::has_result);
        match self.transfer.collect().unwrap() {
            Ok(Answer::Reply(length)) => Ok(self.reply[..length].to_vec()),
            Ok(Answer::Rejected(_)) => Err(-1),
            Err(ended) => Err(errno_of(ended)),
        }
    }

    fn send(&mut self, request: &[u8]) {
        loop {
            let (bytes, length) = match self.transfer.outgoing(usize::MAX) {
                Outgoing::Header { header, from, len } => (header[from..][..len].to_vec(), len),
                Outgoing::Payload { offset, len } => (request[offset..][..len].to_vec(), len),
                _ => return,
            };
            // Whoever is dead is found to be when it is read from.
            let _ = self.handler.channel.write_all(&bytes);
            self.transfer.sent(length);
        }
    }

    /// Takes what the handler writes until something is so, it is gone, or the deadline has passed; and then it is killed.
    fn pump(&mut self, so: impl Fn(&Transfer) -> bool) {
        let begin = Time::now();
        while !so(&self.transfer) {
            let left = self.deadline.saturating_sub(begin.elapsed());
            let wait = left.max(Duration::from_millis(1));
            self.handler.channel.set_read_timeout(Some(wait)).unwrap();
            let mut bytes = [0; 4096];
            match self.handler.channel.read(&mut bytes) {
                Ok(count) if count > 0 => self.take(&bytes[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    self.transfer.tick(Instant::NEVER);
                    self.handler.kill();
                }
                _ => {
                    self.transfer.close();
                }
            }
            if left.is_zero() {
                self.transfer.tick(Instant::NEVER);
                self.handler.kill();
            }
        }
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (length, progress) = match self.transfer.incoming(bytes.len()) {
                Incoming::Header { len } => (len, self.transfer.header(&bytes[..len])),
                Incoming::Payload { offset, len } => {
                    self.reply[offset..][..len].copy_from_slice(&bytes[..len]);
                    (len, self.transfer.received(len))
                }
                Incoming::Kill => (bytes.len(), Progress::Kill),
                other => panic!("{other:?}"),
            };
            bytes = &bytes[length..];
            match progress {
                Progress::Hello => self.transfer.admit(),
                Progress::Kill => return self.handler.kill(),
                _ => {}
            }
        }
    }

    /// The handler is gone, or is found to be of no use, by itself: not because a deadline passed.
    fn dies(&mut self) -> bool {
        let begin = Time::now();
        self.deadline = LONG;
        self.pump(|transfer| transfer.ended().is_some());
        begin.elapsed() < HANG_GUARD
    }
}

fn errno_of(ended: Ended) -> i32 {
    match ended {
        Ended::Died(Seen::Unread) => errno::ECONNREFUSED,
        Ended::Died(Seen::Read) => errno::ECONNRESET,
        Ended::TimedOut(_) => errno::ETIMEDOUT,
        Ended::Broken(..) => errno::EBADMSG,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_needs_no_kernel_is_contained() {
    let mut contained = 0;
    for behaviour in MATRIX {
        let Some(expected) = behaviour.strict else {
            continue;
        };
        if left_out(behaviour.how, &expected).is_some() {
            continue;
        }
        let name = behaviour.name;
        let request = behaviour.how.request().join(" ");
        let deadline = match expected.by {
            By::AtOnce => LONG,
            By::Deadline => SHORT,
        };
        let mut host = Host::start(behaviour.how.driver(), deadline);
        let got = match &mut host {
            Ok(host) => host.call(request.trim_end().as_bytes()),
            Err(errno) => Err(*errno),
        };
        let seen = got.as_deref().map_err(|errno| *errno);
        assert!(
            expected.caller.iter().any(|outcome| outcome.is(seen)),
            "{name}: {got:?}"
        );
        match (expected.fate, host) {
            (Fate::Lives, Ok(mut host)) => {
                host.deadline = LONG;
                assert_eq!(host.call(b"echo next"), Ok(b"next".to_vec()), "{name}");
            }
            (Fate::Lives, Err(_)) => panic!("{name}: it does not live"),
            (Fate::Dies, Ok(mut host)) => assert!(host.dies(), "{name}: it lives"),
            (Fate::Dies, Err(_)) => {}
        }
        contained += 1;
    }
    assert!(contained >= 80, "only {contained} were run");
}
