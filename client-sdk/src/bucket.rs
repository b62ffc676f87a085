//! Seed and key to bucket, in integers only.
//!
//! `bucket = floor(xxh3_64(key, seed = xxh3_64(name)) * 100000 / 2^64)`: a multiplication keeps the
//! buckets even where a remainder would not, and the inner hash is taken once per name.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// How many buckets a ramp has: a percentage with three decimals names every one of them.
pub const BUCKETS: u32 = 100_000;

/// What makes two routes (or two ramp groups) select keys independently of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(u64);

impl Seed {
    /// The seed of a route key or, where the route is in one, of its ramp group.
    #[must_use]
    pub fn of(name: &str) -> Seed {
        Seed(xxh3_64(name.as_bytes()))
    }

    #[cfg(feature = "client")]
    pub(crate) const fn from_bits(bits: u64) -> Seed {
        Seed(bits)
    }

    pub(crate) const fn to_bits(self) -> u64 {
        self.0
    }
}

/// The key's bucket, `0..100_000`. A key is in a ramp when its bucket is below the ramp's share.
#[must_use]
#[inline]
#[expect(
    clippy::as_conversions,
    reason = "the product is below 100000 * 2^64, so what is left after the shift fits; \
              a checked conversion costs a branch on the hot path"
)]
pub fn bucket(seed: Seed, key: &[u8]) -> u32 {
    let hash = xxh3_64_with_seed(key, seed.0);
    ((u128::from(hash) * BUCKETS as u128) >> 64) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_frozen_one() {
        assert_eq!(xxh3_64(b""), 0x2d06_8005_38d3_94c2);
        assert_eq!(xxh3_64(b"checkout:user-42"), 0x2d1c_4535_07d5_949f);
    }

    #[test]
    fn a_quarter_of_the_keys_is_below_a_quarter() {
        let seed = Seed::of("count_commits");
        let below = (0..10_000)
            .filter(|n: &u32| bucket(seed, n.to_string().as_bytes()) < BUCKETS / 4)
            .count();
        assert!((2_300..2_700).contains(&below), "{below}");
    }
}
