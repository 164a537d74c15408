// SPDX-License-Identifier: GPL-2.0-only
//! Why there is no key, or no verified signature.

use pgp_rules::Refusal;
use umd_kernel::{Errno, Error};

/// Why not: a number for the caller, and words for people.
#[derive(Clone, Copy)]
pub(crate) struct Failure {
    pub(crate) errno: Errno,
    pub(crate) sentence: &'static str,
}

impl Failure {
    /// What is asked for, or with, is not what it should be.
    pub(crate) const fn new(errno: i32, sentence: &'static str) -> Self {
        Self {
            errno: Errno::new(errno),
            sentence,
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self {
            errno: Errno::new(refusal.errno().get().cast_signed()),
            sentence: refusal.sentence(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if let Error::Rejected(status) = error {
            return said(pgp_proto::Refusal::from_status(status.get()));
        }
        Self {
            errno: error.errno(),
            sentence: error.describe(),
        }
    }
}

/// What the handler's refusal is for the caller: never a number of the handler's own choice.
fn said(refusal: Option<pgp_proto::Refusal>) -> Failure {
    use pgp_proto::Refusal as Said;
    const ENOPKG: i32 = 65;
    const EBADMSG: i32 = 74;
    const EMSGSIZE: i32 = 90;
    match refusal {
        Some(Said::NotMine) => Refusal::NotMine.into(),
        Some(Said::Invalid) => Failure::new(EBADMSG, "a packet breaks a rule of its format"),
        Some(Said::Cut) => Failure::new(EBADMSG, "the packets end too soon"),
        Some(Said::Unsupported) => Refusal::Unsupported.into(),
        Some(Said::Compressed) => Failure::new(ENOPKG, "compressed packets are not supported"),
        Some(Said::Partial) => Failure::new(ENOPKG, "packets in pieces are not supported"),
        Some(Said::Several) => Failure::new(ENOPKG, "there is more than one key"),
        Some(Said::TooMany) => Failure::new(EMSGSIZE, "there are too many packets"),
        Some(Said::NoRoom) | None => Refusal::Reply.into(),
    }
}
