// SPDX-License-Identifier: MIT OR Apache-2.0
//! What handlers that know nothing of umd can do, and what they see.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use rustix::io::Errno;

use super::{BASIC, COMPUTE, CUSTOM, Managed, Process, STRICT, SYSTEM_ROOT, UNCONFINED, field};
use crate::c_api;
use crate::driver::{Driver, ELEMENTS};
use crate::harness::{Context, Topic, test};
use crate::kernel::{Log, Record};
use crate::{modules, process};

pub(crate) const TOPIC: Topic = Topic {
    name: "c api confinement",
    modules: &[c_api::MODULE],
    tests: &[
        test("what it is started with", arguments),
        test(
            "its root holds its image and /dev/kmsg, and nothing else",
            root,
        ),
        test("a line in the log has the driver's name", line_in_the_log),
        test("its lines are not those of somebody else", forged),
        test("its lines are not urgent, and not too long", urgent),
        test("its lines are limited, and those of others are not", flood),
        test("the log is written to, and not read", write_only),
        test("the module of an open log can go", open_log),
        test("another node of that number is nobody's", other_node),
        test("no capability, no new privileges", privileges),
        test("it cannot fork", no_fork),
        test("its limits leave it little to take", limits),
        test("it has the memory that was asked for, and no more", memory),
        test("a dynamic one keeps the system's root", dynamic),
        test("a mgmt's handler is confined as well", managed),
        test("strict is less", strict),
        test("compute is memory and clocks, for a C library too", compute),
        test("custom is what it lists", custom),
        test("what is denied is named", denied),
        test(
            "signals to others, sockets, namespaces are refused",
            harmful,
        ),
        test("the system's root, by request", system_root),
        test("unconfined is what it was in the kernel's tree", unconfined),
        test("what is in force is in sysfs", sysfs),
    ],
};

const NAME: &str = "c-confined";

/// What it says of itself.
fn said(process: &Process) -> Result<String> {
    let brought = process.api.good("ask 0 i 4 4096 0")?;
    Ok(brought.text()?.to_owned())
}

/// With this lockdown, and an image.
fn with(image: &str, lockdown: u32) -> Result<Process> {
    Process::load(NAME, &format!("load-with 0 {image} {lockdown} 0"))?.fork()
}

fn expect(said: &str, name: &str, wanted: u32) -> Result<()> {
    let found = field(said, name)?;
    ensure!(
        found == wanted,
        "{name} is {found}, not {wanted}, in {said:?}"
    );
    Ok(())
}

/// An errno as the handler says it.
fn number(errno: Errno) -> u32 {
    errno.raw_os_error().unsigned_abs()
}

fn arguments(_: &Context) -> Result<()> {
    let process = Process::start(NAME)?;
    let said = said(&process)?;
    ensure!(said.starts_with("name=c-confined "), "{said:?}");
    expect(&said, "arguments", 1)?;
    expect(&said, "variables", 0)?;
    let pid = process.pid()?;
    ensure!(process::read(pid, "environ")?.is_empty(), "an environment");
    let mut descriptors: Vec<String> = fs::read_dir(process::path(pid, "fd"))?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    descriptors.sort();
    ensure!(
        descriptors == ["0", "1", "2"],
        "its descriptors are {descriptors:?}"
    );
    let error = fs::read_link(process::path(pid, "fd/2"))?;
    ensure!(
        error.as_os_str() == "anon_inode:[umd-sink]",
        "its standard error is {}",
        error.display()
    );
    Ok(())
}

fn root(_: &Context) -> Result<()> {
    let process = Process::start(NAME)?;
    let said = said(&process)?;
    expect(&said, "kmsg", 0)?;
    expect(&said, "passwd", number(Errno::NOENT))?;
    expect(&said, "proc", number(Errno::NOENT))?;
    let new = field(&said, "new")?;
    ensure!(new != 0, "it made a file");
    let root = process::path(process.pid()?, "root");
    let mut names: Vec<String> = fs::read_dir(&root)?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    ensure!(names.len() == 2, "its root holds {names:?}");
    ensure!(
        names.contains(&"dev".to_owned()),
        "its root holds {names:?}"
    );
    let devices: Vec<_> = fs::read_dir(root.join("dev"))?
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    ensure!(devices == ["kmsg"], "its /dev holds {devices:?}");
    Ok(())
}

