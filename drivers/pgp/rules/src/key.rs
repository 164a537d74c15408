// SPDX-License-Identifier: MIT OR Apache-2.0
//! From bytes and a reply about them to a key that is believed.
//!
//! The primary key is the one at the input's front, whatever the reply says. All else counts because a signature says so that the
//! primary key has made: its expiry, what it may be used for, user ids, subkeys; and a subkey that signs has to agree, by a signature
//! of its own. Which signature of several counts is as GnuPG has it.

use crate::crypto::{Crypto, Material};
use crate::public::{self, PublicKey, can_sign};
use crate::refusal::Refusal;
use crate::signature::{self, Signature, Verified, kind};
use crate::{Facts, packet};
use pgp_proto::{Components, Object, Place, Signatures, Subject};

/// Signing subkeys that a key has room for.
pub const SUBKEYS_MAX: usize = 16;

/// Verifications that one key is worth.
pub const VERIFICATIONS_MAX: u32 = 64;

/// Hashes that one key is worth besides: of each revocation of a subkey that stands behind
/// something else, with each subkey that it may be about.
const HASHES_MAX: u32 = 1024;

/// Bytes of the longest user id: what GnuPG takes.
const USER_ID_MAX: usize = 2048;

/// What its owner says about a key, by signatures that were verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// From when on it is not good any more, in seconds since 1970.
    pub expires: Option<u64>,
    /// It is not to be used any more, whatever is said elsewhere.
    pub revoked: bool,
    /// It may sign data. A subkey that is not good any more was not asked.
    pub signs: bool,
}

impl State {
    /// May a key of this state sign data at this time?
    pub fn check(&self, now: u64) -> Result<(), Refusal> {
        if self.revoked {
            return Err(Refusal::KeyRevoked);
        }
        if self.expires.is_some_and(|expires| expires <= now) {
            return Err(Refusal::KeyExpired);
        }
        if !self.signs {
            return Err(Refusal::KeyUsage);
        }
        Ok(())
    }
}

/// A subkey that signs data, or did: bound by its primary key, and agreeing to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subkey<'a> {
    /// The key itself.
    pub public: PublicKey<'a>,
    /// What is said about it. It expires with its primary key at the latest, and is revoked with it.
    pub state: State,
}

/// A primary key and who it belongs to. Its subkeys are in the room that [`read`] was given, the newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    /// The key at the input's front.
    pub public: PublicKey<'a>,
    /// What is said about it.
    pub state: State,
    /// The user id to call it by; none where its owner vouches for none.
    pub user_id: Option<&'a [u8]>,
    /// How many subkeys there are in the room.
    pub subkeys: usize,
    /// Why a subkey that signs is not among them, the last such one's reason.
    pub left_out: Option<Refusal>,
}

/// The primary key, which is the input's first packet. Its fingerprint goes along with the request to the handler.
pub fn primary<'a, C: Crypto>(input: &'a [u8], crypto: &C) -> Result<PublicKey<'a>, Refusal> {
    let public = PublicKey::read(packet::primary(input)?, crypto)?;
    match public.material {
        Material::Other => Err(Refusal::KeyUnsupported),
        _ => Ok(public),
    }
}

/// Reads the handler's reply about a key, checks what it says, and puts the subkeys that sign into the room.
pub fn read<'a, C: Crypto>(
    primary: PublicKey<'a>,
    input: &'a [u8],
    reply: &[u8],
    crypto: &C,
    now: u64,
    room: &mut [Option<Subkey<'a>>],
) -> Result<Key<'a>, Refusal> {
    read_noting(primary, input, reply, crypto, now, room, |_, _| {})
}

