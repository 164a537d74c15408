// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is asked of a handler's executable before it is embedded.
//!
//! Nothing in a host depends on these checks: a handler that fails them is locked down like any other, or does not
//! start. They find, while there is somebody to tell, what would not run, and what gives a handler that was taken
//! over more than it needs.

use std::fmt;

use object::LittleEndian;
use object::elf::{self, FileHeader64, ProgramHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader};
use umd_core::text::is_plain;

const ENDIAN: LittleEndian = LittleEndian;

/// The most bytes of a handler without the standard library, unless its owner says otherwise.
pub const SIZE_MAX: u64 = 1 << 20;

/// The most bytes of a handler with the standard library, unless its owner says otherwise.
pub const SIZE_MAX_STD: u64 = 8 << 20;

/// An executable, as far as the kernel would look at it.
#[derive(Clone, Copy, Debug)]
pub struct Image<'d> {
    bytes: &'d [u8],
    header: &'d FileHeader64<LittleEndian>,
    programs: &'d [ProgramHeader64<LittleEndian>],
}

/// A part of the file that is mapped into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'d> {
    /// Where in memory.
    pub address: u64,
    /// Bytes in memory, those that the file does not have (and are zero) among them.
    pub size: u64,
    /// It can be read.
    pub read: bool,
    /// It can be written.
    pub write: bool,
    /// It can be executed.
    pub execute: bool,
    /// What the file has of it.
    pub bytes: &'d [u8],
}

/// A part of the file by a linker's name. The kernel does not look at these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name, as [`shown`] writes it.
    pub name: String,
    /// Where in memory; 0 for what is not there at run time.
    pub address: u64,
    /// Bytes.
    pub size: u64,
}

/// Why the kernel does not map a segment, and so does not start the file: `fs/binfmt_elf.c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its end is beyond the highest address that there is.
    Wraps,
    /// It reaches into the kernel's half of the addresses.
    KernelHalf,
    /// It has fewer bytes in memory than in the file.
    Shrinks,
    /// It begins below the lowest address that a process may map.
    Low,
    /// Its address and its place in the file are not at the same place within a page.
    Unaligned,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wraps => f.write_str("its end is beyond the highest address that there is"),
            Self::KernelHalf => write!(
                f,
                "it reaches into the kernel's half; a process has those below {ADDRESSES_END:#x}"
            ),
            Self::Shrinks => f.write_str("it has fewer bytes in memory than in the file"),
            Self::Low => write!(
                f,
                "it is too low; a process may map {ADDRESSES_BEGIN:#x} and above"
            ),
            Self::Unaligned => write!(
                f,
                "its address and its offset in the file differ within a page of {PAGE} bytes"
            ),
        }
    }
}

/// The addresses that a process may map: `mmap_min_addr`, as distributions have it, and `TASK_SIZE`
/// with page tables of four levels.
const ADDRESSES_BEGIN: u64 = 65_536;
const ADDRESSES_END: u64 = 0x7fff_ffff_f000;

/// Bytes of a page.
const PAGE: u64 = 4096;

/// Returns text of a file as people may be shown it: characters that move a cursor, end a line or
/// turn its direction are escaped.
pub fn shown(bytes: &[u8]) -> String {
    let escaped = |c: char| match is_plain(c) {
        true => c.to_string(),
        false => c.escape_default().to_string(),
    };
    String::from_utf8_lossy(bytes)
        .chars()
        .map(escaped)
        .collect()
}

