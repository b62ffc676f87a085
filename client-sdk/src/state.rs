//! Everything that a process decides by, in layers: what the server sent, what was kept on disk,
//! what the release froze, what the code says.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::once;
use std::sync::Arc;

use crate::cache::{Cached, Found, Halts};
use crate::decide::{self, Decision, Plan};
use crate::explain::{self, Explanation};
use crate::manifest::Manifest;
use crate::overrides::{FlagOverride, Overrides};
use crate::rollout::{FlagName, Percent, Rollout, RouteKey, Watch};
use crate::snapshot::Snapshot;
use crate::stage::{EnvironmentKind, Stage};
use crate::table::{Entry, Source, Table};
use crate::versions::{At, Seen};
use crate::warnings::{self, Warning};

/// What the code says is decided as on premises.
const COMPILED: (Source, EnvironmentKind) = (Source::Compiled, EnvironmentKind::OnPrem);

/// Immutable: each change makes a new one.
#[derive(Clone, Debug)]
pub(crate) struct State {
    live: Option<Arc<Snapshot>>,
    cached: Option<Cached>,
    /// The cached snapshot's table, with what was halted after it.
    cached_table: Option<Arc<Table>>,
    /// The release's manifest.
    manifest: Option<Arc<Manifest>>,
    /// Its table, with what is halted; `None` where the process is in another environment.
    bundled_table: Option<Arc<Table>>,
    /// What the code says, each route in one of few tables (see [`added`]).
    compiled: Vec<Arc<Table>>,
    /// Says nothing of any route.
    empty: Arc<Table>,
    /// What was halted when this process started, as far as the disk knows.
    halts: Option<Halts>,
    overrides: Arc<Overrides>,
}

impl State {
    /// What a process starts with.
    pub(crate) fn new(
        found: Found,
        manifest: Option<Arc<Manifest>>,
        overrides: Arc<Overrides>,
    ) -> State {
        let cached = found.snapshot.map(|snapshot| Cached {
            snapshot: Arc::new(snapshot),
            taken: found.taken,
        });
        let is_of_another = |halts: &Halts| {
            let cached = cached.as_ref().map(|cached| cached.snapshot.environment());
            cached.is_some_and(|environment| environment != &*halts.environment)
        };
        let halts = found.halts.filter(|halts| !is_of_another(halts));
        let cached_table = match (&cached, &halts) {
            (Some(cached), Some(halts)) if halts.are_newer_than(cached.snapshot.version()) => {
                Some(with_halted(cached.snapshot.table(), |route| {
                    halts.routes.contains(route).then_some(true)
                }))
            }
            (Some(cached), _) => Some(Arc::clone(cached.snapshot.table())),
            (None, _) => None,
        };
        let environment = cached.as_ref().map(|cached| cached.snapshot.environment());
        State {
            live: None,
            bundled_table: bundled_table(manifest.as_deref(), environment, halts.as_ref()),
            cached,
            cached_table,
            manifest,
            compiled: Vec::new(),
            empty: Arc::new(Table::empty(COMPILED.0, COMPILED.1)),
            halts,
            overrides,
        }
    }

    /// With what the server sent. What the disk knows of another environment is void from then on.
    pub(crate) fn with_live(&self, snapshot: Arc<Snapshot>) -> State {
        let is_void = self.voided_by(&snapshot).is_some();
        let halts = self.halts.as_ref().filter(|_| !is_void);
        let environment = Some(snapshot.environment());
        let live = State {
            bundled_table: bundled_table(self.manifest.as_deref(), environment, halts),
            live: Some(snapshot),
            ..self.clone()
        };
        if !is_void {
            return live;
        }
        State {
            cached: None,
            cached_table: None,
            halts: None,
            compiled: live
                .compiled
                .iter()
                .map(|table| with_halted(table, |_| Some(false)))
                .collect(),
            ..live
        }
    }

    /// The environment of what is on disk, if it is another one than this snapshot's.
    pub(crate) fn voided_by(&self, snapshot: &Snapshot) -> Option<&str> {
        let cached = self.cached.as_ref();
        let halts = self.halts.as_ref();
        cached
            .map(|cached| cached.snapshot.environment())
            .or_else(|| halts.map(|halts| &*halts.environment))
            .filter(|environment| *environment != snapshot.environment())
    }

    /// With the stage that the code gives a route; `None` where it has given one before.
    pub(crate) fn with_compiled(&self, route: RouteKey, mut rollout: Rollout) -> Option<State> {
        if self.compiled_rollout(route.as_str()).is_some() {
            return None;
        }
        let halts = self.halts.as_ref();
        rollout.halted |= halts.is_some_and(|halts| halts.routes.contains(&route));
        Some(State {
            compiled: added(&self.compiled, route, rollout)?,
            ..self.clone()
        })
    }

