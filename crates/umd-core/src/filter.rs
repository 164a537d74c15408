// SPDX-License-Identifier: MIT OR Apache-2.0
//! A lockdown's list of system calls as a seccomp filter, as in seccomp(2) and
//! `include/uapi/linux/{filter,seccomp,audit}.h`.
//!
//! | system call | under | is made if |
//! | --- | --- | --- |
//! | execveat | any filter for a launcher that does not list it | its path lies at [`GATE`]: the launcher's own |
//! | execveat | the one that a program sets on its child under strict | it is the [`Exec`] of the image |
//! | prctl | any filter that does not list it | it is `PR_GET_SECCOMP`, by which a runtime learns that nothing is left for it to give up |
//! | mmap | compute | the memory is private, anonymous, not of huge pages, and not executable |
//! | madvise | compute | it is not for pages to be shared with others that are the same |
//! | futex | compute | it is none that inherits priority, whose owner it names |
//! | mprotect | compute | the memory is not executable |
//! | prlimit64 | compute | it sets nothing, and the process is 0 |
//! | kill, tkill, tgkill | basic, system-root, and custom if it lists them | the process is its own |
//! | prlimit64, setpriority, ioprio_set, sched_setaffinity, sched_setattr, sched_setparam, sched_setscheduler | the same | the process is 0, or its own id |
//! | fcntl, ioctl | the same | it does not say who is sent a signal when a file is ready, or which |
//!
//! All else is as [`Lockdown::calls`] says. A call by another convention (32 bits, x32) ends the process.

use crate::lockdown::{Calls, Lockdown, STRICT};
use crate::syscall::{Syscall, Syscalls};

/// Where the launcher puts the path of the handler's image: in the page that nobody without CAP_SYS_RAWIO can have
/// (`vm.mmap_min_addr`). The filter lets an exec from there pass, and the handler, which has no such page, has no
/// exec.
pub const GATE: u32 = 0x1000;

/// The exec of an image without a path: execveat(2) with AT_EMPTY_PATH. A filter lets nothing else pass that executes anything.
///
/// What keeps the image from doing the same again is the path's address, at which it must have no memory of its own: the descriptor is
/// closed by the exec, but a path that begins with a slash needs none. What it could execute would be under the same filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exec {
    /// The descriptor of the image.
    pub image: u32,
    /// Where the empty path lies.
    pub path: u64,
}

/// One instruction: `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How many to skip if a comparison holds.
    pub then: u8,
    /// How many to skip if not.
    pub otherwise: u8,
    /// What to compare with, where to load from, what to return.
    pub value: u32,
}

impl Instruction {
    /// Bytes of [`Instruction::encode`].
    pub const ENCODED: usize = 8;

    /// As bytes, as it lies in memory.
    pub const fn encode(self) -> [u8; Self::ENCODED] {
        let [c0, c1] = self.code.to_ne_bytes();
        let [v0, v1, v2, v3] = self.value.to_ne_bytes();
        [c0, c1, self.then, self.otherwise, v0, v1, v2, v3]
    }

    /// The one that [`Instruction::encode`] turned into these bytes.
    pub const fn decode(bytes: [u8; Self::ENCODED]) -> Self {
        let [c0, c1, then, otherwise, v0, v1, v2, v3] = bytes;
        Self {
            code: u16::from_ne_bytes([c0, c1]),
            then,
            otherwise,
            value: u32::from_ne_bytes([v0, v1, v2, v3]),
        }
    }

    const fn load(offset: u32) -> Self {
        Self::new(LOAD, 0, 0, offset)
    }

    const fn give(value: u32) -> Self {
        Self::new(RETURN, 0, 0, value)
    }

    const fn new(code: u16, then: u8, otherwise: u8, value: u32) -> Self {
        Self {
            code,
            then,
            otherwise,
            value,
        }
    }
}

/// BPF_LD | BPF_W | BPF_ABS, and so on.
const LOAD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_AT_LEAST: u16 = 0x35;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;

/// `struct seccomp_data`: the number, the convention, the instruction pointer, six arguments.
const NUMBER: u32 = 0;
const CONVENTION: u32 = 4;
const ARGUMENTS: u32 = 16;

const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;

