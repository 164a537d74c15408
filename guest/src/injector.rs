// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's fault injection: memory that is refused, user memory that is not there, functions that fail.
//!
//! See `Documentation/fault-injection/fault-injection.rst`.

use std::fs::{self, File};
use std::ops::Range;

use anyhow::{Context, Result, ensure};
use rustix::io::Errno;

/// Where the kernel has it, if it does.
pub(crate) const SLAB: &str = "/sys/kernel/debug/failslab";
const PAGES: &str = "/sys/kernel/debug/fail_page_alloc";
const USER: &str = "/sys/kernel/debug/fail_usercopy";
const FUNCTIONS: &str = "/sys/kernel/debug/fail_function";
const NTH: &str = "/proc/thread-self/fail-nth";

/// Room enough: no work takes as many bytes.
const PLENTY: u64 = 1 << 30;

/// Addresses of code.
pub(crate) type Code = Range<u64>;

/// All code: where the kernel begins to look for callers.
pub(crate) const ALL: Code = 0..u64::MAX;

/// The code of a module that is loaded.
pub(crate) fn code_of_module(name: &str) -> Result<Code> {
    let end = format!("\t[{name}]");
    let addresses: Vec<u64> = symbols()?
        .into_iter()
        .filter(|(_, symbol)| symbol.ends_with(&end))
        .map(|(address, _)| address)
        .collect();
    let (first, last) = addresses
        .iter()
        .min()
        .zip(addresses.iter().max())
        .context(end)?;
    // The length of the last function is not known; the rest of its page is nobody else's.
    Ok(*first..(last | 0xfff) + 1)
}

/// The code of one of the kernel's own functions.
pub(crate) fn code_of_function(name: &str) -> Result<Code> {
    let mut symbols = symbols()?;
    symbols.sort();
    let found = symbols.iter().find(|(_, symbol)| symbol == name);
    let begin = found
        .with_context(|| format!("the kernel has no {name}"))?
        .0;
    let next = symbols.iter().find(|(address, _)| *address > begin);
    Ok(begin..next.context("the last function")?.0)
}

/// Functions by address; those of modules have the module behind their name.
fn symbols() -> Result<Vec<(u64, String)>> {
    let text = fs::read_to_string("/proc/kallsyms").context("reading /proc/kallsyms")?;
    let function = |line: &str| {
        let (address, rest) = line.split_once(' ')?;
        let name = rest.strip_prefix("t ").or(rest.strip_prefix("T "))?;
        Some((u64::from_str_radix(address, 16).ok()?, name.to_owned()))
    };
    Ok(text.lines().filter_map(function).collect())
}

/// Writes to a file of fault injection, whatever of it is on right now.
fn set(directory: &str, file: &str, value: impl std::fmt::Display) -> Result<()> {
    let path = format!("{directory}/{file}");
    fs::write(&path, value.to_string()).with_context(|| format!("writing {value} to {path}"))
}

fn get(directory: &str, file: &str) -> Result<u64> {
    let path = format!("{directory}/{file}");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    text.trim()
        .parse()
        .with_context(|| format!("{path}: {text}"))
}

/// Injection as it is set up; all is off again when it is dropped.
pub(crate) struct Injector {
    nth: File,
}

impl Injector {
    /// For what is called, however deep, from this code. What vmalloc() asks for itself is left out: where it gets
    /// nothing it complains aloud, as of a fault of the kernel's.
    pub(crate) fn below(code: &Code) -> Result<Self> {
        let loud = code_of_function("__vmalloc_node_range_noprof")?;
        let file = File::options().read(true).write(true).open(NTH);
        let injector = Self {
            nth: file.with_context(|| format!("opening {NTH}"))?,
        };
        for directory in [SLAB, PAGES, USER] {
            set(directory, "verbose", 0)?;
            set(directory, "probability", 0)?;
            set(directory, "require-start", format!("{:#x}", code.start))?;
            set(directory, "require-end", format!("{:#x}", code.end))?;
            set(directory, "reject-start", format!("{:#x}", loud.start))?;
            set(directory, "reject-end", format!("{:#x}", loud.end))?;
        }
        // Memory that one may wait for is what most of it is.
        set(SLAB, "ignore-gfp-wait", "N")?;
        Ok(injector)
    }

