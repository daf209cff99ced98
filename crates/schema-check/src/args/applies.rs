//! When each option applies.

use clap::CommandFactory;
use tapline_pipe::applies;

use super::{Args, Form};

/// When an option applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// In each run, or where another option says so (clap's `requires`, `conflicts_with`).
    Always,
    /// Where a JSON document is checked.
    Documents,
    /// Where lines of NDJSON or rows of CSV are checked.
    Lines,
    /// With an input of NDJSON.
    Ndjson,
    /// Where rows of CSV are checked.
    Rows,
}

/// All options.
pub(crate) const TABLE: &[(When, &[&str])] = &[
    (
        When::Always,
        &[
            "schema", "files", "format", "pass", "rejects", "strict", "summary", "quiet", "verbose",
        ],
    ),
    (When::Documents, &["max_document"]),
    (When::Lines, &["max_record"]),
    (When::Ndjson, &["envelope"]),
    (When::Rows, &["text"]),
];

/// Refuses an option that was typed and can't apply to inputs of these forms.
///
/// # Errors
///
/// It is named, with the reason.
pub(crate) fn check(args: &Args, forms: &[Form]) -> Result<(), applies::DoesNotApply> {
    let why_not = |when| {
        let (applies, why) = match when {
            When::Always => (true, ""),
            When::Documents => (
                forms.contains(&Form::Json),
                "no input is a JSON document; --max-record is for lines and rows",
            ),
            When::Ndjson => (
                forms.contains(&Form::Ndjson),
                "no input is NDJSON; envelopes are lines",
            ),
            When::Lines => (
                forms.iter().any(|form| *form != Form::Json),
                "all inputs are JSON documents; --max-document is for these",
            ),
            When::Rows => (
                forms.contains(&Form::Csv),
                "no input is CSV; the values of JSON have types",
            ),
        };
        (!applies).then(|| why.to_owned())
    };
    applies::refuse(&args.typed, &Args::command(), TABLE, why_not)
}

impl Args {
    /// The process's arguments; usage errors, help and version end it here.
    pub(crate) fn get() -> Self {
        let read = applies::read::<Self>(std::env::args_os());
        let (args, typed) = read.unwrap_or_else(|error| error.exit());
        Self { typed, ..args }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    #[test]
    fn each_option_says_when_it_applies() {
        assert_eq!(
            applies::faults(&Args::command(), TABLE),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_limit_of_what_is_not_there_is_refused() {
        let checked = |line: &str, forms: &[Form]| {
            let line = format!("schema-check -s s {line}");
            let line = line.split(' ').map(OsString::from);
            let (args, typed) = applies::read::<Args>(line).unwrap();
            check(&Args { typed, ..args }, forms)
        };
        assert!(checked("--max-document 64MiB", &[Form::Ndjson, Form::Csv]).is_err());
        assert!(checked("--max-record 1MiB", &[Form::Json]).is_err());
        assert!(checked("--text a", &[Form::Json, Form::Ndjson]).is_err());
        checked("--text a", &[Form::Csv, Form::Ndjson]).unwrap();
        let both = [Form::Ndjson, Form::Json];
        checked("--max-document 1MiB --max-record 1MiB", &both).unwrap();
    }
}
