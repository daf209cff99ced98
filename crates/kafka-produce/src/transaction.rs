//! The transaction that records are sent in: when it begins, when it ends, and how it went.

use std::time::{Duration, Instant};

use tapline_kafka::{Producer, TransactionError};
use tapline_pipe::publish::{Fatal, Verdict};

/// How long one look at the end of a transaction may take: so long a signal may go unnoticed.
const LOOK: Duration = Duration::from_millis(500);

/// A transaction of a limited size is committed after this time even if it isn't full: the brokers abort one that is
/// open for long (`transaction.timeout.ms`, a minute).
const LONGEST: Duration = Duration::from_secs(20);

/// Where the open transaction stands.
#[derive(Debug)]
enum Phase {
    /// None is open.
    None,
    /// Records are sent in it.
    Open,
    /// Nothing more is sent in it; it is committed when all is settled.
    Committing,
    /// It is aborted when all is settled, for this reason.
    Aborting(String),
}

/// A transaction after the other.
#[derive(Debug)]
pub(crate) struct Transactions {
    /// The most records of one; `None` for all of the input.
    size: Option<u64>,
    phase: Phase,
    sent: u64,
    since: Instant,
    verdict: Option<Verdict>,
}

impl Transactions {
    pub(crate) fn of(size: Option<u64>) -> Self {
        Self {
            size,
            phase: Phase::None,
            sent: 0,
            since: Instant::now(),
            verdict: None,
        }
    }

    /// Makes sure that one is open. `false`: the last one has to end first.
    pub(crate) fn open(&mut self, producer: &Producer) -> Result<bool, Fatal> {
        match self.phase {
            // The last one's records are told of before others are sent.
            _ if self.verdict.is_some() => Ok(false),
            Phase::None => {
                producer.begin()?;
                self.phase = Phase::Open;
                self.sent = 0;
                self.since = Instant::now();
                Ok(true)
            }
            Phase::Open => Ok(true),
            Phase::Committing | Phase::Aborting(_) => Ok(false),
        }
    }

    /// A record was sent in it.
    pub(crate) fn sent(&mut self) {
        self.sent += 1;
        if self.size.is_some_and(|size| self.sent >= size) {
            self.phase = Phase::Committing;
        }
    }

    /// A record in it was not delivered, so none may be.
    pub(crate) fn spoil(&mut self, producer: &Producer, why: &str) {
        if let Phase::Open | Phase::Committing = self.phase {
            self.phase = Phase::Aborting(why.to_owned());
            producer.abandon();
        }
    }

    /// Why it is being aborted, if it is. Records that were not sent yet are given up with it.
    pub(crate) fn abort_reason(&self) -> Option<&str> {
        match &self.phase {
            Phase::Aborting(why) => Some(why),
            _ => None,
        }
    }

    /// Nothing more is sent. One that is full already is committed whatever happens: the commit may be under way.
    pub(crate) fn close(&mut self, producer: &Producer, commit: bool) {
        match self.phase {
            Phase::Open if commit => self.phase = Phase::Committing,
            Phase::Open => self.spoil(producer, "the run ended before the end of the input"),
            Phase::None | Phase::Committing | Phase::Aborting(_) => {}
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.phase, Phase::None) || self.verdict.is_some()
    }

    pub(crate) fn take_verdict(&mut self) -> Option<Verdict> {
        self.verdict.take()
    }

    /// Ends the transaction if it is time to: `in_flight` records are not settled, or not told of.
    pub(crate) fn end_if_due(
        &mut self,
        producer: &Producer,
        in_flight: usize,
    ) -> Result<(), Fatal> {
        if let Phase::Open = self.phase
            && self.size.is_some()
            && self.since.elapsed() >= LONGEST
        {
            self.phase = Phase::Committing;
        }
        if in_flight > 0 {
            return Ok(());
        }
        match &self.phase {
            Phase::None | Phase::Open => {}
            Phase::Committing => match producer.commit(LOOK) {
                Ok(true) => self.conclude(Verdict::Committed),
                Ok(false) => {}
                Err(TransactionError::MustAbort(why)) => self.phase = Phase::Aborting(why),
                Err(TransactionError::Fatal(error)) => return Err(error.into()),
            },
            Phase::Aborting(why) => {
                if producer.abort(LOOK)? {
                    self.conclude(Verdict::Aborted(why.clone()));
                }
            }
        }
        Ok(())
    }

    fn conclude(&mut self, verdict: Verdict) {
        self.phase = Phase::None;
        self.verdict = Some(verdict);
    }
}
