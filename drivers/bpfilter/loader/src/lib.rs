// SPDX-License-Identifier: GPL-2.0-only
//! The bpfilter driver's loader, `bpfilter_umd_loader.ko`: it carries the handler, and is loaded when
//! the manager needs it.
#![no_std]

use umd_kernel::Errno;
use umd_kernel::driver::Provided;
use umd_kernel::module::{Blob, Module};

struct Loader {
    _provided: Provided,
}

impl Module for Loader {
    fn init(blob: &Blob<'_>) -> Result<Self, Errno> {
        Ok(Self {
            _provided: Provided::provide(bpfilter_proto::NAME, blob)?,
        })
    }
}

umd_kernel::module::module!(Loader);
