// SPDX-License-Identifier: MIT OR Apache-2.0
//! PGP keys and signatures in a program, with no parser in it.
//!
//! What somebody else has written is read by a handler: a process that can do nothing but read it and say where things are
//! ([`umd`]). What it says is checked by the same rules as in the kernel ([`pgp_rules`]), with this program's crypto.
//!
//! ```no_run
//! # let (key, signature, data) = (&b""[..], &b""[..], &b""[..]);
//! let mut keyring = umd_pgp::Keyring::new()?;
//! keyring.add(key)?;
//! let signed = keyring.verify(signature, data)?;
//! println!("signed by {}", signed.key.name());
//! # Ok::<(), umd_pgp::Error>(())
//! ```
//!
//! # Which call
//!
//! | there is | it is |
//! | --- | --- |
//! | a key, or a keyring with many | [`Keyring::add`], [`Keyring::add_all`] |
//! | a signature beside a file | [`Keyring::verify`], or [`Keyring::verify_reader`] where the file need not be in memory |
//! | a message with its signature around it, in packets or as text | [`Keyring::message`], [`Keyring::cleartext`]: take what was signed from there |
//! | an RPM package | [`Keyring::rpm`]; look at [`Package::payload`] as well |
//! | a key that is too long for the kernel | [`Keyring::minimize`] |
//! | a signature for `keyctl pkey_verify` | [`Keyring::split`], [`Keyring::split_verified`] |
//!
//! Keys, signatures and messages are taken in an armor or without; keys and signatures in any
//! number of armors, with text between them. That something verifies says that a key in this
//! keyring has signed it, and may do so now; whose key it is, is for whoever chose the keys.
//!
//! # What to know
//!
//! - A key's expiry is looked at whenever something is verified, by the clock or [`Keyring::set_time`]. Whether it was revoked is what the
//!   copies say that were added.
//! - Each keyring has a handler of its own: a process, which is started when it is first needed, and again if it dies. It may be asked
//!   from any number of threads and answers one after the other. An answer that takes longer than
//!   a minute is an [`Error::Handler`].
//! - x86-64 Linux only, as [`umd`] is. What of the handler's lockdown is in force on a machine, `umd doctor` says.
#![forbid(unsafe_code)]

mod armor;
mod claims;
mod crypto;
mod error;
mod issuer;
mod key;
mod keyring;
mod minimize;
mod package;
mod reader;
mod ring;
mod sections;
mod split;
#[cfg(test)]
mod tests;

pub use crypto::RustCrypto;
pub use error::Error;
pub use issuer::Issuer;
pub use key::{Key, PublicKey};
pub use keyring::{Keyring, Message, Signed};
pub use minimize::Minimized;
pub use package::{Package, Payload};
/// The most bytes of a key, a signature, a message, an armor or a package's headers.
pub use pgp_proto::INPUT_MAX;
pub use pgp_rules::{Fingerprint, Refusal, State};
pub use ring::{Added, NotAdded};
pub use sections::TextFlaw;
pub use split::Split;
