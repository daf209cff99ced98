//! NDJSON: a record on each line.

use std::io::Read;
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::Result;
use tapline_pipe::io::input::{Input, Next};
use tapline_pipe::io::line::Line;
use tapline_pipe::outcome::Ending;

use crate::judge::{Judge, Place};

/// Judges every line, until the input ends or a signal comes.
pub(crate) fn check<R: Read + AsFd>(
    input: &mut Input<R>,
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
                judge.record(Place { line, ..place }, &record.bytes)?;
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
