// SPDX-License-Identifier: MIT OR Apache-2.0
//! The wire frame: sixteen bytes in front of every message.
//!
//! | bytes | field | meaning |
//! | --- | --- | --- |
//! | 0..4 | magic | `"umd\x01"`; the last byte is the version of the wire |
//! | 4..8 | length | bytes of payload that follow |
//! | 8..12 | id | which request this is, or answers; [`HELLO_ID`] in a hello |
//! | 12..16 | status | 0 in a request; in a reply 0, or the handler's own refusal |
//!
//! All fields are little-endian. A frame is sent whole, but both sides accept it in pieces of any
//! size. The first frame on a channel is the handler's *hello*: id [`HELLO_ID`], no payload. It
//! promises that the handler has dropped its privileges; the host checks that for itself.
//!
//! Where the filter can only be set once the handler runs, its runtime sets it: such a handler is started with
//! [`ORDERS`] as its second argument, and gets the filter before its hello, as the payload of a frame with id [`HELLO_ID`].

use core::ffi::CStr;

/// First four bytes of every frame, version included.
pub const MAGIC: [u8; 4] = *b"umd\x01";

/// Bytes in a [`Header`] on the wire.
pub const HEADER_LEN: usize = 16;

/// The id of a hello. No request carries it.
pub const HELLO_ID: u32 = 0;

/// The argument that tells a handler's runtime to expect a filter on its channel, and to set it before its hello.
pub const ORDERS: &CStr = c"filter";

/// As [`ORDERS`]; and where it is denied a system call it says which, in a frame with id [`HELLO_ID`] whose status is the call's number
/// plus one, before it ends.
pub const ORDERS_DIAGNOSE: &CStr = c"filter,diagnose";

/// The fields of a frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of payload that follow the header.
    pub length: u32,
    /// Id of the request, repeated in its reply.
    pub id: u32,
    /// 0, or in a reply the handler's own refusal of the request.
    pub status: u32,
}

/// What is wrong with sixteen bytes that should have been a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The first three bytes are not `"umd"`.
    Magic,
    /// The version byte is one that this side does not speak.
    Version(u8),
}

impl Header {
    /// The header of a request with `length` bytes of payload.
    pub const fn request(id: u32, length: u32) -> Self {
        Self {
            length,
            id,
            status: 0,
        }
    }

    /// The header of a reply to request `id`.
    pub const fn reply(id: u32, length: u32, status: u32) -> Self {
        Self { length, id, status }
    }

    /// The hello.
    pub const fn hello() -> Self {
        Self {
            length: 0,
            id: HELLO_ID,
            status: 0,
        }
    }

    /// The header of a filter of `length` bytes, which the handler is to set.
    pub const fn orders(length: u32) -> Self {
        Self {
            length,
            id: HELLO_ID,
            status: 0,
        }
    }

    /// The header by which a handler says that it was denied the system call with this number.
    pub const fn denied(number: u32) -> Self {
        Self {
            length: 0,
            id: HELLO_ID,
            status: number.wrapping_add(1),
        }
    }

    /// The number of the system call that a handler says it was denied, if this says so.
    pub const fn as_denied(&self) -> Option<u32> {
        match (self.id, self.length, self.status) {
            (HELLO_ID, 0, 1..) => Some(self.status.wrapping_sub(1)),
            _ => None,
        }
    }

    /// The header as it stands on the wire.
    pub const fn encode(&self) -> [u8; HEADER_LEN] {
        let [m0, m1, m2, m3] = MAGIC;
        let [l0, l1, l2, l3] = self.length.to_le_bytes();
        let [i0, i1, i2, i3] = self.id.to_le_bytes();
        let [s0, s1, s2, s3] = self.status.to_le_bytes();
        [
            m0, m1, m2, m3, l0, l1, l2, l3, i0, i1, i2, i3, s0, s1, s2, s3,
        ]
    }

    /// Reads a header from the wire. Checks magic and version; the other fields have no meaning
    /// without the request that they claim to answer, so their reader checks those.
    pub const fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, FrameError> {
        let [
            m0,
            m1,
            m2,
            version,
            l0,
            l1,
            l2,
            l3,
            i0,
            i1,
            i2,
            i3,
            s0,
            s1,
            s2,
            s3,
        ] = *bytes;
        if m0 != MAGIC[0] || m1 != MAGIC[1] || m2 != MAGIC[2] {
            return Err(FrameError::Magic);
        }
        if version != MAGIC[3] {
            return Err(FrameError::Version(version));
        }
        Ok(Self {
            length: u32::from_le_bytes([l0, l1, l2, l3]),
            id: u32::from_le_bytes([i0, i1, i2, i3]),
            status: u32::from_le_bytes([s0, s1, s2, s3]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn layout_is_pinned() {
        let bytes = Header::reply(0x0403_0201, 0x1413_1211, 0x2423_2221).encode();
        assert_eq!(
            bytes,
            [
                b'u', b'm', b'd', 1, 0x11, 0x12, 0x13, 0x14, 1, 2, 3, 4, 0x21, 0x22, 0x23, 0x24
            ]
        );
    }

    #[test]
    fn other_versions_and_strangers_are_told_apart() {
        let mut bytes = Header::hello().encode();
        bytes[3] = 2;
        assert_eq!(Header::decode(&bytes), Err(FrameError::Version(2)));
        bytes[0] = b'x';
        assert_eq!(Header::decode(&bytes), Err(FrameError::Magic));
    }

    #[test]
    fn a_denied_call_is_no_hello() {
        assert_eq!(Header::hello().as_denied(), None);
        assert_eq!(Header::denied(0).as_denied(), Some(0));
        assert_eq!(Header::denied(257).as_denied(), Some(257));
        assert_eq!(Header::reply(1, 0, 258).as_denied(), None);
        assert_eq!(Header::orders(8).as_denied(), None);
    }

    proptest! {
        // Miri is slow, and has no working directory to keep failures in.
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 8 } else { 256 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn what_is_encoded_is_decoded(length: u32, id: u32, status: u32) {
            let header = Header { length, id, status };
            prop_assert_eq!(Header::decode(&header.encode()), Ok(header));
        }

        #[test]
        fn whatever_decodes_encodes_to_the_same_bytes(bytes: [u8; HEADER_LEN]) {
            if let Ok(header) = Header::decode(&bytes) {
                prop_assert_eq!(header.encode(), bytes);
            }
        }
    }
}
