//! Tests of the publishing loop with a client that delivers in transactions.

use super::tests::{Ran, publish_with};
use super::*;
use crate::io::stop::{Signal, Stop};

/// A client that takes everything and ends its transactions as it is told to.
#[derive(Default)]
struct Transacting {
    /// Records of one transaction; 0 for all.
    size: usize,
    /// The transaction with this number, from 1, can't be committed.
    spoilt: Option<usize>,
    /// Ask for a stop when so many were sent.
    stop_after: Option<(usize, Stop)>,
    /// Tickets that are not settled.
    in_flight: Vec<Ticket>,
    sent: usize,
    in_this: usize,
    number: usize,
    open: bool,
    /// Whether the open one is to be committed, once it is to end.
    ending: Option<bool>,
    verdict: Option<Verdict>,
}

#[derive(Serialize)]
struct Receipt {}

impl Publisher for Transacting {
    type Receipt = Receipt;

    fn send(&mut self, ticket: Ticket, record: &Outgoing<'_>) -> Result<(), SendError> {
        if self.ending.is_some() || self.verdict.is_some() {
            return Err(SendError::Full);
        }
        if record.value() == Some(b"bad") {
            return Err(Rejection::new(Reason::MissingField, "none").into());
        }
        if !self.open {
            self.open = true;
            self.number += 1;
            self.in_this = 0;
        }
        self.in_flight.push(ticket);
        self.sent += 1;
        self.in_this += 1;
        if self.in_this == self.size {
            self.ending = Some(true);
        }
        if let Some((after, stop)) = &self.stop_after
            && self.sent == *after
        {
            stop.request(Signal::Terminate);
        }
        Ok(())
    }

    fn poll(&mut self, _: Duration, settled: &mut Vec<Settled<Receipt>>) -> Result<(), Fatal> {
        for ticket in self.in_flight.drain(..) {
            settled.push((ticket, Ok(Receipt {})));
        }
        if let Some(commit) = self.ending.take().filter(|_| self.open) {
            self.open = false;
            self.verdict = Some(if commit && self.spoilt != Some(self.number) {
                Verdict::Committed
            } else {
                Verdict::Aborted("no".to_owned())
            });
        }
        Ok(())
    }

    fn abandon(&mut self) {}

    fn is_transactional(&self) -> bool {
        true
    }

    fn close(&mut self, commit: bool) {
        self.ending.get_or_insert(commit);
    }

    fn has_open_transaction(&self) -> bool {
        self.open || self.verdict.is_some()
    }

    fn take_verdict(&mut self) -> Option<Verdict> {
        self.verdict.take()
    }
}

const LINES: &[u8] = b"1\n2\n3\nbad\n5\n";

fn ran(client: &mut Transacting, change: impl FnOnce(&mut Plan<std::fs::File>)) -> Ran {
    let stop = client
        .stop_after
        .as_ref()
        .map_or_else(|| Stop::manual().unwrap(), |(_, stop)| stop.clone());
    publish_with(client, LINES, stop, |plan| {
        plan.acks = None;
        change(plan);
    })
}

fn counts(ran: &Ran) -> (u64, u64, u64, u64) {
    let Summary {
        read,
        delivered,
        rejected,
        ..
    } = ran.summary;
    (read, delivered, rejected, ran.checkpoint)
}

#[test]
fn a_transaction_of_the_whole_input_is_committed_at_its_end() {
    let ran = ran(&mut Transacting::default(), |_| ());
    assert_eq!(ran.ending, Ok(Ending::Complete));
    assert_eq!(counts(&ran), (5, 4, 1, 5));
    assert_eq!(ran.tee, "1\n2\n3\n5\n");
    assert_eq!(reported_lines(&ran.report), [1, 2, 3, 4, 5]);
}

/// The lines that a report is about, in its order.
fn reported_lines(report: &str) -> Vec<u64> {
    let entries = report.lines().map(|line| {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        entry["line"].as_u64()
    });
    entries.flatten().collect()
}

#[test]
fn the_report_of_a_transaction_that_is_aborted_is_in_the_order_of_the_input_too() {
    let mut client = Transacting {
        spoilt: Some(1),
        ..Transacting::default()
    };
    let ran = ran(&mut client, |_| ());
    assert_eq!(reported_lines(&ran.report), [1, 2, 3, 4, 5]);
    assert_eq!(counts(&ran), (5, 0, 5, 0));
}

#[test]
fn a_transaction_that_cannot_be_committed_delivers_nothing_and_ends_the_run() {
    let mut client = Transacting {
        size: 2,
        spoilt: Some(2),
        ..Transacting::default()
    };
    let ran = ran(&mut client, |_| ());
    assert_eq!(
        ran.ending,
        Err("a transaction was aborted: no".to_owned()),
        "{}",
        ran.messages
    );
    assert_eq!(ran.tee, "1\n2\n");
    assert_eq!((ran.summary.delivered, ran.checkpoint), (2, 2));
    assert_eq!(
        ran.summary.read,
        ran.summary.delivered + ran.summary.rejected
    );
    let aborted =
        r#""reason":"not-delivered","detail":"its transaction was aborted: no","record":"3""#;
    assert!(ran.rejects.contains(aborted), "{}", ran.rejects);
}

#[test]
fn a_signal_aborts_the_open_transaction_only() {
    let stop = Stop::manual().unwrap();
    let mut client = Transacting {
        size: 2,
        stop_after: Some((3, stop)),
        ..Transacting::default()
    };
    let ran = ran(&mut client, |_| ());
    assert_eq!(ran.ending, Ok(Ending::Signal(Signal::Terminate)));
    assert_eq!((ran.tee.as_str(), ran.checkpoint), ("1\n2\n", 2));
    assert_eq!(
        ran.summary.read,
        ran.summary.delivered + ran.summary.rejected
    );
}

#[test]
fn strict_aborts_a_transaction_for_a_record_that_cannot_be_sent() {
    let ran = ran(&mut Transacting::default(), |plan| plan.strict = true);
    assert_eq!(ran.ending, Ok(Ending::Strict));
    assert_eq!((ran.summary.delivered, ran.tee.as_str()), (0, ""));
    assert_eq!(
        (ran.summary.read, ran.checkpoint),
        (ran.summary.rejected, 0)
    );
}
