// SPDX-License-Identifier: GPL-2.0-only
//! Hashes. C: `kernel/shim/driver/hash.c`; header `include/crypto/hash.h`.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::marker::PhantomData;
use core::ptr::NonNull;
use umd_core::error::Errno;

unsafe extern "C" {
    fn umd_mod_hash_algorithm(name: *const c_char, error: *mut c_int) -> *mut c_void;
    fn umd_mod_hash_algorithm_free(algorithm: *mut c_void);
    fn umd_mod_hash_new(algorithm: *mut c_void, error: *mut c_int) -> *mut c_void;
    fn umd_mod_hash_update(hash: *mut c_void, data: *const u8, len: usize) -> c_int;
    fn umd_mod_hash_final(hash: *mut c_void, digest: *mut [u8; DIGEST_MAX]) -> c_int;
    fn umd_mod_hash_free(hash: *mut c_void);
}

/// Bytes of the longest digest.
pub const DIGEST_MAX: usize = 64;

/// A hash that the kernel has, ready for use: its module stays loaded.
///
/// # Invariants
///
/// The pointer is one of `umd_mod_hash_algorithm()` and lives as long as this.
pub struct Algorithm(NonNull<c_void>);

// SAFETY: an algorithm is not changed by its use.
unsafe impl Send for Algorithm {}
// SAFETY: as above.
unsafe impl Sync for Algorithm {}

impl Algorithm {
    /// The hash of this name, as in `/proc/crypto`. Context: may sleep, and load modules.
    ///
    /// # Errors
    ///
    /// `ENOENT` where the kernel has none of this name, `ENOMEM`.
    pub fn find(name: &CStr) -> Result<Self, Errno> {
        let mut error = 0;
        // SAFETY: the name is terminated; error may be written to.
        let algorithm = unsafe { umd_mod_hash_algorithm(name.as_ptr(), &raw mut error) };
        // INVARIANT: just made.
        NonNull::new(algorithm).map(Self).ok_or(super::errno(error))
    }

    /// Begins to hash. Context: may sleep.
    pub fn begin(&self) -> Result<Hash<'_>, Errno> {
        let mut error = 0;
        // SAFETY: by the invariant; error may be written to.
        let hash = unsafe { umd_mod_hash_new(self.0.as_ptr(), &raw mut error) };
        match NonNull::new(hash) {
            // INVARIANT: just made, and the algorithm is borrowed.
            Some(hash) => Ok(Hash {
                hash,
                algorithm: PhantomData,
            }),
            None => Err(super::errno(error)),
        }
    }
}

impl Drop for Algorithm {
    fn drop(&mut self) {
        // SAFETY: by the invariant; hashes borrow the algorithm, so there are none.
        unsafe { umd_mod_hash_algorithm_free(self.0.as_ptr()) };
    }
}

/// A hash in the making.
///
/// # Invariants
///
/// The pointer is one of `umd_mod_hash_new()` and lives as long as this; the algorithm outlives it.
pub struct Hash<'a> {
    hash: NonNull<c_void>,
    algorithm: PhantomData<&'a Algorithm>,
}

impl Hash<'_> {
    /// More of what is hashed. Context: may sleep.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        // SAFETY: by the invariant; the bytes are valid for their length.
        match unsafe { umd_mod_hash_update(self.hash.as_ptr(), bytes.as_ptr(), bytes.len()) } {
            0 => Ok(()),
            error => Err(super::errno(error)),
        }
    }

    /// The end: the length of the digest, which is at the beginning of `digest`.
    pub fn finish(self, digest: &mut [u8; DIGEST_MAX]) -> Result<usize, Errno> {
        // SAFETY: by the invariant; C writes no more than that. The hash is freed right after.
        let result = unsafe { umd_mod_hash_final(self.hash.as_ptr(), &raw mut *digest) };
        usize::try_from(result).map_err(|_| super::errno(result))
    }
}

impl Drop for Hash<'_> {
    fn drop(&mut self) {
        // SAFETY: by the invariant.
        unsafe { umd_mod_hash_free(self.hash.as_ptr()) };
    }
}
