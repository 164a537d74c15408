// SPDX-License-Identifier: MIT OR Apache-2.0
//! `umd check`: what a handler's file is like, and which lockdown it fits.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;
use umd_build::check::{Flaw, Image, SIZE_MAX_STD};
use umd_core::lockdown::{COMPUTE, MISSED, STRICT};
use umd_core::policy::Policy;
use umd_core::syscall::{Syscall, Syscalls};

use crate::Verdict;
use crate::input;
use crate::output::{self, Format, FormatArgs};
use crate::reach::{self, Reach};

/// Look at a handler's file: is it static, how big is it, which system calls can it make
///
/// Exits with 1 where the file is not what a handler should be, or does not fit the lockdown that was asked for.
///
/// The system calls are those whose numbers are found in the code. Not all of them are ever made: a standard library has many
/// that are never reached. And not all that can be made are found: numbers that are computed are listed as unknown, ways over
/// pointers and tables are not followed. What a handler may do is up to its lockdown; this helps to choose the right one.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  umd check target/handler.umd\n  umd check --lockdown strict target/handler.umd\n  umd check --json target/handler.umd | jq .system_calls[].name"
)]
pub(crate) struct Check {
    /// The handler's file
    blob: PathBuf,

    /// It has to fit this lockdown
    #[arg(long, value_name = "NAME")]
    lockdown: Option<Profile>,

    /// It may have so many bytes
    #[arg(long, value_name = "BYTES", default_value_t = SIZE_MAX_STD)]
    size_max: u64,

    /// Its driver gives it so many bytes of memory
    #[arg(long, value_name = "BYTES", default_value_t = Policy::DEFAULT.memory_max)]
    memory_max: u64,

    #[command(flatten)]
    format: FormatArgs,
}

/// The most bytes of a file that is read, unless it may have more. Of a longer one its length is
/// all that is told.
const READ_MAX: u64 = 64 << 20;

/// A lockdown whose list of system calls is known beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// read, write and exit
    Strict,
    /// Memory and clocks besides
    Compute,
}

/// What umd's runtime calls before it is locked down; the second only where denials are to be told.
const START: &[Syscall] = &[
    Syscall::PRCTL,
    Syscall::RT_SIGACTION,
    Syscall::SETGROUPS,
    Syscall::SETRESGID,
    Syscall::SETRESUID,
];

impl Profile {
    const ALL: [Self; 2] = [Self::Strict, Self::Compute];

    fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Compute => "compute",
        }
    }

    /// What a handler may have in its code and be served well.
    fn calls(self) -> Syscalls {
        match self {
            Self::Strict => STRICT.with(START),
            Self::Compute => {
                let refused: Vec<Syscall> = MISSED.iter().collect();
                COMPUTE.with(&refused).with(START)
            }
        }
    }
}

/// What there is to say about a file.
#[derive(Debug, Serialize)]
struct Report {
    file: PathBuf,
    size: u64,
    /// What is wrong with it; empty if all is well.
    flaws: Vec<String>,
    /// Nothing where it is no executable at all.
    #[serde(flatten)]
    image: Option<Details>,
}

#[derive(Debug, Serialize)]
struct Details {
    entry: u64,
    interpreter: Option<String>,
    libraries: Vec<String>,
    segments: Vec<Segment>,
    sections: Vec<Section>,
    system_calls: Vec<Call>,
    /// Addresses of `syscall` instructions whose number is not, or not only, a constant.
    unknown_system_calls: Vec<u64>,
    /// Addresses of `int 0x80` and `sysenter`.
    other_conventions: Vec<u64>,
    /// Addresses where the bytes of `syscall` stand within something else.
    hidden: Vec<u64>,
    lockdowns: Vec<Fit>,
}

#[derive(Debug, Serialize)]
struct Segment {
    address: u64,
    size: u64,
    read: bool,
    write: bool,
    execute: bool,
}

#[derive(Debug, Serialize)]
struct Section {
    name: String,
    address: u64,
    size: u64,
}

#[derive(Debug, Serialize)]
struct Call {
    number: u32,
    name: String,
    addresses: Vec<u64>,
}

/// Whether a lockdown has what the code asks for.
#[derive(Debug, Serialize)]
struct Fit {
    lockdown: &'static str,
    fits: Fits,
    /// What it asks for and would not get.
    beyond: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Fits {
    /// All that was found is allowed, and there is no unknown number.
    Yes,
    /// Something was found that is not allowed. A handler that never comes there fits all the same.
    No,
    /// All that was found is allowed, but there are unknown numbers, or code that is elsewhere.
    Unclear,
}

impl Check {
    pub(crate) fn format(&self) -> Format {
        self.format.format()
    }

