//! Every rollout that one process knows from one source, with its requirements resolved.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::rollout::{Rollout, RouteKey};
use crate::stage::EnvironmentKind;

/// The longest chain of requirements: A requires B is a chain of one.
pub const LONGEST_CHAIN: usize = 16;

/// Where a decision's facts come from, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A snapshot that the server sent to this process.
    Live,
    /// The last good snapshot on disk.
    Cache,
    /// The release manifest in the binary.
    Bundled,
    /// The stage given in code.
    Compiled,
}

impl Source {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Source::Live => "live",
            Source::Cache => "cache",
            Source::Bundled => "bundled",
            Source::Compiled => "compiled",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a source says about one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A rollout this version understands.
    Known(Arc<Rollout>),
    /// A stage or setting of a newer server. The route is treated as unknown: old path.
    Unrecognized,
}

/// Rollouts by route, from one source, in one kind of environment. Its requirements form no cycle
/// and no chain longer than [`LONGEST_CHAIN`].
#[derive(Clone, Debug)]
pub struct Table {
    source: Source,
    kind: EnvironmentKind,
    entries: BTreeMap<RouteKey, Entry>,
    needs: BTreeMap<RouteKey, Box<[RouteKey]>>,
}

/// The requirements of a table cannot be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidRequirements {
    /// The route requires itself, by way of others or directly.
    Cycle(RouteKey),
    /// More than [`LONGEST_CHAIN`] requirements follow one another from this route.
    TooLong(RouteKey),
}

impl fmt::Display for InvalidRequirements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidRequirements::Cycle(route) => write!(f, "`{route}` requires itself"),
            InvalidRequirements::TooLong(route) => write!(
                f,
                "`{route}` starts a chain of more than {LONGEST_CHAIN} requirements"
            ),
        }
    }
}

impl std::error::Error for InvalidRequirements {}

impl Table {
    /// A table of these entries.
    ///
    /// # Errors
    /// When requirements form a cycle or too long a chain: then nothing of it may be used.
    pub fn new(
        source: Source,
        kind: EnvironmentKind,
        entries: BTreeMap<RouteKey, Entry>,
    ) -> Result<Table, InvalidRequirements> {
        let needs = resolve(&entries)?;
        Ok(Table {
            source,
            kind,
            entries,
            needs,
        })
    }

    /// A table that says nothing as yet.
    #[cfg(feature = "client")]
    pub(crate) const fn empty(source: Source, kind: EnvironmentKind) -> Table {
        Table {
            source,
            kind,
            entries: BTreeMap::new(),
            needs: BTreeMap::new(),
        }
    }

    /// Where the rollouts come from.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// The kind of environment that the rollouts are decided in.
    #[must_use]
    pub fn kind(&self) -> EnvironmentKind {
        self.kind
    }

    /// What the source says about a route; `None` where it says nothing.
    #[must_use]
    pub fn get(&self, route: &str) -> Option<&Entry> {
        self.entries.get(route)
    }

    /// The rollout of a route, where there is one that this version understands.
    #[must_use]
    pub fn rollout(&self, route: &str) -> Option<&Rollout> {
        match self.entries.get(route) {
            Some(Entry::Known(rollout)) => Some(rollout),
            Some(Entry::Unrecognized) | None => None,
        }
    }

    /// Every entry, by route key.
    #[must_use]
    pub fn entries(&self) -> &BTreeMap<RouteKey, Entry> {
        &self.entries
    }

    /// The routes that must decide new before this one may: those it requires and, except behind a
    /// mandatory one (which needs nobody any more), those that they require.
    #[must_use]
    pub fn needs(&self, route: &str) -> &[RouteKey] {
        self.needs.get(route).map_or(&[], |needs| needs)
    }
}

fn resolve(
    entries: &BTreeMap<RouteKey, Entry>,
) -> Result<BTreeMap<RouteKey, Box<[RouteKey]>>, InvalidRequirements> {
    let mut depths = BTreeMap::new();
    for (route, entry) in entries {
        if !required_by(entry).is_empty() {
            depth(route, entries, &mut depths, 0)?;
        }
    }
    Ok(entries
        .iter()
        .filter(|(_, entry)| !required_by(entry).is_empty())
        .map(|(route, entry)| (route.clone(), closure(entry, entries)))
        .collect())
}

