//! Checks records, byte for byte as they came, against a schema.
//!
//! What a record costs: it is read onto a flat tape over its own bytes (`tape`), which the validator walks in place;
//! the tape is reused, so nothing is allocated. Only a record that fails is walked once more to collect the errors.
//! Both walks have a budget (`budget`): beside its tape, of 16 bytes for each value and name, a record takes 64 MiB at
//! most, whatever it and the schema are.
//!
//! Measured on one of two busy cores (`cargo bench -p tapline-contract`, the generator's schema,
//! records of 104 bytes): 1.5–1.7 M records/s, where `serde_json` to a `Value` and the validator on
//! that give 0.7–0.9 M/s; parsing to a `Value` alone costs more than all of the tape's way.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use tapline_pipe::json::{JsonError, pointer};
use tapline_pipe::reject::{Reason, Rejection};

use crate::budget::{self, Budget, Exhausted};
use crate::compiled::Compiled;
use crate::excerpt::excerpt;
use crate::mistyped::Mistyped;
use crate::schema::lean::choice;
use crate::tape::{Document, Tape};

/// How many of a record's errors are kept; the rest are counted.
const MAX_VIOLATIONS: usize = 1000;

/// How much of a value is quoted in a message, in characters.
const MAX_QUOTE: usize = 80;

/// How much text is gone through to find a record's values that are wrong, in bytes: all of them in
/// any record of ordinary size.
const MAX_SEARCH: usize = 256 * 1024 * 1024;

/// How long the pointers of all the errors that are kept may be together, in bytes.
const MAX_POINTERS: usize = 4 * 1024 * 1024;

/// How long a message may be, in characters.
const MAX_MESSAGE: usize = 300;

/// Checks one record after the other; made by [`crate::schema::Schema::validator`].
///
/// What is JSON is for [`tapline_pipe::json`] to say. Integers beyond 64 bits are compared as doubles.
#[derive(Debug)]
pub struct Validator {
    compiled: Arc<Compiled>,
    tape: Tape,
}

impl Clone for Validator {
    /// A validator of the same schema for another thread.
    fn clone(&self) -> Self {
        Validator::new(Arc::clone(&self.compiled))
    }
}

/// Why a record isn't valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It can't be read.
    #[error("not JSON: {0}")]
    NotJson(JsonError),
    /// It is JSON, but not what the schema asks for.
    #[error("{0}")]
    Violations(Violations),
}

/// All that is wrong with one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violations {
    /// At least one, at most a thousand, in the order in which their values stand in the record.
    pub list: Vec<Violation>,
    /// How many more there are.
    pub more: usize,
    /// There are more beside these, but listing them would take too much memory or time.
    pub too_many: bool,
}

/// One thing that is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// JSON Pointer to the value; empty for the whole record.
    pub pointer: String,
    /// What is wrong: one line, short enough for a terminal.
    pub message: String,
    /// Where the value begins in the record, in bytes; `None` for the later errors of a huge record,
    /// where finding out would take too long.
    pub offset: Option<usize>,
}

impl Validator {
    pub(crate) fn new(compiled: Arc<Compiled>) -> Self {
        Validator {
            compiled,
            tape: Tape::default(),
        }
    }

    /// Checks one record.
    ///
    /// # Errors
    /// Everything that is wrong with it, or its first error if all are too many to list.
    pub fn check(&mut self, record: &[u8]) -> Result<(), Invalid> {
        let document = self.tape.fill(record).map_err(Invalid::NotJson)?;
        let root = document.root();
        let full = self.compiled.full();
        match budget::within(verdict(record), &document.steps, || full.is_valid(root)) {
            Ok(true) => Ok(()),
            Ok(false) => collect(&self.compiled, &document),
            Err(Exhausted) => Err(Invalid::Violations(Violations::undecided())),
        }
    }

    /// Whether a record is valid, for who doesn't need to know what is wrong.
    pub fn is_valid(&mut self, record: &[u8]) -> bool {
        let full = self.compiled.full();
        let document = self.tape.fill(record);
        document.is_ok_and(|document| {
            budget::within(verdict(record), &document.steps, || {
                full.is_valid(document.root())
            }) == Ok(true)
        })
    }

    /// Which members of a flat object the schema would rather have of another type; none if its errors are too many
    /// to look through.
    pub fn mistyped(&mut self, record: &[u8]) -> Mistyped {
        let full = self.compiled.full();
        let Ok(document) = self.tape.fill(record) else {
            return Mistyped::default();
        };
        let budget = listing(&document, self.compiled.full_error());
        budget::within(budget, &document.steps, || {
            Mistyped::of(full.iter_errors(document.root()))
        })
        .unwrap_or_default()
    }
}

/// Steps for a verdict: many times what any record takes that is not made to take long. A large record has more.
fn verdict(record: &[u8]) -> Budget {
    Budget {
        steps: 25_000_000 + 64 * record.len() as u64,
        memory: 24 * 1024 * 1024,
        error: 0,
    }
}

/// For all errors, each of which takes so many bytes and its pointer, in the schema's form and as text.
fn listing(document: &Document, error: u64) -> Budget {
    Budget {
        steps: 5_000_000 + 16 * document.text().len() as u64,
        memory: 16 * 1024 * 1024,
        error: error + 2 * document.longest_pointer() as u64,
    }
}

