// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a handler gives up before it serves: the profiles, as data.
//!
//! A profile is a set of properties; by which mechanism each is given is the host's. Which system calls are left
//! is the same everywhere: [`Lockdown::calls`] is the list, and [`filter`](crate::filter) makes a program of it.

use crate::syscall::{Syscall, Syscalls};

/// What a handler gives up before it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lockdown {
    /// Nothing: it is root, with all capabilities, and sees the system's files.
    Unconfined,
    /// As [`Basic`](Self::Basic), but it sees the system's files.
    SystemRoot,
    /// Its ids, capabilities, new privileges, new processes, all files but its image and the kernel log, and the
    /// system calls of [`HARMFUL`]. For handlers with a C library that were made for another host.
    Basic,
    /// As [`Strict`](Self::Strict), but it may make these system calls besides.
    Custom(Syscalls),
    /// As [`Strict`](Self::Strict), but it may have memory, and know what time it is: [`COMPUTE`]. For handlers with
    /// a standard library.
    Compute,
    /// All system calls but read, write and exit: what it has at its start is all it will ever have.
    Strict,
}

/// What the kernel's strict mode leaves.
pub const STRICT: Syscalls = Syscalls::of(&[
    Syscall::READ,
    Syscall::WRITE,
    Syscall::EXIT,
    Syscall::RT_SIGRETURN,
]);

/// What each [`Lockdown::Custom`] and [`Lockdown::Compute`] has: the channel, an end, and what the kernel has a
/// process call when it was stopped or frozen inside another call.
pub const SERVE: Syscalls = Syscalls::of(&[
    Syscall::READ,
    Syscall::WRITE,
    Syscall::EXIT,
    Syscall::EXIT_GROUP,
    Syscall::RESTART_SYSCALL,
    Syscall::RT_SIGRETURN,
]);

/// What [`Lockdown::Compute`] has besides [`SERVE`]: private anonymous memory that is not executable, locks
/// within the process, clocks, random numbers, signal handlers, and what a standard library does at its start.
pub const COMPUTE: Syscalls = SERVE.with(&[
    // Memory; `filter` looks at the arguments of the first two.
    Syscall::MMAP,
    Syscall::MPROTECT,
    Syscall::BRK,
    Syscall::MADVISE,
    Syscall::MREMAP,
    Syscall::MUNMAP,
    // Locks.
    Syscall::FUTEX,
    Syscall::SCHED_YIELD,
    // Clocks.
    Syscall::CLOCK_GETRES,
    Syscall::CLOCK_GETTIME,
    Syscall::CLOCK_NANOSLEEP,
    Syscall::GETTIMEOFDAY,
    Syscall::NANOSLEEP,
    Syscall::TIME,
    // A standard library's start and end.
    Syscall::ARCH_PRCTL,
    Syscall::GETPID,
    Syscall::GETRANDOM,
    Syscall::GETTID,
    Syscall::POLL,
    Syscall::PPOLL,
    Syscall::READV,
    Syscall::RSEQ,
    Syscall::RT_SIGACTION,
    Syscall::RT_SIGPROCMASK,
    Syscall::SET_ROBUST_LIST,
    Syscall::SET_TID_ADDRESS,
    Syscall::SIGALTSTACK,
    // How much memory there is, for a C library that sorts.
    Syscall::SYSINFO,
    Syscall::WRITEV,
]);

/// What a standard library asks for at its start and can do without: under [`Lockdown::Compute`] these fail with
/// `EPERM`, where any other call is the end.
pub const MISSED: Syscalls = Syscalls::of(&[
    Syscall::FSTAT,
    Syscall::IOCTL,
    Syscall::NEWFSTATAT,
    Syscall::OPENAT,
    Syscall::READLINK,
    Syscall::READLINKAT,
    Syscall::SCHED_GETAFFINITY,
]);

