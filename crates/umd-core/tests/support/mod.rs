// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a host does with the bytes on a channel, in memory: it copies what a [`Transfer`] tells it
//! to copy, and fails the test when that would leave one of the two buffers.

use core::num::NonZeroU32;
use umd_core::policy::{Framing, Instant, Span};
use umd_core::transfer::{
    Answer, Ended, Incoming, Outgoing, Progress, Room, Tick, Transfer, Withdrawn,
};

/// The instant this many milliseconds after the clock's beginning.
pub(crate) fn at(millis: u64) -> Instant {
    Instant::ZERO.after(Span::from_millis(millis))
}

/// What a handler's `read` brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Bytes(Vec<u8>),
    /// It sleeps.
    Nothing,
    EndOfFile,
}

/// What a handler's `write` leads to, beyond bytes that are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Hello,
    Answered,
    Drained(Answer),
    Kill,
    /// The channel is closed: the write fails.
    Closed,
}

/// A caller's two buffers. Gone with the caller.
struct Caller {
    request: Vec<u8>,
    reply: Vec<u8>,
}

/// One process's channel.
pub(crate) struct Channel {
    pub(crate) transfer: Transfer,
    caller: Option<Caller>,
    /// What a stream's host keeps of bytes that nobody asked for.
    pub(crate) kept: Vec<u8>,
    /// How many bytes of the present request, or of what stands for it, the handler has read.
    pub(crate) taken: usize,
    /// What reads have led to.
    pub(crate) events: Vec<Event>,
}

impl Channel {
    pub(crate) fn new(framing: Framing, deadline: Instant) -> Self {
        Self {
            transfer: Transfer::new(framing, deadline),
            caller: None,
            kept: Vec::new(),
            taken: 0,
            events: Vec::new(),
        }
    }

    /// The caller hands over its request, and a reply buffer of `capacity` bytes.
    pub(crate) fn submit(
        &mut self,
        id: u32,
        request: &[u8],
        capacity: usize,
        deadline: Instant,
    ) -> Result<(), Ended> {
        self.submit_for(id, request, Room::all(capacity), deadline)
    }

    /// The same where the caller says how much of a reply it wants.
    pub(crate) fn submit_for(
        &mut self,
        id: u32,
        request: &[u8],
        room: Room,
        deadline: Instant,
    ) -> Result<(), Ended> {
        let id = NonZeroU32::new(id).expect("requests count from 1");
        let length = u32::try_from(request.len()).expect("tests send little");
        self.transfer.submit(id, length, room, deadline)?;
        let mut reply = vec![0; room.capacity];
        self.taken = 0;
        reply[..room.filled].copy_from_slice(&self.kept[..room.filled]);
        self.kept.drain(..room.filled);
        self.caller = Some(Caller {
            request: request.to_vec(),
            reply,
        });
        Ok(())
    }

    /// The handler reads with room for `max` bytes.
    pub(crate) fn read(&mut self, max: usize) -> Read {
        let bytes = match self.transfer.outgoing(max) {
            Outgoing::Header { header, from, len } => header[from..from + len].to_vec(),
            Outgoing::Payload { offset, len } => {
                let caller = self.caller.as_ref().expect("request read after the caller");
                caller.request[offset..offset + len].to_vec()
            }
            Outgoing::Filler { len } => vec![0; len],
            Outgoing::Nothing => return Read::Nothing,
            Outgoing::Closed => return Read::EndOfFile,
        };
        assert!(!bytes.is_empty() && bytes.len() <= max);
        self.taken += bytes.len();
        match self.transfer.sent(bytes.len()) {
            Progress::More => {}
            Progress::Answered => self.events.push(Event::Answered),
            Progress::Drained(answer) => self.events.push(Event::Drained(answer)),
            other => panic!("a read led to {other:?}"),
        }
        Read::Bytes(bytes)
    }

    /// The handler writes all of `bytes`.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        while !bytes.is_empty() {
            let (taken, progress) = match self.transfer.incoming(bytes.len()) {
                Incoming::Header { len } => (len, self.transfer.header(&bytes[..len])),
                Incoming::Payload { offset, len } => {
                    let caller = self.caller.as_mut().expect("reply stored after the caller");
                    caller.reply[offset..offset + len].copy_from_slice(&bytes[..len]);
                    (len, self.transfer.received(len))
                }
                Incoming::Discard { len } => (len, self.transfer.received(len)),
                Incoming::Keep => {
                    self.kept.extend(bytes);
                    return events;
                }
                Incoming::Kill => {
                    events.push(Event::Kill);
                    return events;
                }
                Incoming::Closed => {
                    events.push(Event::Closed);
                    return events;
                }
            };
            bytes = &bytes[taken..];
            match progress {
                Progress::More => assert!(taken > 0, "a write that never ends"),
                Progress::Hello => events.push(Event::Hello),
                Progress::Answered => events.push(Event::Answered),
                Progress::Drained(answer) => events.push(Event::Drained(answer)),
                Progress::Kill => {
                    events.push(Event::Kill);
                    return events;
                }
            }
        }
        events
    }

    /// The caller takes its result, and its buffers.
    pub(crate) fn collect(&mut self) -> Option<Result<(Answer, Vec<u8>), Ended>> {
        let result = self.transfer.collect()?;
        let buffers = self.caller.take();
        Some(result.map(|answer| {
            let mut reply = buffers.expect("answer without a caller").reply;
            if let Answer::Reply(length) = answer {
                assert!(length <= reply.len(), "reply longer than its buffer");
                reply.truncate(length);
            }
            (answer, reply)
        }))
    }

    /// The caller goes away, and takes its buffers along.
    pub(crate) fn withdraw(&mut self) -> Withdrawn {
        self.caller = None;
        self.transfer.withdraw()
    }

    /// The timer fires at `now`: has the handler to be killed?
    pub(crate) fn expires(&mut self, now: Instant) -> bool {
        self.transfer.tick(now) == Tick::Expired
    }

    /// Reads until there is nothing more to read now, `chunk` bytes at a time.
    pub(crate) fn read_all(&mut self, chunk: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while let Read::Bytes(bytes) = self.read(chunk) {
            all.extend(bytes);
        }
        all
    }
}
