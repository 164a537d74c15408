// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this what the armor stands for? The handler unpacks it, and its word is not taken: what it says is packed again.

/// The characters of base64, RFC 4648.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Are these bytes all that the first armor in the text stands for? Its headers end with an empty
/// line, or where a line is no header; what follows has to be these bytes in base64, from the first
/// character to the checksum or the last line.
pub(crate) fn is_armor_of(text: &[u8], binary: &[u8]) -> bool {
    let mut lines = text.split_inclusive(|byte| *byte == b'\n');
    let begins = |line: &&[u8]| line.starts_with(b"-----BEGIN PGP ");
    if lines.by_ref().find(begins).is_none() {
        return false;
    }
    let lines = lines.skip_while(|line| line.contains(&b':'));
    let mut body = lines.flatten().filter(|byte| !byte.is_ascii_whitespace());
    let same = characters(binary).all(|character| body.next() == Some(&character));
    same && matches!(body.next(), Some(b'=' | b'-'))
}

fn characters(binary: &[u8]) -> impl Iterator<Item = u8> {
    binary.chunks(3).flat_map(|chunk| {
        let byte = |at| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        [18, 12, 6, 0]
            .into_iter()
            .enumerate()
            .map(move |(at, shift)| {
                let value = (bits >> shift & 63) as usize;
                match ALPHABET.get(value) {
                    Some(character) if at <= chunk.len() => *character,
                    _ => b'=',
                }
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes 0 to 9.
    const TEXT: &str = "words\n-----BEGIN PGP SIGNATURE-----\nComment: x\n \nAAEC\r\nAwQFBg cICQ==\n=abcd\n-----END PGP SIGNATURE-----\n";

    #[test]
    fn the_bytes_and_no_others() {
        let bytes: Vec<u8> = (0..10).collect();
        assert!(is_armor_of(TEXT.as_bytes(), &bytes));
        assert!(is_armor_of(TEXT.replace("=abcd\n", "").as_bytes(), &bytes));
        assert!(is_armor_of(TEXT.replace("\n \n", "\n").as_bytes(), &bytes));
        // Parts of it, at its front, at its end and within; more than it; nothing.
        for others in [&bytes[..9], &bytes[..6], &bytes[3..], &bytes[3..6], &[]] {
            assert!(!is_armor_of(TEXT.as_bytes(), others), "{others:?}");
        }
        let more: Vec<u8> = (0..11).collect();
        assert!(!is_armor_of(TEXT.as_bytes(), &more));
        let other: Vec<u8> = (1..11).collect();
        assert!(!is_armor_of(TEXT.as_bytes(), &other));
    }

    #[test]
    fn what_is_no_armor_stands_for_nothing() {
        let bytes: Vec<u8> = (0..10).collect();
        for text in [
            "",
            "AAECAwQFBgcICQ==\n=abcd\n",
            "-----BEGIN PGP SIGNATURE-----\nAAECAwQFBgcICQ==\n",
            "-----BEGIN PGP SIGNATURE-----\n\nAAECAwQFBgcICQ==\n",
        ] {
            assert!(!is_armor_of(text.as_bytes(), &bytes), "{text}");
        }
    }

    #[test]
    fn each_length_has_its_padding() {
        let base64 = |bytes: &[u8]| String::from_utf8(characters(bytes).collect()).unwrap();
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"f"), "Zg==");
        assert_eq!(base64(b"fo"), "Zm8=");
        assert_eq!(base64(b"foo"), "Zm9v");
        assert_eq!(base64(&[0xfb, 0xff, 0xbf, 0x3e]), "+/+/Pg==");
    }
}
