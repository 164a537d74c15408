// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys, and what they have signed.

use crate::claims::{Claim, Claims, Feed, read_all, unread};
use crate::crypto::RustCrypto;
use crate::error::Error;
use crate::issuer::Issuer;
use crate::key::{Key, PublicKey};
use crate::reader::Reader;
use crate::ring::behind;
use pgp_proto::{Block, Cleartext, Detached, Place, Request};
use pgp_rules::key::SUBKEYS_MAX;
use pgp_rules::signature::kind;
use pgp_rules::{Fingerprint, Refusal, Verified, data, key, packet, public, text};
use std::io::Read;
use std::time::{SystemTime, UNIX_EPOCH};

/// Keys to verify signatures with, and the handler that reads both.
pub struct Keyring {
    pub(crate) reader: Reader,
    pub(crate) keys: Vec<Key>,
    time: Option<SystemTime>,
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

    pub(crate) fn keep(&mut self, mut key: Key) -> &Key {
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

    pub(crate) fn now(&self) -> u64 {
        let time = self.time.unwrap_or_else(SystemTime::now);
        time.duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }
}

pub(crate) fn place_of(place: Place, input: &[u8]) -> Result<&[u8], Error> {
    place.of(input).ok_or(Refusal::Reply.into())
}
