//! What is wrong with a text that isn't JSON, and where.

use std::fmt;

/// Why a text isn't JSON (the rules stand in the parent module).
///
/// A whole word, so that a result with one is copied in words: at odd offsets that stalls the hot path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[repr(usize)]
pub enum Wrong {
    /// The text ends within a value.
    #[error("unexpected end")]
    End,
    /// Nothing, or only whitespace.
    #[error("empty")]
    Empty,
    /// Something that begins no value.
    #[error("expected a value")]
    Value,
    /// Something else where an object's member begins.
    #[error("expected a member name in double quotes")]
    Name,
    /// Something else behind a member's name.
    #[error("expected ':'")]
    Colon,
    /// Something else behind a member.
    #[error("expected ',' or '}}'")]
    Object,
    /// Something else behind an element.
    #[error("expected ',' or ']'")]
    Array,
    /// More behind the value.
    #[error("unexpected text after the value")]
    Trailing,
    /// U+0000 to U+001F within a string (RFC 8259, section 7).
    #[error("control character in a string; it must be escaped")]
    Control,
    /// A backslash that begins none of the escapes (RFC 8259, section 7).
    #[error("invalid escape in a string")]
    Escape,
    /// Half of a surrogate pair: no character, so it can't be written as UTF-8 (RFC 8259, section 8.2).
    #[error("half of a surrogate pair in a string")]
    Surrogate,
    /// Something else where a number needs a digit.
    #[error("expected a digit")]
    Digit,
    /// A number such as `01`.
    #[error("number with a leading zero")]
    LeadingZero,
    /// A number that overflows a double.
    #[error("number out of range")]
    Range,
    /// Arrays and objects within each other, more than [`MAX_DEPTH`](super::MAX_DEPTH).
    #[error("nested too deep")]
    Deep,
    /// Bytes that aren't UTF-8.
    #[error("invalid UTF-8")]
    Utf8,
    /// A byte order mark before the value.
    #[error("starts with a byte order mark")]
    Mark,
    /// 4 GiB or more, where offsets are kept in 32 bits.
    #[error("longer than 4 GiB")]
    Long,
}

/// Why bytes aren't JSON, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError {
    /// The line within the text, from 1.
    pub line: usize,
    /// The byte within that line, from 1; one past the last where the text ends too early.
    pub column: usize,
    /// What is wrong.
    pub wrong: Wrong,
}

impl std::error::Error for JsonError {}

/// `what is wrong at column 7`, with the line if it isn't the first.
impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            column,
            wrong,
        } = self;
        match line {
            1 => write!(f, "{wrong} at column {column}"),
            _ => write!(f, "{wrong} at line {line} column {column}"),
        }
    }
}

impl JsonError {
    /// Something is wrong at this offset of `text`.
    #[cold]
    #[must_use]
    pub fn at(text: &[u8], offset: usize, wrong: Wrong) -> Self {
        let before = &text[..offset];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        Self {
            line: memchr::memchr_iter(b'\n', before).count() + 1,
            column: offset - line_start + 1,
            wrong,
        }
    }
}