/// Does what [`read`] does, and passes to `note` the body of each subkey that may sign and is left
/// out, with the reason.
pub fn read_noting<'a, C: Crypto>(
    primary: PublicKey<'a>,
    input: &'a [u8],
    reply: &[u8],
    crypto: &C,
    now: u64,
    room: &mut [Option<Subkey<'a>>],
    mut note: impl FnMut(&'a [u8], Refusal),
) -> Result<Key<'a>, Refusal> {
    let reply = pgp_proto::Key::decode(reply, input.len()).map_err(|_| Refusal::Reply)?;
    if bytes(reply.primary.body, input)? != primary.body {
        return Err(Refusal::Reply);
    }
    if u64::from(primary.created) > now {
        return Err(Refusal::KeyFuture);
    }
    let mut judge = Judge {
        primary: &primary,
        input,
        crypto,
        now,
        left: VERIFICATIONS_MAX,
        hashes: HASHES_MAX,
        until: None,
        why: None,
    };
    let revoked = judge.about_key(&reply, kind::REVOKE_KEY)?.is_some();
    let direct = judge.about_key(&reply, kind::DIRECT)?;
    let mut owner = Owner::default();
    let mut vouched = direct.is_some();
    // What was said of a user id that is no more says nothing of what the key is for.
    let mut in_use = vouched;
    for component in reply.components {
        if let Subject::UserId(place) = component.subject {
            let user_id = bytes(place, input)?;
            if user_id.len() > USER_ID_MAX {
                return Err(Refusal::TooLong);
            }
            let is_about = |kind| kind::USER_ID.contains(&kind) || kind == kind::REVOKE_USER_ID;
            let about = About::UserId(user_id);
            if let Some((_, verified)) = judge.newest(component.signatures, about, is_about)? {
                vouched = true;
                if verified.kind() != kind::REVOKE_USER_ID {
                    in_use = true;
                    owner.says(user_id, verified.facts());
                }
            }
        }
    }
    if !vouched {
        return Err(judge.why.unwrap_or(Refusal::NoSelfSignature));
    }
    // What is said about the key itself comes before what is said along with a user id.
    let direct = direct.map(|verified| *verified.facts());
    let lifetime = direct.and_then(|facts| facts.key_lifetime);
    let signs = direct.and_then(|facts| facts.key_signs);
    let state = State {
        expires: judge.good_until(&primary, lifetime.or(owner.lifetime.get())),
        revoked,
        signs: signs.or(owner.signs.get()).unwrap_or(in_use),
    };
    let mut key = Key {
        public: primary,
        state,
        user_id: owner.best.map(|best| best.user_id),
        subkeys: 0,
        left_out: None,
    };
    let subkeys = newest_first(reply.components, input);
    for (subkey, signatures) in subkeys.take(VERIFICATIONS_MAX as usize) {
        let why = match judge.subkey(&reply, subkey, signatures, &state) {
            Ok(None) => continue,
            Ok(Some(subkey)) => match room.get_mut(key.subkeys) {
                Some(place) => {
                    *place = Some(subkey);
                    key.subkeys = key.subkeys.saturating_add(1);
                    continue;
                }
                None => Refusal::Room,
            },
            Err(refusal @ (Refusal::HashFailed | Refusal::NoMemory)) => return Err(refusal),
            Err(refusal) => refusal,
        };
        key.left_out = Some(why);
        note(bytes(subkey.body, input)?, why);
    }
    Ok(key)
}

