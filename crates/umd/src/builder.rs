// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a driver's owner decides.

use crate::driver::{Driver, SLOTS};
use crate::error::BuildError;
use crate::quarantine::Quarantine;
use crate::start::Extras;
use crate::time::{duration, span};
use std::os::fd::OwnedFd;
use std::time::Duration;
use umd_core::lifecycle::QUEUE_CAPACITY;
use umd_core::lockdown::Lockdown as Profile;
use umd_core::policy::{Policy, RestartPolicy as CorePolicy};
use umd_core::syscall::Syscalls;

/// What a handler gives up before it serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lockdown {
    /// All system calls but read, write and exit, by a filter. For handlers of the runtime without a standard library. (The clock that is read
    /// without a system call is not taken away.)
    #[default]
    Strict,
    /// As strict, but it may have memory, and know what time it is. For handlers with the standard library.
    Compute,
    /// As strict, but it may make these system calls besides.
    Custom(Syscalls),
}

/// Namespaces of a handler's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// Processes, network, mounts, System V's, host names: for privileged programs.
    All,
    /// The same inside a user namespace, which ordinary users may make on most systems.
    WithUser,
}

/// How often, and how soon, a dead handler is replaced.
///
/// Deaths are counted *in a row*: a reply in between makes the count zero again. The first is followed by a start at once, the next
/// by one after `backoff`, then after twice that, and so on up to `backoff_max`. After more than `budget` deaths the driver has
/// failed.
///
/// ```
/// use std::time::Duration;
/// use umd::RestartPolicy;
/// let patient = RestartPolicy {
///     backoff_max: Duration::from_secs(30),
///     ..RestartPolicy::unlimited()
/// };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartPolicy {
    /// Deaths in a row that are forgiven.
    pub budget: u32,
    /// A death longer ago than this is forgotten, and so is a failure.
    pub window: Duration,
    /// The pause before the start that follows the second death in a row.
    pub backoff: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
}

impl RestartPolicy {
    /// Never given up; pauses of 10 ms to 500 ms.
    pub fn unlimited() -> Self {
        Self::of(CorePolicy::UNLIMITED)
    }

    fn of(policy: CorePolicy) -> Self {
        Self {
            budget: policy.budget,
            window: duration(policy.window),
            backoff: duration(policy.backoff),
            backoff_max: duration(policy.backoff_max),
        }
    }

    fn in_core(self) -> CorePolicy {
        CorePolicy {
            budget: self.budget,
            window: span(self.window),
            backoff: span(self.backoff),
            backoff_max: span(self.backoff_max),
        }
    }
}

impl Default for RestartPolicy {
    /// Five deaths in a row within a minute; pauses of 100 ms to 5 s.
    fn default() -> Self {
        Self::of(CorePolicy::DEFAULT)
    }
}

/// A description of a driver.
///
/// ```no_run
/// # const BLOB: &[u8] = &[];
/// use std::time::Duration;
/// let driver = umd::Driver::builder("parser", BLOB)
///     .deadline(Duration::from_millis(200))
///     .workers(2)
///     .spares(1)
///     .build()?;
/// # Ok::<(), umd::BuildError>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is built before build()"]
pub struct Builder<'b> {
    name: &'b str,
    blob: &'b [u8],
    policy: Policy,
    extras: Extras,
    quarantine: bool,
}

impl<'b> Builder<'b> {
    pub(crate) fn new(name: &'b str, blob: &'b [u8]) -> Self {
        Self {
            name,
            blob,
            policy: Policy::DEFAULT,
            extras: Extras::default(),
            quarantine: false,
        }
    }

    /// What a handler gives up; strict by default.
    pub fn lockdown(mut self, lockdown: Lockdown) -> Self {
        self.policy.lockdown = match lockdown {
            Lockdown::Strict => Profile::Strict,
            Lockdown::Compute => Profile::Compute,
            Lockdown::Custom(listed) => Profile::Custom(listed),
        };
        self
    }

