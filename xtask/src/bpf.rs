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

/// What stands before the program and its data, as bpftool has written it since 2024.
const NAMED: &str = "__attribute__((__aligned__(8))) = \"";

/// Puts the program and its data, which are string literals in the header, where they are freed once umd.ko is loaded.
fn in_init_sections(header: &str) -> Result<String> {
    let mut changed = header.replace(NAMED, &format!("__initconst {NAMED}"));
    let mut count = header.matches(NAMED).count();
    // Before that they had no name.
    while let Some((before, rest)) = changed.split_once("(void *)\"") {
        let (literal, after) = rest.split_once("\";").context("a literal has no end")?;
        changed = format!(
            "{before}({{ static const char init[] __initconst = \"{literal}\"; init; }});{after}"
        );
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As bpftool prints it, as far as it is looked at.
    const HEADER: &str = "static inline int\numd_guard__load(struct umd_guard *skel)\n{\n\
        \topts.data = (void *)\"\\\n\\x01\\0\";\n\topts.insns = (void *)\"\\\n\\x02\";\n}\n";

    #[test]
    fn blobs_go_to_init_sections() {
        let changed = in_init_sections(HEADER).expect("a skeleton");
        for blob in ["\\\n\\x01\\0", "\\\n\\x02"] {
            let wanted =
                format!("= ({{ static const char init[] __initconst = \"{blob}\"; init; }});");
            assert!(changed.contains(&wanted), "{changed}");
        }
        assert!(!changed.contains("(void *)\""), "{changed}");
    }

    #[test]
    fn named_blobs_do_too() {
        let header = "umd_guard__load(x)\n\tstatic const char opts_data[] __attribute__((__aligned__(8))) = \"\\x01\";\n\
            \tstatic const char opts_insn[] __attribute__((__aligned__(8))) = \"\\x02\";\n\
            \topts.data = (void *)opts_data;\n";
        let changed = in_init_sections(header).expect("a skeleton");
        let marked = changed.matches("] __initconst __attribute__").count();
        assert_eq!(marked, 2, "{changed}");
    }

    #[test]
    fn another_format_is_noticed() {
        let other = HEADER.replace("(void *)", "(const void *)");
        let message = in_init_sections(&other)
            .expect_err("no literals")
            .to_string();
        assert!(message.contains("no light skeleton"), "{message}");
        assert!(in_init_sections("").is_err());
    }
}
