//! An application with the SDK in it that calls the route all the time.

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
/// The calls go round these keys: a round of them shows exactly which share takes the new path.
const PROJECTS: u64 = 1_000;
/// While the new path is broken, one call in so many fails on it.
const FAILS_EVERY: u64 = 3;

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
    is_broken: AtomicBool,
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
    /// The last whole round of keys.
    round: Calls,
    /// What had been called when the present round began.
    before_round: Calls,
    failures: u64,
}

/// How many calls took which path.
#[derive(Clone, Copy, Debug, Default)]
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

    /// Waits until a whole round of keys takes the new path for about this share of them; an error
    /// when none does in time.
    pub(super) fn shares(&self, percent: u64, patience: Duration) -> Result<(), CliError> {
        let is_so = |seen: &Seen| {
            let new = seen.round.new * 100 / PROJECTS;
            seen.round.old + seen.round.new == PROJECTS && new.abs_diff(percent) <= 4
        };
        match self.shared.wait_for(patience, is_so) {
            Some(_) => Ok(()),
            None => Err(CliError::new(format!(
                "{percent} % of the calls of `{}` should take the new path, and do not: {:?}",
                self.name,
                self.shared.seen().round
            ))),
        }
    }

    /// Breaks the new path, or mends it.
    pub(super) fn break_new_path(&self, is_broken: bool) {
        self.shared.is_broken.store(is_broken, Ordering::Relaxed);
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

    /// How many calls failed.
    pub(super) fn failures(&self) -> u64 {
        self.shared.seen().failures
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
            is_broken: AtomicBool::new(false),
            seen: Mutex::new(Seen {
                path: None,
                since: now,
                version: String::new(),
                version_since: now,
                calls: Calls::default(),
                round: Calls::default(),
                before_round: Calls::default(),
                failures: 0,
            }),
            news: Condvar::new(),
        }
    }

    fn called(&self, path: Path, has_failed: bool) {
        let mut seen = self.seen();
        seen.failures += u64::from(has_failed);
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

    /// All keys have been called once more.
    fn went_round(&self) {
        let mut seen = self.seen();
        seen.round = Calls {
            old: seen.calls.old - seen.before_round.old,
            new: seen.calls.new - seen.before_round.new,
        };
        seen.before_round = seen.calls;
        drop(seen);
        self.news.notify_all();
    }

    fn wait(&self, is_so: impl Fn(&Seen) -> bool) -> Option<Seen> {
        self.wait_for(PATIENCE, is_so)
    }

    fn wait_for(&self, patience: Duration, is_so: impl Fn(&Seen) -> bool) -> Option<Seen> {
        let (seen, timeout) = self
            .news
            .wait_timeout_while(self.seen(), patience, |seen| !is_so(seen))
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
        let call = route.call(project);
        let path = call.path();
        let answer = call
            .old(|| Ok(()))
            .new(|| {
                let is_broken = shared.is_broken.load(Ordering::Relaxed);
                match is_broken && project.is_multiple_of(FAILS_EVERY) {
                    true => Err("the new path is broken"),
                    false => Ok(()),
                }
            })
            .run();
        shared.called(path, answer.is_err());
        if project == 0 {
            shared.went_round();
        }
        thread::sleep(PAUSE);
    }
}
