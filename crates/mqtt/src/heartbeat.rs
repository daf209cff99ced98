//! Keep alive (section 3.1.2.10): when a PINGREQ is due, and when silence means that the other side
//! is gone. No clock of its own: the time is passed in.

use std::time::Duration;

use tokio::time::Instant;

/// Why a connection is taken for dead.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Silence {
    #[error("no answer to PINGREQ within {0:?}")]
    NoPong(Duration),
    #[error("nothing could be written and nothing was read for {0:?}")]
    Stuck(Duration),
}

/// The times that matter for keep alive.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    /// Zero: off.
    keep_alive: Duration,
    last_sent: Instant,
    last_received: Instant,
    /// A PINGREQ in the output, which ends at this position of the stream.
    unwritten: Option<u64>,
    /// Since when an answer is waited for.
    awaited: Option<Instant>,
    quiet: bool,
}

impl Heartbeat {
    pub(crate) fn new(keep_alive: Duration, now: Instant) -> Self {
        Self {
            keep_alive,
            last_sent: now,
            last_received: now,
            unwritten: None,
            awaited: None,
            quiet: false,
        }
    }

    /// How often `check` and `is_due` are to be asked.
    pub(crate) fn tick(&self) -> Duration {
        let longest = Duration::from_secs(5);
        if self.keep_alive.is_zero() {
            return longest;
        }
        (self.keep_alive / 8).clamp(Duration::from_millis(100), longest)
    }

    /// A PINGREQ is due before the time is up [MQTT-3.1.2-20], so that a late timer does no harm.
    fn period(&self) -> Duration {
        self.keep_alive * 3 / 4
    }

    fn patience(&self) -> Duration {
        (self.keep_alive / 2).clamp(Duration::from_secs(1), Duration::from_secs(30))
    }

    /// Bytes left.
    pub(crate) fn sent(&mut self, now: Instant) {
        self.last_sent = now;
        self.quiet = false;
    }

    /// Bytes came: whatever they are, the other side lives.
    pub(crate) fn received(&mut self, now: Instant) {
        self.last_received = now;
        self.awaited = None;
        self.quiet = false;
    }

    /// Reading goes on after a pause, in which an answer could not be seen.
    pub(crate) fn resumed(&mut self, now: Instant) {
        self.last_received = now;
        self.awaited = self.awaited.map(|_| now);
    }

    /// Whether a PINGREQ is due. While nothing is read, only what the broker wants to see counts.
    pub(crate) fn is_due(&self, now: Instant, reading: bool) -> bool {
        if self.keep_alive.is_zero() || self.unwritten.is_some() {
            return false;
        }
        let idle = now - self.last_sent >= self.period();
        let deaf = reading && self.awaited.is_none() && now - self.last_received >= self.period();
        idle || deaf
    }

    /// A PINGREQ was appended to the output and ends at `position`.
    pub(crate) fn pinged(&mut self, position: u64) {
        self.unwritten = Some(position);
    }

    /// Whether the other side is still there; `written` is the position up to which the output was
    /// accepted.
    pub(crate) fn check(
        &mut self,
        now: Instant,
        reading: bool,
        written: u64,
    ) -> Result<(), Silence> {
        if self.keep_alive.is_zero() {
            return Ok(());
        }
        if self.unwritten.is_some_and(|position| written >= position) {
            self.unwritten = None;
            // One that is already waited for keeps its time.
            self.awaited.get_or_insert(now);
        }
        if reading
            && self
                .awaited
                .is_some_and(|since| now - since >= self.patience())
        {
            return Err(Silence::NoPong(self.patience()));
        }
        // The ping itself cannot get out: nothing moves in either direction.
        let stuck = self.keep_alive * 3 / 2;
        let still = now - self.last_sent >= stuck && now - self.last_received >= stuck;
        if still && reading && self.unwritten.is_some() {
            return Err(Silence::Stuck(stuck));
        }
        Ok(())
    }

    /// Whether nothing moved since the last question.
    pub(crate) fn is_quiet(&mut self) -> bool {
        std::mem::replace(&mut self.quiet, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP_ALIVE: Duration = Duration::from_secs(20);

    fn after(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn an_idle_connection_pings_in_time_and_dies_without_an_answer() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(KEEP_ALIVE, start);
        assert!(!heartbeat.is_due(start + after(14), true));
        assert!(heartbeat.is_due(start + after(15), true));
        heartbeat.pinged(2);
        heartbeat.sent(start + after(15));
        assert_eq!(heartbeat.check(start + after(15), true, 2), Ok(()));
        assert!(!heartbeat.is_due(start + after(16), true));
        assert_eq!(heartbeat.check(start + after(24), true, 2), Ok(()));
        assert_eq!(
            heartbeat.check(start + after(25), true, 2),
            Err(Silence::NoPong(after(10)))
        );
    }

    #[tokio::test]
    async fn any_byte_is_an_answer() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(KEEP_ALIVE, start);
        heartbeat.pinged(2);
        heartbeat.check(start, true, 2).unwrap();
        heartbeat.received(start + after(9));
        assert_eq!(heartbeat.check(start + after(60), true, 2), Ok(()));
    }

    #[tokio::test]
    async fn a_busy_sender_pings_a_silent_broker() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(KEEP_ALIVE, start);
        heartbeat.sent(start + after(15));
        assert!(heartbeat.is_due(start + after(15), true));
    }

    #[tokio::test]
    async fn a_pause_in_reading_pings_on_and_is_not_taken_for_silence() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(KEEP_ALIVE, start);
        for round in 1..10 {
            let now = start + after(15 * round);
            assert!(heartbeat.is_due(now, false), "round {round}");
            heartbeat.pinged(2 * round);
            heartbeat.sent(now);
            assert_eq!(heartbeat.check(now, false, 2 * round), Ok(()));
        }
        let now = start + after(150);
        heartbeat.resumed(now);
        assert_eq!(heartbeat.check(now + after(9), true, 100), Ok(()));
        assert_eq!(
            heartbeat.check(now + after(10), true, 100),
            Err(Silence::NoPong(after(10)))
        );
    }

    #[tokio::test]
    async fn a_ping_that_cannot_be_written_ends_a_stuck_connection() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(KEEP_ALIVE, start);
        heartbeat.pinged(2);
        assert_eq!(heartbeat.check(start + after(29), true, 0), Ok(()));
        assert_eq!(
            heartbeat.check(start + after(30), true, 0),
            Err(Silence::Stuck(after(30)))
        );
    }

    #[tokio::test]
    async fn zero_turns_keep_alive_off() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(Duration::ZERO, start);
        assert!(!heartbeat.is_due(start + after(9_999), true));
        assert_eq!(heartbeat.check(start + after(9_999), true, 0), Ok(()));
    }
}
