// SPDX-License-Identifier: GPL-2.0-only
//! Packages: the header's signature, and the payload's digest in that header.

use pgp_proto::rpm::signature;
use pgp_proto::{Request, Rpm};
use pgp_rules::rpm::{self, Extent, INTRO, LEAD};
use pgp_rules::{Crypto, Hash, Refusal};
use umd_kernel::source::Source;

use crate::abi::{Good, Notes};
use crate::failure::Failure;
use crate::handler::Message;
use crate::verify::{Data, Judge, pieces, unreadable};

/// Verifies a package's header, and compares its payload unless only the header is asked for.
pub(crate) fn check(
    judge: &mut Judge<'_>,
    file: &Source,
    header_only: bool,
) -> Result<Good, Failure> {
    let mut lead = [0; LEAD as usize];
    read(file, 0, &mut lead)?;
    rpm::check_lead(&lead)?;
    let first = extent(file, LEAD)?;
    let second = extent(file, LEAD.saturating_add(first.padded_length()))?;
    let length = first.padded_length().saturating_add(second.length());
    // As the handler sees them, and we: whoever writes to the file meanwhile is too late.
    let mut message = Message::new(usize::try_from(length).unwrap_or(usize::MAX))?;
    read(file, LEAD, message.input())?;
    let reply = judge.pgp.handler.send(&Request::Rpm, &mut message)?;
    let headers = &*message.input();
    let reply = Rpm::decode(reply.as_bytes(), headers.len()).map_err(|_| Refusal::Reply)?;
    let signatures = part(headers, 0, first.length())?;
    let signatures = rpm::Header::read(signatures)?;
    let signed = part(headers, first.padded_length(), second.length())?;
    let header = rpm::Header::read(signed)?;

    let notes = Notes {
        header_only,
        met_1002: signatures.has(signature::PGP),
        met_1005: signatures.has(signature::GPG),
        met_278: signatures.has(signature::OPENPGP),
        text: false,
    };
    let mut found = Err(if notes.met_1002 || notes.met_1005 || notes.met_278 {
        Refusal::PackageSignature.into()
    } else {
        Refusal::Unsigned.into()
    });
    for packet in signatures.signatures(&reply) {
        found = judge
            .detached(packet?, &Data::Bytes(signed))
            .and_then(|(good, verified)| Ok((good, header.signed(&verified)?)));
        if found.is_ok() {
            break;
        }
    }
    let (good, header) = found?;
    if !header_only {
        let wanted = header.payload()?.ok_or(Refusal::PayloadUnsupported)?;
        let mut hash = (&*judge.pgp.tools).hash(wanted.algorithm())?;
        let begin = LEAD.saturating_add(length);
        pieces(file, begin, |piece| hash.update(piece))?;
        wanted.check(&hash.finish()?)?;
    }
    Ok(Good { notes, ..good })
}

/// How long the header there is.
fn extent(file: &Source, at: u64) -> Result<Extent, Failure> {
    let mut intro = [0; INTRO];
    read(file, at, &mut intro)?;
    Ok(Extent::read(&intro)?)
}

fn read(file: &Source, at: u64, to: &mut [u8]) -> Result<(), Failure> {
    match file.read_all(at, to).map_err(unreadable)? {
        count if count == to.len() => Ok(()),
        _ => Err(Refusal::Package.into()),
    }
}

fn part(headers: &[u8], at: u64, length: u64) -> Result<&[u8], Refusal> {
    let at = usize::try_from(at).map_err(|_| Refusal::Package)?;
    let length = usize::try_from(length).map_err(|_| Refusal::Package)?;
    let part = headers.get(at..).and_then(|rest| rest.get(..length));
    part.ok_or(Refusal::Package)
}
