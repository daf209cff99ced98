//! How far a run is, told once a second to the person at the terminal.

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::console::Console;

/// How often progress is shown, and after what time for the first time.
pub const EVERY: Duration = Duration::from_secs(1);

/// Shows how far a run is.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    shown: Instant,
}

impl Progress {
    /// Of a run that began at `started`.
    #[must_use]
    pub fn new(started: Instant) -> Self {
        Self {
            started,
            shown: started,
        }
    }

    /// Shows the text for the time since the beginning, if it is time to.
    pub fn show<T: fmt::Display>(&mut self, console: &Console, text: impl FnOnce(Duration) -> T) {
        let now = Instant::now();
        if now - self.shown >= EVERY {
            self.shown = now;
            if console.shows_progress() {
                console.progress(text(now - self.started));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::{Captured, Level};

    #[test]
    fn progress_is_shown_from_the_first_second_on() {
        let captured = Captured::default();
        let console = Console::new("t", Level::Normal, captured.clone(), true);
        let now = Instant::now();
        let Some(earlier) = now.checked_sub(Duration::from_hours(1)) else {
            return;
        };
        Progress::new(now).show(&console, |_| "too early");
        let mut progress = Progress::new(earlier);
        progress.show(&console, |elapsed| elapsed.as_secs() / 3600);
        progress.show(&console, |_| "too early");
        assert_eq!(captured.text(), "\rt: 1\x1b[K");
    }
}
