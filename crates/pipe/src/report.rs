//! The report: one JSON object for each record, delivered or not, in the order of the input.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::reject::{Reason, Rejection};

/// A line of the report for a record that was not delivered (`schemas/report.schema.json`).
#[derive(Serialize)]
struct Undelivered<'a> {
    line: u64,
    reason: Reason,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
}

/// A file that gets a line for each record.
#[derive(Debug)]
pub struct Report {
    path: PathBuf,
    out: BufWriter<File>,
}

impl Report {
    /// A report to the file at `path`, which is made anew, or with `append` gone on with: for a run that goes on
    /// where another ended.
    ///
    /// # Errors
    ///
    /// When the file can't be opened or made.
    pub fn open(path: &Path, append: bool) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let options = options
            .create(true)
            .write(true)
            .append(append)
            .truncate(!append);
        Ok(Self {
            path: path.to_owned(),
            out: BufWriter::new(options.open(path)?),
        })
    }

    /// The record of this line is delivered; `receipt` is a JSON object that says where to.
    ///
    /// # Errors
    ///
    /// When the file can't be written, with its name.
    pub fn delivered(&mut self, line: u64, receipt: &str) -> io::Result<()> {
        let members = receipt.trim_start_matches('{');
        let comma = if members == "}" { "" } else { "," };
        writeln!(self.out, "{{\"line\":{line}{comma}{members}").map_err(|error| self.named(&error))
    }

    /// The record of this line is not delivered.
    ///
    /// # Errors
    ///
    /// When the file can't be written, with its name.
    pub fn rejected(&mut self, line: u64, rejection: &Rejection) -> io::Result<()> {
        let entry = Undelivered {
            line,
            reason: rejection.reason,
            detail: &rejection.detail,
            path: rejection.path.as_deref(),
        };
        serde_json::to_writer(&mut self.out, &entry)
            .map_err(io::Error::from)
            .and_then(|()| self.out.write_all(b"\n"))
            .map_err(|error| self.named(&error))
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    ///
    /// When the file can't be written, with its name.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush().map_err(|error| self.named(&error))
    }

    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_gets_an_object_and_a_run_that_goes_on_appends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report");
        let mut report = Report::open(&path, false).unwrap();
        report.delivered(1, r#"{"topic":"t","offset":7}"#).unwrap();
        report.delivered(2, "{}").unwrap();
        report.flush().unwrap();
        let mut report = Report::open(&path, true).unwrap();
        let missing = Rejection::new(Reason::MissingField, "has no field 'a'").at("/a");
        report.rejected(4, &missing).unwrap();
        drop(report);
        let want = concat!(
            r#"{"line":1,"topic":"t","offset":7}"#,
            "\n",
            r#"{"line":2}"#,
            "\n",
            r#"{"line":4,"reason":"missing-field","detail":"has no field 'a'","path":"/a"}"#,
            "\n"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), want);
        Report::open(&path, false).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    }
}
