// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a blob of entries is a table.
//!
//! The rules are those by which the kernel takes a table (`translate_table()` and what it calls, in
//! `net/ipv4/netfilter/ip_tables.c` and `net/netfilter/x_tables.c`), but for what it leaves to
//! the modules of matches and targets: their data are just bytes here, and every name will do.
//! One rule is stricter: each jump has to lead to an entry, not only those that a packet can reach.

use bpfilter_proto::abi::{self, ALIGN, HOOKS, entry, error, extension, standard};
use core::num::NonZeroU32;

/// The most entries in a table that comes by one option.
pub const ENTRIES_MAX: usize =
    (bpfilter_proto::OPTION_MAX - abi::replace::LEN) / (entry::LEN + extension::LEN);

/// The points at which packets enter a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hooks {
    /// Bit n is set where packets can enter at hook n.
    pub valid: u32,
    /// The offset at which hook n begins.
    pub entry: [u32; HOOKS],
    /// The offset of hook n's policy.
    pub underflow: [u32; HOOKS],
}

impl Hooks {
    /// What stands for the offset of a hook at which packets cannot enter.
    pub const NOWHERE: u32 = u32::MAX;

    /// The same hooks, with nothing said of those at which packets cannot enter.
    pub fn normal(mut self) -> Self {
        for offsets in [&mut self.entry, &mut self.underflow] {
            for (hook, offset) in offsets.iter_mut().enumerate() {
                if self.valid >> hook & 1 == 0 {
                    *offset = Self::NOWHERE;
                }
            }
        }
        self
    }

    /// Begin and policy of each hook at which packets can enter.
    fn offsets(&self) -> impl Iterator<Item = (u32, u32)> {
        let offsets = self.entry.into_iter().zip(self.underflow).enumerate();
        offsets
            .filter(|(hook, _)| self.valid >> hook & 1 == 1)
            .map(|(_, offsets)| offsets)
    }
}

/// Why a blob is no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// An entry does not begin at a multiple of [`ALIGN`].
    Unaligned,
    /// The blob ends inside an entry.
    Cut,
    /// An entry is too short for a target.
    EntrySize,
    /// Flags, or inverse flags, that do not exist.
    Flags,
    /// The target begins inside the entry's head, or too late to be whole.
    TargetOffset,
    /// A target is shorter than its head, longer than its entry, or of a size that its kind has not.
    TargetSize,
    /// An entry does not end where its standard target does.
    TargetEnd,
    /// A verdict that does not exist.
    Verdict,
    /// An error target's text has no end.
    Message,
    /// A match is shorter than its head, longer than its room, or of a size that none has.
    MatchSize,
    /// The name of a match or a target has no end, or a match has none.
    Name,
    /// A standard or error target is of a revision other than 0.
    Revision,
    /// There are more or fewer entries than announced.
    Number,
    /// A hook does not begin at an entry.
    HookEntry,
    /// A hook's policy is not at an entry.
    Underflow,
    /// A hook's policy is not to accept or to drop every packet.
    Policy,
    /// A hook begins, or has its policy, where an earlier hook does, or before.
    HookOrder,
    /// A jump leads to no entry.
    Jump,
    /// A chain comes back to itself.
    Loop,
    /// A packet can get past the last entry.
    Open,
}

/// Says whether `entries` are a table of `number` entries which packets enter at `hooks`.
pub fn check(entries: &[u8], number: u32, hooks: &Hooks) -> Result<(), Flaw> {
    let mut notes = [Note::NONE; ENTRIES_MAX];
    let count = survey(entries, hooks, &mut notes)?;
    if count != number as usize {
        return Err(Flaw::Number);
    }
    let notes = notes.get_mut(..count).ok_or(Flaw::Number)?;
    for note in notes.iter() {
        if let Some(offset) = note.jump {
            find(notes, offset.get()).ok_or(Flaw::Jump)?;
        }
    }
    let mut last = None;
    for (begin, policy) in hooks.offsets() {
        let first = find(notes, begin).ok_or(Flaw::HookEntry)?;
        find(notes, policy).ok_or(Flaw::Underflow)?;
        if last.is_some_and(|(before, above)| begin <= before || policy <= above) {
            return Err(Flaw::HookOrder);
        }
        last = Some((begin, policy));
        walk(notes, first)?;
    }
    Ok(())
}

