// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that are read, and written.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let file = File::create_new(path);
    file.and_then(|mut file| file.write_all(bytes))
        .with_context(|| format!("cannot write {}", path.display()))
}
