// SPDX-License-Identifier: MIT OR Apache-2.0
//! One error type for every way in which a call can fail, each with its errno.

use core::fmt;
use core::num::NonZeroU32;

/// An error number of Linux, as in `<errno.h>`; always in 1..=4095.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(i32);

macro_rules! errnos {
    ($($name:ident = $value:literal, $doc:literal;)*) => {
        impl Errno {
            $(#[doc = $doc] pub const $name: Errno = Errno($value);)*

            /// The symbolic name, where this crate has one.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

errnos! {
    EPERM = 1, "Operation not permitted.";
    ENOENT = 2, "No such file or directory.";
    EINTR = 4, "Interrupted system call.";
    EIO = 5, "Input/output error.";
    ENOEXEC = 8, "Exec format error.";
    EAGAIN = 11, "Try again.";
    ENOMEM = 12, "Out of memory.";
    EFAULT = 14, "Bad address.";
    EBUSY = 16, "Device or resource busy.";
    EEXIST = 17, "File exists.";
    ENODEV = 19, "No such device.";
    EINVAL = 22, "Invalid argument.";
    ENFILE = 23, "Too many open files in the system.";
    EMFILE = 24, "Too many open files.";
    ENOSPC = 28, "No space left.";
    EPIPE = 32, "Broken pipe.";
    EBADMSG = 74, "Bad message.";
    EMSGSIZE = 90, "Message too long.";
    ENOPROTOOPT = 92, "Protocol not available.";
    ECONNRESET = 104, "Connection reset by peer.";
    ESHUTDOWN = 108, "Cannot send after shutdown.";
    ETIMEDOUT = 110, "Connection timed out.";
    ECONNREFUSED = 111, "Connection refused.";
    EHOSTDOWN = 112, "Host is down.";
    EREMOTEIO = 121, "Remote I/O error.";
}

impl Errno {
    /// The errno with this number, `EIO` where it is none (outside 1..=4095).
    pub const fn new(number: i32) -> Self {
        if number >= 1 && number <= 4095 {
            Self(number)
        } else {
            Self::EIO
        }
    }

    /// The number, positive.
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

/// Whether the handler had read any byte of the request when the call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Not one byte: asking another handler cannot do a thing twice.
    Unread,
    /// Some or all of it: whatever the handler does, it may have done.
    Read,
}

/// How a handler broke the rules of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A frame that does not begin with the magic.
    Magic,
    /// A frame of another version of the wire.
    Version,
    /// A first frame that is no hello.
    Hello,
    /// A reply to another request than the one that was asked.
    Id,
    /// A reply longer than the caller's buffer.
    TooLong,
    /// A refusal that carries a payload.
    Refusal,
    /// A reply before the request was read to its end.
    Early,
    /// Bytes that nobody asked for.
    Unasked,
}

/// A check of the handler's task that failed; the handler is killed before it sees a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockdownCheck {
    /// The task is not alone: it has another thread, a child, or a ring of io_uring.
    Threads,
    /// One of its user or group ids is not 65534, or it has supplementary groups.
    Ids,
    /// It holds a capability.
    Capabilities,
    /// no_new_privs is not set.
    NoNewPrivs,
    /// Strict mode could not be put in force: another seccomp mode is.
    Seccomp,
    /// It holds a descriptor of something other than its channel.
    Files,
    /// The host had no memory for new credentials: no fault of the handler's.
    Memory,
}

/// Why a handler could not be brought into service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// The kernel did not execute the image; its own reason.
    Exec(Errno),
    /// It died before it was in service.
    Died,
    /// It was not in service within the start deadline.
    TimedOut,
    /// What it said was no hello.
    Hello(Violation),
    /// It had not given up what it must.
    Lockdown(LockdownCheck),
    /// It failed the driver's health check, which gave this errno.
    Health(Errno),
    /// The driver was unloaded or restarted meanwhile.
    Aborted,
    /// The caller received a fatal signal meanwhile.
    Interrupted,
}

/// Why a call did not bring a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The caller's argument is out of range.
    InvalidArgument,
    /// The request is longer than the driver's policy allows.
    RequestTooLong,
    /// As many callers are waiting as the policy allows.
    Busy,
    /// The caller received a fatal signal.
    Interrupted,
    /// The deadline passed. The handler, if it was working on the request, has been killed.
    TimedOut(Seen),
    /// The handler died after it had read the request.
    ConnectionReset,
    /// The handler died twice, each time before it had read the request.
    ConnectionRefused,
    /// The reply breaks the rules of the wire, or the manager's own. The handler has been killed.
    BadMessage(Violation),
    /// The handler answered that it will not do this; its own number.
    Rejected(NonZeroU32),
    /// No handler could be started.
    Start(StartError),
    /// Too many handlers died in a row. Nothing is started until the window of the restart policy
    /// has passed, or somebody restarts the driver.
    Failed,
    /// The driver is being unloaded.
    Unloading,
    /// The driver has no image.
    NotLoaded,
    /// The host has no memory for this.
    NoMemory,
}

