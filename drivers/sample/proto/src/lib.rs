// SPDX-License-Identifier: MIT OR Apache-2.0
//! The messages between the sample driver's manager and its handler.
//!
//! The manager asks with an offset; the handler answers with [`REPLY_LEN`] bytes of which the one
//! at that offset is 1 and every other is 0.
//!
//! This crate goes into a kernel module: nothing in it can panic.
#![no_std]
#![forbid(unsafe_code)]

use core::num::NonZeroU32;
use umd_core::proto::Question;

/// Bytes in every reply.
pub const REPLY_LEN: usize = 128 * 1024;

/// Bytes in every request.
pub const REQUEST_LEN: usize = 4;

/// Status of the handler's refusal of bytes that are no [`Request`].
pub const BAD_REQUEST: NonZeroU32 = NonZeroU32::MIN;

/// Most digits that an offset needs.
const DIGITS: usize = 6;

/// "Which byte shall be 1?"
///
/// # Invariants
///
/// `offset` is below [`REPLY_LEN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    offset: u32,
}

/// Why a text or a message is no [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The text is not one to six decimal digits, with or without a newline behind; or the message
    /// does not have [`REQUEST_LEN`] bytes.
    Malformed,
    /// The offset is not below [`REPLY_LEN`].
    OutOfRange,
}

/// What is wrong with a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongReply {
    /// It does not have [`REPLY_LEN`] bytes.
    Length,
    /// The byte at the offset is not 1.
    Unmarked,
    /// A byte elsewhere is not 0.
    Stray,
}

impl Request {
    /// A request for `offset`, below [`REPLY_LEN`].
    pub const fn new(offset: u32) -> Result<Self, RequestError> {
        if (offset as usize) < REPLY_LEN {
            // INVARIANT: just checked.
            Ok(Self { offset })
        } else {
            Err(RequestError::OutOfRange)
        }
    }

    /// Reads what a user has written: decimal digits, and nothing else but one newline behind.
    pub fn parse(text: &[u8]) -> Result<Self, RequestError> {
        let digits = text.strip_suffix(b"\n").unwrap_or(text);
        if digits.is_empty() || digits.len() > DIGITS {
            return Err(RequestError::Malformed);
        }
        let mut offset = 0_u32;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return Err(RequestError::Malformed);
            }
            // Six digits do not wrap.
            offset = offset
                .wrapping_mul(10)
                .wrapping_add(u32::from(digit.wrapping_sub(b'0')));
        }
        Self::new(offset)
    }

    /// The byte that shall be 1.
    pub const fn offset(self) -> u32 {
        self.offset
    }

    /// The request as it goes to the handler.
    pub const fn encode(self) -> [u8; REQUEST_LEN] {
        self.offset.to_le_bytes()
    }

    /// The request as the handler receives it.
    pub fn decode(message: &[u8]) -> Result<Self, RequestError> {
        let bytes = message.try_into().map_err(|_| RequestError::Malformed)?;
        Self::new(u32::from_le_bytes(bytes))
    }
}

impl Question for Request {
    /// The offset of the byte that is 1.
    type Answer = u32;
    type Wrong = WrongReply;
    const REQUEST_MAX: usize = REQUEST_LEN;
    const REPLY_MAX: usize = REPLY_LEN;

    fn encode(&self, buffer: &mut [u8]) -> usize {
        match buffer.first_chunk_mut() {
            Some(room) => {
                *room = Self::encode(*self);
                REQUEST_LEN
            }
            None => 0,
        }
    }

    fn decode(&self, reply: &[u8]) -> Result<u32, WrongReply> {
        check(*self, reply).map(|()| self.offset)
    }
}

/// Checks every byte of a reply.
pub fn check(request: Request, reply: &[u8]) -> Result<(), WrongReply> {
    if reply.len() != REPLY_LEN {
        return Err(WrongReply::Length);
    }
    let (before, rest) = reply
        .split_at_checked(request.offset as usize)
        .ok_or(WrongReply::Length)?;
    let (marked, after) = rest.split_first().ok_or(WrongReply::Length)?;
    if *marked != 1 {
        return Err(WrongReply::Unmarked);
    }
    if is_zero(before) && is_zero(after) {
        Ok(())
    } else {
        Err(WrongReply::Stray)
    }
}

