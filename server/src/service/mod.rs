//! What people do, one file per thing: load, judge by the domain's rules, commit, publish.
//!
//! No HTTP and no SQL here. Every change goes through `Services::change`: one transaction with its
//! audit entries and its receipt, and then the environments it touched are published.

mod access;
mod approval;
mod audit;
mod backfill;
mod board;
mod census;
mod cohort;
mod consistency;
mod environment;
mod evidence;
mod explain;
mod export;
mod external;
mod failure;
mod feed;
mod flip;
mod freeze;
mod guard;
mod loss;
mod many;
mod measured;
mod observed;
mod overview;
mod plan;
mod policy;
mod preparation;
mod proof;
mod queried;
mod ramp;
mod ramp_group;
mod reception;
mod references;
mod rehearsal;
mod release;
mod repairs;
mod report;
mod retirement;
mod rollout;
mod route;
mod route_change;
mod runbook;
mod sdk_key;
mod shared;
mod size;
mod stores;
mod telemetry;
mod token;
mod webhook;
mod work;
mod writers;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound as _, Utc};

use crate::domain::actor::Actor;
use crate::domain::environment::EnvironmentKey;
use crate::metrics::Metrics;
use crate::prometheus::Prometheus;
use crate::publish::{Feed, Hub};
use crate::store::{IdempotencyKey, Receipt, Store, StoreError, Tx};
use crate::telemetry::TelemetryStore;

pub use access::{Access, KnownKey};
pub use approval::ApprovalView;
pub use audit::{MOST_GIVEN, Verification};
pub use board::{Board, BoardCell, BoardRow};
pub use cohort::{CohortPatch, CohortView, NewCohort, cohort_tag};
pub use consistency::NewRun;
pub use environment::EnvironmentPatch;
pub use evidence::{DrawnFrom, NewEvidence};
pub use explain::Explained;
pub use export::{Bound, Export, ExportFilter};
pub use external::{NewExternal, external_tag};
pub use failure::{Existing, Failure, Missing, RowErrors};
pub use freeze::NewFreeze;
pub use guard::Guarded;
pub use loss::Outcome as GoingBack;
pub use many::{HaltSelection, Switched};
pub use overview::{
    DataDetails, MOST_LISTED, RolloutDetails, RolloutOverview, RouteOverview, Timeline,
    TimelinePart,
};
pub use plan::{PlanView, StepPatch};
pub use queried::Asking;
pub use ramp::{Guards, Moved};
pub use reception::{NotHeard, Reception, Receptionist};
pub use references::{NewScan, References};
pub use release::{Freeze, ManifestSigner, release_tag};
pub use repairs::{Settle, SettledMany, UNRESOLVED};
pub use rollout::{Change, Changed, Seen, Target, rollout_tag};
pub use route::{NewRoute, RouteWithRollouts};
pub use route_change::RoutePatch;
pub use runbook::RunbookView;
pub use sdk_key::{CreatedSdkKey, NewSdkKeyRequest};
pub use stores::StoresView;
pub use telemetry::{Instances, Series, SeriesSpan};
pub use token::Revocation;
pub use webhook::{
    Filters, NewWebhook, Outgoing, Sending, Waiting, WebhookPatch, WebhookView, webhook_tag,
};
pub use writers::{HeardWriter, TakenWriter, Writers};

use measured::Measuring;
use webhook::Webhooking;
use work::{Touched, Work};

/// Asks what time it is. Only the edge knows.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// The clock of this machine, in whole microseconds: what both engines keep.
#[must_use]
pub fn system_clock() -> Clock {
    Arc::new(|| Utc::now().trunc_subsecs(6))
}

/// Who asks, and under which conditions.
#[derive(Clone, Debug)]
pub struct Ctx {
    /// Who.
    pub actor: Actor,
    /// The tags of which what is changed must still have one; `None` when any will do.
    pub if_match: Option<Vec<String>>,
    /// The request's own name, when it has one: it is carried out once.
    pub idempotency: Option<IdempotencyKey>,
    /// Whether they have seen what going back to an old store costs, and accept it.
    pub accepts_loss: bool,
}

impl Ctx {
    /// Somebody, without conditions.
    #[must_use]
    pub fn of(actor: Actor) -> Ctx {
        Ctx {
            actor,
            if_match: None,
            idempotency: None,
            accepts_loss: false,
        }
    }

