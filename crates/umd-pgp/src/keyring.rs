// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys, and what they have signed.

use crate::claims::{Claim, Claims, Feed, read_all, unread};
use crate::crypto::RustCrypto;
use crate::error::Error;
use crate::issuer::Issuer;
use crate::key::{Key, PublicKey};
use crate::reader::{Reader, joined};
use crate::sections::TextFlaw;
use pgp_proto::{Block, Cleartext, Detached, INPUT_MAX, Place, Request, Ring};
use pgp_rules::key::SUBKEYS_MAX;
use pgp_rules::signature::kind;
use pgp_rules::{Fingerprint, Refusal, Signature, Verified, data, key, packet, public, text};
use std::borrow::Cow;
use std::io::Read;
use std::time::{SystemTime, UNIX_EPOCH};

/// Keys to verify signatures with, and the handler that reads both.
pub struct Keyring {
    pub(crate) reader: Reader,
    keys: Vec<Key>,
    time: Option<SystemTime>,
}

/// What has become of a keyring's keys.
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

/// A signature that was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed<'k> {
    /// Whose it is.
    pub key: &'k Key,
    /// With which of their keys: the primary one, or a subkey.
    pub by: &'k PublicKey,
    pub(crate) verified: Verified,
}

impl Signed<'_> {
    /// When it was made, in seconds since 1970.
    pub fn made(&self) -> u32 {
        self.verified.facts().made
    }

    /// Is it over text? How the lines of the data end was not signed then.
    pub fn is_over_text(&self) -> bool {
        self.verified.kind() == kind::TEXT
    }
}

/// A message whose signature was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'k> {
    /// Its signature.
    pub signed: Signed<'k>,
    /// What was signed. Of a cleartext-signed message: without dashes in front of lines and blanks behind them.
    pub data: Vec<u8>,
}

impl Keyring {
    /// One without keys.
    ///
    /// # Errors
    ///
    /// The handler's image cannot be had.
    pub fn new() -> Result<Self, Error> {
        Ok(Self {
            reader: Reader::new()?,
            keys: Vec::new(),
            time: None,
        })
    }

    /// Takes this for the present, and not the clock. What a key's owner says is read when the key is added.
    pub fn set_time(&mut self, time: SystemTime) {
        self.time = Some(time);
    }

    /// The keys, in the order in which they were added.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Adds one key, in an armor or as it is. A copy of a key that is there takes its place, but for revocations: a key or subkey that
    /// was revoked once stays revoked in this keyring, whatever a copy from before does not know. All else (user id, expiry, what it is for,
    /// other subkeys) is as the copy says that was added last, be it the older one.
    ///
    /// # Errors
    ///
    /// Why it is not believed. One that has expired or is revoked is added all the same: it tells why its signatures do not count.
    pub fn add(&mut self, bytes: &[u8]) -> Result<&Key, Error> {
        let binary = self.reader.packets(bytes, Block::Key)?;
        let key = self.read_key(&binary)?;
        Ok(self.keep(key))
    }

    /// Takes a key out of the keyring; returns it, where it was there.
    pub fn remove(&mut self, fingerprint: &Fingerprint) -> Option<Key> {
        let mut keys = self.keys.iter();
        let place = keys.position(|key| key.primary.fingerprint == *fingerprint)?;
        Some(self.keys.remove(place))
    }

    /// Adds the keys of a keyring, in armors or as they are, those that are believed; each as by [`add`](Self::add).
    ///
    /// The whole file is read: all its armors, whatever text is between them. A key of which one copy
    /// in the file is refused is not added, since that copy may have revoked it. An armor with a
    /// revocation alone, as GnuPG writes one along with each key, revokes that key.
    ///
    /// # Errors
    ///
    /// It is no keyring, or is damaged, or a part of it cannot be read, or one of its keys is longer
    /// than [`INPUT_MAX`]. Nothing was added then.
    pub fn add_all(&mut self, bytes: &[u8]) -> Result<Added, Error> {
        self.add_all_watched(bytes, |_| {})
    }

    /// The same, and says before each key how many bytes are behind it: a thousand keys may take ten seconds. Those of an armor are counted
    /// without it.
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
        let (mut believed, mut refused) = self.read_ring(&ring, &mut watch)?;
        withdraw(&mut believed, &mut refused);
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

