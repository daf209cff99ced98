//! The options of `topic-tap`; the doc comments are its manual.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "doc comments here are the text of --help"
)]

pub mod applies;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use tapline_contract::args::RegistryArgs;
use tapline_mqtt::Qos;
use tapline_pipe::{
    args::{MessageArgs, SummaryArgs},
    field::Field,
    units::parse_duration,
};

use crate::tokens::Tokens;

/// What has no meaning where nothing is tapped.
const TAPPING: [&str; 15] = [
    "format",
    "key_only",
    "csv",
    "from",
    "until",
    "until_end",
    "partition",
    "count",
    "duration",
    "group_instance_id",
    "no_commit",
    "exec",
    "command",
    "acks_from",
    "registry",
];

/// Tap MQTT and Kafka topics: what arrives there, line by line, on stdout
///
/// A record is acknowledged (MQTT: PUBACK or PUBREC; Kafka, with --group: the offset is committed) only
/// after a file took its last byte or the reader took it out of the pipe, and with a COMMAND, --exec or
/// --acks-from only after the last stage of the pipe said that it is safe there. Of Kafka's transactions only what was committed is read
/// (-X isolation.level=read_uncommitted for all).
#[derive(Debug, Parser)]
#[command(
    name = "topic-tap",
    version,
    max_term_width = 100,
    after_long_help = "\
Examples:
  topic-tap mqtt://localhost/emergency_generator/+
      Every reading that arrives from now on, a line each.
  topic-tap 'mqtt://localhost/$share/taps/emergency_generator/+'
      A share of them: each reading goes to one of the taps that have subscribed like this.
  topic-tap kafka://localhost/emergency_generator --from -10 --until-end -J
      The last ten records of each partition as envelopes, then the end.
  topic-tap kafka://localhost/emergency_generator --from -2h --until -1h --csv generatorID,temperature
      Two fields of the readings of an hour as CSV.
  topic-tap kafka://localhost/emergency_generator --format '%p %o %T %k %s\\n'
      Each record behind its partition, offset, time and key.
  topic-tap mqtt://edge/emergency_generator/+ -- kafka-produce kafka://core/emergency_generator -k generatorID
      A bridge: MQTT is acknowledged when Kafka has the record on all its replicas.
  topic-tap --list kafka://localhost
  topic-tap --groups kafka://localhost/emergency_generator
      What there is on a cluster; who reads a topic, and how far behind they are.

Acks: COMMAND reads envelopes on stdin, and writes to the FIFO that PIPE_ACKS names a line with the highest seq up to
which all is safe, as often as it likes, and a last line 'end' when it has read its input to the end and all is safe.
One that never opens it vouches for all with exit code 0 after the end of its input, and for nothing otherwise.

Exit codes: 0 done; 1 records were not written or not acknowledged, or the command rejected some; 2 it could not run, or lost what it tapped; 130, 143 stopped by SIGINT, SIGTERM."
)]
pub struct Args {
    /// What to tap: mqtt://HOST[:1883]/FILTER (mqtts, ws, wss) or kafka://HOST[:9092][,HOST…]/TOPIC, where
    /// ^PATTERN taps every topic that matches; several are tapped at once, those of one MQTT broker over one
    /// connection (where filters overlap, the broker may send a message once or for each of them)
    #[arg(required = true, value_name = "ADDRESS")]
    pub addresses: Vec<String>,

    /// Run this command, feed it envelopes, and acknowledge what it says is safe; see "Acks" below
    #[arg(last = true, value_name = "COMMAND", conflicts_with_all = ["exec", "acks_from", "format", "key_only", "csv"])]
    pub command: Vec<OsString>,

    /// The form of what is written.
    #[command(flatten)]
    pub output: OutputArgs,

    /// Where to begin and to stop.
    #[command(flatten)]
    pub range: RangeArgs,

    /// Options of a member of a consumer group.
    #[command(flatten)]
    pub group: GroupArgs,

    /// What is listed in place of records.
    #[command(flatten)]
    pub listing: ListingArgs,

