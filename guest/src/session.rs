// SPDX-License-Identifier: MIT OR Apache-2.0
//! umd_test's file: an open file owns one driver with the hostile handler.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::io::Errno;

use crate::time::{ms, slowness};

/// Its module.
pub(crate) const MODULE: &str = "umd_test";

const PATH: &str = "/sys/kernel/security/umd_test";

/// The deadline of its drivers, and of their starts: for a slow machine it is built with another.
pub(crate) fn deadline() -> Duration {
    ms(if slowness() > 1 { 5_000 } else { 500 })
}

/// Room for the reply to a call, where its length does not matter.
const ROOM: usize = 64;

/// What a command gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The reply to a call; nothing for other commands.
    Good(Vec<u8>),
    /// The errno, and what it means.
    Bad(Errno, String),
}

/// An open file. Dropping it unregisters its driver.
pub(crate) struct Session(File);

impl Session {
    /// A session without a driver.
    pub(crate) fn open() -> Result<Self> {
        let file = File::options().read(true).write(true).open(PATH);
        Ok(Self(file.with_context(|| format!("opening {PATH}"))?))
    }

    /// A session with a driver of this name.
    pub(crate) fn load(name: &str) -> Result<Self> {
        Self::with("load", name)
    }

    /// A session with a driver that `command` registers.
    pub(crate) fn with(command: &str, name: &str) -> Result<Self> {
        let session = Self::open()?;
        session
            .command(&format!("{command} {name}"))?
            .expect(b"")
            .with_context(|| format!("{command} {name}"))?;
        Ok(session)
    }

    /// Gives a command and reads its result.
    pub(crate) fn command(&self, text: &str) -> Result<Answer> {
        self.write(text)
            .with_context(|| format!("command {text:?}"))?;
        self.result()
    }

    /// The same with a command that is no text.
    pub(crate) fn command_bytes(&self, command: &[u8]) -> Result<Answer> {
        rustix::io::write(&self.0, command).context("a command")?;
        self.result()
    }

    /// Only writes a command: how many bytes were taken.
    pub(crate) fn write(&self, text: &str) -> Result<usize, Errno> {
        rustix::io::write(&self.0, text.as_bytes())
    }

    /// The result of the last command.
    pub(crate) fn result(&self) -> Result<Answer> {
        let mut bytes = Vec::new();
        let mut piece = vec![0; 1 << 16];
        loop {
            let count = rustix::io::pread(&self.0, &mut piece[..], bytes.len() as u64)?;
            bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
            if count == 0 {
                return parse(&bytes);
            }
        }
    }

    /// Asks the handler.
    pub(crate) fn call(&self, request: &str) -> Result<Answer> {
        self.call_for(ROOM, request)
    }

    /// Asks the handler for a reply of at most `size` bytes.
    pub(crate) fn call_for(&self, size: usize, request: &str) -> Result<Answer> {
        self.command(&format!("call {size} {request}"))
    }

    /// Starts a handler.
    pub(crate) fn start(&self) -> Result<Answer> {
        self.command("start")
    }

    /// Asks for an echo, and fails unless it comes.
    pub(crate) fn echo(&self) -> Result<()> {
        self.call("echo still here")?
            .expect(b"still here")
            .context("an echo")
    }
}

impl AsFd for Session {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Answer {
    /// Fails unless it is this reply.
    pub(crate) fn expect(&self, reply: &[u8]) -> Result<()> {
        match self {
            Self::Good(found) if found == reply => Ok(()),
            other => bail!(
                "the answer was {other}, not \"{}\"",
                String::from_utf8_lossy(reply)
            ),
        }
    }

    /// Fails unless it is this error, whose meaning contains `words`.
    pub(crate) fn refused(&self, errno: Errno, words: &str) -> Result<()> {
        match self {
            Self::Bad(found, text) if *found == errno && text.contains(words) => Ok(()),
            other => bail!(
                "the answer was {other}, not error {} ({errno}) with \"{words}\"",
                errno.raw_os_error()
            ),
        }
    }

    /// The errno, if it is an error.
    pub(crate) fn errno(&self) -> Option<Errno> {
        match self {
            Self::Good(_) => None,
            Self::Bad(errno, _) => Some(*errno),
        }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Good(reply) if reply.len() > 64 => write!(f, "{} bytes", reply.len()),
            Self::Good(reply) => write!(f, "\"{}\"", String::from_utf8_lossy(reply)),
            Self::Bad(errno, text) => write!(f, "error {} ({text})", errno.raw_os_error()),
        }
    }
}

/// `ok`, `ok LENGTH` and a newline and as many bytes, or `error ERRNO MEANING`.
fn parse(bytes: &[u8]) -> Result<Answer> {
    let shown = || String::from_utf8_lossy(bytes.get(..80).unwrap_or(bytes)).into_owned();
    if bytes == b"ok" {
        return Ok(Answer::Good(Vec::new()));
    }
    if let Some(rest) = bytes.strip_prefix(b"error ") {
        let text = str::from_utf8(rest)?;
        let (number, meaning) = text.split_once(' ').context("an error without a meaning")?;
        let errno = Errno::from_raw_os_error(number.parse()?);
        return Ok(Answer::Bad(errno, meaning.to_owned()));
    }
    let rest = bytes.strip_prefix(b"ok ").with_context(shown)?;
    let line = rest.iter().position(|byte| *byte == b'\n');
    let (length, reply) = rest.split_at(line.with_context(shown)?);
    let reply = reply.get(1..).unwrap_or_default();
    let length: usize = str::from_utf8(length)?.parse()?;
    ensure!(
        reply.len() == length,
        "the result promises {length} bytes and has {}",
        reply.len()
    );
    Ok(Answer::Good(reply.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read() {
        assert_eq!(parse(b"ok").unwrap(), Answer::Good(vec![]));
        assert_eq!(
            parse(b"ok 3\na\nb").unwrap(),
            Answer::Good(b"a\nb".to_vec())
        );
        assert_eq!(
            parse(b"error 104 handler died").unwrap(),
            Answer::Bad(Errno::CONNRESET, "handler died".to_owned())
        );
        for wrong in [
            &b""[..],
            b"ok ",
            b"ok 2\na",
            b"error x y",
            b"error 5",
            b"what",
        ] {
            assert!(parse(wrong).is_err());
        }
    }
}
