//! Checks records, byte for byte as they came, against a schema.
//!
//! What a record costs: a record that is valid is read onto a flat tape over its own bytes
//! (`tape`), which the validator walks in place; the tape is reused, so nothing is allocated. Only
//! a record that fails, or holds something rare, is read once more by `serde_json` to collect the
//! errors.
//!
//! Measured on one of two busy cores (`cargo bench -p tapline-contract`, the generator's schema,
//! records of 104 bytes): 1.5–1.7 M records/s, where `serde_json` to a `Value` and the validator on
//! that give 0.7–0.9 M/s; parsing to a `Value` alone costs more than all of the tape's way.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use jsonschema::ValidationError;
use serde_json::Value;
use tapline_pipe::json::{JsonError, pointer};
use tapline_pipe::reject::{Reason, Rejection};

use crate::excerpt::excerpt;
use crate::mistyped::Mistyped;
use crate::tape::{Tape, TapeJson};

/// How many of a record's errors are kept; the rest are counted.
const MAX_VIOLATIONS: usize = 1000;

/// How much of a value is quoted in a message, in characters.
const MAX_QUOTE: usize = 80;

/// How much text is gone through to find a record's values that are wrong, in bytes: all of them in
/// any record of ordinary size.
const MAX_SEARCH: usize = 256 * 1024 * 1024;

/// How long a message may be, in characters.
const MAX_MESSAGE: usize = 300;

/// Checks one record after the other; made by [`crate::schema::Schema::validator`].
///
/// What is JSON is for [`tapline_pipe::json`] to say. Integers beyond 64 bits are compared as doubles.
#[derive(Debug)]
pub struct Validator {
    fast: Arc<jsonschema::Validator<TapeJson>>,
    full: Arc<jsonschema::Validator>,
    tape: Tape,
}

impl Clone for Validator {
    /// A validator of the same schema for another thread.
    fn clone(&self) -> Self {
        Validator::new(Arc::clone(&self.fast), Arc::clone(&self.full))
    }
}

/// Why a record isn't valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It can't be read.
    #[error("not JSON: {0}")]
    NotJson(JsonError),
    /// It is JSON, but not what the schema asks for.
    #[error("{0}")]
    Violations(Violations),
}

/// All that is wrong with one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violations {
    /// At least one, at most a thousand, in the order in which their values stand in the record.
    pub list: Vec<Violation>,
    /// How many more there are.
    pub more: usize,
}

/// One thing that is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// JSON Pointer to the value; empty for the whole record.
    pub pointer: String,
    /// What is wrong: one line, short enough for a terminal.
    pub message: String,
    /// Where the value begins in the record, in bytes; `None` for the later errors of a huge record,
    /// where finding out would take too long.
    pub offset: Option<usize>,
}

impl Validator {
    pub(crate) fn new(
        fast: Arc<jsonschema::Validator<TapeJson>>,
        full: Arc<jsonschema::Validator>,
    ) -> Self {
        Validator {
            fast,
            full,
            tape: Tape::default(),
        }
    }

    /// Checks one record.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn check(&mut self, record: &[u8]) -> Result<(), Invalid> {
        let document = self.tape.fill(record).map_err(Invalid::NotJson)?;
        if self.fast.is_valid(document.root()) {
            return Ok(());
        }
        collect(&self.full, document.text(), &document.root().value())
    }

    /// Whether a record is valid, for who doesn't need to know what is wrong.
    pub fn is_valid(&mut self, record: &[u8]) -> bool {
        let document = self.tape.fill(record);
        document.is_ok_and(|document| self.fast.is_valid(document.root()))
    }

    /// Which members of a flat object the schema would rather have of another type.
    pub fn mistyped(&mut self, record: &[u8]) -> Mistyped {
        match self.tape.fill(record) {
            Ok(document) => Mistyped::of(self.full.iter_errors(&document.root().value())),
            Err(_) => Mistyped::default(),
        }
    }
}

#[cold]
fn collect(full: &jsonschema::Validator, text: &str, value: &Value) -> Result<(), Invalid> {
    let mut errors = full.iter_errors(value);
    let findable = MAX_SEARCH / text.len();
    let mut list: Vec<_> = errors
        .by_ref()
        .take(MAX_VIOLATIONS)
        .enumerate()
        .map(|(index, error)| Violation::of(&error, (index < findable).then_some(text)))
        .collect();
    if list.is_empty() {
        return Ok(());
    }
    let more = errors.count();
    list.sort_by_key(|violation| violation.offset.unwrap_or(usize::MAX));
    Err(Invalid::Violations(Violations { list, more }))
}

impl Invalid {
    /// JSON Pointer to the first value that is wrong; `None` if the record isn't JSON at all.
    #[must_use]
    pub fn pointer(&self) -> Option<&str> {
        match self {
            Invalid::NotJson(_) => None,
            Invalid::Violations(violations) => Some(&violations.first().pointer),
        }
    }
}

