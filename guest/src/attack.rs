// SPDX-License-Identifier: MIT OR Apache-2.0
//! What root can do to a process: one function an attack, the same for every target.
//!
//! An attack that succeeds has had its effect, and leaves the target as it was unless it is there to end or to stop
//! it. One that is refused brings the errno.

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_long};
use std::fs::{self, File};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::io::Errno;

use crate::process;
use crate::time::{ms, slowness, until, within};

/// What is seen of the target after an attack that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    Lives,
    /// It is gone.
    Dies,
    /// It is stopped.
    Stops,
}

/// An attack on a process.
pub(crate) struct Attack {
    /// How root would say it.
    pub(crate) name: &'static str,
    /// Does it.
    pub(crate) run: fn(i32) -> Result<(), Errno>,
    /// How it is refused.
    pub(crate) refused: Errno,
    /// What it does where it is not.
    pub(crate) effect: Effect,
}

const fn attack(name: &'static str, refused: Errno, run: fn(i32) -> Result<(), Errno>) -> Attack {
    let effect = Effect::Lives;
    Attack {
        name,
        run,
        refused,
        effect,
    }
}

const fn ends(name: &'static str, refused: Errno, run: fn(i32) -> Result<(), Errno>) -> Attack {
    let effect = Effect::Dies;
    Attack {
        name,
        run,
        refused,
        effect,
    }
}