    pub(crate) fn live(&self) -> Option<&Arc<Snapshot>> {
        self.live.as_ref()
    }

    pub(crate) fn cached(&self) -> Option<&Cached> {
        self.cached.as_ref()
    }

    /// The release's manifest, whether it has a say or not.
    pub(crate) fn manifest(&self) -> Option<&Arc<Manifest>> {
        self.manifest.as_ref()
    }

    /// This process's environment, if it is another one than the manifest's: then that has no say.
    pub(crate) fn foreign_to_manifest(&self) -> Option<&str> {
        let manifest = self.manifest.as_ref()?;
        let own = self.snapshot()?.environment();
        (own != &*manifest.head().environment).then_some(own)
    }

    /// The best snapshot there is.
    pub(crate) fn snapshot(&self) -> Option<&Arc<Snapshot>> {
        let cached = || self.cached.as_ref().map(|cached| &cached.snapshot);
        self.live.as_ref().or_else(cached)
    }

    /// The stage that the code gives a route.
    pub(crate) fn compiled_rollout(&self, route: &str) -> Option<&Rollout> {
        self.compiled.iter().find_map(|table| table.rollout(route))
    }

    pub(crate) fn seen(&self) -> Seen<'_> {
        Seen {
            live: self.live.as_deref().map(at),
            cached: self.cached.as_ref().map(|cached| at(&cached.snapshot)),
        }
    }

    /// The best source that says something, whatever the route.
    pub(crate) fn source(&self) -> Source {
        let best = self.tables().next();
        best.map_or(Source::Compiled, |table| table.source())
    }

    pub(crate) fn decide(&self, route: &str, key: Option<&str>) -> Decision {
        decide::decide(self.table_of(route), route, &self.overrides, key)
    }

    pub(crate) fn explain(&self, route: &str, key: Option<&str>) -> Explanation {
        explain::explain(self.table_of(route), route, &self.overrides, key)
    }

    pub(crate) fn plan(&self, route: &str) -> Plan {
        decide::plan(self.table_of(route), route, &self.overrides)
    }

    pub(crate) fn warnings(&self, route: &str) -> Vec<Warning> {
        warnings::warnings(self.table_of(route), route, &self.overrides)
    }

    /// The routes about which this state says something else than that one did.
    pub(crate) fn differs_from(&self, other: &State) -> Vec<RouteKey> {
        let tables = self.tables().chain(other.tables());
        let routes: BTreeSet<&RouteKey> = tables.flat_map(|table| table.entries().keys()).collect();
        routes
            .into_iter()
            .filter(|route| self.differs_about(other, route.as_str()))
            .cloned()
            .collect()
    }

    /// Whether this state says something else about a route than that one did.
    pub(crate) fn differs_about(&self, other: &State, route: &str) -> bool {
        let (mine, theirs) = (self.table_of(route), other.table_of(route));
        mine.kind() != theirs.kind() || mine.get(route) != theirs.get(route)
    }

    /// Every route that any layer names, with what its environment variable says here if that is
    /// `1` or `0`.
    pub(crate) fn overridden(&self) -> BTreeMap<&RouteKey, bool> {
        let routes = self.tables().flat_map(|table| table.entries().keys());
        routes
            .filter_map(|route| Some((route, self.override_of(route.as_str())?)))
            .collect()
    }

    /// The environment variable that overrides a route here, if it is `1` or `0`.
    pub(crate) fn overriding(&self, route: &str) -> Option<&FlagName> {
        self.override_of(route)?;
        Some(&self.table_of(route).rollout(route)?.flag)
    }

    fn override_of(&self, route: &str) -> Option<bool> {
        let rollout = self.table_of(route).rollout(route)?;
        match self.overrides.flag(&rollout.flag) {
            FlagOverride::On => Some(true),
            FlagOverride::Off => Some(false),
            FlagOverride::Unset | FlagOverride::Ignored(_) => None,
        }
    }

    /// Within one of these, revisions can be compared; `None` without a snapshot.
    pub(crate) fn lineage(&self) -> Option<(&str, &str)> {
        let snapshot = self.snapshot()?;
        Some((snapshot.environment(), &snapshot.version().epoch))
    }

    /// The revision of the best snapshot there is; 0 without one.
    pub(crate) fn revision(&self) -> u64 {
        self.snapshot()
            .map_or(0, |snapshot| snapshot.version().revision)
    }

    /// What callers are to count apart about a route.
    pub(crate) fn watch(&self, route: &str) -> Option<&Watch> {
        Some(&self.table_of(route).rollout(route)?.watch)
    }

    /// The share of a route's reads that are also run on the other path: none where it is mandatory,
    /// since the old path may be gone.
    pub(crate) fn shadowed(&self, route: &str) -> Percent {
        let rollout = self.table_of(route).rollout(route);
        let rollout = rollout.filter(|rollout| rollout.stage != Stage::Mandatory);
        rollout.map_or(Percent::ZERO, |rollout| rollout.mirror.read)
    }

    /// Best first.
    fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        let live = self.live.as_ref().map(|live| live.table());
        let layers = live.into_iter().chain(&self.cached_table);
        let layers = layers.chain(&self.bundled_table);
        layers.chain(&self.compiled).chain(once(&self.empty))
    }

    /// The first layer that says something about a route decides it, also where what it says is a
    /// newer server's and means the old path.
    pub(crate) fn table_of(&self, route: &str) -> &Table {
        let knows = |table: &&Arc<Table>| table.get(route).is_some();
        self.tables().find(knows).unwrap_or(&self.empty)
    }
}

