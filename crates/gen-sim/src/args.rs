//! The arguments of gen-sim; the doc comments are its manual.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser};
use jiff::Timestamp;
use tapline_pipe::args::{CsvArgs, MessageArgs, RecordArgs, RejectArgs, SummaryArgs};
use tapline_pipe::units::{parse_duration, parse_rate};

use crate::fleet::Form;

/// The most generators that a fleet can have: about 90 bytes of memory each.
const MOST_GENERATORS: i64 = 10_000_000;

/// Readings of a fleet of emergency generators, or a recording once more
///
/// Writes one reading a line to stdout:
///
///   {"generatorID":"generator4","lat":40.65995,"lon":-111.99633,"temperature":74,"pressure":198,"fuel":901}
///
/// temperature is the coolant's in °C, pressure the oil's in kPa, fuel what is in the tank in litres. The
/// generators stand in real towns. They start when the mains fail and for a weekly test, warm up, burn fuel by
/// their load, cool down, and are refilled when low. The same arguments give the same bytes on every machine.
///
/// Without --count and --duration it goes on until SIGINT or SIGTERM. Exit codes: 0 all written, or the reader of
/// stdout went away; 1 a record of the recording was rejected; 2 it could not run; 130, 143 stopped by SIGINT,
/// SIGTERM.
#[derive(Debug, Parser)]
#[command(version, name = "gen-sim", max_term_width = 100)]
pub(crate) struct Args {
    /// Generators in the fleet: generator1, generator2, ...
    ///
    /// A generator's readings don't depend on how many others there are.
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=MOST_GENERATORS),
        conflicts_with = "replay", help_heading = "Fleet")]
    pub(crate) generators: u32,

    /// Time between two readings of one generator; the generators are spread over it
    ///
    /// With --replay and without --time-field: the time between two records.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_interval,
        conflicts_with = "time_field", help_heading = "Fleet")]
    pub(crate) interval: Duration,

    /// What the fleet's make-up, outages and weather are drawn from
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        conflicts_with = "replay",
        help_heading = "Fleet"
    )]
    pub(crate) seed: u64,

    /// The simulated clock at the first reading (RFC 3339)
    ///
    /// Load follows the time of day at each place, weather the season; outages and test runs have their dates.
    #[arg(long, value_name = "TIME", default_value = DEFAULT_START, conflicts_with = "replay", help_heading = "Fleet")]
    pub(crate) start: Timestamp,

    /// Form of the output; csv has a header
    #[arg(
        long,
        value_enum,
        value_name = "FORM",
        default_value = "ndjson",
        hide_possible_values = true,
        conflicts_with = "replay",
        help_heading = "Fleet"
    )]
    pub(crate) format: Form,

    /// Write the records of FILE (- is stdin) in place of a fleet's readings
    ///
    /// Lines of NDJSON are written byte for byte. Rows of CSV become objects with the header's names. A cell is a
    /// number where it can mean nothing else, and is written as it stands (1.10 stays 1.10; 007 and 3946E1 are text),
    /// a boolean where it is true or false, null where it is empty, else a string; see --text. A row that doesn't
    /// fit the header or isn't UTF-8, or a line that isn't JSON, is rejected.
    #[arg(long, value_name = "FILE", help_heading = "Recording")]
    pub(crate) replay: Option<PathBuf>,

    /// Form of the recording: ndjson or csv [default: by the name of FILE: .csv, .ndjson, .jsonl, .json]
    #[arg(
        long,
        value_enum,
        value_name = "FORM",
        hide_possible_values = true,
        requires = "replay",
        help_heading = "Recording"
    )]
    pub(crate) replay_format: Option<Form>,

    /// Field with each record's time; records are written at the pace of these times
    ///
    /// A column of CSV; a top-level name or a JSON Pointer in NDJSON. Times are RFC 3339, 'YYYY-MM-DD HH:MM:SS'
    /// without a zone (read as UTC), or seconds since 1970. Where time goes backwards nothing is waited for. A record
    /// without a readable time is rejected.
    #[arg(
        long,
        value_name = "NAME",
        requires = "replay",
        help_heading = "Recording"
    )]
    pub(crate) time_field: Option<String>,

    #[command(flatten)]
    pub(crate) csv: CsvArgs,

    /// How fast the clock runs: 1 is real time, 60 a minute in a second, max without waiting
    #[arg(long, value_name = "X|max", default_value = "1", help_heading = "Pace")]
    pub(crate) speed: Speed,

    /// Write so many lines per second, such as 100/s or 30/m, whatever the clock says
    #[arg(long, value_name = "RATE", value_parser = parse_rate, conflicts_with = "speed", help_heading = "Pace")]
    pub(crate) rate: Option<f64>,

    /// Stop after N lines
    #[arg(long, value_name = "N", help_heading = "Pace")]
    pub(crate) count: Option<u64>,

    /// Stop after so much simulated (or recorded) time
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Pace")]
    pub(crate) duration: Option<Duration>,

    #[command(flatten)]
    pub(crate) record: RecordArgs,

    #[command(flatten)]
    pub(crate) reject: RejectArgs,

    #[command(flatten)]
    pub(crate) summary: SummaryArgs,

    #[command(flatten)]
    pub(crate) messages: MessageArgs,
}

