//! The arguments of kafka-produce; the doc comments are its manual.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "doc comments here are the text of --help"
)]

pub(crate) mod applies;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tapline_contract::args::RegistryArgs;
use tapline_contract::registry::Version;
use tapline_contract::subject::SubjectStrategy;
use tapline_kafka::ConnectArgs;
use tapline_pipe::args::{MessageArgs, PublishArgs, RecordArgs, RejectArgs, SummaryArgs};
use tapline_pipe::field::Field;
use tapline_pipe::template::{Template, parse_named};
use tapline_pipe::timestamp::TimeUnit;
use tapline_pipe::units::parse_duration;

/// Produce lines of stdin to a Kafka topic
///
/// Each line is a record's value, byte for byte. It counts as delivered when all in-sync replicas have it:
/// the producer is idempotent, waits for all of them (acks=all), has at most two requests in flight to each
/// broker and so keeps the order of each key; keys go to the partitions that the Java client would choose
/// (murmur2). The exit code tells the truth: 0 all delivered; 1 some were not; 2 it could not run; 130, 143 stopped by
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
  topic-tap kafka://old/t --from beginning --until-end -J | \\
      kafka-produce kafka://new/t -J --create-topic
      Copies a topic: keys, headers, times, tombstones and all.
  topic-tap 'mqtt://edge/+/+/+' -- \\
      kafka-produce 'kafka://core/{$topic/0}' --key '{$topic/1}'
      A bridge for devices that put their identity into the topic.

Templates (docs/templates.md):
  {generatorID} and {/site/id} are fields of the JSON value. {$topic}, {$topic/1} (a level, from 0),
  {$key}, {$header:NAME}, {$timestamp}, {$partition}, {$offset} and {$qos} are members of the
  envelope: where the value came from. They need --envelope, and the value may be anything.
  {{ is a brace. A record that lacks a field or member is rejected."
)]
pub(crate) struct Args {
    /// Where to: kafka://HOST[:9092][,HOST2[:9092]...]/TOPIC
    ///
    /// TOPIC may be a text with placeholders, which choose it for each record: {site} (a field), with --envelope
    /// {$topic/0} (a level of the topic that the value came from). Each topic is looked up, or with --create-topic
    /// created, before its first record; a record whose topic doesn't exist or has no legal name is rejected.
    /// Batches are then not fitted to a topic with a low max.message.bytes: set -X batch.size for one.
    /// Credentials are no part of an address: they belong into the file of --config.
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: String,

    /// Field of the record that is its key: a top-level name (generatorID), a JSON Pointer (/site/id), or a
    /// text with {fields} [default: no key, which spreads the records over the partitions]
    ///
    /// A text with braces is a template: {generatorID}, {$topic/1}; see the end of this help. A record whose field is
    /// missing or not a scalar is rejected. With --envelope this goes before the
    /// envelope's key, but for tombstones, which have no fields.
    #[arg(short, long, value_name = "FIELD", value_parser = Template::field_or_template, help_heading = "Records")]
    pub(crate) key: Option<Template>,

