// SPDX-License-Identifier: MIT OR Apache-2.0
//! What PGP's handler is asked and what it answers, as messages: there is one way to say each thing, and all places are
//! where they may be.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgp_proto::{
    Armor, Cleartext, Component, Detached, ENTRIES_MAX, HEADER_LEN, Key, Message, Place, Refusal,
    Request, Ring, Rpm, Signature, Subject,
};
use umd_fuzz::Script;

fuzz_target!(|data: &[u8]| {
    let mut script = Script::new(data);
    let which = script.below(9);
    let length = script.word() as usize % (1 << 25);
    let reply = script.rest();
    let all = Place {
        at: 0,
        len: length as u32,
    };
    match which {
        0 => request(reply),
        1 => key(reply, length, all),
        2 => {
            if let Ok(found) = Detached::decode(reply, length) {
                signatures(found.signatures, all);
            }
        }
        3 => {
            if let Ok(message) = Message::decode(reply, length) {
                assert!(message.literal.data.is_within(all));
                assert_eq!(message.literal.encode(), reply[..12]);
                signatures(message.signatures, all);
            }
        }
        4 => {
            if let Ok(message) = Cleartext::decode(reply, length) {
                assert_eq!(message.encode(), reply);
                assert!(message.signature.is_within(all));
            }
        }
        5 => {
            if let Ok(armor) = Armor::decode(reply, length) {
                assert!(armor.end as usize <= length && armor.binary.len() <= length);
                let header = Armor::encode_header(armor.block, armor.checksum, armor.end);
                assert_eq!([&header[..], armor.binary].concat(), reply);
            }
        }
        6 => {
            if let Ok(ring) = Ring::decode(reply, length) {
                assert!(ring.keys().all(|key| key.is_within(all)));
                let bytes: Vec<_> = ring.keys().flat_map(Ring::encode_entry).collect();
                assert_eq!(bytes, reply);
            }
        }
        7 => {
            if let Ok(rpm) = Rpm::decode(reply, length) {
                assert!(rpm.tags().all(|tag| tag.value.is_within(all)));
                let bytes: Vec<_> = rpm.tags().flat_map(|tag| tag.encode()).collect();
                assert_eq!(bytes, reply);
            }
        }
        _ => {
            let refusal = Refusal::from_status(length as u32);
            assert!(refusal.is_none_or(|refusal| refusal.errno().get() as usize == length));
        }
    }
});

fn request(message: &[u8]) {
    if let Ok((request, input)) = Request::decode(message) {
        assert_eq!(request.encode(input.len() as u32), message[..HEADER_LEN]);
        assert_eq!(input, &message[HEADER_LEN..]);
    }
}

fn key(reply: &[u8], length: usize, all: Place) {
    let Ok(key) = Key::decode(reply, length) else {
        return;
    };
    let mut end = key.primary.body.end();
    assert!(key.primary.parts.whole().is_within(key.primary.body));
    let mut next = |body: Place| {
        assert!(body.is_within(all) && body.at >= end);
        end = body.end();
    };
    key.direct.for_each(|it| next(it.object.body));
    for Component {
        subject,
        signatures: list,
    } in key.components
    {
        match subject {
            Subject::UserId(body) => next(body),
            Subject::Subkey(subkey) => {
                next(subkey.body);
                assert!(subkey.parts.whole().is_within(subkey.body));
            }
        }
        list.for_each(|it| next(it.object.body));
        signatures(list, all);
    }
}

fn signatures(list: pgp_proto::Signatures<'_>, all: Place) {
    assert!(list.len() <= ENTRIES_MAX);
    for Signature {
        object,
        issuer,
        back,
        ..
    } in list
    {
        assert!(object.body.is_within(all));
        assert!(object.parts.whole().is_within(object.body));
        assert!(issuer.is_none_or(|issuer| issuer.is_within(object.body)));
        assert!(issuer.is_none_or(|issuer| matches!(issuer.len, 8 | 20 | 32)));
        assert!(back.is_none_or(|back| back.body.is_within(object.body)));
    }
    let mut newest: Vec<_> = list.newest_first().collect();
    assert_eq!(newest.len(), list.len());
    assert!(newest.is_sorted_by_key(|it| std::cmp::Reverse(it.created)));
    newest.sort_by_key(|it| it.object.body.at);
    assert!(newest.into_iter().eq(list));
}
