// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys in files.

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use umd_pgp::{Error, Fingerprint, Key, Keyring};

use super::failure::{Expected, Failure, why};
use super::files::Source;
use super::progress::Progress;
use super::table::printable;

/// Whose signatures count.
#[derive(Args)]
pub(super) struct Keys {
    /// Whose signatures count: a file with keys, in an armor or not; may be given several times
    #[arg(long = "key", value_name = "KEY", required = true)]
    pub(super) keys: Vec<Source>,
}

pub(super) fn keyring() -> Result<Keyring> {
    Keyring::new().context("nothing can be read")
}

/// Keys that are believed, and why others are not.
pub(super) struct Believed {
    pub(super) keyring: Keyring,
    pub(super) refused: Vec<RefusedKey>,
}

/// All keys of these files.
pub(super) fn read_keys(files: &[Source]) -> Result<Believed> {
    let mut all = Believed::none()?;
    for file in files {
        all.add(file, &file.read(Expected::Keys)?)?;
    }
    all.withdraw()?;
    Ok(all)
}

impl Believed {
    pub(super) fn none() -> Result<Self> {
        Ok(Self {
            keyring: keyring()?,
            refused: Vec::new(),
        })
    }

    /// Adds a file's keys, of which one at least has to be believed, or be revoked by the file.
    pub(super) fn add(&mut self, file: &Source, bytes: &[u8]) -> Result<()> {
        let mut progress = Progress::new(&format!("keys of {file}"), Some(bytes.len() as u64));
        let added = self
            .keyring
            .add_all_watched(bytes, |read| progress.at(read as u64));
        drop(progress);
        let added = added.map_err(|error| why(file, error, Expected::Keys, bytes))?;
        if added.added == 0 && added.revoked == 0 {
            let error = { added.refused.first() }.map_or(Error::NoKeys, |key| key.error);
            return Err(why(file, error, Expected::Keys, bytes));
        }
        self.refused
            .extend(added.refused.into_iter().map(|key| RefusedKey {
                file: file.clone(),
                number: key.number,
                error: Failure::of(key.error, Expected::Keys, &[]),
                fingerprint: key.fingerprint,
                why: key.error,
            }));
        Ok(())
    }

    /// Takes away the keys of which one of the files has a copy that was refused: it may have said
    /// that the key is revoked.
    fn withdraw(&mut self) -> Result<()> {
        let Self { keyring, refused } = self;
        let mut withdrawn = Vec::new();
        for copy in refused.iter() {
            let key = { copy.fingerprint.as_ref() }.and_then(|known| keyring.remove(known));
            if let Some(key) = key {
                withdrawn.push(format!("{} was taken away: {}", key.name(), copy.text()));
            }
        }
        match (keyring.keys(), &withdrawn[..]) {
            ([], [first, ..]) => bail!("no key is left: {}", printable(first)),
            _ => Ok(()),
        }
    }

    /// Returns a hint for a signature whose key is not in the keyring.
    pub(super) fn hint(&self, error: Error) -> Option<String> {
        let Error::NotGiven(issuer) = error else {
            return None;
        };
        let is_named = |key: &&RefusedKey| key.fingerprint.is_some_and(|known| issuer.is(&known));
        match (self.refused.iter().find(is_named), &self.refused[..]) {
            (Some(key), _) => Some(format!("it was given, but not taken: {}", key.why)),
            (None, []) => Some("`--key` names a file with it".to_owned()),
            (None, _) => Some("it may be among the keys that were not taken".to_owned()),
        }
    }
}

/// A key that is not believed.
#[derive(Debug, Serialize)]
pub(super) struct RefusedKey {
    file: Source,
    /// Which of the file's keys, from 0.
    number: usize,
    error: Failure,
    #[serde(skip)]
    fingerprint: Option<Fingerprint>,
    #[serde(skip)]
    why: Error,
}

impl RefusedKey {
    pub(super) fn text(&self) -> String {
        format!(
            "{}: key {} was not taken: {}",
            self.file, self.number, self.error.message
        )
    }
}

pub(super) fn user_id(key: &Key) -> Option<String> {
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    key.user_id.as_ref().map(text)
}