    /// Key of all records: this text
    #[arg(
        long,
        value_name = "TEXT",
        conflicts_with = "key",
        help_heading = "Records"
    )]
    pub(crate) fixed_key: Option<String>,

    /// Send a tombstone (Kafka's null, which deletes the key from a compacted topic) for a value of this kind:
    /// the JSON null, or an empty one; can be repeated [default: they are values as others are]
    ///
    /// An empty value can only come in an envelope, since blank lines are passed over.
    #[arg(
        long,
        value_enum,
        value_name = "VALUE",
        value_delimiter = ',',
        help_heading = "Records"
    )]
    pub(crate) tombstone: Vec<Tombstone>,

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

    /// Check and frame with the schema of this id in the registry
    #[arg(
        long,
        value_name = "N",
        requires = "registry",
        conflicts_with = "schema",
        help_heading = "Schema registry"
    )]
    pub(crate) schema_id: Option<u32>,

    /// Check and frame with this version of the subject TOPIC-value: a number, or latest
    #[arg(long, value_name = "VERSION", requires = "registry", conflicts_with_all = ["schema", "schema_id"], help_heading = "Schema registry")]
    pub(crate) schema_version: Option<Version>,

    /// A schema that the file's $ref NAME leads to, under its subject in the registry; can be repeated
    #[arg(long, value_name = "NAME=SUBJECT:VERSION", requires_all = ["registry", "schema"], help_heading = "Schema registry")]
    pub(crate) reference: Vec<NamedReference>,

    #[command(flatten)]
    pub(crate) registry: RegistryArgs,

    /// Register the schema if it isn't in the registry [default: it must be there]
    #[arg(long, requires_all = ["registry", "schema"], help_heading = "Schema registry")]
    pub(crate) register: bool,

    /// Look up and register the schema's text as it stands [default: in the registry's normal form, in which
    /// the order of members and white space make no difference]
    #[arg(long, requires_all = ["registry", "schema"], help_heading = "Schema registry")]
    pub(crate) no_normalize: bool,

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

    /// Most topics that records may go to, where TOPIC has placeholders; records that would need another are rejected
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = parse_topics, help_heading = "Topic")]
    pub(crate) max_topics: usize,

    /// Send all records of the input in one transaction under this transactional.id
    ///
    /// Readers of committed data see all of them, once the input has ended, or none: a record that can't be
    /// delivered, a signal, or with --strict a record that can't be sent, aborts it. The brokers abort a
    /// transaction that is open for longer than transaction.timeout.ms (a minute; -X sets it). What waits for
    /// the commit is kept in a temporary file. Each process needs an id of its own: another one that uses it
    /// takes it over.
    #[arg(long, value_name = "ID", help_heading = "Delivery")]
    pub(crate) transaction: Option<String>,

    /// Send N records in each transaction, and commit one that isn't full after 20 s [default: all in one]
    #[arg(long, value_name = "N", requires = "transaction", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Delivery")]
    pub(crate) transaction_size: Option<u64>,

    /// Compress batches of records [default: lz4, or the property compression.type]
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

    /// Which of the options were typed.
    #[arg(skip)]
    pub(crate) typed: tapline_pipe::applies::Typed,
}

/// A reference from a schema's file into the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedReference {
    /// As the `$ref` has it.
    pub(crate) name: String,
    pub(crate) subject: String,
    pub(crate) version: Version,
}

impl FromStr for NamedReference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not NAME=SUBJECT:VERSION");
        // A name may be a URL, a subject may hold colons.
        let (rest, version) = text.rsplit_once(':').ok_or_else(wrong)?;
        let (name, subject) = rest.split_once('=').ok_or_else(wrong)?;
        if name.is_empty() || subject.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            name: name.to_owned(),
            subject: subject.to_owned(),
            version: version.parse()?,
        })
    }
}

/// A value that stands for Kafka's null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tombstone {
    Null,
    Empty,
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

fn parse_topics(text: &str) -> Result<usize, &'static str> {
    let number = text.parse().ok().filter(|&number| number > 0);
    number.ok_or("a number from 1 up")
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
            ["--transaction-size", "9"],
            ["--schema-id", "9"],
            ["--schema-version", "latest"],
        ] {
            let line = [&["kafka-produce", "kafka://a/t"], options.as_slice()].concat();
            assert!(Args::try_parse_from(line).is_err(), "{options:?}");
        }
    }

    #[test]
    fn references_are_read_from_both_ends() {
        let reference: NamedReference = "http://a/b.json=c:d:7".parse().unwrap();
        assert_eq!(
            (reference.name.as_str(), reference.subject.as_str()),
            ("http://a/b.json", "c:d")
        );
        assert_eq!(reference.version, Version::Number(7));
        let latest: NamedReference = "n=s:latest".parse().unwrap();
        assert_eq!(latest.version, Version::Latest);
        for wrong in ["", "n=s", "s:1", "=s:1", "n=:1", "n=s:0", "n=s:newest"] {
            assert!(wrong.parse::<NamedReference>().is_err(), "{wrong}");
        }
    }
}
