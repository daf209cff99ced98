//! A connection: one batch after the other, each until all of it is settled.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::{Event, Report};
use crate::client::{Answer, Client};

/// The first pause before a batch is tried again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest, where the server doesn't name one.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Whether the rest is given up; wakes whoever waits to try again.
#[derive(Debug, Default)]
pub(super) struct GivenUp {
    is: Mutex<bool>,
    changed: Condvar,
}

impl GivenUp {
    pub(super) fn set(&self) {
        *self.is.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits for this long, or until all is given up; whether it is.
    fn wait(&self, pause: Duration) -> bool {
        let is = self.is.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(is, pause, |is| !*is);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// There is nobody to go on for.
struct Over;

/// What one thread works with.
#[derive(Debug)]
pub(super) struct Lane {
    client: Client,
    tell: Sender<Report>,
    given_up: Arc<GivenUp>,
    /// Spreads the pauses of several lanes, and of several processes.
    jitter: u64,
}

impl Lane {
    pub(super) fn new(
        client: Client,
        tell: Sender<Report>,
        given_up: Arc<GivenUp>,
        number: usize,
    ) -> Self {
        Self {
            client,
            tell,
            given_up,
            jitter: RandomState::new().hash_one(number),
        }
    }

    pub(super) fn run(mut self, batches: &Receiver<Batch>) {
        for batch in batches {
            if self.write(&batch).is_err() {
                return;
            }
        }
    }

    /// Writes a batch. A part that the server calls bad is halved until the bad points stand alone: the rest is written,
    /// some of it twice, to the same points.
    fn write(&mut self, batch: &Batch) -> Result<(), Over> {
        let mut parts = vec![batch.all()];
        while let Some(part) = parts.pop() {
            let outcome = match self.attempt(batch, &part)? {
                Answer::Written => Ok(()),
                Answer::Bad { message, dropped }
                    if part.len() == 1 || dropped >= Some(part.len()) =>
                {
                    Err(message)
                }
                Answer::TooLarge(message) if part.len() == 1 => {
                    Err(format!("too large: {message}"))
                }
                _ => {
                    let middle = part.start + part.len() / 2;
                    parts.extend([middle..part.end, part.start..middle]);
                    continue;
                }
            };
            self.report(Report::Settled(batch.settle(part, &outcome)))?;
        }
        Ok(())
    }

    /// Writes some points until the server says something of them.
    fn attempt(&mut self, batch: &Batch, part: &Range<usize>) -> Result<Answer, Over> {
        let mut pause = FIRST_PAUSE;
        let mut waiting: Option<Instant> = None;
        loop {
            let (wait, why) = match self.client.write(batch.lines(part)) {
                Answer::Later { wait, why } => (wait, why),
                Answer::Never(why) => {
                    self.report(Report::Event(Event::Ended(why)))?;
                    return Err(Over);
                }
                answer => {
                    if let Some(since) = waiting {
                        self.report(Report::Event(Event::Resumed(since.elapsed())))?;
                    }
                    return Ok(answer);
                }
            };
            if waiting.is_none() {
                waiting = Some(Instant::now());
                self.report(Report::Event(Event::Waiting(why)))?;
            }
            let wait = wait.unwrap_or_else(|| self.spread(pause));
            if self.given_up.wait(wait) {
                return Err(Over);
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Between a half of the pause and all of it.
    fn spread(&mut self, pause: Duration) -> Duration {
        // Any full-period generator will do: these are pauses.
        self.jitter = self
            .jitter
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let share = u32::try_from(self.jitter >> 40).expect("24 bits are left");
        pause / 2 + pause.mul_f64(f64::from(share) / f64::from(1 << 24) / 2.0)
    }

    fn report(&self, report: Report) -> Result<(), Over> {
        self.tell.send(report).map_err(|_| Over)
    }
}
