//! What becomes of settled records, in the order of the input: counted, teed, reported, rejected, acknowledged.

use std::io::{self, Write};

use bytes::Bytes;

use super::{Fatal, Plan, Verdict, spool::Spool};
use crate::{
    acks::AckWriter,
    checkpoint::{Checkpoint, Place},
    io::output::{Output, OutputError},
    outcome::Summary,
    reject::{Reason, Rejection, Rejects},
    report::Report,
};

/// A record that was read.
pub(super) struct Entry {
    pub(super) line: u64,
    /// Where the input goes on behind it.
    pub(super) end: u64,
    pub(super) seq: Option<u64>,
    /// `None` for a line that was too long to be kept.
    pub(super) bytes: Option<Bytes>,
}

/// How an entry was settled: with its receipt, if there is a report, or why it is not delivered.
pub(super) type Outcome = Result<Option<Box<str>>, Rejection>;

/// Why nothing more is read, though the input goes on.
pub(super) enum Trouble {
    /// The reader of stdout went away.
    ReaderGone,
    /// An output that can't go on, or a record that others rest on is not delivered.
    Failed(Fatal),
}

/// The books of a run.
pub(super) struct Account<W> {
    pub(super) summary: Summary,
    rejects: Rejects,
    pub(super) tee: Option<Output<W>>,
    acks: Option<AckWriter>,
    checkpoint: Option<Checkpoint>,
    report: Option<Report>,
    /// With transactions: what was settled well and waits for the verdict.
    spool: Option<Spool>,
    /// Up to where all is dealt with, and not yet told.
    reached: (Option<u64>, Option<Place>),
    /// Whether all that was taken down is delivered or rejected for good. Once something is neither, nothing
    /// behind it may be acknowledged or left out of a next run.
    vouching: bool,
    /// The run ends already: what is not delivered now is no reason of its own to end it.
    pub(super) ending: bool,
    pub(super) trouble: Option<Trouble>,
}

impl<W: Write> Account<W> {
    pub(super) fn open(
        tool: &'static str,
        plan: Plan<W>,
        transactional: bool,
    ) -> Result<Self, Fatal> {
        let spool = transactional.then(Spool::open).transpose();
        Ok(Self {
            summary: Summary::new(tool),
            rejects: plan.rejects,
            tee: plan.tee,
            acks: plan.acks,
            checkpoint: plan.checkpoint,
            report: plan.report,
            spool: spool.map_err(|error| spool_error(&error))?,
            reached: (None, None),
            vouching: true,
            ending: false,
            trouble: None,
        })
    }

    /// Where the run begins.
    pub(super) fn start(&self) -> Place {
        let start = self.checkpoint.as_ref().map(Checkpoint::start);
        start.unwrap_or_default()
    }

    /// Whether receipts are wanted.
    pub(super) fn is_reporting(&self) -> bool {
        self.report.is_some()
    }

    /// Takes a settled entry down.
    pub(super) fn take(&mut self, entry: &Entry, outcome: Outcome) -> Result<(), Fatal> {
        let record = entry.bytes.as_deref();
        match (outcome, &mut self.spool) {
            (Ok(receipt), Some(spool)) => spool
                .push(entry.line, record.unwrap_or_default(), receipt.as_deref())
                .map_err(|error| spool_error(&error))?,
            (Ok(receipt), None) => {
                self.deliver(entry.line, record.unwrap_or_default(), receipt.as_deref())?;
            }
            (Err(rejection), _) => self.reject(entry.line, &rejection, record)?,
        }
        if self.vouching {
            let place = Place {
                position: entry.end,
                line: entry.line,
            };
            self.reached = (entry.seq.or(self.reached.0), Some(place));
        }
        Ok(())
    }

    fn deliver(&mut self, line: u64, record: &[u8], receipt: Option<&str>) -> Result<(), Fatal> {
        self.summary.delivered += 1;
        if let (Some(report), Some(receipt)) = (&mut self.report, receipt) {
            report.delivered(line, receipt)?;
        }
        if let Some(tee) = &mut self.tee {
            let written = tee.line(record);
            self.notice_reader(written);
        }
        Ok(())
    }