/// Subkeys, and what is said about them. Those that were made last come first, since they are the ones in use.
fn newest_first<'r>(
    components: Components<'r>,
    input: &[u8],
) -> impl Iterator<Item = (Object, Signatures<'r>)> {
    let mut last = None;
    core::iter::from_fn(move || {
        let mut next: Option<((Option<u32>, usize), Object, Signatures<'r>)> = None;
        for (number, component) in components.enumerate() {
            if let Subject::Subkey(subkey) = component.subject {
                let made = subkey.body.of(input).and_then(public::created);
                let rank = (made, number);
                let is_better = next.is_none_or(|(best, ..)| rank > best);
                if is_better && last.is_none_or(|last| rank < last) {
                    next = Some((rank, subkey, component.signatures));
                }
            }
        }
        let (rank, subkey, signatures) = next?;
        last = Some(rank);
        Some((subkey, signatures))
    })
}

/// Checks that a signature's body revokes this key: a revocation that comes by itself, as GnuPG
/// writes one along with each key.
pub fn check_revocation<C: Crypto>(
    primary: &PublicKey<'_>,
    body: &[u8],
    crypto: &C,
    now: u64,
) -> Result<(), Refusal> {
    let signature = Signature::read(body)?;
    if signature.kind() != kind::REVOKE_KEY {
        return Err(Refusal::SignatureType);
    }
    let mut hashing = signature.hashing(crypto)?;
    hashing.key(primary)?;
    hashing.finish()?.verify(primary, crypto)?.check(now)
}

/// The earlier of two times that there may be.
fn first_of(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

fn bytes(place: Place, input: &[u8]) -> Result<&[u8], Refusal> {
    place.of(input).ok_or(Refusal::Reply)
}

/// What a signature is about, beside the primary key.
#[derive(Clone, Copy)]
enum About<'b, 'a> {
    Key,
    UserId(&'a [u8]),
    Subkey(&'b PublicKey<'a>),
}

/// Looks at signatures, as long as there are verifications left.
struct Judge<'b, 'a, C> {
    primary: &'b PublicKey<'a>,
    input: &'a [u8],
    crypto: &'b C,
    now: u64,
    left: u32,
    /// Hashes that are left for signatures which may be about something else.
    hashes: u32,
    /// When the first of the signatures that count expires.
    until: Option<u64>,
    /// Why one that may have been good does not count.
    why: Option<Refusal>,
}

impl<'a, C: Crypto> Judge<'_, 'a, C> {
    /// A signature with what it is about.
    fn hashed(
        &self,
        signature: &Signature<'a>,
        about: About<'_, 'a>,
    ) -> Result<signature::Hashed<'a>, Refusal> {
        let mut hashing = signature.hashing(self.crypto)?;
        hashing.key(self.primary)?;
        match about {
            About::Key => {}
            About::UserId(user_id) => hashing.user_id(user_id)?,
            About::Subkey(subkey) => hashing.key(subkey)?,
        }
        hashing.finish()
    }

    /// One signature, which must be by this key.
    fn verify(
        &mut self,
        signature: &Signature<'a>,
        about: About<'_, 'a>,
        by: &PublicKey<'a>,
    ) -> Result<Verified, Refusal> {
        self.left = self.left.checked_sub(1).ok_or(Refusal::TooManySignatures)?;
        let verified = self.hashed(signature, about)?.verify(by, self.crypto)?;
        verified.check(self.now)?;
        self.until = first_of(self.until, verified.facts().expires);
        Ok(verified)
    }

    /// When a key expires that lives so long. What is believed of it lasts no longer than the signatures that say so.
    fn good_until(&self, key: &PublicKey<'_>, lifetime: Option<u32>) -> Option<u64> {
        let own = lifetime.map(|lifetime| u64::from(key.created).saturating_add(lifetime.into()));
        first_of(own, self.until)
    }

    /// One that is claimed, if it is of a kind that is wanted, and counts; and its place.
    fn judge(
        &mut self,
        claim: pgp_proto::Signature,
        about: About<'_, 'a>,
        is_wanted: impl Fn(u8) -> bool,
    ) -> Result<Option<Verified>, Refusal> {
        let body = bytes(claim.object.body, self.input)?;
        if !signature::kind_of(body).is_some_and(is_wanted) {
            return Ok(None);
        }
        let verified = Signature::read(body)
            .and_then(|signature| self.verify(&signature, about, self.primary));
        match verified {
            Ok(verified) => Ok(Some(verified)),
            // Where the primary key is not supported, nothing can be vouched for.
            Err(refusal) if refusal.is_final() || refusal == Refusal::KeyUnsupported => {
                Err(refusal)
            }
            // It may be genuine, and take back or shorten what is said elsewhere.
            Err(Refusal::HashUnsupported) => Err(Refusal::HashUnsupported),
            Err(Refusal::BadSignature) => Ok(None),
            Err(refusal) => {
                self.why = Some(refusal);
                Ok(None)
            }
        }
    }

    /// The newest that counts. That the order is right only the handler says: it could as well hide what is newer.
    fn newest(
        &mut self,
        claims: Signatures<'_>,
        about: About<'_, 'a>,
        is_wanted: impl Fn(u8) -> bool + Copy,
    ) -> Result<Option<(pgp_proto::Signature, Verified)>, Refusal> {
        for claim in claims.newest_first() {
            if let Some(verified) = self.judge(claim, about, is_wanted)? {
                return Ok(Some((claim, verified)));
            }
        }
        Ok(None)
    }

    /// The newest of this kind about the key itself. It counts wherever it stands in the key:
    /// programs that put keys together write a revocation behind everything else.
    fn about_key(
        &mut self,
        key: &pgp_proto::Key<'_>,
        kind: u8,
    ) -> Result<Option<Verified>, Refusal> {
        let elsewhere = key.components.map(|component| component.signatures);
        let mut newest: Option<Verified> = None;
        for signatures in core::iter::once(key.direct).chain(elsewhere) {
            let found = self.newest(signatures, About::Key, |number| number == kind)?;
            let found = found.map(|(_, verified)| verified);
            newest = newest
                .into_iter()
                .chain(found)
                .max_by_key(|verified| verified.facts().made);
        }
        Ok(newest)
    }

    /// A key that was revoked stays so, whatever was said later.
    fn is_revoked(
        &mut self,
        claims: Signatures<'_>,
        kind: u8,
        about: About<'_, 'a>,
    ) -> Result<bool, Refusal> {
        let revocation = self.newest(claims, about, |number| number == kind)?;
        Ok(revocation.is_some())
    }

    /// Whether a revocation of the subkey stands behind something else. Which subkey such a one is
    /// about only its hash says, whose begin is in the signature; over a hash that is not known it
    /// is taken for one about what it stands behind.
    fn is_revoked_elsewhere(
        &mut self,
        key: &pgp_proto::Key<'_>,
        own: Signatures<'_>,
        about: About<'_, 'a>,
    ) -> Result<bool, Refusal> {
        let all = key.components.map(|component| component.signatures);
        let all = core::iter::once(key.direct).chain(all);
        for claim in all.filter(|signatures| *signatures != own).flatten() {
            let body = bytes(claim.object.body, self.input)?;
            if signature::kind_of(body) != Some(kind::REVOKE_SUBKEY) {
                continue;
            }
            self.hashes = self
                .hashes
                .checked_sub(1)
                .ok_or(Refusal::TooManySignatures)?;
            let begins_right = Signature::read(body)
                .and_then(|signature| self.hashed(&signature, about))
                .map(|hashed| hashed.may_be_by(self.primary));
            let is_revocation = |number| number == kind::REVOKE_SUBKEY;
            match begins_right {
                Ok(true) if self.judge(claim, about, is_revocation)?.is_some() => return Ok(true),
                _ => {}
            }
        }
        Ok(false)
    }

    /// A subkey that signs; none where it is something else. Refused are those that may sign, but do not count.
    fn subkey(
        &mut self,
        key: &pgp_proto::Key<'_>,
        subkey: Object,
        signatures: Signatures<'_>,
        primary: &State,
    ) -> Result<Option<Subkey<'a>>, Refusal> {
        let public = PublicKey::read(bytes(subkey.body, self.input)?, self.crypto)?;
        if !can_sign(public.algorithm) {
            return Ok(None);
        }
        let about = About::Subkey(&public);
        self.why = None;
        self.until = None;
        let binding = self.newest(signatures, about, |kind| kind == kind::SUBKEY)?;
        let (claim, binding) = binding.ok_or(self.why.unwrap_or(Refusal::NoSelfSignature))?;
        let facts = binding.facts();
        if facts.key_signs == Some(false) {
            return Ok(None);
        }
        if u64::from(public.created) > self.now {
            return Err(Refusal::KeyFuture);
        }
        if public.version != self.primary.version {
            return Err(Refusal::KeyVersion);
        }
        if public.material == Material::Other {
            return Err(Refusal::KeyUnsupported);
        }
        let revoked = self.is_revoked(signatures, kind::REVOKE_SUBKEY, about)?
            || self.is_revoked_elsewhere(key, signatures, about)?;
        let expires = |judge: &Self| {
            let own = judge.good_until(&public, facts.key_lifetime);
            first_of(own, primary.expires)
        };
        let mut state = State {
            expires: expires(self),
            revoked: revoked || primary.revoked,
            signs: true,
        };
        // One that is not good any more is there to say so.
        match state.check(self.now) {
            Err(_) => state.signs = false,
            Ok(()) => {
                self.agrees(claim, &public)?;
                state.expires = expires(self);
            }
        }
        Ok(Some(Subkey { public, state }))
    }

    /// A subkey that signs has to say itself whose it is, else somebody could take another's for his own.
    fn agrees(
        &mut self,
        claim: pgp_proto::Signature,
        subkey: &PublicKey<'a>,
    ) -> Result<(), Refusal> {
        let back = claim.back.ok_or(Refusal::NoBackSignature)?;
        let back = Signature::read(bytes(back.body, self.input)?)?;
        if back.kind() != kind::BACK {
            return Err(Refusal::NoBackSignature);
        }
        self.verify(&back, About::Subkey(subkey), subkey).map(drop)
    }
}

