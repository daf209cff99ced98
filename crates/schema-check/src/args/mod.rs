//! The arguments of schema-check; the doc comments are its manual.

pub(crate) mod applies;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use tapline_pipe::args::{CsvArgs, MessageArgs, RecordArgs, RejectArgs, SummaryArgs};
use tapline_pipe::units::parse_size;

/// Checks JSON documents, NDJSON and CSV against a JSON Schema
///
/// Says for each error in which file, on which line and at which JSON Pointer it is:
///
///   readings.ndjson:7: /temperature: "hot" is not of type "integer"
///
/// With --pass it is a filter: valid records go to stdout unchanged, the others to --rejects.
///
/// Exit codes: 0 all records are valid, or the reader of stdout went away; 1 some are not; 2 it could not run (a
/// file that can't be read is passed over, and the others are still checked); 130, 143 stopped by SIGINT, SIGTERM.
#[derive(Debug, Parser)]
#[command(version, name = "schema-check", max_term_width = 100)]
pub(crate) struct Args {
    /// JSON Schema of draft 4, 6, 7, 2019-09 or 2020-12, as its $schema says [default draft: 2020-12]
    ///
    /// References stay within the file; nothing is fetched. Formats are checked up to draft 7 and are remarks
    /// in later drafts, as the standard has it.
    #[arg(short, long, value_name = "FILE", help_heading = "Schema")]
    pub(crate) schema: PathBuf,

    /// Files to check; - is stdin [default: stdin]
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// What the files hold [default: by the file's ending]
    ///
    /// .json is a JSON document, .csv CSV; all others, and stdin, are NDJSON.
    #[arg(long, value_enum, value_name = "FORM", help_heading = "Records")]
    pub(crate) format: Option<Form>,

    /// Write valid records to stdout, unchanged
    ///
    /// Of CSV the header goes first. The others go to --rejects, or the first few are told on stderr.
    #[arg(long, help_heading = "Records")]
    pub(crate) pass: bool,

    /// Lines are envelopes, as topic-tap -J writes them: check their values
    ///
    /// With --pass the envelopes go on unchanged. Of one that is not valid {"seq":N} is left, so that a bridge
    /// acknowledges it in its turn. A tombstone has no value and is valid. For NDJSON only.
    #[arg(short = 'J', long, help_heading = "Records")]
    pub(crate) envelope: bool,

    #[command(flatten)]
    pub(crate) csv: CsvArgs,

    #[command(flatten)]
    pub(crate) rejects: RejectArgs,

    #[command(flatten)]
    pub(crate) record: RecordArgs,

    /// Longest JSON document in bytes; a document is held in memory whole, lines and rows are not
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "64MiB", help_heading = "Records")]
    pub(crate) max_document: usize,

    #[command(flatten)]
    pub(crate) messages: MessageArgs,

    #[command(flatten)]
    pub(crate) summary: SummaryArgs,

    /// Which of the options were typed.
    #[arg(skip)]
    pub(crate) typed: tapline_pipe::applies::Typed,
}

impl Args {
    /// Whether records come from stdin.
    pub(crate) fn reads_stdin(&self) -> bool {
        self.files.is_empty() || self.files.iter().any(|file| file.as_os_str() == "-")
    }
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// One JSON document, over as many lines as it likes
    Json,
    /// A JSON value on each line
    Ndjson,
    /// CSV with a header (RFC 4180); each row is an object with the header's names
    ///
    /// A cell is a number or a boolean where it looks like one and the schema allows one in its column, else a string
    /// (see --text). An empty cell is null where the schema allows null, an empty string where it allows that, and else
    /// missing. A column without a name must be empty, but the first.
    Csv,
}

#[cfg(test)]
mod tests {
    use super::Args;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_fit_together() {
        Args::command().debug_assert();
    }
}