    /// From a call's begin to its end, queueing and a start included: 1 ms to an hour; 1 s by default.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.policy.deadline = span(deadline);
        self
    }

    /// From exec to hello: 1 ms to an hour; 5 s by default. The caller's own deadline holds besides.
    pub fn start_deadline(mut self, deadline: Duration) -> Self {
        self.policy.start_deadline = span(deadline);
        self
    }

    /// How often, and how soon, a dead handler is replaced; five deaths in a row within a minute by default.
    pub fn restart(mut self, restart: RestartPolicy) -> Self {
        self.policy.restart = restart.in_core();
        self
    }

    /// Requests that are worked on at the same time: 1 to 64 with the spares; 1 by default.
    pub fn workers(mut self, workers: usize) -> Self {
        self.policy.workers = workers;
        self
    }

    /// Handlers that are kept ready beyond the workers, so that a crash costs the next caller no start; none by default.
    pub fn spares(mut self, spares: usize) -> Self {
        self.policy.spares = spares;
        self
    }

    /// Callers that may wait: at most 64, which is the default. Past it calls fail at once.
    pub fn queue_max(mut self, queue_max: usize) -> Self {
        self.policy.queue_max = queue_max;
        self
    }

    /// Longest request in bytes: up to 1 GiB; 1 MiB by default.
    pub fn request_max(mut self, request_max: usize) -> Self {
        self.policy.request_max = request_max;
        self
    }

    /// Address space of a handler in bytes, image and stack included: at least 2 MiB; 64 MiB by default.
    pub fn memory_max(mut self, memory_max: u64) -> Self {
        self.policy.memory_max = memory_max;
        self
    }

    /// Namespaces of its own; none by default, for a handler cannot reach what is in ours.
    pub fn namespaces(mut self, namespaces: Namespaces) -> Self {
        // CLONE_NEWNS, CGROUP, UTS, IPC, PID, NET, and USER.
        const ALL: u64 =
            0x2_0000 | 0x200_0000 | 0x400_0000 | 0x800_0000 | 0x2000_0000 | 0x4000_0000;
        const USER: u64 = 0x1000_0000;
        self.extras.namespaces = match namespaces {
            Namespaces::All => ALL,
            Namespaces::WithUser => ALL | USER,
        };
        self
    }

    /// The control group (version 2) that handlers are made in: its directory, opened. Its limits are its owner's to set.
    pub fn cgroup(mut self, directory: OwnedFd) -> Self {
        self.extras.cgroup = Some(directory);
        self
    }

    /// Handlers say which system call they were denied ([`Error::denied`](crate::Error::denied)): their word, and no more. Off by default,
    /// since a handler has a signal handler for it. One that is denied a call with all signals blocked, as a C library does to make a
    /// thread, cannot say so.
    pub fn diagnose(mut self) -> Self {
        self.extras.diagnose = true;
        self
    }

    /// A request that has killed two handlers in a row is refused for 60 s. Off by default.
    pub fn quarantine(mut self) -> Self {
        self.quarantine = true;
        self
    }

    /// Makes the image and all that starts have in common. Nothing is started before the first call, or
    /// [`Driver::start`]; spares are.
    ///
    /// # Errors
    ///
    /// What is wrong with the description, or cannot be had.
    pub fn build(self) -> Result<Driver, BuildError> {
        let Self {
            name, blob, policy, ..
        } = self;
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !(1..=31).contains(&name.len()) || !name.bytes().all(good) {
            return Err(BuildError::Name);
        }
        if !umd_core::elf::is_executable(blob) {
            return Err(BuildError::NotExecutable);
        }
        if umd_core::elf::has_interpreter(blob) {
            return Err(BuildError::Dynamic);
        }
        let hour = 3_600_000;
        in_range("deadline", policy.deadline.as_millis(), 1, hour)?;
        in_range("start_deadline", policy.start_deadline.as_millis(), 1, hour)?;
        let slots = SLOTS as u64;
        in_range("workers", policy.workers as u64, 1, slots)?;
        let spares_max = slots.saturating_sub(policy.workers as u64);
        in_range("spares", policy.spares as u64, 0, spares_max)?;
        in_range(
            "queue_max",
            policy.queue_max as u64,
            0,
            QUEUE_CAPACITY as u64,
        )?;
        in_range("request_max", policy.request_max as u64, 0, 1 << 30)?;
        in_range("memory_max", policy.memory_max, 2 << 20, u64::MAX)?;
        let quarantine = self.quarantine.then(Quarantine::new);
        Driver::build(name, blob, policy, self.extras, quarantine)
    }
}

fn in_range(what: &'static str, value: u64, least: u64, most: u64) -> Result<(), BuildError> {
    match (least..=most).contains(&value) {
        true => Ok(()),
        false => Err(BuildError::OutOfRange { what, least, most }),
    }
}
