//! A recording, record by record: NDJSON as it stands, CSV as objects, each with its time.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use anyhow::{Context, bail};
use tapline_pipe::csv::cell;
use tapline_pipe::csv::rows::{self, Rows};
use tapline_pipe::field::Field;
use tapline_pipe::io::input::{self, Input, Source};
use tapline_pipe::io::line::{Line, Record};
use tapline_pipe::io::stop::{Signal, Stop};
use tapline_pipe::json::{self, string::write_string};
use tapline_pipe::reject::{Reason, Rejection, Rejects};

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
        time: Option<String>,
        table: Option<Table>,
    },
}

/// What the header of a CSV recording makes of its rows.
#[derive(Debug)]
struct Table {
    /// Before each cell: `{"first":`, `,"second":`.
    before: Vec<Vec<u8>>,
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
    /// A recording with the name that messages call it, paced by `time` or else by `interval`.
    pub(crate) fn open(
        (name, source): (String, Source),
        form: Form,
        time: Option<&str>,
        interval: Duration,
        max_record: usize,
        stop: Stop,
        rejects: Rejects,
    ) -> anyhow::Result<Self> {
        let clock = match time {
            Some(_) => Clock::Recorded {
                before: None,
                passed: 0,
            },
            None => Clock::Even {
                interval: interval.as_nanos(),
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
                Recording::Csv {
                    rows,
                    time: time.map(str::to_owned),
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
            Recording::Csv { rows, time, table } => {
                next_row(rows, time.as_deref(), table, timeout, &mut self.line)
            }
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
    time: Option<&str>,
    table: &mut Option<Table>,
    timeout: Duration,
    out: &mut Vec<u8>,
) -> anyhow::Result<Found> {
    loop {
        let step = match rows.next(timeout)? {
            rows::Next::Row => None,
            rows::Next::TooLong if table.is_none() => {
                bail!("line 1: the header is over --max-record")
            }
            rows::Next::TooLong => {
                let (first, last) = rows.lines();
                let detail = format!("the row is over --max-record{}", spread(first, last));
                return Ok(Found::Record(
                    first,
                    Err(Rejection::new(Reason::TooLong, detail)),
                ));
            }
            rows::Next::Idle => Some(Step::Idle),
            rows::Next::End => Some(Step::End),
            rows::Next::Stopped(signal) => Some(Step::Stopped(signal)),
        };
        if let Some(step) = step {
            return Ok(Found::Nothing(step));
        }
        let Some(table) = &*table else {
            *table = Some(Table::new(rows, time)?);
            continue;
        };
        let (number, _) = rows.lines();
        return Ok(Found::Record(number, table.write(rows, time, out)));
    }
}

impl Table {
    /// From the header, which `rows` has found last.
    fn new<R: io::Read + std::os::fd::AsFd>(
        rows: &Rows<R>,
        time: Option<&str>,
    ) -> anyhow::Result<Self> {
        let (line, _) = rows.lines();
        let names: Result<Vec<&str>, _> = rows.cells().map(std::str::from_utf8).collect();
        let Ok(names) = names else {
            bail!("line {line}: the header is not UTF-8")
        };
        let mut seen = HashSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(**name)) {
            bail!("line {line}: the header has '{twice}' twice; an object can't");
        }
        let position = |time: &str| names.iter().position(|name| *name == time);
        let column = match time {
            Some(time) => Some(position(time).with_context(|| {
                format!(
                    "line {line}: the header has no column '{time}' (--time-field), but {}",
                    names.join(", ")
                )
            })?),
            None => None,
        };
        let before = names.iter().enumerate().map(|(at, name)| {
            let mut before = vec![if at == 0 { b'{' } else { b',' }];
            write_string(name, &mut before);
            before.push(b':');
            before
        });
        Ok(Self {
            before: before.collect(),
            time: column,
        })
    }

    /// Writes the row that `rows` has found last as an object.
    fn write<R: io::Read + std::os::fd::AsFd>(
        &self,
        rows: &Rows<R>,
        time: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Checked {
        let (first, last) = rows.lines();
        let bad = |detail: String| Rejection::new(Reason::BadRow, detail + &spread(first, last));
        let cells = rows.cells();
        if cells.len() != self.before.len() {
            return Err(bad(format!(
                "the row has {} cells, the header {}",
                cells.len(),
                self.before.len()
            )));
        }
        let mut recorded = None;
        for (at, (before, text)) in self.before.iter().zip(cells).enumerate() {
            let text = std::str::from_utf8(text)
                .map_err(|_| bad(format!("cell {} is not UTF-8", at + 1)))?;
            out.extend_from_slice(before);
            cell::write_value(text, out);
            if let (Some(name), true) = (time, self.time == Some(at)) {
                recorded = Some(read_time(text, name)?);
            }
        }
        out.push(b'}');
        Ok(recorded)
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

/// A hint for a row that goes over several lines.
fn spread(first: u64, last: u64) -> String {
    if first == last {
        String::new()
    } else {
        format!(" (it goes on to line {last}: is a quote not closed?)")
    }
}
