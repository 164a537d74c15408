// SPDX-License-Identifier: GPL-2.0-only
//! The hook on socket options. C: `kernel/shim/driver/sockopt.c`.

use super::memory::Box;
use crate::sockopt::{Answer, Options};
use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use umd_core::error::Errno;

unsafe extern "C" {
    fn umd_mod_sockopt_begin(server: *const Server) -> c_int;
    fn umd_mod_sockopt_end();
    fn umd_mod_copy_from_user(to: *mut u8, address: u64, len: usize) -> c_int;
    fn umd_mod_copy_to_user(address: u64, from: *const u8, len: usize) -> c_int;
}

/// `struct umd_mod_sockopt`.
#[repr(C)]
struct Raw {
    is_set: u32,
    option: i32,
    len: u32,
    pid: u32,
    value: u64,
}

/// `struct umd_mod_sockopt_window`.
#[repr(C)]
struct Window {
    begin: i32,
    end: i32,
}

/// `struct umd_mod_sockopt_server`.
#[repr(C)]
struct Server {
    get: Window,
    set: Window,
    len_max: u32,
    reserved: u32,
    serve: unsafe extern "C" fn(*const c_void, *const Raw) -> c_int,
    data: *const c_void,
}

/// A call of `getsockopt(2)` or `setsockopt(2)`, in the task that makes it.
pub struct Call<'c> {
    raw: &'c Raw,
    /// The caller's memory is that of this task.
    not_send: PhantomData<*const ()>,
}

impl Call<'_> {
    /// `setsockopt`, not `getsockopt`.
    pub fn is_set(&self) -> bool {
        self.raw.is_set != 0
    }

    /// Which option.
    pub fn option(&self) -> i32 {
        self.raw.option
    }

    /// Bytes of the option that the caller has, or has room for. At most
    /// [`LEN_MAX`](Options::LEN_MAX).
    pub fn length(&self) -> u32 {
        self.raw.len
    }

    /// The calling task, by its number in the initial namespace.
    pub fn pid(&self) -> u32 {
        self.raw.pid
    }

    /// Copies the first bytes of the caller's option, for a get too. Context: may sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` for more bytes than the option has, `EFAULT` where they cannot be read.
    pub fn read(&self, to: &mut [u8]) -> Result<(), Errno> {
        if to.len() > self.raw.len as usize {
            return Err(Errno::EINVAL);
        }
        // SAFETY: `to` may be written to for its length; any address will do.
        copied(unsafe { umd_mod_copy_from_user(to.as_mut_ptr(), self.raw.value, to.len()) })
    }

    /// Copies bytes to the begin of the caller's option. Context: may sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` where this is no get, or for more bytes than there is room for; `EFAULT` where they
    /// cannot be written.
    pub fn write(&self, from: &[u8]) -> Result<(), Errno> {
        if self.is_set() || from.len() > self.raw.len as usize {
            return Err(Errno::EINVAL);
        }
        self.write_at(self.raw.value, from)
    }

    /// Copies bytes to any place in the caller's memory, for an option that names one. Context: may
    /// sleep.
    ///
    /// # Errors
    ///
    /// `EFAULT` where they cannot be written.
    pub fn write_at(&self, address: u64, from: &[u8]) -> Result<(), Errno> {
        // SAFETY: `from` may be read for its length; any address will do: what is not the calling
        // task's to write is refused.
        copied(unsafe { umd_mod_copy_to_user(address, from.as_ptr(), from.len()) })
    }
}

fn copied(result: c_int) -> Result<(), Errno> {
    match result {
        0 => Ok(()),
        error => Err(super::errno(error)),
    }
}

/// # Safety
///
/// `options` is the `O` of a hook, alive; `raw` is valid during the call.
unsafe extern "C" fn serve<O: Options>(options: *const c_void, raw: *const Raw) -> c_int {
    // SAFETY: by this function's contract.
    let (options, raw) = unsafe { (&*options.cast::<O>(), &*raw) };
    let call = Call {
        raw,
        not_send: PhantomData,
    };
    let errno = match options.serve(&call) {
        Answer::Done(length) => {
            let length = c_int::try_from(length).unwrap_or(c_int::MAX);
            return length.min(c_int::try_from(raw.len).unwrap_or(c_int::MAX));
        }
        Answer::Kernel => Errno::ENOPROTOOPT,
        Answer::Error(errno) => errno,
    };
    errno.get().saturating_neg()
}

/// What C keeps a pointer to.
struct Served<O> {
    server: Server,
    options: O,
}

/// A hook that is in force until dropped. A module has one at a time.
///
/// The drop first ends the driver's part ([`Options::end`]), then waits until all callers have left
/// the module, those included whom the kernel's own code serves.
///
/// # Invariants
///
/// C holds a pointer to what is served, and has been told to begin.
pub struct Hook<O: Options> {
    served: Box<Served<O>>,
}

// SAFETY: `Server` holds pointers, to a function and to the options beside it, which may be shared.
unsafe impl<O: Options> Send for Hook<O> {}
// SAFETY: as above.
unsafe impl<O: Options> Sync for Hook<O> {}

impl<O: Options> Hook<O> {
    /// Puts the hook in force. Context: may sleep.
    ///
    /// # Errors
    ///
    /// `EBUSY` where the module has one already, where somebody else (livepatch) redirects these
    /// functions, or where ftrace is switched off; `ENOMEM`.
    pub fn new(options: O) -> Result<Self, Errno> {
        let window = |range: core::ops::Range<i32>| Window {
            begin: range.start,
            end: range.end,
        };
        let mut served = Box::try_new(Served {
            server: Server {
                get: window(O::GET),
                set: window(O::SET),
                len_max: O::LEN_MAX.min(i32::MAX as u32),
                reserved: 0,
                serve: serve::<O>,
                data: core::ptr::null(),
            },
            options,
        })
        .map_err(|error| error.errno())?;
        served.server.data = (&raw const served.options).cast();
        // SAFETY: the server and the options are in memory of their own, which is kept until the end;
        // `serve` fits the options.
        match unsafe { umd_mod_sockopt_begin(&raw const served.server) } {
            // INVARIANT: just begun.
            0 => Ok(Self { served }),
            error => Err(super::errno(error)),
        }
    }
}

impl<O: Options> Drop for Hook<O> {
    fn drop(&mut self) {
        self.served.options.end();
        // SAFETY: by the invariant it has begun. Afterwards nobody uses what is served any more, so
        // that it may go.
        unsafe { umd_mod_sockopt_end() };
    }
}
