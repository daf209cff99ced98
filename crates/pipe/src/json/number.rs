//! Numbers of JSON (RFC 8259, section 6).

use super::error::Wrong;

/// A number as it stands in a text. All of whole words, as [`Wrong`] is.
#[derive(Debug, Clone, Copy)]
pub struct Scanned {
    /// How many bytes it has.
    pub length: usize,
    /// How many of them are its minus sign.
    sign: usize,
    /// All digits before the exponent; wrapped around where there are more than 19.
    digits: u64,
    whole: usize,
    fraction: usize,
    /// How many bytes its exponent has, with the letter.
    exponent: usize,
}

/// A number's value, typed as `serde_json` types it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole number that fits.
    Unsigned(u64),
    /// A whole number below zero that fits.
    Signed(i64),
    /// Everything else, as the nearest double.
    Float(f64),
}

/// Reads the number that `text` begins with.
///
/// # Errors
///
/// How many bytes of it are sound, and what is wrong behind them.
#[inline]
pub fn scan(text: &[u8]) -> Result<Scanned, (usize, Wrong)> {
    let sign = usize::from(text.first() == Some(&b'-'));
    let mut at = sign;
    let mut digits = 0;
    let leading = text.get(at);
    let whole = run(text, &mut at, &mut digits)?;
    if whole > 1 && leading == Some(&b'0') {
        return Err((at - whole, Wrong::LeadingZero));
    }
    let mut fraction = 0;
    if text.get(at) == Some(&b'.') {
        at += 1;
        fraction = run(text, &mut at, &mut digits)?;
    }
    let mantissa = at;
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        run(text, &mut at, &mut 0)?;
    }
    let scanned = Scanned {
        length: at,
        sign,
        digits,
        whole,
        fraction,
        exponent: at - mantissa,
    };
    // Below 10^308 without an exponent; only what is written longer or with one has to be computed.
    if (scanned.exponent > 0 || whole > 308) && !scanned.float(text).is_finite() {
        return Err((0, Wrong::Range));
    }
    Ok(scanned)
}

/// Passes over one digit or more, adding them to `value`; how many there were.
#[inline]
fn run(text: &[u8], at: &mut usize, value: &mut u64) -> Result<usize, (usize, Wrong)> {
    let start = *at;
    while let Some(digit @ b'0'..=b'9') = text.get(*at) {
        *value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        *at += 1;
    }
    match (*at - start, text.get(*at)) {
        (0, None) => Err((*at, Wrong::End)),
        (0, Some(_)) => Err((*at, Wrong::Digit)),
        (count, _) => Ok(count),
    }
}

impl Scanned {
    /// The value; `text` begins with the number.
    #[inline]
    #[must_use]
    pub fn value(&self, text: &[u8]) -> Number {
        // 19 digits always fit into 64 bits.
        let fits = self.whole + self.fraction <= 19;
        if self.fraction == 0 && self.exponent == 0 && self.whole <= 20 {
            return self.integer(text, fits);
        }
        if fits && self.exponent == 0 && self.digits < 1 << 53 {
            return Number::Float(decimal(self.digits, self.fraction, self.sign == 1));
        }
        Number::Float(self.float(text))
    }

    #[inline]
    fn integer(&self, text: &[u8], fits: bool) -> Number {
        let digits = if fits {
            Some(self.digits)
        } else {
            self.text(text).trim_start_matches('-').parse().ok()
        };
        let number = match (self.sign == 1, digits) {
            (false, Some(digits)) => Some(Number::Unsigned(digits)),
            (true, Some(0)) => Some(Number::Float(-0.0)),
            (true, Some(digits)) => 0_i64.checked_sub_unsigned(digits).map(Number::Signed),
            (_, None) => None,
        };
        number.unwrap_or_else(|| Number::Float(self.float(text)))
    }

    fn text<'a>(&self, text: &'a [u8]) -> &'a str {
        std::str::from_utf8(&text[..self.length]).expect("digits, signs, points and 'e' are ASCII")
    }

    #[cold]
    fn float(&self, text: &[u8]) -> f64 {
        let parsed = self.text(text).parse();
        parsed.expect("every number of JSON is one of Rust")
    }
}

/// `digits` / 10^`fraction`, rounded once: both operands are exact (digits below 2^53, a power of
/// ten up to 10^22), so the division gives the nearest double (Clinger's fast path).
#[inline]
fn decimal(digits: u64, fraction: usize, negative: bool) -> f64 {
    const POWERS: [f64; 20] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
        1e17, 1e18, 1e19,
    ];
    #[expect(clippy::cast_precision_loss, reason = "below 2^53, so exact")]
    let float = digits as f64 / POWERS[fraction];
    if negative { -float } else { float }
}

/// Whether `text` is a JSON number and nothing else.
#[must_use]
pub fn is_number(text: &[u8]) -> bool {
    scan(text).is_ok_and(|number| number.length == text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn a_number_that_a_double_can_not_hold_is_none() {
        let nines = "9".repeat(308);
        let tens = format!("1{}", "0".repeat(309));
        let tiny = format!("0.{}1", "0".repeat(400));
        for (text, is) in [
            ("1e308", true),
            ("1.7976931348623157e308", true),
            ("1.8e308", false),
            ("1e309", false),
            ("-1e400", false),
            ("1e99999999999999999999", false),
            ("0e99999999999999999999", true),
            ("1e-400", true),
            (&nines, true),
            (&tens, false),
            (&tiny, true),
        ] {
            assert_eq!(is_number(text.as_bytes()), is, "{text}");
        }
    }

    #[test]
    fn whole_numbers_are_kept_as_long_as_they_fit() {
        for (text, want) in [
            ("0", Number::Unsigned(0)),
            ("-0", Number::Float(-0.0)),
            ("18446744073709551615", Number::Unsigned(u64::MAX)),
            (
                "18446744073709551616",
                Number::Float(18_446_744_073_709_551_616.0),
            ),
            ("-9223372036854775808", Number::Signed(i64::MIN)),
            (
                "-9223372036854775809",
                Number::Float(-9_223_372_036_854_775_809.0),
            ),
            ("99999999999999999999", Number::Float(1e20)),
            ("1.10", Number::Float(1.1)),
        ] {
            let scanned = scan(text.as_bytes()).unwrap();
            assert_eq!(scanned.value(text.as_bytes()), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_number_is_what_a_json_parser_takes_for_one(cell in "[-+]?[0-9]{0,3}[.]?[0-9]{0,3}([eE][-+]?[0-9]{0,2})?") {
            prop_assert_eq!(is_number(cell.as_bytes()), serde_json::from_str::<Value>(&cell).is_ok());
        }

        #[test]
        fn a_number_has_the_value_that_a_json_parser_gives_it(text in "-?(0|[1-9][0-9]{0,21})([.][0-9]{1,20})?([eE][-+]?[0-9]{1,2})?") {
            let scanned = scan(text.as_bytes()).unwrap();
            let float: f64 = text.parse().unwrap();
            match (scanned.value(text.as_bytes()), serde_json::from_str::<Value>(&text).unwrap()) {
                (Number::Unsigned(ours), theirs) => prop_assert_eq!(Some(ours), theirs.as_u64()),
                (Number::Signed(ours), theirs) => prop_assert_eq!(Some(ours), theirs.as_i64()),
                // serde_json's own reading may be off by the last bit.
                (Number::Float(ours), theirs) => {
                    prop_assert!(theirs.is_f64(), "{}", theirs);
                    prop_assert_eq!(ours.to_bits(), float.to_bits());
                }
            }
        }
    }
}
