//! Reads over JSON text without building anything: for the places that look at every record.
//!
//! Strict and partial: it takes what almost every record is made of, and gives up (`None`) on anything rare, be it
//! wrong or merely unusual: a syntax error, a surrogate pair, a deep nest. `serde_json` then decides. So it need not be
//! complete, only right in what it takes; property tests hold it, and what is built on it, to `serde_json`.

pub mod number;
pub mod string;

/// `serde_json` stops at 128; what nests deeper than this is its to judge.
pub const MAX_DEPTH: u32 = 64;

/// A place in a JSON text (RFC 8259).
#[derive(Debug, Clone, Copy)]
pub struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

/// A string of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted {
    /// Where its contents begin, behind the quote.
    pub start: usize,
    /// Where they end, before the quote.
    pub end: usize,
    /// Whether any of it is escaped.
    pub escaped: bool,
}

impl<'a> Lexer<'a> {
    /// At the beginning of `text`.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Bytes from the beginning.
    #[inline]
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// The next byte; `None` at the end.
    #[inline]
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes on behind the next byte, which is there.
    #[inline]
    pub fn advance(&mut self) {
        self.at += 1;
    }

    /// Passes over white space.
    #[inline]
    pub fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Passes over this byte, or gives up.
    #[inline]
    pub fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Passes over this word, or gives up.
    #[inline]
    pub fn word(&mut self, word: &str) -> Option<()> {
        self.text.as_bytes()[self.at..]
            .starts_with(word.as_bytes())
            .then(|| self.at += word.len())
    }

    /// Passes over a string, at whose opening quote this is.
    #[inline]
    pub fn string(&mut self) -> Option<Quoted> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                0..=0x1f => return None,
                _ => self.at += 1,
            }
        }
        let end = self.at;
        self.at += 1;
        Some(Quoted {
            start,
            end,
            escaped,
        })
    }

    fn escape(&mut self) -> Option<()> {
        match self.text.as_bytes().get(self.at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
            b'u' => {
                let digits = self.text.get(self.at + 2..self.at + 6)?;
                if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return None;
                }
                let unit = u16::from_str_radix(digits, 16).ok()?;
                // Surrogates must come in pairs: left to serde_json.
                if (0xd800..=0xdfff).contains(&unit) {
                    return None;
                }
                self.at += 6;
            }
            _ => return None,
        }
        Some(())
    }

    /// Passes over one digit or more, adding them to `value` (wrapping when there are too many); how many there were.
    #[inline]
    pub fn digits(&mut self, value: &mut u64) -> Option<usize> {
        let start = self.at;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            *value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        (self.at > start).then(|| self.at - start)
    }

    /// Passes over a number.
    #[inline]
    fn number(&mut self) -> Option<()> {
        if self.peek()? == b'-' {
            self.at += 1;
        }
        let leading = self.peek()?;
        let integer = self.digits(&mut 0)?;
        if integer > 1 && leading == b'0' {
            return None;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits(&mut 0)?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            // Whether it fits into a double is serde_json's to judge.
            return None;
        }
        Some(())
    }

    /// Passes over a value of any kind, at whose beginning this is.
    #[inline]
    fn value(&mut self, depth: u32) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'-' | b'0'..=b'9' => self.number(),
            b'{' => self
                .members(depth, &mut |lexer, _| lexer.value(depth + 1))
                .map(drop),
            b'[' => self.elements(depth),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => None,
        }
    }

    /// Passes over an object; `value` passes over the value of the member with this name.
    fn members(
        &mut self,
        depth: u32,
        value: &mut dyn FnMut(&mut Self, Quoted) -> Option<()>,
    ) -> Option<()> {
        if self.open(depth)? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            self.skip_space();
            if self.peek()? != b'"' {
                return None;
            }
            let name = self.string()?;
            self.skip_space();
            self.expect(b':')?;
            self.skip_space();
            value(self, name)?;
            self.skip_space();
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => break self.at += 1,
                _ => return None,
            }
        }
        Some(())
    }

    fn elements(&mut self, depth: u32) -> Option<()> {
        if self.open(depth)? == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            self.skip_space();
            self.value(depth + 1)?;
            self.skip_space();
            match self.peek()? {
                b',' => self.at += 1,
                b']' => break self.at += 1,
                _ => return None,
            }
        }
        Some(())
    }

    /// Steps into a container: the first byte in it.
    fn open(&mut self, depth: u32) -> Option<u8> {
        if depth >= MAX_DEPTH {
            return None;
        }
        self.at += 1;
        self.skip_space();
        self.peek()
    }
}

/// A text that is for `serde_json` to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undecided;

/// The text of the member `name` of a record that is an object; of a name that it has twice, the last one's. `None`: it
/// has no such member.
///
/// # Errors
///
/// [`Undecided`]: the record is no object, or not ours to decide on.
pub fn member<'a>(text: &'a str, name: &str) -> Result<Option<&'a str>, Undecided> {
    let mut found = None;
    let mut lexer = Lexer::new(text);
    lexer.skip_space();
    if lexer.peek() != Some(b'{') {
        return Err(Undecided);
    }
    let passed = lexer.members(0, &mut |lexer, quoted| {
        if quoted.escaped {
            return None;
        }
        let start = lexer.at;
        lexer.value(1)?;
        if text[quoted.start..quoted.end] == *name {
            found = Some(&text[start..lexer.at]);
        }
        Some(())
    });
    lexer.skip_space();
    match passed {
        Some(()) if lexer.at == text.len() => Ok(found),
        _ => Err(Undecided),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value, value::RawValue};

    #[test]
    fn members_are_found_in_what_records_are_made_of() {
        let record = r#" {"a":"x","n":-1.10,"o":{"a":[1,{"a":2}]},"t":true,"":null,"a":"\u00e9"} "#;
        for (name, want) in [
            ("a", Some(r#""\u00e9""#)),
            ("n", Some("-1.10")),
            ("o", Some(r#"{"a":[1,{"a":2}]}"#)),
            ("t", Some("true")),
            ("", Some("null")),
            ("none", None),
        ] {
            assert_eq!(member(record, name), Ok(want), "{name}");
        }
    }

    #[test]
    fn what_is_rare_or_wrong_is_left_to_others() {
        for text in [
            "",
            "[]",
            "1",
            "{",
            r#"{"a"}"#,
            r#"{"a":1"#,
            r#"{"a":1,}"#,
            r#"{"a":01}"#,
            r#"{"a":1.}"#,
            r#"{"a":1e999}"#,
            r#"{"a":tru}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a\u0000":1}"#,
            "{\"a\":\"\n\"}",
            r#"{"a":1}{}"#,
            "{a:1}",
            r#"{"a":[1,]}"#,
        ] {
            assert_eq!(member(text, "a"), Err(Undecided), "{text}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(99), "]".repeat(99));
        assert_eq!(member(&deep, "a"), Err(Undecided));
    }

    proptest! {
        #[test]
        fn what_it_takes_serde_json_takes_alike(text in r#"[ \[\]{}:,"ab\\u0-9.eE+tfn-]{0,24}|\{"a":[ \[\]{}:,"ab\\u0-9.eE+tfn-]{0,16}\}"#) {
            if let Ok(found) = member(&text, "a") {
                let record: Map<String, Value> = serde_json::from_str(&text).unwrap();
                let value = found.map(|text| serde_json::from_str::<Value>(text).unwrap());
                prop_assert_eq!(value.as_ref(), record.get("a"));
                let raw = found.map(|text| serde_json::from_str::<&RawValue>(text).unwrap().get());
                prop_assert_eq!(raw, found);
            }
        }
    }
}
