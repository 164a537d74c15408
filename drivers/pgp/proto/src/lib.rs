// SPDX-License-Identifier: MIT OR Apache-2.0
//! The messages between the hosts of the PGP driver and its handler.
//!
//! A [`Request`] is the host's question, and the caller's bytes behind it. What comes back says where
//! in these bytes things are, and nothing of what they are worth:
//!
//! | request | payload of the reply |
//! | --- | --- |
//! | [`Request::Key`] | [`Key`]: the parts of one key, each with the signatures about it |
//! | [`Request::Ring`] | [`Ring`]: where each of several keys begins and ends |
//! | [`Request::Signature`] | [`Detached`]: signatures |
//! | [`Request::Message`] | [`Message`]: the text, and signatures of it |
//! | [`Request::Cleartext`] | [`Cleartext`]: the text, and the armored signature |
//! | [`Request::Armor`] | [`Armor`]: the bytes that the armor was around |
//! | [`Request::Rpm`] | [`Rpm`]: which index entries hold what is wanted |
//!
//! or a [`Refusal`] in the reply's status. Numbers of the messages are little-endian; those of the
//! caller's bytes are as their formats have them.
//!
//! # What decoding checks
//!
//! That all places are within the caller's bytes, each part within what it is a part of, and none in
//! two things at once: things come in the order in which they lie there, each wholly behind the one
//! before it. What decoding cannot know is whether anything *is* at a place. A host reads there
//! what it finds, and believes what a signature proves.
//!
//! This crate goes into a kernel module: nothing in it can panic.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod armor;
mod cleartext;
mod entry;
mod key;
mod message;
mod place;
mod refusal;
mod request;
mod ring;
pub mod rpm;
mod wire;

pub use armor::{ARMOR_HEADER_LEN, Armor, Block, Checksum};
pub use cleartext::Cleartext;
pub use entry::{
    ENTRY_LEN, Entries, Entry, LIST_HEADER_LEN, List, NewestFirst, Signature, Signatures, Skipped,
};
pub use key::{Component, Components, Key, Subject};
pub use message::{Detached, Literal, MESSAGE_HEADER_LEN, Message};
pub use place::{Object, PARTS_MAX, Parts, Place};
pub use refusal::Refusal;
pub use request::{Fingerprint, Request};
pub use ring::{RING_ENTRY_LEN, Ring};
pub use rpm::Rpm;

use core::ffi::CStr;

/// The driver's name.
pub const NAME: &CStr = c"pgp";

/// Bytes of a [`Request`], in front of the caller's.
pub const HEADER_LEN: usize = 44;

/// The most bytes that a caller may have read at once. Public keys with ten thousands of
/// certifications have some megabytes, and so have the headers of packages with as many files.
pub const INPUT_MAX: usize = 16 << 20;

/// The most bytes of a whole request.
pub const REQUEST_MAX: usize = HEADER_LEN + INPUT_MAX;

/// The most things that one reply tells of. Of keys in use, the richest have some hundred parts and
/// signatures of their own.
pub const ENTRIES_MAX: usize = 1024;

/// The most bytes of a reply to any request but [`Request::Armor`].
pub const REPLY_MAX: usize = MESSAGE_HEADER_LEN + ENTRIES_MAX * ENTRY_LEN;

/// The most bytes of a reply to [`Request::Armor`]: four characters stand for three bytes.
pub const ARMOR_REPLY_MAX: usize = ARMOR_HEADER_LEN + INPUT_MAX / 4 * 3;

/// A message is not what it should be: its length, a number out of its range, or a place that is
/// outside of what it is a place in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

#[cfg(test)]
mod tests;
