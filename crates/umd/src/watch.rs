// SPDX-License-Identifier: MIT OR Apache-2.0
//! The thread that keeps time and sees handlers end: one a program.
//!
//! A deadline is kept by this thread, which kills the handler, and not by the caller, who waits for bytes and nothing else, and who
//! may not get the processor. The thread looks again at the earliest deadline that it has seen; a call with a later
//! one need not wake it. So a call in the common case costs nothing here but a comparison.

use crate::image::not_standard;
use crate::lock::lock;
use crate::process::Process;
use crate::spawner::errno;
use crate::sys::fork::PerProcess;
use crate::sys::signals::quiet_thread;
use crate::time::now;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use umd_core::policy::Instant;

/// What that thread knows.
#[derive(Debug)]
pub(crate) struct Watch {
    epoll: OwnedFd,
    /// Written to when the thread is to look before its time.
    bell: OwnedFd,
    /// When it looks, in nanoseconds.
    next: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    processes: HashMap<u64, Arc<Process>>,
    last: u64,
}

/// The bell's key; those of processes begin at 1.
const BELL: u64 = 0;

impl Watch {
    /// That of this program; made by whoever asks first.
    pub(crate) fn get() -> Result<Arc<Self>, Errno> {
        static WATCH: PerProcess<Arc<Watch>> = PerProcess::new();
        WATCH.get(Self::new)
    }

    fn new() -> Result<Arc<Self>, Errno> {
        let watch = Arc::new(Self {
            epoll: not_standard(epoll::create(epoll::CreateFlags::CLOEXEC)?)?,
            bell: not_standard(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)?,
            next: AtomicU64::new(Instant::NEVER.as_nanos()),
            inner: Mutex::default(),
        });
        let data = epoll::EventData::new_u64(BELL);
        epoll::add(&watch.epoll, &watch.bell, data, epoll::EventFlags::IN)?;
        let own = watch.clone();
        quiet_thread("umd-watch", move || own.work()).map_err(errno)?;
        Ok(watch)
    }

    /// A process was made: its end is seen, and it is reaped, from now on.
    pub(crate) fn add(&self, process: &Arc<Process>) -> Result<(), Errno> {
        let mut inner = self.lock();
        inner.last += 1;
        let key = inner.last;
        inner.processes.insert(key, process.clone());
        drop(inner);
        let data = epoll::EventData::new_u64(key);
        let added = epoll::add(&self.epoll, process.pidfd(), data, epoll::EventFlags::IN);
        if added.is_err() {
            self.lock().processes.remove(&key);
        }
        added
    }

    /// Somebody waits for a handler until then.
    pub(crate) fn expect(&self, deadline: Instant) {
        if deadline.as_nanos() < self.next.load(Ordering::SeqCst) {
            self.next.fetch_min(deadline.as_nanos(), Ordering::SeqCst);
            // Full is as good.
            let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        }
    }

    fn work(&self) {
        let mut events = [const { MaybeUninit::<epoll::Event>::uninit() }; 64];
        loop {
            let next = self.next.load(Ordering::SeqCst);
            let left = Instant::from_nanos(next).since(now()).as_nanos();
            let timeout = (next != Instant::NEVER.as_nanos()).then_some(Timespec {
                tv_sec: (left / 1_000_000_000) as i64,
                tv_nsec: (left % 1_000_000_000) as i64,
            });
            let ready = match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
                Ok((ready, _)) => &*ready,
                Err(Errno::INTR) => &[],
                // Somebody has closed our descriptors: what is left is the clock.
                Err(_) => {
                    std::thread::sleep(Duration::from_millis(10));
                    &[]
                }
            };
            for event in ready {
                match event.data.u64() {
                    BELL => {
                        let mut count = [0; 8];
                        let _ = rustix::io::read(&self.bell, &mut count);
                    }
                    key => self.ended(key),
                }
            }
            if now().as_nanos() >= self.next.load(Ordering::SeqCst) {
                self.look();
            }
        }
    }

    fn ended(&self, key: u64) {
        let Some(process) = self.lock().processes.remove(&key) else {
            return;
        };
        // Its descriptor may live on with somebody who has the process.
        let _ = epoll::delete(&self.epoll, process.pidfd());
        process.ended();
    }

    /// Looks at the clock for all, and finds out when to look again. Whoever begins to wait meanwhile sees that nothing is
    /// expected, and says so; or is seen here.
    fn look(&self) {
        self.next.store(Instant::NEVER.as_nanos(), Ordering::SeqCst);
        let processes: Vec<_> = self.lock().processes.values().cloned().collect();
        for process in processes {
            if let Some(deadline) = process.tick(now()) {
                self.next.fetch_min(deadline.as_nanos(), Ordering::SeqCst);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}
