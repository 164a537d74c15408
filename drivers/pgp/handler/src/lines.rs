// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text, line by line.

use crate::cursor::Cursor;
use pgp_proto::Place;

/// Lines, one by one. One may end by a line feed, with a carriage return before it or not, or where
/// the text does.
#[derive(Clone, Copy)]
pub(crate) struct Lines<'i>(pub(crate) Cursor<'i>);

/// A line, without its end.
#[derive(Clone, Copy)]
pub(crate) struct Line<'i> {
    pub(crate) text: &'i [u8],
    pub(crate) place: Place,
}

impl<'i> Lines<'i> {
    /// Where the next line begins.
    pub(crate) const fn at(&self) -> u32 {
        self.0.at()
    }
}

impl<'i> Iterator for Lines<'i> {
    type Item = Line<'i>;

    fn next(&mut self) -> Option<Line<'i>> {
        if self.0.is_empty() {
            return None;
        }
        let feed = self.0.rest().iter().position(|byte| *byte == b'\n');
        let line = match feed {
            Some(length) => {
                let line = self.0.take(length)?;
                self.0.take(1)?;
                line
            }
            None => self.0.take(self.0.rest().len())?,
        };
        let text = line.rest();
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let mut place = line.place();
        place.len = text.len() as u32;
        Some(Line { text, place })
    }
}

impl Line<'_> {
    /// Nothing, or white space.
    pub(crate) fn is_blank(&self) -> bool {
        self.text.trim_ascii().is_empty()
    }

    /// `-----BEGIN name-----` and the like, maybe with white space behind.
    pub(crate) fn is_rule(&self, word: &[u8], name: &[u8]) -> bool {
        self.rule(word) == Some(name)
    }

    /// The name in `-----BEGIN name-----`.
    pub(crate) fn rule(&self, word: &[u8]) -> Option<&[u8]> {
        let inner = self.text.strip_prefix(b"-----")?.strip_prefix(word)?;
        let inner = inner.strip_prefix(b" ")?;
        inner.trim_ascii_end().strip_suffix(b"-----")
    }
}
