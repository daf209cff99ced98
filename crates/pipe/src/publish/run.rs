//! The run itself: reading, offering, settling, draining.

use std::{
    io::{Read, Write},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{Fatal, Outgoing, Plan, Publisher, SendError, Settled};
use crate::{
    checkpoint::Place,
    console::Console,
    envelope::Envelope,
    input::{Input, Next},
    ledger::{Ledger, Ticket},
    line::Line,
    outcome::{Ending, Summary, per_second},
    output::{Output, OutputError},
    pace::Pace,
    reject::{Reason, Rejection},
    units::grouped,
};

/// Entries and bytes that are kept at most until they are settled and taken off.
const MOST_ENTRIES: usize = 200_000;
const MOST_BYTES: usize = 32 << 20;

/// So many records are handed over before the client is given a chance to settle some.
const BETWEEN_POLLS: u32 = 512;

/// The longest sleep while something is in flight or the client is full.
const NAP: Duration = Duration::from_millis(20);

/// The longest sleep while nothing is.
const IDLE: Duration = Duration::from_secs(1);

/// Publishes the whole input and says how it went: the counts hold also when it ended with an error.
pub fn run<P: Publisher, R: Read + AsFd, W: Write>(
    publisher: &mut P,
    input: &mut Input<R>,
    plan: Plan<W>,
    console: &Console,
) -> (Summary, Result<Ending, Fatal>) {
    let started = Instant::now();
    let mut run = Run {
        pace: plan.rate.map(|rate| Pace::new(rate, started)),
        summary: Summary::new(console.tool()),
        publisher,
        input,
        plan,
        console,
        ledger: Ledger::default(),
        held: 0,
        settled: Vec::new(),
        ending: Ending::Complete,
        deadline: None,
        failed: None,
        vouching: true,
        progress: Progress {
            started,
            shown: started,
        },
    };
    let result = run.go_on().and_then(|()| run.read());
    let result = result.and_then(|()| run.drain());
    if let Err(error) = &result {
        run.give_up(&format!("not acknowledged when the run ended: {error}"));
    }
    let finished = run.finish();
    let failed = run.failed.take().map_or(Ok(()), Err);
    run.summary.blank = run.input.lines().blank();
    run.summary.seconds = started.elapsed();
    let ending = run.ending;
    (
        run.summary,
        result.and(failed).and(finished).map(|()| ending),
    )
}

/// An entry of the ledger.
struct Entry {
    line: u64,
    /// Where the input goes on behind it.
    end: u64,
    seq: Option<u64>,
    /// `None` for a line that was too long to be kept.
    bytes: Option<Bytes>,
}

struct Run<'a, P: Publisher, R, W> {
    publisher: &'a mut P,
    input: &'a mut Input<R>,
    plan: Plan<W>,
    console: &'a Console,
    ledger: Ledger<Entry, Result<(), Rejection>>,
    /// Bytes of the records in the ledger.
    held: usize,
    settled: Vec<Settled<P::Receipt>>,
    summary: Summary,
    pace: Option<Pace>,
    ending: Ending,
    /// When the drain after a signal must be over.
    deadline: Option<Instant>,
    /// What ends the run when all that was read is settled: an input or output that can't go on.
    failed: Option<Fatal>,
    /// Whether all that was taken off the ledger is delivered or rejected for good. Once something is neither,
    /// nothing behind it may be acknowledged or left out of a next run.
    vouching: bool,
    progress: Progress,
}