/// What is wrong with an executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It is no 64-bit little-endian ELF file, or ends within its headers.
    NoElf,
    /// It is for another machine: `e_machine`.
    Machine(u16),
    /// It is no executable but an object, a core, ...: `e_type`.
    Kind(u16),
    /// It begins where there is no code.
    Entry(u64),
    /// The segment at this address lies, in part, beyond the file's end.
    Cut(u64),
    /// The kernel does not map the segment at this address.
    Segment(u64, Fault),
    /// It names an interpreter, a dynamic linker.
    Interpreter(String),
    /// It needs these shared libraries.
    Libraries(Vec<String>),
    /// The segment at this address is writable and executable.
    WritableCode(u64),
    /// Its stack is executable.
    ExecutableStack,
    /// It does not say that its stack is not executable.
    UnmarkedStack,
    /// It has more bytes than are allowed.
    Size {
        /// How many it has.
        size: u64,
        /// How many are allowed.
        max: u64,
    },
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoElf => f.write_str("it is no 64-bit little-endian ELF file; a handler is an executable for x86_64 Linux"),
            Self::Machine(number) => write!(f, "it is for ELF machine {number}; a handler is for x86_64 ({})", elf::EM_X86_64),
            Self::Kind(elf::ET_REL) => f.write_str("it is an object file; a handler is an executable: link it"),
            Self::Kind(number) => write!(f, "it is an ELF file of type {number}; a handler is an executable (type 2 or, position independent, 3)"),
            Self::Entry(address) => write!(f, "it begins at {address:#x}, where it has no code; is it a library, or without a `_start`?"),
            Self::Cut(address) => write!(f, "the segment at {address:#x} lies beyond the file's end: the file has been cut off"),
            Self::Segment(address, fault) => {
                write!(f, "the kernel does not map the segment at {address:#x}: {fault}")
            }
            Self::Interpreter(path) => write!(f, "it names the interpreter {path}, which it will not find: link it statically"),
            Self::Libraries(names) => write!(f, "it needs shared libraries ({}), which it will not find: link it statically", names.join(", ")),
            Self::WritableCode(address) => write!(f, "the segment at {address:#x} is writable and executable; it may be one of these at most"),
            Self::ExecutableStack => f.write_str("its stack is executable; link it with `-z noexecstack`"),
            Self::UnmarkedStack => f.write_str("it does not say whether its stack is executable (no PT_GNU_STACK); link it with `-z noexecstack`"),
            Self::Size { size, max } => write!(f, "it has {size} bytes; at most {max} are allowed"),
        }
    }
}

impl<'d> Image<'d> {
    /// Reads the headers that the kernel reads.
    pub fn parse(bytes: &'d [u8]) -> Result<Self, Flaw> {
        let header = FileHeader64::<LittleEndian>::parse(bytes).map_err(|_| Flaw::NoElf)?;
        header.endian().map_err(|_| Flaw::NoElf)?;
        let programs = header
            .program_headers(ENDIAN, bytes)
            .map_err(|_| Flaw::NoElf)?;
        Ok(Self {
            bytes,
            header,
            programs,
        })
    }

