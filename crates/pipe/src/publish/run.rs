//! The run itself: reading, offering, settling, draining.

use std::{
    io::{Read, Write},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde::Serialize;

use super::{
    Fatal, Outgoing, Plan, Publisher, SendError, Settled, Verdict,
    account::{Account, Entry, Outcome, Trouble},
};
use crate::{
    checkpoint::Place,
    console::Console,
    envelope::{Envelope, seq_alone},
    io::input::{Input, Next},
    io::line::Line,
    ledger::{Ledger, Ticket},
    outcome::{Ending, Summary, Words, per_second},
    pace::Pace,
    progress::Progress,
    reject::{Reason, Rejection},
    units::grouped,
};

/// Bytes that are kept at most until their records are settled and taken off.
const MOST_BYTES: usize = 32 << 20;

/// So many records are handed over before the client is given a chance to settle some.
const BETWEEN_POLLS: u32 = 512;

/// The longest sleep while something is in flight or the client is full.
const NAP: Duration = Duration::from_millis(20);

/// The longest sleep while nothing is.
const IDLE: Duration = Duration::from_secs(1);

/// Publishes the whole input and says how it went: the counts hold also when it ended with an error.
pub fn run<P: Publisher, R: Read + AsFd, W: Write + AsFd>(
    publisher: &mut P,
    input: &mut Input<R>,
    plan: Plan<W>,
    console: &Console,
) -> (Summary, Result<Ending, Fatal>) {
    let started = Instant::now();
    let pace = plan.rate.map(|rate| Pace::new(rate, started));
    let (envelope, strict) = (plan.envelope, plan.strict);
    let stop = input.stop().clone();
    let account = match Account::open(console.tool(), plan, stop, publisher.is_transactional()) {
        Ok(account) => account,
        Err(error) => return (Summary::new(console.tool(), Words::Delivered), Err(error)),
    };
    let mut run = Run {
        publisher,
        input,
        account,
        envelope,
        strict,
        pace,
        console,
        ledger: Ledger::default(),
        held: 0,
        settled: Vec::new(),
        ending: Ending::Complete,
        is_signalled: false,
        failed: None,
        progress: Progress::new(started),
    };
    let result = run.go_on().and_then(|()| run.account.begin());
    let result = result.and_then(|()| run.read());
    let result = result.and_then(|()| run.drain());
    if let Err(error) = &result {
        run.give_up(&format!("not acknowledged when the run ended: {error}"));
    }
    console.wipe_progress();
    let finished = run.account.finish();
    run.notice_trouble();
    if run.account.drain.has_begun() {
        run.notice_signal();
    }
    if run.account.has_left() && run.ending != Ending::ReaderGone && run.failed.is_none() {
        console.error("stdout: its reader takes nothing: not all delivered records were written");
    }
    let failed = run.failed.take().map_or(Ok(()), Err);
    let result = result.and(failed).and(finished).and_then(|()| {
        let whole = run.ending == Ending::Complete;
        if whole {
            run.account.vouch_for_all()
        } else {
            Ok(())
        }
    });
    let mut summary = run.account.summary;
    summary.blank = run.input.lines().blank();
    summary.seconds = started.elapsed();
    let ending = run.ending;
    (summary, result.map(|()| ending))
}

struct Run<'a, P: Publisher, R, W> {
    publisher: &'a mut P,
    input: &'a mut Input<R>,
    account: Account<W>,
    envelope: bool,
    strict: bool,
    console: &'a Console,
    ledger: Ledger<Entry, Outcome>,
    /// Bytes of the records in the ledger.
    held: usize,
    settled: Vec<Settled<P::Receipt>>,
    pace: Option<Pace>,
    ending: Ending,
    /// A signal was told of.
    is_signalled: bool,
    /// What ends the run when all that was read is settled: an input or output that can't go on.
    failed: Option<Fatal>,
    progress: Progress,
}

