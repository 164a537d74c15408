// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the build refuses: code that a kernel would warn about, could not load, or could be brought down by.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use object::elf;
use object::read::elf::{ElfFile64, ElfSymbol64};
use object::{Object, ObjectSection, ObjectSymbol, RelocationFlags, SectionFlags, SectionKind};

/// The most that a handler that is shipped may weigh.
const HANDLER_LIMIT: u64 = 16 * 1024;
/// The same for PGP's, which knows a dozen formats.
const PGP_LIMIT: u64 = 24 * 1024;
/// The most bytes that a function of a module's Rust may take of the stack.
const FRAME_LIMIT: i32 = 3 * 1024;
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
    frames(bytes)?;
    relocations(bytes)
}

/// Checks that no function takes too much of a kernel's stack at once.
fn frames(bytes: &[u8]) -> Result<()> {
    let file = parse(bytes)?;
    for section in file.sections().filter(|s| s.kind() == SectionKind::Text) {
        for (at, code) in section.data()?.windows(7).enumerate() {
            // sub $size,%rsp; what is larger than a page is taken page by page.
            let [0x48, 0x81, 0xec, size @ ..] = code else {
                continue;
            };
            let size = size.try_into().map_or(0, i32::from_le_bytes);
            let within = |symbol: &ElfSymbol64<'_, '_>| {
                let begin = symbol.address();
                symbol.section_index() == Some(section.index())
                    && (begin..begin + symbol.size()).contains(&(at as u64))
            };
            ensure!(
                size <= FRAME_LIMIT,
                "a function takes {size} bytes or more of a stack that has 16 KiB for all of them; \
                 at most {FRAME_LIMIT} are allowed: {}",
                file.symbols()
                    .find(within)
                    .and_then(|symbol| symbol.name().ok())
                    .unwrap_or("?")
            );
        }
    }
    Ok(())
}

