// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `hostile-handler` can do wrong, and how it is asked to.
//!
//! What a host shall make of it is in [`mod@crate::matrix`].

use crate::number;

/// Most bytes of a request, and of the reply to `fill`.
pub const MOST: usize = 256 * 1024;

/// Bytes that the header of the reply to `long` promises, and that follow it.
pub const LONG: u32 = 16 << 20;

/// Status of the refusal of a text that is no [`Ask`].
pub const UNKNOWN: u32 = 64;

/// Exit status of a handler whose name is no [`Start`]'s.
pub const UNKNOWN_NAME: i32 = 64;

/// Exit status of a handler that could not misbehave as it was told to.
pub const UNABLE: i32 = 99;

/// An enumeration whose variants have names on the wire.
macro_rules! named {
    (
        $(#[$outer:meta])*
        $type:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }
    ) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type {
            $(#[doc = concat!("`", $name, "`: ")] $(#[$doc])* $variant,)*
        }

        impl $type {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name that asks for it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            fn find(name: &[u8]) -> Option<Self> {
                let mut all = Self::ALL.iter().copied();
                all.find(|one| one.name().as_bytes() == name)
            }
        }
    };
}

named! {
    /// What it does at its start, chosen by its name.
    ///
    /// After a start that it survives it serves requests as any other.
    Start {
        /// What a handler should. So does any name that begins with `test-`.
        Normal = "hostile",
        /// Exits with status 7 before anything else.
        Exit = "hostile-exit",
        /// Dies of SIGSEGV before anything else.
        Segv = "hostile-segv",
        /// Locks down, then spins and never says hello.
        Silent = "hostile-silent",
        /// Its hello begins with a wrong byte.
        BadMagic = "hostile-badmagic",
        /// Its hello is of another version of the wire.
        Version = "hostile-version",
        /// Its hello has a status.
        HelloStatus = "hostile-hellostatus",
        /// Its hello promises a payload, which follows.
        HelloPayload = "hostile-hellopayload",
        /// Its hello has the id of the first request.
        HelloId = "hostile-helloid",
        /// Its hello comes byte by byte. That is as good as any.
        HelloDrip = "hostile-hellodrip",
        /// Half of a hello, then exit with status 6.
        HelloDie = "hostile-hellodie",
        /// Half of a hello, then it computes for ever.
        HelloHang = "hostile-hellohang",
        /// Says hello twice.
        HelloTwice = "hostile-hellotwice",
        /// Says hello for ever.
        HelloEndless = "hostile-helloendless",
        /// Keeps its uid, gid and groups.
        Root = "hostile-root",
        /// Drops its ids but keeps CAP_SETUID, permitted and effective.
        Caps = "hostile-caps",
        /// Has a second thread, made before anything else, that sleeps for ever.
        Thread = "hostile-thread",
        /// Has a child, made before anything else, that sleeps for ever.
        Child = "hostile-child",
        /// Tries to have a process beside it that shares its memory and is no child of
        /// its own; then serves.
        Sibling = "hostile-sibling",
        /// Puts an eventfd in the place of its standard error.
        File = "hostile-file",
        /// Puts a ring of io_uring in the place of its standard error.
        Ring = "hostile-ring",
        /// Drops its ids but does not ask for seccomp strict mode.
        Lax = "hostile-lax",
        /// Has a seccomp filter of its own, which allows everything, so that strict mode is refused.
        Filter = "hostile-filter",
        /// Closes its channel before its hello, then computes for ever.
        Closes = "hostile-closes",
        /// Executes itself, over and over.
        Exec = "hostile-exec",
        /// Stops itself by SIGSTOP before its hello, if it may; then serves.
        Stop = "hostile-stop",
        /// Kills itself by SIGKILL before its hello, if it may; then serves.
        Kill = "hostile-kill",
        /// Says hello, then exits with status 8.
        Crash = "hostile-crash",
        /// Says hello, then answers request 1, which nobody has sent, with `early`.
        Early = "hostile-early",
        /// Says hello, reads eight bytes of the first request, then exits with
        /// status 3.
        HalfRead = "hostile-halfread",
        /// Says hello, reads eight bytes of the first request, then computes for ever.
        HalfHang = "hostile-halfhang",
        /// Says hello, reads the header of the first request, and answers it with `hasty`
        /// before it has read the rest.
        Hasty = "hostile-hasty",
        /// Says hello, then computes for ever and reads nothing.
        Deaf = "hostile-deaf",
        /// Says hello, and reads every request byte by byte. That is as good as any.
        ReadDrip = "hostile-readdrip",
        /// Says hello, and reads with room for 2^40 bytes, which it has not. That is its own affair.
        ReadHuge = "hostile-readhuge",
        /// Says hello, and reads the first request's payload to memory where it cannot be put before
        /// it reads it to where it can. Its reply is what those reads gave.
        ReadAstray = "hostile-readastray",
    }
}

