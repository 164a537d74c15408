// SPDX-License-Identifier: MIT OR Apache-2.0
//! All processes but our own thread frozen, as the system does before it goes to sleep.

use std::ffi::{c_int, c_ulong, c_void};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// `include/uapi/linux/suspend_ioctls.h`
const SNAPSHOT_FREEZE: c_ulong = 0x3301;
const SNAPSHOT_UNFREEZE: c_ulong = 0x3302;

unsafe extern "C" {
    fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int;
}

/// Everybody else is frozen, until this is dropped.
pub(crate) struct Frozen(File);

impl Frozen {
    /// Freezes, and says how long that took.
    pub(crate) fn new() -> Result<(Self, Duration)> {
        let path = "/dev/snapshot";
        let device = File::open(path).with_context(|| format!("opening {path}"))?;
        let begin = Instant::now();
        // SAFETY: an ioctl without an argument.
        let result = unsafe { ioctl(device.as_raw_fd(), SNAPSHOT_FREEZE, null_mut()) };
        if result != 0 {
            return Err(io::Error::last_os_error()).context("freezing the processes");
        }
        Ok((Self(device), begin.elapsed()))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // SAFETY: an ioctl without an argument. If it fails, closing the device thaws too.
        unsafe { ioctl(self.0.as_raw_fd(), SNAPSHOT_UNFREEZE, null_mut()) };
    }
}
