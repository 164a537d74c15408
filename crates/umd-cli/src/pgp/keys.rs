// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys in files.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use umd_pgp::{Error, Key, Keyring};

use super::failure::{Failure, KEY, why};
use super::files::read;

/// Whose signatures count.
#[derive(Args)]
pub(super) struct Keys {
    /// Whose signatures count: a key or keyring, in an armor or not; may be given several times
    #[arg(long = "key", value_name = "KEY", required = true)]
    pub(super) keys: Vec<PathBuf>,
}

pub(super) fn keyring() -> Result<Keyring> {
    Keyring::new().context("nothing can be read")
}

/// All keys of these files that are believed, one at least of each file; and why others are not.
pub(super) fn read_keys(paths: &[PathBuf]) -> Result<(Keyring, Vec<RefusedKey>)> {
    let (mut keyring, mut all) = (keyring()?, Vec::new());
    for path in paths {
        let added = keyring.add_all(&read(path)?);
        let added = added.map_err(|error| why(path, error, KEY))?;
        let mut refused = added.refused.into_iter();
        if added.added == 0 {
            let (_, error) = refused.next().unwrap_or((0, Error::NoKeys));
            return Err(why(path, error, KEY));
        }
        all.extend(refused.map(|(number, error)| RefusedKey {
            file: path.clone(),
            number,
            error: Failure::of(error, KEY),
        }));
    }
    Ok((keyring, all))
}

/// A key that is not believed.
#[derive(Debug, Serialize)]
pub(super) struct RefusedKey {
    pub(super) file: PathBuf,
    /// Which of the file's keys, from 0.
    number: usize,
    error: Failure,
}

impl RefusedKey {
    pub(super) fn text(&self) -> String {
        format!(
            "{}: key {} was not taken: {}",
            self.file.display(),
            self.number,
            self.error.message
        )
    }
}

pub(super) fn user_id(key: &Key) -> Option<String> {
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    key.user_id.as_ref().map(text)
}
