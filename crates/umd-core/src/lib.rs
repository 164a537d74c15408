// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rules that every host of user mode drivers obeys.
#![no_std]
#![forbid(unsafe_code)]

pub mod frame;
