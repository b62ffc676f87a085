//! What all clones of a client, its handles and its thread share.
//!
//! A fork copies locks that threads hold which the child does not have. So everything with a lock
//! that matters is part of a [`Life`], of which every process has its own; the first call in a child
//! that needs one begins it, from the last state that was published.

use std::iter::empty;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use crate::breaker::Breaker;
use crate::cache::{Cache, Found};
use crate::changes::{Change, Subscribers};
use crate::crew::Crew;
use crate::data_routes::{self, DataRoutes};
use crate::instance::Identity;
use crate::keeper::Keeper;
use crate::ledger::Ledger;
use crate::overrides::Overrides;
use crate::published::Published;
use crate::reporter;
use crate::rollout::{Rollout, RouteKey};
use crate::settings::Settings;
use crate::slot::Slot;
use crate::slots::Slots;
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::status::{Health, Mode};
use crate::store::Pair;
use crate::sync;
use crate::told::{warn_of_another_stage, warn_of_overrides, warn_of_writes};

/// How long an ending client waits for its threads. A name server or a connection in the making is
/// not interrupted; then the thread ends by itself soon after.
const PATIENCE_AT_END: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Engine {
    settings: Settings,
    subscribers: Subscribers,
    is_closed: AtomicBool,
    /// The last process for which a call has had a life begun.
    awakened: AtomicU32,
    has_breakers: AtomicBool,
    first: Life,
}

/// One process's share.
#[derive(Debug)]
pub(crate) struct Life {
    process: u32,
    slots: Slots,
    state: Published<State>,
    health: Mutex<Health>,
    heard: Condvar,
    cache: Mutex<Option<Cache>>,
    thread: Mutex<Option<sync::Thread>>,
    /// What is reported and what is not yet; `None` where nothing is.
    ledger: Option<Mutex<Ledger>>,
    reporter: Mutex<Option<reporter::Thread>>,
    data: DataRoutes,
    /// Who this process is; found out when it is first asked for.
    identity: OnceLock<Arc<Identity>>,
    /// Runs shadow reads.
    shadows: Crew,
    /// Copies writes: apart, so that shadow reads which hang hold up no copy.
    copies: Crew,
    next: OnceLock<Box<Life>>,
}

impl Engine {
    /// With what is on disk, and without a thread as yet.
    pub(crate) fn new(settings: Settings, overrides: Arc<Overrides>) -> Engine {
        let mut cache = settings.open_cache();
        let found = cache.as_mut().map_or_else(Found::default, Cache::load);
        let manifest = settings.manifest.clone().and_then(Result::ok);
        let state = State::new(found, manifest, overrides);
        settings.tell_of_manifest(&state);
        let first = Life::new(&settings, Arc::new(state), cache, empty());
        Engine {
            settings,
            subscribers: Subscribers::default(),
            is_closed: AtomicBool::new(false),
            awakened: AtomicU32::new(first.process),
            has_breakers: AtomicBool::new(false),
            first,
        }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn subscribers(&self) -> &Subscribers {
        &self.subscribers
    }

    /// Every route that this process or, before a fork, its parent has asked for.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.lives().flat_map(|life| life.slots.iter())
    }

    /// The present state. Never waits.
    pub(crate) fn state(&self) -> Arc<State> {
        self.last_life().state.get()
    }

    /// Reads the present state without counting a reference. Never waits.
    pub(crate) fn with_state<R>(&self, f: impl FnOnce(&State) -> R) -> R {
        self.last_life().state.with(|state| f(state))
    }

