// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tables as `iptables-legacy` sends them, and what can be wrong with one; for tests.

use bpfilter_proto::abi::{entry, error, extension, replace, standard};
use std::ops::Range;

/// Where in `struct ipt_ip` the protocol is.
const PROTOCOL: usize = 80;

/// A rule for the packets that `ip` and `matches` describe.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) ip: [u8; entry::IP_LEN],
    pub(crate) matches: Vec<Extension>,
    pub(crate) target: Target,
}

impl Rule {
    /// A rule for all packets.
    pub(crate) fn all(target: Target) -> Self {
        Self {
            ip: [0; entry::IP_LEN],
            matches: vec![],
            target,
        }
    }

    /// A rule for TCP's packets.
    pub(crate) fn some(target: Target) -> Self {
        let mut rule = Self::all(target);
        rule.ip[PROTOCOL] = 6;
        rule
    }

    pub(crate) fn matching(mut self, name: &'static str, revision: u8, data: &[u8]) -> Self {
        self.matches.push(Extension::new(name, revision, data));
        self
    }
}

/// A match, or a target that is an extension.
#[derive(Clone, Debug)]
pub(crate) struct Extension {
    pub(crate) name: &'static str,
    pub(crate) revision: u8,
    pub(crate) data: Vec<u8>,
}

impl Extension {
    pub(crate) fn new(name: &'static str, revision: u8, data: &[u8]) -> Self {
        let data = data.to_vec();
        Self {
            name,
            revision,
            data,
        }
    }
}

/// What a rule does.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Verdict(i32),
    /// Goes to a chain of the user's own.
    Chain(usize),
    Extension(Extension),
}

/// A table: chains in the order in which they are sent.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// Rules and policy of INPUT, FORWARD, OUTPUT.
    pub(crate) hooks: [(Vec<Rule>, i32); 3],
    /// Names and rules of the user's own chains.
    pub(crate) chains: Vec<(&'static str, Vec<Rule>)>,
}

impl Default for Table {
    /// No rules, every policy ACCEPT.
    fn default() -> Self {
        Self {
            hooks: [const { (Vec::new(), standard::ACCEPT) }; 3],
            chains: vec![],
        }
    }
}

/// A table as `IPT_SO_SET_REPLACE` takes it.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    pub(crate) bytes: Vec<u8>,
    /// Where in `bytes` each entry is.
    pub(crate) places: Vec<usize>,
}

impl Table {
    /// The table for `IPT_SO_SET_REPLACE`, to replace one of `old` entries.
    pub(crate) fn blob(&self, name: &str, old: u32) -> Blob {
        let mut blob = Blob {
            bytes: vec![0; replace::LEN],
            places: vec![],
        };
        blob.bytes[..name.len()].copy_from_slice(name.as_bytes());
        blob.put(replace::VALID_HOOKS, 0b01110);
        blob.put(replace::NUM_COUNTERS, old);
        let mut jumps = vec![];
        for (hook, (rules, policy)) in (1..).zip(&self.hooks) {
            blob.put(replace::HOOK_ENTRY + 4 * hook, blob.size());
            blob.rules(rules, &mut jumps);
            blob.put(replace::UNDERFLOW + 4 * hook, blob.size());
            blob.rules(&[Rule::all(Target::Verdict(*policy))], &mut jumps);
        }
        let mut begins = vec![];
        for (name, rules) in &self.chains {
            blob.error(name);
            begins.push(blob.size());
            blob.rules(rules, &mut jumps);
            blob.rules(&[Rule::all(Target::Verdict(standard::RETURN))], &mut jumps);
        }
        blob.error("ERROR");
        for (at, chain) in jumps {
            blob.put(at, begins[chain]);
        }
        blob.put(replace::NUM_ENTRIES, blob.places.len() as u32);
        blob.put(replace::SIZE, blob.size());
        blob
    }
}

impl Blob {
    /// Bytes of the entries.
    pub(crate) fn size(&self) -> u32 {
        (self.bytes.len() - replace::LEN) as u32
    }

    /// The entries.
    pub(crate) fn entries(&self) -> &[u8] {
        &self.bytes[replace::LEN..]
    }

    /// Writes a number of 32 bits.
    pub(crate) fn put(&mut self, at: usize, number: u32) {
        self.bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }

