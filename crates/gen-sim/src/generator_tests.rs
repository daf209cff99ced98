//! The physics of a generator: what must hold over hours, a year, and many machines.

use super::*;
use crate::towns::towns;

const NEW_YEAR: i64 = 1_735_689_600;

/// A generator and where it stands.
struct Bench {
    towns: Vec<Town>,
    seed: u64,
    generator: Generator,
}

impl Bench {
    fn new(seed: u64, number: u64) -> Self {
        let towns = towns();
        let generator = Generator::new(seed, number, NEW_YEAR, &towns);
        Self {
            towns,
            seed,
            generator,
        }
    }

    /// A generator of which the next thing that happens is an outage of half an hour or more.
    fn before_outage() -> Self {
        let benches = (1..).map(|number| Self::new(1, number));
        let outage = |bench: &Self| {
            let town = &bench.towns[bench.generator.town()];
            let site = Site {
                seed: 1,
                key: bench.generator.key,
                town,
            };
            let (first, from) = site.need(NEW_YEAR);
            let (then, until) = site.need(from);
            (first, then) == (Need::None, Need::Outage) && until > from + 1800
        };
        let standby = |bench: &Self| bench.generator.phase == Phase::Standby;
        benches
            .filter(standby)
            .find(outage)
            .expect("endless numbers")
    }

    fn read(&mut self, now: i64) -> Reading {
        let town = self.towns[self.generator.town()];
        self.generator.advance(self.seed, &town, now);
        self.generator.read(now)
    }

    /// Goes on, second by second, until the generator enters `phase`; the time then.
    fn until(&mut self, phase: Phase, from: i64) -> i64 {
        let found = (from..from + 60 * DAY).find(|now| {
            self.read(*now);
            self.generator.phase == phase
        });
        found.unwrap_or_else(|| panic!("no {phase:?} within 60 days"))
    }
}

#[test]
fn a_year_of_many_generators_stays_within_bounds_and_sees_every_phase() {
    let (mut refills, mut hours, mut running) = (0, 0, 0);
    let mut phases = [false; 6];
    for seed in 1..=20 {
        for number in seed..seed + 5 {
            let mut bench = Bench::new(seed, number);
            let tank = i16::try_from(bench.generator.machine.tank).unwrap();
            let mut fuel = tank;
            for quarter in 0..4 * 24 * 365 {
                let reading = bench.read(NEW_YEAR + quarter * 900);
                assert!((-40..=130).contains(&reading.temperature), "{reading:?}");
                assert!((0..=1000).contains(&reading.pressure), "{reading:?}");
                assert!((0..=tank).contains(&reading.fuel), "{reading:?}");
                refills += i32::from(reading.fuel > fuel + tank / 4);
                fuel = reading.fuel;
                hours += 1;
                running += i32::from(reading.pressure > 0);
                phases[bench.generator.phase as usize] = true;
            }
        }
    }
    assert!(refills > 100, "{refills} refills");
    assert_eq!(phases[..3], [true; 3]);
    assert!(phases[4], "cooling");
    let share = f64::from(running) / f64::from(hours);
    assert!((0.01..0.12).contains(&share), "running {share} of the time");
}

#[test]
fn an_outage_starts_the_engine_and_its_end_lets_it_cool_down_and_stop() {
    let mut bench = Bench::before_outage();
    let standby = bench.read(NEW_YEAR);
    assert_eq!(standby.pressure, 0);
    let called = bench.until(Phase::Starting, NEW_YEAR);
    assert_eq!(bench.read(called).pressure, 0, "a dip is sat out");
    let loaded = bench.until(Phase::Outage, called);
    assert!((10..=13).contains(&(loaded - called)));
    assert!(bench.read(loaded).pressure > 150);
    let unloaded = bench.until(Phase::Cooling, loaded);
    assert!(bench.read(unloaded).pressure > 150);
    let stopped = bench.until(Phase::Standby, unloaded);
    assert_eq!(
        stopped - unloaded,
        i64::from(bench.generator.machine.cool_down)
    );
    assert_eq!(bench.read(stopped).pressure, 0);
}

#[test]
fn fuel_falls_while_running_and_stands_still_otherwise() {
    let mut bench = Bench::before_outage();
    let from = bench.until(Phase::Outage, NEW_YEAR);
    let mut before = bench.generator.fuel;
    let mut now = from;
    while bench.generator.phase == Phase::Outage {
        now += 5;
        bench.read(now);
        assert!(bench.generator.fuel < before);
        let burnt = before - bench.generator.fuel;
        assert!(burnt <= bench.generator.machine.burns(1.0) * 5.0 + 1e-9);
        before = bench.generator.fuel;
    }
    let stopped = bench.until(Phase::Standby, now);
    let before = bench.generator.fuel;
    bench.read(stopped + 600);
    assert_eq!(bench.generator.phase, Phase::Standby);
    assert_eq!(bench.generator.fuel.to_bits(), before.to_bits());
}