    /// All that is wrong with it, where `size_max` bytes are allowed.
    pub fn flaws(&self, size_max: u64) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        let machine = self.header.e_machine.get(ENDIAN);
        if machine != elf::EM_X86_64 {
            flaws.push(Flaw::Machine(machine));
        }
        let kind = self.header.e_type.get(ENDIAN);
        if ![elf::ET_EXEC, elf::ET_DYN].contains(&kind) {
            flaws.push(Flaw::Kind(kind));
        }
        let loaded = || self.programs_of(elf::PT_LOAD);
        let cut = |program: &&ProgramHeader64<_>| program.data(ENDIAN, self.bytes).is_err();
        flaws.extend(
            loaded()
                .filter(cut)
                .map(|cut| Flaw::Cut(cut.p_vaddr(ENDIAN))),
        );
        let faults = loaded().filter_map(|program| {
            let fault = fault(kind, program)?;
            Some(Flaw::Segment(program.p_vaddr(ENDIAN), fault))
        });
        flaws.extend(faults);
        let entry = self.entry();
        let is_code = |segment: &Segment<'_>| {
            let offset = entry.checked_sub(segment.address);
            segment.execute && offset.is_some_and(|offset| offset < segment.bytes.len() as u64)
        };
        if !self.segments().any(|segment| is_code(&segment)) {
            flaws.push(Flaw::Entry(entry));
        }
        flaws.extend(self.interpreter().map(Flaw::Interpreter));
        let libraries = self.libraries();
        if !libraries.is_empty() {
            flaws.push(Flaw::Libraries(libraries));
        }
        flaws.extend(
            self.segments()
                .filter(|segment| segment.write && segment.execute)
                .map(|segment| Flaw::WritableCode(segment.address)),
        );
        // The kernel goes by the last one.
        match self.programs_of(elf::PT_GNU_STACK).last() {
            Some(stack) if stack.p_flags(ENDIAN) & elf::PF_X != 0 => {
                flaws.push(Flaw::ExecutableStack);
            }
            Some(_) => {}
            None => flaws.push(Flaw::UnmarkedStack),
        }
        let size = self.bytes.len() as u64;
        if size > size_max {
            flaws.push(Flaw::Size {
                size,
                max: size_max,
            });
        }
        flaws
    }

    /// Where it begins.
    pub fn entry(&self) -> u64 {
        self.header.e_entry.get(ENDIAN)
    }

    /// Its bytes.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Bytes of memory that its segments take before it runs, those that the file does not have
    /// among them.
    pub fn memory(&self) -> u64 {
        self.segments()
            .fold(0, |sum, segment| segment.size.saturating_add(sum))
    }

    /// What is mapped into memory.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'d>> + use<'d> {
        let bytes = self.bytes;
        let programs = self.programs.iter();
        let loaded = programs.filter(|program| program.p_type(ENDIAN) == elf::PT_LOAD);
        loaded.map(move |program| {
            let has = |flag| program.p_flags(ENDIAN) & flag != 0;
            Segment {
                address: program.p_vaddr(ENDIAN),
                size: program.p_memsz(ENDIAN),
                read: has(elf::PF_R),
                write: has(elf::PF_W),
                execute: has(elf::PF_X),
                bytes: program.data(ENDIAN, bytes).unwrap_or_default(),
            }
        })
    }

    /// What the linker calls the parts; none where it has been stripped of that, or where it makes no sense.
    pub fn sections(&self) -> Vec<Section> {
        let Ok(table) = self.header.sections(ENDIAN, self.bytes) else {
            return Vec::new();
        };
        let named = |section| {
            let name = table.section_name(ENDIAN, section).ok()?;
            (!name.is_empty()).then(|| Section {
                name: shown(name),
                address: section.sh_addr(ENDIAN),
                size: section.sh_size(ENDIAN),
            })
        };
        table.iter().filter_map(named).collect()
    }

    /// The interpreter that it names, as [`shown`] writes it.
    pub fn interpreter(&self) -> Option<String> {
        let program = self.programs_of(elf::PT_INTERP).next()?;
        let path = program.data(ENDIAN, self.bytes).unwrap_or_default();
        let path = path.strip_suffix(b"\0").unwrap_or(path);
        Some(shown(path))
    }

    /// The shared libraries that it needs, as [`shown`] writes them.
    pub fn libraries(&self) -> Vec<String> {
        let entries = self
            .programs_of(elf::PT_DYNAMIC)
            .find_map(|program| program.dynamic(ENDIAN, self.bytes).ok()?)
            .unwrap_or_default();
        // What comes behind the end belongs to nobody.
        let entries = || {
            entries
                .iter()
                .take_while(|entry| entry.d_tag(ENDIAN) != elf::DT_NULL)
        };
        let strings = entries()
            .find(|entry| entry.d_tag(ENDIAN) == elf::DT_STRTAB)
            .and_then(|entry| self.at(entry.d_val(ENDIAN)));
        let name = |offset: u64| {
            let name = strings?.get(usize::try_from(offset).ok()?..)?;
            let name = &name[..name.iter().position(|byte| *byte == 0)?];
            Some(shown(name))
        };
        entries()
            .filter(|entry| entry.d_tag(ENDIAN) == elf::DT_NEEDED)
            .map(|entry| name(entry.d_val(ENDIAN)).unwrap_or_else(|| "without a name".to_owned()))
            .collect()
    }

    /// The file's bytes from an address in memory on.
    fn at(&self, address: u64) -> Option<&'d [u8]> {
        self.segments().find_map(|segment| {
            let offset = usize::try_from(address.checked_sub(segment.address)?).ok()?;
            segment.bytes.get(offset..).filter(|rest| !rest.is_empty())
        })
    }

    fn programs_of(&self, kind: u32) -> impl Iterator<Item = &'d ProgramHeader64<LittleEndian>> {
        let programs = self.programs.iter();
        programs.filter(move |program| program.p_type(ENDIAN) == kind)
    }
}

