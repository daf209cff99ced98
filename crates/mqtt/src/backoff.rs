//! How long to wait before the next attempt to connect.

use std::time::Duration;

/// Exponential backoff with full jitter over the upper half, so that a thousand clients that lost
/// the same broker do not come back in the same instant.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    current: Duration,
    state: u64,
}

const FIRST: Duration = Duration::from_millis(200);
const LAST: Duration = Duration::from_secs(30);

impl Backoff {
    /// A backoff whose jitter follows from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            current: FIRST,
            state: mix(seed),
        }
    }

    /// Begins anew: a connection held.
    pub(crate) fn reset(&mut self) {
        self.current = FIRST;
    }

    /// Makes the next wait no longer than this.
    pub(crate) fn limit(&mut self, longest: Duration) {
        self.current = self.current.min(longest);
    }

    /// The time to wait now, between half of the current step and all of it.
    pub(crate) fn next(&mut self) -> Duration {
        // xorshift64: enough to tell clients apart.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let half = self.current / 2;
        let part = u32::try_from(self.state >> 44).unwrap_or(0);
        let wait = half + half * part / (1 << 20);
        self.current = (self.current * 2).min(LAST);
        wait
    }
}

/// `SplitMix64`: one bit more or less in the seed makes a number that has nothing in common. Clients of a
/// fleet have seeds that differ little, and xorshift alone would have them wait alike for some steps.
fn mix(seed: u64) -> u64 {
    let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    // Zero is where xorshift stays.
    (state ^ (state >> 31)).max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn waits_grow_to_a_bound_with_jitter_and_begin_anew() {
        let mut backoff = Backoff::new(42);
        let mut step = FIRST;
        for _ in 0..20 {
            let wait = backoff.next();
            assert!(wait >= step / 2 && wait <= step, "{wait:?} of {step:?}");
            step = (step * 2).min(LAST);
        }
        backoff.limit(FIRST * 3);
        assert!(backoff.next() > FIRST && backoff.next() > FIRST * 2);
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }

    #[test]
    fn the_clients_of_a_fleet_wait_differently_from_the_first_time_on() {
        let base = 0x0123_4567_89ab_cdef;
        let first: HashSet<_> = (0..1_000)
            .map(|client| Backoff::new(base ^ client).next())
            .collect();
        assert!(first.len() > 990, "{} different waits", first.len());
    }
}
