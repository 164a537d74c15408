// SPDX-License-Identifier: GPL-2.0-only
//! From what somebody adds to a key.

use core::ffi::CStr;
use pgp_proto::Request;
use pgp_rules::key::{self, SUBKEYS_MAX};
use pgp_rules::{PublicKey, Refusal, Subkey};
use umd_kernel::Errno;
use umd_kernel::ffi::memory::{Arc, Slice};
use umd_kernel::keys::{Ids, Parsed, Parser, real_seconds};
use umd_kernel::log::{Line, warn};

use crate::crypto::Tools;
use crate::failure::Failure;
use crate::handler::Handler;
use crate::key::PgpKey;

/// Bytes of a user id that are shown.
const USER_ID_SHOWN: usize = 128;

/// Bytes of a fingerprint that are shown.
const TAIL: usize = 8;

pub(crate) struct Pgp {
    pub(crate) tools: Arc<Tools>,
    pub(crate) handler: Handler,
}

impl Parser for Pgp {
    type Key = PgpKey;

    const NAME: &'static CStr = c"pgp";

    /// What does not begin with a primary key's packet, armor included, the handler never sees.
    fn parse(&self, input: &[u8]) -> Result<Parsed<PgpKey>, Errno> {
        let primary = match key::primary(input, &&*self.tools) {
            Ok(primary) => primary,
            Err(Refusal::NotAKey) => return Err(Errno::EBADMSG),
            Err(refusal) => return Err(not_added(None, refusal.into())),
        };
        self.add(primary, input)
            .map_err(|failure| not_added(Some(&primary), failure))
    }
}

impl Pgp {
    fn add(&self, primary: PublicKey<'_>, input: &[u8]) -> Result<Parsed<PgpKey>, Failure> {
        let tools = &*self.tools;
        // Before the handler is asked for nothing.
        tools.form(&primary.material)?;
        let request = Request::Key(primary.fingerprint);
        let reply = self.handler.ask(&request, input)?;
        let now = real_seconds();
        let mut room = Slice::try_new(SUBKEYS_MAX, None)?;
        let key = key::read(primary, input, reply.as_bytes(), &tools, now, &mut room)?;
        if let Some(refusal) = key.left_out {
            say(
                Some(&primary),
                b"a subkey is left out: ",
                refusal.sentence(),
            );
        }
        let made = PgpKey::new(&self.tools, &key, &room)?;
        Ok(Parsed {
            description: description(&key),
            ids: ids(&key, &room, now),
            // A key takes less than 64 KiB, as what it was made of does.
            quota: u32::try_from(made.size()).unwrap_or(u32::MAX),
            key: made,
        })
    }
}

/// The user id, and the end of the fingerprint: keys may say that they belong to anybody.
fn description(key: &key::Key<'_>) -> Line {
    let mut line = Line::new();
    line.push(shown(key.user_id.unwrap_or(b"(no user id)")));
    line.push(b": ");
    line.push_hex(tail(key.public.fingerprint.as_bytes()));
    line
}

/// As much of a text as is shown, which ends with a whole character.
fn shown(text: &[u8]) -> &[u8] {
    let mut end = text.len().min(USER_ID_SHOWN);
    while text.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}

fn tail(fingerprint: &[u8]) -> &[u8] {
    fingerprint
        .last_chunk::<TAIL>()
        .map_or(fingerprint, |tail| tail)
}

/// The primary key's fingerprint, and those of subkeys that are good, as long as there is room.
fn ids(key: &key::Key<'_>, subkeys: &[Option<Subkey<'_>>], now: u64) -> Ids {
    let mut ids = Ids::default();
    ids.push(key.public.fingerprint.as_bytes());
    for subkey in subkeys.iter().flatten() {
        if subkey.state.check(now).is_ok() {
            ids.push(subkey.public.fingerprint.as_bytes());
        }
    }
    ids
}

/// Says why, in one line.
fn not_added(primary: Option<&PublicKey<'_>>, failure: Failure) -> Errno {
    say(primary, b"not added: ", failure.sentence);
    failure.errno
}

fn say(primary: Option<&PublicKey<'_>>, what: &[u8], sentence: &str) {
    let mut line = Line::new();
    line.push(b"key ");
    if let Some(primary) = primary {
        line.push_hex(tail(primary.fingerprint.as_bytes()));
        line.push(b" ");
    }
    line.push(what);
    line.push(sentence.as_bytes());
    warn(&line);
}
