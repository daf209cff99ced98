//! A recording, record by record: NDJSON as it stands, CSV as objects, each with its time.

use std::time::Duration;

use anyhow::Context;
use tapline_pipe::csv::header::{Header, HeaderError};
use tapline_pipe::csv::object::{Looks, too_long, write_object};
use tapline_pipe::csv::rows::{self, Rows};
use tapline_pipe::field::Field;
use tapline_pipe::io::input::{self, Input, Source};
use tapline_pipe::io::line::{Line, Record};
use tapline_pipe::io::stop::{Signal, Stop};
use tapline_pipe::json;
use tapline_pipe::reject::{Reason, Rejection, Rejects};

use crate::args::Args;
use crate::fleet::Form;
use crate::moment;

/// What [`Replay::next`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A record: see [`Replay::take`] and [`Replay::due`].
    Record,
    /// A record that was rejected.
    Rejected,
    /// Nothing came within the time.
    Idle,
    /// The recording has ended.
    End,
    /// A signal asks to stop.
    Stopped(Signal),
}

/// A recording that is being read.
#[derive(Debug)]
pub(crate) struct Replay {
    name: String,
    recording: Recording,
    rejects: Rejects,
    clock: Clock,
    line: Vec<u8>,
    /// Bytes of the record that was found last, and of all that were read.
    length: u64,
    bytes: u64,
}

/// Where records come from.
#[derive(Debug)]
enum Recording {
    Ndjson {
        input: Input<Source>,
        time: Option<Field>,
    },
    Csv {
        rows: Box<Rows<Source>>,
        columns: Columns,
        table: Option<Table>,
    },
}

/// What the options say of a CSV recording's columns.
#[derive(Debug)]
struct Columns {
    /// The one with the time.
    time: Option<String>,
    /// Those that hold text.
    text: Vec<String>,
}

/// What the header of a CSV recording makes of its rows.
#[derive(Debug)]
struct Table {
    header: Header,
    /// The column with the time.
    time: Option<usize>,
}

/// The time that has passed in a recording.
#[derive(Debug)]
enum Clock {
    /// Each record is this much after the one before (nanoseconds).
    Even { interval: u128, records: u64 },
    /// By the records' times: the one before, and what has passed up to it.
    Recorded { before: Option<i128>, passed: u128 },
}

/// Why a record is none.
type Checked = Result<Option<i128>, Rejection>;

impl Replay {
    /// A recording with the name that messages call it, paced by its times or else by `--interval`.
    pub(crate) fn open(
        (name, source): (String, Source),
        form: Form,
        args: &Args,
        stop: Stop,
        rejects: Rejects,
    ) -> anyhow::Result<Self> {
        let time = args.time_field.as_deref();
        let max_record = args.record.max_record;
        let clock = match time {
            Some(_) => Clock::Recorded {
                before: None,
                passed: 0,
            },
            None => Clock::Even {
                interval: args.interval.as_nanos(),
                records: 0,
            },
        };
        let recording = match form {
            Form::Ndjson => {
                let time = time.map(str::parse).transpose().context("--time-field")?;
                Recording::Ndjson {
                    input: Input::new(source, max_record, stop),
                    time,
                }
            }
            Form::Csv => {
                let rows = Box::new(Rows::new(source, max_record, stop));
                let columns = Columns {
                    time: args.time_field.clone(),
                    text: args.csv.text.clone(),
                };
                Recording::Csv {
                    rows,
                    columns,
                    table: None,
                }
            }
        };
        Ok(Self {
            name,
            recording,
            rejects,
            clock,
            line: Vec::new(),
            length: 0,
            bytes: 0,
        })
    }

    /// The next record; waits for it at most `timeout`.
    pub(crate) fn next(&mut self, timeout: Duration) -> anyhow::Result<Step> {
        self.line.clear();
        let found = match &mut self.recording {
            Recording::Ndjson { input, time } => {
                next_line(input, time.as_ref(), timeout, &mut self.line)
            }
            Recording::Csv {
                rows,
                columns,
                table,
            } => next_row(rows, columns, table, timeout, &mut self.line),
        };
        let found = found.with_context(|| self.name.clone())?;
        let (number, checked) = match found {
            Found::Record(number, checked) => (number, checked),
            Found::Nothing(step) => return Ok(step),
        };
        let raw = match &self.recording {
            Recording::Ndjson { .. } => self.line.as_slice(),
            Recording::Csv { rows, .. } => rows.raw(),
        };
        self.length = raw.len() as u64;
        match checked {
            Ok(time) => {
                self.clock.pass(time);
                Ok(Step::Record)
            }
            Err(rejection) => {
                let raw = (rejection.reason != Reason::TooLong).then_some(raw);
                self.bytes += self.length;
                self.rejects
                    .reject(Some(&self.name), number, &rejection, raw)?;
                Ok(Step::Rejected)
            }
        }
    }

    /// The record that was found last, as a line without its end; it counts as read from now on.
    pub(crate) fn take(&mut self) -> &[u8] {
        self.bytes += std::mem::take(&mut self.length);
        &self.line
    }

    /// When that record is due: nanoseconds after the first one.
    pub(crate) fn due(&self) -> u128 {
        match self.clock {
            Clock::Even { interval, records } => u128::from(records.saturating_sub(1)) * interval,
            Clock::Recorded { passed, .. } => passed,
        }
    }

