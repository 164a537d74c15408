// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which system calls an executable can make, as far as its instructions say.
//!
//! All code is disassembled, and from each `syscall` instruction the way back is followed to where its number was put into
//! a register: over jumps, into the callers of the function that it is in, through moves from one register to another.
//!
//! # Limits
//!
//! What is found is there, but not all of it is ever reached. What is not found may be there all the same: a number that
//! was computed or read from memory is reported as unknown; jumps through tables and calls through pointers are not
//! followed, so a number that comes to a place by one of these alone is missed where other ways lead there too; and who
//! has taken the process over jumps where he likes, into the middle of an instruction or onto his own number. No lockdown
//! rests on this: it is there to choose the right one.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    OpKind, Register,
};
use umd_build::check::{Image, Segment};

/// Steps back from one `syscall` instruction; more than any program was seen to need.
const STEPS: usize = 50_000;

/// The two bytes of `syscall`.
const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// The numbers, and from where each is called.
    pub(crate) calls: BTreeMap<u32, BTreeSet<u64>>,
    /// Where a number is not a constant, or not only.
    pub(crate) unknown: BTreeSet<u64>,
    /// Where a system call is made by a convention other than 64-bit `syscall`.
    pub(crate) other: BTreeSet<u64>,
    /// Where the bytes of `syscall` stand within other instructions, or among data between them.
    pub(crate) hidden: BTreeSet<u64>,
}

/// A value as it is before an instruction: the instruction's place in the list, and the register.
type Place = (usize, Register);

/// What is known of a register's value.
enum Origin {
    /// It is this.
    Constant(u32),
    /// It is what is in one of these places.
    From(Vec<Place>),
    /// Nothing.
    Unknown,
}

/// The code of an executable.
struct Code {
    /// All instructions, in the order of their addresses.
    instructions: Vec<Instruction>,
    /// From an address to the direct jumps that go there.
    jumps: HashMap<u64, Vec<usize>>,
    /// From an address to the direct calls that go there.
    calls: HashMap<u64, Vec<usize>>,
    /// What may be called or jumped to by a pointer.
    pointed: HashSet<u64>,
}

/// Looks for system calls.
pub(crate) fn reach(image: &Image<'_>) -> Reach {
    let code = Code::of(image);
    let mut found = Reach::default();
    for (index, instruction) in code.instructions.iter().enumerate() {
        let address = instruction.ip();
        match instruction.mnemonic() {
            Mnemonic::Syscall => {
                let (numbers, is_complete) = code.numbers_at(index);
                for number in numbers {
                    found.calls.entry(number).or_default().insert(address);
                }
                if !is_complete {
                    found.unknown.insert(address);
                }
            }
            Mnemonic::Sysenter => {
                found.other.insert(address);
            }
            Mnemonic::Int if instruction.immediate8() == 0x80 => {
                found.other.insert(address);
            }
            _ => {}
        }
    }
    let known: HashSet<u64> = code
        .instructions
        .iter()
        .filter(is_syscall)
        .map(Instruction::ip)
        .collect();
    for segment in image.segments().filter(|segment| segment.execute) {
        let pairs = (segment.address..).zip(segment.bytes.windows(2));
        let bytes = pairs.filter(|(_, pair)| *pair == SYSCALL);
        found.hidden.extend(
            bytes
                .map(|(address, _)| address)
                .filter(|address| !known.contains(address)),
        );
    }
    found
}

fn is_syscall(instruction: &&Instruction) -> bool {
    instruction.mnemonic() == Mnemonic::Syscall
}

