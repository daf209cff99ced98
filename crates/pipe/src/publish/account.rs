//! What becomes of settled records, in the order of the input: counted, teed, reported, rejected, acknowledged.

use std::{
    collections::VecDeque,
    io::{self, Write},
    os::fd::AsFd,
    thread,
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use super::{
    Fatal, Plan, Verdict,
    spool::{Spool, Waiting},
    tee::{Patience, Tee},
};
use crate::{
    acks::AckWriter,
    checkpoint::{Checkpoint, Place},
    io::{
        journal::Journal,
        output::OutputError,
        stop::{Deadline, Stop},
    },
    outcome::{Summary, Words},
    reject::{Reason, Rejection, Rejects},
    report::{Report, undelivered},
};

/// A record that was read.
pub(super) struct Entry {
    pub(super) line: u64,
    /// Where the input goes on behind it.
    pub(super) end: u64,
    pub(super) seq: Option<u64>,
    /// It holds nothing but its seq, so it is settled and not counted.
    pub(super) alone: bool,
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

/// How often it is looked what the reader of the tee has taken, where somebody waits for that.
const LOOK: Duration = Duration::from_millis(20);

/// Up to here all is dealt with, once the reader of the tee has taken its bytes up to `teed`.
struct Mark {
    teed: u64,
    seq: Option<u64>,
    place: Option<Place>,
}

/// The books of a run. Each record is counted once, whatever becomes of the files that should tell of it: what goes
/// wrong with them is [`trouble`](Self::trouble), and from then on nothing is vouched for.
pub(super) struct Account<W> {
    pub(super) summary: Summary,
    rejects: Rejects,
    tee: Option<Tee<W>>,
    acks: Option<AckWriter>,
    checkpoint: Option<Checkpoint>,
    report: Option<Report>,
    /// With transactions: what was settled well and waits for the verdict.
    spool: Option<Spool>,
    /// Up to where all is dealt with, since the last mark.
    reached: (Option<u64>, Option<Place>),
    /// The same, not yet told.
    marks: VecDeque<Mark>,
    /// Whether all that was taken down is delivered or rejected for good. Once something is neither, nothing
    /// behind it may be acknowledged or left out of a next run.
    vouching: bool,
    /// The run ends already: what is not delivered now is no reason of its own to end it.
    pub(super) ending: bool,
    pub(super) trouble: Option<Trouble>,
    started: SystemTime,
    /// When the drain that a signal asks for is over.
    pub(super) drain: Deadline,
}

impl<W: Write + AsFd> Account<W> {
    pub(super) fn open(
        tool: &'static str,
        plan: Plan<W>,
        stop: Stop,
        transactional: bool,
    ) -> Result<Self, Fatal> {
        let spool = transactional.then(Spool::open).transpose();
        Ok(Self {
            summary: Summary::new(tool, Words::Delivered),
            rejects: plan.rejects,
            tee: plan.tee.map(Tee::new),
            acks: plan.acks,
            checkpoint: plan.checkpoint,
            report: plan.report,
            spool: spool.map_err(|error| spool_error(&error))?,
            reached: (None, None),
            marks: VecDeque::new(),
            vouching: true,
            ending: false,
            trouble: None,
            started: plan.started,
            drain: Deadline::new(stop, plan.drain_timeout),
        })
    }

    /// The run begins with the next record.
    pub(super) fn begin(&mut self) -> Result<(), Fatal> {
        let (tool, after) = (self.summary.tool, self.start().line);
        if let Some(report) = &mut self.report {
            report.begin(tool, self.started, "stdin", after)?;
        }
        Ok(())
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
    pub(super) fn take(&mut self, entry: &Entry, outcome: Outcome) {
        let record = entry.bytes.as_deref();
        match (outcome, &mut self.spool) {
            // The next stage behind a tee acknowledges it, too; a transaction has nothing of it.
            (Ok(_), None) if entry.alone => self.tee(record.unwrap_or_default()),
            (Ok(_), Some(_)) if entry.alone => {}
            (Ok(receipt), Some(spool)) => {
                let (record, receipt) = (record.unwrap_or_default(), receipt.unwrap_or_default());
                let pushed = spool.push(Waiting::Record(entry.line, record, &receipt));
                self.note_spool(pushed);
            }
            (Ok(receipt), None) => {
                self.deliver(entry.line, record.unwrap_or_default(), receipt.as_deref());
            }
            (Err(rejection), _) => self.reject(entry.line, &rejection, record),
        }
        if self.vouching {
            let place = Place {
                position: entry.end,
                line: entry.line,
            };
            self.reached = (entry.seq.or(self.reached.0), Some(place));
            // A transaction is marked as a whole, once it is committed.
            if self.tee.is_some() && self.spool.is_none() && self.is_asked() {
                self.mark();
            }
        }
    }

    fn deliver(&mut self, line: u64, record: &[u8], receipt: Option<&str>) {
        self.summary.delivered += 1;
        if let (Some(report), Some(receipt)) = (&mut self.report, receipt) {
            let written = report.delivered(line, receipt);
            self.note(written);
        }
        self.tee(record);
    }

    fn tee(&mut self, record: &[u8]) {
        if let Some(tee) = &mut self.tee {
            tee.push(record);
        }
    }

    fn reject(&mut self, line: u64, rejection: &Rejection, record: Option<&[u8]>) {
        self.summary.rejected += 1;
        let written = self.rejects.reject(None, line, rejection, record);
        self.note(written);
        if self.report.is_some() {
            self.report_rejected(line, rejection);
        }
        if rejection.reason == Reason::NotDelivered {
            self.stop_vouching(line);
        }
    }

    /// Reports in the order of the input: behind what waits for its transaction.
    fn report_rejected(&mut self, line: u64, rejection: &Rejection) {
        match (&mut self.spool, &mut self.report) {
            (Some(spool), _) if !spool.is_empty() => {
                let pushed = spool.push(Waiting::Entry(&undelivered(line, rejection)));
                self.note_spool(pushed);
            }
            (_, Some(report)) => {
                let written = report.rejected(line, rejection);
                self.note(written);
            }
            _ => {}
        }
    }

    /// The transaction of all that was settled well since the last verdict has ended.
    pub(super) fn conclude(&mut self, verdict: &Verdict) {
        // While it is taken out nothing waits in it.
        let Some(mut spool) = self.spool.take() else {
            return;
        };
        let aborted = match verdict {
            Verdict::Committed => None,
            Verdict::Aborted(why) => Some(Rejection::new(
                Reason::NotDelivered,
                format!("its transaction was aborted: {why}"),
            )),
        };
        let drained = spool.drain(|what| match (what, &aborted) {
            (Waiting::Record(line, record, receipt), None) => {
                self.deliver(line, record, Some(receipt).filter(|text| !text.is_empty()));
                // Nothing is under way meanwhile, and it may be as much as the input.
                self.make_room();
            }
            (Waiting::Record(line, record, _), Some(rejection)) => {
                self.reject(line, rejection, Some(record));
            }
            (Waiting::Entry(entry), _) => {
                if let Some(report) = &mut self.report {
                    let written = report.entry(entry);
                    self.note(written);
                }
            }
        });
        if let Err((left, error)) = drained {
            match aborted {
                None => self.summary.delivered += left,
                Some(_) => self.summary.rejected += left,
            }
            self.note_spool(Err(error));
        }
        self.spool = Some(spool);
        if let Verdict::Aborted(_) = verdict {
            self.vouch_no_more();
        }
    }

    /// A file that should tell of records can't be written. Reading stops; what was read is still delivered.
    fn note(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.fail(error.into());
        }
    }

    fn note_spool(&mut self, pushed: io::Result<()>) {
        if let Err(error) = pushed {
            self.fail(spool_error(&error));
        }
    }

    fn fail(&mut self, error: Fatal) {
        if !matches!(self.trouble, Some(Trouble::Failed(_))) {
            self.trouble = Some(Trouble::Failed(error));
        }
        self.marks.clear();
        self.vouch_no_more();
    }

    /// Nothing that was not vouched for may be from here on.
    fn vouch_no_more(&mut self) {
        self.vouching = false;
        self.reached = (None, None);
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

    /// Tells whom it may concern up to where all is dealt with; with transactions only behind a verdict. What vouches
    /// comes last: the reader of the tee has taken its lines, and rejects and report are durable. They are synced after
    /// some time for many records together, or `now`.
    pub(super) fn vouch(&mut self, now: bool) {
        if !self.is_asked() {
            return;
        }
        self.mark();
        let taken = self.tee.as_mut().map_or(u64::MAX, Tee::taken);
        let ready = self.marks.partition_point(|mark| mark.teed <= taken);
        if ready == 0 || (!now && self.sync_in().is_some_and(|left| !left.is_zero())) {
            return;
        }
        if let Err(error) = self.sync() {
            return self.fail(error.into());
        }
        let Some(Mark { seq, place, .. }) = self.marks.drain(..ready).next_back() else {
            return;
        };
        if let (Some(seq), Some(acks)) = (seq, &mut self.acks)
            && let Err(error) = acks.settled(seq)
        {
            return self.fail(format!("acks can't be written: {error}").into());
        }
        if let (Some(place), Some(checkpoint)) = (place, &mut self.checkpoint) {
            let kept = checkpoint.reached(place);
            self.note(kept);
        }
    }

    /// Puts what is reached behind what was teed.
    fn mark(&mut self) {
        let (seq, place) = std::mem::take(&mut self.reached);
        if (seq, place) == (None, None) {
            return;
        }
        let teed = self.tee.as_ref().map_or(0, Tee::position);
        // Each mark stands for all before it.
        let seq = seq.or_else(|| self.marks.back().and_then(|mark| mark.seq));
        self.marks.pop_back_if(|mark| mark.teed == teed);
        self.marks.push_back(Mark { teed, seq, place });
    }

    /// Whether somebody rests on what is vouched for.
    fn is_asked(&self) -> bool {
        self.acks.is_some() || self.checkpoint.is_some()
    }

    fn sync(&mut self) -> io::Result<()> {
        self.rejects.sync()?;
        self.report.as_mut().map_or(Ok(()), Report::sync)
    }

    /// How long until rejects and report are to be synced; `None` if they are durable.
    fn sync_in(&self) -> Option<Duration> {
        self.journals().filter_map(Journal::sync_in).min()
    }

    fn journals(&self) -> impl Iterator<Item = &Journal> {
        let report = self.report.as_ref().map(Report::journal);
        self.rejects.journal().into_iter().chain(report)
    }

    /// How long until something that was put off must be done.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let tee = self.tee.as_ref().and_then(Tee::flush_in);
        let written = self.journals().filter_map(Journal::flush_in).min();
        // A reader doesn't tell when it takes something.
        let looked = (!self.marks.is_empty() || tee == Some(Duration::ZERO)).then_some(LOOK);
        [tee.filter(|left| !left.is_zero()), written, looked]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether the reader of the tee has to take something before more is settled.
    pub(super) fn is_held_up(&self) -> bool {
        self.tee.as_ref().is_some_and(Tee::is_full)
    }

    /// Writes out what is due: the tee at once where somebody is told that its records are dealt with.
    pub(super) fn flush(&mut self) {
        if self.is_held_up() {
            self.flush_tee(Patience::Short);
        } else if self.is_asked() || self.tee_is_due() {
            self.flush_tee(Patience::None);
        }
        if self.rejects.journal().is_some_and(is_due) {
            let written = self.rejects.flush();
            self.note(written);
        }
        if let Some(report) = &mut self.report
            && is_due(report.journal())
        {
            let written = report.flush();
            self.note(written);
        }
    }

    fn tee_is_due(&self) -> bool {
        let left = self.tee.as_ref().and_then(Tee::flush_in);
        left.is_some_and(|left| left.is_zero())
    }

    fn flush_tee(&mut self, patience: Patience) {
        if let Some(tee) = &mut self.tee {
            let flushed = tee.flush(patience, &mut self.drain);
            self.notice_reader(flushed.map(drop));
        }
    }

    /// Waits until the reader of the tee has made room for more, as long as the drain may take; then without it.
    pub(super) fn make_room(&mut self) {
        if !self.is_held_up() {
            return;
        }
        self.flush_tee(Patience::Long);
        if let Some(tee) = &mut self.tee
            && tee.is_full()
        {
            tee.close();
            self.mark();
            self.vouch_no_more();
        }
    }

    /// Nothing can be written to stdout any more: reading stops, and what was read is still delivered.
    fn notice_reader(&mut self, written: Result<(), OutputError>) {
        match written {
            Ok(()) => {}
            Err(OutputError::ReaderGone) => {
                self.trouble.get_or_insert(Trouble::ReaderGone);
                // What was not written is not handled, so it is not acknowledged.
                self.vouch_no_more();
            }
            Err(error) => self.fail(error.into()),
        }
    }

    /// Looks whether the reader of the tee has left while there is nothing to be written to it.
    pub(super) fn look_at_reader(&mut self) {
        if self.tee.as_mut().is_some_and(Tee::is_reader_gone) {
            self.notice_reader(Err(OutputError::ReaderGone));
        }
    }

    /// Waits until the reader of the tee has taken what somebody waits for, as long as the drain may take.
    fn await_reader(&mut self) {
        if !self.is_asked() {
            return;
        }
        self.mark();
        let (Some(tee), Some(last)) = (&mut self.tee, self.marks.back()) else {
            return;
        };
        while tee.taken() < last.teed && !tee.is_reader_gone() && self.drain.passed().is_none() {
            thread::sleep(LOOK);
        }
    }

    /// Whether delivered lines were not written to the tee, for want of a reader who takes them.
    pub(super) fn has_left(&self) -> bool {
        self.tee.as_ref().is_some_and(Tee::has_left)
    }

    /// The input was read to its end: if all of it is settled, and taken by the reader of the tee, the tap may know, also of
    /// what a filter has dropped.
    pub(super) fn vouch_for_all(&mut self) -> Result<(), Fatal> {
        match &mut self.acks {
            Some(acks) if self.vouching && self.marks.is_empty() => acks
                .end()
                .map_err(|error| format!("acks can't be written: {error}").into()),
            _ => Ok(()),
        }
    }

    /// Writes out all that is buffered and makes it durable.
    pub(super) fn finish(&mut self) -> Result<(), Fatal> {
        self.flush_tee(Patience::Long);
        self.await_reader();
        self.vouch(true);
        let rejects = self.rejects.finish();
        let report = self.report.as_mut().map_or(Ok(()), Report::sync);
        // What was vouched for stays so, whatever became of the files since.
        let kept = self.checkpoint.as_mut().map_or(Ok(()), Checkpoint::keep);
        Ok(rejects.and(report).and(kept)?)
    }
}

fn is_due(journal: &Journal) -> bool {
    journal.flush_in() == Some(Duration::ZERO)
}

fn spool_error(error: &io::Error) -> Fatal {
    format!("the temporary file for the records of a transaction: {error}").into()
}
