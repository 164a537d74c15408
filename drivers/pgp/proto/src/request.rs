// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a host asks.

use crate::wire::{Reader, Writer};
use crate::{HEADER_LEN, INPUT_MAX, Malformed};

/// The fingerprint of a key.
///
/// The host hashes the primary key anyway, before it asks: so the handler, which has to tell
/// signatures of the key's own from those of others, needs no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fingerprint {
    /// Of a key of version 4: SHA-1.
    V4([u8; 20]),
    /// Of a key of version 6: SHA-256.
    V6([u8; 32]),
}

impl Fingerprint {
    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::V4(bytes) => bytes,
            Self::V6(bytes) => bytes,
        }
    }

    /// The version of the key.
    pub const fn version(&self) -> u8 {
        match self {
            Self::V4(_) => 4,
            Self::V6(_) => 6,
        }
    }

    /// The key id: of version 4 the last eight bytes, of version 6 the first.
    pub fn key_id(&self) -> [u8; 8] {
        let id = match self {
            Self::V4(bytes) => bytes.last_chunk(),
            Self::V6(bytes) => bytes.first_chunk(),
        };
        id.copied().unwrap_or_default()
    }
}

/// What the host wants to know of the bytes behind it.
///
/// On the wire: three numbers of 32 bits (which request it is, the number of the caller's bytes that
/// follow, the number of the fingerprint's bytes), then the fingerprint with zeros up to 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// The parts of a transferable public key, whose primary key comes first and has this
    /// fingerprint.
    Key(Fingerprint),
    /// Where each of several transferable public keys begins.
    Ring,
    /// Detached signatures.
    Signature,
    /// A signed message, in packets.
    Message,
    /// A message under the cleartext signature framework.
    Cleartext,
    /// What an armor is around.
    Armor,
    /// The signature header and the main header of a package, with what is between them.
    Rpm,
}

impl Request {
    const KEY: u32 = 1;
    const RING: u32 = 2;
    const SIGNATURE: u32 = 3;
    const MESSAGE: u32 = 4;
    const CLEARTEXT: u32 = 5;
    const ARMOR: u32 = 6;
    const RPM: u32 = 7;

    /// The request as it goes to the handler, in front of `length` bytes of the caller's.
    pub fn encode(&self, length: u32) -> [u8; HEADER_LEN] {
        let (number, fingerprint) = match self {
            Self::Key(fingerprint) => (Self::KEY, fingerprint.as_bytes()),
            Self::Ring => (Self::RING, &[][..]),
            Self::Signature => (Self::SIGNATURE, &[][..]),
            Self::Message => (Self::MESSAGE, &[][..]),
            Self::Cleartext => (Self::CLEARTEXT, &[][..]),
            Self::Armor => (Self::ARMOR, &[][..]),
            Self::Rpm => (Self::RPM, &[][..]),
        };
        let mut bytes = [0; HEADER_LEN];
        Writer(&mut bytes)
            .word(number)
            .word(length)
            // At most 32.
            .word(fingerprint.len() as u32)
            .bytes(fingerprint);
        bytes
    }

