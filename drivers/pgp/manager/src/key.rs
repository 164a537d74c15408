// SPDX-License-Identifier: GPL-2.0-only
//! A key of the kernel's: a PGP key's primary key, and the subkeys that sign for it.
//!
//! What is kept is the bodies of their packets, and what their owner says about each: all of it verified. All else is
//! read from the bodies again when it is needed.

use core::ffi::CStr;
use pgp_rules::key::{self, SUBKEYS_MAX};
use pgp_rules::{Fingerprint, PublicKey, Refusal, State, Subkey};
use umd_kernel::Errno;
use umd_kernel::ffi::memory::{Arc, Box, Buffer, Slice};
use umd_kernel::keys::{Claim, Key, Query, real_seconds};
use umd_kernel::verify;

use crate::crypto::{Form, Tools, hash_named};
use crate::failure::Failure;

/// Most bytes of a digest.
const DIGEST_MAX: u16 = 64;

/// A primary key and its subkeys.
const MEMBERS_MAX: usize = 1 + SUBKEYS_MAX;

/// One of the keys that a key is made of.
#[derive(Clone, Copy)]
pub(crate) struct Member {
    at: usize,
    len: usize,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) state: State,
}

pub(crate) struct PgpKey {
    tools: Arc<Tools>,
    bodies: Buffer,
    /// The primary key first.
    members: Slice<Option<Member>>,
    primary: Form,
    /// Of all its keys' signatures.
    value_max: u16,
}

impl PgpKey {
    /// A key of its own, whose keys the kernel can all verify signatures of.
    pub(crate) fn new(
        tools: &Arc<Tools>,
        key: &key::Key<'_>,
        subkeys: &[Option<Subkey<'_>>],
    ) -> Result<Box<Self>, Failure> {
        let primary = core::iter::once((&key.public, &key.state));
        let subkeys = subkeys.iter().flatten();
        let keys = primary.chain(subkeys.map(|subkey| (&subkey.public, &subkey.state)));
        let length = keys
            .clone()
            .map(|(key, _)| key.body.len())
            .fold(0, usize::saturating_add);
        let mut whole = Box::try_new(Self {
            tools: tools.clone(),
            bodies: Buffer::try_new(length)?,
            members: Slice::try_new(MEMBERS_MAX, None)?,
            primary: tools.form(&key.public.material)?,
            value_max: 0,
        })?;
        let mut at = 0_usize;
        let Self {
            bodies,
            members,
            value_max,
            ..
        } = &mut *whole;
        for (place, (key, state)) in members.iter_mut().zip(keys) {
            let form = match tools.form(&key.material) {
                // One that is not good any more was not verified with, and is left out here.
                Err(Refusal::KeyUnsupported) if at > 0 => continue,
                form => form?,
            };
            let room = bodies.get_mut(at..).unwrap_or_default();
            for (to, from) in room.iter_mut().zip(key.body) {
                *to = *from;
            }
            *place = Some(Member {
                at,
                len: key.body.len(),
                fingerprint: key.fingerprint,
                state: *state,
            });
            *value_max = form.value_max().max(*value_max);
            at = at.saturating_add(key.body.len());
        }
        Ok(whole)
    }

    /// Bytes that it takes.
    pub(crate) fn size(&self) -> usize {
        let members = size_of_val(&*self.members);
        let bytes = self.bodies.len().saturating_add(members);
        bytes.saturating_add(size_of::<Self>())
    }

    /// Its keys, the primary one first.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().flatten()
    }

    /// The body of one of them.
    pub(crate) fn body(&self, member: &Member) -> &[u8] {
        let body = self.bodies.get(member.at..);
        let body = body.and_then(|body| body.get(..member.len));
        body.unwrap_or_default()
    }

    fn check(&self, claim: &Claim<'_>, now: u64) -> Result<(), Refusal> {
        let hash = claim.hash.and_then(hash_named);
        let hash = hash.ok_or(Refusal::HashUnsupported)?;
        if hash.has_collisions() {
            return Err(Refusal::HashWeak);
        }
        if claim.digest.len() != hash.length() {
            return Err(Refusal::SignatureMalformed);
        }
        for member in self.members() {
            let public = PublicKey::read(self.body(member), &&*self.tools)?;
            let form = self.tools.form(&public.material)?;
            if claim.encoding != Some(form.public().algorithm.encoding()) {
                continue;
            }
            // Newer kernels hand over as many bytes as the longest signature has, whatever was given to them.
            let value = claim.value.get(..form.value_max().into());
            let verified =
                self.tools
                    .verify_raw(&form, hash, claim.digest, value.unwrap_or(claim.value));
            match verified {
                Ok(()) => return member.state.check(now),
                Err(Refusal::BadSignature) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Err(Refusal::BadSignature)
    }
}

impl Key for PgpKey {
    fn primary(&self) -> verify::PublicKey<'_> {
        self.primary.public()
    }

    fn kind(&self) -> &'static CStr {
        match self.primary.public().algorithm {
            verify::Algorithm::Rsa => c"PGP.rsa",
            verify::Algorithm::EcdsaP256 => c"PGP.ecdsa-nist-p256",
            verify::Algorithm::EcdsaP384 => c"PGP.ecdsa-nist-p384",
        }
    }

    fn query(&self) -> Query {
        Query {
            bits: self.primary.bits(),
            digest_max: DIGEST_MAX,
            value_max: self.value_max,
        }
    }

    fn verify(&self, claim: &Claim<'_>) -> Result<(), Errno> {
        self.check(claim, real_seconds())
            .map_err(|refusal| Failure::from(refusal).errno)
    }
}
