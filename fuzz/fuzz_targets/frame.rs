// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sixteen bytes that may be a header.
#![no_main]

use libfuzzer_sys::fuzz_target;
use umd_core::frame::{FrameError, Header, MAGIC};

fuzz_target!(|data: &[u8]| {
    let Some(bytes) = data.first_chunk() else {
        return;
    };
    match Header::decode(bytes) {
        Ok(header) => {
            assert_eq!(bytes[..4], MAGIC);
            assert_eq!(header.encode(), *bytes);
            assert_eq!(header.length.to_le_bytes(), bytes[4..8]);
            assert_eq!(header.id.to_le_bytes(), bytes[8..12]);
            assert_eq!(header.status.to_le_bytes(), bytes[12..]);
        }
        Err(FrameError::Magic) => assert_ne!(bytes[..3], MAGIC[..3]),
        Err(FrameError::Version(version)) => {
            assert_eq!(bytes[..3], MAGIC[..3]);
            assert_eq!(version, bytes[3]);
            assert_ne!(version, MAGIC[3]);
        }
    }
});
