//! A JSON document: one record over as many lines as it likes, held in memory whole.

use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;

use anyhow::Result;
use tapline_pipe::io::input::wait_readable;
use tapline_pipe::io::stop::Stop;
use tapline_pipe::outcome::Ending;
use tapline_pipe::reject::{Reason, Rejection};
use tapline_pipe::units::grouped;

use crate::judge::{Judge, Place};

/// How much one read asks for.
const BLOCK: usize = 256 * 1024;

/// Judges the one record that `source` is, unless it is longer than `limit` bytes.
pub(crate) fn check<R: Read + AsFd>(
    source: R,
    limit: usize,
    stop: &Stop,
    place: Place,
    judge: &mut Judge,
) -> Result<Ending> {
    let mut text = Vec::new();
    if !read(source, limit, stop, judge, &mut text)? {
        return Ok(stop.requested().map_or(Ending::Complete, Ending::Signal));
    }
    if text.len() > limit {
        let detail = format!(
            "a document of more than {} bytes is over --max-document",
            grouped(limit as u64)
        );
        judge.reject(place, &Rejection::new(Reason::TooLong, detail), None)?;
        return Ok(Ending::Complete);
    }
    // Its last line's end is no part of it: every record gets one on stdout.
    let text = text.strip_suffix(b"\n").unwrap_or(&text);
    judge.record(place, text)?;
    Ok(Ending::Complete)
}

/// Reads up to the end or just past the limit; false when a signal came first.
fn read<R: Read + AsFd>(
    mut source: R,
    limit: usize,
    stop: &Stop,
    judge: &mut Judge,
    text: &mut Vec<u8>,
) -> Result<bool> {
    while text.len() <= limit {
        if stop.requested().is_some() {
            return Ok(false);
        }
        judge.idle()?;
        if !wait_readable(source.as_fd(), stop, judge.patience())? {
            continue;
        }
        match read_block(&mut source, text) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// One read, which may give less than a block; 0 at the end.
fn read_block(source: &mut impl Read, text: &mut Vec<u8>) -> io::Result<usize> {
    let held = text.len();
    text.resize(held + BLOCK, 0);
    let read = source.read(&mut text[held..]);
    text.truncate(held + *read.as_ref().unwrap_or(&0));
    read
}
