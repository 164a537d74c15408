// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys, and what they have signed.

use crate::claims::{Claim, Claims, Feed, read_all};
use crate::crypto::RustCrypto;
use crate::error::Error;
use crate::key::{Key, PublicKey};
use crate::reader::Reader;
use pgp_proto::{Block, Cleartext, Detached, INPUT_MAX, Place, Request, Ring};
use pgp_rules::key::SUBKEYS_MAX;
use pgp_rules::signature::kind;
use pgp_rules::{Refusal, Verified, data, key, packet, text};
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
    /// Why others were not: each one's number in the keyring, from 0, and the reason.
    pub refused: Vec<(usize, Error)>,
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
        let binary = self.reader.binary(bytes, Block::Key)?;
        let key = self.read_key(&binary)?;
        Ok(self.keep(key))
    }

    /// Adds the keys of a keyring, in an armor or as they are, those that are believed; each as by [`add`](Self::add).
    ///
    /// # Errors
    ///
    /// It is no keyring, or is damaged, or one of its keys is longer than [`INPUT_MAX`]. Nothing was added then.
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
        let binary = self.reader.binary(bytes, Block::Key)?;
        // The handler says how far each key goes. Where one can begin at all the host knows.
        let fronts = packet::fronts(&binary).filter(|(_, is_key)| *is_key);
        let fronts: Vec<usize> = fronts.map(|(at, _)| at).collect();
        let mut rest = &binary[..];
        let (mut believed, mut refused, mut number) = (Vec::new(), Vec::new(), 0);
        while !rest.is_empty() {
            let (keys, next) = self.front(rest)?;
            let begin = binary.len() - rest.len();
            let end = begin.saturating_add(next);
            if end < binary.len() && fronts.binary_search(&end).is_err() {
                // The last one goes on behind what can be read at once; or the handler says so.
                return Err(match next {
                    INPUT_MAX => Refusal::TooLong.into(),
                    _ => Refusal::Reply.into(),
                });
            }
            for place in keys {
                let at = begin.saturating_add(place.at as usize);
                watch(at);
                let key = match fronts.binary_search(&at) {
                    Ok(_) => place_of(place, rest).and_then(|bytes| self.read_key(bytes)),
                    Err(_) => Err(Refusal::Reply.into()),
                };
                match key {
                    Ok(key) => believed.push(key),
                    Err(error) => refused.push((number, error)),
                }
                number += 1;
            }
            rest = rest.get(next..).unwrap_or(&[]);
        }
        let added = believed.len();
        for key in believed {
            self.keep(key);
        }
        Ok(Added { added, refused })
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
        let binary = self.reader.binary(signature, Block::Signature)?;
        self.verify_binary(&binary, |feed| read_all(data, feed))
    }

    /// Who has signed this message, and what does it say? It may be in an armor.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify).
    pub fn message(&self, message: &[u8]) -> Result<Message<'_>, Error> {
        let binary = self.reader.binary(message, Block::Message)?;
        let reply = self.reader.ask(Request::Message, &binary)?;
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
        let binary = self.reader.binary(armored, Block::Signature)?;
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
        let key = key::read(primary, binary, &reply, &RustCrypto, now, &mut room)?;
        Ok(Key::new(&key, &room))
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
        let reply = self.reader.ask(Request::Signature, signatures)?;
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
        let ((key, by), verified) = data::check_any(&claim.hashed, keys, &RustCrypto, self.now())?;
        Ok(Signed { key, by, verified })
    }

    fn now(&self) -> u64 {
        let time = self.time.unwrap_or_else(SystemTime::now);
        time.duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }
}

pub(crate) fn place_of(place: Place, input: &[u8]) -> Result<&[u8], Error> {
    place.of(input).ok_or(Refusal::Reply.into())
}
