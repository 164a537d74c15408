// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hook on socket options: nobody is in a module that is gone.

use std::thread;

use anyhow::{Context as _, Result, ensure};
use rustix::net::{AddressFamily, SocketType, socket};

use crate::harness::{Context, Topic, test};
use crate::held::Page;
use crate::modules;
use crate::sockopt::{self, IP};
use crate::time::ms;

pub(crate) const TOPIC: Topic = Topic {
    name: "hook",
    modules: &[MODULE],
    tests: &[test("rmmod waits for a caller in the hook", held)],
};

const MODULE: &str = "bpfilter_umd";

/// `IPT_SO_SET_ADD_COUNTERS`.
const OPTION: i32 = 65;

/// The manager copies the caller's option first of all: there the caller is kept. The module's code must be
/// there when it goes on.
fn held(_: &Context) -> Result<()> {
    let page = Page::new()?;
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    thread::scope(|scope| {
        let caller = scope.spawn(|| sockopt::set(&socket, IP, OPTION, page.bytes()));
        let touched = page.await_toucher();
        let rmmod = scope.spawn(|| modules::remove(MODULE));
        thread::sleep(ms(1_000));
        let waits = !rmmod.is_finished() && !caller.is_finished();
        page.fill();
        let answer = caller.join();
        let removed = rmmod.join();
        touched?;
        ensure!(waits, "somebody did not wait");
        // Zeros are no table: the handler leaves them to the kernel, whatever that says.
        ensure!(matches!(answer, Ok(Err(_))), "{answer:?}");
        removed
            .map_err(|_| anyhow::anyhow!("rmmod panicked"))?
            .context("rmmod")
    })?;
    ensure!(!modules::is_loaded(MODULE), "{MODULE} is still there");
    modules::load(MODULE)
}
