//! Finds the value that a JSON Pointer (RFC 6901) names in a JSON text, to quote it as it was
//! written and to tell its place.

use std::ops::Range;

/// Where in `text`, which is valid JSON, the value stands. `None` if nothing is there.
pub(crate) fn locate(text: &str, pointer: &str) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let mut at = skip_space(bytes, 0);
    if !pointer.is_empty() {
        for token in pointer.strip_prefix('/')?.split('/') {
            let token = token.replace("~1", "/").replace("~0", "~");
            at = match bytes.get(at)? {
                b'{' => member(text, at, &token)?,
                b'[' => element(bytes, at, token.parse().ok()?)?,
                _ => return None,
            };
        }
    }
    Some(at..skip_value(bytes, at)?)
}

/// The value of the member `name` of the object at `at`: the last one if there are several, as
/// parsers have it.
fn member(text: &str, at: usize, name: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut found = None;
    let mut at = skip_space(bytes, at + 1);
    while *bytes.get(at)? != b'}' {
        let end = skip_string(bytes, at)?;
        let written = text.get(at..end)?;
        let value = skip_space(bytes, skip_space(bytes, end) + 1);
        let is_it = if written.contains('\\') {
            serde_json::from_str::<String>(written).is_ok_and(|decoded| decoded == name)
        } else {
            written.len() == name.len() + 2 && written[1..].starts_with(name)
        };
        if is_it {
            found = Some(value);
        }
        at = skip_space(bytes, skip_value(bytes, value)?);
        if *bytes.get(at)? == b',' {
            at = skip_space(bytes, at + 1);
        }
    }
    found
}

fn element(bytes: &[u8], at: usize, index: usize) -> Option<usize> {
    let mut at = skip_space(bytes, at + 1);
    for _ in 0..index {
        at = skip_space(bytes, skip_value(bytes, at)?);
        if *bytes.get(at)? != b',' {
            return None;
        }
        at = skip_space(bytes, at + 1);
    }
    (*bytes.get(at)? != b']').then_some(at)
}

fn skip_space(bytes: &[u8], at: usize) -> usize {
    let space = bytes.get(at..).map_or(0, |rest| {
        rest.iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
            .count()
    });
    at + space
}

/// The offset after the string at `at`.
fn skip_string(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The offset after the value at `at`.
fn skip_value(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match bytes.get(at)? {
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            b'"' => at = skip_string(bytes, at)?,
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => {
                at += 1;
                continue;
            }
            _ => {
                at += bytes[at..]
                    .iter()
                    .take_while(|byte| !b",:]}\" \t\r\n".contains(byte))
                    .count();
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::locate;

    const TEXT: &str = r#" { "a" : [10, {"b": "x]\"}"}, 12345678901234567890123 ],
        "c/d": {"~": true}, "e\u0066": -1.50e3, "g": 1, "g": 2 } "#;

    fn find(pointer: &str) -> Option<&str> {
        locate(TEXT, pointer).map(|range| &TEXT[range])
    }

    #[test]
    fn values_are_found_as_they_were_written() {
        assert_eq!(find("/a/0"), Some("10"));
        assert_eq!(find("/a/1"), Some(r#"{"b": "x]\"}"}"#));
        assert_eq!(find("/a/1/b"), Some(r#""x]\"}""#));
        assert_eq!(find("/a/2"), Some("12345678901234567890123"));
        assert_eq!(find("/c~1d/~0"), Some("true"));
        assert_eq!(find("/ef"), Some("-1.50e3"));
        assert_eq!(find(""), Some(TEXT.trim()));
    }

    #[test]
    fn of_repeated_members_the_last_one_counts() {
        assert_eq!(find("/g"), Some("2"));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for pointer in ["/x", "/a/3", "/a/x", "/a/0/0", "/a/1/c"] {
            assert_eq!(find(pointer), None, "{pointer}");
        }
        assert_eq!(locate("[]", "/0"), None);
        assert_eq!(locate("{}", "/a"), None);
    }
}
