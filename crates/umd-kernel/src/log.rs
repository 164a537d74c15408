// SPDX-License-Identifier: GPL-2.0-only
//! Lines of text: for the kernel's log, and for what the kernel shows of a driver's.

pub use crate::ffi::log::warn;
use umd_core::text::is_plain;

/// A line in the making. What is too long is cut, and what could be mistaken for the line's end, or for
/// something else on a terminal, becomes a question mark.
#[derive(Clone, Copy)]
pub struct Line {
    bytes: [u8; Self::MAX],
    len: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

impl Line {
    /// Most bytes.
    pub const MAX: usize = 192;

    /// No text.
    pub const fn new() -> Self {
        Self {
            bytes: [0; Self::MAX],
            len: 0,
        }
    }

    /// Adds text. What is no UTF-8 becomes a question mark as well.
    pub fn push(&mut self, text: &[u8]) {
        for chunk in text.utf8_chunks() {
            for (at, character) in chunk.valid().char_indices() {
                let rest = chunk.valid().as_bytes().get(at..).unwrap_or_default();
                let bytes = rest.get(..character.len_utf8()).unwrap_or_default();
                let shown = if is_plain(character) { bytes } else { b"?" };
                shown.iter().for_each(|byte| self.push_byte(*byte));
            }
            if !chunk.invalid().is_empty() {
                self.push_byte(b'?');
            }
        }
    }

    /// Adds bytes in hexadecimal digits.
    pub fn push_hex(&mut self, bytes: &[u8]) {
        for byte in bytes {
            for digit in [byte >> 4, byte & 0xf] {
                self.push_byte(match digit {
                    0..10 => b'0'.wrapping_add(digit),
                    _ => b'a'.wrapping_add(digit.wrapping_sub(10)),
                });
            }
        }
    }

    fn push_byte(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len = self.len.saturating_add(1);
        }
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}
