// SPDX-License-Identifier: MIT OR Apache-2.0
//! A key without what others say about it.

use crate::crypto::RustCrypto;
use crate::error::Error;
use crate::keyring::{Keyring, place_of};
use pgp_proto::{Block, Place, Request, Signatures, Subject};
use pgp_rules::packet::{SIGNATURE, SUBKEY};
use pgp_rules::{Refusal, key};

/// Tags of packets.
const PRIMARY: u8 = 6;
const USER_ID: u8 = 13;

/// A key without what others say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minimized {
    /// The key, not in an armor.
    pub key: Vec<u8>,
    /// So many signatures of others were left out.
    pub foreign: u32,
    /// So many packets that are not read here: photos and the signatures of them, other versions and algorithms, broken ones.
    pub others: u32,
}

impl Keyring {
    /// Leaves out of a key what others say about it, and what nobody here reads. What is left is believed just as the whole was.
    /// The keyring itself has no part in it.
    ///
    /// # Errors
    ///
    /// Why the key is not believed.
    pub fn minimize(&self, bytes: &[u8]) -> Result<Minimized, Error> {
        let binary = self.reader.packets(bytes, Block::Key)?;
        let primary = key::primary(&binary, &RustCrypto)?;
        let reply = self
            .reader
            .ask(Request::Key(primary.fingerprint), &binary)?;
        let parts = pgp_proto::Key::decode(&reply, binary.len()).map_err(|_| Refusal::Reply)?;
        let mut small = Packets {
            from: &binary,
            key: Vec::new(),
        };
        small.packet(PRIMARY, parts.primary.body)?;
        small.signatures(parts.direct)?;
        for component in parts.components {
            match component.subject {
                Subject::UserId(place) => small.packet(USER_ID, place)?,
                Subject::Subkey(object) => small.packet(SUBKEY, object.body)?,
            }
            small.signatures(component.signatures)?;
        }
        let key = small.key;
        if !self.read_key(&key)?.is_same(&self.read_key(&binary)?) {
            return Err(Refusal::Reply.into());
        }
        Ok(Minimized {
            key,
            foreign: parts.skipped.foreign,
            others: parts
                .skipped
                .unsupported
                .saturating_add(parts.skipped.invalid),
        })
    }
}

/// A key in the making.
struct Packets<'b> {
    from: &'b [u8],
    key: Vec<u8>,
}

impl Packets<'_> {
    /// Appends a packet in the new format, with four octets of length.
    fn packet(&mut self, tag: u8, body: Place) -> Result<(), Error> {
        self.key.extend([0xc0 | tag, 0xff]);
        self.key.extend(body.len.to_be_bytes());
        self.key.extend(place_of(body, self.from)?);
        Ok(())
    }

    fn signatures(&mut self, mut signatures: Signatures<'_>) -> Result<(), Error> {
        signatures.try_for_each(|claim| self.packet(SIGNATURE, claim.object.body))
    }
}
