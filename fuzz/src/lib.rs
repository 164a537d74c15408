// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the fuzz targets share: bytes as a script of decisions.
#![forbid(unsafe_code)]

/// Decisions, a byte or a few each. One that has come to its end goes on with zeros, so targets ask
/// [`is_over`](Self::is_over).
#[derive(Clone, Copy, Debug)]
pub struct Script<'b>(&'b [u8]);

impl<'b> Script<'b> {
    /// The decisions that are in these bytes.
    pub fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// Nothing is left.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((byte, rest)) => {
                self.0 = rest;
                *byte
            }
            None => 0,
        }
    }

    /// A number below `end`, which is 1 at least.
    pub fn below(&mut self, end: u8) -> u8 {
        self.byte() % end
    }

    /// Yes or no.
    pub fn flip(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Four bytes, little-endian.
    pub fn word(&mut self) -> u32 {
        u32::from_le_bytes([(); 4].map(|()| self.byte()))
    }

    /// As many bytes as there are, up to `count`.
    pub fn bytes(&mut self, count: usize) -> &'b [u8] {
        let (bytes, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'b [u8] {
        self.bytes(usize::MAX)
    }
}
