// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::blob::{self, Blob, Rule, Target, flaws, rich};
use crate::random::tables;
use bpfilter_proto::OldCounters;
use proptest::prelude::*;

/// A handler's table, its memory, and the room that it has for replies.
struct Handler {
    table: Table<'static>,
    reply: Vec<u8>,
}

type Answer = Result<Vec<u8>, Refusal>;

impl Handler {
    fn new() -> Self {
        Self {
            table: Table::new(vec![0xaa; TABLE_MAX].leak()),
            reply: vec![0; OPTION_MAX],
        }
    }

    fn message(&mut self, message: &[u8]) -> Answer {
        let length = self.table.answer(message, &mut self.reply)?;
        Ok(self.reply[..length].to_vec())
    }

    fn call(&mut self, is_set: bool, command: u32, option: &[u8]) -> Answer {
        let request = Request {
            is_set,
            pid: 1,
            command,
        };
        let header = request.encode(option.len() as u32);
        self.message(&[&header, option].concat())
    }

    fn get(&mut self, command: u32, option: &[u8]) -> Answer {
        self.call(false, command, option)
    }

    fn set(&mut self, command: u32, option: &[u8]) -> Answer {
        self.call(true, command, option)
    }

    fn replace(&mut self, blob: &Blob) -> Answer {
        self.set(abi::SET_REPLACE, &blob.bytes)
    }

    fn number(&mut self) -> u32 {
        self.table.outline.number
    }

    /// What a reader of the table sees: the two options that it asks for.
    fn read(&mut self) -> (Vec<u8>, Vec<u8>) {
        let info = self.get(abi::GET_INFO, &named(info::LEN)).unwrap();
        let size = abi::u32_at(&info, info::SIZE).unwrap();
        let option = ask_for(size);
        let entries = self.get(abi::GET_ENTRIES, &option).unwrap();
        assert_eq!(entries[..entries::LEN], option[..entries::LEN]);
        (info, entries[entries::LEN..].to_vec())
    }

    /// A call that is refused and changes nothing.
    fn refuses(&mut self, is_set: bool, command: u32, option: &[u8], expected: Refusal) {
        let before = self.read();
        let answer = self.call(is_set, command, option);
        assert_eq!(answer, Err(expected));
        assert!(self.read() == before, "a refused option changed the table");
    }
}

/// An option of `length` bytes for the table.
fn named(length: usize) -> Vec<u8> {
    let mut option = TABLE_NAME.to_vec();
    option.resize(length, 0);
    option
}

/// The option with which `size` bytes of entries are read.
fn ask_for(size: u32) -> Vec<u8> {
    let mut option = named(entries::LEN + size as usize);
    option[entries::SIZE..][..4].copy_from_slice(&size.to_le_bytes());
    option
}

/// The option that adds `counters`.
fn adding(counters: &[(u64, u64)]) -> Vec<u8> {
    let mut option = named(counters_info::LEN);
    let number = counters.len() as u32;
    option[counters_info::NUM_COUNTERS..][..4].copy_from_slice(&number.to_le_bytes());
    for (packets, bytes) in counters {
        option.extend(packets.to_le_bytes());
        option.extend(bytes.to_le_bytes());
    }
    option
}

fn counters(bytes: &[u8]) -> Vec<(u64, u64)> {
    let number = |at| abi::u64_at(bytes, at).unwrap();
    (0..bytes.len())
        .step_by(COUNTER_LEN)
        .map(|at| (number(at), number(at + 8)))
        .collect()
}

/// A table's entries, as they are read after they were written.
fn entries_of(blob: &Blob) -> Vec<u8> {
    let mut expected = blob.clone();
    for place in &blob.places {
        expected.bytes[place + entry::COMEFROM..place + entry::LEN].fill(0);
    }
    expected.entries().to_vec()
}

