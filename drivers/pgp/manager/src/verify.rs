// SPDX-License-Identifier: GPL-2.0-only
//! The file that signatures are written to.

use pgp_proto::{Detached, INPUT_MAX, Request};
use pgp_rules::signature::kind;
use pgp_rules::{Refusal, data};
use umd_kernel::ffi::memory::Buffer;
use umd_kernel::keys::{Keys, Registered, real_seconds};
use umd_kernel::securityfs::Interface;
use umd_kernel::source::Source;
use umd_kernel::{Errno, Error};

use crate::abi::{self, Given, Good, Notes, RESULT_LEN, What};
use crate::failure::Failure;
use crate::handler::Message;
use crate::key::{Member, PgpKey};
use crate::parser::Pgp;
use crate::rpm;

const EALREADY: Errno = Errno::new(114);

/// Signatures of one list that are looked at, and those of one transaction whose data are hashed.
const CLAIMS_MAX: usize = 64;
const SIGNATURES_MAX: u32 = 8;

/// Keys that one signature is tried on.
const KEYS_MAX: usize = 64;

/// Bytes of a file that are read at once.
const PIECE: usize = 64 << 10;

const NO_KEY: Failure = Failure::new(126, "there is no key that the signature names");
const TOO_MANY_KEYS: Failure = Failure::new(7, "too many keys may have made the signature");
const TOO_MANY_SIGNATURES: Failure =
    Failure::new(7, "too many signatures, and none so far is good");

pub(crate) struct Verify {
    pub(crate) keys: Registered<Pgp>,
}

impl Interface for Verify {
    /// The result, once there is one.
    type Session = Option<[u8; RESULT_LEN]>;

    const WRITE_MAX: usize = abi::REQUEST_LEN + abi::SIGNATURE_MAX + abi::DATA_MAX;

    fn open(&self) -> Result<Self::Session, Errno> {
        Ok(None)
    }

    fn write(&self, session: &mut Self::Session, bytes: &[u8]) -> Result<usize, Errno> {
        if session.is_some() {
            return Err(EALREADY);
        }
        let request = abi::Request::decode(bytes)?;
        *session = Some(abi::encode(&self.serve(&request)));
        Ok(bytes.len())
    }

    fn read(session: &Self::Session) -> &[u8] {
        session.as_ref().map_or(&[], <[u8; RESULT_LEN]>::as_slice)
    }
}

impl Verify {
    fn serve(&self, request: &abi::Request<'_>) -> Result<Good, Failure> {
        let keys = self.keys.find(request.key).map_err(|errno| Failure {
            errno,
            sentence: "there is no PGP key in reach by this number",
        })?;
        let mut judge = Judge {
            pgp: &self.keys,
            keys: &keys,
            now: real_seconds(),
            signatures: SIGNATURES_MAX,
        };
        match request.what {
            What::Detached { signature, data } => {
                let data = Data::open(data)?;
                let (good, _) = judge.detached(signature, &data)?;
                Ok(good)
            }
            What::Inline(message) => judge.inline(message),
            What::Rpm { fd, header_only } => {
                let file = Source::open(fd).map_err(unreadable)?;
                rpm::check(&mut judge, &file, header_only)
            }
        }
    }
}

/// What is signed.
pub(crate) enum Data<'a> {
    Bytes(&'a [u8]),
    File(Source),
}

impl<'a> Data<'a> {
    fn open(given: Given<'a>) -> Result<Self, Failure> {
        Ok(match given {
            Given::Bytes(bytes) => Self::Bytes(bytes),
            Given::File(fd) => Self::File(Source::open(fd).map_err(unreadable)?),
        })
    }

    fn feed(&self, to: impl FnMut(&[u8]) -> Result<(), Refusal>) -> Result<(), Failure> {
        match self {
            Self::Bytes(bytes) => {
                let mut to = to;
                Ok(to(bytes)?)
            }
            Self::File(file) => pieces(file, 0, to),
        }
    }
}

pub(crate) fn unreadable(errno: Errno) -> Failure {
    Failure {
        errno,
        sentence: "the file cannot be read",
    }
}

/// A file from a place on to its end, piece by piece.
pub(crate) fn pieces(
    file: &Source,
    mut at: u64,
    mut to: impl FnMut(&[u8]) -> Result<(), Refusal>,
) -> Result<(), Failure> {
    let mut room = Buffer::try_new(PIECE)?;
    loop {
        let count = file.read(at, &mut room).map_err(unreadable)?;
        if count == 0 {
            return Ok(());
        }
        to(room.get(..count).unwrap_or_default())?;
        at = at.saturating_add(count as u64);
    }
}

/// Why a signature is not the one.
enum Miss {
    /// No key is there for it.
    NoKey,
    /// Enough were tried.
    NotTried,
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Miss {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// One transaction: whose signatures are looked for, and how many looks are left.
pub(crate) struct Judge<'v> {
    pub(crate) pgp: &'v Pgp,
    keys: &'v Keys<PgpKey>,
    now: u64,
    signatures: u32,
}

impl Judge<'_> {
    /// Packets of signatures, of which one must be good.
    pub(crate) fn detached(
        &mut self,
        packets: &[u8],
        data: &Data<'_>,
    ) -> Result<(Good, pgp_rules::Verified), Failure> {
        let reply = self.pgp.handler.ask(&Request::Signature, packets)?;
        let reply = Detached::decode(reply.as_bytes(), packets.len());
        self.any(reply.map_err(|_| Refusal::Reply)?.signatures, packets, data)
    }

