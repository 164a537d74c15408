// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every host has to make of each misbehaviour: what the caller gets, by when, and whether the handler
//! lives on.
//!
//! After each the next request is served: by the same handler where that [lives](Fate::Lives), else by another;
//! after a bad [`Start`], which every handler of that driver would make, by a driver with a good one.
//!
//! Under *strict*, all is as a taken-over handler finds it. What strict forbids ends the handler at the first
//! system call, whatever would have become of it: so it runs again under *custom*, with every system call
//! allowed, and the layers below have to hold.

use crate::hostile::{Act, Start, TAIL, Try};

/// Numbers of errors, as in `<errno.h>`, by their names.
#[allow(missing_docs, reason = "the names say it")]
pub mod errno {
    pub const EPERM: i32 = 1;
    pub const ENOENT: i32 = 2;
    pub const ESRCH: i32 = 3;
    pub const EBADF: i32 = 9;
    pub const EAGAIN: i32 = 11;
    pub const ENOMEM: i32 = 12;
    pub const EACCES: i32 = 13;
    pub const EFAULT: i32 = 14;
    pub const EINVAL: i32 = 22;
    pub const EMFILE: i32 = 24;
    pub const EROFS: i32 = 30;
    pub const ENOSYS: i32 = 38;
    pub const EBADMSG: i32 = 74;
    pub const ECONNRESET: i32 = 104;
    pub const ETIMEDOUT: i32 = 110;
    pub const ECONNREFUSED: i32 = 111;

    /// The name of one of these, and of none: success.
    pub const fn name(errno: i32) -> &'static str {
        match errno {
            super::GOOD => "success",
            EPERM => "EPERM",
            ENOENT => "ENOENT",
            ESRCH => "ESRCH",
            EBADF => "EBADF",
            EAGAIN => "EAGAIN",
            ENOMEM => "ENOMEM",
            EACCES => "EACCES",
            EFAULT => "EFAULT",
            EINVAL => "EINVAL",
            EMFILE => "EMFILE",
            EROFS => "EROFS",
            ENOSYS => "ENOSYS",
            EBADMSG => "EBADMSG",
            ECONNRESET => "ECONNRESET",
            ETIMEDOUT => "ETIMEDOUT",
            ECONNREFUSED => "ECONNREFUSED",
            _ => "another error",
        }
    }
}

use errno::{
    EACCES, EAGAIN, EBADF, EBADMSG, ECONNREFUSED, ECONNRESET, EFAULT, EINVAL, EMFILE, ENOENT,
    ENOMEM, ENOSYS, EPERM, EROFS, ESRCH, ETIMEDOUT,
};

/// In the place of an errno: it succeeded.
pub const GOOD: i32 = 0;

/// Longest reply that a caller takes here.
pub const ROOM: usize = 64;

/// One misbehaviour, and what is to become of it.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour {
    /// What it does.
    pub name: &'static str,
    /// How it is made to.
    pub how: How,
    /// What becomes of it under strict.
    pub strict: Option<Contained>,
    /// What becomes of it with no system call forbidden.
    pub custom: Option<Contained>,
    /// What a host in a program makes of it, where that is something else.
    pub user: Option<InProgram>,
}

/// A program with a host in it, which makes less, or something else, of a misbehaviour than the kernel does.
#[derive(Clone, Copy, Debug)]
pub struct InProgram {
    /// What becomes of it in one that is root's: in the place of the last column that there is.
    pub privileged: Contained,
    /// And in an ordinary user's.
    pub ordinary: Contained,
    /// Why.
    pub why: &'static str,
}

/// Whose program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Root's, which gives its handlers other ids and an empty root.
    Privileged,
    /// Anybody's.
    Ordinary,
}

impl Behaviour {
    /// What becomes of it under strict in a program.
    pub fn strict_in(&self, program: Program) -> Option<Contained> {
        match self.custom {
            None => self.in_program(program).or(self.strict),
            Some(_) => self.strict,
        }
    }

    /// What becomes of it in a program with no system call forbidden.
    pub fn custom_in(&self, program: Program) -> Option<Contained> {
        self.in_program(program)
            .filter(|_| self.custom.is_some())
            .or(self.custom)
    }

    fn in_program(&self, program: Program) -> Option<Contained> {
        self.user.map(|user| match program {
            Program::Privileged => user.privileged,
            Program::Ordinary => user.ordinary,
        })
    }
}

