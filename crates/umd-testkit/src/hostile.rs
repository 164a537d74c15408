// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `hostile-handler` can do wrong.

use crate::number;

/// Most bytes of a request, and of the reply to `fill`.
pub const MOST: usize = 256 * 1024;

/// Bytes that the header of the reply to `long` promises, and that follow it.
pub const LONG: u32 = 16 << 20;

/// Status of the refusal of a text that is no [`Ask`].
pub const UNKNOWN: u32 = 64;

/// Exit status of a handler whose name is no [`Start`]'s.
pub const UNKNOWN_NAME: i32 = 64;

/// What it does at its start, chosen by its name.
///
/// After a start that it survives it serves requests as any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// `hostile`, or any name that begins with `test-`: what a handler should.
    Normal,
    /// `hostile-exit`: exits with status 7 before anything else.
    Exit,
    /// `hostile-segv`: dies of SIGSEGV before anything else.
    Segv,
    /// `hostile-silent`: locks down, then spins and never says hello.
    Silent,
    /// `hostile-badmagic`: its hello begins with a wrong byte.
    BadMagic,
    /// `hostile-version`: its hello is of another version of the wire.
    Version,
    /// `hostile-root`: keeps its uid, gid and groups.
    Root,
    /// `hostile-caps`: drops its ids but keeps CAP_SETUID, permitted and effective.
    Caps,
    /// `hostile-thread`: has a second thread, made before anything else, that sleeps for ever.
    Thread,
    /// `hostile-child`: has a child, made before anything else, that sleeps for ever.
    Child,
    /// `hostile-sibling`: tries to have a process beside it that shares its memory and is no child of
    /// its own; then serves.
    Sibling,
    /// `hostile-file`: puts an eventfd in the place of its standard error.
    File,
    /// `hostile-lax`: drops its ids but does not ask for seccomp strict mode.
    Lax,
    /// `hostile-crash`: says hello, then exits with status 8.
    Crash,
    /// `hostile-early`: says hello, then answers request 1, which nobody has sent, with `early`.
    Early,
    /// `hostile-halfread`: says hello, reads eight bytes of the first request, then exits with
    /// status 3.
    HalfRead,
    /// `hostile-hasty`: says hello, reads the header of the first request, and answers it with `hasty`
    /// before it has read the rest.
    Hasty,
}

impl Start {
    /// All starts.
    pub const ALL: [Self; 17] = [
        Self::Normal,
        Self::Exit,
        Self::Segv,
        Self::Silent,
        Self::BadMagic,
        Self::Version,
        Self::Root,
        Self::Caps,
        Self::Thread,
        Self::Child,
        Self::Sibling,
        Self::File,
        Self::Lax,
        Self::Crash,
        Self::Early,
        Self::HalfRead,
        Self::Hasty,
    ];

    /// The driver's name that asks for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "hostile",
            Self::Exit => "hostile-exit",
            Self::Segv => "hostile-segv",
            Self::Silent => "hostile-silent",
            Self::BadMagic => "hostile-badmagic",
            Self::Version => "hostile-version",
            Self::Root => "hostile-root",
            Self::Caps => "hostile-caps",
            Self::Thread => "hostile-thread",
            Self::Child => "hostile-child",
            Self::Sibling => "hostile-sibling",
            Self::File => "hostile-file",
            Self::Lax => "hostile-lax",
            Self::Crash => "hostile-crash",
            Self::Early => "hostile-early",
            Self::HalfRead => "hostile-halfread",
            Self::Hasty => "hostile-hasty",
        }
    }

    /// The start of that name.
    pub fn named(name: &[u8]) -> Option<Self> {
        if name.starts_with(b"test-") {
            return Some(Self::Normal);
        }
        Self::ALL
            .into_iter()
            .find(|start| start.name().as_bytes() == name)
    }
}

/// What a request asks for, in ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask<'a> {
    /// `echo TEXT`: the reply is TEXT.
    Echo(&'a [u8]),
    /// `fill N`: the reply has N bytes, at most [`MOST`]; each is its index modulo 251.
    Fill(usize),
    /// `status`: the reply is the handler's name.
    Status,
    /// `refuse N`: a reply with status N.
    Refuse(u32),
    /// `exit N`: it exits with status N.
    Exit(u8),
    /// `segv`: it dies of SIGSEGV.
    Segv,
    /// `syscall`: it calls getpid, which is death under lockdown; else the reply is `allowed`.
    Syscall,
    /// `spin`: it computes for ever.
    Spin,
    /// `ignore`: no reply; it waits for the next request.
    Ignore,
    /// `short-die`: half of a reply, then exit with status 9.
    ShortDie,
    /// `short-hang`: half of a reply, then it computes for ever.
    ShortHang,
    /// `long`: a reply of [`LONG`] bytes.
    Long,
    /// `wrong-id`: a reply whose id is the request's plus one.
    WrongId,
    /// `wrong-magic`: a reply that begins with a wrong byte.
    WrongMagic,
    /// `twice`: the right reply, `twice`, two times.
    Twice,
}

impl<'a> Ask<'a> {
    /// Reads a request's text.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let space = text.iter().position(|byte| *byte == b' ');
        let (verb, argument) = match space {
            Some(at) => (text.get(..at)?, Some(text.get(at + 1..)?)),
            None => (text, None),
        };
        Some(match (verb, argument) {
            (b"echo", Some(text)) => Self::Echo(text),
            (b"fill", Some(count)) => {
                Self::Fill(number(count).filter(|count: &usize| *count <= MOST)?)
            }
            (b"refuse", Some(status)) => Self::Refuse(number(status)?),
            (b"exit", Some(status)) => Self::Exit(number(status)?),
            (b"status", None) => Self::Status,
            (b"segv", None) => Self::Segv,
            (b"syscall", None) => Self::Syscall,
            (b"spin", None) => Self::Spin,
            (b"ignore", None) => Self::Ignore,
            (b"short-die", None) => Self::ShortDie,
            (b"short-hang", None) => Self::ShortHang,
            (b"long", None) => Self::Long,
            (b"wrong-id", None) => Self::WrongId,
            (b"wrong-magic", None) => Self::WrongMagic,
            (b"twice", None) => Self::Twice,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_start_is_found_by_its_name() {
        for start in Start::ALL {
            assert_eq!(Start::named(start.name().as_bytes()), Some(start));
        }
        assert_eq!(Start::named(b"hostile-"), None);
    }

    #[test]
    fn asks_are_read() {
        for (text, ask) in [
            (&b"echo a b"[..], Ask::Echo(b"a b")),
            (b"echo ", Ask::Echo(b"")),
            (b"fill 262144", Ask::Fill(MOST)),
            (b"refuse 4294967295", Ask::Refuse(u32::MAX)),
            (b"exit 255", Ask::Exit(255)),
            (b"short-hang", Ask::ShortHang),
        ] {
            assert_eq!(Ask::parse(text), Some(ask));
        }
        for text in [
            &b""[..],
            b"echo",
            b"fill",
            b"fill 262145",
            b"fill -1",
            b"exit 256",
            b"spin ",
            b"spin 1",
            b"SPIN",
        ] {
            assert_eq!(Ask::parse(text), None);
        }
    }
}
