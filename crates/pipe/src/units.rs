//! Durations, sizes and rates as people type them: `250ms`, `64KiB`, `100/s`.

use std::time::Duration;

/// The longest duration and the longest time between two events, 1,000 years of 365 days: far longer than anybody
/// waits, and short enough that a clock can be added to it.
pub const LONGEST: Duration = Duration::from_hours(24 * 365_000);

/// A duration: `250ms`, `5s`, `2m`, `1h`, `1h 30m`. A number without a unit is refused, and so is more than
/// [`LONGEST`].
///
/// # Errors
///
/// A sentence for the person who typed it.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| format!("'{text}' is not a duration such as 250ms, 5s, 2m or 1h"))?;
    if duration > LONGEST {
        return Err(format!("'{text}' is more than 1000 years"));
    }
    Ok(duration)
}

/// A size in bytes: `512`, `64KiB` (1,024 each), `1MB` (1,000,000).
///
/// # Errors
///
/// A sentence for the person who typed it.
pub fn parse_size(text: &str) -> Result<usize, String> {
    let wrong = || format!("'{text}' is not a size such as 512, 64KiB or 1MB");
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: usize = text[..digits].parse().map_err(|_| wrong())?;
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "kib" | "k" => 1 << 10,
        "mb" => 1_000_000,
        "mib" | "m" => 1 << 20,
        "gb" => 1_000_000_000,
        "gib" | "g" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).ok_or_else(wrong)
}

/// Events per second: `100/s`, `0.5/s`, `30/m`, `10/h`, or a bare number, which is per second; at least one in
/// [`LONGEST`].
///
/// # Errors
///
/// A sentence for the person who typed it.
pub fn parse_rate(text: &str) -> Result<f64, String> {
    let wrong = || format!("'{text}' is not a rate such as 100/s, 0.5/s or 30/m");
    let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
    let seconds = match unit.trim() {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    if !number.is_finite() || number <= 0.0 {
        return Err(wrong());
    }
    let rate = number / seconds;
    if rate < 1.0 / LONGEST.as_secs_f64() {
        return Err(format!("'{text}' is less than one in 1000 years"));
    }
    Ok(rate)
}

/// A count with its thousands apart: `1,234,567`.
#[must_use]
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("1h"), Ok(Duration::from_hours(1)));
        assert!(
            parse_duration("5").is_err()
                && parse_duration("").is_err()
                && parse_duration("-1s").is_err()
        );
    }

    #[test]
    fn a_clock_can_be_added_to_every_duration_and_interval() {
        let now = std::time::Instant::now();
        let longest = parse_duration("365000d").unwrap();
        assert!(now.checked_add(longest * 2).is_some());
        for text in ["365001d", "18446744073709551615s", "500000000000y"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        for text in ["1e-20/s", "1e-300/h", "5e-324"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
        for text in ["1e-10/s", "1e300/s"] {
            let mut pace = crate::pace::Pace::new(parse_rate(text).unwrap(), now);
            pace.passed(now);
            assert!(pace.wait(now) <= LONGEST, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, want) in [
            ("512", 512),
            ("64KiB", 65536),
            ("1MB", 1_000_000),
            ("1 MiB", 1 << 20),
            ("0", 0),
        ] {
            assert_eq!(parse_size(text), Ok(want), "{text}");
        }
        for text in [
            "",
            "KB",
            "1.5MB",
            "1XB",
            "-1",
            "99999999999999999999",
            "99999999999GiB",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_are_per_second() {
        assert_eq!(parse_rate("100/s"), Ok(100.0));
        assert_eq!(parse_rate("30/m"), Ok(0.5));
        assert_eq!(parse_rate("7"), Ok(7.0));
        for text in ["0/s", "-1/s", "x/s", "1/d", "inf/s", "NaN"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn thousands_stand_apart() {
        for (count, want) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(count), want);
        }
    }
}
