//! A rate that is kept: so many events per second, evenly.

use std::time::{Duration, Instant};

use crate::units::LONGEST;

/// A stall is made up for by at most this much work at once, so that a slow reader is not followed by a
/// flood.
const CATCH_UP: Duration = Duration::from_millis(100);

/// Says when the next event is due.
#[derive(Debug, Clone)]
pub struct Pace {
    interval: Duration,
    due: Instant,
}

impl Pace {
    /// `per_second` events a second, the first of them at `now`. There is never more than
    /// [`LONGEST`] between two.
    #[must_use]
    pub fn new(per_second: f64, now: Instant) -> Self {
        Self {
            interval: Duration::try_from_secs_f64(1.0 / per_second)
                .unwrap_or(LONGEST)
                .min(LONGEST),
            due: now,
        }
    }

    /// How long until an event is due; zero if one is now.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Duration {
        self.due.saturating_duration_since(now)
    }

    /// An event took place.
    pub fn passed(&mut self, now: Instant) {
        let earliest = now.checked_sub(CATCH_UP.max(self.interval)).unwrap_or(now);
        let from = self.due.max(earliest);
        self.due = from.checked_add(self.interval).unwrap_or(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_spread_and_a_stall_is_not_made_up_for_at_once() {
        let start = Instant::now();
        let mut pace = Pace::new(100.0, start);
        assert_eq!(pace.wait(start), Duration::ZERO);
        pace.passed(start);
        assert_eq!(pace.wait(start), Duration::from_millis(10));
        let later = start + Duration::from_mins(1);
        let mut burst = 0;
        while pace.wait(later).is_zero() {
            pace.passed(later);
            burst += 1;
        }
        assert!((10..=12).contains(&burst), "{burst}");
    }
}