#[test]
fn the_coolant_follows_the_load_with_inertia() {
    let mut bench = Bench::before_outage();
    let from = bench.until(Phase::Outage, NEW_YEAR);
    let cold = bench.read(from).temperature;
    assert!(
        (30..50).contains(&cold),
        "the block heater kept it at {cold}"
    );
    let mut before = bench.generator.temperature;
    for now in from..from + 170 {
        bench.read(now);
        let step = bench.generator.temperature - before;
        assert!((-0.5..1.5).contains(&step), "{step} in a second");
        before = bench.generator.temperature;
    }
    assert!(
        before > f64::from(cold) + 12.0,
        "{before} after three minutes"
    );
}

#[test]
fn a_cold_engine_has_more_oil_pressure_than_a_hot_one() {
    let mut generator = Bench::before_outage().generator;
    generator.phase = Phase::Outage;
    generator.temperature = 40.0;
    let cold = generator.pressure(NEW_YEAR);
    generator.temperature = 90.0;
    assert!(generator.pressure(NEW_YEAR) < cold - 50.0);
}

#[test]
fn an_empty_tank_stops_the_engine_and_a_delivery_lets_it_start_again() {
    let mut bench = Bench::before_outage();
    let from = bench.until(Phase::Outage, NEW_YEAR);
    let ends = bench.generator.until;
    bench.generator.fuel = 0.01;
    let dry = bench.until(Phase::Dry, from);
    assert_eq!(
        bench.read(dry),
        Reading {
            pressure: 0,
            fuel: 0,
            ..bench.read(dry)
        }
    );
    let truck = bench.generator.delivery;
    assert_ne!(truck, i64::MAX, "fuel was ordered");
    // The truck comes early enough for this outage, however short it is.
    bench.generator.delivery = dry + 60;
    assert!(dry + 300 < ends, "the outage of this test is long enough");
    let again = bench.until(Phase::Starting, dry);
    assert!(again < ends);
    let tank = f64::from(bench.generator.machine.tank);
    let full = bench.until(Phase::Standby, again).max(again + 3600);
    bench.read(full);
    assert_eq!(bench.generator.delivery, i64::MAX, "the truck has left");
    assert!(bench.generator.fuel > 0.8 * tank);
}

#[test]
fn a_low_tank_is_refilled_and_never_beyond_its_size() {
    let mut bench = Bench::before_outage();
    let tank = f64::from(bench.generator.machine.tank);
    bench.generator.fuel = 0.2 * tank;
    for minute in 0..73 * 60 {
        bench.read(NEW_YEAR + minute * 60);
        assert!(bench.generator.fuel <= FULL * tank);
    }
    assert!(bench.generator.fuel > 0.5 * tank);
}

#[test]
fn the_course_does_not_depend_on_when_it_is_read() {
    let mut often = Bench::new(2, 17);
    let mut seldom = Bench::new(2, 17);
    for now in NEW_YEAR..NEW_YEAR + 2 * DAY {
        often.read(now);
    }
    let now = NEW_YEAR + 2 * DAY - 1;
    assert_eq!(often.read(now), seldom.read(now));
    assert_eq!(
        often.generator.fuel.to_bits(),
        seldom.generator.fuel.to_bits()
    );
}

#[test]
fn the_load_of_a_site_follows_the_time_of_day() {
    assert!(hour_of_day(3 * 3600) < hour_of_day(19 * 3600));
    for clock in 0..DAY - 1 {
        let step = hour_of_day(clock) - hour_of_day(clock + 1);
        assert!(step.abs() < 0.001, "no jumps: {clock}");
    }
    assert!((hour_of_day(DAY - 1) - hour_of_day(0)).abs() < 0.001);
}

#[test]
fn the_fourth_generator_stands_where_the_running_example_says() {
    let generator = Bench::new(1, 4).generator;
    assert_eq!(
        (generator.latitude, generator.longitude),
        (4_065_995, -11_199_633)
    );
}

#[test]
fn in_the_first_readings_of_a_fleet_engines_stand_start_run_and_cool_down() {
    let towns = towns();
    let start: jiff::Timestamp = crate::args::DEFAULT_START.parse().unwrap();
    let start = start.as_second();
    let mut fleet: Vec<Generator> = (1..=10)
        .map(|number| Generator::new(1, number, start, &towns))
        .collect();
    let mut seen = Vec::new();
    let mut rounds = Vec::new();
    for now in start..start + 10 {
        let round = fleet.iter_mut().map(|generator| {
            let town = towns[generator.town()];
            generator.advance(1, &town, now);
            seen.push(generator.phase);
            generator.read(now)
        });
        rounds.push(round.collect::<Vec<_>>());
    }
    for phase in [Phase::Standby, Phase::Starting, Phase::Cooling] {
        assert!(seen.contains(&phase), "no {phase:?}");
    }
    assert!(seen.contains(&Phase::Outage) || seen.contains(&Phase::Test));
    let silent = rounds
        .concat()
        .iter()
        .filter(|reading| reading.pressure == 0)
        .count();
    assert!(silent < 40, "{silent} of 100 readings have pressure 0");
    // What --generators 3 --count 6 prints.
    assert_ne!(rounds[0][..3], rounds[1][..3]);
    assert!(
        rounds[0][..3]
            .iter()
            .filter(|reading| reading.pressure > 0)
            .count()
            >= 2
    );
}
