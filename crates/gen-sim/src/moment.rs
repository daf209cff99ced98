//! The times of a recording: RFC 3339, local time without a zone, or seconds since 1970.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Reads a recorded time: nanoseconds since 1970, or `None`.
///
/// `2013-12-02T21:15:00Z` and `2013-12-02 21:15:00+01:00` are RFC 3339; `2013-12-02 21:15:00`, without a zone, is
/// read as UTC; `1386018900` and `1386018900.25` are seconds since 1970.
pub(crate) fn parse(text: &str) -> Option<i128> {
    let text = text.trim();
    if let Ok(time) = text.parse::<DateTime>()
        && !text.contains(['Z', 'z', '['])
        && !has_offset(text)
    {
        return Some(
            time.to_zoned(TimeZone::UTC)
                .ok()?
                .timestamp()
                .as_nanosecond(),
        );
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_nanosecond());
    }
    let seconds: f64 = text.parse().ok()?;
    Some(SignedDuration::try_from_secs_f64(seconds).ok()?.as_nanos())
}

/// Whether a time of day is followed by an offset from UTC.
fn has_offset(text: &str) -> bool {
    text.get(11..).is_some_and(|time| time.contains(['+', '-']))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i128 = 1_000_000_000;

    #[test]
    fn times_are_read_in_the_forms_of_recordings() {
        let table = [
            ("2013-12-02 21:15:00", Some(1_386_018_900 * SECOND)),
            ("2013-12-02T21:15:00", Some(1_386_018_900 * SECOND)),
            ("2013-12-02T21:15:00Z", Some(1_386_018_900 * SECOND)),
            (
                "2013-12-02 21:15:00.5",
                Some(1_386_018_900 * SECOND + SECOND / 2),
            ),
            ("2013-12-02T22:15:00+01:00", Some(1_386_018_900 * SECOND)),
            ("2013-12-02 14:15:00-07:00", Some(1_386_018_900 * SECOND)),
            ("1386018900", Some(1_386_018_900 * SECOND)),
            ("1386018900.25", Some(1_386_018_900 * SECOND + SECOND / 4)),
            ("", None),
            ("yesterday", None),
            ("21:15:00", None),
            ("2013-13-02 21:15:00", None),
            ("NaN", None),
            ("inf", None),
            ("1e300", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
