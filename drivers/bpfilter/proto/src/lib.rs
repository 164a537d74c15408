// SPDX-License-Identifier: MIT OR Apache-2.0
//! The messages between the bpfilter driver's manager and its handler.
//!
//! A request is one call of `getsockopt(2)` or `setsockopt(2)`: a [`Request`], then the option's
//! bytes as they are in the caller's buffer. The handler sees the caller's bytes, never the caller's
//! memory. What comes back is
//!
//! | call | payload of the reply |
//! | --- | --- |
//! | get | the bytes for the caller's buffer; their number is the option's new length |
//! | set, [`abi::SET_REPLACE`] | the old counters, [`abi::COUNTER_LEN`] bytes for each that was asked for: [`OldCounters`] |
//! | set, any other | nothing |
//!
//! or a [`Refusal`] in the reply's status.
//!
//! This crate goes into a kernel module: nothing in it can panic.
#![no_std]
#![forbid(unsafe_code)]

pub mod abi;

use core::ffi::CStr;
use core::num::NonZeroU32;

/// The driver's name: its manager registers it, its loader provides the handler for it.
pub const NAME: &CStr = c"bpfilter";

/// Bytes of a [`Request`], in front of the option's.
pub const HEADER_LEN: usize = 16;

/// The most bytes that an option may have. Longer ones are the kernel's own affair.
pub const OPTION_MAX: usize = 1 << 20;

/// The most bytes of a whole request.
pub const REQUEST_MAX: usize = HEADER_LEN + OPTION_MAX;

/// Which call it is, and whose.
///
/// On the wire: four little-endian numbers of 32 bits, `is_set` (0 or 1), `pid`, `command`, and the
/// number of the option's bytes that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// `setsockopt`, not `getsockopt`.
    pub is_set: bool,
    /// The caller's process, for the record.
    pub pid: u32,
    /// The option's number, one of those in [`abi`].
    pub command: u32,
}

/// The message is no [`Request`]: too short or too long, `is_set` is neither 0 nor 1, or the length
/// is another than that of the bytes behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Request {
    /// The request as it goes to the handler, in front of `length` bytes of the option.
    pub const fn encode(self, length: u32) -> [u8; HEADER_LEN] {
        let [s0, s1, s2, s3] = (self.is_set as u32).to_le_bytes();
        let [p0, p1, p2, p3] = self.pid.to_le_bytes();
        let [c0, c1, c2, c3] = self.command.to_le_bytes();
        let [l0, l1, l2, l3] = length.to_le_bytes();
        [
            s0, s1, s2, s3, p0, p1, p2, p3, c0, c1, c2, c3, l0, l1, l2, l3,
        ]
    }

    /// The request as the handler receives it, and the option's bytes.
    pub fn decode(message: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let (header, option) = message.split_first_chunk().ok_or(Malformed)?;
        let [is_set, pid, command, length] = words::<HEADER_LEN, 4>(header);
        let is_set = match is_set {
            0 => false,
            1 => true,
            _ => return Err(Malformed),
        };
        if option.len() > OPTION_MAX || option.len() != length as usize {
            return Err(Malformed);
        }
        let request = Self {
            is_set,
            pid,
            command,
        };
        Ok((request, option))
    }
}

fn words<const BYTES: usize, const WORDS: usize>(bytes: &[u8; BYTES]) -> [u32; WORDS] {
    let (chunks, _) = bytes.as_chunks();
    let mut words = [0; WORDS];
    for (word, chunk) in words.iter_mut().zip(chunks) {
        *word = u32::from_le_bytes(*chunk);
    }
    words
}

/// Why the handler does not do what an option asks for: the status of its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not for this handler: the kernel shall be asked.
    NotMine,
    /// The option is malformed.
    Invalid,
    /// The caller's idea of the table is out of date.
    Again,
    /// It takes too much memory.
    TooBig,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::NotMine, Self::Invalid, Self::Again, Self::TooBig];

    /// The number of the error, positive: ENOPROTOOPT, EINVAL, EAGAIN, ENOMEM.
    pub const fn errno(self) -> NonZeroU32 {
        const fn number(number: u32) -> NonZeroU32 {
            match NonZeroU32::new(number) {
                Some(number) => number,
                None => NonZeroU32::MAX,
            }
        }
        match self {
            Self::NotMine => number(92),
            Self::Invalid => number(22),
            Self::Again => number(11),
            Self::TooBig => number(12),
        }
    }

    /// What a reply's status says; none for a status that no handler has reason to give.
    pub fn from_status(status: u32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|refusal| refusal.errno().get() == status)
    }
}