/// How a handler is made to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By its driver's name; then it is asked for an echo of `x`.
    Start(Start),
    /// By this request to a good one.
    Ask(&'static str),
    /// The same, by name.
    Do(Act),
    /// The same, by name.
    Try(Try),
}

/// What a host makes of it.
#[derive(Clone, Copy, Debug)]
pub struct Contained {
    /// What the caller may get.
    pub caller: &'static [Outcome],
    /// By when.
    pub by: By,
    /// What becomes of the handler.
    pub fate: Fate,
}

/// What a caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This reply.
    Answered(&'static [u8]),
    /// A reply that tells what system calls gave.
    Told(&'static [Attempt]),
    /// This errno.
    Error(i32),
}

/// A system call, and what it may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// In words.
    pub call: &'static str,
    /// Errnos, or [`GOOD`].
    pub gives: &'static [i32],
}

/// By when a caller has its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// As soon as the handler has done it.
    AtOnce,
    /// At the deadline.
    Deadline,
}

/// What becomes of the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on serving.
    Lives,
    /// It is gone.
    Dies,
}

impl How {
    /// The driver's name that it needs.
    pub const fn driver(self) -> &'static str {
        match self {
            Self::Start(start) => start.name(),
            _ => Start::Normal.name(),
        }
    }

    /// The request, of at most two words.
    pub const fn request(self) -> [&'static str; 2] {
        match self {
            Self::Start(_) => ["echo x", ""],
            Self::Ask(text) => [text, ""],
            Self::Do(act) => [act.name(), ""],
            Self::Try(what) => ["try", what.name()],
        }
    }
}

impl Outcome {
    /// Is this what a caller got: a reply, or an errno?
    pub fn is(&self, got: Result<&[u8], i32>) -> bool {
        match (self, got) {
            (Self::Answered(reply), Ok(got)) => *reply == got,
            (Self::Told(attempts), Ok(got)) => told(attempts, got),
            (Self::Error(errno), Err(got)) => *errno == got,
            _ => false,
        }
    }
}

/// Did each call give what it may?
fn told(attempts: &[Attempt], text: &[u8]) -> bool {
    let results = || text.split(|byte| *byte == b' ');
    results().count() == attempts.len()
        && results().zip(attempts).all(|(result, attempt)| {
            errno_of(result).is_some_and(|got| attempt.gives.contains(&got))
        })
}

/// [`GOOD`] for a result of 0 and more, the errno for one below.
fn errno_of(result: &[u8]) -> Option<i32> {
    match result.strip_prefix(b"-") {
        Some(errno) => crate::number(errno),
        None => crate::number::<u64>(result).map(|_| GOOD),
    }
}

const fn contained(caller: &'static [Outcome], by: By, fate: Fate) -> Option<Contained> {
    Some(Contained { caller, by, fate })
}

/// The caller has a reply, at once.
const fn answered(caller: &'static [Outcome], fate: Fate) -> Option<Contained> {
    contained(caller, By::AtOnce, fate)
}

/// The caller has an error, at once, and the handler is gone.
const fn fails(caller: &'static [Outcome]) -> Option<Contained> {
    contained(caller, By::AtOnce, Fate::Dies)
}

/// The handler is gone with the request in hand.
const LOST: Option<Contained> = fails(&[Outcome::Error(ECONNRESET)]);

/// The handler has broken the rules of the wire.
const BROKEN: Option<Contained> = fails(&[Outcome::Error(EBADMSG)]);

/// The handler was killed at the deadline.
const LATE: Option<Contained> = contained(&[Outcome::Error(ETIMEDOUT)], By::Deadline, Fate::Dies);

/// Each attempt gave what it may, and the handler lives.
const fn tells(caller: &'static [Outcome]) -> Option<Contained> {
    answered(caller, Fate::Lives)
}

/// The same, but it ends by itself.
const fn ends(contained: Option<Contained>) -> Option<Contained> {
    match contained {
        Some(told) => answered(told.caller, Fate::Dies),
        None => None,
    }
}

const fn start(name: &'static str, start: Start, strict: Option<Contained>) -> Behaviour {
    Behaviour {
        name,
        how: How::Start(start),
        strict,
        custom: None,
        user: None,
    }
}

const fn act(name: &'static str, act: Act, strict: Option<Contained>) -> Behaviour {
    Behaviour {
        name,
        how: How::Do(act),
        strict,
        custom: None,
        user: None,
    }
}

