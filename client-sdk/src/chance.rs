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
}
