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

    /// A name like this one, which may be any file name: what is not allowed becomes `_`. From the second of
    /// that name on with its number.
    pub fn like(name: &CStr, number: u8) -> Self {
        let mut bytes = [0; MAX + 1];
        let mut len: usize = 0;
        let suffix = match number {
            0..=1 => [0, 0, 0],
            2..=9 => [b'-', b'0'.saturating_add(number), 0],
            _ => [
                b'-',
                b'0'.saturating_add(number / 10 % 10),
                b'0'.saturating_add(number % 10),
            ],
        };
        let keep = MAX.saturating_sub(suffix.len());
        let letters = name.to_bytes().iter().take(keep).map(|byte| {
            match byte.is_ascii_alphanumeric() || *byte == b'-' {
                true => *byte,
                false => b'_',
            }
        });
        let digits = suffix.into_iter().filter(|byte| *byte != 0);
        for (to, from) in bytes.iter_mut().take(MAX).zip(letters.chain(digits)) {
            *to = from;
            len = len.saturating_add(1);
        }
        if len == 0 {
            bytes = [0; MAX + 1];
            if let Some(first) = bytes.first_mut() {
                *first = b'_';
            }
            len = 1;
        }
        // INVARIANT: none of the characters is 0, and the rest is; at most MAX were written.
        Self { bytes, len }
    }

    /// The name, terminated.
    pub fn as_c_str(&self) -> &CStr {
        let bytes = self.bytes.get(..=self.len).unwrap_or(b"\0");
        // SAFETY: by the invariant the only 0 is at the end.
        unsafe { CStr::from_bytes_with_nul_unchecked(bytes) }
    }
}
