// SPDX-License-Identifier: MIT OR Apache-2.0
//! User mode drivers inside any Rust program.
//!
//! Code that you do not want to trust with your program (a parser of untrusted bytes, above all) runs as a locked-down process
//! whose executable is embedded in yours. You call it like a function; it can crash, hang or lie, and you get an error within a
//! deadline. No root, no helper program, no user namespace.
//!
//! ```no_run
//! # const HANDLER: &[u8] = &[];
//! let driver = umd::Driver::builder("sample", HANDLER).build()?;
//! let mut reply = [0; 64];
//! let length = driver.call_bytes(b"question", &mut reply)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a handler cannot do
//!
//! Open a file or a socket, signal, trace or look into anyone, gain a privilege, create processes, outlive its deadline or this program, or
//! take more memory than it was given. Which mechanism gives which property, and what of it is in force on this machine, the
//! [`Report`] says.
//!
//! # Threads, forks, signals
//!
//! - A [`Driver`] may be called from any number of threads.
//! - With the feature `tokio` there are calls that occupy no thread while they wait.
//! - Two threads of umd's live in the program, with one more a driver that has spares. They take none of its signals.
//! - Handlers are children of the program: it gets SIGCHLD for them, and a loop around `waitpid(-1)` may reap one, which
//!   costs nothing but its [`Exit`], then [`Unknown`](Exit::Unknown).
//! - A process that was forked from one with drivers has no part in them: its calls fail. Build drivers after the fork.

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("umd runs on x86_64 Linux only");

mod builder;
mod driver;
mod error;
mod image;
mod lock;
mod look;
#[cfg(feature = "tokio")]
mod nonblocking;
mod process;
mod quarantine;
mod report;
mod ruleset;
mod spawner;
mod start;
mod status;
mod sys;
mod time;
mod watch;

pub use builder::{Builder, Lockdown, Namespaces, RestartPolicy};
pub use driver::Driver;
pub use error::{
    BuildError, CallError, Cause, Denied, Errno, Error, Exit, LockdownCheck, Seen, StartError,
    Violation,
};
pub use report::{Item, Mechanism, Property, Report, State, Why};
pub use status::Status;
pub use umd_core::proto::Question;
pub use umd_core::syscall::{Syscall, Syscalls};

/// The executable of a handler that the package's build script has built with `umd-build`, as bytes.
///
/// ```ignore
/// static HANDLER: &[u8] = umd::include_handler!("parser-handler");
/// ```
#[macro_export]
macro_rules! include_handler {
    ($name:literal) => {
        include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".umd"))
    };
}

/// Why a call failed, as both hosts have it.
pub use umd_core::error::Error as CallFailure;
