//! Where every write of a data route begins: which store is a key's authority now, and whether the key
//! is about to move.
//!
//! The state that decides and the [`Authority`] that counts change together, under one lock, when a
//! snapshot is applied. So whatever began before it carries the generation before it.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::authority::{Authority, Form, Shift, Token};
use crate::bucket::{Seed, bucket};
use crate::decide::{Path, Reason, decide};
use crate::overrides::Overrides;
use crate::rollout::{Percent, Rollout};
use crate::state::State;
use crate::table::{Entry, Table};

/// How long a write waits for its key to have moved, and after an unplanned shift for its own store's fence.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// How long it waits for what concerns the other store, which may be what the rollout was halted for.
const MOMENT: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(crate) struct Gate {
    route: Box<str>,
    inner: Mutex<Inner>,
    /// A snapshot was applied, or what writes wait for after an unplanned shift has come.
    changed: Condvar,
}

#[derive(Debug)]
struct Inner {
    authority: Authority,
    deciding: Deciding,
    /// See [`Standing::moved`].
    moved: u64,
    /// Whether the stores have fences, and where they are.
    is_fenced: bool,
    raised: Raised,
    /// When keys moved without having waited for what was under way, until that can do no harm any more.
    shifted: Option<Instant>,
    /// Futures that wait for a key to have moved, and for how long.
    waiters: BTreeMap<u64, (Waker, Instant)>,
    next_waiter: u64,
    /// How many writes and copies of a key are under way, but for repairs.
    busy: BTreeMap<Arc<str>, u32>,
    /// Those of them that began under a generation below this one, which the last unplanned shift began.
    stale: BTreeMap<Arc<str>, u32>,
    stale_below: u64,
}

/// What one state says about a data route.
#[derive(Debug)]
struct Deciding {
    state: Arc<State>,
    /// What the flip under way would make of it; empty where none is.
    next: Vec<Table>,
    /// None: they do not apply to writes of data routes.
    overrides: Overrides,
}

/// A key's authority, as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) path: Path,
    /// Whether a ramp's share has chosen it.
    pub(crate) is_by_ramp: bool,
    /// Whether the route's writes are copied to the other side, at least those of some keys.
    pub(crate) is_doubled: bool,
    /// Whether this key's are.
    pub(crate) is_mirrored: bool,
    /// Whether it has another authority after the flip under way.
    pub(crate) moves: bool,
}

/// What has begun: it keeps flips of its time waiting until it is [ended](Gate::end).
#[derive(Debug)]
#[must_use = "what has begun is to be ended"]
pub(crate) struct Begun {
    token: Token,
    /// `None` for a repair.
    key: Option<Arc<str>>,
    pub(crate) place: Place,
    /// What closures and stores are told.
    pub(crate) generation: u64,
}

/// How a data route stands in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) form: Form,
    /// The generation whose hold nothing that is under way keeps waiting.
    pub(crate) drained: Option<u64>,
    pub(crate) under_way: u64,
    /// The generation with which keys last moved, as far as this process has seen: nobody who is
    /// known writes by an older one any more. 0 before.
    pub(crate) moved: u64,
    pub(crate) raised: Raised,
}

/// The generations that the stores' fences were raised to by this process. 0 before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Raised {
    old: u64,
    new: u64,
}

impl Raised {
    pub(crate) fn of(self, side: Path) -> u64 {
        match side {
            Path::Old => self.old,
            Path::New => self.new,
        }
    }

    fn note(&mut self, side: Path, generation: u64) {
        let raised = match side {
            Path::Old => &mut self.old,
            Path::New => &mut self.new,
        };
        *raised = generation.max(*raised);
    }
}

impl Gate {
    pub(crate) fn new(route: &str, state: Arc<State>, is_fenced: bool) -> Gate {
        let deciding = Deciding::new(route, state);
        let form = deciding.form(route);
        Gate {
            inner: Mutex::new(Inner {
                authority: Authority::new(form),
                deciding,
                moved: settled(form),
                is_fenced,
                raised: Raised::default(),
                shifted: None,
                waiters: BTreeMap::new(),
                next_waiter: 0,
                busy: BTreeMap::new(),
                stale: BTreeMap::new(),
                stale_below: 0,
            }),
            route: route.into(),
            changed: Condvar::new(),
        }
    }

