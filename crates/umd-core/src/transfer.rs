// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far one request and its reply have come, byte by byte, between a caller and a handler that
//! cannot be trusted to keep any rule.
//!
//! A [`Transfer`] belongs to one process and sees all that happens on its channel: what the caller
//! [submits](Transfer::submit), what the handler [reads](Transfer::outgoing) and
//! [writes](Transfer::incoming), its death, the deadline, the unload. Of these exactly one decides
//! how a request ends; whatever comes later changes nothing. It holds no buffer: it tells its host
//! which bytes to copy, and never more than fit.
//!
//! The host calls every method with the same lock held, and kills the process when a method says
//! so, after it has let go of the lock.

use crate::error::{LockdownCheck, Seen, Violation};
use crate::frame::{FrameError, HEADER_LEN, HELLO_ID, Header};
use crate::policy::{Framing, Instant};
use core::num::NonZeroU32;

/// Why a process will not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It closed its channel or died.
    Died(Seen),
    /// The deadline passed.
    TimedOut(Seen),
    /// It broke the rules of the wire.
    Broken(Violation, Seen),
    /// It had not given up what it must.
    Lockdown(LockdownCheck),
    /// It is not wanted any more: restart or unload.
    Aborted(Seen),
}

/// A complete answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This many bytes are in the caller's buffer.
    Reply(usize),
    /// The handler's own refusal.
    Rejected(NonZeroU32),
}

/// Bytes that the handler may read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// `header[from..]`, of which `len` bytes fit.
    Header {
        /// The whole header.
        header: [u8; HEADER_LEN],
        /// The first byte to copy.
        from: usize,
        /// How many bytes to copy.
        len: usize,
    },
    /// This part of the caller's request.
    Payload {
        /// Offset in the request.
        offset: usize,
        /// How many bytes to copy.
        len: usize,
    },
    /// Zeros: the caller is gone, and took the request along.
    Filler {
        /// How many bytes to clear.
        len: usize,
    },
    /// Nothing yet: the handler waits.
    Nothing,
    /// Nothing any more: end of file.
    Closed,
}

/// Where the bytes that the handler writes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// Into a header: pass up to `len` bytes to [`Transfer::header`].
    Header {
        /// How many bytes are missing.
        len: usize,
    },
    /// Into this part of the caller's buffer; then [`Transfer::received`].
    Payload {
        /// Offset in the caller's buffer.
        offset: usize,
        /// How many bytes to copy.
        len: usize,
    },
    /// Nowhere: the caller is gone. Skip them, then [`Transfer::received`].
    Discard {
        /// How many bytes to skip.
        len: usize,
    },
    /// Into the host's own store, as far as there is room: nobody waits for them yet. (Streams only.)
    Keep,
    /// Nowhere: the handler broke a rule, and must be killed.
    Kill,
    /// Nowhere: the channel is closed.
    Closed,
}

/// What the bytes that a handler just wrote brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are missing.
    More,
    /// A good hello is complete. The host checks the task, then calls [`Transfer::admit`] or
    /// [`Transfer::fail`].
    Hello,
    /// The answer is complete: wake the caller.
    Answered,
    /// The answer is complete and nobody wants it: the worker is free again.
    Drained(Answer),
    /// The handler broke a rule: kill it, and wake the caller.
    Kill,
}

/// How much of a reply a caller wants, where no header tells its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The buffer full.
    All,
    /// What comes first.
    Any,
}

/// Where a reply goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes in the caller's buffer.
    pub capacity: usize,
    /// How many of them are filled already, with what the host had kept.
    pub filled: usize,
    /// How many it takes.
    pub wanted: Wanted,
}

impl Room {
    /// For a buffer of `capacity` bytes, which the reply is to fill where it has no length of its own.
    pub const fn all(capacity: usize) -> Self {
        Self {
            capacity,
            filled: 0,
            wanted: Wanted::All,
        }
    }
}

