//! What is watched over all points: how many series there are, and whether points meet.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use tapline_influx::time::OffsetTime;

use crate::timing::Place;

/// So many of the last points are remembered to count those that meet.
const REMEMBERED: usize = 1 << 16;

/// A number that points of one series, and hardly any others, have.
pub(crate) fn hash(parts: impl Hash) -> u64 {
    // The same in each run: points of a series go over the same connection.
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

/// Counts series up to a limit.
#[derive(Debug)]
pub(crate) struct SeriesLimit {
    limit: u64,
    series: HashSet<u64>,
    /// The values of each tag.
    values: Vec<HashSet<u64>>,
}

impl SeriesLimit {
    pub(crate) fn new(limit: u64, tags: usize) -> Self {
        Self {
            limit,
            series: HashSet::new(),
            values: vec![HashSet::new(); tags],
        }
    }

    /// Takes a point's series, and the values of its tags. `false` if it is one too many.
    pub(crate) fn take(&mut self, series: u64, values: &[u64]) -> bool {
        if self.series.contains(&series) {
            return true;
        }
        if self.series.len() as u64 >= self.limit {
            return false;
        }
        self.series.insert(series);
        for (seen, value) in self.values.iter_mut().zip(values) {
            seen.insert(*value);
        }
        true
    }

    /// The number of the tag with the most values, and how many it has.
    pub(crate) fn widest(&self) -> Option<(usize, usize)> {
        let sizes = self.values.iter().map(HashSet::len).enumerate();
        sizes.max_by_key(|(_, size)| *size)
    }
}

/// Finds records whose points would meet although their offsets are in the times: those of a series, partition and
/// millisecond whose offsets differ by a multiple of the places that there are. The last record of each place is
/// remembered, in 16 MB for all partitions together.
#[derive(Debug)]
pub(crate) struct SameTime {
    rule: OffsetTime,
    /// Of each partition, by slot: a number for series and time, and the offset.
    last: HashMap<i32, Vec<(u64, i64)>>,
}

impl SameTime {
    /// `None` where there are so many places that records don't meet within a unit of time.
    pub(crate) fn new(rule: OffsetTime) -> Option<Self> {
        const MOST_PLACES: i64 = 1_000_000;
        (rule.slots() * rule.partitions() <= MOST_PLACES).then(|| Self {
            rule,
            last: HashMap::new(),
        })
    }

    /// The offset of an earlier record whose point this one would replace; else this one is remembered.
    pub(crate) fn meets(&mut self, series: u64, time: i64, place: Place) -> Option<i64> {
        let slots = usize::try_from(self.rule.slots()).expect("they are at most a million");
        let last = self
            .last
            .entry(place.partition)
            .or_insert_with(|| vec![(0, -1); slots]);
        let slot = usize::try_from(self.rule.slot(place.offset)).expect("it is below the slots");
        let point = hash((series, time));
        let (known, offset) = last[slot];
        if known == point && offset != place.offset && offset >= 0 {
            return Some(offset);
        }
        last[slot] = (point, place.offset);
        None
    }
}

/// Counts points that replace one of the last.
#[derive(Debug)]
pub(crate) struct Repeated {
    last: Vec<u64>,
    count: u64,
}

impl Repeated {
    pub(crate) fn new() -> Self {
        Self {
            last: vec![0; REMEMBERED],
            count: 0,
        }
    }

    pub(crate) fn take(&mut self, series: u64, time: i64) {
        let point = hash((series, time));
        let slot = usize::try_from(point).unwrap_or(usize::MAX) % REMEMBERED;
        let known = std::mem::replace(&mut self.last[slot], point);
        self.count += u64::from(known == point);
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_influx::time::Precision;

    #[test]
    fn a_series_too_many_is_told_by_the_tag_that_has_the_most_values() {
        let mut limit = SeriesLimit::new(3, 2);
        for series in [1, 2, 3, 2] {
            assert!(limit.take(series, &[7, series]));
        }
        assert!(!limit.take(4, &[7, 4]));
        assert!(limit.take(1, &[7, 1]));
        assert_eq!(limit.widest(), Some((1, 3)));
    }

    #[test]
    fn records_meet_in_a_place_of_their_series_and_time_only() {
        let rule = OffsetTime::new(Precision::Ms, Precision::Ns, 64).unwrap();
        let mut same = SameTime::new(rule).unwrap();
        let at = |partition, offset| Place { partition, offset };
        assert_eq!(same.meets(1, 5, at(0, 0)), None);
        // Delivered again.
        assert_eq!(same.meets(1, 5, at(0, 0)), None);
        for (series, time, place) in [
            (1, 6, at(0, 15_625)),
            (2, 6, at(0, 0)),
            (2, 6, at(1, 15_625)),
        ] {
            assert_eq!(same.meets(series, time, place), None);
        }
        assert_eq!(same.meets(2, 6, at(0, 31_250)), Some(0));
        let wide = OffsetTime::new(Precision::S, Precision::Ns, 64).unwrap();
        assert!(SameTime::new(wide).is_none());
    }

    #[test]
    fn points_that_replace_another_are_counted() {
        let mut repeated = Repeated::new();
        for (series, time) in [(1, 1), (1, 2), (2, 1), (1, 1), (1, 1)] {
            repeated.take(series, time);
        }
        assert_eq!(repeated.count(), 2);
    }
}