#[test]
fn a_new_handler_has_the_kernels_first_table() {
    let mut handler = Handler::new();
    let first = blob::Table::default().blob("bpfilter", 4);
    let (info, entries) = handler.read();
    assert_eq!(entries, first.entries());
    let mut expected = named(info::LEN);
    let words = [
        0b01110,
        u32::MAX,
        0,
        152,
        304,
        u32::MAX,
        u32::MAX,
        0,
        152,
        304,
        u32::MAX,
        4,
        632,
    ];
    for (word, at) in words.iter().zip((info::VALID_HOOKS..).step_by(4)) {
        expected[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    assert_eq!(info, expected);
    assert_eq!(check(&entries, 4, &handler.table.outline.hooks), Ok(()));
}

#[test]
#[should_panic(expected = "room")]
fn memory_has_room_for_every_table() {
    Table::new(vec![0; TABLE_MAX - 1].leak());
}

#[test]
fn everything_else_is_the_kernels() {
    let mut handler = Handler::new();
    let mine = named(info::LEN);
    for command in [0, 63, 66, 67, u32::MAX] {
        handler.refuses(false, command, &mine, Refusal::NotMine);
    }
    for command in [0, 63, 66, 67, u32::MAX] {
        handler.refuses(true, command, &mine, Refusal::NotMine);
    }
    for name in [
        &b""[..],
        b"filter",
        b"bpfilte",
        b"bpfilter2",
        b"Bpfilter",
        &[b'b'; TABLE_NAME_LEN],
    ] {
        let mut option = vec![0; info::LEN];
        option[..name.len()].copy_from_slice(name);
        handler.refuses(false, abi::GET_INFO, &option, Refusal::NotMine);
        let mut blob = rich().blob("bpfilter", 4);
        blob.bytes[..TABLE_NAME_LEN].fill(0);
        blob.bytes[..name.len()].copy_from_slice(name);
        handler.refuses(true, abi::SET_REPLACE, &blob.bytes, Refusal::NotMine);
    }
    // Too short to name a table.
    for length in [0, 8, 31] {
        let option = &mine[..length];
        handler.refuses(false, abi::GET_INFO, option, Refusal::NotMine);
        handler.refuses(true, abi::SET_REPLACE, option, Refusal::NotMine);
    }
    assert_eq!(handler.message(b""), Err(Refusal::NotMine));
    assert_eq!(handler.message(&mine), Err(Refusal::NotMine));
}

#[test]
fn bytes_behind_the_name_do_not_count() {
    let mut handler = Handler::new();
    let expected = handler.read().0;
    let mut option = named(info::LEN);
    option[TABLE_NAME.len() + 1..].fill(0xff);
    assert_eq!(handler.get(abi::GET_INFO, &option), Ok(expected));
}

#[test]
fn info_has_its_length() {
    for length in [32, 83, 85, 200] {
        Handler::new().refuses(false, abi::GET_INFO, &named(length), Refusal::Invalid);
    }
}

#[test]
fn entries_are_read_with_their_size_and_no_other() {
    let mut handler = Handler::new();
    for length in [32, 39] {
        handler.refuses(false, abi::GET_ENTRIES, &named(length), Refusal::Invalid);
    }
    for size in [0, 631, 633, 100_000] {
        handler.refuses(false, abi::GET_ENTRIES, &ask_for(size), Refusal::Again);
    }
    let mut option = ask_for(632);
    option.pop();
    handler.refuses(false, abi::GET_ENTRIES, &option, Refusal::Invalid);
    option.extend([0, 0]);
    handler.refuses(false, abi::GET_ENTRIES, &option, Refusal::Invalid);
    option[entries::SIZE..][..4].fill(0xff);
    handler.refuses(false, abi::GET_ENTRIES, &option, Refusal::Invalid);
}

#[test]
fn what_is_written_is_read_back() {
    let mut handler = Handler::new();
    let mut blob = rich().blob("bpfilter", 4);
    for (n, place) in blob.places.iter().enumerate() {
        blob.bytes[place + entry::COMEFROM..place + entry::LEN].fill(n as u8 + 1);
    }
    assert_eq!(handler.replace(&blob), Ok(vec![0; 4 * COUNTER_LEN]));
    let (info, entries) = handler.read();
    assert_eq!(entries, entries_of(&blob));
    let same = |at, from, length| {
        assert_eq!(info[at..][..length], blob.bytes[from..][..length]);
    };
    same(info::VALID_HOOKS, replace::VALID_HOOKS, 4);
    same(info::HOOK_ENTRY + 4, replace::HOOK_ENTRY + 4, 12);
    same(info::UNDERFLOW + 4, replace::UNDERFLOW + 4, 12);
    same(info::NUM_ENTRIES, replace::NUM_ENTRIES, 4);
    same(info::SIZE, replace::SIZE, 4);
    assert_eq!(abi::u32_at(&info, info::HOOK_ENTRY), Some(Hooks::NOWHERE));
    assert_eq!(
        abi::u32_at(&info, info::UNDERFLOW + 16),
        Some(Hooks::NOWHERE)
    );
    // And a smaller one again.
    let small = blob::Table::default().blob("bpfilter", handler.number());
    assert_eq!(handler.replace(&small), Ok(vec![0; 18 * COUNTER_LEN]));
    assert_eq!(handler.read().1, small.entries());
}

#[test]
fn a_flawed_table_is_refused_and_changes_nothing() {
    let mut handler = Handler::new();
    let good = rich().blob("bpfilter", 4);
    handler.replace(&good).unwrap();
    let good = rich().blob("bpfilter", handler.number());
    for (_, spoil) in flaws() {
        let mut bad = good.clone();
        spoil(&mut bad);
        handler.refuses(true, abi::SET_REPLACE, &bad.bytes, Refusal::Invalid);
    }
    assert!(handler.replace(&good).is_ok());
}

#[test]
fn the_head_of_a_table_is_checked() {
    let mut handler = Handler::new();
    let good = rich().blob("bpfilter", 4);
    let mut refuses = |expected, spoil: &dyn Fn(&mut Blob)| {
        let mut bad = good.clone();
        spoil(&mut bad);
        handler.refuses(true, abi::SET_REPLACE, &bad.bytes, expected);
    };
    for length in [32, 84, 95, 96] {
        refuses(Refusal::Invalid, &|bad| bad.bytes.truncate(length));
    }
    refuses(Refusal::Invalid, &|bad| {
        bad.put(replace::SIZE, bad.size() + 1)
    });
    refuses(Refusal::Invalid, &|bad| bad.put(replace::SIZE, u32::MAX));
    refuses(Refusal::Invalid, &|bad| bad.put(replace::SIZE, 0));
    for hooks in [0, 0b00110, 0b10000, 0b101110, u32::MAX] {
        refuses(Refusal::Invalid, &|bad| {
            bad.put(replace::VALID_HOOKS, hooks)
        });
    }
    // All that it says of its hooks is true, but it has not those that this table has.
    refuses(Refusal::Invalid, &|bad| {
        bad.put(replace::VALID_HOOKS, 0b01010)
    });
    refuses(Refusal::Invalid, &|bad| bad.put(replace::NUM_COUNTERS, 0));
    for number in [3, 5, 0x07ff_fffe] {
        refuses(Refusal::Again, &|bad| {
            bad.put(replace::NUM_COUNTERS, number)
        });
    }
    for number in [0x07ff_ffff, u32::MAX] {
        refuses(Refusal::TooBig, &|bad| {
            bad.put(replace::NUM_COUNTERS, number)
        });
    }
    let mut longer = good;
    longer.bytes.extend([0xff; 100]);
    assert!(handler.replace(&longer).is_ok());
}

#[test]
fn counters_are_added_and_given_back_in_order() {
    let mut handler = Handler::new();
    let added = [(1, 10), (2, 20), (3, 30), (4, 40)];
    let option = adding(&added);
    assert_eq!(handler.set(abi::SET_ADD_COUNTERS, &option), Ok(vec![]));
    assert_eq!(handler.set(abi::SET_ADD_COUNTERS, &option), Ok(vec![]));
    let (_, entries) = handler.read();
    let sums = added.map(|(packets, bytes)| (2 * packets, 2 * bytes));
    for (n, sum) in sums.iter().enumerate() {
        let counter = &entries[n * POLICY_LEN + entry::COUNTERS..][..COUNTER_LEN];
        assert_eq!(counters(counter), [*sum]);
    }
    // The first entry is another one, and the table longer: the old counters come back as they were.
    let mut table = blob::Table::default();
    table.hooks[0].0 = vec![Rule::all(Target::Verdict(standard::DROP))];
    let mut blob = table.blob("bpfilter", 4);
    let at = blob.places[0] + entry::COUNTERS;
    blob.bytes[at..at + COUNTER_LEN].fill(9);
    let old = handler.replace(&blob).unwrap();
    assert_eq!(counters(&old), sums);
    assert_eq!(OldCounters::read(&blob.bytes).unwrap().number, 4);
    let blob = table.blob("bpfilter", 5);
    assert_eq!(counters(&handler.replace(&blob).unwrap()), [(0, 0); 5]);
}

#[test]
fn counters_go_round() {
    let mut handler = Handler::new();
    let most = adding(&[(u64::MAX, 1), (0, u64::MAX), (0, 0), (0, 0)]);
    for _ in 0..2 {
        handler.set(abi::SET_ADD_COUNTERS, &most).unwrap();
    }
    let old = handler.replace(&rich().blob("bpfilter", 4)).unwrap();
    assert_eq!(
        counters(&old),
        [(u64::MAX - 1, 2), (0, u64::MAX - 1), (0, 0), (0, 0)]
    );
}

#[test]
fn there_is_a_counter_for_each_entry() {
    let mut handler = Handler::new();
    for number in [0, 1, 3, 5] {
        let option = adding(&vec![(1, 1); number]);
        handler.refuses(true, abi::SET_ADD_COUNTERS, &option, Refusal::Invalid);
    }
    let mut option = adding(&[(1, 1); 4]);
    option.push(0);
    handler.refuses(true, abi::SET_ADD_COUNTERS, &option, Refusal::Invalid);
    for length in [32, 39, 40, 41, 40 + 3 * 16, 40 + 4 * 16 - 1] {
        let option = &option[..length];
        handler.refuses(true, abi::SET_ADD_COUNTERS, option, Refusal::Invalid);
    }
}

#[test]
fn a_reply_without_room_changes_nothing() {
    let mut handler = Handler::new();
    let before = handler.read();
    handler.reply.truncate(4 * COUNTER_LEN - 1);
    let blob = rich().blob("bpfilter", 4);
    assert_eq!(handler.replace(&blob), Err(Refusal::TooBig));
    let info = handler.get(abi::GET_INFO, &named(info::LEN));
    assert_eq!(info, Err(Refusal::TooBig));
    handler.reply.resize(OPTION_MAX, 0);
    assert_eq!(handler.read(), before);
}

#[test]
fn the_largest_table_is_kept() {
    let mut handler = Handler::new();
    let mut table = blob::Table::default();
    let rest = TABLE_MAX - INITIAL.len();
    table.hooks[0].0 = vec![Rule::some(Target::Verdict(standard::DROP)); rest / POLICY_LEN];
    let blob = table.blob("bpfilter", 4);
    handler.replace(&blob).unwrap();
    assert_eq!(handler.read().1, blob.entries());
    let again = table.blob("bpfilter", handler.number());
    let old = handler.replace(&again).unwrap();
    assert_eq!(old.len(), blob.places.len() * COUNTER_LEN);
}

/// Changes to a few bytes, most of them to those that say where what is.
fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u16)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u16>()), 1..4)
}

