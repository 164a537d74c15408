// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cleartext-signed messages.

use crate::packets::ask;
use pgp_proto::{Cleartext, Refusal, Request};

const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----\n\nabcd\n-----END PGP SIGNATURE-----";

/// Hash headers and text.
fn told(input: &str) -> Result<(&str, &str), Refusal> {
    let reply = ask(&Request::Cleartext, input.as_bytes())?;
    let told = Cleartext::decode(&reply, input.len()).unwrap();
    let of = |place: pgp_proto::Place| &input[place.at as usize..place.end() as usize];
    assert!(of(told.signature).starts_with("-----BEGIN PGP SIGNATURE-----"));
    Ok((of(told.hashes), of(told.text)))
}

fn with_text(text: &str) -> Result<String, Refusal> {
    let input = format!("{BEGIN}\nHash: SHA256\n\n{text}{SIGNATURE}\n");
    told(&input).map(|(hashes, text)| {
        assert_eq!(hashes, "Hash: SHA256\n");
        text.to_owned()
    })
}

#[test]
fn text_ends_before_the_end_of_its_last_line() {
    for (written, told) in [
        ("hello\n", "hello"),
        ("hello\r\n", "hello"),
        ("hello\n\n", "hello\n"),
        (
            "a\n- - b\n- -----BEGIN PGP SIGNATURE-----\n",
            "a\n- - b\n- -----BEGIN PGP SIGNATURE-----",
        ),
        ("\n", ""),
        ("", ""),
        ("trailing \t\r\n", "trailing \t"),
        ("\u{e9}\0\n", "\u{e9}\0"),
    ] {
        assert_eq!(with_text(written), Ok(told.to_owned()), "{written:?}");
    }
}

#[test]
fn dashes_are_escaped() {
    for text in [
        "-\n",
        "--\n",
        "-----BEGIN PGP SIGNED MESSAGE-----\n",
        "a\n-b\n",
        "-----END PGP SIGNATURE-----\n",
    ] {
        assert_eq!(with_text(text), Err(Refusal::Invalid), "{text:?}");
    }
}

#[test]
fn headers_are_about_hashes() {
    let with = |headers: &str| {
        let input = format!("{BEGIN}\n{headers}\nhello\n{SIGNATURE}");
        told(&input).map(|(hashes, _)| hashes.to_owned())
    };
    for headers in [
        "",
        "Hash: SHA256\n",
        "Hash: SHA256,SHA512\nHash: SHA1\n",
        "Hash: x\r\n",
    ] {
        assert_eq!(with(headers), Ok(headers.to_owned()));
    }
    // The blank line may have white space.
    let input = format!("{BEGIN} \r\nHash: a\n \t\r\nhello\n{SIGNATURE}");
    assert_eq!(told(&input), Ok(("Hash: a\n", "hello")));
    for headers in [
        "Version: 1\n",
        "Hash:\n",
        "hash: SHA1\n",
        "NotDashEscaped: 1\n",
        "hello\n",
    ] {
        assert_eq!(with(headers), Err(Refusal::Invalid), "{headers:?}");
    }
}

#[test]
fn there_is_nothing_around_it() {
    let message = format!("{BEGIN}\n\nhello\n{SIGNATURE}");
    assert_eq!(told(&message), Ok(("", "hello")));
    assert_eq!(told(&format!("{message}\n \r\n\t\n")), Ok(("", "hello")));
    assert_eq!(told(&format!("{message}\nmore")), Err(Refusal::Invalid));
    assert_eq!(
        told(&format!("{message}\n{message}")),
        Err(Refusal::Invalid)
    );
    assert_eq!(told(&format!("\n{message}")), Err(Refusal::NotMine));
    assert_eq!(told(&format!("text\n{message}")), Err(Refusal::NotMine));
    assert_eq!(told(&format!(" {message}")), Err(Refusal::NotMine));
    assert_eq!(told(""), Err(Refusal::NotMine));
    assert_eq!(told(SIGNATURE), Err(Refusal::NotMine));
}

#[test]
fn every_truncation_is_refused() {
    let message = format!("{BEGIN}\nHash: SHA1\n\nhello\n\n{SIGNATURE}");
    for length in 0..message.len() {
        let expected = if length < BEGIN.len() {
            Refusal::NotMine
        } else {
            Refusal::Cut
        };
        assert_eq!(
            told(&message[..length]).map_err(|it| it == expected || it == Refusal::Invalid),
            Err(true)
        );
    }
}
