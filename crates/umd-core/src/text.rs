// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text that somebody else has written, and that people are shown.

/// Does this character only stand where it is? Others move a cursor, end a line, or have what follows read from the other side: of a
/// terminal's line, or a log's, nobody knows then what belongs to what. Source: Unicode, `Cc`, `Zl`, `Zp` and `Bidi_Control`.
pub const fn is_plain(character: char) -> bool {
    !matches!(
        character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn letters_are_plain_and_what_steers_is_not() {
        for character in " ~aäßя字\u{a0}\u{200d}😀".chars() {
            assert!(is_plain(character), "{character:?}");
        }
        for character in "\0\n\r\t\x1b\x7f\u{85}\u{9b}\u{61c}\u{200e}\u{200f}".chars() {
            assert!(!is_plain(character), "{character:?}");
        }
        for character in "\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}".chars() {
            assert!(!is_plain(character), "{character:?}");
        }
        let all = (0..=0x10_ffff).filter_map(char::from_u32);
        assert_eq!(
            all.filter(|one| one.is_control() && is_plain(*one)).count(),
            0
        );
    }
}