/// The records of the log that this request to the handler leaves there: those of a handler.
fn told(process: &Process, log: &Log, what: &str) -> Result<Vec<Record>> {
    let _ = log.records();
    process.api.good(&format!("ask 0 {what}"))?;
    let mut records = log.records();
    records.retain(|record| record.message.contains("handler says"));
    Ok(records)
}

fn messages(records: &[Record]) -> Vec<&str> {
    let messages = records.iter().map(|record| record.message.as_str());
    messages.collect()
}

fn line_in_the_log(_: &Context) -> Result<()> {
    let log = Log::from_now()?;
    let process = Process::start(NAME)?;
    let found = told(&process, &log, "m 4 4 0")?;
    let expected = "umd: c-confined: handler says: umd c api: asked for a line";
    ensure!(messages(&found) == [expected], "{found:?}");
    // `<5>`.
    ensure!(found[0].level == 5, "{found:?}");
    drop(process);
    // Each driver has its own name, and one that says something as it starts.
    let _other = Process::start("c-tells")?;
    log.expect("umd: c-tells: handler says: umd c api: started")
}

fn forged(_: &Context) -> Result<()> {
    let log = Log::from_now()?;
    let process = Process::start(NAME)?;
    let found = told(&process, &log, "M 4 4 0")?;
    let expected = [
        "umd: c-confined: handler says: one",
        "umd: c-confined: handler says: umd: c-other: handler says: two",
        r"umd: c-confined: handler says: BUG: three\x1b[2J\xe2\x80\xae\x5c",
    ];
    // Who reads the log sees a backslash escaped once more.
    let found: Vec<String> = { messages(&found).into_iter() }
        .map(|message| message.replace(r"\x5c", r"\"))
        .collect();
    ensure!(found == expected, "{found:?}");
    Ok(())
}

fn urgent(_: &Context) -> Result<()> {
    let log = Log::from_now()?;
    let process = Process::start(NAME)?;
    let found = told(&process, &log, "M 4 4 1")?;
    ensure!(
        messages(&found) == ["umd: c-confined: handler says: the machine is on fire"],
        "{found:?}"
    );
    ensure!(found[0].level == 4, "{found:?}");
    let found = told(&process, &log, "M 4 4 2")?;
    let expected = format!("umd: c-confined: handler says: {} (cut)", "L".repeat(900));
    ensure!(messages(&found) == [expected], "{found:?}");
    Ok(())
}

fn flood(_: &Context) -> Result<()> {
    let log = Log::from_now()?;
    let process = Process::start(NAME)?;
    let found = told(&process, &log, "M 4 4 3")?;
    ensure!(
        (1..=10).contains(&found.len()),
        "{} lines of 200",
        found.len()
    );
    drop(process);
    // Another driver is not the one that is limited.
    let other = Process::start("c-other")?;
    let found = told(&other, &log, "m 4 4 0")?;
    ensure!(found.len() == 1, "{found:?}");
    drop(other);
    // How many there were more is told along with the first line that has room again.
    let process = Process::start(NAME)?;
    told(&process, &log, "M 4 4 3")?;
    std::thread::sleep(crate::time::ms(6_000));
    let _ = log.records();
    process.api.good("ask 0 m 4 4 0")?;
    let said = log.records();
    let dropped = |record: &Record| {
        record
            .message
            .contains("c-confined: handler says: 190 callbacks suppressed")
    };
    ensure!(said.iter().any(dropped), "{said:?}");
    Ok(())
}

fn write_only(_: &Context) -> Result<()> {
    let process = Process::start(NAME)?;
    process.api.good("ask 0 M 4 4 4")?;
    process.echo()
}

fn open_log(_: &Context) -> Result<()> {
    let process = Process::start(NAME)?;
    process.api.good("ask 0 M 4 4 5")?;
    drop(process);
    modules::unload(c_api::MODULE)?;
    modules::unload("umd")?;
    modules::load(c_api::MODULE)
}

fn other_node(_: &Context) -> Result<()> {
    let _driver = Process::start(NAME)?;
    let devices = fs::read_to_string("/proc/devices")?;
    let major = devices
        .lines()
        .find_map(|line| line.trim().strip_suffix(" umd-kmsg")?.parse().ok())
        .context("no device umd-kmsg")?;
    let path = "/tmp/umd-kmsg";
    let kind = rustix::fs::FileType::CharacterDevice;
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let device = rustix::fs::makedev(major, 0);
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, device)?;
    let opened = fs::File::options().write(true).open(path);
    fs::remove_file(path)?;
    let error = opened.err().and_then(|error| error.raw_os_error());
    ensure!(
        error == Some(Errno::NXIO.raw_os_error()),
        "opening it says {error:?}"
    );
    Ok(())
}

fn capabilities(pid: i32) -> Result<Vec<String>> {
    ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]
        .iter()
        .map(|field| process::status(pid, field))
        .collect()
}

