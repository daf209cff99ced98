//! The times of points.
//!
//! InfluxDB keeps one point for a measurement, its tags and a time: a second one replaces the first, and the answer is
//! the same. So the time of a point must tell records apart, and, because a record may be delivered twice, it must be a
//! function of the record and of nothing else. Kafka gives each record a place that no other has: its partition and
//! offset. They go below the resolution of its time:
//!
//! time = T · R + (offset mod S) · N + partition, with S = ⌊R / N⌋
//!
//! T is the record's own time in its unit (Kafka's milliseconds), R how many units of the precision that is, and N how
//! many partitions there may be. Two records of a series share a time only if they are of one T and partition, and
//! their offsets differ by a multiple of S.

use std::fmt;
use std::str::FromStr;

/// The earliest time that InfluxDB keeps, in nanoseconds since 1970 (in the year 1677).
pub const EARLIEST: i64 = i64::MIN + 2;

/// The latest (in the year 2262).
pub const LATEST: i64 = i64::MAX - 1;

/// Fewer places than this for the offsets of a partition are refused.
pub const LEAST_SLOTS: i64 = 100;

/// What the numbers of times count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// Nanoseconds.
    #[default]
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
}

impl Precision {
    /// The word of the API, and of the option.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ns => "ns",
            Self::Us => "us",
            Self::Ms => "ms",
            Self::S => "s",
        }
    }

    /// How many nanoseconds one is.
    #[must_use]
    pub fn nanoseconds(self) -> i64 {
        match self {
            Self::Ns => 1,
            Self::Us => 1_000,
            Self::Ms => 1_000_000,
            Self::S => 1_000_000_000,
        }
    }

    /// A time in this unit; finer parts are cut. `None` where InfluxDB has no such time.
    #[must_use]
    pub fn of_nanoseconds(self, ns: i128) -> Option<i64> {
        let kept = i64::try_from(ns).ok()?;
        let unit = self.nanoseconds();
        (EARLIEST..=LATEST)
            .contains(&kept)
            .then(|| kept.div_euclid(unit))
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Ns, Self::Us, Self::Ms, Self::S];
        let found = all.into_iter().find(|precision| precision.word() == text);
        found.ok_or_else(|| format!("'{text}' is not a precision: ns, us, ms or s"))
    }
}

/// Why the offsets of records can't go into the times of points.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "with {partitions} partitions and times in {precision}, {slots} offsets of a partition fit below one {unit} of a record's time, and fewer than {LEAST_SLOTS} are too few to tell records apart"
)]
pub struct NoRoom {
    partitions: i64,
    precision: Precision,
    slots: i64,
    unit: Precision,
}

/// Puts partition and offset below the resolution of records' times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetTime {
    unit: Precision,
    precision: Precision,
    partitions: i64,
    slots: i64,
}

impl OffsetTime {
    /// For records whose times count `unit`, of a topic of at most so many partitions, as points in `precision`.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] where too few offsets fit.
    pub fn new(unit: Precision, precision: Precision, partitions: u16) -> Result<Self, NoRoom> {
        let partitions = i64::from(partitions.max(1));
        let slots = unit.nanoseconds() / precision.nanoseconds() / partitions;
        if slots < LEAST_SLOTS {
            return Err(NoRoom {
                partitions,
                precision,
                slots,
                unit,
            });
        }
        Ok(Self {
            unit,
            precision,
            partitions,
            slots,
        })
    }

    /// How many offsets of a partition go into one unit of a record's time: those that differ by a multiple of it share
    /// a place.
    #[must_use]
    pub fn slots(&self) -> i64 {
        self.slots
    }

    /// How many partitions there may be.
    #[must_use]
    pub fn partitions(&self) -> i64 {
        self.partitions
    }

    /// The place of an offset.
    #[must_use]
    pub fn slot(&self, offset: i64) -> i64 {
        offset.rem_euclid(self.slots)
    }

