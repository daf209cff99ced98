//! A field of a record: a top-level name or a JSON Pointer (RFC 6901), and the text that stands there.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::json::{self, Undecided};

/// The place of a field in a JSON record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    text: String,
    path: Vec<String>,
}

/// Why a text is no field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldSyntaxError {
    /// The text is empty.
    #[error(
        "a field is a top-level name (generatorID) or a JSON Pointer (/site/id), not an empty text"
    )]
    Empty,
    /// A `~` in a pointer that is neither `~0` nor `~1` (RFC 6901, section 3).
    #[error("'{0}': in a JSON Pointer '~' stands only in '~0' (a tilde) and '~1' (a slash)")]
    Escape(String),
}

/// Why a record has no text for a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The record is not JSON.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// There is nothing at that place.
    #[error("has no field '{0}'")]
    Missing(Field),
    /// There is an object, an array or null at that place.
    #[error("field '{field}' is {kind}, not a scalar")]
    NotScalar {
        /// The field.
        field: Field,
        /// What stands there: `an object`, `an array` or `null`.
        kind: &'static str,
    },
}

impl FromStr for Field {
    type Err = FieldSyntaxError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(FieldSyntaxError::Empty);
        }
        let path = match text.strip_prefix('/') {
            None => vec![text.to_owned()],
            Some(pointer) => pointer
                .split('/')
                .map(unescape)
                .collect::<Option<_>>()
                .ok_or_else(|| FieldSyntaxError::Escape(text.to_owned()))?,
        };
        Ok(Self {
            text: text.to_owned(),
            path,
        })
    }
}

/// `~1` is a slash and `~0` a tilde, in this order (RFC 6901, section 4).
fn unescape(token: &str) -> Option<String> {
    let mut out = String::with_capacity(token.len());
    let mut parts = token.split('~');
    out.push_str(parts.next()?);
    for part in parts {
        out.push(match part.as_bytes().first()? {
            b'0' => '~',
            b'1' => '/',
            _ => return None,
        });
        out.push_str(&part[1..]);
    }
    Some(out)
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Field {
    /// The field as a JSON Pointer.
    #[must_use]
    pub fn pointer(&self) -> String {
        let escape = |token: &String| format!("/{}", token.replace('~', "~0").replace('/', "~1"));
        self.path.iter().map(escape).collect()
    }

    /// The scalar at this place: a string's text with its escapes resolved, a number's or a boolean's as
    /// it stands in the record (`1.10` stays `1.10`). Of a name that an object has twice the last one
    /// counts, as in most parsers (RFC 8259, section 4). The whole record is read: what isn't JSON to its
    /// end is refused.
    ///
    /// # Errors
    ///
    /// [`FieldError`]: not JSON, no such field, or not a scalar; JSON's null is not a scalar here, since it
    /// has no text.
    pub fn scalar<'a>(&self, record: &'a [u8]) -> Result<Cow<'a, str>, FieldError> {
        let raw = match self.member(record) {
            Ok(found) => found,
            Err(Undecided) => self.raw(record)?.map(RawValue::get),
        };
        let raw = raw.ok_or_else(|| FieldError::Missing(self.clone()))?;
        let kind = match raw.as_bytes()[0] {
            b'"' => return text_of(raw).map_err(|error| not_json(&error)),
            b'{' => "an object",
            b'[' => "an array",
            b'n' => "null",
            _ => return Ok(Cow::Borrowed(raw)),
        };
        Err(FieldError::NotScalar {
            field: self.clone(),
            kind,
        })
    }

    /// The way of almost all records and fields, without serde: a member of an object.
    fn member<'a>(&self, record: &'a [u8]) -> Result<Option<&'a str>, Undecided> {
        let [name] = self.path.as_slice() else {
            return Err(Undecided);
        };
        let text = std::str::from_utf8(record).map_err(|_| Undecided)?;
        json::member(text, name)
    }

    /// The JSON text at this place, whatever it is.
    ///
    /// # Errors
    ///
    /// [`FieldError::NotJson`].
    pub fn raw<'a>(&self, record: &'a [u8]) -> Result<Option<&'a RawValue>, FieldError> {
        let mut json = serde_json::Deserializer::from_slice(record);
        Walk(&self.path)
            .deserialize(&mut json)
            .and_then(|found| json.end().map(|()| found))
            .map_err(|error| not_json(&error))
    }
}

fn text_of(raw: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    let contents = &raw[1..raw.len() - 1];
    if !contents.contains('\\') {
        return Ok(Cow::Borrowed(contents));
    }
    serde_json::from_str::<Text>(raw).map(|text| text.0)
}

/// `serde_json` says "… at line 1 column 7"; a record is one line, so only the column tells something.
fn not_json(error: &serde_json::Error) -> FieldError {
    FieldError::NotJson(describe(error))
}

/// A parser's complaint about a one-line record, with the column (byte) where it stands.
#[must_use]
pub fn describe(error: &serde_json::Error) -> String {
    error
        .to_string()
        .replace(" at line 1 column ", " at column ")
}

