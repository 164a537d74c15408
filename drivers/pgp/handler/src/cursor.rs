// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading forward, and knowing where one is.

use pgp_proto::Place;

/// Some of the caller's bytes, and where they are among all of them. What is taken is taken off the
/// front; nothing is, where there are too few.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'i> {
    rest: &'i [u8],
    at: u32,
}

impl<'i> Cursor<'i> {
    /// All of the caller's bytes. [`pgp_proto::INPUT_MAX`] keeps places within 32 bits.
    pub(crate) const fn new(input: &'i [u8]) -> Self {
        Self { rest: input, at: 0 }
    }

    pub(crate) const fn at(&self) -> u32 {
        self.at
    }

    pub(crate) const fn rest(&self) -> &'i [u8] {
        self.rest
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Where all that is left is.
    pub(crate) const fn place(&self) -> Place {
        Place {
            at: self.at,
            len: self.rest.len() as u32,
        }
    }

    /// The next `count` bytes, to be read by themselves.
    pub(crate) fn take(&mut self, count: usize) -> Option<Self> {
        #[cfg(test)]
        steps::count();
        let (taken, rest) = self.rest.split_at_checked(count)?;
        let taken = Self {
            rest: taken,
            at: self.at,
        };
        self.rest = rest;
        self.at = self.at.saturating_add(u32::try_from(count).ok()?);
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.rest.first_chunk().copied()
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    /// Two bytes, big-endian as all numbers are in OpenPGP and RPM.
    pub(crate) fn half(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four bytes.
    pub(crate) fn word(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// Four bytes that are a number of things.
    pub(crate) fn count(&mut self) -> Option<usize> {
        usize::try_from(self.word()?).ok()
    }
}

/// How often something was taken: what tests hold against the length of the input.
#[cfg(test)]
pub(crate) mod steps {
    use std::cell::Cell;

    thread_local! {
        static STEPS: Cell<u64> = const { Cell::new(0) };
    }

    pub(super) fn count() {
        STEPS.set(STEPS.get().saturating_add(1));
    }

    /// The number of steps that `work` takes, and what it returns.
    pub(crate) fn of<T>(work: impl FnOnce() -> T) -> (u64, T) {
        STEPS.set(0);
        let result = work();
        (STEPS.get(), result)
    }
}