    /// The keys of a keyring that are believed, each with its number, and the others.
    fn read_ring(
        &self,
        ring: &[u8],
        mut watch: impl FnMut(usize),
    ) -> Result<(Vec<(usize, Key)>, Vec<NotAdded>), Error> {
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
        Ok((believed, refused))
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
        // One that cannot be read may be a revocation as well, and is told of as the others are.
        all.extend(
            { packet::bodies(packets, packet::SIGNATURE) }.filter_map(|body| {
                Signature::read(body).is_err().then(|| Loose {
                    body: body.to_vec(),
                    issuer: None,
                })
            }),
        );
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
        let keys = Ring::decode(&reply, piece.len()).map_err(|_| Refusal::Reply)?;
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

    /// Who has signed the data, with a signature that came apart from them? It may be in an armor. One good signature is enough.
    ///
    /// # Errors
    ///
    /// Nobody in this keyring has, or not so that it counts.
    pub fn verify(&self, signature: &[u8], data: &[u8]) -> Result<Signed<'_>, Error> {
        self.verify_reader(signature, data)
    }

    /// The same with data that are not in memory: a file, or what comes out of a pipe. They are read once, 64 KiB at a time, from where the
    /// reader is to its end.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify); or the data cannot be read.
    pub fn verify_reader(&self, signature: &[u8], data: impl Read) -> Result<Signed<'_>, Error> {
        let binary = self.reader.packets(signature, Block::Signature)?;
        self.verify_binary(&binary, |feed| read_all(data, feed))
    }

    /// Who has signed this message, and what does it say? It may be in an armor.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify).
    pub fn message(&self, message: &[u8]) -> Result<Message<'_>, Error> {
        let binary = self.reader.only(message, Block::Message)?;
        let reply = self.ask_of_signatures(Request::Message, &binary)?;
        let message =
            pgp_proto::Message::decode(&reply, binary.len()).map_err(|_| Refusal::Reply)?;
        let data = place_of(message.literal.data, &binary)?;
        let claims = Claims::new(message.signatures, &binary, |feed| feed(data))?;
        let signed = claims.first(|claim| self.by_any(claim))?;
        let data = data.to_vec();
        Ok(Message { signed, data })
    }

    /// Who has signed this cleartext-signed message, and what does it say?
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify).
    pub fn cleartext(&self, message: &[u8]) -> Result<Message<'_>, Error> {
        let reply = self.reader.ask(Request::Cleartext, message)?;
        let parts = Cleartext::decode(&reply, message.len()).map_err(|_| Refusal::Reply)?;
        let text = place_of(parts.text, message)?;
        let armored = place_of(parts.signature, message)?;
        let binary = self.reader.only(armored, Block::Signature)?;
        let signed = self.verify_binary(&binary, |feed| text::cleartext(text, feed))?;
        let mut data = Vec::with_capacity(text.len());
        text::cleartext(text, |bytes| {
            data.extend(match bytes {
                b"\r\n" => b"\n",
                _ => bytes,
            });
            Ok(())
        })?;
        Ok(Message { signed, data })
    }

    pub(crate) fn read_key(&self, binary: &[u8]) -> Result<Key, Error> {
        let primary = key::primary(binary, &RustCrypto)?;
        let reply = self.reader.ask(Request::Key(primary.fingerprint), binary)?;
        let mut room = [None; SUBKEYS_MAX];
        let now = self.now();
        let mut left_out = Vec::new();
        let note = |body, why| left_out.push((body, why));
        let key = key::read_noting(primary, binary, &reply, &RustCrypto, now, &mut room, note)?;
        let signing = room.iter().flatten().map(|subkey| subkey.public.body);
        let signing: Vec<&[u8]> = signing.collect();
        let others = packet::bodies(binary, packet::SUBKEY)
            .filter(|body| !signing.contains(body))
            .filter_map(|body| {
                let fingerprint = public::fingerprint_of(body, &RustCrypto)?;
                let noted = left_out.iter().find(|(other, _)| *other == body);
                let unreadable = || pgp_rules::PublicKey::read(body, &RustCrypto).err();
                let why = noted.map(|(_, why)| *why).or_else(unreadable);
                Some((fingerprint, why.unwrap_or(Refusal::KeyUsage)))
            });
        let others = others.collect();
        Ok(Key::new(&key, &room, others))
    }

    /// Asks about signatures. Where none can be read, it is the host that knows why.
    pub(crate) fn ask_of_signatures(
        &self,
        request: Request,
        binary: &[u8],
    ) -> Result<Vec<u8>, Error> {
        self.reader
            .ask(request, binary)
            .map_err(|error| match error {
                Error::Refused(Refusal::Unsupported | Refusal::Malformed) => {
                    let why = unread(binary).map(Error::from);
                    behind(why.unwrap_or(error), binary)
                }
                other => other,
            })
    }

    fn keep(&mut self, mut key: Key) -> &Key {
        let known = |other: &Key| other.primary.fingerprint == key.primary.fingerprint;
        let place = match self.keys.iter().position(known) {
            Some(place) => {
                key.keep_revocations(&self.keys[place]);
                self.keys[place] = key;
                place
            }
            None => {
                self.keys.push(key);
                self.keys.len() - 1
            }
        };
        &self.keys[place]
    }

    pub(crate) fn verify_binary<E: Into<Error>>(
        &self,
        signatures: &[u8],
        over: impl FnOnce(Feed<'_>) -> Result<(), E>,
    ) -> Result<Signed<'_>, Error> {
        let reply = self.ask_of_signatures(Request::Signature, signatures)?;
        let detached = Detached::decode(&reply, signatures.len()).map_err(|_| Refusal::Reply)?;
        let claims = Claims::new(detached.signatures, signatures, over)?;
        claims.first(|claim| self.by_any(claim))
    }

    /// Keys that the signature names are tried first. That it names them is not believed, so the others are as well.
    pub(crate) fn by_any(&self, claim: &Claim<'_>) -> Result<Signed<'_>, Error> {
        if self.keys.is_empty() {
            return Err(Error::NoKeys);
        }
        let is_named = |by: &PublicKey| claim.issuer.is_some_and(|issuer| by.is_named(issuer));
        let keys = |named: bool| {
            let all = self.keys.iter();
            all.flat_map(|key| {
                key.keys()
                    .map(move |by| (&by.body[..], by.state, (key, by)))
            })
            .filter(move |(_, _, (_, by))| is_named(by) == named)
        };
        let keys = keys(true).chain(keys(false));
        match data::check_any(&claim.hashed, keys, &RustCrypto, self.now()) {
            Ok(((key, by), verified)) => Ok(Signed { key, by, verified }),
            Err(Refusal::BadSignature) => Err(self.why_none(claim.issuer)),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Why no key in the keyring has made a signature that names this one.
    fn why_none(&self, issuer: Option<&[u8]>) -> Error {
        let bad = Refusal::BadSignature.into();
        let Some(issuer) = issuer.and_then(Issuer::read) else {
            return bad;
        };
        let mut keys = self.keys.iter().flat_map(Key::keys);
        if keys.any(|key| issuer.is(&key.fingerprint)) {
            return bad;
        }
        let mut others = self.keys.iter().flat_map(|key| &key.others);
        match others.find(|(subkey, _)| issuer.is(subkey)) {
            Some((subkey, why)) => Error::LeftOut {
                subkey: *subkey,
                why: *why,
            },
            None => Error::NotGiven(issuer),
        }
    }

    fn now(&self) -> u64 {
        let time = self.time.unwrap_or_else(SystemTime::now);
        time.duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }
}

/// A signature that came without a key.
struct Loose {
    body: Vec<u8>,
    issuer: Option<Issuer>,
}

/// Takes away keys of which another copy was refused: it may have said that the key is revoked.
fn withdraw(believed: &mut Vec<(usize, Key)>, refused: &mut Vec<NotAdded>) {
    let why = |fingerprint: &Fingerprint| {
        let copy = refused
            .iter()
            .find(|it| it.fingerprint == Some(*fingerprint));
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

/// What an error is where packets are followed by something that is none, such as an armor.
fn behind(error: Error, binary: &[u8]) -> Error {
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

pub(crate) fn place_of(place: Place, input: &[u8]) -> Result<&[u8], Error> {
    place.of(input).ok_or(Refusal::Reply.into())
}
