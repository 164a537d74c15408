// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why something failed, and what would be right.

use std::io;
use std::path::Path;

use anyhow::anyhow;
use serde::Serialize;
use umd_pgp::{Error, Refusal};

/// What each file should be.
pub(super) const KEY: &str = "a key is what `gpg --export` writes";
pub(super) const SIGNATURE: &str = "a signature is what `gpg --detach-sign` writes";
pub(super) const PACKAGE: &str = "a package is what `rpmbuild` writes";

pub(super) fn why(path: &Path, error: Error, expected: &'static str) -> anyhow::Error {
    anyhow!(
        "{}: {}",
        path.display(),
        Failure::of(error, expected).text()
    )
}

/// Which check failed.
#[derive(Debug, Serialize)]
pub(super) struct Failure {
    pub(super) message: String,
    /// As errno(3).
    errno: i32,
    /// What would be right.
    hint: Option<&'static str>,
}

impl Failure {
    pub(super) fn of(error: Error, expected: &'static str) -> Self {
        use Refusal::*;
        let hint = match error {
            Error::Refused(refusal) => match refusal {
                NotAKey | Length | NotMine | Malformed | Cut | Unsupported | Compressed
                | Package => Some(expected),
                BadSignature => {
                    Some("what was signed, or the signature, was changed, or its key was not given")
                }
                KeyExpired => Some("its owner may have a newer copy, which expires later"),
                Unsigned => Some("`rpmsign --addsign` signs it"),
                PackageSignature => Some("`rpmsign --addsign` signs the header"),
                SeveralKeys => Some("`gpg --export FINGERPRINT` writes one"),
                _ => None,
            },
            _ => None,
        };
        Self {
            message: error.to_string(),
            errno: error.errno(),
            hint,
        }
    }

    pub(super) fn text(&self) -> String {
        let errno = io::Error::from_raw_os_error(self.errno);
        let hint = self.hint.map(|hint| format!("; {hint}"));
        format!("{} ({errno}){}", self.message, hint.unwrap_or_default())
    }
}
