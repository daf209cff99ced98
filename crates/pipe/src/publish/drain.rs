//! The end that a signal asks for, and when it must have come.

use std::time::{Duration, Instant};

use crate::io::stop::{Signal, Stop};

/// Watches for the signal. The time that the drain may take begins when the signal is seen first, whoever sees it.
#[derive(Debug)]
pub(super) struct Drain {
    stop: Stop,
    /// How long it may take.
    pub(super) timeout: Duration,
    deadline: Option<Instant>,
}

impl Drain {
    pub(super) fn new(stop: Stop, timeout: Duration) -> Self {
        Self {
            stop,
            timeout,
            deadline: None,
        }
    }

    /// The signal, once it has come.
    pub(super) fn signal(&mut self) -> Option<Signal> {
        let signal = self.stop.requested()?;
        self.deadline
            .get_or_insert_with(|| Instant::now() + self.timeout);
        Some(signal)
    }

    /// Whether the time is up.
    pub(super) fn is_over(&mut self) -> bool {
        self.signal();
        self.deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Whether a signal was seen.
    pub(super) fn has_begun(&self) -> bool {
        self.deadline.is_some()
    }
}
