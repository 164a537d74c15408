// SPDX-License-Identifier: MIT OR Apache-2.0
//! The other side of a round trip: a process that does nothing but read and write.

use anyhow::{Context, Result};
use ipc_channel::ipc::{
    IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcSender, bytes_channel,
};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::{Errno, read, write};
use std::process::{Child, Command, Stdio};

/// A process, until it is dropped.
pub(crate) struct Process(Child);

impl Process {
    /// This program again, with these arguments, and these in place of standard input and output.
    pub(crate) fn start(arguments: &[&str], input: Stdio, output: Stdio) -> Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .arg("peer")
            .args(arguments)
            .stdin(input)
            .stdout(output)
            .spawn();
        Ok(Self(child.context("cannot start the other side")?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It is of no use any more, and gone all the same where this fails.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Answers on standard input and output until the end.
pub(crate) fn stream(request: usize, reply: usize) -> Result<()> {
    let (mut request, reply) = (vec![0; request], vec![0; reply]);
    let (input, output) = (std::io::stdin(), std::io::stdout());
    while read_all(&input, &mut request)? {
        write_all(&output, &reply)?;
    }
    Ok(())
}

/// Fills the buffer; false at the end of the stream.
pub(crate) fn read_all(from: impl AsFd, buffer: &mut [u8]) -> Result<bool> {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match read(&from, room) {
            Ok(0) => return Ok(false),
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(true)
}

/// Writes all.
pub(crate) fn write_all(to: impl AsFd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match write(&to, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Both directions of a channel of `ipc-channel`, as bytes: nothing is serialized.
type Ends = (IpcBytesSender, IpcBytesReceiver);

/// Answers over `ipc-channel` until the other side is gone.
pub(crate) fn ipc(server: &str, reply: usize) -> Result<()> {
    let (ours, requests) = bytes_channel()?;
    let (replies, theirs) = bytes_channel()?;
    IpcSender::connect(server.to_owned())?.send((ours, theirs))?;
    let reply = vec![0; reply];
    while requests.recv().is_ok() {
        replies.send(&reply)?;
    }
    Ok(())
}

/// Our side of it.
pub(crate) fn ipc_pair(reply: usize) -> Result<(Process, Ends)> {
    let (server, name) = IpcOneShotServer::<Ends>::new()?;
    let arguments = ["ipc", &name, &reply.to_string()];
    let process = Process::start(&arguments, Stdio::null(), Stdio::null())?;
    let (_, ends) = server.accept()?;
    Ok((process, ends))
}

/// Our side of a pair of sockets, or the two of a pair of pipes.
pub(crate) fn stream_pair(
    request: usize,
    reply: usize,
    (input, output): (OwnedFd, OwnedFd),
) -> Result<Process> {
    let sizes = [request.to_string(), reply.to_string()];
    Process::start(
        &["stream", &sizes[0], &sizes[1]],
        input.into(),
        output.into(),
    )
}
