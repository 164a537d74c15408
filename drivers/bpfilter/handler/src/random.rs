// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tables at random, for tests.

use crate::blob::{Extension, Rule, Table, Target};
use bpfilter_proto::abi::{entry, standard};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Tables in which a chain goes only to chains behind it.
pub(crate) fn tables() -> impl Strategy<Value = Table> {
    const CHAINS: usize = 4;
    let target = |first| {
        let verdict = [
            standard::DROP,
            standard::ACCEPT,
            standard::QUEUE,
            standard::RETURN,
        ];
        let verdict = select(verdict.to_vec()).prop_map(Target::Verdict).boxed();
        let data = vec(any::<u8>(), 0..40);
        let other = data.prop_map(|data| Target::Extension(Extension::new("OTHER", 1, &data)));
        if first < CHAINS {
            let chain = (first..CHAINS).prop_map(Target::Chain);
            prop_oneof![verdict, other, chain].boxed()
        } else {
            prop_oneof![verdict, other].boxed()
        }
    };
    let rules = move |first| {
        let matches = vec((any::<u8>(), vec(any::<u8>(), 0..40)), 0..3);
        let rule = (any::<[u8; 32]>(), 0_u8..4, matches, target(first));
        let rule = rule.prop_map(|(ip, flags, matches, target)| {
            let mut rule = Rule::all(target);
            rule.ip[..32].copy_from_slice(&ip);
            rule.ip[entry::FLAGS] = flags;
            for (revision, data) in matches {
                rule = rule.matching("match", revision, &data);
            }
            rule
        });
        vec(rule, 0..4)
    };
    let policy = || select(vec![standard::DROP, standard::ACCEPT]);
    let hook = || (rules(0), policy());
    let chains = (rules(1), rules(2), rules(3), rules(4));
    ([hook(), hook(), hook()], chains).prop_map(|(hooks, (a, b, c, d))| Table {
        hooks,
        chains: vec![("a", a), ("b", b), ("c", c), ("d", d)],
    })
}
