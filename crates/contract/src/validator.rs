//! Checks records, byte for byte as they came, against a schema.
//!
//! What a record costs: a record that is valid is read onto a flat tape over its own bytes
//! (`tape`), which the validator walks in place; the tape is reused, so nothing is allocated. Only
//! a record that fails, or holds something rare, is read once more by `serde_json` to collect the
//! errors.

use std::fmt;
use std::sync::Arc;

use jsonschema::ValidationError;
use serde_json::Value;

use crate::excerpt::excerpt;
use crate::pointer::locate;
use crate::tape::{Tape, TapeJson};

/// How many of a record's errors are kept; the rest are counted.
const MAX_VIOLATIONS: usize = 1000;

/// How much of a value is quoted in a message, in characters.
const MAX_QUOTE: usize = 80;

/// How long a message may be, in characters.
const MAX_MESSAGE: usize = 300;

/// Checks one record after the other; made by [`crate::schema::Schema::validator`].
///
/// A record is JSON as RFC 8259 has it, in UTF-8 without a byte order mark. Of a member that is
/// there twice the last one counts, as it does for `serde_json`, `jq`, Python, Java and
/// JavaScript. Integers beyond 64 bits are compared as doubles. Arrays and objects nest at most
/// 127 deep; a number beyond a double's range (`1e999`) is an error.
#[derive(Debug)]
pub struct Validator {
    fast: Arc<jsonschema::Validator<TapeJson>>,
    full: Arc<jsonschema::Validator>,
    tape: Tape,
}

impl Clone for Validator {
    /// A validator of the same schema for another thread.
    fn clone(&self) -> Self {
        Validator::new(Arc::clone(&self.fast), Arc::clone(&self.full))
    }
}

/// Why a record isn't valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It can't be read.
    #[error("not JSON: {0}")]
    NotJson(NotJson),
    /// It is JSON, but not what the schema asks for.
    #[error("{0}")]
    Violations(Violations),
}

/// Why bytes aren't JSON, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJson {
    /// The line within the record, from 1.
    pub line: usize,
    /// The byte within that line, from 1; 0 if the line's end was reached.
    pub column: usize,
    /// What is wrong, without the place.
    pub message: String,
}

/// All that is wrong with one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violations {
    /// At least one, at most a thousand, in the schema's order.
    pub list: Vec<Violation>,
    /// How many more there are.
    pub more: usize,
}

/// One thing that is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// JSON Pointer to the value; empty for the whole record.
    pub pointer: String,
    /// What is wrong: one line, short enough for a terminal.
    pub message: String,
    /// Where the value begins in the record, in bytes.
    pub offset: usize,
}

impl Validator {
    pub(crate) fn new(
        fast: Arc<jsonschema::Validator<TapeJson>>,
        full: Arc<jsonschema::Validator>,
    ) -> Self {
        Validator {
            fast,
            full,
            tape: Tape::default(),
        }
    }

    /// Checks one record.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn check(&mut self, record: &[u8]) -> Result<(), Invalid> {
        if let Some(document) = self.tape.fill(record)
            && self.fast.is_valid(document.root())
        {
            return Ok(());
        }
        self.collect(record)
    }

    #[cold]
    fn collect(&self, record: &[u8]) -> Result<(), Invalid> {
        let not_json = || Invalid::NotJson(NotJson::of(record));
        let text = std::str::from_utf8(record).map_err(|_| not_json())?;
        let value: Value = serde_json::from_str(text).map_err(|_| not_json())?;
        let mut errors = self.full.iter_errors(&value);
        let list: Vec<_> = errors
            .by_ref()
            .take(MAX_VIOLATIONS)
            .map(|error| Violation::of(&error, text))
            .collect();
        if list.is_empty() {
            return Ok(());
        }
        let more = errors.count();
        Err(Invalid::Violations(Violations { list, more }))
    }
}

impl Invalid {
    /// JSON Pointer to the first value that is wrong; `None` if the record isn't JSON at all.
    #[must_use]
    pub fn pointer(&self) -> Option<&str> {
        match self {
            Invalid::NotJson(_) => None,
            Invalid::Violations(violations) => Some(&violations.first().pointer),
        }
    }
}

impl Violations {
    fn first(&self) -> &Violation {
        self.list.first().expect("made with at least one")
    }
}

/// The first, and how many more there are.
impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first().fmt(f)?;
        match self.list.len() - 1 + self.more {
            0 => Ok(()),
            1 => f.write_str(" (and 1 more error)"),
            more => write!(f, " (and {more} more errors)"),
        }
    }
}

/// `/pointer: message`; the message alone for the whole record.
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.pointer.is_empty() {
            write!(f, "{}: ", excerpt(&self.pointer, MAX_MESSAGE))?;
        }
        f.write_str(&self.message)
    }
}

impl Violation {
    fn of(error: &ValidationError, text: &str) -> Self {
        let pointer = error.instance_path().as_str();
        let place = locate(text, pointer).unwrap_or(0..text.len());
        // As it was written: 1.10 and 12345678901234567890123 stay what they are.
        let quote = excerpt(&text[place.clone()], MAX_QUOTE);
        Violation {
            pointer: pointer.to_owned(),
            message: message(error, &quote),
            offset: place.start,
        }
    }
}

/// What is wrong, with `quote` for the value that it is about.
pub(crate) fn message(error: &ValidationError, quote: &str) -> String {
    excerpt(error.masked_with(quote), MAX_MESSAGE)
}

impl NotJson {
    /// Says why `bytes` are not JSON (which they must not be).
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let at = |offset: usize, message: &str| {
            let before = &bytes[..offset];
            let line_start = before
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |newline| newline + 1);
            NotJson {
                line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
                column: offset - line_start + 1,
                message: message.to_owned(),
            }
        };
        if bytes.starts_with("\u{feff}".as_bytes()) {
            return at(0, "a byte order mark comes first");
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => return at(error.valid_up_to(), "invalid UTF-8"),
        };
        if text.trim_ascii().is_empty() {
            return at(0, "nothing but space");
        }
        match serde_json::from_str::<Value>(text) {
            Ok(_) => at(0, "it is JSON"),
            Err(error) => {
                let whole = error.to_string();
                let place = format!(" at line {} column {}", error.line(), error.column());
                NotJson {
                    line: error.line(),
                    column: error.column(),
                    message: whole.strip_suffix(&place).unwrap_or(&whole).to_owned(),
                }
            }
        }
    }
}

/// `what is wrong at column 7`, with the line if it isn't the first.
impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.line {
            1 => write!(f, " at column {}", self.column),
            line => write!(f, " at line {line} column {}", self.column),
        }
    }
}