impl Violations {
    fn first(&self) -> &Violation {
        self.list.first().expect("made with at least one")
    }

    /// ` (and 2 more errors)`, or nothing.
    fn others(&self) -> String {
        match self.list.len() - 1 + self.more {
            0 => String::new(),
            1 => " (and 1 more error)".to_owned(),
            more => format!(" (and {more} more errors)"),
        }
    }
}

/// The first, and how many more there are.
impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.first(), self.others())
    }
}

/// `/pointer: message`; the message alone for the whole record.
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.pointer.is_empty() {
            write!(f, "{}: ", excerpt(&self.pointer, MAX_MESSAGE))?;
        }
        f.write_str(&self.message)
    }
}

impl Violation {
    /// `text`: the record, if the value is to be looked for in it.
    fn of(error: &ValidationError, text: Option<&str>) -> Self {
        let pointer = error.instance_path().as_str();
        let place = text.and_then(|text| Some((text, locate(text, pointer)?)));
        let (quote, offset) = match place {
            // As it was written: 1.10 and 12345678901234567890123 stay what they are.
            Some((text, place)) => {
                let offset = place.start;
                (excerpt(&text[place], MAX_QUOTE), Some(offset))
            }
            None => (excerpt(error.instance(), MAX_QUOTE), None),
        };
        Violation {
            pointer: pointer.to_owned(),
            message: message(error, &quote),
            offset,
        }
    }
}

/// Where the value stands that `pointer` names.
fn locate(text: &str, pointer: &str) -> Option<Range<usize>> {
    pointer::find(text, &pointer::tokens(pointer)?).ok()?
}

/// What is wrong, with `quote` for the value that it is about.
pub(crate) fn message(error: &ValidationError, quote: &str) -> String {
    excerpt(error.masked_with(quote), MAX_MESSAGE)
}

