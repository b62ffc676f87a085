//! Latencies in log-linear buckets: 32 to each power of two, so a bucket's middle is at most 1.6 %
//! from what was measured. Durations under 32 ns are exact, those over 18 minutes count as such.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const PER_OCTAVE_BITS: u32 = 5;
pub(crate) const PER_OCTAVE: usize = 32;
/// Under 32 ns, then one for each power of two up to 2^40 ns.
pub(crate) const OCTAVES: usize = 36;

/// Which bucket, as the octave and the place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    octave: usize,
    place: usize,
}

impl Bucket {
    #[inline]
    #[expect(
        clippy::as_conversions,
        reason = "below 64 and below 32; a checked conversion costs on the path of every call"
    )]
    pub(crate) fn of(nanos: u64) -> Bucket {
        if nanos >= 1 << 40 {
            return Bucket {
                octave: OCTAVES - 1,
                place: PER_OCTAVE - 1,
            };
        }
        // The bits below the highest five say too little to be kept.
        let octave = (u64::BITS - nanos.leading_zeros()).saturating_sub(PER_OCTAVE_BITS);
        let place = (nanos >> octave.saturating_sub(1)) & (PER_OCTAVE as u64 - 1);
        Bucket {
            octave: octave as usize,
            place: place as usize,
        }
    }

    /// The middle of the bucket in nanoseconds.
    fn middle(octave: usize, place: usize) -> u64 {
        let place = u64::try_from(place).unwrap_or(u64::MAX);
        match u32::try_from(octave) {
            Ok(0) | Err(_) => place,
            Ok(octave) => {
                let width = 1_u64 << (octave - 1);
                (32 + place) * width + (width - 1) / 2
            }
        }
    }
}

/// Buckets that are allocated one octave (256 bytes) at a time, when a latency first falls into it.
#[derive(Debug)]
pub(crate) struct Buckets {
    octaves: [OnceLock<Box<[AtomicU64; PER_OCTAVE]>>; OCTAVES],
}

impl Buckets {
    pub(crate) const fn new() -> Buckets {
        Buckets {
            octaves: [const { OnceLock::new() }; OCTAVES],
        }
    }

    /// The counter of a bucket, if its octave is there.
    #[inline]
    pub(crate) fn get(&self, bucket: Bucket) -> Option<&AtomicU64> {
        self.octaves.get(bucket.octave)?.get()?.get(bucket.place)
    }

    /// The counter of a bucket, its octave allocated if need be.
    pub(crate) fn get_or_add(&self, bucket: Bucket) -> Option<&AtomicU64> {
        let octave = self.octaves.get(bucket.octave)?;
        if octave.get().is_none() {
            // Made before it is set: a fork in the middle of setting would hold up the child.
            let cells = Box::new([const { AtomicU64::new(0) }; PER_OCTAVE]);
            let _ = octave.set(cells);
        }
        octave.get()?.get(bucket.place)
    }

    /// Every bucket that counted something.
    pub(crate) fn counted(&self) -> impl Iterator<Item = (Bucket, u64)> {
        self.octaves.iter().enumerate().flat_map(|(octave, cells)| {
            let cells = cells.get().into_iter().flat_map(|cells| cells.iter());
            cells.enumerate().filter_map(move |(place, cell)| {
                let count = cell.load(Ordering::Relaxed);
                (count > 0).then_some((Bucket { octave, place }, count))
            })
        })
    }

    /// How many octaves are allocated.
    pub(crate) fn octaves(&self) -> usize {
        self.octaves
            .iter()
            .filter(|octave| octave.get().is_some())
            .count()
    }
}

/// A distribution of latencies. Two can be merged; quantiles are at most 1.6 % off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Nanoseconds and how many, ascending.
    counts: std::collections::BTreeMap<u64, u64>,
}

impl Latency {
    pub(crate) fn add(&mut self, buckets: &Buckets) {
        for (bucket, count) in buckets.counted() {
            let middle = Bucket::middle(bucket.octave, bucket.place);
            let total = self.counts.entry(middle).or_default();
            *total = total.saturating_add(count);
        }
    }

    /// Adds another distribution to this one.
    pub fn merge(&mut self, other: &Latency) {
        for (nanos, count) in &other.counts {
            let total = self.counts.entry(*nanos).or_default();
            *total = total.saturating_add(*count);
        }
    }

    /// How many calls were timed.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.values().fold(0, |a, b| a.saturating_add(*b))
    }

    /// What a share of the calls, from 0 to 1, stayed within: `quantile(0.99)` is the 99th
    /// percentile. `None` where nothing was timed.
    #[must_use]
    #[expect(
        clippy::as_conversions,
        reason = "a count as a float is exact enough to find a rank; the cast back saturates"
    )]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        let rank = ((count as f64 * share.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0_u64;
        self.counts
            .iter()
            .find(|(_, count)| {
                seen = seen.saturating_add(**count);
                seen >= rank
            })
            .map(|(nanos, _)| Duration::from_nanos(*nanos))
    }

    /// The longest call; `None` where nothing was timed.
    #[must_use]
    pub fn max(&self) -> Option<Duration> {
        self.counts
            .last_key_value()
            .map(|(nanos, _)| Duration::from_nanos(*nanos))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_latency_is_kept_within_three_percent(nanos in prop_oneof![0..2_000_u64, 0..1_u64 << 40]) {
            let buckets = Buckets::new();
            buckets.get_or_add(Bucket::of(nanos)).unwrap().fetch_add(1, Ordering::Relaxed);
            let mut latency = Latency::default();
            latency.add(&buckets);
            let kept = u64::try_from(latency.quantile(0.5).unwrap().as_nanos()).unwrap();
            prop_assert!(kept.abs_diff(nanos) * 100 <= nanos * 3, "{} kept as {}", nanos, kept);
        }
    }

    #[test]
    fn buckets_ascend_and_the_longest_is_the_last() {
        let middles: Vec<u64> = (0..OCTAVES)
            .flat_map(|octave| (0..PER_OCTAVE).map(move |place| Bucket::middle(octave, place)))
            .collect();
        assert!(middles.is_sorted());
        let last = Bucket::of(u64::MAX);
        assert_eq!((last.octave, last.place), (OCTAVES - 1, PER_OCTAVE - 1));
        assert_eq!(Bucket::of((1 << 40) - 1), last);
    }

    #[test]
    fn quantiles_are_ranks() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantile(0.5), None);
        let buckets = Buckets::new();
        for nanos in 1..=20 {
            buckets
                .get_or_add(Bucket::of(nanos))
                .unwrap()
                .fetch_add(1, Ordering::Relaxed);
        }
        latency.add(&buckets);
        assert_eq!(latency.quantile(0.5), Some(Duration::from_nanos(10)));
        assert_eq!(latency.quantile(1.0), Some(Duration::from_nanos(20)));
        assert_eq!(latency.max(), Some(Duration::from_nanos(20)));
        assert_eq!(latency.count(), 20);
    }
}
