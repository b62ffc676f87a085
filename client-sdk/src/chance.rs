//! Chance for whoever must not act at the same moment as ten thousand others.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};

use crate::bucket::BUCKETS;

thread_local! {
    static CHANCE: RefCell<Chance> = RefCell::default();
}

/// Draws whether something happens that does so in this share of all cases.
pub(crate) fn is_drawn(thousandths_of_percent: u32) -> bool {
    match thousandths_of_percent {
        0 => false,
        BUCKETS.. => true,
        // A thread that takes its locals down draws nothing.
        share => CHANCE
            .try_with(|chance| {
                let drawn = chance.try_borrow_mut().map(|mut chance| chance.draw());
                drawn.is_ok_and(|drawn| drawn * f64::from(BUCKETS) < f64::from(share))
            })
            .unwrap_or(false),
    }
}

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
    fn a_share_is_drawn_as_often() {
        assert!(!is_drawn(0) && is_drawn(100_000));
        let drawn = (0..100_000).filter(|_| is_drawn(12_500)).count();
        assert!((12_000..13_000).contains(&drawn), "{drawn}");
    }

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
