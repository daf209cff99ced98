//! Options that several tools have, so that one flag means one thing. Each tool flattens what applies to it.

#![expect(
    clippy::doc_markdown,
    reason = "doc comments here are the text of --help"
)]

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
    time::Duration,
};

use clap::{ArgAction, Args, ValueEnum};

use crate::{
    console::Level,
    io::{files::Files, journal::probe},
    units::{parse_duration, parse_rate, parse_size},
};

/// How much is told on stderr.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct MessageArgs {
    /// Print errors only
    ///
    /// Without it, progress is shown on stderr once a second if stderr is a terminal and nothing else is printed or typed
    /// there: the tool runs in the foreground, records don't come from a terminal, and data goes to a file (not to a
    /// terminal, nor to a pipe, whose reader may print to the same terminal).
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Messages")]
    pub quiet: bool,

    /// Tell more: connections made and lost; twice: what the client libraries say
    #[arg(short, long, action = ArgAction::Count, help_heading = "Messages")]
    pub verbose: u8,
}

impl MessageArgs {
    /// The level that the flags ask for.
    #[must_use]
    pub fn level(&self) -> Level {
        match (self.quiet, self.verbose) {
            (true, _) => Level::Quiet,
            (false, 0) => Level::Normal,
            (false, 1) => Level::Verbose,
            (false, _) => Level::Debug,
        }
    }
}

/// What the cells of CSV are.
#[derive(Debug, Clone, Default, Args)]
pub struct CsvArgs {
    /// Columns of CSV that hold text, whatever their cells look like, such as identifiers
    ///
    /// A cell by itself can't tell: of the identifiers 0042 and 1234 only one looks like a number. Separated by commas.
    /// An empty cell is still none.
    #[arg(
        long,
        value_name = "COLUMN,…",
        value_delimiter = ',',
        help_heading = "Records"
    )]
    pub text: Vec<String>,
}

/// The form of the closing line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum SummaryFormat {
    /// A sentence on stderr, unless --quiet
    #[default]
    Text,
    /// One JSON object on stderr
    Json,
}

/// The closing line.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct SummaryArgs {
    /// Form of the closing line on stderr [default: text]
    #[arg(
        long,
        value_enum,
        value_name = "FORM",
        hide_default_value = true,
        default_value_t,
        help_heading = "Messages"
    )]
    pub summary: SummaryFormat,
}

/// The limit on a line.
#[derive(Debug, Clone, Copy, Args)]
pub struct RecordArgs {
    /// Longest record in bytes; a longer line is rejected without being held in memory
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "1MiB", help_heading = "Records")]
    pub max_record: usize,
}

/// What becomes of records that can't be handled.
#[derive(Debug, Clone, Default, Args)]
pub struct RejectArgs {
    /// Append one JSON object for each record that was not handled to FILE
    ///
    /// Members: tool, line, reason (a fixed word), detail, path (JSON Pointer, where there is one) and
    /// record (the original line) or record_base64. Without this option the first few are printed on stderr
    /// and the rest are counted. FILE must not be an input: to try its records again, rename it first.
    #[arg(long, value_name = "FILE", help_heading = "Records")]
    pub rejects: Option<PathBuf>,

    /// Stop at the first record that can't be handled
    #[arg(long, help_heading = "Records")]
    pub strict: bool,
}

impl RejectArgs {
    /// Adds the file of rejects to those that the run writes, and looks whether it could be opened; changes nothing.
    ///
    /// # Errors
    ///
    /// A sentence for the person who typed it.
    pub fn check(&self, files: &mut Files) -> Result<(), String> {
        let Some(path) = self.rejects.as_deref() else {
            return Ok(());
        };
        let name = format!("--rejects {}", path.display());
        probe(path).map_err(|error| format!("{name}: {error}"))?;
        files.writes(name, path);
        Ok(())
    }
}

/// What both publishers do with their input and with what was delivered.
#[derive(Debug, Clone, Args)]
pub struct PublishArgs {
    /// Read envelopes: JSON objects that carry key, headers, time and value, as topic-tap -J writes them
    #[arg(short = 'J', long, help_heading = "Records")]
    pub envelope: bool,

    /// Send at most so many records per second, such as 100/s or 30/m [default: as fast as it goes]
    #[arg(long, value_name = "RATE", value_parser = parse_rate, help_heading = "Delivery")]
    pub rate: Option<f64>,

    /// Write each record to stdout when it is delivered, in the order of the input
    #[arg(long, help_heading = "Delivery")]
    pub tee: bool,