/// All of them.
pub(crate) const ATTACKS: &[Attack] = &[
    ends("kill TERM", Errno::PERM, |pid| kill(pid, SIGTERM)),
    ends("kill KILL", Errno::PERM, |pid| kill(pid, SIGKILL)),
    Attack {
        name: "kill STOP",
        run: |pid| kill(pid, SIGSTOP),
        refused: Errno::PERM,
        effect: Effect::Stops,
    },
    ends("tgkill", Errno::PERM, |pid| {
        call(TGKILL, [pid.into(), pid.into(), SIGKILL, 0, 0, 0]).map(drop)
    }),
    ends("sigqueue", Errno::PERM, |pid| {
        let info = SignalInfo::queued();
        call(
            RT_SIGQUEUEINFO,
            [pid.into(), SIGKILL, address(&info), 0, 0, 0],
        )
        .map(drop)
    }),
    ends("tgsigqueue", Errno::PERM, |pid| {
        let info = SignalInfo::queued();
        let arguments = [pid.into(), pid.into(), SIGKILL, address(&info), 0, 0];
        call(RT_TGSIGQUEUEINFO, arguments).map(drop)
    }),
    ends("pidfd_send_signal", Errno::PERM, |pid| {
        let target = pidfd(pid)?;
        call(PIDFD_SEND_SIGNAL, [raw(&target), SIGKILL, 0, 0, 0, 0]).map(drop)
    }),
    ends("F_SETOWN and SIGIO", Errno::PERM, sigio),
    attack("ptrace ATTACH", Errno::PERM, |pid| {
        ptrace(PTRACE_ATTACH, pid)?;
        let stopped = wait_for_stop(pid);
        ptrace(PTRACE_DETACH, pid)?;
        stopped
    }),
    attack("ptrace SEIZE", Errno::PERM, |pid| {
        ptrace(PTRACE_SEIZE, pid)?;
        ptrace(PTRACE_INTERRUPT, pid)?;
        let stopped = wait_for_stop(pid);
        ptrace(PTRACE_DETACH, pid)?;
        stopped
    }),
    attack("open mem to write", Errno::ACCESS, |pid| {
        open(pid, "mem", true)
    }),
    attack("read maps", Errno::ACCESS, |pid| open(pid, "maps", false)),
    attack("read pagemap", Errno::ACCESS, |pid| {
        open(pid, "pagemap", false)
    }),
    attack("read environ", Errno::ACCESS, |pid| {
        open(pid, "environ", false)
    }),
    attack("read auxv", Errno::ACCESS, |pid| open(pid, "auxv", false)),
    attack("read stack", Errno::PERM, |pid| read(pid, "stack")),
    attack("read syscall", Errno::PERM, |pid| read(pid, "syscall")),
    attack("readlink exe", Errno::ACCESS, |pid| link(pid, "exe")),
    attack("open exe", Errno::ACCESS, |pid| open(pid, "exe", false)),
    attack("readlink fd/0", Errno::ACCESS, |pid| link(pid, "fd/0")),
    attack("list root/", Errno::ACCESS, |pid| list(pid, "root/")),
    attack("list cwd/", Errno::ACCESS, |pid| list(pid, "cwd/")),
    attack("list map_files/", Errno::ACCESS, |pid| {
        list(pid, "map_files")
    }),
    attack("readlink ns/mnt", Errno::ACCESS, |pid| link(pid, "ns/mnt")),
    attack("write timerslack_ns", Errno::PERM, |pid| {
        fs::write(process::path(pid, "timerslack_ns"), "60000").map_err(errno)
    }),
    attack("process_vm_readv", Errno::PERM, |pid| {
        transfer(pid, PROCESS_VM_READV)
    }),
    attack("process_vm_writev", Errno::PERM, |pid| {
        transfer(pid, PROCESS_VM_WRITEV)
    }),
    attack("pidfd_getfd", Errno::PERM, |pid| {
        let target = pidfd(pid)?;
        let fd = call(PIDFD_GETFD, [raw(&target), 0, 0, 0, 0, 0])?;
        owned(fd).map(drop)
    }),
    attack("process_madvise", Errno::ACCESS, |pid| {
        let target = pidfd(pid)?;
        let piece = [memory_of(pid), PAGE];
        let arguments = [raw(&target), address(&piece), 1, MADV_COLD, 0, 0];
        call(PROCESS_MADVISE, arguments).map(drop)
    }),
    attack("setns", Errno::PERM, |pid| {
        let target = pidfd(pid)?;
        call(SETNS, [raw(&target), CLONE_NEWUTS, 0, 0, 0, 0]).map(drop)
    }),
    attack("kcmp", Errno::PERM, |pid| {
        call(KCMP, [own_pid(), pid.into(), KCMP_VM, 0, 0, 0]).map(drop)
    }),
    attack("get_robust_list", Errno::PERM, |pid| {
        let (head, size) = (Cell::new(0_u64), Cell::new(0_u64));
        let arguments = [pid.into(), address(&head), address(&size), 0, 0, 0];
        call(GET_ROBUST_LIST, arguments).map(drop)
    }),
    attack("perf_event_open", Errno::PERM, |pid| {
        // A software event, the processor's clock, disabled.
        let mut event = [0_u64; 14];
        event[0] = 1 | (112 << 32);
        event[5] = 1;
        let fd = call(PERF_EVENT_OPEN, [address(&event), pid.into(), -1, -1, 0, 0])?;
        owned(fd).map(drop)
    }),
    attack("sched_setscheduler", Errno::PERM, |pid| {
        let (priority, idle) = (0_u32, 5);
        let arguments = [pid.into(), idle, address(&priority), 0, 0, 0];
        call(SCHED_SETSCHEDULER, arguments).map(drop)
    }),
    attack("sched_setattr", Errno::PERM, |pid| {
        // Its size, SCHED_OTHER, no flags, and the lowest of its priorities.
        let attributes = [48_u64, 0, 19, 0, 0, 0];
        let arguments = [pid.into(), address(&attributes), 0, 0, 0, 0];
        call(SCHED_SETATTR, arguments).map(drop)
    }),
    attack("sched_setaffinity", Errno::PERM, |pid| {
        let first = 1_u64;
        call(SCHED_SETAFFINITY, [pid.into(), 8, address(&first), 0, 0, 0]).map(drop)
    }),
    attack("setpriority", Errno::PERM, |pid| {
        call(SETPRIORITY, [0, pid.into(), 19, 0, 0, 0]).map(drop)
    }),
    attack("ioprio_set", Errno::PERM, |pid| {
        let idle = 3 << 13;
        call(IOPRIO_SET, [1, pid.into(), idle, 0, 0, 0]).map(drop)
    }),
    attack("prlimit: a second of the processor", Errno::PERM, |pid| {
        let limit = [1_u64, 1];
        let arguments = [pid.into(), RLIMIT_CPU, address(&limit), 0, 0, 0];
        call(PRLIMIT, arguments).map(drop)
    }),
    attack("move_pages", Errno::PERM, |pid| {
        let (page, node, status) = (memory_of(pid), 0_u32, Cell::new(0_u32));
        let arguments = [
            pid.into(),
            1,
            address(&page),
            address(&node),
            address(&status),
            2,
        ];
        call(MOVE_PAGES, arguments).map(drop)
    }),
    attack("migrate_pages", Errno::PERM, |pid| {
        let first = 1_u64;
        let arguments = [pid.into(), 2, address(&first), address(&first), 0, 0];
        call(MIGRATE_PAGES, arguments).map(drop)
    }),
    ends("cgroup.kill", Errno::INVAL, |pid| {
        in_group(Version::Two, pid, |group| {
            write(&group.join("cgroup.kill"), "1")?;
            settled(|| !process::exists(pid))
        })
    }),
    attack("the freezer of cgroup v2", Errno::INVAL, |pid| {
        in_group(Version::Two, pid, |group| {
            write(&group.join("cgroup.freeze"), "1")?;
            let events = group.join("cgroup.events");
            let frozen = settled(|| holds(&events, "frozen 1"));
            write(&group.join("cgroup.freeze"), "0")?;
            frozen
        })
    }),
    attack("a memory limit of cgroup v2", Errno::INVAL, |pid| {
        in_group(Version::Two, pid, |group| {
            write(&group.join("memory.max"), "8388608")
        })
    }),
    attack("the freezer of cgroup v1", Errno::INVAL, |pid| {
        in_group(Version::One, pid, |group| {
            let state = group.join("freezer.state");
            write(&state, "FROZEN")?;
            let frozen = settled(|| holds(&state, "FROZEN"));
            write(&state, "THAWED")?;
            frozen
        })
    }),
];