const ALLOW: u32 = 0x7fff_0000;
/// SECCOMP_RET_ERRNO with EPERM.
const REFUSE: u32 = 0x0005_0001;
const KILL: u32 = 0x8000_0000;
const TRAP: u32 = 0x0003_0000;

const PR_GET_SECCOMP: u32 = 21;
const AT_EMPTY_PATH: u32 = 0x1000;
const PROT_EXEC: u32 = 4;
/// MAP_TYPE | MAP_ANONYMOUS | MAP_HUGETLB, and of these MAP_PRIVATE | MAP_ANONYMOUS.
const MAP_KIND: u32 = 0x4_002f;
const PRIVATE: u32 = 0x22;
const MADV_MERGEABLE: u32 = 12;
/// Locks with inheritance of priority name their owner, who can be any process: FUTEX_LOCK_PI, FUTEX_UNLOCK_PI,
/// FUTEX_TRYLOCK_PI, FUTEX_WAIT_REQUEUE_PI, FUTEX_CMP_REQUEUE_PI, FUTEX_LOCK_PI2.
const FUTEX_OF_OTHERS: [u32; 6] = [6, 7, 8, 11, 12, 13];
const FUTEX_CMD_MASK: u32 = 0x7f;
const PRIO_PROCESS: u32 = 0;
const IOPRIO_WHO_PROCESS: u32 = 1;
const F_SETOWN: u32 = 8;
const F_SETSIG: u32 = 10;
const F_SETOWN_EX: u32 = 15;
const FIOSETOWN: u32 = 0x8901;
const SIOCSPGRP: u32 = 0x8902;

/// A filter.
///
/// # Invariants
///
/// The first `len` instructions are a program that the kernel takes; `len` is at most their number.
pub struct Program {
    code: [Instruction; Self::CAPACITY],
    len: usize,
    /// What becomes of a call that is denied.
    denied: u32,
}

/// What a denied call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The end of the process.
    Death,
    /// A signal, SIGSYS: the runtime says which call it was, and ends the process.
    Signal,
}

/// When an argument of a system call is as it should be.
#[derive(Clone, Copy)]
enum Test {
    /// All its 64 bits are this value's.
    Is(u32),
    /// It is this address.
    At(u64),
    /// All its 64 bits are one of these.
    Either(u32, u32),
    /// Of the bits of `mask` exactly these are set; the upper half does not matter.
    Has { mask: u32, bits: u32 },
    /// Of the bits of `mask` others are set than these; the upper half does not matter, to the kernel either.
    HasNot { mask: u32, bits: u32 },
}

impl Program {
    /// Enough for a list in which every other number is missing, and all tests.
    pub const CAPACITY: usize = 1024;

    /// The filter that a launcher sets for this lockdown, and for the process with this id. `None` where there is none to be
    /// set.
    pub fn of(lockdown: Lockdown, pid: u32) -> Option<Self> {
        let Calls::Filter { allowed, refused } = lockdown.calls() else {
            return None;
        };
        let mut program = Self::new(Denial::Death);
        if !allowed.contains(Syscall::EXECVEAT) {
            program.test(Syscall::EXECVEAT, &[(1, Test::Is(GATE))], KILL);
        }
        program.finish(lockdown, allowed, refused, pid);
        Some(program)
    }

    /// The filter that a handler's own runtime sets: as [`of`](Self::of), but nothing is executed any more. Strict has one as well,
    /// which leaves what strict mode does. `None` where there is none to be set.
    pub fn without_exec(lockdown: Lockdown, pid: u32, denial: Denial) -> Option<Self> {
        let (allowed, refused) = match lockdown.calls() {
            Calls::Filter { allowed, refused } => (allowed, refused),
            Calls::Strict => (STRICT, Syscalls::NONE),
            Calls::Any => return None,
        };
        let mut program = Self::new(denial);
        program.finish(lockdown, allowed, refused, pid);
        Some(program)
    }

    /// The filter that a program sets on its child, which then executes a handler under strict: what strict mode leaves, and that exec.
    pub fn strict_until(exec: Exec) -> Self {
        let mut program = Self::new(Denial::Death);
        let tests = [
            (0, Test::Is(exec.image)),
            (1, Test::At(exec.path)),
            (4, Test::Is(AT_EMPTY_PATH)),
        ];
        program.test(Syscall::EXECVEAT, &tests, KILL);
        program.finish(Lockdown::Strict, STRICT, Syscalls::NONE, 0);
        program
    }

