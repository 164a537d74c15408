// SPDX-License-Identifier: MIT OR Apache-2.0
//! One handler's process, from its start to its end, and the channel it is asked through.
//!
//! | who | does |
//! | --- | --- |
//! | a caller | sends, and receives; alone, since the lifecycle gives a worker to one at a time |
//! | the watch's thread | kills at the deadline, and sees the end |
//! | an operator | aborts |
//!
//! They meet under one lock, at the [`Transfer`], which decides. Bytes are sent and received without it. Whoever ends an exchange
//! shuts the socket down, which wakes the caller, whatever becomes of the process.

use crate::driver::{Core, Living};
use crate::error::Exit;
use crate::lock::lock;
use crate::look;
use crate::report::Report;
use crate::start::{Plan, States, await_end};
use crate::sys::clone::Child;
use crate::sys::socket::{receive_all, send_both, unread};
use crate::time::now;
use crate::watch::Watch;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, shutdown};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use umd_core::channel::start_error;
use umd_core::error::{Seen, StartError, Violation};
use umd_core::frame::{HEADER_LEN, Header};
use umd_core::host::Lost;
use umd_core::lifecycle::WorkerId;
use umd_core::policy::{Framing, Instant, Span};
use umd_core::status::Denied;
use umd_core::syscall::{Syscall, Syscalls};
use umd_core::transfer::{Answer, Ended, Progress, Room, Tick, Transfer};

/// How long whoever lost a handler waits to hear how it ended: it is dying by then.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// For how long after an answer there is no look at what was said unasked: it costs a system call, and the next request follows at once
/// or much later.
const QUIET: Span = Span::from_nanos(20_000);

/// One handler's process.
#[derive(Debug)]
pub(crate) struct Process {
    socket: Arc<OwnedFd>,
    child: Child,
    worker: WorkerId,
    core: Weak<Core>,
    channel: Mutex<Channel>,
    /// Until then nobody looks whether it has said something unasked.
    quiet_until: AtomicU64,
    /// Until it is reaped.
    living: Mutex<Option<Living>>,
    end: Mutex<Option<Exit>>,
    ended: Condvar,
    /// For those who wait for that without a thread.
    #[cfg(feature = "tokio")]
    ended_soon: tokio::sync::Notify,
    states: States,
    /// Does it say which call it was denied?
    diagnoses: bool,
    /// Its id as it sees it.
    inner_pid: u32,
}

/// What is under the lock.
#[derive(Debug)]
struct Channel {
    transfer: Transfer,
    last_id: u32,
    /// The whole request has left us; whether it has arrived, the socket says.
    handed_over: bool,
    /// The last frame that was sent, header included.
    frame_len: usize,
    /// What the handler says that it was denied.
    denied: Option<Denied>,
}

/// A header of which so much has come in. What is counted beyond it is payload.
#[derive(Debug, Default)]
struct Partial {
    bytes: [u8; HEADER_LEN],
    filled: usize,
}

impl Partial {
    /// What is missing of it.
    fn room(&mut self) -> Option<&mut [u8]> {
        self.bytes
            .get_mut(self.filled..)
            .filter(|room| !room.is_empty())
    }
}

/// A hello that is coming in.
#[derive(Debug, Default)]
pub(crate) struct Hello(Partial);

/// How far a request and its reply have come.
#[derive(Debug)]
pub(crate) struct Exchange {
    request: [u8; HEADER_LEN],
    sent: usize,
    reply: Partial,
    /// The payload's length, once it is known.
    length: Option<u32>,
}

impl Channel {
    /// The handler has read all that was sent, if all was.
    fn all_was_read(&mut self) {
        if self.handed_over {
            self.transfer.sent(self.frame_len);
        }
    }
}

impl Process {
    /// The record of a process that has just been executed, and has until `deadline` to say hello.
    pub(crate) fn new(
        core: &Arc<Core>,
        worker: WorkerId,
        socket: Arc<OwnedFd>,
        (child, states): (Child, States),
        living: Living,
        deadline: Instant,
    ) -> Arc<Self> {
        let pid = child.pid.get().unsigned_abs();
        Arc::new(Self {
            diagnoses: core.plan().diagnose(),
            inner_pid: match core.plan().has_new_pids() {
                true => 1,
                false => pid,
            },
            socket,
            child,
            worker,
            core: Arc::downgrade(core),
            channel: Mutex::new(Channel {
                transfer: Transfer::new(Framing::Framed, deadline),
                last_id: 0,
                handed_over: false,
                frame_len: 0,
                denied: None,
            }),
            quiet_until: AtomicU64::new(0),
            living: Mutex::new(Some(living)),
            end: Mutex::new(None),
            ended: Condvar::new(),
            #[cfg(feature = "tokio")]
            ended_soon: tokio::sync::Notify::new(),
            states,
        })
    }

