//! CSV with a header: each row becomes a JSON object, its cells typed as the schema wants their columns.

use std::io::Read;
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Result, bail};
use tapline_pipe::csv::header::{Header, HeaderError};
use tapline_pipe::csv::object::too_long;
use tapline_pipe::csv::rows::{Next, Rows};
use tapline_pipe::outcome::Ending;

use crate::cells::Cells;
use crate::judge::{Halt, Judge, Place};

/// What CSV files have in common.
#[derive(Debug)]
pub(crate) struct Tables<'a> {
    /// The columns that hold text.
    text: &'a [String],
    /// The header that was passed on, if any was: files that a filter passes on as one must have the same.
    header: Option<Vec<u8>>,
}

impl<'a> Tables<'a> {
    pub(crate) fn new(text: &'a [String]) -> Self {
        Tables { text, header: None }
    }

    /// Judges every row, until the input ends or a signal comes.
    pub(crate) fn check<R: Read + AsFd>(
        &mut self,
        rows: &mut Rows<R>,
        place: Place,
        judge: &mut Judge,
    ) -> Result<Ending> {
        let ending = self.check_rows(rows, place, judge);
        judge.summary.blank += rows.blank();
        ending
    }

    fn check_rows<R: Read + AsFd>(
        &mut self,
        rows: &mut Rows<R>,
        place: Place,
        judge: &mut Judge,
    ) -> Result<Ending> {
        let mut cells: Option<Cells> = None;
        let mut json = Vec::new();
        loop {
            // The clock is looked at only before the input may have to be waited for.
            let patience = if rows.has_buffered() {
                Duration::ZERO
            } else {
                judge.idle()?;
                judge.patience()
            };
            let next = rows.next(patience)?;
            let (line, _) = rows.lines();
            let place = Place { line, ..place };
            match (next, &mut cells) {
                (Next::Row, None) => {
                    cells = Some(Cells::new(Header::read(rows, self.text)?));
                    self.pass_header(rows.raw(), judge)?;
                }
                (Next::TooLong, None) => return Err(HeaderError::TooLong(line).into()),
                (Next::End, None) => return Err(HeaderError::Missing.into()),
                (Next::Row, Some(cells)) => check_row(rows, cells, &mut json, place, judge)?,
                (Next::TooLong, Some(_)) => judge.reject(place, &too_long(rows), None)?,
                (Next::Idle, _) => {}
                (Next::End, _) => return Ok(Ending::Complete),
                (Next::Stopped(signal), _) => return Ok(Ending::Signal(signal)),
            }
        }
    }

    fn pass_header(&mut self, header: &[u8], judge: &mut Judge) -> Result<()> {
        match &self.header {
            None => {
                judge.pass_on(header)?;
                self.header = Some(header.to_owned());
            }
            Some(first) if first != header && judge.is_filter() => {
                bail!("its header is not that of the CSV before it, and --pass makes one of them");
            }
            Some(_) => {}
        }
        Ok(())
    }
}

fn check_row<R: Read + AsFd>(
    rows: &Rows<R>,
    cells: &mut Cells,
    json: &mut Vec<u8>,
    place: Place,
    judge: &mut Judge,
) -> Result<(), Halt> {
    if let Err(rejection) = cells.write(rows, json) {
        return judge.reject(place, &rejection, Some(rows.raw()));
    }
    if !judge.validator().is_valid(json) {
        cells.write_as_wanted(rows, judge.validator(), json);
        return judge.record_as(place, json, rows.raw());
    }
    judge.pass(rows.raw())
}
