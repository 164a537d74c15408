// SPDX-License-Identifier: MIT OR Apache-2.0
//! A handler that keeps no rule against a host that keeps all, act by act, and what must hold after each.

use crate::support::{Channel, Event, Read, at};
use umd_core::frame::{HEADER_LEN, Header};
use umd_core::policy::{Framing, Instant};
use umd_core::transfer::{Answer, Incoming, Outgoing, Room, Tick, Wanted};

/// One act of either side.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// The handler reads with room for this many bytes.
    Read(usize),
    /// The handler writes these bytes.
    Write(Vec<u8>),
    /// The handler writes a frame, rightly named or not.
    Frame {
        right_id: bool,
        len: usize,
        status: u32,
    },
    /// The handler writes the hello.
    Hello,
    /// The handler does all that is asked of it.
    Behave,
    Close,
    /// The host's side.
    Admit,
    Submit {
        len: usize,
        capacity: usize,
        /// Of a reply without a header, what comes first is enough.
        any: bool,
    },
    Collect,
    Withdraw,
    Abort,
    Pass(u64),
}

/// A whole reply frame.
pub(crate) fn reply(id: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Header::reply(id, payload.len() as u32, 0).encode().to_vec();
    bytes.extend(payload);
    bytes
}

/// What the handler has read and written of the exchange under way, as it knows it itself.
#[derive(Default)]
struct Record {
    id: u32,
    request: usize,
    capacity: usize,
    /// What a stream had kept, and the exchange began with.
    filled: Vec<u8>,
    read: usize,
    written: Vec<u8>,
}

impl Record {
    /// An answer is complete. Was it one, to this request, after all of that was read?
    fn check(&self, framing: Framing, answer: Answer) {
        let head = match framing {
            Framing::Framed => HEADER_LEN,
            Framing::Raw | Framing::Stream => 0,
        };
        assert_eq!(self.read, head + self.request, "answered, and not read");
        match (framing, answer) {
            (Framing::Framed, answer) => {
                let header = self.written.first_chunk().expect("an answer has a header");
                let header = Header::decode(header).expect("a good one");
                assert_eq!(header.id, self.id, "an answer to another request");
                let length = match answer {
                    Answer::Reply(length) => length,
                    Answer::Rejected(_) => 0,
                };
                assert_eq!(header.status != 0, matches!(answer, Answer::Rejected(_)));
                assert_eq!(header.length as usize, length);
                assert!(length <= self.capacity && self.written.len() >= HEADER_LEN + length);
            }
            (_, Answer::Reply(length)) => {
                assert!(length <= self.capacity);
                assert!(self.filled.len() + self.written.len() >= length);
            }
            (_, Answer::Rejected(_)) => panic!("a refusal without a header"),
        }
    }

    /// The bytes that an answer of this length brings.
    fn payload(&self, framing: Framing, length: usize) -> Vec<u8> {
        let bytes = match framing {
            Framing::Framed => self.written[HEADER_LEN..].to_vec(),
            Framing::Raw | Framing::Stream => [&self.filled[..], &self.written].concat(),
        };
        bytes[..length].to_vec()
    }
}

