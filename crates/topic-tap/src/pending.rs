//! What was written and is not acknowledged yet, in the order of writing.

use std::collections::VecDeque;

/// A place in a source: what it acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A Kafka record: index of its topic among the source's, partition, offset.
    Kafka(u32, i32, i64),
    /// An MQTT message: its place in the order of receipt.
    Mqtt(u64),
}

/// Records between their writing and their acknowledgement.
#[derive(Debug, Default)]
pub struct Pending {
    records: VecDeque<(u64, usize, Mark)>,
    written: u64,
    flushed: u64,
    acknowledged: u64,
}

impl Pending {
    /// The `seq` that the next record gets, from 1.
    pub fn next_seq(&self) -> u64 {
        self.written + 1
    }

    /// A record of `source` got the next `seq`. Without a mark it needs no acknowledgement.
    pub fn wrote(&mut self, source: usize, mark: Option<Mark>) {
        self.written += 1;
        if let Some(mark) = mark {
            self.records.push_back((self.written, source, mark));
        }
    }

    /// All that was written has left the process.
    pub fn flushed(&mut self) {
        self.flushed = self.written;
    }

    /// How many records have left the process.
    pub fn count_flushed(&self) -> u64 {
        self.flushed
    }

    /// How many records are safe.
    pub fn count_acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Takes off the next record up to `seq` that is to be acknowledged, but none that has not left the
    /// process.
    pub fn take_through(&mut self, seq: u64) -> Option<(usize, Mark)> {
        let safe = seq.min(self.flushed);
        self.acknowledged = self.acknowledged.max(safe);
        let (at, source, mark) = *self.records.front()?;
        if at > safe {
            return None;
        }
        self.records.pop_front();
        Some((source, mark))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_acknowledged_before_it_has_left() {
        let mut pending = Pending::default();
        pending.wrote(0, Some(Mark::Mqtt(1)));
        pending.wrote(1, None);
        pending.flushed();
        pending.wrote(0, Some(Mark::Mqtt(2)));
        assert_eq!(pending.take_through(u64::MAX), Some((0, Mark::Mqtt(1))));
        assert_eq!(pending.take_through(u64::MAX), None);
        assert_eq!(
            (
                pending.count_flushed(),
                pending.count_acknowledged(),
                pending.next_seq()
            ),
            (2, 2, 4)
        );
    }

    #[test]
    fn acks_are_cumulative() {
        let mut pending = Pending::default();
        for place in 1..=3 {
            pending.wrote(0, Some(Mark::Mqtt(place)));
        }
        pending.flushed();
        assert_eq!(pending.take_through(0), None);
        assert_eq!(pending.take_through(2), Some((0, Mark::Mqtt(1))));
        assert_eq!(pending.take_through(2), Some((0, Mark::Mqtt(2))));
        assert_eq!(pending.take_through(2), None);
        assert_eq!(pending.count_acknowledged(), 2);
    }
}