fn privileges(_: &Context) -> Result<()> {
    for image in ["static", "dynamic"] {
        let process = with(image, 0)?;
        process.echo()?;
        let pid = process.pid()?;
        let found = capabilities(pid)?;
        ensure!(
            found.iter().all(|set| set == "0000000000000000"),
            "{image}: {found:?}"
        );
        let new = process::status(pid, "NoNewPrivs")?;
        ensure!(new == "1", "{image}: NoNewPrivs {new}");
    }
    Ok(())
}

fn no_fork(_: &Context) -> Result<()> {
    for image in ["static", "dynamic"] {
        let process = with(image, 0)?;
        let said = said(&process)?;
        ensure!(field(&said, "fork")? != 0, "{image}: it forked");
    }
    Ok(())
}

fn limits(_: &Context) -> Result<()> {
    let process = Process::start(NAME)?;
    let text = process::read(process.pid()?, "limits")?;
    let limit = |name: &str| -> Result<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let line = line.with_context(|| format!("no {name}"))?;
        let soft = line.split_whitespace().next().context("no number")?;
        soft.parse().with_context(|| format!("{name} is {soft}"))
    };
    for (name, most) in [
        ("Max core file size", 1),
        ("Max file size", 0),
        ("Max locked memory", 0),
        ("Max processes", 0),
        ("Max address space", 64 << 20),
        ("Max open files", 16),
    ] {
        let found = limit(name)?;
        ensure!(found <= most, "{name} is {found}");
    }
    Ok(())
}

fn memory(_: &Context) -> Result<()> {
    for (mib, enough) in [(12, false), (32, true)] {
        let process = Process::load(NAME, &format!("load-mem 0 static {mib}"))?.fork()?;
        process.echo()?;
        let text = process::read(process.pid()?, "limits")?;
        let line = text
            .lines()
            .find(|line| line.starts_with("Max address space"));
        let limit = format!(" {} ", mib << 20);
        ensure!(line.is_some_and(|line| line.contains(&limit)), "{line:?}");
        // It wants 8 MiB.
        match enough {
            true => process.api.repeat("ask 0", 'a', 64, 64)?,
            false => process.api.bad("ask 0 a 64 64 0", Errno::FAULT)?,
        }
    }
    Ok(())
}

fn dynamic(_: &Context) -> Result<()> {
    let process = Process::load(NAME, "load 0 dynamic")?.fork()?;
    process.echo()?;
    let said = said(&process)?;
    expect(&said, "passwd", 0)?;
    expect(&said, "arguments", 1)?;
    process.api.echo("ask 0", 307_200, 307_200)
}

fn managed(_: &Context) -> Result<()> {
    let managed = Managed::loaded(NAME, "ok", 0)?;
    let brought = managed.api.good("m-ask 0 i 4 4096 0")?;
    let said = brought.text()?;
    expect(said, "passwd", number(Errno::NOENT))?;
    expect(said, "kmsg", 0)?;
    let found = capabilities(managed.pid()?)?;
    ensure!(
        found.iter().all(|set| set == "0000000000000000"),
        "{found:?}"
    );
    ensure!(process::status(managed.pid()?, "NoNewPrivs")? == "1");
    managed.echo()
}

fn strict(_: &Context) -> Result<()> {
    let process = with("static", STRICT)?;
    process.echo()?;
    let pid = process.pid()?;
    let mode = process::status(pid, "Seccomp")?;
    ensure!(mode == "1", "Seccomp {mode}");
    process.api.echo("ask 0", 307_200, 307_200)?;
    // It tries to look around.
    process.api.bad("ask 0 i 4 4096 0", Errno::FAULT)?;
    process.gone(pid)
}

/// A filter is in force, and its root is out of its reach.
fn filtered(process: &Process, profile: &str) -> Result<()> {
    process.echo()?;
    let pid = process.pid()?;
    for (field, wanted) in [("Seccomp", "2"), ("NoNewPrivs", "1"), ("Threads", "1")] {
        let found = process::status(pid, field)?;
        ensure!(found == wanted, "{field}: {found}, not {wanted}");
    }
    Driver(NAME).expect_lockdown(profile, &ELEMENTS)
}

