//! Which of an instance's batches are counted.

use serde::{Deserialize, Serialize};

/// Ranges of an instance's batches, apart from each other. A batch that is refused leaves a gap for
/// ever, so the mark under which all are counted would not do.
const MOST_RANGES: usize = 32;

/// The batches that are counted: ranges from and to, ascending, and never next to each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Counted(Vec<(u64, u64)>);

impl Counted {
    /// Counts a batch, unless it is counted. Where there are too many gaps, the oldest is closed:
    /// what would have filled it is lost rather than counted twice.
    pub(super) fn add(&mut self, sequence: u64) -> bool {
        let at = self.0.partition_point(|(_, to)| *to < sequence);
        if let Some((from, _)) = self.0.get(at)
            && *from <= sequence
        {
            return false;
        }
        self.0.insert(at, (sequence, sequence));
        self.0.dedup_by(|next, before| {
            let joins = before.1.saturating_add(1) == next.0;
            if joins {
                before.1 = next.1;
            }
            joins
        });
        if self.0.len() > MOST_RANGES {
            let (from, _) = self.0.remove(0);
            if let Some(first) = self.0.first_mut() {
                first.0 = from;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_batch_is_counted_once_in_any_order() {
        let mut counted = Counted::default();
        for (sequence, first) in [(1, true), (1, false), (3, true), (2, true), (3, false)] {
            assert_eq!(counted.add(sequence), first, "{sequence}");
        }
        assert_eq!(counted, Counted(vec![(1, 3)]));
    }

    #[test]
    fn gaps_are_bounded_and_never_make_a_second_count() {
        let mut counted = Counted::default();
        for sequence in (1..1_000).map(|n| n * 2) {
            assert!(counted.add(sequence));
        }
        assert_eq!(counted.0.len(), MOST_RANGES);
        assert!(!counted.add(2));
        assert!(!counted.add(3), "its gap was closed");
        assert!(counted.add(1_997));
    }

    proptest! {
        #[test]
        fn it_is_a_set(sequences in prop::collection::vec(1_u64..30, 0..60)) {
            let (mut counted, mut set) = (Counted::default(), std::collections::BTreeSet::new());
            for sequence in sequences {
                prop_assert_eq!(counted.add(sequence), set.insert(sequence));
            }
            prop_assert!(counted.0.windows(2).all(|two| two[0].1 + 1 < two[1].0));
        }
    }
}
