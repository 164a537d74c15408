// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text as it is signed: each line ends with CR and LF, however it ends in the file.

use crate::crypto::Hash;
use crate::refusal::Refusal;

/// Text on its way into a hash, in pieces that may end anywhere.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Canonical {
    /// So many CR have come, and nothing behind them yet.
    returns: usize,
}

impl Canonical {
    /// As GnuPG has it: all CR before an LF are part of the line's end, and those at the text's end are nothing.
    pub(crate) fn update<H: Hash>(&mut self, bytes: &[u8], hash: &mut H) -> Result<(), Refusal> {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            let end = text.iter().rposition(|byte| *byte != b'\r');
            let kept = end.and_then(|end| text.get(..=end)).unwrap_or(&[]);
            if !kept.is_empty() {
                self.release(hash)?;
                hash.update(kept)?;
            }
            if text.len() < line.len() {
                self.returns = 0;
                hash.update(b"\r\n")?;
            } else {
                let more = text.len().saturating_sub(kept.len());
                self.returns = self.returns.saturating_add(more);
            }
        }
        Ok(())
    }

    /// The CR that have come are text after all. There may be as many as the file has bytes, so not each is a call of its own.
    fn release<H: Hash>(&mut self, hash: &mut H) -> Result<(), Refusal> {
        const RETURNS: [u8; 512] = [b'\r'; 512];
        while self.returns > 0 {
            let some = RETURNS.get(..self.returns).unwrap_or(&RETURNS);
            hash.update(some)?;
            self.returns = self.returns.saturating_sub(some.len());
        }
        Ok(())
    }
}

/// Feeds a hash with the text of a cleartext-signed message, from which the last line's end was taken: without the dashes in front of
/// lines and the blanks behind them.
pub fn cleartext(
    text: &[u8],
    mut feed: impl FnMut(&[u8]) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if number > 0 {
            feed(b"\r\n")?;
        }
        let line = line.strip_prefix(b"- ").unwrap_or(line);
        let end = line
            .iter()
            .rposition(|byte| !matches!(byte, b' ' | b'\t' | b'\r'));
        feed(end.and_then(|end| line.get(..=end)).unwrap_or(&[]))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::crypto::Digest;
    use std::vec::Vec;

    /// The bytes, and in how many pieces they came.
    #[derive(Default)]
    struct Seen(Vec<u8>, usize);

    impl Hash for Seen {
        fn update(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
            self.0.extend(bytes);
            self.1 += 1;
            Ok(())
        }

        fn finish(self) -> Result<Digest, Refusal> {
            Err(Refusal::HashFailed)
        }
    }

    const TEXTS: [(&[u8], &[u8]); 9] = [
        (b"", b""),
        (b"one", b"one"),
        (b"one\n", b"one\r\n"),
        (b"one\r\ntwo\n\n", b"one\r\ntwo\r\n\r\n"),
        (b"\r\r\nx\r\r\n", b"\r\nx\r\n"),
        (b"a\rb\r\rc\n", b"a\rb\r\rc\r\n"),
        (b"end\r", b"end"),
        (b"blanks \t \n", b"blanks \t \r\n"),
        (b"\n\n", b"\r\n\r\n"),
    ];

    #[test]
    fn lines_end_alike() {
        for (text, canonical) in TEXTS {
            let mut seen = Seen::default();
            Canonical::default().update(text, &mut seen).unwrap();
            assert_eq!(seen.0, canonical);
        }
    }

    #[test]
    fn pieces_make_no_difference() {
        for (text, canonical) in TEXTS {
            for first in 0..=text.len() {
                for second in first..=text.len() {
                    let (mut state, mut seen) = (Canonical::default(), Seen::default());
                    for piece in [&text[..first], &text[first..second], &text[second..]] {
                        state.update(piece, &mut seen).unwrap();
                    }
                    assert_eq!(seen.0, canonical, "{text:?} cut at {first} and {second}");
                }
            }
        }
    }

    #[test]
    fn many_returns_are_few_calls() {
        for count in [0, 1, 511, 512, 513, 10_000] {
            let returns = std::vec![b'\r'; count];
            let (mut state, mut seen) = (Canonical::default(), Seen::default());
            state.update(&returns, &mut seen).unwrap();
            assert_eq!(seen.1, 0);
            state.update(b"x", &mut seen).unwrap();
            assert_eq!(seen.0, [&returns[..], b"x"].concat());
            assert!(seen.1 <= 2 + count / 512, "{count}: {}", seen.1);
        }
    }

    #[test]
    fn cleartext_loses_dashes_blanks_and_its_last_end() {
        for (text, signed) in [
            (&b"one\n"[..], &b"one\r\n"[..]),
            (b"one\r", b"one"),
            (b"- -----BEGIN\n- - x\n-y", b"-----BEGIN\r\n- x\r\n-y"),
            (b"a \t\r\n\n b\n", b"a\r\n\r\n b\r\n"),
            (b"", b""),
        ] {
            let mut seen = Vec::<u8>::new();
            cleartext(text, |bytes| {
                seen.extend(bytes);
                Ok(())
            })
            .unwrap();
            assert_eq!(seen, signed);
        }
    }
}