impl Code {
    fn of(image: &Image<'_>) -> Self {
        let mut code = Self {
            instructions: Vec::new(),
            jumps: HashMap::new(),
            calls: HashMap::new(),
            pointed: HashSet::from([image.entry()]),
        };
        for segment in image.segments().filter(|segment| segment.execute) {
            code.disassemble(&segment);
        }
        let executable = |address: u64| {
            let mut code = image.segments().filter(|segment| segment.execute);
            code.any(|segment| {
                (segment.address..segment.address.saturating_add(segment.size)).contains(&address)
            })
        };
        for segment in image.segments() {
            let (words, _) = segment.bytes.as_chunks();
            let words = words.iter().map(|word| u64::from_le_bytes(*word));
            code.pointed.extend(words.filter(|word| executable(*word)));
        }
        for (index, instruction) in code.instructions.iter().enumerate() {
            match instruction.flow_control() {
                FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch => {
                    let sources = code.jumps.entry(instruction.near_branch_target());
                    sources.or_default().push(index);
                }
                FlowControl::Call if instruction.mnemonic() == Mnemonic::Call => {
                    let sources = code.calls.entry(instruction.near_branch_target());
                    sources.or_default().push(index);
                }
                _ => {}
            }
            if instruction.is_ip_rel_memory_operand() {
                code.pointed.insert(instruction.memory_displacement64());
            }
            // At fixed addresses a pointer is a constant like any other.
            code.pointed.extend(constant(instruction, 1).map(u64::from));
        }
        code
    }

    /// One instruction after the other. What is none is skipped, byte by byte: data between functions.
    fn disassemble(&mut self, segment: &Segment<'_>) {
        let options = DecoderOptions::NONE;
        let mut decoder = Decoder::with_ip(64, segment.bytes, segment.address, options);
        while decoder.can_decode() {
            let position = decoder.position();
            let instruction = decoder.decode();
            if !instruction.is_invalid() {
                self.instructions.push(instruction);
            } else if decoder.set_position(position + 1).is_ok() {
                decoder.set_ip(instruction.ip().wrapping_add(1));
            } else {
                return;
            }
        }
    }

    /// The numbers that a `syscall` instruction may have in `rax`; whether there are no others.
    fn numbers_at(&self, index: usize) -> (BTreeSet<u32>, bool) {
        let mut numbers = BTreeSet::new();
        let mut is_complete = true;
        let mut seen = HashSet::new();
        let mut open: Vec<Place> = vec![(index, Register::RAX)];
        while let Some(place) = open.pop() {
            if !seen.insert(place) {
                continue;
            }
            if seen.len() > STEPS {
                return (numbers, false);
            }
            for origin in self.origins(place) {
                match origin {
                    Origin::Constant(number) => drop(numbers.insert(number)),
                    Origin::From(places) => open.extend(places),
                    Origin::Unknown => is_complete = false,
                }
            }
        }
        (numbers, is_complete)
    }

    /// Where a register's value comes from, on each way that leads to an instruction.
    fn origins(&self, (index, register): Place) -> Vec<Origin> {
        let Some(instruction) = self.instructions.get(index) else {
            return vec![Origin::Unknown];
        };
        let address = instruction.ip();
        let mut origins = Vec::new();
        let before = index.checked_sub(1).filter(|before| {
            let before = &self.instructions[*before];
            before.next_ip() == address && goes_on(before)
        });
        origins.extend(before.map(|before| self.behind(before, register)));
        let ways = |ways: &HashMap<u64, Vec<usize>>| {
            let ways = ways.get(&address).map(Vec::as_slice).unwrap_or_default();
            Origin::From(ways.iter().map(|way| (*way, register)).collect())
        };
        let is_led_to = before.is_some()
            || self.jumps.contains_key(&address)
            || self.calls.contains_key(&address);
        origins.extend([ways(&self.jumps), ways(&self.calls)]);
        if !is_led_to || self.pointed.contains(&address) {
            origins.push(Origin::Unknown);
        }
        origins
    }

