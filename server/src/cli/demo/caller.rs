//! An application with the SDK in it that calls the route all the time.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use switchover::{Client, Overrides, Path, Subscription};

use crate::cli::error::CliError;

/// How long a change may take to arrive before the demo has failed.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause between two calls.
const PAUSE: Duration = Duration::from_micros(200);
/// So many calls show that an effect lasts.
const MORE_CALLS: u64 = 50;
/// The calls go round these keys.
const PROJECTS: u64 = 1_000;

/// An application.
pub(super) struct Caller {
    pub(super) name: &'static str,
    route: switchover::Route,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    client: Client,
    _subscription: Subscription,
}

/// What the caller itself has seen.
struct Shared {
    stop: AtomicBool,
    seen: Mutex<Seen>,
    news: Condvar,
}

#[derive(Clone)]
struct Seen {
    path: Option<Path>,
    /// When the first call took this path.
    since: Instant,
    version: String,
    /// When the SDK began to decide by this version.
    version_since: Instant,
    calls: Calls,
}

/// How many calls took which path.
#[derive(Clone, Copy, Default)]
pub(super) struct Calls {
    pub(super) old: u64,
    pub(super) new: u64,
}

impl Caller {
    /// Starts an application. `variables` are the environment variables that it would have.
    pub(super) fn start(
        name: &'static str,
        (url, sdk_key): (&str, &str),
        route: &str,
        variables: &[(&str, &str)],
    ) -> Result<Caller, CliError> {
        let client = Client::builder()
            .server(url, sdk_key)
            .overrides(variables.iter().copied().collect::<Overrides>())
            .start()
            .map_err(|error| CliError::new(format!("the SDK did not start: {error}")))?;
        let shared = Arc::new(Shared::new());
        let subscription = {
            let shared = Arc::clone(&shared);
            client.on_change(move |change| shared.applied(change.version.to_string()))
        };
        if !client.wait_ready(PATIENCE) {
            let why = client.status().last_error.unwrap_or_default();
            return Err(CliError::new(format!(
                "the SDK of `{name}` did not reach the server within {} s: {why}",
                PATIENCE.as_secs()
            )));
        }
        let route = client.route(route);
        let thread = {
            let (route, shared) = (route.clone(), Arc::clone(&shared));
            thread::Builder::new()
                .name(format!("demo-{name}"))
                .spawn(move || call(&route, &shared))
                .map_err(|error| CliError::new(format!("cannot start a thread: {error}")))?
        };
        Ok(Caller {
            name,
            route,
            shared,
            thread: Some(thread),
            client,
            _subscription: subscription,
        })
    }

    /// When the first call took this path, once more calls have taken it; an error when none has in
    /// time.
    pub(super) fn takes(&self, path: Path) -> Result<Instant, CliError> {
        let first = self
            .shared
            .wait(|seen| seen.path == Some(path))
            .ok_or_else(|| self.astray("take", path))?;
        match self.after_more_calls(&first) {
            Some(later) if later.since == first.since => Ok(first.since),
            _ => Err(self.astray("stay on", path)),
        }
    }

    /// When the SDK began to decide by a version, once more calls have taken this path as those
    /// before did.
    pub(super) fn keeps(&self, path: Path, version: &str) -> Result<Instant, CliError> {
        let applied = self
            .shared
            .wait(|seen| seen.version == version)
            .ok_or_else(|| {
                CliError::new(format!("`{}` did not get version {version}", self.name))
            })?;
        match self.after_more_calls(&applied) {
            Some(later) if later.path == Some(path) && later.since <= applied.version_since => {
                Ok(applied.version_since)
            }
            _ => Err(self.astray("stay on", path)),
        }
    }

    fn after_more_calls(&self, seen: &Seen) -> Option<Seen> {
        let enough = seen.calls.old + seen.calls.new + MORE_CALLS;
        self.shared
            .wait(|seen| seen.calls.old + seen.calls.new >= enough)
    }

    fn astray(&self, should: &str, path: Path) -> CliError {
        CliError::new(format!(
            "`{}` should {should} the {} path, and does not: {:?}",
            self.name,
            name_of(path),
            self.route.decide(1_u64)
        ))
    }

    /// What the SDK has to say about the way it was set up.
    pub(super) fn warnings(&self) -> Vec<String> {
        let explained = self.route.explain(1_u64);
        explained.warnings.iter().map(ToString::to_string).collect()
    }

    pub(super) fn calls(&self) -> Calls {
        self.shared.seen().calls
    }

    /// How many calls failed, by the SDK's own count.
    pub(super) fn failures(&self) -> u64 {
        let stats = self.route.stats();
        stats.old.errors + stats.new.errors
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that broke has nothing to finish.
            let _ = thread.join();
        }
        self.client.shutdown();
    }
}

impl Shared {
    fn new() -> Shared {
        let now = Instant::now();
        Shared {
            stop: AtomicBool::new(false),
            seen: Mutex::new(Seen {
                path: None,
                since: now,
                version: String::new(),
                version_since: now,
                calls: Calls::default(),
            }),
            news: Condvar::new(),
        }
    }

    fn called(&self, path: Path) {
        let mut seen = self.seen();
        match path {
            Path::Old => seen.calls.old += 1,
            Path::New => seen.calls.new += 1,
        }
        if seen.path != Some(path) {
            seen.path = Some(path);
            seen.since = Instant::now();
        }
        drop(seen);
        self.news.notify_all();
    }

    fn applied(&self, version: String) {
        let mut seen = self.seen();
        seen.version = version;
        seen.version_since = Instant::now();
        drop(seen);
        self.news.notify_all();
    }

    fn wait(&self, is_so: impl Fn(&Seen) -> bool) -> Option<Seen> {
        let (seen, timeout) = self
            .news
            .wait_timeout_while(self.seen(), PATIENCE, |seen| !is_so(seen))
            .unwrap_or_else(PoisonError::into_inner);
        (!timeout.timed_out()).then(|| seen.clone())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In words.
pub(super) const fn name_of(path: Path) -> &'static str {
    match path {
        Path::Old => "old",
        Path::New => "new",
    }
}

fn call(route: &switchover::Route, shared: &Shared) {
    let mut project = 0;
    while !shared.stop.load(Ordering::Relaxed) {
        project = (project + 1) % PROJECTS;
        let taken: Result<Path, Infallible> = route
            .call(project)
            .old(|| Ok(Path::Old))
            .new(|| Ok(Path::New))
            .run();
        match taken {
            Ok(path) => shared.called(path),
            Err(never) => match never {},
        }
        thread::sleep(PAUSE);
    }
}
