//! One emergency generator: standing by, starting, running, cooling down, out of fuel.
//!
//! Time goes on in steps whose length depends on what the generator is doing, counted from the moment when it
//! began to; so its course doesn't depend on when, or how often, it is read.

use crate::calendar::{Need, Site};
use crate::dice::{Dice, Purpose, drift, mix, unit};
use crate::machine::Machine;
use crate::towns::Town;
use crate::weather::{DAY, air};

/// How long before the first reading a generator's course begins, in seconds: long enough for a run that has
/// been going on to be warm.
const LEAD: i64 = 3600;

/// Fuel deliveries fill a tank up to this share of it.
const FULL: f64 = 0.95;

/// Below this share of its tank a generator's owner orders fuel.
const LOW: f64 = 0.30;

/// The delivery's pump, in litres a second.
const PUMP: f64 = 2.0;

/// Seconds from the loss of the mains to the first turn of the crankshaft: short dips are sat out.
const SIT_OUT: i64 = 4;

/// What the sensors say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Temperature of the coolant in °C, within [`TEMPERATURE`].
    pub(crate) temperature: i16,
    /// Pressure of the oil in kPa, within [`PRESSURE`].
    pub(crate) pressure: i16,
    /// Fuel in litres: 0 to the size of the tank.
    pub(crate) fuel: i16,
}

/// The lowest and the highest temperature that the sensor can say.
pub(crate) const TEMPERATURE: (f64, f64) = (-40.0, 130.0);

/// The lowest and the highest pressure that the sensor can say.
pub(crate) const PRESSURE: (f64, f64) = (0.0, 1000.0);

/// What a generator is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Stopped, the mains are there; the block heater keeps the coolant lukewarm.
    Standby,
    /// From the call to the speed at which it takes the load.
    Starting,
    /// Running under the site's load.
    Outage,
    /// Running for the weekly test, under a light load.
    Test,
    /// Running without load before it stops.
    Cooling,
    /// Stopped while it is needed: the tank is empty.
    Dry,
}

/// A generator's whole state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Generator {
    /// Stands for the seed and the generator's number.
    key: u64,
    /// The time to which its course has been followed, in seconds since 1970.
    now: i64,
    /// The end of the phase.
    until: i64,
    /// When the truck with the ordered fuel arrives, or arrived if it isn't done yet; `i64::MAX` without an order.
    delivery: i64,
    fuel: f64,
    temperature: f64,
    /// Where it stands, in 1/100,000 of a degree.
    pub(crate) latitude: i32,
    pub(crate) longitude: i32,
    machine: Machine,
    town: u16,
    phase: Phase,
    heater: bool,
}

impl Generator {
    /// Generator `number` (from 1) of the fleet that `seed` makes, as it is shortly before `start`.
    pub(crate) fn new(seed: u64, number: u64, start: i64, towns: &[Town]) -> Self {
        let key = mix(mix(seed) ^ number);
        let mut dice = Dice::new(key, Purpose::Generator, 0);
        let count = u64::try_from(towns.len()).unwrap_or(1).max(1);
        let index = (number - 1) % count;
        let machine = Machine::draw(&mut dice);
        let fuel = dice.between(0.35, FULL) * f64::from(machine.tank);
        let temperature = dice.between(36.0, 44.0);
        let town = u16::try_from(index).unwrap_or(0);
        // The first generator of a town stands in its middle, the others within some 4 km of it.
        let mut off = |place: i32| {
            let metres = i32::try_from(dice.whole(-4000, 4001)).unwrap_or(0);
            place + if number > count { metres } else { 0 }
        };
        let place = &towns[usize::from(town)];
        let mut generator = Self {
            key,
            now: start - LEAD,
            until: start - LEAD,
            delivery: i64::MAX,
            fuel,
            temperature,
            latitude: off(place.latitude),
            longitude: off(place.longitude),
            machine,
            town,
            phase: Phase::Standby,
            heater: false,
        };
        generator.enter(seed, place);
        generator
    }

    /// The place in the list of towns of the one at which it stands.
    pub(crate) fn town(&self) -> usize {
        usize::from(self.town)
    }

