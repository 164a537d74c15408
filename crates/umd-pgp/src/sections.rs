// SPDX-License-Identifier: MIT OR Apache-2.0
//! The armors of a file, and what else is in it.
//!
//! A file may have several armors, with text between them. The host finds where each begins and
//! ends, so that none is passed over: what is in the file and is not read is an error.

use crate::error::Error;
use pgp_rules::Refusal;
use std::fmt;
use std::num::NonZeroU32;

/// The prefix of an armor's first line.
const BEGIN: &[u8] = b"-----BEGIN PGP ";

/// The prefix of an armor's last line.
const END: &[u8] = b"-----END PGP ";

/// The byte-order mark in UTF-8, which some editors write in front of a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// An armor, from its first line to its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Section<'b> {
    pub(crate) text: &'b [u8],
    /// The number of its first line in the file.
    pub(crate) line: NonZeroU32,
}

/// What a file is, or a part of it, that is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextFlaw {
    /// The armor's checksum is not that of its bytes.
    Checksum,
    /// The armor is of another kind than what was asked for.
    OtherKind,
    /// An armor follows where one is all that there may be.
    Second,
    /// The armor has something in front of its lines.
    Quoted,
    /// A byte-order mark is in front of the armor.
    ByteOrderMark,
    /// The text is in UTF-16.
    Utf16,
    /// The lines end with a carriage return alone.
    LineEnds,
    /// The file is a page of the web.
    Html,
    /// The file is a keybox of GnuPG's.
    Keybox,
    /// Beside an armor is something that is no text.
    Binary,
    /// Behind packets is something that is no packet.
    BehindPackets,
}

impl TextFlaw {
    /// What it is, and what would be right: no capital at the front, no full stop at the end.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Checksum => {
                "the armor's checksum is wrong: the armor was changed, or is not whole"
            }
            Self::OtherKind => "the armor is of another kind",
            Self::Second => "a second armor follows, and there may be one only",
            Self::Quoted => {
                "the armor is quoted or indented: `-----BEGIN PGP` has to begin its line"
            }
            Self::ByteOrderMark => {
                "a byte-order mark is in front of the armor: the file has to be saved without one"
            }
            Self::Utf16 => "the text is in UTF-16: an armor is in ASCII",
            Self::LineEnds => {
                "the lines end with a carriage return alone: a line ends with a line feed"
            }
            Self::Html => {
                "this is a page of the web (HTML), without a key or a signature that can be read"
            }
            Self::Keybox => {
                "this is a keybox of GnuPG's: `gpg --export` writes the keys that are in it"
            }
            Self::Binary => "beside an armor is something that is neither an armor nor text",
            Self::BehindPackets => {
                "behind the packets is something that is no packet: an armor there is not read"
            }
        }
    }
}

impl fmt::Display for TextFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// Whether the file has packets, and not text. Each packet begins with a byte that is no character
/// of an armor, and has bytes that are in no text.
pub(crate) fn is_binary(bytes: &[u8]) -> bool {
    let is_packet = bytes.first().is_none_or(|first| first & 0x80 != 0);
    is_packet && !is_utf16(bytes) && (has_controls(bytes) || str::from_utf8(bytes).is_err())
}

/// All armors of a text.
///
/// # Errors
///
/// There is none, or something that could be one and is not read.
pub(crate) fn sections(bytes: &[u8]) -> Result<Vec<Section<'_>>, Error> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    let (mut begin, mut binary) = (None, None);
    let mut at = 0;
    let mut number = NonZeroU32::MIN;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let end = at + line.len();
        if line.starts_with(BEGIN) {
            if find(line, b"\r-----END PGP ").is_some() {
                return Err(TextFlaw::LineEnds.at(number));
            }
            // The one before has no end: that is for the handler to say.
            if let Some((begin, line)) = begin.replace((at, number)) {
                sections.push(section(bytes, begin, at, line));
            }
        } else if begin.is_none() {
            match outside(bytes, line, number) {
                // Without an armor it is another kind of file, and that says more.
                Err(
                    error @ Error::Text {
                        flaw: TextFlaw::Binary,
                        ..
                    },
                ) => {
                    binary = binary.or(Some(error));
                }
                other => other?,
            }
        } else if line.starts_with(END)
            && let Some((begin, line)) = begin.take()
        {
            sections.push(section(bytes, begin, end, line));
        }
        at = end;
        number = number.saturating_add(1);
    }
    if let Some((begin, line)) = begin {
        sections.push(section(bytes, begin, at, line));
    }
    match (sections.is_empty(), binary) {
        (true, _) if is_html(bytes) => Err(TextFlaw::Html.at(NonZeroU32::MIN)),
        (true, _) => Err(Refusal::NotMine.into()),
        (false, Some(error)) => Err(error),
        (false, None) => Ok(sections),
    }
}

fn section(bytes: &[u8], begin: usize, end: usize, line: NonZeroU32) -> Section<'_> {
    Section {
        text: bytes.get(begin..end).unwrap_or_default(),
        line,
    }
}

/// Looks at a line that is beside armors. It may be any text, which means nothing.
fn outside(bytes: &[u8], line: &[u8], number: NonZeroU32) -> Result<(), Error> {
    let flaw = if let Some(at) = find(line, BEGIN) {
        match line.get(..at).unwrap_or_default() {
            before if before.ends_with(BYTE_ORDER_MARK) => TextFlaw::ByteOrderMark,
            before if before.ends_with(b"\r") => TextFlaw::LineEnds,
            _ if find(line, b"\r-----END PGP ").is_some() => TextFlaw::LineEnds,
            _ if is_html(bytes) => TextFlaw::Html,
            _ => TextFlaw::Quoted,
        }
    } else if has_utf16_armor(line) || is_utf16(bytes) {
        TextFlaw::Utf16
    } else if is_keybox(bytes) {
        TextFlaw::Keybox
    } else if has_controls(line) {
        TextFlaw::Binary
    } else {
        return Ok(());
    };
    Err(flaw.at(number))
}

impl TextFlaw {
    pub(crate) const fn at(self, line: NonZeroU32) -> Error {
        Error::Text {
            flaw: self,
            line: Some(line),
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Bytes that are in no text, whatever its encoding is, but for UTF-16.
fn has_controls(bytes: &[u8]) -> bool {
    // A file of old systems may end with 0x1a.
    let is_of_text = |byte: &u8| matches!(*byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1a | 0x1b);
    bytes
        .iter()
        .any(|byte| byte.is_ascii_control() && !is_of_text(byte))
}

fn is_utf16(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff")
}

/// The first line of an armor in UTF-16, of either order of bytes.
fn has_utf16_armor(line: &[u8]) -> bool {
    find(line, b"B\0E\0G\0I\0N\0 \0P\0G\0P").is_some()
}

fn is_html(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let bytes = bytes.trim_ascii_start();
    [&b"<!doctype"[..], b"<html", b"<?xml"].iter().any(|front| {
        let begin = bytes.get(..front.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(front))
    })
}

/// The first block of a keybox has this behind its length, type, version and flags.
fn is_keybox(bytes: &[u8]) -> bool {
    bytes.get(8..12) == Some(b"KBXf")
}