/// What [`Lockdown::Basic`] and [`Lockdown::SystemRoot`] do not have: these fail with `EPERM`. Signals to others,
/// namespaces, looking into others, and the kernel's larger surfaces.
pub const HARMFUL: Syscalls = Syscalls::of(&[
    // Signals; `filter` lets those to itself pass.
    Syscall::KILL,
    Syscall::TGKILL,
    Syscall::TKILL,
    Syscall::PIDFD_SEND_SIGNAL,
    Syscall::RT_SIGQUEUEINFO,
    Syscall::RT_TGSIGQUEUEINFO,
    // Others.
    Syscall::KCMP,
    Syscall::MIGRATE_PAGES,
    Syscall::MOVE_PAGES,
    Syscall::PIDFD_GETFD,
    Syscall::PIDFD_OPEN,
    Syscall::PROCESS_MADVISE,
    Syscall::PROCESS_MRELEASE,
    Syscall::PROCESS_VM_READV,
    Syscall::PROCESS_VM_WRITEV,
    Syscall::PTRACE,
    // Namespaces and mounts.
    Syscall::CHROOT,
    Syscall::FSCONFIG,
    Syscall::FSMOUNT,
    Syscall::FSOPEN,
    Syscall::FSPICK,
    Syscall::MOUNT,
    Syscall::MOUNT_SETATTR,
    Syscall::MOVE_MOUNT,
    Syscall::OPEN_TREE,
    Syscall::OPEN_TREE_ATTR,
    Syscall::PIVOT_ROOT,
    Syscall::SETNS,
    Syscall::UMOUNT2,
    Syscall::UNSHARE,
    // What outlives it and no limit counts, and others can come by.
    Syscall::MQ_OPEN,
    Syscall::MQ_UNLINK,
    Syscall::MSGCTL,
    Syscall::MSGGET,
    Syscall::MSGRCV,
    Syscall::MSGSND,
    Syscall::SEMCTL,
    Syscall::SEMGET,
    Syscall::SEMOP,
    Syscall::SEMTIMEDOP,
    Syscall::SHMAT,
    Syscall::SHMCTL,
    Syscall::SHMDT,
    Syscall::SHMGET,
    // Surfaces.
    Syscall::ADD_KEY,
    Syscall::BPF,
    Syscall::IO_SETUP,
    Syscall::IO_URING_ENTER,
    Syscall::IO_URING_REGISTER,
    Syscall::IO_URING_SETUP,
    Syscall::KEYCTL,
    Syscall::MODIFY_LDT,
    Syscall::PERF_EVENT_OPEN,
    Syscall::PERSONALITY,
    Syscall::REQUEST_KEY,
    Syscall::SOCKET,
    Syscall::SOCKETPAIR,
    Syscall::SYSLOG,
    Syscall::USERFAULTFD,
]);

/// What no [`Lockdown::Custom`] has, even if it lists them: these fail with `EPERM`. All handlers are one user, and
/// nothing but this keeps one from sending signals to another; who asks to be traced by its parent, the kernel,
/// is never buried; a ring of io_uring makes system calls that no filter sees; and in a user namespace of its own a handler
/// that has kept the root directory has every capability. [`filter`](crate::filter) lets the plain signals to itself pass.
pub const NEVER: Syscalls = Syscalls::of(&[
    Syscall::IO_URING_ENTER,
    Syscall::IO_URING_REGISTER,
    Syscall::IO_URING_SETUP,
    Syscall::PTRACE,
    Syscall::PIDFD_SEND_SIGNAL,
    Syscall::RT_SIGQUEUEINFO,
    Syscall::RT_TGSIGQUEUEINFO,
    Syscall::UNSHARE,
]);

/// What becomes of a handler's system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// All are made.
    Any,
    /// Seccomp's strict mode: read, write, exit and rt_sigreturn; any other is the end.
    Strict,
    /// A filter: these are made, those fail with `EPERM`, and any other is the end.
    Filter {
        /// Made.
        allowed: Syscalls,
        /// Refused.
        refused: Syscalls,
    },
}

impl Lockdown {
    /// Bytes of [`Lockdown::encode`].
    pub const ENCODED: usize = 8 + 8 * Syscalls::WORDS;

