// SPDX-License-Identifier: GPL-2.0-only
//! Handlers that loaders have given to drivers.
//!
//! A loader knows its driver by name only, so that either may be unloaded first. One whose driver is
//! gone keeps the image, for the driver of that name that is registered next: modprobe would find the
//! loader there and do nothing.

use super::driver::Driver;
use super::registry::{self, Registry};
use crate::ffi::global::Global;
use crate::ffi::lock::{Class, SpinLock};
use crate::ffi::memory::Arc;
use core::ffi::CStr;
use umd_core::error::{Errno, Error};

/// What a loader holds.
pub struct Lease(SpinLock<Arc<Driver>>);

static LEASES: Global<Registry<Arc<Lease>>> = Global::new();

/// Context: umd.ko's init.
pub fn init() -> Result<(), Error> {
    LEASES.set(Registry::try_new_of(Class::Leases)?)
}

/// What init made.
pub fn global() -> &'static Global<impl Send + Sync> {
    &LEASES
}

impl Lease {
    /// Gives the driver of this name an image. Context: may sleep.
    ///
    /// # Errors
    ///
    /// `ENODEV`: there is no such driver; those of [`Driver::provide`].
    pub fn grant(name: &CStr, blob: &[u8]) -> Result<Arc<Self>, Errno> {
        let leases = LEASES.get().ok_or(Errno::ENODEV)?;
        let driver = registry::find(name).ok_or(Errno::ENODEV)?;
        let no_memory = |error: Error| error.errno();
        let lock = SpinLock::try_new_of(Class::Lease, driver.clone()).map_err(no_memory)?;
        let lease = Arc::try_new(Self(lock)).map_err(no_memory)?;
        // First, so that the next driver of this name finds it.
        leases.insert(lease.clone(), |_| false)?;
        driver.provide(name, blob).inspect_err(|_| lease.end())?;
        Ok(lease)
    }

    /// Takes it away again. Context: may sleep.
    pub fn withdraw(this: &Arc<Self>) {
        this.end();
        let driver = this.0.lock().clone();
        driver.withdraw();
    }

    /// From here on no driver can adopt it.
    fn end(&self) {
        if let Some(leases) = LEASES.get() {
            drop(leases.take(|lease| core::ptr::eq(&raw const **lease, self)));
        }
    }

    /// Has a driver that was just registered take over what its predecessor was given. Context: any.
    pub fn adopt(driver: &Arc<Driver>) {
        let Some(leases) = LEASES.get() else { return };
        leases.find(|lease| {
            let mut holder = lease.0.lock();
            let adopted = holder.name() == driver.name() && driver.succeed(&holder);
            // The predecessor is dropped without the lock.
            adopted.then(|| core::mem::replace(&mut *holder, driver.clone()))
        });
    }
}