proptest! {
    #[test]
    fn whatever_iptables_makes_is_read_back(tables in prop::collection::vec(tables(), 1..4)) {
        let mut handler = Handler::new();
        for table in tables {
            let blob = table.blob("bpfilter", handler.number());
            prop_assert!(handler.replace(&blob).is_ok());
            prop_assert_eq!(handler.read().1, entries_of(&blob));
        }
    }

    /// Whatever bytes are changed, and to what: the table is the old one or the new one.
    #[test]
    fn a_refused_table_has_changed_nothing(table in tables(), changes in changes()) {
        let mut handler = Handler::new();
        handler.replace(&rich().blob("bpfilter", 4)).unwrap();
        let before = handler.read();
        let mut blob = table.blob("bpfilter", handler.number());
        for (place, value) in changes {
            let at = 2 * place.index((blob.bytes.len() - TABLE_NAME_LEN) / 2) + TABLE_NAME_LEN;
            blob.put_short(at, value.into());
        }
        match handler.replace(&blob) {
            Err(_) => prop_assert!(handler.read() == before),
            Ok(old) => {
                prop_assert_eq!(old.len(), 18 * COUNTER_LEN);
                let (_, entries) = handler.read();
                let size = entries.len();
                let again = [&blob.bytes[..replace::LEN], &entries].concat();
                let mut again = Blob { bytes: again, places: vec![] };
                again.put(replace::NUM_COUNTERS, handler.number());
                prop_assert_eq!(size, blob.get(replace::SIZE) as usize);
                prop_assert!(handler.replace(&again).is_ok(), "what was read cannot be written");
                prop_assert_eq!(handler.read().1, entries);
            }
        }
    }

    #[test]
    fn no_message_makes_it_panic(
        message in prop::collection::vec(any::<u8>(), 0..400),
        is_set: bool,
        command in 63_u32..68,
        named: bool,
    ) {
        let mut handler = Handler::new();
        let _ = handler.message(&message);
        let mut option = message;
        if named && option.len() > TABLE_NAME.len() {
            option[..TABLE_NAME.len()].copy_from_slice(TABLE_NAME);
            option[TABLE_NAME.len()] = 0;
        }
        let _ = handler.call(is_set, command, &option);
        handler.read();
    }
}
