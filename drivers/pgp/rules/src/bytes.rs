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

    /// A number of a key, or of a signature of version 6, with its count of bits in front. There is
    /// one way to write each: no zero at its front, and so no zero at all.
    pub(crate) fn number(&mut self) -> Result<&'a [u8], Refusal> {
        let (bits, number) = self.counted()?;
        let first = number.first().ok_or(Refusal::Number)?;
        let zeros = first.leading_zeros() as u16;
        if zeros >= 8 || bits.next_multiple_of(8).checked_sub(zeros) != Some(bits) {
            return Err(Refusal::Number);
        }
        Ok(number)
    }

    /// A number of an older signature, without the zero bytes at its front. Its count of bits says
    /// how many bytes there are, and may be too high: some programs write it so, and nobody has
    /// signed it. It is not zero.
    pub(crate) fn lax_number(&mut self) -> Result<&'a [u8], Refusal> {
        let (_, number) = self.counted()?;
        let first = number.iter().position(|byte| *byte != 0);
        first
            .and_then(|first| number.get(first..))
            .ok_or(Refusal::Number)
    }

    /// A count of bits, and the bytes that these need.
    fn counted(&mut self) -> Result<(u16, &'a [u8]), Refusal> {
        let bits = self.u16().ok_or(Refusal::Number)?;
        if bits > NUMBER_BITS_MAX {
            return Err(Refusal::Number);
        }
        let number = self.take(bits.div_ceil(8).into()).ok_or(Refusal::Number)?;
        Ok((bits, number))
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
    fn a_signatures_number_may_have_zeros_in_front() {
        for (bytes, number) in [
            (&[0, 1, 1][..], Ok(&[1][..])),
            (&[0, 8, 1], Ok(&[1])),
            (&[0, 7, 0x80], Ok(&[0x80])),
            (&[0, 24, 0, 0, 1], Ok(&[1])),
            (&[0, 16, 0, 0], Err(Refusal::Number)),
            (&[0, 0], Err(Refusal::Number)),
            (&[0, 9, 1], Err(Refusal::Number)),
            (&[0x40, 1, 1], Err(Refusal::Number)),
        ] {
            assert_eq!(Bytes::new(bytes).lax_number(), number, "{bytes:?}");
        }
    }

    #[test]
    fn the_longest_number() {
        let mut bytes = [0xff; 2 + 2048];
        bytes[..2].copy_from_slice(&NUMBER_BITS_MAX.to_be_bytes());
        assert_eq!(Bytes::new(&bytes).number().map(<[u8]>::len), Ok(2048));
    }
}
