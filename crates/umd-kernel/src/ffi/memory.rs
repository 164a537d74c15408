// SPDX-License-Identifier: GPL-2.0-only
//! Memory from the kernel's allocator, with an owner or with a count of them.

use core::ffi::c_void;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering, fence};
use umd_core::error::Error;

unsafe extern "C" {
    fn umd_alloc(size: usize) -> *mut c_void;
    fn umd_free(memory: *mut c_void);
    fn umd_alloc_big(size: usize) -> *mut c_void;
    fn umd_free_big(memory: *mut c_void);
}

/// Moves `value` into memory of its own. Context: may sleep.
fn place<T>(value: T) -> Result<NonNull<T>, Error> {
    // kmalloc aligns to the size's largest power of two, at least to 8.
    const { assert!(align_of::<T>() <= 8) };
    // SAFETY: any size is a valid argument; NULL is handled below.
    let memory = unsafe { umd_alloc(size_of::<T>().max(1)) }.cast::<T>();
    let memory = NonNull::new(memory).ok_or(Error::NoMemory)?;
    // SAFETY: the memory is fresh, ours, large enough and aligned for T (see above).
    unsafe { memory.write(value) };
    Ok(memory)
}

/// A value in memory of its own.
///
/// # Invariants
///
/// The pointer came from `place` and has no other owner.
pub struct Box<T>(NonNull<T>);

// SAFETY: a Box owns its value, so it is as free to move and share as that.
unsafe impl<T: Send> Send for Box<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Box<T> {}

impl<T> Box<T> {
    /// Context: may sleep.
    pub fn try_new(value: T) -> Result<Self, Error> {
        // INVARIANT: fresh from place().
        Ok(Self(place(value)?))
    }

    /// Gives the value away as a pointer for C; [`Box::from_raw`] takes it back.
    pub fn into_raw(self) -> *mut T {
        let pointer = self.0.as_ptr();
        core::mem::forget(self);
        pointer
    }

    /// # Safety
    ///
    /// The pointer came from [`Box::into_raw`], and is given back once.
    pub unsafe fn from_raw(pointer: NonNull<T>) -> Self {
        // INVARIANT: by this function's contract the pointer came from place() and is ours alone.
        Self(pointer)
    }
}

impl<T> Deref for Box<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: by the invariant the pointer is valid and ours.
        unsafe { self.0.as_ref() }
    }
}

impl<T> DerefMut for Box<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and we are borrowed mutably.
        unsafe { self.0.as_mut() }
    }
}

impl<T> Drop for Box<T> {
    fn drop(&mut self) {
        // SAFETY: by the invariant this is the only owner, so nobody uses the value any more.
        unsafe {
            self.0.drop_in_place();
            umd_free(self.0.as_ptr().cast());
        }
    }
}

struct Counted<T> {
    count: AtomicUsize,
    value: T,
}

/// A value with several owners; the last one frees it.
///
/// # Invariants
///
/// The pointer came from `place`; `count` is the number of `Arc`s and of raw references given to C.
pub struct Arc<T> {
    pointer: NonNull<Counted<T>>,
    owns: PhantomData<Counted<T>>,
}

// SAFETY: an Arc gives shared access from wherever it is, and the last owner drops the value there.
unsafe impl<T: Send + Sync> Send for Arc<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Arc<T> {}

impl<T> Arc<T> {
    /// Context: may sleep.
    pub fn try_new(value: T) -> Result<Self, Error> {
        let pointer = place(Counted {
            count: AtomicUsize::new(1),
            value,
        })?;
        // INVARIANT: one Arc, count 1.
        Ok(Self {
            pointer,
            owns: PhantomData,
        })
    }

    /// A pointer for C that counts as an owner; [`Arc::from_raw`] takes it back.
    pub fn into_raw(self) -> *const c_void {
        let pointer = self.pointer.as_ptr();
        core::mem::forget(self);
        pointer.cast()
    }

    /// A pointer for C that does not count: valid as long as somebody else owns the value.
    pub fn as_raw(&self) -> *const c_void {
        self.pointer.as_ptr().cast()
    }

    /// What [`as_raw`](Self::as_raw) gives for the owner of this value. Only to be compared.
    pub fn raw_of(value: &T) -> *const c_void {
        let offset = core::mem::offset_of!(Counted<T>, value);
        (&raw const *value).cast::<u8>().wrapping_sub(offset).cast()
    }

    /// # Safety
    ///
    /// The pointer came from [`Arc::into_raw`] of the same `T`, and is given back once.
    pub unsafe fn from_raw(pointer: NonNull<c_void>) -> Self {
        // INVARIANT: into_raw() left the count as it was.
        Self {
            pointer: pointer.cast(),
            owns: PhantomData,
        }
    }

