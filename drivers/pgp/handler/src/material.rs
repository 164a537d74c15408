// SPDX-License-Identifier: MIT OR Apache-2.0
//! The numbers of keys and signatures, and the bodies of keys: RFC 9580, sections 5.5 and 11.

use crate::cursor::Cursor;
use crate::flaw::Flaw;
use pgp_proto::{Object, PARTS_MAX, Parts};

/// How a number is written.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// A multiprecision integer: its number of bits, two octets, then as many bytes as these need.
    Integer,
    /// An octet of length before it.
    Counted,
    /// As many bytes as there always are.
    Fixed(usize),
}

use Form::{Counted, Fixed, Integer};

/// What a public key of an algorithm is made of.
const fn of_key(algorithm: u8) -> Option<&'static [Form]> {
    Some(match algorithm {
        1..=3 => &[Integer; 2],
        16 => &[Integer; 3],
        17 => &[Integer; 4],
        18 => &[Counted, Integer, Counted],
        19 | 22 => &[Counted, Integer],
        25 | 27 => &[Fixed(32)],
        26 => &[Fixed(56)],
        28 => &[Fixed(57)],
        _ => return None,
    })
}

/// What a signature by an algorithm is made of.
const fn of_signature(algorithm: u8) -> Option<&'static [Form]> {
    Some(match algorithm {
        1 | 3 => &[Integer],
        17 | 19 | 22 => &[Integer; 2],
        27 => &[Fixed(64)],
        28 => &[Fixed(114)],
        _ => return None,
    })
}

/// Takes numbers; what follows them is left.
fn parts(
    from: &mut Cursor<'_>,
    forms: &[Form],
    integer: impl Fn(&mut Cursor<'_>) -> Option<()>,
) -> Result<Parts, Flaw> {
    let mut lens = [0; PARTS_MAX];
    let at = from.at();
    for (form, len) in forms.iter().zip(&mut lens) {
        let begin = from.at();
        match *form {
            Integer => integer(from).ok_or(Flaw::Invalid)?,
            Counted => counted(from).ok_or(Flaw::Invalid)?,
            Fixed(length) => drop(from.take(length).ok_or(Flaw::Invalid)?),
        }
        let length = from.at().saturating_sub(begin);
        *len = u16::try_from(length).map_err(|_| Flaw::Invalid)?;
    }
    Ok(Parts { at, lens })
}

/// Skips an integer of a signature of an older version. Some programs count too many bits, and
/// write zeros in front.
fn lax_integer(from: &mut Cursor<'_>) -> Option<()> {
    let bits = from.half()?;
    let value = from.take(usize::from(bits).div_ceil(8))?;
    value.rest().iter().any(|byte| *byte != 0).then_some(())
}

/// Skips an integer of a key, or of a signature of version 6. There is one way to write each: the
/// first bit counted is set, and none is zero.
fn integer(from: &mut Cursor<'_>) -> Option<()> {
    let bits = from.half()?;
    let value = from.take(usize::from(bits).div_ceil(8))?;
    let unused = value.rest().first()?.leading_zeros();
    let counted = u32::try_from(value.rest().len()).ok()?.checked_mul(8)?;
    (counted.checked_sub(unused)? == u32::from(bits)).then_some(())
}

/// Skips a field with its length before it; 0 and 255 are reserved.
fn counted(from: &mut Cursor<'_>) -> Option<()> {
    let length = from.byte()?;
    if matches!(length, 0 | 255) {
        return None;
    }
    from.take(length.into()).map(drop)
}

/// Takes the numbers of a signature of this version.
pub(crate) fn signature(from: &mut Cursor<'_>, version: u8, algorithm: u8) -> Result<Parts, Flaw> {
    let forms = of_signature(algorithm).ok_or(Flaw::Unsupported)?;
    match version {
        6 => parts(from, forms, integer),
        _ => parts(from, forms, lax_integer),
    }
}

/// Reads the body of a public key or subkey.
pub(crate) fn key(body: Cursor<'_>) -> Result<Object, Flaw> {
    let mut from = body;
    let version = from.byte().ok_or(Flaw::Invalid)?;
    if !matches!(version, 4 | 6) {
        return Err(Flaw::Unsupported);
    }
    let _created = from.word().ok_or(Flaw::Invalid)?;
    let algorithm = from.byte().ok_or(Flaw::Invalid)?;
    if version == 6 && from.count() != Some(from.rest().len()) {
        return Err(Flaw::Invalid);
    }
    let forms = of_key(algorithm).ok_or(Flaw::Unsupported)?;
    let parts = parts(&mut from, forms, integer)?;
    if !from.is_empty() {
        return Err(Flaw::Invalid);
    }
    Ok(Object {
        body: body.place(),
        parts,
    })
}