const SIGKILL: c_long = 9;
const SIGTERM: c_long = 15;
const SIGSTOP: c_long = 19;

// include/uapi/asm-generic and arch/x86: numbers of system calls, and what they are told.
const CLOSE: c_long = 3;
const GETPID: c_long = 39;
const WAIT4: c_long = 61;
const KILL: c_long = 62;
const FCNTL: c_long = 72;
const PTRACE: c_long = 101;
const RT_SIGQUEUEINFO: c_long = 129;
const SETPRIORITY: c_long = 141;
const SCHED_SETSCHEDULER: c_long = 144;
const INIT_MODULE: c_long = 175;
const SCHED_SETAFFINITY: c_long = 203;
const TGKILL: c_long = 234;
const IOPRIO_SET: c_long = 251;
const MIGRATE_PAGES: c_long = 256;
const GET_ROBUST_LIST: c_long = 274;
const MOVE_PAGES: c_long = 279;
const RT_TGSIGQUEUEINFO: c_long = 297;
const PERF_EVENT_OPEN: c_long = 298;
const BPF: c_long = 321;
const PRLIMIT: c_long = 302;
const SETNS: c_long = 308;
const PROCESS_VM_READV: c_long = 310;
const PROCESS_VM_WRITEV: c_long = 311;
const KCMP: c_long = 312;
const SCHED_SETATTR: c_long = 314;
const PIDFD_SEND_SIGNAL: c_long = 424;
const PIDFD_OPEN: c_long = 434;
const PIDFD_GETFD: c_long = 438;
const PROCESS_MADVISE: c_long = 440;

/// BPF_{PROG,MAP,BTF,LINK}_GET_NEXT_ID
const BPF_NEXT_IDS: [c_long; 4] = [11, 12, 23, 31];
const PTRACE_ATTACH: c_long = 16;
const PTRACE_DETACH: c_long = 17;
const PTRACE_SEIZE: c_long = 0x4206;
const PTRACE_INTERRUPT: c_long = 0x4207;
const WAIT_ALL: c_long = 0x4000_0000;
const CLONE_NEWUTS: c_long = 0x0400_0000;
const KCMP_VM: c_long = 1;
const RLIMIT_CPU: c_long = 0;
const MADV_COLD: c_long = 20;
const F_SETFL: c_long = 4;
const F_SETOWN: c_long = 8;
const O_ASYNC: c_long = 0o20000;
const PAGE: u64 = 4096;

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

/// A system call. What it writes to is a [`Cell`].
fn call(number: c_long, arguments: [c_long; 6]) -> Result<c_long, Errno> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: addresses among the arguments are of memory that lives until the end of the caller's statement and is as
    // large as the call wants it.
    match unsafe { syscall(number, a, b, c, d, e, f) } {
        -1 => Err(errno(std::io::Error::last_os_error())),
        result => Ok(result),
    }
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

fn address<T>(value: &T) -> c_long {
    (&raw const *value).addr().cast_signed() as c_long
}

