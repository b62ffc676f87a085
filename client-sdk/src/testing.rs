//! For tests of code that asks routes: force a path, run a body on both, or set routes in a client
//! of your own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use crate::client::Client;
use crate::decide::Path;
use crate::engine::Engine;
use crate::instance::Labels;
use crate::overrides::Overrides;
use crate::pace::Pace;
use crate::rollout::{FlagName, Rollout, RouteKey, Setting};
use crate::route::Route;
use crate::settings::{Mirroring, Settings};
use crate::slot::Slot;
use crate::snapshot::{ContentHash, Snapshot, SnapshotError, Version, write_snapshot};
use crate::stage::{EnvironmentKind, Stage};
use crate::table::Source;

thread_local! {
    /// What this thread forces, oldest first.
    static FORCED: RefCell<Vec<(Arc<Slot>, Path)>> = const { RefCell::new(Vec::new()) };
}

/// Until the guard is dropped, calls of this route *on this thread* take this path; other threads
/// do not notice. The innermost of several guards counts.
///
/// [`Route::decide`] reports it like the environment variable: `env_on` or `env_off`.
pub fn force(route: &Route, path: Path) -> Forced {
    let slot = Arc::clone(route.slot());
    // A thread that is taking its locals down cannot force any more.
    let _ = FORCED.try_with(|forced| forced.borrow_mut().push((Arc::clone(&slot), path)));
    route.engine().change_force(&slot, Slot::add_force);
    Forced {
        engine: Arc::clone(route.engine()),
        slot,
        path,
        _this_thread_only: PhantomData,
    }
}

/// Runs a test's body twice: with the route on the old path, then on the new one.
pub fn both_paths(route: &Route, mut body: impl FnMut(Path)) {
    for path in [Path::Old, Path::New] {
        let _forced = force(route, path);
        body(path);
    }
}

/// Keeps a path forced. Bound to its thread.
#[derive(Debug)]
#[must_use = "dropping it ends the force"]
pub struct Forced {
    engine: Arc<Engine>,
    slot: Arc<Slot>,
    path: Path,
    _this_thread_only: PhantomData<*const ()>,
}

impl Drop for Forced {
    fn drop(&mut self) {
        let _ = FORCED.try_with(|forced| {
            let mut forced = forced.borrow_mut();
            let is_mine = |(slot, path): &(Arc<Slot>, Path)| {
                Arc::ptr_eq(slot, &self.slot) && *path == self.path
            };
            if let Some(place) = forced.iter().rposition(is_mine) {
                forced.remove(place);
            }
        });
        self.engine.change_force(&self.slot, Slot::remove_force);
    }
}

pub(crate) fn forced_on_this_thread(slot: &Arc<Slot>) -> Option<Path> {
    let find = |forced: &RefCell<Vec<(Arc<Slot>, Path)>>| {
        let forced = forced.try_borrow().ok()?;
        let last = forced.iter().rfind(|(other, _)| Arc::ptr_eq(other, slot));
        last.map(|(_, path)| *path)
    };
    FORCED.try_with(find).ok().flatten()
}

/// A client without a server, apart from all others, that reads no environment variables.
#[must_use]
pub fn client() -> TestClient {
    TestClient::new(EnvironmentKind::Hosted, Overrides::none())
}

/// A [`Client`] whose routes are set by the test.
#[derive(Debug)]
pub struct TestClient {
    client: Client,
    kind: EnvironmentKind,
    routes: Mutex<(u64, BTreeMap<RouteKey, Rollout>)>,
}

impl TestClient {
    /// A client of an environment of this kind, with these environment variables.
    #[must_use]
    pub fn new(kind: EnvironmentKind, overrides: Overrides) -> TestClient {
        let settings = Settings {
            server: None,
            manifest: None,
            cache_directory: None,
            cache_name: None,
            spool_directory: None,
            cache_after: std::time::Duration::MAX,
            poll_interval: std::time::Duration::MAX,
            is_polling_only: false,
            labels: Labels {
                name: None,
                application: "test".to_owned(),
                version: "test".to_owned(),
            },
            reports: false,
            pace: Pace::default(),
            mirroring: Mirroring::default(),
        };
        TestClient {
            client: Client::of(Arc::new(Engine::new(settings, Arc::new(overrides)))),
            kind,
            routes: Mutex::default(),
        }
    }

    /// Puts every key of a route on this path, on all threads.
    ///
    /// # Panics
    /// When the key is no route key: a test should hear of that.
    pub fn set(&self, route: &str, path: Path) {
        let setting = match path {
            Path::Old => Setting::Off,
            Path::New => Setting::On,
        };
        self.set_setting(route, setting);
    }

    /// Gives a route that is in opt-in this setting, such as a ramp.
    ///
    /// # Panics
    /// When the key is no route key: a test should hear of that.
    pub fn set_setting(&self, route: &str, setting: Setting) {
        let flag: Result<FlagName, _> = route.to_ascii_uppercase().parse();
        let mut rollout = Rollout::at(valid(route, flag), Stage::OptIn);
        rollout.setting = setting;
        self.set_rollout(route, rollout);
    }

    /// Publishes a rollout as a server would.
    ///
    /// # Panics
    /// When the key is no route key, or requirements form a cycle: a test should hear of that.
    pub fn set_rollout(&self, route: &str, rollout: Rollout) {
        self.set_rollouts([(valid(route, route.parse()), rollout)]);
    }

    /// Publishes several rollouts at once, beside those there are.
    ///
    /// # Panics
    /// When requirements form a cycle: a test should hear of that.
    pub fn set_rollouts(&self, rollouts: impl IntoIterator<Item = (RouteKey, Rollout)>) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.0 += 1;
        routes.1.extend(rollouts);
        let version = Version {
            epoch: "test".into(),
            revision: routes.0,
        };
        let made = snapshot(self.kind, &version, &routes.1);
        self.client
            .engine()
            .apply(Arc::new(valid("the snapshot", made)));
    }
}

impl Deref for TestClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

#[expect(
    clippy::panic,
    reason = "for tests only, where a mistake must be heard"
)]
fn valid<T, E: std::fmt::Display>(what: &str, result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// A snapshot of these rollouts, by way of its wire form.
pub(crate) fn snapshot(
    kind: EnvironmentKind,
    version: &Version,
    rollouts: &BTreeMap<RouteKey, Rollout>,
) -> Result<Snapshot, SnapshotError> {
    let entries = rollouts
        .iter()
        .map(|(route, rollout)| Ok((route, serde_json::to_string(rollout)?)))
        .collect::<Result<Vec<_>, serde_json::Error>>()
        .map_err(SnapshotError::Malformed)?;
    let entries = || {
        entries
            .iter()
            .map(|(route, entry)| (*route, entry.as_str()))
    };
    let hash = entries().fold(ContentHash::default(), |hash, (route, entry)| {
        hash.with(route, entry)
    });
    let text = write_snapshot("test", kind, version, hash, entries());
    Snapshot::from_json(&text, Source::Live)
}
