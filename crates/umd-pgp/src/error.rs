// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why there is no key, or no signature.

use crate::issuer::Issuer;
use crate::sections::TextFlaw;
use pgp_rules::{Fingerprint, Refusal};
use std::fmt;
use std::num::NonZeroU32;

/// Why there is no key, or no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It is not believed.
    Refused(Refusal),
    /// A text is not what was asked for, or a part of it is not read.
    Text {
        /// The reason.
        flaw: TextFlaw,
        /// The number of the line in the file, where it has lines.
        line: Option<NonZeroU32>,
    },
    /// There is no key to verify with.
    NoKeys,
    /// The key that the signature names is not in the keyring, and no other has made it.
    NotGiven(Issuer),
    /// The subkey that the signature names was left out of its key.
    LeftOut {
        /// The subkey.
        subkey: Fingerprint,
        /// Why it was.
        why: Refusal,
    },
    /// Another copy of the key is in the same keyring and was refused. What it says may take back
    /// what this one says.
    OtherCopy(Refusal),
    /// A revocation by itself is of a key that is neither in the keyring nor in the file.
    Revocation(Issuer),
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
        const EIO: i32 = 5;
        const EBADMSG: i32 = 74;
        const ENOKEY: i32 = 126;
        match self {
            Self::Refused(refusal)
            | Self::LeftOut { why: refusal, .. }
            | Self::OtherCopy(refusal) => refusal.errno().get().cast_signed(),
            Self::Text { .. } => EBADMSG,
            Self::NoKeys | Self::NotGiven(_) | Self::Revocation(_) => ENOKEY,
            Self::Handler(error) => error.errno(),
            Self::Read(_) | Self::Driver(_) => EIO,
        }
    }

    /// How much it says about a signature that does not count: of several the one is told that says
    /// most.
    pub(crate) fn weight(&self) -> u8 {
        match self {
            Self::NotGiven(_) => 0,
            Self::Refused(
                Refusal::SignatureVersion
                | Refusal::SignatureUnsupported
                | Refusal::SignatureMalformed
                | Refusal::HashUnsupported
                | Refusal::Number
                | Refusal::Unsupported
                | Refusal::Malformed,
            ) => 1,
            Self::Refused(Refusal::BadSignature) => 2,
            _ => 3,
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
            Self::Text {
                flaw,
                line: Some(line),
            } => write!(f, "line {line}: {flaw}"),
            Self::Text { flaw, line: None } => flaw.fmt(f),
            Self::NoKeys => f.write_str("there is no key to verify with"),
            Self::NotGiven(issuer) => {
                write!(
                    f,
                    "the key that the signature names, {issuer}, was not given"
                )
            }
            Self::LeftOut { subkey, why } => {
                let subkey = Issuer::from(*subkey);
                let why = why.sentence();
                write!(
                    f,
                    "the subkey that the signature names, {subkey}, was left out: {why}"
                )
            }
            Self::OtherCopy(why) => {
                write!(f, "another copy of the key was refused: {}", why.sentence())
            }
            Self::Revocation(issuer) => {
                write!(
                    f,
                    "the key that this revocation names, {issuer}, was not given"
                )
            }
            Self::Handler(error) => write!(f, "the handler has not answered: {error}"),
            Self::Read(kind) => write!(f, "the data cannot be read: {kind}"),
            Self::Driver(error) => write!(f, "there is no driver: {error}"),
        }
    }
}

impl std::error::Error for Error {}