    pub(crate) fn run(&self) -> Result<Verdict> {
        let size = input::length(&self.blob)?;
        let max = self.size_max;
        let read_max = max.max(READ_MAX);
        let (flaws, image) = if size > read_max {
            (vec![Flaw::Size { size, max }.to_string()], None)
        } else {
            self.look(&input::read(&self.blob, read_max)?)
        };
        let report = Report {
            file: self.blob.clone(),
            size,
            flaws,
            image,
        };
        output::result(self.format(), &report, || report.text())?;
        let fits = self.lockdown.is_none_or(|lockdown| report.fits(lockdown));
        if report.flaws.is_empty() && fits {
            Ok(Verdict::Fine)
        } else {
            Ok(Verdict::Found)
        }
    }

    /// Returns the flaws of a file, and its details where it is an executable.
    fn look(&self, bytes: &[u8]) -> (Vec<String>, Option<Details>) {
        let image = match Image::parse(bytes) {
            Ok(image) => image,
            Err(flaw) => return (vec![flaw.to_string()], None),
        };
        let flaws = image.flaws(self.size_max);
        let mut flaws: Vec<String> = flaws.iter().map(Flaw::to_string).collect();
        let (memory, max) = (image.memory(), self.memory_max);
        if memory > max {
            flaws.push(format!(
                "its segments take {memory} bytes, .bss included; its driver gives it {max}"
            ));
        }
        (flaws, Some(Details::of(&image)))
    }
}

impl Details {
    fn of(image: &Image<'_>) -> Self {
        let found = reach::reach(image);
        let segments = image.segments().map(|segment| Segment {
            address: segment.address,
            size: segment.size,
            read: segment.read,
            write: segment.write,
            execute: segment.execute,
        });
        let sections = image.sections().into_iter().map(|section| Section {
            name: section.name,
            address: section.address,
            size: section.size,
        });
        let calls = found.calls.iter().map(|(number, addresses)| Call {
            number: *number,
            name: name(*number),
            addresses: addresses.iter().copied().collect(),
        });
        Self {
            entry: image.entry(),
            interpreter: image.interpreter(),
            libraries: image.libraries(),
            segments: segments.collect(),
            sections: sections.collect(),
            system_calls: calls.collect(),
            unknown_system_calls: found.unknown.iter().copied().collect(),
            other_conventions: found.other.iter().copied().collect(),
            hidden: found.hidden.iter().copied().collect(),
            lockdowns: Profile::ALL
                .map(|profile| fit(profile, &found, Linking::of(image)))
                .into(),
        }
    }
}

/// What is called by this number.
fn name(number: u32) -> String {
    match syscall(number) {
        Some(call) => call.to_string(),
        None => format!("system call {number}"),
    }
}

fn syscall(number: u32) -> Option<Syscall> {
    number.try_into().ok().map(Syscall::new)
}

/// Whether all of a handler's code is in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Linking {
    Static,
    Dynamic,
}

impl Linking {
    fn of(image: &Image<'_>) -> Self {
        if image.interpreter().is_none() && image.libraries().is_empty() {
            Self::Static
        } else {
            Self::Dynamic
        }
    }
}

fn fit(profile: Profile, found: &Reach, linking: Linking) -> Fit {
    let allowed = profile.calls();
    let is_beyond = |number: &u32| !syscall(*number).is_some_and(|call| allowed.contains(call));
    let beyond = found.calls.keys().copied().filter(is_beyond);
    let mut beyond: Vec<String> = beyond.map(name).collect();
    if !found.other.is_empty() {
        beyond.push("calls by another convention".to_owned());
    }
    let is_all_known = found.unknown.is_empty() && linking == Linking::Static;
    let fits = match (beyond.is_empty(), is_all_known) {
        (false, _) => Fits::No,
        (true, false) => Fits::Unclear,
        (true, true) => Fits::Yes,
    };
    Fit {
        lockdown: profile.name(),
        fits,
        beyond,
    }
}

impl Report {
    fn fits(&self, profile: Profile) -> bool {
        let mut fits = self.image.iter().flat_map(|image| &image.lockdowns);
        fits.any(|fit| fit.lockdown == profile.name() && fit.fits == Fits::Yes)
    }

    fn text(&self) -> String {
        let mut text = format!("{}: {} bytes\n", input::name(&self.file), self.size);
        for flaw in &self.flaws {
            let _ = writeln!(text, "wrong: {flaw}");
        }
        if let Some(image) = &self.image {
            // Writing to a string does not fail.
            let _ = image.write(&mut text);
        }
        text
    }
}

