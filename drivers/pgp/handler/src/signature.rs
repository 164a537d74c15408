// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signatures: RFC 9580, section 5.2.

use crate::cursor::Cursor;
use crate::flaw::Flaw;
use crate::material;
use crate::packet::two_octets;
use pgp_proto::{Fingerprint, Object, Place, Signature};

/// A binding of a subkey, the type that has a back signature.
pub(crate) const SUBKEY_BINDING: u8 = 0x18;

/// Types of subpackets.
mod subpacket {
    pub(super) const CREATED: u8 = 2;
    pub(super) const ISSUER: u8 = 16;
    pub(super) const PRIMARY_USER_ID: u8 = 25;
    pub(super) const EMBEDDED: u8 = 32;
    pub(super) const FINGERPRINT: u8 = 33;
}

/// A signature, and more that its reader has to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) signature: Signature,
    /// Its type.
    pub(crate) kind: u8,
    /// It names an issuer.
    pub(crate) names_some: bool,
    /// It names the one that was asked for.
    pub(crate) names_own: bool,
}

impl Found {
    /// By what it says it is by somebody else than the one that was asked for.
    pub(crate) const fn is_foreign(&self) -> bool {
        self.names_some && !self.names_own
    }
}

/// A signature's body, without what is in its subpackets.
struct Outline<'i> {
    object: Object,
    kind: u8,
    says: Says<'i>,
}

/// What a signature says itself.
enum Says<'i> {
    /// Of version 3: when it was made, and the key id of its maker.
    V3 { created: u32, issuer: Cursor<'i> },
    /// Of versions 4 and 6: subpackets, of which the first area is signed.
    Areas {
        hashed: Cursor<'i>,
        unhashed: Cursor<'i>,
    },
}

/// The bytes of a signature of version 3 that are hashed. RFC 4880, section 5.2.2.
const V3_HASHED: u8 = 5;

/// Bytes of a key id.
const KEY_ID_LEN: usize = 8;

fn outline(body: Cursor<'_>) -> Result<Outline<'_>, Flaw> {
    let mut from = body;
    let version = from.byte().ok_or(Flaw::Invalid)?;
    let area = |from: &mut Cursor<'_>| match version {
        4 => from.half().map(usize::from),
        _ => from.count(),
    };
    let (kind, algorithm, says) = match version {
        3 => {
            let [V3_HASHED, kind] = from.array().ok_or(Flaw::Invalid)? else {
                return Err(Flaw::Invalid);
            };
            let created = from.word().ok_or(Flaw::Invalid)?;
            let issuer = from.take(KEY_ID_LEN).ok_or(Flaw::Invalid)?;
            let [algorithm, _hash] = from.array().ok_or(Flaw::Invalid)?;
            (kind, algorithm, Says::V3 { created, issuer })
        }
        4 | 6 => {
            let [kind, algorithm, _hash] = from.array().ok_or(Flaw::Invalid)?;
            let length = area(&mut from).ok_or(Flaw::Invalid)?;
            let hashed = from.take(length).ok_or(Flaw::Invalid)?;
            let length = area(&mut from).ok_or(Flaw::Invalid)?;
            let unhashed = from.take(length).ok_or(Flaw::Invalid)?;
            (kind, algorithm, Says::Areas { hashed, unhashed })
        }
        _ => return Err(Flaw::Unsupported),
    };
    let _begin_of_hash = from.half().ok_or(Flaw::Invalid)?;
    if version == 6 {
        let salt = from.byte().ok_or(Flaw::Invalid)?;
        from.take(salt.into()).ok_or(Flaw::Invalid)?;
    }
    let parts = material::signature(&mut from, version, algorithm)?;
    // What follows the numbers nobody has signed, and readers ignore. Version 6 has nothing there.
    if version == 6 && !from.is_empty() {
        return Err(Flaw::Invalid);
    }
    Ok(Outline {
        object: Object {
            body: body.place(),
            parts,
        },
        kind,
        says,
    })
}

/// Reads a signature's body. `own` is the issuer that is asked for, if one is.
pub(crate) fn read(body: Cursor<'_>, own: Option<&Fingerprint>) -> Result<Found, Flaw> {
    let Outline { object, kind, says } = outline(body)?;
    let mut found = Found {
        signature: Signature {
            object,
            ..Signature::default()
        },
        kind,
        names_some: false,
        names_own: false,
    };
    match says {
        Says::V3 { created, issuer } => {
            found.signature.created = created;
            found.issuer(subpacket::ISSUER, issuer, own);
        }
        Says::Areas { hashed, unhashed } => {
            let mut area = hashed;
            while !area.is_empty() {
                let (number, value) = subpacket(&mut area).ok_or(Flaw::Invalid)?;
                found.signed_subpacket(number, value);
                found.subpacket(number, value, own);
            }
            // Anybody may have written the other area. What is broken there ends it, and no more.
            let mut area = unhashed;
            while let Some((number, value)) = subpacket(&mut area) {
                found.subpacket(number, value, own);
            }
        }
    }
    Ok(found)
}

/// The next subpacket: its type without the critical bit, and its value.
fn subpacket<'i>(area: &mut Cursor<'i>) -> Option<(u8, Cursor<'i>)> {
    let length = match area.byte()? {
        one @ 0..192 => usize::from(one),
        high @ 192..255 => two_octets(high, area.byte()?),
        255 => area.count()?,
    };
    let mut value = area.take(length)?;
    let number = value.byte()?;
    Some((number & 0x7f, value))
}

impl Found {
    /// Notes what counts only where it is signed.
    fn signed_subpacket(&mut self, number: u8, mut value: Cursor<'_>) {
        match number {
            subpacket::CREATED => self.signature.created = value.word().unwrap_or(0),
            subpacket::PRIMARY_USER_ID => {
                self.signature.is_primary = value.rest().iter().any(|byte| *byte != 0);
            }
            _ => {}
        }
    }

    /// Notes what may be in either area.
    fn subpacket(&mut self, number: u8, value: Cursor<'_>, own: Option<&Fingerprint>) {
        match number {
            subpacket::ISSUER | subpacket::FINGERPRINT => self.issuer(number, value, own),
            subpacket::EMBEDDED if self.kind == SUBKEY_BINDING => {
                let back = || outline(value).ok().map(|outline| outline.object);
                self.signature.back = self.signature.back.or_else(back);
            }
            _ => {}
        }
    }

    /// Notes an issuer that is named: a fingerprint rather than a key id, the first rather than another.
    fn issuer(&mut self, number: u8, value: Cursor<'_>, own: Option<&Fingerprint>) {
        let Some((place, is_own)) = issuer(number, value, own) else {
            return;
        };
        self.names_some = true;
        self.names_own |= is_own;
        let known = self.signature.issuer;
        if known.is_none_or(|known| known.len < 20 && place.len >= 20) {
            self.signature.issuer = Some(place);
        }
    }
}

/// Where a subpacket names an issuer, and whether that is the one that is asked for.
fn issuer(number: u8, value: Cursor<'_>, own: Option<&Fingerprint>) -> Option<(Place, bool)> {
    let mut name = value;
    if number == subpacket::ISSUER {
        let id = name.array()?;
        let is_own = own.is_some_and(|own| own.key_id() == id);
        return name.is_empty().then_some((value.place(), is_own));
    }
    let length = match name.byte()? {
        4 => 20,
        6 => 32,
        _ => return None,
    };
    let is_own = own.is_some_and(|own| own.as_bytes() == name.rest());
    (name.rest().len() == length).then_some((name.place(), is_own))
}
