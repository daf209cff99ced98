//! What was tapped and is not acknowledged yet, in the order of writing.

use std::{
    cmp::max,
    collections::{HashMap, HashSet, VecDeque},
};

/// So many marks are kept, or twice as many as have to be; then they are thinned out.
const MOST_MARKS: usize = 1 << 16;

/// The most messages that an MQTT broker sends before it must have an answer.
const WINDOW: usize = 65_535;

/// A place in a source: what it acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mark {
    /// A Kafka record: index of its topic among the source's, partition, offset.
    Kafka(u32, i32, i64),
    /// An MQTT message: its place in the order of receipt, and whether the broker waits for an answer to it (QoS 1 and
    /// 2), so that it may send nothing more without one.
    Mqtt(u64, bool),
}

impl Mark {
    /// What it is a place in, and how many of the newest marks there must be kept, each for itself.
    fn stream(self) -> (Self, usize) {
        match self {
            Self::Kafka(topic, partition, _) => (Self::Kafka(topic, partition, 0), 1),
            Self::Mqtt(_, awaited) => (Self::Mqtt(0, awaited), if awaited { WINDOW } else { 1 }),
        }
    }
}

/// Records between their tapping and their acknowledgement.
///
/// A record is put into the output's buffer, then written (the system has its last byte), then taken (a file has
/// it, or the reader took it out of the pipe), then acknowledged. Each is a number of records from the first on.
///
/// Where a last stage acknowledges nothing for long, it is not kept for every record where its source's acknowledgement
/// would stand: a mark counts for those before it in the same partition, so some may go. What is acknowledged
/// to the source is less for a while, then, and never too much.
#[derive(Debug, Default)]
pub struct Pending {
    records: VecDeque<(u64, usize, Mark)>,
    /// How many of them may stay once they have been thinned out.
    needed: usize,
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
            if self.records.len() > max(MOST_MARKS, 2 * self.needed) {
                self.thin_out();
            }
        }
    }

    /// Leaves of each stream its newest marks, and of those before them some at about equal distances.
    fn thin_out(&mut self) {
        let mut kept: Vec<_> = std::mem::take(&mut self.records).into();
        let span = kept.first().map_or(0, |(oldest, ..)| self.put - oldest);
        let streams: HashSet<_> = kept
            .iter()
            .map(|(_, source, mark)| (*source, mark.stream().0))
            .collect();
        let step = span * streams.len() as u64 / (MOST_MARKS as u64 / 4);
        let mut met = HashMap::<_, (usize, u64)>::new();
        kept.reverse();
        kept.retain(|(at, source, mark)| {
            let (stream, newest) = mark.stream();
            let (met, last) = met.entry((*source, stream)).or_insert((0, u64::MAX));
            *met += 1;
            let stays = *met <= newest || *last - at >= step;
            if stays {
                *last = *at;
            }
            stays
        });
        kept.reverse();
        self.needed = kept.len();
        self.records = kept.into();
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

    /// How many records wait for their acknowledgement; fewer than there are, once these are very many.
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
        pending.put(0, Some(Mark::Mqtt(1, true)), 1);
        pending.put(1, None, 2);
        pending.reached(2, 0);
        pending.put(0, Some(Mark::Mqtt(2, true)), 3);
        assert_eq!(
            pending.take_through(u64::MAX),
            Some((0, Mark::Mqtt(1, true)))
        );
        assert_eq!(pending.take_through(u64::MAX), None);
        let counts = (pending.count_written(), pending.count_acknowledged());
        assert_eq!((counts, pending.next_seq()), ((2, 2), 4));
    }

    #[test]
    fn acks_are_cumulative() {
        let mut pending = Pending::default();
        for place in 1..=3 {
            pending.put(0, Some(Mark::Mqtt(place, true)), place);
        }
        pending.reached(3, 3);
        assert_eq!(pending.take_through(0), None);
        assert_eq!(pending.take_through(2), Some((0, Mark::Mqtt(1, true))));
        assert_eq!(pending.take_through(2), Some((0, Mark::Mqtt(2, true))));
        assert_eq!(pending.take_through(2), None);
        assert_eq!(pending.count_acknowledged(), 2);
        assert_eq!(pending.count_waiting(), 1);
    }

    #[test]
    fn marks_that_wait_for_long_are_thinned_out_and_none_counts_too_early() {
        let mut pending = Pending::default();
        let records = 1_000_000;
        for offset in 0..records {
            // Two partitions in turn, and messages of QoS 0.
            let mark = match offset % 3 {
                2 => Mark::Mqtt(offset, false),
                partition => Mark::Kafka(0, i32::from(partition == 1), offset.cast_signed()),
            };
            pending.put(usize::from(offset % 3 == 2), Some(mark), offset);
            assert!(pending.count_waiting() <= MOST_MARKS);
        }
        pending.reached(records, records);
        let place = |mark| match mark {
            Mark::Kafka(_, _, offset) => offset.cast_unsigned(),
            Mark::Mqtt(place, _) => place,
        };
        let mut last = 0;
        while let Some((_, mark)) = pending.take_through(records / 2) {
            last = place(mark);
        }
        assert!((records * 49 / 100..records / 2).contains(&last), "{last}");
        // The end of each stream is acknowledged exactly.
        let mut ends = Vec::new();
        while let Some((_, mark)) = pending.take_through(records) {
            ends.push(place(mark));
        }
        assert_eq!(
            ends[ends.len() - 3..],
            [records - 3, records - 2, records - 1]
        );
    }

    #[test]
    fn no_answer_that_a_broker_waits_for_is_left_out() {
        let mut pending = Pending::default();
        let window = WINDOW as u64;
        for place in 0..20 * window {
            pending.put(0, Some(Mark::Mqtt(place, place < window)), place);
        }
        pending.reached(20 * window, 20 * window);
        for place in 0..window {
            let first = Some((0, Mark::Mqtt(place, true)));
            assert_eq!(pending.take_through(place + 1), first);
        }
        assert!(pending.count_waiting() <= 2 * WINDOW + MOST_MARKS);
    }
}
