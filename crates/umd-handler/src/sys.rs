// SPDX-License-Identifier: MIT OR Apache-2.0
//! The system calls that a handler makes: raw, because there is no C library.

use core::arch::asm;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};
use umd_core::filter::{GATE, Instruction};

const READ: usize = 0;
const WRITE: usize = 1;
const MMAP: usize = 9;
const RT_SIGACTION: usize = 13;
const GETPID: usize = 39;
const EXIT: usize = 60;
const FCNTL: usize = 72;
const CHDIR: usize = 80;
const SETGROUPS: usize = 116;
const SETRESUID: usize = 117;
const SETRESGID: usize = 119;
const PRCTL: usize = 157;
const SETRLIMIT: usize = 160;
const EXECVEAT: usize = 322;

const PR_GET_SECCOMP: usize = 21;
const PR_SET_SECCOMP: usize = 22;
const SECCOMP_MODE_STRICT: usize = 1;
const SECCOMP_MODE_FILTER: usize = 2;
const RLIMIT_NPROC: usize = 6;
const SIGSYS: usize = 31;
const F_SETFD: usize = 2;
const FD_CLOEXEC: usize = 1;
/// PROT_READ | PROT_WRITE
const PROT_DATA: usize = 3;
/// MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS
const MAP_GATE: usize = 0x32;
const PAGE: usize = 4096;

/// Exit status of a handler that panicked, as of any Rust program.
pub const PANICKED: i32 = 101;

/// Exit status of a handler that has said which system call it was denied: a shell's for SIGSYS.
pub const DENIED: i32 = 159;

/// The number of an error, as the kernel returned it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// A signal came before anything was transferred: try again.
    pub const EINTR: Self = Self(4);
}

/// Makes the system call `number` and returns what the kernel left in `rax`: the result, or an
/// error number below zero.
///
/// # Safety
///
/// The call, with these arguments, must not do what Rust's rules forbid: no write to memory that
/// something else borrows, no unmapping of what is in use.
pub unsafe fn syscall(number: usize, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: the registers are those of the kernel's calling convention; rcx and r11 are what it
    // clobbers. What the call does is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") e,
            in("r9") f,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// Reads into `buffer` what is there, or waits for it; 0 at the end of the stream.
pub fn read(fd: usize, buffer: &mut [u8]) -> Result<usize, Errno> {
    let address = buffer.as_mut_ptr() as usize;
    // SAFETY: the kernel writes into `buffer` only, which is borrowed mutably.
    outcome(unsafe { syscall(READ, [fd, address, buffer.len(), 0, 0, 0]) })
}

/// Writes `bytes`, or as many of them as are accepted.
pub fn write(fd: usize, bytes: &[u8]) -> Result<usize, Errno> {
    let address = bytes.as_ptr() as usize;
    // SAFETY: the kernel only reads, and only from `bytes`.
    outcome(unsafe { syscall(WRITE, [fd, address, bytes.len(), 0, 0, 0]) })
}

/// Ends this thread, which is the only one. `exit_group` would be a forbidden call under seccomp
/// strict mode.
pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: does not return; the loop is for the compiler.
        unsafe { syscall(EXIT, [status as usize, 0, 0, 0, 0, 0]) };
    }
}

/// Gives up all supplementary groups.
pub fn setgroups_none() -> Result<(), Errno> {
    // SAFETY: no memory is touched: the list of groups has no element.
    outcome(unsafe { syscall(SETGROUPS, [0; 6]) }).map(drop)
}

/// Sets the real, effective and saved group id.
pub fn setresgid(gid: u32) -> Result<(), Errno> {
    let gid = gid as usize;
    // SAFETY: no memory is touched.
    outcome(unsafe { syscall(SETRESGID, [gid, gid, gid, 0, 0, 0]) }).map(drop)
}

/// Sets the real, effective and saved user id.
pub fn setresuid(uid: u32) -> Result<(), Errno> {
    let uid = uid as usize;
    // SAFETY: no memory is touched.
    outcome(unsafe { syscall(SETRESUID, [uid, uid, uid, 0, 0, 0]) }).map(drop)
}

/// Enters seccomp strict mode: from here on read, write, exit and rt_sigreturn are all there is,
/// and any other call is death.
pub fn seccomp_strict() -> Result<(), Errno> {
    // SAFETY: no memory is touched.
    outcome(unsafe { syscall(PRCTL, [PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0, 0]) }).map(drop)
}

/// Is a filter in force? Then whoever has executed this has set it, and there is nothing left to give up.
pub fn is_filtered() -> bool {
    // SAFETY: no memory is touched.
    let mode = outcome(unsafe { syscall(PRCTL, [PR_GET_SECCOMP, 0, 0, 0, 0, 0]) });
    mode == Ok(SECCOMP_MODE_FILTER)
}

/// Sets a filter for the rest of this process's life.
pub fn seccomp_filter(instructions: &[Instruction]) -> Result<(), Errno> {
    /// `struct sock_fprog`
    #[repr(C)]
    struct Filter {
        len: u16,
        instructions: *const Instruction,
    }
    let filter = Filter {
        len: instructions.len() as u16,
        instructions: instructions.as_ptr(),
    };
    let address = &raw const filter as usize;
    // SAFETY: the kernel only reads: the filter, and as many instructions as it says, which is below 2^16.
    outcome(unsafe {
        syscall(
            PRCTL,
            [PR_SET_SECCOMP, SECCOMP_MODE_FILTER, address, 0, 0, 0],
        )
    })
    .map(drop)
}

static SAY: AtomicPtr<()> = AtomicPtr::new(null_mut());

