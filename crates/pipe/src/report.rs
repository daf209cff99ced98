//! The report: one JSON object for each record, delivered or not, in the order of the input, behind one that says
//! which run begins.

use std::{io, path::Path, time::SystemTime};

use serde::Serialize;

use crate::{
    envelope::format_time,
    io::journal::Journal,
    reject::{Reason, Rejection},
};

/// A line of the report for a record that was not delivered (`schemas/report.schema.json`).
#[derive(Serialize)]
struct Undelivered<'a> {
    line: u64,
    reason: Reason,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
}

/// The line that a run begins with.
#[derive(Serialize)]
struct Begin<'a> {
    run: Run<'a>,
}

/// Which run it is.
#[derive(Serialize)]
struct Run<'a> {
    tool: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<String>,
    input: &'a str,
    /// The line that an earlier run on the same input ended with.
    #[serde(skip_serializing_if = "is_zero")]
    after_line: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(line: &u64) -> bool {
    *line == 0
}

/// A file that gets a line for each record.
#[derive(Debug)]
pub struct Report {
    file: Journal,
}

impl Report {
    /// A report to the file at `path`, which is appended to.
    ///
    /// # Errors
    ///
    /// When the file can't be opened or created.
    pub fn open(path: &Path) -> io::Result<Self> {
        Journal::open(path).map(Self::to)
    }

    /// A report to a journal.
    #[must_use]
    pub fn to(file: Journal) -> Self {
        Self { file }
    }

    /// A run of `tool` begins at `now` behind line `after_line` of `input`.
    ///
    /// # Errors
    ///
    /// When the file can't be written, with its name.
    pub fn begin(
        &mut self,
        tool: &'static str,
        now: SystemTime,
        input: &str,
        after_line: u64,
    ) -> io::Result<()> {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).ok();
        let ms = since.and_then(|since| i64::try_from(since.as_millis()).ok());
        let run = Run {
            tool,
            started: ms.and_then(format_time),
            input,
            after_line,
        };
        self.file.json(&Begin { run })
    }

    /// The record of this line is delivered; `receipt` is a JSON object that says where to.
    ///
    /// # Errors
    ///
    /// When the file can't be written, with its name.
    pub fn delivered(&mut self, line: u64, receipt: &str) -> io::Result<()> {
        let members = receipt.trim_start_matches('{');
        let comma = if members == "}" { "" } else { "," };
        self.entry(&format!("{{\"line\":{line}{comma}{members}"))
    }

    /// The record of this line is not delivered.
    ///
    /// # Errors
    ///
    /// When the file can't be written, with its name.
    pub fn rejected(&mut self, line: u64, rejection: &Rejection) -> io::Result<()> {
        self.entry(&undelivered(line, rejection))
    }

    /// Writes an entry as [`undelivered`] has made it.
    ///
    /// # Errors
    ///
    /// When the file can't be written, with its name.
    pub fn entry(&mut self, entry: &str) -> io::Result<()> {
        self.file
            .line(|out| out.extend_from_slice(entry.as_bytes()))
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    ///
    /// When the file can't be written, with its name.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    /// Makes the file durable, if something was written.
    ///
    /// # Errors
    ///
    /// When the file can't be written or synced, with its name.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    /// The file, for when it is to be flushed or synced.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.file
    }
}

/// The entry of a record that is not delivered, to be written when its turn comes.
///
/// # Panics
///
/// Never: texts and numbers always serialise.
#[must_use]
pub fn undelivered(line: u64, rejection: &Rejection) -> String {
    let entry = Undelivered {
        line,
        reason: rejection.reason,
        detail: &rejection.detail,
        path: rejection.path.as_deref(),
    };
    serde_json::to_string(&entry).expect("texts and numbers always serialise")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_run_and_each_record_gets_an_object_behind_what_the_file_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report");
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_772_366_400_500);
        let mut report = Report::open(&path).unwrap();
        report.begin("t", time, "stdin", 0).unwrap();
        report.delivered(1, r#"{"topic":"t","offset":7}"#).unwrap();
        report.delivered(2, "{}").unwrap();
        report.flush().unwrap();
        let mut report = Report::open(&path).unwrap();
        report.begin("t", time, "stdin", 2).unwrap();
        let missing = Rejection::new(Reason::MissingField, "has no field 'a'").at("/a");
        report.rejected(4, &missing).unwrap();
        report.sync().unwrap();
        let want = concat!(
            r#"{"run":{"tool":"t","started":"2026-03-01T12:00:00.500Z","input":"stdin"}}"#,
            "\n",
            r#"{"line":1,"topic":"t","offset":7}"#,
            "\n",
            r#"{"line":2}"#,
            "\n",
            r#"{"run":{"tool":"t","started":"2026-03-01T12:00:00.500Z","input":"stdin","after_line":2}}"#,
            "\n",
            r#"{"line":4,"reason":"missing-field","detail":"has no field 'a'","path":"/a"}"#,
            "\n"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), want);
    }
}
