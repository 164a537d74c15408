// SPDX-License-Identifier: GPL-2.0-only
//! A caller's buffers, lent to the channel for the time of one exchange, so that each byte is copied
//! once, between the caller and the handler.

use super::lock::{Guard, SpinLock};
use super::user::UserBytes;
use core::ops::{Deref, DerefMut};
use umd_core::error::Error;
use umd_core::host::{Lending, Lent};

struct Loan {
    request: *const u8,
    request_len: usize,
    reply: *mut u8,
    reply_len: usize,
}

struct Inner<T> {
    value: T,
    loan: Option<Loan>,
}

// SAFETY: the pointers of a loan may be used wherever the lock is held (see SpinLending).
unsafe impl<T: Send> Send for Inner<T> {}

/// A value under a spinlock, to which buffers can be lent.
///
/// # Invariants
///
/// While there is a loan, its lender is in [`lend`](Lending::lend) with both borrows alive, and the
/// pointers are used under the lock only.
pub struct SpinLending<T>(SpinLock<Inner<T>>);

impl<T> SpinLending<T> {
    /// Context: may sleep.
    pub fn try_new(value: T) -> Result<Self, Error> {
        Ok(Self(SpinLock::try_new(Inner { value, loan: None })?))
    }
}

impl<T> Lending<T, UserBytes> for SpinLending<T> {
    type Guard<'l>
        = LendingGuard<'l, T>
    where
        T: 'l;

    fn lock(&self) -> LendingGuard<'_, T> {
        LendingGuard(self.0.lock())
    }

    fn lend<R, E>(
        &self,
        request: &[u8],
        reply: &mut [u8],
        begin: impl FnOnce(&mut T, &mut [u8]) -> Result<(), E>,
        wait: impl FnOnce(),
        end: impl FnOnce(&mut T) -> R,
    ) -> Result<R, E> {
        let mut inner = self.0.lock();
        begin(&mut inner.value, reply)?;
        // INVARIANT: we are in lend(), and the borrows outlive it. There is no unwinding here, so
        // the loan is taken back below whatever the closures do.
        inner.loan = Some(Loan {
            request: request.as_ptr(),
            request_len: request.len(),
            reply: reply.as_mut_ptr(),
            reply_len: reply.len(),
        });
        drop(inner);
        wait();
        let mut inner = self.0.lock();
        inner.loan = None;
        Ok(end(&mut inner.value))
    }
}

/// The right to the value, and to the buffers if some are lent.
pub struct LendingGuard<'l, T>(Guard<'l, Inner<T>>);

impl<T> Lent<UserBytes> for LendingGuard<'_, T> {
    fn copy_request(&self, offset: usize, len: usize, to: UserBytes) -> usize {
        let Some(loan) = &self.0.loan else { return 0 };
        if len > loan.request_len.saturating_sub(offset) {
            return 0;
        }
        // SAFETY: by the invariant the request is lent, and we hold the lock; offset and len were
        // just checked against it.
        unsafe { to.write_raw(loan.request.wrapping_add(offset), len) }
    }

    fn copy_reply(&mut self, offset: usize, len: usize, from: UserBytes) -> usize {
        let Some(loan) = &self.0.loan else { return 0 };
        if len > loan.reply_len.saturating_sub(offset) {
            return 0;
        }
        // SAFETY: by the invariant the buffer is lent exclusively, and we hold the lock; offset and
        // len were just checked against it.
        unsafe { from.read_raw(loan.reply.wrapping_add(offset), len) }
    }
}

impl<T> Deref for LendingGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> DerefMut for LendingGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0.value
    }
}
