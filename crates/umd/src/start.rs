// SPDX-License-Identifier: MIT OR Apache-2.0
//! A handler's start: what its process gives up before it executes the image, step by step.
//!
//! All is prepared here; [`clone`](crate::sys::clone) makes the child that follows. What each step came to is seen from here
//! afterwards, since both share memory until the exec.

use crate::error::BuildError;
use crate::image::{Image, out_of_the_way};
use crate::look::{Status, proc_is_ours};
use crate::report::{Mechanism, State, Why};
use crate::ruleset::DenyAll;
use crate::sys::clone::{Child, Expect, Options, Script, Stack, Step, Way};
use crate::sys::files::is_open;
use crate::sys::pages::Kept;
use crate::sys::signals;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::mm::ProtFlags;
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CapabilitySet, SecureComputingMode, capabilities, secure_computing_mode};
use std::ffi::CString;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use umd_core::filter::{Denial, Exec, Instruction, Program};
use umd_core::frame::{Header, ORDERS, ORDERS_DIAGNOSE};
use umd_core::lockdown::Lockdown;

/// "nobody" and "nogroup": ids that own nothing.
const NOBODY: usize = 65534;

const STACK_MAX: u64 = 1 << 20;

/// The system calls of a child, by number, as in `arch/x86/entry/syscalls/syscall_64.tbl`.
mod number {
    pub(super) const RT_SIGACTION: u32 = 13;
    pub(super) const RT_SIGPROCMASK: u32 = 14;
    pub(super) const FCNTL: u32 = 72;
    pub(super) const CHDIR: u32 = 80;
    pub(super) const FCHDIR: u32 = 81;
    pub(super) const GETPPID: u32 = 110;
    pub(super) const SETSID: u32 = 112;
    pub(super) const SETGROUPS: u32 = 116;
    pub(super) const SETRESUID: u32 = 117;
    pub(super) const SETRESGID: u32 = 119;
    pub(super) const PRCTL: u32 = 157;
    pub(super) const CHROOT: u32 = 161;
    pub(super) const DUP3: u32 = 292;
    pub(super) const PRLIMIT64: u32 = 302;
    pub(super) const EXECVEAT: u32 = 322;
    pub(super) const CLOSE_RANGE: u32 = 436;
    pub(super) const LANDLOCK_RESTRICT_SELF: u32 = 446;
}

const PR_SET_PDEATHSIG: usize = 1;
const PR_SET_SECCOMP: usize = 22;
const SECCOMP_MODE_FILTER: usize = 2;
const PR_SET_SECUREBITS: usize = 28;
/// SECBIT_NOROOT, and its lock.
const NO_ROOT: usize = 3;
const PR_SET_NO_NEW_PRIVS: usize = 38;
const PR_CAP_AMBIENT: usize = 47;
const PR_CAP_AMBIENT_CLEAR_ALL: usize = 4;
const SIGKILL: usize = 9;
const SIGSTOP: usize = 19;
const F_SETFD: usize = 2;
const FD_CLOEXEC: usize = 1;
const CLOSE_RANGE_CLOEXEC: usize = 4;
const SIG_SETMASK: usize = 2;
const AT_EMPTY_PATH: usize = 0x1000;

/// RLIMIT_…, as in `include/uapi/asm-generic/resource.h`, with the most that a handler gets.
const LIMITS: [(Resource, usize, u64); 7] = [
    (Resource::Core, 4, 0),
    (Resource::Fsize, 1, 0),
    (Resource::Memlock, 8, 0),
    (Resource::Msgqueue, 12, 0),
    (Resource::Rtprio, 14, 0),
    (Resource::Sigpending, 11, 64),
    (Resource::Stack, 3, STACK_MAX),
];
const RLIMIT_NPROC: usize = 6;
const RLIMIT_NOFILE: usize = 7;
const RLIMIT_AS: usize = 9;