    /// The same with COMMAND as text for a shell, such as a pipeline
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["acks_from", "format", "key_only", "csv"], help_heading = "Delivery")]
    pub exec: Option<String>,

    /// Acknowledge a record only when its seq, or a higher one, came out of this FIFO; needs --envelope
    #[arg(
        long,
        value_name = "PATH",
        requires = "envelope",
        help_heading = "Delivery"
    )]
    pub acks_from: Option<PathBuf>,

    /// Append one JSON object for each record that has not the wanted form to FILE
    ///
    /// Such are a value that is not JSON with --csv, and a Kafka header whose name is not UTF-8 text with
    /// --envelope, --exec or %h. Members: tool, line (its seq), reason (a fixed word), detail (topic, partition
    /// and offset, and why) and record or record_base64 (the value). It counts as handled once it is in FILE.
    /// Without this option the first few are told on stderr and the rest are counted.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub rejects: Option<PathBuf>,

    /// At the end: how long to wait until stdout's reader has taken all; after a signal for acks, too; a second
    /// signal ends at once
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "30s", help_heading = "Delivery")]
    pub drain_timeout: Duration,

    /// Options of the MQTT subscriptions.
    #[command(flatten)]
    pub subscription: SubscriptionArgs,

    /// Options of the schema registry.
    #[command(flatten)]
    pub registry: RegistryArgs,

    /// Options of the Kafka side.
    #[command(flatten)]
    pub kafka: tapline_kafka::ConnectArgs,

    /// Options of the MQTT side.
    #[command(flatten)]
    pub mqtt: tapline_mqtt::args::ConnectArgs,

    /// Options of the messages.
    #[command(flatten)]
    pub messages: MessageArgs,

    /// Options of the closing line.
    #[command(flatten)]
    pub summary: SummaryArgs,

    /// Which of the options were typed.
    #[arg(skip)]
    pub typed: tapline_pipe::applies::Typed,
}

/// The form of the lines: one of these, or plain values.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
#[group(multiple = false)]
pub struct OutputArgs {
    /// Write envelopes: JSON objects with seq, source, topic, timestamp, key, headers and the value
    ///
    /// Without one of these options a line is the value, byte for byte. A value that holds line ends then
    /// takes several lines, and a Kafka tombstone is an empty one. With --list and --groups: JSON objects,
    /// too.
    #[arg(short = 'J', long)]
    pub envelope: bool,

    /// Form of what is written for each record: a text with kcat's tokens, as in '%k: %s\n'
    ///
    /// %s  value                           %k  key
    /// %S  its length, -1 for a tombstone  %K  its length, -1 for none
    /// %R  as %S, in 4 bytes, big-endian   %h  headers or user properties: name=value,…
    /// %t  topic                           %T  time in ms since 1970, -1 for none
    /// %p  partition                       %o  offset
    /// %%  a percent sign
    /// \n \r \t \\ \0  line feed, carriage return, tab, backslash, NUL
    /// \xHH            the byte of this hexadecimal number
    ///
    /// Nothing is added: a form that ends without \n leaves the records on one line.
    /// A header without a value is name=NULL. A message of MQTT has no key, partition
    /// or offset: %k, %p and %o are empty, and %T is when it arrived.
    #[arg(long, value_name = "FORM", verbatim_doc_comment)]
    pub format: Option<Tokens>,

    /// Write the keys of Kafka's records, not the values; no key is an empty line
    #[arg(long)]
    pub key_only: bool,

    /// Write CSV: these fields of the JSON values, under a header with their names
    ///
    /// FIELDS are names (generatorID) or JSON Pointers (/site/id), separated by commas. Numbers are written
    /// as they stand; objects and arrays as their JSON; what is missing or null is an empty cell, and so is
    /// all of a tombstone. A value that is not JSON is not written, is told, and makes the exit code 1.
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    pub csv: Option<Vec<Field>>,
}

/// Where to begin and to stop.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Begin and end")]
pub struct RangeArgs {
    /// Where to begin on Kafka: beginning, end, an OFFSET, -N (the last N of each partition), a TIME
    /// (RFC 3339, or a day) or -TIME ago (-10m; ms, s, m, h, d) [default: end; with --until and --until-end beginning]
    ///
    /// An offset that is no more, or not yet, there stands for the nearest that is. In a group only where it
    /// has committed nothing yet.
    #[arg(long, value_name = "START", allow_hyphen_values = true)]
    pub from: Option<String>,

    /// Stop on Kafka before this place of each partition: end, an OFFSET, -N (all but the last N), a TIME or
    /// -TIME ago; at the latest where the partition ended when the tap began
    ///
    /// Before a time means: before the first record of that time or later.
    #[arg(long, value_name = "END", allow_hyphen_values = true)]
    pub until: Option<String>,

