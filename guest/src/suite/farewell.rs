// SPDX-License-Identifier: MIT OR Apache-2.0
//! What stays until the next boot: with it in place the machine is powered off, and `cargo xtask test` looks how long
//! that takes.

use anyhow::{Result, ensure};
use rustix::io::Errno;

use crate::harness::{Context, Topic, test};
use crate::modules;
use crate::sample::{self, DRIVER};

pub(crate) const TOPIC: Topic = Topic {
    name: "farewell",
    modules: &[],
    tests: &[
        test("pin=1: umd cannot be unloaded, whoever is gone", pinned),
        test(
            "a handler that root cannot kill is there at the end",
            guarded,
        ),
    ],
};

fn pinned(_: &Context) -> Result<()> {
    for name in modules::ours() {
        modules::unload(name)?;
    }
    modules::load_with("umd", &["protect=require", "pin=1"])?;
    ensure!(modules::parameter("umd", "pin").as_deref() == Some("Y"));
    for _ in 0..2 {
        modules::load(sample::MODULE)?;
        sample::ask(1)?;
        modules::unload(sample::MODULE)?;
        let removed = modules::remove("umd");
        ensure!(removed == Err(Errno::AGAIN), "rmmod umd gave {removed:?}");
    }
    Ok(())
}

fn guarded(_: &Context) -> Result<()> {
    modules::load(sample::MODULE)?;
    sample::ask(2)?;
    let killed = crate::attack::kill(DRIVER.pid()?, 9);
    ensure!(killed == Err(Errno::PERM), "kill gave {killed:?}");
    std::fs::write("/dev/kmsg", "umd-guest: the suite has ended")?;
    Ok(())
}
