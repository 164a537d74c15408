// SPDX-License-Identifier: GPL-2.0-only
//! A driver's name, which C wants terminated and the log and trace events want at every request.

use core::ffi::CStr;
use umd_core::error::Errno;

/// Longest name, without its terminating NUL.
const MAX: usize = 31;

/// 1 to 31 letters, digits, `_` and `-`.
///
/// # Invariants
///
/// `bytes[len]` is the first 0, and `len` is at most 31.
pub struct Name {
    bytes: [u8; MAX + 1],
    len: usize,
}

impl Name {
    /// # Errors
    ///
    /// `EINVAL` where it is too long, empty, or has another character.
    pub fn new(name: &CStr) -> Result<Self, Errno> {
        let name = name.to_bytes();
        let good = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'-';
        if name.is_empty() || name.len() > MAX || !name.iter().all(good) {
            return Err(Errno::EINVAL);
        }
        let mut bytes = [0; MAX + 1];
        for (to, from) in bytes.iter_mut().zip(name) {
            *to = *from;
        }
        // INVARIANT: none of the characters is 0, and the rest is.
        Ok(Self {
            bytes,
            len: name.len(),
        })
    }

    /// The name, terminated.
    pub fn as_c_str(&self) -> &CStr {
        let bytes = self.bytes.get(..=self.len).unwrap_or(b"\0");
        // SAFETY: by the invariant the only 0 is at the end.
        unsafe { CStr::from_bytes_with_nul_unchecked(bytes) }
    }
}
