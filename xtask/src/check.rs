// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the build refuses: code that a kernel would warn about, could not load, or could be brought down by.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use object::elf;
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection, ObjectSymbol, RelocationFlags, SectionFlags};

/// The most that the sample's handler may weigh.
pub(crate) const HANDLER_LIMIT: u64 = 16 * 1024;
/// The most memory that umd.ko's sections may take in the kernel.
pub(crate) const UMD_LIMIT: u64 = 128 * 1024;

/// The relocations that every kernel's module loader knows.
const RELOCATIONS: &[(u32, &str)] = &[
    (elf::R_X86_64_64, "R_X86_64_64"),
    (elf::R_X86_64_32S, "R_X86_64_32S"),
    (elf::R_X86_64_PC32, "R_X86_64_PC32"),
    (elf::R_X86_64_PLT32, "R_X86_64_PLT32"),
];

/// Checks a module's Rust object: no way to panic, and no relocation that some kernel cannot do.
pub(crate) fn rust_object(bytes: &[u8]) -> Result<()> {
    let file = parse(bytes)?;
    let panics: BTreeSet<&str> = file
        .symbols()
        .filter_map(|s| s.name().ok())
        .filter(|name| can_panic(name))
        .collect();
    ensure!(
        panics.is_empty(),
        "it can panic, and a panic in a kernel ends it: index with `get`, divide and split with checked calls; \
         found {}",
        list(&panics)
    );
    for section in file.sections() {
        for (offset, relocation) in section.relocations() {
            let RelocationFlags::Elf { r_type } = relocation.flags() else {
                continue;
            };
            if RELOCATIONS.iter().all(|(known, _)| *known != r_type) {
                let known: Vec<&str> = RELOCATIONS.iter().map(|(_, name)| *name).collect();
                bail!(
                    "section {} has a relocation of type {r_type} at {offset:#x}; kernels are sure to know only {}",
                    section.name().unwrap_or("?"),
                    known.join(", ")
                );
            }
        }
    }
    Ok(())
}

/// Whether a symbol belongs to core's panicking: `core::panicking::…` in the v0 mangling.
fn can_panic(symbol: &str) -> bool {
    symbol.contains("4core9panicking")
}

/// Fails with the lines of a kernel build that complain of something.
pub(crate) fn kbuild_is_silent(stdout: &str, stderr: &str) -> Result<()> {
    let complaint = |line: &&str| {
        let line = line.to_ascii_lowercase();
        line.contains("warning:") || line.contains("error:")
    };
    let complaints: Vec<&str> = stderr
        .lines()
        .filter(|line| !harmless(line))
        .chain(stdout.lines().filter(complaint))
        .collect();
    ensure!(
        complaints.is_empty(),
        "the kernel build complains, and none of that is let through:\n{}",
        complaints.join("\n")
    );
    Ok(())
}

/// Headers packages hold no vmlinux, so that modules built with them have no type information of their own.
fn harmless(line: &str) -> bool {
    line.trim().is_empty()
        || (line.starts_with("Skipping BTF generation")
            && line.ends_with("unavailability of vmlinux"))
}

/// The symbols that modpost found nowhere.
pub(crate) fn undefined_in(log: &str) -> BTreeSet<&str> {
    log.lines()
        .filter(|line| line.contains("modpost") && line.ends_with("undefined!"))
        .filter_map(|line| line.split('"').nth(1))
        .collect()
}

/// Fails when a module imports what neither the kernel nor our other modules export.
pub(crate) fn imports(
    module: &str,
    bytes: &[u8],
    exported: &BTreeSet<String>,
    kernel: &str,
) -> Result<()> {
    let missing: BTreeSet<&str> = parse(bytes)?
        .symbols()
        .filter(|symbol| symbol.is_undefined() && !symbol.is_weak())
        .filter_map(|symbol| symbol.name().ok())
        .filter(|name| !name.is_empty() && !exported.contains(*name))
        .map(|name| -> &str { name })
        .collect::<BTreeSet<_>>();
    lacks(module, &missing, kernel)
}

/// Says which symbols of a module a kernel lacks; silent when there are none.
pub(crate) fn lacks(module: &str, missing: &BTreeSet<&str>, kernel: &str) -> Result<()> {
    ensure!(
        missing.is_empty(),
        "kernel {kernel} cannot have {module}: it does not export {}",
        list(missing)
    );
    Ok(())
}

/// The symbols that a Module.symvers file lists as exported.
pub(crate) fn exports(symvers: &str) -> impl Iterator<Item = &str> {
    symvers.lines().filter_map(|line| line.split('\t').nth(1))
}

/// Fails when a handler is too big to be carried about in a module.
pub(crate) fn handler_size(name: &str, size: u64) -> Result<()> {
    ensure!(
        size <= HANDLER_LIMIT,
        "handler {name} has {size} bytes; at most {HANDLER_LIMIT} are allowed"
    );
    Ok(())
}

/// Fails when umd.ko would take too much memory.
pub(crate) fn umd_size(bytes: &[u8]) -> Result<()> {
    let size = loaded_size(bytes)?;
    ensure!(
        size <= UMD_LIMIT,
        "umd.ko loads {size} bytes into the kernel; at most {UMD_LIMIT} are allowed"
    );
    Ok(())
}

/// The sum of the sections that take memory once loaded.
fn loaded_size(bytes: &[u8]) -> Result<u64> {
    let allocated = |section: &object::read::elf::ElfSection64<'_, '_, object::Endianness>| matches!(section.flags(), SectionFlags::Elf { sh_flags } if sh_flags & u64::from(elf::SHF_ALLOC) != 0);
    Ok(parse(bytes)?
        .sections()
        .filter(allocated)
        .map(|section| section.size())
        .sum())
}

fn parse(bytes: &[u8]) -> Result<ElfFile64<'_>> {
    ElfFile64::parse(bytes).context("not an ELF object for x86-64")
}

fn list(names: &BTreeSet<&str>) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
