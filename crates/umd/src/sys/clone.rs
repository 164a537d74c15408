// SPDX-License-Identifier: MIT OR Apache-2.0
//! A child that shares our memory until it executes something else, and makes only the system calls that it is given.
//!
//! What a child of a program with threads may do before exec is little: no lock may be taken, so nothing may be allocated, and no C
//! library called, which would use the thread-local storage of the thread that made it. So the child is a loop in
//! assembly over a list of system calls that was prepared before, in memory that both share. It uses no stack, calls nothing,
//! and reports by writing down what each call returned.
//!
//! # References
//!
//! clone(2), execveat(2), vfork(2).

use core::arch::naked_asm;
use core::ptr::null_mut;
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use std::ffi::c_void;
use std::num::NonZeroI32;

use super::signals::AllBlocked;

/// A system call for the child to make.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Step {
    number: usize,
    arguments: [usize; 6],
    /// Results from `least` to `least + span` are fine; any other ends the child.
    least: isize,
    span: usize,
    result: isize,
}

/// What a call has to return for the child to go on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expect {
    /// No error.
    Success,
    /// Exactly this.
    Exactly(usize),
    /// Nothing: the parent sees what it was.
    Anything,
}

/// What is in a result that was not written: no call returns it.
const UNDONE: isize = isize::MIN;

/// In place of a number: the end of the list.
const END: usize = usize::MAX;

impl Step {
    /// The call with this number.
    pub(crate) fn new(number: u32, arguments: [usize; 6], expect: Expect) -> Self {
        let (least, span) = match expect {
            Expect::Success => (0, isize::MAX as usize),
            Expect::Exactly(value) => (value as isize, 0),
            Expect::Anything => (isize::MIN, usize::MAX),
        };
        Self {
            number: number as usize,
            arguments,
            least,
            span,
            result: UNDONE,
        }
    }

    /// What it returned; nothing where the child did not come so far, or where it was the exec, which succeeded.
    pub(crate) fn outcome(&self) -> Option<Result<usize, Errno>> {
        match self.result {
            UNDONE => None,
            result @ 0.. => Some(Ok(result as usize)),
            // The kernel returns -1 to -4095.
            error => Some(Err(Errno::from_raw_os_error(
                i32::try_from(-error).unwrap_or(i32::MAX),
            ))),
        }
    }

    /// Is it the system call with this number?
    pub(crate) fn is(&self, number: u32) -> bool {
        self.number == number as usize
    }

    /// It was made, and what it returned ended the child.
    pub(crate) fn failed(&self) -> bool {
        self.result != UNDONE && (self.result.wrapping_sub(self.least) as usize) > self.span
    }
}

/// The system calls of a child, the last of which executes something else.
///
/// # Invariants
///
/// The last step is one that nobody makes: the end of the list.
pub(crate) struct Script(Vec<Step>);

impl Script {
    /// The steps in order. Their arguments may be addresses: of memory that lives until [`run`](Self::run) returns.
    pub(crate) fn new(mut steps: Vec<Step>) -> Self {
        steps.push(Step::new(0, [0; 6], Expect::Anything));
        if let Some(last) = steps.last_mut() {
            last.number = END;
        }
        // INVARIANT: just pushed.
        Self(steps)
    }

    /// The steps, with what came of them.
    pub(crate) fn steps(&self) -> &[Step] {
        self.0.split_last().map_or(&[], |(_, steps)| steps)
    }

    /// Makes a child that goes through the steps. Returns when it has executed something else, or is gone. Context: the calling
    /// thread sleeps meanwhile, with all signals blocked.
    ///
    /// # Errors
    ///
    /// Those of clone(2); of the child's own the steps tell.
    ///
    /// # Safety
    ///
    /// Each step, made in a child that shares memory but not descriptors, must not do what Rust's rules forbid: addresses in
    /// arguments are valid for what the call does with them.
    pub(crate) unsafe fn run(
        &mut self,
        stack: &Stack,
        options: &Options<'_>,
    ) -> Result<Child, Errno> {
        let mut pidfd: RawFd = -1;
        let top = stack.top();
        let mut flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | options.namespaces;
        let mut modern = CloneArguments {
            flags: flags | CLONE_CLEAR_SIGHAND,
            pidfd: &raw mut pidfd as u64,
            exit_signal: SIGCHLD,
            // clone3() wants the lowest address, and adds the size.
            stack: top as u64 - PAGE as u64,
            stack_size: PAGE as u64,
            ..CloneArguments::default()
        };
        if let Some(cgroup) = options.cgroup {
            modern.flags |= CLONE_INTO_CGROUP;
            modern.cgroup = cgroup.as_raw_fd() as u64;
        }
        let steps = self.0.as_mut_ptr();
        let mut made = Err(Errno::NOSYS);
        let _blocked = AllBlocked::new();
        if options.way == Way::Clone3 {
            let arguments = [
                &raw mut modern as usize,
                size_of::<CloneArguments>(),
                0,
                0,
                0,
            ];
            // SAFETY: the arguments are as clone3(2) wants them; the child has a stack of its own, which it does not use; the
            // steps end with END, by the invariant, and may be made, by this function's contract; nobody touches them
            // meanwhile, since this thread sleeps until the child is through (CLONE_VFORK).
            made = outcome(unsafe { clone_and_follow(CLONE3, &arguments, steps) });
        }
        if options.way == Way::Clone {
            flags |= SIGCHLD;
            let arguments = [flags as usize, top as usize, &raw mut pidfd as usize, 0, 0];
            // SAFETY: as above, by clone(2).
            made = outcome(unsafe { clone_and_follow(CLONE, &arguments, steps) });
        }
        let pid = i32::try_from(made?).ok().and_then(NonZeroI32::new);
        // SAFETY: the kernel has put a descriptor there, which is ours (CLONE_PIDFD).
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        Ok(Child {
            pid: pid.ok_or(Errno::SRCH)?,
            pidfd,
        })
    }
}

