// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table, and the socket options by which it is read and replaced.

use crate::check::{Hooks, check};
use bpfilter_proto::abi::{
    self, COUNTER_LEN, HOOKS, TABLE_NAME_LEN, counters_info, entries, entry, error, extension,
    info, replace, standard,
};
use bpfilter_proto::{OPTION_MAX, Refusal, Request};
use core::mem;

/// The name of the table that is kept here. All others are the kernel's.
pub const TABLE_NAME: &[u8] = b"bpfilter";

/// The most bytes that a table's entries can have: what fits one option.
pub const TABLE_MAX: usize = OPTION_MAX - replace::LEN;

/// INPUT, FORWARD and OUTPUT, as in the kernel's table `filter`.
const VALID_HOOKS: u32 = 1 << 1 | 1 << 2 | 1 << 3;

/// Bytes of an entry that is a chain's policy and nothing else.
const POLICY_LEN: usize = entry::LEN + standard::LEN;
/// Bytes of the entry behind all chains.
const END_LEN: usize = entry::LEN + error::LEN;

/// The table of a new handler: three chains without rules that let everything pass, and the end.
const INITIAL: [u8; 3 * POLICY_LEN + END_LEN] = {
    let mut bytes = [0; _];
    let mut chain = 0;
    while chain < 3 {
        let at = chain * POLICY_LEN;
        put(
            &mut bytes,
            at,
            entry::TARGET_OFFSET,
            &(entry::LEN as u16).to_le_bytes(),
        );
        put(
            &mut bytes,
            at,
            entry::NEXT_OFFSET,
            &(POLICY_LEN as u16).to_le_bytes(),
        );
        let at = at + entry::LEN;
        put(
            &mut bytes,
            at,
            extension::SIZE,
            &(standard::LEN as u16).to_le_bytes(),
        );
        put(
            &mut bytes,
            at,
            standard::VERDICT,
            &standard::ACCEPT.to_le_bytes(),
        );
        chain += 1;
    }
    let at = 3 * POLICY_LEN;
    put(
        &mut bytes,
        at,
        entry::TARGET_OFFSET,
        &(entry::LEN as u16).to_le_bytes(),
    );
    put(
        &mut bytes,
        at,
        entry::NEXT_OFFSET,
        &(END_LEN as u16).to_le_bytes(),
    );
    let at = at + entry::LEN;
    put(
        &mut bytes,
        at,
        extension::SIZE,
        &(error::LEN as u16).to_le_bytes(),
    );
    put(&mut bytes, at, extension::NAME, error::NAME);
    put(&mut bytes, at, error::MESSAGE, error::NAME);
    bytes
};

/// Writes a field of the structure that begins at `base`, when the program is compiled.
const fn put(bytes: &mut [u8], base: usize, at: usize, field: &[u8]) {
    let mut i = 0;
    while i < field.len() {
        bytes[base + at + i] = field[i];
        i += 1;
    }
}

/// What there is to know of a table beside its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outline {
    /// Bytes of all entries.
    size: usize,
    /// How many there are.
    number: u32,
    hooks: Hooks,
}

/// A table of rules.
///
/// # Invariants
///
/// The first `outline.size` bytes of `memory` are a table by the rules of [`check`], of
/// `outline.number` entries and with `outline.hooks`.
pub struct Table<'m> {
    memory: &'m mut [u8],
    outline: Outline,
}

impl<'m> Table<'m> {
    /// A table with the chains INPUT, FORWARD and OUTPUT, all empty, whose policy is ACCEPT.
    ///
    /// # Panics
    ///
    /// When `memory` has less than [`TABLE_MAX`] bytes.
    pub fn new(memory: &'m mut [u8]) -> Self {
        assert!(memory.len() >= TABLE_MAX, "no room for the largest table");
        memory[..INITIAL.len()].copy_from_slice(&INITIAL);
        let chains = [
            Hooks::NOWHERE,
            0,
            POLICY_LEN as u32,
            2 * POLICY_LEN as u32,
            Hooks::NOWHERE,
        ];
        // INVARIANT: a test has it checked.
        Self {
            memory,
            outline: Outline {
                size: INITIAL.len(),
                number: 4,
                hooks: Hooks {
                    valid: VALID_HOOKS,
                    entry: chains,
                    underflow: chains,
                },
            },
        }
    }

    /// Does what a message from the manager asks for; returns the number of bytes that it has
    /// written to `reply`. A refused message has changed nothing.
    pub fn answer(&mut self, message: &[u8], reply: &mut [u8]) -> Result<usize, Refusal> {
        let (request, option) = Request::decode(message).map_err(|_| Refusal::NotMine)?;
        if !names_this_table(option) {
            return Err(Refusal::NotMine);
        }
        match (request.is_set, request.command) {
            (false, abi::GET_INFO) => self.info(option, reply),
            (false, abi::GET_ENTRIES) => self.entries(option, reply),
            (true, abi::SET_REPLACE) => self.replace(option, reply),
            (true, abi::SET_ADD_COUNTERS) => self.add_counters(option),
            _ => Err(Refusal::NotMine),
        }
    }

    fn info(&self, option: &[u8], reply: &mut [u8]) -> Result<usize, Refusal> {
        if option.len() != info::LEN {
            return Err(Refusal::Invalid);
        }
        let Outline {
            size,
            number,
            hooks,
        } = self.outline;
        let mut out = Writer::new(reply);
        out.bytes(TABLE_NAME)?;
        out.bytes(&[0; TABLE_NAME_LEN - TABLE_NAME.len()])?;
        out.word(hooks.valid)?;
        for offset in hooks.entry.into_iter().chain(hooks.underflow) {
            out.word(offset)?;
        }
        out.word(number)?;
        out.word(u32::try_from(size).map_err(|_| Refusal::TooBig)?)?;
        Ok(out.length)
    }

