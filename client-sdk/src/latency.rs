//! A distribution of latencies that can be merged: 32 buckets to each power of two, so that a
//! bucket's middle is at most 1.6 % from what was measured. Durations under 32 ns are exact, those
//! over 18 minutes count as such.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[cfg(feature = "client")]
pub(crate) const PER_OCTAVE: usize = 32;
/// Under 32 ns, then one for each power of two up to 2^40 ns.
#[cfg(feature = "client")]
pub(crate) const OCTAVES: usize = 36;
const BUCKETS: u16 = 36 * 32;

/// A distribution of latencies. Two can be merged; quantiles are at most 1.6 % off.
///
/// On the wire a list of `[bucket, count]`, ascending. Buckets 0 to 31 are whole nanoseconds; bucket
/// 32 · o + p, from o = 1 on, begins at (32 + p) · 2^(o−1) ns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    counts: BTreeMap<u16, u64>,
}

impl Latency {
    /// Counts so many calls in a bucket. One that does not exist counts as the last.
    pub fn add(&mut self, bucket: u16, count: u64) {
        if count > 0 {
            let total = self.counts.entry(bucket.min(BUCKETS - 1)).or_default();
            *total = total.saturating_add(count);
        }
    }

    /// The buckets that counted something, ascending.
    pub fn buckets(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        self.counts.iter().map(|(bucket, count)| (*bucket, *count))
    }

    /// Adds another distribution to this one.
    pub fn merge(&mut self, other: &Latency) {
        for (bucket, count) in other.buckets() {
            self.add(bucket, count);
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
            .map(|(bucket, _)| Duration::from_nanos(middle(*bucket)))
    }

    /// How many calls took longer than this, as exactly as the buckets tell.
    #[must_use]
    pub fn longer_than(&self, limit: Duration) -> u64 {
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        let longer = self
            .counts
            .iter()
            .filter(|(bucket, _)| middle(**bucket) > limit);
        longer.fold(0, |total, (_, count)| total.saturating_add(*count))
    }

    /// How long all of them took together, as exactly as the buckets tell.
    #[must_use]
    pub fn total(&self) -> Duration {
        let times = self.counts.iter();
        let nanos = times.fold(0_u64, |total, (bucket, count)| {
            total.saturating_add(middle(*bucket).saturating_mul(*count))
        });
        Duration::from_nanos(nanos)
    }

    /// The longest call; `None` where nothing was timed.
    #[must_use]
    pub fn max(&self) -> Option<Duration> {
        self.counts
            .last_key_value()
            .map(|(bucket, _)| Duration::from_nanos(middle(*bucket)))
    }
}

/// The middle of a bucket in nanoseconds.
fn middle(bucket: u16) -> u64 {
    let (octave, place) = (u32::from(bucket / 32), u64::from(bucket % 32));
    match octave {
        0 => place,
        _ => {
            let width = 1_u64 << (octave - 1).min(40);
            (32 + place) * width + (width - 1) / 2
        }
    }
}

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.buckets())
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = Vec::<(u16, u64)>::deserialize(deserializer)?;
        let ascends = pairs.is_sorted_by(|(one, _), (other, _)| one < other);
        if !ascends || pairs.last().is_some_and(|(bucket, _)| *bucket >= BUCKETS) {
            return Err(D::Error::custom(
                "latency: buckets ascend, each once, and end at 1151",
            ));
        }
        let mut latency = Latency::default();
        for (bucket, count) in pairs {
            latency.add(bucket, count);
        }
        Ok(latency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_ascend() {
        let middles: Vec<u64> = (0..BUCKETS).map(middle).collect();
        assert!(middles.is_sorted());
    }

    #[test]
    fn quantiles_are_ranks() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantile(0.5), None);
        for nanos in 1..=20 {
            latency.add(nanos, 1);
        }
        assert_eq!(latency.quantile(0.5), Some(Duration::from_nanos(10)));
        assert_eq!(latency.quantile(1.0), Some(Duration::from_nanos(20)));
        assert_eq!(latency.max(), Some(Duration::from_nanos(20)));
        assert_eq!(latency.longer_than(Duration::from_nanos(15)), 5);
        assert_eq!(latency.count(), 20);
    }

    #[test]
    fn the_wire_form_is_bounded_and_ascends() {
        let mut latency = Latency::default();
        latency.add(3, 2);
        latency.add(1151, 1);
        let text = serde_json::to_string(&latency).unwrap();
        assert_eq!(text, "[[3,2],[1151,1]]");
        assert_eq!(serde_json::from_str::<Latency>(&text).unwrap(), latency);
        for bad in [
            "[[1152,1]]",
            "[[3,1],[3,1]]",
            "[[4,1],[3,1]]",
            "[[3,-1]]",
            "[[-3,1]]",
        ] {
            assert!(serde_json::from_str::<Latency>(bad).is_err(), "{bad}");
        }
    }
}