impl StartError {
    /// The errno under which a start's failure is reported.
    pub const fn errno(self) -> Errno {
        match self {
            Self::Exec(errno) => errno,
            Self::Died => Errno::ECONNREFUSED,
            Self::TimedOut => Errno::ETIMEDOUT,
            Self::Hello(_) | Self::Health(_) => Errno::EBADMSG,
            Self::Lockdown(LockdownCheck::Memory) => Errno::ENOMEM,
            Self::Lockdown(_) => Errno::EPERM,
            Self::Aborted => Errno::ESHUTDOWN,
            Self::Interrupted => Errno::EINTR,
        }
    }
}

impl Error {
    /// The errno under which this is reported where only an errno can be.
    pub const fn errno(self) -> Errno {
        match self {
            Self::InvalidArgument => Errno::EINVAL,
            Self::RequestTooLong => Errno::EMSGSIZE,
            Self::Busy => Errno::EAGAIN,
            Self::Interrupted => Errno::EINTR,
            Self::TimedOut(_) => Errno::ETIMEDOUT,
            Self::ConnectionReset => Errno::ECONNRESET,
            Self::ConnectionRefused => Errno::ECONNREFUSED,
            Self::BadMessage(_) => Errno::EBADMSG,
            Self::Rejected(_) => Errno::EREMOTEIO,
            Self::Start(error) => error.errno(),
            Self::Failed => Errno::EHOSTDOWN,
            Self::Unloading => Errno::ESHUTDOWN,
            Self::NotLoaded => Errno::ENOPROTOOPT,
            Self::NoMemory => Errno::ENOMEM,
        }
    }

    /// What happened, in a few words for a log line.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::InvalidArgument => "argument out of range",
            Self::RequestTooLong => "request longer than the policy allows",
            Self::Busy => "too many callers waiting",
            Self::Interrupted => "caller received a fatal signal",
            Self::TimedOut(Seen::Unread) => "deadline passed, request unread",
            Self::TimedOut(Seen::Read) => "deadline passed, request read",
            Self::ConnectionReset => "handler died with the request in hand",
            Self::ConnectionRefused => "handler died before it read the request",
            Self::BadMessage(violation) => violation.describe(),
            Self::Rejected(_) => "handler refused the request",
            Self::Start(error) => error.describe(),
            Self::Failed => "too many deaths in a row",
            Self::Unloading => "driver is being unloaded",
            Self::NotLoaded => "driver has no image",
            Self::NoMemory => "out of memory",
        }
    }

    /// The error as two numbers, for a C boundary; [`Error::from_code`] turns them back.
    pub const fn code(self) -> (u32, u32) {
        match self {
            Self::InvalidArgument => (1, 0),
            Self::RequestTooLong => (2, 0),
            Self::Busy => (3, 0),
            Self::Interrupted => (4, 0),
            Self::TimedOut(Seen::Unread) => (5, 0),
            Self::TimedOut(Seen::Read) => (5, 1),
            Self::ConnectionReset => (6, 0),
            Self::ConnectionRefused => (7, 0),
            Self::BadMessage(violation) => (8, violation as u32),
            Self::Rejected(status) => (9, status.get()),
            Self::Failed => (10, 0),
            Self::Unloading => (11, 0),
            Self::NotLoaded => (12, 0),
            Self::NoMemory => (13, 0),
            Self::Start(StartError::Exec(errno)) => (20, errno.0 as u32),
            Self::Start(StartError::Died) => (21, 0),
            Self::Start(StartError::TimedOut) => (22, 0),
            Self::Start(StartError::Hello(violation)) => (23, violation as u32),
            Self::Start(StartError::Lockdown(check)) => (24, check as u32),
            Self::Start(StartError::Health(errno)) => (25, errno.0 as u32),
            Self::Start(StartError::Aborted) => (26, 0),
            Self::Start(StartError::Interrupted) => (27, 0),
        }
    }

    /// The error that [`Error::code`] turned into these numbers.
    pub const fn from_code(kind: u32, detail: u32) -> Option<Self> {
        Some(match kind {
            1 => Self::InvalidArgument,
            2 => Self::RequestTooLong,
            3 => Self::Busy,
            4 => Self::Interrupted,
            5 if detail == 0 => Self::TimedOut(Seen::Unread),
            5 => Self::TimedOut(Seen::Read),
            6 => Self::ConnectionReset,
            7 => Self::ConnectionRefused,
            8 => match Violation::from_u32(detail) {
                Some(violation) => Self::BadMessage(violation),
                None => return None,
            },
            9 => match NonZeroU32::new(detail) {
                Some(status) => Self::Rejected(status),
                None => return None,
            },
            10 => Self::Failed,
            11 => Self::Unloading,
            12 => Self::NotLoaded,
            13 => Self::NoMemory,
            20 => Self::Start(StartError::Exec(Errno::new(detail as i32))),
            21 => Self::Start(StartError::Died),
            22 => Self::Start(StartError::TimedOut),
            23 => match Violation::from_u32(detail) {
                Some(violation) => Self::Start(StartError::Hello(violation)),
                None => return None,
            },
            24 => match LockdownCheck::from_u32(detail) {
                Some(check) => Self::Start(StartError::Lockdown(check)),
                None => return None,
            },
            25 => Self::Start(StartError::Health(Errno::new(detail as i32))),
            26 => Self::Start(StartError::Aborted),
            27 => Self::Start(StartError::Interrupted),
            _ => return None,
        })
    }
}