    /// The point's time in the precision, of a record whose time is `time` in nanoseconds; finer parts than its unit are
    /// cut. `None` where InfluxDB has no such time. The partition is one of those that there may be.
    #[must_use]
    pub fn at(&self, time: i128, partition: i32, offset: i64) -> Option<i64> {
        let unit = i128::from(self.unit.nanoseconds());
        let start = time.div_euclid(unit) * unit;
        let below = self.slot(offset) * self.partitions + i64::from(partition);
        let below = i128::from(below) * i128::from(self.precision.nanoseconds());
        self.precision.of_nanoseconds(start + below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: i128 = 1_000_000;

    #[test]
    fn kafkas_milliseconds_leave_room_for_offsets_and_partitions() {
        let rule = OffsetTime::new(Precision::Ms, Precision::Ns, 64).unwrap();
        assert_eq!(rule.slots(), 15_625);
        for (partition, offset, below) in [
            (0, 0, 0),
            (63, 0, 63),
            (0, 1, 64),
            (5, 15_626, 69),
            (63, 15_624, 999_999),
        ] {
            assert_eq!(rule.at(7 * MS, partition, offset), Some(7_000_000 + below));
        }
        // Also before 1970.
        assert_eq!(rule.at(-MS, 1, 1), Some(-1_000_000 + 65));
        assert_eq!(rule.at(i128::from(LATEST), 63, 15_624), None);
        assert_eq!(rule.at(i128::from(i64::MAX) * MS, 1, 1), None);
    }

    #[test]
    fn a_precision_that_leaves_too_little_room_is_refused() {
        use Precision::{Ms, Ns, S, Us};
        let slots = |unit, precision, partitions| {
            OffsetTime::new(unit, precision, partitions).map(|rule| rule.slots())
        };
        assert_eq!(slots(Ms, Us, 10), Ok(100));
        assert_eq!(slots(S, Us, 64), Ok(15_625));
        assert_eq!(slots(S, Ms, 10), Ok(100));
        for (unit, precision, partitions) in [
            (Ms, Us, 11),
            (Ms, Ms, 1),
            (Ms, S, 1),
            (S, S, 1),
            (Ns, Ns, 1),
            (Ms, Ns, 10_001),
        ] {
            assert!(
                slots(unit, precision, partitions).is_err(),
                "{unit} {precision} {partitions}"
            );
        }
        let error = OffsetTime::new(Ms, Us, 64).unwrap_err().to_string();
        assert_eq!(
            error,
            "with 64 partitions and times in us, 15 offsets of a partition fit below one ms of a record's time, and fewer than 100 are too few to tell records apart"
        );
    }

    #[test]
    fn times_beyond_those_of_the_database_are_none() {
        for (ns, want) in [
            (0, Some(0)),
            (-1, Some(-1)),
            (1_999_999, Some(1)),
            (i128::from(EARLIEST) - 1, None),
            (i128::from(LATEST) + 1, None),
        ] {
            assert_eq!(Precision::Ms.of_nanoseconds(ns), want, "{ns}");
        }
        assert_eq!(
            Precision::Ns.of_nanoseconds(i128::from(LATEST)),
            Some(LATEST)
        );
        assert_eq!("us".parse(), Ok(Precision::Us));
        assert!("µs".parse::<Precision>().is_err());
    }

    proptest! {
        #[test]
        fn records_share_a_time_only_where_their_offsets_differ_by_a_multiple_of_the_slots(
            partitions in 1u16..2_000,
            a in (0i64..4, 0i32..2_000, 0i64..40_000),
            b in (0i64..4, 0i32..2_000, 0i64..40_000),
        ) {
            let rule = OffsetTime::new(Precision::Ms, Precision::Ns, partitions).unwrap();
            let in_range = |partition: i32| partition % i32::from(partitions);
            let time = |(ms, partition, offset): (i64, i32, i64)| rule.at(i128::from(ms) * MS, in_range(partition), offset).unwrap();
            let meet = a.0 == b.0 && in_range(a.1) == in_range(b.1) && (a.2 - b.2) % rule.slots() == 0;
            prop_assert_eq!(time(a) == time(b), meet);
            // The record's own time is kept.
            prop_assert_eq!(time(a).div_euclid(1_000_000), a.0);
        }
    }
}