const fn ask(name: &'static str, request: &'static str, strict: Option<Contained>) -> Behaviour {
    Behaviour {
        name,
        how: How::Ask(request),
        strict,
        custom: None,
        user: None,
    }
}

/// What strict forbids: the first call is the end.
const fn forbidden(name: &'static str, what: Try, custom: Option<Contained>) -> Behaviour {
    Behaviour {
        name,
        how: How::Try(what),
        strict: LOST,
        custom,
        user: None,
    }
}

impl Behaviour {
    /// A host in a program makes this of it, whosever program it is.
    const fn in_programs(self, contained: Option<Contained>, why: &'static str) -> Self {
        self.by_program(contained, contained, why)
    }

    /// A host in root's program makes this of it, and one in an ordinary user's that.
    const fn by_program(
        self,
        privileged: Option<Contained>,
        ordinary: Option<Contained>,
        why: &'static str,
    ) -> Self {
        let user = match (privileged, ordinary) {
            (Some(privileged), Some(ordinary)) => Some(InProgram {
                privileged,
                ordinary,
                why,
            }),
            _ => None,
        };
        Self { user, ..self }
    }
}

/// What it tries before its hello it is denied.
const FILTERED: &str =
    "its filter is in force before its first instruction: what is denied is its end";

macro_rules! told {
    ($($call:literal => $($errno:ident)|+),* $(,)?) => {
        tells(&[Outcome::Told(&[$(Attempt { call: $call, gives: &[$($errno),+] }),*])])
    };
}

const X: Outcome = Outcome::Answered(b"x");
const ZEROS: Outcome = Outcome::Answered(&[0; 48]);

/// The start fails, whenever that is noticed.
const UNWELCOME: Option<Contained> =
    fails(&[Outcome::Error(EBADMSG), Outcome::Error(ECONNREFUSED)]);

/// The host's checks refuse it.
const REFUSED: Option<Contained> = fails(&[Outcome::Error(EPERM)]);

/// It has ended before its hello.
const ENDED: Option<Contained> = fails(&[Outcome::Error(ECONNREFUSED)]);

