//! What was tapped and is not acknowledged yet, in the order of writing.

use std::collections::VecDeque;

/// A place in a source: what it acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A Kafka record: index of its topic among the source's, partition, offset.
    Kafka(u32, i32, i64),
    /// An MQTT message: its place in the order of receipt.
    Mqtt(u64),
}

/// Records between their tapping and their acknowledgement.
///
/// A record is put into the output's buffer, then written (the system has its last byte), then taken (a file has
/// it, or the reader took it out of the pipe), then acknowledged. Each is a number of records from the first on.
#[derive(Debug, Default)]
pub struct Pending {
    records: VecDeque<(u64, usize, Mark)>,
    /// Where each record ends in the output that is not taken yet.
    ends: VecDeque<u64>,
    put: u64,
    written: u64,
    taken: u64,
    acknowledged: u64,
}

impl Pending {
    /// The `seq` that the next record gets, from 1.
    pub fn next_seq(&self) -> u64 {
        self.put + 1
    }

    /// A record of `source` got the next `seq`, and ends at this position of the output. Without a mark it needs no
    /// acknowledgement.
    pub fn put(&mut self, source: usize, mark: Option<Mark>, end: u64) {
        self.put += 1;
        self.ends.push_back(end);
        if let Some(mark) = mark {
            self.records.push_back((self.put, source, mark));
        }
    }

    /// So many bytes of the output are written, and so many taken.
    pub fn reached(&mut self, written: u64, taken: u64) {
        while self.ends.front().is_some_and(|end| *end <= taken) {
            self.ends.pop_front();
            self.taken += 1;
        }
        self.written = self.written.max(self.taken);
        let known = usize::try_from(self.written - self.taken).expect("no more than there are");
        let more = self.ends.iter().skip(known);
        self.written += more.take_while(|end| **end <= written).count() as u64;
    }

    /// How many records have left the process.
    pub fn count_written(&self) -> u64 {
        self.written
    }

    /// How many records a file has, or the reader took.
    pub fn count_taken(&self) -> u64 {
        self.taken
    }

    /// How many records are safe.
    pub fn count_acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// How many records wait for their acknowledgement.
    pub fn count_waiting(&self) -> usize {
        self.records.len()
    }

    /// Takes off the next record up to `seq` that is to be acknowledged, but none that has not left the
    /// process.
    pub fn take_through(&mut self, seq: u64) -> Option<(usize, Mark)> {
        let safe = seq.min(self.written);
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
    fn a_record_is_written_and_taken_with_its_last_byte() {
        let mut pending = Pending::default();
        for end in [3, 6, 6, 9] {
            pending.put(0, None, end);
        }
        for (written, taken, counts) in [
            (2, 0, (0, 0)),
            (8, 2, (3, 0)),
            (8, 3, (3, 1)),
            (9, 8, (4, 3)),
            (9, 9, (4, 4)),
        ] {
            pending.reached(written, taken);
            assert_eq!((pending.count_written(), pending.count_taken()), counts);
        }
    }

    #[test]
    fn nothing_is_acknowledged_before_it_has_left() {
        let mut pending = Pending::default();
        pending.put(0, Some(Mark::Mqtt(1)), 1);
        pending.put(1, None, 2);
        pending.reached(2, 0);
        pending.put(0, Some(Mark::Mqtt(2)), 3);
        assert_eq!(pending.take_through(u64::MAX), Some((0, Mark::Mqtt(1))));
        assert_eq!(pending.take_through(u64::MAX), None);
        let counts = (pending.count_written(), pending.count_acknowledged());
        assert_eq!((counts, pending.next_seq()), ((2, 2), 4));
    }

    #[test]
    fn acks_are_cumulative() {
        let mut pending = Pending::default();
        for place in 1..=3 {
            pending.put(0, Some(Mark::Mqtt(place)), place);
        }
        pending.reached(3, 3);
        assert_eq!(pending.take_through(0), None);
        assert_eq!(pending.take_through(2), Some((0, Mark::Mqtt(1))));
        assert_eq!(pending.take_through(2), Some((0, Mark::Mqtt(2))));
        assert_eq!(pending.take_through(2), None);
        assert_eq!(pending.count_acknowledged(), 2);
        assert_eq!(pending.count_waiting(), 1);
    }
}
