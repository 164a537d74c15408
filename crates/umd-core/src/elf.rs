// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one thing that a host wants to know of an executable: elf(5), `include/uapi/linux/elf.h`.

/// `PT_INTERP`.
const INTERPRETER: u32 = 3;
/// Size of a program header of a 64-bit executable.
const PROGRAM_HEADER: usize = 56;

/// `EM_X86_64`.
const X86_64: usize = 62;
/// `ET_EXEC` and `ET_DYN`.
const EXECUTABLE: core::ops::RangeInclusive<usize> = 2..=3;

/// Is this a file that an x86-64 kernel would execute, as far as its head says?
pub fn is_executable(file: &[u8]) -> bool {
    file.starts_with(b"\x7fELF\x02\x01")
        && number(file, 18, 2) == Some(X86_64)
        && number(file, 16, 2).is_some_and(|kind| EXECUTABLE.contains(&kind))
}

/// Does this 64-bit ELF file name an interpreter, a dynamic linker, which must be found in the file system?
/// False for what is no such file: the kernel will not execute that anyway.
pub fn has_interpreter(file: &[u8]) -> bool {
    if !file.starts_with(b"\x7fELF\x02\x01") {
        return false;
    }
    let (Some(offset), Some(size), Some(count)) = (
        number(file, 32, 8),
        number(file, 54, 2),
        number(file, 56, 2),
    ) else {
        return false;
    };
    // The kernel takes no other size.
    size == PROGRAM_HEADER
        && (0..count)
            .filter_map(|index| offset.checked_add(index.checked_mul(PROGRAM_HEADER)?))
            .any(|header| number(file, header, 4) == Some(INTERPRETER as usize))
}

/// The little-endian number of `len` bytes, at most 8, at `offset`.
fn number(file: &[u8], offset: usize, len: usize) -> Option<usize> {
    let bytes = file.get(offset..offset.checked_add(len)?)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| (number << 8) | usize::from(*byte)),
    )
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// An executable with program headers of these types.
    fn elf(types: &[u32]) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(64, 0);
        file[32] = 64;
        file[54] = PROGRAM_HEADER as u8;
        file[56] = types.len() as u8;
        for kind in types {
            let mut header = kind.to_le_bytes().to_vec();
            header.resize(PROGRAM_HEADER, 0xff);
            file.extend(header);
        }
        file
    }

    #[test]
    fn executables_are_told_from_other_files() {
        let mut file = elf(&[1]);
        assert!(!is_executable(&file), "for no machine");
        (file[16], file[18]) = (2, 62);
        assert!(is_executable(&file));
        for (at, value) in [(0, b'!'), (4, 1), (16, 1), (18, 40), (19, 1)] {
            let mut wrong = file.clone();
            wrong[at] = value;
            assert!(!is_executable(&wrong), "byte {at}");
        }
        assert!(!is_executable(&file[..18]));
        assert!(!is_executable(b"#!/bin/sh"));
    }

    #[test]
    fn an_interpreter_is_found_wherever_it_stands() {
        assert!(!has_interpreter(&elf(&[])));
        assert!(!has_interpreter(&elf(&[1, 2, 4])));
        assert!(has_interpreter(&elf(&[3, 1])));
        assert!(has_interpreter(&elf(&[6, 1, 3])));
    }

    #[test]
    fn what_is_no_such_file_has_none() {
        assert!(!has_interpreter(b""));
        assert!(!has_interpreter(b"#!/bin/sh"));
        let mut small_class = elf(&[3]);
        small_class[4] = 1;
        assert!(!has_interpreter(&small_class));
        let cut = elf(&[3]);
        assert!(!has_interpreter(&cut[..64]));
        let mut far = elf(&[3]);
        far[32..40].fill(0xff);
        assert!(!has_interpreter(&far));
    }

    proptest! {
        #[test]
        fn any_bytes_will_do(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut file = b"\x7fELF\x02\x01".to_vec();
            file.extend(bytes);
            has_interpreter(&file);
        }
    }
}