    /// The route's slot, its word written, and the stage and the breaker that the code gives it noted.
    pub(crate) fn slot(
        self: &Arc<Self>,
        key: &str,
        compiled: Option<&Rollout>,
        breaker: Option<&Breaker>,
    ) -> Arc<Slot> {
        let life = self.life();
        let inherited = self.lives().find_map(|life| life.slots.find(key));
        let (slot, is_new) = match inherited {
            Some(slot) => (Arc::clone(slot), false),
            None => life.slots.find_or_add(key),
        };
        let route = key.parse::<RouteKey>();
        if is_new && let Err(error) = &route {
            tracing::warn!(route = key, "route takes the old path: {error}");
        }
        if let Some(breaker) = breaker {
            self.set_breaker(&slot, breaker);
        }
        let mut writer = life.state.writer();
        let mut state = writer.get();
        if let (Ok(route), Some(rollout)) = (route, compiled) {
            match state.with_compiled(route, rollout.clone()) {
                Some(next) => {
                    state = Arc::new(next);
                    writer.set(Arc::clone(&state));
                    life.data.apply(&state);
                }
                None => warn_of_another_stage(&state, key, rollout),
            }
        }
        if let Some(mut ledger) = self.ledger() {
            ledger.open(&slot, &state);
        }
        slot.publish(state.plan(key));
        slot.set_shadowed(state.shadowed(key));
        drop(writer);
        warn_of_overrides(&state, key);
        slot
    }

    /// This process's share of a data route, begun if need be.
    pub(crate) fn keeper(
        self: &Arc<Self>,
        (slot, route): (&Arc<Slot>, &RouteKey),
        pair: &Arc<dyn Pair>,
    ) -> Arc<Keeper> {
        let life = self.life();
        if let Some(keeper) = life.data.find(slot.key()) {
            return keeper;
        }
        let beginning = life.data.beginning();
        if let Some(keeper) = life.data.find(slot.key()) {
            return keeper;
        }
        let opened = data_routes::open_spool(&self.settings, route, self.identity().id());
        // From here on no state is applied.
        let writer = life.state.writer();
        let keeper = Arc::new(Keeper::new(
            (Arc::clone(slot), route.clone()),
            Arc::clone(pair),
            writer.get(),
            opened,
            Arc::clone(life.data.around()),
        ));
        life.data.add(Arc::clone(&keeper));
        warn_of_writes(&writer.get(), slot);
        drop((writer, beginning));
        if let Err(error) = self.start() {
            tracing::warn!(%error, "the threads that look after data routes cannot start");
        }
        keeper
    }

    /// The data routes of this process.
    pub(crate) fn keepers(&self) -> Vec<Arc<Keeper>> {
        self.last_life().data.all()
    }

    fn set_breaker(self: &Arc<Self>, slot: &Slot, breaker: &Breaker) {
        if slot.fuse_or_set(breaker).rules() != breaker {
            tracing::warn!(
                route = slot.key(),
                "the code gives this route two breakers; the first counts"
            );
        }
        self.has_breakers.store(true, Ordering::Relaxed);
        if let Err(error) = self.start() {
            tracing::warn!(%error, "the thread that tends the breakers cannot start");
        }
    }

    /// Whether any route has a breaker.
    pub(crate) fn has_breakers(&self) -> bool {
        self.has_breakers.load(Ordering::Relaxed)
    }

    /// Writes a route's word again.
    pub(crate) fn publish(&self, slot: &Slot) {
        let writer = self.last_life().state.writer();
        slot.publish(writer.get().plan(slot.key()));
    }

    /// Decides by this snapshot from now on, and tells whoever wants to know.
    pub(crate) fn apply(&self, snapshot: Arc<Snapshot>) {
        let life = self.last_life();
        let mut writer = life.state.writer();
        let before = writer.get();
        let state = Arc::new(before.with_live(Arc::clone(&snapshot)));
        if let Some(mut ledger) = self.ledger() {
            ledger.change(&before, &state);
        }
        writer.set(Arc::clone(&state));
        life.data.apply(&state);
        for slot in self.slots() {
            slot.publish(state.plan(slot.key()));
            slot.set_shadowed(state.shadowed(slot.key()));
        }
        drop(writer);
        // Whoever subscribes from here on sees the new state, and is not told that it is new.
        let audience = self.subscribers.audience();
        life.health().applied();
        life.heard.notify_all();
        for slot in self.slots() {
            warn_of_overrides(&state, slot.key());
        }
        for keeper in self.keepers() {
            warn_of_writes(&state, keeper.slot());
        }
        if before.foreign_to_manifest() != state.foreign_to_manifest() {
            self.settings.tell_of_manifest(&state);
        }
        audience.tell(|| Change {
            environment: snapshot.environment().to_owned(),
            version: snapshot.version().clone(),
            routes: state.differs_from(&before),
        });
    }

