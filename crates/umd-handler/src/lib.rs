// SPDX-License-Identifier: MIT OR Apache-2.0
//! The runtime inside a handler: lock down, say hello, serve.
//!
//! A handler is a static executable without a C library. This is a whole one:
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//! use umd_handler::Refusal;
//!
//! fn serve(request: &[u8], reply: &mut [u8]) -> Result<usize, Refusal> {
//!     let answer = reply.get_mut(..request.len()).ok_or(Refusal::TOO_LONG)?;
//!     answer.copy_from_slice(request);
//!     Ok(request.len())
//! }
//!
//! umd_handler::handler!(request = 64, reply = 64, serve);
//! ```
//!
//! Its package's build script passes [`LINK_ARGS`] to the linker, and its `[[bin]]` says
//! `test = false`, `bench = false` and `doc = false`: the test harness needs the standard library.
//!
//! # What happens at the start
//!
//! 1. `_start` notes the driver's name (`argv[0]`, see [`name`]).
//! 2. [`lockdown::lock_down`]: no groups, gid and uid 65534, seccomp strict mode, or the filter that the host sends. From here on
//!    only read, write and exit are left, or what the host's list has.
//! 3. The expression given to [`handler!`] is evaluated: state that the closure captures is made
//!    under lockdown.
//! 4. The hello goes out; then one request after the other is read, served and answered.
//!
//! Where a filter is there already (in the kernel under any other lockdown than strict, in a program under strict), the second step finds
//! nothing left to do.
//!
//! # With the standard library
//!
//! The crate `umd-handler-std` has a `main` for a handler that is an ordinary program, under the lockdown `compute`. It has
//! no use for [`LINK_ARGS`] and the macros.
//!
//! # How a handler ends
//!
//! | exit status | meaning |
//! | --- | --- |
//! | 0 | the host closed the channel between two requests |
//! | 1 | the channel failed, or ended inside a request |
//! | 2 | what came was not a request: magic, version, id 0 or a status |
//! | 159 | it was denied a system call, and has said which: for hosts that ask for that |
//! | 101 | a bug in the handler: a panic, or a reply longer than its buffer |
//!
//! # Where the unsafe code is
//!
//! `sys` (system calls), `memory` (memcpy and its like), `start` (the entry) and `buffer` (static
//! buffers). A handler needs none: it may `forbid(unsafe_code)`.
#![cfg_attr(not(test), no_std)]

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("umd-handler runs on x86_64 Linux only; build it for an x86_64 linux target");

mod buffer;
pub mod channel;
pub mod lockdown;
#[doc(hidden)]
pub mod memory;
mod serve;
#[doc(hidden)]
pub mod start;
pub mod sys;

pub use buffer::Buffer;
pub use serve::{Refusal, run, run_raw, serve, serve_raw};
pub use start::name;
pub use umd_core::frame::HEADER_LEN;

// Has Cargo build, and so link, anew when the layout changes.
const _: &str = include_str!("../handler.ld");

/// What the linker must be told to make a handler, for its package's build script:
///
/// ```
/// for argument in umd_handler::LINK_ARGS {
///     println!("cargo::rustc-link-arg-bins={argument}");
/// }
/// ```
///
/// The result is a static executable at fixed addresses that needs no start-up code of a C
/// library, no dynamic linker and no relocation, and has no segment that is both writable and
/// executable.
pub const LINK_ARGS: &[&str] = &[
    "-nostartfiles",
    "-nostdlib",
    "-static",
    "-no-pie",
    "-Wl,--build-id=none",
    "-Wl,--no-eh-frame-hdr",
    "-Wl,-z,norelro",
    "-Wl,-z,noexecstack",
    "-Wl,-z,max-page-size=4096",
    concat!("-Wl,-T,", env!("CARGO_MANIFEST_DIR"), "/handler.ld"),
];