fn raw(fd: &OwnedFd) -> c_long {
    fd.as_raw_fd().into()
}

fn owned(fd: c_long) -> Result<OwnedFd, Errno> {
    let fd = c_int::try_from(fd).map_err(|_| Errno::BADF)?;
    // SAFETY: a system call has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn own_pid() -> c_long {
    call(GETPID, [0; 6]).unwrap_or_default()
}

fn pidfd(pid: i32) -> Result<OwnedFd, Errno> {
    owned(call(PIDFD_OPEN, [pid.into(), 0, 0, 0, 0, 0])?)
}

/// kill(2).
pub(crate) fn kill(pid: i32, signal: c_long) -> Result<(), Errno> {
    call(KILL, [pid.into(), signal, 0, 0, 0, 0]).map(drop)
}

/// Loads a module from a process without a single open file, and looks whether there is one then. For a process that
/// does nothing after it.
pub(crate) fn insert_without_files(image: &[u8], parameters: &CStr) -> Result<(), Errno> {
    let close_all = || (0..32).filter(|fd| call(CLOSE, [*fd, 0, 0, 0, 0, 0]).is_ok());
    close_all().for_each(drop);
    let length = c_long::try_from(image.len()).map_err(|_| Errno::FBIG)?;
    let (image, parameters) = (image.as_ptr().addr(), parameters.as_ptr().addr());
    let [image, parameters] = [image, parameters].map(|place| place.cast_signed() as c_long);
    call(INIT_MODULE, [image, length, parameters, 0, 0, 0])?;
    match close_all().count() {
        0 => Ok(()),
        _ => Err(Errno::MFILE),
    }
}

/// A siginfo_t.
#[repr(C, align(8))]
struct SignalInfo([u32; 32]);

impl SignalInfo {
    /// As sigqueue(3) makes them.
    fn queued() -> Self {
        let mut words = [0; 32];
        // si_code: SI_QUEUE.
        words[2] = u32::MAX;
        Self(words)
    }
}

/// A file of ours, with something to read, that tells the target so by a signal.
fn sigio(pid: i32) -> Result<(), Errno> {
    let (reader, writer) = rustix::pipe::pipe()?;
    call(FCNTL, [raw(&reader), F_SETOWN, pid.into(), 0, 0, 0])?;
    call(FCNTL, [raw(&reader), F_SETFL, O_ASYNC, 0, 0, 0])?;
    rustix::io::write(&writer, b"x")?;
    // Nobody is told that it was refused.
    within(ms(1_000), "it is gone", || !process::exists(pid)).map_err(|_| Errno::PERM)
}

fn ptrace(request: c_long, pid: i32) -> Result<(), Errno> {
    call(PTRACE, [request, pid.into(), 0, 0, 0, 0]).map(drop)
}

fn wait_for_stop(pid: i32) -> Result<(), Errno> {
    let status = Cell::new(0_u32);
    let arguments = [pid.into(), address(&status), WAIT_ALL, 0, 0, 0];
    call(WAIT4, arguments).map(drop)
}

fn open(pid: i32, name: &str, write: bool) -> Result<(), Errno> {
    let file = File::options()
        .read(true)
        .write(write)
        .open(process::path(pid, name));
    file.map(drop).map_err(errno)
}

fn read(pid: i32, name: &str) -> Result<(), Errno> {
    fs::read(process::path(pid, name)).map(drop).map_err(errno)
}

fn link(pid: i32, name: &str) -> Result<(), Errno> {
    let target = fs::read_link(process::path(pid, name));
    target.map(drop).map_err(errno)
}

fn list(pid: i32, name: &str) -> Result<(), Errno> {
    let entries = fs::read_dir(process::path(pid, name));
    let first = entries.map_err(errno)?.next();
    first.transpose().map(drop).map_err(errno)
}

/// An address that the target may write to, as far as we are told.
fn memory_of(pid: i32) -> u64 {
    let maps = process::read(pid, "maps").unwrap_or_default();
    let line = maps.lines().find(|line| line.contains(" rw-p "));
    let begin = line.and_then(|line| line.split_once('-'));
    begin
        .and_then(|(begin, _)| u64::from_str_radix(begin, 16).ok())
        .unwrap_or(PAGE)
}