    /// The same, with what they say of what going back to an old store costs.
    #[must_use]
    pub fn accepting_loss(self, accepts_loss: bool) -> Ctx {
        Ctx {
            accepts_loss,
            ..self
        }
    }

    /// What is changed must still have a tag that the caller has seen, if they say one.
    fn expect_tag(&self, current: String) -> Result<(), Failure> {
        match &self.if_match {
            Some(seen) if !seen.contains(&current) => Err(Failure::Precondition { current }),
            _ => Ok(()),
        }
    }

    /// The same of what may not exist, and has no tag then.
    fn expect_tag_of(&self, current: Option<String>) -> Result<(), Failure> {
        self.expect_tag(current.unwrap_or_default())
    }
}

/// What a change answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The answer.
    pub receipt: Receipt,
    /// Whether it is the answer that was given to the same request before.
    pub replayed: bool,
}

/// Makes the answer to a change, inside its transaction.
pub type Render<'a, T> = &'a (dyn Fn(&T) -> Receipt + Sync);

/// Everything that the edge may ask for.
pub struct Services {
    store: Store,
    telemetry: Arc<TelemetryStore>,
    hub: Hub,
    feed: Feed,
    access: Access,
    clock: Clock,
    manifest_signer: ManifestSigner,
    /// Held while the audit chain is walked.
    verifying: Mutex<()>,
    /// The flips that this node has announced.
    announced: Mutex<BTreeSet<Target>>,
    metrics: Metrics,
    measuring: Measuring,
    prometheus: Arc<Prometheus>,
    /// What webhooks need; `None` where there are none.
    webhooking: Option<Webhooking>,
}

