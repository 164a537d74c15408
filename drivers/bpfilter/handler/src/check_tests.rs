// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::TABLE_MAX;
use crate::blob::{Blob, Extension, Rule, Table, Target, flaws, rich};
use crate::random::tables;
use abi::replace;
use proptest::prelude::*;

/// What [`check`] says of a table on its way to `IPT_SO_SET_REPLACE`.
fn verdict(blob: &Blob) -> Result<(), Flaw> {
    let offsets = |at: usize| [0, 1, 2, 3, 4].map(|hook| blob.get(at + 4 * hook));
    let hooks = Hooks {
        valid: blob.get(replace::VALID_HOOKS),
        entry: offsets(replace::HOOK_ENTRY),
        underflow: offsets(replace::UNDERFLOW),
    };
    let size = blob.get(replace::SIZE) as usize;
    check(
        &blob.entries()[..size],
        blob.get(replace::NUM_ENTRIES),
        &hooks,
    )
}

fn good(table: &Table) -> Blob {
    let blob = table.blob("bpfilter", 4);
    assert_eq!(verdict(&blob), Ok(()));
    blob
}

/// Has the verdict of entry `from` lead to entry `to`.
fn jump(blob: &mut Blob, from: usize, to: usize) {
    blob.put(blob.target(from) + standard::VERDICT, blob.offset(to));
}

#[test]
fn good_tables_are_taken() {
    good(&Table::default());
    good(&rich());
}

#[test]
fn each_flaw_is_found_and_called_by_its_name() {
    let rich = good(&rich());
    for (number, (name, spoil)) in flaws().into_iter().enumerate() {
        let mut blob = rich.clone();
        spoil(&mut blob);
        let flaw = verdict(&blob).expect_err(name);
        assert_eq!(format!("{flaw:?}"), name, "flaw {number}");
    }
}

#[test]
fn a_jump_to_the_next_entry_is_none_in_a_circle() {
    let mut blob = good(&rich());
    jump(&mut blob, 2, 3);
    assert_eq!(verdict(&blob), Ok(()));
    // Past a chain's return into the head of the next chain.
    jump(&mut blob, 8, 11);
    assert_eq!(verdict(&blob), Ok(()));
}

#[test]
fn no_packet_goes_in_a_circle_that_none_can_reach() {
    let mut blob = good(&rich());
    jump(&mut blob, 15, 15);
    assert_eq!(verdict(&blob), Ok(()));
    jump(&mut blob, 12, 15);
    assert_eq!(verdict(&blob), Err(Flaw::Loop));
}

#[test]
fn a_jump_that_no_packet_can_reach_leads_to_an_entry_too() {
    let mut blob = good(&rich());
    blob.put(blob.target(15) + standard::VERDICT, blob.offset(15) + 8);
    assert_eq!(verdict(&blob), Err(Flaw::Jump));
}

#[test]
fn a_hook_may_be_a_chain_of_another() {
    let mut blob = good(&rich());
    jump(&mut blob, 2, 5);
    assert_eq!(verdict(&blob), Ok(()));
    jump(&mut blob, 5, 4);
    assert_eq!(verdict(&blob), Ok(()));
    jump(&mut blob, 5, 2);
    assert_eq!(verdict(&blob), Err(Flaw::Loop));
}

#[test]
fn every_flag_that_exists_is_taken() {
    let mut blob = good(&rich());
    let at = blob.places[8];
    blob.bytes[at + entry::FLAGS] = entry::FLAGS_MASK;
    blob.bytes[at + entry::INVERSE_FLAGS] = entry::INVERSE_MASK;
    assert_eq!(verdict(&blob), Ok(()));
}

#[test]
fn every_byte_of_the_description_makes_a_rule_one_for_some_packets() {
    let blob = good(&Table::default());
    for byte in 0..entry::FLAGS {
        let mut blob = blob.clone();
        let at = blob.places[0] + byte;
        blob.bytes[at] = 1;
        assert_eq!(verdict(&blob), Err(Flaw::Policy), "byte {byte}");
    }
}

#[test]
fn a_policy_has_no_match() {
    let mut table = rich();
    table.hooks[1].0 = vec![Rule::all(Target::Verdict(standard::ACCEPT)).matching("x", 0, &[])];
    let mut blob = good(&table);
    blob.put(replace::UNDERFLOW + 8, blob.offset(4));
    assert_eq!(verdict(&blob), Err(Flaw::Policy));
}

/// As many chains as an option holds, each of which is called by the one before.
#[test]
fn depth_has_no_limit_of_its_own() {
    let mut table = Table::default();
    let chain = 2 * (entry::LEN + standard::LEN) + entry::LEN + error::LEN;
    let depth = TABLE_MAX / chain - 2;
    table.hooks[2].0 = vec![Rule::all(Target::Chain(0))];
    for next in 1..=depth {
        table
            .chains
            .push(("deep", vec![Rule::all(Target::Chain(next))]));
    }
    table
        .chains
        .push(("deep", vec![Rule::some(Target::Chain(0))]));
    let mut blob = table.blob("bpfilter", 4);
    assert_eq!(verdict(&blob), Err(Flaw::Loop));
    let last = blob.places.len() - 3;
    blob.put(blob.target(last) + standard::VERDICT, standard::DROP as u32);
    assert_eq!(verdict(&blob), Ok(()));
}

#[test]
fn an_option_full_of_the_shortest_entries_is_a_table() {
    let mut table = Table::default();
    let short = Rule::all(Target::Extension(Extension::new("NOP", 0, &[])));
    let rest = TABLE_MAX - table.blob("bpfilter", 4).size() as usize;
    table.hooks[0].0 = vec![short; rest / (entry::LEN + extension::LEN)];
    let blob = good(&table);
    assert!(blob.places.len() <= ENTRIES_MAX);
    assert!(blob.size() as usize > TABLE_MAX - entry::LEN - extension::LEN);
}

#[test]
fn entries_without_end_are_refused() {
    let hooks = Hooks {
        valid: 0,
        entry: [0; HOOKS],
        underflow: [0; HOOKS],
    };
    let mut blob = good(&rich());
    let one = blob.entries()[blob.offset(1) as usize..blob.offset(2) as usize].to_vec();
    let many = one.repeat(ENTRIES_MAX + 1);
    let number = ENTRIES_MAX as u32;
    assert_eq!(check(&many, number + 1, &hooks), Err(Flaw::Number));
    assert_eq!(check(&many[one.len()..], number, &hooks), Ok(()));
    blob.bytes.clear();
    assert_eq!(check(&blob.bytes, 0, &hooks), Ok(()));
}

#[test]
fn what_is_said_of_a_hook_without_packets_does_not_count() {
    let mut blob = good(&rich());
    blob.put(replace::HOOK_ENTRY, 7);
    blob.put(replace::UNDERFLOW + 16, 0);
    assert_eq!(verdict(&blob), Ok(()));
    let hooks = Hooks {
        valid: 0b01110,
        entry: [1, 2, 3, 4, 5],
        underflow: [6, 7, 8, 9, 10],
    };
    let normal = Hooks {
        valid: 0b01110,
        entry: [Hooks::NOWHERE, 2, 3, 4, Hooks::NOWHERE],
        underflow: [Hooks::NOWHERE, 7, 8, 9, Hooks::NOWHERE],
    };
    assert_eq!(hooks.normal(), normal);
}

proptest! {
    #[test]
    fn whatever_iptables_makes_is_taken(table in tables()) {
        prop_assert_eq!(verdict(&table.blob("bpfilter", 4)), Ok(()));
    }
}
