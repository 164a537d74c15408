// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a test tells the hostile handler in the PGP driver's seat.
//!
//! The manager hands over bytes that anybody may have written, so the last of them are what the test has to say: a body, the
//! number of its bytes (32 bits, little-endian), the order's letter, and [`MAGIC`].

/// What input ends with that holds an order.
pub const MAGIC: [u8; 8] = *b"UMD-TOLD";

/// Bytes behind an order's body.
pub const FOOTER_LEN: usize = 4 + 1 + MAGIC.len();

/// What the handler shall do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order<'a> {
    /// Reply with this.
    Reply(&'a [u8]),
    /// Refuse with this status.
    Refuse(u32),
    /// Compute for ever.
    Spin,
    /// End.
    Panic,
}

impl<'a> Order<'a> {
    /// What the input says; none where it holds no order.
    pub fn read(input: &'a [u8]) -> Option<Self> {
        let rest = input.strip_suffix(&MAGIC)?;
        let (letter, rest) = rest.split_last()?;
        let (rest, length) = rest.split_last_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let body = rest.get(rest.len().checked_sub(length)?..)?;
        Some(match (letter, body) {
            (b'r', body) => Self::Reply(body),
            (b'n', body) => Self::Refuse(u32::from_le_bytes(body.try_into().ok()?)),
            (b's', []) => Self::Spin,
            (b'p', []) => Self::Panic,
            _ => return None,
        })
    }

    /// What goes behind the body.
    pub fn footer(letter: u8, body: &[u8]) -> [u8; FOOTER_LEN] {
        let mut footer = [0; FOOTER_LEN];
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let parts = [&length.to_le_bytes()[..], &[letter], &MAGIC];
        for (to, from) in footer.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        footer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn what_is_told_is_read() {
        for (letter, body, order) in [
            (b'r', &b"told"[..], Order::Reply(b"told")),
            (b'r', b"", Order::Reply(b"")),
            (b'n', &[74, 0, 0, 0], Order::Refuse(74)),
            (b's', b"", Order::Spin),
            (b'p', b"", Order::Panic),
        ] {
            let mut input = Vec::from(*b"a key");
            input.extend(body);
            input.extend(Order::footer(letter, body));
            assert_eq!(Order::read(&input), Some(order));
            input.push(0);
            assert_eq!(Order::read(&input), None);
        }
        assert_eq!(Order::read(&MAGIC), None);
        assert_eq!(Order::read(&Order::footer(b'r', b"longer")), None);
    }
}