/// Eight words at a time, without a branch between them: nearly every reply is right to its end.
fn is_zero(bytes: &[u8]) -> bool {
    let (blocks, tail) = bytes.as_chunks::<64>();
    blocks.iter().all(|block| {
        let (words, _) = block.as_chunks::<8>();
        words
            .iter()
            .fold(0, |bits, word| bits | u64::from_ne_bytes(*word))
            == 0
    }) && tail.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use proptest::prelude::*;
    use std::format;
    use std::vec;
    use std::vec::Vec;

    fn request(offset: u32) -> Request {
        Request::new(offset).expect("in range")
    }

    fn right_reply(offset: u32) -> Vec<u8> {
        let mut reply = vec![0; REPLY_LEN];
        reply[offset as usize] = 1;
        reply
    }

    #[test]
    fn offsets_are_decimal_numbers_below_the_length() {
        for (text, offset) in [
            (&b"0"[..], 0),
            (b"0\n", 0),
            (b"7", 7),
            (b"000012\n", 12),
            (b"131071", 131_071),
        ] {
            assert_eq!(Request::parse(text), Ok(request(offset)));
        }
    }

    #[test]
    fn numbers_too_great_are_out_of_range() {
        for text in [&b"131072"[..], b"999999\n"] {
            assert_eq!(Request::parse(text), Err(RequestError::OutOfRange));
        }
    }

    #[test]
    fn anything_else_is_malformed() {
        for text in [
            &b""[..],
            b"\n",
            b"0\n\n",
            b"\n0",
            b" 1",
            b"1 ",
            b"+1",
            b"-1",
            b"0x1",
            b"1.0",
            b"1\0",
            b"1\r\n",
            b"0000000",
            b"4294967296",
            "\u{0661}".as_bytes(),
        ] {
            assert_eq!(Request::parse(text), Err(RequestError::Malformed));
        }
    }

    #[test]
    fn messages_have_four_bytes() {
        assert_eq!(request(0x1_0203).encode(), [3, 2, 1, 0]);
        assert_eq!(Request::decode(&[3, 2, 1, 0]), Ok(request(0x1_0203)));
        assert_eq!(
            Request::decode(&[0, 0, 2, 0]),
            Err(RequestError::OutOfRange)
        );
        for length in [0, 3, 5] {
            let message = vec![0; length];
            assert_eq!(Request::decode(&message), Err(RequestError::Malformed));
        }
    }

    #[test]
    fn a_reply_has_its_length() {
        let mut reply = right_reply(0);
        reply.pop();
        assert_eq!(check(request(0), &reply), Err(WrongReply::Length));
        reply.extend([0, 0]);
        assert_eq!(check(request(0), &reply), Err(WrongReply::Length));
        assert_eq!(check(request(0), &[]), Err(WrongReply::Length));
    }

    #[test]
    fn the_marked_byte_is_one_and_not_just_any() {
        for value in [0, 2, 0x80, 0xff] {
            let mut reply = right_reply(5);
            reply[5] = value;
            assert_eq!(check(request(5), &reply), Err(WrongReply::Unmarked));
        }
    }

    proptest! {
        #[test]
        fn every_number_is_read_as_it_is(number in 0_u32..2_000_000) {
            let expected = match number {
                0..=131_071 => Ok(request(number)),
                131_072..=999_999 => Err(RequestError::OutOfRange),
                _ => Err(RequestError::Malformed),
            };
            prop_assert_eq!(Request::parse(format!("{number}").as_bytes()), expected);
            prop_assert_eq!(Request::parse(format!("{number}\n").as_bytes()), expected);
        }

        #[test]
        fn no_text_makes_it_panic(text in proptest::collection::vec(any::<u8>(), 0..12)) {
            let _ = Request::parse(&text);
            let _ = Request::decode(&text);
        }

        #[test]
        fn what_is_encoded_is_decoded(offset in 0..REPLY_LEN as u32) {
            let request = request(offset);
            prop_assert_eq!(Request::decode(&request.encode()), Ok(request));
        }

        #[test]
        fn one_wrong_bit_anywhere_is_found(
            offset in 0..REPLY_LEN as u32,
            at in 0..REPLY_LEN,
            bit in 0..8,
        ) {
            let mut reply = right_reply(offset);
            prop_assert_eq!(check(request(offset), &reply), Ok(()));
            reply[at] ^= 1_u8 << bit;
            let wrong = if at == offset as usize { WrongReply::Unmarked } else { WrongReply::Stray };
            prop_assert_eq!(check(request(offset), &reply), Err(wrong));
        }
    }

    #[test]
    fn every_single_byte_counts() {
        let mut reply = vec![0; 300];
        for start in 0..9 {
            for at in start..reply.len() {
                reply[at] = 0x80;
                assert!(!is_zero(&reply[start..]));
                reply[at] = 0;
            }
            assert!(is_zero(&reply[start..]));
        }
    }
}
