//! The one grammar of JSON, for every place that looks at a record: what is JSON for one tool is JSON for all.
//!
//! It is RFC 8259, in UTF-8, and decides what the standard leaves open:
//!
//! - A name that an object has twice is accepted, and the last one counts (section 4), as for `serde_json`, `jq`,
//!   Python, Java and JavaScript.
//! - Half of a surrogate pair (`"\ud83d"`) is refused (section 8.2): it is no character, and can't be written as UTF-8.
//! - A number that overflows a double is refused (section 6): `1e999`, or a whole number of 400 digits. Any other is
//!   accepted, with as many digits as it has; tools hand it on byte for byte.
//! - Arrays and objects nest at most [`MAX_DEPTH`] deep (section 9).
//! - A byte order mark is refused (section 8.1).
//!
//! That is what `serde_json` accepts as a `Value`; property tests hold the lexer to it.

pub mod error;
pub mod lexer;
pub mod member;
pub mod number;
pub mod pointer;
pub mod string;
mod utf8;

pub use error::{JsonError, Wrong};
pub use lexer::{Lexer, MAX_DEPTH, Quoted};
pub use utf8::utf8;

/// The text of `bytes`, if that is JSON.
///
/// # Errors
///
/// What is wrong with it first.
pub fn check(bytes: &[u8]) -> Result<&str, JsonError> {
    check_depth(bytes, MAX_DEPTH)
}

/// The same, for a value that others will be around: it may nest at most so deep.
///
/// # Errors
///
/// What is wrong with it first.
pub fn check_depth(bytes: &[u8], max_depth: u32) -> Result<&str, JsonError> {
    let text = utf8(bytes)?;
    let mut lexer = Lexer::with_depth(text, max_depth);
    let checked = lexer.begin().and_then(|()| {
        lexer.value(0)?;
        lexer.finish()
    });
    match checked {
        Ok(()) => Ok(text),
        Err(wrong) => Err(JsonError::at(bytes, lexer.at(), wrong)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn verdict(text: impl AsRef<[u8]>) -> String {
        match check(text.as_ref()) {
            Ok(_) => "JSON".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, want) in [
            ("", "empty at column 1"),
            (" \t\n", "empty at column 1"),
            ("\u{feff}{}", "starts with a byte order mark at column 1"),
            ("{", "unexpected end at column 2"),
            ("{\"a\"", "unexpected end at column 5"),
            ("{\"a\"}", "expected ':' at column 5"),
            ("{\"a\":}", "expected a value at column 6"),
            ("{\"a\":1", "unexpected end at column 7"),
            (
                "{\"a\":1,}",
                "expected a member name in double quotes at column 8",
            ),
            (
                "{a:1}",
                "expected a member name in double quotes at column 2",
            ),
            ("{\"a\":1;", "expected ',' or '}' at column 7"),
            ("[1,]", "expected a value at column 4"),
            ("[1 2]", "expected ',' or ']' at column 4"),
            ("{}{}", "unexpected text after the value at column 3"),
            ("truex", "unexpected text after the value at column 5"),
            ("tru", "expected a value at column 1"),
            ("NaN", "expected a value at column 1"),
            ("'a'", "expected a value at column 1"),
            ("1\u{a0}", "unexpected text after the value at column 2"),
            ("01", "number with a leading zero at column 1"),
            ("1.", "unexpected end at column 3"),
            ("[1.]", "expected a digit at column 4"),
            ("-x", "expected a digit at column 2"),
            ("[\n 1e999]", "number out of range at line 2 column 2"),
            ("\"a", "unexpected end at column 3"),
            ("\"\\", "unexpected end at column 3"),
            (
                "\"\0\"",
                "control character in a string; it must be escaped at column 2",
            ),
            (
                "\"\t\"",
                "control character in a string; it must be escaped at column 2",
            ),
            (r#""\x""#, "invalid escape in a string at column 2"),
            (r#""\u+123""#, "invalid escape in a string at column 2"),
            (
                r#""cut \ud83d""#,
                "half of a surrogate pair in a string at column 6",
            ),
            (
                r#""\ude00\ud83d""#,
                "half of a surrogate pair in a string at column 2",
            ),
            (
                r#""\ud83dx\ude00""#,
                "half of a surrogate pair in a string at column 2",
            ),
        ] {
            assert_eq!(verdict(text), want, "{text}");
            assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
        }
        assert_eq!(verdict(b"[\"\xff\"]"), "invalid UTF-8 at column 3");
        assert_eq!(verdict(b"[\"\xed\xa0\x80\"]"), "invalid UTF-8 at column 3");
    }

    #[test]
    fn what_is_unusual_is_json_all_the_same() {
        let digits = "7".repeat(308);
        for text in [
            "0",
            "-0",
            "-0.0E-0",
            "1e-999",
            "12345678901234567890123",
            &digits,
            r#""\ud83d\ude00\u0000\/""#,
            r#"{"a":1,"a":2,"\u0061":3,"":null}"#,
            " [ ] ",
            "\"\u{7f}\u{85}\u{fdd0}\u{ffff}\"",
        ] {
            assert_eq!(verdict(text), "JSON", "{text}");
            assert!(serde_json::from_str::<Value>(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_deep_nest_is_refused_and_overflows_no_stack() {
        for (open, inner, close) in [("[", "", "]"), ("{\"a\":", "0", "}")] {
            for (depth, want) in [(127, true), (128, false), (1 << 20, false)] {
                let text = open.repeat(depth) + inner + &close.repeat(depth);
                assert_eq!(check(text.as_bytes()).is_ok(), want, "{depth}");
            }
        }
        assert_eq!(
            verdict("[".repeat(1 << 20)),
            "nested too deep at column 128"
        );
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map(".*", inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn a_text_is_json_where_it_is_for_serde_json(text in r#"[\[\]{}:, "ab\\u0-9.eE+tfn-]{0,24}|\{"a":[ \[\]{}:,"ab\\u0-9.eE+tfn-]{0,16}\}"#) {
            prop_assert_eq!(check(text.as_bytes()).is_ok(), serde_json::from_str::<Value>(&text).is_ok());
        }

        #[test]
        fn bytes_are_json_where_they_are_for_serde_json(value in any_json(), at: prop::sample::Index, byte: u8, pretty: bool) {
            let mut text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
            prop_assert!(check(&text).is_ok());
            let at = at.index(text.len());
            text[at] = byte;
            prop_assert_eq!(check(&text).is_ok(), serde_json::from_slice::<Value>(&text).is_ok());
        }
    }
}
