// SPDX-License-Identifier: MIT OR Apache-2.0
//! The loop that a handler lives in.

use crate::channel::{Channel, End, Inbox, Stdio, read_all, write_all};
use crate::lockdown::hello;
use crate::sys;
use core::num::NonZeroU32;
use umd_core::frame::{HEADER_LEN, Header};

/// A handler's "no" to one request: the status of its reply, which then has no payload. What the
/// numbers mean is between the handler and its manager, [`Refusal::TOO_LONG`] apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal(NonZeroU32);

impl Refusal {
    /// The request is longer than this handler's buffer. The runtime says so by itself.
    pub const TOO_LONG: Self = Self(NonZeroU32::MAX);

    /// A refusal with this status.
    pub const fn new(status: NonZeroU32) -> Self {
        Self(status)
    }

    /// The status in the reply.
    pub const fn status(self) -> u32 {
        self.0.get()
    }
}

/// Says hello on fd 1 and serves until the end of the channel, then exits. [`crate::handler!`]
/// calls it after the lockdown.
pub fn run(
    request: &mut [u8],
    reply: &mut [u8],
    answer: impl FnMut(&[u8], &mut [u8]) -> Result<usize, Refusal>,
) -> ! {
    let end = match hello(&mut Stdio) {
        Ok(()) => serve(&mut Stdio, request, reply, answer),
        Err(end) => end,
    };
    sys::exit(end.exit_status())
}

/// Serves a raw channel on fds 0 and 1 until its end, then exits: [`serve_raw`]. To be called after
/// the lockdown.
pub fn run_raw(request: &mut [u8], reply: &mut [u8], answer: impl FnMut(&[u8], &mut [u8])) -> ! {
    sys::exit(serve_raw(&mut Stdio, request, reply, answer).exit_status())
}

/// Answers one framed request after the other.
///
/// Both buffers begin with room for a header, [`HEADER_LEN`] bytes, so that a frame is one piece
/// of memory. `answer` sees the payloads alone: it reads the request, fills in the reply and
/// returns the reply's length. The reply's buffer still holds what the last call left in it.
pub fn serve(
    channel: &mut impl Channel,
    request: &mut [u8],
    reply: &mut [u8],
    mut answer: impl FnMut(&[u8], &mut [u8]) -> Result<usize, Refusal>,
) -> End {
    let mut inbox = Inbox::new(request);
    loop {
        if let Err(end) = serve_one(channel, &mut inbox, reply, &mut answer) {
            return end;
        }
    }
}

fn serve_one(
    channel: &mut impl Channel,
    inbox: &mut Inbox<'_>,
    reply: &mut [u8],
    answer: &mut impl FnMut(&[u8], &mut [u8]) -> Result<usize, Refusal>,
) -> Result<(), End> {
    let request = inbox.receive(channel)?;
    let (header, room) = reply.split_first_chunk_mut().ok_or(End::Bug)?;
    let outcome = match request.payload {
        Some(payload) => answer(payload, room),
        None => Err(Refusal::TOO_LONG),
    };
    let (length, status) = match outcome {
        Ok(length) if length <= room.len() => (length, 0),
        Ok(_) => return Err(End::Bug),
        Err(refusal) => (0, refusal.status()),
    };
    let payload = u32::try_from(length).map_err(|_| End::Bug)?;
    *header = Header::reply(request.id, payload, status).encode();
    write_all(channel, reply.get(..HEADER_LEN + length).ok_or(End::Bug)?)
}

