// SPDX-License-Identifier: MIT OR Apache-2.0
//! The BPF program that umd.ko carries: compiled once, the same for every kernel, and made a C header with its
//! own loader in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{paths, run};

/// What it takes.
pub(crate) const PACKAGES: &[&str] = &["clang", "bpftool", "libbpf-dev"];

/// What the header includes.
const SKEL_INTERNAL: &str = "/usr/include/bpf/skel_internal.h";

/// Files for umd.ko's folder: names in it, and contents.
pub(crate) fn skeleton() -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let out = paths::umd().join("guard");
    paths::create_dir(&out)?;
    let object = out.join("guard.bpf.o");
    let mut clang = Command::new("clang");
    // What kernels from 5.11 on know; a later default could be more. Paths would make it another file elsewhere.
    clang
        .current_dir(paths::root())
        .args([
            "-target", "bpf", "-mcpu=v2", "-O2", "-g", "-Wall", "-Wextra", "-Werror",
        ])
        .args(["-Wno-unused-parameter", "-D__TARGET_ARCH_x86"])
        .args(["-c", "kernel/guard/guard.bpf.c", "-o"])
        .arg(&object);
    run::stdout(&mut clang)?;
    // It asks the running kernel for nothing, and needs no privilege.
    let mut bpftool = Command::new(tool("bpftool"));
    bpftool
        .args(["gen", "skeleton", "-L"])
        .arg(&object)
        .args(["name", "umd_guard"]);
    let header = run::stdout(&mut bpftool)?;
    let header = in_init_sections(&header)
        .with_context(|| format!("what `{}` printed", run::shown(&bpftool)))?;
    let internal = paths::read(Path::new(SKEL_INTERNAL))
        .context("it comes with libbpf's headers (Debian's package libbpf-dev)")?;
    Ok(vec![
        ("include/guard.lskel.h".into(), header.into_bytes()),
        ("include/bpf/skel_internal.h".into(), internal),
    ])
}

/// Puts the program and its data, which are string literals in the header, where they are freed once umd.ko is loaded.
fn in_init_sections(header: &str) -> Result<String> {
    let mut parts = header.split("(void *)\"");
    let mut changed = parts.next().unwrap_or_default().to_owned();
    let mut count = 0;
    for part in parts {
        let (literal, rest) = part.split_once("\";").context("a literal has no end")?;
        changed +=
            &format!("({{ static const char init[] __initconst = \"{literal}\"; init; }});{rest}");
        count += 1;
    }
    ensure!(
        count == 2 && changed.contains("umd_guard__load("),
        "this is no light skeleton with its data and its program:\n{header}"
    );
    Ok(changed)
}

/// Debian keeps it where only root's search path leads.
fn tool(name: &str) -> PathBuf {
    let system = Path::new("/usr/sbin").join(name);
    if !run::on_path(name) && system.is_file() {
        return system;
    }
    name.into()
}
