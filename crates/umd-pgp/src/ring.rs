// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files of many keys, read to their end.

use crate::crypto::RustCrypto;
use crate::error::Error;
use crate::issuer::Issuer;
use crate::key::Key;
use crate::keyring::{Keyring, place_of};
use crate::reader::joined;
use crate::sections::TextFlaw;
use pgp_proto::{Block, Detached, INPUT_MAX, Place, Request};
use pgp_rules::signature::kind;
use pgp_rules::{Fingerprint, Refusal, Signature, key, packet, public};
use std::borrow::Cow;

/// The result of adding a file of keys.
#[derive(Debug, Default)]
pub struct Added {
    /// So many were added.
    pub added: usize,
    /// So many keys were revoked by revocations that came by themselves.
    pub revoked: usize,
    /// The others.
    pub refused: Vec<NotAdded>,
}

/// A key that was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAdded {
    /// Its number in the keyring, from 0. Revocations by themselves are counted behind all keys.
    pub number: usize,
    /// Its fingerprint, where its primary key could be read.
    pub fingerprint: Option<Fingerprint>,
    /// Why it was not.
    pub error: Error,
}

impl Keyring {
    /// Adds the keys of a keyring, in armors or as they are, those that are believed; each as by
    /// [`add`](Self::add).
    ///
    /// The whole file is read: all its armors, whatever text is between them. A key of which one
    /// copy in the file is refused is not added, since that copy may have revoked it. An armor with
    /// a revocation alone, as GnuPG writes one along with each key, revokes that key.
    ///
    /// # Errors
    ///
    /// It is no keyring, or is damaged, or a part of it cannot be read, or one of its keys is
    /// longer than [`INPUT_MAX`]. Nothing was added then.
    pub fn add_all(&mut self, bytes: &[u8]) -> Result<Added, Error> {
        self.add_all_watched(bytes, |_| {})
    }

    /// Does the same, and passes to `watch`, before each key, how many bytes are behind it: a
    /// thousand keys may take ten seconds. The bytes of an armor are counted without it.
    ///
    /// # Errors
    ///
    /// As [`add_all`](Self::add_all).
    pub fn add_all_watched(
        &mut self,
        bytes: &[u8],
        mut watch: impl FnMut(usize),
    ) -> Result<Added, Error> {
        let sections = self.reader.sections(bytes, Block::Key)?;
        let is_alone = |section: &Cow<'_, [u8]>| packet::begins_with(section, packet::SIGNATURE);
        let (alone, rings): (Vec<_>, Vec<_>) = sections.into_iter().partition(is_alone);
        let alone = alone.iter().map(|packets| self.loose(packets));
        let alone: Vec<Vec<Loose>> = alone.collect::<Result<_, _>>()?;
        let ring = joined(rings);
        let mut ring = self.read_ring(&ring, &mut watch)?;
        ring.withdraw();
        let Ring {
            believed,
            mut refused,
        } = ring;
        let (added, mut number) = (believed.len(), believed.len() + refused.len());
        for (_, key) in believed {
            self.keep(key);
        }
        let mut revoked = 0;
        for loose in alone.into_iter().flatten() {
            match self.revoke(&loose) {
                Ok(()) => revoked += 1,
                Err(error) => refused.push(NotAdded {
                    number,
                    fingerprint: None,
                    error,
                }),
            }
            number += 1;
        }
        Ok(Added {
            added,
            revoked,
            refused,
        })
    }

    /// Reads the keys of a keyring, one after the other.
    fn read_ring(&self, ring: &[u8], mut watch: impl FnMut(usize)) -> Result<Ring, Error> {
        // The handler says how far each key goes. Where one can begin at all the host knows.
        let fronts = packet::fronts(ring).filter(|(_, is_key)| *is_key);
        let fronts: Vec<usize> = fronts.map(|(at, _)| at).collect();
        let mut rest = ring;
        let (mut believed, mut refused, mut number) = (Vec::new(), Vec::new(), 0);
        while !rest.is_empty() {
            let (keys, next) = self.front(rest).map_err(|error| behind(error, ring))?;
            let begin = ring.len() - rest.len();
            let end = begin.saturating_add(next);
            if end < ring.len() && fronts.binary_search(&end).is_err() {
                // The last one goes on behind what can be read at once; or the handler says so.
                return Err(match next {
                    INPUT_MAX => Refusal::TooLong.into(),
                    _ => Refusal::Reply.into(),
                });
            }
            for place in keys {
                let at = begin.saturating_add(place.at as usize);
                watch(at);
                let mut fingerprint = None;
                let key = match fronts.binary_search(&at) {
                    Ok(_) => place_of(place, rest).and_then(|bytes| {
                        fingerprint = packet::primary(bytes)
                            .ok()
                            .and_then(|body| public::fingerprint_of(body, &RustCrypto));
                        self.read_key(bytes)
                    }),
                    Err(_) => Err(Refusal::Reply.into()),
                };
                match key {
                    Ok(key) => believed.push((number, key)),
                    Err(error) => refused.push(NotAdded {
                        number,
                        fingerprint,
                        error,
                    }),
                }
                number += 1;
            }
            rest = rest.get(next..).unwrap_or(&[]);
        }
        Ok(Ring { believed, refused })
    }

