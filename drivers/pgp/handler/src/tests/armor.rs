// SPDX-License-Identifier: MIT OR Apache-2.0
//! Armor.

use crate::packets::{ask, ask_with_room};
use pgp_proto::{ARMOR_HEADER_LEN, Armor, Block, Checksum, Refusal, Request};
use proptest::prelude::*;

const END: &str = "-----END PGP SIGNATURE-----\n";

fn told(input: &str) -> Result<(Vec<u8>, Checksum), Refusal> {
    let reply = ask(&Request::Armor, input.as_bytes())?;
    let told = Armor::decode(&reply, input.len()).unwrap();
    Ok((told.binary.to_vec(), told.checksum))
}

/// What is told of an armor around these lines.
fn around(text: &str) -> Result<(Vec<u8>, Checksum), Refusal> {
    told(&format!("-----BEGIN PGP SIGNATURE-----\n\n{text}{END}"))
}

fn bytes(bytes: &[u8], checksum: Checksum) -> Result<(Vec<u8>, Checksum), Refusal> {
    Ok((bytes.to_vec(), checksum))
}

#[test]
fn bytes_are_read() {
    use Checksum::Absent;
    assert_eq!(around(""), bytes(b"", Absent));
    assert_eq!(around("aGVsbG8h\n"), bytes(b"hello!", Absent));
    assert_eq!(around("aGVsbG8=\n"), bytes(b"hello", Absent));
    assert_eq!(around("aGVsbA==\n"), bytes(b"hell", Absent));
    assert_eq!(around("aGVs\r\nbA=\n=\n\n"), bytes(b"hell", Absent));
    assert_eq!(around("  aG Vs\tbA==  \n"), bytes(b"hell", Absent));
    assert_eq!(around("+/+/\n"), bytes(&[0xfb, 0xff, 0xbf], Absent));
}

#[test]
fn checksums_are_looked_at() {
    use Checksum::{Right, Wrong};
    // RFC 4880 says what an empty one begins with; the others are as `gpg --enarmor` writes them.
    assert_eq!(around("=twTO\n"), bytes(b"", Right));
    assert_eq!(around("aGVsbG8=\n=R/WK\n"), bytes(b"hello", Right));
    assert_eq!(around("aGVsbG8h\n=+cvX\n"), bytes(b"hello!", Right));
    assert_eq!(around("aGVsbG8h\n=+cvY\n"), bytes(b"hello!", Wrong));
    assert_eq!(around("aGVsbG8=\n=AAAA\n"), bytes(b"hello", Wrong));
}

#[test]
fn other_characters_are_refused() {
    for text in [
        "a\n",
        "aG\n",
        "aGV\n",
        "aGVsb\n",
        "aGVsbG8\n",
        "aG=\n",
        "aGVs=\n",
        "====\n",
        "=\n",
        "aGVs\n=R/W\n",
        "aGVs\n=R/WKK\n",
        "aG==aGVs\n",
        "aGVs_\n",
        "aGVs*\n",
        "aG\u{e9}\n",
        "aGVs\0\n",
        "aGVsbG8=\n=R/WK\naGVs\n",
        "a===\n",
        "aGVsbG8=\n=R=WO\n",
    ] {
        assert_eq!(around(text), Err(Refusal::Invalid), "{text:?}");
    }
}

#[test]
fn it_ends_as_it_began() {
    let begin = "-----BEGIN PGP SIGNATURE-----\n\naGVs\n";
    for end in [
        "-----END PGP MESSAGE-----\n",
        "-----BEGIN PGP SIGNATURE-----\n",
        "----- END PGP SIGNATURE-----\n",
        "-----END PGP SIGNATURE----\n",
        "-\n",
    ] {
        assert_eq!(
            told(&format!("{begin}{end}")),
            Err(Refusal::Invalid),
            "{end:?}"
        );
    }
    assert!(told(&format!("{begin}-----END PGP SIGNATURE-----  \t\r\nmore")).is_ok());
}

