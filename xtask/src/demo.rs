// SPDX-License-Identifier: MIT OR Apache-2.0
//! `demo`: the tour, on a real stock kernel.

use std::io::Write;

use anyhow::Result;

use crate::kernel::Id;
use crate::setup::{self, Setup};
use crate::{guest, kbuild, progress};

/// Boots the kernel and relays what the guest program shows.
pub(crate) fn run(kernel: &Id, setup: Setup) -> Result<()> {
    setup.packages(setup::VM)?;
    let kernel = kernel.prepare(setup)?;
    let modules = kbuild::build(&kernel, setup)?;
    let program = guest::build()?;
    progress::note(&format!("booting Linux {} in QEMU", kernel.release));
    let outcome = guest::machine(&kernel, &modules, &program, &["demo"])?.run(&mut |bytes| {
        let mut stdout = std::io::stdout();
        // Nobody looks any more: the outcome below still counts.
        let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
    })?;
    outcome.check()
}
