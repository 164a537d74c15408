// SPDX-License-Identifier: GPL-2.0-only
//! A driver module's entry and its blob. C: `kernel/shim/driver/entry.c`.

use super::memory::Box;
use crate::module::Module;
use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, Ordering};

unsafe extern "C" {
    fn umd_mod_blob(len: *mut usize) -> *const c_void;
}

/// The handler's executable that the module carries; freed after init.
pub struct Blob<'i> {
    bytes: &'i [u8],
}

impl Blob<'_> {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes
    }
}

/// The one instance of a module's type.
///
/// # Invariants
///
/// NULL, or a pointer of `Box::into_raw()` that is owned here.
pub struct Slot<M> {
    module: AtomicPtr<Option<M>>,
    owns: PhantomData<M>,
}

impl<M: Module> Default for Slot<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Module> Slot<M> {
    /// Not loaded.
    pub const fn new() -> Self {
        Self {
            module: AtomicPtr::new(core::ptr::null_mut()),
            owns: PhantomData,
        }
    }

    /// The module is loaded; 0 or a negative errno.
    ///
    /// # Safety
    ///
    /// Called by the module's init, once: the blob is gone afterwards.
    pub unsafe fn init(&self) -> c_int {
        let mut len = 0;
        // SAFETY: len may be written to; by this function's contract the blob is there.
        let blob = unsafe { umd_mod_blob(&raw mut len) }.cast::<u8>();
        let bytes = match NonNull::new(blob.cast_mut()) {
            // SAFETY: the blob has len bytes, and stays until init returns.
            Some(blob) => unsafe { core::slice::from_raw_parts(blob.as_ptr(), len) },
            None => &[],
        };
        // The room first: once a module is made, nothing may fail any more.
        let mut room = match Box::try_new(None) {
            Ok(room) => room,
            Err(error) => return error.errno().get().saturating_neg(),
        };
        match M::init(&Blob { bytes }) {
            Ok(module) => *room = Some(module),
            Err(errno) => return errno.get().saturating_neg(),
        }
        // INVARIANT: fresh from into_raw().
        self.module.store(room.into_raw(), Ordering::Release);
        0
    }

    /// The module is unloaded. Called by the entry, once.
    pub fn exit(&self) {
        let module = self.module.swap(core::ptr::null_mut(), Ordering::AcqRel);
        if let Some(module) = NonNull::new(module) {
            // SAFETY: by the invariant, and it was just taken out.
            drop(unsafe { Box::from_raw(module) });
        }
    }
}

/// Makes a type the module: see [`crate::module`].
#[macro_export]
macro_rules! module_entry {
    ($module:ty) => {
        static UMD_MODULE: $crate::ffi::module::Slot<$module> = $crate::ffi::module::Slot::new();

        #[allow(unsafe_code)]
        mod umd_module_entry {
            // SAFETY: no other object of the module defines this symbol.
            #[unsafe(no_mangle)]
            extern "C" fn umd_mod_rs_init() -> ::core::ffi::c_int {
                // SAFETY: this is the module's init.
                unsafe { super::UMD_MODULE.init() }
            }

            // SAFETY: as above.
            #[unsafe(no_mangle)]
            extern "C" fn umd_mod_rs_exit() {
                super::UMD_MODULE.exit();
            }
        }
    };
}
