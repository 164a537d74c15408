// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a packet's body is not read.

use pgp_proto::{Refusal, Skipped};

/// Why a packet's body is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It is of a version, an algorithm or a kind that is not read here.
    Unsupported,
    /// It breaks its format.
    Invalid,
}

impl Flaw {
    /// Where all depends on this body.
    pub(crate) const fn refusal(self) -> Refusal {
        match self {
            Self::Unsupported => Refusal::Unsupported,
            Self::Invalid => Refusal::Invalid,
        }
    }

    /// Where others may be better.
    pub(crate) const fn note(self, skipped: &mut Skipped) {
        let count = match self {
            Self::Unsupported => &mut skipped.unsupported,
            Self::Invalid => &mut skipped.invalid,
        };
        *count = count.saturating_add(1);
    }
}