impl Details {
    fn write(&self, text: &mut String) -> std::fmt::Result {
        let is_static = self.interpreter.is_none() && self.libraries.is_empty();
        let linked = if is_static { "static" } else { "dynamic" };
        writeln!(text, "{linked}, begins at {:#x}", self.entry)?;
        writeln!(text, "\nsegments")?;
        for segment in &self.segments {
            let access = [
                (segment.read, "read"),
                (segment.write, "write"),
                (segment.execute, "execute"),
            ];
            let access: Vec<&str> = access
                .iter()
                .filter(|(is, _)| *is)
                .map(|(_, name)| *name)
                .collect();
            writeln!(
                text,
                "  {:#10x} {:>9}  {}",
                segment.address,
                segment.size,
                access.join(", ")
            )?;
        }
        if !self.sections.is_empty() {
            writeln!(text, "\nsections")?;
        }
        for section in &self.sections {
            writeln!(
                text,
                "  {:#10x} {:>9}  {}",
                section.address, section.size, section.name
            )?;
        }
        writeln!(text, "\nsystem calls in its code, and where")?;
        for call in &self.system_calls {
            writeln!(text, "  {:<22} {}", call.name, addresses(&call.addresses))?;
        }
        for (what, found) in [
            ("unknown number", &self.unknown_system_calls),
            ("int 0x80, sysenter", &self.other_conventions),
            ("within something else", &self.hidden),
        ] {
            if !found.is_empty() {
                writeln!(text, "  {what:<22} {}", addresses(found))?;
            }
        }
        writeln!(text)?;
        for fit in &self.lockdowns {
            match fit.fits {
                Fits::Yes => writeln!(text, "{}: fits", fit.lockdown)?,
                Fits::No => writeln!(
                    text,
                    "{}: does not have {}",
                    fit.lockdown,
                    fit.beyond.join(", ")
                )?,
                Fits::Unclear => writeln!(
                    text,
                    "{}: has all that was found; not all can be known",
                    fit.lockdown
                )?,
            }
        }
        Ok(())
    }
}

/// The first few of some addresses.
fn addresses(all: &[u64]) -> String {
    const SHOWN: usize = 4;
    let shown = all
        .iter()
        .take(SHOWN)
        .map(|address| format!("{address:#x}"));
    let mut shown: Vec<String> = shown.collect();
    if let Some(more) = all.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        shown.push(format!("and {more} more"));
    }
    shown.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn found(numbers: &[u32], unknown: &[u64], other: &[u64]) -> Reach {
        Reach {
            calls: numbers
                .iter()
                .map(|number| (*number, BTreeSet::new()))
                .collect::<BTreeMap<_, _>>(),
            unknown: unknown.iter().copied().collect(),
            other: other.iter().copied().collect(),
            hidden: BTreeSet::new(),
        }
    }

    #[test]
    fn a_lockdown_fits_if_it_has_all_and_nothing_is_unknown() {
        let of = |profile, found| {
            let fit = fit(profile, &found, Linking::Static);
            (fit.fits, fit.beyond)
        };
        let (strict, compute) = (Profile::Strict, Profile::Compute);
        assert_eq!(
            of(strict, found(&[0, 1, 60, 157], &[], &[])),
            (Fits::Yes, vec![])
        );
        assert_eq!(of(strict, found(&[0], &[7], &[])), (Fits::Unclear, vec![]));
        let mmap = vec!["mmap".to_owned()];
        assert_eq!(of(strict, found(&[0, 9], &[7], &[])), (Fits::No, mmap));
        assert_eq!(
            of(compute, found(&[0, 9, 257], &[], &[])),
            (Fits::Yes, vec![])
        );
        let odd = vec!["socket".to_owned(), "system call 1073741825".to_owned()];
        assert_eq!(
            of(compute, found(&[41, 0x4000_0001], &[], &[])),
            (Fits::No, odd)
        );
        let elsewhere = fit(strict, &found(&[], &[], &[]), Linking::Dynamic);
        assert_eq!(elsewhere.fits, Fits::Unclear);
        let (fits, beyond) = of(compute, found(&[], &[], &[1]));
        assert_eq!((fits, beyond.len()), (Fits::No, 1));
    }

    #[test]
    fn many_addresses_are_cut_short() {
        assert_eq!(addresses(&[1, 2, 3, 4]), "0x1 0x2 0x3 0x4");
        assert_eq!(addresses(&[1, 2, 3, 4, 5, 6]), "0x1 0x2 0x3 0x4 and 2 more");
    }
}
