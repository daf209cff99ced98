//! The arguments of influx-write; the doc comments are its manual.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "doc comments here are the text of --help"
)]

pub(crate) mod applies;

use std::time::Duration;

use clap::{Parser, ValueEnum};
use tapline_influx::args::ConnectArgs;
use tapline_influx::time::Precision;
use tapline_pipe::args::{MessageArgs, PublishArgs, RecordArgs, RejectArgs, SummaryArgs};
use tapline_pipe::field::Field;
use tapline_pipe::template::{Template, parse_named};
use tapline_pipe::timestamp::TimeUnit;
use tapline_pipe::units::{parse_duration, parse_size};

/// Write lines of stdin to InfluxDB, each record one point
///
/// A record is a JSON object: some of its members become tags (--tag), one may be its time (--timestamp-field), and the
/// other numbers, booleans and strings become fields. It counts as delivered when the database has confirmed the write.
/// While the database is unreachable, or asks to wait, batches are retried, and stdin is not read while they are full.
/// When the database refuses a batch, it is split until the bad record is alone: that one is rejected, and all others
/// are written.
///
/// InfluxDB keeps one point per measurement, tags and time: another one replaces it, with the same answer. So the time of a point is a function of the record. Without --timestamp-field, and for a record of Kafka in
/// its envelope, it is the record's time with its offset and partition below the millisecond: each record is
/// one point, however often it is delivered. The options of the time, --tag and --measurement must stay the same
/// between deliveries.
#[derive(Debug, Parser)]
#[command(
    name = "influx-write",
    version,
    max_term_width = 100,
    after_long_help = "\
Examples:
  influx-write influx://localhost/telemetry --org plant --measurement emergency_generator \\
      --tag generatorID --timestamp-field time < readings.ndjson
      Readings that have a time of their own.
  topic-tap kafka://core/emergency_generator --group influx -- \\
      influx-write influx://db/telemetry --org plant --tag generatorID
      From Kafka: an offset is committed when the database has the point. The measurement is the topic's name.
  topic-tap mqtt://edge/tele/+/SENSOR -- influx-write influx://db/telemetry --org plant \\
      --measurement '{$topic/2}' --tag 'device={$topic/1}' --field temperature=/AM2301/Temperature
      A tag from a level of the topic, a field from inside the record.

Exit codes: 0 all written; 1 some records were rejected; 2 it could not run, or could not go on; 130, 143 stopped by SIGINT, SIGTERM."
)]
pub(crate) struct Args {
    /// Where to: influx://HOST[:8086]/BUCKET, or influxs:// for TLS
    ///
    /// Put the token in INFLUX_TOKEN or in the file of --token-file, not in the address.
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: String,

    /// Measurement, a text with {fields} [default: {$topic}, the topic that the record came from; needs --envelope]
    #[arg(long, value_name = "TEMPLATE", help_heading = "Points")]
    pub(crate) measurement: Option<Template>,

    /// Add a tag: a field of the record by its name (generatorID) or JSON Pointer (/site/id), or NAME=TEMPLATE, a text
    /// with {fields}; can be repeated
    #[arg(long = "tag", value_name = "TAG", value_parser = parse_tag, help_heading = "Points")]
    pub(crate) tags: Vec<(String, Template)>,

    /// Write this field: by its name or JSON Pointer, or as NAME=FIELD; can be repeated [default: every member of the
    /// record that is a number, boolean or text, and neither a tag nor the time]
    ///
    /// A record needs at least one of them. A value that is not an object becomes the field named value.
    #[arg(long = "field", value_name = "NAME", value_parser = parse_field, help_heading = "Points")]
    pub(crate) fields: Vec<(String, Field)>,

    /// Write whole numbers as floats, too [default: as integers]
    ///
    /// A field keeps the type of its first value. Use this for devices that send 21.5 and then 21.
    #[arg(long, help_heading = "Points")]
    pub(crate) float: bool,

