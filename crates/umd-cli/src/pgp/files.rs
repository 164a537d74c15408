// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that are read, and written.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::failure::Expected;
use super::progress::{Progress, Watched};

/// A file, or `-`: the standard input.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Source(PathBuf);

impl From<OsString> for Source {
    fn from(path: OsString) -> Self {
        Self(path.into())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_standard_input() {
            true => f.write_str("the standard input"),
            false => self.0.display().fmt(f),
        }
    }
}

/// An open [`Source`]. It shows its progress.
pub(super) type Opened = BufReader<Watched<Box<dyn Read>>>;

impl Source {
    fn is_standard_input(&self) -> bool {
        self.0.as_os_str() == "-"
    }

    pub(super) fn open(&self) -> Result<Opened> {
        let (reader, length) = self.reader()?;
        let progress = Progress::new(&self.to_string(), length);
        Ok(BufReader::with_capacity(
            64 << 10,
            Watched::new(reader, progress),
        ))
    }

    /// With its length, where it has one.
    fn reader(&self) -> Result<(Box<dyn Read>, Option<u64>)> {
        static IS_TAKEN: AtomicBool = AtomicBool::new(false);
        if self.is_standard_input() {
            if IS_TAKEN.swap(true, Ordering::Relaxed) {
                bail!("the standard input can be one of the files only");
            }
            return Ok((Box::new(io::stdin()), None));
        }
        let file = File::open(&self.0).with_context(|| format!("cannot read {self}"))?;
        let facts = file.metadata();
        let facts = facts.with_context(|| format!("cannot read {self}"))?;
        if facts.is_dir() {
            bail!("cannot read {self}: it is a directory");
        }
        Ok((Box::new(file), facts.is_file().then_some(facts.len())))
    }

    /// All of it, where it has as many bytes as what is expected may have.
    pub(super) fn read(&self, expected: Expected) -> Result<Vec<u8>> {
        let most = expected.most();
        let mut bytes = Vec::new();
        self.open()?
            .take(most.saturating_add(1))
            .read_to_end(&mut bytes)
            .with_context(|| format!("cannot read {self}"))?;
        match bytes.len() as u64 {
            0 => bail!("{self} is empty; {expected}"),
            length if length > most => {
                bail!("{self} has more than {} MiB; {expected}", most >> 20)
            }
            _ => Ok(bytes),
        }
    }
}

/// The first bytes, which are not taken away.
pub(super) fn front(opened: &mut Opened) -> Vec<u8> {
    // Whoever reads it is told.
    opened.fill_buf().unwrap_or_default().to_vec()
}

/// Writes a file that is not there yet, or nothing.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = |mut file: File| {
        let written = file.write_all(bytes);
        written.inspect_err(|_| drop(fs::remove_file(path)))
    };
    let file = File::create_new(path);
    file.and_then(write)
        .with_context(|| format!("cannot write {}", path.display()))
}
