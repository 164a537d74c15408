// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a handler gives up before it sees its first request.
//!
//! Results are ignored throughout: a host looks at the task itself before it hands over a request,
//! and kills one that has kept something. A handler run by hand, without privileges to give up,
//! works all the same.

use crate::channel::{Channel, End, Stdio, read_all, write_all};
use crate::{start, sys};
use umd_core::filter::{Instruction, Program};
use umd_core::frame::{HEADER_LEN, HELLO_ID, Header, ORDERS, ORDERS_DIAGNOSE};

/// "nobody" and "nogroup": ids that own nothing.
pub const NOBODY: u32 = 65534;

/// How the system calls are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orders {
    /// By strict mode.
    Strict,
    /// By a filter that the host sends. A call that is denied by it is the end.
    Filter,
    /// The same, and before it ends it says which call it was.
    Diagnose,
}

impl Orders {
    /// As the second argument of the process says, if it has one.
    pub fn from_argument(argument: Option<&[u8]>) -> Self {
        match argument {
            Some(argument) if argument == ORDERS.to_bytes() => Self::Filter,
            Some(argument) if argument == ORDERS_DIAGNOSE.to_bytes() => Self::Diagnose,
            _ => Self::Strict,
        }
    }
}

/// Drops groups, gid and uid, and with them all capabilities; then asks for strict mode, or sets the filter that the host
/// sends. Does nothing where a filter was set before the exec: there is nothing left to give up then, and to ask for it
/// would be a denied call.
///
/// Ends the process where a filter was promised and none came, or it could not be set.
pub fn lock_down() {
    lock_down_by(start::orders());
}

/// As [`lock_down`], for a handler with an entry of its own.
pub fn lock_down_by(orders: Orders) {
    match orders {
        Orders::Strict if sys::is_filtered() => return,
        Orders::Strict | Orders::Filter => {}
        Orders::Diagnose => sys::on_denial(say_denied),
    }
    drop_ids();
    if orders == Orders::Strict {
        let _ = sys::seccomp_strict();
    } else if let Err(end) = set_filter(&mut Stdio) {
        sys::exit(end.exit_status());
    }
}

/// Says which system call was denied.
fn say_denied(number: u32) {
    // There is nobody else to say it to.
    let _ = write_all(&mut Stdio, &Header::denied(number).encode());
}

/// Receives a filter and sets it.
fn set_filter(channel: &mut impl Channel) -> Result<(), End> {
    let mut code = [Instruction::decode([0; Instruction::ENCODED]); Program::CAPACITY];
    let code = receive_filter(channel, &mut code)?;
    sys::seccomp_filter(code).map_err(|_| End::Broken)
}

/// Receives a filter: how much of the room it takes.
fn receive_filter<'r>(
    channel: &mut impl Channel,
    room: &'r mut [Instruction],
) -> Result<&'r [Instruction], End> {
    let mut header = [0; HEADER_LEN];
    read_all(channel, &mut header)?;
    let header = Header::decode(&header).map_err(|_| End::Protocol)?;
    let count = header.length as usize / Instruction::ENCODED;
    if header != Header::orders(header.length)
        || header.id != HELLO_ID
        || !(header.length as usize).is_multiple_of(Instruction::ENCODED)
    {
        return Err(End::Protocol);
    }
    let room = room.get_mut(..count).ok_or(End::Protocol)?;
    let mut bytes = [0; Instruction::ENCODED * Program::CAPACITY];
    let bytes = bytes
        .get_mut(..header.length as usize)
        .ok_or(End::Protocol)?;
    if !bytes.is_empty() {
        read_all(channel, bytes)?;
    }
    let (encoded, _) = bytes.as_chunks();
    for (to, from) in room.iter_mut().zip(encoded) {
        *to = Instruction::decode(*from);
    }
    Ok(room)
}

/// Drops the groups first, then the gid, then the uid: the last takes the privilege for the others
/// away.
pub fn drop_ids() {
    let _ = sys::setgroups_none();
    let _ = sys::setresgid(NOBODY);
    let _ = sys::setresuid(NOBODY);
}

/// Says that the lockdown is done.
pub fn hello(channel: &mut impl Channel) -> Result<(), End> {
    write_all(channel, &Header::hello().encode())
}
