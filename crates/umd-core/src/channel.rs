// SPDX-License-Identifier: MIT OR Apache-2.0
//! One process's channel, and all who meet there: callers, the handler, the deadline's timer, and whoever
//! ends the process. What is said in which order, who is woken when, and who kills.
//!
//! They meet under one lock, which covers the [`State`] and the caller's buffers. Bytes are
//! copied under it in bounded pieces and without waiting for any; what is out of reach is fetched
//! without it. So nobody waits for the handler's memory but the handler.
//!
//! | rule | why |
//! | --- | --- |
//! | change, then publish, then let go of the lock, then wake | whoever is woken looks at a flag, without the lock |
//! | decide first, then kill | the death that follows finds the matter decided |
//! | the timer is set under the lock | two who set it cannot leave it at the later of the two instants |
//! | whoever gives up his turn wakes the next | and so does an answer that nobody waited for |

use crate::error::{Errno, LockdownCheck, Seen, StartError, Violation};
use crate::frame::HEADER_LEN;
use crate::host::{Flag, HandlerBytes, Interrupted, Lending, Lent, Lost, Peer, Queue};
use crate::policy::{Framing, Instant};
use crate::ring::{PIPE_CAPACITY, Ring};
use crate::transfer::{
    Answer, Ended, Incoming, Outgoing, Progress, Room, Tick, Transfer, Wanted, Withdrawn,
};
use core::cell::Cell;
use core::num::NonZeroU32;
use core::ops::DerefMut;

/// Most bytes that are copied at a time with the lock held.
pub const PIECE: usize = 16 * 1024;

/// What is under the channel's lock.
#[derive(Debug)]
pub struct State<B> {
    transfer: Transfer,
    /// When the timer will look; it is started again only for something earlier.
    armed: Option<Instant>,
    last_id: u32,
    /// What the owner of a stream wrote ahead: the handler reads it first.
    ahead: Ring<B>,
    /// What the handler of a stream wrote, and nobody wanted yet.
    kept: Ring<B>,
    /// The ends of a stream that its owner has closed.
    closed: Closed,
}

/// Which of its two files the owner of a stream has closed.
#[derive(Clone, Copy, Debug, Default)]
struct Closed {
    to: bool,
    from: bool,
}

/// One of the two files through which the owner of a stream reaches the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The one that it writes to.
    To,
    /// The one that it reads from.
    From,
}

/// What the handler can do without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// A read brings something, the end included.
    pub readable: bool,
    /// A write takes something, or says that nothing will.
    pub writable: bool,
    /// No byte passes any more.
    pub hung_up: bool,
}

/// One process's channel.
#[derive(Debug)]
pub struct Channel<P: Peer> {
    framing: Framing,
    state: P::Lock,
    /// Somebody has his turn at the stream.
    taken: P::Flag,
    /// The handler still works on a request whose caller is gone, as [`Channel::with`] last saw it: nobody has
    /// his turn.
    draining: P::Flag,
    /// What those who sleep wait for, as [`Channel::with`] last saw it.
    answered: P::Flag,
    readable: P::Flag,
    writable: P::Flag,
}

type Guard<'l, P> =
    <<P as Peer>::Lock as Lending<State<<P as Peer>::Buffer>, <P as Peer>::Bytes>>::Guard<'l>;

impl<B: DerefMut<Target = [u8]>> State<B> {
    /// That of a process that is about to start. A framed one has until `deadline` to say hello.
    pub const fn new(framing: Framing, deadline: Instant) -> Self {
        Self {
            transfer: Transfer::new(framing, deadline),
            armed: None,
            last_id: 0,
            ahead: Ring::new(),
            kept: Ring::new(),
            closed: Closed {
                to: false,
                from: false,
            },
        }
    }

    /// Will nobody ever read what is kept?
    fn is_deaf(&self) -> bool {
        self.closed.from || self.transfer.ended().is_some()
    }
}

impl<P: Peer> Channel<P> {
    /// That of a process that is about to start, around its [`State`].
    pub fn new(framing: Framing, state: P::Lock) -> Self {
        Self {
            framing,
            state,
            taken: P::Flag::new(false),
            draining: P::Flag::new(false),
            answered: P::Flag::new(false),
            readable: P::Flag::new(false),
            writable: P::Flag::new(true),
        }
    }

    /// The process is about to be executed, and has until `deadline` to say hello.
    pub fn starts(&self, peer: &P, deadline: Instant) {
        self.arm(peer, &mut self.state.lock(), deadline);
    }