/// What starts have in common, made once a driver.
#[derive(Debug)]
pub(crate) struct Plan {
    name: CString,
    image: Image,
    lockdown: Lockdown,
    memory_max: u64,
    /// What is written to fd 2 goes nowhere.
    sink: OwnedFd,
    ruleset: DenyAll,
    /// A directory that is deleted; without, why.
    root: Result<OwnedFd, Why>,
    namespaces: u64,
    cgroup: Option<OwnedFd>,
    diagnose: bool,
    proc_is_ours: bool,
    filter: Filter,
}

/// The filter of a plan's handlers.
#[derive(Debug)]
enum Filter {
    /// The child sets it before the exec, which it knows by the address of the path.
    Before { code: Vec<Instruction>, path: usize },
    /// Handlers set it at the start of their main, since what goes before takes calls that it denies. They are sent this, where it is the
    /// same for all.
    After(Option<Vec<u8>>),
}

/// Where the path of an exec lies that a handler's filter lets pass: a page of its own among the program's mappings. A handler that could
/// write to memory at this address could have something else executed, under the same filter. It has its image, which is elsewhere, and a
/// stack, and under strict it can map nothing. A path among the program's data could lie where a handler has its own.
static NO_PATH: Kept = Kept::new();

/// CLONE_NEW…, as in `include/uapi/linux/sched.h`.
pub(crate) const NEW_PIDS: u64 = 0x2000_0000;
pub(crate) const NEW_USER: u64 = 0x1000_0000;

/// What an owner asks for, besides the policy.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    pub(crate) namespaces: u64,
    pub(crate) cgroup: Option<OwnedFd>,
    pub(crate) diagnose: bool,
}

/// What this kernel, or the container's filter, was seen to refuse.
static NO_CLONE3: AtomicBool = AtomicBool::new(false);
static NO_CLOSE_RANGE: AtomicBool = AtomicBool::new(false);

/// What is known of mechanisms.
#[derive(Debug)]
pub(crate) struct States {
    pub(crate) list: Vec<(Mechanism, State)>,
    pub(crate) filter: FilterBy,
    /// It is to have nobody's ids.
    pub(crate) drops_ids: bool,
}

/// Who sets a handler's filter.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FilterBy {
    /// The child, of ours: there is no exec without.
    Child,
    /// The handler, which is under so many when it has.
    Handler { filters: u64 },
}

/// What the program may do, when it makes a process.
#[derive(Clone, Copy, Debug)]
struct Powers {
    /// It is root, and may be again.
    root: bool,
    /// Its children may have other ids; and it can kill them all the same.
    ids: bool,
}

impl Powers {
    fn now() -> Self {
        let root = rustix::process::geteuid().is_root();
        let effective = capabilities(None).map(|sets| sets.effective);
        let wanted = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::KILL;
        let ids = root && effective.is_ok_and(|effective| effective.contains(wanted));
        Self { root, ids }
    }
}

impl Plan {
    pub(crate) fn new(
        name: &str,
        blob: &[u8],
        policy: &umd_core::policy::Policy,
        extras: Extras,
    ) -> Result<Self, BuildError> {
        let image = Image::new(name, blob)?;
        let filter = match (policy.lockdown, extras.diagnose) {
            (Lockdown::Strict, false) => Filter::before(&image).map_err(BuildError::resources)?,
            // A list of the owner's may have calls that a process may make for itself only.
            (Lockdown::Custom(_), _) => Filter::After(None),
            (lockdown, diagnose) => Filter::After(filter(lockdown, 0, diagnose)),
        };
        Ok(Self {
            filter,
            name: CString::new(name).map_err(|_| BuildError::Name)?,
            ruleset: DenyAll::new(&image),
            image,
            lockdown: policy.lockdown,
            memory_max: policy.memory_max,
            sink: sink().map_err(BuildError::resources)?,
            root: match rustix::process::geteuid().is_root() {
                true => empty_root(),
                false => Err(Why::NotPermitted),
            },
            namespaces: extras.namespaces,
            cgroup: extras.cgroup,
            diagnose: extras.diagnose,
            proc_is_ours: proc_is_ours(),
        })
    }