impl<P: Publisher, R: Read + AsFd, W: Write + AsFd> Run<'_, P, R, W> {
    /// Goes on where an earlier run ended.
    fn go_on(&mut self) -> Result<(), Fatal> {
        let place = self.account.start();
        if place != Place::default() {
            self.input
                .go_on_from(place)
                .map_err(|error| format!("stdin: {error}"))?;
            let line = grouped(place.line);
            self.console.info(format_args!(
                "goes on behind line {line}, as the checkpoint says"
            ));
        }
        Ok(())
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
                let due = self.account.due_in();
                match self.input.next(due.map_or(wait, |due| due.min(wait))) {
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
                Next::Idle => self.account.look_at_reader(),
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
        if self.ledger.len() >= P::MOST_KEPT || self.held >= MOST_BYTES {
            return Ok(Some(NAP));
        }
        let record = match line {
            Line::Record(record) => record,
            Line::TooLong(long) => {
                self.open(Entry {
                    line: long.line,
                    end: long.end,
                    seq: None,
                    alone: false,
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
        if self.envelope
            && let Some(seq) = seq_alone(&record.bytes)
        {
            self.open(Entry {
                line: record.line,
                end: record.end,
                seq: Some(seq),
                alone: true,
                bytes: Some(record.bytes.clone()),
            });
            self.settle_one(self.ledger.next_ticket() - 1, Ok(None));
            return Ok(None);
        }
        let mut seq = None;
        let sent = match self.envelope.then(|| Envelope::read(&record.bytes)) {
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
                    alone: false,
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
            alone: false,
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
        if !entry.alone {
            self.account.summary.read += 1;
            self.account.summary.bytes += length as u64;
        }
        self.ledger.open(entry);
    }

    /// Rejects the entry that was opened last.
    fn settle_last(&mut self, rejection: Rejection) {
        let last = self.ledger.next_ticket() - 1;
        self.settle_one(last, Err(rejection));
    }

    fn settle_one(&mut self, ticket: Ticket, result: Outcome) {
        if result.is_err() && self.strict && self.ending == Ending::Complete {
            self.ending = Ending::Strict;
        }
        self.ledger.settle(ticket, result);
    }

    /// Lets the client work and notes what is settled.
    fn poll(&mut self, wait: Duration) -> (bool, Result<(), Fatal>) {
        let mut settled = std::mem::take(&mut self.settled);
        let polled = self.publisher.poll(wait, &mut settled);
        let any = !settled.is_empty();
        let reporting = self.account.is_reporting();
        for (ticket, result) in settled.drain(..) {
            self.settle_one(ticket, result.map(|to| reporting.then(|| receipt(&to))));
        }
        self.settled = settled;
        (any, polled)
    }

    /// Lets the client work and takes off what is settled. `true` if something was.
    fn settle(&mut self, wait: Duration) -> Result<bool, Fatal> {
        let (any, polled) = self.poll(wait);
        self.take_settled();
        polled?;
        let (summary, in_flight) = (&self.account.summary, self.ledger.in_flight());
        self.progress.show(self.console, |elapsed| {
            let in_flight = grouped(in_flight as u64);
            let rate = grouped(per_second(summary.delivered, elapsed));
            format!("{}, {in_flight} in flight ({rate}/s)", summary.counts())
        });
        Ok(any)
    }

    /// Takes the settled prefix off the ledger.
    fn take_settled(&mut self) {
        loop {
            while !self.account.is_held_up() && self.take_one() {}
            if !self.account.is_held_up() {
                break;
            }
            self.account.flush();
            // A reader that takes nothing fills the ledger, and a full ledger stops the reading.
            if self.account.is_held_up() {
                break;
            }
        }
        if let Some(verdict) = self.publisher.take_verdict() {
            self.account.conclude(&verdict);
            if let Verdict::Aborted(why) = verdict
                && self.failed.is_none()
                && self.ending == Ending::Complete
            {
                self.failed = Some(format!("a transaction was aborted: {why}").into());
            }
        }
        self.account.flush();
        if !self.publisher.has_open_transaction() {
            // The next transaction may be aborted; until then what is known of the last one is told.
            let now = self.publisher.is_transactional()
                || (self.ledger.is_empty() && !self.input.has_buffered());
            self.account.vouch(now);
        }
        self.notice_trouble();
    }

    /// Takes off the first entry, if it is settled.
    fn take_one(&mut self) -> bool {
        let Some((entry, outcome)) = self.ledger.take_settled() else {
            return false;
        };
        self.held -= entry.bytes.as_ref().map_or(0, Bytes::len);
        self.account.take(&entry, outcome);
        true
    }

    /// What went wrong with the books ends the run.
    fn notice_trouble(&mut self) {
        match self.account.trouble.take() {
            // A signal is the reason that a shell looks for.
            Some(Trouble::ReaderGone) if self.is_signalled => {}
            Some(Trouble::ReaderGone) => self.ending = Ending::ReaderGone,
            Some(Trouble::Failed(error)) => {
                self.failed.get_or_insert(error);
            }
            None => {}
        }
    }

    fn is_unheard(&self) -> bool {
        self.ending == Ending::ReaderGone || self.failed.is_some()
    }

    fn notice_signal(&mut self) {
        let Some(signal) = self.account.drain.signal() else {
            return;
        };
        if std::mem::replace(&mut self.is_signalled, true) {
            return;
        }
        self.account.ending = true;
        self.ending = Ending::Signal(signal);
        if self.ledger.in_flight() > 0 {
            let (left, limit) = (
                grouped(self.ledger.in_flight() as u64),
                self.account.drain.limit,
            );
            let signal = signal.name();
            self.console.info(format_args!("{signal}: {left} in flight are delivered first, at most {limit:?}; again to end now"));
        }
    }

    fn is_over_time(&mut self) -> bool {
        self.account.drain.passed().is_some()
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
                alone: false,
                bytes,
            });
            next = self.input.next(Duration::ZERO);
        }
        Ok(())
    }

    /// Waits until all is settled, after a signal no longer than the drain may take. An open transaction is
    /// committed at the end of the input and nowhere else.
    fn drain(&mut self) -> Result<(), Fatal> {
        self.settle(Duration::ZERO)?;
        let whole = self.ending == Ending::Complete && self.failed.is_none();
        // What is aborted on purpose is no reason of its own to end the run.
        self.account.ending |= !whole && self.publisher.is_transactional();
        self.publisher.close(whole);
        while !self.ledger.is_empty() || self.publisher.has_open_transaction() {
            self.notice_signal();
            if self.is_over_time() {
                let left = self.ledger.in_flight() as u64;
                if left > 0 {
                    let left = grouped(left);
                    self.console.error(format_args!(
                        "{left} records were not delivered within --drain-timeout"
                    ));
                }
                self.give_up("not acknowledged within --drain-timeout");
                return Ok(());
            }
            self.settle(NAP)?;
        }
        Ok(())
    }

    fn give_up(&mut self, why: &str) {
        // What the client knows by now comes first: what was acknowledged is not to be sent again by whoever reads
        // the rejects. That it can't go on is known already.
        let _ = self.poll(Duration::ZERO);
        self.publisher.abandon();
        self.account.ending = true;
        self.ledger
            .settle_all(|_| Err(Rejection::new(Reason::NotDelivered, why)));
        while self.take_one() {
            self.account.make_room();
        }
        self.take_settled();
        self.account.conclude(&Verdict::Aborted(why.to_owned()));
    }
}

/// A receipt as the report has it.
fn receipt(receipt: &impl Serialize) -> Box<str> {
    let text = serde_json::to_string(receipt);
    text.expect("receipts are numbers and texts").into()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

#[cfg(test)]
#[path = "transaction_tests.rs"]
mod transaction_tests;

#[cfg(test)]
#[path = "file_tests.rs"]
mod file_tests;

#[cfg(test)]
#[path = "tee_tests.rs"]
mod tee_tests;
