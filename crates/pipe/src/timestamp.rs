//! The time of a record, from the text of one of its fields.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments here are the text of --help"
)]

use clap::ValueEnum;
use jiff::Timestamp;

/// What a field with a time holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum TimeUnit {
    /// A date and time with its offset, such as 2026-03-01T12:00:00.5Z
    #[default]
    Rfc3339,
    /// Seconds since 1970, UTC
    S,
    /// Milliseconds since 1970, UTC
    Ms,
    /// Microseconds since 1970, UTC
    Us,
    /// Nanoseconds since 1970, UTC
    Ns,
}

impl TimeUnit {
    /// How many nanoseconds one is; a date and time can be as fine as one.
    #[must_use]
    pub fn nanoseconds(self) -> i64 {
        match self {
            Self::S => 1_000_000_000,
            Self::Ms => 1_000_000,
            Self::Us => 1_000,
            Self::Rfc3339 | Self::Ns => 1,
        }
    }
}

/// Nanoseconds since 1970, UTC; finer parts are cut. `None` if the text is no such time.
#[must_use]
pub fn read_time(text: &str, unit: TimeUnit) -> Option<i128> {
    if unit == TimeUnit::Rfc3339 {
        return Some(text.parse::<Timestamp>().ok()?.as_nanosecond());
    }
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (text, ""),
    };
    let (sign, whole) = match whole.strip_prefix('-') {
        Some(whole) => (-1, whole),
        None => (1, whole),
    };
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut ns = i128::from(digits(whole)?) * i128::from(unit.nanoseconds());
    let mut worth = unit.nanoseconds() / 10;
    for digit in fraction.bytes() {
        ns += i128::from(worth) * i128::from(digit - b'0');
        worth /= 10;
    }
    Some(sign * ns)
}

fn digits(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_their_unit() {
        use TimeUnit::{Ms, Ns, Rfc3339, S, Us};
        for (text, unit, want) in [
            ("1970-01-01T00:00:01.5Z", Rfc3339, Some(1_500_000_000)),
            ("1970-01-01T01:00:01+01:00", Rfc3339, Some(1_000_000_000)),
            ("1700000000", S, Some(1_700_000_000_000_000_000)),
            ("1700000000.1239", S, Some(1_700_000_000_123_900_000)),
            ("1.1234567899", S, Some(1_123_456_789)),
            ("1700000000123", Ms, Some(1_700_000_000_123_000_000)),
            ("1700000000123.9", Ms, Some(1_700_000_000_123_900_000)),
            ("1700000000123456", Us, Some(1_700_000_000_123_456_000)),
            ("1700000000123456789", Ns, Some(1_700_000_000_123_456_789)),
            ("1700000000123456789.5", Ns, Some(1_700_000_000_123_456_789)),
            (
                "9999999999999999",
                S,
                Some(9_999_999_999_999_999_000_000_000),
            ),
            ("0", Ms, Some(0)),
            ("-5", S, Some(-5_000_000_000)),
            ("-0.5", S, Some(-500_000_000)),
            ("1700000000", Rfc3339, None),
            ("2026-03-01 12:00", Rfc3339, None),
            ("1e9", S, None),
            ("1.x", S, None),
            ("1.", Ms, None),
            ("--1", Ms, None),
            ("+1", Ms, None),
            ("-", Ms, None),
            ("", S, None),
            ("99999999999999999999", Ns, None),
        ] {
            assert_eq!(read_time(text, unit), want, "{text} as {unit:?}");
        }
    }
}
