//! The air temperature around a generator: latitude, season, time of day, and weather that comes and goes.
//!
//! Built from additions and multiplications alone, which IEEE 754 makes the same on every machine; the sine
//! and exponential functions of the system's mathematics library are not.

use crate::dice::{Purpose, drift};
use crate::towns::Town;

/// Seconds in a day.
pub(crate) const DAY: i64 = 86_400;

/// A year of 365.25 days, in seconds.
const YEAR: i64 = 31_557_600;

/// The air temperature in °C in `town` at `now` (seconds since 1970), for the weather of `seed`.
pub(crate) fn air(seed: u64, town: &Town, now: i64) -> f64 {
    let north = f64::from(town.latitude) / 100_000.0;
    let distance = if north < 0.0 { -north } else { north };
    let mean = 27.0
        - 0.58
            * if distance > 10.0 {
                distance - 10.0
            } else {
                0.0
            };
    // The warmest day is in late July in the north and half a year later in the south.
    let season = wave(now - YEAR * 115 / 365, YEAR) * 0.26 * north;
    // The warmest hour is 15:00 by the sun.
    let hour = wave(now + town.solar_offset() - 9 * 3600, DAY) * 5.5;
    let fronts = drift(seed ^ town.region, Purpose::Weather, now, 40 * 3600) * 6.0;
    mean + season + hour + fronts
}

/// A wave in `-1..=1` of the given period in seconds: two parabolas, close enough to a sine for weather.
fn wave(now: i64, period: i64) -> f64 {
    let into = i32::try_from(now.rem_euclid(period)).unwrap_or(0);
    let turn = f64::from(into) / f64::from(i32::try_from(period).unwrap_or(i32::MAX));
    if turn < 0.5 {
        16.0 * turn * (0.5 - turn)
    } else {
        -16.0 * (turn - 0.5) * (1.0 - turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::towns::towns;

    /// The mean over the days of a month, read every three hours; `month` from 0.
    fn mean(town: &Town, month: i64) -> f64 {
        let reads = 240_i32;
        (0..reads)
            .map(|read| {
                air(
                    1,
                    town,
                    1_735_689_600 + month * 30 * DAY + i64::from(read) * 10_800,
                )
            })
            .sum::<f64>()
            / f64::from(reads)
    }

    #[test]
    fn summer_is_in_july_in_the_north_and_in_january_in_the_south() {
        let towns = towns();
        let salt_lake_city = &towns[0];
        assert!(mean(salt_lake_city, 6) > mean(salt_lake_city, 0) + 12.0);
        let christchurch = towns.last().unwrap();
        assert!(christchurch.latitude < 0);
        assert!(mean(christchurch, 0) > mean(christchurch, 6) + 10.0);
    }

    #[test]
    fn no_place_is_ever_colder_or_hotter_than_the_earth() {
        for town in &towns() {
            for step in 0..3000 {
                let air = air(4, town, 1_735_689_600 + step * 10_799);
                assert!((-45.0..50.0).contains(&air), "{town:?} {air}");
            }
        }
    }

    #[test]
    fn the_afternoon_is_warmer_than_the_night() {
        let town = &towns()[0];
        let midnight = 1_750_032_000 - town.solar_offset();
        assert!(air(1, town, midnight + 15 * 3600) > air(1, town, midnight + 3 * 3600) + 4.0);
    }

    #[test]
    fn a_wave_has_its_top_at_a_quarter() {
        assert!((wave(25, 100) - 1.0).abs() < 1e-9);
        assert!((wave(75, 100) + 1.0).abs() < 1e-9);
        assert!(wave(0, 100).abs() < 1e-9);
        assert!((wave(-75, 100) - 1.0).abs() < 1e-9);
    }
}