/// These tables and one more rollout, which requires nothing, as all that the code gives.
///
/// Tables at least halve in size from each to the next: one that is not larger than what is added is
/// merged with it. So a program that resolves thousands of routes one by one copies each of them a few
/// times (once per doubling) and not once per route, and looks into few tables.
fn added(tables: &[Arc<Table>], route: RouteKey, rollout: Rollout) -> Option<Vec<Arc<Table>>> {
    let mut tables = tables.to_vec();
    let mut entries = BTreeMap::from([(route, Entry::Known(Arc::new(rollout)))]);
    while let Some(small) = tables.pop_if(|last| last.entries().len() <= entries.len()) {
        entries.extend(small.entries().clone());
    }
    let (source, kind) = COMPILED;
    tables.push(Arc::new(Table::new(source, kind, entries).ok()?));
    Some(tables)
}

/// What a manifest says in an environment, with what is halted there. Of another environment it says
/// nothing; as long as a process does not know where it is, it is where its manifest is of.
fn bundled_table(
    manifest: Option<&Manifest>,
    environment: Option<&str>,
    halts: Option<&Halts>,
) -> Option<Arc<Table>> {
    let manifest = manifest?;
    let of = &*manifest.head().environment;
    if environment.is_some_and(|environment| environment != of) {
        return None;
    }
    let halts = halts.filter(|halts| &*halts.environment == of);
    Some(match halts {
        None => Arc::clone(manifest.table()),
        Some(halts) => with_halted(manifest.table(), |route| {
            halts.routes.contains(route).then_some(true)
        }),
    })
}

fn at(snapshot: &Snapshot) -> At<'_> {
    At {
        environment: snapshot.environment(),
        version: snapshot.version(),
    }
}

