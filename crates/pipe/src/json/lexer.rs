//! Reads over JSON text without building anything: for the places that look at every record.

use super::error::Wrong;
use super::number::{Scanned, scan};

/// Arrays and objects nest at most so deep, as for `serde_json`.
pub const MAX_DEPTH: u32 = 127;

/// A place in a JSON text. Where something is wrong, it stays there.
#[derive(Debug, Clone, Copy)]
pub struct Lexer<'a> {
    text: &'a str,
    at: usize,
    max_depth: u32,
}

/// The bytes of a string that don't stand for themselves.
const STOPS: [bool; 256] = {
    let mut stops = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        stops[control] = true;
        control += 1;
    }
    stops[b'"' as usize] = true;
    stops[b'\\' as usize] = true;
    stops
};

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
        Self::with_depth(text, MAX_DEPTH)
    }

    /// The same, for a value that nests at most so deep.
    #[must_use]
    pub fn with_depth(text: &'a str, max_depth: u32) -> Self {
        Self {
            text,
            at: 0,
            max_depth,
        }
    }

    /// Bytes from the beginning.
    #[inline]
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// What is between two places of the text.
    #[inline]
    #[must_use]
    pub fn slice(&self, start: usize, end: usize) -> &'a str {
        &self.text[start..end]
    }

    /// The byte at this place of the text.
    #[inline]
    #[must_use]
    pub fn byte(&self, at: usize) -> u8 {
        self.text.as_bytes()[at]
    }

    /// The next byte; `None` at the end.
    #[inline]
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes over whitespace.
    #[inline]
    pub fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// To the beginning of the value.
    ///
    /// # Errors
    ///
    /// There is nothing but whitespace, or a byte order mark.
    #[inline]
    pub fn begin(&mut self) -> Result<(), Wrong> {
        self.skip_space();
        match self.peek() {
            None => {
                self.at = 0;
                Err(Wrong::Empty)
            }
            Some(0xef) if self.at == 0 && self.text.starts_with('\u{feff}') => Err(Wrong::Mark),
            Some(_) => Ok(()),
        }
    }

    /// To the end of the text.
    ///
    /// # Errors
    ///
    /// There is more than whitespace.
    #[inline]
    pub fn finish(&mut self) -> Result<(), Wrong> {
        self.skip_space();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(Wrong::Trailing)
        }
    }

    /// Passes over this word.
    ///
    /// # Errors
    ///
    /// It is another.
    #[inline]
    pub fn word(&mut self, word: &str) -> Result<(), Wrong> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(());
        }
        Err(Wrong::Value)
    }

    /// Passes over a string, at whose opening quote this is.
    ///
    /// # Errors
    ///
    /// It has no end, or something in it is wrong.
    #[inline]
    pub fn string(&mut self) -> Result<Quoted, Wrong> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        let bytes = self.text.as_bytes();
        loop {
            let rest = &bytes[self.at..];
            let Some(plain) = rest.iter().position(|byte| STOPS[usize::from(*byte)]) else {
                self.at = bytes.len();
                return Err(Wrong::End);
            };
            self.at += plain;
            match rest[plain] {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(Wrong::Control),
            }
        }
        let end = self.at;
        self.at += 1;
        Ok(Quoted {
            start,
            end,
            escaped,
        })
    }

    fn escape(&mut self) -> Result<(), Wrong> {
        match self.text.as_bytes().get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match self.unit(self.at).ok_or(Wrong::Escape)? {
                0xd800..=0xdbff => match self.unit(self.at + 6) {
                    Some(0xdc00..=0xdfff) => self.at += 12,
                    _ => return Err(Wrong::Surrogate),
                },
                0xdc00..=0xdfff => return Err(Wrong::Surrogate),
                _ => self.at += 6,
            },
            Some(_) => return Err(Wrong::Escape),
            None => {
                self.at += 1;
                return Err(Wrong::End);
            }
        }
        Ok(())
    }

    /// The UTF-16 unit that is escaped at this place.
    fn unit(&self, at: usize) -> Option<u16> {
        let digits = self.text.get(at..at + 6)?.strip_prefix("\\u")?;
        // `from_str_radix` takes a sign, too.
        let all = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        all.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
    }

    /// Passes over a number, at whose beginning this is.
    ///
    /// # Errors
    ///
    /// It is none, or beyond what a double can hold.
    #[inline]
    pub fn number(&mut self) -> Result<Scanned, Wrong> {
        match scan(&self.text.as_bytes()[self.at..]) {
            Ok(scanned) => {
                self.at += scanned.length;
                Ok(scanned)
            }
            Err((sound, wrong)) => {
                self.at += sound;
                Err(wrong)
            }
        }
    }

    /// Steps into the container at whose opening bracket this is, and which `depth` others are around; false if it
    /// is empty, and closed already.
    ///
    /// # Errors
    ///
    /// It is too deep.
    #[inline]
    pub fn enter(&mut self, depth: u32, close: u8) -> Result<bool, Wrong> {
        if depth >= self.max_depth {
            return Err(Wrong::Deep);
        }
        self.at += 1;
        self.skip_space();
        let empty = self.peek() == Some(close);
        self.at += usize::from(empty);
        Ok(!empty)
    }

    /// To the next member or element behind one; false if there is none, and the container is closed.
    ///
    /// # Errors
    ///
    /// There is neither a comma nor the closing bracket.
    #[inline]
    pub fn more(&mut self, close: u8) -> Result<bool, Wrong> {
        self.skip_space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.skip_space();
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            Some(_) if close == b'}' => Err(Wrong::Object),
            Some(_) => Err(Wrong::Array),
            None => Err(Wrong::End),
        }
    }

    /// Passes over the name of a member, to the beginning of its value.
    ///
    /// # Errors
    ///
    /// There is no name, or no colon behind it.
    #[inline]
    pub fn name(&mut self) -> Result<Quoted, Wrong> {
        self.expect(b'"', Wrong::Name)?;
        let name = self.string()?;
        self.skip_space();
        self.expect(b':', Wrong::Colon)?;
        self.at += 1;
        self.skip_space();
        Ok(name)
    }

    #[inline]
    fn expect(&self, byte: u8, wrong: Wrong) -> Result<(), Wrong> {
        match self.peek() {
            Some(next) if next == byte => Ok(()),
            Some(_) => Err(wrong),
            None => Err(Wrong::End),
        }
    }

    /// Passes over a value of any kind, at whose beginning this is, and which `depth` containers are around.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    #[inline]
    pub fn value(&mut self, depth: u32) -> Result<(), Wrong> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            Some(b'{') => self.members(depth),
            Some(b'[') => self.elements(depth),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(_) => Err(Wrong::Value),
            None => Err(Wrong::End),
        }
    }

    fn members(&mut self, depth: u32) -> Result<(), Wrong> {
        let mut more = self.enter(depth, b'}')?;
        while more {
            self.name()?;
            self.value(depth + 1)?;
            more = self.more(b'}')?;
        }
        Ok(())
    }

    fn elements(&mut self, depth: u32) -> Result<(), Wrong> {
        let mut more = self.enter(depth, b']')?;
        while more {
            self.value(depth + 1)?;
            more = self.more(b']')?;
        }
        Ok(())
    }
}
