//! The keys that a process has written since the server last confirmed that it knows the present
//! authority.
//!
//! A halt waits for nobody. What was written, or copied, before this process heard of it may have
//! overtaken what others wrote after it; and all of that came after the last confirmation. So these are
//! the keys to look at.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::decide::Path;

/// More than these are not named: then nobody knows which.
const MOST_KEYS: usize = 20_000;

#[derive(Debug, Default)]
pub(crate) struct Recent {
    /// With the side that was written, and under which generation.
    keys: BTreeMap<Arc<str>, (Path, u64)>,
    /// Those before the report that is under way.
    before: BTreeMap<Arc<str>, (Path, u64)>,
    is_over: bool,
    was_over: bool,
}

/// A key at risk.
pub(crate) type Written = (Arc<str>, (Path, u64));

impl Recent {
    pub(crate) fn add(&mut self, key: &Arc<str>, written: Path, generation: u64) {
        if self.keys.len() >= MOST_KEYS {
            self.is_over = true;
        } else {
            self.keys.insert(Arc::clone(key), (written, generation));
        }
    }

    /// A report begins.
    pub(crate) fn report(&mut self) {
        self.before.append(&mut self.keys);
        self.was_over |= std::mem::take(&mut self.is_over);
        if self.before.len() > MOST_KEYS {
            self.was_over = true;
            self.before.clear();
        }
    }

    /// The server has confirmed that the process was current when the report began.
    pub(crate) fn confirmed(&mut self) {
        self.before.clear();
        self.was_over = false;
    }

    /// Takes those for which this holds. Second, whether there may be others.
    pub(crate) fn take(&mut self, is_meant: impl Fn(&str, Path) -> bool) -> (Vec<Written>, bool) {
        self.before.append(&mut self.keys);
        let all = std::mem::take(&mut self.before).into_iter();
        let (meant, others) = all.partition(|(key, (path, _))| is_meant(key, *path));
        self.keys = others;
        let meant: BTreeMap<_, _> = meant;
        let is_over = self.is_over || self.was_over;
        (meant.into_iter().collect(), is_over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(recent: &mut Recent) -> Vec<String> {
        let (taken, _) = recent.take(|_, _| true);
        taken.into_iter().map(|(key, _)| key.to_string()).collect()
    }

    #[test]
    fn what_was_written_during_a_report_is_not_confirmed_by_it() {
        let mut recent = Recent::default();
        recent.add(&"a".into(), Path::Old, 1);
        recent.report();
        recent.add(&"b".into(), Path::Old, 1);
        recent.confirmed();
        assert_eq!(keys(&mut recent), ["b"]);
        // An answer that was lost confirms nothing.
        recent.add(&"c".into(), Path::Old, 1);
        recent.report();
        recent.add(&"d".into(), Path::Old, 1);
        recent.report();
        assert_eq!(keys(&mut recent), ["c", "d"]);
    }

    #[test]
    fn too_many_are_known_to_be_too_many() {
        let mut recent = Recent::default();
        for n in 0..=MOST_KEYS {
            recent.add(&n.to_string().into(), Path::Old, 1);
        }
        let (taken, is_over) = recent.take(|_, _| false);
        assert!(taken.is_empty() && is_over);
        recent.report();
        recent.confirmed();
        assert_eq!(recent.take(|_, _| true), (Vec::new(), false));
    }
}
