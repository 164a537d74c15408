// SPDX-License-Identifier: GPL-2.0-only
//! The structures that cross between umd.ko and driver modules. C header:
//! `kernel/include/linux/umd.h`, where each field is described.

use core::ffi::{c_char, c_int, c_void};

/// `health_check` of `struct umd_driver_config`.
pub(super) type HealthCheckFn = unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int;

/// `struct umd_driver_config`.
#[repr(C)]
pub(super) struct Config {
    pub(super) size: u32,
    pub(super) framing: u32,
    pub(super) name: *const c_char,
    pub(super) blob: *const u8,
    pub(super) blob_len: usize,
    pub(super) deadline_ns: u64,
    pub(super) start_deadline_ns: u64,
    pub(super) request_max: u32,
    pub(super) queue_max: u32,
    pub(super) restart_budget: u32,
    pub(super) reserved: u32,
    pub(super) restart_window_ns: u64,
    pub(super) kmod: *const c_char,
    pub(super) confinement: Confinement,
    pub(super) health_check: Option<HealthCheckFn>,
    pub(super) data: *mut c_void,
}

/// What a handler gives up, and what it is given: as in `struct umd_driver_config` and `struct umd_options`.
#[repr(C)]
pub(super) struct Confinement {
    pub(super) lockdown: u32,
    pub(super) syscalls_count: u32,
    pub(super) syscalls: *const u16,
    pub(super) memory_max: u64,
    pub(super) nice: i32,
    pub(super) priority: u32,
}

/// `struct umd_failure`.
#[repr(C)]
pub(super) struct Failure {
    pub(super) kind: u32,
    pub(super) detail: u32,
}

/// `struct umd_options`.
#[cfg(feature = "host")]
#[repr(C)]
pub(super) struct Options {
    pub(super) size: u32,
    pub(super) reserved: u32,
    pub(super) deadline_ns: u64,
    pub(super) start_deadline_ns: u64,
    pub(super) confinement: Confinement,
}