    /// One that has looked at the convention, and has the number at hand.
    fn new(denial: Denial) -> Self {
        let denied = match denial {
            Denial::Death => KILL,
            Denial::Signal => TRAP,
        };
        let mut program = Self {
            code: [Instruction::give(KILL); Self::CAPACITY],
            len: 0,
            denied,
        };
        program.push(Instruction::load(CONVENTION));
        program.push(Instruction::new(JUMP_EQUAL, 1, 0, AUDIT_ARCH_X86_64));
        program.push(Instruction::give(KILL));
        program.push(Instruction::load(NUMBER));
        program
    }

    fn finish(&mut self, lockdown: Lockdown, allowed: Syscalls, refused: Syscalls, pid: u32) {
        self.tests(lockdown, &allowed, pid);
        self.list(&allowed, ALLOW);
        self.list(&refused, REFUSE);
        // INVARIANT: it ends with a return, and jumps over at most the rest of a test.
        self.push(Instruction::give(self.denied));
    }

    /// The instructions.
    pub fn instructions(&self) -> &[Instruction] {
        self.code.get(..self.len).unwrap_or(&self.code)
    }

    fn push(&mut self, instruction: Instruction) {
        // The last one stays what ends the process.
        let room = self.code.len().saturating_sub(1);
        if let Some(place) = self.code.get_mut(self.len).filter(|_| self.len < room) {
            *place = instruction;
        }
        self.len = self.len.saturating_add(1).min(Self::CAPACITY);
    }

    fn tests(&mut self, lockdown: Lockdown, allowed: &Syscalls, pid: u32) {
        let denied = self.denied;
        if !allowed.contains(Syscall::PRCTL) {
            self.test(Syscall::PRCTL, &[(0, Test::Is(PR_GET_SECCOMP))], denied);
        }
        let no_code = Test::Has {
            mask: PROT_EXEC,
            bits: 0,
        };
        match lockdown {
            Lockdown::Compute => {
                let own = Test::Has {
                    mask: MAP_KIND,
                    bits: PRIVATE,
                };
                self.test(Syscall::MMAP, &[(2, no_code), (3, own)], denied);
                self.test(Syscall::MPROTECT, &[(2, no_code)], denied);
                let not = |mask, bits| Test::HasNot { mask, bits };
                self.test(
                    Syscall::MADVISE,
                    &[(2, not(u32::MAX, MADV_MERGEABLE))],
                    denied,
                );
                let futex = FUTEX_OF_OTHERS.map(|bits| (1, not(FUTEX_CMD_MASK, bits)));
                self.test(Syscall::FUTEX, &futex, denied);
                self.test(
                    Syscall::PRLIMIT64,
                    &[(0, Test::Is(0)), (2, Test::Is(0))],
                    denied,
                );
            }
            Lockdown::Basic | Lockdown::SystemRoot => self.only_itself(&Syscalls::ALL, pid),
            // What is not listed is the end.
            Lockdown::Custom(_) => self.only_itself(allowed, pid),
            Lockdown::Strict | Lockdown::Unconfined => {}
        }
    }

    /// What a process may do to itself and not to others, who are handlers of the same user: of these calls, those
    /// in the set.
    fn only_itself(&mut self, set: &Syscalls, pid: u32) {
        let mut tested = |call, tests: &[(u32, Test)]| {
            if set.contains(call) {
                self.test(call, tests, REFUSE);
            }
        };
        for call in [Syscall::KILL, Syscall::TKILL, Syscall::TGKILL] {
            tested(call, &[(0, Test::Is(pid))]);
        }
        for call in [
            Syscall::PRLIMIT64,
            Syscall::SCHED_SETAFFINITY,
            Syscall::SCHED_SETATTR,
            Syscall::SCHED_SETPARAM,
            Syscall::SCHED_SETSCHEDULER,
        ] {
            tested(call, &[(0, Test::Either(0, pid))]);
        }
        let itself = (1, Test::Either(0, pid));
        tested(Syscall::SETPRIORITY, &[(0, Test::Is(PRIO_PROCESS)), itself]);
        tested(
            Syscall::IOPRIO_SET,
            &[(0, Test::Is(IOPRIO_WHO_PROCESS)), itself],
        );
        let not = |value| {
            (
                1,
                Test::HasNot {
                    mask: u32::MAX,
                    bits: value,
                },
            )
        };
        // By which others are sent signals when a file is ready.
        tested(
            Syscall::FCNTL,
            &[not(F_SETOWN), not(F_SETSIG), not(F_SETOWN_EX)],
        );
        tested(Syscall::IOCTL, &[not(FIOSETOWN), not(SIOCSPGRP)]);
    }