fn compute(_: &Context) -> Result<()> {
    let process = with("static", COMPUTE)?;
    filtered(&process, "compute")?;
    process.api.repeat("ask 0", 'a', 64, 64)?;
    process.api.echo("ask 0", 307_200, 307_200)?;
    let pid = process.pid()?;
    // Memory that it could execute.
    process.api.bad("ask 0 k 4 4 0", Errno::FAULT)?;
    process.gone(pid)?;
    Driver(NAME).await_value("last_denied", "9 mmap")
}

fn custom(_: &Context) -> Result<()> {
    let process = with("static", CUSTOM)?;
    filtered(&process, "custom")?;
    // It is listed here.
    process.api.repeat("ask 0", 'k', 64, 64)?;
    let pid = process.pid()?;
    process.api.bad("ask 0 i 4 4096 0", Errno::FAULT)?;
    process.gone(pid)?;
    Driver(NAME).await_value("last_denied", "257 openat")
}

/// By each lockdown that denies: as sysfs has it, and the log.
fn denied(_: &Context) -> Result<()> {
    for (lockdown, signal, wanted) in [
        (STRICT, "signal 9", "257 openat"),
        // It does without that one.
        (COMPUTE, "signal 31", "72 fcntl"),
        (CUSTOM, "signal 31", "257 openat"),
    ] {
        let process = with("static", lockdown)?;
        process.echo()?;
        let driver = Driver(NAME);
        driver.expect("last_denied", "none")?;
        let log = Log::from_now()?;
        let pid = process.pid()?;
        process.api.bad("ask 0 i 4 4096 0", Errno::FAULT)?;
        process.gone(pid)?;
        driver.await_value("last_denied", wanted)?;
        driver.expect("last_exit", signal)?;
        let (number, name) = wanted.split_once(' ').context("two words")?;
        let line = format!(
            "umd: {NAME}: handler {pid} made a system call that its lockdown denies: {name} ({number})"
        );
        log.expect(&line)?;
    }
    Ok(())
}

fn harmful(_: &Context) -> Result<()> {
    for (image, lockdown) in [("static", BASIC), ("dynamic", 0), ("static", SYSTEM_ROOT)] {
        let process = with(image, lockdown)?;
        let brought = process.api.good("ask 0 j 4 4096 0")?;
        let said = brought.text()?;
        expect(said, "self", 0)?;
        for name in [
            "other", "all", "queue", "thread", "socket", "netlink", "unshare", "ptrace", "pidfd",
            "keys", "ring", "fault", "bpf", "perf", "mount",
        ] {
            expect(said, name, number(Errno::PERM)).with_context(|| image)?;
        }
        process.echo()?;
    }
    Ok(())
}

fn system_root(_: &Context) -> Result<()> {
    let process = with("static", SYSTEM_ROOT)?;
    let said = said(&process)?;
    expect(&said, "passwd", 0)?;
    ensure!(field(&said, "fork")? != 0, "it forked");
    let found = capabilities(process.pid()?)?;
    ensure!(
        found.iter().all(|set| set == "0000000000000000"),
        "{found:?}"
    );
    Ok(())
}

fn unconfined(_: &Context) -> Result<()> {
    let process = with("static", UNCONFINED)?;
    process.echo()?;
    let said = said(&process)?;
    expect(&said, "passwd", 0)?;
    expect(&said, "uid", 0)?;
    expect(&said, "fork", 0)?;
    expect(&said, "new", 0)?;
    let pid = process.pid()?;
    let effective = process::status(pid, "CapEff")?;
    let own = process::status(1, "CapEff")?;
    ensure!(effective == own, "CapEff {effective}, of process 1 {own}");
    ensure!(process::status(pid, "NoNewPrivs")? == "0");
    fs::remove_file("/tmp/umd-c-api-new").context("the file that it made")
}

fn sysfs(_: &Context) -> Result<()> {
    let driver = Driver(NAME);
    for (image, lockdown, wanted) in [
        ("static", 0, "basic"),
        ("static", BASIC, "basic"),
        ("static", STRICT, "strict"),
        ("static", SYSTEM_ROOT, "system-root"),
        ("static", COMPUTE, "compute"),
        ("static", CUSTOM, "custom"),
        ("static", UNCONFINED, "unconfined"),
        ("dynamic", 0, "system-root"),
    ] {
        let process = with(image, lockdown)?;
        process.echo()?;
        driver
            .expect("lockdown_in_force", wanted)
            .with_context(|| format!("{image} with {lockdown}"))?;
    }
    Ok(())
}