    /// Revocations that come without a key.
    fn loose(&self, packets: &[u8]) -> Result<Vec<Loose>, Error> {
        let reply = self.ask_of_signatures(Request::Signature, packets)?;
        let detached = Detached::decode(&reply, packets.len()).map_err(|_| Refusal::Reply)?;
        let loose = |claim: pgp_proto::Signature| {
            let body = place_of(claim.object.body, packets)?;
            if Signature::read(body).is_ok_and(|it| it.kind() != kind::REVOKE_KEY) {
                return Err(Refusal::NotMine.into());
            }
            let issuer = claim.issuer.and_then(|issuer| issuer.of(packets));
            Ok(Loose {
                body: body.to_vec(),
                issuer: issuer.and_then(Issuer::read),
            })
        };
        let mut all = detached
            .signatures
            .map(loose)
            .collect::<Result<Vec<_>, Error>>()?;
        // A signature that cannot be read may be a revocation: it is reported like the others.
        let bodies = packet::bodies(packets, packet::SIGNATURE);
        let unread = bodies.filter(|body| Signature::read(body).is_err());
        all.extend(unread.map(|body| Loose {
            body: body.to_vec(),
            issuer: None,
        }));
        Ok(all)
    }

    /// Revokes the key that has made this.
    fn revoke(&mut self, loose: &Loose) -> Result<(), Error> {
        let now = self.now();
        let revokes = |key: &Key| {
            let primary = pgp_rules::PublicKey::read(&key.primary.body, &RustCrypto)?;
            key::check_revocation(&primary, &loose.body, &RustCrypto, now)
        };
        let mut why = None;
        for key in &mut self.keys {
            match revokes(key) {
                Ok(()) => {
                    key.revoke();
                    return Ok(());
                }
                Err(Refusal::BadSignature) => {}
                Err(refusal) => why = Some(refusal),
            }
        }
        Err(match (why, loose.issuer) {
            (Some(refusal), _) => refusal.into(),
            (None, Some(issuer)) => Error::Revocation(issuer),
            (None, None) => Refusal::BadSignature.into(),
        })
    }

    /// The keys at the front of a keyring, and where to go on behind them.
    fn front(&self, ring: &[u8]) -> Result<(Vec<Place>, usize), Error> {
        let piece = ring.get(..INPUT_MAX).unwrap_or(ring);
        let reply = self.reader.ask(Request::Ring, piece)?;
        let keys = pgp_proto::Ring::decode(&reply, piece.len()).map_err(|_| Refusal::Reply)?;
        let mut keys: Vec<Place> = keys.keys().collect();
        let cut = match piece.len() < ring.len() {
            true => Refusal::TooLong,
            false => Refusal::Cut,
        };
        let last = *keys.last().ok_or(cut)?;
        let mut next = last.end() as usize;
        // There may be more of the last one in the next piece.
        if next < ring.len() && keys.len() > 1 {
            keys.pop();
            next = last.at as usize;
        }
        Ok((keys, next))
    }
}

/// The keys of a keyring, as they were read.
struct Ring {
    /// The keys that were accepted, each with its number in the file.
    believed: Vec<(usize, Key)>,
    refused: Vec<NotAdded>,
}

impl Ring {
    /// Takes away keys of which another copy was refused: it may have said that the key is revoked.
    fn withdraw(&mut self) {
        let Self { believed, refused } = self;
        let why = |fingerprint: &Fingerprint| {
            let mut copies = refused.iter();
            let copy = copies.find(|it| it.fingerprint == Some(*fingerprint));
            copy.map(|copy| match copy.error {
                Error::Refused(refusal) => Error::OtherCopy(refusal),
                other => other,
            })
        };
        let mut withdrawn = Vec::new();
        believed.retain(|(number, key)| {
            let fingerprint = key.primary.fingerprint;
            let error = why(&fingerprint);
            withdrawn.extend(error.map(|error| NotAdded {
                number: *number,
                fingerprint: Some(fingerprint),
                error,
            }));
            error.is_none()
        });
        refused.extend(withdrawn);
        refused.sort_by_key(|it| it.number);
    }
}

/// A signature that came without a key.
struct Loose {
    body: Vec<u8>,
    issuer: Option<Issuer>,
}

/// Returns a more exact error where packets are followed by other bytes, such as an armor.
pub(crate) fn behind(error: Error, binary: &[u8]) -> Error {
    let end = packet::fronts(binary).last().map_or(0, |(at, _)| at);
    let is_packet = binary.get(end).is_none_or(|byte| byte & 0x80 != 0);
    match error {
        Error::Refused(Refusal::Malformed) if end > 0 && !is_packet => Error::Text {
            flaw: TextFlaw::BehindPackets,
            line: None,
        },
        other => other,
    }
}