/// All of them.
pub const MATRIX: &[Behaviour] = &[
    // Before the hello, and the hello.
    start(
        "exits before its hello",
        Start::Exit,
        fails(&[Outcome::Error(ECONNREFUSED)]),
    ),
    start(
        "crashes before its hello",
        Start::Segv,
        fails(&[Outcome::Error(ECONNREFUSED)]),
    ),
    start("says no hello", Start::Silent, LATE),
    start("says hello without the magic", Start::BadMagic, BROKEN),
    start("says hello in another version", Start::Version, BROKEN),
    start("says hello with a status", Start::HelloStatus, BROKEN),
    start("says hello with a payload", Start::HelloPayload, BROKEN),
    start("says hello with a request's id", Start::HelloId, BROKEN),
    start(
        "says hello byte by byte",
        Start::HelloDrip,
        answered(&[X], Fate::Lives),
    ),
    start(
        "says half a hello, then dies",
        Start::HelloDie,
        fails(&[Outcome::Error(ECONNREFUSED)]),
    ),
    start("says half a hello, then nothing", Start::HelloHang, LATE),
    start("says hello twice", Start::HelloTwice, UNWELCOME),
    start("says hello for ever", Start::HelloEndless, UNWELCOME),
    start("executes itself over and over", Start::Exec, LATE).in_programs(ENDED, FILTERED),
    start(
        "closes its channel before its hello",
        Start::Closes,
        fails(&[Outcome::Error(ECONNREFUSED)]),
    ),
    start(
        "stops itself before its hello",
        Start::Stop,
        answered(&[X], Fate::Lives),
    )
    .in_programs(ENDED, FILTERED),
    start(
        "kills itself before its hello",
        Start::Kill,
        answered(&[X], Fate::Lives),
    )
    .in_programs(ENDED, FILTERED),
    // What it should have given up by its hello.
    start("claims to have dropped root", Start::Root, REFUSED).in_programs(ENDED, FILTERED),
    start("claims to have no capability", Start::Caps, REFUSED).in_programs(ENDED, FILTERED),
    start("claims to have one thread", Start::Thread, REFUSED)
        .in_programs(ENDED, FILTERED),
    start("claims to have no child", Start::Child, REFUSED)
        .in_programs(ENDED, FILTERED),
    start("claims to have no other file", Start::File, REFUSED)
        .in_programs(ENDED, FILTERED),
    start("claims to have no ring of io_uring", Start::Ring, REFUSED)
        .in_programs(ENDED, FILTERED),
    start(
        "claims strict mode and has a filter",
        Start::Filter,
        REFUSED,
    )
    .in_programs(ENDED, FILTERED),
    start(
        "claims strict mode and has none: put in it",
        Start::Lax,
        answered(&[X], Fate::Lives),
    )
    .in_programs(ENDED, FILTERED),
    start(
        "has no process beside it, much as it tries",
        Start::Sibling,
        answered(&[X], Fate::Lives),
    )
    .in_programs(ENDED, FILTERED),
    // Reading.
    start(
        "exits after its hello",
        Start::Crash,
        fails(&[Outcome::Error(ECONNREFUSED)]),
    ),
    start("answers before it is asked", Start::Early, UNWELCOME).in_programs(
        fails(&[
            Outcome::Answered(b"early"),
            Outcome::Error(EBADMSG),
            Outcome::Error(ECONNREFUSED),
        ]),
        "a socket does not tell which came first, where both are on their way; the next request is its end",
    ),
    start(
        "answers before it has read the request",
        Start::Hasty,
        BROKEN,
    )
    .in_programs(
        fails(&[Outcome::Answered(b"hasty")]),
        "what was read is looked at only where there is no answer; the next request is its end",
    ),
    start("never reads", Start::Deaf, LATE),
    start(
        "reads half of the request, then dies",
        Start::HalfRead,
        LOST,
    )
    .in_programs(
        fails(&[Outcome::Error(ECONNREFUSED)]),
        "a socket's reset says that not all was read: it is asked once more, of another",
    ),
    start(
        "reads half of the request, then nothing",
        Start::HalfHang,
        LATE,
    ),
    start(
        "reads byte by byte",
        Start::ReadDrip,
        answered(&[X], Fate::Lives),
    ),
    start(
        "reads with room for 2^40 bytes",
        Start::ReadHuge,
        answered(&[X], Fate::Lives),
    ),
    start(
        "reads to where it has no memory",
        Start::ReadAstray,
        told! {
            "read to the first page" => EFAULT,
            "read to the kernel's half" => EFAULT,
            "read to no address" => EFAULT,
            "read across the end of its half" => EFAULT,
            "read to its own code" => EFAULT,
        },
    ),
    act("reads no bytes, over and over", Act::ReadNothing, LATE),
    // Ends.
    ask("exits with the request read", "exit 7", LOST),
    ask("exits with status 0", "exit 0", LOST),
    act("crashes", Act::Segv, LOST),
    act("overflows its stack", Act::StackOverflow, LOST),
    act("writes to its own code", Act::WriteCode, LOST),
    act("executes its stack", Act::RunStack, LOST),
    act("halts the processor", Act::Privileged, LOST),
    act("makes a forbidden call", Act::Syscall, LOST),
    act("exits within a reply's header", Act::HeaderDie, LOST),
    act("exits within a reply", Act::ShortDie, LOST),
    act(
        "exits after a reply",
        Act::AnswerDie,
        answered(&[Outcome::Answered(b"gone")], Fate::Dies),
    ),
    // No answer.
    act("computes for ever", Act::Spin, LATE),
    act("never writes", Act::Ignore, LATE),
    act("writes no bytes, over and over", Act::WriteNothing, LATE),
    act("hangs within a reply's header", Act::HeaderHang, LATE),
    act("hangs within a reply", Act::ShortHang, LATE),
    act("answers after the deadline", Act::Late, LATE),
    act("answers byte by byte and too slowly", Act::SlowDrip, LATE),
    // Lies in a reply.
    ask("a reply one byte longer than the buffer", "fill 65", BROKEN),
    act("a reply of 16 MiB", Act::Long, BROKEN),
    act("a header that promises 4 GiB", Act::LengthMax, BROKEN),
    act(
        "a header that promises more than follows",
        Act::PromisesMore,
        LATE,
    ),
    act(
        "a header that promises less than follows",
        Act::PromisesLess,
        answered(&[Outcome::Answered(b"fi")], Fate::Dies),
    ),
    act(
        "a byte behind the reply",
        Act::Overlong,
        answered(&[Outcome::Answered(b"overlong")], Fate::Dies),
    ),
    act("a reply to the next request", Act::WrongId, BROKEN),
    act("a reply to the last request", Act::OldId, BROKEN),
    act("a hello for a reply", Act::HelloAgain, BROKEN),
    act("a reply without the magic", Act::WrongMagic, BROKEN),
    act("a reply in another version", Act::WrongVersion, BROKEN),
    act("a refusal with a payload", Act::RefuseLong, BROKEN),
    act("noise", Act::Noise, BROKEN),
    act(
        "a reply twice",
        Act::Twice,
        answered(&[Outcome::Answered(b"twice")], Fate::Dies),
    ),
    act(
        "a reply for ever",
        Act::Endless,
        answered(&[Outcome::Answered(b"endless")], Fate::Dies),
    ),
    act(
        "a reply byte by byte",
        Act::Drip,
        answered(&[Outcome::Answered(b"drip")], Fate::Lives),
    ),
    act(
        "a reply at the begin of 2^40 bytes",
        Act::WriteHuge,
        answered(&[Outcome::Answered(b"huge")], Fate::Dies),
    ),
    act(
        "a reply on standard error",
        Act::Stderr,
        answered(&[Outcome::Answered(b"stderr")], Fate::Lives),
    )
    .in_programs(LATE, "standard error is no channel here, but goes nowhere"),
    // Memory.
    act(
        "writes from where it has no memory",
        Act::WriteAstray,
        told! {
            "write from the first page" => EFAULT,
            "write from the kernel's half" => EFAULT,
            "write from no address" => EFAULT,
            "write across the end of its half" => EFAULT,
        },
    ),
    act(
        "writes across the end of its memory",
        Act::Tail,
        answered(&[Outcome::Answered(TAIL)], Fate::Lives),
    )
    .in_programs(LOST, "a socket takes all of a write or nothing: the handler gives up"),
    act(
        "writes from untouched memory",
        Act::Untouched,
        answered(&[ZEROS], Fate::Lives),
    ),
    act(
        "changes a reply that it has written",
        Act::Changed,
        answered(&[Outcome::Answered(b"first")], Fate::Lives),
    ),
    forbidden(
        "writes from memory that it has taken away",
        Try::VanishedMemory,
        told! {
            "mmap" => GOOD,
            "mprotect to nothing" => GOOD,
            "write from protected memory" => EFAULT,
            "munmap" => GOOD,
            "write from unmapped memory" => EFAULT,
            "memfd_create" => EMFILE,
            "mmap of it" => EBADF,
            "write from beyond the file's end" => EFAULT,
        },
    ),
    forbidden(
        "writes from memory that it has emptied",
        Try::Emptied,
        answered(&[ZEROS], Fate::Lives),
    ),
    forbidden(
        "maps all memory there is",
        Try::MapStorm,
        told! { "the last mmap" => ENOMEM },
    ),
    forbidden(
        "raises its break",
        Try::BrkStorm,
        told! { "the last brk" => ENOMEM },
    ),
    forbidden(
        "locks memory",
        Try::Lock,
        told! {
            "mlock" => EPERM,
            "mlockall" => EPERM,
            "mmap of locked memory" => EPERM,
        },
    ),
    // Its channel.
    forbidden("closes standard output", Try::CloseOne, LOST),
    forbidden(
        "closes standard input",
        Try::CloseInput,
        answered(&[Outcome::Answered(b"closed")], Fate::Dies),
    ),
    forbidden("closes all its descriptors", Try::CloseAll, LOST),
    forbidden(
        "puts another file over its channel",
        Try::DupOver,
        told! {
            "eventfd2" => EMFILE,
            "dup2 to standard output" => EBADF,
        },
    ),
    forbidden(
        "passes its channel on",
        Try::PassChannel,
        ends(told! {
            "socketpair" => EMFILE,
            "sendmsg with SCM_RIGHTS" => EBADF,
        }),
    ),
    // Processes.
    forbidden(
        "makes processes",
        Try::Fork,
        told! {
            "fork" => EAGAIN,
            "vfork" => EAGAIN,
            "clone with CLONE_VM and CLONE_VFORK" => EAGAIN,
            "clone with new namespaces" => EPERM,
            "clone with CLONE_PARENT" => EAGAIN,
            "clone3" => EAGAIN,
        },
    )
    .by_program(
        told! {
            "fork" => EAGAIN,
            "vfork" => EAGAIN,
            "clone with CLONE_VM and CLONE_VFORK" => EAGAIN,
            "clone with new namespaces" => EPERM,
            "clone with CLONE_PARENT" => EAGAIN,
            "clone3" => EAGAIN,
        },
        told! {
            "fork" => EAGAIN,
            "vfork" => EAGAIN,
            "clone with CLONE_VM and CLONE_VFORK" => EAGAIN,
            "clone with new namespaces" => EAGAIN,
            "clone with CLONE_PARENT" => EAGAIN,
            "clone3" => EAGAIN,
        },
        "the limit on processes refuses first, where the root is not changed",
    ),
    forbidden(
        "makes a thread that changes a reply while it is copied",
        Try::Thread,
        told! { "clone with CLONE_THREAD" => EAGAIN },
    ),
    forbidden(
        "executes something else",
        Try::ExecOther,
        told! {
            "execve of /bin/sh" => ENOENT,
            "memfd_create" => EMFILE,
            "write to it" => EBADF,
            "execveat of it" => EBADF,
        },
    )
    .by_program(
        told! {
            "execve of /bin/sh" => ENOENT,
            "memfd_create" => EMFILE,
            "write to it" => EBADF,
            "execveat of it" => EBADF,
        },
        told! {
            "execve of /bin/sh" => EACCES,
            "memfd_create" => EMFILE,
            "write to it" => EBADF,
            "execveat of it" => EBADF,
        },
        "Landlock refuses what an empty root does not have",
    ),
    forbidden("executes itself", Try::ExecItself, BROKEN).in_programs(
        told! { "execve of its image" => ENOENT },
        "its image has no name",
    ),
    forbidden("stops itself", Try::Stop, LATE),
    forbidden("kills itself", Try::Kill, LOST),
    forbidden("blocks all signals", Try::BlockSignals, LATE),
    forbidden(
        "asks to be traced",
        Try::TraceMe,
        told! { "ptrace with TRACEME" => EPERM },
    ),
    forbidden("sleeps for ever", Try::Sleep, LATE),
    forbidden("polls for ever", Try::Poll, LATE),
    // The rest of the system.
    forbidden(
        "opens files",
        Try::Files,
        told! {
            "open of /" => EMFILE,
            "open of /proc/self/mem" => EMFILE,
            "open of /dev/mem" => EMFILE,
            "open of its image to write" => EMFILE,
            "open of its image to read" => EMFILE,
            "stat of /proc" => ENOENT,
            "stat of /../etc" => ENOENT,
            "stat of /dev/mem" => ENOENT,
            "creat" => EMFILE,
            "mkdir" => EROFS,
            "mknod" => EROFS,
            "chmod of its image" => EROFS,
            "truncate of its image" => EROFS,
            "unlink of its image" => EROFS,
            "open_by_handle_at" => EPERM,
        },
    )
    .by_program(
        told! {
            "open of /" => EMFILE,
            "open of /proc/self/mem" => EMFILE,
            "open of /dev/mem" => EMFILE,
            "open of its image to write" => EMFILE,
            "open of its image to read" => EMFILE,
            "stat of /proc" => ENOENT,
            "stat of /../etc" => ENOENT,
            "stat of /dev/mem" => ENOENT,
            "creat" => EMFILE,
            "mkdir" => ENOENT,
            "mknod" => ENOENT,
            "chmod of its image" => ENOENT,
            "truncate of its image" => ENOENT,
            "unlink of its image" => ENOENT,
            "open_by_handle_at" => EPERM,
        },
        told! {
            "open of /" => EMFILE,
            "open of /proc/self/mem" => EMFILE,
            "open of /dev/mem" => EMFILE,
            "open of its image to write" => EMFILE,
            "open of its image to read" => EMFILE,
            "stat of /proc" => GOOD,
            "stat of /../etc" => GOOD,
            "stat of /dev/mem" => GOOD | ENOENT,
            "creat" => EMFILE,
            "mkdir" => EACCES,
            "mknod" => EACCES,
            "chmod of its image" => ENOENT,
            "truncate of its image" => ENOENT,
            "unlink of its image" => ENOENT,
            "open_by_handle_at" => EPERM,
        },
        "root's have an empty root of no name; others see what there is, and Landlock has them open or make none of it",
    ),
    forbidden(
        "makes sockets",
        Try::Sockets,
        told! {
            "socket for AF_UNIX" => EMFILE,
            "socket for TCP" => EMFILE,
            "socket for UDP" => EMFILE,
            "socket for raw IP" => EPERM,
            "socket for TCP over IPv6" => EMFILE,
            "socket for AF_NETLINK" => EMFILE,
            "socket for AF_PACKET" => EPERM,
        },
    ),
    forbidden(
        "makes rings for asynchronous I/O",
        Try::Rings,
        told! {
            "io_uring_setup" => EPERM,
            "io_setup" => GOOD,
            "io_submit of a poll of its channel" => GOOD,
        },
    ),
    forbidden(
        "handles page faults",
        Try::Faults,
        told! {
            "userfaultfd" => EPERM,
            "userfaultfd for its own accesses" => EMFILE,
        },
    ),
    forbidden(
        "keeps keys",
        Try::Keys,
        told! {
            "add_key" => GOOD,
            "keyctl to join a session keyring" => GOOD,
            "keyctl for its user's keyring" => GOOD,
        },
    ),
    forbidden(
        "loads programs into the kernel",
        Try::Programs,
        told! {
            "bpf to make a map" => EPERM,
            "bpf to load a program" => EPERM,
            "perf_event_open of itself" => EACCES,
            "perf_event_open of a processor" => EACCES,
        },
    ),
    forbidden(
        "undoes its confinement",
        Try::Undo,
        told! {
            "prctl: no seccomp" => EINVAL,
            "prctl: strict mode instead" => EINVAL,
            "prctl: new privileges" => EINVAL,
            "prctl: secure bits" => EPERM,
            "prctl: bounding set" => EPERM,
            "prctl: ambient capability" => EPERM,
            "prctl: memory layout" => EPERM | EINVAL,
            "prctl: anybody may trace" => GOOD | EINVAL,
            "prctl: dumpable" => GOOD,
            "seccomp: strict mode instead" => EINVAL,
        },
    ),
    forbidden(
        "becomes root again",
        Try::Ids,
        told! {
            "capset" => EPERM,
            "setuid" => EPERM,
            "setresuid" => EPERM,
            "setresgid" => EPERM,
            "setgroups" => EPERM,
            "personality" => GOOD,
        },
    ),
    forbidden(
        "makes namespaces and mounts",
        Try::Namespaces,
        told! {
            "unshare of users" => EPERM,
            "unshare of mounts" => EPERM,
            "unshare of processes" => EPERM,
            "unshare of networks" => EPERM,
            "unshare of IPC" => EPERM,
            "setns" => EINVAL,
            "mount" => EPERM,
            "umount2" => EPERM,
            "pivot_root" => EPERM,
            "chroot" => EPERM,
        },
    ),
    forbidden(
        "sends signals to others",
        Try::Signals,
        told! {
            "kill of process 1" => EPERM,
            "kill of its parent" => EPERM,
            "tgkill of process 1" => EPERM,
            "pidfd_open of process 1" => EMFILE,
            "kill of all" => EPERM,
        },
    ),
    forbidden(
        "reads the memory of others",
        Try::Memory,
        told! {
            "process_vm_readv of process 1" => EPERM,
            "process_vm_readv of its parent, the kernel" => ESRCH,
            "process_vm_writev of process 1" => EPERM,
            "ptrace of process 1" => EPERM,
            "ptrace of process 1 without a stop" => EPERM,
            "kcmp with process 1" => EPERM,
            "move_pages of process 1" => EPERM,
        },
    )
    .in_programs(
        told! {
            "process_vm_readv of process 1" => EPERM,
            "process_vm_readv of its parent, the kernel" => EPERM,
            "process_vm_writev of process 1" => EPERM,
            "ptrace of process 1" => EPERM,
            "ptrace of process 1 without a stop" => EPERM,
            "kcmp with process 1" => EPERM,
            "move_pages of process 1" => EPERM,
        },
        "its parent is the program",
    ),
    forbidden(
        "raises its limits",
        Try::Limits,
        told! {
            "setrlimit: file size" => EPERM,
            "setrlimit: stack" => EPERM,
            "setrlimit: core" => EPERM,
            "setrlimit: processes" => EPERM,
            "setrlimit: files" => EPERM,
            "setrlimit: locked memory" => EPERM,
            "setrlimit: address space" => EPERM,
            "setrlimit: message queues" => EPERM,
            "setrlimit: real-time priority" => EPERM,
            "prlimit of process 1" => EPERM,
        },
    ),
    forbidden(
        "leaves shared memory and queues behind",
        Try::Ipc,
        told! {
            "shmget" => GOOD,
            "semget" => GOOD,
            "msgget" => GOOD,
            "mq_open" => EMFILE,
        },
    ),
    forbidden(
        "pushes itself forward",
        Try::Priority,
        told! {
            "setpriority" => EACCES,
            "setpriority of process 1" => EPERM,
            "sched_setscheduler to SCHED_FIFO" => EPERM,
            "sched_setscheduler to SCHED_RR" => EPERM,
            "sched_setattr to SCHED_DEADLINE" => EPERM,
            "ioprio_set to real time" => EPERM,
        },
    ),
    forbidden(
        "administers the system",
        Try::Admin,
        told! {
            "init_module" => EPERM,
            "finit_module" => EPERM,
            "delete_module" => EPERM,
            "kexec_load" => EPERM | ENOSYS,
            "reboot" => EPERM,
            "settimeofday" => EPERM,
            "clock_settime" => EPERM,
            "sethostname" => EPERM,
            "swapon" => EPERM,
            "iopl" => EPERM | ENOSYS,
            "ioperm" => EPERM | ENOSYS,
            "syslog" => EPERM,
        },
    )
    .in_programs(
        told! {
            "init_module" => EPERM | ENOSYS,
            "finit_module" => EPERM | ENOSYS,
            "delete_module" => EPERM | ENOSYS,
            "kexec_load" => EPERM | ENOSYS,
            "reboot" => EPERM,
            "settimeofday" => EPERM,
            "clock_settime" => EPERM,
            "sethostname" => EPERM,
            "swapon" => EPERM,
            "iopl" => EPERM | ENOSYS,
            "ioperm" => EPERM | ENOSYS,
            "syslog" => EPERM,
        },
        "not every kernel has them",
    ),
];