    /// What a handler gives up.
    pub(crate) fn lockdown(&self) -> Lockdown {
        self.lockdown
    }

    /// Are handlers in `/proc` who they are here? They are not where that is another PID namespace's.
    pub(crate) fn proc_is_ours(&self) -> bool {
        self.proc_is_ours
    }

    /// Who sets the filter. A handler that does has those of the calling thread besides, which is asked at each start: a program
    /// may put itself under a filter at any time.
    fn filter_by(&self) -> FilterBy {
        let Filter::After(_) = self.filter else {
            return FilterBy::Child;
        };
        let ours = match secure_computing_mode() {
            Ok(SecureComputingMode::Disabled) => 0,
            // One at the least, where nobody tells.
            _ => Status::of("thread-self")
                .and_then(|own| own.filters)
                .unwrap_or(1),
        };
        FilterBy::Handler {
            filters: ours.saturating_add(1),
        }
    }

    /// Is a handler the first of its own?
    pub(crate) fn has_new_pids(&self) -> bool {
        self.namespaces & NEW_PIDS != 0
    }

    /// What a handler is sent before it is there, where that is the same for all.
    pub(crate) fn filter(&self) -> Option<&[u8]> {
        match &self.filter {
            Filter::Before { .. } => None,
            Filter::After(frame) => frame.as_deref(),
        }
    }

    /// What the handler with this id is sent, where that is not the same for all.
    pub(crate) fn filter_for(&self, pid: u32) -> Option<Vec<u8>> {
        match self.filter {
            Filter::After(None) => filter(self.lockdown, pid, self.diagnose),
            _ => None,
        }
    }

    /// Does a handler say which call it was denied?
    pub(crate) fn diagnose(&self) -> bool {
        self.diagnose
    }

    /// Makes a process that executes the image, with this end of the channel, which is not standard input, output or error. Context: the
    /// spawner's thread.
    pub(crate) fn launch(
        &self,
        channel: &OwnedFd,
        stack: &Stack,
    ) -> Result<(Child, States), Errno> {
        let mut attempt = Attempt {
            way: match NO_CLONE3.load(Ordering::Relaxed) {
                false => Way::Clone3,
                true => Way::Clone,
            },
            range: !NO_CLOSE_RANGE.load(Ordering::Relaxed),
            powers: Powers::now(),
            filter: self.filter_by(),
        };
        loop {
            match self.attempt(channel.as_fd(), stack, attempt) {
                Err(Refused::Clone(Errno::NOSYS | Errno::PERM)) if attempt.way == Way::Clone3 => {
                    attempt.way = Way::Clone;
                }
                Err(Refused::CloseRange) if attempt.range => attempt.range = false,
                Err(Refused::Clone(errno) | Refused::Step(errno)) => return Err(errno),
                Err(Refused::CloseRange) => return Err(Errno::NOSYS),
                Ok(launched) => {
                    // Only what went well without says that it is this that was refused.
                    NO_CLONE3.store(attempt.way == Way::Clone, Ordering::Relaxed);
                    NO_CLOSE_RANGE.store(!attempt.range, Ordering::Relaxed);
                    return Ok(launched);
                }
            }
        }
    }

