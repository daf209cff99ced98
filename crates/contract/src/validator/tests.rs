//! What is said of records.

use tapline_pipe::reject::{Reason, Rejection};

use super::{Invalid, Validator};
use crate::schema::Schema;

fn validator(schema: &str) -> Validator {
    Schema::from_text("s", schema, &[]).unwrap().validator()
}

fn generator() -> Validator {
    validator(include_str!("../../../../schemas/generator.schema.json"))
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
    let mut tree = validator(r##"{"properties": {"child": {"$ref": "#"}}, "required": ["v"]}"##);
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
    let mut whole = validator(r#"{"properties": {"a": {"type": "integer"}}, "maxProperties": 1}"#);
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