/// Behaviours that every host contains, at the least.
pub const LEAST: usize = 45;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    #[test]
    fn names_and_ways_are_distinct() {
        let names: BTreeSet<&str> = MATRIX.iter().map(|behaviour| behaviour.name).collect();
        assert_eq!(names.len(), MATRIX.len());
        let ways: BTreeSet<String> = MATRIX
            .iter()
            .map(|behaviour| format!("{:?}", behaviour.how))
            .collect();
        assert_eq!(ways.len(), MATRIX.len());
        assert!(MATRIX.len() >= LEAST);
    }

    #[test]
    fn nothing_that_the_handler_can_do_is_left_out() {
        let hows: Vec<How> = MATRIX.iter().map(|behaviour| behaviour.how).collect();
        for start in Start::ALL {
            let listed = hows.contains(&How::Start(*start));
            assert!(listed || *start == Start::Normal, "{start:?}");
        }
        for act in Act::ALL {
            assert!(hows.contains(&How::Do(*act)), "{act:?}");
        }
        for what in Try::ALL {
            assert!(hows.contains(&How::Try(*what)), "{what:?}");
        }
    }

    #[test]
    fn what_strict_forbids_runs_without_it_too() {
        for behaviour in MATRIX {
            let tried = matches!(behaviour.how, How::Try(_));
            assert_eq!(behaviour.custom.is_some(), tried, "{}", behaviour.name);
            assert!(behaviour.strict.is_some());
        }
    }

    #[test]
    fn results_are_compared() {
        const CALLS: Outcome = Outcome::Told(&[
            Attempt {
                call: "one",
                gives: &[GOOD],
            },
            Attempt {
                call: "two",
                gives: &[EPERM, EACCES],
            },
        ]);
        assert!(CALLS.is(Ok(b"0 -1")));
        assert!(CALLS.is(Ok(b"65534 -13")));
        for wrong in [
            &b"0"[..],
            b"",
            b"0 -2",
            b"0 0",
            b"-1 -1",
            b"0 -1 0",
            b"0 -1 ",
            b"0 x",
        ] {
            assert!(!CALLS.is(Ok(wrong)));
        }
        assert!(!CALLS.is(Err(EPERM)));
        assert!(Outcome::Error(EPERM).is(Err(EPERM)));
        assert!(!Outcome::Error(EPERM).is(Ok(b"")));
        assert!(X.is(Ok(b"x")));
    }
}