/// A byte from the target, and the same one back to it.
fn transfer(pid: i32, number: c_long) -> Result<(), Errno> {
    let byte = Cell::new(0_u8);
    let here = [address(&byte).cast_unsigned() as u64, 1];
    let there = [memory_of(pid), 1];
    let arguments = [pid.into(), address(&here), 1, address(&there), 1, 0];
    call(PROCESS_VM_READV, arguments)?;
    call(number, arguments).map(drop)
}

fn write(path: &Path, text: &str) -> Result<(), Errno> {
    fs::write(path, text).map_err(errno)
}

fn holds(path: &Path, words: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.contains(words))
}

fn settled(so: impl FnMut() -> bool) -> Result<(), Errno> {
    until("it has had its effect", so).map_err(|_| Errno::TIMEDOUT)
}

/// The control groups that there are.
#[derive(Clone, Copy)]
enum Version {
    One,
    Two,
}

/// A hierarchy of control groups that is mounted. Dropping it undoes that.
struct Hierarchy(&'static str);

impl Hierarchy {
    fn mount(version: Version) -> Result<Self, Errno> {
        let (place, options): (_, &[&str]) = match version {
            Version::One => ("/run/freezer", &["-t", "cgroup", "-o", "freezer"]),
            Version::Two => ("/run/cgroup", &["-t", "cgroup2"]),
        };
        fs::create_dir_all(place).map_err(errno)?;
        let mut mount = Command::new("mount");
        let mounted = mount.args(options).args(["none", place]).status();
        match mounted {
            Ok(status) if status.success() => Ok(Self(place)),
            _ => Err(Errno::NODEV),
        }
    }
}

impl Drop for Hierarchy {
    fn drop(&mut self) {
        // The harness looks at what is mounted.
        let _ = Command::new("umount").arg(self.0).status();
    }
}

/// A group that is removed when dropped, once it is empty.
struct Group(PathBuf);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = until("the group is empty", || fs::remove_dir(&self.0).is_ok());
    }
}

/// Moves the target to a group, does something to that, and moves the target back if it is there.
fn in_group(
    version: Version,
    pid: i32,
    work: impl FnOnce(&Path) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let hierarchy = Hierarchy::mount(version)?;
    let top = Path::new(hierarchy.0);
    if let Version::Two = version {
        write(&top.join("cgroup.subtree_control"), "+memory")?;
    }
    let group = Group(top.join("attack"));
    fs::create_dir(&group.0).map_err(errno)?;
    write(&group.0.join("cgroup.procs"), &pid.to_string())?;
    let result = work(&group.0);
    // One that is gone cannot be moved.
    let _ = write(&top.join("cgroup.procs"), &pid.to_string());
    drop(group);
    result
}

/// How many things of each kind that have a number BPF keeps: programs, maps, type information, links.
pub(crate) fn bpf_objects() -> Result<[u32; 4]> {
    let mut counts = [0; 4];
    for (count, next) in counts.iter_mut().zip(BPF_NEXT_IDS) {
        // Where to begin, the answer, and flags.
        let attributes = [const { Cell::new(0_u32) }; 3];
        loop {
            match call(BPF, [next, address(&attributes), 12, 0, 0, 0]) {
                Ok(_) => *count += 1,
                Err(Errno::NOENT) => break,
                Err(error) => bail!("asking BPF what it has: {error}"),
            }
            let [begin, found, _] = &attributes;
            begin.set(found.get());
        }
    }
    Ok(counts)
}

/// The same when nothing of what was let go of before is still on its way out: BPF frees things after grace periods,
/// by workers, one after the other.
pub(crate) fn settled_bpf_objects() -> Result<[u32; 4]> {
    // Far longer than what is freed last comes after what is freed before it.
    const QUIET: Duration = ms(1_000);
    let (mut counts, mut since) = (bpf_objects()?, Instant::now());
    until("what BPF keeps stays the same", || {
        let now = bpf_objects().unwrap_or_default();
        if now != counts {
            (counts, since) = (now, Instant::now());
        }
        since.elapsed() >= slowness() * QUIET
    })?;
    Ok(counts)
}

/// Waits until BPF keeps no more than that: it frees things later.
pub(crate) fn bpf_objects_become(wanted: &[u32; 4]) -> Result<()> {
    let mut found = [0; 4];
    until("BPF has nothing of ours", || {
        found = bpf_objects().unwrap_or_default();
        found == *wanted
    })
    .with_context(|| format!("programs, maps, types, links: {found:?}, not {wanted:?}"))
}
