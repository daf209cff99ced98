//! Records that were not handled: told on stderr, or one JSON object each in a file of their own.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;

use crate::{console::Console, units::grouped};

/// So many rejects are told on stderr when they go to no file; the rest are counted.
const TOLD: u64 = 5;

/// Why a record was rejected, in the word that scripts look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The line is longer than `--max-record`; it was not kept, so the reject carries no record.
    TooLong,
    /// A field is needed (or a schema given), and the line isn't JSON.
    NotJson,
    /// The record lacks a field that is needed.
    MissingField,
    /// A field that is needed is an object, an array or null.
    NotScalar,
    /// A field holds what may not stand where it goes (a topic, a time).
    BadField,
    /// With `--envelope`: the line is no envelope.
    BadEnvelope,
    /// A row that doesn't fit its header.
    BadRow,
    /// The record doesn't conform to the schema.
    Invalid,
    /// The broker refused it.
    Refused,
    /// It was not acknowledged before the tool had to end. It may have arrived all the same.
    NotDelivered,
}

impl Reason {
    /// The fixed word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::TooLong => "too-long",
            Self::NotJson => "not-json",
            Self::MissingField => "missing-field",
            Self::NotScalar => "not-scalar",
            Self::BadField => "bad-field",
            Self::BadEnvelope => "bad-envelope",
            Self::BadRow => "bad-row",
            Self::Invalid => "invalid",
            Self::Refused => "refused",
            Self::NotDelivered => "not-delivered",
        }
    }
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The fixed word.
    pub reason: Reason,
    /// A sentence for a person.
    pub detail: String,
    /// JSON Pointer to what is wrong, where there is such a place.
    pub path: Option<String>,
}

impl Rejection {
    /// A rejection that points to no place in the record.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            path: None,
        }
    }

    /// The same, pointing to a place.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }
}

impl From<crate::field::FieldError> for Rejection {
    fn from(error: crate::field::FieldError) -> Self {
        use crate::field::FieldError;
        let (reason, path) = match &error {
            FieldError::NotJson(_) => (Reason::NotJson, None),
            FieldError::Missing(field) => (Reason::MissingField, Some(field.pointer())),
            FieldError::NotScalar { field, .. } => (Reason::NotScalar, Some(field.pointer())),
        };
        Self {
            reason,
            detail: error.to_string(),
            path,
        }
    }
}

impl From<crate::envelope::EnvelopeError> for Rejection {
    fn from(error: crate::envelope::EnvelopeError) -> Self {
        Self::new(Reason::BadEnvelope, error.to_string())
    }
}

/// A line of the rejects file (`schemas/reject.schema.json`).
#[derive(Serialize)]
struct Entry<'a> {
    tool: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    line: u64,
    reason: Reason,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record_base64: Option<String>,
}

/// Where rejects go.
#[derive(Debug)]
pub struct Rejects {
    console: Console,
    file: Option<(PathBuf, BufWriter<File>)>,
    count: u64,
}

impl Rejects {
    /// Rejects to the file at `path`, which is made anew, or else to the console.
    ///
    /// # Errors
    ///
    /// When the file can't be made.
    pub fn open(console: Console, path: Option<&Path>) -> io::Result<Self> {
        Self::over(console, path, OpenOptions::new().write(true).truncate(true))
    }

    /// The same behind the rejects that the file holds already: for a run that goes on where another ended.
    ///
    /// # Errors
    ///
    /// When the file can't be opened or made.
    pub fn append(console: Console, path: Option<&Path>) -> io::Result<Self> {
        Self::over(console, path, OpenOptions::new().append(true))
    }

    fn over(console: Console, path: Option<&Path>, options: &mut OpenOptions) -> io::Result<Self> {
        let file = match path {
            Some(path) => Some((
                path.to_owned(),
                BufWriter::new(options.create(true).open(path)?),
            )),
            None => None,
        };
        Ok(Self {
            console,
            file,
            count: 0,
        })
    }

