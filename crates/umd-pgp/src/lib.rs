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
#![forbid(unsafe_code)]

mod armor;
mod claims;
mod crypto;
mod error;
mod key;
mod keyring;
mod minimize;
mod package;
mod reader;
mod split;

pub use crypto::RustCrypto;
pub use error::Error;
pub use key::{Key, PublicKey};
pub use keyring::{Added, Keyring, Message, Signed};
pub use minimize::Minimized;
pub use package::{Package, Payload};
/// The most bytes of a key, a signature, a message, an armor or a package's headers.
pub use pgp_proto::INPUT_MAX;
pub use pgp_rules::{Fingerprint, Refusal, State};
pub use split::Split;
