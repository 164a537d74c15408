// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where things are: the source tree, and what is made below `target/`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The top of the source tree.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Packages and unpacked kernels.
pub(crate) fn kernels() -> PathBuf {
    root().join("target/kernels")
}

/// Everything else that is made here.
pub(crate) fn umd() -> PathBuf {
    root().join("target/umd")
}

/// Writes a file, with the directory it lies in, unless it has this content already.
pub(crate) fn write_if_changed(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    if let Some(directory) = path.parent() {
        create_dir(directory)?;
    }
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

/// Makes a directory and those above it.
pub(crate) fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot make directory {}", path.display()))
}

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// All files below a directory, sorted.
pub(crate) fn files_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in entries(directory)? {
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

/// What lies in a directory, sorted.
pub(crate) fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let list = fs::read_dir(directory)
        .with_context(|| format!("cannot read directory {}", directory.display()))?;
    let mut paths = list
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}