    /// Changes whether a slot is forced, and its word with it.
    pub(crate) fn change_force(self: &Arc<Self>, slot: &Slot, change: fn(&Slot)) {
        let writer = self.life().state.writer();
        change(slot);
        slot.publish(writer.get().plan(slot.key()));
    }

    /// This process's life, begun if need be: then the thread starts too.
    pub(crate) fn life(self: &Arc<Self>) -> &Life {
        let process = std::process::id();
        let last = self.last_life();
        if last.process == process {
            return last;
        }
        let life = last.next.get_or_init(|| {
            let mut cache = self.settings.open_cache();
            if let Some(cache) = &mut cache {
                // The state is at hand; this is for what the cache knows about its files.
                cache.load();
            }
            Box::new(Life::new(
                &self.settings,
                last.state.get(),
                cache,
                self.slots(),
            ))
        });
        if let Err(error) = self.start() {
            tracing::warn!(%error, "the thread that follows the server cannot start after a fork");
        }
        life
    }

    /// Has this process's life begun beside the caller, if need be: that reads files, which a call must
    /// not wait for.
    #[cold]
    pub(crate) fn awaken(self: &Arc<Self>) {
        let process = std::process::id();
        if self.settings.server.is_none() && !self.has_breakers()
            || self.last_life().process == process
            || self.awakened.swap(process, Ordering::Relaxed) == process
        {
            return;
        }
        let engine = Arc::clone(self);
        let begun = thread::Builder::new()
            .name("switchover-fork".to_owned())
            .spawn(move || {
                engine.life();
            });
        if begun.is_err() {
            // The next call that comes by here tries again.
            self.awakened.store(0, Ordering::Relaxed);
        }
    }

    /// Starts what does not run yet of the threads that are wanted: one follows the server where there
    /// is one; the other reports to it, and tends breakers where there are any.
    pub(crate) fn start(self: &Arc<Self>) -> std::io::Result<()> {
        let life = self.last_life();
        if self.is_closed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut thread = lock(&life.thread);
        if let Some(server) = &self.settings.server
            && thread.is_none()
        {
            *thread = Some(sync::start(Arc::clone(self), server)?);
        }
        drop(thread);
        let mut reporter = lock(&life.reporter);
        if reporter.is_none() && (life.ledger.is_some() || self.has_breakers()) {
            *reporter = Some(reporter::start(Arc::clone(self))?);
        }
        drop(reporter);
        match life.data.is_empty() {
            true => Ok(()),
            false => life.data.start(self),
        }
    }

