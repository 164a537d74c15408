// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why something failed, and what would be right.

use std::fmt;

use anyhow::anyhow;
use serde::Serialize;
use umd_pgp::{Error, INPUT_MAX, Refusal, TextFlaw};

/// What a file should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// One key.
    Key,
    /// Any number of them.
    Keys,
    Signature,
    Package,
}

impl Expected {
    /// What [`begins_as`] calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Key | Self::Keys => KEY,
            Self::Signature => SIGNATURE,
            Self::Package => PACKAGE,
        }
    }

    /// The most bytes of such a file, where it has to be in memory.
    pub(super) fn most(self) -> u64 {
        match self {
            Self::Key | Self::Signature | Self::Package => INPUT_MAX as u64,
            Self::Keys => 1 << 30,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key | Self::Keys => "a key is what `gpg --export` writes",
            Self::Signature => "a signature is what `gpg --detach-sign` writes",
            Self::Package => "a package is what `rpmbuild` writes",
        })
    }
}

/// As what do these bytes begin? It helps people who have taken one file for another; nothing depends on it.
pub(super) fn begins_as(front: &[u8]) -> Option<&'static str> {
    const ARMORS: [(&[u8], &str); 5] = [
        (b"PUBLIC KEY BLOCK", KEY),
        (b"PRIVATE KEY BLOCK", "a secret key"),
        (b"SIGNATURE", SIGNATURE),
        (b"SIGNED MESSAGE", "a cleartext-signed message"),
        (b"MESSAGE", "a message"),
    ];
    if let Some(armor) = front.strip_prefix(b"-----BEGIN PGP ") {
        let armors = { ARMORS.iter() }.find(|(name, _)| armor.starts_with(name));
        return armors.map(|(_, what)| *what);
    }
    let tag = match *front.first()? {
        0xed if front.starts_with(&[0xed, 0xab, 0xee, 0xdb]) => return Some(PACKAGE),
        first @ 0x80..0xc0 => first >> 2 & 0xf,
        first @ 0xc0.. => first & 0x3f,
        _ => return None,
    };
    match tag {
        2 => Some(SIGNATURE),
        5 => Some("a secret key"),
        6 => Some(KEY),
        1 | 3 | 4 | 8 | 9 | 11 | 18 => Some("a message"),
        _ => None,
    }
}

/// What [`begins_as`] calls them.
const KEY: &str = "a public key";
pub(super) const SIGNATURE: &str = "a signature";
const PACKAGE: &str = "an RPM package";

/// Which check failed.
#[derive(Debug, Serialize)]
pub(super) struct Failure {
    pub(super) message: String,
    /// As errno(3).
    errno: i32,
    /// What would be right.
    pub(super) hint: Option<String>,
}

impl Failure {
    /// Of a file that should have been this, and begins so.
    pub(super) fn of(error: Error, expected: Expected, front: &[u8]) -> Self {
        Self {
            message: error.to_string(),
            errno: error.errno(),
            hint: match error {
                Error::Refused(refusal) => hint(refusal, expected, front),
                Error::Text {
                    flaw: TextFlaw::OtherKind,
                    ..
                } => Some(match begins_as(front) {
                    Some(what) if what != expected.name() => {
                        format!("it begins as {what} does, and {expected}")
                    }
                    _ => expected.to_string(),
                }),
                Error::Revocation(_) => Some("a file with its key comes before it".to_owned()),
                _ => None,
            },
        }
    }

    pub(super) fn text(&self) -> String {
        let hint = self.hint.as_ref().map(|hint| format!("; {hint}"));
        format!(
            "{} ({}){}",
            self.message,
            name(self.errno),
            hint.unwrap_or_default()
        )
    }
}

/// Is the file not what it should be, rather than not good?
pub(super) fn is_of_form(error: Error) -> bool {
    use Refusal::*;
    matches!(
        error,
        Error::Text { .. }
            | Error::Refused(
                NotAKey
                    | Length
                    | NotMine
                    | Malformed
                    | Cut
                    | Unsupported
                    | Compressed
                    | Partial
                    | Package
            )
    )
}

fn hint(refusal: Refusal, expected: Expected, front: &[u8]) -> Option<String> {
    use Refusal::*;
    let hint = match refusal {
        _ if is_of_form(refusal.into()) => {
            return Some(match begins_as(front) {
                // Others may read it.
                Some(what) if what == expected.name() && refusal == Unsupported => return None,
                Some(what) if what == expected.name() => {
                    format!("it is damaged, or goes on as something else; {expected}")
                }
                Some(what) => format!("it begins as {what} does, and {expected}"),
                None => expected.to_string(),
            });
        }
        BadSignature => "what was signed, or the signature, was changed",
        KeyExpired => "its owner may have a newer copy, which expires later",
        HashWeak if expected == Expected::Signature => {
            "`gpg --digest-algo SHA256 --detach-sign` takes a better one"
        }
        Unsigned => "`rpmsign --addsign` signs it",
        PackageSignature => "`rpmsign --addsign` signs the header",
        SeveralKeys => "`gpg --export FINGERPRINT` writes one",
        TooLong => "keys, signatures, and the headers of packages have at most 16 MiB",
        _ => return None,
    };
    Some(hint.to_owned())
}

/// The number's name: what the C library says of these would lead astray.
fn name(errno: i32) -> String {
    match errno {
        5 => "EIO",
        12 => "ENOMEM",
        65 => "ENOPKG",
        74 => "EBADMSG",
        90 => "EMSGSIZE",
        126 => "ENOKEY",
        127 => "EKEYEXPIRED",
        128 => "EKEYREVOKED",
        129 => "EKEYREJECTED",
        other => return format!("errno {other}"),
    }
    .to_owned()
}

/// What to say of a file that should have been this, and begins so.
pub(super) fn why(
    file: &impl fmt::Display,
    error: Error,
    expected: Expected,
    front: &[u8],
) -> anyhow::Error {
    anyhow!("{file}: {}", Failure::of(error, expected, front).text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_taken_for_what_they_begin_as() {
        for (front, what) in [
            (
                &b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n"[..],
                Some("a secret key"),
            ),
            (b"-----BEGIN PGP SIGNATURE-----\n", Some(SIGNATURE)),
            (b"-----BEGIN CERTIFICATE-----\n", None),
            (&[0x95, 1], Some("a secret key")),
            (&[0xc6, 1], Some("a public key")),
            (&[0x98, 1], Some("a public key")),
            (&[0x88, 1], Some(SIGNATURE)),
            (&[0xa3, 1], Some("a message")),
            (&[0xed, 0xab, 0xee, 0xdb], Some("an RPM package")),
            (b"\x7fELF", None),
            (b"", None),
        ] {
            assert_eq!(begins_as(front), what, "{front:?}");
        }
    }

    #[test]
    fn each_refusals_number_has_a_name() {
        for refusal in Refusal::ALL {
            let name = name(refusal.errno().get().cast_signed());
            assert!(!name.contains(' '), "{refusal:?}: {name}");
        }
    }
}
