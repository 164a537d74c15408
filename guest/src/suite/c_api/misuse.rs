// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every call in the wrong order, or with what it cannot use.

use anyhow::{Context as _, Result, ensure};
use rustix::io::Errno;

use super::{Managed, Process, failed};
use crate::c_api::{self, Api};
use crate::harness::{Context, Topic, test};
use crate::time::{timed, until};
use crate::{driver, modules, process};

pub(crate) const TOPIC: Topic = Topic {
    name: "c api misuse",
    modules: &[c_api::MODULE],
    tests: &[
        test("NULL for each info", null_info),
        test("NULL and zero lengths for buffers", null_buffers),
        test("NULL for each mgmt, and for its buffers", null_mgmt),
        test(
            "a second load is refused, and the first stays good",
            double_load,
        ),
        test("unload without a load", unload_unloaded),
        test("a second unload", double_unload),
        test("fork without a load", fork_unloaded),
        test(
            "a second fork is refused, and the first stays good",
            double_fork,
        ),
        test("send before load, before fork, after cleanup", send_early),
        test("cleanup twice, and without a fork", cleanup_twice),
        test("nothing to load", nothing_to_load),
        test("what is no executable", no_executable),
        test("names that cannot be", bad_names),
        test("names that are odd", odd_names),
        test("a name that goes away after the load", renamed),
        test(
            "lockdowns that there are not, options of a wrong size",
            bad_options,
        ),
        test("thread_group_exited of NULL", exited_null),
        test("a module that goes with its process running", abandoned),
        test("mgmt: ask before load", mgmt_early),
        test(
            "mgmt: a second load is refused, and the first stays good",
            mgmt_double_load,
        ),
        test("mgmt: unload without a load, and twice", mgmt_unload_twice),
        test(
            "mgmt: nothing to load, or no executable",
            mgmt_no_executable,
        ),
        test("mgmt: no name", mgmt_no_name),
        test("mgmt: zero lengths", mgmt_nothing),
        test(
            "mgmt: a module that goes without having been loaded",
            mgmt_abandoned,
        ),
    ],
};

/// Fails unless these calls fail in this way, all of them at once.
fn refused(context: &Context, api: &Api, commands: &[&str], errno: Errno) -> Result<()> {
    for command in commands {
        let (result, took) = timed(|| api.bad(command, errno));
        result?;
        context.at_once(took)?;
    }
    Ok(())
}

fn null_info(context: &Context) -> Result<()> {
    let api = Api::open()?;
    let calls = [
        "load - static",
        "load-with - static 0 0",
        "unload -",
        "fork -",
    ];
    refused(context, &api, &calls, Errno::INVAL)?;
    let calls = ["ask - e 64 64 0", "raw - - 0 - 0"];
    refused(context, &api, &calls, Errno::FAULT)?;
    api.good("cleanup -")?;
    Ok(())
}

fn null_buffers(context: &Context) -> Result<()> {
    let process = Process::start("c-null")?;
    let calls = ["raw 0 - 4 B 4", "raw 0 - 4 - 4"];
    for command in calls {
        let (result, took) = timed(|| process.api.call(command));
        failed(&result?, &[Errno::INVAL, Errno::FAULT]).with_context(|| command.to_owned())?;
        context.at_once(took)?;
    }
    process.api.good("raw 0 - 0 - 0")?;
    process.api.good("raw 0 B 0 B 0")?;
    process.echo()?;
    // Nothing may have been sent when there is nowhere to receive.
    let (result, took) = timed(|| process.api.call("raw 0 B 4 - 4"));
    failed(&result?, &[Errno::INVAL, Errno::FAULT])?;
    context.at_once(took)?;
    process.echo()
}

fn null_mgmt(context: &Context) -> Result<()> {
    let managed = Managed::loaded("c-null", "ok", 0)?;
    let calls = [
        "m-load - static",
        "m-load-with - static 0 0",
        "m-ask - e 64 64 0",
        "m-raw - - 0 - 0",
        "m-raw 0 - 4 B 4",
        "m-raw 0 B 4 - 4",
        "m-raw 0 - 4 - 4",
    ];
    refused(context, &managed.api, &calls, Errno::INVAL)?;
    managed.api.good("m-unload -")?;
    managed.echo()
}