    /// Ends the threads, within a second. What was decided by stays what is decided by.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        let life = self.last_life();
        // In a forked child that never began a life the threads are the parent's.
        if life.process == std::process::id() {
            let until = Instant::now() + PATIENCE_AT_END;
            life.data.begin_to_end();
            life.shadows.close();
            // What writers were told is done is copied, if that does not take too long.
            life.copies.rest(Instant::now() + PATIENCE_AT_END / 2);
            life.copies.close();
            let reporter = lock(&life.reporter).take().map(reporter::Thread::end);
            let thread = lock(&life.thread).take().map(sync::Thread::end);
            life.data.end(until);
            if let Some(reporter) = reporter {
                reporter.wait(until);
            }
            if let Some(thread) = thread {
                thread.wait(until);
            }
            life.health().mode = Mode::Stopped;
            life.heard.notify_all();
        }
    }

    /// Whether the client has been shut down.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// Who this process is, as it reports itself.
    pub(crate) fn identity(&self) -> Arc<Identity> {
        let identity = &self.last_life().identity;
        Arc::clone(identity.get_or_init(|| Arc::new(Identity::new(&self.settings.labels))))
    }

    /// What this process reports and what not yet; `None` where it reports nothing.
    pub(crate) fn ledger(&self) -> Option<MutexGuard<'_, Ledger>> {
        self.last_life().ledger.as_ref().map(lock)
    }

    /// Who runs shadow reads; `None` in a forked child that has not begun its life.
    pub(crate) fn shadows(&self) -> Option<&Crew> {
        Some(&self.own_life()?.shadows)
    }

    /// Who copies writes; `None` in a forked child that has not begun its life.
    pub(crate) fn copies(&self) -> Option<&Crew> {
        Some(&self.own_life()?.copies)
    }

    /// The last life, if it is this process's.
    fn own_life(&self) -> Option<&Life> {
        Some(self.last_life()).filter(|life| life.process == std::process::id())
    }

    pub(crate) fn last_life(&self) -> &Life {
        let mut life = &self.first;
        while let Some(next) = life.next.get() {
            life = next;
        }
        life
    }

    fn lives(&self) -> impl Iterator<Item = &Life> {
        std::iter::successors(Some(&self.first), |life| {
            life.next.get().map(|next| &**next)
        })
    }
}

impl Life {
    fn new<'a>(
        settings: &Settings,
        state: Arc<State>,
        cache: Option<Cache>,
        slots: impl Iterator<Item = &'a Arc<Slot>>,
    ) -> Life {
        let reports = settings.server.is_some() && settings.reports;
        Life {
            ledger: reports.then(|| Mutex::new(Ledger::of(slots, &state))),
            reporter: Mutex::new(None),
            shadows: Crew::new("shadow", settings.mirroring.caps()),
            copies: Crew::new("copy", settings.mirroring.caps()),
            process: std::process::id(),
            slots: Slots::default(),
            health: Mutex::new(Health::new(
                settings.server.is_some(),
                state.live().is_some(),
            )),
            state: Published::new(state),
            heard: Condvar::new(),
            cache: Mutex::new(cache),
            thread: Mutex::new(None),
            data: DataRoutes::new(settings.server.is_some()),
            identity: OnceLock::new(),
            next: OnceLock::new(),
        }
    }

    pub(crate) fn health(&self) -> MutexGuard<'_, Health> {
        lock(&self.health)
    }

    /// Waits until the server's state is in use; `true` where there is no server to wait for.
    pub(crate) fn wait_ready(&self, timeout: Duration) -> bool {
        let waits = |health: &mut Health| !health.is_ready && health.mode.is_running();
        let health = self.health();
        let waited = self.heard.wait_timeout_while(health, timeout, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_ready
    }

    /// The disk cache; whoever writes to it holds it.
    pub(crate) fn cache(&self) -> MutexGuard<'_, Option<Cache>> {
        lock(&self.cache)
    }

    /// Has what was counted sent; the receiver hears whether the server has it. `None` where there is
    /// nothing that reports.
    pub(crate) fn flush_counts(&self) -> Option<Receiver<bool>> {
        Some(lock(&self.reporter).as_ref()?.flush())
    }

    /// Waits until nobody writes to the disk cache.
    pub(crate) fn wait_for_cache(&self, timeout: Duration) -> bool {
        let began = Instant::now();
        while matches!(self.cache.try_lock(), Err(TryLockError::WouldBlock)) {
            if began.elapsed() >= timeout {
                return false;
            }
            thread::sleep(Duration::from_millis(1).min(timeout));
        }
        true
    }
}

/// What a thread that panicked has left behind is whole: every change under these locks is one
/// assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
