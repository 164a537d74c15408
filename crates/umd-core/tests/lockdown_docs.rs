// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lists in docs/lockdown.md are those in the code.

use umd_core::lockdown::{COMPUTE, HARMFUL, MISSED, NEVER};
use umd_core::syscall::{Syscall, Syscalls};

const TEXT: &str = include_str!("../../../docs/lockdown.md");

/// The system calls in backquotes before the words of explanation end: each item's own, after its colon.
fn listed(heading: &str) -> Syscalls {
    let begin = TEXT.find(heading).expect(heading) + heading.len();
    let section = TEXT[begin..].split("\n#").next().unwrap_or_default();
    let items = section.split("\n- ").skip(1);
    let own = items.filter_map(|item| item.split_once(": ").map(|(_, own)| own));
    let mut set = Syscalls::NONE;
    for item in own {
        // What follows a semicolon is looked at by its arguments, and in no list.
        let item = item.split(';').next().unwrap_or_default();
        for name in item.split('`').skip(1).step_by(2) {
            let call = Syscall::named(name).unwrap_or_else(|| panic!("{name} is no system call"));
            assert!(!set.contains(call), "{name} is there twice");
            set = set.with(&[call]);
        }
    }
    set
}

#[test]
fn the_lists_are_the_same() {
    for (heading, wanted) in [
        ("### compute has\n", COMPUTE),
        ("### compute is refused\n", MISSED),
        ("### custom is refused, even if it lists them\n", NEVER),
        ("### basic is refused\n", HARMFUL),
    ] {
        let found = listed(heading);
        let more: Vec<_> = found
            .iter()
            .filter(|call| !wanted.contains(*call))
            .collect();
        let less: Vec<_> = wanted
            .iter()
            .filter(|call| !found.contains(*call))
            .collect();
        assert!(
            more.is_empty() && less.is_empty(),
            "{heading}: {more:?} {less:?}"
        );
    }
}