/// Checks a module's Rust object for relocations that some kernel cannot do.
pub(crate) fn relocations(bytes: &[u8]) -> Result<()> {
    let file = parse(bytes)?;
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
    let limit = match name {
        "pgp-handler" => PGP_LIMIT,
        _ => HANDLER_LIMIT,
    };
    ensure!(
        size <= limit,
        "handler {name} has {size} bytes; at most {limit} are allowed"
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

/// The sum of the sections that take memory once loaded: not of what the module loader reads only, nor of what it
/// frees after init.
fn loaded_size(bytes: &[u8]) -> Result<u64> {
    let allocated = |section: &object::read::elf::ElfSection64<'_, '_, object::Endianness>| matches!(section.flags(), SectionFlags::Elf { sh_flags } if sh_flags & u64::from(elf::SHF_ALLOC) != 0);
    let kept = |section: &object::read::elf::ElfSection64<'_, '_, object::Endianness>| {
        let name = section.name().unwrap_or_default();
        !name.starts_with(".init") && !["__versions", ".modinfo"].contains(&name)
    };
    Ok(parse(bytes)?
        .sections()
        .filter(allocated)
        .filter(kept)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::process::Command;

    /// Compiles a snippet with the compiler for its kind of file and returns the object.
    fn compiled(name: &str, source: &str, compiler: &[&str]) -> Vec<u8> {
        let place = std::env::temp_dir().join(format!("xtask-check-{}-{name}", std::process::id()));
        fs::create_dir_all(&place).expect("a directory for the snippet");
        let (input, output) = (place.join(name), place.join("object.o"));
        fs::write(&input, source).expect("the snippet");
        let mut command = Command::new(compiler[0]);
        let done = command
            .args(&compiler[1..])
            .arg("-o")
            .arg(&output)
            .arg(&input)
            .output();
        let done = done.expect("a compiler");
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        let object = fs::read(&output).expect("the object");
        fs::remove_dir_all(place).expect("removing the snippet");
        object
    }

    fn c(name: &str, source: &str, flags: &[&str]) -> Vec<u8> {
        let base = [
            "gcc",
            "-O1",
            "-c",
            "-mcmodel=kernel",
            "-fno-pic",
            "-fno-asynchronous-unwind-tables",
        ];
        compiled(name, source, &[&base, flags].concat())
    }

    fn rust(name: &str, body: &str) -> Vec<u8> {
        let source = format!("#![no_std]\n#[unsafe(no_mangle)]\n{body}\n");
        let flags = [
            "--crate-type=lib",
            "--emit=obj",
            "--edition=2024",
            "-Copt-level=2",
            "-Cpanic=abort",
        ];
        let kernel = [
            "-Crelocation-model=static",
            "-Ccode-model=kernel",
            "-Csymbol-mangling-version=v0",
        ];
        compiled(
            name,
            &source,
            &[&["rustc"], &flags[..], &kernel[..]].concat(),
        )
    }

    fn error(result: Result<()>) -> String {
        result.expect_err("the check has to fail").to_string()
    }

    #[test]
    fn panics_are_found() {
        let checked = rust(
            "checked.rs",
            "pub extern \"C\" fn get(n: usize) -> u8 { [1, 2, 3].get(n).copied().unwrap_or(0) }",
        );
        rust_object(&checked).expect("there is no way to panic");
        let indexing = rust(
            "index.rs",
            "pub extern \"C\" fn get(n: usize) -> u8 { [1, 2, 3][n] }",
        );
        let message = error(rust_object(&indexing));
        assert!(
            message.contains("can panic") && message.contains("panic_bounds_check"),
            "{message}"
        );
    }

    #[test]
    fn deep_stacks_are_found() {
        let object = |bytes: usize| {
            let source =
                format!("void use(char *); void deep(void) {{ char a[{bytes}]; use(a); }}");
            c("deep.c", &source, &["-fno-stack-protector"])
        };
        rust_object(&object(3000)).expect("not too deep");
        let message = error(rust_object(&object(3200)));
        assert!(
            message.contains("a stack") && message.contains("deep"),
            "{message}"
        );
    }

    #[test]
    fn odd_relocations_are_found() {
        let source = "extern int there; int get(void) { return there; }";
        rust_object(&c("plain.c", source, &[])).expect("plain relocations only");
        let message = error(rust_object(&c(
            "got.c",
            source,
            &["-fPIC", "-mcmodel=small"],
        )));
        assert!(
            message.contains("type 42") && message.contains("R_X86_64_PLT32"),
            "{message}"
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(error(rust_object(b"text")).contains("not an ELF object"));
    }

    #[test]
    fn missing_imports_are_named() {
        let source = "void known(void); void unknown(void); \
                      __attribute__((weak)) void perhaps(void); \
                      void call(void) { known(); unknown(); if (perhaps) perhaps(); }";
        let object = c("imports.c", source, &[]);
        let symvers = "0x12345678\tknown\tvmlinux\tEXPORT_SYMBOL_GPL\t\n";
        let mut exported: BTreeSet<String> = exports(symvers).map(str::to_owned).collect();
        let message = error(imports("x.ko", &object, &exported, "6.12.1-test"));
        assert!(
            message.contains("`unknown`") && message.contains("6.12.1-test"),
            "{message}"
        );
        assert!(
            !message.contains("`known`") && !message.contains("perhaps"),
            "{message}"
        );
        exported.insert("unknown".to_owned());
        imports("x.ko", &object, &exported, "6.12.1-test").expect("all symbols are there");
    }

    #[test]
    fn modpost_names_what_it_misses() {
        let log = "ERROR: modpost: \"umd_gone\" [/x/obj/umd/umd.ko] undefined!\n\
                   WARNING: modpost: missing MODULE_DESCRIPTION() in umd.o\n\
                   ERROR: modpost: \"also_gone\" [/x/obj/umd/umd.ko] undefined!\n";
        assert_eq!(undefined_in(log), BTreeSet::from(["also_gone", "umd_gone"]));
        let message = error(lacks("umd.ko", &undefined_in(log), "6.1.0-test"));
        assert!(
            message.contains("`also_gone`, `umd_gone`") && message.contains("6.1.0-test"),
            "{message}"
        );
        lacks("umd.ko", &BTreeSet::new(), "6.1.0-test").expect("nothing is missing");
    }

    #[test]
    fn complaints_of_the_kernel_build_are_not_let_through() {
        let quiet = "  CC [M]  umd.o\n  LD [M]  umd.ko\n";
        let btf = "Skipping BTF generation for /x/umd.ko due to unavailability of vmlinux\n";
        kbuild_is_silent(quiet, btf).expect("nothing but the usual");
        for line in [
            "/x/main.c:3:6: warning: no previous prototype for 'umd_x' [-Wmissing-prototypes]",
            "/x/umd_rust.o: warning: objtool: umd_init+0x4: unreachable instruction",
            "WARNING: modpost: missing MODULE_DESCRIPTION() in /x/umd.o",
        ] {
            assert!(error(kbuild_is_silent(quiet, &format!("{btf}{line}\n"))).ends_with(line));
            assert!(error(kbuild_is_silent(line, "")).ends_with(line));
        }
    }

    #[test]
    fn sizes_have_limits() {
        handler_size("sample-handler", HANDLER_LIMIT).expect("just small enough");
        assert!(error(handler_size("sample-handler", HANDLER_LIMIT + 1)).contains("16385 bytes"));
        handler_size("pgp-handler", PGP_LIMIT).expect("just small enough");
        assert!(error(handler_size("pgp-handler", PGP_LIMIT + 1)).contains("24577 bytes"));
        let sized = |name, bytes| {
            c(
                name,
                &format!("char data[{bytes}] = {{1}}; char more[1024];"),
                &[],
            )
        };
        umd_size(&sized("small.c", 100 * 1024)).expect("small enough");
        let message = error(umd_size(&sized("big.c", 128 * 1024)));
        assert!(message.contains("131072 are allowed"), "{message}");
    }
}