    /// Does something of which the fault that would be the `nth` of this thread's own happens. Says whether there
    /// were as many.
    pub(crate) fn nth<R>(&self, nth: u32, work: impl FnOnce() -> R) -> Result<(R, bool)> {
        rustix::io::pwrite(&self.nth, nth.to_string().as_bytes(), 0)?;
        let result = work();
        let mut left = [0; 16];
        let happened = match rustix::io::pread(&self.nth, &mut left, 0) {
            Ok(count) => left.get(..count) == Some(b"0\n"),
            // The very copying of the answer was next.
            Err(Errno::FAULT) => false,
            Err(error) => return Err(error).context("reading what is left of fail-nth"),
        };
        // That may be what fails: then there is nothing left to switch off.
        if rustix::io::pwrite(&self.nth, b"0", 0).is_err() {
            rustix::io::pwrite(&self.nth, b"0", 0)?;
        }
        Ok((result, happened))
    }

    /// Does something while one piece of memory is refused to whoever asks, after `space` bytes were granted. Says
    /// whether that happened.
    pub(crate) fn after<R>(&self, space: u64, work: impl FnOnce() -> R) -> Result<(R, bool)> {
        set(SLAB, "times", 1)?;
        set(SLAB, "space", space)?;
        set(SLAB, "probability", 100)?;
        let result = work();
        set(SLAB, "probability", 0)?;
        Ok((result, get(SLAB, "times")? == 0))
    }

    /// How many bytes something takes, of what could be refused.
    pub(crate) fn taken_by(&self, work: impl FnOnce() -> Result<()>) -> Result<u64> {
        let (result, happened) = self.after(PLENTY, work)?;
        result?;
        ensure!(!happened, "more than {PLENTY} bytes were asked for");
        Ok(PLENTY - get(SLAB, "space")?)
    }
}

impl Drop for Injector {
    fn drop(&mut self) {
        // What cannot be switched off shows in whatever comes next.
        let _ = rustix::io::pwrite(&self.nth, b"0", 0);
        for directory in [SLAB, PAGES, USER] {
            let _ = set(directory, "probability", 0);
            let _ = set(directory, "require-start", format!("{:#x}", ALL.start));
            let _ = set(directory, "require-end", format!("{:#x}", ALL.end));
            let _ = set(directory, "reject-start", 0);
            let _ = set(directory, "reject-end", 0);
        }
        let _ = set(SLAB, "ignore-gfp-wait", "Y");
    }
}

/// A function of the kernel's that fails the next `times` times that it is called, until this is dropped.
pub(crate) struct Failing(&'static str);

impl Failing {
    /// `function` is one that the kernel lists in `/sys/kernel/debug/error_injection/list`.
    pub(crate) fn new(function: &'static str, errno: Errno, times: u32) -> Result<Self> {
        set(FUNCTIONS, "inject", function)?;
        let failing = Self(function);
        let code = -i64::from(errno.raw_os_error());
        let directory = format!("{FUNCTIONS}/{function}");
        set(&directory, "retval", format!("{code:#x}"))?;
        set(FUNCTIONS, "verbose", 0)?;
        set(FUNCTIONS, "times", times)?;
        set(FUNCTIONS, "probability", 100)?;
        Ok(failing)
    }

    /// How often it may still fail.
    pub(crate) fn left(&self) -> Result<u64> {
        get(FUNCTIONS, "times")
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        let _ = set(FUNCTIONS, "probability", 0);
        let _ = set(FUNCTIONS, "inject", format!("!{}", self.0));
    }
}
