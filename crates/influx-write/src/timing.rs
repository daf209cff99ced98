//! The time of a point.

use std::time::{SystemTime, UNIX_EPOCH};

use tapline_influx::time::{OffsetTime, Precision};
use tapline_pipe::console::Console;
use tapline_pipe::envelope::Envelope;
use tapline_pipe::field::Field;
use tapline_pipe::publish::Outgoing;
use tapline_pipe::reject::{Reason, Rejection};
use tapline_pipe::template::{Member, Template, Variable};
use tapline_pipe::timestamp::{TimeUnit, read_time};

use crate::args::Args;
use crate::compose::Composer;

/// Where the time comes from.
#[derive(Debug)]
pub(crate) struct Timing {
    precision: Precision,
    field: Option<(Field, TimeUnit)>,
    /// How offset and partition go into it.
    offsets: Option<OffsetTime>,
    partitions: u16,
    /// Measurement or tags have the topic in them.
    names_topic: bool,
    /// The topic of the first record whose offset went into its time.
    topic: Option<String>,
    /// The last time of arrival that was given.
    arrival: i64,
    has_warned: bool,
    console: Console,
}

/// The time of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// In the precision.
    pub(crate) time: i64,
    /// Where the record lies, if that is in its time.
    pub(crate) place: Option<Place>,
}

/// Where a record of Kafka lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// Why a record has no time.
#[derive(Debug)]
pub(crate) enum NoTime {
    Reject(Rejection),
    /// No other record could be told apart from this one's.
    Fatal(String),
}

impl From<Rejection> for NoTime {
    fn from(rejection: Rejection) -> Self {
        Self::Reject(rejection)
    }
}

impl Timing {
    /// # Errors
    ///
    /// A sentence for the person who typed the arguments.
    pub(crate) fn new(args: &Args, composer: &Composer, console: &Console) -> Result<Self, String> {
        let precision = args.precision;
        let unit = match (&args.timestamp_field, args.unique_time) {
            (None, _) => Some(Precision::Ms),
            (Some(_), false) => None,
            (Some(_), true) => match args.timestamp_unit {
                TimeUnit::S => Some(Precision::S),
                TimeUnit::Ms => Some(Precision::Ms),
                _ => {
                    return Err("--unique-time puts offsets below the unit of the field's time: --timestamp-unit s or ms".to_owned());
                }
            },
        };
        let offsets = unit.map(|unit| OffsetTime::new(unit, precision, args.partitions));
        let offsets = offsets.transpose().map_err(|error| {
            let way = if args.timestamp_field.is_some() {
                "a finer --precision or fewer --partitions"
            } else {
                "a finer --precision, fewer --partitions, or a --timestamp-field"
            };
            format!("--precision {precision}: {error}; give {way}")
        })?;
        if args.unique_time && !args.publish.envelope {
            return Err("--unique-time needs --envelope: plain lines have no offset".to_owned());
        }
        let mut placeholders = composer.templates().flat_map(Template::placeholders);
        Ok(Self {
            precision,
            field: args
                .timestamp_field
                .clone()
                .map(|field| (field, args.timestamp_unit)),
            offsets,
            partitions: args.partitions,
            names_topic: placeholders
                .any(|placeholder| *placeholder.variable() == Variable::Member(Member::Topic)),
            topic: None,
            arrival: i64::MIN,
            has_warned: false,
            console: console.clone(),
        })
    }

    /// Whether records may share a time as it is wanted: it is a field's.
    pub(crate) fn is_of_field_alone(&self) -> bool {
        self.field.is_some() && self.offsets.is_none()
    }

    /// How offset and partition go into the time.
    pub(crate) fn offsets(&self) -> Option<OffsetTime> {
        self.offsets
    }

