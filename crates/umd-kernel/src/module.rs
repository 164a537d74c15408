// SPDX-License-Identifier: GPL-2.0-only
//! A driver module's entry.
//!
//! ```text
//! struct Sample { /* what the module owns */ }
//!
//! impl umd_kernel::module::Module for Sample {
//!     fn init(blob: &Blob<'_>) -> Result<Self, Errno> { /* register, start, make files */ }
//! }
//!
//! umd_kernel::module!(Sample);
//! ```

pub use crate::ffi::module::Blob;
use umd_core::error::Errno;

/// What a module owns from its load to its unload; dropped at the unload.
pub trait Module: Send + Sync + Sized + 'static {
    /// The module is loaded. An error refuses the load. Files for user space come last: from then on
    /// somebody may have them open. Context: may sleep.
    fn init(blob: &Blob<'_>) -> Result<Self, Errno>;
}

pub use crate::module_entry as module;