/// As the tools reject it.
impl From<Invalid> for Rejection {
    fn from(invalid: Invalid) -> Self {
        match &invalid {
            Invalid::NotJson(error) => Rejection::new(Reason::NotJson, error.to_string()),
            Invalid::Violations(violations) => {
                let first = violations.first();
                let detail = format!("{}{}", first.message, violations.others());
                let rejection = Rejection::new(Reason::Invalid, detail);
                // The whole record is no place in it.
                if first.pointer.is_empty() {
                    rejection
                } else {
                    rejection.at(&first.pointer)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tapline_pipe::reject::{Reason, Rejection};

    use super::{Invalid, Validator};
    use crate::schema::Schema;

    fn validator(schema: &str) -> Validator {
        Schema::from_text("s", schema, &[]).unwrap().validator()
    }

    fn generator() -> Validator {
        validator(include_str!("../../../schemas/generator.schema.json"))
    }

    const READING: &str = r#"{"generatorID":"generator4","lat":40.65995,"lon":-111.99633,"temperature":74,"pressure":198,"fuel":901}"#;

    /// All that is wrong with a record, one line each.
    fn wrongs(validator: &mut Validator, record: impl AsRef<[u8]>) -> Vec<String> {
        match validator.check(record.as_ref()) {
            Ok(()) => Vec::new(),
            Err(Invalid::NotJson(error)) => vec![error.to_string()],
            Err(Invalid::Violations(violations)) => {
                violations.list.iter().map(ToString::to_string).collect()
            }
        }
    }

    #[test]
    fn a_valid_reading_passes() {
        assert_eq!(generator().check(READING.as_bytes()), Ok(()));
    }

    #[test]
    fn all_errors_are_told_with_their_places_and_the_text_as_it_was_written() {
        let record = READING
            .replace("74", "\"hot\"")
            .replace("198", "12345678901234567890123")
            .replace("40.65995", "1.10e2")
            .replace(",\"fuel\":901", "");
        assert_eq!(
            wrongs(&mut generator(), record),
            [
                "\"fuel\" is a required property",
                "/lat: 1.10e2 is greater than the maximum of 90",
                "/temperature: \"hot\" is not of type \"integer\"",
                "/pressure: 12345678901234567890123 is greater than the maximum of 1500",
            ]
        );
    }

    #[test]
    fn what_is_not_json_is_told_with_its_place() {
        for (record, message) in [
            (&b"{\"a\": 1"[..], "unexpected end at column 8"),
            (
                b"{\"a\": 1}}",
                "unexpected text after the value at column 9",
            ),
            (b"{\n  \"a\": x}", "expected a value at line 2 column 8"),
            (b"generator4,1", "expected a value at column 1"),
            (b"{\"a\": \"\xff\"}", "invalid UTF-8 at column 8"),
            (
                b"{\"a\": \"\0\"}",
                "control character in a string; it must be escaped at column 8",
            ),
            (
                b"\xef\xbb\xbf{}",
                "starts with a byte order mark at column 1",
            ),
            (b"", "empty at column 1"),
            (b" \t", "empty at column 1"),
            (b"1e999", "number out of range at column 1"),
            (
                b"\"\\ud800\"",
                "half of a surrogate pair in a string at column 2",
            ),
        ] {
            let text = String::from_utf8_lossy(record).into_owned();
            assert_eq!(wrongs(&mut validator("{}"), record), [message], "{text}");
        }
    }

    #[test]
    fn a_deep_nest_is_an_error_and_no_crash() {
        for (depth, sound) in [(127, true), (128, false), (1_000_000, false)] {
            let record = "[".repeat(depth) + &"]".repeat(depth);
            let wrongs = wrongs(&mut validator("{}"), record);
            assert_eq!(wrongs.is_empty(), sound, "{wrongs:?}");
            if !sound {
                assert_eq!(wrongs, ["nested too deep at column 128"]);
            }
        }
    }

    #[test]
    fn a_recursive_schema_ends() {
        let mut tree =
            validator(r##"{"properties": {"child": {"$ref": "#"}}, "required": ["v"]}"##);
        let record = "{\"v\":1,\"child\":".repeat(100) + "{}" + &"}".repeat(100);
        let wrongs = wrongs(&mut tree, record);
        assert_eq!(wrongs.len(), 1);
        assert!(
            wrongs[0].ends_with("\"v\" is a required property"),
            "{wrongs:?}"
        );
    }

    #[test]
    fn of_a_repeated_member_the_last_one_counts() {
        let mut whole =
            validator(r#"{"properties": {"a": {"type": "integer"}}, "maxProperties": 1}"#);
        assert!(whole.check(br#"{"a": "x", "a": 1}"#).is_ok());
        assert_eq!(
            wrongs(&mut whole, br#"{"a": 1, "a": "x"}"#),
            [r#"/a: "x" is not of type "integer""#]
        );
    }

    #[test]
    fn a_huge_value_is_not_printed_whole() {
        let mut string =
            validator(r#"{"properties": {"a": {"maxLength": 3}}, "additionalProperties": false}"#);
        let record = format!(
            r#"{{"a": "{}", "{}": 1}}"#,
            "ä".repeat(100_000),
            "n\\n".repeat(100_000)
        );
        for wrong in wrongs(&mut string, record) {
            assert!(wrong.chars().count() < 400, "{wrong}");
            assert!(!wrong.contains('\n'), "{wrong}");
            assert!(
                wrong.contains("is longer than 3 characters") || wrong.contains("not allowed"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn of_very_many_errors_the_first_are_kept_and_the_rest_counted() {
        let mut numbers = validator(r#"{"items": {"type": "string"}}"#);
        let record = format!("[{}0]", "0,".repeat(4999));
        let Err(invalid) = numbers.check(record.as_bytes()) else {
            panic!("valid")
        };
        assert_eq!(
            invalid.to_string(),
            "/0: 0 is not of type \"string\" (and 4999 more errors)"
        );
        let Invalid::Violations(violations) = invalid else {
            panic!("{invalid}")
        };
        assert_eq!((violations.list.len(), violations.more), (1000, 4000));
    }

    #[test]
    fn a_violation_tells_where_its_value_begins() {
        let mut numbers = validator(r#"{"items": {"type": "integer"}}"#);
        let Err(Invalid::Violations(violations)) = numbers.check(b"[1,\n \"b\", 3, null]") else {
            panic!("valid")
        };
        let offsets: Vec<_> = violations.list.iter().map(|it| it.offset).collect();
        assert_eq!(offsets, [Some(5), Some(13)]);
    }

    #[test]
    fn a_rejection_has_the_first_error_and_its_pointer() {
        let mut generator = generator();
        let record = READING.replace("74", "7.5").replace("901", "-1");
        let rejection = Rejection::from(generator.check(record.as_bytes()).unwrap_err());
        assert_eq!(rejection.reason, Reason::Invalid);
        assert_eq!(rejection.path.as_deref(), Some("/temperature"));
        assert_eq!(
            rejection.detail,
            "7.5 is not of type \"integer\" (and 1 more error)"
        );
        let rejection = Rejection::from(generator.check(b"{").unwrap_err());
        assert_eq!((rejection.reason, rejection.path), (Reason::NotJson, None));
    }

    #[test]
    fn a_validator_goes_on_after_a_bad_record() {
        let mut generator = generator();
        for _ in 0..3 {
            assert!(generator.check(b"{").is_err());
            assert!(generator.check(b"{}").is_err());
            assert_eq!(generator.check(READING.as_bytes()), Ok(()));
            assert_eq!(generator.clone().check(READING.as_bytes()), Ok(()));
        }
    }
}
