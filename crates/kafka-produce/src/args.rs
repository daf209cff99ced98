//! The arguments of kafka-produce; the doc comments are its manual.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "doc comments here are the text of --help"
)]

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tapline_contract::args::RegistryArgs;
use tapline_contract::subject::SubjectStrategy;
use tapline_kafka::ConnectArgs;
use tapline_pipe::args::{MessageArgs, PublishArgs, RecordArgs, RejectArgs, SummaryArgs};
use tapline_pipe::field::Field;
use tapline_pipe::template::{Template, parse_named};
use tapline_pipe::units::parse_duration;

use crate::time::TimeUnit;

/// Produce lines of stdin to a Kafka topic
///
/// Each line is a record's value, byte for byte. It counts as delivered when all in-sync replicas have it:
/// the producer is idempotent, waits for all of them (acks=all), has at most five requests in flight and so
/// keeps the order of each key; keys go to the partitions that the Java client would choose (murmur2). The
/// exit code tells the truth: 0 all delivered; 1 some were not; 2 it could not run; 130, 143 stopped by
/// SIGINT, SIGTERM after the drain. While no broker can be reached it keeps trying, and reads stdin no
/// further than its queue is long.
#[derive(Debug, Parser)]
#[command(
    name = "kafka-produce",
    version,
    max_term_width = 100,
    after_long_help = "\
Examples:
  kafka-produce kafka://localhost/emergency_generator --key generatorID < readings.ndjson
      The readings of each generator in one partition, in their order.
  kafka-produce kafka://a,b,c/emergency_generator -k generatorID -s generator.schema.json \\
      --registry http://localhost:8081 --register
      Checked against the schema, which is registered, and framed with its id.
  topic-tap kafka://old/t --from beginning --until-end -J | kafka-produce kafka://new/t -J --create-topic
      Copies a topic: keys, headers, times, tombstones and all."
)]
pub(crate) struct Args {
    /// Where to: kafka://HOST[:9092][,HOST2[:9092]...]/TOPIC
    ///
    /// Credentials are no part of an address: they belong into the file of --config.
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: String,

    /// Field of the record that is its key: a top-level name (generatorID), a JSON Pointer (/site/id), or a
    /// text with {fields} [default: no key, which spreads the records over the partitions]
    ///
    /// A record whose field is missing or not a scalar is rejected. With --envelope this goes before the
    /// envelope's key, but for tombstones, which have no fields.
    #[arg(short, long, value_name = "FIELD", value_parser = Template::field_or_template, help_heading = "Records")]
    pub(crate) key: Option<Template>,

    /// Add a header, from a text with {fields}; can be repeated; with --envelope after the envelope's
    #[arg(short = 'H', long = "header", value_name = "NAME=TEMPLATE", value_parser = parse_named, help_heading = "Records")]
    pub(crate) headers: Vec<(String, Template)>,

    /// Field that holds the record's time [default: the time of sending; with --envelope the envelope's]
    #[arg(long, value_name = "FIELD", help_heading = "Records")]
    pub(crate) timestamp_field: Option<Field>,

    /// What the field of --timestamp-field counts
    #[arg(
        long,
        value_enum,
        value_name = "UNIT",
        default_value_t,
        requires = "timestamp_field",
        help_heading = "Records"
    )]
    pub(crate) timestamp_unit: TimeUnit,

    /// Send all records to this partition [default: by key]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..), help_heading = "Records")]
    pub(crate) partition: Option<i32>,

    /// Check each record against this JSON Schema first; one that doesn't conform is rejected
    ///
    /// With --registry each record is framed with the schema's id there (Confluent's wire format).
    #[arg(short, long, value_name = "FILE", help_heading = "Schema registry")]
    pub(crate) schema: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) registry: RegistryArgs,

    /// Register the schema if it isn't in the registry [default: it must be there]
    #[arg(long, requires = "registry", help_heading = "Schema registry")]
    pub(crate) register: bool,

    /// How the schema's subject is named: TOPIC-value, the schema's title, or TOPIC-title
    #[arg(
        long,
        value_enum,
        value_name = "STRATEGY",
        default_value_t,
        requires = "registry",
        help_heading = "Schema registry"
    )]
    pub(crate) subject: SubjectStrategy,

    /// Make the topic if it doesn't exist
    #[arg(long, help_heading = "Topic")]
    pub(crate) create_topic: bool,

    /// Partitions of a topic that is made [default: the cluster's]
    #[arg(long, value_name = "N", requires = "create_topic", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Topic")]
    pub(crate) partitions: Option<u16>,

    /// Copies of each partition of a topic that is made [default: the cluster's]
    #[arg(long, value_name = "N", requires = "create_topic", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Topic")]
    pub(crate) replication_factor: Option<u16>,

    /// Compress batches of records [default: none, or the property compression.type]
    #[arg(
        short = 'z',
        long,
        value_enum,
        value_name = "CODEC",
        help_heading = "Delivery"
    )]
    pub(crate) compression: Option<Codec>,

    /// How long a record is tried before it is rejected [default: until it is delivered, or a signal]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Delivery")]
    pub(crate) delivery_timeout: Option<Duration>,

    #[command(flatten)]
    pub(crate) kafka: ConnectArgs,

    #[command(flatten)]
    pub(crate) record: RecordArgs,

    #[command(flatten)]
    pub(crate) publish: PublishArgs,

    #[command(flatten)]
    pub(crate) rejects: RejectArgs,

    #[command(flatten)]
    pub(crate) summary: SummaryArgs,

    #[command(flatten)]
    pub(crate) messages: MessageArgs,
}

/// A codec of Kafka's record batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Codec {
    /// The value of the property `compression.codec`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
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
    fn options_that_need_another_say_so() {
        for options in [
            ["--partitions", "3"],
            ["--replication-factor", "3"],
            ["--timestamp-unit", "ms"],
            ["--subject", "record"],
        ] {
            let line = [&["kafka-produce", "kafka://a/t"], options.as_slice()].concat();
            assert!(Args::try_parse_from(line).is_err(), "{options:?}");
        }
    }
}
