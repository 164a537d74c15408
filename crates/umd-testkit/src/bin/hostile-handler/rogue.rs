// SPDX-License-Identifier: MIT OR Apache-2.0
//! What no handler should do, and the system calls for it. Where a host prevents one of these, all the better.

use core::arch::asm;
use umd_handler::sys::syscall;

/// Numbers of system calls, as in `arch/x86/entry/syscalls/syscall_64.tbl`.
pub(crate) mod nr {
    macro_rules! numbers {
        ($($name:ident = $number:literal,)*) => {
            $(pub(crate) const $name: usize = $number;)*
        };
    }

    numbers! {
        READ = 0, WRITE = 1, OPEN = 2, CLOSE = 3, STAT = 4, POLL = 7, MMAP = 9, MPROTECT = 10, MUNMAP = 11, BRK = 12,
        RT_SIGPROCMASK = 14, MADVISE = 28, SHMGET = 29, SHMCTL = 31, DUP2 = 33, PAUSE = 34, GETPID = 39, SOCKET = 41,
        SENDMSG = 46, SOCKETPAIR = 53, CLONE = 56, FORK = 57, VFORK = 58, EXECVE = 59, KILL = 62, SEMGET = 64,
        SEMCTL = 66, MSGGET = 68, MSGCTL = 71, TRUNCATE = 76, MKDIR = 83, CREAT = 85, UNLINK = 87, CHMOD = 90,
        PTRACE = 101, SYSLOG = 103, SETUID = 105, GETPPID = 110, SETGROUPS = 116, SETRESUID = 117, SETRESGID = 119,
        CAPSET = 126, MKNOD = 133, PERSONALITY = 135, SETPRIORITY = 141, SCHED_SETSCHEDULER = 144, MLOCK = 149,
        MLOCKALL = 151, PIVOT_ROOT = 155, PRCTL = 157, SETRLIMIT = 160, CHROOT = 161, SETTIMEOFDAY = 164, MOUNT = 165,
        UMOUNT2 = 166, SWAPON = 167, REBOOT = 169, SETHOSTNAME = 170, IOPL = 172, IOPERM = 173, INIT_MODULE = 175,
        DELETE_MODULE = 176, IO_SETUP = 206, IO_SUBMIT = 209, CLOCK_SETTIME = 227, TGKILL = 234, MQ_OPEN = 240,
        MQ_UNLINK = 241, KEXEC_LOAD = 246, ADD_KEY = 248, KEYCTL = 250, IOPRIO_SET = 251, UNSHARE = 272,
        MOVE_PAGES = 279, EVENTFD2 = 290, PERF_EVENT_OPEN = 298, PRLIMIT64 = 302, OPEN_BY_HANDLE_AT = 304,
        SETNS = 308, PROCESS_VM_READV = 310, PROCESS_VM_WRITEV = 311, KCMP = 312, FINIT_MODULE = 313,
        SCHED_SETATTR = 314, SECCOMP = 317, MEMFD_CREATE = 319, BPF = 321, EXECVEAT = 322, USERFAULTFD = 323,
        IO_URING_SETUP = 425, PIDFD_OPEN = 434, CLONE3 = 435,
    }
}

const PR_SET_KEEPCAPS: usize = 8;
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;
const CAP_SETUID: u32 = 1 << 7;

/// CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM
pub(crate) const THREAD: usize = 0x100 | 0x200 | 0x400 | 0x800 | 0x1_0000 | 0x4_0000;

/// SIGCHLD: a process of its own, as fork(2) makes it.
pub(crate) const CHILD: usize = 17;

/// CLONE_VM | CLONE_FILES | CLONE_PARENT: a process that shares all, with another parent.
pub(crate) const SIBLING: usize = 0x100 | 0x400 | 0x8000;