/// Where the caller of [`abi::SET_REPLACE`] wants the counters of the rules that are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldCounters {
    /// How many; each has [`abi::COUNTER_LEN`] bytes.
    pub number: u32,
    /// Their place in the caller's memory.
    pub address: u64,
}

impl OldCounters {
    /// Reads them from the option's bytes; none where those are too few.
    pub fn read(option: &[u8]) -> Option<Self> {
        Some(Self {
            number: abi::u32_at(option, abi::replace::NUM_COUNTERS)?,
            address: abi::u64_at(option, abi::replace::COUNTERS)?,
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use proptest::prelude::*;
    use std::vec;

    const REQUEST: Request = Request {
        is_set: true,
        pid: 0x0403_0201,
        command: 65,
    };

    #[test]
    fn layout_is_pinned() {
        assert_eq!(
            REQUEST.encode(2),
            [1, 0, 0, 0, 1, 2, 3, 4, 65, 0, 0, 0, 2, 0, 0, 0]
        );
    }

    #[test]
    fn the_option_has_as_many_bytes_as_the_request_says() {
        let mut message = REQUEST.encode(2).to_vec();
        assert_eq!(Request::decode(&message), Err(Malformed));
        message.extend(b"ab");
        assert_eq!(Request::decode(&message), Ok((REQUEST, &b"ab"[..])));
        message.push(b'c');
        assert_eq!(Request::decode(&message), Err(Malformed));
        for length in 0..HEADER_LEN {
            assert_eq!(Request::decode(&message[..length]), Err(Malformed));
        }
    }

    #[test]
    fn options_have_their_limit() {
        let mut message = vec![0; REQUEST_MAX];
        message[..HEADER_LEN].copy_from_slice(&REQUEST.encode(OPTION_MAX as u32));
        assert!(Request::decode(&message).is_ok());
        message[..HEADER_LEN].copy_from_slice(&REQUEST.encode(OPTION_MAX as u32 + 1));
        message.push(0);
        assert_eq!(Request::decode(&message), Err(Malformed));
    }

    #[test]
    fn set_is_yes_or_no() {
        for no_bool in [2, 0x80, 0xff] {
            let mut message = REQUEST.encode(0);
            message[0] = no_bool;
            assert_eq!(Request::decode(&message), Err(Malformed));
        }
    }

    #[test]
    fn refusals_have_the_numbers_of_the_kernel() {
        assert_eq!(
            Refusal::ALL.map(|refusal| refusal.errno().get()),
            [92, 22, 11, 12]
        );
        for refusal in Refusal::ALL {
            assert_eq!(Refusal::from_status(refusal.errno().get()), Some(refusal));
        }
        for status in [0, 1, 93, u32::MAX] {
            assert_eq!(Refusal::from_status(status), None);
        }
    }

    #[test]
    fn old_counters_are_at_their_place() {
        let mut option = [0; abi::replace::LEN];
        option[84] = 4;
        option[88] = 1;
        option[95] = 2;
        let counters = OldCounters {
            number: 4,
            address: 0x0200_0000_0000_0001,
        };
        assert_eq!(OldCounters::read(&option), Some(counters));
        assert_eq!(OldCounters::read(&option[..95]), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(is_set: bool, pid: u32, command: u32, option: std::vec::Vec<u8>) {
            let request = Request { is_set, pid, command };
            let mut message = request.encode(option.len() as u32).to_vec();
            message.extend(&option);
            prop_assert_eq!(Request::decode(&message), Ok((request, &option[..])));
        }

        #[test]
        fn no_message_makes_it_panic(message in proptest::collection::vec(any::<u8>(), 0..128)) {
            let _ = Request::decode(&message);
            let _ = OldCounters::read(&message);
        }
    }
}
