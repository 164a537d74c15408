// SPDX-License-Identifier: MIT OR Apache-2.0
//! Socket options of anybody, one after the other, against bpfilter's handler: what is refused changes
//! nothing, and what is kept is a table through which every packet finds its way.
#![no_main]

use bpfilter_handler::check::{Hooks, check};
use bpfilter_handler::{TABLE_MAX, TABLE_NAME, Table};
use bpfilter_proto::abi::{
    self, COUNTER_LEN, counters_info, entries, entry, info, replace, standard,
};
use bpfilter_proto::{OPTION_MAX, Refusal, Request};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use umd_fuzz::Script;

/// Options of one run.
const OPTIONS: usize = 8;

thread_local! {
    /// A megabyte each; made once, as in a handler.
    static MEMORY: RefCell<(Vec<u8>, Vec<u8>)> =
        RefCell::new((vec![0xaa; TABLE_MAX], vec![0; OPTION_MAX]));
}

struct Handler<'m> {
    table: Table<'m>,
    reply: &'m mut [u8],
}

impl Handler<'_> {
    fn call(&mut self, is_set: bool, command: u32, option: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request = Request {
            is_set,
            pid: 1,
            command,
        };
        let message = [&request.encode(option.len() as u32), option].concat();
        let length = self.table.answer(&message, self.reply)?;
        Ok(self.reply[..length].to_vec())
    }

    /// The table as its users read it: `struct ipt_getinfo`, and the entries.
    fn read(&mut self) -> (Vec<u8>, Vec<u8>) {
        let mut option = TABLE_NAME.to_vec();
        option.resize(info::LEN, 0);
        let info = self.call(false, abi::GET_INFO, &option).expect("info");
        let size = word(&info, info::SIZE);
        option.resize(entries::LEN, 0);
        option[entries::SIZE..][..4].copy_from_slice(&size.to_le_bytes());
        option.resize(entries::LEN + size as usize, 0);
        let entries = self
            .call(false, abi::GET_ENTRIES, &option)
            .expect("entries");
        (info, entries[entries::LEN..].to_vec())
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    abi::u32_at(bytes, at).expect("long enough")
}

fn put(bytes: &mut [u8], at: usize, number: usize) {
    if let Some(field) = bytes.get_mut(at..at + 4) {
        field.copy_from_slice(&(number as u32).to_le_bytes());
    }
}

/// One option; a part of it is set right where the script says so, so that the rest gets further.
fn option(script: &mut Script<'_>, number: usize) -> (bool, u32, Vec<u8>) {
    let right = script.byte();
    let command = script.byte();
    let length = usize::from(script.byte()) << 8 | usize::from(script.byte());
    let mut option = script.bytes(length).to_vec();
    if right & 1 != 0 && option.len() >= TABLE_NAME.len() {
        option[..TABLE_NAME.len()].copy_from_slice(TABLE_NAME);
    }
    let (is_set, command) = match command % 5 {
        0 => (false, abi::GET_INFO),
        1 => (false, abi::GET_ENTRIES),
        2 => (true, abi::SET_REPLACE),
        3 => (true, abi::SET_ADD_COUNTERS),
        _ => (right & 2 != 0, u32::from(command)),
    };
    let length = option.len();
    if right & 4 != 0 && (is_set, command) == (true, abi::SET_REPLACE) {
        put(&mut option, replace::NUM_COUNTERS, number);
        put(
            &mut option,
            replace::SIZE,
            length.saturating_sub(replace::LEN),
        );
    }
    if right & 4 != 0 && (is_set, command) == (true, abi::SET_ADD_COUNTERS) {
        option.resize(counters_info::LEN + number * COUNTER_LEN, right);
        put(&mut option, counters_info::NUM_COUNTERS, number);
    }
    (is_set, command, option)
}

