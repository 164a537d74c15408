// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rules that every host of user mode drivers obeys.
//!
//! A *host* (the kernel, or a daemon) keeps code that it does not trust in a process of its own, the
//! *handler*, and asks it over a *channel*: one request, one reply, within a deadline. This crate is
//! what both hosts have in common. It decides and remembers, and does nothing by itself: no memory
//! is allocated, no system call made, no lock taken.
//!
//! | module | what it knows |
//! | --- | --- |
//! | [`exchange`] | one request's journey, with the retry rule |
//! | [`channel`] | caller, handler and deadline at one process's channel, and who wakes whom |
//! | [`lifecycle`] | which driver and worker may take which step |
//! | [`transfer`] | how far one request and reply have come on a channel |
//! | [`policy`] | deadlines, limits, restart back-off and budget |
//! | [`lockdown`] | what a handler gives up: the profiles |
//! | [`filter`] | a profile's system calls as a seccomp filter |
//! | [`syscall`] | system calls by name and number |
//! | [`frame`] | the sixteen bytes before each message |
//! | [`proto`] | messages with types |
//! | [`host`] | the traits that a host supplies |
//! | [`status`] | what a driver tells about itself |
//! | [`text`] | what others have written, for people to see |
//! | [`error`] | every way to fail, with its errno |
//!
//! There is no panic path in this crate: it is linked into kernels.
#![no_std]
#![forbid(unsafe_code)]

pub mod channel;
pub mod elf;
pub mod error;
pub mod exchange;
pub mod filter;
pub mod frame;
pub mod host;
pub mod lifecycle;
pub mod lockdown;
pub mod policy;
pub mod proto;
pub mod ring;
pub mod status;
pub mod syscall;
pub mod text;
pub mod transfer;
