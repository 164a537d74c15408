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
        // What the handler's refusal is for the caller is not for the handler to choose.
        if let Error::Rejected(status) = error {
            let said = pgp_proto::Refusal::from_status(status.get());
            return said.map_or(Refusal::Reply, Refusal::from).into();
        }
        Self {
            errno: error.errno(),
            sentence: error.describe(),
        }
    }
}
