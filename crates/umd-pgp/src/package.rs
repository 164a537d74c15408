// SPDX-License-Identifier: MIT OR Apache-2.0
//! RPM packages.

use crate::claims::read_all;
use crate::crypto::RustCrypto;
use crate::error::Error;
use crate::keyring::{Keyring, Signed};
use pgp_proto::rpm::signature;
use pgp_proto::{INPUT_MAX, Request, Rpm};
use pgp_rules::rpm::{Extent, Header, INTRO, LEAD, check_lead};
use pgp_rules::{Crypto, Hash, Refusal};
use std::io::{self, Read};

/// A package whose header's signature was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package<'k> {
    /// Whose it is.
    pub signed: Signed<'k>,
    /// What is known of the payload.
    pub payload: Payload,
    /// Tags of other signatures that the package has, which were not read.
    pub others: Vec<u32>,
}

/// What is known of a package's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// It is the one that the header is about.
    Verified,
    /// The header does not say what it must be: only the header is verified.
    HeaderOnly,
}

impl Keyring {
    /// Who has signed this package?
    ///
    /// # Errors
    ///
    /// Nobody in this keyring has, or not so that it counts, or the payload is another one; or the package cannot be read.
    pub fn rpm(&self, mut package: impl Read) -> Result<Package<'_>, Error> {
        let mut lead = [0; LEAD as usize];
        fill(&mut package, &mut lead)?;
        check_lead(&lead)?;
        // Both headers, as they lie in the file.
        let mut headers = Vec::new();
        let first = read_header(&mut package, &mut headers, Extent::padded_length)?;
        let signatures = first.length() as usize;
        let begin = headers.len();
        read_header(&mut package, &mut headers, Extent::length)?;
        let signatures = headers.get(..signatures).ok_or(Refusal::Package)?;
        let main = headers.get(begin..).ok_or(Refusal::Package)?;

        let reply = self.reader.ask(Request::Rpm, &headers)?;
        let reply = Rpm::decode(&reply, headers.len()).map_err(|_| Refusal::Reply)?;
        let table = Header::read(signatures)?;
        let mut others = vec![signature::OPENPGP, signature::PGP, signature::GPG];
        others.retain(|tag| table.has(*tag));
        let mut found = Err(Error::Refused(match others.is_empty() {
            true => Refusal::Unsigned,
            false => Refusal::PackageSignature,
        }));
        let header = Header::read(main)?;
        for packet in table.signatures(&reply) {
            found = self
                .verify_binary(packet?, |feed| feed(main))
                .and_then(|signed| Ok((signed, header.signed(&signed.verified)?)));
            if found.is_ok() {
                break;
            }
        }
        let (signed, header) = found?;
        let payload = match header.payload()? {
            None => Payload::HeaderOnly,
            Some(expected) => {
                let mut hash = RustCrypto.hash(expected.algorithm())?;
                read_all(package, &mut |bytes| hash.update(bytes))?;
                expected.check(&hash.finish()?)?;
                Payload::Verified
            }
        };
        Ok(Package {
            signed,
            payload,
            others,
        })
    }
}

/// Appends a header: how long it is stands at its front.
fn read_header(
    package: &mut impl Read,
    headers: &mut Vec<u8>,
    length: impl Fn(Extent) -> u64,
) -> Result<Extent, Error> {
    let mut intro = [0; INTRO];
    fill(package, &mut intro)?;
    let extent = Extent::read(&intro)?;
    let begin = headers.len();
    let end = begin.saturating_add(length(extent) as usize);
    if end > INPUT_MAX {
        return Err(Refusal::TooLong.into());
    }
    headers.extend(intro);
    headers.resize(end, 0);
    let rest = headers.get_mut(begin + INTRO..).ok_or(Refusal::Package)?;
    fill(package, rest)?;
    Ok(extent)
}

fn fill(package: &mut impl Read, room: &mut [u8]) -> Result<(), Error> {
    package
        .read_exact(room)
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Refusal::Cut.into(),
            kind => Error::Read(kind),
        })
}