/// What is said along with user ids.
#[derive(Default)]
struct Owner<'a> {
    best: Option<Best<'a>>,
    lifetime: Newest<u32>,
    signs: Newest<bool>,
}

/// The best user id so far: one that is said to be the primary one before any that is not, then the newest; of two at one time the
/// longer, or the one that sorts last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Best<'a> {
    is_primary: bool,
    made: u32,
    length: usize,
    user_id: &'a [u8],
}

impl<'a> Owner<'a> {
    fn says(&mut self, user_id: &'a [u8], facts: &Facts) {
        let made = facts.made;
        let this = Best {
            is_primary: facts.is_primary,
            made,
            length: user_id.len(),
            user_id,
        };
        self.best = self.best.max(Some(this));
        self.lifetime.offer(made, facts.key_lifetime);
        self.signs.offer(made, facts.key_signs);
    }
}

/// What was said last, by those who said anything.
#[derive(Clone, Copy, Default)]
struct Newest<T>(Option<(u32, T)>);

impl<T: Copy> Newest<T> {
    fn offer(&mut self, made: u32, said: Option<T>) {
        if let Some(said) = said
            && self.0.is_none_or(|(best, _)| made > best)
        {
            self.0 = Some((made, said));
        }
    }

    fn get(self) -> Option<T> {
        self.0.map(|(_, said)| said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_the_stack_is_small() {
        assert!(size_of::<Key<'_>>() <= 256);
        assert!(size_of::<Option<Subkey<'_>>>() <= 192);
        assert!(size_of::<Signature<'_>>() <= 192);
    }

    #[test]
    fn revoked_comes_before_expired_and_expired_before_its_use() {
        let mut state = State {
            expires: Some(10),
            revoked: true,
            signs: false,
        };
        assert_eq!(state.check(10), Err(Refusal::KeyRevoked));
        state.revoked = false;
        assert_eq!(state.check(10), Err(Refusal::KeyExpired));
        assert_eq!(state.check(9), Err(Refusal::KeyUsage));
        state.signs = true;
        assert_eq!(state.check(9), Ok(()));
        state.expires = None;
        assert_eq!(state.check(u64::MAX), Ok(()));
    }
}