    /// A call whose arguments pass all tests is made, else this is what becomes of it.
    fn test(&mut self, call: Syscall, tests: &[(u32, Test)], otherwise: u32) {
        let length: u8 = tests.iter().map(|(_, test)| test.length()).sum();
        // Over the tests and two returns.
        let end = length.saturating_add(2);
        let number = u32::from(call.number());
        self.push(Instruction::new(JUMP_EQUAL, 0, end, number));
        // To the second of the returns.
        let mut left = length.saturating_add(1);
        for (argument, test) in tests {
            let at = ARGUMENTS.saturating_add(argument.saturating_mul(8));
            left = left.saturating_sub(test.length());
            match *test {
                Test::Is(value) => self.is(at, value.into(), left),
                Test::At(address) => self.is(at, address, left),
                Test::Either(one, other) => {
                    self.push(Instruction::load(at));
                    self.push(Instruction::new(JUMP_EQUAL, 1, 0, one));
                    let fails = left.saturating_add(2);
                    self.push(Instruction::new(JUMP_EQUAL, 0, fails, other));
                    self.push(Instruction::load(at.saturating_add(4)));
                    self.push(Instruction::new(JUMP_EQUAL, 0, left, 0));
                }
                Test::Has { mask, bits } => {
                    self.push(Instruction::load(at));
                    self.push(Instruction::new(AND, 0, 0, mask));
                    self.push(Instruction::new(JUMP_EQUAL, 0, left, bits));
                }
                Test::HasNot { mask, bits } => {
                    self.push(Instruction::load(at));
                    self.push(Instruction::new(AND, 0, 0, mask));
                    self.push(Instruction::new(JUMP_EQUAL, left, 0, bits));
                }
            }
        }
        self.push(Instruction::give(ALLOW));
        self.push(Instruction::give(otherwise));
    }

    /// All 64 bits of the argument at this offset are these; else `left` are skipped.
    fn is(&mut self, at: u32, value: u64, left: u8) {
        let (low, high) = (value as u32, (value >> 32) as u32);
        self.push(Instruction::load(at));
        let fails = left.saturating_add(2);
        self.push(Instruction::new(JUMP_EQUAL, 0, fails, low));
        self.push(Instruction::load(at.saturating_add(4)));
        self.push(Instruction::new(JUMP_EQUAL, 0, left, high));
    }

    /// The numbers of the set, run by run.
    fn list(&mut self, set: &Syscalls, verdict: u32) {
        let mut number = 0;
        while number < Syscalls::END {
            let run = set.run(number);
            if run > 0 {
                let (first, end) = (u32::from(number), u32::from(number.saturating_add(run)));
                self.push(Instruction::new(JUMP_AT_LEAST, 0, 2, first));
                self.push(Instruction::new(JUMP_AT_LEAST, 1, 0, end));
                self.push(Instruction::give(verdict));
            }
            number = number.saturating_add(run.max(1));
        }
    }
}

impl Test {
    /// Instructions.
    const fn length(self) -> u8 {
        match self {
            Self::Is(_) | Self::At(_) => 4,
            Self::Either(..) => 5,
            Self::Has { .. } | Self::HasNot { .. } => 3,
        }
    }
}

