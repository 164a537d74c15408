// SPDX-License-Identifier: MIT OR Apache-2.0
//! From nothing to the first reply.
//!
//! What umd's start is compared with is the least that it takes: a child that shares our memory (vfork), and an exec of the same
//! image; with the system calls that umd's child makes before, and without.

use crate::handlers::BENCH;
use crate::{ROUNDS, Timed, peer, side_by_side};
use anyhow::{Context, Result, ensure};
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, Scope,
};
use libc::{c_int, c_long, c_void};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, memfd_create, open};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::ffi::CStr;
use std::thread::sleep;
use std::time::{Duration, Instant};
use umd::Driver;
use umd_core::filter::{Exec, Instruction, Program};
use umd_core::frame::{HEADER_LEN, Header};

/// Starts of each kind in a round.
const TURNS: usize = 15;
/// In which time a handler that was killed is gone, reaped and forgotten for sure.
const PAUSE: Duration = Duration::from_millis(4);
/// "nobody" and "nogroup".
const NOBODY: c_long = 65534;
/// Out of the way of the descriptors that a child gets.
const FIRST: c_int = 10;
/// A large heap.
const HEAP: usize = 512 << 20;

/// Measures starts, and then starts beside a large heap.
pub(crate) fn measure() -> Result<()> {
    let image = Image::new()?;
    let driver = Driver::builder("bench", BENCH).build()?;
    {
        let mut hosts: [(&str, Timed<'_>); 3] = [
            ("vfork", Box::new(|| image.start(Lockdown::None))),
            (
                "vfork, locked down",
                Box::new(|| image.start(Lockdown::Same)),
            ),
            ("umd", Box::new(|| start(&driver))),
        ];
        for round in 0..ROUNDS {
            side_by_side("start to first reply", round, TURNS, &mut hosts)?;
        }
    }
    let small = || start(&driver);
    let large = || {
        // Each page is there, since each was written to.
        let heap = std::hint::black_box(vec![1_u8; HEAP]);
        let took = start(&driver);
        drop(std::hint::black_box(heap));
        took
    };
    let mut hosts: [(&str, Timed<'_>); 2] = [
        ("small heap", Box::new(small)),
        ("512 MiB heap", Box::new(large)),
    ];
    (0..ROUNDS).try_for_each(|round| side_by_side("start, by heap", round, 3, &mut hosts))
}

/// The call that starts a handler.
fn start(driver: &Driver) -> Result<Duration> {
    driver.restart();
    sleep(PAUSE);
    let begin = Instant::now();
    ensure!(driver.call_bytes(&[0; 4], &mut [])? == 0, "another reply");
    Ok(begin.elapsed())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lockdown {
    /// The exec alone, and the channel.
    None,
    /// The calls that umd's child makes.
    Same,
}

/// The handler's executable, and what else a start needs that is made once.
struct Image {
    file: OwnedFd,
    sink: OwnedFd,
    ruleset: Option<OwnedFd>,
    /// An empty directory, for those who may have it as their root.
    root: Option<OwnedFd>,
    /// What the child sets as its filter.
    filter: Vec<Instruction>,
}

/// A child's system calls, in order; what they return does not matter, since a handler that is not there does not answer.
struct Script(Vec<[c_long; 7]>);

impl Image {
    fn new() -> Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = match memfd_create("bench", flags | MemfdFlags::EXEC) {
            Err(Errno::INVAL) => memfd_create("bench", flags)?,
            made => made?,
        };
        peer::write_all(&file, BENCH)?;
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        fcntl_add_seals(&file, seals)?;
        let sink = open("/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        let ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(ABI::V6))?
            .handle_access(AccessNet::from_all(ABI::V6))?
            .scope(Scope::from_all(ABI::V6))?
            .create()?;
        let ruleset: Option<OwnedFd> = ruleset.into();
        let root = match rustix::process::geteuid().is_root() {
            true => Some(empty_directory()?),
            false => None,
        };
        let high = |file: OwnedFd| fcntl_dupfd_cloexec(file, FIRST);
        let file = high(file)?;
        let exec = Exec {
            image: file.as_raw_fd().unsigned_abs(),
            path: NO_PATH.as_ptr() as u64,
        };
        Ok(Self {
            filter: Program::strict_until(exec).instructions().to_vec(),
            file,
            sink: high(sink)?,
            ruleset: ruleset.map(high).transpose()?,
            root: root.map(high).transpose()?,
        })
    }

    /// Starts a handler and asks it once; the clock stops with its answer.
    fn start(&self, lockdown: Lockdown) -> Result<Duration> {
        let stack = vec![0_u8; 16 * 1024];
        let begin = Instant::now();
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        let theirs = fcntl_dupfd_cloexec(theirs, FIRST)?;
        let pid = self.vfork(&theirs, lockdown, &stack)?;
        drop(theirs);
        let mut hello = [0; HEADER_LEN];
        let greeted = peer::read_all(&ours, &mut hello)?;
        let mut request = [0; HEADER_LEN + 4];
        request[..HEADER_LEN].copy_from_slice(&Header::request(1, 4).encode());
        peer::write_all(&ours, &request)?;
        let answered = peer::read_all(&ours, &mut hello)?;
        let took = begin.elapsed();
        kill_process(pid, Signal::KILL)?;
        waitpid(Some(pid), WaitOptions::empty())?;
        sleep(PAUSE);
        let reply = Header::decode(&hello).ok();
        ensure!(greeted && answered, "the handler is gone");
        ensure!(reply == Some(Header::reply(1, 0, 0)), "another reply");
        Ok(took)
    }

    fn vfork(&self, channel: &OwnedFd, lockdown: Lockdown, stack: &[u8]) -> Result<Pid> {
        // Without a filter it asks for strict mode.
        let arguments = [c"bench".as_ptr(), std::ptr::null()];
        let environment: [*const libc::c_char; 1] = [std::ptr::null()];
        let limits = limits();
        let filter = libc::sock_fprog {
            len: u16::try_from(self.filter.len())?,
            filter: self.filter.as_ptr().cast_mut().cast(),
        };
        let mut script = Script(Vec::with_capacity(64));
        if lockdown == Lockdown::Same {
            script.add(libc::SYS_setsid, []);
        }
        let channel = channel.as_raw_fd().into();
        script.add(libc::SYS_dup3, [channel, 0, 0]);
        script.add(libc::SYS_dup3, [channel, 1, 0]);
        if lockdown == Lockdown::Same {
            self.lock_down(&mut script, &limits, &filter);
        }
        let exec = [
            self.file.as_raw_fd().into(),
            address(NO_PATH.as_ptr()),
            address(arguments.as_ptr()),
            address(environment.as_ptr()),
            libc::AT_EMPTY_PATH.into(),
        ];
        script.add(libc::SYS_execveat, exec);
        let top = stack.as_ptr_range().end.cast_mut().cast::<c_void>();
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let argument = (&raw const script).cast_mut().cast::<c_void>();
        // SAFETY: the child has a stack of its own, 16 KiB of memory that nobody else uses, which is aligned by clone(3); it runs
        // `follow` on the script, and we sleep until it has executed the image, or has ended (CLONE_VFORK).
        let pid = unsafe { libc::clone(follow, top, flags, argument) };
        let made = Pid::from_raw(pid).filter(|_| pid > 0);
        made.context("no child could be made")
    }

    /// As umd's child does it, in `crates/umd/src/start.rs`.
    fn lock_down(
        &self,
        script: &mut Script,
        limits: &[(c_long, [u64; 2])],
        filter: &libc::sock_fprog,
    ) {
        script.add(libc::SYS_dup3, [self.sink.as_raw_fd().into(), 2, 0]);
        let cloexec = c_long::from(libc::CLOSE_RANGE_CLOEXEC);
        script.add(libc::SYS_close_range, [3, u32::MAX.into(), cloexec]);
        if let Some(root) = &self.root {
            script.add(libc::SYS_fchdir, [root.as_raw_fd().into()]);
            script.add(libc::SYS_chroot, [address(c".".as_ptr())]);
        }
        script.add(libc::SYS_chdir, [address(c"/".as_ptr())]);
        if self.root.is_some() {
            script.add(libc::SYS_prctl, [libc::PR_SET_SECUREBITS.into(), NO_ROOT]);
            script.add(libc::SYS_setgroups, [0, 0]);
            script.add(libc::SYS_setresgid, [NOBODY; 3]);
            script.add(libc::SYS_setresuid, [NOBODY; 3]);
        }
        let clear_all = c_long::from(libc::PR_CAP_AMBIENT_CLEAR_ALL);
        let ambient = [libc::PR_CAP_AMBIENT.into(), clear_all, 0, 0, 0];
        script.add(libc::SYS_prctl, ambient);
        for (resource, limit) in limits {
            script.add(
                libc::SYS_prlimit64,
                [0, *resource, address(limit.as_ptr()), 0],
            );
        }
        script.add(
            libc::SYS_prctl,
            [libc::PR_SET_NO_NEW_PRIVS.into(), 1, 0, 0, 0],
        );
        if let Some(ruleset) = &self.ruleset {
            let ruleset = ruleset.as_raw_fd().into();
            script.add(libc::SYS_landlock_restrict_self, [ruleset, 0]);
        }
        let death = [libc::PR_SET_PDEATHSIG.into(), libc::SIGKILL.into(), 0, 0, 0];
        script.add(libc::SYS_prctl, death);
        script.add(libc::SYS_getppid, []);
        for signal in ignored() {
            let default = address(DEFAULT.as_ptr());
            script.add(libc::SYS_rt_sigaction, [signal, default, 0, 8]);
        }
        let none = address(NO_SIGNAL.as_ptr());
        script.add(
            libc::SYS_rt_sigprocmask,
            [libc::SIG_SETMASK.into(), none, 0, 8],
        );
        let mode = c_long::from(libc::SECCOMP_MODE_FILTER);
        let filter = address(std::ptr::from_ref(filter));
        script.add(libc::SYS_prctl, [libc::PR_SET_SECCOMP.into(), mode, filter]);
    }
}

/// The empty set of signals.
static NO_SIGNAL: [u64; 1] = [0];
/// `struct sigaction` of zeroes: SIG_DFL.
static DEFAULT: [u64; 4] = [0; 4];
static NO_PATH: &CStr = c"";
/// SECBIT_NOROOT, and its lock.
const NO_ROOT: c_long = 3;

/// The signals that this program ignores, which an exec would leave so.
fn ignored() -> impl Iterator<Item = c_long> {
    (1..=64).filter(|signal| {
        let mut action = [0_u64; 4];
        // SAFETY: writes the action, which has room for one, and changes none.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, *signal, 0, action.as_mut_ptr(), 8) };
        action[0] == libc::SIG_IGN as u64
    })
}

impl Script {
    fn add<const N: usize>(&mut self, number: c_long, arguments: [c_long; N]) {
        let mut call = [0; 7];
        let values = [number].into_iter().chain(arguments);
        call.iter_mut()
            .zip(values)
            .for_each(|(to, from)| *to = from);
        self.0.push(call);
    }
}

/// The child.
extern "C" fn follow(script: *mut c_void) -> c_int {
    // SAFETY: a script, which lives as long as our parent sleeps.
    let Script(calls) = unsafe { &*script.cast_const().cast::<Script>() };
    for [number, a, b, c, d, e, f] in calls {
        // SAFETY: calls that change this child alone; what they take by address our parent keeps. The C library's errno is the
        // parent's, which sleeps.
        unsafe { libc::syscall(*number, *a, *b, *c, *d, *e, *f) };
    }
    // SAFETY: the exec has failed; nothing else is left to do.
    unsafe { libc::_exit(127) }
}

fn limits() -> Vec<(c_long, [u64; 2])> {
    [
        (libc::RLIMIT_AS, 64 << 20),
        (libc::RLIMIT_NPROC, 0),
        (libc::RLIMIT_NOFILE, 0),
        (libc::RLIMIT_CORE, 0),
        (libc::RLIMIT_FSIZE, 0),
        (libc::RLIMIT_MEMLOCK, 0),
        (libc::RLIMIT_MSGQUEUE, 0),
        (libc::RLIMIT_RTPRIO, 0),
        (libc::RLIMIT_SIGPENDING, 64),
        (libc::RLIMIT_STACK, 1 << 20),
    ]
    .map(|(resource, most)| (c_long::from(resource), [most; 2]))
    .into()
}

fn empty_directory() -> Result<OwnedFd> {
    let path = std::env::temp_dir().join(format!("umd-bench-{}", std::process::id()));
    std::fs::create_dir(&path)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = open(&path, flags, Mode::empty());
    std::fs::remove_dir(&path)?;
    Ok(directory?)
}

fn address<T>(pointer: *const T) -> c_long {
    pointer as c_long
}