    /// Why the channel is closed, once it is.
    pub fn ended(&self) -> Option<Ended> {
        self.state.lock().transfer.ended()
    }

    /// Waits for a good hello. Context: the caller that starts the process.
    pub fn await_hello(&self, peer: &P) -> Result<(), StartError> {
        // The deadline's timer ends this wait too.
        let waited = peer.wait(Queue::Caller, Instant::NEVER, || {
            self.state.lock().transfer.start_result().is_some()
        });
        match (self.state.lock().transfer.start_result(), waited) {
            (Some(result), _) => result.map_err(start_error),
            (None, Err(Interrupted)) => Err(StartError::Interrupted),
            // Cannot be: the wait ended because there is a result.
            (None, Ok(())) => Err(StartError::Aborted),
        }
    }

    /// One request, one answer. Context: the caller.
    pub fn exchange(
        &self,
        peer: &P,
        request: &[u8],
        reply: &mut [u8],
        deadline: Instant,
    ) -> Result<Answer, Lost> {
        match self.framing {
            Framing::Framed | Framing::Raw => {
                self.exchange_alone(peer, request, reply, Wanted::All, deadline)
            }
            Framing::Stream => {
                self.exchange_in_turn(peer, request, reply, Wanted::All, Some(deadline))
            }
        }
    }

    /// As [`exchange`](Self::exchange), for a stream, which several may want to use at the same time.
    fn exchange_in_turn(
        &self,
        peer: &P,
        request: &[u8],
        reply: &mut [u8],
        wanted: Wanted,
        deadline: Option<Instant>,
    ) -> Result<Answer, Lost> {
        let _turn = Turn::take(self, peer, deadline.unwrap_or_else(|| peer.patience()))?;
        // What is there already may do, even if the process is dead by now.
        if let Some(answer) = self.kept(peer, request, reply, wanted) {
            return Ok(answer);
        }
        // The handler of an owner has its time, however long the turn took.
        let deadline = deadline.unwrap_or_else(|| peer.patience());
        let result = self.exchange_alone(peer, request, reply, wanted, deadline);
        if let Err(Lost::Worker(_)) = result
            && let Some(answer) = self.kept(peer, request, reply, wanted)
        {
            // Its last words, which came before its end.
            return Ok(answer);
        }
        if let Err(Lost::Worker(Ended::Broken(..))) = result {
            // It may have been found out only now.
            self.end(peer);
        }
        result
    }

    /// Whoever only wants to receive, and as much as was kept, need not ask.
    fn kept(&self, peer: &P, request: &[u8], reply: &mut [u8], wanted: Wanted) -> Option<Answer> {
        if !request.is_empty() {
            return None;
        }
        let enough = match wanted {
            Wanted::All => reply.len(),
            Wanted::Any => 1,
        };
        let length =
            self.with(|state| (state.kept.len() >= enough).then(|| state.kept.pop(reply)))?;
        peer.wake(Queue::Handler);
        Some(Answer::Reply(length))
    }

    fn exchange_alone(
        &self,
        peer: &P,
        request: &[u8],
        reply: &mut [u8],
        wanted: Wanted,
        deadline: Instant,
    ) -> Result<Answer, Lost> {
        let length = u32::try_from(request.len()).unwrap_or(u32::MAX);
        let mut id = 0;
        let exchanged = self.state.lend(
            request,
            reply,
            |state, reply| {
                if !state.kept.is_empty() && !request.is_empty() && !reply.is_empty() {
                    // Of what was asked before, or of nothing at all.
                    state.transfer.left_over();
                    self.publish(state);
                    return Err(Ended::Broken(Violation::Unasked, Seen::Unread));
                }
                // Of a dead process it stays where it is.
                let filled = match (request, state.transfer.ended()) {
                    ([], None) => state.kept.pop(reply),
                    _ => 0,
                };
                let room = Room {
                    capacity: reply.len(),
                    filled,
                    wanted,
                };
                let next = next_id(state.last_id);
                id = next.get();
                state.transfer.submit(next, length, room, deadline)?;
                state.last_id = id;
                self.arm(peer, state, deadline);
                self.publish(state);
                peer.asked(id, length);
                Ok(())
            },
            || {
                // Only now: the deadline holds already, and nobody else's turn has begun when it is over.
                let _attention = peer.attend();
                peer.wake(Queue::Handler);
                // The deadline ends this wait too, by its timer; whether by a signal or not is seen
                // from whether there is a result.
                let _ = peer.wait(Queue::Caller, Instant::NEVER, || self.answered.load());
            },
            |state| {
                let result = match state.transfer.collect() {
                    Some(result) => result.map_err(Lost::Worker),
                    None => Err(Lost::Caller(state.transfer.withdraw())),
                };
                self.publish(state);
                result
            },
        );
        let result = match exchanged {
            Ok(result) => result,
            Err(ended) => Err(Lost::Worker(ended)),
        };
        peer.answered(id, &result);
        result
    }

