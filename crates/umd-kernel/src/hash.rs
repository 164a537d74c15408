// SPDX-License-Identifier: GPL-2.0-only
//! The kernel's hashes.
//!
//! An [`Algorithm`] is looked for once, where modules may be loaded: in the module's init. [`struct@Hash`]es of
//! it then need nothing but memory.

pub use crate::ffi::hash::{Algorithm, DIGEST_MAX, Hash};
