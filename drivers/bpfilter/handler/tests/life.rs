// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bpfilter handler as a process: locked down, and with a table of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "shared with tests that need more of it")]
mod blob;
#[path = "../../../../crates/umd-testkit/tests/rig/mod.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod rig;

use bpfilter_proto::abi::{self, COUNTER_LEN, entries, info};
use bpfilter_proto::{OPTION_MAX, Refusal, Request};
use rig::Handler;

fn bpfilter() -> Handler {
    Handler::ready(env!("CARGO_BIN_EXE_bpfilter-handler"), "bpfilter")
}

/// A call's message.
fn message(is_set: bool, command: u32, option: &[u8]) -> Vec<u8> {
    let request = Request {
        is_set,
        pid: 1,
        command,
    };
    [&request.encode(option.len() as u32), option].concat()
}

fn get(handler: &mut Handler, command: u32, option: &[u8]) -> (u32, Vec<u8>) {
    handler.call(1, &message(false, command, option))
}

fn read(handler: &mut Handler) -> Vec<u8> {
    let mut option = b"bpfilter".to_vec();
    option.resize(info::LEN, 0);
    let (status, told) = get(handler, abi::GET_INFO, &option);
    assert_eq!((status, told.len()), (0, info::LEN));
    let size = abi::u32_at(&told, info::SIZE).unwrap();
    option.resize(entries::LEN + size as usize, 0);
    option[entries::SIZE..][..4].copy_from_slice(&size.to_le_bytes());
    let (status, told) = get(handler, abi::GET_ENTRIES, &option);
    assert_eq!(status, 0);
    told[entries::LEN..].to_vec()
}

#[test]
fn is_locked_down_when_it_says_hello() {
    assert_eq!(bpfilter().status("Seccomp"), "1");
}

#[test]
fn keeps_a_table() {
    let mut handler = bpfilter();
    let first = blob::Table::default().blob("bpfilter", 4);
    assert_eq!(read(&mut handler), first.entries());
    let rich = blob::rich().blob("bpfilter", 4);
    let request = message(true, abi::SET_REPLACE, &rich.bytes);
    assert_eq!(handler.call(2, &request), (0, vec![0; 4 * COUNTER_LEN]));
    assert_eq!(read(&mut handler), rich.entries());
    let again = Refusal::Again.errno().get();
    assert_eq!(handler.call(3, &request), (again, vec![]));
    assert_eq!(handler.close().code(), Some(0));
}

#[test]
fn leaves_other_tables_to_the_kernel() {
    let mut handler = bpfilter();
    let not_mine = (Refusal::NotMine.errno().get(), vec![]);
    let mut option = b"filter".to_vec();
    option.resize(info::LEN, 0);
    assert_eq!(get(&mut handler, abi::GET_INFO, &option), not_mine);
    let option = vec![0; OPTION_MAX];
    assert_eq!(get(&mut handler, abi::GET_ENTRIES, &option), not_mine);
    assert_eq!(handler.call(7, b"no request"), not_mine);
    assert_eq!(handler.close().code(), Some(0));
}

#[test]
fn takes_the_longest_option() {
    let mut handler = bpfilter();
    let mut table = blob::Table::default();
    let drop = blob::Rule::some(blob::Target::Verdict(abi::standard::DROP));
    table.hooks[0].0 = vec![drop; 6000];
    let mut longest = table.blob("bpfilter", 4).bytes;
    longest.resize(OPTION_MAX, 0xff);
    let request = message(true, abi::SET_REPLACE, &longest);
    assert_eq!(handler.call(1, &request).0, 0);
    assert_eq!(read(&mut handler).len(), 6003 * 152 + 176);
}