/// A night of outages: of the first ten generators three stand, some run, one starts, and one cools down.
pub(crate) const DEFAULT_START: &str = "2025-02-20T09:04:07Z";

/// How fast the clock runs against real time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Speed {
    /// So many seconds in one.
    Times(f64),
    /// Without waiting.
    Max,
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.parse() {
            Ok(times) if times > 0.0 && f64::is_finite(times) => Ok(Self::Times(times)),
            _ => Err("not a number above 0, nor 'max'".to_owned()),
        }
    }
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("must be more than 0".to_owned()),
        interval => Ok(interval),
    }
}

impl Args {
    /// The process's arguments; usage errors, help and version end it here.
    pub(crate) fn get() -> Self {
        let matches = Self::full_command().get_matches();
        let args = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        if let Some(file) = args.replay.as_deref()
            && args.replay_form().is_none()
        {
            let file = name(file);
            let message = format!(
                "{file}: the name doesn't tell what it holds: add --replay-format ndjson or csv"
            );
            Self::full_command()
                .error(ErrorKind::MissingRequiredArgument, message)
                .exit();
        }
        if !args.csv.text.is_empty() && args.replay_form() != Some(Form::Csv) {
            let message = "--text is for CSV: the recording is NDJSON, whose values have types";
            Self::full_command()
                .error(ErrorKind::ArgumentConflict, message)
                .exit();
        }
        args
    }

    /// The command with what the shared groups can't know: what is said of records that are read needs some.
    fn full_command() -> clap::Command {
        ["max_record", "rejects", "strict", "text"]
            .into_iter()
            .fold(Self::command(), |command, id| {
                command.mut_arg(id, |arg| arg.requires("replay"))
            })
    }

    /// Whether records come from stdin.
    pub(crate) fn reads_stdin(&self) -> bool {
        self.replay.as_deref() == Some(Path::new("-"))
    }

    /// What the recording holds: as said, or by its name.
    pub(crate) fn replay_form(&self) -> Option<Form> {
        let by_name = || match self.replay.as_deref()?.extension()?.to_str()? {
            "csv" | "CSV" => Some(Form::Csv),
            "ndjson" | "jsonl" | "json" => Some(Form::Ndjson),
            _ => None,
        };
        self.replay_format.or_else(by_name)
    }
}

/// A file as messages call it.
pub(crate) fn name(file: &Path) -> String {
    if file == Path::new("-") {
        "stdin".to_owned()
    } else {
        file.display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_pipe::applies;

    #[test]
    fn the_command_is_sound() {
        Args::full_command().debug_assert();
    }

    /// All options; what applies to a fleet, to a recording or to a pace, clap's `conflicts_with` and `requires` say.
    const TABLE: &[(&str, &[&str])] = &[
        ("fleet", &["generators", "seed", "start", "format"]),
        ("fleet, or recording without times", &["interval"]),
        (
            "recording",
            &[
                "replay",
                "replay_format",
                "time_field",
                "text",
                "max_record",
                "rejects",
                "strict",
            ],
        ),
        (
            "always",
            &[
                "speed", "rate", "count", "duration", "summary", "quiet", "verbose",
            ],
        ),
    ];

    #[test]
    fn each_option_says_when_it_applies() {
        let command = Args::full_command();
        assert_eq!(applies::faults(&command, TABLE), Vec::<String>::new());
        for (kind, other, ids) in [
            ("fleet", &["--replay", "f.csv"][..], TABLE[0].1),
            ("recording", &[], &TABLE[2].1[1..]),
        ] {
            for id in ids {
                let option = format!("--{}", id.replace('_', "-"));
                let arg = command.get_arguments().find(|arg| arg.get_id() == *id);
                let takes = arg.is_some_and(|arg| arg.get_action().takes_values());
                let value = match *id {
                    "start" => "2026-12-25T18:27:30Z",
                    "format" | "replay_format" => "csv",
                    _ => "1",
                };
                let mut line = vec!["gen-sim", &option];
                line.extend(takes.then_some(value));
                line.extend(other);
                let error = command.clone().try_get_matches_from(line).unwrap_err();
                let refused = [
                    ErrorKind::ArgumentConflict,
                    ErrorKind::MissingRequiredArgument,
                ];
                assert!(refused.contains(&error.kind()), "{kind}: {option}: {error}");
            }
        }
    }

    #[test]
    fn speeds() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("0.5".parse(), Ok(Speed::Times(0.5)));
        for wrong in ["0", "-1", "NaN", "inf", "fast", ""] {
            assert!(wrong.parse::<Speed>().is_err(), "{wrong}");
        }
    }
}
