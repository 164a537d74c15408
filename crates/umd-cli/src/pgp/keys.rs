// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys in files.

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use umd_pgp::{Error, Key, Keyring};

use super::failure::{Expected, Failure, why};
use super::files::Source;
use super::progress::Progress;

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
    Ok(all)
}

impl Believed {
    pub(super) fn none() -> Result<Self> {
        Ok(Self {
            keyring: keyring()?,
            refused: Vec::new(),
        })
    }

    /// Adds a file's keys, of which one at least has to be believed.
    pub(super) fn add(&mut self, file: &Source, bytes: &[u8]) -> Result<()> {
        let mut progress = Progress::new(&format!("keys of {file}"), Some(bytes.len() as u64));
        let added = self
            .keyring
            .add_all_watched(bytes, |read| progress.at(read as u64));
        drop(progress);
        let added = added.map_err(|error| why(file, error, Expected::Keys, bytes))?;
        let mut refused = added.refused.into_iter();
        if added.added == 0 {
            let (_, error) = refused.next().unwrap_or((0, Error::NoKeys));
            return Err(why(file, error, Expected::Keys, bytes));
        }
        self.refused
            .extend(refused.map(|(number, error)| RefusedKey {
                file: file.clone(),
                number,
                error: Failure::of(error, Expected::Keys, &[]),
            }));
        Ok(())
    }
}

/// A key that is not believed.
#[derive(Debug, Serialize)]
pub(super) struct RefusedKey {
    file: Source,
    /// Which of the file's keys, from 0.
    number: usize,
    error: Failure,
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