/// The table with other halts, where there is something to say; nothing about what its routes require
/// changes.
fn with_halted(table: &Arc<Table>, halted: impl Fn(&RouteKey) -> Option<bool>) -> Arc<Table> {
    let mut entries = table.entries().clone();
    for (route, entry) in &mut entries {
        if let Entry::Known(rollout) = entry
            && let Some(halted) = halted(route)
            && rollout.halted != halted
        {
            Arc::make_mut(rollout).halted = halted;
        }
    }
    let halted = Table::new(table.source(), table.kind(), entries);
    halted.map_or_else(|_| Arc::clone(table), Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{Path, Reason};

    fn snapshot(at: &str, routes: &[&str], source: Source) -> Snapshot {
        let rollout =
            |route: &str| Rollout::at(route.to_uppercase().parse().unwrap(), Stage::OptIn);
        let rollouts = routes
            .iter()
            .map(|route| (route.parse().unwrap(), rollout(route)))
            .collect();
        let version = at.parse().unwrap();
        let made = crate::testing::snapshot(EnvironmentKind::Hosted, &version, &rollouts).unwrap();
        Snapshot::from_json(&made.to_json(), source).unwrap()
    }

    fn start(cached: Option<&str>, halts: &str) -> State {
        start_with_halts_of("test", cached, halts)
    }

    fn start_with_halts_of(environment: &str, cached: Option<&str>, halts: &str) -> State {
        let found = Found {
            snapshot: cached.map(|at| snapshot(at, &["a", "b"], Source::Cache)),
            taken: None,
            halts: Some(Halts {
                environment: environment.into(),
                version: halts.parse().unwrap(),
                routes: ["a", "c"].map(|route| route.parse().unwrap()).into(),
            }),
        };
        let mut state = State::new(found, None, Arc::default());
        for route in ["b", "c", "d"] {
            let rollout = Rollout::at(route.to_uppercase().parse().unwrap(), Stage::OptOut);
            state = state
                .with_compiled(route.parse().unwrap(), rollout)
                .unwrap();
        }
        state
    }

    fn says(state: &State, route: &str) -> (Reason, Option<Source>) {
        let decision = state.decide(route, None);
        (decision.reason, decision.source)
    }

    #[test]
    fn the_best_source_that_knows_a_route_decides_it() {
        let state = start(Some("e1.7"), "e1.3");
        let state = state.with_live(Arc::new(snapshot("e1.8", &["a"], Source::Live)));
        assert_eq!(says(&state, "a"), (Reason::DefaultOn, Some(Source::Live)));
        assert_eq!(says(&state, "b"), (Reason::DefaultOn, Some(Source::Cache)));
        assert_eq!(
            says(&state, "d"),
            (Reason::DefaultOn, Some(Source::Compiled))
        );
        assert_eq!(says(&state, "e"), (Reason::UnknownRoute, None));
    }

    #[test]
    fn halts_overlay_what_is_older_than_they_are() {
        let newer = start(Some("e1.7"), "e1.8");
        assert_eq!(says(&newer, "a"), (Reason::Halted, Some(Source::Cache)));
        assert_eq!(newer.decide("b", None).path, Path::New);
        for older in [start(Some("e1.7"), "e1.6"), start(Some("e1.7"), "e2.9")] {
            assert_eq!(says(&older, "a"), (Reason::DefaultOn, Some(Source::Cache)));
        }
        for state in [newer, start(None, "e1.1")] {
            assert_eq!(says(&state, "c"), (Reason::Halted, Some(Source::Compiled)));
            assert_eq!(
                says(&state, "d"),
                (Reason::DefaultOn, Some(Source::Compiled))
            );
        }
    }

    #[test]
    fn halts_of_another_environment_than_the_snapshots_have_no_say() {
        let state = start_with_halts_of("other", Some("e1.7"), "e1.8");
        assert_eq!(says(&state, "a"), (Reason::DefaultOn, Some(Source::Cache)));
        assert_eq!(
            says(&state, "c"),
            (Reason::DefaultOn, Some(Source::Compiled))
        );
    }

    #[test]
    fn the_disk_is_void_once_the_server_is_of_another_environment() {
        for cached in [Some("e1.7"), None] {
            let state = start_with_halts_of("test", cached, "e1.8");
            let live = snapshot("e1.1", &["x"], Source::Live);
            assert_eq!(state.voided_by(&live), None);
            let json = live.to_json().replace("\"test\"", "\"other\"");
            let live = Arc::new(Snapshot::from_json(&json, Source::Live).unwrap());
            assert_eq!(state.voided_by(&live), Some("test"));
            let before = state;
            let state = before.with_live(Arc::clone(&live));
            assert_eq!(state.voided_by(&live), None);
            assert_eq!(says(&state, "a"), (Reason::UnknownRoute, None));
            for route in ["b", "c"] {
                assert_eq!(
                    says(&state, route),
                    (Reason::DefaultOn, Some(Source::Compiled))
                );
            }
            let changed = state.differs_from(&before);
            assert!(changed.contains(&"c".parse().unwrap()), "{changed:?}");
        }
    }

    #[test]
    fn thousands_of_routes_in_the_code_are_few_tables_each_copied_seldom() {
        let mut state = State::new(Found::default(), None, Arc::default());
        let mut copied = 0;
        for n in 0..5_000 {
            let route: RouteKey = format!("r{n}").parse().unwrap();
            let flag = format!("R{n}").parse().unwrap();
            let rollout = Rollout::at(flag, Stage::OptOut);
            let next = state.with_compiled(route.clone(), rollout.clone());
            state = next.unwrap();
            assert!(state.with_compiled(route, rollout).is_none());
            copied += state.compiled.last().unwrap().entries().len();
            assert!(state.compiled.len() <= 13);
        }
        // 25 million if every route copied all before it.
        assert!(copied <= 5_000 * 13, "{copied}");
        for n in 0..5_000 {
            let at = says(&state, &format!("r{n}"));
            assert_eq!(at, (Reason::DefaultOn, Some(Source::Compiled)));
        }
        assert_eq!(says(&state, "r5000"), (Reason::UnknownRoute, None));
    }

    #[test]
    fn a_difference_names_its_routes() {
        let before =
            start(None, "e1.1").with_live(Arc::new(snapshot("e1.1", &["a"], Source::Live)));
        let after = before.with_live(Arc::new(snapshot("e1.2", &["a", "b"], Source::Live)));
        assert_eq!(after.differs_from(&before), ["b".parse().unwrap()]);
        assert!(after.differs_from(&after).is_empty());
    }
}
