//! Judges record after record, and sends each where it belongs: valid ones to stdout in a filter, the
//! errors of the others to stdout in a report, rejects to their file. Keeps the counts.

use std::fs::File;
use std::time::{Duration, Instant};

use tapline_contract::validator::{Invalid, Validator, Violation};
use tapline_pipe::console::Console;
use tapline_pipe::io::line::TooLong;
use tapline_pipe::io::output::{Blocked, Output, OutputError};
use tapline_pipe::io::stop::{Deadline, Stop};
use tapline_pipe::outcome::{Ending, Summary, Words, per_second};
use tapline_pipe::printable::printable;
use tapline_pipe::progress::Progress;
use tapline_pipe::reject::{Reason, Rejection, Rejects};
use tapline_pipe::units::grouped;

/// The longest sleep while nothing is to be done.
const IDLE: Duration = Duration::from_secs(1);

/// How long a reader of stdout that takes nothing is waited for after a signal.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// So many records are judged before the clock is looked at for the progress line.
const BETWEEN_LOOKS: u32 = 4096;

/// What becomes of records.
#[derive(Debug)]
pub(crate) enum Duty {
    /// Valid ones to stdout.
    Pass(Rejects),
    /// The errors of the others to stdout, and they to a file if one was asked for.
    Report(Option<Rejects>),
}

/// Where a record stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The input's name, if inputs were named.
    pub(crate) file: Option<&'a str>,
    /// The input's name in any case.
    pub(crate) name: &'a str,
    /// The line that the record begins on, from 1.
    pub(crate) line: u64,
}

/// Judges records.
#[derive(Debug)]
pub(crate) struct Judge {
    validator: Validator,
    output: Output<File>,
    duty: Duty,
    strict: bool,
    console: Console,
    /// Records found valid; in a filter: and written.
    pub(crate) summary: Summary,
    /// Valid records that stand in the output's buffer, and their bytes.
    unwritten: (u64, u64),
    /// Until when a reader that takes nothing is waited for.
    deadline: Deadline,
    started: Instant,
    progress: Progress,
    unlooked: u32,
}

/// Why judging ends before the input does.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Halt {
    /// As the run is to end: `--strict`, or a signal that came while stdout was blocked.
    #[error("{0:?}")]
    Ending(Ending),
    /// Nothing more can be written to stdout.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Nothing more can be written to the file of rejects.
    #[error("--rejects {0}")]
    Rejects(std::io::Error),
}

impl Judge {
    pub(crate) fn new(
        validator: Validator,
        output: Output<File>,
        duty: Duty,
        strict: bool,
        stop: Stop,
        console: Console,
    ) -> Judge {
        let now = Instant::now();
        Judge {
            validator,
            output,
            duty,
            strict,
            summary: Summary::new(console.tool(), Words::Valid),
            console,
            unwritten: (0, 0),
            deadline: Deadline::new(stop, GRACE),
            started: now,
            progress: Progress::new(now),
            unlooked: 0,
        }
    }

    /// Judges a record whose JSON text is as it stands in the input.
    pub(crate) fn record(&mut self, place: Place, record: &[u8]) -> Result<(), Halt> {
        self.record_as(place, record, record)
    }

    /// Judges a record by its JSON text `json`; `record` is how it stands in the input.
    pub(crate) fn record_as(
        &mut self,
        place: Place,
        json: &[u8],
        record: &[u8],
    ) -> Result<(), Halt> {
        self.read(record.len() as u64);
        match self.validator.check(json) {
            Ok(()) => self.valid(record),
            Err(invalid) => self.invalid(place, json, record, invalid),
        }
    }

    /// A record that is known to be valid, or that there is nothing to ask the schema of.
    pub(crate) fn pass(&mut self, record: &[u8]) -> Result<(), Halt> {
        self.read(record.len() as u64);
        self.valid(record)
    }

    /// What a record is checked with.
    pub(crate) fn validator(&mut self) -> &mut Validator {
        &mut self.validator
    }

    /// A record is wrong before the schema is asked. `None`: it was too long to be kept.
    pub(crate) fn reject(
        &mut self,
        place: Place,
        rejection: &Rejection,
        record: Option<&[u8]>,
    ) -> Result<(), Halt> {
        self.read(record.map_or(0, <[u8]>::len) as u64);
        if let Duty::Report(_) = self.duty {
            let Place { name, line, .. } = place;
            self.tell(&format!("{name}:{line}: {}", rejection.detail))?;
        }
        self.rejected(place, rejection, record)
    }

    /// A line was too long to be kept.
    pub(crate) fn too_long(&mut self, place: Place, long: TooLong) -> Result<(), Halt> {
        let detail = format!(
            "a line of {} bytes is over --max-record",
            grouped(long.length)
        );
        self.reject(place, &Rejection::new(Reason::TooLong, detail), None)
    }

    /// Whether valid records are passed on.
    pub(crate) fn is_filter(&self) -> bool {
        matches!(self.duty, Duty::Pass(_))
    }

    /// In a filter: passes a line on that is no record, such as a header.
    pub(crate) fn pass_on(&mut self, line: &[u8]) -> Result<(), Halt> {
        match self.duty {
            Duty::Pass(_) => self.write(line),
            Duty::Report(_) => Ok(()),
        }
    }

    /// How long the next record may be waited for before [`idle`](Self::idle) is due.
    pub(crate) fn patience(&self) -> Duration {
        self.output.flush_in().unwrap_or(IDLE)
    }

