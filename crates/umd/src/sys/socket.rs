// SPDX-License-Identifier: MIT OR Apache-2.0
//! A channel's socket: bytes that lie in two places, and how much of what was sent the other side has not read.

use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::ioctl::{Getter, Opcode, ioctl};
use rustix::net::{
    RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendFlags, recv, recvmsg, send, sendmsg,
};
use std::ffi::c_int;
use std::io::{IoSlice, IoSliceMut};

/// Up to here, copying is cheaper than to tell the kernel of more than one place: sendmsg() and recvmsg() cost half a round trip's
/// worth of system calls more than send() and recv().
const SMALL: usize = 256;

/// Sends some of both, one after the other. As send(2), but nobody gets a signal.
pub(crate) fn send_both(
    socket: impl AsFd,
    [head, tail]: [&[u8]; 2],
    flags: SendFlags,
) -> Result<usize, Errno> {
    let flags = flags | SendFlags::NOSIGNAL;
    let mut bytes = [0; SMALL];
    let Some(bytes) = bytes.get_mut(..head.len().saturating_add(tail.len())) else {
        let parts = [IoSlice::new(head), IoSlice::new(tail)];
        return sendmsg(socket, &parts, &mut SendAncillaryBuffer::default(), flags);
    };
    let (first, second) = bytes.split_at_mut(head.len());
    first.copy_from_slice(head);
    second.copy_from_slice(tail);
    send(socket, bytes, flags)
}

/// Receives what is there into the three, one after the other. As recv(2). Descriptors that come along are closed.
pub(crate) fn receive_all(
    socket: impl AsFd,
    parts: [&mut [u8]; 3],
    flags: RecvFlags,
) -> Result<usize, Errno> {
    let room = parts
        .iter()
        .fold(0_usize, |sum, part| sum.saturating_add(part.len()));
    let mut bytes = [0; SMALL];
    let Some(bytes) = bytes.get_mut(..room) else {
        let mut parts = parts.map(IoSliceMut::new);
        let mut nothing = RecvAncillaryBuffer::default();
        let flags = flags | RecvFlags::CMSG_CLOEXEC;
        return Ok(recvmsg(socket, &mut parts, &mut nothing, flags)?.bytes);
    };
    let (received, _) = recv(socket, &mut *bytes, flags)?;
    let mut rest = bytes.get(..received).unwrap_or_default();
    for part in parts {
        let (first, second) = rest.split_at(rest.len().min(part.len()));
        if let Some(part) = part.get_mut(..first.len()) {
            part.copy_from_slice(first);
        }
        rest = second;
    }
    Ok(received)
}

/// TIOCOUTQ, which sockets call SIOCOUTQ, as in unix(7).
const SIOCOUTQ: Opcode = 0x5411;

/// What is on its way still, in the kernel's measure: 0 is nothing.
pub(crate) fn unread(socket: impl AsFd) -> Option<c_int> {
    // SAFETY: this call writes an int, and does nothing else.
    unsafe { ioctl(socket, Getter::<SIOCOUTQ, c_int>::new()) }.ok()
}