    /// The request as the handler receives it, and the caller's bytes.
    pub fn decode(message: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let mut from = Reader(message);
        let number = from.word()?;
        let length = from.word()?;
        let size = from.word()?;
        let field: &[u8; 32] = from.bytes()?;
        let (used, unused) = usize::try_from(size)
            .ok()
            .and_then(|size| field.split_at_checked(size))
            .ok_or(Malformed)?;
        let input = from.0;
        if unused.iter().any(|byte| *byte != 0)
            || input.len() > INPUT_MAX
            || u32::try_from(input.len()) != Ok(length)
        {
            return Err(Malformed);
        }
        let request = match (number, used) {
            (Self::KEY, used) => Self::Key(if let Ok(bytes) = used.try_into() {
                Fingerprint::V4(bytes)
            } else {
                Fingerprint::V6(used.try_into().map_err(|_| Malformed)?)
            }),
            (Self::RING, []) => Self::Ring,
            (Self::SIGNATURE, []) => Self::Signature,
            (Self::MESSAGE, []) => Self::Message,
            (Self::CLEARTEXT, []) => Self::Cleartext,
            (Self::ARMOR, []) => Self::Armor,
            (Self::RPM, []) => Self::Rpm,
            _ => return Err(Malformed),
        };
        Ok((request, input))
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    fn requests() -> impl Strategy<Value = Request> {
        prop_oneof![
            any::<[u8; 20]>().prop_map(|bytes| Request::Key(Fingerprint::V4(bytes))),
            any::<[u8; 32]>().prop_map(|bytes| Request::Key(Fingerprint::V6(bytes))),
            Just(Request::Ring),
            Just(Request::Signature),
            Just(Request::Message),
            Just(Request::Cleartext),
            Just(Request::Armor),
            Just(Request::Rpm),
        ]
    }

    #[test]
    fn layout_is_pinned() {
        let mut expected = vec![1, 0, 0, 0, 2, 1, 0, 0, 20, 0, 0, 0];
        expected.extend([7; 20]);
        expected.extend([0; 12]);
        let request = Request::Key(Fingerprint::V4([7; 20]));
        assert_eq!(request.encode(0x102).to_vec(), expected);
        let numbers = [
            Request::Ring,
            Request::Signature,
            Request::Message,
            Request::Cleartext,
            Request::Armor,
            Request::Rpm,
        ]
        .map(|request| request.encode(0)[0]);
        assert_eq!(numbers, [2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn only_keys_have_fingerprints_and_of_two_lengths() {
        let mut message = Request::Key(Fingerprint::V6([0; 32])).encode(0);
        for length in 0..=33 {
            message[8] = length;
            let decoded = Request::decode(&message).map(|(request, _)| request);
            let expected = match length {
                20 => Ok(Request::Key(Fingerprint::V4([0; 20]))),
                32 => Ok(Request::Key(Fingerprint::V6([0; 32]))),
                _ => Err(Malformed),
            };
            assert_eq!(decoded, expected);
        }
        for number in [0, 2, 3, 4, 5, 6, 7, 8, 255] {
            message[0] = number;
            message[8] = 20;
            assert_eq!(Request::decode(&message), Err(Malformed));
        }
    }

    #[test]
    fn behind_a_fingerprint_are_zeros() {
        let mut message = Request::Key(Fingerprint::V4([1; 20])).encode(0);
        assert!(Request::decode(&message).is_ok());
        message[HEADER_LEN - 1] = 1;
        assert_eq!(Request::decode(&message), Err(Malformed));
    }

    #[test]
    fn input_has_its_limit_and_the_length_that_is_said() {
        let mut message = vec![0; HEADER_LEN + INPUT_MAX];
        message[..HEADER_LEN].copy_from_slice(&Request::Ring.encode(INPUT_MAX as u32));
        assert!(Request::decode(&message).is_ok());
        message.pop();
        assert_eq!(Request::decode(&message), Err(Malformed));
        message.extend([0; 2]);
        message[..HEADER_LEN].copy_from_slice(&Request::Ring.encode(INPUT_MAX as u32 + 1));
        assert_eq!(Request::decode(&message), Err(Malformed));
        for length in 0..HEADER_LEN {
            assert_eq!(Request::decode(&message[..length]), Err(Malformed));
        }
    }

    #[test]
    fn key_ids_are_where_their_version_has_them() {
        let v4 = Fingerprint::V4(core::array::from_fn(|n| n as u8));
        let v6 = Fingerprint::V6(core::array::from_fn(|n| n as u8));
        assert_eq!(v4.key_id(), [12, 13, 14, 15, 16, 17, 18, 19]);
        assert_eq!(v6.key_id(), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!((v4.version(), v6.version()), (4, 6));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(request in requests(), input: std::vec::Vec<u8>) {
            let mut message = request.encode(input.len() as u32).to_vec();
            message.extend(&input);
            prop_assert_eq!(Request::decode(&message), Ok((request, &input[..])));
        }

        #[test]
        fn no_message_makes_it_panic(message in proptest::collection::vec(any::<u8>(), 0..128)) {
            if let Ok((request, input)) = Request::decode(&message) {
                prop_assert_eq!(&request.encode(input.len() as u32), &message[..HEADER_LEN]);
            }
        }
    }
}
