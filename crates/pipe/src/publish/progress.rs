//! How far the run is, once a second, for a person at a terminal.

use std::time::{Duration, Instant};

use crate::{
    console::Console,
    outcome::{Summary, per_second},
    units::grouped,
};

/// Prints how far the run is, from the first second on.
pub(super) struct Progress {
    started: Instant,
    shown: Instant,
}

impl Progress {
    pub(super) fn new(started: Instant) -> Self {
        Self {
            started,
            shown: started,
        }
    }

    pub(super) fn show(&mut self, console: &Console, summary: &Summary, in_flight: usize) {
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
