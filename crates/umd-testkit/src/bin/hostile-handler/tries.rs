// SPDX-License-Identifier: MIT OR Apache-2.0
//! System calls that a handler has no business with, and what they gave.
//!
//! Those that would need a descriptor close one first: so it is not for want of a number that they fail.

use crate::frames::Outbox;
use crate::rogue::{self, attempt, nr};
use crate::{busy, memory};
use umd_handler::channel::End;
use umd_handler::{name, sys};
use umd_testkit::hostile::{Try, UNABLE};

pub(crate) const SIGKILL: usize = 9;
pub(crate) const SIGSTOP: usize = 19;

/// Tries it, and tells.
pub(crate) fn tell(what: Try, id: u32, outbox: &mut Outbox) -> Result<(), End> {
    let mut results = Results::new();
    let r = &mut results;
    match what {
        Try::Fork => processes(r),
        Try::Thread => r.note(rogue::clone(rogue::THREAD)),
        Try::ExecOther => exec_other(r),
        Try::ExecItself => r.note(exec_itself()),
        Try::MapStorm => r.note(memory::map_storm()),
        Try::BrkStorm => r.note(memory::brk_storm()),
        Try::Lock => memory::lock(r),
        Try::VanishedMemory => return memory::vanished(id, outbox),
        Try::Emptied => return memory::emptied(id, outbox),
        Try::CloseOne => {
            close(1);
            return outbox.reply(id, b"closed");
        }
        Try::CloseInput => {
            close(0);
            return outbox.reply(id, b"closed");
        }
        Try::CloseAll => {
            close_all();
            busy::spin()
        }
        Try::DupOver => dup_over(r),
        Try::PassChannel => {
            pass_channel(r);
            // What is left of the channel.
            let _ = sys::write(0, outbox.frame(id, results.text()));
            sys::exit(0)
        }
        Try::Stop => signal_itself(SIGSTOP),
        Try::Kill => signal_itself(SIGKILL),
        Try::BlockSignals => {
            busy::block_signals();
            busy::spin()
        }
        Try::TraceMe => drop(r.attempt(nr::PTRACE, [0; 6])),
        Try::Sleep => busy::sleep(),
        Try::Poll => busy::poll(),
        Try::Files => files(r),
        Try::Sockets => sockets(r),
        Try::Rings => rings(r),
        Try::Faults => faults(r),
        Try::Keys => keys(r),
        Try::Programs => programs(r),
        Try::Undo => undo(r),
        Try::Ids => ids(r),
        Try::Namespaces => namespaces(r),
        Try::Signals => signals(r),
        Try::Memory => others(r),
        Try::Limits => limits(r),
        Try::Ipc => ipc(r),
        Try::Priority => priority(r),
        Try::Admin => admin(r),
    }
    outbox.reply(id, results.text())
}

/// What system calls gave: decimal numbers with spaces between.
pub(crate) struct Results {
    text: [u8; 256],
    length: usize,
    good: bool,
}

impl Results {
    pub(crate) const fn new() -> Self {
        Self {
            text: [0; 256],
            length: 0,
            good: true,
        }
    }

    pub(crate) fn note(&mut self, result: isize) {
        self.good &= result >= 0;
        if self.length > 0 {
            self.push(b' ');
        }
        if result < 0 {
            self.push(b'-');
        }
        self.push_digits(result.unsigned_abs());
    }

    fn push_digits(&mut self, number: usize) {
        if number > 9 {
            self.push_digits(number / 10);
        }
        self.push(b'0' + (number % 10) as u8);
    }

    fn push(&mut self, byte: u8) {
        let Some(place) = self.text.get_mut(self.length) else {
            sys::exit(UNABLE)
        };
        *place = byte;
        self.length += 1;
    }

    /// Makes a system call, and notes what it gave.
    pub(crate) fn attempt(&mut self, number: usize, arguments: [usize; 6]) -> isize {
        let result = attempt(number, arguments);
        self.note(result);
        result
    }

