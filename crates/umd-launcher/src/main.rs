// SPDX-License-Identifier: MIT OR Apache-2.0
//! What runs in a handler's process before the handler, where that knows nothing of umd: it gives up what
//! only the process itself can give up, then executes the handler.
//!
//! The kernel host carries it, and starts it with the channel as fd 0 and 1, the handler's directory as
//! fd 2, and as fd 3 a file that takes an errno. The handler's exec closes the latter two, which is how the host
//! sees that it went well.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use umd_handler::lockdown::NOBODY;
use umd_handler::sys::{self, Errno};

const DIRECTORY: usize = 2;
const REPORT: usize = 3;

/// The exit status of a shell that could not execute what it was told to.
const NOT_EXECUTED: i32 = 126;

fn launch() -> ! {
    let prepared = give_up()
        .and_then(|()| sys::close_on_exec(DIRECTORY))
        .and_then(|()| sys::close_on_exec(REPORT));
    let Errno(error) = match prepared {
        Ok(()) => sys::execute(DIRECTORY),
        Err(errno) => errno,
    };
    // Whoever does not hear of it hears of the exit.
    let _ = sys::write(REPORT, &error.to_ne_bytes());
    sys::exit(NOT_EXECUTED)
}

/// Groups first, then the gid, then the uid: the last takes the privilege for the others away. And then the
/// right to make processes: not before, or the change of uid would count against it, and exec fail.
fn give_up() -> Result<(), Errno> {
    sys::setgroups_none()?;
    sys::setresgid(NOBODY)?;
    sys::setresuid(NOBODY)?;
    sys::forbid_processes()?;
    sys::enter_root()
}

umd_handler::entry!(launch);