    fn entries(&self, option: &[u8], reply: &mut [u8]) -> Result<usize, Refusal> {
        let head = option.get(..entries::LEN).ok_or(Refusal::Invalid)?;
        let size = number(option, entries::SIZE)?;
        if option.len() - entries::LEN != size {
            return Err(Refusal::Invalid);
        }
        if size != self.outline.size {
            return Err(Refusal::Again);
        }
        let mut out = Writer::new(reply);
        out.bytes(head)?;
        out.bytes(self.memory.get(..size).ok_or(Refusal::TooBig)?)?;
        Ok(out.length)
    }

    /// Takes a new table, and gives the counters of the old one.
    fn replace(&mut self, option: &[u8], reply: &mut [u8]) -> Result<usize, Refusal> {
        let blob = option.get(replace::LEN..).ok_or(Refusal::Invalid)?;
        let counters = number(option, replace::NUM_COUNTERS)?;
        if counters >= i32::MAX as usize / COUNTER_LEN {
            return Err(Refusal::TooBig);
        }
        if counters == 0 {
            return Err(Refusal::Invalid);
        }
        let size = number(option, replace::SIZE)?;
        let blob = blob.get(..size).ok_or(Refusal::Invalid)?;
        let outline = Outline {
            size,
            number: word(option, replace::NUM_ENTRIES)?,
            hooks: Hooks {
                valid: word(option, replace::VALID_HOOKS)?,
                entry: offsets(option, replace::HOOK_ENTRY)?,
                underflow: offsets(option, replace::UNDERFLOW)?,
            }
            .normal(),
        };
        check(blob, outline.number, &outline.hooks).map_err(|_| Refusal::Invalid)?;
        if outline.hooks.valid != VALID_HOOKS {
            return Err(Refusal::Invalid);
        }
        if counters != self.outline.number as usize {
            return Err(Refusal::Again);
        }
        let mut out = Writer::new(reply);
        for rule in self.rules() {
            out.bytes(rule.get(entry::COUNTERS..entry::LEN).unwrap_or_default())?;
        }
        let memory = self.memory.get_mut(..size).ok_or(Refusal::TooBig)?;
        memory.copy_from_slice(blob);
        // INVARIANT: just checked.
        self.outline = outline;
        for rule in self.rules() {
            // What the kernel notes there, and counters: a new table has met no packet.
            if let Some(own) = rule.get_mut(entry::COMEFROM..entry::LEN) {
                own.fill(0);
            }
        }
        Ok(out.length)
    }

    fn add_counters(&mut self, option: &[u8]) -> Result<usize, Refusal> {
        let added = option.get(counters_info::LEN..).ok_or(Refusal::Invalid)?;
        let count = number(option, counters_info::NUM_COUNTERS)?;
        let (added, rest) = added.as_chunks::<COUNTER_LEN>();
        if added.len() != count || !rest.is_empty() || count != self.outline.number as usize {
            return Err(Refusal::Invalid);
        }
        for (rule, added) in self.rules().zip(added) {
            let counters = rule
                .get_mut(entry::COUNTERS..entry::LEN)
                .unwrap_or_default();
            let (sums, _) = counters.as_chunks_mut::<8>();
            let (added, _) = added.as_chunks::<8>();
            for (sum, added) in sums.iter_mut().zip(added) {
                let total = u64::from_le_bytes(*sum).wrapping_add(u64::from_le_bytes(*added));
                *sum = total.to_le_bytes();
            }
        }
        Ok(0)
    }

    /// The entries, one by one.
    fn rules(&mut self) -> Rules<'_> {
        Rules(self.memory.get_mut(..self.outline.size).unwrap_or_default())
    }
}

/// Goes through the entries of a table.
struct Rules<'a>(&'a mut [u8]);

impl<'a> Iterator for Rules<'a> {
    type Item = &'a mut [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let size = abi::u16_at(self.0, entry::NEXT_OFFSET)?;
        let (rule, rest) = mem::take(&mut self.0).split_at_mut_checked(size.into())?;
        self.0 = rest;
        Some(rule)
    }
}

/// Puts one field behind the other.
struct Writer<'r> {
    room: &'r mut [u8],
    length: usize,
}

impl<'r> Writer<'r> {
    fn new(room: &'r mut [u8]) -> Self {
        Self { room, length: 0 }
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let room = self.room.get_mut(self.length..).unwrap_or_default();
        let room = room.get_mut(..bytes.len()).ok_or(Refusal::TooBig)?;
        room.copy_from_slice(bytes);
        self.length += bytes.len();
        Ok(())
    }

    fn word(&mut self, word: u32) -> Result<(), Refusal> {
        self.bytes(&word.to_le_bytes())
    }
}

/// Whether an option, any of them, is about the table that is kept here.
fn names_this_table(option: &[u8]) -> bool {
    let name = option.get(..TABLE_NAME_LEN).and_then(abi::text);
    name == Some(TABLE_NAME)
}

fn word(option: &[u8], at: usize) -> Result<u32, Refusal> {
    abi::u32_at(option, at).ok_or(Refusal::Invalid)
}

fn number(option: &[u8], at: usize) -> Result<usize, Refusal> {
    word(option, at).map(|word| word as usize)
}

fn offsets(option: &[u8], at: usize) -> Result<[u32; HOOKS], Refusal> {
    let bytes: [u8; 4 * HOOKS] = abi::bytes_at(option, at).ok_or(Refusal::Invalid)?;
    let mut offsets = [0; HOOKS];
    for (offset, bytes) in offsets.iter_mut().zip(bytes.as_chunks().0) {
        *offset = u32::from_le_bytes(*bytes);
    }
    Ok(offsets)
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
