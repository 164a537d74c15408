// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is written in a signature. Only [`signature`](crate::signature) comes here, with what a key has signed.

use crate::bytes::Bytes;
use crate::packet::two_octets;
use crate::refusal::Refusal;

const MADE: u8 = 2;
const EXPIRES: u8 = 3;
const KEY_EXPIRES: u8 = 9;
const PRIMARY: u8 = 25;
const KEY_FLAGS: u8 = 27;

/// Not to be ignored by those who do not know it.
const CRITICAL: u8 = 0x80;

/// The flag of keys that sign data.
const SIGNS: u8 = 0x02;

/// What the maker of a signature says in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// When it was made, in seconds since 1970.
    pub made: u32,
    /// From when on it does not count any more.
    pub expires: Option<u64>,
    /// How long the key that it is about is good, in seconds from when that was made.
    pub key_lifetime: Option<u32>,
    /// Whether that key may sign data, where that is said.
    pub key_signs: Option<bool>,
    /// The user id that it is about is the one to call the key by.
    pub is_primary: bool,
}

/// Reads all subpackets. Of two that say the same the first counts, as with GnuPG.
pub(crate) fn read(area: &[u8]) -> Result<Facts, Refusal> {
    let mut bytes = Bytes::new(area);
    let (mut made, mut lifetime, mut key_lifetime) = (None, None, None);
    let (mut flags, mut primary) = (None, None);
    while !bytes.is_empty() {
        let (kind, content) = next(&mut bytes).ok_or(Refusal::SignatureMalformed)?;
        match kind & !CRITICAL {
            MADE => first(&mut made, number(content)?),
            EXPIRES => first(&mut lifetime, number(content)?),
            KEY_EXPIRES => first(&mut key_lifetime, number(content)?),
            PRIMARY => first(&mut primary, content.first().is_some_and(|flag| *flag != 0)),
            KEY_FLAGS => first(&mut flags, content.first().copied().unwrap_or(0)),
            other if kind & CRITICAL != 0 && !is_known(other) => return Err(Refusal::Critical),
            _ => {}
        }
    }
    let made = made.ok_or(Refusal::SignatureTime)?;
    let some = |seconds: &u32| *seconds != 0;
    Ok(Facts {
        made,
        expires: lifetime
            .filter(some)
            .map(|lifetime| u64::from(made).saturating_add(lifetime.into())),
        key_lifetime: key_lifetime.filter(some),
        key_signs: flags.map(|flags| flags & SIGNS != 0),
        is_primary: primary.unwrap_or(false),
    })
}

fn first<T>(place: &mut Option<T>, value: T) {
    place.get_or_insert(value);
}

fn number(content: &[u8]) -> Result<u32, Refusal> {
    let number = content.try_into().map(u32::from_be_bytes);
    number.map_err(|_| Refusal::SignatureMalformed)
}

/// Type, with the bit that says critical, and content.
fn next<'a>(bytes: &mut Bytes<'a>) -> Option<(u8, &'a [u8])> {
    let length = match bytes.u8()? {
        length @ ..192 => length.into(),
        255 => bytes.u32()? as usize,
        first => two_octets(first, bytes.u8()?)?,
    };
    let mut subpacket = Bytes::new(bytes.take(length)?);
    Some((subpacket.u8()?, subpacket.rest()))
}

/// Those that may be critical, for they change nothing here: who made the signature, what is preferred, how far others are trusted,
/// why something was revoked. Notations (20) are not among them: each has a meaning of its own.
fn is_known(kind: u8) -> bool {
    matches!(kind, 4..=7 | 11 | 12 | 16 | 21..=24 | 26 | 28..=30 | 32..=35 | 39)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn subpacket(kind: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![content.len() as u8 + 1, kind];
        bytes.extend(content);
        bytes
    }

    fn made_at(seconds: u32) -> Vec<u8> {
        subpacket(MADE, &seconds.to_be_bytes())
    }

    #[test]
    fn what_is_written_is_read() {
        let area = [
            made_at(1000),
            subpacket(EXPIRES | CRITICAL, &[0, 0, 0, 50]),
            subpacket(KEY_EXPIRES, &[0, 0, 1, 0]),
            subpacket(PRIMARY, &[1]),
            subpacket(KEY_FLAGS, &[0x03, 0xff]),
        ]
        .concat();
        let facts = Facts {
            made: 1000,
            expires: Some(1050),
            key_lifetime: Some(256),
            key_signs: Some(true),
            is_primary: true,
        };
        assert_eq!(read(&area), Ok(facts));
    }

    #[test]
    fn zero_is_for_ever_and_flags_of_no_length_allow_nothing() {
        let area = [
            made_at(1000),
            subpacket(EXPIRES, &[0; 4]),
            subpacket(KEY_EXPIRES, &[0; 4]),
            subpacket(KEY_FLAGS, &[]),
        ]
        .concat();
        let facts = read(&area).unwrap();
        assert_eq!((facts.expires, facts.key_lifetime), (None, None));
        assert_eq!(facts.key_signs, Some(false));
        assert_eq!(read(&made_at(1)).unwrap().key_signs, None);
    }

    #[test]
    fn of_two_the_first_counts() {
        let area = [made_at(5), made_at(6)].concat();
        assert_eq!(read(&area).unwrap().made, 5);
    }

    #[test]
    fn who_does_not_say_when_is_not_believed() {
        assert_eq!(read(&[]), Err(Refusal::SignatureTime));
        assert_eq!(read(&subpacket(PRIMARY, &[1])), Err(Refusal::SignatureTime));
    }

    #[test]
    fn critical_and_unknown() {
        for kind in 0..128 {
            let area = [made_at(1), subpacket(kind | CRITICAL, &[0, 0, 0, 1])].concat();
            let known = matches!(kind, MADE | EXPIRES | KEY_EXPIRES | PRIMARY | KEY_FLAGS);
            assert_eq!(read(&area).is_ok(), known || is_known(kind), "{kind}");
            let area = [made_at(1), subpacket(kind, &[0, 0, 0, 1])].concat();
            assert!(read(&area).is_ok(), "{kind}");
        }
        // A notation that is critical.
        assert!(!is_known(20));
    }

    #[test]
    fn lengths_in_each_form() {
        let content = [7; 300];
        let mut area = made_at(1);
        area.extend([255, 0, 0, 1, 45, 100]);
        area.extend(content);
        area.extend([192, 109, 100]);
        area.extend(content);
        assert!(read(&area).is_ok());
        for cut in 7..area.len() {
            assert_eq!(
                read(&area[..cut]).is_ok(),
                cut == 6 + 6 + 300,
                "cut at {cut}"
            );
        }
        // A length of nothing has no room for a type.
        assert_eq!(read(&[0]), Err(Refusal::SignatureMalformed));
        assert_eq!(
            read(&subpacket(MADE, &[0, 0, 1])),
            Err(Refusal::SignatureMalformed)
        );
    }
}