    /// The owner of a stream asks: all of the request goes out, and the reply is filled. Context: may sleep.
    pub fn stream_exchange(&self, peer: &P, request: &[u8], reply: &mut [u8]) -> Result<(), Lost> {
        self.exchange_in_turn(peer, request, reply, Wanted::All, None)
            .map(drop)
    }

    /// The owner of a stream reads: what there is, or what comes first; 0 at the end. Context: may sleep.
    pub fn stream_read(&self, peer: &P, to: &mut [u8]) -> Result<usize, Errno> {
        if to.is_empty() {
            return Ok(0);
        }
        match self.exchange_in_turn(peer, &[], to, Wanted::Any, None) {
            Ok(Answer::Reply(length)) => Ok(length),
            Err(Lost::Worker(Ended::TimedOut(_))) => Err(Errno::ETIMEDOUT),
            Err(Lost::Worker(Ended::Lockdown(_))) => Err(Errno::EPERM),
            Err(Lost::Caller(_)) => Err(Errno::EINTR),
            Ok(Answer::Rejected(_)) | Err(Lost::Worker(_)) => Ok(0),
        }
    }

    /// The owner of a stream writes: all of it, or an error. As much as a pipe holds is kept for the
    /// handler; whoever writes more waits. Context: may sleep.
    pub fn stream_write(&self, peer: &P, from: &[u8]) -> Result<usize, Errno> {
        // Not into the middle of a request whose caller is gone. A reader who waits does not matter.
        let drained = || !self.draining.load();
        if !drained() {
            peer.wait(Queue::Turn, peer.patience(), drained)
                .map_err(|Interrupted| Errno::EINTR)?;
        }
        let mut left = from;
        while !left.is_empty() {
            self.make_room(peer, |state| &mut state.ahead)?;
            let piece = left.get(..PIECE).unwrap_or(left);
            let pushed = self.with(|state| match state.transfer.ended() {
                None => Ok(state.ahead.push(piece)),
                Some(Ended::TimedOut(_)) => Err(Errno::ETIMEDOUT),
                Some(Ended::Lockdown(_)) => Err(Errno::EPERM),
                Some(_) => Err(Errno::EPIPE),
            })?;
            peer.wake(Queue::Handler);
            left = left.get(pushed..).unwrap_or_default();
            if pushed == piece.len() {
                continue;
            }
            // All but the last of it goes by hand, one byte at least: then there is room for the rest.
            let by_hand = left.len().saturating_sub(PIPE_CAPACITY).max(1);
            let (now, later) = left.split_at_checked(by_hand).unwrap_or((left, &[]));
            match self.exchange_in_turn(peer, now, &mut [], Wanted::All, None) {
                Ok(_) => left = later,
                Err(Lost::Worker(Ended::TimedOut(_))) => return Err(Errno::ETIMEDOUT),
                Err(Lost::Worker(Ended::Lockdown(_))) => return Err(Errno::EPERM),
                Err(Lost::Worker(_)) => return Err(Errno::EPIPE),
                Err(Lost::Caller(_)) => return Err(Errno::EINTR),
            }
        }
        Ok(from.len())
    }

    /// Sees to it that a ring can hold something. Of a size with its callers, were it compiled into each.
    #[inline(never)]
    fn make_room(
        &self,
        peer: &P,
        ring: impl Fn(&mut State<P::Buffer>) -> &mut Ring<P::Buffer>,
    ) -> Result<(), Errno> {
        if self.with(|state| ring(state).has_room()) {
            return Ok(());
        }
        let buffer = peer.buffer(PIPE_CAPACITY)?;
        // What is not needed is dropped without the lock.
        drop(self.with(|state| ring(state).give_room(buffer)));
        Ok(())
    }