    /// Decides by this state from now on, and lets those look again who wait. Second, whether authority
    /// may have moved without having waited for what was under way.
    pub(crate) fn apply(&self, state: &Arc<State>) -> (Shift, bool) {
        let deciding = Deciding::new(&self.route, Arc::clone(state));
        let mut inner = self.lock();
        let (before, was_held) = (
            inner.authority.form().generation,
            inner.authority.form().held,
        );
        let shift = inner.authority.apply(deciding.form(&self.route));
        let is_at_risk = shift != Shift::None && inner.authority.is_at_risk(before);
        let is_made = shift == Shift::Released && inner.deciding.leads_to(&deciding, &self.route);
        if is_made || shift == Shift::Unplanned {
            inner.moved = settled(inner.authority.form());
            inner.shifted = (shift == Shift::Unplanned).then(Instant::now);
            if inner.authority.form().generation > before {
                inner.set_apart();
            }
        } else if was_held && shift == Shift::Held {
            // How the hold before ended went unheard.
            inner.moved = before;
        }
        inner.deciding = deciding;
        self.wake_all(inner);
        (shift, is_at_risk)
    }

    /// A store's fence was raised to this generation.
    pub(crate) fn raised(&self, side: Path, generation: u64) {
        let mut inner = self.lock();
        inner.raised.note(side, generation);
        self.wake_all(inner);
    }

    fn wake_all(&self, mut inner: MutexGuard<'_, Inner>) {
        let waiters = std::mem::take(&mut inner.waiters);
        drop(inner);
        self.changed.notify_all();
        for (waker, _) in waiters.into_values() {
            waker.wake();
        }
    }

    /// Whether a key may be copied from this side: what began before an unplanned shift can do no harm to it any
    /// more, or was waited for long enough.
    pub(crate) fn is_open(&self, key: &str, authority: Path) -> bool {
        let opens = self.lock().opens_at(key, authority);
        opens.is_none_or(|opens| opens <= Instant::now())
    }

    /// Where a key's writes go now.
    pub(crate) fn place(&self, key: &str) -> Place {
        self.lock().deciding.place(&self.route, key, None)
    }

