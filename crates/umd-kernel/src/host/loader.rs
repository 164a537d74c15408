// SPDX-License-Identifier: GPL-2.0-only
//! Loading on demand: the module that brings a handler is asked for once at a time, and when that brought
//! nothing, not again for a while.

use crate::ffi::global::Global;
use crate::ffi::kmod;
use crate::ffi::lock::SpinLock;
use crate::ffi::wait::{self, WaitQueues};
use core::ffi::CStr;
use umd_core::error::{Errno, Error, Seen};
use umd_core::host::Interrupted;
use umd_core::policy::{Instant, Span};

/// Longest name of a module, without its NUL, as in `include/linux/module.h`.
const NAME_MAX: usize = 55;
/// How many loaders are remembered.
const CAPACITY: usize = 16;
/// The pause after the first failure, and the longest.
const PAUSE: Span = Span::from_millis(500);
const PAUSE_MAX: Span = Span::from_millis(30_000);
/// modprobe finds a module that is on its way out, and says that all is well: so often it is run again,
/// and so long is waited in between.
const ATTEMPTS: usize = 5;
const BETWEEN: Span = Span::from_millis(20);

/// The name of a module, terminated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ModuleName([u8; NAME_MAX + 1]);

impl ModuleName {
    /// # Errors
    ///
    /// `EINVAL` where it is empty or too long for a module.
    pub fn new(name: &CStr) -> Result<Self, Errno> {
        let name = name.to_bytes();
        if name.is_empty() || name.len() > NAME_MAX {
            return Err(Errno::EINVAL);
        }
        let mut bytes = [0; NAME_MAX + 1];
        for (to, from) in bytes.iter_mut().zip(name) {
            *to = *from;
        }
        Ok(Self(bytes))
    }

    /// The name.
    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

/// What is known of one loader.
#[derive(Clone, Copy)]
struct Entry {
    name: ModuleName,
    /// Somebody runs modprobe for it.
    busy: bool,
    /// Pauses in a row.
    failures: u32,
    /// Not before this.
    retry: Instant,
}

/// What a caller who wants a module does now.
enum Step {
    Run,
    Wait,
    Refuse(Error),
}

struct Loaders {
    entries: SpinLock<[Option<Entry>; CAPACITY]>,
    /// Whoever waits for somebody else's modprobe.
    queue: WaitQueues,
}

static LOADERS: Global<Loaders> = Global::new();

/// Context: umd.ko's init.
pub fn init() -> Result<(), Error> {
    LOADERS.set(Loaders {
        entries: SpinLock::try_new([None; CAPACITY])?,
        queue: WaitQueues::try_new(1)?,
    })
}

/// What init made.
pub fn global() -> &'static Global<impl Send + Sync> {
    &LOADERS
}

/// Sees to it that `is_loaded` holds, by loading this module. Context: may sleep, until the deadline;
/// killable.
///
/// # Errors
///
/// `NotLoaded`: the module is not there, does not bring what is wanted, or failed to do so a short while ago.
/// `TimedOut`, `Interrupted`; `Busy`: too many different modules are being asked for.
pub fn request(
    name: &ModuleName,
    deadline: Instant,
    is_loaded: impl Fn() -> bool,
) -> Result<(), Error> {
    let loaders = LOADERS.get().ok_or(Error::NotLoaded)?;
    loop {
        let now = wait::now();
        if is_loaded() {
            return Ok(());
        }
        if now >= deadline {
            return Err(Error::TimedOut(Seen::Unread));
        }
        match loaders.step(name, now) {
            Step::Refuse(error) => return Err(error),
            Step::Wait => loaders
                .queue
                .killable(0, deadline, || !loaders.is_busy(name))
                .map_err(|Interrupted| Error::Interrupted)?,
            Step::Run => {
                let result = run(name, deadline, &is_loaded);
                loaders.done(name, result);
                return result;
            }
        }
    }
}

/// This module has brought what it is there for: no failure of before is held against it.
pub fn came(name: &ModuleName) {
    if let Some(loaders) = LOADERS.get() {
        loaders.change(name, |entry| {
            entry.failures = 0;
            entry.retry = Instant::ZERO;
        });
    }
}

/// Runs modprobe, more than once where it says that all is well and it is not.
fn run(name: &ModuleName, deadline: Instant, is_loaded: &impl Fn() -> bool) -> Result<(), Error> {
    for _ in 0..ATTEMPTS {
        let result = kmod::request(name.as_c_str(), deadline);
        if is_loaded() {
            return Ok(());
        }
        match result {
            Ok(()) => kmod::sleep(BETWEEN).map_err(|Interrupted| Error::Interrupted)?,
            Err(error) => return Err(error),
        }
    }
    Err(Error::NotLoaded)
}

impl Loaders {
    fn step(&self, name: &ModuleName, now: Instant) -> Step {
        let mut entries = self.entries.lock();
        let known = entries
            .iter_mut()
            .flatten()
            .find(|entry| entry.name == *name);
        if let Some(entry) = known {
            return match entry.busy {
                true => Step::Wait,
                false if now < entry.retry => Step::Refuse(Error::NotLoaded),
                false => {
                    entry.busy = true;
                    Step::Run
                }
            };
        }
        // A free place, or that of the one that has been quiet for longest.
        let place = entries
            .iter_mut()
            .filter(|entry| entry.is_none_or(|entry| !entry.busy))
            .min_by_key(|entry| entry.map_or(Instant::ZERO, |entry| entry.retry));
        match place {
            Some(place) => {
                *place = Some(Entry {
                    name: *name,
                    busy: true,
                    failures: 0,
                    retry: Instant::ZERO,
                });
                Step::Run
            }
            None => Step::Refuse(Error::Busy),
        }
    }

    fn is_busy(&self, name: &ModuleName) -> bool {
        self.entries
            .lock()
            .iter()
            .flatten()
            .any(|entry| entry.name == *name && entry.busy)
    }

    /// A caller's own signal says nothing about the module.
    fn done(&self, name: &ModuleName, result: Result<(), Error>) {
        let now = wait::now();
        self.change(name, |entry| {
            entry.busy = false;
            match result {
                Ok(()) => entry.failures = 0,
                Err(Error::Interrupted) => {}
                Err(_) => {
                    let pause = PAUSE.doubled(entry.failures).min(PAUSE_MAX);
                    entry.retry = now.after(pause);
                    entry.failures = entry.failures.saturating_add(1);
                }
            }
        });
        self.queue.wake(0);
    }

    fn change(&self, name: &ModuleName, change: impl FnOnce(&mut Entry)) {
        let mut entries = self.entries.lock();
        let known = entries
            .iter_mut()
            .flatten()
            .find(|entry| entry.name == *name);
        if let Some(entry) = known {
            change(entry);
        }
    }
}