/// From here on a system call that the filter answers with SIGSYS ends the process, after `say` was told its number.
pub fn on_denial(say: fn(u32)) {
    /// `struct sigaction` as the kernel has it.
    #[repr(C)]
    struct Action {
        handler: unsafe extern "C" fn(i32, *const Info) -> !,
        flags: u64,
        restorer: usize,
        mask: u64,
    }
    const SA_SIGINFO: u64 = 4;
    const SA_RESTORER: u64 = 0x400_0000;
    SAY.store(say as *mut (), Ordering::Relaxed);
    let action = Action {
        handler: denied,
        flags: SA_SIGINFO | SA_RESTORER,
        // The kernel wants one; nothing returns.
        restorer: 0,
        mask: 0,
    };
    let address = &raw const action as usize;
    // SAFETY: the kernel reads the action; what it names is a function of its type.
    unsafe { syscall(RT_SIGACTION, [SIGSYS, address, 0, 8, 0, 0]) };
}

/// The part of `siginfo_t` that SIGSYS has, as in `include/uapi/asm-generic/siginfo.h`.
#[repr(C)]
struct Info {
    signal: [i32; 4],
    address: usize,
    number: i32,
    convention: u32,
}

/// # Safety
///
/// Called by the kernel, as a handler of SIGSYS.
unsafe extern "C" fn denied(_: i32, info: *const Info) -> ! {
    // SAFETY: the kernel gives a handler with SA_SIGINFO a pointer to it.
    let number = unsafe { (*info).number };
    let say = SAY.load(Ordering::Relaxed);
    if !say.is_null() {
        // SAFETY: only `on_denial` stores there, and what it stores is such a function.
        let say = unsafe { core::mem::transmute::<*mut (), fn(u32)>(say) };
        say(number as u32);
    }
    exit(DENIED)
}

/// This process's id.
pub fn pid() -> u32 {
    // SAFETY: no memory is touched; the kernel gives a positive number.
    unsafe { syscall(GETPID, [0; 6]) as u32 }
}

/// From here on this user's processes, this one among them, are one too many: fork and clone fail.
pub fn forbid_processes() -> Result<(), Errno> {
    let none = [0_u64; 2];
    let address = none.as_ptr() as usize;
    // SAFETY: the kernel only reads, and only from `none`.
    outcome(unsafe { syscall(SETRLIMIT, [RLIMIT_NPROC, address, 0, 0, 0, 0]) }).map(drop)
}

/// Exec is to close this descriptor.
pub fn close_on_exec(fd: usize) -> Result<(), Errno> {
    // SAFETY: no memory is touched.
    outcome(unsafe { syscall(FCNTL, [fd, F_SETFD, FD_CLOEXEC, 0, 0, 0]) }).map(drop)
}

/// Makes the root the working directory.
pub fn enter_root() -> Result<(), Errno> {
    let root = c"/".as_ptr() as usize;
    // SAFETY: the kernel only reads a string, which is terminated.
    outcome(unsafe { syscall(CHDIR, [root, 0, 0, 0, 0, 0]) }).map(drop)
}

/// The path of an image, at [`GATE`].
#[derive(Clone, Copy)]
pub struct Gate(());

impl Gate {
    /// Puts the driver's name there. Needs CAP_SYS_RAWIO.
    pub fn make() -> Result<Self, Errno> {
        let name = crate::name();
        // The page's last byte stays zero.
        let name = name.get(..PAGE - 1).unwrap_or(name);
        let gate = GATE as usize;
        // SAFETY: nothing is mapped there: the linker puts nothing so low, and the kernel nothing by itself.
        let mapped =
            outcome(unsafe { syscall(MMAP, [gate, PAGE, PROT_DATA, MAP_GATE, usize::MAX, 0]) })?;
        let to = core::ptr::with_exposed_provenance_mut::<u8>(mapped);
        // SAFETY: the page is ours alone and longer than the name.
        unsafe { core::ptr::copy_nonoverlapping(name.as_ptr(), to, name.len()) };
        Ok(Self(()))
    }

    /// Executes, in this process's place, the file in `directory` whose path lies here, with the driver's name as its
    /// only argument and without an environment. Returns only if that fails, with the reason.
    pub fn execute(self, directory: usize) -> Errno {
        let arguments = [crate::name().as_ptr() as usize, 0];
        let environment = [0_usize];
        // SAFETY: the kernel only reads: the path, which the page ends with a zero, the name, which argv ends with one,
        // and the two lists. If it succeeds nothing of this program is left.
        let result = unsafe {
            syscall(
                EXECVEAT,
                [
                    directory,
                    GATE as usize,
                    arguments.as_ptr() as usize,
                    environment.as_ptr() as usize,
                    0,
                    0,
                ],
            )
        };
        Errno(result.unsigned_abs() as i32)
    }
}

fn outcome(result: isize) -> Result<usize, Errno> {
    match usize::try_from(result) {
        Ok(value) => Ok(value),
        Err(_) => Err(Errno(result.unsigned_abs() as i32)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;

    #[test]
    fn bytes_go_through_a_pipe() {
        let (mut out, mut into) = std::io::pipe().unwrap();
        assert_eq!(write(into.as_raw_fd() as usize, b"hello"), Ok(5));
        let mut five = [0; 5];
        out.read_exact(&mut five).unwrap();
        assert_eq!(&five, b"hello");
        into.write_all(b"you").unwrap();
        drop(into);
        let mut some = [0; 8];
        assert_eq!(read(out.as_raw_fd() as usize, &mut some), Ok(3));
        assert_eq!(read(out.as_raw_fd() as usize, &mut some), Ok(0));
    }

    #[test]
    fn errors_have_their_number() {
        assert_eq!(read(usize::MAX, &mut [0]), Err(Errno(9)));
    }
}
