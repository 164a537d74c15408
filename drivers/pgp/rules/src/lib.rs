// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a host believes of a reply of the PGP driver's handler, and how it finds out.
//!
//! The handler has read bytes that anybody may have written, and may be in their hands. So nothing that it says is a fact: it says
//! *where to look*. The host reads there itself, checks, and believes what a signature vouches for. It begins with the only thing that
//! has its place by itself: the primary key, which is the first packet.
//!
//! The same code is in the kernel's manager and in the crate `umd-pgp`. It links into a kernel module: nothing in it can panic, and
//! nothing is allocated.
#![no_std]
#![forbid(unsafe_code)]
// Tests may panic.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

mod bytes;
pub mod crypto;
pub mod data;
pub mod der;
pub mod key;
pub mod packet;
pub mod public;
pub mod refusal;
pub mod rpm;
pub mod signature;
pub mod subpackets;
pub mod text;

pub use crypto::{Crypto, Curve, Digest, Hash, HashAlgorithm, Material, SignatureValue};
pub use key::{Key, State, Subkey};
pub use pgp_proto::Fingerprint;
pub use public::PublicKey;
pub use refusal::Refusal;
pub use signature::{Hashed, Hashing, Signature, Verified};
pub use subpackets::Facts;