fn double_load(context: &Context) -> Result<()> {
    let process = Process::load("c-double", "load 0 static")?;
    let calls = ["load 0 static", "load 0 dynamic", "load 0 text"];
    refused(context, &process.api, &calls, Errno::BUSY)?;
    process.api.good("fork 0")?;
    refused(context, &process.api, &calls, Errno::BUSY)?;
    process.echo()
}

fn unload_unloaded(context: &Context) -> Result<()> {
    let api = Api::open()?;
    api.good("name 0 c-unloaded")?;
    refused(context, &api, &["unload 0"], Errno::INVAL)?;
    let process = Process::start("c-unloaded")?;
    process.echo()
}

fn double_unload(context: &Context) -> Result<()> {
    let process = Process::load("c-unloaded", "load 0 static")?;
    process.api.good("unload 0")?;
    refused(
        context,
        &process.api,
        &["unload 0", "unload 0"],
        Errno::INVAL,
    )
}

fn fork_unloaded(context: &Context) -> Result<()> {
    let api = Api::open()?;
    api.good("name 0 c-unloaded")?;
    refused(context, &api, &["fork 0"], Errno::INVAL)?;
    let process = Process::load("c-unloaded", "load 0 static")?;
    process.api.good("unload 0")?;
    refused(context, &process.api, &["fork 0"], Errno::INVAL)
}

fn double_fork(context: &Context) -> Result<()> {
    let process = Process::start("c-double")?;
    let pid = process.pid()?;
    refused(context, &process.api, &["fork 0"], Errno::BUSY)?;
    process.echo()?;
    ensure!(process.pid()? == pid, "another process");
    process.api.good("kill 0")?;
    process.api.good("wait 0")?;
    // Until it is cleaned up after, a dead one counts as well.
    refused(context, &process.api, &["fork 0"], Errno::BUSY)
}

fn send_early(context: &Context) -> Result<()> {
    let api = Api::open()?;
    api.good("name 0 c-before")?;
    let calls = ["ask 0 e 64 64 0", "ask 0 n 64 0 0", "ask 0 e 0 64 0"];
    refused(context, &api, &calls, Errno::FAULT)?;
    let process = Process::load("c-before", "load 0 static")?;
    refused(context, &process.api, &calls, Errno::FAULT)?;
    process.api.good("fork 0")?;
    process.echo()?;
    process.api.good("cleanup 0")?;
    refused(context, &process.api, &calls, Errno::FAULT)
}

fn cleanup_twice(_: &Context) -> Result<()> {
    let api = Api::open()?;
    api.good("name 0 c-cleanup")?;
    api.good("cleanup 0")?;
    let process = Process::load("c-cleanup", "load 0 static")?;
    process.api.good("cleanup 0")?;
    process.api.good("fork 0")?;
    process.echo()?;
    process.api.good("cleanup 0")?;
    process.api.good("cleanup 0")?;
    process.api.good("fork 0")?;
    process.echo()
}

fn nothing_to_load(context: &Context) -> Result<()> {
    let api = Api::open()?;
    api.good("name 0 c-nothing")?;
    let calls = ["load 0 empty", "load 0 null", "load 0 nowhere"];
    refused(context, &api, &calls, Errno::INVAL)?;
    // What it ends before it begins is more than there is memory.
    let (result, took) = timed(|| api.call("load 0 backwards"));
    failed(&result?, &[Errno::INVAL, Errno::NOMEM, Errno::FBIG])?;
    context.at_once(took)?;
    refused(context, &api, &["unload 0", "fork 0"], Errno::INVAL)?;
    Process::start("c-nothing")?.echo()
}

/// What is no executable, and how that is said. A script would want an interpreter, and there is none.
const NO_EXECUTABLES: [(&str, Errno); 3] = [
    ("text", Errno::NOEXEC),
    ("header", Errno::NOEXEC),
    ("script", Errno::NOENT),
];

