//! Where calls count their latencies: the buckets of [`Latency`], written by any thread.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::latency::{Latency, OCTAVES, PER_OCTAVE};

const PER_OCTAVE_BITS: u32 = 5;

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

    /// Its number in a [`Latency`].
    fn number(self) -> u16 {
        u16::try_from(self.octave * PER_OCTAVE + self.place).unwrap_or(u16::MAX)
    }

    /// The bucket with this number.
    pub(crate) fn numbered(number: u16) -> Bucket {
        let number = usize::from(number);
        Bucket {
            octave: number / PER_OCTAVE,
            place: number % PER_OCTAVE,
        }
    }
}

/// The octave, of about a millisecond, that a histogram may have whether there is [`Room`] or not: so
/// that everything is counted somewhere.
const FREE_OCTAVE: usize = 16;

/// How many octaves several histograms may have allocated between them, beside the one that is free.
#[derive(Debug)]
pub(crate) struct Room(AtomicUsize);

impl Room {
    pub(crate) const fn new(octaves: usize) -> Room {
        Room(AtomicUsize::new(octaves))
    }

    /// For one octave more, if there is.
    fn take(&self) -> bool {
        let less = |left: usize| left.checked_sub(1);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }

    fn give_back(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
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

    /// The counter of a bucket, its octave allocated if need be and if there is room for it. Else the
    /// one that is nearest to it: a latency is then told less exactly, but counted.
    pub(crate) fn get_or_add_within(&self, bucket: Bucket, room: &Room) -> Option<&AtomicU64> {
        if let Some(cell) = self.get(bucket) {
            return Some(cell);
        }
        let is_free = bucket.octave == FREE_OCTAVE;
        if is_free || room.take() {
            let octave = self.octaves.get(bucket.octave)?;
            let cells = Box::new([const { AtomicU64::new(0) }; PER_OCTAVE]);
            if octave.set(cells).is_err() && !is_free {
                // Another thread was faster.
                room.give_back();
            }
            return octave.get()?.get(bucket.place);
        }
        let above = (bucket.octave + 1..OCTAVES).map(|octave| (octave, 0));
        let below = (0..bucket.octave).rev();
        let below = below.map(|octave| (octave, PER_OCTAVE - 1));
        let mut nearest = above.chain(below);
        let nearest = nearest.find_map(|(octave, place)| self.get(Bucket { octave, place }));
        let free = Bucket {
            octave: FREE_OCTAVE,
            place: 0,
        };
        nearest.or_else(|| self.get_or_add(free))
    }

    /// How many were counted in a bucket.
    pub(crate) fn count(&self, bucket: Bucket) -> u64 {
        self.get(bucket)
            .map_or(0, |cell| cell.load(Ordering::Relaxed))
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

    /// Adds what was counted to a distribution.
    pub(crate) fn add_to(&self, latency: &mut Latency) {
        for (bucket, count) in self.counted() {
            latency.add(bucket.number(), count);
        }
    }

    /// How many octaves are allocated.
    pub(crate) fn octaves(&self) -> usize {
        self.octaves
            .iter()
            .filter(|octave| octave.get().is_some())
            .count()
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
            buckets.add_to(&mut latency);
            let kept = u64::try_from(latency.quantile(0.5).unwrap().as_nanos()).unwrap();
            prop_assert!(kept.abs_diff(nanos) * 100 <= nanos * 3, "{} kept as {}", nanos, kept);
        }
    }

    #[test]
    fn without_room_a_latency_counts_in_the_nearest_octave() {
        let (room, buckets) = (Room::new(1), Buckets::new());
        let count = |buckets: &Buckets, nanos| {
            let cell = buckets.get_or_add_within(Bucket::of(nanos), &room);
            cell.unwrap().fetch_add(1, Ordering::Relaxed);
        };
        for nanos in [1 << 10, 1 << 20, 1 << 30, 1 << 15, 3] {
            count(&buckets, nanos);
        }
        assert_eq!(buckets.octaves(), 2);
        let mut latency = Latency::default();
        buckets.add_to(&mut latency);
        assert_eq!(latency.count(), 5);
        assert!(latency.max().unwrap().as_nanos() < 1 << 21);
        let without = Buckets::new();
        count(&without, 7);
        assert_eq!(without.octaves(), 1);
    }

    #[test]
    fn the_longest_is_the_last() {
        let last = Bucket::of(u64::MAX);
        assert_eq!((last.octave, last.place), (OCTAVES - 1, PER_OCTAVE - 1));
        assert_eq!(Bucket::of((1 << 40) - 1), last);
    }
}