/// Answers one raw request after the other: no frames, no hello, and every request and every reply
/// as long as its buffer.
pub fn serve_raw(
    channel: &mut impl Channel,
    request: &mut [u8],
    reply: &mut [u8],
    mut answer: impl FnMut(&[u8], &mut [u8]),
) -> End {
    loop {
        if let Err(end) = read_all(channel, request) {
            return end;
        }
        answer(request, reply);
        if let Err(end) = write_all(channel, reply) {
            return end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Errno;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    /// A channel that transfers as many bytes at a time as its script says, then as many as asked.
    #[derive(Default)]
    struct Scripted {
        input: VecDeque<u8>,
        output: Vec<u8>,
        pieces: VecDeque<Piece>,
        calls: usize,
    }

    #[derive(Clone, Copy, Debug)]
    enum Piece {
        Upto(usize),
        Interrupted,
        Failure,
    }

    impl Scripted {
        fn new(input: &[u8]) -> Self {
            Self {
                input: input.iter().copied().collect(),
                ..Self::default()
            }
        }

        fn count(&mut self, most: usize) -> Result<usize, Errno> {
            self.calls += 1;
            match self.pieces.pop_front() {
                None => Ok(most),
                Some(Piece::Upto(count)) => Ok(most.min(count)),
                Some(Piece::Interrupted) => Err(Errno::EINTR),
                Some(Piece::Failure) => Err(Errno(5)),
            }
        }
    }

    impl Channel for Scripted {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
            let count = self.count(buffer.len().min(self.input.len()))?;
            for (to, from) in buffer.iter_mut().zip(self.input.drain(..count)) {
                *to = from;
            }
            Ok(count)
        }

        fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
            let count = self.count(bytes.len())?;
            self.output.extend(&bytes[..count]);
            Ok(count)
        }
    }

    const ROOM: usize = 32;

    /// Counts requests, and answers each with its count and its bytes reversed; refuses those
    /// that begin with `!`, and overruns its buffer at `#`.
    fn serve_with_state(channel: &mut Scripted) -> End {
        let mut request = [0; HEADER_LEN + ROOM];
        let mut reply = [0; HEADER_LEN + 1 + ROOM];
        let mut count = 0_u8;
        serve(channel, &mut request, &mut reply, |request, reply| {
            count = count.wrapping_add(1);
            match request.first() {
                Some(b'!') => return Err(Refusal::new(NonZeroU32::MIN)),
                Some(b'#') => return Ok(reply.len() + 1),
                _ => {}
            }
            reply[0] = count;
            for (to, from) in reply[1..].iter_mut().zip(request.iter().rev()) {
                *to = *from;
            }
            Ok(1 + request.len())
        })
    }

    fn request(id: u32, payload: &[u8]) -> Vec<u8> {
        let header = Header::request(id, payload.len() as u32).encode();
        [&header, payload].concat()
    }

    fn reply(id: u32, status: u32, payload: &[u8]) -> Vec<u8> {
        let header = Header::reply(id, payload.len() as u32, status).encode();
        [&header, payload].concat()
    }

    #[test]
    fn a_whole_request_takes_one_read_and_one_write() {
        let mut channel = Scripted::new(&request(7, b"abc"));
        assert_eq!(serve_with_state(&mut channel), End::Closed);
        assert_eq!(channel.output, reply(7, 0, b"\x01cba"));
        // And one read that finds the end.
        assert_eq!(channel.calls, 3);
    }

    #[test]
    fn a_refusal_has_a_status_and_no_payload() {
        let mut channel = Scripted::new(&request(7, b"!"));
        assert_eq!(serve_with_state(&mut channel), End::Closed);
        assert_eq!(channel.output, reply(7, 1, b""));
    }

    #[test]
    fn a_request_too_long_is_refused_and_the_next_one_served() {
        for length in [ROOM + 1, 5 * ROOM + 3] {
            let input = [request(7, &vec![b'x'; length]), request(8, b"y")].concat();
            let mut channel = Scripted::new(&input);
            assert_eq!(serve_with_state(&mut channel), End::Closed);
            let expected = [
                reply(7, Refusal::TOO_LONG.status(), b""),
                reply(8, 0, b"\x01y"),
            ];
            assert_eq!(channel.output, expected.concat());
        }
    }

    #[test]
    fn what_is_no_request_ends_the_handler() {
        let mut stranger = request(1, b"");
        stranger[0] = b'x';
        let mut version = request(1, b"");
        version[3] = 2;
        for bytes in [stranger, version, request(0, b""), reply(1, 1, b"")] {
            let mut channel = Scripted::new(&bytes);
            assert_eq!(serve_with_state(&mut channel), End::Protocol);
            assert_eq!(channel.output, b"");
        }
    }

    #[test]
    fn an_end_or_a_failure_inside_a_request_is_a_broken_channel() {
        let whole = request(1, b"abc");
        let too_long = request(1, &[0; 100]);
        for cut in 1..whole.len() {
            assert_eq!(
                serve_with_state(&mut Scripted::new(&whole[..cut])),
                End::Broken
            );
        }
        assert_eq!(
            serve_with_state(&mut Scripted::new(&too_long[..90])),
            End::Broken
        );
        for good in 0..3 {
            let mut channel = Scripted::new(&whole);
            channel.pieces = vec![Piece::Upto(100); good].into();
            channel.pieces.push_back(Piece::Failure);
            assert_eq!(serve_with_state(&mut channel), End::Broken);
        }
    }

    #[test]
    fn a_reply_that_overruns_its_buffer_is_a_bug() {
        let mut channel = Scripted::new(&request(1, b"#"));
        assert_eq!(serve_with_state(&mut channel), End::Bug);
        assert_eq!(channel.output, b"");
    }

    #[test]
    fn buffers_without_room_for_a_header_end_the_handler() {
        let answer = |_: &[u8], _: &mut [u8]| Ok(0);
        let mut channel = Scripted::new(&request(1, b""));
        assert_eq!(
            serve(&mut channel, &mut [0; 8], &mut [0; 16], answer),
            End::Broken
        );
        let mut channel = Scripted::new(&request(1, b""));
        assert_eq!(
            serve(&mut channel, &mut [0; 16], &mut [0; 8], answer),
            End::Bug
        );
    }

    #[test]
    fn exit_statuses_are_pinned() {
        let ends = [End::Closed, End::Broken, End::Protocol, End::Bug];
        assert_eq!(ends.map(End::exit_status), [0, 1, 2, 101]);
    }

    #[test]
    fn a_raw_channel_without_a_request_size_ends_at_once() {
        let mut channel = Scripted::new(b"abc");
        let end = serve_raw(&mut channel, &mut [], &mut [0], |_, _| {});
        assert_eq!(end, End::Closed);
    }

    fn pieces() -> impl Strategy<Value = VecDeque<Piece>> {
        let piece = prop_oneof![
            4 => (1_usize..40).prop_map(Piece::Upto),
            1 => Just(Piece::Interrupted),
        ];
        proptest::collection::vec(piece, 0..60).prop_map(VecDeque::from)
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            payloads in proptest::collection::vec(
                proptest::collection::vec(b'$'.., 0..3 * ROOM), 0..8),
            pieces in pieces(),
        ) {
            let mut input = Vec::new();
            let mut expected = Vec::new();
            let mut served = 0;
            for (payload, id) in payloads.iter().zip(1..) {
                input.extend(request(id, payload));
                if payload.len() > ROOM {
                    expected.extend(reply(id, Refusal::TOO_LONG.status(), b""));
                } else {
                    served += 1;
                    let mut answer = vec![served];
                    answer.extend(payload.iter().rev());
                    expected.extend(reply(id, 0, &answer));
                }
            }
            let mut channel = Scripted { pieces, ..Scripted::new(&input) };
            prop_assert_eq!(serve_with_state(&mut channel), End::Closed);
            prop_assert_eq!(channel.output, expected);
        }

        #[test]
        fn pieces_make_no_difference_on_a_raw_channel(
            input in proptest::collection::vec(any::<u8>(), 0..200),
            pieces in pieces(),
        ) {
            let mut channel = Scripted { pieces, ..Scripted::new(&input) };
            let end = serve_raw(&mut channel, &mut [0; 5], &mut [0; 11], |request, reply| {
                reply[..5].copy_from_slice(request);
                reply[6..].copy_from_slice(request);
            });
            let (requests, rest) = input.as_chunks::<5>();
            prop_assert_eq!(end, if rest.is_empty() { End::Closed } else { End::Broken });
            let expected: Vec<u8> = requests
                .iter()
                .flat_map(|request| [request, &[0][..], request].concat())
                .collect();
            prop_assert_eq!(channel.output, expected);
        }

        #[test]
        fn no_bytes_make_it_panic(input in proptest::collection::vec(any::<u8>(), 0..200)) {
            serve_with_state(&mut Scripted::new(&input));
        }
    }
}
