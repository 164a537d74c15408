// SPDX-License-Identifier: MIT OR Apache-2.0
//! An executable as a driver's owner gives it to the host.
#![no_main]

use libfuzzer_sys::fuzz_target;
use umd_core::elf::has_interpreter;

fuzz_target!(|data: &[u8]| {
    // It says so somewhere, in a program header or what passes for one.
    let mentions = data.windows(4).any(|word| word == [3, 0, 0, 0]);
    assert!(!has_interpreter(data) || mentions);
});
