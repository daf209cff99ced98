//! A record as the validator's hot path sees it: one flat list of entries over the record's own
//! bytes, kept and refilled from record to record, so that a valid record costs no allocation.
//!
//! What is JSON is for `tapline_pipe::json` to say; a property test holds the values to those that
//! `serde_json` reads.

mod node;
mod parse;
mod same;

use serde_json::Value;
use tapline_pipe::json::JsonError;

use crate::budget::Steps;

pub(crate) use node::{Document, TapeJson};

/// One value or member name. A container is followed by its contents, a member's name by its value.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Entry {
    Null,
    Bool(bool),
    Unsigned(u64),
    /// Below zero.
    Signed(i64),
    Float(f64),
    /// The bytes between the quotes; `escaped` when they hold a backslash.
    String {
        start: u32,
        end: u32,
        escaped: bool,
    },
    /// `next` is the index of the entry after the last of its contents.
    Array {
        len: u32,
        next: u32,
    },
    Object {
        len: u32,
        next: u32,
    },
    /// In place of the name of a member which a later one of the same name hides.
    Shadowed,
}

/// Memory for one record at a time, reused for the next.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    entries: Vec<Entry>,
    /// Names of the objects that are being read, to find repeated ones.
    names: Vec<parse::Name>,
}

impl Tape {
    /// Reads the record.
    ///
    /// # Errors
    ///
    /// It isn't JSON.
    pub(crate) fn fill<'a>(&'a mut self, record: &'a [u8]) -> Result<Document<'a>, JsonError> {
        // A huge record must not leave its memory behind for good.
        const KEPT_ENTRIES: usize = 64 * 1024;
        self.entries.clear();
        self.entries.shrink_to(KEPT_ENTRIES);
        self.names.clear();
        self.names.shrink_to(KEPT_ENTRIES);
        let text = parse::parse(record, &mut self.entries, &mut self.names)?;
        Ok(Document {
            text,
            entries: &self.entries,
            steps: Steps::default(),
        })
    }
}

/// The value of a text that is kept, such as a schema.
///
/// # Errors
///
/// It isn't JSON.
pub(crate) fn read_value(text: &[u8]) -> Result<Value, JsonError> {
    let mut tape = Tape::default();
    let document = tape.fill(text)?;
    Ok(document.root().value())
}

