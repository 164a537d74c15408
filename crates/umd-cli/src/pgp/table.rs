// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tables for people.

use std::fmt::Write;
use umd_build::check::shown;

use super::keys::RefusedKey;

/// A table in the making. Writing to a string does not fail.
pub(super) struct Rows(pub(super) String);

impl Rows {
    pub(super) fn title(&mut self, text: &str) {
        let _ = writeln!(self.0, "{text}");
    }

    pub(super) fn row(&mut self, name: &str, value: &str) {
        let _ = writeln!(self.0, "  {name:<12} {value}");
    }

    pub(super) fn refused(&mut self, keys: &[RefusedKey]) {
        for key in keys {
            self.title(&key.text());
        }
    }

    pub(super) fn line(&mut self, text: &str) {
        let _ = writeln!(self.0, "  {text}");
    }
}

/// Somebody else has written it: it may not move the cursor, nor begin another line.
pub(super) fn printable(text: &str) -> String {
    shown(text.as_bytes())
}

/// Seconds since 1970 as a date and a time.
pub(super) fn date(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut day) = (1970 + days / 146_097 * 400, days % 146_097);
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!(
        "{year}-{month:02}-{:02} {hour:02}:{minute:02}:{second:02} UTC",
        day + 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_700_000_000, "2023-11-14 22:13:20 UTC"),
            (4_107_542_399, "2100-02-28 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (13_569_465_600, "2400-01-01 00:00:00 UTC"),
        ] {
            assert_eq!(date(seconds), text);
        }
        assert!(date(u64::MAX).ends_with("UTC"));
    }

    #[test]
    fn user_ids_move_no_cursor() {
        assert_eq!(printable("Zoë\n\x1b[2Jx\u{9b}"), "Zoë\\n\\u{1b}[2Jx\\u{9b}");
        assert_eq!(printable("a\u{202e}b\u{2028}"), "a\\u{202e}b\\u{2028}");
    }
}