    /// Begins a write or a copy of a key. One that is about to move is waited for, and given up when
    /// that takes too long. After an unplanned shift it waits for a moment more, and then begins in any case.
    pub(crate) fn begin(
        &self,
        key: &Arc<str>,
        forced: Option<Path>,
        patience: Duration,
    ) -> Option<Begun> {
        let mut inner = self.lock();
        let mut until = None;
        loop {
            let wake = match inner.begin(&self.route, key, forced) {
                Ok(begun) => return Some(begun),
                Err(wake) => wake,
            };
            let now = Instant::now();
            let until = *until.get_or_insert(now + patience);
            if until <= now {
                return None;
            }
            let until = wake.map_or(until, |wake| wake.min(until));
            let left = until.saturating_duration_since(now);
            let waited = self.changed.wait_timeout(inner, left);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Begins it, or has the waker called when it is worth another try; the place says where the
    /// waker is kept.
    pub(crate) fn begin_or_wake(
        &self,
        key: &Arc<str>,
        forced: Option<Path>,
        (waker, until): (&Waker, Instant),
    ) -> Result<Begun, u64> {
        let mut inner = self.lock();
        let until = match inner.begin(&self.route, key, forced) {
            Ok(begun) => return Ok(begun),
            Err(wake) => wake.map_or(until, |wake| wake.min(until)),
        };
        let place = inner.next_waiter;
        inner.next_waiter += 1;
        inner.waiters.insert(place, (waker.clone(), until));
        Err(place)
    }

    /// Forgets a waker.
    pub(crate) fn forget(&self, place: u64) {
        self.lock().waiters.remove(&place);
    }

    /// Wakes those whose time is over, and says when the next one's is.
    pub(crate) fn wake_due(&self, now: Instant) -> Option<Instant> {
        let mut inner = self.lock();
        let waiters = std::mem::take(&mut inner.waiters);
        let (due, waits) = waiters
            .into_iter()
            .partition(|(_, (_, until))| *until <= now);
        inner.waiters = waits;
        let next = inner.waiters.values().map(|(_, until)| *until).min();
        drop(inner);
        let due: BTreeMap<u64, (Waker, Instant)> = due;
        for (waker, _) in due.into_values() {
            waker.wake();
        }
        next
    }

    /// Begins the copy of a repair, also of a key that is about to move: the flip waits for it.
    pub(crate) fn begin_repair(&self, key: &str) -> Begun {
        let mut inner = self.lock();
        let place = inner.deciding.place(&self.route, key, None);
        let generation = inner.authority.form().generation;
        let token = match inner.authority.begin(place.moves) {
            Some(token) => token,
            None => inner.authority.begin_before(),
        };
        Begun {
            token,
            key: None,
            place,
            generation,
        }
    }

    /// Whether a write or a copy of this key is under way, but for repairs.
    pub(crate) fn is_busy(&self, key: &str) -> bool {
        let inner = self.lock();
        inner.busy.contains_key(key) || inner.stale.contains_key(key)
    }

    /// Begins a copy on behalf of a write that has not ended yet.
    pub(crate) fn branch(&self, of: &Begun) -> Begun {
        let mut inner = self.lock();
        if let Some(key) = &of.key {
            let busy = inner.busy_of(of.generation);
            *busy.entry(Arc::clone(key)).or_default() += 1;
        }
        Begun {
            token: inner.authority.branch(&of.token),
            key: of.key.clone(),
            place: of.place,
            generation: of.generation,
        }
    }

    /// Whether a key has another authority than it had when this began.
    pub(crate) fn has_moved(&self, key: &str, begun: &Begun) -> bool {
        self.place(key).path != begun.place.path
    }

    /// Ends it. Whether a flip may have waited for that.
    pub(crate) fn end(&self, begun: Begun) -> bool {
        let mut inner = self.lock();
        let mut was_last = false;
        if let Some(key) = &begun.key {
            let busy = inner.busy_of(begun.token.generation());
            if let Some(count) = busy.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    busy.remove(key);
                    was_last = true;
                }
            }
        }
        let is_stale = begun.token.generation() < inner.stale_below;
        inner.authority.end(begun.token);
        let is_drained = inner.authority.drained().is_some();
        if was_last && is_stale {
            self.wake_all(inner);
        }
        is_drained
    }

