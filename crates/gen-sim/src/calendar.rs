//! When a site needs its generator: outages of the mains (storms over a region, local faults) and weekly test runs.
//!
//! The calendar is a function of seed, site and day, and keeps nothing: a look at any time costs the same, so a
//! simulation can start anywhere.

use crate::dice::{Dice, Purpose};
use crate::towns::Town;
use crate::weather::DAY;

/// Days that are searched for the next outage before the question is put again.
const HORIZON: i64 = 60;

/// Seconds in a week.
const WEEK: i64 = 7 * DAY;

/// Some time, from its first second to the one after its last, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: i64,
    pub(crate) until: i64,
}

/// Why a generator is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// It isn't: the mains are there.
    None,
    /// The weekly test run.
    Test,
    /// The mains are away.
    Outage,
}

/// A site as the calendar sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site<'a> {
    /// The seed of the simulation: storms are common to all sites.
    pub(crate) seed: u64,
    /// Stands for the site.
    pub(crate) key: u64,
    /// Where it is.
    pub(crate) town: &'a Town,
}

impl Site<'_> {
    /// What is needed at `now`, and the time up to which that certainly holds (more than `now`).
    pub(crate) fn need(&self, now: i64) -> (Need, i64) {
        let outage = self.next_outage(now);
        if let Some(outage) = outage.filter(|span| span.from <= now) {
            return (Need::Outage, outage.until);
        }
        let quiet = outage.map_or(now + HORIZON * DAY, |span| span.from);
        let test = self.next_test(now);
        if test.from <= now {
            (Need::Test, test.until.min(quiet))
        } else {
            (Need::None, test.from.min(quiet))
        }
    }

    /// The outage at `now`, else the next one within the horizon.
    fn next_outage(&self, now: i64) -> Option<Span> {
        let today = now.div_euclid(DAY);
        // Yesterday's may last until now; none is longer than a day.
        (today - 1..today + HORIZON).find_map(|day| {
            [self.storm(day), self.fault(day)]
                .into_iter()
                .flatten()
                .filter(|span| span.until > now)
                .min_by_key(|span| span.from)
        })
    }

    /// The outage that a storm over the region makes here, if it does.
    fn storm(&self, day: i64) -> Option<Span> {
        let mut storm = Dice::new(self.seed ^ self.town.region, Purpose::Storm, day);
        if !storm.chance(0.07) {
            return None;
        }
        let comes = storm.whole(0, DAY);
        let strength = storm.between(0.25, 0.85);
        let mut here = Dice::new(self.key, Purpose::StormAtSite, day);
        if !here.chance(strength) {
            return None;
        }
        let from = day * DAY + comes + here.whole(0, 5400);
        Some(Span {
            from,
            until: from + skewed(&mut here, 600, 10 * 3600),
        })
    }

    /// An outage that is this site's alone.
    fn fault(&self, day: i64) -> Option<Span> {
        // Emergency generators stand where they are needed: some sites lose the mains nearly every day.
        let often = match self.key % 10 {
            0..4 => 0.04,
            4..8 => 0.25,
            _ => 0.8,
        };
        let mut dice = Dice::new(self.key, Purpose::Fault, day);
        if !dice.chance(often) {
            return None;
        }
        // Mains fail under load: mostly between 6:00 and 24:00 by the sun.
        let hour = if dice.chance(0.85) {
            dice.whole(6 * 3600, DAY)
        } else {
            dice.whole(0, 6 * 3600)
        };
        let from = day * DAY + hour - self.town.solar_offset();
        Some(Span {
            from,
            until: from + skewed(&mut dice, 180, 4 * 3600),
        })
    }

    /// The test run at `now`, else the next one: the same hour of a working day, every week.
    fn next_test(&self, now: i64) -> Span {
        let mut dice = Dice::new(self.key, Purpose::Generator, 1);
        let lasts = 60 * dice.whole(15, 31);
        // 1970-01-01 was a Thursday: days 4 to 8 after it are Monday to Friday.
        let day = dice.whole(4, 9);
        let quarter = dice.whole(8 * 4, 16 * 4);
        let first = day * DAY + quarter * 900 - self.town.solar_offset();
        let latest = now - (now - first).rem_euclid(WEEK);
        let from = if latest + lasts > now {
            latest
        } else {
            latest + WEEK
        };
        Span {
            from,
            until: from + lasts,
        }
    }
}

/// A length of time in seconds in `low..high`, short ones far more often than long ones.
fn skewed(dice: &mut Dice, low: i64, high: i64) -> i64 {
    let share = dice.unit();
    let millionths = share * share * share * 1e6;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a number of 0..1e6, whose fraction is dropped on purpose"
    )]
    let millionths = millionths as i64;
    low + (high - low) * millionths / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::mix;
    use crate::towns::towns;

    const NEW_YEAR: i64 = 1_735_689_600;

    #[test]
    fn needs_follow_each_other_without_gaps_or_standstill() {
        let town = towns()[3];
        for key in (0..20).map(mix) {
            let site = Site {
                seed: 1,
                key,
                town: &town,
            };
            let mut now = NEW_YEAR;
            let (mut tests, mut outages) = (0, 0);
            while now < NEW_YEAR + 364 * DAY {
                let (need, until) = site.need(now);
                assert!(until > now);
                assert_eq!(site.need(until - 1).0, need, "the same to its last second");
                tests += i32::from(need == Need::Test);
                outages += i32::from(need == Need::Outage);
                now = until;
            }
            assert!((40..=120).contains(&tests), "{tests} test runs");
            assert!((5..=400).contains(&outages), "{outages} outages");
        }
    }

    #[test]
    fn a_look_in_the_middle_sees_the_same_outage_as_one_before() {
        let town = towns()[3];
        let site = Site {
            seed: 1,
            key: mix(9),
            town: &town,
        };
        let next = site.next_outage(NEW_YEAR).unwrap();
        assert_eq!(site.next_outage(next.from), Some(next));
        assert_eq!(site.next_outage(next.until - 1), Some(next));
        assert_ne!(site.next_outage(next.until), Some(next));
    }

    #[test]
    fn a_storm_takes_the_mains_from_many_sites_of_a_region_and_from_none_of_another() {
        let towns = towns();
        let hit = |town: &Town, day| {
            let sites = (0..50).map(|key| Site {
                seed: 1,
                key: mix(key),
                town,
            });
            sites.filter(|site| site.storm(day).is_some()).count()
        };
        let first = NEW_YEAR / DAY;
        let stormy = (first..first + 365)
            .find(|day| hit(&towns[0], *day) > 0)
            .unwrap();
        assert!(hit(&towns[0], stormy) > 8);
        assert!(hit(&towns[5], stormy) > 8, "the same region");
        let elsewhere = towns.iter().filter(|town| hit(town, stormy) == 0);
        assert!(elsewhere.count() > 50);
    }

    #[test]
    fn tests_are_on_working_days_by_daylight() {
        let town = towns()[0];
        for key in (0..50).map(mix) {
            let site = Site {
                seed: 1,
                key,
                town: &town,
            };
            let local = site.next_test(NEW_YEAR).from + town.solar_offset();
            let weekday = (local.div_euclid(DAY) + 3).rem_euclid(7);
            assert!(weekday < 5, "Monday is 0: {weekday}");
            assert!((8..16).contains(&(local.rem_euclid(DAY) / 3600)));
        }
    }
}