    /// Stop where each Kafka partition ended when the tap began: short for --until end
    #[arg(long, conflicts_with = "until")]
    pub until_end: bool,

    /// Tap this partition of the Kafka topics only; several are separated by commas [default: all]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(i32).range(0..), conflicts_with = "group")]
    pub partition: Vec<i32>,

    /// Stop after N records
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// Stop after this time
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,
}

impl RangeArgs {
    /// The option that stops at a place of a partition, if one is set.
    pub fn end_option(&self) -> Option<&'static str> {
        match (&self.until, self.until_end) {
            (Some(_), _) => Some("--until"),
            (None, true) => Some("--until-end"),
            (None, false) => None,
        }
    }
}

/// Options of a member of a consumer group.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Kafka group")]
pub struct GroupArgs {
    /// Kafka consumer group: share the partitions with its other members, go on where it left off, commit
    /// what was written
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,

    /// Name of this member, unique in the group: its partitions wait for it until its session times out
    /// (static membership, group.instance.id), so that a restart moves none
    #[arg(long, value_name = "ID", requires = "group")]
    pub group_instance_id: Option<String>,

    /// Begin where the group left off, but commit nothing
    #[arg(long, requires = "group")]
    pub no_commit: bool,
}

/// Options of the MQTT subscriptions.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "MQTT")]
pub struct SubscriptionArgs {
    /// Highest quality of service of the MQTT subscriptions: 0, 1 or 2
    #[arg(long, value_name = "QOS", default_value_t = Qos::AtLeastOnce)]
    pub qos: Qos,

    /// Messages that the broker had kept for later subscribers: show them, hide them, or only them, and nothing
    /// that is published from now on
    ///
    /// The broker sends them whenever the tap subscribes: at each start, and when it lost the session in
    /// between. A shared subscription ($share/GROUP/FILTER) gets none.
    #[arg(long, value_enum, value_name = "WHICH", default_value_t)]
    pub retained: Retained,

    /// Leave out what is published under the --client-id of this tap; needs MQTT 5
    #[arg(long, requires = "client_id")]
    pub no_local: bool,
}

/// What becomes of retained messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Retained {
    /// They come first, then what is published
    #[default]
    Show,
    /// Only what is published from now on
    Hide,
    /// Only they
    Only,
}

/// What is listed in place of records.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Listing")]
pub struct ListingArgs {
    /// Tap nothing: list the brokers of a Kafka cluster and the address's topics, by default all but
    /// Kafka's own (__…), with each partition's leader, replicas, in-sync replicas, low and high offset
    ///
    /// A table, or with -J a JSON object for each broker and partition. Of a partition without a leader the
    /// offsets are not known. Can be given with --groups.
    #[arg(long, conflicts_with_all = TAPPING, conflicts_with = "group")]
    pub list: bool,

    /// Tap nothing: list the Kafka consumer groups of the address's topics, or the one of --group, with
    /// their members, and for each partition the committed offset and the lag behind the high one
    ///
    /// Of groups that use group.protocol=consumer (KIP-848) state and members are not told.
    #[arg(long, conflicts_with_all = TAPPING)]
    pub groups: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_groups_fit_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn options_that_exclude_each_other_are_refused() {
        for options in [
            "-J --format %s",
            "--key-only --csv a",
            "--format %s --exec cat",
            "--partition 1 --group g",
            "--until 5 --until-end",
            "--no-commit",
            "--group-instance-id a",
            "--list --from end",
            "--list --group g",
            "--groups --count 1",
            "--no-local",
            "--retained never",
        ] {
            let line = ["topic-tap", "kafka://a/t"].into_iter();
            let parsed = Args::try_parse_from(line.chain(options.split(' ')));
            assert!(parsed.is_err(), "{options}");
        }
    }

    #[test]
    fn lists_are_separated_by_commas() {
        let line = ["topic-tap", "kafka://a/t", "--partition", "3,0"];
        let args = Args::parse_from(line.into_iter().chain(["--csv", "a,/b/c"]));
        assert_eq!(args.range.partition, [3, 0]);
        assert_eq!(args.output.csv.map(|fields| fields.len()), Some(2));
    }
}
