//! The loop of a publisher: lines in, records handed over, deliveries settled in the order of the input.
//!
//! The promises of all publishers are kept here, once: a full queue stops the reading; each record read is
//! delivered or rejected, never both, never neither; tee and acks see only what is safe; a signal starts the
//! drain and the drain has an end.

mod account;
mod run;
mod spool;
mod tee;

use std::{
    error::Error,
    io::{self, Write},
    os::fd::AsFd,
    path::Path,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use serde::Serialize;

use crate::{
    acks::AckWriter,
    args::{PublishArgs, RejectArgs},
    checkpoint::Checkpoint,
    console::Console,
    envelope::Envelope,
    io::{files::Files, journal::probe, output::Output},
    ledger::Ticket,
    reject::{Rejection, Rejects},
    report::Report,
    template::Variables,
};

pub use run::run;

/// An error of a client or of the system that ends the run.
pub type Fatal = Box<dyn Error + Send + Sync>;

/// What a client says of a record that was handed over: a receipt, or why it is not delivered.
pub type Settled<R> = (Ticket, Result<R, Rejection>);

/// A record on its way out.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Its line in the input.
    pub line: u64,
    /// The whole line.
    pub bytes: &'a Bytes,
    /// The line read as an envelope, with `--envelope`.
    pub envelope: Option<Envelope<'a>>,
}

impl Outgoing<'_> {
    /// The value to publish; `None` for a tombstone.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        match &self.envelope {
            Some(envelope) => envelope.value.bytes(),
            None => Some(self.bytes),
        }
    }

    /// What templates are filled in from.
    #[must_use]
    pub fn variables(&self) -> Variables<'_> {
        Variables {
            value: self.value(),
            envelope: self.envelope.as_ref(),
        }
    }
}

/// Why a record was not taken.
#[derive(Debug)]
pub enum SendError {
    /// There is no room; the same record is offered again later.
    Full,
    /// This record can't be sent. Others can.
    Reject(Rejection),
    /// No record can be sent any more.
    Fatal(Fatal),
}

impl<T: Into<Rejection>> From<T> for SendError {
    fn from(error: T) -> Self {
        Self::Reject(error.into())
    }
}

/// A client that delivers records.
pub trait Publisher {
    /// What is known of a delivered record, such as its partition and offset: an object, for the report.
    type Receipt: Serialize;

    /// So many records are kept at most until they are settled and all before them, too. More than may be under way, so
    /// that one that takes its time doesn't hold up the others at once. A power of two: memory doubles there.
    const MOST_KEPT: usize = 1 << 17;