#[cfg(test)]
mod tests {
    use jsonschema::json::Node as _;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// What the tape makes of a text, if that is JSON.
    fn read(text: &str) -> Option<Value> {
        let mut tape = Tape::default();
        // Something is on it already.
        tape.fill(br#"{"a": [1, "b"]}"#).expect("taken");
        let document = tape.fill(text.as_bytes()).ok()?;
        Some(document.root().value())
    }

    #[test]
    fn a_reading_is_taken() {
        let text = r#" {"generatorID":"generator4","lat":40.65995,"lon":-111.99633,"on":true,"x":[ ],"y":{ }, "z":null}
"#;
        assert_eq!(read(text), Some(serde_json::from_str(text).unwrap()));
    }

    #[test]
    fn what_is_rare_is_read_as_serde_json_reads_it() {
        let deep = "[".repeat(127) + &"]".repeat(127);
        for text in [
            r#"{"a":1,"b":{"c":2},"a":[3],"d":4,"a":5}"#,
            r#"{"\u0061":1,"a":2,"b\n":[3],"b\u000a":{"x":4}}"#,
            r#""\ud83d\ude00\/\u0000""#,
            "12345678901234567890123",
            "18446744073709551616",
            "-9223372036854775809",
            "-0",
            "1e-400",
            &deep,
        ] {
            assert_eq!(
                read(text),
                Some(serde_json::from_str(text).unwrap()),
                "{text}"
            );
        }
    }

    #[test]
    fn of_repeated_names_the_last_counts_in_large_objects_too() {
        let names =
            |count: usize| (0..count).map(move |name| format!("\"n{name}\":{{\"n1\":{count}}}"));
        for count in [2, 16, 17, 1000] {
            let twice: Vec<_> = names(count).chain(names(1)).chain(names(2)).collect();
            let text = format!("{{{}}}", twice.join(","));
            assert_eq!(read(&text), Some(serde_json::from_str(&text).unwrap()));
            let mut tape = Tape::default();
            let document = tape.fill(text.as_bytes()).unwrap();
            let object = document.root().as_object().unwrap();
            assert_eq!(jsonschema::json::Object::len(&object), count);
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map("[a-e]{0,2}|.*", inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// Numbers as people and programs write them.
    fn any_number() -> impl Strategy<Value = String> {
        "-?(0|[1-9][0-9]{0,20})([.][0-9]{1,20})?([eE][+-]?[0-9]{1,3})?"
    }

    proptest! {
        #[test]
        fn json_reads_as_serde_json_reads_it(value in any_json(), pretty: bool) {
            let text = if pretty {
                serde_json::to_string_pretty(&value)
            } else {
                serde_json::to_string(&value)
            }
            .unwrap();
            prop_assert_eq!(read(&text), serde_json::from_str::<Value>(&text).ok());
        }

        #[test]
        fn numbers_keep_their_kind(text in any_number()) {
            // Their values are tested where they are read.
            let kind = |number: &Value| (number.is_u64(), number.is_i64(), number.is_f64());
            let theirs = serde_json::from_str::<Value>(&text).ok();
            prop_assert_eq!(read(&text).as_ref().map(kind), theirs.as_ref().map(kind));
        }

        #[test]
        fn what_the_tape_takes_serde_json_takes(text in r#"[\[\]{}:, "0-9a-eE.+tfn\\u\n-]{0,24}"#) {
            prop_assert_eq!(read(&text), serde_json::from_str::<Value>(&text).ok());
        }

        #[test]
        fn a_broken_text_is_never_taken_for_another(value in any_json(), at: prop::sample::Index, byte: u8) {
            let mut bytes = serde_json::to_vec(&value).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let mut tape = Tape::default();
            let read = tape.fill(&bytes).ok().map(|document| document.root().value());
            prop_assert_eq!(read, serde_json::from_slice::<Value>(&bytes).ok());
        }

        #[test]
        fn values_equal_what_they_equal(one in any_json(), other in any_json()) {
            for expected in [&one, &other] {
                let text = one.to_string();
                let mut tape = Tape::default();
                let document = tape.fill(text.as_bytes()).unwrap();
                prop_assert_eq!(
                    document.root().equals_value(expected),
                    jsonschema::json::cmp::equal(&one, expected)
                );
            }
        }
    }

    #[test]
    fn the_validator_sees_the_same_through_the_tape() {
        let schema = json!({
            "type": "object",
            "properties": {
                "s": {"type": "string", "minLength": 2, "maxLength": 3, "pattern": "^[^x]*$"},
                "i": {"type": "integer", "minimum": -5, "exclusiveMaximum": 1e3, "multipleOf": 5},
                "n": {"type": "number", "multipleOf": 0.5},
                "e": {"enum": ["ä", 1, null, [1, {"a": 2}], true]},
                "a": {"items": {"type": ["integer", "null"]}, "uniqueItems": true, "maxItems": 3,
                      "contains": {"const": 7}},
                "o": {"propertyNames": {"pattern": "^[a-z]"}, "minProperties": 1,
                      "patternProperties": {"^k": {"type": "boolean"}},
                      "additionalProperties": {"$ref": "#"}},
                "u": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "boolean"}]}
            },
            "dependentRequired": {"s": ["i"]},
            "unevaluatedProperties": false
        });
        let serde = jsonschema::validator_for(&schema).unwrap();
        let tape_validator = jsonschema::options_for::<TapeJson>()
            .build(&schema)
            .unwrap();
        let values = [
            "\"a\"",
            "\"ab\"",
            "\"a\\nb\"",
            "\"\\u00e4\\\"\"",
            "\"abcd\"",
            "\"xx\"",
            "\"ä\"",
            "0",
            "-0",
            "5",
            "5.0",
            "-5",
            "-10",
            "1000",
            "995.0",
            "1e2",
            "2.5",
            "0.3",
            "1.0",
            "null",
            "true",
            "false",
            "[]",
            "[7]",
            "[7,7]",
            "[7.0,null]",
            "[7,1,2,3]",
            "[1,{\"a\":2}]",
            "[1,{\"a\":2.0}]",
            "[{\"a\":1},{\"a\":1},7]",
            "{}",
            "{\"k\":true}",
            "{\"k\":1}",
            "{\"K\":true}",
            "{\"b\":{\"i\":5}}",
            "{\"b\":{\"i\":6}}",
            "{\"b\":{\"s\":\"ab\"}}",
            "\"2026-11-21T00:00:00Z\"",
            "\"2026-11-21\"",
            "9223372036854775807",
            "18446744073709551615",
        ];
        let mut valid = 0;
        for name in ["s", "i", "n", "e", "a", "o", "u", "z"] {
            for value in values {
                for text in [
                    format!("{{\"{name}\":{value}}}"),
                    format!("{{ \"i\" : 5, \"{name}\" : {value} }}"),
                ] {
                    let expected = serde.is_valid(&serde_json::from_str(&text).unwrap());
                    let mut tape = Tape::default();
                    let document = tape.fill(text.as_bytes()).unwrap();
                    assert_eq!(tape_validator.is_valid(document.root()), expected, "{text}");
                    valid += u32::from(expected);
                }
            }
        }
        assert!(valid > 50, "only {valid} were valid: the test tests little");
    }
}