impl Syscalls {
    /// How many from this number on are in the set without a gap.
    fn run(&self, first: u16) -> u16 {
        let numbers = first..Self::END;
        let run = numbers.take_while(|number| self.contains(Syscall::new(*number)));
        run.count().try_into().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lockdown::{COMPUTE, HARMFUL, MISSED, NEVER, SERVE};

    const PID: u32 = 4242;

    /// What the kernel's interpreter would say of this call.
    fn verdict(lockdown: Lockdown, convention: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let program = Program::of(lockdown, PID).unwrap();
        judge(&program, convention, number, arguments)
    }

    fn judge(program: &Program, convention: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let word = |at: u32| match at {
            NUMBER => number,
            CONVENTION => convention,
            _ => {
                let argument = arguments[(at as usize - 16) / 8];
                if at.is_multiple_of(8) {
                    argument as u32
                } else {
                    (argument >> 32) as u32
                }
            }
        };
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let Instruction {
                code,
                then,
                otherwise,
                value,
            } = program.instructions()[at];
            let mut jump = |holds: bool| at += usize::from(if holds { then } else { otherwise });
            match code {
                LOAD => accumulator = word(value),
                AND => accumulator &= value,
                JUMP_EQUAL => jump(accumulator == value),
                JUMP_AT_LEAST => jump(accumulator >= value),
                RETURN => return value,
                _ => unreachable!("code {code:#x}"),
            }
            at += 1;
        }
    }

    fn native(lockdown: Lockdown, call: Syscall, arguments: [u64; 6]) -> u32 {
        verdict(lockdown, AUDIT_ARCH_X86_64, call.number().into(), arguments)
    }

    #[test]
    fn a_child_under_strict_has_one_exec() {
        const EXEC: Exec = Exec {
            image: 17,
            path: 0x7fff_1234_5678,
        };
        let program = Program::strict_until(EXEC);
        let exec = [17, EXEC.path, 1, 2, 0x1000, 3];
        let verdict = |call: Syscall, arguments| {
            judge(&program, AUDIT_ARCH_X86_64, call.number().into(), arguments)
        };
        assert_eq!(verdict(Syscall::EXECVEAT, exec), ALLOW);
        for (argument, other) in [
            (0, 16),
            (0, 17 | 1 << 32),
            (1, EXEC.path + 1),
            (1, EXEC.path & 0xffff_ffff),
            (4, 0),
            (4, 0x1100),
        ] {
            let mut exec = exec;
            exec[argument] = other;
            assert_eq!(
                verdict(Syscall::EXECVEAT, exec),
                KILL,
                "{argument}: {other:#x}"
            );
        }
        for number in (0..Syscalls::END).map(Syscall::new) {
            let allowed = match STRICT.contains(number) {
                true => ALLOW,
                false => KILL,
            };
            assert_eq!(verdict(number, [0; 6]), allowed, "{number:?}");
        }
        let status = [u64::from(PR_GET_SECCOMP), 0, 0, 0, 0, 0];
        assert_eq!(verdict(Syscall::PRCTL, status), ALLOW);
        assert_eq!(judge(&program, AUDIT_ARCH_X86_64 & 0xffff, 0, [0; 6]), KILL);
    }

    #[test]
    fn each_number_is_as_listed() {
        // Those that are looked at more closely.
        let tested = Syscalls::of(&[
            Syscall::EXECVEAT,
            Syscall::PRCTL,
            Syscall::MMAP,
            Syscall::MPROTECT,
            Syscall::PRLIMIT64,
        ]);
        // Of these, all zeroes are not the process itself.
        let others = Syscalls::of(&[
            Syscall::KILL,
            Syscall::TKILL,
            Syscall::TGKILL,
            Syscall::IOPRIO_SET,
        ]);
        let odd: [u64; Syscalls::WORDS] = [0x5555_5555_5555_5555; 8];
        for (lockdown, allowed, refused) in [
            (Lockdown::Compute, COMPUTE, MISSED),
            (Lockdown::Custom(Syscalls::NONE), SERVE, Syscalls::NONE),
            (Lockdown::Custom(COMPUTE), COMPUTE, Syscalls::NONE),
            (
                Lockdown::Custom(Syscalls::ALL),
                Syscalls::ALL,
                Syscalls::NONE,
            ),
            (
                Lockdown::Custom(Syscalls::from_words(odd)),
                SERVE
                    .iter()
                    .fold(Syscalls::from_words(odd), |all, call| all.with(&[call])),
                Syscalls::NONE,
            ),
        ] {
            for number in 0..Syscalls::END + 64 {
                let call = Syscall::new(number);
                if tested.contains(call) && lockdown != Lockdown::Custom(Syscalls::ALL) {
                    continue;
                }
                let never = matches!(lockdown, Lockdown::Custom(_))
                    && (NEVER.contains(call) || others.contains(call));
                let wanted = match (allowed.contains(call), refused.contains(call)) {
                    (true, _) if never => REFUSE,
                    (true, _) => ALLOW,
                    (false, true) => REFUSE,
                    (false, false) => KILL,
                };
                assert_eq!(
                    native(lockdown, call, [0; 6]),
                    wanted,
                    "{lockdown:?} {call}"
                );
            }
        }
        for number in 0..Syscalls::END {
            let call = Syscall::new(number);
            let wanted = if HARMFUL.contains(call) || others.contains(call) {
                REFUSE
            } else {
                ALLOW
            };
            assert_eq!(native(Lockdown::Basic, call, [0; 6]), wanted, "{call}");
        }
    }

