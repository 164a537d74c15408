// SPDX-License-Identifier: MIT OR Apache-2.0
//! Locks of values that are whole whenever they can be seen, so that somebody's panic is nobody else's.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes the lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
