// SPDX-License-Identifier: MIT OR Apache-2.0
//! A handler's entry, and the macros that put it into an executable.
//!
//! Entry, panic handler and memcpy come from macros so that this crate can be linked into programs
//! that have their own: tests, fuzzers, anything with the standard library.

use crate::lockdown::Orders;
use crate::memory::string_length;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

static NAME: AtomicPtr<u8> = AtomicPtr::new(null_mut());
static ARGUMENT: AtomicPtr<u8> = AtomicPtr::new(null_mut());

/// The driver's name: `argv[0]`; empty where there is none.
pub fn name() -> &'static [u8] {
    string(&NAME).unwrap_or_default()
}

/// How the system calls are given up: as `argv[1]` says.
pub(crate) fn orders() -> Orders {
    Orders::from_argument(string(&ARGUMENT))
}

fn string(at: &AtomicPtr<u8>) -> Option<&'static [u8]> {
    let string = at.load(Ordering::Relaxed);
    if string.is_null() {
        return None;
    }
    // SAFETY: `set_arguments` was given strings that are there, unchanged, as long as the process is.
    Some(unsafe { core::slice::from_raw_parts(string, string_length(string)) })
}

/// Notes the process's arguments.
///
/// # Safety
///
/// Each is null or a C string that stays as it is for the life of the process.
pub unsafe fn set_arguments(name: *mut u8, argument: *mut u8) {
    NAME.store(name, Ordering::Relaxed);
    ARGUMENT.store(argument, Ordering::Relaxed);
}

/// Makes an executable whose entry runs `$main`, a `fn() -> !`: the lowest level. It locks nothing
/// down. Most handlers want [`handler!`](crate::handler); a raw one has no macro of its own and
/// calls [`lock_down`](crate::lockdown::lock_down) and [`run_raw`](crate::run_raw).
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        unsafe extern "C" fn __umd_begin(name: *mut u8, argument: *mut u8) -> ! {
            // SAFETY: `_start` passes argv[0] and argv[1], which the kernel has put above the stack.
            unsafe { $crate::start::set_arguments(name, argument) };
            let main: fn() -> ! = $main;
            main()
        }

        #[panic_handler]
        fn __umd_panic(_: &::core::panic::PanicInfo<'_>) -> ! {
            $crate::sys::exit($crate::sys::PANICKED)
        }

        // At the entry rsp points to argc, argv[0] is next (null where argc is 0), then argv[1] (null where
        // argc is 1; the kernel makes it 1 where it is 0), and a zero rbp ends the chain of frames. A call wants rsp aligned to 16.
        //
        // The names below are what compiled code refers to. They are assembly, and each in a
        // section of its own, so that neither the optimizer nor the linker takes away one that
        // is needed or keeps one that is not. The last two are named by the unwind tables of
        // the precompiled `core`; nothing unwinds here.
        ::core::arch::global_asm!(
            ".pushsection .text._start, \"ax\", @progbits",
            ".globl _start",
            "_start: xor ebp, ebp",
            "mov rdi, [rsp + 8]",
            "mov rsi, [rsp + 16]",
            "and rsp, -16",
            "call {begin}",
            "ud2",
            ".popsection",
            ".pushsection .text.memcpy, \"ax\", @progbits",
            ".globl memcpy",
            "memcpy: jmp {copy}",
            ".popsection",
            ".pushsection .text.memmove, \"ax\", @progbits",
            ".globl memmove",
            "memmove: jmp {copy_overlapping}",
            ".popsection",
            ".pushsection .text.memset, \"ax\", @progbits",
            ".globl memset",
            "memset: jmp {fill}",
            ".popsection",
            ".pushsection .text.memcmp, \"ax\", @progbits",
            ".globl memcmp",
            ".globl bcmp",
            "memcmp:",
            "bcmp: jmp {compare}",
            ".popsection",
            ".pushsection .text.strlen, \"ax\", @progbits",
            ".globl strlen",
            "strlen: jmp {string_length}",
            ".popsection",
            ".pushsection .text.unwind, \"ax\", @progbits",
            ".globl rust_eh_personality",
            ".globl _Unwind_Resume",
            "rust_eh_personality:",
            "_Unwind_Resume: ud2",
            ".popsection",
            begin = sym __umd_begin,
            copy = sym $crate::memory::copy,
            copy_overlapping = sym $crate::memory::copy_overlapping,
            fill = sym $crate::memory::fill,
            compare = sym $crate::memory::compare,
            string_length = sym $crate::memory::string_length,
        );
    };
}

/// Makes a handler of `$serve`, an expression that gives a
/// `FnMut(&[u8], &mut [u8]) -> Result<usize, Refusal>`: a function's name, or a closure with state,
/// made under lockdown and before the hello.
///
/// `request` and `reply` are the most bytes that either may have.
///
/// ```ignore
/// umd_handler::handler!(request = 64, reply = 8, {
///     let mut requests = 0_u64;
///     move |_request, reply| {
///         requests += 1;
///         reply.copy_from_slice(&requests.to_le_bytes());
///         Ok(reply.len())
///     }
/// });
/// ```
#[macro_export]
macro_rules! handler {
    (request = $request:expr, reply = $reply:expr, $serve:expr $(,)?) => {
        fn __umd_main() -> ! {
            static REQUEST: $crate::Buffer<{ $crate::HEADER_LEN + $request }> =
                $crate::Buffer::new();
            static REPLY: $crate::Buffer<{ $crate::HEADER_LEN + $reply }> = $crate::Buffer::new();
            $crate::lockdown::lock_down();
            $crate::run(REQUEST.take(), REPLY.take(), $serve)
        }

        $crate::entry!(__umd_main);
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_what_was_noted() {
        assert_eq!((name(), orders()), (&b""[..], Orders::Strict));
        let literal = |string: &'static core::ffi::CStr| string.as_ptr().cast_mut().cast();
        // SAFETY: literals stay, and are not written to.
        unsafe { set_arguments(literal(c"sample"), literal(c"filter")) };
        assert_eq!((name(), orders()), (&b"sample"[..], Orders::Filter));
    }
}