    /// Whether any of these keys is about to move.
    pub(crate) fn moves_any<'k>(&self, mut keys: impl Iterator<Item = &'k str>) -> bool {
        let inner = self.lock();
        let moves = |key| inner.deciding.place(&self.route, key, None).moves;
        !inner.deciding.next.is_empty() && keys.any(moves)
    }

    pub(crate) fn standing(&self) -> Standing {
        let inner = self.lock();
        Standing {
            form: inner.authority.form(),
            drained: inner.authority.drained(),
            under_way: inner.authority.under_way(),
            moved: inner.moved,
            raised: inner.raised,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The generation that is no hold's.
fn settled(form: Form) -> u64 {
    form.generation.saturating_sub(u64::from(form.held))
}

impl Inner {
    /// Otherwise says when it is worth another try, even if nothing changes until then.
    fn begin(
        &mut self,
        route: &str,
        key: &Arc<str>,
        forced: Option<Path>,
    ) -> Result<Begun, Option<Instant>> {
        let place = self.deciding.place(route, key, forced);
        if let Some(opens) = self.opens_at(key, place.path)
            && opens > Instant::now()
        {
            return Err(Some(opens));
        }
        let token = self.authority.begin(place.moves).ok_or(None)?;
        let generation = token.generation();
        *self.busy.entry(Arc::clone(key)).or_default() += 1;
        Ok(Begun {
            token,
            key: Some(Arc::clone(key)),
            place,
            generation,
        })
    }

    /// When writes of a key to this side may begin, whatever comes of what they wait for. A halt waits for
    /// nobody: a copy that was under way could save an older row over what is written after it, and a process
    /// that has not heard of it could write. Once both fences are raised neither can. Without fences only what
    /// this process has under way is known, and only of this key.
    fn opens_at(&self, key: &str, authority: Path) -> Option<Instant> {
        let shifted = self.shifted?;
        let is_lower = |side: Path| self.raised.of(side) < self.moved;
        let patience = match self.is_fenced {
            true if is_lower(authority) => PATIENCE,
            true if is_lower(authority.other()) => MOMENT,
            false if self.stale.contains_key(key) => MOMENT,
            _ => return None,
        };
        Some(shifted + patience)
    }

    /// From now on what is under way is older than what begins.
    fn set_apart(&mut self) {
        self.stale_below = self.authority.form().generation;
        for (key, count) in std::mem::take(&mut self.busy) {
            *self.stale.entry(key).or_default() += count;
        }
    }

    fn busy_of(&mut self, generation: u64) -> &mut BTreeMap<Arc<str>, u32> {
        match generation < self.stale_below {
            true => &mut self.stale,
            false => &mut self.busy,
        }
    }
}

impl Deciding {
    fn new(route: &str, state: Arc<State>) -> Deciding {
        Deciding {
            next: next(state.table_of(route), route),
            overrides: Overrides::none(),
            state,
        }
    }

    /// Whether the flip that this announces was made, and not given up.
    fn leads_to(&self, after: &Deciding, route: &str) -> bool {
        let flipped = self.rollout(route).and_then(Rollout::flipped);
        let (Some(wanted), Some(after)) = (flipped, after.rollout(route)) else {
            return false;
        };
        (wanted.stage, wanted.setting, wanted.halted) == (after.stage, after.setting, after.halted)
            && (wanted.include, wanted.exclude) == (after.include.clone(), after.exclude.clone())
    }

    fn rollout(&self, route: &str) -> Option<&Rollout> {
        self.state.table_of(route).rollout(route)
    }

    fn form(&self, route: &str) -> Form {
        self.rollout(route).map(Form::of).unwrap_or_default()
    }

    fn place(&self, route: &str, key: &str, forced: Option<Path>) -> Place {
        let now = |table: &Table| decide(table, route, &self.overrides, Some(key));
        let decision = now(self.state.table_of(route));
        let moves = |next: &Table| now(next).path != decision.path;
        let path = forced.unwrap_or(decision.path);
        let rollout = self.rollout(route);
        Place {
            path,
            is_by_ramp: forced.is_none()
                && matches!(decision.reason, Reason::RampIn | Reason::RampOut),
            is_doubled: rollout.is_some_and(|rollout| rollout.mirror.write > Percent::ZERO),
            is_mirrored: rollout.is_some_and(|rollout| is_mirrored(route, rollout, key, path)),
            moves: forced.is_none() && self.next.iter().any(moves),
        }
    }
}

/// A key whose authority is new is mirrored always, else it could not go back.
fn is_mirrored(route: &str, rollout: &Rollout, key: &str, path: Path) -> bool {
    let share = rollout.mirror.write;
    let name = rollout.ramp_group.as_deref().unwrap_or(route);
    let is_below = || bucket(Seed::of(name), key.as_bytes()) < share.thousandths();
    share > Percent::ZERO && (path == Path::New || is_below())
}

/// What a table becomes when the route's flip is made alone, and when all flips under way are: routes
/// that it requires may flip with it.
fn next(table: &Table, route: &str) -> Vec<Table> {
    if table.rollout(route).is_none_or(|own| own.hold.is_none()) {
        return Vec::new();
    }
    let flipped = |only: Option<&str>| {
        let mut entries = table.entries().clone();
        for (key, entry) in &mut entries {
            if only.is_none_or(|only| only == key.as_str())
                && let Entry::Known(rollout) = entry
                && let Some(flipped) = rollout.flipped()
            {
                *rollout = Arc::new(flipped);
            }
        }
        // What the routes require stays the same, so it can still be decided.
        Table::new(table.source(), table.kind(), entries).ok()
    };
    [Some(route), None]
        .into_iter()
        .filter_map(flipped)
        .collect()
}