    fn attempt(
        &self,
        channel: BorrowedFd<'_>,
        stack: &Stack,
        attempt: Attempt,
    ) -> Result<(Child, States), Refused> {
        let Attempt { way, powers, .. } = attempt;
        // All that the steps' arguments are addresses of.
        let memory = Memory::new(self, attempt);
        let mut marks = Vec::new();
        let mut steps = Vec::with_capacity(64);
        let options = Options {
            way,
            // Root has no use for users of its own, under which its ids could not be changed.
            namespaces: match powers.root {
                true => self.namespaces & !NEW_USER,
                false => self.namespaces,
            },
            cgroup: match way {
                Way::Clone3 => self.cgroup.as_ref().map(AsFd::as_fd),
                Way::Clone => None,
            },
        };
        self.steps(&memory, channel, attempt, &mut steps, &mut marks);
        let mut script = Script::new(steps);
        // SAFETY: the addresses are those of `memory`, and of constants; descriptors are the child's own.
        let mut child = unsafe { script.run(stack, &options) }.map_err(Refused::Clone)?;
        if child.pidfd.as_raw_fd() < 3
            && let Ok(pidfd) = out_of_the_way(&child.pidfd)
        {
            child.pidfd = pidfd;
        }
        let steps = script.steps();
        if let Some(failed) = steps.iter().find(|step| step.failed()) {
            end(&child);
            return Err(match failed.outcome() {
                _ if failed.is(number::CLOSE_RANGE) => Refused::CloseRange,
                Some(Err(errno)) => Refused::Step(errno),
                // It is not the child of whom it should be.
                _ => Refused::Step(Errno::SRCH),
            });
        }
        let mut list = self.states(attempt);
        for (at, mechanism) in marks {
            let state = match steps.get(at).and_then(Step::outcome) {
                Some(Ok(_)) => State::InForce,
                Some(Err(Errno::PERM)) => State::Missing(Why::NotPermitted),
                Some(Err(errno)) => State::Missing(Why::Errno(errno.raw_os_error())),
                None => State::Missing(Why::NotSeen),
            };
            list.push((mechanism, state));
        }
        let states = States {
            list,
            filter: attempt.filter,
            drops_ids: powers.ids,
        };
        Ok((child, states))
    }

    /// What is known without a step.
    fn states(&self, attempt: Attempt) -> Vec<(Mechanism, State)> {
        let asked = |asked, state| if asked { state } else { State::NotRequested };
        let mut states = vec![
            (
                Mechanism::Namespaces,
                asked(self.namespaces != 0, State::InForce),
            ),
            (
                Mechanism::Cgroup,
                asked(
                    self.cgroup.is_some(),
                    match attempt.way {
                        Way::Clone3 => State::InForce,
                        Way::Clone => State::Missing(Why::NotSupported),
                    },
                ),
            ),
        ];
        for (mechanism, part) in self.ruleset.parts() {
            if let Err(why) = part {
                states.push((mechanism, State::Missing(why)));
            }
        }
        match &self.root {
            Ok(_) if attempt.powers.root => {}
            Ok(_) => states.push((Mechanism::EmptyRoot, State::Missing(Why::NotPermitted))),
            Err(why) => states.push((Mechanism::EmptyRoot, State::Missing(*why))),
        }
        if !attempt.range {
            // What another thread opens meanwhile for children to have, it has.
            states.push((Mechanism::Descriptors, State::Claimed));
        }
        states
    }