/// Makes a system call, and returns its result or an errno below zero.
///
/// It takes any, for that is what a handler that was taken over does. For Rust's sake the callers in this program
/// hand over no memory but their own, borrowed as the call uses it, addresses at which the program has none, and
/// pages that they have mapped themselves; what makes processes and threads is [`create`]'s.
pub(crate) fn attempt(number: usize, arguments: [usize; 6]) -> isize {
    // SAFETY: as said above.
    unsafe { syscall(number, arguments) }
}

/// Copies to an address at which the program has memory that Rust does not know of: pages that were mapped, and
/// what is behind [`end_of_program`] in its last page.
pub(crate) fn poke(address: usize, bytes: &[u8]) {
    // SAFETY: as said above: it is nobody's, so it does not overlap.
    unsafe { (address as *mut u8).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) }
}

/// Where the linker put the last of the program's own memory. There is more up to the end of the page, and
/// nothing behind that.
pub(crate) fn end_of_program() -> usize {
    unsafe extern "C" {
        static _end: u8;
    }
    (&raw const _end) as usize
}

/// Where there is code.
pub(crate) fn code() -> usize {
    segv as fn() -> ! as usize
}

/// Writes to address 0.
pub(crate) fn segv() -> ! {
    // SAFETY: nothing is mapped there, so nothing is changed: the store ends the process.
    unsafe { asm!("mov byte ptr [{0}], 0", "ud2", in(reg) 0_usize, options(noreturn)) }
}

/// Writes to its own code.
pub(crate) fn write_code() -> ! {
    // SAFETY: code is mapped to be read and executed only: the store ends the process.
    unsafe { asm!("mov byte ptr [{0}], 0x90", "ud2", in(reg) code(), options(noreturn)) }
}

/// Jumps to its stack.
pub(crate) fn run_stack() -> ! {
    // SAFETY: the stack is not executable: the jump ends the process.
    unsafe { asm!("jmp rsp", options(noreturn)) }
}

/// Stops the processor.
pub(crate) fn halt() -> ! {
    // SAFETY: that is for the kernel: here it ends the process.
    unsafe { asm!("hlt", "ud2", options(noreturn)) }
}

/// A call that lockdown forbids.
pub(crate) fn getpid() -> usize {
    attempt(nr::GETPID, [0; 6]) as usize
}

/// Has the capabilities stay permitted when the uid changes.
pub(crate) fn keep_capabilities() {
    attempt(nr::PRCTL, [PR_SET_KEEPCAPS, 1, 0, 0, 0, 0]);
}

/// Makes the one capability that was kept effective.
pub(crate) fn raise_setuid() -> isize {
    let mut header = [CAPABILITY_VERSION_3, 0];
    // Effective, permitted, inheritable; then the same for capabilities from 32 on. The kernel writes to the
    // header where it does not know the version.
    let sets = [CAP_SETUID, CAP_SETUID, 0, 0, 0, 0];
    let (header, sets) = (header.as_mut_ptr() as usize, sets.as_ptr() as usize);
    attempt(nr::CAPSET, [header, sets, 0, 0, 0, 0])
}

/// Closes standard error and takes its number for an eventfd.
pub(crate) fn replace_stderr() {
    attempt(nr::CLOSE, [2, 0, 0, 0, 0, 0]);
    attempt(nr::EVENTFD2, [0; 6]);
}

/// Starts a thread or process of this kind that sleeps for ever, if it may.
pub(crate) fn clone(flags: usize) -> isize {
    create(nr::CLONE, flags, 0)
}

/// Calls `number`, which makes a thread or a process; that sleeps for ever.
pub(crate) fn create(number: usize, first: usize, second: usize) -> isize {
    let result;
    // SAFETY: what is new may share the memory but touches none of it: its code is the loop below.
    // The first thread goes on as after any system call.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 3f",
            "2: mov eax, {pause}",
            "syscall",
            "jmp 2b",
            "3:",
            pause = const nr::PAUSE,
            inout("rax") number => result,
            in("rdi") first,
            in("rsi") second,
            in("rdx") 0,
            in("r10") 0,
            in("r8") 0,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result
}
