// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why there is no key, or no signature.

use pgp_rules::Refusal;
use std::fmt;

/// Why there is no key, or no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It is not believed.
    Refused(Refusal),
    /// There is no key to verify with.
    NoKeys,
    /// It could not be read: the handler has died, or was too late, or there is none.
    Handler(umd::Error),
    /// The data that were signed cannot be read.
    Read(std::io::ErrorKind),
    /// There is no driver.
    Driver(umd::BuildError),
}

impl Error {
    /// The number that says so in the kernel's terms, as errno(3).
    pub fn errno(&self) -> i32 {
        const ENOKEY: i32 = 126;
        const EIO: i32 = 5;
        match self {
            Self::Refused(refusal) => refusal.errno().get().cast_signed(),
            Self::NoKeys => ENOKEY,
            Self::Handler(error) => error.errno(),
            Self::Read(_) | Self::Driver(_) => EIO,
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<umd::BuildError> for Error {
    fn from(error: umd::BuildError) -> Self {
        Self::Driver(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => f.write_str(refusal.sentence()),
            Self::NoKeys => f.write_str("there is no key to verify with"),
            Self::Handler(error) => write!(f, "the handler has not answered: {error}"),
            Self::Read(kind) => write!(f, "the data cannot be read: {kind}"),
            Self::Driver(error) => write!(f, "there is no driver: {error}"),
        }
    }
}

impl std::error::Error for Error {}