impl StartError {
    /// What happened, in a few words for a log line.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Exec(_) => "image could not be executed",
            Self::Died => "handler died during its start",
            Self::TimedOut => "handler not ready within the start deadline",
            Self::Hello(_) => "first frame is no hello",
            Self::Lockdown(check) => check.describe(),
            Self::Health(_) => "handler failed the health check",
            Self::Aborted => "start was aborted",
            Self::Interrupted => "caller received a fatal signal during the start",
        }
    }
}

impl Violation {
    /// What happened, in a few words for a log line.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Magic => "frame without the magic",
            Self::Version => "frame of another version",
            Self::Hello => "first frame is no hello",
            Self::Id => "reply to another request",
            Self::TooLong => "reply longer than the buffer",
            Self::Refusal => "refusal with a payload",
            Self::Early => "reply before the request was read",
            Self::Unasked => "bytes that nobody asked for",
        }
    }

    const fn from_u32(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Magic,
            1 => Self::Version,
            2 => Self::Hello,
            3 => Self::Id,
            4 => Self::TooLong,
            5 => Self::Refusal,
            6 => Self::Early,
            7 => Self::Unasked,
            _ => return None,
        })
    }
}

impl LockdownCheck {
    /// What the host found, in a few words for a log line.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Threads => "lockdown: handler is not alone",
            Self::Ids => "lockdown: handler kept an id or a group",
            Self::Capabilities => "lockdown: handler kept a capability",
            Self::NoNewPrivs => "lockdown: no_new_privs is off",
            Self::Seccomp => "lockdown: seccomp is in another mode",
            Self::Files => "lockdown: handler has another file open",
            Self::Memory => "lockdown: no memory for the handler's credentials",
        }
    }

    /// The check with this number, as in [`Error::code`].
    pub const fn from_u32(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Threads,
            1 => Self::Ids,
            2 => Self::Capabilities,
            3 => Self::NoNewPrivs,
            4 => Self::Seccomp,
            5 => Self::Files,
            6 => Self::Memory,
            _ => return None,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe())
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_comes_back_as_the_same_error() {
        let mut found = 0;
        for kind in 0..64 {
            for detail in 0..130 {
                if let Some(error) = Error::from_code(kind, detail) {
                    let (back, argument) = error.code();
                    assert_eq!(back, kind, "{error:?}");
                    assert_eq!(Error::from_code(back, argument), Some(error));
                    assert!((1..=4095).contains(&error.errno().get()));
                    assert!(!error.describe().is_empty());
                    found += 1;
                }
            }
        }
        assert!(found > 30);
        assert_eq!(Error::from_code(0, 0), None);
        assert_eq!(Error::from_code(9, 0), None);
    }

    #[test]
    fn the_errnos_of_the_interface_are_pinned() {
        assert_eq!(Error::ConnectionReset.errno().get(), 104);
        assert_eq!(Error::TimedOut(Seen::Read).errno().get(), 110);
        assert_eq!(Error::BadMessage(Violation::Id).errno().get(), 74);
        assert_eq!(Error::Failed.errno().get(), 112);
        assert_eq!(Error::Unloading.errno().get(), 108);
        assert_eq!(Error::Busy.errno().get(), 11);
        assert_eq!(Errno::new(0), Errno::EIO);
        assert_eq!(Errno::new(4096), Errno::EIO);
    }
}
