//! Reproducible chance: a number drawn for a seed, a purpose and a place in time, with no state between draws.
//!
//! Every draw starts a generator of its own, so what happens to one generator set on one day depends on
//! nothing that was drawn before: not on the size of the fleet, nor on how often it is read.

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::Rng;

/// What a number is drawn for. Two purposes never share numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// The make-up of a generator: size, tank, place, habits.
    Generator = 1,
    /// A storm over a region on a day.
    Storm,
    /// What a storm does to one site.
    StormAtSite,
    /// A local fault of the mains.
    Fault,
    /// The weather of a region.
    Weather,
    /// The slow part of a site's load.
    SlowLoad,
    /// The part of a site's load that comes in steps.
    StepLoad,
    /// How long a fuel delivery takes.
    Delivery,
    /// The noise of the sensors.
    Sensor,
}

/// A short sequence of numbers for one purpose.
#[derive(Debug)]
pub(crate) struct Dice(Pcg64Mcg);

impl Dice {
    /// The dice for `purpose` of whatever `key` stands for, at place `at` (a day, a second, an index).
    pub(crate) fn new(key: u64, purpose: Purpose, at: i64) -> Self {
        // Neighbouring keys and places must give unrelated sequences, which PCG alone doesn't promise for
        // neighbouring states: the finaliser of SplitMix64 spreads them first.
        let high = mix(key ^ mix(purpose as u64));
        let low = mix(high ^ at.cast_unsigned());
        Self(Pcg64Mcg::new((u128::from(high) << 64) | u128::from(low)))
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..1`, in steps of 2⁻³².
    pub(crate) fn unit(&mut self) -> f64 {
        unit(self.bits())
    }

    /// A number in `low..high`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A whole number in `low..high`; `high` is more than `low`.
    pub(crate) fn whole(&mut self, low: i64, high: i64) -> i64 {
        let range = u128::from((high - low).cast_unsigned());
        let picked = (u128::from(self.bits()) * range) >> 64;
        low + i64::try_from(picked).unwrap_or(0)
    }

    /// True with the given probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}

/// The upper half of `bits` as a number in `0..1`: exact, so the same on every machine.
pub(crate) fn unit(bits: u64) -> f64 {
    const STEPS: f64 = 4_294_967_296.0;
    f64::from(u32::try_from(bits >> 32).unwrap_or(0)) / STEPS
}

/// Noise in `-1..1` that moves in straight lines between knots, one every `spacing` seconds.
pub(crate) fn drift(key: u64, purpose: Purpose, now: i64, spacing: i32) -> f64 {
    let knot = now.div_euclid(i64::from(spacing));
    let into = i32::try_from(now.rem_euclid(i64::from(spacing))).unwrap_or(0);
    let share = f64::from(into) / f64::from(spacing);
    let from = Dice::new(key, purpose, knot).between(-1.0, 1.0);
    let to = Dice::new(key, purpose, knot + 1).between(-1.0, 1.0);
    from + (to - from) * share
}

/// The finaliser of `SplitMix64`: each bit of the input changes half of the bits of the output.
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_purpose_and_place_draw_the_same() {
        let draw = |key, purpose, at| Dice::new(key, purpose, at).bits();
        assert_eq!(draw(1, Purpose::Fault, 5), draw(1, Purpose::Fault, 5));
        assert_ne!(draw(1, Purpose::Fault, 5), draw(2, Purpose::Fault, 5));
        assert_ne!(draw(1, Purpose::Fault, 5), draw(1, Purpose::Storm, 5));
        assert_ne!(draw(1, Purpose::Fault, 5), draw(1, Purpose::Fault, 6));
    }

    #[test]
    fn draws_at_neighbouring_places_are_even_and_unrelated() {
        let draws: Vec<f64> = (0..10_000)
            .map(|at| Dice::new(7, Purpose::Sensor, at).unit())
            .collect();
        let mean = draws.iter().sum::<f64>() / 10_000.0;
        assert!((0.49..0.51).contains(&mean), "{mean}");
        let product: f64 = draws.windows(2).map(|w| (w[0] - 0.5) * (w[1] - 0.5)).sum();
        assert!((product / 10_000.0).abs() < 0.003, "{product}");
    }

    #[test]
    fn whole_numbers_stay_in_range_and_reach_both_ends() {
        let mut dice = Dice::new(3, Purpose::Generator, 0);
        let drawn: Vec<i64> = (0..1000).map(|_| dice.whole(-2, 3)).collect();
        assert_eq!(drawn.iter().min(), Some(&-2));
        assert_eq!(drawn.iter().max(), Some(&2));
    }

    #[test]
    fn drift_is_continuous_and_bounded() {
        for now in -5000..5000 {
            let here = drift(9, Purpose::SlowLoad, now, 600);
            let next = drift(9, Purpose::SlowLoad, now + 1, 600);
            assert!((-1.0..1.0).contains(&here));
            assert!((here - next).abs() <= 2.0 / 600.0 + 1e-9);
        }
    }
}