    /// Another owner.
    ///
    /// # Safety
    ///
    /// The pointer came from [`Arc::into_raw`] or [`Arc::as_raw`] of the same `T`, and an owner
    /// exists during the call.
    pub unsafe fn share_raw(pointer: NonNull<c_void>) -> Self {
        // INVARIANT: this one is forgotten, and stands for the owner that exists.
        let owner = core::mem::ManuallyDrop::new(Self {
            pointer: pointer.cast(),
            owns: PhantomData,
        });
        Self::clone(&owner)
    }

    /// # Safety
    ///
    /// The pointer came from [`Arc::into_raw`] or [`Arc::as_raw`] of the same `T`, and an owner
    /// exists for all of `'a`.
    pub unsafe fn borrow_raw<'a>(pointer: NonNull<c_void>) -> &'a T {
        // SAFETY: by this function's contract the value is alive for 'a.
        unsafe { &pointer.cast::<Counted<T>>().as_ref().value }
    }
}

impl<T> Clone for Arc<T> {
    fn clone(&self) -> Self {
        // SAFETY: by the invariant the value is alive while we are. The count cannot overflow: each
        // owner is an object in memory.
        unsafe { self.pointer.as_ref() }
            .count
            .fetch_add(1, Ordering::Relaxed);
        Self {
            pointer: self.pointer,
            owns: PhantomData,
        }
    }
}

impl<T> Deref for Arc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: by the invariant the value is alive while we are.
        unsafe { &self.pointer.as_ref().value }
    }
}

impl<T> Drop for Arc<T> {
    fn drop(&mut self) {
        // SAFETY: by the invariant the value is alive until the count is 0.
        let count = unsafe { self.pointer.as_ref() }
            .count
            .fetch_sub(1, Ordering::Release);
        if count != 1 {
            return;
        }
        fence(Ordering::Acquire);
        // SAFETY: the count is 0: nobody else has the value, and nobody can get it any more.
        unsafe {
            self.pointer.drop_in_place();
            umd_free(self.pointer.as_ptr().cast());
        }
    }
}

/// Values of one kind in memory of their own, which need not be on a stack for it.
///
/// # Invariants
///
/// The pointer came from `umd_alloc_big` for `len` values, all initialised, and has no other owner.
pub struct Slice<T: Copy> {
    pointer: NonNull<T>,
    len: usize,
}

// SAFETY: a Slice owns its values, so it is as free to move and share as those.
unsafe impl<T: Copy + Send> Send for Slice<T> {}
// SAFETY: as above.
unsafe impl<T: Copy + Sync> Sync for Slice<T> {}

impl<T: Copy> Slice<T> {
    /// `len` values, each this one. Context: may sleep.
    pub fn try_new(len: usize, value: T) -> Result<Self, Error> {
        // The kernel's allocator aligns at least to 8.
        const { assert!(align_of::<T>() <= 8) };
        let size = size_of::<T>().checked_mul(len).ok_or(Error::NoMemory)?;
        // SAFETY: any size is a valid argument; NULL is handled.
        let pointer = unsafe { umd_alloc_big(size.max(1)) }.cast::<T>();
        let pointer = NonNull::new(pointer).ok_or(Error::NoMemory)?;
        for index in 0..len {
            // SAFETY: there is room for `len` values, aligned for T (see above).
            unsafe { pointer.add(index).write(value) };
        }
        // INVARIANT: just allocated, and all written.
        Ok(Self { pointer, len })
    }
}

impl<T: Copy> Deref for Slice<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: by the invariant there are len values, ours.
        unsafe { core::slice::from_raw_parts(self.pointer.as_ptr(), self.len) }
    }
}

impl<T: Copy> DerefMut for Slice<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and we are borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(self.pointer.as_ptr(), self.len) }
    }
}

impl<T: Copy> Drop for Slice<T> {
    fn drop(&mut self) {
        // SAFETY: by the invariant this is the only owner; what is Copy has nothing to drop.
        unsafe { umd_free_big(self.pointer.as_ptr().cast()) };
    }
}

/// A large zeroed buffer, whose pages need not be next to each other.
///
/// # Invariants
///
/// The pointer came from `umd_alloc_big(len)` and has no other owner; `len` is not 0.
pub struct Buffer {
    pointer: NonNull<u8>,
    len: usize,
}

// SAFETY: a Buffer owns its bytes.
unsafe impl Send for Buffer {}
// SAFETY: shared access only reads them.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// `len` bytes (at least one) of zeros. Context: may sleep.
    pub fn try_new(len: usize) -> Result<Self, Error> {
        let len = len.max(1);
        // SAFETY: any size is a valid argument; NULL is handled.
        let pointer = unsafe { umd_alloc_big(len) }.cast::<u8>();
        let pointer = NonNull::new(pointer).ok_or(Error::NoMemory)?;
        // INVARIANT: just allocated, and zeroed.
        Ok(Self { pointer, len })
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: by the invariant there are len initialised bytes, ours.
        unsafe { core::slice::from_raw_parts(self.pointer.as_ptr(), self.len) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and we are borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(self.pointer.as_ptr(), self.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: by the invariant this is the only owner.
        unsafe { umd_free_big(self.pointer.as_ptr().cast()) };
    }
}