impl Start {
    /// The start of that name.
    pub fn named(name: &[u8]) -> Option<Self> {
        if name.starts_with(b"test-") {
            return Some(Self::Normal);
        }
        Self::find(name)
    }
}

named! {
    /// What it does with a request in hand, with no system calls but read, write and exit.
    Act {
        /// It dies of SIGSEGV.
        Segv = "segv",
        /// It calls getpid, which is death under lockdown; else the reply is `allowed`.
        Syscall = "syscall",
        /// It computes for ever.
        Spin = "spin",
        /// No reply; it waits for the next request.
        Ignore = "ignore",
        /// It reads no bytes, over and over.
        ReadNothing = "read-nothing",
        /// Half of a reply, then exit with status 9.
        ShortDie = "short-die",
        /// Half of a reply, then it computes for ever.
        ShortHang = "short-hang",
        /// Half of a reply's header, then exit with status 5.
        HeaderDie = "header-die",
        /// Half of a reply's header, then it computes for ever.
        HeaderHang = "header-hang",
        /// The right reply, `gone`, then exit with status 4.
        AnswerDie = "answer-die",
        /// A reply of [`LONG`] bytes.
        Long = "long",
        /// A header that promises as many bytes as a header can, and none of them.
        LengthMax = "length-max",
        /// A header that promises 64 bytes, five of them, and then it waits for the next request.
        PromisesMore = "promises-more",
        /// A header that promises two bytes, and five of them, in one write.
        PromisesLess = "promises-less",
        /// The right reply, `overlong`, and one byte more, in one write.
        Overlong = "overlong",
        /// A reply whose id is the request's plus one.
        WrongId = "wrong-id",
        /// A reply whose id is the request's minus one.
        OldId = "old-id",
        /// A hello in the place of a reply.
        HelloAgain = "hello-again",
        /// A reply that begins with a wrong byte.
        WrongMagic = "wrong-magic",
        /// A reply of another version of the wire.
        WrongVersion = "wrong-version",
        /// A refusal that carries a payload.
        RefuseLong = "refuse-long",
        /// No frame at all, but letters.
        Noise = "noise",
        /// The right reply, `twice`, two times.
        Twice = "twice",
        /// The right reply, `endless`, over and over, whatever becomes of it.
        Endless = "endless",
        /// The right reply, `drip`, byte by byte. That is as good as any.
        Drip = "drip",
        /// A reply of 64 bytes, byte by byte, with much computing before each.
        SlowDrip = "slow-drip",
        /// Writes of no bytes, over and over.
        WriteNothing = "write-nothing",
        /// The right reply, `huge`, at the begin of a write of 2^40 bytes.
        WriteHuge = "write-huge",
        /// The right reply, `late`, after more computing than any deadline waits for.
        Late = "late",
        /// The right reply, `stderr`, on descriptor 2.
        Stderr = "stderr",
        /// Replies from memory that is not there, is the kernel's, or cannot be; then what those gave.
        WriteAstray = "write-astray",
        /// A reply from memory of which all but the first bytes is not there, then the rest of it from
        /// elsewhere: [`TAIL`].
        Tail = "tail",
        /// A reply of 48 zeros from memory that nobody has touched yet.
        Untouched = "untouched",
        /// The right reply, `first`, whose memory it changes as soon as it is written.
        Changed = "changed",
        /// It calls itself without end until its stack does.
        StackOverflow = "stack-overflow",
        /// Writes to its own code, which is death.
        WriteCode = "write-code",
        /// Executes its stack, which is death.
        RunStack = "run-stack",
        /// An instruction that only the kernel may use, which is death.
        Privileged = "privileged",
    }
}

/// The reply to [`Act::Tail`].
pub const TAIL: &[u8] = b"tail, and what has no place there";

