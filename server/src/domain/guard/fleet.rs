//! Who reports on a route: the instances that were heard of lately, and which versions they run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::telemetry::Reporter;

/// Instances with a cell of their own; later ones share these.
pub(super) const CELLS: usize = 64;
/// Who was not heard of for longer, in seconds, does not count as reporting.
const AWAY: i64 = 60;
/// How long, in seconds, the first one waits for the others: two flush intervals.
const SETTLING: i64 = 10;

/// The instances that report on a route, whatever path and form of its rollout they report of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fleet {
    seen: Vec<Seen>,
    since: i64,
    versions: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    host: String,
    application: String,
    version: String,
    at: i64,
}

impl Fleet {
    /// Takes note of who reports. Of a fleet larger than the cells the first are a sample.
    pub(super) fn see<'a>(&mut self, second: i64, reporters: impl Iterator<Item = &'a Reporter>) {
        self.seen
            .retain(|seen| (0..AWAY).contains(&second.saturating_sub(seen.at)));
        if self.seen.is_empty() {
            self.since = second;
        }
        for reporter in reporters {
            let has_room = self.seen.len() < CELLS;
            match self
                .seen
                .iter_mut()
                .find(|seen| seen.host == reporter.host())
            {
                Some(seen) => {
                    seen.at = second;
                    seen.application.clone_from(&reporter.application);
                    seen.version.clone_from(&reporter.version);
                }
                None if has_room => self.seen.push(Seen {
                    host: reporter.host().to_owned(),
                    application: reporter.application.clone(),
                    version: reporter.version.clone(),
                    at: second,
                }),
                None => {}
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub(super) fn instances(&self) -> usize {
        self.seen.len()
    }

    /// Whether there was time for every one of them to report once: before, the first might be taken
    /// for the only one.
    #[must_use]
    pub(super) fn is_settled(&self, second: i64) -> bool {
        self.seen.len() >= 3 || second.saturating_sub(self.since) >= SETTLING
    }

    /// Whether an application of more than a third of the instances has come to run another version.
    /// The new one leads by two, or nobody is left with the old one: a single instance, whatever it
    /// says, cannot turn it there and back.
    pub(super) fn has_new_version(&mut self) -> bool {
        let mut counted = BTreeMap::<&str, BTreeMap<&str, usize>>::new();
        for seen in &self.seen {
            let versions = counted.entry(&seen.application).or_default();
            *versions.entry(&seen.version).or_default() += 1;
        }
        let third = self.seen.len() / 3;
        let mut next = BTreeMap::new();
        let mut changed = false;
        for (application, versions) in counted {
            let most = versions.iter().max_by_key(|(_, count)| **count);
            let Some((&version, &count)) = most else {
                continue;
            };
            if versions.values().sum::<usize>() <= third {
                continue;
            }
            let known = self.versions.get(application);
            let stays = known.filter(|known| {
                let left = versions.get(known.as_str()).copied().unwrap_or_default();
                left > 0 && count < left + 2
            });
            changed |= stays.is_none() && known.is_some_and(|known| known != version);
            let version = stays.map_or(version, String::as_str);
            next.insert(application.to_owned(), version.to_owned());
        }
        // Who reports too little to be asked now is asked again when it does.
        for (application, version) in std::mem::take(&mut self.versions) {
            if next.len() < 3 {
                next.entry(application).or_insert(version);
            }
        }
        self.versions = next;
        changed
    }
}

/// The cells of an epoch, in the order in which their instances first reported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cells(Vec<(String, String)>);

impl Cells {
    /// The cell of an instance, which it shares with those of its host. The first [`CELLS`] hosts have one of their own; a later one shares the one
    /// that its host's name falls on, so that it is left out with it.
    pub(super) fn of(&mut self, reporter: &Reporter) -> usize {
        let host = reporter.host();
        let own = self.0.iter().position(|(known, _)| known == host);
        if let Some(own) = own {
            return own;
        }
        if self.0.len() < CELLS {
            self.0.push((host.to_owned(), reporter.name.clone()));
            return self.0.len() - 1;
        }
        // FNV-1a: the same on every node.
        let hash = host.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        usize::try_from(hash % 64).unwrap_or_default()
    }

    /// Who is in a cell; where several share it, who came first.
    #[must_use]
    pub(super) fn name(&self, cell: usize) -> Option<&str> {
        self.0.get(cell).map(|(_, name)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reporter(id: usize, version: &str) -> Reporter {
        Reporter {
            id: format!("i{id}"),
            name: format!("web-{id}"),
            application: "shop".to_owned(),
            version: version.to_owned(),
        }
    }

    fn see(fleet: &mut Fleet, second: i64, versions: &[&str]) -> bool {
        let all: Vec<Reporter> = (0..)
            .zip(versions)
            .map(|(id, version)| reporter(id, version))
            .collect();
        fleet.see(second, all.iter());
        fleet.has_new_version()
    }

    #[test]
    fn the_first_waits_for_the_others() {
        let mut fleet = Fleet::default();
        see(&mut fleet, 1_000, &["1"]);
        assert!(!fleet.is_settled(1_009) && fleet.is_settled(1_010));
        see(&mut fleet, 1_070, &["1"]);
        assert!(!fleet.is_settled(1_070), "all were away");
        see(&mut fleet, 1_071, &["1", "1", "1"]);
        assert!(fleet.is_settled(1_071));
        assert_eq!(fleet.instances(), 3);
    }

    #[test]
    fn a_deployment_is_noticed_once() {
        let mut fleet = Fleet::default();
        assert!(!see(&mut fleet, 0, &["1", "1", "1", "1"]));
        assert!(!see(&mut fleet, 1, &["2", "1", "1", "1"]));
        assert!(!see(&mut fleet, 2, &["2", "2", "1", "1"]));
        assert!(see(&mut fleet, 3, &["2", "2", "2", "1"]));
        assert!(!see(&mut fleet, 4, &["2", "2", "2", "2"]));
        assert!(see(&mut fleet, 5, &["3", "3", "3", "3"]));
    }

    #[test]
    fn one_that_says_another_version_every_second_changes_nothing() {
        for honest in 2..10 {
            let mut fleet = Fleet::default();
            let mut turned = 0;
            for second in 0..100 {
                let lie = if honest % 2 == 0 { second % 2 } else { second };
                let lie = format!("{lie}");
                // Half of the honest ones run 0, half 1: the worst time for it.
                let mut versions: Vec<&str> = (0..honest)
                    .map(|id| if id % 2 == 0 { "0" } else { "1" })
                    .collect();
                versions.push(&lie);
                turned += u32::from(see(&mut fleet, second, &versions));
            }
            assert!(turned <= 1, "{honest}: {turned}");
        }
    }

    #[test]
    fn the_processes_of_a_host_are_one_voice() {
        let mut cells = Cells::default();
        let mut fleet = Fleet::default();
        for process in 0..8 {
            let mut one = reporter(process, "1");
            one.name = format!("web-3:{process}");
            assert_eq!(cells.of(&one), 0);
            fleet.see(0, [&one].into_iter());
        }
        assert_eq!(fleet.instances(), 1);
    }

    #[test]
    fn a_small_application_is_not_asked() {
        let mut fleet = Fleet::default();
        see(&mut fleet, 0, &["1", "1", "1", "1"]);
        let mut other = reporter(9, "7");
        other.application = "tool".to_owned();
        fleet.see(0, [&other].into_iter());
        assert!(!fleet.has_new_version());
        other.version = "8".to_owned();
        fleet.see(1, [&other].into_iter());
        assert!(!fleet.has_new_version());
    }

    #[test]
    fn later_instances_share_cells() {
        let mut cells = Cells::default();
        for id in 0..CELLS {
            assert_eq!(cells.of(&reporter(id, "1")), id);
        }
        let shared = cells.of(&reporter(1_000, "1"));
        assert!(shared < CELLS);
        assert_eq!(cells.of(&reporter(1_000, "1")), shared);
        assert_eq!(cells.of(&reporter(7, "1")), 7);
        assert_eq!(cells.name(7), Some("web-7"));
    }
}
