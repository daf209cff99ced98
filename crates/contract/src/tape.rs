//! A record as the validator's hot path sees it: one flat list of entries over the record's own
//! bytes, kept and refilled from record to record, so that a valid record costs no allocation.
//!
//! The parser is strict and partial: it takes what almost every record is made of, and gives up
//! ([`Tape::fill`] answers `false`) on anything rare, whether wrong or merely unusual: a syntax
//! error, a repeated member, an escape in a member's name, a surrogate pair, an integer beyond 64
//! bits, a deep nest. `serde_json` then decides. So this parser need not be complete, only right
//! in what it takes; a property test holds it to `serde_json`.

mod node;
mod parse;

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
}

/// Memory for one record at a time, reused for the next.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    entries: Vec<Entry>,
    /// Names of the objects that are being read, to find repeated ones.
    names: Vec<(u32, u32)>,
}

impl Tape {
    /// Reads the record; `None` if that is for `serde_json` to do.
    pub(crate) fn fill<'a>(&'a mut self, record: &'a [u8]) -> Option<Document<'a>> {
        // A huge record must not leave its memory behind for good.
        const KEPT_ENTRIES: usize = 64 * 1024;
        self.entries.clear();
        self.entries.shrink_to(KEPT_ENTRIES);
        self.names.clear();
        self.names.shrink_to(KEPT_ENTRIES);
        let text = std::str::from_utf8(record).ok()?;
        parse::parse(text, &mut self.entries, &mut self.names)?;
        Some(Document {
            text,
            entries: &self.entries,
        })
    }
}

#[cfg(test)]
mod tests {
    use jsonschema::json::Node as _;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// What the tape makes of a text, if it takes it.
    fn read(text: &str) -> Option<Value> {
        let mut tape = Tape::default();
        // Something is on it already.
        tape.fill(br#"{"a": [1, "b"]}"#).expect("taken");
        let document = tape.fill(text.as_bytes())?;
        Some(document.root().to_value().into_owned())
    }

    #[test]
    fn a_reading_is_taken() {
        let text = r#" {"generatorID":"generator4","lat":40.65995,"lon":-111.99633,"on":true,"x":[ ],"y":{ }, "z":null}
"#;
        assert_eq!(read(text), Some(serde_json::from_str(text).unwrap()));
    }

    #[test]
    fn what_is_rare_is_left_to_serde_json() {
        let deep = "[".repeat(100) + &"]".repeat(100);
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"\u0061":1}"#,
            r#""\ud83d\ude00""#,
            "12345678901234567890123",
            "18446744073709551616",
            "-9223372036854775809",
            "1e400",
            &deep,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn repeated_names_are_found_in_large_objects_too() {
        let names = |count: usize| (0..count).map(|name| format!("\"n{name}\":{{\"n1\":0}}"));
        for count in [2, 16, 17, 1000] {
            let once: Vec<_> = names(count).collect();
            assert!(read(&format!("{{{}}}", once.join(","))).is_some());
            let twice: Vec<_> = names(count).chain(names(1)).collect();
            assert_eq!(read(&format!("{{{}}}", twice.join(","))), None);
        }
    }

    #[test]
    fn what_is_not_json_is_not_taken() {
        for text in [
            "",
            " ",
            "{",
            "[1,]",
            "[,1]",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "-",
            "-01",
            "1.",
            ".5",
            "+1",
            "1e",
            "1e+",
            "0x1",
            "NaN",
            "tru",
            "truex",
            "nul",
            "\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u+123\"",
            "\"\t\"",
            "\"\0\"",
            "1 2",
            "{} {}",
            "]",
            "'a'",
            "\u{feff}1",
            "1\u{a0}",
            "[1\u{b}]",
            "\"\\ud800\"",
            "\"\\",
            "\"\\u",
            "// 1",
            "1,",
        ] {
            assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
            assert_eq!(read(text), None, "{text}");
        }
        let mut tape = Tape::default();
        assert!(tape.fill(b"\"\xff\"").is_none());
        assert!(tape.fill(b"\"\xed\xa0\x80\"").is_none());
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
            if let Some(read) = read(&text) {
                prop_assert_eq!(read, serde_json::from_str::<Value>(&text).unwrap());
            }
        }

        #[test]
        fn numbers_read_as_serde_json_reads_them(text in any_number()) {
            if let Some(read) = read(&text) {
                let expected: Value = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(format!("{read:?}"), format!("{expected:?}"));
            }
        }

        #[test]
        fn what_the_tape_takes_serde_json_takes(text in r#"[\[\]{}:, "0-9a-eE.+tfn\\u\n-]{0,24}"#) {
            if let Some(read) = read(&text) {
                prop_assert_eq!(read, serde_json::from_str::<Value>(&text).unwrap());
            }
        }

        #[test]
        fn a_broken_text_is_never_taken_for_another(value in any_json(), at: prop::sample::Index, byte: u8) {
            let mut bytes = serde_json::to_vec(&value).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let mut tape = Tape::default();
            if let Some(document) = tape.fill(&bytes) {
                prop_assert_eq!(
                    document.root().to_value().into_owned(),
                    serde_json::from_slice::<Value>(&bytes).unwrap()
                );
            }
        }

        #[test]
        fn values_equal_what_they_equal(one in any_json(), other in any_json()) {
            for expected in [&one, &other] {
                let text = one.to_string();
                let mut tape = Tape::default();
                if let Some(document) = tape.fill(text.as_bytes()) {
                    prop_assert_eq!(
                        document.root().equals_value(expected),
                        jsonschema::json::cmp::equal(&one, expected)
                    );
                }
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
                    let Some(document) = tape.fill(text.as_bytes()) else {
                        // A member that is there twice, an integer of 20 digits.
                        assert!(name == "i" || value.len() == 20, "{text}");
                        continue;
                    };
                    assert_eq!(tape_validator.is_valid(document.root()), expected, "{text}");
                    valid += u32::from(expected);
                }
            }
        }
        assert!(valid > 50, "only {valid} were valid: the test tests little");
    }
}
