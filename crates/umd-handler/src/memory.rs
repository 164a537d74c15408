// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the compiler calls for copying, filling and comparing memory, and a C library would bring.
//!
//! Words by the string instructions, then the odd bytes: quick on processors, which run them from
//! microcode made for it, and in few instructions under an emulator. All but [`compare`] is
//! assembly because the compiler may turn a loop that copies into a call of memcpy: into itself.
//!
//! [`crate::entry!`] gives these functions the names by which they are called.

use core::arch::asm;

/// memcpy.
///
/// # Safety
///
/// As of C's memcpy: both areas valid for `length` bytes, not overlapping.
pub unsafe extern "C" fn copy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    // SAFETY: length / 8 * 8 + length % 8 bytes are copied; the caller vouches for both areas. The
    // direction flag is clear, as the ABI demands.
    unsafe {
        asm!(
            "rep movsq",
            "mov ecx, {tail:e}",
            "rep movsb",
            tail = in(reg) length & 7,
            inout("rcx") length >> 3 => _,
            inout("rdi") to => _,
            inout("rsi") from => _,
            options(nostack, preserves_flags),
        );
    }
    to
}

/// memmove.
///
/// # Safety
///
/// As of C's memmove: both areas valid for `length` bytes.
pub unsafe extern "C" fn copy_overlapping(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    // Forwards is right unless `to` begins within `from`'s area.
    if (to as usize).wrapping_sub(from as usize) >= length {
        // SAFETY: as the caller promised; no byte is written before it has been read.
        return unsafe { copy(to, from, length) };
    }
    // SAFETY: as in `copy`, from the last byte to the first: the odd bytes at the end one by one,
    // then words, which end 7 bytes before the byte where the next one would have started. The
    // direction flag is clear again afterwards.
    unsafe {
        asm!(
            "std",
            "rep movsb",
            "mov rcx, {words}",
            "sub rdi, 7",
            "sub rsi, 7",
            "rep movsq",
            "cld",
            words = in(reg) length >> 3,
            inout("rcx") length & 7 => _,
            inout("rdi") to.wrapping_add(length).wrapping_sub(1) => _,
            inout("rsi") from.wrapping_add(length).wrapping_sub(1) => _,
            options(nostack),
        );
    }
    to
}

/// memset.
///
/// # Safety
///
/// As of C's memset: the area valid for `length` bytes.
pub unsafe extern "C" fn fill(to: *mut u8, byte: i32, length: usize) -> *mut u8 {
    // Not `[byte; 8]`: unoptimized, that is a call of memset.
    let word = u64::from(byte as u8) * 0x0101_0101_0101_0101;
    // SAFETY: as in `copy`.
    unsafe {
        asm!(
            "rep stosq",
            "mov ecx, {tail:e}",
            "rep stosb",
            tail = in(reg) length & 7,
            inout("rcx") length >> 3 => _,
            inout("rdi") to => _,
            in("rax") word,
            options(nostack, preserves_flags),
        );
    }
    to
}

/// memcmp, and bcmp.
///
/// # Safety
///
/// As of C's memcmp: both areas valid for `length` bytes.
pub unsafe extern "C" fn compare(left: *const u8, right: *const u8, length: usize) -> i32 {
    let mut at = 0;
    while length - at >= 8 {
        // SAFETY: eight bytes from `at` on are within both areas.
        let (a, b) = unsafe {
            (
                left.add(at).cast::<u64>().read_unaligned(),
                right.add(at).cast::<u64>().read_unaligned(),
            )
        };
        if a != b {
            // Big-endian, the first byte that differs decides.
            return if a.to_be() < b.to_be() { -1 } else { 1 };
        }
        at += 8;
    }
    while at < length {
        // SAFETY: `at` is within both areas.
        let (a, b) = unsafe { (*left.add(at), *right.add(at)) };
        if a != b {
            return i32::from(a) - i32::from(b);
        }
        at += 1;
    }
    0
}

/// strlen.
///
/// # Safety
///
/// As of C's strlen: the string ends in a zero byte.
pub unsafe extern "C" fn string_length(string: *const u8) -> usize {
    let end: *const u8;
    // SAFETY: reads up to the first zero byte, which the caller promises.
    unsafe {
        asm!(
            "repne scasb",
            inout("rcx") usize::MAX => _,
            inout("rdi") string => end,
            in("al") 0_u8,
            options(nostack, readonly),
        );
    }
    (end as usize).wrapping_sub(string as usize).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An area, and two places of the same length in it.
    fn two_places() -> impl Strategy<Value = (Vec<u8>, usize, usize, usize)> {
        proptest::collection::vec(any::<u8>(), 1..200).prop_flat_map(|area| {
            let size = area.len();
            (Just(area), 0..size, 0..size).prop_flat_map(move |(area, a, b)| {
                (Just(area), Just(a), Just(b), 0..=size - a.max(b))
            })
        })
    }

    proptest! {
        #[test]
        fn copy_copies((area, from, at, length) in two_places()) {
            let mut expected = vec![0xaa; area.len()];
            let mut got = expected.clone();
            expected[at..at + length].copy_from_slice(&area[from..from + length]);
            // SAFETY: two vectors; both places are within them.
            let returned = unsafe { copy(got[at..].as_mut_ptr(), area[from..].as_ptr(), length) };
            prop_assert_eq!(returned, got[at..].as_mut_ptr());
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn copy_overlapping_is_copy_within((area, from, to, length) in two_places()) {
            let mut expected = area.clone();
            expected.copy_within(from..from + length, to);
            let mut got = area;
            let base = got.as_mut_ptr();
            // SAFETY: both places are within the vector.
            unsafe { copy_overlapping(base.add(to), base.add(from), length) };
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn fill_fills((area, at, _, length) in two_places(), byte: u8) {
            let mut expected = area.clone();
            expected[at..at + length].fill(byte);
            let mut got = area;
            // SAFETY: the place is within the vector. Bits above the byte do not count.
            unsafe { fill(got[at..].as_mut_ptr(), i32::from(byte) | 0x5500, length) };
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn compare_orders(
            common in proptest::collection::vec(any::<u8>(), 0..40),
            left in proptest::collection::vec(any::<u8>(), 12),
            right in proptest::collection::vec(any::<u8>(), 12),
        ) {
            let left = [common.clone(), left].concat();
            let right = [common, right].concat();
            // SAFETY: both vectors have that length.
            let sign = unsafe { compare(left.as_ptr(), right.as_ptr(), left.len()) }.signum();
            prop_assert_eq!(sign, left.cmp(&right) as i32);
            // SAFETY: as above.
            prop_assert_eq!(unsafe { compare(left.as_ptr(), left.as_ptr(), left.len()) }, 0);
        }
    }

    #[test]
    fn string_length_counts_to_the_zero() {
        for (string, length) in [(c"", 0), (c"a", 1), (c"a longer one", 12)] {
            // SAFETY: a C string ends in a zero byte.
            assert_eq!(unsafe { string_length(string.as_ptr().cast()) }, length);
        }
    }
}