    fn reject(
        &mut self,
        line: u64,
        rejection: &Rejection,
        record: Option<&[u8]>,
    ) -> Result<(), Fatal> {
        self.summary.rejected += 1;
        self.rejects.reject(None, line, rejection, record)?;
        if let Some(report) = &mut self.report {
            report.rejected(line, rejection)?;
        }
        if rejection.reason == Reason::NotDelivered {
            self.stop_vouching(line);
        }
        Ok(())
    }

    /// The transaction of all that was settled well since the last verdict has ended.
    pub(super) fn conclude(&mut self, verdict: &Verdict) -> Result<(), Fatal> {
        let Some(mut spool) = self.spool.take() else {
            return Ok(());
        };
        let result = match verdict {
            Verdict::Committed => spool.drain(|line, record, receipt| {
                self.deliver(line, record, Some(receipt).filter(|text| !text.is_empty()))
            }),
            Verdict::Aborted(why) => {
                let rejection = Rejection::new(
                    Reason::NotDelivered,
                    format!("its transaction was aborted: {why}"),
                );
                spool.drain(|line, record, _| self.reject(line, &rejection, Some(record)))
            }
        };
        self.spool = Some(spool);
        if let Verdict::Aborted(_) = verdict {
            self.vouching = false;
            self.reached = (None, None);
        }
        result
    }

    /// A record was neither delivered nor rejected for good. Whoever waits for acks, or wants to go on from a
    /// checkpoint, waits in vain from here on, so the run ends.
    fn stop_vouching(&mut self, line: u64) {
        let asked = self.acks.is_some() || self.checkpoint.is_some();
        if asked && self.vouching && !self.ending && self.trouble.is_none() {
            let why = "was not delivered, so nothing behind it can be acknowledged";
            self.trouble = Some(Trouble::Failed(format!("line {line} {why}").into()));
        }
        self.vouching = false;
    }

    /// Tells whom it may concern up to where all is dealt with; with transactions only behind a verdict.
    pub(super) fn vouch(&mut self) -> Result<(), Fatal> {
        let (seq, place) = std::mem::take(&mut self.reached);
        if let (Some(seq), Some(acks)) = (seq, &mut self.acks) {
            // An ack says that the record is safe, and a reject is part of that.
            self.rejects.flush()?;
            acks.settled(seq)
                .map_err(|error| format!("acks can't be written: {error}"))?;
        }
        if let (Some(place), Some(checkpoint)) = (place, &mut self.checkpoint) {
            self.rejects.flush()?;
            if let Some(report) = &mut self.report {
                report.flush()?;
            }
            checkpoint.reached(place)?;
        }
        Ok(())
    }

    /// Writes the tee out if it is time to: at once where somebody is told that its records are dealt with.
    pub(super) fn flush(&mut self) {
        self.flush_tee(self.acks.is_some() || self.checkpoint.is_some());
    }

    fn flush_tee(&mut self, now: bool) {
        if let Some(tee) = &mut self.tee {
            let flushed = if now {
                tee.flush()
            } else {
                tee.flush_if_due().map(drop)
            };
            self.notice_reader(flushed);
        }
    }

    /// Nothing can be written to stdout any more: reading stops, and what was read is still delivered.
    fn notice_reader(&mut self, written: Result<(), OutputError>) {
        self.trouble = Some(match written {
            Ok(()) => return,
            Err(OutputError::ReaderGone) => Trouble::ReaderGone,
            Err(error) => Trouble::Failed(error.into()),
        });
        self.tee = None;
        // What was not written is not handled, so it is not acknowledged.
        self.acks = None;
        self.checkpoint = None;
    }

    /// Writes out all that is buffered.
    pub(super) fn finish(&mut self) -> Result<(), Fatal> {
        self.flush_tee(true);
        self.rejects.finish()?;
        if let Some(report) = &mut self.report {
            report.flush()?;
        }
        match &mut self.checkpoint {
            Some(checkpoint) => Ok(checkpoint.keep()?),
            None => Ok(()),
        }
    }
}

fn spool_error(error: &io::Error) -> Fatal {
    format!("the temporary file for the records of a transaction: {error}").into()
}
