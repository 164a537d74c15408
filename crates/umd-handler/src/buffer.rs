// SPDX-License-Identifier: MIT OR Apache-2.0
//! Static buffers: zero pages until they are touched, and no part of the executable.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// `N` bytes in a static that one owner may take.
#[repr(C, align(64))]
pub struct Buffer<const N: usize> {
    bytes: UnsafeCell<[u8; N]>,
    taken: AtomicBool,
}

// SAFETY: the bytes are reachable through `take` only, which hands them out once.
unsafe impl<const N: usize> Sync for Buffer<N> {}

impl<const N: usize> Buffer<N> {
    /// A buffer of zeroes.
    pub const fn new() -> Self {
        Self {
            bytes: UnsafeCell::new([0; N]),
            taken: AtomicBool::new(false),
        }
    }

    /// The bytes, for the first who asks.
    ///
    /// # Panics
    ///
    /// When the buffer has been taken before.
    #[allow(clippy::mut_from_ref, reason = "the flag makes it the only reference")]
    pub fn take(&'static self) -> &'static mut [u8] {
        assert!(
            !self.taken.swap(true, Ordering::Relaxed),
            "the buffer is taken; take it once, at the start"
        );
        // SAFETY: the flag lets one caller through, so this is the only reference there will be.
        unsafe { &mut *self.bytes.get() }
    }
}

impl<const N: usize> Default for Buffer<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_taken_once() {
        static BUFFER: Buffer<3> = Buffer::new();
        assert_eq!(BUFFER.take(), [0; 3]);
        assert!(std::panic::catch_unwind(|| BUFFER.take().len()).is_err());
    }
}
