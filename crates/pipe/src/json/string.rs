//! Strings of JSON (RFC 8259, section 7).

use std::borrow::Cow;

/// Appends `text` as a JSON string.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => {
                let hex = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend([hex[usize::from(byte >> 4)], hex[usize::from(byte & 15)]]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// The text that the contents of a JSON string stand for: what is between its quotes, which the lexer has accepted.
#[must_use]
pub fn unescape(contents: &str) -> Cow<'_, str> {
    let Some(mut at) = contents.find('\\') else {
        return Cow::Borrowed(contents);
    };
    let mut text = String::with_capacity(contents.len());
    let mut rest = contents;
    loop {
        text.push_str(&rest[..at]);
        let (char, length) = escaped(&rest[at..]);
        text.push(char);
        rest = &rest[at + length..];
        let Some(next) = rest.find('\\') else {
            text.push_str(rest);
            return Cow::Owned(text);
        };
        at = next;
    }
}

/// The character that the escape at the beginning of `text` stands for, and how long that is.
fn escaped(text: &str) -> (char, usize) {
    let unit =
        |at: usize| u32::from_str_radix(&text[at..at + 4], 16).expect("the lexer saw digits");
    let char = match text.as_bytes()[1] {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let high = unit(2);
            let Some(char) = char::from_u32(high) else {
                let pair = 0x1_0000 + ((high - 0xd800) << 10) + (unit(8) - 0xdc00);
                let char = char::from_u32(pair).expect("the lexer saw both halves");
                return (char, 12);
            };
            return (char, 6);
        }
        itself => char::from(itself),
    };
    (char, 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::check;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_string_comes_back(text: String) {
            let mut json = Vec::new();
            write_string(&text, &mut json);
            let json = check(&json).unwrap();
            prop_assert_eq!(unescape(&json[1..json.len() - 1]), text);
        }

        #[test]
        fn a_string_stands_for_what_serde_json_says(contents in r#"([a\u{e4}]|\\["\\/bfnrtx]|\\u(00e4|d83d|de00|[0-9a-dA-D]{4}|\+123)){0,6}"#) {
            let json = format!("\"{contents}\"");
            let theirs = serde_json::from_str::<String>(&json);
            prop_assert_eq!(check(json.as_bytes()).is_ok(), theirs.is_ok());
            if let Ok(theirs) = theirs {
                prop_assert_eq!(unescape(&contents), theirs);
            }
        }
    }
}
