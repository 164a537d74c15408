// SPDX-License-Identifier: MIT OR Apache-2.0
//! What runs in a handler's process before the handler, where that knows nothing of umd, or is not to be believed: it
//! gives up what only the process itself can give up, sets the filter of the lockdown, then executes the handler.
//!
//! The kernel host carries it, and starts it with the channel as fd 0 and 1, something to write to as fd 2, the
//! handler's directory as fd 3, and as fd 4 a file that gives the lockdown and takes an errno. The handler's exec closes
//! the latter two, which is how the host sees that it went well.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use umd_core::filter::Program;
use umd_core::lockdown::Lockdown;
use umd_handler::lockdown::NOBODY;
use umd_handler::sys::{self, Errno, Gate};

const DIRECTORY: usize = 3;
const REPORT: usize = 4;

/// The exit status of a shell that could not execute what it was told to.
const NOT_EXECUTED: i32 = 126;

/// Orders that are none.
const EBADMSG: Errno = Errno(74);

fn launch() -> ! {
    let Errno(error) = match prepare() {
        Ok(gate) => gate.execute(DIRECTORY),
        Err(errno) => errno,
    };
    // Whoever does not hear of it hears of the exit.
    let _ = sys::write(REPORT, &error.to_ne_bytes());
    sys::exit(NOT_EXECUTED)
}

/// All up to the exec. The filter comes last, since it denies the rest of this.
fn prepare() -> Result<Gate, Errno> {
    let lockdown = orders()?;
    let gate = Gate::make()?;
    give_up()?;
    sys::close_on_exec(DIRECTORY)?;
    sys::close_on_exec(REPORT)?;
    if let Some(program) = Program::of(lockdown, sys::pid()) {
        sys::seccomp_filter(program.instructions())?;
    }
    Ok(gate)
}

fn orders() -> Result<Lockdown, Errno> {
    let mut bytes = [0; Lockdown::ENCODED];
    let length = sys::read(REPORT, &mut bytes)?;
    if length != bytes.len() {
        return Err(EBADMSG);
    }
    Lockdown::decode(&bytes).ok_or(EBADMSG)
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
