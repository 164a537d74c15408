// SPDX-License-Identifier: GPL-2.0-only
//! A driver as its module sees it: a [`Handle`] that is called like a function.

use crate::ffi::driver::{Registration, Source};
use crate::ffi::module::Blob;
use core::ffi::CStr;
use core::marker::PhantomData;
use umd_core::error::{Errno, Error};
use umd_core::policy::{Policy, Span};

pub use crate::ffi::driver::{Probe, Provided};

/// What a driver is.
pub trait Driver: Sync + 'static {
    /// The name, also of the directory in `/sys/kernel/umd`: 1 to 31 letters, digits, `_`, `-`.
    const NAME: &'static CStr;

    /// Deadlines, limits, restarts.
    const POLICY: Policy = Policy::DEFAULT;

    /// Is a handler that was just started fit to serve? It is asked through the probe, within the
    /// start deadline; an error ends it. Context: may sleep.
    fn health_check(_probe: &Probe<'_>) -> Result<(), Error> {
        Ok(())
    }
}

/// A registered driver; dropping it ends the driver.
///
/// The drop aborts calls in flight and waits until they have returned, kills the handler, and waits
/// for its death, at most 5 s.
pub struct Handle<D: Driver> {
    registration: Registration,
    driver: PhantomData<fn() -> D>,
}

impl<D: Driver> Handle<D> {
    /// Stages the module's blob. Nothing is started: that happens at the first call, or by
    /// [`start`](Self::start). Context: the module's init; may sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a bad name, `EEXIST` where there is a driver of this name, `ENOMEM`.
    pub fn register(blob: &Blob<'_>) -> Result<Self, Errno> {
        Self::register_as(D::NAME, blob.bytes())
    }

    /// The same under another name, with another blob.
    pub fn register_as(name: &CStr, blob: &[u8]) -> Result<Self, Errno> {
        Self::register_from(name, Source::Blob(blob))
    }

    /// Registers a driver whose handler another module brings: its *loader*, which calls
    /// [`Provided::provide`] in its init, and is loaded by the first call that finds no handler. A call that
    /// finds none even so fails with [`NotLoaded`](Error::NotLoaded), and modprobe is not run again at
    /// once: after half a second, then twice as long each time, at most 30 s.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a bad name of either, `EEXIST` where there is a driver of this name, `ENOMEM`.
    pub fn on_demand(loader: &CStr) -> Result<Self, Errno> {
        Self::register_from(D::NAME, Source::Loader(loader))
    }

    fn register_from(name: &CStr, source: Source<'_>) -> Result<Self, Errno> {
        Ok(Self {
            registration: Registration::register::<D>(name, source)?,
            driver: PhantomData,
        })
    }

    /// Sees to it that a handler is in service. Context: may sleep, at most the start deadline.
    pub fn start(&self) -> Result<(), Error> {
        self.registration.start()
    }

    /// Ends the calls in flight and each one to come ([`Error::Unloading`]), and kills the handler;
    /// waits for nobody. For drivers that must see their callers gone before they can drop the handle.
    pub fn abort(&self) {
        self.registration.abort();
    }

    /// Asks the handler. Returns the length of the reply, which is at the beginning of `reply`.
    ///
    /// Context: may sleep, at most the deadline; killable. No lock may be held that an interrupt or
    /// another caller could want.
    pub fn call(&self, request: &[u8], reply: &mut [u8]) -> Result<usize, Error> {
        self.registration.call(request, reply, None)
    }

    /// The same with a deadline of its own.
    pub fn call_within(
        &self,
        limit: Span,
        request: &[u8],
        reply: &mut [u8],
    ) -> Result<usize, Error> {
        self.registration.call(request, reply, Some(limit))
    }
}