    /// Write the highest seq up to which all is delivered or rejected to PATH; needs --envelope
    ///
    /// For topic-tap --acks-from, which acknowledges a record only then. The last line is 'end': the input was read to
    /// its end, and all of it is settled. Without this option it is the variable PIPE_ACKS, which topic-tap sets for
    /// its command and which stands for --envelope, too; with --tee the variable is left to the next stage, since only
    /// the last one knows that a record is safe.
    #[arg(long, value_name = "PATH", help_heading = "Delivery")]
    pub acks_to: Option<PathBuf>,

    /// Append one JSON object for each record to FILE, in the order of the input
    ///
    /// The first object of a run is {"run":{"tool":...,"started":...,"input":...}}. Members of the others: line, and where a delivered record went (Kafka: topic, partition, offset, timestamp, key;
    /// MQTT: topic, qos, the broker's reason); of one that was not delivered reason, detail and path, as in
    /// --rejects.
    #[arg(long, value_name = "FILE", help_heading = "Delivery")]
    pub report: Option<PathBuf>,

    /// Keep in FILE how far the input is delivered, and go on from there when started again on the same input
    ///
    /// The file is replaced once a second and at the end. After a crash what was delivered since is delivered
    /// again, never less. Rejects and report have reached the disk before it is replaced.
    #[arg(long, value_name = "FILE", help_heading = "Delivery")]
    pub checkpoint: Option<PathBuf>,

    /// How long to go on delivering after SIGINT or SIGTERM; a second signal ends at once
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "30s", help_heading = "Delivery")]
    pub drain_timeout: Duration,
}

impl PublishArgs {
    /// Who sets `PIPE_ACKS` writes envelopes, so the variable stands for `--envelope`, too; with `--tee` as well.
    pub fn heed(&mut self, variable: Option<&OsStr>) {
        self.envelope |= variable.is_some_and(|path| !path.is_empty());
    }

    /// Where acks go, given the value of `PIPE_ACKS`.
    ///
    /// # Errors
    ///
    /// A sentence for the person who typed it: acks were asked for, but plain lines have no seq.
    pub fn acks_path(&self, variable: Option<OsString>) -> Result<Option<PathBuf>, &'static str> {
        let variable = variable
            .filter(|path| !path.is_empty() && !self.tee)
            .map(PathBuf::from);
        if self.acks_to.is_some() && !self.envelope {
            return Err("--acks-to needs --envelope: plain lines carry no seq to acknowledge");
        }
        Ok(self.acks_to.clone().or(variable))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[derive(Debug, Parser)]
    struct All {
        #[command(flatten)]
        messages: MessageArgs,
        #[command(flatten)]
        summary: SummaryArgs,
        #[command(flatten)]
        record: RecordArgs,
        #[command(flatten)]
        reject: RejectArgs,
        #[command(flatten)]
        publish: PublishArgs,
    }

    #[test]
    fn the_groups_fit_together() {
        All::command().debug_assert();
        let all = All::parse_from(["t", "-vv", "--max-record", "64KiB", "--rate", "30/m", "-J"]);
        assert_eq!(all.messages.level(), Level::Debug);
        assert_eq!(
            (all.record.max_record, all.publish.rate),
            (65536, Some(0.5))
        );
        assert!(All::try_parse_from(["t", "-q", "-v"]).is_err());
        assert_eq!(
            All::parse_from(["t"]).publish.drain_timeout,
            Duration::from_secs(30)
        );
        assert_eq!(All::parse_from(["t"]).summary.summary, SummaryFormat::Text);
        assert!(!All::parse_from(["t"]).reject.strict);
    }

    #[test]
    fn acks_of_the_variable_are_left_to_the_stage_behind_a_tee() {
        let acks = |flags: &[&str]| {
            let flags = [&["t"], flags].concat();
            All::parse_from(flags)
                .publish
                .acks_path(Some("/variable".into()))
        };
        assert_eq!(acks(&["-J"]), Ok(Some("/variable".into())));
        assert_eq!(acks(&["-J", "--tee"]), Ok(None));
        assert_eq!(
            acks(&["-J", "--tee", "--acks-to", "/flag"]),
            Ok(Some("/flag".into()))
        );
        assert!(
            acks(&["--acks-to", "/flag"])
                .unwrap_err()
                .contains("needs --envelope")
        );
    }

    #[test]
    fn the_variable_stands_for_envelopes() {
        for (variable, envelope) in [(Some("/variable"), true), (Some(""), false), (None, false)] {
            let mut all = All::parse_from(["t", "--tee"]);
            all.publish.heed(variable.map(OsStr::new));
            assert_eq!(all.publish.envelope, envelope);
        }
    }
}
