// SPDX-License-Identifier: GPL-2.0-only
//! The kernel host: what `umd.ko` does.
//!
//! [`driver`] is a registered driver with its queue of callers and its workers; [`process`] is one
//! handler's process with its channel; [`lockdown`] is what is checked before a handler sees a
//! request; [`sysfs`] is what the operator sees; [`loader`] loads modules on demand, [`lease`] is what those bring; [`registry`] finds
//! drivers by their names; [`c_api`] is what modules in C call.

pub mod c_api;
pub mod driver;
pub mod lease;
pub mod loader;
pub mod lockdown;
pub mod process;
pub mod registry;
pub mod sysfs;
