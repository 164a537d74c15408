// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sample handler as a file: static, at fixed addresses, nothing both writable and executable.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

const PT_LOAD: u32 = 1;
const PT_GNU_STACK: u32 = 0x6474_e551;
const EXECUTABLE: u32 = 1;
const WRITABLE: u32 = 2;
const READABLE: u32 = 4;

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

#[test]
fn has_three_segments_and_a_stack() {
    let image = std::fs::read(env!("CARGO_BIN_EXE_sample-handler")).unwrap();
    assert_eq!(&image[..4], b"\x7fELF");
    const ET_EXEC: u16 = 2;
    assert_eq!(half(&image, 16), ET_EXEC);
    let table = word(&image, 32) as usize;
    let size = usize::from(half(&image, 54));
    let count = usize::from(half(&image, 56));
    let segments: Vec<_> = image[table..][..size * count]
        .chunks(size)
        .map(|header| (word(header, 0), word(header, 4)))
        .collect();
    // No interpreter, nothing dynamic, no thread-local storage, nothing to protect later.
    assert_eq!(
        segments,
        [
            (PT_LOAD, READABLE),
            (PT_LOAD, READABLE | EXECUTABLE),
            (PT_LOAD, READABLE | WRITABLE),
            (PT_GNU_STACK, READABLE | WRITABLE),
        ]
    );
}