    /// One record was not handled. `file` is the input's name where there are several.
    ///
    /// # Errors
    ///
    /// When the file can't be written, with its name.
    pub fn reject(
        &mut self,
        file: Option<&str>,
        line: u64,
        rejection: &Rejection,
        record: Option<&[u8]>,
    ) -> io::Result<()> {
        self.count += 1;
        let Some((path, out)) = &mut self.file else {
            if self.count <= TOLD {
                let place =
                    file.map_or_else(|| format!("line {line}"), |file| format!("{file}:{line}"));
                // A detail that tells of the same place need not be led to it twice.
                let pointer = rejection
                    .path
                    .as_deref()
                    .filter(|_| rejection.reason == Reason::Invalid);
                let pointer = pointer
                    .map(|pointer| format!(" {pointer}:"))
                    .unwrap_or_default();
                self.console
                    .warn(format_args!("{place}:{pointer} {}", rejection.detail));
            }
            return Ok(());
        };
        let text = record.map(|bytes| (bytes, std::str::from_utf8(bytes)));
        let entry = Entry {
            tool: self.console.tool(),
            file,
            line,
            reason: rejection.reason,
            detail: &rejection.detail,
            path: rejection.path.as_deref(),
            record: text.and_then(|(_, text)| text.ok()),
            record_base64: text
                .and_then(|(bytes, text)| text.is_err().then(|| BASE64_STANDARD.encode(bytes))),
        };
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        serde_json::to_writer(&mut *out, &entry).map_err(|error| named(error.into()))?;
        out.write_all(b"\n").map_err(named)
    }

    /// How many records were rejected so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Writes out what is buffered, so that a reader of the file sees it.
    ///
    /// # Errors
    ///
    /// When the file can't be written, with its name.
    pub fn flush(&mut self) -> io::Result<()> {
        match &mut self.file {
            Some((path, out)) => out.flush().map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            }),
            None => Ok(()),
        }
    }

    /// The same at the end, where the console is told how many were not told of.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub fn finish(&mut self) -> io::Result<()> {
        if self.file.is_none() && self.count > TOLD {
            let more = grouped(self.count - TOLD);
            self.console.warn(format_args!(
                "{more} more were rejected; --rejects FILE keeps them all"
            ));
        }
        self.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::{Captured, Level};

    fn console() -> (Console, Captured) {
        let captured = Captured::default();
        (
            Console::new("t", Level::Normal, captured.clone(), false),
            captured,
        )
    }

    #[test]
    fn a_file_gets_one_object_each_with_the_original_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rejects");
        let (console, captured) = console();
        let mut rejects = Rejects::open(console, Some(&path)).unwrap();
        let missing = Rejection::new(Reason::MissingField, "has no field 'a'").at("/a");
        rejects
            .reject(None, 3, &missing, Some(b"{\"b\": 1.10}"))
            .unwrap();
        rejects
            .reject(
                Some("f"),
                4,
                &Rejection::new(Reason::NotJson, "x"),
                Some(b"\xff"),
            )
            .unwrap();
        rejects
            .reject(None, 5, &Rejection::new(Reason::TooLong, "y"), None)
            .unwrap();
        rejects.finish().unwrap();
        let want = concat!(
            r#"{"tool":"t","line":3,"reason":"missing-field","detail":"has no field 'a'","path":"/a","record":"{\"b\": 1.10}"}"#,
            "\n",
            r#"{"tool":"t","file":"f","line":4,"reason":"not-json","detail":"x","record_base64":"/w=="}"#,
            "\n",
            r#"{"tool":"t","line":5,"reason":"too-long","detail":"y"}"#,
            "\n"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), want);
        assert_eq!((rejects.count(), captured.text().as_str()), (3, ""));
    }

    #[test]
    fn without_a_file_the_first_few_are_told_and_the_rest_counted() {
        let (console, captured) = console();
        let mut rejects = Rejects::open(console, None).unwrap();
        for line in 1..=7 {
            rejects
                .reject(
                    None,
                    line,
                    &Rejection::new(Reason::NotJson, "not JSON"),
                    None,
                )
                .unwrap();
        }
        rejects.finish().unwrap();
        let text = captured.text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "t: line 1: not JSON");
        assert_eq!(
            lines[5],
            "t: 2 more were rejected; --rejects FILE keeps them all"
        );
        assert_eq!(lines.len(), 6);
    }

    #[test]
    fn the_word_in_the_file_is_the_word_in_the_code() {
        for reason in [Reason::TooLong, Reason::BadRow, Reason::NotDelivered] {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.word());
        }
    }
}
