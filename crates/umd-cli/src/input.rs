// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that are read whole.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use umd_build::check::shown;

/// A path as people may be shown it.
pub(crate) fn name(path: &Path) -> String {
    shown(path.as_os_str().as_encoded_bytes())
}

/// How many bytes a file has. Nothing is read, and nothing waits: not for the other end of a pipe,
/// nor for a device without an end.
///
/// # Errors
///
/// It is not there, or is no file of a length.
pub(crate) fn length(path: &Path) -> Result<u64> {
    let facts = fs::metadata(path).with_context(|| format!("cannot read {}", name(path)))?;
    if facts.is_dir() {
        bail!("cannot read {}: it is a directory", name(path));
    }
    if !facts.is_file() {
        bail!(
            "cannot read {}: it is a device, a pipe or a socket, and no regular file",
            name(path)
        );
    }
    Ok(facts.len())
}

/// Reads a file that has at most `max` bytes.
///
/// # Errors
///
/// As [`length`]; or it has more bytes.
pub(crate) fn read(path: &Path, max: u64) -> Result<Vec<u8>> {
    let length = length(path)?;
    let too_long = |length: &dyn std::fmt::Display| {
        anyhow::anyhow!("{} has {length} bytes; at most {max} are read", name(path))
    };
    if length > max {
        return Err(too_long(&length));
    }
    let mut bytes = Vec::new();
    // It may grow, and files of /proc say that they have no length.
    File::open(path)
        .and_then(|file| file.take(max.saturating_add(1)).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {}", name(path)))?;
    match bytes.len() as u64 > max {
        true => Err(too_long(&"more")),
        false => Ok(bytes),
    }
}
