// SPDX-License-Identifier: GPL-2.0-only
//! What is written to the file, and read from it: `kernel/include/linux/umd_pgp.h`, where each field is described.

use pgp_rules::Fingerprint;
use umd_kernel::Errno;

use crate::failure::Failure;

const VERSION: u32 = 1;

pub(crate) const SIGNATURE_MAX: usize = 64 << 10;
pub(crate) const DATA_MAX: usize = 1 << 20;

const DETACHED: u32 = 1;
const INLINE: u32 = 2;
const RPM: u32 = 3;

const FD: u32 = 1;
const HEADER_ONLY: u32 = 2;
const MET_1002: u32 = 0x10;
const MET_1005: u32 = 0x20;
const MET_278: u32 = 0x40;
const TEXT: u32 = 0x80;

/// Bytes of a request's numbers.
pub(crate) const REQUEST_LEN: usize = 32;

/// Bytes of a result.
pub(crate) const RESULT_LEN: usize = 200;

/// What is asked for.
pub(crate) struct Request<'a> {
    /// The serial number of a key or keyring.
    pub(crate) key: i32,
    pub(crate) what: What<'a>,
}

pub(crate) enum What<'a> {
    Detached {
        signature: &'a [u8],
        data: Given<'a>,
    },
    Inline(Given<'a>),
    Rpm {
        fd: i32,
        header_only: bool,
    },
}

/// Data, or the descriptor of their file.
#[derive(Clone, Copy)]
pub(crate) enum Given<'a> {
    Bytes(&'a [u8]),
    File(i32),
}

impl<'a> Request<'a> {
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, Errno> {
        Self::read(bytes).ok_or(Errno::EINVAL)
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (numbers, rest) = bytes.split_first_chunk::<REQUEST_LEN>()?;
        let (numbers, _) = numbers.as_chunks();
        let mut words = [0; 8];
        for (word, number) in words.iter_mut().zip(numbers) {
            *word = u32::from_le_bytes(*number);
        }
        let [VERSION, kind, flags, key, fd, signature_len, data_len, 0] = words else {
            return None;
        };
        let (signature, data) = rest.split_at_checked(signature_len as usize)?;
        let is_file = flags & FD != 0;
        if signature.len() > SIGNATURE_MAX
            || data.len() != data_len as usize
            || data.len() > DATA_MAX
            || (is_file && data_len != 0)
            || (!is_file && fd != 0)
        {
            return None;
        }
        let fd = fd.cast_signed();
        let given = if is_file {
            Given::File(fd)
        } else {
            Given::Bytes(data)
        };
        let what = match (kind, flags & !FD) {
            (DETACHED, 0) if !signature.is_empty() => What::Detached {
                signature,
                data: given,
            },
            (INLINE, 0) if signature.is_empty() => What::Inline(given),
            (RPM, 0 | HEADER_ONLY) if signature.is_empty() && is_file => What::Rpm {
                fd,
                header_only: flags & HEADER_ONLY != 0,
            },
            _ => return None,
        };
        Some(Self {
            key: key.cast_signed(),
            what,
        })
    }
}

/// A signature that was verified.
pub(crate) struct Good {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) primary: Fingerprint,
    pub(crate) made: u32,
    /// Where the data are in a message, and how many.
    pub(crate) data: (u32, u32),
    pub(crate) notes: Notes,
}

/// What is worth saying of what was verified.
#[derive(Clone, Copy, Default)]
pub(crate) struct Notes {
    /// How lines end was not signed.
    pub(crate) text: bool,
    pub(crate) header_only: bool,
    pub(crate) met_1002: bool,
    pub(crate) met_1005: bool,
    pub(crate) met_278: bool,
}

impl Notes {
    fn flags(self) -> u32 {
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        flag(self.header_only, HEADER_ONLY)
            | flag(self.met_1002, MET_1002)
            | flag(self.met_1005, MET_1005)
            | flag(self.met_278, MET_278)
            | flag(self.text, TEXT)
    }
}

/// The result as it is read.
pub(crate) fn encode(result: &Result<Good, Failure>) -> [u8; RESULT_LEN] {
    let mut bytes = [0; RESULT_LEN];
    let mut out = Writer(&mut bytes);
    out.word(VERSION);
    match result {
        Ok(good) => {
            let fingerprint = good.fingerprint.as_bytes();
            out.word(0)
                .word(good.notes.flags())
                .word(good.fingerprint.version().into())
                .word(good.made)
                .word(0)
                .word(good.data.0)
                .word(good.data.1)
                // At most 32.
                .word(fingerprint.len() as u32)
                .word(0)
                .field(32, fingerprint)
                .field(32, good.primary.as_bytes());
            if good.notes.header_only {
                out.text(b"header only");
            }
        }
        Err(failure) => {
            let errno = failure.errno.get().cast_unsigned();
            out.word(errno)
                .word(0)
                .word(0)
                .field(24, &[])
                .field(64, &[])
                .text(failure.sentence.as_bytes());
        }
    }
    bytes
}

/// Room that is filled from the front.
struct Writer<'a>(&'a mut [u8]);

impl Writer<'_> {
    fn word(&mut self, word: u32) -> &mut Self {
        self.field(4, &word.to_le_bytes())
    }

    /// As much as there is room for, with a zero behind.
    fn text(&mut self, text: &[u8]) -> &mut Self {
        let length = self.0.len().saturating_sub(1).min(text.len());
        self.field(length, text)
    }

    /// So many bytes, zeros where there are fewer.
    fn field(&mut self, length: usize, bytes: &[u8]) -> &mut Self {
        let room = core::mem::take(&mut self.0);
        let (field, rest) = room.split_at_mut_checked(length).unwrap_or_default();
        for (to, from) in field.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.0 = rest;
        self
    }
}