/// A packet that enters at a hook comes to a verdict, whichever rules it matches.
fn is_sound(blob: &[u8], number: u32, hooks: &Hooks) {
    check(blob, number, hooks).expect("a table that is kept is one");
    // Each entry's offset, where it jumps, and whether it lets packets through to the next.
    let mut rules = vec![];
    let mut at = 0;
    while at < blob.len() {
        let rule = &blob[at..];
        let target = usize::from(abi::u16_at(rule, entry::TARGET_OFFSET).expect("whole"));
        let size = usize::from(abi::u16_at(rule, entry::NEXT_OFFSET).expect("whole"));
        let end = |at: usize| at + usize::from(abi::u16_at(rule, at).expect("whole"));
        let mut at_match = entry::LEN;
        while at_match < target {
            assert!(end(at_match) > at_match, "a match without an end");
            at_match = end(at_match);
        }
        assert_eq!(at_match, target, "matches and target overlap");
        assert!(end(target) > target && end(target) <= size && size <= rule.len());
        let is_standard = rule[target + abi::extension::NAME] == 0;
        let verdict = word(rule, target + standard::VERDICT).cast_signed();
        let for_all = target == entry::LEN && rule[..entry::IP_LEN].iter().all(|byte| *byte == 0);
        let jump = (is_standard && verdict > 0).then_some(verdict as usize);
        rules.push((at, jump, !(is_standard && verdict < 0 && for_all)));
        at += size;
    }
    assert_eq!((at, rules.len()), (blob.len(), number as usize));
    let find = |offset: usize| rules.iter().position(|rule| rule.0 == offset);
    for (_, jump, _) in &rules {
        assert!(
            jump.is_none_or(|offset| find(offset).is_some()),
            "into an entry"
        );
    }
    // How many steps it takes at most to come to each entry; more than there are is a circle.
    let mut steps: Vec<Option<usize>> = vec![None; rules.len()];
    for hook in (0..abi::HOOKS).filter(|hook| hooks.valid >> hook & 1 == 1) {
        let begin = find(hooks.entry[hook] as usize).expect("a hook begins at an entry");
        steps[begin] = steps[begin].or(Some(0));
        find(hooks.underflow[hook] as usize).expect("a policy is an entry");
    }
    let mut changed = true;
    while changed {
        changed = false;
        for at in 0..rules.len() {
            let Some(step) = steps[at] else { continue };
            let (_, jump, passes) = rules[at];
            let jump = jump.map(|offset| find(offset).expect("a jump leads to an entry"));
            for next in jump.into_iter().chain(passes.then_some(at + 1)) {
                assert!(next < rules.len(), "past the last entry");
                if steps[next].is_none_or(|before| before <= step) {
                    assert!(step < rules.len(), "in circles");
                    steps[next] = Some(step + 1);
                    changed = true;
                }
            }
        }
    }
}

fn run(data: &[u8], memory: &mut [u8], reply: &mut [u8]) {
    let mut handler = Handler {
        table: Table::new(memory),
        reply,
    };
    let mut script = Script::new(data);
    let mut now = handler.read();
    for _ in 0..OPTIONS {
        if script.is_over() {
            return;
        }
        let number = word(&now.0, info::NUM_ENTRIES) as usize;
        let (is_set, command, option) = option(&mut script, number);
        let answer = handler.call(is_set, command, &option);
        let then = handler.read();
        match answer {
            Ok(old) if (is_set, command) == (true, abi::SET_REPLACE) => {
                assert_eq!(old.len(), number * COUNTER_LEN);
                let offsets = |at| [0, 1, 2, 3, 4].map(|hook| word(&then.0, at + 4 * hook));
                let hooks = Hooks {
                    valid: word(&then.0, info::VALID_HOOKS),
                    entry: offsets(info::HOOK_ENTRY),
                    underflow: offsets(info::UNDERFLOW),
                };
                assert_eq!(then.1.len(), word(&option, replace::SIZE) as usize);
                is_sound(&then.1, word(&then.0, info::NUM_ENTRIES), &hooks);
            }
            Ok(_) if (is_set, command) == (true, abi::SET_ADD_COUNTERS) => {
                assert_eq!(then.0, now.0);
                assert_eq!(then.1.len(), now.1.len());
            }
            Ok(_) | Err(_) => assert!(then == now, "a question or a refusal changed the table"),
        }
        now = then;
    }
}

fuzz_target!(|data: &[u8]| {
    MEMORY.with_borrow_mut(|(memory, reply)| run(data, memory, reply));
});