    /// Where a register's value comes from behind an instruction.
    fn behind(&self, index: usize, register: Register) -> Origin {
        let instruction = &self.instructions[index];
        let same = Origin::From(vec![(index, register)]);
        match instruction.flow_control() {
            FlowControl::Call if instruction.mnemonic() == Mnemonic::Syscall => {
                let lost = [Register::RAX, Register::RCX, Register::R11];
                return if lost.contains(&register) {
                    Origin::Unknown
                } else {
                    same
                };
            }
            FlowControl::Call | FlowControl::IndirectCall => {
                // What a function leaves as it was, by the calling convention.
                const KEPT: [Register; 7] = [
                    Register::RBX,
                    Register::RSP,
                    Register::RBP,
                    Register::R12,
                    Register::R13,
                    Register::R14,
                    Register::R15,
                ];
                return if KEPT.contains(&register) {
                    same
                } else {
                    Origin::Unknown
                };
            }
            _ => {}
        }
        if !writes(instruction, register) {
            return same;
        }
        // A 32-bit register fills its upper half with zeroes; anything smaller leaves something of what was there.
        let is_whole =
            instruction.op0_kind() == OpKind::Register && instruction.op0_register().size() >= 4;
        if !is_whole || instruction.op0_register().full_register() != register {
            return Origin::Unknown;
        }
        let source = (instruction.op_count() > 1 && instruction.op1_kind() == OpKind::Register)
            .then(|| instruction.op1_register())
            .filter(|source| source.is_gpr32() || source.is_gpr64())
            .map(|source| (index, source.full_register()));
        match (instruction.mnemonic(), source) {
            (Mnemonic::Mov | Mnemonic::Movsxd, Some(source)) => Origin::From(vec![source]),
            (Mnemonic::Mov, None) => {
                constant(instruction, 1).map_or(Origin::Unknown, Origin::Constant)
            }
            (Mnemonic::Xor | Mnemonic::Sub, Some((_, other))) if other == register => {
                Origin::Constant(0)
            }
            (Mnemonic::Pop, _) => self
                .pushed_before(index)
                .map_or(Origin::Unknown, Origin::Constant),
            (mnemonic, Some(source)) if is_conditional_move(mnemonic) => {
                Origin::From(vec![source, (index, register)])
            }
            _ => Origin::Unknown,
        }
    }

    /// The constant that the instruction before this one, to which nothing jumps, has pushed.
    fn pushed_before(&self, index: usize) -> Option<u32> {
        let pop = &self.instructions[index];
        let push = self.instructions.get(index.checked_sub(1)?)?;
        let is_alone = !self.jumps.contains_key(&pop.ip()) && push.next_ip() == pop.ip();
        (push.mnemonic() == Mnemonic::Push && is_alone).then(|| constant(push, 0))?
    }
}

/// An operand that is a constant, as the kernel reads a number: 32 bits of it.
fn constant(instruction: &Instruction, operand: u32) -> Option<u32> {
    if operand >= instruction.op_count() {
        return None;
    }
    match instruction.op_kind(operand) {
        OpKind::Immediate8
        | OpKind::Immediate32
        | OpKind::Immediate64
        | OpKind::Immediate8to32
        | OpKind::Immediate8to64
        | OpKind::Immediate32to64 => Some(instruction.immediate(operand) as u32),
        _ => None,
    }
}

/// May the instruction behind it be the next?
fn goes_on(instruction: &Instruction) -> bool {
    !matches!(
        instruction.flow_control(),
        FlowControl::UnconditionalBranch
            | FlowControl::IndirectBranch
            | FlowControl::Return
            | FlowControl::Exception
    )
}

fn writes(instruction: &Instruction, register: Register) -> bool {
    let mut factory = InstructionInfoFactory::new();
    factory
        .info(instruction)
        .used_registers()
        .iter()
        .any(|used| {
            used.register().full_register() == register
                && matches!(
                    used.access(),
                    OpAccess::Write
                        | OpAccess::CondWrite
                        | OpAccess::ReadWrite
                        | OpAccess::ReadCondWrite
                )
        })
}