/// What is remembered of an entry that is sound in itself.
#[derive(Clone, Copy)]
struct Note {
    offset: u32,
    /// Where its verdict leads. Offset 0 is none: no jump can lead there.
    jump: Option<NonZeroU32>,
    /// No packet gets past it.
    ends: bool,
    /// How far [`walk`] has come with it, and from which entry it came.
    step: Step,
    from: u16,
}

impl Note {
    const NONE: Self = Self {
        offset: 0,
        jump: None,
        ends: false,
        step: Step::New,
        from: 0,
    };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    New,
    /// On the way, by its jump.
    Jumped,
    /// On the way, to the next entry.
    Passed,
    /// All that can be reached from it has been.
    Done,
}

/// Notes each entry; says how many there are.
fn survey(entries: &[u8], hooks: &Hooks, notes: &mut [Note]) -> Result<usize, Flaw> {
    let mut count = 0;
    let mut at = 0;
    while let Some(rest) = entries.get(at..).filter(|rest| !rest.is_empty()) {
        if !at.is_multiple_of(ALIGN) {
            return Err(Flaw::Unaligned);
        }
        let rule = Rule::read(rest)?;
        let offset = u32::try_from(at).map_err(|_| Flaw::Cut)?;
        if hooks.offsets().any(|(_, policy)| policy == offset) && !rule.is_policy() {
            return Err(Flaw::Policy);
        }
        *notes.get_mut(count).ok_or(Flaw::Number)? = Note {
            offset,
            jump: rule.jump(),
            ends: rule.ends(),
            ..Note::NONE
        };
        count += 1;
        at += rule.size;
    }
    Ok(count)
}

/// The number of the entry at `offset`.
fn find(notes: &[Note], offset: u32) -> Option<u16> {
    let found = notes.binary_search_by_key(&offset, |note| note.offset);
    u16::try_from(found.ok()?).ok()
}

/// Goes wherever a packet can go from the entry `begin`, each way once.
///
/// An entry is on the way from its first visit until all behind it has been seen; to come to one
/// that is on the way is to have gone in a circle.
fn walk(notes: &mut [Note], begin: u16) -> Result<(), Flaw> {
    let mut at = begin;
    loop {
        let note = notes.get_mut(usize::from(at)).ok_or(Flaw::Open)?;
        let next = match note.step {
            Step::New => {
                note.step = Step::Jumped;
                let jump = note.jump;
                jump.map(|offset| find(notes, offset.get()).ok_or(Flaw::Jump))
                    .transpose()?
            }
            Step::Jumped => {
                note.step = Step::Passed;
                if note.ends { None } else { at.checked_add(1) }
            }
            Step::Passed | Step::Done => {
                note.step = Step::Done;
                if at == begin {
                    return Ok(());
                }
                at = note.from;
                None
            }
        };
        if let Some(next) = next {
            let note = notes.get_mut(usize::from(next)).ok_or(Flaw::Open)?;
            match note.step {
                Step::New => {
                    note.from = at;
                    at = next;
                }
                Step::Jumped | Step::Passed => return Err(Flaw::Loop),
                Step::Done => {}
            }
        }
    }
}

/// An entry that is sound in itself.
struct Rule<'a> {
    /// Bytes from this entry to the next.
    size: usize,
    ip: &'a [u8],
    has_matches: bool,
    target: Target,
}

/// What a rule does with a packet that it matches.
enum Target {
    /// Decides, or goes elsewhere.
    Standard(i32),
    /// Whatever an extension does; or nothing, where a chain begins.
    Other,
}