impl<P: Publisher, R: Read + AsFd, W: Write> Run<'_, P, R, W> {
    /// Goes on where an earlier run ended.
    fn go_on(&mut self) -> Result<(), Fatal> {
        match &self.plan.checkpoint {
            Some(checkpoint) if checkpoint.start() != Place::default() => {
                let place = checkpoint.start();
                self.input
                    .go_on_from(place)
                    .map_err(|error| format!("stdin: {error}"))?;
                let line = grouped(place.line);
                self.console.info(format_args!(
                    "goes on behind line {line}, as the checkpoint says"
                ));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Reads until the input ends, a signal comes, or nothing more is wanted.
    fn read(&mut self) -> Result<(), Fatal> {
        let mut waiting: Option<Line> = None;
        let mut nap = Duration::ZERO;
        let mut unpolled = 0;
        loop {
            self.notice_signal();
            if self.ending == Ending::Strict || self.is_unheard() || self.is_over_time() {
                return self.leave(waiting);
            }
            let next = if let Some(line) = waiting.take() {
                Next::Line(line)
            } else {
                if !self.input.has_buffered() || unpolled >= BETWEEN_POLLS {
                    unpolled = 0;
                    let settled = self.settle(Duration::ZERO)?;
                    nap = if settled {
                        Duration::ZERO
                    } else {
                        (nap * 2).clamp(Duration::from_millis(1), NAP)
                    };
                }
                let wait = if self.ledger.is_empty() { IDLE } else { nap };
                match self
                    .input
                    .next(self.due_in().map_or(wait, |due| due.min(wait)))
                {
                    Ok(next) => next,
                    Err(error) => {
                        self.failed = Some(format!("stdin: {error}").into());
                        return Ok(());
                    }
                }
            };
            match next {
                Next::Line(line) => {
                    unpolled += 1;
                    if let Some(wait) = self.offer(&line)? {
                        waiting = Some(line);
                        self.settle(wait)?;
                    }
                }
                Next::Idle => {}
                Next::End => return Ok(()),
                Next::Stopped(_) => {
                    self.notice_signal();
                    return Ok(());
                }
            }
        }
    }

    /// Offers a line to the client. If there is no room for it yet, says how long to wait.
    fn offer(&mut self, line: &Line) -> Result<Option<Duration>, Fatal> {
        if self.ledger.len() >= MOST_ENTRIES || self.held >= MOST_BYTES {
            return Ok(Some(NAP));
        }
        let record = match line {
            Line::Record(record) => record,
            Line::TooLong(long) => {
                self.open(Entry {
                    line: long.line,
                    end: long.end,
                    seq: None,
                    bytes: None,
                });
                let detail = format!(
                    "a line of {} bytes is over --max-record",
                    grouped(long.length)
                );
                self.settle_last(Rejection::new(Reason::TooLong, detail));
                return Ok(None);
            }
        };
        let now = self.pace.as_ref().map(|_| Instant::now());
        if let (Some(pace), Some(now)) = (&self.pace, now) {
            let wait = pace.wait(now);
            if !wait.is_zero() {
                return Ok(Some(wait.min(NAP)));
            }
        }
        let mut outgoing = Outgoing {
            line: record.line,
            bytes: &record.bytes,
            envelope: None,
        };
        let mut seq = None;
        let sent = match self.plan.envelope.then(|| Envelope::read(&record.bytes)) {
            Some(Err(error)) => Err(error.into()),
            Some(Ok(envelope)) => {
                seq = envelope.seq;
                outgoing.envelope = Some(envelope);
                self.publisher.send(self.ledger.next_ticket(), &outgoing)
            }
            None => self.publisher.send(self.ledger.next_ticket(), &outgoing),
        };
        let rejection = match sent {
            Ok(()) => None,
            // The slot isn't taken: the record goes as soon as there is room for it.
            Err(SendError::Full) => return Ok(Some(NAP)),
            Err(SendError::Reject(rejection)) => Some(rejection),
            Err(SendError::Fatal(error)) => {
                self.open(Entry {
                    line: record.line,
                    end: record.end,
                    seq,
                    bytes: Some(record.bytes.clone()),
                });
                return Err(error);
            }
        };
        if let (Some(pace), Some(now)) = (&mut self.pace, now) {
            pace.passed(now);
        }
        self.open(Entry {
            line: record.line,
            end: record.end,
            seq,
            bytes: Some(record.bytes.clone()),
        });
        if let Some(rejection) = rejection {
            self.settle_last(rejection);
        }
        Ok(None)
    }

    fn open(&mut self, entry: Entry) {
        let length = entry.bytes.as_ref().map_or(0, Bytes::len);
        self.held += length;
        self.summary.read += 1;
        self.summary.bytes += length as u64;
        self.ledger.open(entry);
    }

    /// Rejects the entry that was opened last.
    fn settle_last(&mut self, rejection: Rejection) {
        let last = self.ledger.next_ticket() - 1;
        self.settle_one(last, Err(rejection));
    }

    fn settle_one(&mut self, ticket: Ticket, result: Result<(), Rejection>) {
        if result.is_err() && self.plan.strict && self.ending == Ending::Complete {
            self.ending = Ending::Strict;
        }
        self.ledger.settle(ticket, result);
    }

    /// Lets the client work and takes off what is settled. `true` if something was.
    fn settle(&mut self, wait: Duration) -> Result<bool, Fatal> {
        let mut settled = std::mem::take(&mut self.settled);
        let polled = self.publisher.poll(wait, &mut settled);
        let any = !settled.is_empty();
        for (ticket, result) in settled.drain(..) {
            self.settle_one(ticket, result.map(drop));
        }
        self.settled = settled;
        self.take_settled()?;
        polled?;
        self.progress
            .show(self.console, &self.summary, self.ledger.in_flight());
        Ok(any)
    }

    /// Takes the settled prefix off the ledger: counts it, tees it, rejects it, acknowledges it.
    fn take_settled(&mut self) -> Result<(), Fatal> {
        let (mut seq, mut place) = (None, None);
        while let Some((entry, result)) = self.ledger.take_settled() {
            self.held -= entry.bytes.as_ref().map_or(0, Bytes::len);
            match result {
                Ok(()) => {
                    self.summary.delivered += 1;
                    self.tee(entry.bytes.as_deref().unwrap_or_default());
                }
                Err(rejection) => {
                    self.summary.rejected += 1;
                    let bytes = entry.bytes.as_deref();
                    self.plan
                        .rejects
                        .reject(None, entry.line, &rejection, bytes)?;
                    if rejection.reason == Reason::NotDelivered {
                        self.stop_vouching(entry.line);
                    }
                }
            }
            if self.vouching {
                seq = entry.seq.or(seq);
                place = Some(Place {
                    position: entry.end,
                    line: entry.line,
                });
            }
        }
        self.flush_tee(self.plan.acks.is_some() || self.plan.checkpoint.is_some());
        self.vouch(seq, place)
    }

    /// A record was neither delivered nor rejected for good. Whoever waits for acks, or wants to go on from a
    /// checkpoint, waits in vain from here on, so the run ends.
    fn stop_vouching(&mut self, line: u64) {
        let asked = self.plan.acks.is_some() || self.plan.checkpoint.is_some();
        if asked && self.vouching && self.deadline.is_none() && self.failed.is_none() {
            let why = "was not delivered, so nothing behind it can be acknowledged";
            self.failed = Some(format!("line {line} {why}").into());
        }
        self.vouching = false;
    }

    /// All up to here is dealt with: says so to whom it may concern.
    fn vouch(&mut self, seq: Option<u64>, place: Option<Place>) -> Result<(), Fatal> {
        if let (Some(seq), Some(acks)) = (seq, &mut self.plan.acks) {
            // An ack says that the record is safe, and a reject is part of that.
            self.plan.rejects.flush()?;
            acks.settled(seq)
                .map_err(|error| format!("acks can't be written: {error}"))?;
        }
        if let (Some(place), Some(checkpoint)) = (place, &mut self.plan.checkpoint) {
            self.plan.rejects.flush()?;
            checkpoint.reached(place)?;
        }
        Ok(())
    }

    fn tee(&mut self, line: &[u8]) {
        if let Some(tee) = &mut self.plan.tee {
            let written = tee.line(line);
            self.notice_reader(written);
        }
    }

    fn flush_tee(&mut self, now: bool) {
        if let Some(tee) = &mut self.plan.tee {
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
        match written {
            Ok(()) => return,
            Err(OutputError::ReaderGone) => self.ending = Ending::ReaderGone,
            Err(error) => self.failed = Some(error.into()),
        }
        self.plan.tee = None;
        // What was not written is not handled, so it is not acknowledged.
        self.plan.acks = None;
        self.plan.checkpoint = None;
    }

    fn is_unheard(&self) -> bool {
        self.ending == Ending::ReaderGone || self.failed.is_some()
    }

    /// How long until something that was put off must be done.
    fn due_in(&self) -> Option<Duration> {
        self.plan.tee.as_ref().and_then(Output::flush_in)
    }

    fn notice_signal(&mut self) {
        let Some(signal) = self.input.stop().requested() else {
            return;
        };
        if self.deadline.is_some() {
            return;
        }
        self.deadline = Some(Instant::now() + self.plan.drain_timeout);
        self.ending = Ending::Signal(signal);
        if !self.ledger.is_empty() {
            let (left, limit) = (
                grouped(self.ledger.in_flight() as u64),
                self.plan.drain_timeout,
            );
            let signal = signal.name();
            self.console.info(format_args!("{signal}: {left} in flight are delivered first, at most {limit:?}; again to end now"));
        }
    }

    fn is_over_time(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Leaves off reading before the end. What was taken from the input but never offered is accounted
    /// for after a signal; after `--strict` and for a reader that went away the rest of the input isn't read.
    fn leave(&mut self, waiting: Option<Line>) -> Result<(), Fatal> {
        if !matches!(self.ending, Ending::Signal(_)) {
            return Ok(());
        }
        let mut next = waiting.map_or_else(
            || self.input.next(Duration::ZERO),
            |line| Ok(Next::Line(line)),
        );
        while let Next::Line(line) = next? {
            let (line, end, bytes) = match line {
                Line::Record(record) => (record.line, record.end, Some(record.bytes)),
                Line::TooLong(long) => (long.line, long.end, None),
            };
            self.open(Entry {
                line,
                end,
                seq: None,
                bytes,
            });
            next = self.input.next(Duration::ZERO);
        }
        Ok(())
    }

    /// Waits until all is settled; after a signal no longer than the drain may take.
    fn drain(&mut self) -> Result<(), Fatal> {
        self.settle(Duration::ZERO)?;
        while !self.ledger.is_empty() {
            self.notice_signal();
            if self.is_over_time() {
                let left = grouped(self.ledger.in_flight() as u64);
                self.console.error(format_args!(
                    "{left} records were not delivered within --drain-timeout"
                ));
                self.give_up("not acknowledged within --drain-timeout");
                return Ok(());
            }
            self.settle(NAP)?;
        }
        Ok(())
    }

    fn give_up(&mut self, why: &str) {
        self.publisher.abandon();
        self.ledger
            .settle_all(|_| Err(Rejection::new(Reason::NotDelivered, why)));
        // This is the way out of an error already: what can't be written now can't be told of either.
        let _ = self.take_settled();
    }

    fn finish(&mut self) -> Result<(), Fatal> {
        self.console.wipe_progress();
        self.flush_tee(true);
        self.plan.rejects.finish()?;
        match &mut self.plan.checkpoint {
            Some(checkpoint) => Ok(checkpoint.keep()?),
            None => Ok(()),
        }
    }
}

/// Prints how far the run is, once a second, from the first second on.
struct Progress {
    started: Instant,
    shown: Instant,
}

impl Progress {
    fn show(&mut self, console: &Console, summary: &Summary, in_flight: usize) {
        if self.shown.elapsed() < Duration::from_secs(1) {
            return;
        }
        self.shown = Instant::now();
        let rate = per_second(summary.delivered, self.started.elapsed());
        console.progress(format_args!(
            "{} read, {} delivered, {} rejected, {} in flight ({}/s)",
            grouped(summary.read),
            grouped(summary.delivered),
            grouped(summary.rejected),
            grouped(in_flight as u64),
            grouped(rate),
        ));
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
