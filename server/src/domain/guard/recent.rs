//! Counts of the recent past, in a bounded number of buckets of time.

use serde::{Deserialize, Serialize};

/// How far back is recent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The length of a bucket, in seconds.
    pub bucket: i64,
    /// How many buckets, the present one included.
    pub buckets: i64,
}

/// Counts by bucket, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Recent(Vec<(i64, u64)>);

impl Recent {
    /// Counts so many now.
    pub(super) fn add(&mut self, second: i64, span: Span, count: u64) {
        if count == 0 {
            return;
        }
        let now = second.div_euclid(span.bucket.max(1));
        self.forget(now, span);
        match self.0.last_mut() {
            Some((bucket, counted)) if *bucket == now => *counted = counted.saturating_add(count),
            _ => self.0.push((now, count)),
        }
    }

    /// How many were counted in the span that ends now.
    pub(super) fn total(&mut self, second: i64, span: Span) -> u64 {
        self.forget(second.div_euclid(span.bucket.max(1)), span);
        let counted = self.0.iter().map(|(_, counted)| *counted);
        counted.fold(0, u64::saturating_add)
    }

    /// The same without forgetting what is older.
    #[must_use]
    pub(super) fn within(&self, second: i64, span: Span) -> u64 {
        self.clone().total(second, span)
    }

    /// A clock that went back leaves buckets of the future, which are no better than old ones.
    fn forget(&mut self, now: i64, span: Span) {
        let recent = 0..span.buckets;
        self.0
            .retain(|(bucket, _)| recent.contains(&now.saturating_sub(*bucket)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span {
        bucket: 60,
        buckets: 3,
    };

    #[test]
    fn what_is_older_is_forgotten() {
        let mut recent = Recent::default();
        recent.add(0, SPAN, 1);
        recent.add(61, SPAN, 2);
        recent.add(62, SPAN, 3);
        assert_eq!(recent.0, [(0, 1), (1, 5)]);
        assert_eq!(recent.within(179, SPAN), 6);
        assert_eq!(recent.total(180, SPAN), 5);
        assert_eq!(recent.0, [(1, 5)]);
    }

    #[test]
    fn a_clock_that_goes_back_leaves_nothing_of_the_future() {
        let mut recent = Recent::default();
        recent.add(6_000_000, SPAN, 9);
        recent.add(60, SPAN, 1);
        assert_eq!(recent.total(60, SPAN), 1);
        assert_eq!(recent.total(i64::MIN, SPAN), 0);
    }
}
