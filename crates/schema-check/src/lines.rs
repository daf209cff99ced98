//! NDJSON: a record on each line.

use std::io::Read;
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::Result;
use tapline_pipe::envelope::{Envelope, Value, seq_alone};
use tapline_pipe::io::input::{Input, Next};
use tapline_pipe::io::line::Line;
use tapline_pipe::outcome::Ending;

use tapline_pipe::reject::Rejection;

use crate::judge::{Halt, Judge, Place};

/// Judges every line, until the input ends or a signal comes.
pub(crate) fn check<R: Read + AsFd>(
    input: &mut Input<R>,
    envelopes: bool,
    place: Place,
    judge: &mut Judge,
) -> Result<Ending> {
    let mut blank = 0;
    let ending = loop {
        // The clock is looked at only before the input may have to be waited for.
        let patience = if input.has_buffered() {
            Duration::ZERO
        } else {
            judge.idle()?;
            judge.patience()
        };
        match input.next(patience)? {
            Next::Line(Line::Record(record)) => {
                let line = record.line;
                let place = Place { line, ..place };
                if envelopes {
                    check_envelope(place, &record.bytes, judge)?;
                } else {
                    judge.record(place, &record.bytes)?;
                }
            }
            Next::Line(Line::TooLong(long)) => {
                let line = long.line;
                judge.too_long(Place { line, ..place }, long)?;
            }
            Next::Idle => {}
            Next::End => break Ending::Complete,
            Next::Stopped(signal) => break Ending::Signal(signal),
        }
        let lines = input.lines().blank();
        judge.summary.blank += lines - blank;
        blank = lines;
    };
    judge.summary.blank += input.lines().blank() - blank;
    Ok(ending)
}

/// Judges the value of an envelope. What is left of one that is not valid is its seq.
fn check_envelope(place: Place, line: &[u8], judge: &mut Judge) -> Result<(), Halt> {
    if seq_alone(line).is_some() {
        return judge.pass_on(line);
    }
    let rejected = judge.summary.rejected;
    let seq = match Envelope::read(line) {
        Err(error) => {
            judge.reject(place, &Rejection::from(error), Some(line))?;
            None
        }
        Ok(envelope) => {
            match &envelope.value {
                Value::Tombstone => judge.pass(line)?,
                Value::Json(json) => judge.record_as(place, json, line)?,
                other => judge.record_as(place, other.bytes().unwrap_or_default(), line)?,
            }
            envelope.seq
        }
    };
    match seq {
        Some(seq) if judge.summary.rejected > rejected => {
            judge.pass_on(format!("{{\"seq\":{seq}}}").as_bytes())
        }
        _ => Ok(()),
    }
}
