// SPDX-License-Identifier: MIT OR Apache-2.0
//! What came of a verification.

use anyhow::{Result, anyhow};
use serde::Serialize;
use umd_pgp::{Payload, Signed};

use super::failure::Failure;
use super::files::Source;
use super::keys::{RefusedKey, user_id};
use super::table::{Rows, date, printable};
use crate::Verdict;
use crate::output::{self, Format};

/// What came of a verification.
#[derive(Debug, Serialize)]
pub(super) struct Outcome<'o> {
    pub(super) file: &'o Source,
    /// The file to name where it failed.
    #[serde(skip)]
    pub(super) blamed: &'o Source,
    pub(super) signed: Option<Signer>,
    /// Of a package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) payload: Option<Checked>,
    /// Tags of a package's signatures that were not read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) other_signatures: Vec<u32>,
    pub(super) error: Option<Failure>,
    pub(super) refused_keys: &'o [RefusedKey],
}

/// Who signed.
#[derive(Debug, Serialize)]
pub(super) struct Signer {
    user_id: Option<String>,
    /// The primary key's.
    fingerprint: String,
    /// That of the key that made the signature: the primary one, or a subkey.
    by: String,
    /// In seconds since 1970.
    made: u32,
    /// How lines end was not signed.
    over_text: bool,
}

/// What is known of a package's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Checked {
    Verified,
    HeaderOnly,
}

impl From<Payload> for Checked {
    fn from(payload: Payload) -> Self {
        match payload {
            Payload::Verified => Self::Verified,
            Payload::HeaderOnly => Self::HeaderOnly,
        }
    }
}

impl Signer {
    pub(super) fn of(signed: &Signed<'_>) -> Self {
        Self {
            user_id: user_id(signed.key),
            fingerprint: signed.key.primary.fingerprint_text(),
            by: signed.by.fingerprint_text(),
            made: signed.made(),
            over_text: signed.is_over_text(),
        }
    }
}

impl Outcome<'_> {
    /// Prints it.
    pub(super) fn told(&self, format: Format) -> Result<Verdict> {
        match (&self.error, format) {
            (Some(failure), Format::Text) => {
                let refused = { self.refused_keys.iter() }.map(|key| format!("\n{}", key.text()));
                Err(anyhow!(
                    "{}: {}{}",
                    self.blamed,
                    failure.text(),
                    refused.collect::<String>()
                ))
            }
            _ => {
                output::result(format, self, || self.text())?;
                Ok(self.verdict())
            }
        }
    }

    fn verdict(&self) -> Verdict {
        match (&self.error, self.payload) {
            (None, None | Some(Checked::Verified)) => Verdict::Fine,
            _ => Verdict::Found,
        }
    }

    fn text(&self) -> String {
        let mut rows = Rows(String::new());
        if let Some(signer) = &self.signed {
            let user_id = signer.user_id.as_deref().unwrap_or("no user id");
            rows.title(&format!("{}: good signature", self.file));
            rows.row("user id", &printable(user_id));
            rows.row("fingerprint", &signer.fingerprint);
            if signer.by != signer.fingerprint {
                rows.row("by subkey", &signer.by);
            }
            rows.row("signed", &date(signer.made.into()));
            if signer.over_text {
                rows.row("as", "text: how its lines end was not signed");
            }
        }
        match self.payload {
            Some(Checked::Verified) => rows.row("payload", "verified"),
            Some(Checked::HeaderOnly) => {
                rows.row("payload", "header only: nothing is known of the payload");
            }
            None => {}
        }
        for tag in &self.other_signatures {
            rows.row("not read", &format!("the signature in tag {tag}"));
        }
        rows.refused(self.refused_keys);
        rows.0
    }
}
