// SPDX-License-Identifier: GPL-2.0-only
//! Files in securityfs. C: `kernel/shim/driver/securityfs.c`; header `include/linux/security.h`.
//!
//! C keeps one function table for all files of a module; it knows no Rust types. So each interface
//! and session is reached through a table of functions for its type.

use super::memory::Box;
use crate::securityfs::Interface;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::marker::PhantomData;
use core::ptr::NonNull;
use umd_core::error::Errno;

unsafe extern "C" {
    fn umd_mod_file_new(
        name: *const c_char,
        mode: u16,
        write_max: usize,
        interface: *const c_void,
        error: *mut c_int,
    ) -> *mut c_void;
    fn umd_mod_file_free(file: *mut c_void);
}

type Write = unsafe fn(NonNull<c_void>, NonNull<c_void>, &[u8]) -> Result<usize, Errno>;

/// The functions for one type of interface. The pointers to `Served` and `Session` that they take
/// are of that type.
struct Table {
    open: unsafe fn(NonNull<c_void>) -> Result<NonNull<c_void>, Errno>,
    write: Write,
    read: unsafe fn(NonNull<c_void>) -> (*const u8, usize),
    release: unsafe fn(NonNull<c_void>),
}

/// What C calls the interface: the table first, so that it can be found without knowing the type.
#[repr(C)]
struct Served<I> {
    table: &'static Table,
    interface: I,
}

/// What C calls the session.
#[repr(C)]
struct Session<S> {
    table: &'static Table,
    session: S,
}

struct TableOf<I>(PhantomData<I>);

impl<I: Interface> TableOf<I> {
    const TABLE: &'static Table = &Table {
        open: Self::open,
        write: Self::write,
        read: Self::read,
        release: Self::release,
    };

    /// # Safety
    ///
    /// `served` is a `Served<I>`, alive.
    unsafe fn open(served: NonNull<c_void>) -> Result<NonNull<c_void>, Errno> {
        // SAFETY: by this function's contract.
        let served = unsafe { served.cast::<Served<I>>().as_ref() };
        let session = Box::try_new(Session {
            table: Self::TABLE,
            session: served.interface.open()?,
        })
        .map_err(|error| error.errno())?;
        NonNull::new(session.into_raw().cast()).ok_or(Errno::ENOMEM)
    }

    /// # Safety
    ///
    /// `served` is a `Served<I>`, `session` a `Session<I::Session>` that nobody else uses.
    unsafe fn write(
        served: NonNull<c_void>,
        session: NonNull<c_void>,
        bytes: &[u8],
    ) -> Result<usize, Errno> {
        // SAFETY: by this function's contract.
        let served = unsafe { served.cast::<Served<I>>().as_ref() };
        // SAFETY: as above.
        let session = unsafe { session.cast::<Session<I::Session>>().as_mut() };
        served.interface.write(&mut session.session, bytes)
    }

    /// # Safety
    ///
    /// `session` is a `Session<I::Session>` that nobody writes to.
    unsafe fn read(session: NonNull<c_void>) -> (*const u8, usize) {
        // SAFETY: by this function's contract.
        let session = unsafe { session.cast::<Session<I::Session>>().as_ref() };
        let bytes = I::read(&session.session);
        (bytes.as_ptr(), bytes.len())
    }

    /// # Safety
    ///
    /// `session` is a `Session<I::Session>` from `open`, given away.
    unsafe fn release(session: NonNull<c_void>) {
        // SAFETY: by this function's contract.
        drop(unsafe { Box::from_raw(session.cast::<Session<I::Session>>()) });
    }
}

/// A file that is there until dropped.
///
/// # Invariants
///
/// The pointer is one of `umd_mod_file_new()`, and what is served outlives it.
pub struct File<I: Interface> {
    file: NonNull<c_void>,
    _served: Box<Served<I>>,
}

// SAFETY: the kernel's file systems have locks of their own; the interface is Send and Sync.
unsafe impl<I: Interface> Send for File<I> {}
// SAFETY: as above.
unsafe impl<I: Interface> Sync for File<I> {}

impl<I: Interface> File<I> {
    /// Makes `/sys/kernel/security/<name>` with these permissions. Context: may sleep.
    ///
    /// # Errors
    ///
    /// `EEXIST` where there is such a file, `ENOMEM`.
    pub fn make(name: &CStr, mode: u16, interface: I) -> Result<Self, Errno> {
        let served = Box::try_new(Served {
            table: TableOf::<I>::TABLE,
            interface,
        })
        .map_err(|error| error.errno())?;
        let mut error = 0;
        // SAFETY: the name is terminated; what is served stays alive until the file is gone.
        let file = unsafe {
            umd_mod_file_new(
                name.as_ptr(),
                mode,
                I::WRITE_MAX,
                (&raw const *served).cast(),
                &raw mut error,
            )
        };
        match NonNull::new(file) {
            // INVARIANT: just made, and the interface is kept.
            Some(file) => Ok(Self {
                file,
                _served: served,
            }),
            None => Err(super::errno(error)),
        }
    }
}

impl<I: Interface> Drop for File<I> {
    fn drop(&mut self) {
        // SAFETY: by the invariant. Nobody has it open: the module would be in use.
        unsafe { umd_mod_file_free(self.file.as_ptr()) };
    }
}

/// The table at the beginning of a `Served` or `Session` of any type.
///
/// # Safety
///
/// `object` is one of these, alive.
unsafe fn table(object: NonNull<c_void>) -> &'static Table {
    // SAFETY: by this function's contract; both are repr(C) and begin with the table.
    unsafe { object.cast::<&'static Table>().read() }
}

/// # Safety
///
/// `served` is the file's.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_mod_rs_file_open(
    served: NonNull<c_void>,
    error: *mut c_int,
) -> *mut c_void {
    // SAFETY: by this function's contract, and the table fits its owner.
    match unsafe { (table(served).open)(served) } {
        Ok(session) => session.as_ptr(),
        Err(errno) => {
            // SAFETY: C passes a variable of its own.
            unsafe { error.write(errno.get().saturating_neg()) };
            core::ptr::null_mut()
        }
    }
}

/// # Safety
///
/// `session` came from open, and is given back.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_mod_rs_file_release(session: NonNull<c_void>) {
    // SAFETY: by this function's contract, and the table fits its owner.
    unsafe { (table(session).release)(session) };
}

/// # Safety
///
/// `served` is the file's, `session` came from open and is locked; `text` has `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_mod_rs_file_write(
    served: NonNull<c_void>,
    session: NonNull<c_void>,
    text: NonNull<u8>,
    len: usize,
) -> isize {
    // SAFETY: by this function's contract.
    let bytes = unsafe { core::slice::from_raw_parts(text.as_ptr(), len) };
    // SAFETY: by this function's contract, and the table fits its owner.
    super::length(unsafe { (table(session).write)(served, session, bytes) })
}

/// # Safety
///
/// `session` came from open and is locked; `text` may be written to.
#[unsafe(no_mangle)]
unsafe extern "C" fn umd_mod_rs_file_read(session: NonNull<c_void>, text: *mut *const u8) -> isize {
    // SAFETY: by this function's contract, and the table fits its owner.
    let (bytes, len) = unsafe { (table(session).read)(session) };
    // SAFETY: by this function's contract.
    unsafe { text.write(bytes) };
    isize::try_from(len).unwrap_or(isize::MAX)
}
