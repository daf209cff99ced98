//! A place in a partition: `beginning`, `end`, an offset, the last N, or a time.

use jiff::{Span, Timestamp, ToSpan};

/// Where to begin reading in each partition, or before which place to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// The oldest record that is kept.
    Beginning,
    /// What arrives from now on.
    #[default]
    End,
    /// An offset, or the nearest that there is.
    Offset(i64),
    /// So many offsets before the end.
    Last(i64),
    /// The first record of this time or later, in ms since 1970, UTC; the end, if there is none.
    Time(i64),
}

impl Start {
    /// Reads `beginning`, `end`, an offset (`1234`), the last N (`-100`), a time (`2026-03-01T12:00:00Z`, a day
    /// `2026-03-01`, which begins at midnight UTC) or one before now (`-10m`, `-2h`, `-7d`).
    ///
    /// # Errors
    ///
    /// A sentence for the person who typed it.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{text}' is not beginning, end, an offset, -N for the last N, -10m for a time ago, or an RFC 3339 time"
            )
        };
        match text {
            "beginning" => return Ok(Self::Beginning),
            "end" => return Ok(Self::End),
            _ => {}
        }
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if digits(text) {
            return text.parse().map(Self::Offset).map_err(|_| wrong());
        }
        if let Some(ago) = text.strip_prefix('-') {
            if digits(ago) {
                return ago.parse().map(Self::Last).map_err(|_| wrong());
            }
            let span = read_ago(ago).ok_or_else(wrong)?;
            return now
                .checked_sub(span)
                .map(|time| Self::Time(time.as_millisecond()))
                .map_err(|_| wrong());
        }
        if let Ok(time) = text.parse::<Timestamp>() {
            return Ok(Self::Time(time.as_millisecond()));
        }
        let midnight = format!("{text}T00:00:00Z").parse::<Timestamp>();
        midnight
            .map(|time| Self::Time(time.as_millisecond()))
            .map_err(|_| wrong())
    }
}

/// `250ms`, `5s`, `10m`, `2h`, `7d`.
fn read_ago(text: &str) -> Option<Span> {
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let number: i64 = text[..unit].parse().ok()?;
    let spans = match &text[unit..] {
        "ms" => 1.millisecond().checked_mul(number),
        "s" => 1.second().checked_mul(number),
        "m" => 1.minute().checked_mul(number),
        "h" => 1.hour().checked_mul(number),
        "d" => 24.hours().checked_mul(number),
        _ => return None,
    };
    spans.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_read() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        for (text, start) in [
            ("beginning", Start::Beginning),
            ("end", Start::End),
            ("0", Start::Offset(0)),
            ("1234", Start::Offset(1234)),
            ("-1", Start::Last(1)),
            ("-100", Start::Last(100)),
            ("1970-01-01T00:00:01Z", Start::Time(1000)),
            ("1970-01-01T01:00:00.5+01:00", Start::Time(500)),
            ("1970-01-02", Start::Time(86_400_000)),
            ("-10m", Start::Time(now.as_millisecond() - 600_000)),
            ("-250ms", Start::Time(now.as_millisecond() - 250)),
            ("-7d", Start::Time(now.as_millisecond() - 7 * 86_400_000)),
        ] {
            assert_eq!(Start::parse(text, now), Ok(start), "{text}");
        }
        for text in [
            "",
            "-",
            "first",
            "+1",
            "1.5",
            "-1x",
            "-m",
            "99999999999999999999",
            "-9999999999999999h",
            "2026-13-01",
        ] {
            assert!(Start::parse(text, now).is_err(), "{text}");
        }
    }
}