    /// The list. Where a step stands for a mechanism, `marks` says so.
    fn steps(
        &self,
        memory: &Memory,
        channel: BorrowedFd<'_>,
        attempt: Attempt,
        steps: &mut Vec<Step>,
        marks: &mut Vec<(usize, Mechanism)>,
    ) {
        use Expect::{Anything, Exactly, Success};
        let mut list = List { steps, marks };
        let Attempt { way, powers, .. } = attempt;
        let descriptor = |fd: BorrowedFd<'_>| fd.as_raw_fd() as usize;

        list.marked(Mechanism::Session, number::SETSID, [0; 6], Anything);
        for to in [0, 1] {
            list.step(number::DUP3, [descriptor(channel), to, 0, 0, 0, 0], Success);
        }
        let sink = [descriptor(self.sink.as_fd()), 2, 0, 0, 0, 0];
        list.step(number::DUP3, sink, Success);
        if attempt.range {
            let all = [3, u32::MAX as usize, CLOSE_RANGE_CLOEXEC, 0, 0, 0];
            list.marked(Mechanism::Descriptors, number::CLOSE_RANGE, all, Success);
        } else {
            for fd in &memory.descriptors {
                // It may be closed by now.
                list.step(number::FCNTL, [*fd, F_SETFD, FD_CLOEXEC, 0, 0, 0], Anything);
            }
        }
        if let (Ok(root), true) = (&self.root, powers.root) {
            let root = descriptor(root.as_fd());
            // Or the next step would take the program's own directory.
            list.step(number::FCHDIR, [root, 0, 0, 0, 0, 0], Success);
            let here = [c".".as_ptr() as usize, 0, 0, 0, 0, 0];
            list.marked(Mechanism::EmptyRoot, number::CHROOT, here, Anything);
        }
        let top = [c"/".as_ptr() as usize, 0, 0, 0, 0, 0];
        list.step(number::CHDIR, top, Anything);
        if powers.root {
            // Where its ids stay root's, an exec gives it nothing.
            let bits = [PR_SET_SECUREBITS, NO_ROOT, 0, 0, 0, 0];
            list.step(number::PRCTL, bits, Anything);
        }
        if powers.ids {
            let ids = [NOBODY, NOBODY, NOBODY, 0, 0, 0];
            list.step(number::SETGROUPS, [0; 6], Anything);
            list.step(number::SETRESGID, ids, Anything);
            list.step(number::SETRESUID, ids, Anything);
        }
        let ambient = [PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, 0];
        list.step(number::PRCTL, ambient, Anything);
        // After the change of uid, which would count against the limit and have the exec fail.
        for (resource, limit) in &memory.limits {
            let arguments = [0, *resource, limit.as_ptr() as usize, 0, 0, 0];
            match *resource {
                RLIMIT_AS => {
                    list.marked(
                        Mechanism::MemoryLimit,
                        number::PRLIMIT64,
                        arguments,
                        Success,
                    );
                }
                RLIMIT_NPROC => {
                    list.marked(
                        Mechanism::ProcessLimit,
                        number::PRLIMIT64,
                        arguments,
                        Anything,
                    );
                }
                _ => list.step(number::PRLIMIT64, arguments, Success),
            }
        }
        let privileges = [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0];
        list.step(number::PRCTL, privileges, Success);
        if let Some(ruleset) = self.ruleset.file() {
            for (mechanism, _) in self.ruleset.parts().iter().filter(|(_, part)| part.is_ok()) {
                list.mark(*mechanism);
            }
            let arguments = [descriptor(ruleset.as_fd()), 0, 0, 0, 0, 0];
            list.step(number::LANDLOCK_RESTRICT_SELF, arguments, Anything);
        }
        // After the change of uid, which would take it back.
        let death = [PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0];
        list.marked(Mechanism::ParentDeath, number::PRCTL, death, Success);
        // It may have come too late.
        if self.namespaces & NEW_PIDS == 0 {
            list.step(number::GETPPID, [0; 6], Exactly(memory.parent));
        }
        for signal in memory.signals(way) {
            let action = [
                signal,
                memory.default_action.as_ptr() as usize,
                0,
                signals::SET,
                0,
                0,
            ];
            list.step(number::RT_SIGACTION, action, Success);
        }
        let mask = [
            SIG_SETMASK,
            &raw const memory.no_signal as usize,
            0,
            signals::SET,
            0,
            0,
        ];
        list.step(number::RT_SIGPROCMASK, mask, Success);
        let mut path = c"".as_ptr() as usize;
        if let Filter::Before { path: known, .. } = self.filter {
            path = known;
            let filter = [
                PR_SET_SECCOMP,
                SECCOMP_MODE_FILTER,
                &raw const memory.filter as usize,
                0,
                0,
                0,
            ];
            list.step(number::PRCTL, filter, Success);
        }
        let exec = [
            descriptor(self.image.as_fd()),
            path,
            memory.arguments.as_ptr() as usize,
            memory.environment.as_ptr() as usize,
            AT_EMPTY_PATH,
            0,
        ];
        list.step(number::EXECVEAT, exec, Success);
    }
}

