// SPDX-License-Identifier: MIT OR Apache-2.0
//! A socket option on its way to bpfilter's handler, and a refusal on its way back.
#![no_main]

use bpfilter_proto::{HEADER_LEN, OPTION_MAX, OldCounters, Refusal, Request, abi};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok((request, option)) = Request::decode(data) {
        assert!(option.len() <= OPTION_MAX);
        assert_eq!(option, &data[HEADER_LEN..]);
        assert_eq!(request.encode(option.len() as u32), data[..HEADER_LEN]);
    } else if let Some(header) = data.first_chunk::<HEADER_LEN>() {
        let length = abi::u32_at(header, 12).map(|length| length as usize);
        let is_set = abi::u32_at(header, 0);
        let is_right = length == Some(data.len() - HEADER_LEN) && is_set.is_some_and(|set| set < 2);
        assert!(!is_right || data.len() - HEADER_LEN > OPTION_MAX);
    }
    if let Some(counters) = OldCounters::read(data) {
        assert!(data.len() >= abi::replace::COUNTERS + 8);
        let number = &data[abi::replace::NUM_COUNTERS..][..4];
        assert_eq!(counters.number.to_le_bytes(), number);
        let address = &data[abi::replace::COUNTERS..][..8];
        assert_eq!(counters.address.to_le_bytes(), address);
    } else {
        assert!(data.len() < abi::replace::COUNTERS + 8);
    }
    match abi::text(data) {
        Some(text) => assert!(!text.contains(&0) && data[text.len()] == 0),
        None => assert!(!data.contains(&0)),
    }
    if let Some(status) = abi::u32_at(data, 0) {
        let refusal = Refusal::from_status(status);
        assert!(refusal.is_none_or(|refusal| refusal.errno().get() == status));
    }
});
