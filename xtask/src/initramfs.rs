// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first file system of a virtual machine, as a cpio archive in the "newc" format.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{paths, run};

/// What an entry of the archive is.
enum Entry {
    Directory { mode: u32 },
    Link { target: String },
    Device { major: u32, minor: u32 },
    Bytes { mode: u32, content: Vec<u8> },
    Copy { mode: u32, source: PathBuf },
}

/// The directories that are links to those of the same name below `/usr`.
const MERGED: &[&str] = &["bin", "sbin", "lib", "lib32", "lib64"];

/// Where a path is when these links have been followed. It does not begin with a slash.
fn merged(path: &str) -> String {
    let first = path.split('/').next().unwrap_or(path);
    match MERGED.contains(&first) {
        true => format!("usr/{path}"),
        false => path.to_owned(),
    }
}

/// An archive in the making. The same entries always give the same bytes.
#[derive(Default)]
pub(crate) struct Initramfs {
    entries: BTreeMap<String, Entry>,
}

impl Initramfs {
    fn insert(&mut self, path: &str, entry: Entry) {
        let path = merged(path.trim_matches('/'));
        let mut above = String::new();
        for part in path.split('/') {
            if !above.is_empty() {
                self.entries
                    .entry(above.clone())
                    .or_insert(Entry::Directory { mode: 0o755 });
                above.push('/');
            }
            above.push_str(part);
        }
        self.entries.insert(path, entry);
    }

    /// Adds the links that make `/bin` and its like the directories below `/usr`, as distributions
    /// have it. Whatever is added to the former goes to the latter.
    pub(crate) fn merge_usr(&mut self) {
        for name in MERGED {
            let target = format!("usr/{name}");
            self.directory(&target, 0o755);
            self.entries
                .insert((*name).to_owned(), Entry::Link { target });
        }
    }

    /// Adds an empty directory.
    pub(crate) fn directory(&mut self, path: &str, mode: u32) {
        self.insert(path, Entry::Directory { mode });
    }

    /// Adds a symbolic link.
    pub(crate) fn link(&mut self, path: &str, target: &str) {
        self.insert(
            path,
            Entry::Link {
                target: target.to_owned(),
            },
        );
    }

    /// Adds a character device.
    pub(crate) fn device(&mut self, path: &str, major: u32, minor: u32) {
        self.insert(path, Entry::Device { major, minor });
    }

    /// Adds a file with this content.
    pub(crate) fn file(&mut self, path: &str, mode: u32, content: impl Into<Vec<u8>>) {
        self.insert(
            path,
            Entry::Bytes {
                mode,
                content: content.into(),
            },
        );
    }

    /// Adds a copy of a file of this machine, with its mode.
    pub(crate) fn copy(&mut self, path: &str, source: &Path) -> Result<()> {
        let metadata =
            fs::metadata(source).with_context(|| format!("no such file: {}", source.display()))?;
        let mode = metadata.permissions().mode() & 0o7777;
        self.insert(
            path,
            Entry::Copy {
                mode,
                source: source.to_path_buf(),
            },
        );
        Ok(())
    }

    /// Adds a copy of a directory of this machine with all that is below it.
    pub(crate) fn tree(&mut self, path: &str, source: &Path) -> Result<()> {
        self.directory(path, 0o755);
        for entry in paths::entries(source)? {
            let name = entry
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let inside = format!("{path}/{name}");
            if entry.is_symlink() {
                self.link(&inside, &fs::read_link(&entry)?.to_string_lossy());
            } else if entry.is_dir() {
                self.tree(&inside, &entry)?;
            } else {
                self.copy(&inside, &entry)?;
            }
        }
        Ok(())
    }

    /// Adds a program of this machine, and the interpreter and libraries that it needs.
    pub(crate) fn program(&mut self, path: &str, source: &Path) -> Result<()> {
        self.copy(path, source)?;
        if is_dynamic(source)? {
            self.needs(source, &[source.to_path_buf()])?;
        }
        Ok(())
    }

    /// Adds a directory of libraries that a program loads while it runs, and the libraries that they need.
    pub(crate) fn libraries(&mut self, path: &str, source: &Path) -> Result<()> {
        self.tree(path, source)?;
        self.needs(source, &paths::entries(source)?)
    }

    /// Adds what these files, which are `what`, are linked with.
    fn needs(&mut self, what: &Path, files: &[PathBuf]) -> Result<()> {
        for library in libraries(what, files)? {
            self.copy(&library.to_string_lossy(), &library)?;
        }
        Ok(())
    }

    /// Writes the archive.
    pub(crate) fn write(&self, to: &Path) -> Result<()> {
        let file =
            fs::File::create(to).with_context(|| format!("cannot write {}", to.display()))?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let root = Entry::Directory { mode: 0o755 };
        write_entry(&mut out, 1, ".", &root)?;
        for (number, (path, entry)) in (2..).zip(&self.entries) {
            write_entry(&mut out, number, path, entry)?;
        }
        write_record(&mut out, 0, "TRAILER!!!", 0, (0, 0), &[])?;
        out.flush()?;
        Ok(())
    }
}

