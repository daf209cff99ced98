//! The real places at which the fleet stands: an embedded list of towns.

use crate::dice::mix;

/// The list, as it is kept for people: `town,region,latitude,longitude`.
const TOWNS: &str = include_str!("towns.csv");

/// A place with its own mains and weather.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Town {
    /// Stands for the region: towns of one region share storms and weather.
    pub(crate) region: u64,
    /// Latitude in 1/100,000 of a degree, north positive.
    pub(crate) latitude: i32,
    /// Longitude in 1/100,000 of a degree, east positive.
    pub(crate) longitude: i32,
}

impl Town {
    /// Seconds that the sun is ahead of Greenwich: local time without political borders.
    pub(crate) fn solar_offset(&self) -> i64 {
        // 360° are 86,400 s, so 1/100,000 of a degree is 0.0024 s.
        i64::from(self.longitude) * 24 / 10_000
    }
}

/// All towns, in the order of the list.
pub(crate) fn towns() -> Vec<Town> {
    TOWNS.lines().skip(1).filter_map(parse).collect()
}

/// Reads one line of the list; `None` if it isn't of the list's form.
fn parse(line: &str) -> Option<Town> {
    let mut cells = line.split(',').skip(1);
    let region = cells
        .next()?
        .bytes()
        .fold(0, |hash, byte| mix(hash ^ u64::from(byte)));
    Some(Town {
        region,
        latitude: hundred_thousandths(cells.next()?)?,
        longitude: hundred_thousandths(cells.next()?)?,
    })
}

/// `-111.99633` → `-11199633`. Takes exactly five decimals.
fn hundred_thousandths(text: &str) -> Option<i32> {
    let (whole, decimals) = text.split_once('.')?;
    if decimals.len() != 5 {
        return None;
    }
    format!("{whole}{decimals}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_line_of_the_list_is_a_town_on_earth() {
        let towns = towns();
        assert_eq!(towns.len(), TOWNS.lines().count() - 1);
        assert!((60..=100).contains(&towns.len()));
        for town in &towns {
            assert!(town.latitude.abs() < 7_500_000, "{town:?}");
            assert!(town.longitude.abs() < 18_000_000, "{town:?}");
        }
    }

    #[test]
    fn no_town_is_listed_twice() {
        let names: HashSet<&str> = TOWNS.lines().filter_map(|l| l.split(',').next()).collect();
        assert_eq!(names.len(), TOWNS.lines().count());
    }

    #[test]
    fn coordinates_are_read_to_the_last_decimal() {
        assert_eq!(hundred_thousandths("40.65995"), Some(4_065_995));
        assert_eq!(hundred_thousandths("-0.12574"), Some(-12574));
        assert_eq!(hundred_thousandths("8.55"), None);
        assert_eq!(hundred_thousandths("8"), None);
    }

    #[test]
    fn the_sun_rises_in_the_east_first() {
        let salt_lake_city = towns()[0];
        assert!(
            (-27_000..-26_640).contains(&salt_lake_city.solar_offset()),
            "7.4 to 7.5 hours"
        );
    }
}