fn is_conditional_move(mnemonic: Mnemonic) -> bool {
    use Mnemonic as M;
    matches!(
        mnemonic,
        M::Cmova
            | M::Cmovae
            | M::Cmovb
            | M::Cmovbe
            | M::Cmove
            | M::Cmovg
            | M::Cmovge
            | M::Cmovl
            | M::Cmovle
            | M::Cmovne
            | M::Cmovno
            | M::Cmovnp
            | M::Cmovns
            | M::Cmovo
            | M::Cmovp
            | M::Cmovs
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u64 = 0x40_1000;

    /// An executable that is this code, with these bytes of data, and begins at the code's first byte.
    fn executable(code: &[u8], data: &[u8]) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
        for long in [AT, 64, 0] {
            file.extend(long.to_le_bytes());
        }
        file.extend(b"\0\0\0\0\x40\0\x38\0\x02\0\x40\0\0\0\0\0");
        let mut offset = 64 + 2 * 56;
        for (flags, address, bytes) in [(5_u32, AT, code), (6, 0x50_0000, data)] {
            file.extend(1_u32.to_le_bytes());
            file.extend(flags.to_le_bytes());
            let size = bytes.len() as u64;
            for long in [offset, address, address, size, size, 1] {
                file.extend(long.to_le_bytes());
            }
            offset += size;
        }
        file.extend(code);
        file.extend(data);
        file
    }

    fn reach_of(code: &[u8], data: &[u8]) -> Reach {
        let file = executable(code, data);
        reach(&Image::parse(&file).expect("an executable"))
    }

    /// The numbers, and the offsets in the code of what is unknown.
    fn numbers(code: &[u8]) -> (Vec<u32>, Vec<u64>) {
        let found = reach_of(code, b"");
        assert!(
            found.other.is_empty() && found.hidden.is_empty(),
            "{found:x?}"
        );
        let unknown = found.unknown.iter().map(|address| address - AT);
        (found.calls.keys().copied().collect(), unknown.collect())
    }

    #[test]
    fn a_number_is_found_in_each_form() {
        for (code, number) in [
            // mov eax, 60
            (&b"\xb8\x3c\0\0\0\x0f\x05"[..], 60),
            // mov rax, 60
            (b"\x48\xc7\xc0\x3c\0\0\0\x0f\x05", 60),
            // movabs rax, 322
            (b"\x48\xb8\x42\x01\0\0\0\0\0\0\x0f\x05", 322),
            // xor eax, eax
            (b"\x31\xc0\x0f\x05", 0),
            // push 60; pop rax
            (b"\x6a\x3c\x58\x0f\x05", 60),
            // mov edi, 60; mov rax, rdi
            (b"\xbf\x3c\0\0\0\x48\x89\xf8\x0f\x05", 60),
            // mov r12d, 231; mov edi, 1; mov eax, r12d
            (b"\x41\xbc\xe7\0\0\0\xbf\x01\0\0\0\x44\x89\xe0\x0f\x05", 231),
        ] {
            assert_eq!(numbers(code), (vec![number], vec![]), "{code:x?}");
        }
    }

    #[test]
    fn what_is_no_constant_is_unknown() {
        for code in [
            // mov eax, [rdi]
            &b"\x8b\x07\x0f\x05"[..],
            // mov eax, 60; mov al, [rdi]
            b"\xb8\x3c\0\0\0\x8a\x07\x0f\x05",
            // mov eax, 256; mov al, 60
            b"\xb8\0\x01\0\0\xb0\x3c\x0f\x05",
            // mov eax, 60; add eax, 1
            b"\xb8\x3c\0\0\0\x83\xc0\x01\x0f\x05",
            // mov eax, 60; call rbx
            b"\xb8\x3c\0\0\0\xff\xd3\x0f\x05",
            // mov eax, 60; cpuid
            b"\xb8\x3c\0\0\0\x0f\xa2\x0f\x05",
            // pop rax
            b"\x58\x0f\x05",
            // Nothing before it.
            b"\x0f\x05",
        ] {
            let at = code.len() as u64 - 2;
            assert_eq!(numbers(code), (vec![], vec![at]), "{code:x?}");
        }
    }

    #[test]
    fn what_a_system_call_returned_is_no_number() {
        // mov eax, 39; syscall; syscall
        let (calls, unknown) = numbers(b"\xb8\x27\0\0\0\x0f\x05\x0f\x05");
        assert_eq!((calls, unknown), (vec![39], vec![7]));
    }

    #[test]
    fn jumps_lead_to_several_numbers() {
        // mov eax, 1; test edi, edi; je over; mov eax, 2; over: syscall
        let code = b"\xb8\x01\0\0\0\x85\xff\x74\x05\xb8\x02\0\0\0\x0f\x05";
        assert_eq!(numbers(code), (vec![1, 2], vec![]));
        // mov eax, 1; mov ecx, 2; cmove eax, ecx; syscall
        let code = b"\xb8\x01\0\0\0\xb9\x02\0\0\0\x0f\x44\xc1\x0f\x05";
        assert_eq!(numbers(code), (vec![1, 2], vec![]));
        // again: mov eax, 3; syscall; jmp again
        let code = b"\xb8\x03\0\0\0\x0f\x05\xeb\xf7";
        assert_eq!(numbers(code), (vec![3], vec![]));
        // mov eax, 1; jmp over; syscall (which nothing leads to); over: syscall
        let code = b"\xb8\x01\0\0\0\xeb\x02\x0f\x05\xb8\x02\0\0\0\x0f\x05";
        assert_eq!(numbers(code), (vec![2], vec![7]));
    }

    /// call f with edi = 1; call f with edi = 60; ret; f: mov rax, rdi; syscall; ret
    const WRAPPER: &[u8] =
        b"\xbf\x01\0\0\0\xe8\x0b\0\0\0\xbf\x3c\0\0\0\xe8\x01\0\0\0\xc3\x48\x89\xf8\x0f\x05\xc3";

    #[test]
    fn callers_are_asked() {
        assert_eq!(numbers(WRAPPER), (vec![1, 60], vec![]));
    }

    #[test]
    fn whoever_has_a_pointer_may_be_a_caller() {
        let found = reach_of(WRAPPER, &(AT + 21).to_le_bytes());
        assert_eq!(found.calls.keys().collect::<Vec<_>>(), [&1, &60]);
        assert_eq!(found.unknown, BTreeSet::from([AT + 24]));
        // lea rsi, [rip + f], before it all.
        let code = [b"\x48\x8d\x35\x15\0\0\0", WRAPPER].concat();
        let found = reach_of(&code, b"");
        assert_eq!(found.unknown, BTreeSet::from([AT + 31]));
    }

    #[test]
    fn other_conventions_are_found() {
        // int 0x80; sysenter; int3
        let found = reach_of(b"\xcd\x80\x0f\x34\xcc", b"");
        assert_eq!(found.other, BTreeSet::from([AT, AT + 2]));
        assert!(found.calls.is_empty() && found.unknown.is_empty());
    }

    #[test]
    fn hidden_bytes_are_found() {
        // mov eax, 0x050f; ret
        let found = reach_of(b"\xb8\x0f\x05\0\0\xc3", b"\x0f\x05 is no code here");
        assert_eq!(found.hidden, BTreeSet::from([AT + 1]));
        assert!(found.calls.is_empty() && found.unknown.is_empty());
    }

    #[test]
    fn data_between_the_code_is_skipped() {
        // Not an instruction (06); mov eax, 60; syscall
        let (calls, unknown) = numbers(b"\xc3\x06\x06\xb8\x3c\0\0\0\x0f\x05");
        assert_eq!((calls, unknown), (vec![60], vec![]));
    }
}
