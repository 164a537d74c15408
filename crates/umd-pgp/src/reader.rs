// SPDX-License-Identifier: MIT OR Apache-2.0
//! The handler, as the rest of the crate sees it.

use crate::armor::is_armor_of;
use crate::error::Error;
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

    /// The bytes without their armor, where they have one.
    pub(crate) fn binary<'b>(&self, bytes: &'b [u8], block: Block) -> Result<Cow<'b, [u8]>, Error> {
        // Each packet begins with a byte that is no character.
        if bytes.first().is_none_or(|first| first & 0x80 != 0) {
            return Ok(bytes.into());
        }
        let reply = self.ask(Request::Armor, bytes)?;
        let armor = Armor::decode(&reply, bytes.len()).map_err(|_| Refusal::Reply)?;
        if armor.block != block {
            return Err(Refusal::NotMine.into());
        }
        // As GnuPG has it: an armor that was damaged is not read.
        if armor.checksum == Checksum::Wrong {
            return Err(Refusal::Malformed.into());
        }
        if !is_armor_of(bytes, armor.binary) {
            return Err(Refusal::Reply.into());
        }
        Ok(armor.binary.to_vec().into())
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