/// What a deadline's timer finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// Nobody waits for anything.
    Nothing,
    /// The deadline is at this instant.
    At(Instant),
    /// It has passed: kill the handler, and wake the caller.
    Expired,
}

/// What becomes of a request whose caller does not wait any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawn {
    /// The handler had read nothing, or had answered already: it is free again.
    Free,
    /// The handler works on it; it is free when it has answered ([`Progress::Drained`]), or dies
    /// at the deadline.
    Draining,
    /// The handler is done for, for this reason.
    Ended(Ended),
}

/// A header of which some bytes have come.
#[derive(Clone, Copy, Debug)]
struct Partial {
    bytes: [u8; HEADER_LEN],
    got: usize,
}

impl Partial {
    const EMPTY: Self = Self {
        bytes: [0; HEADER_LEN],
        got: 0,
    };

    const fn missing(&self) -> usize {
        HEADER_LEN.saturating_sub(self.got)
    }

    fn push(&mut self, input: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.got).zip(input) {
            *to = *from;
            self.got = self.got.saturating_add(1);
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Active {
    request: Header,
    /// Bytes of header (framed) and payload that the handler has read.
    sent: usize,
    capacity: usize,
    header: Partial,
    /// With how many bytes the reply is complete. Known when the header is; from the beginning where there
    /// is none.
    enough: Option<usize>,
    received: usize,
    deadline: Instant,
    /// The caller is there, and so are its buffers.
    attended: bool,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// No hello yet. (Framed only.)
    Hello {
        header: Partial,
        deadline: Instant,
    },
    /// The hello is complete and the host checks the task.
    Checking {
        deadline: Instant,
    },
    Idle,
    Active(Active),
    /// Waiting for the caller to collect. What came after does not touch the answer.
    Answered {
        answer: Answer,
        ended: Option<Ended>,
    },
    Ended(Ended),
}

/// The progress of one process's channel. See the [module](self).
#[derive(Debug)]
pub struct Transfer {
    framing: Framing,
    stage: Stage,
}

impl Transfer {
    /// The channel of a process that is about to start. A framed one has until `deadline` to say
    /// hello; a raw one is ready at once.
    pub const fn new(framing: Framing, deadline: Instant) -> Self {
        let stage = match framing {
            Framing::Framed => Stage::Hello {
                header: Partial::EMPTY,
                deadline,
            },
            Framing::Raw | Framing::Stream => Stage::Idle,
        };
        Self { framing, stage }
    }

    /// Has the start ended, and how?
    pub const fn start_result(&self) -> Option<Result<(), Ended>> {
        match self.stage {
            Stage::Hello { .. } | Stage::Checking { .. } => None,
            Stage::Idle | Stage::Active(_) | Stage::Answered { ended: None, .. } => Some(Ok(())),
            Stage::Ended(ended)
            | Stage::Answered {
                ended: Some(ended), ..
            } => Some(Err(ended)),
        }
    }

    /// Why the channel is closed, once it is: no byte passes any more.
    pub const fn ended(&self) -> Option<Ended> {
        match self.stage {
            Stage::Ended(ended)
            | Stage::Answered {
                ended: Some(ended), ..
            } => Some(ended),
            _ => None,
        }
    }

    /// The task that said hello was checked and locked down.
    pub const fn admit(&mut self) {
        if let Stage::Checking { .. } = self.stage {
            self.stage = Stage::Idle;
        }
    }

    /// The process is done for, for this reason, unless that has been decided already. True where
    /// it is news, and a caller may have to be woken.
    pub const fn fail(&mut self, ended: Ended) -> bool {
        match self.stage {
            Stage::Ended(_) | Stage::Answered { ended: Some(_), .. } => false,
            Stage::Answered {
                answer,
                ended: None,
            } => {
                self.stage = Stage::Answered {
                    answer,
                    ended: Some(ended),
                };
                true
            }
            Stage::Hello { .. } | Stage::Checking { .. } | Stage::Idle | Stage::Active(_) => {
                self.stage = Stage::Ended(ended);
                true
            }
        }
    }

    /// The handler closed its last descriptor, or died. True where that is news.
    pub const fn close(&mut self) -> bool {
        let seen = self.seen();
        self.fail(Ended::Died(seen))
    }

    /// The process is not wanted any more. True where that is news.
    pub const fn abort(&mut self) -> bool {
        let seen = self.seen();
        self.fail(Ended::Aborted(seen))
    }

    /// A caller's request. The host keeps the caller's buffers until the answer is collected or
    /// the request withdrawn. Without frames the reply has `capacity` bytes, or what [`Wanted`] says; and the exchange is complete no sooner than the request has been read.
    ///
    /// Fails where the process has ended, or was not idle, which a host that goes by the lifecycle
    /// never tries.
    pub const fn submit(
        &mut self,
        id: NonZeroU32,
        request_len: u32,
        reply: Room,
        deadline: Instant,
    ) -> Result<(), Ended> {
        match self.stage {
            Stage::Idle => {}
            // However it ended: of this request it has read nothing.
            Stage::Ended(Ended::Aborted(_)) => return Err(Ended::Aborted(Seen::Unread)),
            Stage::Ended(_) => return Err(Ended::Died(Seen::Unread)),
            _ => return Err(Ended::Aborted(Seen::Unread)),
        }
        self.stage = Stage::Active(Active {
            request: Header::request(id.get(), request_len),
            sent: 0,
            capacity: reply.capacity,
            header: Partial::EMPTY,
            enough: match (self.framing, reply.wanted) {
                (Framing::Framed, _) => None,
                (_, Wanted::All) => Some(reply.capacity),
                (_, Wanted::Any) if reply.capacity == 0 => Some(0),
                (_, Wanted::Any) => Some(1),
            },
            received: reply.filled,
            deadline,
            attended: true,
        });
        self.complete();
        Ok(())
    }

    /// Does a read not have to wait? So says [`outgoing`](Self::outgoing) too, at a higher price.
    pub fn is_readable(&self) -> bool {
        match &self.stage {
            Stage::Active(active) => active.sent < self.frame_len(active),
            Stage::Ended(_) | Stage::Answered { ended: Some(_), .. } => true,
            Stage::Hello { .. }
            | Stage::Checking { .. }
            | Stage::Idle
            | Stage::Answered { ended: None, .. } => false,
        }
    }

    /// What the handler, which has room for `max` bytes, reads now.
    pub fn outgoing(&self, max: usize) -> Outgoing {
        let active = match &self.stage {
            Stage::Active(active) => active,
            Stage::Ended(_) | Stage::Answered { ended: Some(_), .. } => return Outgoing::Closed,
            Stage::Hello { .. }
            | Stage::Checking { .. }
            | Stage::Idle
            | Stage::Answered { ended: None, .. } => return Outgoing::Nothing,
        };
        let head = self.head();
        if active.sent < head {
            return Outgoing::Header {
                header: active.request.encode(),
                from: active.sent,
                len: max.min(head.saturating_sub(active.sent)),
            };
        }
        let offset = active.sent.saturating_sub(head);
        let len = max.min((active.request.length as usize).saturating_sub(offset));
        if len == 0 {
            Outgoing::Nothing
        } else if active.attended {
            Outgoing::Payload { offset, len }
        } else {
            Outgoing::Filler { len }
        }
    }

    /// The handler has read `len` bytes of what [`Transfer::outgoing`] offered.
    pub const fn sent(&mut self, len: usize) -> Progress {
        if let Stage::Active(active) = &mut self.stage {
            active.sent = active.sent.saturating_add(len);
        }
        self.complete()
    }

    /// Where the first of the `max` bytes go that the handler writes now.
    pub fn incoming(&mut self, max: usize) -> Incoming {
        let all_sent = self.all_sent();
        let violation = match &self.stage {
            Stage::Hello { header, .. } => {
                return Incoming::Header {
                    len: max.min(header.missing()),
                };
            }
            Stage::Active(active) => match active.enough {
                None if !all_sent => Violation::Early,
                None => {
                    return Incoming::Header {
                        len: max.min(active.header.missing()),
                    };
                }
                // Who answers before he has read a byte answers something else.
                Some(1..) if active.sent == 0 && active.request.length > 0 => Violation::Early,
                Some(_) if active.received >= self.room(active) => match self.framing {
                    Framing::Stream => return Incoming::Keep,
                    Framing::Framed | Framing::Raw => Violation::Unasked,
                },
                Some(_) => {
                    let offset = active.received;
                    let len = max.min(self.room(active).saturating_sub(offset));
                    return if active.attended {
                        Incoming::Payload { offset, len }
                    } else {
                        Incoming::Discard { len }
                    };
                }
            },
            Stage::Idle | Stage::Answered { ended: None, .. }
                if self.framing == Framing::Stream =>
            {
                return Incoming::Keep;
            }
            Stage::Checking { .. } | Stage::Idle | Stage::Answered { ended: None, .. } => {
                Violation::Unasked
            }
            Stage::Ended(_) | Stage::Answered { ended: Some(_), .. } => return Incoming::Closed,
        };
        self.broken(violation);
        Incoming::Kill
    }

    /// The handler wrote these bytes, which [`Transfer::incoming`] sent here.
    pub fn header(&mut self, bytes: &[u8]) -> Progress {
        match &mut self.stage {
            Stage::Hello { header, deadline } => {
                let deadline = *deadline;
                header.push(bytes);
                if header.missing() > 0 {
                    return Progress::More;
                }
                let violation = match Header::decode(&header.bytes) {
                    Err(FrameError::Magic) => Violation::Magic,
                    Err(FrameError::Version(_)) => Violation::Version,
                    Ok(hello) if hello == Header::hello() => {
                        self.stage = Stage::Checking { deadline };
                        return Progress::Hello;
                    }
                    Ok(_) => Violation::Hello,
                };
                self.broken(violation)
            }
            Stage::Active(active) => {
                active.header.push(bytes);
                if active.header.missing() > 0 {
                    return Progress::More;
                }
                let reply = match Header::decode(&active.header.bytes) {
                    Err(FrameError::Magic) => return self.broken(Violation::Magic),
                    Err(FrameError::Version(_)) => return self.broken(Violation::Version),
                    Ok(reply) => reply,
                };
                let length = reply.length as usize;
                if reply.id != active.request.id || reply.id == HELLO_ID {
                    return self.broken(Violation::Id);
                }
                if let Some(status) = NonZeroU32::new(reply.status) {
                    return if length == 0 {
                        self.answered(Answer::Rejected(status))
                    } else {
                        self.broken(Violation::Refusal)
                    };
                }
                if length > active.capacity {
                    return self.broken(Violation::TooLong);
                }
                active.enough = Some(length);
                self.complete()
            }
            _ => Progress::More,
        }
    }

    /// The handler wrote `len` bytes of payload.
    pub fn received(&mut self, len: usize) -> Progress {
        if let Stage::Active(active) = &mut self.stage {
            active.received = active.received.saturating_add(len);
        }
        self.complete()
    }

    /// The handler has left bytes behind that nobody asked for: it is done for, and what comes next is
    /// unread by it. For hosts that [kept](Incoming::Keep) such bytes. True where that is news.
    pub const fn left_over(&mut self) -> bool {
        self.fail(Ended::Broken(Violation::Unasked, Seen::Unread))
    }

    /// Does the handler work on a request that was withdrawn?
    pub const fn is_draining(&self) -> bool {
        matches!(
            self.stage,
            Stage::Active(Active {
                attended: false,
                ..
            })
        )
    }

    /// Is there something to [`collect`](Self::collect)?
    pub const fn has_result(&self) -> bool {
        matches!(self.stage, Stage::Answered { .. } | Stage::Ended(_))
    }

    /// The result, once there is one: an answer once, an end as often as it is asked for. From then on the
    /// caller's buffers are its own again.
    pub const fn collect(&mut self) -> Option<Result<Answer, Ended>> {
        match self.stage {
            Stage::Answered { answer, ended } => {
                self.stage = match ended {
                    None => Stage::Idle,
                    Some(ended) => Stage::Ended(ended),
                };
                Some(Ok(answer))
            }
            Stage::Ended(ended) => Some(Err(ended)),
            Stage::Hello { .. } | Stage::Checking { .. } | Stage::Idle | Stage::Active(_) => None,
        }
    }

    /// The caller does not wait any longer, and its buffers must not be touched any more.
    pub const fn withdraw(&mut self) -> Withdrawn {
        match &mut self.stage {
            Stage::Active(active) => {
                if active.sent == 0 && active.received == 0 {
                    self.stage = Stage::Idle;
                    return Withdrawn::Free;
                }
                active.attended = false;
                Withdrawn::Draining
            }
            Stage::Answered { ended: None, .. } => {
                self.stage = Stage::Idle;
                Withdrawn::Free
            }
            Stage::Answered {
                ended: Some(ended), ..
            } => {
                let ended = *ended;
                self.stage = Stage::Ended(ended);
                Withdrawn::Ended(ended)
            }
            Stage::Ended(ended) => Withdrawn::Ended(*ended),
            Stage::Hello { .. } | Stage::Checking { .. } | Stage::Idle => Withdrawn::Free,
        }
    }

    /// The timer looks at the clock.
    pub fn tick(&mut self, now: Instant) -> Tick {
        let deadline = match &self.stage {
            Stage::Hello { deadline, .. } | Stage::Checking { deadline } => *deadline,
            Stage::Active(active) => active.deadline,
            _ => return Tick::Nothing,
        };
        if now < deadline {
            return Tick::At(deadline);
        }
        let seen = self.seen();
        self.fail(Ended::TimedOut(seen));
        Tick::Expired
    }

    /// Has the handler read any byte of the request that it has?
    const fn seen(&self) -> Seen {
        match &self.stage {
            Stage::Active(active) if active.sent > 0 => Seen::Read,
            _ => Seen::Unread,
        }
    }

    const fn head(&self) -> usize {
        match self.framing {
            Framing::Framed => HEADER_LEN,
            Framing::Raw | Framing::Stream => 0,
        }
    }

    const fn frame_len(&self, active: &Active) -> usize {
        self.head().saturating_add(active.request.length as usize)
    }

    fn all_sent(&self) -> bool {
        match &self.stage {
            Stage::Active(active) => active.sent >= self.frame_len(active),
            _ => false,
        }
    }

    const fn broken(&mut self, violation: Violation) -> Progress {
        let seen = self.seen();
        self.fail(Ended::Broken(violation, seen));
        Progress::Kill
    }

    /// How many bytes of the reply the caller's buffer takes.
    const fn room(&self, active: &Active) -> usize {
        match (self.framing, active.enough) {
            (Framing::Framed, Some(length)) => length,
            _ => active.capacity,
        }
    }

    /// Is the exchange over?
    const fn complete(&mut self) -> Progress {
        let Stage::Active(active) = &self.stage else {
            return Progress::More;
        };
        match active.enough {
            Some(enough) if active.received >= enough && active.sent >= self.frame_len(active) => {
                let received = active.received;
                self.answered(Answer::Reply(received))
            }
            _ => Progress::More,
        }
    }

    const fn answered(&mut self, answer: Answer) -> Progress {
        match &self.stage {
            Stage::Active(active) if !active.attended => {
                self.stage = Stage::Idle;
                Progress::Drained(answer)
            }
            _ => {
                self.stage = Stage::Answered {
                    answer,
                    ended: None,
                };
                Progress::Answered
            }
        }
    }
}
