// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a handler was not built.

use std::ffi::OsString;
use std::path::PathBuf;
use std::{fmt, io};

use crate::check::Flaw;

/// Why a handler was not built.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// This environment variable is missing: cargo sets it for build scripts.
    NoBuildScript(&'static str),
    /// Handlers do not run on this target.
    Target(String),
    /// There is no such manifest.
    NoPackage(PathBuf),
    /// Cargo could not be run.
    Cargo(OsString, io::Error),
    /// Cargo could not say something about the package with this manifest.
    Unclear(PathBuf, String),
    /// Cargo could not build the package with this manifest; it has said why.
    Build(PathBuf),
    /// A file could not be read or written.
    File(PathBuf, io::Error),
    /// This file is not what a handler should be.
    Flawed(PathBuf, Vec<Flaw>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBuildScript(variable) => write!(
                f,
                "{variable} is not set: call this from a build script, for which cargo sets it"
            ),
            Self::Target(triple) => write!(
                f,
                "handlers are made for x86_64 Linux with glibc, and this build is for {triple}: build for x86_64-unknown-linux-gnu"
            ),
            Self::NoPackage(manifest) => write!(
                f,
                "there is no {}: name the handler's directory, relative to this package's",
                manifest.display()
            ),
            Self::Cargo(program, error) => {
                write!(f, "cannot run {}: {error}", program.display())
            }
            Self::Unclear(manifest, why) => write!(f, "{}: {why}", manifest.display()),
            Self::Build(manifest) => write!(
                f,
                "the handler of {} does not build; cargo says why among what this build script has printed",
                manifest.display()
            ),
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Flawed(path, flaws) => {
                write!(f, "{} is no handler as it should be:", path.display())?;
                flaws.iter().try_for_each(|flaw| write!(f, "\n{flaw}"))
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Cargo(_, error) | Self::File(_, error) => Some(error),
            _ => None,
        }
    }
}