fn no_executable(_: &Context) -> Result<()> {
    let api = Api::open()?;
    for (image, errno) in NO_EXECUTABLES {
        api.good("name 0 c-no-elf")?;
        api.good(&format!("load 0 {image}"))?;
        api.bad("fork 0", errno).with_context(|| image.to_owned())?;
        let shown = api.good("show 0")?;
        let text = shown.text()?;
        ensure!(text == "to=0 from=0 tgid=0 image=1", "{text}");
        api.bad("ask 0 e 64 64 0", Errno::FAULT)?;
        api.good("cleanup 0")?;
        api.good("unload 0")?;
    }
    Process::start("c-no-elf")?.echo()
}

fn bad_names(context: &Context) -> Result<()> {
    let api = Api::open()?;
    for name in ["-", "a/b", "/", "../c", "c/"] {
        api.good(&format!("name 0 {name}"))?;
        refused(context, &api, &["load 0 static"], Errno::INVAL)
            .with_context(|| format!("name {name:?}"))?;
        refused(context, &api, &["unload 0", "fork 0"], Errno::INVAL)?;
    }
    Ok(())
}

fn odd_names(_: &Context) -> Result<()> {
    let long = "n".repeat(300);
    let longest = "n".repeat(4000);
    let names = [
        "..", ".", "dev", "%s%n", "c\u{e4}", "c:d=e!", "*", &long, &longest,
    ];
    for name in names {
        let shown: String = name.chars().take(20).collect();
        let api = Api::open()?;
        api.good(&format!("name 0 {name}"))?;
        let loaded = api.call("load 0 static")?;
        if loaded.is_err() {
            failed(&loaded, &[Errno::INVAL, Errno::NAMETOOLONG])
                .with_context(|| format!("name {shown:?}"))?;
            continue;
        }
        let process = Process { api };
        process
            .api
            .good("fork 0")
            .and_then(|_| process.echo())
            .with_context(|| format!("name {shown:?}"))?;
    }
    ensure!(
        driver::names().is_empty(),
        "left in sysfs: {:?}",
        driver::names()
    );
    Ok(())
}

fn renamed(_: &Context) -> Result<()> {
    let process = Process::start("c-named")?;
    process.api.good("name 0 c-renamed")?;
    process.echo()?;
    process.api.good("cleanup 0")?;
    process.api.good("fork 0")?;
    process.echo()?;
    process.api.good("cleanup 0")?;
    process.api.good("name 0 -")?;
    // With or without a process: no more than an error.
    if process.api.call("fork 0")?.is_ok() {
        process.echo()?;
    }
    Ok(())
}

fn bad_options(context: &Context) -> Result<()> {
    let api = Api::open()?;
    api.good("name 0 c-options")?;
    let calls = [
        "load-with 0 static 7 0",
        "load-with 0 static 4294967295 0",
        "load-short 0 0",
        "load-short 0 3",
        "load-short 0 55",
    ];
    refused(context, &api, &calls, Errno::INVAL)?;
    let process = Process::load("c-options", "load-short 0 56")?.fork()?;
    process.echo()
}

fn exited_null(_: &Context) -> Result<()> {
    let api = Api::open()?;
    let exited = api.good("exited -")?.number;
    ensure!(exited == 1, "it says {exited}");
    Ok(())
}

fn abandoned(context: &Context) -> Result<()> {
    for name in ["c-abandoned", "c-hang"] {
        let api = Api::open()?;
        api.good(&format!("name 0 {name}"))?;
        api.good("load 0 static")?;
        api.good("fork 0")?;
        let pid = i32::try_from(api.good("show 0")?.number)?;
        drop(api);
        // Its exit calls umd_cleanup_helper() and umd_unload_blob(), and waits for nothing.
        let (removed, took) = timed(|| modules::remove(c_api::MODULE));
        removed.with_context(|| name.to_owned())?;
        context.at_once(took)?;
        until("the process ends", || !process::exists(pid))?;
        modules::load(c_api::MODULE)?;
    }
    Ok(())
}