    #[test]
    fn other_conventions_are_the_end() {
        let all = Lockdown::Custom(Syscalls::ALL);
        assert_eq!(verdict(all, 0x4000_0003, 3, [0; 6]), KILL, "i386");
        assert_eq!(
            verdict(all, 0x4000_003e, 0, [0; 6]),
            KILL,
            "without 64 bits"
        );
        let x32 = 0x4000_0000;
        assert_eq!(verdict(all, AUDIT_ARCH_X86_64, x32, [0; 6]), KILL, "x32");
        assert_eq!(verdict(all, AUDIT_ARCH_X86_64, u32::MAX, [0; 6]), KILL);
    }

    #[test]
    fn arguments_are_looked_at() {
        let high = 1 << 32;
        let at = |index: usize, value: u64| {
            let mut arguments = [0; 6];
            arguments[index] = value;
            arguments
        };
        let memory = |prot: u64, flags: u64| [0, 4096, prot, flags, u64::MAX, 0];
        let none = Lockdown::Custom(Syscalls::NONE);
        let all = Lockdown::Custom(Syscalls::ALL);
        for (lockdown, call, arguments, wanted) in [
            (none, Syscall::EXECVEAT, at(1, GATE.into()), ALLOW),
            (none, Syscall::EXECVEAT, at(1, u64::from(GATE) + 1), KILL),
            (none, Syscall::EXECVEAT, at(1, u64::from(GATE) | high), KILL),
            (none, Syscall::EXECVEAT, at(0, GATE.into()), KILL),
            (Lockdown::Compute, Syscall::EXECVEAT, at(1, 0), KILL),
            (none, Syscall::PRCTL, at(0, 21), ALLOW),
            (none, Syscall::PRCTL, at(0, 22), KILL),
            (none, Syscall::PRCTL, at(0, 21 | high), KILL),
            (Lockdown::Compute, Syscall::MMAP, memory(3, 0x22), ALLOW),
            (Lockdown::Compute, Syscall::MMAP, memory(3, 0x2_0022), ALLOW),
            (Lockdown::Compute, Syscall::MMAP, memory(7, 0x22), KILL),
            (
                Lockdown::Compute,
                Syscall::MMAP,
                memory(4 | high, 0x22),
                KILL,
            ),
            (Lockdown::Compute, Syscall::MMAP, memory(3, 0x21), KILL),
            (Lockdown::Compute, Syscall::MMAP, memory(3, 0x02), KILL),
            (Lockdown::Compute, Syscall::MMAP, memory(3, 0x23), KILL),
            (Lockdown::Compute, Syscall::MMAP, memory(3, 0x2a), KILL),
            (Lockdown::Compute, Syscall::MMAP, memory(3, 0x4_0022), KILL),
            (Lockdown::Compute, Syscall::MMAP, memory(3, 0x4_0023), KILL),
            (Lockdown::Compute, Syscall::MADVISE, at(2, 4), ALLOW),
            (Lockdown::Compute, Syscall::MADVISE, at(2, 12), KILL),
            (Lockdown::Compute, Syscall::MADVISE, at(2, 12 | high), KILL),
            (Lockdown::Compute, Syscall::FUTEX, at(1, 0x80), ALLOW),
            (Lockdown::Compute, Syscall::FUTEX, at(1, 9), ALLOW),
            (Lockdown::Compute, Syscall::FUTEX, at(1, 6), KILL),
            (Lockdown::Compute, Syscall::FUTEX, at(1, 0x86), KILL),
            (Lockdown::Compute, Syscall::FUTEX, at(1, 13), KILL),
            (Lockdown::Basic, Syscall::FCNTL, at(1, 2), ALLOW),
            (Lockdown::Basic, Syscall::FCNTL, at(1, 8), REFUSE),
            (Lockdown::Basic, Syscall::FCNTL, at(1, 10 | high), REFUSE),
            (all, Syscall::FCNTL, at(1, 15), REFUSE),
            (all, Syscall::IOCTL, at(1, 0x5401), ALLOW),
            (all, Syscall::IOCTL, at(1, 0x8902), REFUSE),
            (none, Syscall::IOCTL, at(1, 0x5401), KILL),
            (
                Lockdown::Basic,
                Syscall::SCHED_SETAFFINITY,
                at(0, PID.into()),
                ALLOW,
            ),
            (Lockdown::Compute, Syscall::MPROTECT, memory(1, 0), ALLOW),
            (Lockdown::Compute, Syscall::MPROTECT, memory(5, 0), KILL),
            (Lockdown::Compute, Syscall::PRLIMIT64, at(1, 3), ALLOW),
            (Lockdown::Compute, Syscall::PRLIMIT64, at(2, high), KILL),
            (Lockdown::Basic, Syscall::TGKILL, at(0, PID.into()), ALLOW),
            (Lockdown::Basic, Syscall::TGKILL, at(1, PID.into()), REFUSE),
            (Lockdown::Basic, Syscall::KILL, at(0, PID.into()), ALLOW),
            (Lockdown::Basic, Syscall::KILL, at(0, u64::MAX), REFUSE),
            (Lockdown::SystemRoot, Syscall::TKILL, at(0, 1), REFUSE),
            (Lockdown::Compute, Syscall::PRLIMIT64, at(0, 1), KILL),
            (Lockdown::Basic, Syscall::PRLIMIT64, at(2, 9), ALLOW),
            (Lockdown::Basic, Syscall::PRLIMIT64, at(0, 9), REFUSE),
            (
                Lockdown::Basic,
                Syscall::SCHED_SETAFFINITY,
                at(0, high),
                REFUSE,
            ),
            (Lockdown::Basic, Syscall::SETPRIORITY, at(2, 5), ALLOW),
            (Lockdown::Basic, Syscall::SETPRIORITY, at(0, 2), REFUSE),
            (Lockdown::Basic, Syscall::SETPRIORITY, at(1, 7), REFUSE),
            (all, Syscall::IOPRIO_SET, at(0, 1), ALLOW),
            (all, Syscall::IOPRIO_SET, at(0, 3), REFUSE),
            (none, Syscall::SETPRIORITY, at(2, 5), KILL),
            (all, Syscall::KILL, at(0, PID.into()), ALLOW),
            (all, Syscall::KILL, at(0, u64::MAX), REFUSE),
            (all, Syscall::TGKILL, at(1, PID.into()), REFUSE),
            (none, Syscall::KILL, at(0, PID.into()), KILL),
            (all, Syscall::PTRACE, [0; 6], REFUSE),
            (none, Syscall::PTRACE, [0; 6], KILL),
        ] {
            let found = native(lockdown, call, arguments);
            assert_eq!(found, wanted, "{lockdown:?} {call} {arguments:x?}");
        }
    }

    #[test]
    fn there_is_room_for_any_list() {
        for words in [[0x5555_5555_5555_5555; 8], [0xaaaa_aaaa_aaaa_aaaa; 8]] {
            let lockdown = Lockdown::Custom(Syscalls::from_words(words));
            let program = Program::of(lockdown, PID).unwrap();
            assert!(program.instructions().len() < Program::CAPACITY);
            let last = program.instructions().last();
            assert_eq!(last, Some(&Instruction::give(KILL)));
        }
        assert!(Program::of(Lockdown::Strict, PID).is_none());
        assert!(Program::of(Lockdown::Unconfined, PID).is_none());
    }
}