    /// The time of a record's point.
    pub(crate) fn of(&mut self, record: &Outgoing<'_>) -> Result<Moment, NoTime> {
        let envelope = record.envelope.as_ref();
        let Some((field, unit)) = &self.field else {
            return match envelope.filter(|envelope| is_of_kafka(envelope)) {
                Some(envelope) => {
                    let ms = envelope.timestamp.filter(|ms| *ms != -1);
                    let ms = ms.ok_or_else(|| missing("timestamp"))?;
                    self.with_place(envelope, i128::from(ms) * 1_000_000, "/timestamp")
                }
                None => Ok(self.arrival(envelope)?),
            };
        };
        let value = record.value();
        let why = "a tombstone has no time: it has no fields";
        let value = value.ok_or_else(|| Rejection::new(Reason::MissingField, why))?;
        let text = field.scalar(value).map_err(Rejection::from)?;
        let path = field.pointer();
        let Some(ns) = read_time(&text, *unit) else {
            let text: String = text.chars().take(40).collect();
            let detail = format!("'{text}' is no time ({})", unit_name(*unit));
            return Err(Rejection::new(Reason::BadField, detail).at(path).into());
        };
        match envelope {
            Some(envelope) if self.offsets.is_some() => self.with_place(envelope, ns, &path),
            _ => Ok(Moment {
                time: self
                    .precision
                    .of_nanoseconds(ns)
                    .ok_or_else(|| beyond(&path))?,
                place: None,
            }),
        }
    }

    fn with_place(
        &mut self,
        envelope: &Envelope<'_>,
        ns: i128,
        path: &str,
    ) -> Result<Moment, NoTime> {
        let offsets = self
            .offsets
            .expect("times have places only where it is there");
        let partition = envelope.partition.ok_or_else(|| missing("partition"))?;
        let offset = envelope.offset.ok_or_else(|| missing("offset"))?;
        if i64::from(partition) >= offsets.partitions() || partition < 0 {
            return Err(NoTime::Fatal(format!(
                "partition {partition} of topic '{}' is beyond --partitions {}: give as many as the topic may ever have, from the first record on",
                envelope.topic.as_deref().unwrap_or_default(),
                self.partitions
            )));
        }
        self.check_topic(envelope)?;
        Ok(Moment {
            time: offsets
                .at(ns, partition, offset)
                .ok_or_else(|| beyond(path))?,
            place: Some(Place { partition, offset }),
        })
    }

    /// Partitions and offsets tell records of one topic apart.
    fn check_topic(&mut self, envelope: &Envelope<'_>) -> Result<(), NoTime> {
        if self.names_topic {
            return Ok(());
        }
        let topic = envelope.topic.as_deref().ok_or_else(|| missing("topic"))?;
        match &self.topic {
            None => self.topic = Some(topic.to_owned()),
            Some(first) if first == topic => {}
            Some(first) => {
                return Err(NoTime::Fatal(format!(
                    "records of '{topic}' could replace those of '{first}': two topics need {{$topic}} in --measurement or in a --tag"
                )));
            }
        }
        Ok(())
    }

    /// The time of arrival, later than that of any other point of the run.
    fn arrival(&mut self, envelope: Option<&Envelope<'_>>) -> Result<Moment, Rejection> {
        if !std::mem::replace(&mut self.has_warned, true) {
            self.console.warn(
                "points get the time at which their record arrived, so a record that is delivered twice becomes two points; use --timestamp-field if records have a time of their own",
            );
        }
        let arrived = match envelope.and_then(|envelope| envelope.timestamp) {
            Some(ms) => i128::from(ms) * 1_000_000,
            None => now(),
        };
        let time = self
            .precision
            .of_nanoseconds(arrived)
            .ok_or_else(|| beyond("/timestamp"))?;
        self.arrival = time.max(self.arrival.saturating_add(1));
        Ok(Moment {
            time: self.arrival,
            place: None,
        })
    }
}

/// The time of day, in nanoseconds since 1970.
fn now() -> i128 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)
}

fn is_of_kafka(envelope: &Envelope<'_>) -> bool {
    envelope.source.as_deref() == Some("kafka")
        || (envelope.partition.is_some() && envelope.offset.is_some())
}

fn missing(member: &str) -> Rejection {
    let detail = format!("its envelope has no {member}, which its time is made of");
    Rejection::new(Reason::MissingMember, detail).at(format!("/{member}"))
}

fn beyond(path: &str) -> Rejection {
    let detail = "its time is beyond those that InfluxDB has, the years 1677 to 2262";
    Rejection::new(Reason::BadField, detail).at(path)
}

fn unit_name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Rfc3339 => "a date and time with its offset; --timestamp-unit for others",
        TimeUnit::S => "seconds since 1970",
        TimeUnit::Ms => "milliseconds since 1970",
        TimeUnit::Us => "microseconds since 1970",
        TimeUnit::Ns => "nanoseconds since 1970",
    }
}