    /// A message.
    fn inline(&mut self, given: Given<'_>) -> Result<Good, Failure> {
        let mut message = match given {
            Given::Bytes(bytes) => Message::of(bytes)?,
            Given::File(fd) => whole(&Source::open(fd).map_err(unreadable)?)?,
        };
        let reply = self.pgp.handler.send(&Request::Message, &mut message)?;
        let input = &*message.input();
        let reply = pgp_proto::Message::decode(reply.as_bytes(), input.len());
        let reply = reply.map_err(|_| Refusal::Reply)?;
        let place = reply.literal.data;
        let data = Data::Bytes(place.of(input).ok_or(Refusal::Reply)?);
        let (good, _) = self.any(reply.signatures, input, &data)?;
        Ok(Good {
            data: (place.at, place.len),
            ..good
        })
    }

    /// The first that is good; where none is, why the first is not that a key is there for.
    fn any(
        &mut self,
        claims: pgp_proto::Signatures<'_>,
        input: &[u8],
        data: &Data<'_>,
    ) -> Result<(Good, pgp_rules::Verified), Failure> {
        let mut why = None;
        for claim in claims.take(CLAIMS_MAX) {
            match self.one(claim, input, data) {
                Ok(good) => return Ok(good),
                Err(Miss::NoKey) => {}
                // Those behind it are not tried, good or not.
                Err(Miss::NotTried) => return Err(TOO_MANY_SIGNATURES),
                Err(Miss::Failed(failure)) => why = why.or(Some(failure)),
            }
        }
        Err(why.unwrap_or(NO_KEY))
    }

    /// A signature is tried on the keys that it names. Where it names none, on each.
    fn one(
        &mut self,
        claim: pgp_proto::Signature,
        input: &[u8],
        data: &Data<'_>,
    ) -> Result<(Good, pgp_rules::Verified), Miss> {
        let body = claim.object.body.of(input).ok_or(Refusal::Reply)?;
        let issuer = claim.issuer.and_then(|issuer| issuer.of(input));
        match named(self.keys, issuer).take(KEYS_MAX + 1).count() {
            0 => return Err(Miss::NoKey),
            1..=KEYS_MAX => {}
            _ => return Err(Miss::Failed(TOO_MANY_KEYS)),
        }
        let signature = data::signature(body)?;
        let less = self.signatures.checked_sub(1);
        self.signatures = less.ok_or(Miss::NotTried)?;
        let tools = &*self.pgp.tools;
        let mut hashing = signature.hashing(&tools)?;
        data.feed(|bytes| hashing.update(bytes))?;
        let hashed = hashing.finish()?;
        let keys = named(self.keys, issuer);
        let keys = keys.map(|(key, member)| (key.body(member), member.state, (key, member)));
        let ((key, member), verified) = data::check_any(&hashed, keys, &tools, self.now)?;
        // A keyring may have a copy of it by another name, which knows that it was revoked.
        let is_copy = |other: &Member| other.fingerprint == member.fingerprint;
        if named(self.keys, None).any(|(_, other)| is_copy(other) && other.state.revoked) {
            return Err(Refusal::KeyRevoked.into());
        }
        let primary = key.members().next().unwrap_or(member);
        let good = Good {
            fingerprint: member.fingerprint,
            primary: primary.fingerprint,
            made: verified.facts().made,
            data: (0, 0),
            notes: Notes {
                text: verified.kind() == kind::TEXT,
                ..Notes::default()
            },
        };
        Ok((good, verified))
    }
}

/// The keys that an issuer may be. It is a fingerprint, or a key id; what the handler says it is only chooses which keys are
/// asked.
fn named<'k>(
    keys: &'k Keys<PgpKey>,
    issuer: Option<&'k [u8]>,
) -> impl Iterator<Item = (&'k PgpKey, &'k Member)> {
    let all = keys
        .iter()
        .flat_map(|key| key.members().map(move |member| (key, member)));
    all.filter(move |(_, member)| {
        issuer.is_none_or(|issuer| {
            issuer == member.fingerprint.as_bytes() || issuer == member.fingerprint.key_id()
        })
    })
}

/// A whole file, which must fit into a request.
fn whole(file: &Source) -> Result<Message, Failure> {
    let mut length = 0_usize;
    pieces(file, 0, |piece| {
        length = length.saturating_add(piece.len());
        if length > INPUT_MAX {
            return Err(Refusal::TooLong);
        }
        Ok(())
    })?;
    let mut message = Message::new(length)?;
    match file.read_all(0, message.input()) {
        Ok(count) if count == length => Ok(message),
        Ok(_) => Err(Error::InvalidArgument.into()),
        Err(errno) => Err(unreadable(errno)),
    }
}
