// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the handler has given up, as the kernel shows it.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use anyhow::{Context as _, Result, ensure};
use rustix::io::Errno;

use crate::actor::{self, Actor};
use crate::driver::{Driver, ELEMENTS};
use crate::harness::{Context, Topic, test};
use crate::sample::{self, DRIVER, MODULE};
use crate::{kernel, modules, process};

pub(crate) const TOPIC: Topic = Topic {
    name: "lockdown",
    modules: &[MODULE],
    tests: &[
        test("no user, no group, no capability", identity),
        test("no new privileges, strict seccomp, one thread", confinement),
        test(
            "its descriptors are 0, 1 and 2, all the channel",
            descriptors,
        ),
        test(
            "its root and working directory hold its image and nothing else",
            root,
        ),
        test("its image is in no mount table", mount_tables),
        test("its image cannot be changed, not even by root", image),
        test(
            "its arguments are its name, its environment is empty",
            arguments,
        ),
        test("its limits leave it nothing to take", limits),
        test("the kernel frees other memory first", oom),
        test("a stranger with its user id cannot look into it", stranger),
        test("root's copy of its channel is dead", copied_channel),
        test("the next handler is locked down as well", next_handler),
        test(
            "a handler without frames is locked down as well",
            without_frames,
        ),
    ],
};

fn identity(_: &Context) -> Result<()> {
    identity_of(DRIVER)
}

fn identity_of(driver: Driver) -> Result<()> {
    let pid = driver.pid()?;
    for field in ["Uid", "Gid"] {
        let ids = process::status(pid, field)?;
        ensure!(ids == "65534 65534 65534 65534", "{field}: {ids}");
    }
    let groups = process::status(pid, "Groups")?;
    ensure!(groups.is_empty(), "Groups: {groups}");
    for field in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let set = process::status(pid, field)?;
        ensure!(set == "0000000000000000", "{field}: {set}");
    }
    Ok(())
}

fn confinement(_: &Context) -> Result<()> {
    confinement_of(DRIVER)
}

fn confinement_of(driver: Driver) -> Result<()> {
    let pid = driver.pid()?;
    for (field, wanted) in [
        ("NoNewPrivs", "1"),
        ("Seccomp", "1"),
        ("Threads", "1"),
        ("TracerPid", "0"),
    ] {
        let found = process::status(pid, field)?;
        ensure!(found == wanted, "{field}: {found}, not {wanted}");
    }
    driver.expect("lockdown_in_force", "strict")?;
    driver.expect_lockdown("strict", &ELEMENTS)
}

fn descriptors(_: &Context) -> Result<()> {
    let pid = DRIVER.pid()?;
    let mut found = Vec::new();
    for entry in fs::read_dir(process::path(pid, "fd"))? {
        let entry = entry?;
        let target = fs::read_link(entry.path())?;
        found.push((entry.file_name().into_string().unwrap_or_default(), target));
    }
    found.sort();
    let wanted = ["0", "1", "2"].map(|fd| (fd.to_owned(), "anon_inode:[umd]".into()));
    ensure!(found == wanted, "descriptors: {found:?}");
    Ok(())
}

fn root(_: &Context) -> Result<()> {
    let pid = DRIVER.pid()?;
    for directory in ["root", "cwd"] {
        let path = process::path(pid, directory);
        let names: Vec<_> = fs::read_dir(&path)?
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        ensure!(names == ["sample"], "{directory} holds {names:?}");
        let own = fs::metadata("/")?.dev();
        ensure!(
            fs::metadata(&path)?.dev() != own,
            "{directory} is in our root"
        );
        let above = fs::metadata(path.join(".."))?;
        ensure!(
            above.ino() == fs::metadata(&path)?.ino(),
            "{directory} has a way up"
        );
    }
    let exe = fs::read_link(process::path(pid, "exe"))?;
    ensure!(exe.as_os_str() == "/sample", "exe is {}", exe.display());
    Ok(())
}

fn mount_tables(_: &Context) -> Result<()> {
    let pid = DRIVER.pid()?;
    let device = fs::metadata(process::path(pid, "root"))?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let own = kernel::mounts()?;
    let its = process::read(pid, "mountinfo").unwrap_or_default();
    for (whose, table) in [("ours", &own), ("its", &its)] {
        let here = table.contains(&format!(" {major}:{minor} "));
        ensure!(!here, "the image's mount is in a table ({whose}):\n{table}");
    }
    Ok(())
}