named! {
    /// What it tries with a request in hand, by system calls that strict mode forbids. Its reply is what each
    /// of them gave, decimal, with spaces between: 0 or more, or an errno below zero. What a reply cannot tell
    /// is said here.
    Try {
        /// fork, vfork, clone, clone3.
        Fork = "fork",
        /// A second thread, which would change a reply while it is copied.
        Thread = "thread",
        /// Executes `/bin/sh`, and a file that is in memory only.
        ExecOther = "exec-other",
        /// Executes itself. If that succeeds there is no reply.
        ExecItself = "exec-itself",
        /// Maps memory until it gets no more; then how many MiB it had, and the last errno.
        MapStorm = "map-storm",
        /// Raises its break until it gets no more; then how many MiB it had, in powers of two.
        BrkStorm = "brk-storm",
        /// Locks memory.
        Lock = "lock",
        /// Replies from memory that was taken away, is protected, or beyond a file's end; then what those gave.
        VanishedMemory = "vanished-memory",
        /// A reply of 48 zeros from memory that madvise has emptied of something else.
        Emptied = "emptied",
        /// Closes standard output, then replies `closed` there.
        CloseOne = "close-one",
        /// Closes standard input, then replies `closed`.
        CloseInput = "close-input",
        /// Closes all descriptors, then computes for ever.
        CloseAll = "close-all",
        /// Puts another file in the place of standard output.
        DupOver = "dup-over",
        /// Sends its channel to itself over a pair of sockets, forgets both, replies on standard input, and exits.
        PassChannel = "pass-channel",
        /// SIGSTOP to itself.
        Stop = "stop",
        /// SIGKILL to itself.
        Kill = "kill",
        /// Blocks all signals, then computes for ever.
        BlockSignals = "block-signals",
        /// Asks to be traced, then stops.
        TraceMe = "trace-me",
        /// Sleeps for ever.
        Sleep = "sleep",
        /// Polls its channel without end.
        Poll = "poll",
        /// Opens the root directory, `/proc`, `/dev/mem` and its image to write; makes a file.
        Files = "files",
        /// Sockets of every kind.
        Sockets = "sockets",
        /// io_uring_setup, and asynchronous I/O of the older kind.
        Rings = "rings",
        /// userfaultfd, for the kernel's accesses and for its own.
        Faults = "faults",
        /// add_key, keyctl.
        Keys = "keys",
        /// bpf, perf_event_open.
        Programs = "programs",
        /// prctl and seccomp, to be less confined.
        Undo = "undo",
        /// capset, setresuid and the like, to be root again.
        Ids = "ids",
        /// unshare, setns, mount, umount, pivot_root, chroot.
        Namespaces = "namespaces",
        /// Signals to others: to process 1, to its parent, to all.
        Signals = "signals",
        /// The memory of others: process_vm_readv, ptrace, kcmp.
        Memory = "memory",
        /// setrlimit and prlimit, to have more.
        Limits = "limits",
        /// Shared memory, semaphores and queues that outlive it.
        Ipc = "ipc",
        /// To be served before others: setpriority, sched_setscheduler, ioprio_set.
        Priority = "priority",
        /// What only an administrator may: modules, kexec, reboot, clocks, ports.
        Admin = "admin",
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
    /// An act's name.
    Do(Act),
    /// `try NAME`.
    Try(Try),
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
            (b"try", Some(name)) => Self::Try(Try::find(name)?),
            (b"status", None) => Self::Status,
            (act, None) => Self::Do(Act::find(act)?),
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
            assert_eq!(Start::named(start.name().as_bytes()), Some(*start));
        }
        assert_eq!(Start::named(b"hostile-"), None);
    }

    #[test]
    fn every_act_and_try_is_asked_for_by_its_name() {
        for act in Act::ALL {
            let text = act.name().as_bytes();
            assert_eq!(Ask::parse(text), Some(Ask::Do(*act)));
        }
        for what in Try::ALL {
            let text = std::format!("try {}", what.name());
            assert_eq!(Ask::parse(text.as_bytes()), Some(Ask::Try(*what)));
        }
    }

    #[test]
    fn asks_are_read() {
        for (text, ask) in [
            (&b"echo a b"[..], Ask::Echo(b"a b")),
            (b"echo ", Ask::Echo(b"")),
            (b"fill 262144", Ask::Fill(MOST)),
            (b"refuse 4294967295", Ask::Refuse(u32::MAX)),
            (b"exit 255", Ask::Exit(255)),
            (b"short-hang", Ask::Do(Act::ShortHang)),
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
            b"try",
            b"try spin",
            b"fork",
        ] {
            assert_eq!(Ask::parse(text), None);
        }
    }
}