    /// Takes a record over, without waiting for anything.
    ///
    /// # Errors
    ///
    /// [`SendError`]; the ticket is then not used.
    fn send(&mut self, ticket: Ticket, record: &Outgoing<'_>) -> Result<(), SendError>;

    /// Lets the client work, for at most `wait` and less if something is settled, and appends what is.
    ///
    /// # Errors
    ///
    /// When no record can be delivered any more.
    fn poll(
        &mut self,
        wait: Duration,
        settled: &mut Vec<Settled<Self::Receipt>>,
    ) -> Result<(), Fatal>;

    /// The end of the drain: what is in flight is given up and will be rejected.
    fn abandon(&mut self);

    /// Whether records are delivered in transactions: one that is settled well is then delivered only when a
    /// [`Verdict`] says so.
    fn is_transactional(&self) -> bool {
        false
    }

    /// No more records come: the open transaction is to be ended in the next polls, with a commit or without.
    fn close(&mut self, _commit: bool) {}

    /// Whether a transaction has begun that no verdict was given on.
    fn has_open_transaction(&self) -> bool {
        false
    }

    /// How a transaction ended, once: of all records that were sent since the last one and settled well.
    fn take_verdict(&mut self) -> Option<Verdict> {
        None
    }
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All its records are delivered.
    Committed,
    /// None is, and why.
    Aborted(String),
}

/// What to do with the input and with what is settled.
#[derive(Debug)]
pub struct Plan<W> {
    /// Lines are envelopes.
    pub envelope: bool,
    /// Stop at the first reject.
    pub strict: bool,
    /// Records per second.
    pub rate: Option<f64>,
    /// How long the drain may take after a signal.
    pub drain_timeout: Duration,
    /// Where rejects go.
    pub rejects: Rejects,
    /// Where delivered lines go.
    pub tee: Option<Output<W>>,
    /// Where acks go.
    pub acks: Option<AckWriter>,
    /// Where it is kept how far the input is delivered.
    pub checkpoint: Option<Checkpoint>,
    /// Where each record is reported.
    pub report: Option<Report>,
    /// The time of day when the run begins.
    pub started: SystemTime,
}

impl<W: Write> Plan<W> {
    /// Looks whether [`open`](Self::open) could open the files that the options name, and changes nothing: a run that
    /// can't begin leaves no trace. `files` are the others of the run, its input among them; `acks` is where acks go,
    /// and `stdout` where a tee would.
    ///
    /// # Errors
    ///
    /// A sentence for the person who typed it.
    pub fn check(
        args: &PublishArgs,
        rejects: &RejectArgs,
        acks: Option<&Path>,
        stdout: impl AsFd,
        mut files: Files,
    ) -> Result<(), String> {
        if args.tee {
            files.writes_to("stdout", stdout);
        }
        rejects.check(&mut files)?;
        if let Some(path) = args.report.as_deref() {
            files.writes(format!("--report {}", path.display()), path);
            probe(path).map_err(|error| named("--report", path, &error))?;
        }
        if let Some(path) = acks {
            files.writes(path.display().to_string(), path);
        }
        if let Some(path) = args.checkpoint.as_deref() {
            files.writes(format!("--checkpoint {}", path.display()), path);
            Checkpoint::read(path).map_err(|error| named("--checkpoint", path, &error))?;
        }
        files.check().map_err(|error| error.to_string())
    }

    /// What the options ask for; opens the files that they name, so the run must be about to begin. `acks` is where
    /// acks go, `stdout` where a tee goes, and `now` the time of day.
    ///
    /// # Errors
    ///
    /// A sentence for the person who typed it.
    pub fn open(
        args: &PublishArgs,
        rejects: &RejectArgs,
        acks: Option<&Path>,
        stdout: W,
        terminal: bool,
        now: SystemTime,
        console: &Console,
    ) -> Result<Self, String> {
        let acks = acks.map(|path| {
            // topic-tap --exec opens its end before it starts the command.
            let opened = match args.acks_to {
                Some(_) => AckWriter::open(path),
                None => AckWriter::join(path),
            };
            opened.map_err(|error| named("acks", path, &error))
        });
        let checkpoint = args.checkpoint.as_deref();
        let checkpoint = checkpoint.map(|path| {
            Checkpoint::open(path).map_err(|error| named("--checkpoint", path, &error))
        });
        let report = args.report.as_deref();
        let report =
            report.map(|path| Report::open(path).map_err(|error| named("--report", path, &error)));
        let path = rejects.rejects.as_deref();
        let opened = Rejects::open(console.clone(), path);
        Ok(Self {
            envelope: args.envelope,
            strict: rejects.strict,
            rate: args.rate,
            drain_timeout: args.drain_timeout,
            rejects: opened
                .map_err(|error| named("--rejects", path.unwrap_or(Path::new("")), &error))?,
            tee: args.tee.then(|| Output::new("stdout", stdout, terminal)),
            acks: acks.transpose()?,
            checkpoint: checkpoint.transpose()?,
            report: report.transpose()?,
            started: now,
        })
    }
}

fn named(option: &str, path: &Path, error: &io::Error) -> String {
    format!("{option} {}: {error}", path.display())
}
