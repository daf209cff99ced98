//! The value at a place in a JSON text, and the places' notation, JSON Pointer (RFC 6901).

use std::ops::Range;

use super::error::{JsonError, Wrong};
use super::lexer::{Lexer, Quoted};
use super::string::unescape;

/// The names and indices of a JSON Pointer, without their escapes; `None` if it isn't one.
#[must_use]
pub fn tokens(pointer: &str) -> Option<Vec<String>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    pointer.strip_prefix('/')?.split('/').map(token).collect()
}

/// `~1` is a slash and `~0` a tilde, in this order (RFC 6901, section 4).
fn token(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split('~');
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

/// The JSON Pointer of these names and indices.
#[must_use]
pub fn pointer(path: &[String]) -> String {
    let escape = |token: &String| format!("/{}", token.replace('~', "~0").replace('/', "~1"));
    path.iter().map(escape).collect()
}

/// Where in `text` the value stands that `path` leads to. The whole text is read. Of a name that an object has twice
/// the last one counts.
///
/// # Errors
///
/// `text` isn't JSON.
pub fn find(text: &str, path: &[String]) -> Result<Option<Range<usize>>, JsonError> {
    let mut lexer = Lexer::new(text);
    let found = lexer.begin().and_then(|()| {
        let found = walk(&mut lexer, path, 0)?;
        lexer.finish()?;
        Ok(found)
    });
    found.map_err(|wrong| JsonError::at(text.as_bytes(), lexer.at(), wrong))
}

fn walk(lexer: &mut Lexer, path: &[String], depth: u32) -> Result<Option<Range<usize>>, Wrong> {
    let Some((token, rest)) = path.split_first() else {
        let start = lexer.at();
        lexer.value(depth)?;
        return Ok(Some(start..lexer.at()));
    };
    let mut found = None;
    match lexer.peek() {
        Some(b'{') => {
            let mut more = lexer.enter(depth, b'}')?;
            while more {
                let name = lexer.name()?;
                if is(lexer, name, token) {
                    found = walk(lexer, rest, depth + 1)?;
                } else {
                    lexer.value(depth + 1)?;
                }
                more = lexer.more(b'}')?;
            }
        }
        Some(b'[') => {
            let mut left = index(token);
            let mut more = lexer.enter(depth, b']')?;
            while more {
                if left == Some(0) {
                    found = walk(lexer, rest, depth + 1)?;
                } else {
                    lexer.value(depth + 1)?;
                }
                left = left.and_then(|left| left.checked_sub(1));
                more = lexer.more(b']')?;
            }
        }
        _ => lexer.value(depth)?,
    }
    Ok(found)
}

#[inline]
fn is(lexer: &Lexer, name: Quoted, wanted: &str) -> bool {
    let contents = lexer.slice(name.start, name.end);
    if name.escaped {
        unescape(contents) == wanted
    } else {
        contents == wanted
    }
}

/// An index is digits without a leading zero (RFC 6901, section 4).
fn index(token: &str) -> Option<usize> {
    let digits = token.bytes().all(|byte| byte.is_ascii_digit());
    let index = digits && (token == "0" || !token.starts_with('0'));
    index.then(|| token.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, value::RawValue};

    const TEXT: &str = r#" { "a" : [10, {"b": "x]\"}"}, 12345678901234567890123 ],
        "c/d": {"~": true}, "e\u0066": -1.50e3, "g": {"h": 1}, "g": [2], "": null } "#;

    fn found<'a>(text: &'a str, pointer: &str) -> Option<&'a str> {
        let path = tokens(pointer).unwrap();
        let range = find(text, &path).unwrap();
        range.map(|range| &text[range])
    }

    #[test]
    fn values_are_found_as_they_were_written() {
        for (pointer, want) in [
            ("/a/0", Some("10")),
            ("/a/1", Some(r#"{"b": "x]\"}"}"#)),
            ("/a/1/b", Some(r#""x]\"}""#)),
            ("/a/2", Some("12345678901234567890123")),
            ("/c~1d/~0", Some("true")),
            ("/ef", Some("-1.50e3")),
            ("/g", Some("[2]")),
            ("/g/h", None),
            ("/", Some("null")),
            ("", Some(TEXT.trim())),
            ("/x", None),
            ("/a/3", None),
            ("/a/x", None),
            ("/a/00", None),
            ("/a/-", None),
            ("/a/0/0", None),
            ("/a/1/c", None),
        ] {
            assert_eq!(found(TEXT, pointer), want, "{pointer}");
        }
        assert_eq!(found("[]", "/0"), None);
        assert_eq!(found("{}", "/a"), None);
        assert_eq!(found("7", "/a"), None);
    }

    #[test]
    fn a_pointer_comes_back_escaped() {
        for text in ["", "/", "/a~1b/c~0d", "//"] {
            assert_eq!(pointer(&tokens(text).unwrap()), text);
        }
        for wrong in ["a", "/~", "/~2"] {
            assert_eq!(tokens(wrong), None);
        }
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_serde_json_finds(text in r#"\{("[ab]":(1|\[[0-2],"x"\]|\{"a":null\}),){0,3}"\\u0061":[0-9]\}"#, pointer in "(/[ab01]){0,3}") {
            let value: Value = serde_json::from_str(&text).unwrap();
            let raw = found(&text, &pointer);
            let ours = raw.map(|raw| serde_json::from_str::<Value>(raw).unwrap());
            prop_assert_eq!(ours.as_ref(), value.pointer(&pointer));
            if let Some(raw) = raw {
                prop_assert_eq!(serde_json::from_str::<&RawValue>(raw).unwrap().get(), raw);
            }
        }
    }
}
