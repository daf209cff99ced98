//! When each option applies.

use clap::CommandFactory;
use tapline_pipe::applies;

use super::Args;

/// When an option applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// In each run, or where another option says so (clap's `requires`, `conflicts_with`).
    Always,
    /// Over TLS.
    Tls,
    /// Where offset and partition go into the time.
    Offsets,
}

/// All options.
pub(crate) const TABLE: &[(When, &[&str])] = &[
    (
        When::Always,
        &[
            "address",
            "measurement",
            "tags",
            "fields",
            "float",
            "max_series",
            "timestamp_field",
            "timestamp_unit",
            "unique_time",
            "precision",
            "batch_size",
            "batch_bytes",
            "linger",
            "inflight",
            "compression",
            "org",
            "token_file",
            "connect_timeout",
            "max_record",
            "envelope",
            "rate",
            "tee",
            "acks_to",
            "report",
            "checkpoint",
            "drain_timeout",
            "rejects",
            "strict",
            "summary",
            "quiet",
            "verbose",
        ],
    ),
    (When::Tls, &["ca_file", "cert_file", "key_file"]),
    (When::Offsets, &["partitions"]),
];

/// Refuses an option that was typed and can't apply.
///
/// # Errors
///
/// It is named, with the reason.
pub(crate) fn check(args: &Args, is_tls: bool) -> Result<(), applies::DoesNotApply> {
    let why_not = |when| {
        let (applies, why) = match when {
            When::Always => (true, ""),
            When::Tls => (is_tls, "the address is not of influxs://"),
            When::Offsets if !args.publish.envelope => (false, "plain lines have no offset"),
            When::Offsets => (
                args.timestamp_field.is_none() || args.unique_time,
                "the time is that of --timestamp-field, and --unique-time is not given",
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

    fn checked(line: &str, is_tls: bool) -> Result<(), String> {
        let line = format!("influx-write influx://db/b {line}");
        let line = line.split(' ').map(OsString::from);
        let (args, typed) = applies::read::<Args>(line).unwrap();
        check(&Args { typed, ..args }, is_tls).map_err(|error| error.to_string())
    }

    #[test]
    fn what_can_not_apply_is_refused_by_its_name() {
        for (line, error) in [
            (
                "--ca-file f",
                "--ca-file does not apply: the address is not of influxs://",
            ),
            (
                "--partitions 3",
                "--partitions does not apply: plain lines have no offset",
            ),
            (
                "-J --partitions 3 --timestamp-field t",
                "--partitions does not apply: the time is that of --timestamp-field, and --unique-time is not given",
            ),
        ] {
            assert_eq!(checked(line, false).unwrap_err(), error);
        }
        checked("--ca-file f", true).unwrap();
        checked("-J --partitions 3", false).unwrap();
        checked("-J --partitions 3 --timestamp-field t --unique-time", false).unwrap();
    }
}