/// All errors as the schema gives them; if these are too many, then without what is wrong with each branch of `anyOf`
/// and `oneOf`, which isn't told anyway; if these are too many, the first.
#[cold]
fn collect(compiled: &Compiled, document: &Document) -> Result<(), Invalid> {
    let text = document.text();
    let full = compiled.full();
    let collected = budget::within(
        listing(document, compiled.full_error()),
        &document.steps,
        || Violations::of(full.iter_errors(document.root()), text),
    );
    let collected = collected.or_else(|Exhausted| {
        let (lean, error) = compiled.lean();
        let budget = Budget {
            error: listing(document, error).error,
            ..verdict(text.as_bytes())
        };
        budget::within(budget, &document.steps, || {
            Violations::of(lean.iter_errors(document.root()), text)
        })
        .or_else(|Exhausted| {
            budget::within(budget, &document.steps, || {
                match lean.validate(document.root()) {
                    Ok(()) => None,
                    Err(error) => Some(Violations::first_of(&error, text)),
                }
            })
        })
    });
    match collected {
        Ok(None) => Ok(()),
        Ok(Some(violations)) => Err(Invalid::Violations(violations)),
        Err(Exhausted) => Err(Invalid::Violations(Violations::uncounted())),
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
    /// `None` without errors.
    fn of<'a>(mut errors: impl Iterator<Item = ValidationError<'a>>, text: &str) -> Option<Self> {
        let findable = MAX_SEARCH / text.len();
        let mut room = MAX_POINTERS;
        let mut list = Vec::new();
        let mut more = 0;
        for (index, error) in errors.by_ref().take(MAX_VIOLATIONS).enumerate() {
            let size = error.instance_path().as_str().len();
            if index > 0 && size > room {
                more += 1;
                continue;
            }
            room = room.saturating_sub(size);
            list.push(Violation::of(&error, (index < findable).then_some(text)));
        }
        if list.is_empty() {
            return None;
        }
        more += errors.count();
        list.sort_by_key(|violation| violation.offset.unwrap_or(usize::MAX));
        Some(Violations {
            list,
            more,
            too_many: false,
        })
    }

    /// The first of very many.
    fn first_of(error: &ValidationError, text: &str) -> Self {
        Violations {
            list: vec![Violation::of(error, Some(text))],
            more: 0,
            too_many: true,
        }
    }

    /// It is known that there are errors, and no more.
    fn uncounted() -> Self {
        Violations {
            list: vec![Violation::of_whole("not valid under the schema")],
            more: 0,
            too_many: true,
        }
    }

    /// There is no telling whether there are errors.
    fn undecided() -> Self {
        let message = "not checked: with this schema it would take too long";
        Violations {
            list: vec![Violation::of_whole(message)],
            more: 0,
            too_many: false,
        }
    }

    fn first(&self) -> &Violation {
        self.list.first().expect("made with at least one")
    }

    /// ` (and 2 more errors)`, or nothing.
    fn others(&self) -> String {
        match self.list.len() - 1 + self.more {
            0 if self.too_many => " (and more errors, too many to list)".to_owned(),
            0 => String::new(),
            1 => " (and 1 more error)".to_owned(),
            more => format!(" (and {more} more errors)"),
        }
    }
}

/// The first, and how many more there are.
impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.first(), self.others())
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
    fn of_whole(message: &str) -> Self {
        Violation {
            pointer: String::new(),
            message: message.to_owned(),
            offset: Some(0),
        }
    }

    /// `text`: the record, if the value is to be looked for in it.
    fn of(error: &ValidationError, text: Option<&str>) -> Self {
        let pointer = error.instance_path().as_str();
        let place = text.and_then(|text| Some((text, locate(text, pointer)?)));
        let (quote, offset) = match place {
            // As it was written: 1.10 and 12345678901234567890123 stay what they are.
            Some((text, place)) => {
                let offset = place.start;
                (excerpt(&text[place], MAX_QUOTE), Some(offset))
            }
            None => ("the value".to_owned(), None),
        };
        Violation {
            pointer: pointer.to_owned(),
            message: message(error, &quote),
            offset,
        }
    }
}

/// Where the value stands that `pointer` names.
fn locate(text: &str, pointer: &str) -> Option<Range<usize>> {
    pointer::find(text, &pointer::tokens(pointer)?).ok()?
}

/// What is wrong, with `quote` for the value that it is about.
pub(crate) fn message(error: &ValidationError, quote: &str) -> String {
    match error.kind() {
        // The error doesn't know how many there are: it holds no copy of the array.
        ValidationErrorKind::AdditionalItems { limit } => {
            return format!("{quote} has more than the {limit} items that are allowed");
        }
        ValidationErrorKind::Not { schema } => {
            if let Some(keyword) = choice(schema) {
                let among = if keyword == "oneOf" {
                    "exactly one"
                } else {
                    "any"
                };
                let listed = format!("of the schemas listed in the '{keyword}' keyword");
                return format!("{quote} is not valid under {among} {listed}");
            }
        }
        _ => {}
    }
    excerpt(error.masked_with(quote), MAX_MESSAGE)
}

/// As the tools reject it.
impl From<Invalid> for Rejection {
    fn from(invalid: Invalid) -> Self {
        match &invalid {
            Invalid::NotJson(error) => Rejection::new(Reason::NotJson, error.to_string()),
            Invalid::Violations(violations) => {
                let first = violations.first();
                let detail = format!("{}{}", first.message, violations.others());
                let rejection = Rejection::new(Reason::Invalid, detail);
                // The whole record is no place in it.
                if first.pointer.is_empty() {
                    rejection
                } else {
                    rejection.at(&first.pointer)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
