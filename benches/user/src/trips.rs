// SPDX-License-Identifier: MIT OR Apache-2.0
//! Round trips.

use crate::handlers::{BENCH, SAMPLE};
use crate::{ROUNDS, Timed, each, peer, side_by_side};
use anyhow::{Result, ensure};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use umd::Driver;

/// Turns a round, and round trips a turn.
const TURNS: usize = 20;

const SMALL: usize = 64;
const LARGE: usize = 128 * 1024;

/// Measures the two sizes. `suffix` becomes part of the cases' names.
pub(crate) fn measure(suffix: &str) -> Result<()> {
    sizes(&format!("64B/64B{suffix}"), SMALL, 100)?;
    sizes(&format!("64B/128KiB{suffix}"), LARGE, 25)?;
    typed(&format!("4B/128KiB{suffix}"), 25)
}

fn sizes(case: &str, reply: usize, trips: u32) -> Result<()> {
    (0..ROUNDS).try_for_each(|round| {
        let mut hosts: [(&str, Timed<'_>); 4] = [
            ("socketpair", socket_pair(reply, trips)?),
            ("umd", umd(reply, trips)?),
            ("pipes", pipes(reply, trips)?),
            ("ipc-channel", ipc(reply, trips)?),
        ];
        side_by_side(case, round, TURNS, &mut hosts)
    })
}

fn socket_pair(reply: usize, trips: u32) -> Result<Timed<'static>> {
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let process = peer::stream_pair(SMALL, reply, (theirs.try_clone()?, theirs))?;
    let (request, mut reply) = ([1; SMALL], vec![0; reply]);
    Ok(Box::new(move || {
        let _alive = &process;
        each(trips, || {
            peer::write_all(&ours, &request)?;
            ensure!(peer::read_all(&ours, &mut reply)?, "the other side is gone");
            Ok(())
        })
    }))
}

fn pipes(reply: usize, trips: u32) -> Result<Timed<'static>> {
    let (input, requests) = pipe_with(PipeFlags::CLOEXEC)?;
    let (replies, output) = pipe_with(PipeFlags::CLOEXEC)?;
    let process = peer::stream_pair(SMALL, reply, (input, output))?;
    let (request, mut reply) = ([1; SMALL], vec![0; reply]);
    Ok(Box::new(move || {
        let _alive = &process;
        each(trips, || {
            peer::write_all(&requests, &request)?;
            ensure!(
                peer::read_all(&replies, &mut reply)?,
                "the other side is gone"
            );
            Ok(())
        })
    }))
}

fn ipc(reply: usize, trips: u32) -> Result<Timed<'static>> {
    let (process, (requests, replies)) = peer::ipc_pair(reply)?;
    let request = [1; SMALL];
    Ok(Box::new(move || {
        let _alive = &process;
        each(trips, || {
            requests.send(&request)?;
            ensure!(replies.recv()?.len() == reply, "another reply");
            Ok(())
        })
    }))
}

fn umd(reply: usize, trips: u32) -> Result<Timed<'static>> {
    let driver = Driver::builder("bench", BENCH).build()?;
    driver.start()?;
    let mut request = [1; SMALL];
    let length = u32::try_from(reply)?.to_le_bytes();
    request[..length.len()].copy_from_slice(&length);
    let mut buffer = vec![0; reply];
    Ok(Box::new(move || {
        each(trips, || {
            ensure!(
                driver.call_bytes(&request, &mut buffer)? == reply,
                "another reply"
            );
            Ok(())
        })
    }))
}

/// What types cost: the sample's request and reply, which is looked through for its one byte, by the typed call, and by hand.
fn typed(case: &str, trips: u32) -> Result<()> {
    use umd_core::proto::Question;

    let question = sample_proto::Request::new(77).map_err(|_| anyhow::anyhow!("no offset"))?;
    let start = || -> Result<Driver> {
        let driver = Driver::builder("sample", SAMPLE).build()?;
        driver.start()?;
        Ok(driver)
    };
    let (bytes, types) = (start()?, start()?);
    let mut reply = vec![0; <sample_proto::Request as Question>::REPLY_MAX];
    let by_hand = || {
        each(trips, || {
            let length = bytes.call_bytes(&question.encode(), &mut reply)?;
            let answer = Question::decode(&question, &reply[..length]);
            ensure!(matches!(answer, Ok(77)), "another reply");
            Ok(())
        })
    };
    let by_type = || {
        each(trips, || {
            ensure!(matches!(types.call(&question), Ok(77)), "another reply");
            Ok(())
        })
    };
    let mut hosts: [(&str, Timed<'_>); 2] =
        [("umd", Box::new(by_hand)), ("umd typed", Box::new(by_type))];
    (0..ROUNDS).try_for_each(|round| side_by_side(case, round, TURNS, &mut hosts))
}