    /// Stop when a run has more series (measurement and tags) than this: a tag with a new value in every record
    /// fills the database's memory
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..), help_heading = "Points")]
    pub(crate) max_series: u64,

    /// Field that holds the record's time [default: the envelope's, made unique with offset and partition; for plain
    /// lines and MQTT the time of arrival]
    #[arg(long, value_name = "FIELD", help_heading = "Time")]
    pub(crate) timestamp_field: Option<Field>,

    /// Unit of --timestamp-field
    #[arg(
        long,
        value_enum,
        value_name = "UNIT",
        default_value_t,
        requires = "timestamp_field",
        help_heading = "Time"
    )]
    pub(crate) timestamp_unit: TimeUnit,

    /// Add offset and partition below the unit of the field's time (s or ms), so that each Kafka record is one
    /// point
    #[arg(long, requires = "timestamp_field", help_heading = "Time")]
    pub(crate) unique_time: bool,

    /// Most partitions that the topic will ever have, for times that include offset and partition
    ///
    /// A millisecond has room for 1,000,000/N offsets of each partition: 15,625 for 64.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Time")]
    pub(crate) partitions: u16,

    /// Unit of the points' times: ns, us, ms or s
    #[arg(long, value_name = "UNIT", default_value_t, help_heading = "Time")]
    pub(crate) precision: Precision,

    /// Maximum points in a batch
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Delivery")]
    pub(crate) batch_size: u32,

    /// Maximum bytes in a batch, before compression; a longer line is a batch of its own
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "1MiB", help_heading = "Delivery")]
    pub(crate) batch_bytes: usize,

    /// How long the first point of a batch waits for others
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "20ms", help_heading = "Delivery")]
    pub(crate) linger: Duration,

    /// Batches in flight at a time; points of one series stay in order
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64), help_heading = "Delivery")]
    pub(crate) inflight: u16,

    /// Compress batches
    #[arg(
        short = 'z',
        long,
        value_enum,
        value_name = "CODEC",
        default_value_t,
        help_heading = "Delivery"
    )]
    pub(crate) compression: Codec,

    #[command(flatten)]
    pub(crate) connect: ConnectArgs,

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

/// A coding of the body of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Codec {
    None,
    #[default]
    Gzip,
}

/// Reads a tag: a field that is called what it is, or `NAME=TEMPLATE`.
fn parse_tag(text: &str) -> Result<(String, Template), String> {
    if text.contains('=') {
        return parse_named(text);
    }
    if text.contains(['{', '}']) {
        return Err(format!("'{text}' has no name: NAME={text}"));
    }
    let field: Field = parse(text)?;
    let template = Template::field_or_template(text).map_err(|error| error.to_string())?;
    Ok((field.name().to_owned(), template))
}

/// Reads a field that is called what it is, or `NAME=FIELD`.
fn parse_field(text: &str) -> Result<(String, Field), String> {
    match text.split_once('=') {
        Some(("", _)) => Err(format!("'{text}' is not NAME=FIELD")),
        Some((name, field)) => Ok((name.to_owned(), parse(field)?)),
        None => parse(text).map(|field: Field| (field.name().to_owned(), field)),
    }
}

fn parse(text: &str) -> Result<Field, String> {
    text.parse()
        .map_err(|error: tapline_pipe::field::FieldSyntaxError| error.to_string())
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
    fn tags_and_fields_have_the_name_that_they_are_given_or_their_own() {
        for (text, name, template) in [
            ("generatorID", "generatorID", "{generatorID}"),
            ("/site/id", "id", "{/site/id}"),
            ("room={$topic/1}", "room", "{$topic/1}"),
            ("site=plant 1", "site", "plant 1"),
        ] {
            let tag = parse_tag(text).unwrap();
            assert_eq!(tag, (name.to_owned(), template.parse().unwrap()), "{text}");
        }
        for wrong in ["", "=x", "{a}", "a={"] {
            assert!(parse_tag(wrong).is_err(), "{wrong}");
        }
        for (text, name, field) in [
            ("fuel", "fuel", "fuel"),
            ("/a~1b/t e", "t e", "/a~1b/t e"),
            ("t=/a/0", "t", "/a/0"),
        ] {
            let want = (name.to_owned(), field.parse().unwrap());
            assert_eq!(parse_field(text), Ok(want), "{text}");
        }
        for wrong in ["", "=x", "x="] {
            assert!(parse_field(wrong).is_err(), "{wrong}");
        }
    }
}