    pub(crate) fn worker(&self) -> WorkerId {
        self.worker
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.pid.get().unsigned_abs()
    }

    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.child.pidfd.as_fd()
    }

    /// What of its lockdown is in force, once it has said hello.
    pub(crate) fn report(&self, plan: &Plan) -> Option<Report> {
        let started = lock(&self.channel).transfer.start_result();
        started?.ok()?;
        Some(look::report(&self.child, plan, &self.states))
    }

    /// What it says that it was denied.
    pub(crate) fn denied(&self) -> Option<Denied> {
        lock(&self.channel).denied
    }

    /// Waits for the hello, and has the process checked. Context: the caller that starts it; the watch keeps the deadline.
    pub(crate) fn greet(&self, plan: &Plan) -> Result<(), StartError> {
        let mut hello = Hello::default();
        // A wait that is over has heard something, or the end.
        let _ = self.hear(&mut hello, RecvFlags::empty());
        self.greeted(&hello, plan)
    }

    /// Hears the hello, or the end. `AGAIN`: not all of it yet.
    pub(crate) fn hear(&self, hello: &mut Hello, flags: RecvFlags) -> Result<(), Errno> {
        loop {
            let Some(room) = hello.0.room() else {
                return Ok(());
            };
            match recv(&self.socket, room, flags) {
                Ok((_, count)) if count > 0 => hello.0.filled += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Err(Errno::AGAIN),
                Ok(_) | Err(_) => {
                    self.closed();
                    return Ok(());
                }
            }
        }
    }

    /// What was heard is a hello, and the process is as it should be; or it is ended.
    pub(crate) fn greeted(&self, hello: &Hello, plan: &Plan) -> Result<(), StartError> {
        let progress = match hello.0.filled {
            HEADER_LEN => lock(&self.channel).transfer.header(&hello.0.bytes),
            _ => Progress::More,
        };
        let looked = match progress {
            Progress::Hello => look::check(&self.child, plan, &self.states),
            _ => Ok(()),
        };
        let mut channel = lock(&self.channel);
        match looked {
            Ok(()) => channel.transfer.admit(),
            Err(check) => drop(channel.transfer.fail(Ended::Lockdown(check))),
        }
        match channel.transfer.start_result() {
            Some(Ok(())) => {
                self.said_all();
                Ok(())
            }
            Some(Err(ended)) => {
                drop(channel);
                self.kill();
                Err(start_error(ended))
            }
            // Cannot be: a hello is complete, or its end was decided.
            None => Err(StartError::Aborted),
        }
    }

    /// Sends the filter, where it could not be sent before there was a process. Does not wait: there is room for it in a socket that
    /// nothing was sent on.
    pub(crate) fn send_filter(&self, plan: &Plan) {
        if let Some(frame) = plan.filter_for(self.inner_pid) {
            // Where it is gone, the wait for its hello says so.
            let _ = self.send(&mut 0, &frame, &[]);
        }
    }

    /// One request, one answer. Context: the caller.
    pub(crate) fn exchange(
        &self,
        watch: &Watch,
        request: &[u8],
        reply: &mut [u8],
        deadline: Instant,
    ) -> Result<Answer, Lost> {
        let mut exchange = self.begin(watch, request, reply.len(), deadline)?;
        // Interrupted, or the end: the next attempt sees which.
        while self.send_more(&mut exchange, request) == Err(Errno::AGAIN) {
            let mut room = [PollFd::new(&self.socket, PollFlags::OUT)];
            let _ = poll(&mut room, None);
        }
        // It waits, so there is an answer or an end.
        let _ = self.receive_more(&mut exchange, reply, RecvFlags::empty());
        self.finish()
    }

    /// A request is under way; the deadline holds from here on.
    pub(crate) fn begin(
        &self,
        watch: &Watch,
        request: &[u8],
        room: usize,
        deadline: Instant,
    ) -> Result<Exchange, Lost> {
        // What it could have said since it answered just now, it could as well say after a look.
        if now().as_nanos() > self.quiet_until.load(Ordering::Relaxed) {
            self.has_said_nothing();
        }
        let header = self.submit(request, room, deadline).map_err(Lost::Worker)?;
        watch.expect(deadline);
        Ok(Exchange {
            request: header.encode(),
            sent: 0,
            reply: Partial::default(),
            length: None,
        })
    }

    /// Sends what is left of the request. Where it cannot be sent, what is received says why. `AGAIN`: there is no room yet.
    ///
    /// Under the lock: whoever ends the exchange decides by what the handler can have read, and nothing is sent after that.
    pub(crate) fn send_more(&self, exchange: &mut Exchange, request: &[u8]) -> Result<(), Errno> {
        let mut channel = lock(&self.channel);
        if channel.transfer.ended().is_some() {
            return Ok(());
        }
        match self.send(&mut exchange.sent, &exchange.request, request) {
            Ok(()) => {
                channel.handed_over = true;
                Ok(())
            }
            Err(Errno::AGAIN) => Err(Errno::AGAIN),
            Err(_) => Ok(()),
        }
    }

    /// What has become of the request, once it is received.
    pub(crate) fn finish(&self) -> Result<Answer, Lost> {
        let result = lock(&self.channel).transfer.collect();
        match result {
            Some(Ok(answer)) => {
                self.said_all();
                Ok(answer)
            }
            Some(Err(ended)) => {
                self.kill();
                Err(Lost::Worker(ended))
            }
            // Cannot be: whatever ends the wait has decided.
            None => Err(Lost::Worker(Ended::Aborted(Seen::Read))),
        }
    }

    /// It has said just now what it was asked for.
    fn said_all(&self) {
        let quiet_until = now().after(QUIET).as_nanos();
        self.quiet_until.store(quiet_until, Ordering::Relaxed);
    }

    /// Bytes that nobody asked for, and an end, are noticed before the next request is sent, which nobody has read then.
    fn has_said_nothing(&self) {
        let mut byte = [0];
        match recv(&self.socket, &mut byte, RecvFlags::DONTWAIT) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok((_, 0)) | Err(_) => {
                lock(&self.channel).transfer.close();
            }
            Ok(_) => {
                let mut channel = lock(&self.channel);
                channel.transfer.left_over();
            }
        }
    }

    fn submit(&self, request: &[u8], room: usize, deadline: Instant) -> Result<Header, Ended> {
        let length = u32::try_from(request.len()).unwrap_or(u32::MAX);
        let mut channel = lock(&self.channel);
        // 0 is the hello's.
        let id = NonZeroU32::new(channel.last_id.wrapping_add(1)).unwrap_or(NonZeroU32::MIN);
        channel.handed_over = false;
        channel
            .transfer
            .submit(id, length, Room::all(room), deadline)?;
        channel.last_id = id.get();
        channel.frame_len = HEADER_LEN.saturating_add(request.len());
        Ok(Header::request(id.get(), length))
    }

    /// What is left of it, or as much as there is room for (`AGAIN`). Fails where nobody reads any more.
    fn send(&self, sent: &mut usize, header: &[u8], payload: &[u8]) -> Result<(), Errno> {
        while *sent < header.len() + payload.len() {
            let (head, tail) = match header.get(*sent..) {
                Some(head) => (head, payload),
                None => (
                    &[][..],
                    payload.get(*sent - header.len()..).unwrap_or_default(),
                ),
            };
            match send_both(&self.socket, [head, tail], SendFlags::DONTWAIT) {
                Ok(count) => *sent += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Receives until the transfer has a result, or nothing is there (`AGAIN`). A byte more than the caller's buffer holds would be
    /// noticed.
    pub(crate) fn receive_more(
        &self,
        exchange: &mut Exchange,
        reply: &mut [u8],
        flags: RecvFlags,
    ) -> Result<(), Errno> {
        let mut trap = [0];
        loop {
            let received = exchange.reply.filled;
            let head = exchange.reply.room().unwrap_or_default();
            let begun = received.saturating_sub(HEADER_LEN);
            let room = reply.get_mut(begun..).unwrap_or_default();
            let count = match receive_all(&self.socket, [head, room, &mut trap], flags) {
                Ok(count) if count > 0 => count,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Err(Errno::AGAIN),
                // The end; or it died and had not read all.
                Ok(_) => {
                    let mut channel = lock(&self.channel);
                    channel.all_was_read();
                    channel.transfer.close();
                    return Ok(());
                }
                Err(_) => {
                    self.closed();
                    return Ok(());
                }
            };
            let received = received + count;
            exchange.reply.filled = received;
            let header = &exchange.reply.bytes;
            if received < HEADER_LEN {
                continue;
            }
            let mut channel = lock(&self.channel);
            let frame_len = channel.frame_len;
            if exchange.length.is_none() {
                if self.last_words(&mut channel, header) {
                    // What follows is its end, or it goes on talking.
                    if received > HEADER_LEN {
                        channel
                            .transfer
                            .fail(Ended::Broken(Violation::Unasked, Seen::Read));
                        return Ok(());
                    }
                    continue;
                }
                if self.is_left_over(&channel, header) {
                    channel.transfer.left_over();
                    return Ok(());
                }
                // It answers: whether it has read all, only it knows.
                channel.transfer.sent(frame_len);
                match channel.transfer.header(header) {
                    Progress::Kill => return Ok(()),
                    _ => exchange.length = Header::decode(header).map(|reply| reply.length).ok(),
                }
            }
            let wanted = exchange.length.unwrap_or(0) as usize;
            let payload = received - HEADER_LEN;
            channel
                .transfer
                .received(payload.min(wanted) - begun.min(wanted));
            if payload > wanted {
                // The answer counts; what is behind it ends the handler.
                channel
                    .transfer
                    .fail(Ended::Broken(Violation::Unasked, Seen::Read));
                self.kill();
            }
            if channel.transfer.has_result() {
                return Ok(());
            }
        }
    }

    /// What is no answer to this request, and came before the handler had read it, is left over from the one before.
    fn is_left_over(&self, channel: &Channel, header: &[u8; HEADER_LEN]) -> bool {
        let answers = Header::decode(header).is_ok_and(|reply| reply.id == channel.last_id);
        !answers && unread(&self.socket).is_some_and(|count| count > 0)
    }

    /// A frame with the hello's id and a status is what a handler says that is denied a system call, before it ends.
    fn last_words(&self, channel: &mut Channel, header: &[u8; HEADER_LEN]) -> bool {
        if !self.diagnoses {
            return false;
        }
        let Some(number) = Header::decode(header)
            .ok()
            .and_then(|words| words.as_denied())
        else {
            return false;
        };
        let call = u16::try_from(number)
            .ok()
            .filter(|number| *number < Syscalls::END);
        channel.denied = Some(match call {
            Some(number) => Denied::Call(Syscall::new(number)),
            None => Denied::Elsewhere(number),
        });
        // What follows is its end.
        true
    }

    /// The lock, for whoever decides: it is known whether the handler has read the request. What is still on its way it has not.
    fn lock_knowing(&self) -> MutexGuard<'_, Channel> {
        let mut channel = lock(&self.channel);
        if channel.handed_over && unread(&self.socket) == Some(0) {
            channel.all_was_read();
        }
        channel
    }

    /// No byte comes any more.
    fn closed(&self) {
        lock(&self.channel).transfer.close();
    }

    /// The watch looks at the clock: when to look again, if somebody waits.
    pub(crate) fn tick(&self, now: Instant) -> Option<Instant> {
        let ticked = self.lock_knowing().transfer.tick(now);
        match ticked {
            Tick::At(deadline) => Some(deadline),
            Tick::Expired => {
                self.kill();
                None
            }
            Tick::Nothing => None,
        }
    }

    /// Nobody wants this process any more: it is killed, and whoever waits for it is woken.
    pub(crate) fn abort(&self) {
        self.lock_knowing().transfer.abort();
        self.kill();
    }

    /// Kills it, and ends what is said between us. Does not wait.
    fn kill(&self) {
        let _ = pidfd_send_signal(self.pidfd(), Signal::KILL);
        let _ = shutdown(&self.socket, Shutdown::Both);
    }

    /// Nobody watches it: it is dying, and is reaped here.
    pub(crate) fn end_unseen(&self) {
        await_end(&self.child);
        self.ended();
    }

    /// It has ended: the watch reaps it. Somebody who has the channel may live on; it is closed to him.
    pub(crate) fn ended(&self) {
        let exit = match waitid(
            WaitId::PidFd(self.pidfd()),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        ) {
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(status), _) => Exit::Exited(status as u8),
                (None, Some(signal)) => Exit::Signaled(signal as u8),
                (None, None) => Exit::Unknown,
            },
            // Somebody else has asked.
            _ => Exit::Unknown,
        };
        let _ = shutdown(&self.socket, Shutdown::Both);
        if let Some(core) = self.core.upgrade() {
            core.lost(self, exit);
        }
        let living = lock(&self.living).take();
        drop(living);
        // Last: whoever waits for this sees it accounted for.
        *lock(&self.end) = Some(exit);
        self.ended.notify_all();
        #[cfg(feature = "tokio")]
        self.ended_soon.notify_waiters();
    }

    /// How it ended, if that is known soon.
    pub(crate) fn exit(&self) -> Option<Exit> {
        let end = lock(&self.end);
        let waited = self
            .ended
            .wait_timeout_while(end, LAST_WORDS, |end| end.is_none());
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The same without a thread.
    #[cfg(feature = "tokio")]
    pub(crate) async fn exit_soon(&self) -> Option<Exit> {
        let ended = self.ended_soon.notified();
        let exit = *lock(&self.end);
        if exit.is_some() {
            return exit;
        }
        // Too late is no error: then it is not known.
        let _ = tokio::time::timeout(LAST_WORDS, ended).await;
        *lock(&self.end)
    }

    /// Our end of the channel.
    #[cfg(feature = "tokio")]
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Why no byte passes any more, once that is so.
    pub(crate) fn is_over(&self) -> Option<Ended> {
        lock(&self.channel).transfer.ended()
    }
}
