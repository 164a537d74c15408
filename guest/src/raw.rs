// SPDX-License-Identifier: MIT OR Apache-2.0
//! System calls with addresses and lengths that no library would hand to the kernel, memory that goes away under
//! them, and signals in their midst.

use std::ffi::{c_int, c_long, c_void};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};

use crate::sockopt;

/// A page.
pub(crate) const PAGE: usize = 4096;

/// Addresses at which this process has no memory, whatever happens: none; the first page's; the processor's table of
/// interrupts, which the kernel has at the same place in each boot; no address at all; and the end of the lower half.
pub(crate) const NOWHERE: [usize; 5] = [
    0,
    0x10,
    0xffff_fe00_0000_0000,
    0x8000_0000_0000_0000,
    0x7fff_ffff_f000 - 1,
];

const SIGUSR1: c_int = 10;

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn signal(signal: c_int, handler: extern "C" fn(c_int)) -> *mut c_void;
    fn siginterrupt(signal: c_int, interrupt: c_int) -> c_int;
}

fn result(value: c_long) -> Result<usize, Errno> {
    usize::try_from(value)
        .map_err(|_| Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}

/// write(2) of `length` bytes at `address`.
pub(crate) fn write(file: impl AsFd, address: usize, length: usize) -> Result<usize, Errno> {
    const WRITE: c_long = 1;
    // SAFETY: the kernel reads memory, or says that it cannot.
    result(unsafe { syscall(WRITE, file.as_fd().as_raw_fd(), address, length) })
}

/// read(2) of `length` bytes to where this process has no memory, or memory of an [`Area`].
pub(crate) fn read(file: impl AsFd, address: usize, length: usize) -> Result<usize, Errno> {
    const READ: c_long = 0;
    // SAFETY: nobody borrows the memory of an area, and elsewhere there is none.
    result(unsafe { syscall(READ, file.as_fd().as_raw_fd(), address, length) })
}

/// getsockopt(2) at the level of IP, with memory of an [`Area`] or none.
pub(crate) fn get_option(
    socket: impl AsFd,
    option: i32,
    value: usize,
    length: usize,
) -> Result<usize, Errno> {
    const GETSOCKOPT: c_long = 55;
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: as in `read`.
    result(unsafe { syscall(GETSOCKOPT, socket, sockopt::IP, option, value, length) })
}

/// setsockopt(2) at the level of IP.
pub(crate) fn set_option(
    socket: impl AsFd,
    option: i32,
    value: usize,
    length: i32,
) -> Result<usize, Errno> {
    const SETSOCKOPT: c_long = 54;
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: as in `write`.
    result(unsafe { syscall(SETSOCKOPT, socket, sockopt::IP, option, value, length) })
}

/// mmap(2) of a file, which is undone at once.
pub(crate) fn map(file: impl AsFd) -> Result<(), Errno> {
    let anywhere = std::ptr::null_mut();
    // SAFETY: new memory, which nobody gets to see.
    unsafe {
        let page = rustix::mm::mmap(anywhere, PAGE, ProtFlags::READ, MapFlags::SHARED, file, 0)?;
        rustix::mm::munmap(page, PAGE)
    }
}

/// ioctl(2) with a number and an argument that mean nothing.
pub(crate) fn ioctl(file: impl AsFd) -> Result<(), Errno> {
    const IOCTL: c_long = 16;
    let file = file.as_fd().as_raw_fd();
    // SAFETY: as in `write`.
    result(unsafe { syscall(IOCTL, file, 0xdead_beef_usize, 0x10_usize) }).map(drop)
}

/// close(2) of a descriptor that somebody else uses. The caller sees to it that it is not closed again.
pub(crate) fn close(number: i32) {
    const CLOSE: c_long = 3;
    // SAFETY: as said above.
    let _ = result(unsafe { syscall(CLOSE, number) });
}

/// Pages of memory that nobody borrows.
pub(crate) struct Area {
    address: usize,
    pages: usize,
}

impl Area {
    /// So many, and one more that is taken away: nothing is behind the last.
    pub(crate) fn new(pages: usize) -> Result<Self> {
        let anywhere = std::ptr::null_mut();
        let length = (pages + 1) * PAGE;
        // SAFETY: new memory.
        let address =
            unsafe { rustix::mm::mmap_anonymous(anywhere, length, DATA, MapFlags::PRIVATE) }
                .context("mmap")? as usize;
        let area = Self { address, pages };
        // SAFETY: it is ours, and nobody has it yet.
        unsafe { rustix::mm::munmap(area.page(pages), PAGE) }.context("munmap")?;
        Ok(area)
    }

    /// Where it begins.
    pub(crate) fn begin(&self) -> usize {
        self.address
    }

    /// Where it ends.
    pub(crate) fn end(&self) -> usize {
        self.address + self.pages * PAGE
    }

    fn page(&self, number: usize) -> *mut c_void {
        (self.address + number * PAGE) as *mut c_void
    }

    /// Puts bytes there.
    pub(crate) fn put(&self, address: usize, bytes: &[u8]) -> Result<()> {
        let inside = self.address <= address && address + bytes.len() <= self.end();
        ensure!(inside, "that is not within the area");
        for (offset, byte) in bytes.iter().enumerate() {
            // SAFETY: it is within the area, which is there unless a test has taken it away, and then this is the
            // test's end. Volatile, since another thread may do the same.
            unsafe { ((address + offset) as *mut u8).write_volatile(*byte) };
        }
        Ok(())
    }

    /// What is there.
    pub(crate) fn get(&self, address: usize, length: usize) -> Result<Vec<u8>> {
        let inside = self.address <= address && address + length <= self.end();
        ensure!(inside, "that is not within the area");
        let byte = |offset| {
            // SAFETY: as above.
            unsafe { ((address + offset) as *const u8).read_volatile() }
        };
        Ok((0..length).map(byte).collect())
    }

    /// A page that can only be read.
    pub(crate) fn protect(&self, number: usize) -> Result<()> {
        self.set(number, MprotectFlags::READ)
    }

    /// One that can be neither read nor written.
    pub(crate) fn hide(&self, number: usize) -> Result<()> {
        self.set(number, MprotectFlags::empty())
    }

    /// One as it was.
    pub(crate) fn show(&self, number: usize) -> Result<()> {
        self.set(number, MprotectFlags::READ | MprotectFlags::WRITE)
    }

    fn set(&self, number: usize, flags: MprotectFlags) -> Result<()> {
        // SAFETY: nobody borrows it.
        unsafe { rustix::mm::mprotect(self.page(number), PAGE, flags) }.context("mprotect")
    }

    /// Takes a page away, and puts another one there, which is empty.
    pub(crate) fn replace(&self, number: usize) -> Result<()> {
        let page = self.page(number);
        // SAFETY: nobody borrows it. Nobody else may get the place meanwhile: the new page is mapped over the old one,
        // after that was made a hole by a mapping that is none.
        unsafe {
            rustix::mm::mmap_anonymous(page, PAGE, ProtFlags::empty(), FIXED)?;
            rustix::mm::mmap_anonymous(page, PAGE, DATA, FIXED)?;
        }
        Ok(())
    }

    /// Empties a page.
    pub(crate) fn empty(&self, number: usize) -> Result<()> {
        // SAFETY: nobody borrows it.
        unsafe { rustix::mm::madvise(self.page(number), PAGE, Advice::LinuxDontNeed) }
            .context("madvise")
    }
}

const DATA: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);
const FIXED: MapFlags = MapFlags::PRIVATE.union(MapFlags::FIXED);

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: nobody borrows it. It was mapped as a whole.
        let _ = unsafe { rustix::mm::munmap(self.page(0), self.pages * PAGE) };
    }
}

/// Does something while the calling thread is sent one signal after the other. Whether system calls go on after one
/// (`SA_RESTART`) is the caller's choice.
pub(crate) fn in_a_storm<R>(restart: bool, work: impl FnOnce() -> R) -> R {
    const TGKILL: c_long = 234;
    extern "C" fn handler(_: c_int) {}
    // SAFETY: the handler does nothing.
    unsafe {
        signal(SIGUSR1, handler);
        siginterrupt(SIGUSR1, c_int::from(!restart));
    }
    let process = rustix::process::getpid().as_raw_pid();
    let thread = rustix::thread::gettid().as_raw_pid();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // SAFETY: it touches no memory.
                unsafe { syscall(TGKILL, process, thread, SIGUSR1) };
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
        });
        let result = work();
        over.store(true, Ordering::Relaxed);
        result
    })
}
