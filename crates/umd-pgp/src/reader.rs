// SPDX-License-Identifier: MIT OR Apache-2.0
//! The handler, as the rest of the crate sees it.

use crate::armor::is_armor_of;
use crate::error::Error;
use crate::sections::{Section, TextFlaw, is_binary, sections};
use pgp_proto::{
    ARMOR_HEADER_LEN, Armor, Block, Checksum, INPUT_MAX, REPLY_MAX, REQUEST_MAX, Request,
};
use pgp_rules::Refusal;
use std::borrow::Cow;
use std::time::Duration;
use umd::{CallFailure, Cause, Driver};

static HANDLER: &[u8] = umd::include_handler!("pgp-handler");

/// The deadline of a request. The longest input takes a second of processor time, which a busy
/// machine may give it late.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Reader {
    handler: Driver,
    /// In tests, one who lies in its place.
    #[cfg(test)]
    pub(crate) liar: Option<Liar>,
}

#[cfg(test)]
pub(crate) type Liar = Box<dyn Fn(Request, &[u8]) -> Vec<u8> + Send + Sync>;

impl Reader {
    pub(crate) fn new() -> Result<Self, Error> {
        let handler = Driver::builder("pgp", HANDLER)
            .request_max(REQUEST_MAX)
            .deadline(PATIENCE)
            .start_deadline(PATIENCE)
            .build()?;
        Ok(Self {
            handler,
            #[cfg(test)]
            liar: None,
        })
    }

    /// Asks the handler about these bytes.
    pub(crate) fn ask(&self, request: Request, input: &[u8]) -> Result<Vec<u8>, Error> {
        let length = match u32::try_from(input.len()) {
            Ok(length) if input.len() <= INPUT_MAX => length,
            _ => return Err(Refusal::TooLong.into()),
        };
        #[cfg(test)]
        if let Some(liar) = &self.liar {
            return Ok(liar(request, input));
        }
        let mut question = request.encode(length).to_vec();
        question.extend(input);
        let room = match request {
            Request::Armor => ARMOR_HEADER_LEN.saturating_add(input.len()),
            _ => REPLY_MAX,
        };
        let mut reply = vec![0; room];
        let length = self
            .handler
            .call_bytes(&question, &mut reply)
            .map_err(refusal)?;
        reply.truncate(length);
        Ok(reply)
    }

    /// The packets of a file: as they are, or those of all its armors, each by itself.
    pub(crate) fn sections<'b>(
        &self,
        bytes: &'b [u8],
        block: Block,
    ) -> Result<Vec<Cow<'b, [u8]>>, Error> {
        if is_binary(bytes) {
            return Ok(vec![bytes.into()]);
        }
        let unpacked = |section: &Section<'_>| self.unpacked(section, block).map(Cow::Owned);
        sections(bytes)?.iter().map(unpacked).collect()
    }

    /// The same, all in one.
    pub(crate) fn packets<'b>(
        &self,
        bytes: &'b [u8],
        block: Block,
    ) -> Result<Cow<'b, [u8]>, Error> {
        Ok(joined(self.sections(bytes, block)?))
    }

    /// The packets of a file that has at most one armor.
    pub(crate) fn only<'b>(&self, bytes: &'b [u8], block: Block) -> Result<Cow<'b, [u8]>, Error> {
        if !is_binary(bytes)
            && let [_, second, ..] = sections(bytes)?[..]
        {
            return Err(TextFlaw::Second.at(second.line));
        }
        self.packets(bytes, block)
    }

    /// Decodes one armor; returns its packets.
    fn unpacked(&self, section: &Section<'_>, block: Block) -> Result<Vec<u8>, Error> {
        let Section { text, line } = *section;
        let of_another_kind = || TextFlaw::OtherKind.at(line);
        let reply = match self.ask(Request::Armor, text) {
            Err(Error::Refused(Refusal::NotMine | Refusal::Unsupported)) => {
                return Err(of_another_kind());
            }
            reply => reply?,
        };
        let armor = Armor::decode(&reply, text.len()).map_err(|_| Refusal::Reply)?;
        if armor.block != block {
            return Err(of_another_kind());
        }
        // As GnuPG has it: an armor that was damaged is not read.
        if armor.checksum == Checksum::Wrong {
            return Err(TextFlaw::Checksum.at(line));
        }
        if !is_armor_of(text, armor.binary) {
            return Err(Refusal::Reply.into());
        }
        Ok(armor.binary.to_vec())
    }
}

pub(crate) fn joined(mut sections: Vec<Cow<'_, [u8]>>) -> Cow<'_, [u8]> {
    match sections.len() {
        1 => sections.remove(0),
        _ => sections.concat().into(),
    }
}

/// What the handler says of the bytes, or why it says nothing.
fn refusal(error: umd::Error) -> Error {
    match error.cause() {
        Cause::Call(CallFailure::Rejected(status)) => {
            match pgp_proto::Refusal::from_status(status.get()) {
                Some(refusal) => Refusal::from(refusal).into(),
                None => Refusal::Reply.into(),
            }
        }
        _ => Error::Handler(error),
    }
}
