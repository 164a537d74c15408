// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why the handler does not answer.

use core::num::NonZeroU32;

/// Why the handler does not answer a request: the status of its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The bytes do not begin as what was asked for does. EBADMSG.
    NotMine,
    /// They break a rule of their format. EINVAL.
    Invalid,
    /// They end too soon. ENODATA.
    Cut,
    /// They are of a version, an algorithm or a kind that is not read here. ENOPKG.
    Unsupported,
    /// A compressed packet: nothing is unpacked here. EOPNOTSUPP.
    Compressed,
    /// A packet in pieces ("partial lengths"): offsets of it would say nothing. EPROTO.
    Partial,
    /// A second key, where there may be one. ENOTUNIQ.
    Several,
    /// More than [`ENTRIES_MAX`](crate::ENTRIES_MAX) things to tell of. E2BIG.
    TooMany,
    /// The reply does not fit into its buffer: a bug. EMSGSIZE.
    NoRoom,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::NotMine,
        Self::Invalid,
        Self::Cut,
        Self::Unsupported,
        Self::Compressed,
        Self::Partial,
        Self::Several,
        Self::TooMany,
        Self::NoRoom,
    ];

    /// The number of the error, positive.
    pub const fn errno(self) -> NonZeroU32 {
        const fn number(number: u32) -> NonZeroU32 {
            match NonZeroU32::new(number) {
                Some(number) => number,
                None => NonZeroU32::MAX,
            }
        }
        match self {
            Self::NotMine => number(74),
            Self::Invalid => number(22),
            Self::Cut => number(61),
            Self::Unsupported => number(65),
            Self::Compressed => number(95),
            Self::Partial => number(71),
            Self::Several => number(76),
            Self::TooMany => number(7),
            Self::NoRoom => number(90),
        }
    }

    /// What a reply's status says; none for a status that no handler has reason to give.
    pub fn from_status(status: u32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|refusal| refusal.errno().get() == status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_numbers_of_their_own() {
        assert_eq!(
            Refusal::ALL.map(|refusal| refusal.errno().get()),
            [74, 22, 61, 65, 95, 71, 76, 7, 90]
        );
        for refusal in Refusal::ALL {
            assert_eq!(Refusal::from_status(refusal.errno().get()), Some(refusal));
        }
        for status in [0, 1, 75, u32::MAX] {
            assert_eq!(Refusal::from_status(status), None);
        }
    }
}
