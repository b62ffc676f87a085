//! Limits of so many in an hour: counted as they are, minute by minute.

use serde::{Deserialize, Serialize};

use crate::domain::guard::recent::{Recent, Span};
use crate::domain::guard::sequential::Finding;
use crate::domain::number::real;

const HOUR: Span = Span {
    bucket: 60,
    buckets: 60,
};

/// What was counted in the last hour, by cell. Its size is bounded by the number of cells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hourly {
    comparisons: u64,
    cells: Vec<Recent>,
}

impl Hourly {
    /// Counts what one cell has found among so many comparisons.
    pub(super) fn take(&mut self, second: i64, cell: usize, comparisons: u64, found: u64) {
        self.comparisons = self.comparisons.saturating_add(comparisons);
        if self.cells.len() <= cell {
            self.cells.resize(cell.saturating_add(1), Recent::default());
        }
        if let Some(recent) = self.cells.get_mut(cell) {
            recent.add(second, HOUR, found);
        }
    }

    /// Whether more were found than the limit, where so many instances report on the route: without
    /// any one of three or more as well, or only with that one.
    #[must_use]
    pub(super) fn finding(&self, second: i64, limit: f64, instances: usize) -> Finding {
        let found = self.by_cell(second);
        let total: u64 = found.iter().sum();
        let most = found.iter().enumerate().max_by_key(|(_, found)| **found);
        match most {
            Some((cell, most)) if real(total) > limit => {
                let reporting = found.iter().filter(|found| **found > 0).count();
                let is_alone = reporting.max(instances) >= 3 && real(total - most) <= limit;
                if is_alone {
                    Finding::Carried(cell)
                } else {
                    Finding::Beyond
                }
            }
            _ => Finding::Within,
        }
    }

    /// What was found in the last hour.
    #[must_use]
    pub(super) fn found(&self, second: i64) -> u64 {
        self.by_cell(second).iter().sum()
    }

    /// All comparisons of the epoch.
    #[must_use]
    pub(super) fn comparisons(&self) -> u64 {
        self.comparisons
    }

    fn by_cell(&self, second: i64) -> Vec<u64> {
        let cells = self.cells.iter();
        cells.map(|recent| recent.within(second, HOUR)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_counted_as_it_is() {
        let mut hourly = Hourly::default();
        hourly.take(0, 0, 100, 3);
        assert_eq!(hourly.finding(60, 3.0, 1), Finding::Within);
        hourly.take(60, 1, 100, 1);
        assert_eq!(hourly.finding(60, 3.0, 2), Finding::Beyond);
        assert_eq!(hourly.finding(3_600, 3.0, 2), Finding::Within);
        assert_eq!((hourly.found(3_600), hourly.comparisons()), (1, 200));
    }

    #[test]
    fn one_of_three_does_not_pass_it_alone() {
        let mut hourly = Hourly::default();
        hourly.take(0, 2, 100, 90);
        assert_eq!(hourly.finding(0, 3.0, 3), Finding::Carried(2));
        hourly.take(0, 0, 100, 2);
        hourly.take(0, 1, 100, 1);
        assert_eq!(hourly.finding(0, 3.0, 3), Finding::Carried(2));
        hourly.take(0, 1, 100, 1);
        assert_eq!(hourly.finding(0, 3.0, 3), Finding::Beyond);
    }
}
