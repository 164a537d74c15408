// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing a reply's list as things are found.

use pgp_proto::{ENTRIES_MAX, ENTRY_LEN, Entry, LIST_HEADER_LEN, List, Refusal, Skipped};

/// A [`List`] that grows.
pub(crate) struct Listing<'r> {
    header: &'r mut [u8; LIST_HEADER_LEN],
    entries: &'r mut [[u8; ENTRY_LEN]],
    count: usize,
    pub(crate) skipped: Skipped,
}

impl<'r> Listing<'r> {
    pub(crate) fn new(room: &'r mut [u8]) -> Result<Self, Refusal> {
        let (header, entries) = room.split_first_chunk_mut().ok_or(Refusal::NoRoom)?;
        let (entries, _) = entries.as_chunks_mut();
        Ok(Self {
            header,
            entries,
            count: 0,
            skipped: Skipped::default(),
        })
    }

    pub(crate) fn push(&mut self, entry: &Entry) -> Result<(), Refusal> {
        if self.count >= ENTRIES_MAX {
            return Err(Refusal::TooMany);
        }
        *self.entries.get_mut(self.count).ok_or(Refusal::NoRoom)? = entry.encode();
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The number of bytes that the list has.
    pub(crate) fn finish(self) -> usize {
        // At most ENTRIES_MAX.
        *self.header = List::encode_header(self.count as u32, self.skipped);
        let entries = self.count.saturating_mul(ENTRY_LEN);
        LIST_HEADER_LEN.saturating_add(entries)
    }
}
