//! The options of `topic-tap`; the doc comments are its manual.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "doc comments here are the text of --help"
)]

use std::{path::PathBuf, time::Duration};

use clap::Parser;
use tapline_contract::args::RegistryArgs;
use tapline_mqtt::Qos;
use tapline_pipe::{
    args::{MessageArgs, SummaryArgs},
    units::parse_duration,
};

/// Tap MQTT and Kafka topics: what arrives there, line by line, on stdout
///
/// A record is acknowledged (MQTT: PUBACK or PUBREC; Kafka, with --group: the offset is committed) only
/// after it was written to stdout, and with --exec or --acks-from only after the last stage of the pipe
/// said that it is safe there.
#[derive(Debug, Parser)]
#[command(
    name = "topic-tap",
    version,
    max_term_width = 100,
    after_long_help = "\
Examples:
  topic-tap mqtt://localhost/emergency_generator/+
      Every reading that arrives from now on, a line each.
  topic-tap kafka://localhost/emergency_generator --from -10 --until-end -J
      The last ten records of each partition as envelopes, then the end.
  topic-tap mqtt://edge/emergency_generator/+ --exec \\
      'kafka-produce kafka://core/emergency_generator --envelope --key generatorID'
      A bridge: MQTT is acknowledged when Kafka has the record on all its replicas.

Exit codes: 0 done; 1 records were not acknowledged, or the command of --exec rejected some; 2 it could
not run, or lost what it tapped; 130, 143 stopped by SIGINT, SIGTERM."
)]
pub struct Args {
    /// What to tap: mqtt://HOST[:1883]/FILTER (mqtts, ws, wss) or kafka://HOST[:9092][,HOST…]/TOPIC, where
    /// ^PATTERN taps every topic that matches
    #[arg(required = true, value_name = "ADDRESS")]
    pub addresses: Vec<String>,

    /// Write envelopes: JSON objects with seq, source, topic, timestamp, key, headers and the value
    ///
    /// Without this option a line is the value, byte for byte. A value that holds line ends then takes
    /// several lines, and a Kafka tombstone is an empty one.
    #[arg(short = 'J', long)]
    pub envelope: bool,

    /// Where to begin on Kafka: beginning, end, an OFFSET, -N (the last N of each partition), a TIME
    /// (RFC 3339) or -TIME ago (-10m) [default: end; with --until-end beginning]
    ///
    /// In a group only where it has committed nothing yet.
    #[arg(long, value_name = "START", allow_hyphen_values = true)]
    pub from: Option<String>,

    /// Stop where each Kafka partition ended when the tap began
    #[arg(long)]
    pub until_end: bool,

    /// Stop after N records
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// Stop after this time
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,

    /// Kafka consumer group: share the partitions with its other members, go on where it left off, commit
    /// what was written
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,

    /// Highest quality of service of the MQTT subscriptions: 0, 1 or 2
    #[arg(long, value_name = "QOS", default_value_t = Qos::AtLeastOnce)]
    pub qos: Qos,

    /// Run COMMAND in a shell, feed it envelopes, and acknowledge what it says is safe (PIPE_ACKS)
    #[arg(long, value_name = "COMMAND", conflicts_with = "acks_from")]
    pub exec: Option<String>,

    /// Acknowledge a record only when its seq, or a higher one, came out of this FIFO; needs --envelope
    #[arg(long, value_name = "PATH", requires = "envelope")]
    pub acks_from: Option<PathBuf>,

    /// After a signal: how long to wait for stdout and for acks; a second signal ends at once
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "30s")]
    pub drain_timeout: Duration,

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
}
