// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a user writes to the sample, what its handler reads, and what that answers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sample_proto::{REPLY_LEN, Request, RequestError, WrongReply, check};
use umd_fuzz::Script;

fuzz_target!(|data: &[u8]| {
    let mut script = Script::new(data);
    match script.below(3) {
        0 => text(script.rest()),
        1 => message(script.rest()),
        _ => reply(script),
    }
});

fn text(text: &[u8]) {
    let number = std::str::from_utf8(text)
        .ok()
        .map(|text| text.strip_suffix('\n').unwrap_or(text))
        .filter(|text| (1..=6).contains(&text.len()))
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse::<u32>().ok());
    let expected = number.ok_or(RequestError::Malformed);
    let parsed = Request::parse(text);
    assert_eq!(parsed, expected.and_then(Request::new));
    if let Ok(request) = parsed {
        assert_eq!(Request::decode(&request.encode()), Ok(request));
    }
}

fn message(message: &[u8]) {
    match Request::decode(message) {
        Ok(request) => {
            assert_eq!(request.encode(), message);
            assert!((request.offset() as usize) < REPLY_LEN);
        }
        Err(RequestError::Malformed) => assert_ne!(message.len(), 4),
        Err(RequestError::OutOfRange) => assert!(message[2] > 1 || message[3] > 0),
    }
}

/// A reply that is right but for some bytes.
fn reply(mut script: Script<'_>) {
    let Ok(request) = Request::new(script.word() % REPLY_LEN as u32) else {
        unreachable!("in range");
    };
    let offset = request.offset() as usize;
    let mut reply = vec![0; REPLY_LEN];
    reply[offset] = 1;
    match script.below(4) {
        0 => reply.truncate(script.word() as usize),
        1 => reply.resize(REPLY_LEN + usize::from(script.byte()), 0),
        _ => {}
    }
    let length = reply.len();
    while !script.is_over() {
        let at = script.word() as usize % length.max(1);
        let value = script.byte();
        if let Some(byte) = reply.get_mut(at) {
            *byte = value;
        }
    }
    let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    let expected = if length != REPLY_LEN {
        Err(WrongReply::Length)
    } else if reply[offset] != 1 {
        Err(WrongReply::Unmarked)
    } else if !is_zero(&reply[..offset]) || !is_zero(&reply[offset + 1..]) {
        Err(WrongReply::Stray)
    } else {
        Ok(())
    };
    assert_eq!(check(request, &reply), expected);
}
