//! Chance for whoever must not act at the same moment as ten thousand others.

use std::hash::{BuildHasher, RandomState};

#[derive(Debug, Default)]
pub(crate) struct Chance {
    random: RandomState,
    draws: u64,
}

impl Chance {
    /// Uniform in `0.0..1.0`.
    pub(crate) fn draw(&mut self) -> f64 {
        self.draws = self.draws.wrapping_add(1);
        let bits = self.random.hash_one(self.draws) >> 32;
        f64::from(u32::try_from(bits).unwrap_or_default()) / (f64::from(u32::MAX) + 1.0)
    }

    /// Uniform in `0..bound`; 0 where that is empty.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.draws = self.draws.wrapping_add(1);
        let bits = u128::from(self.random.hash_one(self.draws));
        let scaled = bits.saturating_mul(u128::from(bound)) >> 64;
        u64::try_from(scaled).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_that_start_together_do_not_act_together() {
        let mut tenths = [0; 10];
        for _ in 0..10_000 {
            let drawn = Chance::default().draw();
            assert!((0.0..1.0).contains(&drawn));
            let tenth = (0..10).filter(|n| drawn * 10.0 >= f64::from(*n)).count() - 1;
            tenths[tenth] += 1;
        }
        assert!(
            tenths.iter().all(|count| (800..1_200).contains(count)),
            "{tenths:?}"
        );
    }
}
