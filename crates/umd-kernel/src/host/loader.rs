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
/// The time for which modprobe is run again after a module has released its driver: until the
/// kernel has removed the module, modprobe may fail.
const GOING: Span = Span::from_millis(500);

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
    /// A caller runs modprobe for it.
    busy: bool,
    /// modprobe runs: it may do so longer than the caller that ran it has time.
    running: bool,
    /// Until then the module may be on its way out.
    going: Instant,
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
                .killable(0, deadline, || !loaders.is(name, Entry::is_busy))
                .map_err(|Interrupted| Error::Interrupted)?,
            Step::Run => {
                let result = loaders.run(name, deadline, &is_loaded);
                loaders.done(name, result);
                return result;
            }
        }
    }
}

/// This module has brought what it is there for: no failure of before is held against it.
pub fn came(name: &ModuleName) {
    change(name, |entry| {
        entry.failures = 0;
        entry.retry = Instant::ZERO;
        entry.going = Instant::ZERO;
    });
}

/// How far a module is that takes away what it had brought.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Going {
    /// It is about to let go of it, which takes as long as it takes.
    Begins,
    /// It has let go of it, and the kernel forgets the module in a moment.
    HasLetGo,
}

/// Records that this module is being unloaded. Callers may ask for it meanwhile.
pub fn goes(name: &ModuleName, how_far: Going) {
    let until = match how_far {
        Going::Begins => Instant::NEVER,
        Going::HasLetGo => wait::now().after(GOING),
    };
    change(name, |entry| entry.going = until);
}

/// modprobe has ended, in this way, or could not be run.
pub fn ended(name: &ModuleName, is_good: bool) {
    let now = wait::now();
    change(name, |entry| {
        entry.running = false;
        // Else its caller says what came of it.
        if !entry.busy && !is_good {
            entry.failed(now);
        }
    });
    if let Some(loaders) = LOADERS.get() {
        loaders.queue.wake(0);
    }
}

fn change(name: &ModuleName, change: impl FnOnce(&mut Entry)) {
    if let Some(loaders) = LOADERS.get() {
        loaders.change(name, change);
    }
}

/// Returns the entry of this loader. A new loader gets a free entry, or the entry that has been
/// unused for longest. Returns `None` where modprobe runs for all entries.
fn find<'e>(
    entries: &'e mut [Option<Entry>; CAPACITY],
    name: &ModuleName,
) -> Option<&'e mut Entry> {
    let known = |entry: &Option<Entry>| entry.is_some_and(|entry| entry.name == *name);
    let place = match entries.iter().position(known) {
        Some(place) => place,
        None => {
            let quiet = |entry: &Option<Entry>| entry.is_none_or(|entry| !entry.is_busy());
            let age = |entry: &Option<Entry>| entry.map_or(Instant::ZERO, |entry| entry.retry);
            let numbered = entries.iter().enumerate();
            let free = numbered.filter(|(_, entry)| quiet(entry));
            free.min_by_key(|(_, entry)| age(entry))?.0
        }
    };
    let entry = entries.get_mut(place)?;
    if !known(entry) {
        *entry = None;
    }
    Some(entry.get_or_insert(Entry::new(name)))
}

impl Entry {
    fn new(name: &ModuleName) -> Self {
        Self {
            name: *name,
            busy: false,
            running: false,
            going: Instant::ZERO,
            failures: 0,
            retry: Instant::ZERO,
        }
    }

    fn is_busy(&self) -> bool {
        self.busy || self.running
    }

    fn failed(&mut self, now: Instant) {
        let pause = PAUSE.doubled(self.failures).min(PAUSE_MAX);
        self.retry = now.after(pause);
        self.failures = self.failures.saturating_add(1);
    }
}

impl Loaders {
    fn step(&self, name: &ModuleName, now: Instant) -> Step {
        match find(&mut self.entries.lock(), name) {
            None => Step::Refuse(Error::Busy),
            Some(entry) if entry.is_busy() => Step::Wait,
            Some(entry) if now < entry.retry => Step::Refuse(Error::NotLoaded),
            Some(entry) => {
                entry.busy = true;
                Step::Run
            }
        }
    }

    /// Runs modprobe, more than once where the module is on its way out.
    fn run(
        &self,
        name: &ModuleName,
        deadline: Instant,
        is_loaded: &impl Fn() -> bool,
    ) -> Result<(), Error> {
        for attempt in 1_usize.. {
            if wait::now() >= deadline {
                return Err(Error::TimedOut(Seen::Unread));
            }
            self.change(name, |entry| entry.running = true);
            let result = kmod::request(name.as_c_str(), deadline);
            if is_loaded() {
                return Ok(());
            }
            match result {
                Ok(()) if attempt < ATTEMPTS => {}
                Ok(()) | Err(Error::NotLoaded) if self.is_going(name) => {}
                Ok(()) => return Err(Error::NotLoaded),
                Err(error) => return Err(error),
            }
            kmod::sleep(BETWEEN).map_err(|Interrupted| Error::Interrupted)?;
        }
        Err(Error::NotLoaded)
    }

    fn is(&self, name: &ModuleName, so: impl Fn(&Entry) -> bool) -> bool {
        let entries = self.entries.lock();
        entries
            .iter()
            .flatten()
            .any(|entry| entry.name == *name && so(entry))
    }

    fn is_going(&self, name: &ModuleName) -> bool {
        let now = wait::now();
        self.is(name, |entry| now < entry.going)
    }

    /// Records how a request ended. A request that ended before modprobe did, by a signal or at its
    /// deadline, is no failure of the module.
    fn done(&self, name: &ModuleName, result: Result<(), Error>) {
        let now = wait::now();
        self.change(name, |entry| {
            entry.busy = false;
            match result {
                Ok(()) => entry.failures = 0,
                Err(Error::Interrupted | Error::TimedOut(_)) => {}
                Err(_) => entry.failed(now),
            }
        });
        self.queue.wake(0);
    }

    fn change(&self, name: &ModuleName, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = find(&mut self.entries.lock(), name) {
            change(entry);
        }
    }
}
