// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signatures that somebody claims to be there, hashed with what they are claimed to be over.

use crate::crypto::RustCrypto;
use crate::error::Error;
use crate::keyring::place_of;
use pgp_proto::Signatures;
use pgp_rules::{Hashed, Refusal, Signature, data, packet};
use std::io::{self, Read};

/// What takes the data that a signature is over, piece by piece.
pub(crate) type Feed<'f> = &'f mut dyn FnMut(&[u8]) -> Result<(), Refusal>;

/// So much of the data is in memory at once.
const PIECE: usize = 64 << 10;

/// So many signatures are looked at, since each hashes all of the data.
const SIGNATURES_MAX: usize = 64;

/// One of several signatures.
#[derive(Clone, Copy)]
pub(crate) struct Claim<'i> {
    /// Which it is, from 0.
    pub(crate) number: usize,
    pub(crate) hashed: Hashed<'i>,
    /// Whose it says that it is.
    pub(crate) issuer: Option<&'i [u8]>,
}

/// Signatures, and why others cannot count.
pub(crate) struct Claims<'i> {
    claims: Vec<Result<Claim<'i>, Error>>,
    /// Why there are others in the input that the handler has not told of.
    unread: Option<Refusal>,
}

/// Why a signature of these packets cannot be read, the first such one's reason.
pub(crate) fn unread(input: &[u8]) -> Option<Refusal> {
    let mut bodies = packet::bodies(input, packet::SIGNATURE);
    bodies.find_map(|body| Signature::read(body).err())
}

impl<'i> Claims<'i> {
    /// Reads the signatures and hashes what they are over, which passes by once: it may be long, and come from a pipe. Where none can count
    /// it is not asked for.
    pub(crate) fn new<E: Into<Error>>(
        signatures: Signatures<'_>,
        input: &'i [u8],
        over: impl FnOnce(Feed<'_>) -> Result<(), E>,
    ) -> Result<Self, Error> {
        let begin = |(number, claim): (usize, pgp_proto::Signature)| {
            if number >= SIGNATURES_MAX {
                return Err(Refusal::TooManySignatures.into());
            }
            let signature = data::signature(place_of(claim.object.body, input)?)?;
            let issuer = claim.issuer.and_then(|issuer| issuer.of(input));
            Ok((signature.hashing(&RustCrypto)?, issuer))
        };
        let mut begun: Vec<Result<_, Error>> = signatures.enumerate().map(begin).collect();
        if begun.iter().any(Result::is_ok) {
            over(&mut |bytes| {
                let mut hashings = begun.iter_mut().flatten();
                hashings.try_for_each(|(hashing, _)| hashing.update(bytes))
            })
            .map_err(Into::into)?;
        }
        let finished = begun.into_iter().enumerate().map(|(number, begun)| {
            let (hashing, issuer) = begun?;
            let hashed = hashing.finish()?;
            Ok(Claim {
                number,
                hashed,
                issuer,
            })
        });
        Ok(Self {
            claims: finished.collect(),
            unread: unread(input),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.claims.len()
    }

    /// The first of which something comes; else the reason that says most, unless there are more
    /// than were looked at.
    pub(crate) fn first<T>(
        &self,
        judge: impl Fn(&Claim<'i>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut why: Option<Error> = self.unread.map(Error::from);
        for claim in &self.claims {
            match claim.as_ref().map_err(|error| *error).and_then(&judge) {
                Ok(judged) => return Ok(judged),
                Err(error) if why.is_none_or(|why| error.weight() > why.weight()) => {
                    why = Some(error);
                }
                Err(_) => {}
            }
        }
        match self.claims.len() > SIGNATURES_MAX {
            true => Err(Refusal::TooManySignatures.into()),
            false => Err(why.unwrap_or(Refusal::Reply.into())),
        }
    }
}

/// Feeds all of the data, piece by piece.
pub(crate) fn read_all(mut data: impl Read, feed: Feed<'_>) -> Result<(), Error> {
    let mut piece = vec![0; PIECE];
    loop {
        match data.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => feed(piece.get(..length).unwrap_or(&[]))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::Read(error.kind())),
        }
    }
}