    /// Reads a number of 32 bits.
    pub(crate) fn get(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().unwrap())
    }

    /// Writes a number of 16 bits.
    pub(crate) fn put_short(&mut self, at: usize, number: usize) {
        let number = u16::try_from(number).unwrap();
        self.bytes[at..at + 2].copy_from_slice(&number.to_le_bytes());
    }

    fn short(&self, at: usize) -> usize {
        u16::from_le_bytes(self.bytes[at..at + 2].try_into().unwrap()).into()
    }

    /// Where the target of entry `n` is.
    pub(crate) fn target(&self, n: usize) -> usize {
        self.places[n] + self.short(self.places[n] + entry::TARGET_OFFSET)
    }

    /// Where the bytes of entry `n` are.
    fn range(&self, n: usize) -> Range<usize> {
        let at = self.places[n];
        at..at + self.short(at + entry::NEXT_OFFSET)
    }

    /// Puts zeroes at the end of entry `n`, and leaves all else as it was.
    fn lengthen(&mut self, n: usize, bytes: usize) {
        let end = self.range(n).end;
        self.bytes.splice(end..end, vec![0; bytes]);
        let length = self.range(n).len() + bytes;
        self.put_short(self.places[n] + entry::NEXT_OFFSET, length);
        self.put(replace::SIZE, self.size());
        for place in &mut self.places[n + 1..] {
            *place += bytes;
        }
    }

    /// Divides the room for matches of entry `n`: one of `first` bytes, and one for the rest.
    fn split_matches(&mut self, n: usize, first: usize) {
        let room = self.places[n] + entry::LEN..self.target(n);
        for (at, end) in [
            (room.start, room.start + first),
            (room.start + first, room.end),
        ] {
            self.bytes[at + extension::NAME] = b'x';
            self.put_short(at, end - at);
        }
    }

    fn rules(&mut self, rules: &[Rule], jumps: &mut Vec<(usize, usize)>) {
        for rule in rules {
            let head = self.head(&rule.ip);
            for one in &rule.matches {
                self.extension(one.name, one.revision, &one.data);
            }
            let target = self.bytes.len();
            self.put_short(head + entry::TARGET_OFFSET, target - head);
            match &rule.target {
                Target::Verdict(verdict) => self.extension("", 0, &verdict.to_le_bytes()),
                Target::Chain(chain) => {
                    jumps.push((target + standard::VERDICT, *chain));
                    self.extension("", 0, &[0; 4]);
                }
                Target::Extension(one) => self.extension(one.name, one.revision, &one.data),
            }
            self.put_short(head + entry::NEXT_OFFSET, self.bytes.len() - head);
        }
    }

    fn error(&mut self, message: &str) {
        let head = self.head(&[0; entry::IP_LEN]);
        self.put_short(head + entry::TARGET_OFFSET, entry::LEN);
        let mut data = message.as_bytes().to_vec();
        data.resize(error::MESSAGE_LEN, 0);
        self.extension("ERROR", 0, &data);
        self.put_short(head + entry::NEXT_OFFSET, self.bytes.len() - head);
    }

    fn head(&mut self, ip: &[u8]) -> usize {
        let at = self.bytes.len();
        self.places.push(at);
        self.bytes.extend(ip);
        self.bytes.resize(at + entry::LEN, 0);
        at
    }

    fn extension(&mut self, name: &str, revision: u8, data: &[u8]) {
        let at = self.bytes.len();
        self.bytes.resize(at + extension::LEN, 0);
        self.bytes[at + extension::NAME..][..name.len()].copy_from_slice(name.as_bytes());
        self.bytes[at + extension::REVISION] = revision;
        self.bytes.extend(data);
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        self.put_short(at, self.bytes.len() - at);
    }
}

/// Data of the match `tcp`: any ports.
const TCP: [u8; 12] = [0, 0, 255, 255, 0, 0, 255, 255, 0, 0, 0, 0];

/// A table with something of everything, which the kernel takes for its table `filter` as well.
/// [`flaws`] knows its entries by their numbers.
pub(crate) fn rich() -> Table {
    let chain = |name, rules| (name, rules);
    Table {
        hooks: [
            (
                vec![
                    // 0
                    Rule::some(Target::Chain(0)).matching("tcp", 0, &TCP),
                    // 1
                    Rule::all(Target::Extension(Extension::new("REJECT", 0, &[0; 4])))
                        .matching("ttl", 0, &[0, 64])
                        .matching("mark", 1, &[1; 12]),
                    // 2
                    Rule::all(Target::Chain(1)),
                ],
                // 3
                standard::DROP,
            ),
            // 4
            (vec![], standard::ACCEPT),
            (
                // 5
                vec![Rule::some(Target::Verdict(standard::RETURN))],
                // 6
                standard::ACCEPT,
            ),
        ],
        chains: vec![
            // 7
            chain(
                "first",
                vec![
                    // 8
                    Rule::some(Target::Chain(1)),
                    // 9, with 10 behind
                    Rule::some(Target::Verdict(standard::QUEUE)),
                ],
            ),
            // 11
            chain(
                "second",
                // 12, with 13 behind
                vec![Rule::some(Target::Verdict(standard::DROP))],
            ),
            // 14
            chain(
                "unused",
                // 15, with 16 and the end behind
                vec![Rule::all(Target::Chain(0))],
            ),
        ],
    }
}

