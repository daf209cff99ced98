//! Records that were not handled: told on stderr, or one JSON object each in a file of their own.

use std::{io, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;

use crate::{console::Console, io::journal::Journal, units::grouped};

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
    /// A template needs a member that the envelope lacks: no key, no such header, a topic without that level. `path`
    /// points into the envelope.
    MissingMember,
    /// A member of the envelope holds what may not stand where a template puts it. `path` points into the envelope.
    BadMember,
    /// With `--envelope`: the line is no envelope.
    BadEnvelope,
    /// A row that doesn't fit its header.
    BadRow,
    /// The record doesn't conform to the schema.
    Invalid,
    /// It would replace another record in the database: same series, same time.
    SameTime,
    /// The broker or the database refused it.
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
            Self::MissingMember => "missing-member",
            Self::BadMember => "bad-member",
            Self::BadEnvelope => "bad-envelope",
            Self::BadRow => "bad-row",
            Self::Invalid => "invalid",
            Self::SameTime => "same-time",
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
    file: Option<Journal>,
    count: u64,
    /// Rejects that were told on the console.
    told: u64,
}

impl Rejects {
    /// Rejects to the file at `path`, which is appended to, or else to the console.
    ///
    /// # Errors
    ///
    /// When the file can't be opened or created.
    pub fn open(console: Console, path: Option<&Path>) -> io::Result<Self> {
        Ok(Self::to(console, path.map(Journal::open).transpose()?))
    }

    /// Rejects to a journal, or else to the console.
    #[must_use]
    pub fn to(console: Console, file: Option<Journal>) -> Self {
        Self {
            console,
            file,
            count: 0,
            told: 0,
        }
    }

    /// One record was not handled. `file` is the input's name where there are several. It counts whether or not it
    /// could be written; one that goes to no file, or to a file that has failed, is told on the console.
    ///
    /// # Errors
    ///
    /// When the file can't be written, with its name; from then on always.
    pub fn reject(
        &mut self,
        file: Option<&str>,
        line: u64,
        rejection: &Rejection,
        record: Option<&[u8]>,
    ) -> io::Result<()> {
        self.count += 1;
        let Some(journal) = &mut self.file else {
            self.tell(file, line, rejection);
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
        let written = journal.json(&entry);
        if written.is_err() {
            self.tell(file, line, rejection);
        }
        written
    }

    /// Tells the first few on the console.
    fn tell(&mut self, file: Option<&str>, line: u64, rejection: &Rejection) {
        if self.told >= TOLD {
            return;
        }
        self.told += 1;
        let place = file.map_or_else(|| format!("line {line}"), |file| format!("{file}:{line}"));
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
        self.file.as_mut().map_or(Ok(()), Journal::flush)
    }

    /// Makes the file durable, if something was written: before anybody is told that rejected records are settled.
    ///
    /// # Errors
    ///
    /// When the file can't be written or synced, with its name.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Journal::sync)
    }

    /// The file, for when it is to be flushed or synced.
    #[must_use]
    pub fn journal(&self) -> Option<&Journal> {
        self.file.as_ref()
    }

    /// The same as [`sync`](Self::sync) at the end, where the console is told how many rejects were kept nowhere.
    ///
    /// # Errors
    ///
    /// As [`sync`](Self::sync).
    pub fn finish(&mut self) -> io::Result<()> {
        let synced = self.sync();
        match &self.file {
            None if self.count > self.told => {
                let more = grouped(self.count - self.told);
                self.console.info(format_args!(
                    "{more} more were rejected; --rejects FILE keeps them all"
                ));
            }
            Some(journal) if journal.lost() > 0 => {
                let (lost, name) = (grouped(journal.lost()), journal.name());
                self.console
                    .warn(format_args!("{name}: {lost} rejects are missing in it"));
            }
            _ => {}
        }
        synced
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
    fn a_next_run_appends_to_the_rejects_of_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rejects");
        for line in [1, 2] {
            let mut rejects = Rejects::open(console().0, Some(&path)).unwrap();
            let rejection = Rejection::new(Reason::NotJson, "x");
            rejects.reject(None, line, &rejection, Some(b"a")).unwrap();
            rejects.finish().unwrap();
        }
        Rejects::open(console().0, Some(&path)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().map(|line| &line[..21]).collect();
        assert_eq!(
            lines,
            [r#"{"tool":"t","line":1,"#, r#"{"tool":"t","line":2,"#]
        );
    }

    #[test]
    fn what_a_full_disk_keeps_out_of_the_file_is_told_and_counted() {
        let (console, captured) = console();
        let mut rejects = Rejects::open(console, Some(Path::new("/dev/full"))).unwrap();
        let rejection = Rejection::new(Reason::NotJson, "x");
        rejects.reject(None, 1, &rejection, Some(b"a")).unwrap();
        let error = rejects.flush().unwrap_err().to_string();
        assert!(error.starts_with("/dev/full: No space left"), "{error}");
        for line in 2..=9 {
            assert!(rejects.reject(None, line, &rejection, Some(b"a")).is_err());
        }
        assert!(rejects.finish().is_err());
        assert_eq!(rejects.count(), 9);
        let text = captured.text();
        assert!(text.starts_with("t: warning: line 2: x\n"), "{text}");
        assert!(
            text.ends_with("/dev/full: 9 rejects are missing in it\n"),
            "{text}"
        );
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
        assert_eq!(lines[0], "t: warning: line 1: not JSON");
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
