// SPDX-License-Identifier: GPL-2.0-only
//! The PGP driver's manager, `umd_pgp.ko`.
//!
//! It takes keys as GnuPG exports them (`keyctl padd asymmetric "" KEYRING`), and verifies signatures that are
//! written to `/sys/kernel/security/umd_pgp/verify`. The handler says where in these bytes things are; what is believed
//! of that is for `pgp-rules` to say, with the kernel's own cryptography. `docs/pgp.md` tells more.
#![no_std]

mod abi;
mod crypto;
mod failure;
mod handler;
mod key;
mod parser;
mod rpm;
mod verify;

use crypto::Tools;
use handler::Handler;
use parser::Pgp;
use umd_kernel::Errno;
use umd_kernel::ffi::memory::Arc;
use umd_kernel::keys::Registered;
use umd_kernel::module::{Blob, Module};
use umd_kernel::securityfs::File;
use verify::Verify;

struct PgpModule {
    _file: File<Verify>,
}

impl Module for PgpModule {
    fn init(blob: &Blob<'_>) -> Result<Self, Errno> {
        let pgp = Pgp {
            tools: Arc::try_new(Tools::find()?).map_err(|error| error.errno())?,
            handler: Handler::start(blob)?,
        };
        let keys = Registered::new(pgp)?;
        Ok(Self {
            _file: File::make(c"umd_pgp/verify", 0o600, Verify { keys })?,
        })
    }
}

umd_kernel::module::module!(PgpModule);
