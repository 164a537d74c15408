// SPDX-License-Identifier: MIT OR Apache-2.0
//! `umd pgp show`.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use umd_pgp::{Key, PublicKey, Refusal};

use super::failure::Expected;
use super::files::Source;
use super::keys::{Believed, RefusedKey, user_id};
use super::table::{Rows, date, printable};
use crate::Verdict;
use crate::output::{self, FormatArgs};

/// Show what is believed of a key, or of each key of a keyring
///
/// Exits with 0 where all keys are believed, also those that have expired or were revoked: `may sign` says so.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  umd pgp show alice.asc\n  umd pgp show --json ring.gpg | jq '.keys[].primary.fingerprint'\n  gpg --export alice | umd pgp show -"
)]
pub(super) struct Show {
    /// A file with keys, in an armor or not; or `-`
    key: Source,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

impl Show {
    pub(super) fn run(&self) -> Result<Verdict> {
        let bytes = self.key.read(Expected::Keys)?;
        let mut believed = Believed::none()?;
        believed.add(&self.key, &bytes)?;
        let Believed { keyring, refused } = believed;
        let now = now();
        let keys = keyring.keys().iter().map(|key| Shown::of(key, now));
        let mut shown = Listing {
            keys: keys.collect(),
            refused_keys: refused,
        };
        // What was passed over is counted where there is one key.
        if let ([key], Ok(small)) = (&mut shown.keys[..], keyring.minimize(&bytes)) {
            (key.foreign, key.others) = (Some(small.foreign), Some(small.others));
        }
        output::result(self.format.format(), &shown, || shown.text())?;
        Ok(match shown.refused_keys.is_empty() {
            true => Verdict::Fine,
            false => Verdict::Found,
        })
    }
}

/// Keys that are believed, and those that are not.
#[derive(Debug, Serialize)]
struct Listing {
    keys: Vec<Shown>,
    refused_keys: Vec<RefusedKey>,
}

/// A key that is believed.
#[derive(Debug, Serialize)]
struct Shown {
    user_id: Option<String>,
    primary: ShownPublic,
    /// Those that sign, or did.
    subkeys: Vec<ShownPublic>,
    /// Why a subkey that signs is not among these.
    left_out: Option<&'static str>,
    /// Signatures of others; nothing where there are several keys.
    foreign: Option<u32>,
    /// Packets that are not read here; nothing where there are several keys.
    others: Option<u32>,
}

#[derive(Debug, Serialize)]
struct ShownPublic {
    fingerprint: String,
    key_id: String,
    version: u8,
    algorithm: String,
    /// In seconds since 1970.
    created: u32,
    expires: Option<u64>,
    revoked: bool,
    may_sign: bool,
    /// Why it may not.
    why_not: Option<&'static str>,
}

impl Shown {
    fn of(key: &Key, now: u64) -> Self {
        let public = |key| ShownPublic::of(key, now);
        Self {
            user_id: user_id(key),
            primary: public(&key.primary),
            subkeys: key.subkeys.iter().map(public).collect(),
            left_out: key.left_out.map(Refusal::sentence),
            foreign: None,
            others: None,
        }
    }

    fn rows(&self, rows: &mut Rows) {
        rows.title("key");
        let user_id = self.user_id.as_deref().unwrap_or("none");
        rows.row("user id", &printable(user_id));
        self.primary.rows(rows);
        for subkey in &self.subkeys {
            rows.title("subkey that signs");
            subkey.rows(rows);
        }
        let counts = [
            (self.foreign, "signatures of others"),
            (self.others, "packets that are not read here"),
        ];
        let counts = counts.map(|(count, what)| {
            let count = count.filter(|count| *count > 0)?;
            Some(format!("{count} {what}"))
        });
        let subkey = self
            .left_out
            .map(|why| format!("a subkey that signs: {why}"));
        for (number, what) in subkey
            .into_iter()
            .chain(counts.into_iter().flatten())
            .enumerate()
        {
            if number == 0 {
                rows.title("left out");
            }
            rows.line(&what);
        }
    }
}

impl ShownPublic {
    fn of(key: &PublicKey, now: u64) -> Self {
        let why_not = key.state.check(now).err();
        Self {
            fingerprint: key.fingerprint_text(),
            key_id: hex(&key.fingerprint.key_id()),
            version: key.version,
            algorithm: key.algorithm_name.clone(),
            created: key.created,
            expires: key.state.expires,
            revoked: key.state.revoked,
            may_sign: why_not.is_none(),
            why_not: why_not.map(Refusal::sentence),
        }
    }

    fn rows(&self, rows: &mut Rows) {
        rows.row("fingerprint", &self.fingerprint);
        rows.row("key id", &self.key_id);
        rows.row("algorithm", &self.algorithm);
        rows.row("created", &date(self.created.into()));
        let expires = self.expires.map_or("never".to_owned(), date);
        rows.row("expires", &expires);
        rows.row("revoked", if self.revoked { "yes" } else { "no" });
        let may_sign = self.why_not.map(|why| format!("no: {why}"));
        rows.row("may sign", may_sign.as_deref().unwrap_or("yes"));
    }
}

impl Listing {
    fn text(&self) -> String {
        let mut rows = Rows(String::new());
        for (number, key) in self.keys.iter().enumerate() {
            if number > 0 {
                rows.title("");
            }
            key.rows(&mut rows);
        }
        rows.refused(&self.refused_keys);
        rows.0
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