#[test]
fn each_kind_says_which_it_is_and_where_it_ends() {
    for block in Block::ALL {
        let name = block.name();
        let input = format!(
            "hello\n-----BEGIN {name}-----\nComment: a\nVersion: b\n \t\naGVs\n-----END {name}-----\n"
        );
        let more = format!("{input}-----BEGIN {name}-----\n");
        let reply = ask(&Request::Armor, more.as_bytes()).unwrap();
        let told = Armor::decode(&reply, more.len()).unwrap();
        assert_eq!((told.block, told.binary), (block, &b"hel"[..]));
        assert_eq!(told.end as usize, input.len());
    }
    for (name, refusal) in [
        ("PGP PRIVATE KEY BLOCK", Refusal::Unsupported),
        ("PGP MESSAGE, PART 1/2", Refusal::Unsupported),
        ("PGP SIGNED MESSAGE", Refusal::NotMine),
        ("CERTIFICATE", Refusal::NotMine),
    ] {
        let input = format!("-----BEGIN {name}-----\n\naGVs\n-----END {name}-----\n");
        assert_eq!(told(&input), Err(refusal), "{name}");
    }
    assert_eq!(told("hello"), Err(Refusal::NotMine));
    assert_eq!(told(""), Err(Refusal::NotMine));
}

#[test]
fn headers_end_with_a_blank_line_or_where_a_line_is_none() {
    let with = |text: &str| told(&format!("-----BEGIN PGP SIGNATURE-----\n{text}{END}"));
    let bytes = with("Comment: a\n\naGVs\n");
    assert!(bytes.is_ok());
    for text in ["aGVs\n", "Comment: a\naGVs\n", "Comment: a\r\naGVs\r\n"] {
        assert_eq!(with(text), bytes);
    }
    // What is no header is read as bytes.
    assert_eq!(with("Comment\n\naGVs\n"), Err(Refusal::Invalid));
    assert_eq!(
        with("Comment: a\n\nComment: b\naGVs\n"),
        Err(Refusal::Invalid)
    );
}

#[test]
fn a_reply_has_room_for_the_longest() {
    let input = format!(
        "-----BEGIN PGP SIGNATURE-----\n\n{}\n{END}",
        "aGVs".repeat(1000)
    );
    assert!(ask_with_room(&Request::Armor, input.as_bytes(), ARMOR_HEADER_LEN + 3000).is_ok());
}

#[test]
fn every_truncation_is_refused() {
    let input = "-----BEGIN PGP SIGNATURE-----\n\naGVsbG8=\n=R/WK\n-----END PGP SIGNATURE-----";
    for length in 0..input.len() {
        assert!(told(&input[..length]).is_err());
    }
    assert!(told(input).is_ok());
}

proptest! {
    #[test]
    fn what_is_written_is_read(binary: Vec<u8>, width in 1_usize..99) {
        let text = base64(&binary);
        let lines: Vec<_> = text.as_bytes().chunks(width).map(|line| String::from_utf8_lossy(line)).collect();
        // A line may begin with padding, so only whole groups are broken.
        let text = if width % 4 == 0 { lines.join("\n") } else { text.clone() };
        prop_assert_eq!(around(&format!("{text}\n")), bytes(&binary, Checksum::Absent));
    }

    #[test]
    fn any_text_is_judged(text: String) {
        let _ = around(&text);
        let _ = told(&text);
    }
}

/// Another way to write it.
fn base64(binary: &[u8]) -> String {
    let alphabet: Vec<char> = ('A'..='Z')
        .chain('a'..='z')
        .chain('0'..='9')
        .chain(['+', '/'])
        .collect();
    let mut text = String::new();
    for chunk in binary.chunks(3) {
        let number = [0, 1, 2].map(|n| u32::from(*chunk.get(n).unwrap_or(&0)));
        let number = number[0] << 16 | number[1] << 8 | number[2];
        for place in 0..4 {
            let is_padding = place > chunk.len();
            let index = (number >> (18 - 6 * place) & 63) as usize;
            text.push(if is_padding { '=' } else { alphabet[index] });
        }
    }
    text
}