/// Why the kernel does not map a segment of a file of this type.
fn fault(kind: u16, program: &ProgramHeader64<LittleEndian>) -> Option<Fault> {
    let (address, size) = (program.p_vaddr(ENDIAN), program.p_memsz(ENDIAN));
    if size < program.p_filesz(ENDIAN) {
        return Some(Fault::Shrinks);
    }
    let Some(end) = address.checked_add(size) else {
        return Some(Fault::Wraps);
    };
    if end > ADDRESSES_END {
        return Some(Fault::KernelHalf);
    }
    // A position-independent file is moved to where there is room.
    if kind == elf::ET_EXEC && address < ADDRESSES_BEGIN {
        return Some(Fault::Low);
    }
    let within = |place: u64| place % PAGE;
    let is_aligned = within(address) == within(program.p_offset(ENDIAN));
    (!is_aligned && program.p_filesz(ENDIAN) > 0).then_some(Fault::Unaligned)
}

/// All that is wrong with a file that should be a handler of at most `size_max` bytes.
pub fn flaws(bytes: &[u8], size_max: u64) -> Vec<Flaw> {
    match Image::parse(bytes) {
        Ok(image) => image.flaws(size_max),
        Err(flaw) => vec![flaw],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: u32 = elf::PF_R;
    const DATA: u32 = elf::PF_R | elf::PF_W;
    const CODE: u32 = elf::PF_R | elf::PF_X;

    /// Where addresses begin.
    const BASE: u64 = 0x40_0000;

    /// A program header: type, flags, address from [`BASE`] on, bytes.
    type Program = (u32, u32, u64, &'static [u8]);

    const GOOD: &[Program] = &[
        (elf::PT_LOAD, READ, 0x1000, b"constants"),
        (elf::PT_LOAD, CODE, 0x2000, b"\x0f\x05"),
        (elf::PT_LOAD, DATA, 0x3000, b"data"),
        (elf::PT_GNU_STACK, DATA, 0, b""),
    ];

    /// An executable with these program headers, which begins at 0x2000. Each segment has pages of
    /// its own in the file.
    fn file(programs: &[Program]) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        for half in [elf::ET_EXEC, elf::EM_X86_64] {
            file.extend(half.to_le_bytes());
        }
        file.extend(1_u32.to_le_bytes());
        for long in [BASE + 0x2000, 64, 0] {
            file.extend(long.to_le_bytes());
        }
        file.extend(0_u32.to_le_bytes());
        for half in [64, 56, programs.len() as u16, 64, 0, 0] {
            file.extend(half.to_le_bytes());
        }
        let mut offset = PAGE;
        for (kind, flags, address, bytes) in programs {
            file.extend(kind.to_le_bytes());
            file.extend(flags.to_le_bytes());
            let (size, address) = (bytes.len() as u64, BASE + address);
            for long in [offset, address, address, size, size, PAGE] {
                file.extend(long.to_le_bytes());
            }
            offset += PAGE;
        }
        for (number, (.., bytes)) in programs.iter().enumerate() {
            if !bytes.is_empty() {
                file.resize((number + 1) * PAGE as usize, 0);
                file.extend(*bytes);
            }
        }
        file
    }

    fn with(more: &[Program]) -> Vec<u8> {
        file(&[GOOD, more].concat())
    }

    fn found(file: &[u8]) -> Vec<Flaw> {
        flaws(file, SIZE_MAX)
    }

    #[test]
    fn a_handler_as_it_should_be_has_no_flaw() {
        assert_eq!(found(&file(GOOD)), []);
        let mut independent = file(GOOD);
        independent[16] = 3;
        assert_eq!(found(&independent), []);
    }

    #[test]
    fn what_is_no_elf_file_is_refused() {
        let mut small_class = file(GOOD);
        small_class[4] = 1;
        let mut big_endian = file(GOOD);
        big_endian[5] = 2;
        for file in [
            &b""[..],
            b"#!/bin/sh\n",
            &small_class,
            &big_endian,
            &file(GOOD)[..100],
        ] {
            assert_eq!(found(file), [Flaw::NoElf]);
        }
    }

    #[test]
    fn another_machine_is_refused() {
        let mut arm = file(GOOD);
        arm[18] = elf::EM_AARCH64 as u8;
        assert_eq!(found(&arm), [Flaw::Machine(183)]);
    }

    #[test]
    fn what_is_no_executable_is_refused() {
        for kind in [elf::ET_NONE, elf::ET_REL, elf::ET_CORE] {
            let mut file = file(GOOD);
            file[16] = kind as u8;
            assert_eq!(found(&file), [Flaw::Kind(kind)]);
        }
    }

    #[test]
    fn it_has_to_begin_in_code() {
        for entry in [0_u16, 0x1000, 0x1fff, 0x2002, 0x3000] {
            let mut file = file(GOOD);
            file[24..26].copy_from_slice(&entry.to_le_bytes());
            assert_eq!(found(&file), [Flaw::Entry(BASE + u64::from(entry))]);
        }
        let mut second = file(GOOD);
        second[24] = 1;
        assert_eq!(found(&second), []);
    }

    #[test]
    fn a_file_that_was_cut_off_is_refused() {
        let mut file = file(GOOD);
        file.pop();
        assert_eq!(found(&file), [Flaw::Cut(BASE + 0x3000)]);
    }

    #[test]
    fn an_interpreter_is_refused() {
        let file = with(&[(elf::PT_INTERP, READ, 0x4000, b"/lib/ld.so\0")]);
        assert_eq!(found(&file), [Flaw::Interpreter("/lib/ld.so".into())]);
    }

    /// The words of a dynamic section.
    fn words(words: [u64; 8]) -> &'static [u8] {
        words.map(u64::to_le_bytes).concat().leak()
    }

    #[test]
    fn libraries_are_refused_by_their_names() {
        let strings: Program = (elf::PT_LOAD, READ, 0x5000, b"\0libc.so.6\0");
        let tag = |tag: i64| tag as u64;
        let (needed, table) = (tag(elf::DT_NEEDED), tag(elf::DT_STRTAB));
        let dynamic = |list| [strings, (elf::PT_DYNAMIC, DATA, 0x6000, words(list))];
        let one = dynamic([needed, 1, table, BASE + 0x5000, 0, 0, 0, 0]);
        assert_eq!(
            found(&with(&one)),
            [Flaw::Libraries(vec!["libc.so.6".into()])]
        );
        let nameless = dynamic([needed, 99, table, BASE + 0x5000, needed, 1, 0, 0]);
        let names = vec!["without a name".into(), "libc.so.6".into()];
        assert_eq!(found(&with(&nameless)), [Flaw::Libraries(names)]);
        // A position-independent static executable has a dynamic section that needs nothing.
        let none = dynamic([table, BASE + 0x5000, 0, 0, needed, 1, 0, 0]);
        assert_eq!(found(&with(&none)), []);
    }

    #[test]
    fn what_is_writable_and_executable_is_refused() {
        let all = elf::PF_R | elf::PF_W | elf::PF_X;
        let file = with(&[(elf::PT_LOAD, all, 0x4000, b"x")]);
        assert_eq!(found(&file), [Flaw::WritableCode(BASE + 0x4000)]);
    }

    #[test]
    fn the_stack_is_not_executable_and_the_file_says_so() {
        let file_of = |programs: &[Program]| found(&file(programs));
        assert_eq!(file_of(&GOOD[..3]), [Flaw::UnmarkedStack]);
        let stack = [(elf::PT_GNU_STACK, DATA | elf::PF_X, 0, &b""[..])];
        assert_eq!(found(&with(&stack)), [Flaw::ExecutableStack]);
    }

    #[test]
    fn the_size_has_a_bound() {
        let file = file(GOOD);
        let size = file.len() as u64;
        assert_eq!(flaws(&file, size), []);
        let max = size - 1;
        assert_eq!(flaws(&file, max), [Flaw::Size { size, max }]);
    }

    #[test]
    fn all_that_is_wrong_is_said() {
        let all = elf::PF_R | elf::PF_W | elf::PF_X;
        let file = file(&[
            (elf::PT_LOAD, all, 0x2000, b"code"),
            (elf::PT_INTERP, READ, 0x4000, b"/ld\0"),
        ]);
        let expected = [
            Flaw::Interpreter("/ld".into()),
            Flaw::WritableCode(BASE + 0x2000),
            Flaw::UnmarkedStack,
        ];
        assert_eq!(found(&file), expected);
    }

    #[test]
    fn no_file_makes_it_panic() {
        let strings: Program = (elf::PT_LOAD, READ, 0x5000, b"\0libc.so.6\0");
        let list = words([1, 1, 5, BASE + 0x5000, 0, 0, 0, 0]);
        let whole = with(&[
            strings,
            (elf::PT_DYNAMIC, DATA, 0x6000, list),
            (elf::PT_INTERP, READ, 0x7000, b"/ld\0"),
        ]);
        // Only the headers and the segments are read; the zeros between them are padding.
        let is_of_use = |at: &usize| *at < 64 + 56 * 7 || whole[*at] != 0;
        for at in (0..whole.len()).filter(is_of_use) {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut file = whole.clone();
                file[at] = value;
                for len in [file.len(), at] {
                    if let Ok(image) = Image::parse(&file[..len]) {
                        image.flaws(SIZE_MAX);
                        image.sections();
                    }
                }
            }
        }
    }

    /// The good file with one number of its second segment's header changed: at which byte of the
    /// header, and to what.
    fn changed(at: usize, value: u64) -> Vec<u8> {
        let mut file = file(GOOD);
        let header = 64 + 56;
        file[header + at..header + at + 8].copy_from_slice(&value.to_le_bytes());
        file
    }

    #[test]
    fn what_no_kernel_maps_is_refused() {
        const OFFSET: usize = 8;
        const ADDRESS: usize = 16;
        const IN_MEMORY: usize = 40;
        let half = 0x8000_0000_0000;
        for (at, value, address, fault) in [
            (IN_MEMORY, 1, BASE + 0x2000, Fault::Shrinks),
            (IN_MEMORY, u64::MAX, BASE + 0x2000, Fault::Wraps),
            (ADDRESS, half, half, Fault::KernelHalf),
            (ADDRESS, ADDRESSES_END, ADDRESSES_END, Fault::KernelHalf),
            (IN_MEMORY, half, BASE + 0x2000, Fault::KernelHalf),
            (ADDRESS, 0, 0, Fault::Low),
            (ADDRESS, 0xf000, 0xf000, Fault::Low),
            (OFFSET, 2 * PAGE - 1, BASE + 0x2000, Fault::Unaligned),
            (ADDRESS, BASE + 0x2001, BASE + 0x2001, Fault::Unaligned),
        ] {
            let found = found(&changed(at, value));
            let expected = Flaw::Segment(address, fault);
            assert!(found.contains(&expected), "{expected:?}: {found:?}");
        }
        // What is moved begins at 0.
        let mut independent = changed(ADDRESS, 0);
        independent[16] = 3;
        assert!(!found(&independent).contains(&Flaw::Segment(0, Fault::Low)));
    }

    #[test]
    fn memory_is_what_all_segments_take() {
        let plain = file(GOOD);
        let memory = |file: &[u8]| Image::parse(file).unwrap().memory();
        assert_eq!(memory(&plain), 9 + 2 + 4);
        assert_eq!(memory(&changed(40, 100 << 20)), (100 << 20) + 9 + 4);
        assert_eq!(memory(&changed(40, u64::MAX)), u64::MAX);
    }

    #[test]
    fn names_move_no_cursor_and_end_no_line() {
        let file = with(&[(elf::PT_INTERP, READ, 0x4000, b"/ld\nwrong: \x1b[2J\xff\0")]);
        let [flaw] = &found(&file)[..] else {
            panic!("one flaw");
        };
        let text = flaw.to_string();
        assert!(text.contains("/ld\\nwrong: \\u{1b}[2J\u{fffd}"), "{text}");
        assert!(!text.contains(['\n', '\u{1b}']), "{text}");
        assert_eq!(shown("ä\u{202e}b".as_bytes()), "ä\\u{202e}b");
    }
}
