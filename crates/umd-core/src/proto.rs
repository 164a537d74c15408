// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a driver's messages are, to a host that calls it with types instead of bytes.

/// A request with a type, and what its reply means.
///
/// A driver's proto crate implements this once, for both hosts. Nothing in it is allocated: it may be linked into kernels.
pub trait Question {
    /// What the reply says, once it has been checked.
    type Answer;
    /// What can be wrong with a reply. The handler may have been taken over: nothing is taken on trust.
    type Wrong;
    /// Most bytes of a request.
    const REQUEST_MAX: usize;
    /// Most bytes of a reply.
    const REPLY_MAX: usize;

    /// Writes the request to the beginning of `buffer`, which has [`REQUEST_MAX`](Self::REQUEST_MAX) bytes, and says how many
    /// it has.
    fn encode(&self, buffer: &mut [u8]) -> usize;

    /// Checks the whole reply.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    fn decode(&self, reply: &[u8]) -> Result<Self::Answer, Self::Wrong>;
}
