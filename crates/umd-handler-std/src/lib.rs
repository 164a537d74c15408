// SPDX-License-Identifier: MIT OR Apache-2.0
//! The runtime for handlers with the standard library: an ordinary program, linked statically
//! (`-Ctarget-feature=+crt-static`), under the lockdown `compute`.
//!
//! A crate of its own and no feature of [`umd_handler`]: features of a crate are the same for all programs of a workspace,
//! and a handler without a standard library cannot be linked with one.
#![forbid(unsafe_code)]

use std::os::unix::ffi::OsStrExt;
use umd_handler::lockdown::{Orders, lock_down_by};
use umd_handler::{HEADER_LEN, Refusal, run, sys};

/// Serves until the channel's end, from an ordinary `fn main`: for a handler under the lockdown `compute`, which has a heap
/// and clocks. `request` and `reply` are the most bytes that either may have.
///
/// A panic ends the process with status 101 and says nothing: there is nobody to say it to.
///
/// ```no_run
/// let mut seen = std::collections::HashSet::new();
/// umd_handler_std::main(64, 1, move |request, reply| {
///     let room = reply.first_mut().ok_or(umd_handler::Refusal::TOO_LONG)?;
///     *room = seen.insert(request.to_vec()).into();
///     Ok(1)
/// })
/// ```
pub fn main(
    request: usize,
    reply: usize,
    answer: impl FnMut(&[u8], &mut [u8]) -> Result<usize, Refusal>,
) -> ! {
    std::panic::set_hook(Box::new(|_| sys::exit(sys::PANICKED)));
    let room = |payload: usize| vec![0; payload.saturating_add(HEADER_LEN)];
    let argument = std::env::args_os().nth(1);
    let orders = Orders::from_argument(argument.as_deref().map(OsStrExt::as_bytes));
    let (mut request, mut reply) = (room(request), room(reply));
    lock_down_by(orders);
    run(&mut request, &mut reply, answer)
}