/// The filter of a lockdown for the process with this id, as a frame.
///
/// With `diagnose()` strict has one too, though there is a mode for it: that mode forbids to read the time stamp counter as well, by a control
/// register that is written at each switch to the handler and from it. In virtual machines that is an exit, and costs more than a call.
fn filter(lockdown: Lockdown, pid: u32, diagnose: bool) -> Option<Vec<u8>> {
    let denial = match diagnose {
        true => Denial::Signal,
        false => Denial::Death,
    };
    let program = Program::without_exec(lockdown, pid, denial)?;
    let code = program.instructions();
    let length = u32::try_from(code.len() * Instruction::ENCODED).ok()?;
    let mut frame = Header::orders(length).encode().to_vec();
    frame.extend(code.iter().flat_map(|instruction| instruction.encode()));
    Some(frame)
}

/// How a process is to be made.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    way: Way,
    /// close_range() is there.
    range: bool,
    powers: Powers,
    filter: FilterBy,
}

/// Why there is no process.
enum Refused {
    Clone(Errno),
    CloseRange,
    Step(Errno),
}

struct List<'l> {
    steps: &'l mut Vec<Step>,
    marks: &'l mut Vec<(usize, Mechanism)>,
}

impl List<'_> {
    fn step(&mut self, number: u32, arguments: [usize; 6], expect: Expect) {
        self.steps.push(Step::new(number, arguments, expect));
    }

    /// The next step stands for this.
    fn mark(&mut self, mechanism: Mechanism) {
        self.marks.push((self.steps.len(), mechanism));
    }

    fn marked(&mut self, mechanism: Mechanism, number: u32, arguments: [usize; 6], expect: Expect) {
        self.mark(mechanism);
        self.step(number, arguments, expect);
    }
}

/// `struct sock_fprog`, as in `include/uapi/linux/filter.h`.
#[repr(C)]
struct FilterProgram {
    length: u16,
    code: *const Instruction,
}

impl Filter {
    /// That of a child that executes this image under strict.
    fn before(image: &Image) -> Result<Self, Errno> {
        let path = NO_PATH.get(ProtFlags::READ)?.as_ptr() as usize;
        let exec = Exec {
            image: image.as_fd().as_raw_fd().unsigned_abs(),
            path: path as u64,
        };
        let code = Program::strict_until(exec).instructions().to_vec();
        Ok(Self::Before { code, path })
    }

    /// What the child sets, if it does. It has to stay where it is.
    fn program(&self) -> FilterProgram {
        let code = match self {
            Self::Before { code, .. } => &**code,
            Self::After(_) => &[],
        };
        FilterProgram {
            length: u16::try_from(code.len()).unwrap_or(0),
            code: code.as_ptr(),
        }
    }
}

/// What steps refer to by address.
struct Memory {
    arguments: [*const std::ffi::c_char; 3],
    environment: [*const std::ffi::c_char; 1],
    /// The number of each limit, and its soft and hard value.
    limits: Vec<(usize, [u64; 2])>,
    /// `struct sigaction` of zeroes: SIG_DFL.
    default_action: [u64; 4],
    no_signal: u64,
    filter: FilterProgram,
    parent: usize,
    /// Those that are open, from 3 on, where they have to be named.
    descriptors: Vec<usize>,
}

