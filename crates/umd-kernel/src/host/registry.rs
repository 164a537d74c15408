// SPDX-License-Identifier: GPL-2.0-only
//! Lists in which things are found again: drivers by their names, blobs by their mounts.

use super::driver::Driver;
use crate::ffi::global::Global;
use crate::ffi::lock::{Class, SpinLock};
use crate::ffi::memory::{Arc, Box};
use core::ffi::CStr;
use umd_core::error::{Errno, Error};

struct Node<T> {
    entry: T,
    next: Option<Box<Node<T>>>,
}

/// A list under a spinlock.
pub struct Registry<T>(SpinLock<Option<Box<Node<T>>>>);

impl<T: Send> Registry<T> {
    /// An empty one. Context: may sleep.
    pub fn try_new() -> Result<Self, Error> {
        Self::try_new_of(Class::Innermost)
    }

    /// An empty one whose lock others may be taken under. Context: may sleep.
    pub fn try_new_of(class: Class) -> Result<Self, Error> {
        Ok(Self(SpinLock::try_new_of(class, None)?))
    }

    /// Adds an entry, unless there is one that is the same: `EEXIST`. Context: may sleep.
    pub fn insert(&self, entry: T, is_same: impl Fn(&T) -> bool) -> Result<(), Errno> {
        let mut node = Box::try_new(Node { entry, next: None }).map_err(|error| error.errno())?;
        let mut first = self.0.lock();
        let mut other = first.as_ref();
        while let Some(known) = other {
            if is_same(&known.entry) {
                // Dropped without the lock.
                drop(first);
                return Err(Errno::EEXIST);
            }
            other = known.next.as_ref();
        }
        node.next = first.take();
        *first = Some(node);
        Ok(())
    }

    /// What `choose` makes of the first entry that it chooses. Context: any; `choose` must not sleep.
    pub fn find<R>(&self, choose: impl Fn(&T) -> Option<R>) -> Option<R> {
        let first = self.0.lock();
        let mut node = first.as_ref();
        while let Some(known) = node {
            if let Some(chosen) = choose(&known.entry) {
                return Some(chosen);
            }
            node = known.next.as_ref();
        }
        None
    }

    /// Takes the first entry that `is_it` says yes to out of the list. Whoever takes it drops it without
    /// the lock.
    pub fn take(&self, is_it: impl Fn(&T) -> bool) -> Option<impl AsRef<T>> {
        let mut first = self.0.lock();
        let mut place = &mut *first;
        while place.as_ref().is_some_and(|node| !is_it(&node.entry)) {
            match place {
                Some(node) => place = &mut node.next,
                None => return None,
            }
        }
        let mut node = place.take()?;
        *place = node.next.take();
        Some(Taken(node))
    }
}

struct Taken<T>(Box<Node<T>>);

impl<T> AsRef<T> for Taken<T> {
    fn as_ref(&self) -> &T {
        &self.0.entry
    }
}

static DRIVERS: Global<Registry<Arc<Driver>>> = Global::new();

/// Context: umd.ko's init.
pub fn init() -> Result<(), Error> {
    DRIVERS.set(Registry::try_new()?)
}

/// What init made.
pub fn global() -> &'static Global<impl Send + Sync> {
    &DRIVERS
}

/// A driver is registered: `EEXIST` where there is one of its name.
pub fn add(driver: &Arc<Driver>) -> Result<(), Errno> {
    let drivers = DRIVERS.get().ok_or(Errno::ENODEV)?;
    drivers.insert(driver.clone(), |other| other.name() == driver.name())
}

/// It is not registered any more.
pub fn remove(driver: &Arc<Driver>) {
    if let Some(drivers) = DRIVERS.get() {
        drop(drivers.take(|other| other.name() == driver.name()));
    }
}

/// The driver of this name.
pub fn find(name: &CStr) -> Option<Arc<Driver>> {
    DRIVERS
        .get()?
        .find(|driver| (driver.name() == name).then(|| driver.clone()))
}