    /// Follows its course up to `now`; a time that has passed changes nothing.
    pub(crate) fn advance(&mut self, seed: u64, town: &Town, now: i64) {
        loop {
            let step = self.step().min(self.until - self.now);
            if self.now + step > now {
                return;
            }
            self.now += step;
            self.live(seed, town, step);
            if self.now == self.until {
                self.enter(seed, town);
            }
        }
    }

    /// What its sensors say at `now`, the time to which it was advanced.
    pub(crate) fn read(&self, now: i64) -> Reading {
        let bits = Dice::new(self.key, Purpose::Sensor, now).bits();
        let jitter = unit(bits) - 0.5;
        let flutter = unit(bits << 32) - 0.5;
        let pressure = match self.pressure(now) {
            // A stopped engine's sensor says exactly nothing.
            0.0 => 0.0,
            pressure => pressure + flutter * 7.0,
        };
        Reading {
            temperature: whole(self.temperature + jitter * 0.7, TEMPERATURE),
            pressure: whole(pressure, PRESSURE),
            fuel: whole(self.fuel - 0.5, (0.0, f64::from(self.machine.tank))),
        }
    }

    /// Seconds from one look at a generator in this phase to the next.
    fn step(&self) -> i64 {
        match self.phase {
            Phase::Standby | Phase::Dry => 60,
            Phase::Starting => 1,
            Phase::Outage | Phase::Test | Phase::Cooling => 5,
        }
    }

    /// Lets `step` seconds up to `self.now` pass in the phase.
    fn live(&mut self, seed: u64, town: &Town, step: i64) {
        let seconds = f64::from(i32::try_from(step).unwrap_or(i32::MAX));
        let air = air(seed, town, self.now);
        match self.phase {
            Phase::Standby | Phase::Dry => self.stand(seconds, air),
            Phase::Outage => self.run(seconds, air, self.site_load(town)),
            Phase::Test => self.run(seconds, air, 0.3),
            Phase::Starting | Phase::Cooling => self.run(seconds, air, 0.0),
        }
        self.temperature = self.temperature.clamp(TEMPERATURE.0, TEMPERATURE.1);
        self.refuel(seconds);
        if self.fuel <= 0.0 && self.phase != Phase::Standby && self.phase != Phase::Dry {
            self.fuel = 0.0;
            self.phase = Phase::Dry;
            self.until = self.now + 60;
        }
    }

    /// Stands still: the coolant takes on the temperature of the air, against the block heater.
    fn stand(&mut self, seconds: f64, air: f64) {
        if self.phase == Phase::Dry || self.temperature > 43.0 {
            self.heater = false;
        } else if self.temperature < 37.0 {
            self.heater = true;
        }
        let goal = air + if self.heater { 62.0 } else { 0.0 };
        self.approach(goal, 4800.0, seconds);
    }

    /// Turns under `load`: burns fuel and warms up to where the thermostat and the radiator hold it.
    fn run(&mut self, seconds: f64, air: f64, load: f64) {
        self.heater = false;
        self.fuel -= self.machine.burns(load) * seconds;
        let heat = if air > 20.0 { (air - 20.0) * 0.15 } else { 0.0 };
        self.approach(75.0 + 17.0 * load + heat, 280.0, seconds);
    }

    /// Moves the temperature towards `goal` as first-order inertia does, with a time constant of `inertia` seconds.
    fn approach(&mut self, goal: f64, inertia: f64, seconds: f64) {
        self.temperature += (goal - self.temperature) * seconds / (inertia + seconds);
    }

    /// Orders fuel when it is low, and lets it flow when the truck is there.
    fn refuel(&mut self, seconds: f64) {
        let tank = f64::from(self.machine.tank);
        if self.delivery == i64::MAX {
            if self.fuel < LOW * tank {
                let mut dice = Dice::new(self.key, Purpose::Delivery, self.now);
                // Now and then the truck doesn't get through for days.
                let hours = if dice.chance(0.03) { 24..72 } else { 1..9 };
                self.delivery = self.now + dice.whole(hours.start * 3600, hours.end * 3600);
            }
        } else if self.delivery <= self.now {
            self.fuel += PUMP * seconds;
            if self.fuel >= FULL * tank {
                self.fuel = FULL * tank;
                self.delivery = i64::MAX;
            }
        }
    }