fn mgmt_early(context: &Context) -> Result<()> {
    let managed = Managed::new("c-early", "-", "ok")?;
    let calls = ["m-ask 0 e 64 64 0", "m-ask 0 e 64 64 0", "m-raw 0 - 0 - 0"];
    for command in calls {
        let (result, took) = timed(|| managed.api.call(command));
        let result = result?;
        ensure!(
            result.as_ref().err() == Some(&Errno::NOPROTOOPT),
            "{command}: {}",
            c_api::shown(&result)
        );
        context.at_once(took)?;
    }
    managed.api.bad("m-info 0 e 64 64 0", Errno::FAULT)
}

fn mgmt_double_load(context: &Context) -> Result<()> {
    let managed = Managed::loaded("c-double", "ok", 0)?;
    let pid = managed.pid()?;
    let calls = ["m-load 0 static", "m-load 0 text"];
    refused(context, &managed.api, &calls, Errno::BUSY)?;
    managed.echo()?;
    ensure!(managed.pid()? == pid, "another process");
    managed.api.good("m-kill 0")?;
    refused(context, &managed.api, &calls, Errno::BUSY)?;
    managed.echo()
}

fn mgmt_unload_twice(context: &Context) -> Result<()> {
    let managed = Managed::new("c-unload", "-", "none")?;
    let (result, took) = timed(|| -> Result<()> {
        managed.api.good("m-unload 0")?;
        managed.api.good("m-load 0 static")?;
        managed.echo()?;
        managed.api.good("m-unload 0")?;
        managed.api.good("m-unload 0")?;
        managed.api.bad("m-ask 0 e 64 64 0", Errno::NOPROTOOPT)?;
        managed.api.good("m-load 0 static")?;
        managed.echo()
    });
    result?;
    // Two starts, two deaths.
    context.at_once(took)?;
    ensure!(managed.field("loaded")? == 1, "it is not loaded");
    managed.api.good("m-unload 0")?;
    ensure!(managed.field("loaded")? == 0, "it is loaded");
    ensure!(managed.field("tgid")? == 0, "tgid is set");
    Ok(())
}

fn mgmt_no_executable(context: &Context) -> Result<()> {
    let managed = Managed::new("c-no-elf", "-", "ok")?;
    let calls = ["empty", "null", "backwards", "nowhere"].map(|image| format!("m-load 0 {image}"));
    let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
    refused(context, &managed.api, &calls, Errno::INVAL)?;
    for (image, errno) in NO_EXECUTABLES {
        managed
            .api
            .bad(&format!("m-load 0 {image}"), errno)
            .with_context(|| image.to_owned())?;
        ensure!(managed.field("loaded")? == 0, "{image} is loaded");
        managed.api.bad("m-ask 0 e 64 64 0", Errno::NOPROTOOPT)?;
    }
    managed.api.good("m-load 0 static")?;
    managed.echo()
}

fn mgmt_no_name(context: &Context) -> Result<()> {
    let managed = Managed::new("-", "-", "none")?;
    refused(context, &managed.api, &["m-load 0 static"], Errno::INVAL)?;
    let managed = Managed::new("a/b", "-", "none")?;
    refused(context, &managed.api, &["m-load 0 static"], Errno::INVAL)
}

fn mgmt_nothing(context: &Context) -> Result<()> {
    let managed = Managed::loaded("c-nothing", "ok", 0)?;
    let (result, took) = timed(|| managed.api.good("m-raw 0 - 0 - 0"));
    result?;
    context.at_once(took)?;
    managed.api.good("m-ask 0 n 64 0 0")?;
    managed.echo()
}

/// The module goes after it has asked in vain: what umd keeps for a mgmt goes as well.
fn mgmt_abandoned(context: &Context) -> Result<()> {
    for _ in 0..context.rounds(8, 20) {
        let managed = Managed::new("c-in-vain", "-", "ok")?;
        managed.api.bad("m-ask 0 e 64 64 0", Errno::NOPROTOOPT)?;
        drop(managed);
        modules::remove(c_api::MODULE)?;
        modules::load(c_api::MODULE)?;
    }
    ensure!(
        driver::names().is_empty(),
        "left in sysfs: {:?}",
        driver::names()
    );
    Ok(())
}
