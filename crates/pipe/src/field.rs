//! A field of a record: a top-level name or a JSON Pointer (RFC 6901), and the text that stands there.

use std::{borrow::Cow, fmt, str::FromStr};

use crate::json::{JsonError, pointer, string::unescape, utf8};

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
    NotJson(JsonError),
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
        let path = if text.starts_with('/') {
            pointer::tokens(text).ok_or_else(|| FieldSyntaxError::Escape(text.to_owned()))?
        } else {
            vec![text.to_owned()]
        };
        Ok(Self {
            text: text.to_owned(),
            path,
        })
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

// By hand, since `#[from]` would make it a source, too, which is told behind the text that has it already.
impl From<JsonError> for FieldError {
    fn from(error: JsonError) -> Self {
        Self::NotJson(error)
    }
}

impl Field {
    /// As it was written: a name or a pointer.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it is called by itself: the last name, or index, of its path. The whole record has no name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    /// The name of the member that it is, if it is one of the record itself.
    #[must_use]
    pub fn top_level(&self) -> Option<&str> {
        match self.path.as_slice() {
            [name] => Some(name),
            _ => None,
        }
    }

    /// The field as a JSON Pointer.
    #[must_use]
    pub fn pointer(&self) -> String {
        pointer::pointer(&self.path)
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
        let raw = self.raw(record)?;
        let raw = raw.ok_or_else(|| FieldError::Missing(self.clone()))?;
        let kind = match raw.as_bytes()[0] {
            b'"' => return Ok(unescape(&raw[1..raw.len() - 1])),
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

    /// The JSON text at this place, whatever it is.
    ///
    /// # Errors
    ///
    /// [`FieldError::NotJson`].
    pub fn raw<'a>(&self, record: &'a [u8]) -> Result<Option<&'a str>, FieldError> {
        let text = utf8(record)?;
        let found = pointer::find(text, &self.path)?;
        Ok(found.map(|range| &text[range]))
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
        assert_eq!(
            scalar("a", &deep).unwrap_err(),
            "not JSON: nested too deep at column 128"
        );
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