    /// Goes over to the phase that the calendar asks for at the end of one.
    fn enter(&mut self, seed: u64, town: &Town) {
        let site = Site {
            seed,
            key: self.key,
            town,
        };
        let (need, until) = site.need(self.now);
        let turning = matches!(
            self.phase,
            Phase::Starting | Phase::Outage | Phase::Test | Phase::Cooling
        );
        (self.phase, self.until) = match need {
            Need::None if self.phase == Phase::Outage || self.phase == Phase::Test => {
                let stops = self.now + i64::from(self.machine.cool_down);
                (Phase::Cooling, stops.min(until))
            }
            Need::None => (Phase::Standby, until),
            // A tank with a few litres in it is worth a start.
            Need::Test | Need::Outage if !turning && self.fuel < 20.0 => {
                (Phase::Dry, self.now + 60)
            }
            Need::Test | Need::Outage if !turning => (Phase::Starting, self.now + self.start_up()),
            Need::Test => (Phase::Test, until),
            Need::Outage => (Phase::Outage, until),
        };
    }

    /// Seconds from the call to the load: the wait, and 6 to 9 of cranking and running up.
    fn start_up(&self) -> i64 {
        SIT_OUT + 6 + i64::from(self.key.to_le_bytes()[0] % 4)
    }

    /// Oil pressure in kPa, without the flutter of the sensor.
    fn pressure(&self, now: i64) -> f64 {
        // Cold oil is thick: the pressure is higher until it is warm, and lowest when the engine is hottest.
        let running = f64::from(self.machine.hot_pressure) + (92.0 - self.temperature) * 1.6;
        match self.phase {
            Phase::Standby | Phase::Dry => 0.0,
            Phase::Starting => {
                let length = self.start_up();
                let turned = (now - (self.until - length) - SIT_OUT).clamp(0, length);
                let turned = f64::from(i32::try_from(turned).unwrap_or(0));
                running * 0.11 * turned
            }
            Phase::Outage | Phase::Test | Phase::Cooling => running,
        }
    }

    /// The load of the site as a share of the rated power, at `self.now`.
    fn site_load(&self, town: &Town) -> f64 {
        let clock = (self.now + town.solar_offset()).rem_euclid(DAY);
        let level = f64::from(self.machine.site_load) / 100.0;
        let slow = drift(self.key, Purpose::SlowLoad, self.now, 900) * 0.14;
        // Motors and lifts come and go every minute and a half.
        let mut steps = Dice::new(self.key, Purpose::StepLoad, self.now.div_euclid(90));
        let steps = steps.between(-0.07, 0.07);
        (level * hour_of_day(clock) + slow + steps).clamp(0.08, 1.0)
    }
}

/// What a site takes at a time of day (seconds), against its average: straight lines between the hours of a table.
fn hour_of_day(clock: i64) -> f64 {
    const HOURS: [(i32, f64); 7] = [
        (0, 0.75),
        (5, 0.65),
        (8, 1.05),
        (13, 1.15),
        (17, 1.10),
        (20, 1.25),
        (24, 0.75),
    ];
    let clock = i32::try_from(clock).unwrap_or(0);
    HOURS
        .windows(2)
        .find(|pair| clock < pair[1].0 * 3600)
        .map_or(1.0, |pair| {
            let [(from, low), (to, high)] = [pair[0], pair[1]];
            let share = f64::from(clock - from * 3600) / f64::from((to - from) * 3600);
            low + (high - low) * share
        })
}

/// The nearest whole number within `bounds`, which fit.
fn whole(value: f64, bounds: (f64, f64)) -> i16 {
    let value = value.clamp(bounds.0, bounds.1);
    let half = if value < 0.0 { -0.5 } else { 0.5 };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "within the bounds, which are a sensor's; the fraction is dropped on purpose"
    )]
    let whole = (value + half) as i16;
    whole
}

#[cfg(test)]
#[path = "generator_tests.rs"]
mod tests;
