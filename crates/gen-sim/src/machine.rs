//! What an emergency generator is made like: its rated power, its tank, and what it burns.

use crate::dice::Dice;

/// The sizes that are sold: rated power in kW, how often (in shares of 100).
const SIZES: [(u16, u64); 8] = [
    (20, 14),
    (40, 18),
    (60, 18),
    (100, 20),
    (150, 12),
    (200, 9),
    (300, 6),
    (500, 3),
];

/// The largest tank in litres: 500 kW at 10 litres for each kW.
#[cfg(test)]
pub(crate) const LARGEST_TANK: u16 = 5000;

/// The constants of one machine, drawn once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    /// Rated power in kW.
    pub(crate) power: u16,
    /// What the tank holds, in litres.
    pub(crate) tank: u16,
    /// Oil pressure in kPa at rated speed with the engine hot.
    pub(crate) hot_pressure: u16,
    /// How much of its rated power the site takes on average, in percent.
    pub(crate) site_load: u8,
    /// How long it runs without load before it stops, in seconds.
    pub(crate) cool_down: u16,
}

impl Machine {
    /// A machine from the factory.
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let mut share = dice.bits() % 100;
        let power = SIZES
            .iter()
            .find(|(_, often)| {
                let found = share < *often;
                share = share.saturating_sub(*often);
                found
            })
            .map_or(100, |(power, _)| *power);
        Self {
            power,
            // Between 5 and 10 litres for each kW: one to three days, filled to a round figure.
            tank: power * draw(dice, 10, 21) / 2,
            hot_pressure: draw(dice, 190, 421),
            site_load: u8::try_from(draw(dice, 38, 82)).unwrap_or(u8::MAX),
            cool_down: 60 * draw(dice, 3, 8),
        }
    }

    /// Litres a second at `load` (0 to 1 of the rated power): a diesel burns about 0.27 litres for each kWh at
    /// full load, and a seventh of that for turning alone.
    pub(crate) fn burns(&self, load: f64) -> f64 {
        f64::from(self.power) * (0.038 + 0.230 * load) / 3600.0
    }
}

/// A number in `low..high`.
fn draw(dice: &mut Dice, low: u16, high: u16) -> u16 {
    u16::try_from(dice.whole(i64::from(low), i64::from(high))).unwrap_or(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::{Purpose, mix};

    #[test]
    fn every_machine_has_a_tank_for_a_day_and_burns_what_a_diesel_burns() {
        assert_eq!(SIZES.iter().map(|(_, often)| often).sum::<u64>(), 100);
        let mut seen = std::collections::BTreeSet::new();
        for key in 0..2000 {
            let machine = Machine::draw(&mut Dice::new(mix(key), Purpose::Generator, 0));
            seen.insert(machine.power);
            assert!(machine.tank <= LARGEST_TANK);
            let hours = f64::from(machine.tank) / (machine.burns(0.75) * 3600.0);
            assert!((18.0..60.0).contains(&hours), "{machine:?}: {hours} h");
            let litres_per_kwh = machine.burns(1.0) * 3600.0 / f64::from(machine.power);
            assert!((0.25..0.30).contains(&litres_per_kwh));
            assert!(machine.burns(0.0) > 0.0);
        }
        assert_eq!(seen.len(), SIZES.len());
    }
}