    /// The owner of a stream has closed one of its files. Without both, nobody wants the process any more: true where it was
    /// ended for that.
    pub fn dropped(&self, peer: &P, end: End) -> bool {
        let closed = self.with(|state| {
            match end {
                End::To => state.closed.to = true,
                End::From => state.closed.from = true,
            }
            state.closed
        });
        peer.wake(Queue::Handler);
        let unwanted = closed.to && closed.from;
        if unwanted {
            self.abort(peer);
        }
        unwanted
    }

    /// Nobody wants this process any more: it is killed, and whoever waits for it is woken.
    /// Context: any.
    pub fn abort(&self, peer: &P) {
        self.with(|state| state.transfer.abort());
        self.end(peer);
    }

    /// Changes the channel under its lock, so that those who sleep see it when they are woken.
    fn with<R>(&self, change: impl FnOnce(&mut Guard<'_, P>) -> R) -> R {
        let mut state = self.state.lock();
        let result = change(&mut state);
        self.publish(&state);
        result
    }

    fn publish(&self, state: &State<P::Buffer>) {
        let transfer = &state.transfer;
        self.answered.store(transfer.has_result());
        self.draining.store(transfer.is_draining());
        let readable = transfer.is_readable() || !state.ahead.is_empty() || state.closed.to;
        self.readable.store(readable);
        let writable = !state.kept.has_room() || !state.kept.is_full() || state.is_deaf();
        self.writable.store(writable);
    }

    /// Kills, and wakes both sides. What the caller is told has been decided before.
    fn end(&self, peer: &P) {
        peer.kill();
        peer.wake(Queue::Caller);
        peer.wake(Queue::Handler);
        peer.wake(Queue::Turn);
    }

    /// Sets the timer for `deadline`, unless it looks earlier anyway. A timer that finds the
    /// deadline moved sets itself again: so a call in the common case starts and stops none.
    fn arm(&self, peer: &P, state: &mut State<P::Buffer>, deadline: Instant) {
        if state.armed.is_none_or(|armed| deadline < armed) {
            state.armed = Some(deadline);
            peer.start_timer(deadline);
        }
    }

    /// The deadline's timer: decides first, then kills. Context: the timer's, which may not sleep.
    pub fn deadline(&self, peer: &P) {
        let tick = self.with(|state| {
            state.armed = None;
            let tick = state.transfer.tick(peer.now());
            if let Tick::At(deadline) = tick {
                self.arm(peer, state, deadline);
            }
            tick
        });
        if tick == Tick::Expired {
            self.end(peer);
            // There may be no caller any more who would say so.
            peer.lost(self.ended());
            peer.timed_out();
        }
    }

    /// No byte passes any more: whoever waits is told, and so is the driver. Returns why.
    pub fn close(&self, peer: &P) -> Option<Ended> {
        let ended = self.with(|state| {
            state.transfer.close();
            state.transfer.ended()
        });
        peer.wake(Queue::Caller);
        peer.wake(Queue::Turn);
        peer.lost(ended);
        ended
    }

    /// Nobody has his turn.
    fn give_back(&self, peer: &P) {
        self.taken.store(false);
        peer.wake(Queue::Turn);
    }

    /// The handler has answered a request whose caller is gone.
    fn drained(&self, peer: &P) {
        peer.wake(Queue::Turn);
        peer.drained();
    }

    /// The handler's read(2): at most one request, as much of it as fits.
    pub fn read(&self, peer: &P, to: P::Bytes, nonblock: bool) -> Result<usize, Errno> {
        let mut done: usize = 0;
        loop {
            // Who was killed before it was asked is not to have had the request in hand.
            if done == 0 && peer.is_dying() {
                return Err(P::INTERRUPTED);
            }
            let (stop, progress) = if self.readable.load() {
                self.with(|state| give::<P>(state, to, &mut done))
            } else {
                (Stop::Nothing, Progress::More)
            };
            match progress {
                Progress::Answered => peer.wake(Queue::Caller),
                Progress::Drained(_) => self.drained(peer),
                Progress::More | Progress::Hello | Progress::Kill => {}
            }
            match stop {
                Stop::Full => return Ok(done),
                Stop::Fault if to.skip(done).fault_in_writeable() => {}
                Stop::Fault if done == 0 => return Err(Errno::EFAULT),
                Stop::Fault => return Ok(done),
                Stop::Nothing if done > 0 => return Ok(done),
                Stop::Nothing if nonblock => return Err(Errno::EAGAIN),
                Stop::Nothing => peer
                    .handler_waits(|| self.readable.load())
                    .map_err(|Interrupted| P::INTERRUPTED)?,
                Stop::Piece => {}
                Stop::Closed => return Ok(done),
            }
        }
    }

    /// The handler's write(2): its hello, or its reply.
    pub fn write(&self, peer: &P, from: P::Bytes, nonblock: bool) -> Result<usize, Errno> {
        let mut done: usize = 0;
        loop {
            let rest = from.skip(done);
            if rest.is_empty() {
                return Ok(done);
            }
            let (wanted, taken, progress) = match self.with(|state| take::<P>(state, rest)) {
                Taken::Bytes {
                    wanted,
                    taken,
                    progress,
                } => (wanted, taken, progress),
                Taken::NoRoom => {
                    self.make_room(peer, |state| &mut state.kept)?;
                    continue;
                }
                Taken::Full if nonblock && done == 0 => return Err(Errno::EAGAIN),
                Taken::Full if nonblock => return Ok(done),
                Taken::Full => match peer.handler_waits(|| self.writable.load()) {
                    Ok(()) => continue,
                    Err(Interrupted) if done > 0 => return Ok(done),
                    Err(Interrupted) => return Err(P::INTERRUPTED),
                },
                Taken::Closed => return Err(Errno::EPIPE),
            };
            done = done.saturating_add(taken);
            match progress {
                Progress::More => {}
                Progress::Hello => self.hello(peer)?,
                Progress::Answered => peer.wake(Queue::Caller),
                Progress::Drained(_) => self.drained(peer),
                Progress::Kill => {
                    self.end(peer);
                    peer.lost(self.ended());
                    return Err(Errno::EPIPE);
                }
            }
            if taken < wanted && !from.skip(done).fault_in_readable() {
                return if done == 0 {
                    Err(Errno::EFAULT)
                } else {
                    Ok(done)
                };
            }
        }
    }

    /// What the handler could do now, for its poll(2).
    pub fn readiness(&self) -> Readiness {
        let state = self.state.lock();
        let closed = state.transfer.outgoing(1) == Outgoing::Closed;
        Readiness {
            readable: closed || self.readable.load(),
            writable: self.writable.load(),
            hung_up: closed,
        }
    }

    /// A good hello is complete: now the task is checked.
    fn hello(&self, peer: &P) -> Result<(), Errno> {
        self.confine(peer)?;
        self.with(|state| state.transfer.admit());
        peer.wake(Queue::Caller);
        Ok(())
    }

    /// The handler, in its own system call, is checked; the end of one that has not given up what it must.
    pub fn confine(&self, peer: &P) -> Result<(), Errno> {
        peer.check().map_err(|check| {
            self.refuse(peer, check);
            Errno::EPERM
        })
    }

    fn refuse(&self, peer: &P, check: LockdownCheck) {
        self.with(|state| state.transfer.fail(Ended::Lockdown(check)));
        self.end(peer);
    }
}

/// Why copying to the handler stopped.
enum Stop {
    /// Its buffer is full.
    Full,
    /// Let others have the lock, then go on.
    Piece,
    /// A page of its buffer is not present.
    Fault,
    /// There is nothing more to read now.
    Nothing,
    /// There never will be.
    Closed,
}

/// Copies up to one piece to the handler, under the lock.
fn give<P: Peer>(state: &mut Guard<'_, P>, to: P::Bytes, done: &mut usize) -> (Stop, Progress) {
    let mut left = PIECE;
    loop {
        let to = to.skip(*done);
        if to.is_empty() {
            return (Stop::Full, Progress::More);
        }
        if left == 0 {
            return (Stop::Piece, Progress::More);
        }
        let max = to.len().min(left);
        let (len, sent, progress) = if state.ahead.is_empty() {
            let (len, sent) = match state.transfer.outgoing(max) {
                Outgoing::Header { header, from, len } => {
                    let end = from.saturating_add(len);
                    (len, to.write(header.get(from..end).unwrap_or_default()))
                }
                Outgoing::Payload { offset, len } => (len, state.copy_request(offset, len, to)),
                Outgoing::Filler { len } => (len, to.clear(len)),
                Outgoing::Nothing if state.closed.to => return (Stop::Closed, Progress::More),
                Outgoing::Nothing => return (Stop::Nothing, Progress::More),
                Outgoing::Closed => return (Stop::Closed, Progress::More),
            };
            (len, sent, state.transfer.sent(sent))
        } else {
            let bytes = state.ahead.front();
            let bytes = bytes.get(..max).unwrap_or(bytes);
            let (len, sent) = (bytes.len(), to.write(bytes));
            state.ahead.consume(sent);
            (len, sent, Progress::More)
        };
        *done = done.saturating_add(sent);
        left = left.saturating_sub(sent.max(1));
        if sent < len {
            return (Stop::Fault, progress);
        }
        if progress != Progress::More {
            return (Stop::Piece, progress);
        }
    }
}

/// What became of bytes that the handler wrote.
enum Taken {
    /// So many were wanted, so many came, and this came of it.
    Bytes {
        wanted: usize,
        taken: usize,
        progress: Progress,
    },
    /// They are to be kept, and the ring has no room yet.
    NoRoom,
    /// They are to be kept, and the ring is full.
    Full,
    /// Nobody will ever read them.
    Closed,
}

/// Takes up to one piece from the handler, under the lock.
fn take<P: Peer>(state: &mut Guard<'_, P>, from: P::Bytes) -> Taken {
    let max = from.len().min(PIECE);
    let (wanted, taken, progress) = match state.transfer.incoming(max) {
        Incoming::Header { len } => {
            let mut bytes = [0; HEADER_LEN];
            let header = bytes.get_mut(..len).unwrap_or_default();
            let taken = from.read(header);
            let header = header.get(..taken).unwrap_or_default();
            (len, taken, state.transfer.header(header))
        }
        Incoming::Payload { offset, len } => {
            let taken = state.copy_reply(offset, len, from);
            (len, taken, state.transfer.received(taken))
        }
        Incoming::Discard { len } => (len, len, state.transfer.received(len)),
        Incoming::Keep if state.is_deaf() => return Taken::Closed,
        Incoming::Keep if !state.kept.has_room() => return Taken::NoRoom,
        Incoming::Keep if state.kept.is_full() => return Taken::Full,
        Incoming::Keep => {
            let room = state.kept.back();
            let len = room.len().min(max);
            let taken = from.read(room.get_mut(..len).unwrap_or_default());
            state.kept.produce(taken);
            (len, taken, Progress::More)
        }
        Incoming::Kill => (0, 0, Progress::Kill),
        Incoming::Closed => return Taken::Closed,
    };
    Taken::Bytes {
        wanted,
        taken,
        progress,
    }
}

/// The right to use a stream, for one exchange.
struct Turn<'c, P: Peer> {
    channel: &'c Channel<P>,
    peer: &'c P,
}

