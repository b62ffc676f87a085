//! Compares the old path with itself: what differs there is noise, and no fault of the new one.

use crate::comparing::{Compared, Ignored, Rules};
use crate::key::Key;
use crate::route::Route;

/// Keys that differed which are named.
const MOST_KEYS: usize = 16;

/// A calibration whose keys and implementation are given. Say how to compare, then run it.
#[derive(Debug)]
#[must_use = "a calibration does nothing until it is run"]
pub struct Calibrate<I, F> {
    keys: I,
    read: F,
}

impl Route {
    /// Reads each of these keys twice with one implementation, the old one, and compares the two results:
    /// so that what differs by itself (times, orders, random names) is found, and
    /// [ignored](crate::ComparedRead::ignore), before a shadow read is believed. Reads one after the other,
    /// on this thread; what it does is counted nowhere and told to nobody.
    ///
    /// ```
    /// # let switchover = switchover::testing::client();
    /// # fn read_file(id: &u64) -> Result<(u64, u64), String> { Ok((*id, *id)) }
    /// let find = switchover.route("find_commit");
    /// let noise = find
    ///     .calibrate([1, 2, 3], read_file)
    ///     .compare(|one, other| one == other)
    ///     .ignore(|one, other| one.0 == other.0)
    ///     .run();
    /// assert_eq!((noise.compared, noise.mismatches), (3, 0));
    /// ```
    pub fn calibrate<I, F, T, E>(&self, keys: I, read: F) -> Calibrate<I, F>
    where
        I: IntoIterator,
        I::Item: Key,
        F: FnMut(&I::Item) -> Result<T, E>,
    {
        Calibrate { keys, read }
    }
}

impl<I, F> Calibrate<I, F> {
    /// Whether two results are the same: as for the [shadow reads](crate::ReadyRead::compare) that are to
    /// follow.
    pub fn compare<T, E, C>(self, is_equal: C) -> ComparedCalibrate<I, F, Compared<C>>
    where
        I: IntoIterator,
        F: FnMut(&I::Item) -> Result<T, E>,
        C: Fn(&T, &T) -> bool + Send + 'static,
    {
        ComparedCalibrate {
            keys: self.keys,
            read: self.read,
            rules: Compared(is_equal),
        }
    }
}

/// A calibration that can be run.
#[must_use = "a calibration does nothing until it is run"]
pub struct ComparedCalibrate<I, F, R> {
    keys: I,
    read: F,
    rules: R,
}

impl<I: IntoIterator, F, R> ComparedCalibrate<I, F, R> {
    /// A difference that is known and does not count. There may be several: one that says so is enough.
    pub fn ignore<T, E, C>(self, is_known: C) -> ComparedCalibrate<I, F, Ignored<R, C>>
    where
        F: FnMut(&I::Item) -> Result<T, E>,
        C: Fn(&T, &T) -> bool + Send + 'static,
    {
        ComparedCalibrate {
            keys: self.keys,
            read: self.read,
            rules: Ignored(self.rules, is_known),
        }
    }

    /// Reads and compares. A key of which one of the two reads fails is not compared.
    ///
    /// # Panics
    /// Those of the implementation and of the comparison.
    #[must_use]
    pub fn run<T, E>(self) -> Calibration
    where
        I::Item: Key,
        F: FnMut(&I::Item) -> Result<T, E>,
        R: Rules<T>,
    {
        let ComparedCalibrate {
            keys,
            mut read,
            rules,
        } = self;
        let mut calibration = Calibration::default();
        for key in keys {
            let (Ok(one), Ok(other)) = (read(&key), read(&key)) else {
                calibration.failed += 1;
                continue;
            };
            calibration.compared += 1;
            if rules.accept(&one, &other) {
                continue;
            }
            calibration.mismatches += 1;
            if calibration.keys.len() < MOST_KEYS {
                let text = key.with(|key| key.unwrap_or_default().to_owned());
                calibration.keys.push(text);
            }
        }
        calibration
    }
}

/// What came of reading keys twice by the same path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Calibration {
    /// Keys of which both reads succeeded.
    pub compared: u64,
    /// Those whose two results differ, and no rule says to ignore that.
    pub mismatches: u64,
    /// Keys of which a read failed.
    pub failed: u64,
    /// Some of those that differ: the first 16.
    pub keys: Vec<String>,
}

impl<I, F, R> std::fmt::Debug for ComparedCalibrate<I, F, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ComparedCalibrate").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::testing;

    #[test]
    fn what_differs_by_itself_is_found_and_can_be_ignored() {
        let client = testing::client();
        let route = client.route("blame");
        let mut clock = 0_u64;
        let mut read = |key: &u64| {
            clock += 1;
            match key % 5 {
                0 => Err(()),
                1 => Ok((*key, clock)),
                _ => Ok((*key, 0)),
            }
        };
        let noise = route
            .calibrate(0..100_u64, &mut read)
            .compare(|one, other| one == other)
            .run();
        assert_eq!(
            (noise.compared, noise.mismatches, noise.failed),
            (80, 20, 20)
        );
        assert_eq!((noise.keys.len(), &*noise.keys[1]), (16, "6"));
        let calm = route
            .calibrate(0..100_u64, read)
            .compare(|one, other| one == other)
            .ignore(|one, other| one.0 == other.0)
            .run();
        assert_eq!((calm.mismatches, calm.keys.len()), (0, 0));
        assert_eq!(route.stats(), crate::RouteStats::default());
    }
}