    /// Nothing is at hand: what waits is written out when it is time.
    pub(crate) fn idle(&mut self) -> Result<(), Halt> {
        if self.output.is_due() {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes out what waits, and the rejects with it.
    pub(crate) fn flush(&mut self) -> Result<(), Halt> {
        self.flush_output()?;
        match &mut self.duty {
            Duty::Pass(rejects) | Duty::Report(Some(rejects)) => {
                rejects.flush().map_err(Halt::Rejects)
            }
            Duty::Report(None) => Ok(()),
        }
    }

    /// The end of all inputs: writes out what waits and counts what could not be written as not read.
    pub(crate) fn finish(&mut self) -> Result<(), Halt> {
        let flushed = self.flush();
        self.console.wipe_progress();
        let finished = match &mut self.duty {
            Duty::Pass(rejects) | Duty::Report(Some(rejects)) => {
                rejects.finish().map_err(Halt::Rejects)
            }
            Duty::Report(None) => Ok(()),
        };
        self.summary.seconds = self.started.elapsed();
        flushed.and(finished)
    }

    fn read(&mut self, bytes: u64) {
        self.summary.read += 1;
        self.summary.bytes += bytes;
        self.unlooked += 1;
        if self.unlooked >= BETWEEN_LOOKS {
            self.unlooked = 0;
            self.show_progress();
        }
    }

    fn valid(&mut self, record: &[u8]) -> Result<(), Halt> {
        if let Duty::Report(_) = self.duty {
            self.summary.delivered += 1;
            return Ok(());
        }
        self.unwritten.0 += 1;
        self.unwritten.1 += record.len() as u64;
        self.write(record)
    }

    #[cold]
    fn invalid(
        &mut self,
        place: Place,
        json: &[u8],
        record: &[u8],
        invalid: Invalid,
    ) -> Result<(), Halt> {
        if let Duty::Report(_) = self.duty {
            self.report(place, json, &invalid)?;
        }
        self.rejected(place, &Rejection::from(invalid), Some(record))
    }

    /// A line on stdout for each error.
    fn report(&mut self, place: Place, json: &[u8], invalid: &Invalid) -> Result<(), Halt> {
        let Place { name, line, .. } = place;
        match invalid {
            Invalid::NotJson(error) => {
                let line = line + error.line as u64 - 1;
                let column = error.column;
                let wrong = error.wrong;
                self.tell(&format!(
                    "{name}:{line}: not JSON: {wrong} at column {column}"
                ))
            }
            Invalid::Violations(violations) => {
                let mut lines = Lines::of(json, line);
                for violation in &violations.list {
                    let line = lines.line_of(violation);
                    self.tell(&format!("{name}:{line}: {violation}"))?;
                }
                if violations.more > 0 {
                    let more = grouped(violations.more as u64);
                    self.tell(&format!("{name}:{line}: {more} more errors"))?;
                }
                if violations.too_many {
                    self.tell(&format!("{name}:{line}: more errors, too many to list"))?;
                }
                Ok(())
            }
        }
    }

    fn tell(&mut self, line: &str) -> Result<(), Halt> {
        self.write(printable(line).as_bytes())
    }

    fn rejected(
        &mut self,
        place: Place,
        rejection: &Rejection,
        record: Option<&[u8]>,
    ) -> Result<(), Halt> {
        self.summary.rejected += 1;
        if let Duty::Pass(rejects) | Duty::Report(Some(rejects)) = &mut self.duty {
            rejects
                .reject(place.file, place.line, rejection, record)
                .map_err(Halt::Rejects)?;
        }
        if self.strict {
            return Err(Halt::Ending(Ending::Strict));
        }
        Ok(())
    }

    fn write(&mut self, line: &[u8]) -> Result<(), Halt> {
        self.output.push(|out| out.extend_from_slice(line));
        if self.output.is_full() {
            self.flush_output()?;
        }
        Ok(())
    }

    fn flush_output(&mut self) -> Result<(), Halt> {
        let deadline = &mut self.deadline;
        let mut ended_by = None;
        let written: Result<bool, OutputError> = self.output.flush_unless(|| {
            ended_by = deadline.passed();
            Ok(match ended_by {
                Some(_) => Blocked::GiveUp,
                None => Blocked::Wait,
            })
        });
        let (records, bytes) = std::mem::take(&mut self.unwritten);
        if let Ok(true) = written {
            self.summary.delivered += records;
            return Ok(());
        }
        // Some of it may have arrived; what is not known to be handled counts as not read.
        self.summary.read -= records;
        self.summary.bytes -= bytes;
        written?;
        let signal = ended_by.expect("only a signal gives up");
        if records == 0 {
            return Err(Halt::Ending(Ending::Signal(signal)));
        }
        let lost = grouped(records);
        self.console.warn(format_args!(
            "stdout: its reader takes nothing: {lost} valid records at the end were not written"
        ));
        Err(Halt::Ending(Ending::Signal(signal)))
    }

    #[cold]
    fn show_progress(&mut self) {
        let summary = &self.summary;
        self.progress.show(&self.console, |elapsed| {
            let rate = grouped(per_second(summary.read, elapsed));
            format!("{} ({rate}/s)", summary.counts())
        });
    }
}

/// Finds the lines of one record's errors, which come in the order of their places.
struct Lines<'a> {
    json: &'a [u8],
    /// Up to here the line ends were counted.
    counted: usize,
    first: u64,
    line: u64,
}

impl<'a> Lines<'a> {
    fn of(json: &'a [u8], first: u64) -> Self {
        Lines {
            json,
            counted: 0,
            first,
            line: first,
        }
    }

    fn line_of(&mut self, violation: &Violation) -> u64 {
        let Some(offset) = violation.offset else {
            return self.first;
        };
        let passed = &self.json[self.counted..offset.max(self.counted)];
        self.line += memchr::memchr_iter(b'\n', passed).count() as u64;
        self.counted = self.counted.max(offset);
        self.line
    }
}
