// SPDX-License-Identifier: MIT OR Apache-2.0
//! A page of memory that is not there until somebody says so: whoever touches it waits, the kernel too.

use std::ffi::{c_int, c_ulong, c_void};
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::mm::{MapFlags, ProtFlags, UserfaultfdFlags};

use crate::time::until;

const LENGTH: usize = 4096;

/// `include/uapi/linux/userfaultfd.h`
const UFFDIO_API: c_ulong = 0xc018_aa3f;
const UFFDIO_REGISTER: c_ulong = 0xc020_aa00;
const UFFDIO_ZEROPAGE: c_ulong = 0xc020_aa04;
const UFFD_API: u64 = 0xaa;
const MODE_MISSING: u64 = 1;

unsafe extern "C" {
    fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int;
}

/// The page. It is filled when dropped, so that nobody waits for ever.
pub(crate) struct Page {
    faults: OwnedFd,
    address: *mut c_void,
}

// SAFETY: the page is memory like any other.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}

impl Page {
    pub(crate) fn new() -> Result<Self> {
        let flags = UserfaultfdFlags::CLOEXEC | UserfaultfdFlags::NONBLOCK;
        // SAFETY: only our own page is registered with it.
        let faults = unsafe { rustix::mm::userfaultfd(flags) }.context("userfaultfd")?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: new memory.
        let address = unsafe {
            rustix::mm::mmap_anonymous(std::ptr::null_mut(), LENGTH, protection, MapFlags::PRIVATE)
        }
        .context("mmap")?;
        let page = Self { faults, address };
        page.order(UFFDIO_API, [UFFD_API, 0, 0, 0])
            .context("UFFDIO_API")?;
        page.order(
            UFFDIO_REGISTER,
            [address as u64, LENGTH as u64, MODE_MISSING, 0],
        )
        .context("UFFDIO_REGISTER")?;
        Ok(page)
    }

    fn order(&self, request: c_ulong, mut argument: [u64; 4]) -> Result<(), std::io::Error> {
        // SAFETY: the argument is as large as the largest of these requests'.
        let result = unsafe {
            ioctl(
                self.faults.as_raw_fd(),
                request,
                argument.as_mut_ptr().cast(),
            )
        };
        match result {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    }

    /// Its bytes. Touching them waits.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the page is mapped as long as we live, and holds zeros as soon as it holds anything.
        unsafe { std::slice::from_raw_parts(self.address.cast(), LENGTH) }
    }

    /// Waits until somebody waits for it.
    pub(crate) fn await_toucher(&self) -> Result<()> {
        until("the page is touched", || {
            let mut fds = [PollFd::new(&self.faults, PollFlags::IN)];
            rustix::event::poll(&mut fds, Some(&Timespec::default())) == Ok(1)
        })
    }

    /// There it is, full of zeros.
    pub(crate) fn fill(&self) {
        // It fails where the page is there already.
        let _ = self.order(UFFDIO_ZEROPAGE, [self.address as u64, LENGTH as u64, 0, 0]);
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.fill();
        // SAFETY: whoever has the bytes borrows us.
        let _ = unsafe { rustix::mm::munmap(self.address, LENGTH) };
    }
}