    /// What becomes of system calls.
    pub const fn calls(self) -> Calls {
        match self {
            Self::Unconfined => Calls::Any,
            Self::SystemRoot | Self::Basic => Calls::Filter {
                allowed: complement(HARMFUL),
                refused: HARMFUL,
            },
            Self::Custom(listed) => Calls::Filter {
                allowed: intersection(union(SERVE, listed), complement(NEVER)),
                refused: intersection(listed, NEVER),
            },
            Self::Compute => Calls::Filter {
                allowed: COMPUTE,
                refused: MISSED,
            },
            Self::Strict => Calls::Strict,
        }
    }

    /// The name that operators read.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Compute => "compute",
            Self::Custom(_) => "custom",
            Self::Basic => "basic",
            Self::SystemRoot => "system-root",
            Self::Unconfined => "unconfined",
        }
    }

    /// The profile's number, without the list: each with a higher one gives up what one with a lower one does.
    pub const fn number(self) -> u8 {
        match self {
            Self::Unconfined => 0,
            Self::SystemRoot => 1,
            Self::Basic => 2,
            Self::Custom(_) => 3,
            Self::Compute => 4,
            Self::Strict => 5,
        }
    }

    /// As bytes, for the launcher, which is another program: the number, seven zeroes, and the list in little endian.
    pub fn encode(self) -> [u8; Self::ENCODED] {
        let mut bytes = [0; Self::ENCODED];
        let listed = match self {
            Self::Custom(listed) => listed,
            _ => Syscalls::NONE,
        };
        if let Some((number, rest)) = bytes.split_first_mut() {
            *number = self.number();
            let words = rest.get_mut(7..).unwrap_or_default().chunks_exact_mut(8);
            for (to, word) in words.zip(listed.words()) {
                to.copy_from_slice(&word.to_le_bytes());
            }
        }
        bytes
    }

    /// The one that [`Lockdown::encode`] turned into these bytes.
    pub fn decode(bytes: &[u8; Self::ENCODED]) -> Option<Self> {
        let (number, rest) = bytes.split_first()?;
        let (zeroes, list) = rest.split_at_checked(7)?;
        if zeroes.iter().any(|byte| *byte != 0) {
            return None;
        }
        let mut words = [0; Syscalls::WORDS];
        for (word, from) in words.iter_mut().zip(list.chunks_exact(8)) {
            *word = u64::from_le_bytes(from.try_into().ok()?);
        }
        let listed = Syscalls::from_words(words);
        Some(match number {
            3 => Self::Custom(listed),
            _ if listed != Syscalls::NONE => return None,
            0 => Self::Unconfined,
            1 => Self::SystemRoot,
            2 => Self::Basic,
            4 => Self::Compute,
            5 => Self::Strict,
            _ => return None,
        })
    }
}

const fn complement(set: Syscalls) -> Syscalls {
    let [a, b, c, d, e, f, g, h] = set.words();
    Syscalls::from_words([!a, !b, !c, !d, !e, !f, !g, !h])
}

const fn intersection(one: Syscalls, other: Syscalls) -> Syscalls {
    complement(union(complement(one), complement(other)))
}

const fn union(one: Syscalls, other: Syscalls) -> Syscalls {
    let [a, b, c, d, e, f, g, h] = one.words();
    let [i, j, k, l, m, n, o, p] = other.words();
    Syscalls::from_words([a | i, b | j, c | k, d | l, e | m, f | n, g | o, h | p])
}

/// One of the things that a lockdown is made of, as a host reports on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Its root directory is its image.
    Root,
    /// It has nobody's ids, and no group.
    Ids,
    /// It has no capability.
    Capabilities,
    /// It can gain none by exec.
    NoNewPrivs,
    /// It can make no process and no thread.
    Processes,
    /// It holds no file but its channel.
    Files,
    /// Memory, files, cores and the like are limited.
    Limits,
    /// The system calls that the profile does not list are denied.
    SystemCalls,
    /// Root's processes cannot reach it.
    Protection,
}

