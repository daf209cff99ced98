//! Where the reading of each partition is to stop, and which of them have been read that far.

use crate::offset::Slice;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// It lies before the end.
    pub(crate) wanted: bool,
    /// Its partition has now been read to its end.
    pub(crate) ended: bool,
}

/// The partitions that are still to be read to their end.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    open: Vec<Slice>,
    /// The place in `open` of the last record's partition: the next is likely from the same.
    last: usize,
}

impl Ends {
    pub(crate) fn new(slices: Vec<Slice>) -> Self {
        let mut ends = Self::default();
        ends.add(slices);
        ends
    }

    /// Adds partitions; those without anything to read are done at once.
    pub(crate) fn add(&mut self, slices: Vec<Slice>) {
        self.open
            .extend(slices.into_iter().filter(|slice| slice.start < slice.stop));
    }

    /// Forgets partitions that another will read.
    pub(crate) fn remove(&mut self, partitions: &[(String, i32)]) {
        self.open.retain(|slice| {
            !partitions
                .iter()
                .any(|(topic, id)| *topic == slice.topic && *id == slice.partition)
        });
    }

    /// Whether all is read.
    pub(crate) fn reached(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether a partition is still to be read.
    pub(crate) fn is_open(&self, topic: &str, partition: i32) -> bool {
        self.find(topic, partition).is_some()
    }

    /// All records of a partition before `offset` have come. The last ones before its end may be no records: markers of
    /// transactions, or what was compacted away.
    pub(crate) fn pass(&mut self, topic: &str, partition: i32, offset: i64) {
        if let Some(at) = self.find(topic, partition)
            && offset >= self.open[at].stop
        {
            self.open.swap_remove(at);
        }
    }

    /// A record came.
    pub(crate) fn take(&mut self, topic: &str, partition: i32, offset: i64) -> Taken {
        let Some(at) = self.find(topic, partition) else {
            return Taken {
                wanted: false,
                ended: false,
            };
        };
        self.last = at;
        let stop = self.open[at].stop;
        let ended = offset + 1 >= stop;
        if ended {
            self.open.swap_remove(at);
        }
        Taken {
            wanted: offset < stop,
            ended,
        }
    }

    fn find(&self, topic: &str, partition: i32) -> Option<usize> {
        let fits = |slice: &Slice| slice.partition == partition && slice.topic == topic;
        if self.open.get(self.last).is_some_and(fits) {
            return Some(self.last);
        }
        self.open.iter().position(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(topic: &str, partition: i32, start: i64, stop: i64) -> Slice {
        Slice {
            topic: topic.to_owned(),
            partition,
            start,
            stop,
        }
    }

    #[test]
    fn an_empty_partition_has_ended_before_it_began() {
        assert!(Ends::new(vec![slice("t", 0, 0, 0), slice("t", 1, 9, 7)]).reached());
        assert!(Ends::new(Vec::new()).reached());
    }

    #[test]
    fn a_partition_ends_with_its_last_record_and_what_comes_later_is_not_wanted() {
        let mut ends = Ends::new(vec![slice("t", 0, 5, 7), slice("t", 1, 0, 1)]);
        assert_eq!(
            ends.take("t", 0, 5),
            Taken {
                wanted: true,
                ended: false
            }
        );
        assert_eq!(
            ends.take("t", 0, 6),
            Taken {
                wanted: true,
                ended: true
            }
        );
        assert_eq!(
            ends.take("t", 0, 7),
            Taken {
                wanted: false,
                ended: false
            }
        );
        assert!(!ends.reached());
        // The last record before the end was compacted away: the next one is beyond it.
        assert_eq!(
            ends.take("t", 1, 3),
            Taken {
                wanted: false,
                ended: true
            }
        );
        assert!(ends.reached());
    }

    #[test]
    fn partitions_of_one_number_are_told_apart_by_topic() {
        let mut ends = Ends::new(vec![
            slice("a", 0, 0, 1),
            slice("b", 0, 0, 1),
            slice("b", 1, 0, 1),
        ]);
        ends.pass("a", 0, 0);
        assert!(ends.is_open("a", 0), "it has not come that far");
        ends.pass("a", 0, 1);
        assert!(!ends.is_open("a", 0) && ends.is_open("b", 0));
        ends.remove(&[("b".to_owned(), 0), ("b".to_owned(), 1)]);
        assert!(ends.reached());
    }
}