/// Walks down a path and takes the raw value at its end, reading on to the end of every container.
struct Walk<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() {
            return <&RawValue>::deserialize(json).map(Some);
        }
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_next) = map.next_key_seed(IsName(&self.0[0]))? {
            if is_next {
                found = map.next_value_seed(Walk(&self.0[1..]))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        // RFC 6901, section 4: an index is digits without a leading zero.
        let token = self.0[0].as_str();
        let digits = token.bytes().all(|byte| byte.is_ascii_digit());
        let index = if digits && (token == "0" || !token.starts_with('0')) {
            token.parse().ok()
        } else {
            None
        };
        let mut at = 0usize;
        let mut found = None;
        loop {
            if index == Some(at) {
                match seq.next_element_seed(Walk(&self.0[1..]))? {
                    Some(value) => found = value,
                    None => return Ok(None),
                }
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            at += 1;
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Whether a member's name is the one looked for.
struct IsName<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for IsName<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for IsName<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(field: &str, record: &str) -> Result<String, String> {
        let field: Field = field.parse().unwrap();
        field
            .scalar(record.as_bytes())
            .map(Cow::into_owned)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn scalars_keep_their_text() {
        let record = r#" {"a":"x","n":1.10,"big":123456789012345678901234567890,"t":true,"e":"\u00e9\"/","":"empty"} "#;
        for (field, want) in [
            ("a", "x"),
            ("n", "1.10"),
            ("big", "123456789012345678901234567890"),
            ("t", "true"),
            ("e", "é\"/"),
            ("/", "empty"),
        ] {
            assert_eq!(scalar(field, record).as_deref(), Ok(want), "{field}");
        }
    }

    #[test]
    fn a_pointer_goes_down_objects_and_arrays() {
        let record =
            r#"{"site":{"id":7,"a/b":"slash","m~n":"tilde"},"list":[{"x":1},{"x":2}],"/odd":3}"#;
        for (field, want) in [
            ("/site/id", "7"),
            ("/site/a~1b", "slash"),
            ("/site/m~0n", "tilde"),
            ("/list/1/x", "2"),
            ("/~1odd", "3"),
        ] {
            assert_eq!(scalar(field, record).as_deref(), Ok(want), "{field}");
        }
        for field in [
            "/list/2/x",
            "/list/01/x",
            "/list/-/x",
            "/site/id/more",
            "site/id",
            "/site/none",
        ] {
            assert_eq!(
                scalar(field, record),
                Err(format!("has no field '{field}'"))
            );
        }
    }

    #[test]
    fn what_has_no_text_is_told_apart() {
        let record = r#"{"o":{},"l":[],"z":null}"#;
        assert_eq!(
            scalar("o", record).unwrap_err(),
            "field 'o' is an object, not a scalar"
        );
        assert_eq!(
            scalar("l", record).unwrap_err(),
            "field 'l' is an array, not a scalar"
        );
        assert_eq!(
            scalar("z", record).unwrap_err(),
            "field 'z' is null, not a scalar"
        );
        for scalar_record in ["1", "1.5", "\"a\"", "null", "true", "-3"] {
            assert_eq!(scalar("a", scalar_record).unwrap_err(), "has no field 'a'");
        }
    }

    #[test]
    fn of_a_repeated_name_the_last_counts() {
        assert_eq!(scalar("a", r#"{"a":1,"a":2}"#).as_deref(), Ok("2"));
        assert_eq!(
            scalar("/a/b", r#"{"a":{"b":1},"a":{}}"#).unwrap_err(),
            "has no field '/a/b'"
        );
    }

    #[test]
    fn a_record_is_json_to_its_end() {
        for record in [
            "",
            "{",
            r#"{"a":1"#,
            r#"{"a":1} x"#,
            r#"{"a":1}{"a":2}"#,
            "\u{feff}{}",
            "{\"a\":1,}",
            "{\"a\":\"\0\"}",
        ] {
            let error = scalar("a", record).unwrap_err();
            assert!(
                error.starts_with("not JSON: ") && !error.contains("line 1"),
                "{record:?}: {error}"
            );
        }
        let field: Field = "a".parse().unwrap();
        assert!(matches!(
            field.scalar(b"{\"a\":\"\xff\"}"),
            Err(FieldError::NotJson(_))
        ));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(scalar("a", &deep).unwrap_err(), "has no field 'a'");
    }

    #[test]
    fn a_pointer_is_given_back_escaped() {
        for (text, pointer) in [
            ("a", "/a"),
            ("a/b", "/a~1b"),
            ("/a~1b/c", "/a~1b/c"),
            ("/", "/"),
        ] {
            assert_eq!(text.parse::<Field>().unwrap().pointer(), pointer);
        }
        assert_eq!("".parse::<Field>(), Err(FieldSyntaxError::Empty));
        assert!("/a~2".parse::<Field>().is_err() && "/a~".parse::<Field>().is_err());
    }
}
