//! When change freezes were open: time that does not count towards the holds of a ramp.

use chrono::{DateTime, Duration, Utc};

use crate::domain::freeze::Freeze;

/// Spans of time in which some change freeze was, is or will be open; ordered, none touching the
/// next. One without an end lasts until somebody closes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frozen(Vec<(DateTime<Utc>, Option<DateTime<Utc>>)>);

impl Frozen {
    /// What these freezes froze, whichever of them overlap.
    #[must_use]
    pub fn by<'a>(freezes: impl IntoIterator<Item = &'a Freeze>) -> Frozen {
        let mut spans: Vec<(DateTime<Utc>, Option<DateTime<Utc>>)> = freezes
            .into_iter()
            .map(|freeze| {
                let ends = [freeze.until, freeze.closed_at];
                (freeze.from, ends.into_iter().flatten().min())
            })
            // One that was called off before it began froze nothing.
            .filter(|(from, to)| to.is_none_or(|to| *from < to))
            .collect();
        spans.sort();
        let mut merged: Vec<(DateTime<Utc>, Option<DateTime<Utc>>)> = Vec::new();
        for (from, to) in spans {
            match merged.last_mut() {
                Some((_, None)) => {}
                Some((_, Some(end))) if from <= *end => match to {
                    Some(to) => *end = to.max(*end),
                    None => {
                        let began = merged.pop().map_or(from, |(began, _)| began);
                        merged.push((began, None));
                    }
                },
                _ => merged.push((from, to)),
            }
        }
        Frozen(merged)
    }

    /// Whether a freeze is open then.
    #[must_use]
    pub fn is_open(&self, at: DateTime<Utc>) -> bool {
        let mut spans = self.0.iter();
        spans.any(|(from, to)| *from <= at && to.is_none_or(|to| at < to))
    }

    /// How much of the time between these two no freeze was open; nothing when they are turned
    /// round, as clocks of two nodes can be.
    #[must_use]
    pub fn running(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Duration {
        let mut running = (to - from).max(Duration::zero());
        for (began, ended) in &self.0 {
            let overlap = ended.unwrap_or(to).min(to) - (*began).max(from);
            running -= overlap.max(Duration::zero());
        }
        running.max(Duration::zero())
    }

    /// When so much time without a freeze will have passed since `from`, by the freezes that are
    /// known; `None` when somebody has to close one first.
    #[must_use]
    pub fn after(&self, from: DateTime<Utc>, running: Duration) -> Option<DateTime<Utc>> {
        let (mut at, mut left) = (from, running.max(Duration::zero()));
        for (began, ended) in &self.0 {
            if ended.is_some_and(|ended| ended <= at) {
                continue;
            }
            if *began > at {
                let open = *began - at;
                if left < open {
                    break;
                }
                left -= open;
            }
            at = (*ended)?;
        }
        at.checked_add_signed(left)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;
    use proptest::prelude::*;

    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        Utc.timestamp_opt(1_800_000_000 + minute * 60, 0).unwrap()
    }

    fn freeze(from: i64, until: Option<i64>, closed: Option<i64>) -> Freeze {
        Freeze {
            id: String::new(),
            environments: Default::default(),
            from: at(from),
            until: until.map(at),
            reason: String::new(),
            opened_by: String::new(),
            opened_at: at(from),
            closed_at: closed.map(at),
        }
    }

    #[test]
    fn time_stands_still_while_a_freeze_is_open() {
        let frozen = Frozen::by(&[
            freeze(10, Some(20), None),
            freeze(15, None, Some(30)),
            freeze(40, Some(60), Some(35)),
            freeze(50, Some(60), None),
        ]);
        let minutes = |from, to| frozen.running(at(from), at(to)).num_minutes();
        assert_eq!(minutes(0, 10), 10);
        assert_eq!(minutes(0, 30), 10);
        assert_eq!(minutes(12, 25), 0);
        assert_eq!(minutes(12, 45), 15, "one was called off before it began");
        assert_eq!(minutes(0, 100), 70);
        assert_eq!(minutes(9, 3), 0);
        let due = |from, running| frozen.after(at(from), Duration::minutes(running));
        assert_eq!(due(0, 9), Some(at(9)));
        assert_eq!(
            due(0, 10),
            Some(at(30)),
            "what is due at its beginning waits"
        );
        assert_eq!(due(15, 5), Some(at(35)));
        assert_eq!(due(0, 40), Some(at(70)));
        let open = Frozen::by(&[freeze(10, None, None), freeze(5, Some(12), None)]);
        assert_eq!(open.after(at(0), Duration::minutes(6)), None);
        assert_eq!(open.after(at(0), Duration::minutes(4)), Some(at(4)));
        assert!(open.is_open(at(11)) && open.is_open(at(99)) && !open.is_open(at(4)));
    }

    proptest! {
        /// Against counting minute by minute.
        #[test]
        fn spans_are_what_counting_finds(
            given in prop::collection::vec((0_i64..60, prop::option::of(0_i64..60), prop::option::of(0_i64..60)), 0..6),
            from in 0_i64..60, length in 0_i64..60,
        ) {
            let freezes: Vec<Freeze> = given.iter().map(|(f, u, c)| freeze(*f, *u, *c)).collect();
            let frozen = Frozen::by(&freezes);
            let open = |minute: i64| freezes.iter().any(|freeze| {
                let ended = |end: Option<DateTime<Utc>>| end.is_some_and(|end| end <= at(minute));
                freeze.from <= at(minute) && !ended(freeze.until) && !ended(freeze.closed_at)
            });
            let counted = (from..from + length).filter(|minute| !open(*minute)).count();
            prop_assert_eq!(frozen.running(at(from), at(from + length)).num_minutes(), i64::try_from(counted).unwrap());
            for minute in from..from + length {
                prop_assert_eq!(frozen.is_open(at(minute)), open(minute));
            }
            let due = frozen.after(at(from), Duration::minutes(length));
            if let Some(due) = due {
                prop_assert_eq!(frozen.running(at(from), due), Duration::minutes(length));
                prop_assert!(!frozen.is_open(due));
            } else {
                prop_assert!(open(1_000_000));
            }
        }
    }
}
