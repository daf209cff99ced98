//! The time of a record, from the text of one of its fields.

use clap::ValueEnum;
use jiff::Timestamp;

/// What a field with a time holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TimeUnit {
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

/// Milliseconds since 1970, UTC; finer parts are cut. `None` if the text is no such time, or one that Kafka can't hold.
pub(crate) fn read_time(text: &str, unit: TimeUnit) -> Option<i64> {
    let ms = match unit {
        TimeUnit::Rfc3339 => text.parse::<Timestamp>().ok()?.as_millisecond(),
        TimeUnit::S => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            let digits = fraction.bytes().take(3).chain([b'0'; 3]).take(3);
            let ms: i64 = digits.fold(0, |ms, digit| ms * 10 + i64::from(digit - b'0').min(9));
            let plain = fraction.bytes().all(|byte| byte.is_ascii_digit());
            let whole: i64 = read_digits(whole)?;
            plain.then_some(())?;
            whole.checked_mul(1000)?.checked_add(ms)?
        }
        TimeUnit::Ms => read_digits(before_point(text)?)?,
        TimeUnit::Us => read_digits(before_point(text)?)? / 1_000,
        TimeUnit::Ns => read_digits(before_point(text)?)? / 1_000_000,
    };
    is_sendable(ms).then_some(ms)
}

/// Whether a record can have this time: librdkafka takes 0 for now, and brokers refuse what is before.
pub(crate) fn is_sendable(ms: i64) -> bool {
    ms > 0
}

/// The whole part of a decimal number.
fn before_point(text: &str) -> Option<&str> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    (!fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit())).then_some(whole)
}

fn read_digits(text: &str) -> Option<i64> {
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
            ("1970-01-01T00:00:01.5Z", Rfc3339, Some(1_500)),
            ("1970-01-01T01:00:01+01:00", Rfc3339, Some(1_000)),
            ("1700000000", S, Some(1_700_000_000_000)),
            ("1700000000.1239", S, Some(1_700_000_000_123)),
            ("1700000000.1", S, Some(1_700_000_000_100)),
            ("1700000000123", Ms, Some(1_700_000_000_123)),
            ("1700000000123.9", Ms, Some(1_700_000_000_123)),
            ("1700000000123456", Us, Some(1_700_000_000_123)),
            ("1700000000123456789", Ns, Some(1_700_000_000_123)),
            ("1700000000", Rfc3339, None),
            ("2026-03-01 12:00", Rfc3339, None),
            ("0", Ms, None),
            ("-5", S, None),
            ("1e9", S, None),
            ("1.x", S, None),
            ("1.", Ms, None),
            ("", S, None),
            ("99999999999999999999", Ns, None),
            ("9999999999999999", S, None),
        ] {
            assert_eq!(read_time(text, unit), want, "{text} as {unit:?}");
        }
    }
}