/// Plays the acts. `Channel` fails the test where a copy would leave a buffer, or touch one that
/// has gone with its caller.
pub(crate) fn play(framing: Framing, admitted: bool, acts: &[Act]) {
    let mut channel = Channel::new(framing, at(20));
    let mut now = 0;
    let mut record = Record::default();
    // A caller waits for a result.
    let mut waits = false;
    // The caller has been woken: there is one.
    let mut woken = false;
    let mut ended = None;
    if admitted && framing == Framing::Framed {
        channel.write(&Header::hello().encode());
        channel.transfer.admit();
    }
    for act in acts {
        let events = match act {
            Act::Read(max) => {
                if let Read::Bytes(bytes) = channel.read(*max) {
                    record.read += bytes.len();
                }
                core::mem::take(&mut channel.events)
            }
            Act::Write(bytes) => {
                record.written.extend(bytes);
                channel.write(bytes)
            }
            Act::Frame {
                right_id,
                len,
                status,
            } => {
                let answered = record.id + u32::from(!*right_id);
                let mut bytes = Header::reply(answered, *len as u32, *status)
                    .encode()
                    .to_vec();
                bytes.extend((0..*len).map(|n| 0x5a ^ n as u8));
                record.written.extend(&bytes);
                channel.write(&bytes)
            }
            Act::Hello => {
                let hello = Header::hello().encode();
                record.written.extend(hello);
                channel.write(&hello)
            }
            Act::Behave => {
                let request = channel.read_all(9);
                record.read += request.len();
                let mut events = core::mem::take(&mut channel.events);
                if !request.is_empty() && events.is_empty() {
                    let payload = vec![1; record.capacity];
                    let bytes = match framing {
                        Framing::Framed => reply(record.id, &payload),
                        Framing::Raw | Framing::Stream => payload,
                    };
                    record.written.extend(&bytes);
                    events = channel.write(&bytes);
                }
                events
            }
            Act::Close => {
                woken |= channel.transfer.close();
                vec![]
            }
            Act::Admit => {
                channel.transfer.admit();
                vec![]
            }
            Act::Submit { len, capacity, any } => {
                let (len, capacity) = (*len, *capacity);
                if framing == Framing::Stream && len > 0 && capacity > 0 && !channel.kept.is_empty()
                {
                    // What was kept answers something else.
                    woken |= channel.transfer.left_over();
                } else if !waits {
                    let filled = match (framing, len, channel.transfer.ended()) {
                        (Framing::Stream, 0, None) => capacity.min(channel.kept.len()),
                        _ => 0,
                    };
                    let room = Room {
                        capacity,
                        filled,
                        wanted: if *any { Wanted::Any } else { Wanted::All },
                    };
                    let next = Record {
                        id: record.id + 1,
                        request: len,
                        capacity,
                        filled: channel.kept[..filled].to_vec(),
                        ..Record::default()
                    };
                    let request = vec![0xa5; len];
                    if channel
                        .submit_for(next.id, &request, room, at(now + 20))
                        .is_ok()
                    {
                        record = next;
                        waits = true;
                        // Without a byte either way there is nothing to wait for.
                        woken = channel.transfer.has_result();
                        let enough = if *any { capacity.min(1) } else { capacity };
                        assert!(
                            !woken || (framing != Framing::Framed && len == 0 && filled >= enough)
                        );
                    }
                }
                vec![]
            }
            Act::Collect => {
                let announced = channel.transfer.has_result();
                let result = channel.collect();
                assert_eq!(result.is_some(), announced);
                if waits {
                    // Whoever is woken finds a result, and whoever is not finds none.
                    assert_eq!(result.is_some(), woken);
                    waits = result.is_none();
                    if let Some(Ok((answer, bytes))) = result {
                        record.check(framing, answer);
                        if let Answer::Reply(length) = answer {
                            assert_eq!(bytes, record.payload(framing, length));
                        }
                    }
                } else {
                    assert!(!matches!(result, Some(Ok(_))), "a second answer");
                }
                vec![]
            }
            Act::Withdraw => {
                channel.withdraw();
                waits = false;
                vec![]
            }
            Act::Abort => {
                woken |= channel.transfer.abort();
                vec![]
            }
            Act::Pass(millis) => {
                now += millis;
                woken |= channel.expires(at(now));
                vec![]
            }
        };
        for event in events {
            match event {
                Event::Answered => {
                    assert!(waits && !woken, "an answer for nobody");
                    woken = true;
                }
                Event::Drained(answer) => {
                    assert!(!waits, "the caller's answer was thrown away");
                    record.check(framing, answer);
                }
                Event::Kill => {
                    assert!(channel.transfer.ended().is_some());
                    woken = true;
                }
                Event::Hello => assert!(!waits),
                Event::Closed => assert!(ended.is_some()),
            }
        }
        if ended.is_some() {
            assert_eq!(channel.transfer.ended(), ended, "closed is closed");
            assert_eq!(channel.transfer.outgoing(1), Outgoing::Closed);
            assert_eq!(channel.transfer.incoming(1), Incoming::Closed);
            assert_eq!(channel.transfer.tick(Instant::NEVER), Tick::Nothing);
        }
        ended = channel.transfer.ended();
    }
    // Every wait ends: at the latest at the deadline.
    if waits && !woken {
        assert!(channel.expires(at(now + 20)));
    }
    if waits {
        assert!(channel.collect().is_some());
    }
}
