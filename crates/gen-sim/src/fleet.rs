//! The fleet: generators read in turn, each once an interval, as lines of NDJSON or CSV.

use std::time::Duration;

use crate::generator::{Generator, Reading};
use crate::towns::{Town, towns};

/// The header of the CSV form: the names of the six fields, in their order.
pub(crate) const CSV_HEADER: &[u8] = b"generatorID,lat,lon,temperature,pressure,fuel";

/// How readings are written, or a recording is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// A JSON object a line
    Ndjson,
    /// A row a line, after a header
    Csv,
}

/// All generators, and whose turn it is.
///
/// In each round every generator is read once, by its number. The readings of a round are spread evenly over the
/// interval; the state that they tell is that of the round's beginning, so that a generator tells the same
/// whatever the size of the fleet.
#[derive(Debug)]
pub(crate) struct Fleet {
    seed: u64,
    towns: Vec<Town>,
    generators: Vec<Generator>,
    /// Nanoseconds since 1970.
    start: i128,
    /// Nanoseconds.
    interval: u128,
    round: u64,
    next: usize,
    /// The time of the round in seconds since 1970.
    now: i64,
}

impl Fleet {
    /// A fleet of `generators` (at least one) at `start` (nanoseconds since 1970), read every `interval`.
    pub(crate) fn new(seed: u64, generators: u32, start: i128, interval: Duration) -> Self {
        let towns = towns();
        let now = seconds(start);
        Self {
            seed,
            generators: (1..=u64::from(generators))
                .map(|number| Generator::new(seed, number, now, &towns))
                .collect(),
            towns,
            start,
            interval: interval.as_nanos(),
            round: 0,
            next: 0,
            now,
        }
    }

    /// When the next reading is due: nanoseconds of simulated time after the start.
    pub(crate) fn due(&self) -> u128 {
        let spread = self.interval * self.next as u128 / self.generators.len() as u128;
        u128::from(self.round) * self.interval + spread
    }

    /// Appends the next reading to `out`, without a line end.
    pub(crate) fn write_next(&mut self, form: Form, out: &mut Vec<u8>) {
        let generator = &mut self.generators[self.next];
        let town = &self.towns[generator.town()];
        generator.advance(self.seed, town, self.now);
        let reading = generator.read(self.now);
        let place = (generator.latitude, generator.longitude);
        self.next += 1;
        match form {
            Form::Ndjson => write_ndjson(out, self.next, place, reading),
            Form::Csv => write_csv(out, self.next, place, reading),
        }
        if self.next == self.generators.len() {
            self.next = 0;
            self.round += 1;
            let passed = u128::from(self.round) * self.interval;
            self.now = seconds(self.start + i128::try_from(passed).unwrap_or(i128::MAX / 2));
        }
    }
}

/// Whole seconds of a time in nanoseconds.
fn seconds(nanoseconds: i128) -> i64 {
    i64::try_from(nanoseconds.div_euclid(1_000_000_000)).unwrap_or(i64::MAX / 2)
}

fn write_ndjson(out: &mut Vec<u8>, number: usize, place: (i32, i32), reading: Reading) {
    out.extend_from_slice(b"{\"generatorID\":\"generator");
    write_whole(out, number);
    out.extend_from_slice(b"\",\"lat\":");
    write_degrees(out, place.0);
    out.extend_from_slice(b",\"lon\":");
    write_degrees(out, place.1);
    out.extend_from_slice(b",\"temperature\":");
    write_whole(out, reading.temperature);
    out.extend_from_slice(b",\"pressure\":");
    write_whole(out, reading.pressure);
    out.extend_from_slice(b",\"fuel\":");
    write_whole(out, reading.fuel);
    out.push(b'}');
}

fn write_csv(out: &mut Vec<u8>, number: usize, place: (i32, i32), reading: Reading) {
    out.extend_from_slice(b"generator");
    write_whole(out, number);
    out.push(b',');
    write_degrees(out, place.0);
    out.push(b',');
    write_degrees(out, place.1);
    for value in [reading.temperature, reading.pressure, reading.fuel] {
        out.push(b',');
        write_whole(out, value);
    }
}