    /// Nothing failed so far.
    pub(crate) fn all_good(&self) -> bool {
        self.good
    }

    pub(crate) fn text(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

fn close(fd: usize) {
    attempt(nr::CLOSE, [fd, 0, 0, 0, 0, 0]);
}

/// Without a channel.
pub(crate) fn close_all() {
    (0..3).for_each(close);
}

/// A signal to itself.
pub(crate) fn signal_itself(signal: usize) {
    attempt(nr::KILL, [rogue::getpid(), signal, 0, 0, 0, 0]);
}

/// An address to hand over.
fn at<T: ?Sized>(what: &T) -> usize {
    core::ptr::from_ref(what).cast::<()>() as usize
}

/// The same, to be written to.
fn at_mut<T: ?Sized>(what: &mut T) -> usize {
    core::ptr::from_mut(what).cast::<()>() as usize
}

/// A path, or another string.
fn string(text: &'static core::ffi::CStr) -> usize {
    text.as_ptr() as usize
}

fn processes(r: &mut Results) {
    const CLONE_VM_VFORK: usize = 0x100 | 0x4000;
    const NEW_USER_AND_PID: usize = 0x1000_0000 | 0x2000_0000;
    r.note(rogue::create(nr::FORK, 0, 0));
    r.note(rogue::create(nr::VFORK, 0, 0));
    r.note(rogue::clone(rogue::CHILD | CLONE_VM_VFORK));
    r.note(rogue::clone(rogue::CHILD | NEW_USER_AND_PID));
    r.note(rogue::clone(rogue::SIBLING));
    // struct clone_args: flags first, exit_signal fifth.
    let arguments = [0, 0, 0, 0, rogue::CHILD as u64, 0, 0, 0];
    r.note(rogue::create(
        nr::CLONE3,
        at(&arguments),
        size_of_val(&arguments),
    ));
}

/// Executes its own image, which is in the working directory. Returns if that fails.
pub(crate) fn exec_itself() -> isize {
    let name = name().as_ptr() as usize;
    let (arguments, environment) = ([name, 0], [0_usize]);
    attempt(
        nr::EXECVE,
        [name, at(&arguments), at(&environment), 0, 0, 0],
    )
}

fn exec_other(r: &mut Results) {
    const AT_EMPTY_PATH: usize = 0x1000;
    let nothing = at(&[0_usize]);
    close(2);
    r.attempt(nr::EXECVE, [string(c"/bin/sh"), nothing, nothing, 0, 0, 0]);
    let file = r.attempt(nr::MEMFD_CREATE, [string(c"image"), 0, 0, 0, 0, 0]) as usize;
    r.attempt(nr::WRITE, [file, string(c"#!/bin/sh"), 9, 0, 0, 0]);
    r.attempt(
        nr::EXECVEAT,
        [file, string(c""), nothing, nothing, AT_EMPTY_PATH, 0],
    );
}

fn dup_over(r: &mut Results) {
    close(2);
    let file = r.attempt(nr::EVENTFD2, [0; 6]) as usize;
    r.attempt(nr::DUP2, [file, 1, 0, 0, 0, 0]);
}

fn pass_channel(r: &mut Results) {
    const AF_UNIX: usize = 1;
    const SOCK_STREAM: usize = 1;
    const SOL_SOCKET_SCM_RIGHTS: u64 = 1 | 1 << 32;
    close(1);
    close(2);
    let mut pair = [usize::MAX];
    r.attempt(
        nr::SOCKETPAIR,
        [AF_UNIX, SOCK_STREAM, 0, at_mut(&mut pair), 0, 0],
    );
    let [pair] = pair;
    let (one, other) = (pair & 0xffff_ffff, pair >> 32);
    // struct cmsghdr: length, level and type, then descriptor 0.
    let control = [20, SOL_SOCKET_SCM_RIGHTS, 0_u64];
    let byte = [0_u8];
    let part = [at(&byte), 1];
    // struct msghdr: name and its length, parts and how many, control and its length, flags.
    let message = [0, 0, at(&part), 1, at(&control), size_of_val(&control), 0];
    r.attempt(nr::SENDMSG, [one, at(&message), 0, 0, 0, 0]);
    close(one);
    close(other);
}

fn files(r: &mut Results) {
    const DIRECTORY: usize = 0o200_000;
    const WRITE: usize = 1;
    const READ_WRITE: usize = 2;
    close(2);
    let itself = name().as_ptr() as usize;
    let mut room = [0_u64; 32];
    for (path, flags) in [
        (string(c"/"), DIRECTORY),
        (string(c"/proc/self/mem"), READ_WRITE),
        (string(c"/dev/mem"), READ_WRITE),
        (itself, WRITE),
        (itself, 0),
    ] {
        let file = r.attempt(nr::OPEN, [path, flags, 0, 0, 0, 0]);
        if file >= 0 {
            close(file as usize);
        }
    }
    for path in [string(c"/proc"), string(c"/../etc"), string(c"/dev/mem")] {
        r.attempt(nr::STAT, [path, at_mut(&mut room), 0, 0, 0, 0]);
    }
    r.attempt(nr::CREAT, [string(c"/new"), 0o666, 0, 0, 0, 0]);
    r.attempt(nr::MKDIR, [string(c"/new"), 0o777, 0, 0, 0, 0]);
    r.attempt(nr::MKNOD, [string(c"/new"), 0o020_666, 0x0101, 0, 0, 0]);
    r.attempt(nr::CHMOD, [itself, 0o777, 0, 0, 0, 0]);
    r.attempt(nr::TRUNCATE, [itself, 0, 0, 0, 0, 0]);
    r.attempt(nr::UNLINK, [itself, 0, 0, 0, 0, 0]);
    let handle = [8_u64, 0, 0];
    r.attempt(nr::OPEN_BY_HANDLE_AT, [0, at(&handle), 0, 0, 0, 0]);
}

fn sockets(r: &mut Results) {
    const STREAM: usize = 1;
    const DATAGRAM: usize = 2;
    const RAW: usize = 3;
    close(2);
    for (family, kind, protocol) in [
        (1, STREAM, 0),
        (2, STREAM, 0),
        (2, DATAGRAM, 0),
        (2, RAW, 1),
        (10, STREAM, 0),
        (16, RAW, 0),
        (17, RAW, 0),
    ] {
        let socket = r.attempt(nr::SOCKET, [family, kind, protocol, 0, 0, 0]);
        if socket >= 0 {
            close(socket as usize);
        }
    }
}

/// A ring of io_uring.
pub(crate) fn ring() -> isize {
    let mut parameters = [0_u64; 15];
    attempt(nr::IO_URING_SETUP, [4, at_mut(&mut parameters), 0, 0, 0, 0])
}

fn rings(r: &mut Results) {
    const POLL_CHANNEL: u64 = 5;
    const POLLIN: u64 = 1;
    close(2);
    r.note(ring());
    // The older kind has no descriptor. With it the kernel waits for the channel in the handler's place.
    let mut context = [0_usize];
    r.attempt(nr::IO_SETUP, [4, at_mut(&mut context), 0, 0, 0, 0]);
    // struct iocb: operation and descriptor third, then what is asked for.
    let request = [0, 0, POLL_CHANNEL, POLLIN, 0, 0, 0, 0];
    let list = [at(&request)];
    let [context] = context;
    r.attempt(nr::IO_SUBMIT, [context, 1, at(&list), 0, 0, 0]);
}

fn faults(r: &mut Results) {
    const USER_MODE_ONLY: usize = 1;
    close(2);
    r.attempt(nr::USERFAULTFD, [0; 6]);
    r.attempt(nr::USERFAULTFD, [USER_MODE_ONLY, 0, 0, 0, 0, 0]);
}

fn keys(r: &mut Results) {
    const PROCESS_KEYRING: usize = -2_isize as usize;
    const USER_KEYRING: usize = -4_isize as usize;
    const GET_KEYRING_ID: usize = 0;
    const JOIN_SESSION_KEYRING: usize = 1;
    let (kind, name) = (string(c"user"), string(c"hostile"));
    r.attempt(nr::ADD_KEY, [kind, name, name, 7, PROCESS_KEYRING, 0]);
    r.attempt(nr::KEYCTL, [JOIN_SESSION_KEYRING, 0, 0, 0, 0, 0]);
    r.attempt(nr::KEYCTL, [GET_KEYRING_ID, USER_KEYRING, 0, 0, 0, 0]);
}

fn programs(r: &mut Results) {
    const MAP_CREATE: usize = 0;
    const PROG_LOAD: usize = 5;
    const NOBODY: usize = usize::MAX;
    close(2);
    // An array of one element of four bytes.
    let array = [2_u32, 4, 4, 1, 0, 0, 0, 0, 0, 0];
    r.attempt(
        nr::BPF,
        [MAP_CREATE, at(&array), size_of_val(&array), 0, 0, 0],
    );
    // A socket filter: r0 = 0, exit.
    let code = [0xb7_u64, 0x95];
    let program = [
        1 | 2 << 32,
        at(&code) as u64,
        string(c"GPL") as u64,
        0,
        0,
        0,
    ];
    r.attempt(
        nr::BPF,
        [PROG_LOAD, at(&program), size_of_val(&program), 0, 0, 0],
    );
    // struct perf_event_attr: software, 64 bytes.
    let event = [1 | 64 << 32, 0, 0, 0, 0, 0, 0, 0_u64];
    r.attempt(nr::PERF_EVENT_OPEN, [at(&event), 0, NOBODY, NOBODY, 0, 0]);
    r.attempt(nr::PERF_EVENT_OPEN, [at(&event), NOBODY, 0, NOBODY, 0, 0]);
}

const PR_SET_SECCOMP: usize = 22;

/// A filter that lets everything through.
pub(crate) fn filter_nothing() {
    const MODE_FILTER: usize = 2;
    // struct sock_filter: return, allow.
    let code = [0x7fff_0000_0000_0006_u64];
    // struct sock_fprog.
    let program = [1, at(&code)];
    attempt(
        nr::PRCTL,
        [PR_SET_SECCOMP, MODE_FILTER, at(&program), 0, 0, 0],
    );
}

fn undo(r: &mut Results) {
    const DISABLED: usize = 0;
    const STRICT: usize = 1;
    const PR_SET_DUMPABLE: usize = 4;
    const PR_CAPBSET_DROP: usize = 24;
    const PR_SET_SECUREBITS: usize = 28;
    const PR_SET_MM: usize = 35;
    const PR_SET_MM_START_CODE: usize = 1;
    const PR_SET_NO_NEW_PRIVS: usize = 38;
    const PR_CAP_AMBIENT: usize = 47;
    const RAISE: usize = 2;
    const PR_SET_PTRACER: usize = 0x5961_6d61;
    for [option, a, b] in [
        [PR_SET_SECCOMP, DISABLED, 0],
        [PR_SET_SECCOMP, STRICT, 0],
        [PR_SET_NO_NEW_PRIVS, 0, 0],
        [PR_SET_SECUREBITS, 0, 0],
        [PR_CAPBSET_DROP, 0, 0],
        [PR_CAP_AMBIENT, RAISE, 7],
        [PR_SET_MM, PR_SET_MM_START_CODE, 0x1000],
        [PR_SET_PTRACER, usize::MAX, 0],
        [PR_SET_DUMPABLE, 1, 0],
    ] {
        r.attempt(nr::PRCTL, [option, a, b, 0, 0, 0]);
    }
    r.attempt(nr::SECCOMP, [0; 6]);
}

fn ids(r: &mut Results) {
    const ADDR_NO_RANDOMIZE: usize = 0x4_0000;
    let root = [0_u32];
    r.note(rogue::raise_setuid());
    r.attempt(nr::SETUID, [0; 6]);
    r.attempt(nr::SETRESUID, [0; 6]);
    r.attempt(nr::SETRESGID, [0; 6]);
    r.attempt(nr::SETGROUPS, [1, at(&root), 0, 0, 0, 0]);
    r.attempt(nr::PERSONALITY, [ADDR_NO_RANDOMIZE, 0, 0, 0, 0, 0]);
}

fn namespaces(r: &mut Results) {
    const DETACH: usize = 2;
    for kind in [0x1000_0000, 0x2_0000, 0x2000_0000, 0x4000_0000, 0x800_0000] {
        r.attempt(nr::UNSHARE, [kind, 0, 0, 0, 0, 0]);
    }
    r.attempt(nr::SETNS, [0; 6]);
    let (root, kind) = (string(c"/"), string(c"tmpfs"));
    r.attempt(nr::MOUNT, [kind, root, kind, 0, 0, 0]);
    r.attempt(nr::UMOUNT2, [root, DETACH, 0, 0, 0, 0]);
    r.attempt(nr::PIVOT_ROOT, [root, root, 0, 0, 0, 0]);
    r.attempt(nr::CHROOT, [root, 0, 0, 0, 0, 0]);
}

fn parent() -> usize {
    attempt(nr::GETPPID, [0; 6]) as usize
}

fn signals(r: &mut Results) {
    close(2);
    r.attempt(nr::KILL, [1, SIGKILL, 0, 0, 0, 0]);
    r.attempt(nr::KILL, [parent(), SIGKILL, 0, 0, 0, 0]);
    r.attempt(nr::TGKILL, [1, 1, SIGKILL, 0, 0, 0]);
    r.attempt(nr::PIDFD_OPEN, [1, 0, 0, 0, 0, 0]);
    // All that it may: whoever runs the test sees who is left.
    r.attempt(nr::KILL, [usize::MAX, SIGKILL, 0, 0, 0, 0]);
}

fn others(r: &mut Results) {
    const ATTACH: usize = 16;
    const SEIZE: usize = 0x4206;
    let mut here = [0_u64];
    let (ours, theirs) = ([at_mut(&mut here), 8], [0x40_0000_usize, 8]);
    let (ours, theirs) = (at(&ours), at(&theirs));
    r.attempt(nr::PROCESS_VM_READV, [1, ours, 1, theirs, 1, 0]);
    r.attempt(nr::PROCESS_VM_READV, [parent(), ours, 1, theirs, 1, 0]);
    r.attempt(nr::PROCESS_VM_WRITEV, [1, ours, 1, theirs, 1, 0]);
    r.attempt(nr::PTRACE, [ATTACH, 1, 0, 0, 0, 0]);
    r.attempt(nr::PTRACE, [SEIZE, 1, 0, 0, 0, 0]);
    r.attempt(nr::KCMP, [1, rogue::getpid(), 1, 0, 0, 0]);
    r.attempt(nr::MOVE_PAGES, [1, 0, 0, 0, 0, 0]);
}

fn limits(r: &mut Results) {
    const ANY: u64 = u64::MAX;
    for (limit, value) in [
        (1_usize, ANY),
        (3, ANY),
        (4, ANY),
        (6, 10),
        (7, 1024),
        (8, ANY),
        (9, ANY),
        (12, ANY),
        (14, 10),
    ] {
        let value = [value; 2];
        r.attempt(nr::SETRLIMIT, [limit, at(&value), 0, 0, 0, 0]);
    }
    let value = [ANY; 2];
    r.attempt(nr::PRLIMIT64, [1, 9, at(&value), 0, 0, 0]);
}

fn ipc(r: &mut Results) {
    const MAKE: usize = 0o1600;
    const REMOVE: usize = 0;
    let made = r.attempt(nr::SHMGET, [0, 4096, MAKE, 0, 0, 0]);
    if made >= 0 {
        attempt(nr::SHMCTL, [made as usize, REMOVE, 0, 0, 0, 0]);
    }
    let made = r.attempt(nr::SEMGET, [0, 1, MAKE, 0, 0, 0]);
    if made >= 0 {
        attempt(nr::SEMCTL, [made as usize, 0, REMOVE, 0, 0, 0]);
    }
    let made = r.attempt(nr::MSGGET, [0, MAKE, 0, 0, 0, 0]);
    if made >= 0 {
        attempt(nr::MSGCTL, [made as usize, REMOVE, 0, 0, 0, 0]);
    }
    close(2);
    let name = string(c"hostile");
    let made = r.attempt(nr::MQ_OPEN, [name, 0o102, 0o600, 0, 0, 0]);
    if made >= 0 {
        attempt(nr::MQ_UNLINK, [name, 0, 0, 0, 0, 0]);
    }
}

fn priority(r: &mut Results) {
    const FIFO: usize = 1;
    const RR: usize = 2;
    const REAL_TIME: usize = 1 << 13;
    const PROCESS: usize = 1;
    let one = [1_u32];
    r.attempt(nr::SETPRIORITY, [0, 0, -5_isize as usize, 0, 0, 0]);
    r.attempt(nr::SETPRIORITY, [0, 1, 19, 0, 0, 0]);
    r.attempt(nr::SCHED_SETSCHEDULER, [0, FIFO, at(&one), 0, 0, 0]);
    r.attempt(nr::SCHED_SETSCHEDULER, [0, RR, at(&one), 0, 0, 0]);
    // struct sched_attr: size and SCHED_DEADLINE, flags, nice and priority, then three times.
    let deadline = [48 | 6 << 32, 0, 0, 1_000_000, 10_000_000, 10_000_000_u64];
    r.attempt(nr::SCHED_SETATTR, [0, at(&deadline), 0, 0, 0, 0]);
    r.attempt(nr::IOPRIO_SET, [PROCESS, 0, REAL_TIME, 0, 0, 0]);
}

fn admin(r: &mut Results) {
    const MAGIC: [usize; 2] = [0xfee1_dead, 672_274_793];
    const RESTART: usize = 0x0123_4567;
    let empty = string(c"");
    let now = [1_u64, 0];
    r.attempt(nr::INIT_MODULE, [empty, 0, empty, 0, 0, 0]);
    r.attempt(nr::FINIT_MODULE, [0, empty, 0, 0, 0, 0]);
    r.attempt(nr::DELETE_MODULE, [string(c"umd"), 0, 0, 0, 0, 0]);
    r.attempt(nr::KEXEC_LOAD, [0; 6]);
    r.attempt(nr::REBOOT, [MAGIC[0], MAGIC[1], RESTART, 0, 0, 0]);
    r.attempt(nr::SETTIMEOFDAY, [at(&now), 0, 0, 0, 0, 0]);
    r.attempt(nr::CLOCK_SETTIME, [0, at(&now), 0, 0, 0, 0]);
    r.attempt(nr::SETHOSTNAME, [string(c"h"), 1, 0, 0, 0, 0]);
    r.attempt(nr::SWAPON, [string(c"/"), 0, 0, 0, 0, 0]);
    r.attempt(nr::IOPL, [3, 0, 0, 0, 0, 0]);
    r.attempt(nr::IOPERM, [0x80, 1, 1, 0, 0, 0]);
    let mut room = [0_u64; 8];
    r.attempt(nr::SYSLOG, [3, at_mut(&mut room), 64, 0, 0, 0]);
}