impl Element {
    /// All of them, in the order in which they are reported.
    pub const ALL: [Self; 9] = [
        Self::Root,
        Self::Ids,
        Self::Capabilities,
        Self::NoNewPrivs,
        Self::Processes,
        Self::Files,
        Self::Limits,
        Self::SystemCalls,
        Self::Protection,
    ];

    /// The name that operators read.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Ids => "ids",
            Self::Capabilities => "capabilities",
            Self::NoNewPrivs => "no-new-privs",
            Self::Processes => "processes",
            Self::Files => "files",
            Self::Limits => "limits",
            Self::SystemCalls => "system-calls",
            Self::Protection => "protection",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of [`Element`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elements(u16);

impl Elements {
    /// None.
    pub const NONE: Self = Self(0);

    /// These.
    pub fn of(elements: &[Element]) -> Self {
        elements.iter().fold(Self::NONE, |set, one| set.with(*one))
    }

    /// This one too.
    pub const fn with(self, element: Element) -> Self {
        Self(self.0 | element.bit())
    }

    /// Is it one of them?
    pub const fn contains(self, element: Element) -> bool {
        self.0 & element.bit() != 0
    }

    /// As a number, and back: [`Elements::from_bits`].
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The set that [`Elements::bits`] turned into this number.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// What a profile asks for. [`Element::Protection`] is the host's to ask for.
    pub fn requested(lockdown: Lockdown) -> Self {
        use Element::{Capabilities, Files, Ids, Limits, NoNewPrivs, Processes, Root, SystemCalls};
        match lockdown {
            Lockdown::Unconfined => Self::NONE,
            Lockdown::SystemRoot => Self::of(&[
                Ids,
                Capabilities,
                NoNewPrivs,
                Processes,
                Limits,
                SystemCalls,
            ]),
            Lockdown::Basic => Self::requested(Lockdown::SystemRoot).with(Root),
            Lockdown::Custom(_) | Lockdown::Compute | Lockdown::Strict => {
                Self::requested(Lockdown::Basic).with(Files)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Lockdown; 6] = [
        Lockdown::Unconfined,
        Lockdown::SystemRoot,
        Lockdown::Basic,
        Lockdown::Custom(COMPUTE),
        Lockdown::Compute,
        Lockdown::Strict,
    ];

    #[test]
    fn every_profile_comes_back() {
        for lockdown in ALL {
            let bytes = lockdown.encode();
            assert_eq!(Lockdown::decode(&bytes), Some(lockdown));
            let mut wrong = bytes;
            wrong[1] = 1;
            assert_eq!(Lockdown::decode(&wrong), None);
        }
        let mut bytes = Lockdown::Strict.encode();
        bytes[70] = 1;
        assert_eq!(Lockdown::decode(&bytes), None, "a list that is none of its");
        assert_eq!(Lockdown::decode(&[6; Lockdown::ENCODED]), None);
        let all = Lockdown::Custom(Syscalls::ALL);
        assert_eq!(Lockdown::decode(&all.encode()), Some(all));
    }

    #[test]
    fn the_profiles_give_up_more_and_more() {
        for pair in ALL.windows(2) {
            let [less, more] = pair else { unreachable!() };
            let (less, more) = (Elements::requested(*less), Elements::requested(*more));
            assert_eq!(less.bits() & more.bits(), less.bits());
        }
        assert!(!Elements::requested(Lockdown::Strict).contains(Element::Protection));
    }

    #[test]
    fn what_is_listed_is_listed_once() {
        for call in COMPUTE.iter() {
            assert!(!MISSED.contains(call), "{call}");
            assert!(!HARMFUL.contains(call), "{call}");
        }
        let Calls::Filter { allowed, refused } = Lockdown::Basic.calls() else {
            unreachable!()
        };
        assert_eq!(allowed.count() + refused.count(), 512);
        let Calls::Filter { allowed, refused } = Lockdown::Custom(Syscalls::NONE).calls() else {
            unreachable!()
        };
        assert_eq!((allowed, refused), (SERVE, Syscalls::NONE));
    }
}