fn write_whole(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Degrees with five decimals from 1/100,000 of a degree.
fn write_degrees(out: &mut Vec<u8>, value: i32) {
    if value < 0 {
        out.push(b'-');
    }
    let value = value.unsigned_abs();
    write_whole(out, value / 100_000);
    out.push(b'.');
    let decimals = 100_000 + value % 100_000;
    out.extend_from_slice(&itoa::Buffer::new().format(decimals).as_bytes()[1..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i128 = 1_735_689_600_000_000_000;

    /// The first `count` readings of a fleet.
    fn readings(seed: u64, generators: u32, interval: Duration, count: usize) -> String {
        let mut fleet = Fleet::new(seed, generators, START, interval);
        let mut out = Vec::new();
        for _ in 0..count {
            fleet.write_next(Form::Ndjson, &mut out);
            out.push(b'\n');
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn degrees_have_a_sign_and_five_decimals() {
        let written = |value| {
            let mut out = Vec::new();
            write_degrees(&mut out, value);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(4_065_995), "40.65995");
        assert_eq!(written(-11_199_633), "-111.99633");
        assert_eq!(written(-12574), "-0.12574");
        assert_eq!(written(800_050), "8.00050");
        assert_eq!(written(0), "0.00000");
    }

    #[test]
    fn a_reading_has_exactly_the_six_fields_in_their_order() {
        let mut out = Vec::new();
        let reading = Reading {
            temperature: 74,
            pressure: 198,
            fuel: 901,
        };
        write_ndjson(&mut out, 4, (4_065_995, -11_199_633), reading);
        let expected = r#"{"generatorID":"generator4","lat":40.65995,"lon":-111.99633,"temperature":74,"pressure":198,"fuel":901}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let mut out = Vec::new();
        write_csv(&mut out, 4, (4_065_995, -11_199_633), reading);
        assert_eq!(out, b"generator4,40.65995,-111.99633,74,198,901");
    }

    #[test]
    fn a_generator_tells_the_same_whatever_the_size_of_the_fleet() {
        let of_first = |generators: u32| -> Vec<String> {
            let count = 50 * generators as usize;
            readings(1, generators, Duration::from_mins(1), count)
                .lines()
                .filter(|line| line.contains(r#""generator1""#))
                .map(str::to_owned)
                .collect()
        };
        assert_eq!(of_first(1).len(), 50);
        assert_eq!(of_first(1), of_first(7));
        assert_eq!(of_first(1), of_first(200));
    }

    #[test]
    fn a_reading_says_the_same_however_often_the_fleet_is_read() {
        let every = |seconds: u64, count| readings(1, 1, Duration::from_secs(seconds), count);
        let minutes = every(60, 240);
        let hours = every(3600, 4);
        let picked: Vec<&str> = minutes.lines().step_by(60).collect();
        assert_eq!(picked, hours.lines().collect::<Vec<_>>());
    }

    #[test]
    fn another_seed_makes_another_fleet() {
        let second = Duration::from_secs(1);
        assert_eq!(readings(1, 5, second, 50), readings(1, 5, second, 50));
        assert_ne!(readings(1, 5, second, 50), readings(2, 5, second, 50));
    }

    #[test]
    fn readings_are_spread_over_the_interval() {
        let mut fleet = Fleet::new(1, 4, START, Duration::from_secs(1));
        let mut out = Vec::new();
        let dues: Vec<u128> = (0..6)
            .map(|_| {
                let due = fleet.due();
                fleet.write_next(Form::Csv, &mut out);
                due / 1_000_000
            })
            .collect();
        assert_eq!(dues, [0, 250, 500, 750, 1000, 1250]);
    }

    #[test]
    fn a_generator_costs_little_memory() {
        assert!(size_of::<Generator>() <= 96, "{}", size_of::<Generator>());
    }
}
