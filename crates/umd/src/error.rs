// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a call, or the making of a driver, fails.

use std::fmt;
use std::time::Duration;

pub use umd_core::error::{Errno, LockdownCheck, Seen, StartError, Violation};
pub use umd_core::status::Denied;

/// Why a call brought no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    pub(crate) cause: Cause,
    pub(crate) exit: Option<Exit>,
    pub(crate) denied: Option<Denied>,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// On the request's way to the handler and back.
    Call(umd_core::error::Error),
    /// This request has killed two handlers in a row, and is not asked for so long.
    Quarantined(Duration),
    /// This process was forked from the one that made the driver, and has no part in its handlers.
    Forked,
}

/// How a handler ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Exit {
    /// It exited with this status.
    Exited(u8),
    /// This signal killed it: 9 where umd did.
    Signaled(u8),
    /// Somebody else in this program has asked first (`waitpid(-1)`), or SIGCHLD is ignored.
    Unknown,
}

impl Error {
    /// What went wrong.
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// How the handler ended, where it did because of this, and within the time that a caller can wait.
    pub fn exit(&self) -> Option<Exit> {
        self.exit
    }

    /// Which system call it was denied, *as it says itself*: only with [`diagnose`](crate::Builder::diagnose).
    pub fn denied(&self) -> Option<Denied> {
        self.denied
    }

    /// Had a handler read the whole request? Then it may have acted on it. `None` where that does not matter: it was answered, or
    /// never sent.
    pub fn request_was_read(&self) -> Option<Seen> {
        use umd_core::error::Error as Call;
        match self.cause {
            Cause::Call(Call::TimedOut(seen)) => Some(seen),
            Cause::Call(Call::ConnectionReset | Call::BadMessage(_)) => Some(Seen::Read),
            Cause::Call(Call::ConnectionRefused) => Some(Seen::Unread),
            _ => None,
        }
    }

    /// The number that says so in the kernel's terms, as errno(3).
    pub fn errno(&self) -> i32 {
        match self.cause {
            Cause::Call(error) => error.errno().get(),
            Cause::Quarantined(_) => rustix::io::Errno::CANCELED.raw_os_error(),
            Cause::Forked => rustix::io::Errno::CHILD.raw_os_error(),
        }
    }
}

impl From<umd_core::error::Error> for Error {
    fn from(error: umd_core::error::Error) -> Self {
        Cause::Call(error).into()
    }
}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            exit: None,
            denied: None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::Call(error @ umd_core::error::Error::Rejected(status)) => {
                write!(f, "{error}: status {status}")?;
            }
            Cause::Call(error) => write!(f, "{error}")?,
            Cause::Quarantined(left) => write!(
                f,
                "this request has killed two handlers in a row, and is refused for another {} s",
                left.as_secs().max(1)
            )?,
            Cause::Forked => f.write_str(
                "this process was forked after the driver was built: build drivers after the fork",
            )?,
        }
        match self.exit {
            Some(Exit::Exited(status)) => write!(f, " (handler: exit {status})")?,
            Some(Exit::Signaled(signal)) => write!(f, " (handler: signal {signal})")?,
            Some(Exit::Unknown) => f.write_str(" (handler: somebody else reaped it)")?,
            None => {}
        }
        match self.denied {
            Some(denied) => write!(
                f,
                " (it says that it was denied: {} {})",
                denied.name(),
                denied.number()
            ),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// Why a typed call brought no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError<W> {
    /// The call failed.
    Failed(Error),
    /// There is a reply, and it is wrong.
    Wrong(W),
}

impl<W> From<Error> for CallError<W> {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl<W: fmt::Debug> fmt::Display for CallError<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::Wrong(wrong) => write!(f, "the handler's reply is wrong: {wrong:?}"),
        }
    }
}

impl<W: fmt::Debug> std::error::Error for CallError<W> {}

/// Why there is no driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// The name is not 1 to 31 letters, digits, `_`, `-`.
    Name,
    /// The blob is no ELF executable for this machine.
    NotExecutable,
    /// The blob wants an interpreter: it is not linked statically.
    Dynamic,
    /// A number is out of range: which one, and the range.
    OutOfRange {
        /// As the builder's method is called.
        what: &'static str,
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// The image could not be made.
    Image(Errno),
    /// `vm.memfd_noexec` forbids executable memory, and no directory takes an executable file without a name.
    NoExecutableMemory,
    /// A thread, a descriptor or memory is missing.
    Resources(Errno),
}

impl BuildError {
    pub(crate) fn image(errno: rustix::io::Errno) -> Self {
        Self::Image(Errno::new(errno.raw_os_error()))
    }

    pub(crate) fn resources(errno: rustix::io::Errno) -> Self {
        Self::Resources(Errno::new(errno.raw_os_error()))
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |errno: &Errno| std::io::Error::from_raw_os_error(errno.get());
        match self {
            Self::Name => f.write_str(
                "the driver's name has 1 to 31 characters: letters, digits, underscores and hyphens",
            ),
            Self::NotExecutable => {
                f.write_str("the blob is no ELF executable for x86-64: was it built for this machine?")
            }
            Self::Dynamic => f.write_str(
                "the blob is linked dynamically: link it statically (-Ctarget-feature=+crt-static)",
            ),
            Self::OutOfRange { what, least, most } => {
                write!(f, "{what} is out of range: {least} to {most}")
            }
            Self::Image(errno) => write!(f, "the image cannot be made: {}", words(errno)),
            Self::NoExecutableMemory => f.write_str(
                "executable memory is forbidden (sysctl vm.memfd_noexec is 2), and /dev/shm, /run, /var/tmp and /tmp \
                 take no executable file: set vm.memfd_noexec to 1 or 0, or mount one of them without noexec",
            ),
            Self::Resources(errno) => write!(f, "a thread or descriptor cannot be made: {}", words(errno)),
        }
    }
}

impl std::error::Error for BuildError {}
