// SPDX-License-Identifier: MIT OR Apache-2.0
//! One transferable public key: RFC 9580, section 10.1.

use crate::cursor::Cursor;
use crate::flaw::Flaw;
use crate::listing::Listing;
use crate::material;
use crate::packet::{Packet, Packets, Tag};
use crate::signature;
use pgp_proto::{Entry, Fingerprint, Refusal};

/// What the signatures that come next are about.
#[derive(Clone, Copy)]
enum Subject {
    Primary,
    UserId,
    Subkey,
    /// Something that was skipped.
    Skipped,
}

impl Subject {
    /// Whether a signature of this type says something here: about what it stands behind, or about
    /// the key itself or as a revocation of a subkey, which it may do anywhere. What is skipped has
    /// no place of its own in the reply, so that such a signature comes with what is before.
    const fn takes(self, kind: u8) -> bool {
        matches!(
            (self, kind),
            (_, 0x1f | 0x20 | 0x28)
                | (Self::UserId, 0x10..=0x13 | 0x30)
                | (Self::Subkey, signature::SUBKEY_BINDING)
        )
    }
}

pub(crate) fn answer(
    input: Cursor<'_>,
    own: &Fingerprint,
    reply: &mut [u8],
) -> Result<usize, Refusal> {
    let mut packets = Packets::new(input, &[Tag::Key, Tag::Ignored])?;
    let mut list = Listing::new(reply)?;
    let mut subject = None;
    while let Some(Packet { tag, body, .. }) = packets.next()? {
        match (tag, subject) {
            (Tag::Key, None) => {
                let primary = material::key(body).map_err(Flaw::refusal)?;
                list.push(&Entry::Primary(primary))?;
                subject = Some(Subject::Primary);
            }
            (Tag::Key, Some(_)) => return Err(Refusal::Several),
            (Tag::UserId, Some(_)) => {
                list.push(&Entry::UserId(body.place()))?;
                subject = Some(Subject::UserId);
            }
            (Tag::Attribute, Some(_)) => {
                Flaw::Unsupported.note(&mut list.skipped);
                subject = Some(Subject::Skipped);
            }
            (Tag::Subkey, Some(_)) => {
                subject = Some(match material::key(body) {
                    Ok(subkey) => {
                        list.push(&Entry::Subkey(subkey))?;
                        Subject::Subkey
                    }
                    Err(flaw) => {
                        flaw.note(&mut list.skipped);
                        Subject::Skipped
                    }
                });
            }
            (Tag::Signature, Some(subject)) => take_signature(&mut list, subject, body, own)?,
            (_, None) => return Err(Refusal::NotMine),
            _ => return Err(Refusal::Invalid),
        }
    }
    match subject {
        Some(_) => Ok(list.finish()),
        None => Err(Refusal::NotMine),
    }
}

fn take_signature(
    list: &mut Listing<'_>,
    subject: Subject,
    body: Cursor<'_>,
    own: &Fingerprint,
) -> Result<(), Refusal> {
    let found = match signature::read(body, Some(own)) {
        Ok(found) => found,
        Err(flaw) => {
            flaw.note(&mut list.skipped);
            return Ok(());
        }
    };
    if found.is_foreign() {
        list.skipped.foreign = list.skipped.foreign.saturating_add(1);
    } else if subject.takes(found.kind) {
        list.push(&Entry::Signature(found.signature))?;
    } else if matches!(subject, Subject::Skipped) {
        Flaw::Unsupported.note(&mut list.skipped);
    } else {
        Flaw::Invalid.note(&mut list.skipped);
    }
    Ok(())
}
