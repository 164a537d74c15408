// SPDX-License-Identifier: GPL-2.0-only
//! Signatures of public keys. C: `kernel/shim/driver/verify.c`; header `include/crypto/public_key.h`.

use crate::verify::{Algorithm, PublicKey, Signature};
use core::ffi::{c_char, c_int, c_void};
use core::ptr::NonNull;
use umd_core::error::Errno;

unsafe extern "C" {
    fn umd_mod_verifier(
        algorithm: *const c_char,
        hash: *const c_char,
        error: *mut c_int,
    ) -> *mut c_void;
    fn umd_mod_verifier_free(verifier: *mut c_void);
    fn umd_mod_verify(key: *const RawKey, signature: *const RawSignature) -> c_int;
}

/// `struct umd_mod_public_key`.
#[repr(C)]
pub(super) struct RawKey {
    algorithm: *const c_char,
    bytes: *const u8,
    len: u32,
    reserved: u32,
}

impl RawKey {
    /// As good as what it was made of.
    pub(super) fn new(key: &PublicKey<'_>) -> Result<Self, Errno> {
        Ok(Self {
            algorithm: key.algorithm.name().as_ptr(),
            bytes: key.bytes.as_ptr(),
            len: u32::try_from(key.bytes.len()).map_err(|_| Errno::EMSGSIZE)?,
            reserved: 0,
        })
    }
}

/// `struct umd_mod_signature`.
#[repr(C)]
pub(super) struct RawSignature {
    pub(super) encoding: *const c_char,
    pub(super) hash: *const c_char,
    pub(super) digest: *const u8,
    pub(super) value: *const u8,
    pub(super) digest_len: u32,
    pub(super) value_len: u32,
}

/// What the kernel verifies signatures of one kind with, ready for use: its modules stay loaded.
///
/// # Invariants
///
/// The pointer is one of `umd_mod_verifier()` and lives as long as this.
pub struct Verifier(NonNull<c_void>);

// SAFETY: it is only kept.
unsafe impl Send for Verifier {}
// SAFETY: as above.
unsafe impl Sync for Verifier {}

impl Verifier {
    /// For signatures of this algorithm over digests of this hash. Context: may sleep, and load modules.
    ///
    /// # Errors
    ///
    /// `ENOENT` where the kernel has no such algorithm, `ENOMEM`.
    pub fn find(algorithm: Algorithm, hash: &core::ffi::CStr) -> Result<Self, Errno> {
        let hash = match algorithm {
            Algorithm::Rsa => hash.as_ptr(),
            // They are over any digest.
            Algorithm::EcdsaP256 | Algorithm::EcdsaP384 => core::ptr::null(),
        };
        let mut error = 0;
        // SAFETY: the names are terminated; error may be written to.
        let verifier = unsafe { umd_mod_verifier(algorithm.name().as_ptr(), hash, &raw mut error) };
        // INVARIANT: just made.
        NonNull::new(verifier).map(Self).ok_or(super::errno(error))
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        // SAFETY: by the invariant.
        unsafe { umd_mod_verifier_free(self.0.as_ptr()) };
    }
}

/// Is this the key's signature? Context: may sleep.
///
/// # Errors
///
/// The kernel's own: `EKEYREJECTED`, `EBADMSG` and `EINVAL` where it is not, for reasons that nobody needs to
/// know; `ENOENT` where the kernel lacks the algorithm; `ENOMEM`.
pub fn verify(key: &PublicKey<'_>, signature: &Signature<'_>) -> Result<(), Errno> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(|_| Errno::EMSGSIZE);
    let raw = RawSignature {
        encoding: key.algorithm.encoding().as_ptr(),
        hash: signature.hash.as_ptr(),
        digest: signature.digest.as_ptr(),
        value: signature.value.as_ptr(),
        digest_len: length(signature.digest)?,
        value_len: length(signature.value)?,
    };
    let key = RawKey::new(key)?;
    // SAFETY: names are terminated, bytes valid for their lengths.
    match unsafe { umd_mod_verify(&raw const key, &raw const raw) } {
        0 => Ok(()),
        error => Err(super::errno(error)),
    }
}
