// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls that occupy no thread while they wait, on a tokio runtime with I/O and time enabled.
//!
//! The journey is that of callers that block, step by step; here the steps are awaited. The deadline is kept by the
//! same thread, which ends the process, and with it the wait. A future that is dropped on its way leaves the queue; a handler that it
//! was asking, or starting, is killed, since nobody would take its answer.

use crate::driver::{Caller, Driver, SLOTS, give_up};
use crate::error::{CallError, Error};
use crate::process::{Hello, Process};
use crate::sys::readiness;
use crate::time::{span, until};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::Interest;
use tokio::sync::oneshot;
use umd_core::error::{Error as CoreError, StartError};
use umd_core::exchange::{Journey, Step};
use umd_core::host::Lost;
use umd_core::lifecycle::{Ticket, WorkerId};
use umd_core::policy::{Instant, Span};
use umd_core::proto::Question;
use umd_core::transfer::Answer;

impl Driver {
    /// As [`call`](Self::call), without a thread.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime that has I/O and time enabled.
    pub async fn call_async<Q: Question>(
        &self,
        question: &Q,
    ) -> Result<Q::Answer, CallError<Q::Wrong>> {
        let mut request = vec![0; Q::REQUEST_MAX];
        let length = question.encode(&mut request);
        let mut reply = vec![0; Q::REPLY_MAX];
        let request = request.get(..length).unwrap_or(&request);
        let length = self.call_bytes_async(request, &mut reply).await?;
        let reply = reply.get(..length).unwrap_or(&reply);
        question.decode(reply).map_err(CallError::Wrong)
    }

    /// As [`call_bytes`](Self::call_bytes), without a thread.
    ///
    /// # Errors
    ///
    /// As [`call_bytes`](Self::call_bytes).
    ///
    /// # Panics
    ///
    /// As [`call_async`](Self::call_async).
    pub async fn call_bytes_async(&self, request: &[u8], reply: &mut [u8]) -> Result<usize, Error> {
        self.at_home()?;
        self.ask(self.policy().deadline, request, reply).await
    }

    /// The same with a deadline of its own.
    ///
    /// # Errors
    ///
    /// As [`call_bytes`](Self::call_bytes).
    ///
    /// # Panics
    ///
    /// As [`call_async`](Self::call_async).
    pub async fn call_bytes_within_async(
        &self,
        limit: Duration,
        request: &[u8],
        reply: &mut [u8],
    ) -> Result<usize, Error> {
        self.ask(span(limit), request, reply).await
    }

    async fn ask(&self, limit: Span, request: &[u8], reply: &mut [u8]) -> Result<usize, Error> {
        self.admit(request)?;
        let caller = Caller::new(self.core());
        let mut journey = Journey::new(&caller, request.len(), limit);
        let result = caller.travel(&mut journey, request, reply).await;
        let result = journey.arrive(result);
        self.account(request, result.map_err(|error| caller.error(error)))
    }

    /// As [`start`](Self::start), without a thread.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    ///
    /// # Panics
    ///
    /// As [`call_async`](Self::call_async).
    pub async fn start_async(&self) -> Result<(), Error> {
        self.at_home()?;
        let caller = Caller::new(self.core());
        let mut journey = Journey::new(&caller, 0, self.policy().start_deadline);
        match caller.admission(&mut journey).await {
            Ok(_) => {
                journey.let_go();
                Ok(())
            }
            Err(error) => Err(caller.error(error)),
        }
    }
}

type Way<'j, 'c> = Journey<'j, SLOTS, Caller<'c>>;

impl<'c> Caller<'c> {
    async fn travel(
        &self,
        journey: &mut Way<'_, 'c>,
        request: &[u8],
        reply: &mut [u8],
    ) -> Result<usize, CoreError> {
        loop {
            let process = self.admission(journey).await?;
            let deadline = journey.deadline();
            let asked = self.exchange_soon(&process, request, reply, deadline);
            if let Some(length) = journey.asked(asked.await)? {
                return Ok(length);
            }
        }
    }

    async fn admission(&self, journey: &mut Way<'_, 'c>) -> Result<Arc<Process>, CoreError> {
        loop {
            match journey.step()? {
                Step::Ask(process) => return Ok(process),
                Step::Start(worker, deadline) => {
                    let started = self.start_soon(worker, deadline).await;
                    if let Some(process) = journey.started(started)? {
                        return Ok(process);
                    }
                }
                Step::Wait(ticket, until_then) => self.turn(ticket, until_then).await,
                Step::Load(_) => return Err(CoreError::NotLoaded),
            }
        }
    }

    /// Until the ticket is woken, or until then.
    async fn turn(&self, ticket: Ticket, until_then: Instant) {
        let woken = poll_fn(
            |context| match self.core().was_woken(ticket, context.waker()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            },
        );
        // Either way the next step sees what there is.
        let _ = tokio::time::timeout(until(until_then), woken).await;
    }

    async fn start_soon(
        &self,
        worker: WorkerId,
        deadline: Instant,
    ) -> Result<Arc<Process>, StartError> {
        let (sender, launched) = oneshot::channel();
        // Whoever wanted it may be gone.
        self.launch(worker, deadline, move |launched| {
            if let Err(unwanted) = sender.send(launched) {
                give_up(unwanted);
            }
        })?;
        let launched = tokio::time::timeout(until(deadline), launched).await;
        let launched = launched.map_err(|_| StartError::TimedOut)?;
        let process = launched.map_err(|_| StartError::Aborted)??;
        let mut hello = Hello::default();
        let heard = ready(&process, Interest::READABLE, || {
            process.hear(&mut hello, RecvFlags::DONTWAIT)
        });
        if heard.await.is_err() {
            process.abort();
        }
        let greeted = process.greeted(&hello, self.core().plan());
        if greeted.is_err() {
            self.lost(&process, process.exit_soon().await);
        }
        greeted.map(|()| process)
    }

    async fn exchange_soon(
        &self,
        process: &Process,
        request: &[u8],
        reply: &mut [u8],
        deadline: Instant,
    ) -> Result<Answer, Lost> {
        let begun = process.begin(self.core().watch(), request, reply.len(), deadline);
        let result = match begun {
            Ok(mut exchange) => {
                let sent = ready(process, Interest::WRITABLE, || {
                    process.send_more(&mut exchange, request)
                });
                let sent = sent.await;
                let received = ready(process, Interest::READABLE, || {
                    process.receive_more(&mut exchange, reply, RecvFlags::DONTWAIT)
                });
                if sent.and(received.await).is_err() {
                    process.abort();
                }
                process.finish()
            }
            Err(lost) => Err(lost),
        };
        if result.is_err() {
            self.lost(process, process.exit_soon().await);
        }
        result
    }
}

/// Tries until it need not wait any more. Fails where the runtime cannot wait for it.
async fn ready(
    process: &Process,
    interest: Interest,
    mut attempt: impl FnMut() -> Result<(), Errno>,
) -> Result<(), Errno> {
    if attempt() != Err(Errno::AGAIN) {
        return Ok(());
    }
    let unable = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let socket = readiness::watch(process.socket(), interest).map_err(unable)?;
    loop {
        let mut guard = socket.ready(interest).await.map_err(unable)?;
        if attempt() != Err(Errno::AGAIN) {
            return Ok(());
        }
        guard.clear_ready();
    }
}
