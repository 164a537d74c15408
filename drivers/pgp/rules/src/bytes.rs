// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading big-endian bytes from the front.

use crate::refusal::Refusal;

/// The most bits of a number: what GnuPG takes.
const NUMBER_BITS_MAX: u16 = 16_384;

/// What has not been read yet.
#[derive(Clone, Copy)]
pub(crate) struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| *byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(|bytes| u16::from_be_bytes(*bytes))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// A number with its count of bits in front. There is one way to write each: no zero at its front, and so no zero at all.
    pub(crate) fn number(&mut self) -> Result<&'a [u8], Refusal> {
        let bits = self.u16().ok_or(Refusal::Number)?;
        if bits > NUMBER_BITS_MAX {
            return Err(Refusal::Number);
        }
        let number = self.take(bits.div_ceil(8).into()).ok_or(Refusal::Number)?;
        let first = number.first().ok_or(Refusal::Number)?;
        let zeros = first.leading_zeros() as u16;
        if zeros >= 8 || bits.next_multiple_of(8).checked_sub(zeros) != Some(bits) {
            return Err(Refusal::Number);
        }
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_exactly_one_form() {
        for (bytes, number) in [
            (&[0, 1, 1][..], Ok(&[1][..])),
            (&[0, 8, 0x80], Ok(&[0x80])),
            (&[0, 9, 1, 0xff], Ok(&[1, 0xff])),
            // More bits, or fewer, than its first byte has.
            (&[0, 2, 1], Err(Refusal::Number)),
            (&[0, 7, 0x80], Err(Refusal::Number)),
            (&[0, 9, 2, 0], Err(Refusal::Number)),
            // Zeros at the front; nothing but zero; nothing.
            (&[0, 16, 0, 1], Err(Refusal::Number)),
            (&[0, 1, 0], Err(Refusal::Number)),
            (&[0, 0], Err(Refusal::Number)),
            // Too few bytes.
            (&[0, 9, 1], Err(Refusal::Number)),
            (&[0], Err(Refusal::Number)),
            // Too long.
            (&[0x40, 1, 1], Err(Refusal::Number)),
        ] {
            assert_eq!(Bytes::new(bytes).number(), number, "{bytes:?}");
        }
    }

    #[test]
    fn the_longest_number() {
        let mut bytes = [0xff; 2 + 2048];
        bytes[..2].copy_from_slice(&NUMBER_BITS_MAX.to_be_bytes());
        assert_eq!(Bytes::new(&bytes).number().map(<[u8]>::len), Ok(2048));
    }
}