/// How a child is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// clone3(2).
    Clone3,
    /// clone(2), where clone3() is refused: filters cannot look at its arguments, so some containers do.
    Clone,
}

/// What a child has that is not a step.
pub(crate) struct Options<'o> {
    pub(crate) way: Way,
    /// CLONE_NEW… of clone(2).
    pub(crate) namespaces: u64,
    /// The directory of the control group that it is made in; with [`Way::Clone3`] only.
    pub(crate) cgroup: Option<BorrowedFd<'o>>,
}

/// A child that has executed something else, or has ended without.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: NonZeroI32,
    pub(crate) pidfd: OwnedFd,
}

const CLONE: usize = 56;
const CLONE3: usize = 435;
const SIGCHLD: u64 = 17;
const CLONE_VM: u64 = 0x100;
const CLONE_PIDFD: u64 = 0x1000;
const CLONE_VFORK: u64 = 0x4000;
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `struct clone_args`, as in `include/uapi/linux/sched.h`.
#[derive(Default)]
#[repr(C)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Makes the system call `number` with these arguments, which returns twice. In the parent its result is returned. The child goes
/// from step to step, and exits where one returns what it must not, or at the end.
///
/// # Safety
///
/// The call is clone() or clone3() with CLONE_VM and CLONE_VFORK, and gives the child another stack than ours. The steps end with
/// [`END`], and may be made by a process that shares our memory.
#[unsafe(naked)]
#[unsafe(link_section = ".text.umd_child")]
unsafe extern "C" fn clone_and_follow(
    number: usize,
    arguments: *const [usize; 5],
    steps: *mut Step,
) -> isize {
    naked_asm!(
        // System calls change rax, rcx and r11 only.
        "mov rax, rdi",
        "mov r9, rdx",
        "mov r11, rsi",
        "mov rdi, [r11]",
        "mov rsi, [r11 + 8]",
        "mov rdx, [r11 + 16]",
        "mov r10, [r11 + 24]",
        "mov r8, [r11 + 32]",
        "syscall",
        "test rax, rax",
        "jz 2f",
        "ret",
        // The child. Its registers are its own.
        "2:",
        "xor ebp, ebp",
        "mov rbx, r9",
        "3:",
        "mov rax, [rbx + {number}]",
        "cmp rax, -1",
        "je 4f",
        "mov rdi, [rbx + {arguments}]",
        "mov rsi, [rbx + {arguments} + 8]",
        "mov rdx, [rbx + {arguments} + 16]",
        "mov r10, [rbx + {arguments} + 24]",
        "mov r8, [rbx + {arguments} + 32]",
        "mov r9, [rbx + {arguments} + 40]",
        "syscall",
        "mov [rbx + {result}], rax",
        "sub rax, [rbx + {least}]",
        "cmp rax, [rbx + {span}]",
        "ja 4f",
        "add rbx, {size}",
        "jmp 3b",
        "4:",
        "mov eax, {exit}",
        "mov edi, 127",
        "syscall",
        "jmp 4b",
        number = const core::mem::offset_of!(Step, number),
        arguments = const core::mem::offset_of!(Step, arguments),
        least = const core::mem::offset_of!(Step, least),
        span = const core::mem::offset_of!(Step, span),
        result = const core::mem::offset_of!(Step, result),
        size = const size_of::<Step>(),
        exit = const 60,
    )
}

fn outcome(result: isize) -> Result<usize, Errno> {
    match result {
        0.. => Ok(result as usize),
        error => Err(Errno::from_raw_os_error(
            i32::try_from(-error).unwrap_or(i32::MAX),
        )),
    }
}

const PAGE: usize = 4096;

/// A stack for children, with a page below it that nobody can touch.
#[derive(Debug)]
pub(crate) struct Stack(*mut c_void);

// SAFETY: plain memory, which is not used by us; who has the Stack gives it to one child at a time.
unsafe impl Send for Stack {}

impl Stack {
    const LENGTH: usize = 2 * PAGE;

    /// A new one.
    pub(crate) fn new() -> Result<Self, Errno> {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: new memory, wherever the kernel likes.
        let memory = unsafe { mmap_anonymous(null_mut(), Self::LENGTH, prot, MapFlags::PRIVATE) }?;
        let stack = Self(memory);
        // SAFETY: the first page of it, of which nobody knows yet.
        unsafe { mprotect(memory, PAGE, MprotectFlags::empty()) }?;
        Ok(stack)
    }

    /// Where it begins: the highest address.
    fn top(&self) -> *mut c_void {
        self.0.wrapping_byte_add(Self::LENGTH)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`; a child that had it has executed something else, or is gone. A failure would leave it
        // mapped, no more.
        let _ = unsafe { munmap(self.0, Self::LENGTH) };
    }
}