impl<'a> Rule<'a> {
    /// Reads the entry at the front of `bytes`, the rest of the blob.
    fn read(bytes: &'a [u8]) -> Result<Self, Flaw> {
        let target_at = field(bytes, entry::TARGET_OFFSET)?;
        let size = field(bytes, entry::NEXT_OFFSET)?;
        let bytes = bytes.get(..size).ok_or(Flaw::Cut)?;
        if size < entry::LEN + extension::LEN {
            return Err(Flaw::EntrySize);
        }
        let ip = bytes.get(..entry::IP_LEN).ok_or(Flaw::EntrySize)?;
        let flags = |at, known: u8| ip.get(at).is_some_and(|flags| flags & !known == 0);
        if !flags(entry::FLAGS, entry::FLAGS_MASK)
            || !flags(entry::INVERSE_FLAGS, entry::INVERSE_MASK)
        {
            return Err(Flaw::Flags);
        }
        let matches = bytes.get(entry::LEN..target_at).ok_or(Flaw::TargetOffset)?;
        let target = bytes.get(target_at..).ok_or(Flaw::TargetOffset)?;
        let target = Target::read(target)?;
        check_matches(matches)?;
        Ok(Self {
            size,
            ip,
            has_matches: !matches.is_empty(),
            target,
        })
    }

    fn matches_all(&self) -> bool {
        !self.has_matches && self.ip.iter().all(|byte| *byte == 0)
    }

    /// Where it goes on with a packet that it matches, if not at the next entry.
    fn jump(&self) -> Option<NonZeroU32> {
        match self.target {
            Target::Standard(verdict) => u32::try_from(verdict).ok().and_then(NonZeroU32::new),
            Target::Other => None,
        }
    }

    /// Whether the next entry is out of reach from here.
    fn ends(&self) -> bool {
        matches!(self.target, Target::Standard(verdict) if verdict < 0) && self.matches_all()
    }

    fn is_policy(&self) -> bool {
        let decides = matches!(
            self.target,
            Target::Standard(standard::ACCEPT | standard::DROP)
        );
        decides && self.matches_all()
    }
}

impl Target {
    /// Reads the target at the front of `bytes`, which end where the entry does.
    fn read(bytes: &[u8]) -> Result<Self, Flaw> {
        if bytes.len() < extension::LEN {
            return Err(Flaw::TargetOffset);
        }
        let (size, name, revision) = extension(bytes).ok_or(Flaw::Name)?;
        let target = bytes.get(..size).ok_or(Flaw::TargetSize)?;
        let length = match name {
            standard::NAME => standard::LEN,
            error::NAME => error::LEN,
            _ if size < extension::LEN || !size.is_multiple_of(ALIGN) => {
                return Err(Flaw::TargetSize);
            }
            _ => return Ok(Self::Other),
        };
        if size != length {
            return Err(Flaw::TargetSize);
        }
        if revision != 0 {
            return Err(Flaw::Revision);
        }
        if name == error::NAME {
            let message = target.get(error::MESSAGE..error::MESSAGE + error::MESSAGE_LEN);
            message.and_then(abi::text).ok_or(Flaw::Message)?;
            return Ok(Self::Other);
        }
        if bytes.len() != size {
            return Err(Flaw::TargetEnd);
        }
        let verdict = abi::u32_at(target, standard::VERDICT).ok_or(Flaw::TargetSize)?;
        match verdict.cast_signed() {
            verdict @ (1..
            | standard::ACCEPT
            | standard::DROP
            | standard::QUEUE
            | standard::RETURN) => Ok(Self::Standard(verdict)),
            _ => Err(Flaw::Verdict),
        }
    }
}

/// Matches fill the room between the entry's head and its target.
fn check_matches(mut room: &[u8]) -> Result<(), Flaw> {
    while !room.is_empty() {
        if room.len() < extension::LEN {
            return Err(Flaw::MatchSize);
        }
        let (size, name, _) = extension(room).ok_or(Flaw::Name)?;
        if size < extension::LEN || !size.is_multiple_of(ALIGN) {
            return Err(Flaw::MatchSize);
        }
        room = room.get(size..).ok_or(Flaw::MatchSize)?;
        if name.is_empty() {
            return Err(Flaw::Name);
        }
    }
    Ok(())
}

/// Size, name and revision at the head of a match or a target.
fn extension(bytes: &[u8]) -> Option<(usize, &[u8], u8)> {
    let size = abi::u16_at(bytes, extension::SIZE)?;
    let name = bytes.get(extension::NAME..extension::NAME + extension::NAME_LEN)?;
    let revision = bytes.get(extension::REVISION)?;
    Some((size.into(), abi::text(name)?, *revision))
}

fn field(bytes: &[u8], at: usize) -> Result<usize, Flaw> {
    abi::u16_at(bytes, at).map(usize::from).ok_or(Flaw::Cut)
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