fn image(_: &Context) -> Result<()> {
    let pid = DRIVER.pid()?;
    let (root, exe) = (process::path(pid, "root"), process::path(pid, "exe"));
    let file = root.join("sample");
    let mode = |path| Ok::<_, anyhow::Error>(fs::metadata(path)?.permissions().mode() & 0o7777);
    ensure!(
        mode(&file)? == 0o111,
        "the image has mode {:o}",
        mode(&file)?
    );
    ensure!(
        mode(&root)? == 0o555,
        "its directory has mode {:o}",
        mode(&root)?
    );
    let other = root.join("other");
    let write = |path| File::options().write(true).open(path).map(drop);
    let attempts = [
        ("writing to exe", write(&exe)),
        ("writing to the file", write(&file)),
        ("making a file", File::create(&other).map(drop)),
        ("making a directory", fs::create_dir(&other)),
        ("a link", fs::hard_link(&file, &other)),
        ("renaming", fs::rename(&file, &other)),
        ("removing", fs::remove_file(&file)),
        (
            "changing the mode",
            fs::set_permissions(&file, fs::Permissions::from_mode(0o777)),
        ),
        (
            "changing the owner",
            std::os::unix::fs::chown(&file, Some(0), None),
        ),
    ];
    for (what, result) in attempts {
        let refused = result.as_ref().err().and_then(Errno::from_io_error);
        ensure!(refused == Some(Errno::ROFS), "{what}: {result:?}");
    }
    sample::ask(1)?;
    Ok(())
}

fn arguments(_: &Context) -> Result<()> {
    let pid = DRIVER.pid()?;
    let arguments = process::read(pid, "cmdline")?;
    ensure!(arguments == "sample\0", "arguments: {arguments:?}");
    let environment = process::read(pid, "environ")?;
    ensure!(environment.is_empty(), "environment: {environment:?}");
    Ok(())
}

fn limits(_: &Context) -> Result<()> {
    let text = process::read(DRIVER.pid()?, "limits")?;
    for (name, most) in [
        ("Max file size", 0),
        // At 0 a program that takes cores would still be started; at 1 it is not.
        ("Max core file size", 1),
        ("Max processes", 0),
        ("Max open files", 3),
        ("Max locked memory", 0),
        ("Max msgqueue size", 0),
        ("Max nice priority", 0),
        ("Max realtime priority", 0),
        ("Max stack size", 1 << 20),
        ("Max address space", 64 << 20),
    ] {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let line = line.with_context(|| format!("no line {name:?}"))?;
        let numbers: Vec<&str> = line.split_whitespace().take(2).collect();
        let wanted = most.to_string();
        ensure!(
            numbers == [&wanted, &wanted],
            "{name}: {numbers:?}, not {most}"
        );
    }
    Ok(())
}

fn oom(_: &Context) -> Result<()> {
    let score = process::read(DRIVER.pid()?, "oom_score_adj")?;
    ensure!(score == "-900\n", "oom_score_adj: {score:?}");
    // Root may change it; the next request sets it back.
    fs::write(process::path(DRIVER.pid()?, "oom_score_adj"), "1000")?;
    sample::ask(1)?;
    let score = process::read(DRIVER.pid()?, "oom_score_adj")?;
    ensure!(
        score == "-900\n",
        "oom_score_adj after a request: {score:?}"
    );
    Ok(())
}

fn stranger(_: &Context) -> Result<()> {
    let pid = DRIVER.pid()?;
    for file in [
        "exe",
        "root/sample",
        "mem",
        "environ",
        "auxv",
        "fd/0",
        "syscall",
    ] {
        let path = process::path(pid, file);
        let result = Actor::nobody(&["read", &path.to_string_lossy()])?;
        let refused = matches!(result, Err(Errno::ACCESS | Errno::PERM));
        ensure!(refused, "reading {file} gave {result:?}");
    }
    let result = Actor::nobody(&["getfd", &pid.to_string()])?;
    ensure!(
        result == Err(Errno::PERM),
        "copying a descriptor gave {result:?}"
    );
    let result = Actor::nobody(&["write", sample::PATH, "1"])?;
    ensure!(
        result == Err(Errno::ACCESS),
        "asking the handler gave {result:?}"
    );
    Ok(())
}

fn copied_channel(_: &Context) -> Result<()> {
    let pid = rustix::process::Pid::from_raw(DRIVER.pid()?).context("a pid")?;
    for fd in [0, 1, 2] {
        let copy = actor::copy_fd(pid, fd)?;
        let result = rustix::io::read(&copy, &mut [0_u8; 16]);
        ensure!(
            result == Err(Errno::PERM),
            "reading from a copy of {fd}: {result:?}"
        );
        let result = rustix::io::write(&copy, &[0; 16]);
        ensure!(
            result == Err(Errno::PERM),
            "writing to a copy of {fd}: {result:?}"
        );
    }
    sample::ask(2)?;
    DRIVER.expect("starts", "1")
}

fn next_handler(context: &Context) -> Result<()> {
    DRIVER.kill_handler()?;
    sample::ask(3)?;
    identity(context)?;
    confinement(context)?;
    descriptors(context)?;
    root(context)?;
    limits(context)
}

/// The benchmarks' module has such a handler.
fn without_frames(_: &Context) -> Result<()> {
    modules::load("umd_bench")?;
    let path = "/sys/kernel/security/umd_bench";
    let session = File::options().write(true).open(path)?;
    for command in ["load raw 4 4", "calls 10"] {
        rustix::io::write(&session, command.as_bytes()).context(command)?;
    }
    let driver = Driver("bench-raw-4-4");
    driver.expect("starts", "1")?;
    identity_of(driver)?;
    confinement_of(driver)?;
    drop(session);
    modules::unload("umd_bench")
}
