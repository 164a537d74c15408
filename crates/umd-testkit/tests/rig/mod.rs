// SPDX-License-Identifier: MIT OR Apache-2.0
//! A handler on the other end of a socket pair, for tests.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};
use umd_core::frame::{HEADER_LEN, Header};

/// Far more than any step takes, on a machine that is busy as well: a test that fails shall not hang.
const HANG_GUARD: Duration = Duration::from_secs(180);

pub(crate) struct Handler {
    pub(crate) channel: UnixStream,
    process: Child,
}

impl Handler {
    /// Starts `program` as the driver `name`.
    pub(crate) fn start(program: &str, name: &str) -> Self {
        let (channel, theirs) = UnixStream::pair().unwrap();
        channel.set_read_timeout(Some(HANG_GUARD)).unwrap();
        channel.set_write_timeout(Some(HANG_GUARD)).unwrap();
        let theirs = OwnedFd::from(theirs);
        let process = Command::new(program)
            .arg0(name)
            .env_clear()
            .stdin(theirs.try_clone().unwrap())
            .stdout(theirs)
            .spawn()
            .unwrap();
        Self { channel, process }
    }

    /// Starts `program` and takes its hello.
    pub(crate) fn ready(program: &str, name: &str) -> Self {
        let mut handler = Self::start(program, name);
        assert_eq!(handler.receive(), (Header::hello(), vec![]));
        handler
    }

    pub(crate) fn send(&mut self, id: u32, payload: &[u8]) {
        let header = Header::request(id, payload.len() as u32).encode();
        self.channel
            .write_all(&[&header, payload].concat())
            .unwrap();
    }

    pub(crate) fn receive(&mut self) -> (Header, Vec<u8>) {
        let mut header = [0; HEADER_LEN];
        self.channel.read_exact(&mut header).unwrap();
        let header = Header::decode(&header).unwrap();
        let mut payload = vec![0; header.length as usize];
        self.channel.read_exact(&mut payload).unwrap();
        (header, payload)
    }

    /// Sends request `id` and takes its reply: status and payload.
    pub(crate) fn call(&mut self, id: u32, payload: &[u8]) -> (u32, Vec<u8>) {
        self.send(id, payload);
        let (header, reply) = self.receive();
        assert_eq!(header.id, id);
        (header.status, reply)
    }

    /// A field of the process's status, as the kernel tells it.
    pub(crate) fn status(&self, field: &str) -> String {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).unwrap();
        let prefix = format!("{field}:\t");
        let mut values = status.lines().filter_map(|line| line.strip_prefix(&prefix));
        values.next().unwrap().trim().to_owned()
    }

    /// Whether the process still runs after a moment in which it could have ended. One that does never fails this, however long that was.
    pub(crate) fn lives(&mut self) -> bool {
        std::thread::sleep(Duration::from_millis(100));
        self.process.try_wait().unwrap().is_none()
    }

    /// Everything that comes until the handler's end, and its exit status.
    pub(crate) fn rest(mut self) -> (Vec<u8>, ExitStatus) {
        let mut bytes = Vec::new();
        // A handler that dies with a request unread leaves a reset behind what it has written.
        let _ = self.channel.read_to_end(&mut bytes);
        (bytes, self.wait())
    }

    /// Closes the channel; how the handler ends then.
    pub(crate) fn close(self) -> ExitStatus {
        self.channel.shutdown(std::net::Shutdown::Write).unwrap();
        self.wait()
    }

    /// Kills it, and waits for its end.
    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    fn wait(mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < HANG_GUARD, "the handler still runs");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether handlers started here have privileges to drop.
pub(crate) fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.contains("\nUid:\t0\t0\t0\t0\n")
}