impl<'c, P: Peer> Turn<'c, P> {
    /// Context: may sleep, until the deadline; killable.
    fn take(channel: &'c Channel<P>, peer: &'c P, deadline: Instant) -> Result<Self, Lost> {
        let taken = Cell::new(false);
        let waited = peer.wait(Queue::Turn, deadline, || {
            if taken.get() || channel.draining.load() || !channel.taken.take() {
                return taken.get();
            }
            // Once more: whoever had the turn may have left a request behind meanwhile. Its answer wakes us.
            if channel.draining.load() {
                // Somebody may have seen it taken, and the answer may have come since.
                channel.give_back(peer);
            } else {
                taken.set(true);
            }
            taken.get()
        });
        match (taken.get(), waited) {
            (true, _) => {
                let turn = Self { channel, peer };
                // Too late all the same: a handler is not to be killed by a deadline that it never had.
                if peer.now() >= deadline {
                    return Err(Lost::Worker(Ended::TimedOut(Seen::Unread)));
                }
                Ok(turn)
            }
            (false, Err(Interrupted)) => Err(Lost::Caller(Withdrawn::Free)),
            (false, Ok(())) => Err(Lost::Worker(Ended::TimedOut(Seen::Unread))),
        }
    }
}

impl<P: Peer> Drop for Turn<'_, P> {
    fn drop(&mut self) {
        self.channel.give_back(self.peer);
    }
}

fn next_id(last: u32) -> NonZeroU32 {
    NonZeroU32::new(last.wrapping_add(1)).unwrap_or(NonZeroU32::MIN)
}

/// What the end of a process means for its start.
pub fn start_error(ended: Ended) -> StartError {
    match ended {
        Ended::Died(_) => StartError::Died,
        Ended::TimedOut(_) => StartError::TimedOut,
        Ended::Broken(violation, _) => StartError::Hello(violation),
        Ended::Lockdown(check) => StartError::Lockdown(check),
        Ended::Aborted(_) => StartError::Aborted,
    }
}