fn write_entry(out: &mut impl Write, number: u32, path: &str, entry: &Entry) -> Result<()> {
    match entry {
        Entry::Directory { mode } => write_record(out, number, path, 0o040_000 | mode, (0, 0), &[]),
        Entry::Link { target } => {
            write_record(out, number, path, 0o120_777, (0, 0), target.as_bytes())
        }
        Entry::Device { major, minor } => {
            write_record(out, number, path, 0o020_600, (*major, *minor), &[])
        }
        Entry::Bytes { mode, content } => {
            write_record(out, number, path, 0o100_000 | mode, (0, 0), content)
        }
        Entry::Copy { mode, source } => write_record(
            out,
            number,
            path,
            0o100_000 | mode,
            (0, 0),
            &paths::read(source)?,
        ),
    }
}

/// One record: a header of hexadecimal numbers, the name, the content; each padded to four bytes.
fn write_record(
    out: &mut impl Write,
    number: u32,
    name: &str,
    mode: u32,
    (major, minor): (u32, u32),
    content: &[u8],
) -> Result<()> {
    let size = u32::try_from(content.len())
        .with_context(|| format!("{name} is too big for the archive"))?;
    let name_size = u32::try_from(name.len() + 1)?;
    let links = if mode & 0o170_000 == 0o040_000 { 2 } else { 1 };
    write!(out, "070701")?;
    for field in [
        number, mode, 0, 0, links, 0, size, 0, 0, major, minor, name_size, 0,
    ] {
        write!(out, "{field:08x}")?;
    }
    out.write_all(name.as_bytes())?;
    // The header has 110 bytes, and the name ends with a zero byte.
    let padding = |length: usize| &[0_u8; 3][..length.wrapping_neg() % 4];
    out.write_all(&[0])?;
    out.write_all(padding(110 + name.len() + 1))?;
    out.write_all(content)?;
    out.write_all(padding(content.len()))?;
    Ok(())
}

/// The interpreter and the shared libraries of programs and libraries that are dynamic; `what` they are is for errors.
fn libraries(what: &Path, files: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    let output = run::output(Command::new("ldd").env("LC_ALL", "C").args(files))?;
    let listed = String::from_utf8_lossy(&output.stdout);
    let missing: Vec<&str> = listed
        .lines()
        .filter(|line| line.ends_with("=> not found"))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    if !missing.is_empty() {
        bail!(
            "{} needs libraries that this machine lacks: {}",
            what.display(),
            missing.join(", ")
        );
    }
    if !output.status.success() {
        bail!(
            "cannot tell which libraries {} needs: {}",
            what.display(),
            run::both(&output)
        );
    }
    // Lines are: "name => /path (address)" or "/interpreter (address)"; and "/path:" before those of one of several.
    Ok(listed
        .lines()
        .filter(|line| !line.ends_with(':'))
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect())
}

fn is_dynamic(program: &Path) -> Result<bool> {
    use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
    let bytes = paths::read(program)?;
    let Ok(file) = ElfFile64::<object::Endianness>::parse(&*bytes) else {
        return Ok(false);
    };
    let endian = file.endian();
    let dynamic = |kind| kind == object::elf::PT_INTERP || kind == object::elf::PT_DYNAMIC;
    let headers = file.elf_header().program_headers(endian, &*bytes)?;
    Ok(headers.iter().any(|header| dynamic(header.p_type(endian))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_the_format_of_the_kernel() {
        let mut out = Vec::new();
        write_record(&mut out, 3, "ab", 0o100_644, (0, 0), b"hello").expect("write to memory");
        assert_eq!(out.len(), (110 + 3 + 3) + 8);
        assert!(out.starts_with(b"07070100000003000081a4"));
        assert_eq!(&out[110..124], b"ab\0\0\0\0hello\0\0\0");
    }

    #[test]
    fn directories_come_before_what_is_in_them() {
        let mut archive = Initramfs::default();
        archive.file("/etc/umd/command", 0o644, "x");
        let names: Vec<&str> = archive.entries.keys().map(String::as_str).collect();
        assert_eq!(names, ["etc", "etc/umd", "etc/umd/command"]);
    }

    #[test]
    fn bin_is_below_usr() {
        let mut archive = Initramfs::default();
        archive.merge_usr();
        archive.file("/bin/sh", 0o755, "x");
        archive.link("/sbin/modprobe", "/usr/bin/kmod");
        archive.directory("/bin", 0o755);
        archive.file("/lib64/ld.so", 0o755, "x");
        archive.file("/library", 0o644, "x");
        let places: Vec<&str> = archive.entries.keys().map(String::as_str).collect();
        let all = "bin lib lib32 lib64 library sbin usr usr/bin usr/bin/sh usr/lib usr/lib32 \
                   usr/lib64 usr/lib64/ld.so usr/sbin usr/sbin/modprobe";
        assert_eq!(places.join(" "), all);
        for name in MERGED {
            let Some(Entry::Link { target }) = archive.entries.get(*name) else {
                panic!("{name} is no link");
            };
            assert_eq!(target, &format!("usr/{name}"));
        }
    }

    #[test]
    fn a_shell_brings_its_libraries() {
        let shell = Path::new("/bin/sh");
        assert!(is_dynamic(shell).expect("a program"));
        let found = libraries(shell, &[shell.into(), shell.into()]).expect("ldd");
        assert!(
            found
                .iter()
                .any(|path| path.to_string_lossy().contains("libc")),
            "{found:?}"
        );
        assert!(found.iter().all(|path| path.is_file()), "{found:?}");
        assert!(!is_dynamic(Path::new("/etc/passwd")).expect("no program"));
    }
}
