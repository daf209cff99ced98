//! The members of an object, as they stand in a text.

use std::borrow::Cow;

use super::error::JsonError;
use super::lexer::Lexer;
use super::string::unescape;
use super::utf8;

/// A member's name, without its escapes, and its value's own text.
pub type Member<'a> = (Cow<'a, str>, &'a str);

/// The members of the object that `record` is, in the order of their names; of a name that it has twice the last one
/// counts. `None` if it is JSON, but no object.
///
/// # Errors
///
/// It isn't JSON.
pub fn members(record: &[u8]) -> Result<Option<Vec<Member<'_>>>, JsonError> {
    let text = utf8(record)?;
    let mut lexer = Lexer::new(text);
    let mut members = Vec::new();
    let read = lexer.begin().and_then(|()| {
        let is_object = lexer.peek() == Some(b'{');
        if is_object {
            let mut more = lexer.enter(0, b'}')?;
            while more {
                let name = lexer.name()?;
                let start = lexer.at();
                lexer.value(1)?;
                let contents = lexer.slice(name.start, name.end);
                let name = if name.escaped {
                    unescape(contents)
                } else {
                    Cow::Borrowed(contents)
                };
                members.push((name, lexer.slice(start, lexer.at())));
                more = lexer.more(b'}')?;
            }
        } else {
            lexer.value(0)?;
        }
        lexer.finish()?;
        Ok(is_object)
    });
    let is_object = read.map_err(|wrong| JsonError::at(record, lexer.at(), wrong))?;
    // Stable, so that the last of a name stays the last.
    members.sort_by(|(a, _), (b, _)| a.cmp(b));
    members.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            kept.1 = later.1;
        }
        same
    });
    Ok(is_object.then_some(members))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn members_keep_their_text_and_the_last_of_a_name_counts() {
        let record = br#" {"b": 1.50, "a" : [1, {"x":2}], "b":"\u00e9", "\u0061":null, "":{} } "#;
        let found = members(record).unwrap().unwrap();
        let want = [("", "{}"), ("a", "null"), ("b", r#""\u00e9""#)];
        assert_eq!(
            found,
            want.map(|(name, value)| (Cow::Borrowed(name), value))
        );
        for other in ["1", "[]", "\"{}\"", "null"] {
            assert_eq!(members(other.as_bytes()), Ok(None), "{other}");
        }
        assert_eq!(members(b"{}"), Ok(Some(vec![])));
        for broken in ["", "{", "{}x", "{\"a\":1,}", "{\"a\"}"] {
            assert!(members(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    proptest! {
        #[test]
        fn members_are_those_that_serde_json_finds(text in r#"\{("[ab]":(1|\[0,"x"\]|\{"a":null\}),){0,4}"\\u0061":[0-9]\}"#) {
            let Value::Object(want) = serde_json::from_str(&text).unwrap() else { unreachable!() };
            let found = members(text.as_bytes()).unwrap().unwrap();
            let found: serde_json::Map<_, _> = found.iter().map(|(name, value)| (name.to_string(), serde_json::from_str(value).unwrap())).collect();
            prop_assert_eq!(found, want);
        }
    }
}
