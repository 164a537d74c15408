// SPDX-License-Identifier: MIT OR Apache-2.0
//! Buffers that are not there, or change.

use crate::frames::Outbox;
use crate::rogue::{self, nr};
use crate::tries::Results;
use umd_core::frame::{HEADER_LEN, Header};
use umd_handler::channel::{End, Stdio, write_all};
use umd_handler::{Buffer, sys};
use umd_testkit::hostile::{TAIL, UNABLE};

const PAGE: usize = 4096;

/// Where no process has memory: the first page; the processor's table of interrupts, which the kernel has at the same
/// place in each boot; what is no address at all; and the end of the lower half.
pub(crate) const NOWHERE: [usize; 4] = [
    0x10,
    0xffff_fe00_0000_0000,
    0x8000_0000_0000_0000,
    0x7fff_ffff_f000 - 16,
];

/// More than the last of them has room for.
pub(crate) const ASTRAY: usize = 64;

/// Replies from nowhere, then says what those gave.
pub(crate) fn write_astray(id: u32, outbox: &mut Outbox) -> Result<(), End> {
    let mut results = Results::new();
    for address in NOWHERE {
        results.attempt(nr::WRITE, [1, address, ASTRAY, 0, 0, 0]);
    }
    outbox.reply(id, results.text())
}

/// A reply whose first bytes are the last ones of the program's memory, in a write that goes beyond it.
pub(crate) fn tail(id: u32, outbox: &mut Outbox) -> Result<(), End> {
    const FIRST: usize = HEADER_LEN + 4;
    let end = rogue::end_of_program().next_multiple_of(PAGE);
    let (first, rest) = outbox.frame(id, TAIL).split_at(FIRST);
    if end - FIRST < rogue::end_of_program() {
        sys::exit(UNABLE)
    }
    rogue::poke(end - FIRST, first);
    let written = rogue::attempt(nr::WRITE, [1, end - FIRST, FIRST + ASTRAY, 0, 0, 0]);
    if written != FIRST as isize {
        sys::exit(UNABLE)
    }
    write_all(&mut Stdio, rest)
}

/// A reply from a page that nobody has touched.
pub(crate) fn untouched(id: u32, outbox: &mut Outbox) -> Result<(), End> {
    static PAGES: Buffer<{ 3 * PAGE }> = Buffer::new();
    let pages = PAGES.take();
    let begin = pages.as_ptr().align_offset(PAGE);
    outbox.send_header(Header::reply(id, 48, 0))?;
    write_all(&mut Stdio, &pages[begin..begin + 48])
}

/// The right reply, whose memory is another a moment later.
pub(crate) fn changed(id: u32, outbox: &mut Outbox) -> Result<(), End> {
    outbox.reply(id, b"first")?;
    outbox.frame(0, b"other").fill(b'?');
    Ok(())
}

/// Calls itself until there is no stack.
pub(crate) fn overflow_stack() -> ! {
    fn deeper(depth: u64) -> u64 {
        let here = core::hint::black_box([depth; 64]);
        match depth {
            u64::MAX => 0,
            _ => deeper(depth + 1) + core::hint::black_box(here)[1],
        }
    }
    core::hint::black_box(deeper(0));
    sys::exit(UNABLE)
}

const READ_WRITE: usize = 3;
const PRIVATE_ANONYMOUS: usize = 0x22;
const SHARED: usize = 1;

fn map(length: usize, flags: usize) -> isize {
    let nowhere = usize::MAX;
    rogue::attempt(nr::MMAP, [0, length, READ_WRITE, flags, nowhere, 0])
}

/// Replies from memory that was there, then says what those gave.
pub(crate) fn vanished(id: u32, outbox: &mut Outbox) -> Result<(), End> {
    const PROT_NONE: usize = 0;
    let mut results = Results::new();
    // Protected, then taken away.
    let page = map(PAGE, PRIVATE_ANONYMOUS);
    results.note(page);
    let page = page as usize;
    if results.all_good() {
        rogue::poke(page, outbox.frame(id, b"vanished"));
    }
    results.attempt(nr::MPROTECT, [page, PAGE, PROT_NONE, 0, 0, 0]);
    results.attempt(nr::WRITE, [1, page, ASTRAY, 0, 0, 0]);
    results.attempt(nr::MUNMAP, [page, PAGE, 0, 0, 0, 0]);
    results.attempt(nr::WRITE, [1, page, ASTRAY, 0, 0, 0]);
    // Of a file that has no bytes. An errno is no address either.
    rogue::attempt(nr::CLOSE, [2, 0, 0, 0, 0, 0]);
    let name = c"empty".as_ptr() as usize;
    let file = results.attempt(nr::MEMFD_CREATE, [name, 0, 0, 0, 0, 0]);
    let file = file as usize;
    let page = results.attempt(nr::MMAP, [0, PAGE, READ_WRITE, SHARED, file, 0]) as usize;
    results.attempt(nr::WRITE, [1, page, ASTRAY, 0, 0, 0]);
    outbox.reply(id, results.text())
}

/// A reply from memory that has been emptied of it.
pub(crate) fn emptied(id: u32, outbox: &mut Outbox) -> Result<(), End> {
    const MADV_DONTNEED: usize = 4;
    let page = map(PAGE, PRIVATE_ANONYMOUS);
    if page < 0 {
        sys::exit(UNABLE)
    }
    let page = page as usize;
    rogue::poke(page, &[b'x'; 48]);
    rogue::attempt(nr::MADVISE, [page, PAGE, MADV_DONTNEED, 0, 0, 0]);
    outbox.send_header(Header::reply(id, 48, 0))?;
    match rogue::attempt(nr::WRITE, [1, page, 48, 0, 0, 0]) {
        48 => Ok(()),
        _ => sys::exit(UNABLE),
    }
}

const MIB: usize = 1 << 20;

/// More than any host gives.
const MOST: usize = 1024;

/// Maps memory until there is no more; gives it back. What the last call gave, or how many
/// MiB it had if that was too much.
pub(crate) fn map_storm() -> isize {
    let mut pieces = [0; MOST];
    let mut count = 0;
    let last = loop {
        let piece = map(MIB, PRIVATE_ANONYMOUS);
        if piece < 0 || count == MOST {
            break piece;
        }
        pieces[count] = piece as usize;
        count += 1;
    };
    for piece in &pieces[..count] {
        rogue::attempt(nr::MUNMAP, [*piece, MIB, 0, 0, 0, 0]);
    }
    if count < MOST { last } else { count as isize }
}

/// Raises its break until it stays where it is; puts it back. `-ENOMEM`, or how many MiB it had if that was too
/// much.
pub(crate) fn brk_storm() -> isize {
    const ENOMEM: isize = 12;
    let brk = |wanted| rogue::attempt(nr::BRK, [wanted, 0, 0, 0, 0, 0]) as usize;
    let begin = brk(0);
    let mut count = 0;
    while count < MOST && brk(begin + (count + 1) * MIB) > begin + count * MIB {
        count += 1;
    }
    brk(begin);
    if count < MOST {
        -ENOMEM
    } else {
        count as isize
    }
}

/// Locks memory in its place.
pub(crate) fn lock(results: &mut Results) {
    const MCL_CURRENT_FUTURE: usize = 3;
    const LOCKED: usize = 0x2022;
    let here = rogue::end_of_program() & !(PAGE - 1);
    results.attempt(nr::MLOCK, [here, PAGE, 0, 0, 0, 0]);
    results.attempt(nr::MLOCKALL, [MCL_CURRENT_FUTURE, 0, 0, 0, 0, 0]);
    results.note(map(PAGE, LOCKED));
}
