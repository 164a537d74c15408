// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes that wait for their reader, as a pipe would keep them.

use core::ops::DerefMut;

/// As many as a pipe keeps, see pipe(7).
pub const PIPE_CAPACITY: usize = 64 * 1024;

/// Bytes, first in, first out, as many as its buffer holds. Has no buffer until it is given one: most
/// channels never need it.
///
/// # Invariants
///
/// `start` is below the buffer's length, or 0; `len` is at most that length, and 0 without a buffer.
#[derive(Debug)]
pub struct Ring<B> {
    buffer: Option<B>,
    start: usize,
    len: usize,
}

impl<B> Default for Ring<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B> Ring<B> {
    /// Without room.
    pub const fn new() -> Self {
        Self {
            buffer: None,
            start: 0,
            len: 0,
        }
    }
}

impl<B: DerefMut<Target = [u8]>> Ring<B> {
    /// Does it have room of its own?
    pub fn has_room(&self) -> bool {
        self.buffer.is_some()
    }

    /// Gives it room, where it has none. What is not needed comes back, to be dropped without a lock.
    pub fn give_room(&mut self, buffer: B) -> Option<B> {
        if self.buffer.is_some() {
            return Some(buffer);
        }
        // INVARIANT: len is 0, and so is start.
        self.buffer = Some(buffer);
        None
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No byte waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// No byte more fits.
    pub fn is_full(&self) -> bool {
        self.len >= self.capacity()
    }

    fn capacity(&self) -> usize {
        self.buffer.as_ref().map_or(0, |buffer| buffer.len())
    }

    /// The first bytes, as many as lie next to each other.
    pub fn front(&self) -> &[u8] {
        let end = self.start.saturating_add(self.len).min(self.capacity());
        self.buffer
            .as_ref()
            .and_then(|buffer| buffer.get(self.start..end))
            .unwrap_or_default()
    }

    /// The first `count` bytes are not needed any more.
    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.len);
        // INVARIANT: wrapped to below the capacity; an empty one begins anew.
        self.len = self.len.saturating_sub(count);
        self.start = match self.len {
            0 => 0,
            _ => self.wrap(self.start.saturating_add(count)),
        };
    }

    /// Room behind the last byte, as much as lies next to each other.
    pub fn back(&mut self) -> &mut [u8] {
        let free = self.capacity().saturating_sub(self.len);
        let from = self.wrap(self.start.saturating_add(self.len));
        let end = from.saturating_add(free).min(self.capacity());
        self.buffer
            .as_mut()
            .and_then(|buffer| buffer.get_mut(from..end))
            .unwrap_or_default()
    }

    /// `count` bytes were written to the [`back`](Self::back).
    pub fn produce(&mut self, count: usize) {
        self.len = self.len.saturating_add(count).min(self.capacity());
    }

    /// Adds as many of `bytes` as fit; how many.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        while let Some((to, from)) = both(self.back(), bytes.get(done..).unwrap_or_default()) {
            to.copy_from_slice(from);
            let count = from.len();
            self.produce(count);
            done = done.saturating_add(count);
        }
        done
    }

    /// Takes as many bytes as there are and fit into `to`; how many.
    pub fn pop(&mut self, to: &mut [u8]) -> usize {
        let mut done = 0;
        while let Some((to, from)) = both(to.get_mut(done..).unwrap_or_default(), self.front()) {
            to.copy_from_slice(from);
            let count = from.len();
            self.consume(count);
            done = done.saturating_add(count);
        }
        done
    }

    fn wrap(&self, index: usize) -> usize {
        match index.checked_sub(self.capacity()) {
            Some(index) => index,
            None => index,
        }
    }
}

/// The beginnings of both, of the same length; nothing where one is empty.
fn both<'t, 'f>(to: &'t mut [u8], from: &'f [u8]) -> Option<(&'t mut [u8], &'f [u8])> {
    let len = to.len().min(from.len());
    if len == 0 {
        return None;
    }
    to.get_mut(..len).zip(from.get(..len))
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn without_room_nothing_fits() {
        let mut ring = Ring::<Vec<u8>>::new();
        assert!(ring.is_full() && ring.is_empty() && !ring.has_room());
        assert_eq!(ring.push(b"1"), 0);
        assert_eq!(ring.give_room(vec![0; 2]), None);
        assert_eq!(ring.push(b"123"), 2);
        assert_eq!(ring.give_room(vec![0; 9]), Some(vec![0; 9]), "it has one");
        assert!(ring.is_full());
        let mut to = [0; 9];
        assert_eq!(ring.pop(&mut to), 2);
        assert_eq!(&to[..2], b"12");
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 8 } else { 1_000 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn a_queue_it_is(
            capacity in 1usize..9,
            steps in prop::collection::vec((any::<bool>(), 0usize..12), 0..60),
        ) {
            let mut ring = Ring::new();
            ring.give_room(vec![0; capacity]);
            let mut model = VecDeque::new();
            let mut next = 0u8;
            for (push, count) in steps {
                if push {
                    let bytes: Vec<u8> = (0..count).map(|i| next.wrapping_add(i as u8)).collect();
                    let fits = count.min(capacity - model.len());
                    prop_assert_eq!(ring.push(&bytes), fits);
                    model.extend(&bytes[..fits]);
                    next = next.wrapping_add(fits as u8);
                } else {
                    let mut to = vec![0; count];
                    let got = ring.pop(&mut to);
                    prop_assert_eq!(got, count.min(model.len()));
                    let expected: Vec<u8> = model.drain(..got).collect();
                    prop_assert_eq!(&to[..got], &expected[..]);
                }
                prop_assert_eq!(ring.len(), model.len());
                prop_assert_eq!(ring.is_full(), model.len() == capacity);
                prop_assert_eq!(ring.is_empty(), model.is_empty());
                prop_assert_eq!(ring.front().is_empty(), model.is_empty());
                prop_assert_eq!(ring.back().is_empty(), model.len() == capacity);
            }
        }
    }
}