    /// Whether asking for the next record may need no wait.
    pub(crate) fn has_buffered(&self) -> bool {
        match &self.recording {
            Recording::Ndjson { input, .. } => input.has_buffered(),
            Recording::Csv { rows, .. } => rows.has_buffered(),
        }
    }

    /// Bytes of the records that were read, and empty lines.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let blank = match &self.recording {
            Recording::Ndjson { input, .. } => input.lines().blank(),
            Recording::Csv { rows, .. } => rows.blank(),
        };
        (self.bytes, blank)
    }

    /// What was rejected.
    pub(crate) fn rejects(&mut self) -> &mut Rejects {
        &mut self.rejects
    }
}

impl Clock {
    /// A record of the given time follows.
    fn pass(&mut self, time: Option<i128>) {
        match (self, time) {
            (Self::Even { records, .. }, _) => *records += 1,
            (Self::Recorded { before, passed }, Some(time)) => {
                // Backwards, as when the clocks are set back, takes no time.
                let gap = before.map_or(0, |before| time - before);
                *passed += u128::try_from(gap).unwrap_or(0);
                *before = Some(time);
            }
            (Self::Recorded { .. }, None) => {}
        }
    }
}

/// What a recording has next.
enum Found {
    /// A record with the number of its line, and its time or what is wrong with it.
    Record(u64, Checked),
    /// None.
    Nothing(Step),
}

/// The next line of NDJSON, put into `out`.
fn next_line(
    input: &mut Input<Source>,
    time: Option<&Field>,
    timeout: Duration,
    out: &mut Vec<u8>,
) -> anyhow::Result<Found> {
    Ok(match input.next(timeout)? {
        input::Next::Line(Line::Record(Record { line, bytes, .. })) => {
            out.extend_from_slice(&bytes);
            Found::Record(line, check_line(&bytes, time))
        }
        input::Next::Line(Line::TooLong(long)) => {
            let detail = format!(
                "the line has {} bytes, which is over --max-record",
                long.length
            );
            Found::Record(long.line, Err(Rejection::new(Reason::TooLong, detail)))
        }
        input::Next::Idle => Found::Nothing(Step::Idle),
        input::Next::End => Found::Nothing(Step::End),
        input::Next::Stopped(signal) => Found::Nothing(Step::Stopped(signal)),
    })
}

/// Whether a line is JSON, and its time.
fn check_line(line: &[u8], time: Option<&Field>) -> Checked {
    let Some(field) = time else {
        return match json::check(line) {
            Ok(_) => Ok(None),
            Err(error) => Err(Rejection::new(
                Reason::NotJson,
                format!("not JSON: {error}"),
            )),
        };
    };
    let text = field.scalar(line)?;
    read_time(&text, &field.to_string())
        .map(Some)
        .map_err(|wrong| wrong.at(field.pointer()))
}

/// The next row of CSV, put into `out` as an object. The first row is the header.
fn next_row(
    rows: &mut Rows<Source>,
    columns: &Columns,
    table: &mut Option<Table>,
    timeout: Duration,
    out: &mut Vec<u8>,
) -> anyhow::Result<Found> {
    loop {
        let found = rows.next(timeout)?;
        let (line, _) = rows.lines();
        return Ok(match (found, &*table) {
            (rows::Next::Row, None) => {
                *table = Some(Table::new(rows, columns)?);
                continue;
            }
            (rows::Next::TooLong, None) => return Err(HeaderError::TooLong(line).into()),
            (rows::Next::End, None) => return Err(HeaderError::Missing.into()),
            (rows::Next::Row, Some(table)) => {
                Found::Record(line, table.write(rows, columns.time.as_deref(), out))
            }
            (rows::Next::TooLong, Some(_)) => Found::Record(line, Err(too_long(rows))),
            (rows::Next::Idle, _) => Found::Nothing(Step::Idle),
            (rows::Next::End, Some(_)) => Found::Nothing(Step::End),
            (rows::Next::Stopped(signal), _) => Found::Nothing(Step::Stopped(signal)),
        });
    }
}

impl Table {
    /// From the header, which `rows` has found last.
    fn new(rows: &Rows<Source>, columns: &Columns) -> Result<Self, HeaderError> {
        let header = Header::read(rows, &columns.text)?;
        let time = match &columns.time {
            Some(name) => {
                let (line, _) = rows.lines();
                let place = header.place(name);
                Some(place.ok_or_else(|| header.no_column(line, name, "--time-field"))?)
            }
            None => None,
        };
        Ok(Self { header, time })
    }

    /// Writes the row that `rows` has found last as an object.
    fn write(&self, rows: &Rows<Source>, time: Option<&str>, out: &mut Vec<u8>) -> Checked {
        let columns = self.header.columns();
        let mut recorded = Ok(None);
        let form = |at: usize, cell: &str| {
            if let (Some(name), true) = (time, self.time == Some(at)) {
                recorded = read_time(cell, name).map(Some);
            }
            Looks::of(cell).forms(&columns[at])[0]
        };
        write_object(rows, &self.header, form, out)?;
        recorded
    }
}

/// The time of the record's field `name`.
fn read_time(text: &str, name: &str) -> Result<i128, Rejection> {
    moment::parse(text).ok_or_else(|| {
        let detail =
            format!("field '{name}' is '{text}', which is not a time that --time-field reads");
        Rejection::new(Reason::BadField, detail)
    })
}
