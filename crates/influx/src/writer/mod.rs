//! Batches of points on their way to a bucket, over several connections.
//!
//! All points of a series go over one connection, in the order in which they were handed over: so of two points of one
//! time the later one stays. A batch is written when it is full or its first point has waited long enough. What the
//! server calls bad is halved until the bad points stand alone; what it can't take now is tried again until it can, or
//! is given up.

mod batch;
mod lane;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use batch::Batch;
use lane::{GivenUp, Lane};

/// What a record is called until it is settled.
pub type Ticket = u64;

/// How points are gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most points of a batch.
    pub points: usize,
    /// The most bytes of its lines; a longer line is a batch of its own.
    pub bytes: usize,
    /// How long the first point of a batch waits for others.
    pub linger: Duration,
    /// How many batches may be under way.
    pub in_flight: usize,
}

/// What became of a point: written, or the server's words about it.
pub type Settled = (Ticket, Result<(), String>);

/// What a writer has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The server takes nothing now, and why. It is tried again.
    Waiting(String),
    /// It takes something again, after so long.
    Resumed(Duration),
    /// It will take nothing any more, and why.
    Ended(String),
}

/// What a lane tells the writer.
#[derive(Debug)]
enum Report {
    Settled(Vec<Settled>),
    Event(Event),
}

/// Writes points to a bucket.
#[derive(Debug)]
pub struct Writer {
    lanes: Vec<Open>,
    reports: Receiver<Report>,
    given_up: Arc<GivenUp>,
    limits: Limits,
}

/// A connection, and the batch that is being gathered for it.
#[derive(Debug)]
struct Open {
    batch: Batch,
    /// When the batch got its first point.
    since: Option<Instant>,
    next: SyncSender<Batch>,
}

impl Writer {
    /// Starts a thread for each connection.
    ///
    /// # Errors
    ///
    /// When the system has no more threads.
    pub fn start(client: &Client, limits: Limits) -> io::Result<Self> {
        let (tell, reports) = channel();
        let given_up = Arc::new(GivenUp::default());
        let start = |number: usize| {
            // One batch is under way, and the next one is ready.
            let (next, batches) = sync_channel(1);
            let lane = Lane::new(client.clone(), tell.clone(), Arc::clone(&given_up), number);
            thread::Builder::new()
                .name(format!("write-{number}"))
                .spawn(move || lane.run(&batches))?;
            Ok(Open {
                batch: Batch::default(),
                since: None,
                next,
            })
        };
        Ok(Self {
            lanes: (0..limits.in_flight.max(1))
                .map(start)
                .collect::<io::Result<_>>()?,
            reports,
            given_up,
            limits,
        })
    }

    /// Takes a point: its line, and a number that all points of its series have. `false` if there is no room for it now.
    ///
    /// # Panics
    ///
    /// Never: there is a lane.
    pub fn push(&mut self, ticket: Ticket, series: u64, line: &[u8]) -> bool {
        let (count, limits) = (self.lanes.len() as u64, self.limits);
        let number = usize::try_from(series % count).expect("it is below a count of usize");
        let open = &mut self.lanes[number];
        if open.batch.is_full_for(line, limits) && !open.hand_over() {
            return false;
        }
        open.since.get_or_insert_with(Instant::now);
        open.batch.push(ticket, line);
        true
    }

    /// Appends what is settled and what there is to tell; waits for the first of it, at most for `wait`.
    pub fn poll(&mut self, wait: Duration, settled: &mut Vec<Settled>, events: &mut Vec<Event>) {
        self.hand_over_due();
        let mut next = self.reports.recv_timeout(wait).ok();
        while let Some(report) = next {
            match report {
                Report::Settled(mut points) => settled.append(&mut points),
                Report::Event(event) => events.push(event),
            }
            next = self.reports.try_recv().ok();
        }
        self.hand_over_due();
    }

    /// Nothing more is tried: what is not settled will not be.
    pub fn abandon(&mut self) {
        self.given_up.set();
    }

    fn hand_over_due(&mut self) {
        for lane in &mut self.lanes {
            let waited = lane.since.map(|since| since.elapsed());
            if waited.is_some_and(|waited| waited >= self.limits.linger)
                || lane.batch.is_full(self.limits)
            {
                lane.hand_over();
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.given_up.set();
    }
}

impl Open {
    /// Hands the batch to the thread, if that has room for it.
    fn hand_over(&mut self) -> bool {
        match self.next.try_send(std::mem::take(&mut self.batch)) {
            Ok(()) => {
                self.since = None;
                true
            }
            // A thread that has ended has said why.
            Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => {
                self.batch = batch;
                false
            }
        }
    }
}