/// What is wrong, and what makes it so of the [`rich`] table.
pub(crate) type Flaw = (&'static str, fn(&mut Blob));

/// Flaws for which the kernel, too, refuses a table. The names are those of
/// `bpfilter_handler::check::Flaw`.
#[rustfmt::skip]
pub(crate) fn flaws() -> Vec<Flaw> {
    vec![
        ("Unaligned", |blob| blob.lengthen(1, 4)),
        ("Cut", |blob| blob.put(replace::SIZE, blob.size() - 64)),
        ("Cut", |blob| blob.put(replace::SIZE, blob.size() - 170)),
        ("Cut", |blob| blob.put_short(blob.places[17] + entry::NEXT_OFFSET, 184)),
        ("Cut", |blob| blob.put_short(blob.places[0] + entry::NEXT_OFFSET, 0xfff8)),
        ("EntrySize", |blob| blob.put_short(blob.places[0] + entry::NEXT_OFFSET, 0)),
        ("EntrySize", |blob| blob.put_short(blob.places[0] + entry::NEXT_OFFSET, 136)),
        ("Flags", |blob| blob.bytes[blob.places[0] + entry::FLAGS] = 4),
        ("Flags", |blob| blob.bytes[blob.places[8] + entry::FLAGS] = 0x80),
        ("Flags", |blob| blob.bytes[blob.places[8] + entry::INVERSE_FLAGS] = 0x80),
        ("TargetOffset", |blob| blob.put_short(blob.places[8] + entry::TARGET_OFFSET, 0)),
        ("TargetOffset", |blob| blob.put_short(blob.places[8] + entry::TARGET_OFFSET, 104)),
        ("TargetOffset", |blob| blob.put_short(blob.places[8] + entry::TARGET_OFFSET, 128)),
        ("TargetOffset", |blob| blob.put_short(blob.places[8] + entry::TARGET_OFFSET, 152)),
        ("TargetOffset", |blob| blob.put_short(blob.places[8] + entry::TARGET_OFFSET, 0xfff8)),
        ("TargetSize", |blob| blob.put_short(blob.target(0), 0)),
        ("TargetSize", |blob| blob.put_short(blob.target(0), 32)),
        ("TargetSize", |blob| blob.put_short(blob.target(0), 48)),
        ("TargetSize", |blob| blob.put_short(blob.target(1), 24)),
        ("TargetSize", |blob| blob.put_short(blob.target(1), 34)),
        ("TargetSize", |blob| blob.put_short(blob.target(1), 48)),
        ("TargetSize", |blob| blob.put_short(blob.target(7), 56)),
        ("TargetSize", |blob| blob.put_short(blob.target(17), 72)),
        ("TargetSize", |blob| { blob.lengthen(0, 8); blob.put_short(blob.target(0), 48) }),
        ("TargetSize", |blob| { blob.lengthen(7, 8); blob.put_short(blob.target(7), 72) }),
        ("TargetEnd", |blob| blob.lengthen(0, 8)),
        ("TargetEnd", |blob| blob.lengthen(3, 48)),
        ("Verdict", |blob| blob.put(blob.target(0) + standard::VERDICT, 0)),
        ("Verdict", |blob| blob.put(blob.target(9) + standard::VERDICT, -3_i32 as u32)),
        ("Verdict", |blob| blob.put(blob.target(9) + standard::VERDICT, -6_i32 as u32)),
        ("Verdict", |blob| blob.put(blob.target(16) + standard::VERDICT, i32::MIN as u32)),
        ("Message", |blob| { let at = blob.target(7) + error::MESSAGE; blob.bytes[at..at + error::MESSAGE_LEN].fill(b'a') }),
        ("Message", |blob| { let at = blob.target(17) + error::MESSAGE; blob.bytes[at..at + 32].fill(b'a') }),
        ("MatchSize", |blob| blob.put_short(blob.places[0] + entry::LEN, 0)),
        ("MatchSize", |blob| blob.put_short(blob.places[0] + entry::LEN, 24)),
        ("MatchSize", |blob| blob.put_short(blob.places[0] + entry::LEN, 40)),
        ("MatchSize", |blob| blob.put_short(blob.places[0] + entry::LEN, 44)),
        ("MatchSize", |blob| blob.put_short(blob.places[0] + entry::LEN, 56)),
        ("MatchSize", |blob| blob.put_short(blob.places[1] + entry::LEN, 0xfff8)),
        ("MatchSize", |blob| blob.split_matches(1, 24)),
        ("MatchSize", |blob| blob.split_matches(1, 44)),
        ("Name", |blob| { let at = blob.places[0] + entry::LEN + extension::NAME; blob.bytes[at..at + extension::NAME_LEN].fill(b'a') }),
        ("Name", |blob| { let at = blob.places[0] + entry::LEN + extension::NAME; blob.bytes[at..at + extension::NAME_LEN].fill(0) }),
        ("Name", |blob| { let at = blob.target(1) + extension::NAME; blob.bytes[at..at + extension::NAME_LEN].fill(b'a') }),
        ("Revision", |blob| { let at = blob.target(0) + extension::REVISION; blob.bytes[at] = 1 }),
        ("Revision", |blob| { let at = blob.target(7) + extension::REVISION; blob.bytes[at] = 1 }),
        ("Number", |blob| blob.put(replace::NUM_ENTRIES, 17)),
        ("Number", |blob| blob.put(replace::NUM_ENTRIES, 19)),
        ("Number", |blob| blob.put(replace::NUM_ENTRIES, 0)),
        ("Number", |blob| blob.put(replace::NUM_ENTRIES, u32::MAX)),
        ("HookEntry", |blob| blob.put(replace::HOOK_ENTRY + 4, 8)),
        ("HookEntry", |blob| blob.put(replace::HOOK_ENTRY + 12, blob.size())),
        ("HookEntry", |blob| blob.put(replace::HOOK_ENTRY + 12, u32::MAX)),
        ("Underflow", |blob| blob.put(replace::UNDERFLOW + 4, 8)),
        ("Underflow", |blob| blob.put(replace::UNDERFLOW + 12, blob.size())),
        ("Underflow", |blob| blob.put(replace::UNDERFLOW + 12, u32::MAX)),
        // Not for all packets; not by a standard target; not a decision.
        ("Policy", |blob| blob.put(replace::UNDERFLOW + 4, 0)),
        ("Policy", |blob| blob.put(replace::UNDERFLOW + 12, blob.offset(17))),
        ("Policy", |blob| blob.put(replace::UNDERFLOW + 4, blob.offset(2))),
        ("Policy", |blob| blob.bytes[blob.places[3]] = 1),
        ("Policy", |blob| { let at = blob.places[3] + entry::IP_LEN - 1; blob.bytes[at] = 1 }),
        ("Policy", |blob| blob.put(blob.target(3) + standard::VERDICT, standard::RETURN as u32)),
        ("Policy", |blob| blob.put(blob.target(6) + standard::VERDICT, standard::QUEUE as u32)),
        ("HookOrder", |blob| blob.swap(replace::HOOK_ENTRY + 4, replace::HOOK_ENTRY + 8)),
        ("HookOrder", |blob| blob.put(replace::HOOK_ENTRY + 8, 0)),
        ("HookOrder", |blob| blob.swap(replace::UNDERFLOW + 8, replace::UNDERFLOW + 12)),
        ("HookOrder", |blob| blob.put(replace::UNDERFLOW + 8, blob.get(replace::UNDERFLOW + 4))),
        ("Jump", |blob| blob.put(blob.target(0) + standard::VERDICT, 8)),
        ("Jump", |blob| blob.put(blob.target(0) + standard::VERDICT, blob.offset(8) + 1)),
        ("Jump", |blob| blob.put(blob.target(8) + standard::VERDICT, blob.size())),
        ("Jump", |blob| blob.put(blob.target(8) + standard::VERDICT, i32::MAX as u32)),
        // To itself, to the chain's begin, round two chains, and back to where all began.
        ("Loop", |blob| blob.put(blob.target(2) + standard::VERDICT, blob.offset(2))),
        ("Loop", |blob| blob.put(blob.target(8) + standard::VERDICT, blob.offset(8))),
        ("Loop", |blob| blob.put(blob.target(9) + standard::VERDICT, blob.offset(8))),
        ("Loop", |blob| blob.put(blob.target(12) + standard::VERDICT, blob.offset(8))),
        ("Loop", |blob| blob.put(blob.target(12) + standard::VERDICT, blob.offset(1))),
        // A jump behind the last chain; and into the last chain, whose return is not for all packets.
        ("Open", |blob| blob.put(blob.target(12) + standard::VERDICT, blob.offset(17))),
        ("Open", |blob| { blob.bytes[blob.places[16]] = 1; blob.put(blob.target(12) + standard::VERDICT, blob.offset(16)) }),
        // The same by a rule for all packets, which come back from where it sends them.
        ("Open", |blob| { blob.bytes[blob.places[16]] = 1; blob.put(blob.target(12) + standard::VERDICT, blob.offset(15)); blob.put(blob.target(15) + standard::VERDICT, blob.offset(10)) }),
    ]
}

impl Blob {
    /// What entry `n` is called in verdicts and hooks.
    pub(crate) fn offset(&self, n: usize) -> u32 {
        (self.places[n] - replace::LEN) as u32
    }

    fn swap(&mut self, one: usize, other: usize) {
        let (first, second) = (self.get(one), self.get(other));
        self.put(one, second);
        self.put(other, first);
    }
}
