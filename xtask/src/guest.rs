// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest program: the side of tests, demo and benchmarks that runs inside the virtual machine.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::kbuild::Modules;
use crate::kernel::Kernel;
use crate::rootfs::Add;
use crate::vm::Vm;
use crate::{paths, progress, run};

/// The programs of the suite's side.
const PACKAGES: [&str; 2] = ["--package=umd-guest", "--package=std-handler"];

/// Builds the guest program, static so that it runs anywhere, and beside it the handler with the standard library.
pub(crate) fn build() -> Result<PathBuf> {
    let target = paths::umd().join("cargo/guest");
    let mut cargo = run::cargo();
    cargo
        .args(["build", "--quiet", "--release"])
        .args(PACKAGES)
        .args(["--target=x86_64-unknown-linux-gnu", "--target-dir"])
        .arg(&target)
        .env("RUSTFLAGS", "-Ctarget-feature=+crt-static");
    progress::step(
        "building the guest program",
        Duration::from_secs(15),
        || run::stdout(&mut cargo).map(drop),
    )?;
    Ok(target.join("x86_64-unknown-linux-gnu/release/umd-guest"))
}

/// A virtual machine with all our modules in which the guest program does one thing.
pub(crate) fn machine<'a>(
    kernel: &'a Kernel,
    modules: &Modules,
    program: &std::path::Path,
    arguments: &[&str],
) -> Result<Vm<'a>> {
    Ok(Vm::new(kernel)
        .modules(modules.shipped.iter().chain(&modules.test).cloned())
        .adds([
            Add::new(program, Some("/usr/bin/umd-guest"))?,
            Add::new(&program.with_file_name("std-handler"), None)?,
            // The suite sets scheduling classes with it; busybox has none.
            Add::new(std::path::Path::new("/usr/bin/chrt"), None)?,
        ])
        .silence(kernel.needs.slowness * Duration::from_secs(300))
        .command(["/usr/bin/umd-guest"].iter().chain(arguments).copied()))
}