/// The length of the longest chain from here; a route on the way to itself has no length.
fn depth<'a>(
    route: &'a RouteKey,
    entries: &'a BTreeMap<RouteKey, Entry>,
    depths: &mut BTreeMap<&'a RouteKey, Option<usize>>,
    above: usize,
) -> Result<usize, InvalidRequirements> {
    match depths.get(route) {
        Some(Some(known)) => return Ok(*known),
        Some(None) => return Err(InvalidRequirements::Cycle(route.clone())),
        None if above > LONGEST_CHAIN => return Err(InvalidRequirements::TooLong(route.clone())),
        None => {}
    }
    depths.insert(route, None);
    let mut longest = 0;
    for required in entries.get(route).map(required_by).unwrap_or_default() {
        longest = longest.max(1 + depth(required, entries, depths, above + 1)?);
    }
    if longest > LONGEST_CHAIN {
        return Err(InvalidRequirements::TooLong(route.clone()));
    }
    depths.insert(route, Some(longest));
    Ok(longest)
}

fn closure(entry: &Entry, entries: &BTreeMap<RouteKey, Entry>) -> Box<[RouteKey]> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&RouteKey> = required_by(entry);
    while let Some(route) = open.pop() {
        if found.insert(route.clone()) {
            match entries.get(route) {
                Some(Entry::Known(rollout)) if rollout.stage == crate::Stage::Mandatory => {}
                Some(next) => open.extend(required_by(next)),
                None => {}
            }
        }
    }
    found.into_iter().collect()
}

fn required_by(entry: &Entry) -> Vec<&RouteKey> {
    match entry {
        Entry::Known(rollout) => rollout.requires.iter().collect(),
        Entry::Unrecognized => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::Stage;

    fn chain(links: usize) -> Result<Table, InvalidRequirements> {
        table((0..=links).map(|n| {
            let next = (n < links).then(|| format!("r{}", n + 1));
            (format!("r{n}"), next.into_iter().collect::<Vec<_>>())
        }))
    }

    fn table(
        routes: impl IntoIterator<Item = (String, Vec<String>)>,
    ) -> Result<Table, InvalidRequirements> {
        let entries = routes
            .into_iter()
            .map(|(key, requires)| {
                let flag = key.to_uppercase().parse().unwrap();
                let mut rollout = Rollout::at(flag, Stage::OptIn);
                rollout.requires = requires.iter().map(|r| r.parse().unwrap()).collect();
                (key.parse().unwrap(), Entry::Known(Arc::new(rollout)))
            })
            .collect();
        Table::new(Source::Live, EnvironmentKind::Hosted, entries)
    }

    #[test]
    fn a_chain_of_sixteen_is_the_longest() {
        assert_eq!(chain(16).unwrap().needs("r0").len(), 16);
        assert!(matches!(chain(17), Err(InvalidRequirements::TooLong(_))));
        assert!(matches!(chain(5_000), Err(InvalidRequirements::TooLong(_))));
    }

    #[test]
    fn a_cycle_is_refused_wherever_it_begins() {
        let routes = [("a", "b"), ("b", "c"), ("c", "b")];
        let made = table(routes.map(|(from, to)| (from.to_owned(), vec![to.to_owned()])));
        assert!(matches!(made, Err(InvalidRequirements::Cycle(_))));
        let itself = table([("a".to_owned(), vec!["a".to_owned()])]);
        assert!(matches!(itself, Err(InvalidRequirements::Cycle(_))));
    }

    #[test]
    fn a_diamond_is_no_cycle_and_counts_once() {
        let made = table([
            ("a".to_owned(), vec!["b".to_owned(), "c".to_owned()]),
            ("b".to_owned(), vec!["d".to_owned()]),
            ("c".to_owned(), vec!["d".to_owned()]),
            ("d".to_owned(), vec![]),
        ])
        .unwrap();
        assert_eq!(made.needs("a").len(), 3);
    }
}