impl Memory {
    /// The plan's name and filter have to stay where they are as long as this.
    fn new(plan: &Plan, attempt: Attempt) -> Self {
        let orders = match (&plan.filter, plan.diagnose) {
            // It finds that nothing is left to be given up.
            (Filter::Before { .. }, _) => ptr::null(),
            (_, true) => ORDERS_DIAGNOSE.as_ptr(),
            (_, false) => ORDERS.as_ptr(),
        };
        let mut limits = vec![
            limit(Resource::As, RLIMIT_AS, plan.memory_max),
            limit(Resource::Nproc, RLIMIT_NPROC, 0),
            // What it has it keeps; one that it closes makes no room for another.
            limit(Resource::Nofile, RLIMIT_NOFILE, 0),
        ];
        limits.extend(LIMITS.map(|(resource, number, most)| limit(resource, number, most)));
        Self {
            arguments: [plan.name.as_ptr(), orders, ptr::null()],
            environment: [ptr::null()],
            limits,
            default_action: [0; 4],
            no_signal: 0,
            filter: plan.filter.program(),
            parent: rustix::process::getpid().as_raw_nonzero().get() as usize,
            descriptors: match attempt.range {
                true => Vec::new(),
                false => open_descriptors(),
            },
        }
    }

    /// The signals whose actions have to be reset: an exec leaves those that are ignored, and clone3() resets the others.
    fn signals(&self, way: Way) -> impl Iterator<Item = usize> {
        signals::ALL
            .filter(|signal| *signal != SIGKILL && *signal != SIGSTOP)
            .filter(move |signal| way == Way::Clone || signals::is_ignored(*signal))
    }
}

fn limit(resource: Resource, number: usize, most: u64) -> (usize, [u64; 2]) {
    let hard = match most {
        // Less cannot be.
        0 => 0,
        _ => getrlimit(resource).maximum.unwrap_or(u64::MAX),
    };
    (number, [most.min(hard); 2])
}

/// Those that may be open, from 3 on, where the kernel cannot close all at once. What another thread opens meanwhile for children to have,
/// they have.
fn open_descriptors() -> Vec<usize> {
    match std::fs::read_dir("/proc/self/fd") {
        Ok(entries) => entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|fd| *fd > 2)
            .collect(),
        // Without /proc each number is tried, up to what systems have as their limit.
        Err(_) => {
            let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
            (3..limit.min(1 << 20) as usize)
                .filter(|fd| is_open(*fd))
                .collect()
        }
    }
}

/// A place to write to that is none.
fn sink() -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    match open("/dev/null", flags, Mode::empty()) {
        Ok(null) => out_of_the_way(null),
        // In an empty root: a pipe that nobody reads.
        Err(_) => out_of_the_way(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?.1),
    }
}

/// A directory that is deleted: it is empty, and nothing can be made in it.
fn empty_root() -> Result<OwnedFd, Why> {
    let errno = |error: std::io::Error| Why::Errno(error.raw_os_error().unwrap_or(0));
    let path = std::env::temp_dir().join(format!(
        "umd-{}-{}",
        std::process::id(),
        crate::time::now().as_nanos()
    ));
    std::fs::create_dir(&path).map_err(errno)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = open(&path, flags, Mode::empty());
    std::fs::remove_dir(&path).map_err(errno)?;
    let directory = directory.and_then(out_of_the_way);
    let directory = directory.map_err(|number| Why::Errno(number.raw_os_error()))?;
    // Whoever has put another in its place has not had that deleted.
    match rustix::fs::fstat(&directory) {
        Ok(status) if status.st_nlink == 0 => Ok(directory),
        _ => Err(Why::NotSeen),
    }
}

/// Waits for its end, but not for long: who cannot kill it would wait for ever.
pub(crate) fn await_end(child: &Child) {
    let mut end = [PollFd::new(&child.pidfd, PollFlags::IN)];
    let second = Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    // Interrupted, or too late: then it is not reaped here.
    let _ = poll(&mut end, Some(&second));
}

/// Nobody wants this child, which has ended or is about to.
fn end(child: &Child) {
    use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
    let _ = pidfd_send_signal(&child.pidfd, Signal::KILL);
    await_end(child);
    // Somebody else in this program may have reaped it.
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let _ = waitid(WaitId::PidFd(child.pidfd.as_fd()), options);
}
