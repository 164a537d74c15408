// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers as the kernel's crypto takes them: an RSA public key is `SEQUENCE { n, e }`, an ECDSA signature `SEQUENCE { r, s }`.

use crate::refusal::Refusal;

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;

/// Bytes that are enough for two numbers of up to 16,384 bits.
pub const PAIR_MAX: usize = 2 * (2048 + 5) + 4;

/// Writes a sequence of two numbers, and gives what was written. [`Refusal::Room`] where there is too little room.
pub fn pair<'a>(first: &[u8], second: &[u8], room: &'a mut [u8]) -> Result<&'a [u8], Refusal> {
    let content = integer_length(first)
        .zip(integer_length(second))
        .and_then(|(first, second)| first.checked_add(second))
        .ok_or(Refusal::Room)?;
    let mut writer = Writer { room, written: 0 };
    writer.head(SEQUENCE, content)?;
    for number in [first, second] {
        let zero = needs_zero(number);
        let length = number.len().checked_add(zero.into());
        writer.head(INTEGER, length.ok_or(Refusal::Room)?)?;
        if zero {
            writer.bytes(&[0])?;
        }
        writer.bytes(number)?;
    }
    let Writer { room, written } = writer;
    room.get(..written).ok_or(Refusal::Room)
}

/// With its top bit set it would be negative.
fn needs_zero(number: &[u8]) -> bool {
    number.first().is_none_or(|first| first & 0x80 != 0)
}

fn integer_length(number: &[u8]) -> Option<usize> {
    let length = number.len().checked_add(needs_zero(number).into())?;
    head(INTEGER, length)?.1.checked_add(length)
}

/// The bytes in front of a content of this length, and how many of them there are.
fn head(tag: u8, length: usize) -> Option<([u8; 4], usize)> {
    let [high, low] = u16::try_from(length).ok()?.to_be_bytes();
    Some(match length {
        0..=0x7f => ([tag, low, 0, 0], 2),
        0x80..=0xff => ([tag, 0x81, low, 0], 3),
        _ => ([tag, 0x82, high, low], 4),
    })
}

struct Writer<'a> {
    room: &'a mut [u8],
    written: usize,
}

impl Writer<'_> {
    fn head(&mut self, tag: u8, length: usize) -> Result<(), Refusal> {
        let (head, count) = head(tag, length).ok_or(Refusal::Room)?;
        self.bytes(head.get(..count).ok_or(Refusal::Room)?)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let end = self.written.checked_add(bytes.len());
        let end = end.ok_or(Refusal::Room)?;
        let room = self.room.get_mut(self.written..end);
        room.ok_or(Refusal::Room)?.copy_from_slice(bytes);
        self.written = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_positive() {
        let mut room = [0; 16];
        assert_eq!(
            pair(&[0x7f], &[0x80, 1], &mut room),
            Ok(&[0x30, 8, 2, 1, 0x7f, 2, 3, 0, 0x80, 1][..])
        );
    }

    #[test]
    fn lengths_in_one_two_and_three_bytes() {
        let mut room = [0; PAIR_MAX];
        for (length, head) in [
            (100, &[0x30, 0x69, 2, 100][..]),
            (127, &[0x30, 0x81, 0x84, 2, 127]),
            (128, &[0x30, 0x81, 0x86, 2, 0x81, 128]),
            (512, &[0x30, 0x82, 2, 7, 2, 0x82, 2, 0]),
        ] {
            let written = pair(&[1; 2048][..length], &[3], &mut room).unwrap();
            assert_eq!(&written[..head.len()], head);
            assert_eq!(written[written.len() - 3..], [2, 1, 3]);
        }
        let longest = [0xff; 2048];
        assert!(pair(&longest, &longest, &mut room).is_ok());
    }

    #[test]
    fn too_little_room() {
        for length in 0..8 {
            let mut room = [0; 8];
            let result = pair(&[1], &[2], &mut room[..length]);
            assert_eq!(result, Err(Refusal::Room));
        }
    }
}
