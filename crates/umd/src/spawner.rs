// SPDX-License-Identifier: MIT OR Apache-2.0
//! The thread that makes the handlers: one a program, and as long as the program lives.
//!
//! The kernel kills a handler when the *thread* that made it ends (`PR_SET_PDEATHSIG`). Callers' threads end when they like;
//! this one ends with the program.

use crate::sys::clone::Stack;
use crate::sys::fork::PerProcess;
use crate::sys::signals::quiet_thread;
use rustix::io::Errno;
use std::sync::mpsc::{Receiver, Sender, channel};

type Job = Box<dyn FnOnce(&Stack) + Send>;

/// The way to that thread.
#[derive(Clone, Debug)]
pub(crate) struct Spawner(Sender<Job>);

impl Spawner {
    /// That of this program; made by whoever asks first.
    pub(crate) fn get() -> Result<Self, Errno> {
        static SPAWNER: PerProcess<Spawner> = PerProcess::new();
        SPAWNER.get(|| {
            let stack = Stack::new()?;
            let (sender, jobs) = channel();
            quiet_thread("umd-spawner", move || work(&stack, &jobs)).map_err(errno)?;
            Ok(Self(sender))
        })
    }

    /// Has the thread do this, and returns at once. Where the thread is gone, the job is dropped.
    pub(crate) fn run(&self, job: impl FnOnce(&Stack) + Send + 'static) {
        drop(self.0.send(Box::new(job)));
    }
}

fn work(stack: &Stack, jobs: &Receiver<Job>) {
    for job in jobs {
        job(stack);
    }
}

/// The errno of a thread that was not made.
pub(crate) fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::AGAIN)
}
