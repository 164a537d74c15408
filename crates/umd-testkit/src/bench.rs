// SPDX-License-Identifier: MIT OR Apache-2.0
//! `bench-handler`: replies without content, of any length.
//!
//! Under a name like `bench-raw-4-131072` it is a raw driver's handler: no frames, no hello,
//! requests of 4 bytes and replies of 131072. Under any other name it is framed, and the first four
//! bytes of a request, little-endian, say how long the reply shall be. It refuses a request without
//! them, or for more than [`MOST`].

use crate::number;

/// Most bytes of a request or a reply.
pub const MOST: usize = 128 * 1024;

/// The lengths of request and reply that a raw driver's name gives; `None` where the name is not
/// `bench-raw-REQUEST-REPLY` with lengths from 1 to [`MOST`].
pub fn raw_sizes(name: &[u8]) -> Option<(usize, usize)> {
    let sizes = name.strip_prefix(b"bench-raw-")?;
    let dash = sizes.iter().position(|byte| *byte == b'-')?;
    let request = number(sizes.get(..dash)?)?;
    let reply = number(sizes.get(dash + 1..)?)?;
    let possible = 1..=MOST;
    (possible.contains(&request) && possible.contains(&reply)).then_some((request, reply))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_the_name() {
        assert_eq!(raw_sizes(b"bench-raw-4-131072"), Some((4, 131_072)));
        for name in [
            &b"bench"[..],
            b"bench-raw-4",
            b"bench-raw-4-",
            b"bench-raw-+4-4",
            b"bench-raw-0-4",
            b"bench-raw-4-0",
            b"bench-raw-4-131073",
            b"bench-raw-4-4-4",
        ] {
            assert_eq!(raw_sizes(name), None);
        }
    }
}