impl Services {
    /// Services over a database. Makes its epoch and its first environments when it is new, and
    /// publishes what it holds.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn start(store: Store, clock: Clock) -> Result<Services, StoreError> {
        let now = clock();
        match store.write(|tx| environment::found(tx, now)) {
            // Another node that starts for the first time was faster.
            Err(StoreError::Duplicate) => store.write(|tx| environment::found(tx, now))?,
            founded => founded?,
        }
        let telemetry = Arc::new(TelemetryStore::beside(store.database()));
        let timings = [
            ("record", store.timings().clone()),
            ("telemetry", telemetry.timings().clone()),
        ];
        let services = Services {
            telemetry,
            store,
            metrics: Metrics::new(timings),
            measuring: Measuring::default(),
            prometheus: Arc::new(Prometheus::new(None)),
            hub: Hub::default(),
            feed: Feed::default(),
            access: Access::default(),
            clock,
            manifest_signer: Arc::new(|| Err("no key to sign manifests with is set up".to_owned())),
            verifying: Mutex::new(()),
            announced: Mutex::default(),
            webhooking: None,
        };
        services.catch_up()?;
        Ok(services)
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Arc::clone(&self.clock)
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }

    /// What is published.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Who may read, and which tokens are void.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// What this process counts of itself.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Publishes what has been committed since, here or by another node, and learns of keys and
    /// revocations. Cheap when nothing has.
    ///
    /// # Errors
    /// When the database cannot be used, or has gone back in time; what is published stays.
    pub fn catch_up(&self) -> Result<(), StoreError> {
        let (epoch, revisions, access) = self.store.read_first::<_, StoreError>(|tx| {
            Ok((epoch(tx)?, tx.revisions()?, tx.access_revision()?))
        })?;
        if !self.access.is_at(&(epoch.clone(), access)) {
            self.access.load(&self.store)?;
        }
        for (key, revision) in revisions {
            if !self.hub.has(&key, &epoch, revision) {
                self.publish(&parse_environment(&key)?)?;
            }
        }
        self.tell_of_changes()
    }

    /// Closes the acceptance windows that have ended. Several nodes may try; one does.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn close_windows_due(&self) -> Result<(), StoreError> {
        let now = self.now();
        for (route, environment) in self
            .store
            .read_first::<_, StoreError>(|tx| tx.windows_due(now))?
        {
            // The next look tries again; one that fails does not keep the others open.
            if let Err(failure) = self.close_window_due(&route, &environment, now) {
                tracing::warn!(%route, %environment, %failure, "an acceptance window stays open");
            }
        }
        Ok(())
    }

    /// Forgets the answers kept for requests of more than a day ago.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn forget_old_receipts(&self) -> Result<usize, StoreError> {
        let before = self.now() - chrono::Duration::hours(24);
        self.store.write(|tx| tx.forget_receipts(before))
    }

    /// Runs a change as [`Services::change`] does, and again while others keep the database busy: a
    /// halt does not give up.
    fn insist<T>(
        &self,
        ctx: &Ctx,
        render: Render<'_, T>,
        work: impl Fn(&mut Work<'_, '_>) -> Result<T, Failure>,
    ) -> Result<Answer, Failure> {
        const PATIENCE: Duration = Duration::from_secs(30);
        const PAUSE: Duration = Duration::from_millis(50);
        let began = Instant::now();
        loop {
            match self.change(ctx, render, &work) {
                Err(Failure::Store(StoreError::Busy)) if began.elapsed() < PATIENCE => {
                    std::thread::sleep(PAUSE);
                }
                done => return done,
            }
        }
    }

    /// Runs a change in one transaction and publishes what it touched.
    fn change<T>(
        &self,
        ctx: &Ctx,
        render: Render<'_, T>,
        work: impl FnOnce(&mut Work<'_, '_>) -> Result<T, Failure>,
    ) -> Result<Answer, Failure> {
        let changed = self.store.write::<_, Failure>(|tx| {
            if let Some(answer) = replay(tx, ctx)? {
                return Ok((answer, Touched::default()));
            }
            if let Some(key) = &ctx.idempotency {
                tx.claim_receipt(key, self.now())
                    .map_err(|error| match error {
                        StoreError::Duplicate => Failure::JustDone,
                        other => Failure::Store(other),
                    })?;
            }
            let mut unit = Work::new(tx, ctx, &self.clock, &self.telemetry);
            let done = work(&mut unit)?;
            let touched = unit.finish()?;
            let receipt = render(&done);
            if let Some(key) = &ctx.idempotency {
                tx.keep_receipt(key, &receipt)?;
            }
            let answer = Answer {
                receipt,
                replayed: false,
            };
            Ok((answer, touched))
        });
        let (answer, touched) = match changed {
            Err(Failure::JustDone) => {
                let answer = self.store.read_first(|tx| replay(tx, ctx))?;
                return answer.ok_or(Failure::JustDone);
            }
            changed => changed?,
        };
        for action in touched.actions {
            self.metrics.changed(&ctx.actor, action);
        }
        // The change is durable. What cannot be published now, the next look at the database will.
        self.watch_over(touched.holds);
        for environment in touched.environments {
            if let Err(error) = self.publish(&environment) {
                tracing::warn!(%environment, %error, "a committed change is not published yet");
            }
        }
        if let Err(error) = self.tell_of_changes() {
            tracing::warn!(%error, "pages are not told of a committed change yet");
        }
        Ok(answer)
    }

    /// Learns at once of keys and revocations that were just committed. What cannot be read now, the
    /// next look at the database will.
    fn learn_access(&self) {
        if let Err(error) = self.access.load(&self.store) {
            tracing::warn!(%error, "a committed change of keys or tokens is not in force here yet");
        }
        self.feed.nudge();
    }

    fn publish(&self, environment: &EnvironmentKey) -> Result<(), StoreError> {
        self.hub.refresh(environment, |since| {
            self.store.read_first(|tx| {
                let epoch = epoch(tx)?;
                let kind = tx
                    .environment(environment)?
                    .map(|environment| environment.kind)
                    .ok_or_else(|| StoreError::Corrupt(format!("no environment {environment}")))?;
                let since = match since {
                    Some(version) if *version.epoch == *epoch => version.revision,
                    _ => 0,
                };
                Ok((epoch, kind, tx.changes_since(environment, since)?))
            })
        })
    }
}

fn replay(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<Option<Answer>, Failure> {
    let Some(key) = &ctx.idempotency else {
        return Ok(None);
    };
    match tx.receipt(key)? {
        None => Ok(None),
        Some((body_hash, _)) if body_hash != key.body_hash => Err(Failure::IdempotencyMismatch),
        Some((_, receipt)) => Ok(Some(Answer {
            receipt,
            replayed: true,
        })),
    }
}

fn epoch(tx: &mut Tx<'_>) -> Result<String, StoreError> {
    tx.epoch()?
        .ok_or_else(|| StoreError::Corrupt("meta: no epoch".to_owned()))
}

fn parse_environment(key: &str) -> Result<EnvironmentKey, StoreError> {
    key.parse()
        .map_err(|_| StoreError::Corrupt(format!("environments.key: {key}")))
}
