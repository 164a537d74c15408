// SPDX-License-Identifier: MIT OR Apache-2.0
//! `protect=` where the kernel was booted without the BPF LSM. It can load and attach the programs, but asks them nothing.

use anyhow::{Context as _, Result, ensure};
use rustix::io::Errno;

use crate::harness::{Context, Topic, test};
use crate::kernel::Log;
use crate::sample::{self, DRIVER};
use crate::{attack, modules, process};

pub(crate) const TOPIC: Topic = Topic {
    name: "no bpf",
    modules: &[],
    tests: &[
        test("the BPF LSM is not there", absent),
        test("protect=require refuses to load", require),
        test("protect=auto says so, and goes on", auto),
        test("protect=off says nothing", off),
    ],
};

/// What umd says.
const REASON: &str = "the BPF LSM is not active";

fn absent(_: &Context) -> Result<()> {
    let list = std::fs::read_to_string("/sys/kernel/security/lsm")?;
    ensure!(!list.contains("bpf"), "it is: {list}");
    Ok(())
}

fn require(_: &Context) -> Result<()> {
    let file = modules::file("umd")?;
    let before = attack::settled_bpf_objects()?;
    let log = Log::from_now()?;
    let result = modules::insert_with(&file, c"protect=require");
    ensure!(result == Err(Errno::OPNOTSUPP), "it gave {result:?}");
    log.expect(&format!("umd: protect=require: {REASON}"))?;
    ensure!(!modules::is_loaded("umd"), "it is loaded");
    attack::bpf_objects_become(&before)
}

fn auto(_: &Context) -> Result<()> {
    let before = attack::settled_bpf_objects()?;
    let log = Log::from_now()?;
    modules::load_with("umd", &["protect=auto"])?;
    log.expect(&format!(
        "umd: handlers are not protected from root: {REASON}"
    ))?;
    attack::bpf_objects_become(&before)?;
    // Then it can be killed, and is not left with a mark that would make it immortal.
    modules::load(sample::MODULE)?;
    sample::ask(9)?;
    DRIVER.kill_handler()?;
    sample::ask(10)?;
    modules::unload(sample::MODULE)?;
    modules::unload("umd")
}

fn off(_: &Context) -> Result<()> {
    let log = Log::from_now()?;
    modules::load(sample::MODULE)?;
    sample::ask(9)?;
    let pid = DRIVER.pid()?;
    process::read(pid, "maps").context("reading what is not protected")?;
    ensure!(!log.has("protect"), "it says something");
    Ok(())
}
