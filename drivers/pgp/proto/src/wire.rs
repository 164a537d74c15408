// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers out of bytes, and into them.

use crate::Malformed;

/// Takes fields off the front of a message.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'b>(pub(crate) &'b [u8]);

impl<'b> Reader<'b> {
    pub(crate) fn bytes<const N: usize>(&mut self) -> Result<&'b [u8; N], Malformed> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn half(&mut self) -> Result<u16, Malformed> {
        self.bytes().map(|bytes| u16::from_le_bytes(*bytes))
    }

    pub(crate) fn word(&mut self) -> Result<u32, Malformed> {
        self.bytes().map(|bytes| u32::from_le_bytes(*bytes))
    }
}

/// Puts fields one behind the other. What finds no room is left out: the rooms are of constant size.
pub(crate) struct Writer<'b>(pub(crate) &'b mut [u8]);

impl Writer<'_> {
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        if let Some((room, rest)) = core::mem::take(&mut self.0).split_at_mut_checked(bytes.len()) {
            for (to, byte) in room.iter_mut().zip(bytes) {
                *to = *byte;
            }
            self.0 = rest;
        }
        self
    }

    pub(crate) fn half(&mut self, half: u16) -> &mut Self {
        self.bytes(&half.to_le_bytes())
    }

    pub(crate) fn word(&mut self, word: u32) -> &mut Self {
        self.bytes(&word.to_le_bytes())
    }
}
