// SPDX-License-Identifier: MIT OR Apache-2.0
//! A handler that is an ordinary program: it counts words in a map on the heap, looks at the clock, and does what a
//! standard library can do wrong.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Instant;

use umd_handler::Refusal;

const UNKNOWN: Refusal = Refusal::new(NonZeroU32::MIN);

fn main() {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let begin = Instant::now();
    umd_handler_std::main(64 << 10, 64 << 10, move |request, reply| {
        let text = std::str::from_utf8(request).map_err(|_| UNKNOWN)?;
        let answer = match text.split_once(' ') {
            Some(("count", words)) => {
                for word in words.split_whitespace() {
                    *counts.entry(word.to_owned()).or_default() += 1;
                }
                let count = |(word, count): (&String, &u64)| format!("{word}={count}");
                counts.iter().map(count).collect::<Vec<_>>().join(" ")
            }
            Some(("fill", mib)) => {
                let bytes = mib.parse::<usize>().map_err(|_| UNKNOWN)? << 20;
                let filled = vec![7_u8; bytes];
                filled
                    .iter()
                    .map(|byte| u64::from(*byte))
                    .sum::<u64>()
                    .to_string()
            }
            Some(("panic", why)) => panic!("{why}"),
            Some(("open", path)) => {
                format!("{:?}", std::fs::read(path).map_err(|error| error.kind()))
            }
            Some(("thread", _)) => {
                format!("{:?}", std::thread::Builder::new().spawn(|| ()).is_ok())
            }
            Some(("clock", _)) => (begin.elapsed().as_nanos() > 0).to_string(),
            _ => return Err(UNKNOWN),
        };
        let room = reply.get_mut(..answer.len()).ok_or(Refusal::TOO_LONG)?;
        room.copy_from_slice(answer.as_bytes());
        Ok(answer.len())
    })
}
