//! A route, and one rollout of it, with all that a page shows beside them: read in one transaction,
//! and what callers report after it.

mod shown;

use chrono::{DateTime, Duration, Utc};
use switchover::RouteKey;

use crate::domain::actor::Actor;
use crate::domain::approval::ApprovalDigest;
use crate::domain::archive::reminders;
use crate::domain::audit::AuditEntry;
use crate::domain::environment::Environment;
use crate::domain::loss::LossRisk;
use crate::domain::next_action::NextAction;
use crate::domain::ramp::Outlook;
use crate::domain::rollout::Rollout;
use crate::domain::route::Route;
use crate::domain::telemetry::Tallies;
use crate::service::approval::ApprovalView;
use crate::service::loss::gap_of;
use crate::service::proof::Everywhere;
use crate::service::rollout::{Target, rollout_tag};
use crate::service::shared::Shared;
use crate::service::stores::StoresView;
use crate::service::work::{absent, facts, frozen};
use crate::service::{Ctx, Failure, SeriesSpan, Services, UNRESOLVED, epoch};
use crate::store::{AuditFilter, StoreError, Tx};
use crate::telemetry::Length;

pub use shown::{
    DataDetails, RolloutDetails, RolloutOverview, RouteOverview, Timeline, TimelinePart,
};

/// How far back the split of calls looks.
const LATELY: Duration = Duration::minutes(10);
/// The most of each list that a page shows; it says where the others are.
pub const MOST_LISTED: usize = 20;
/// The most instances that a page shows.
const MOST_INSTANCES: usize = 200;

impl Services {
    /// A route in every environment, as somebody sees it.
    ///
    /// # Errors
    /// When there is none.
    pub fn route_overview(
        &self,
        actor: &Actor,
        key: &RouteKey,
        part: TimelinePart,
    ) -> Result<RouteOverview, Failure> {
        let (now, ctx) = (self.now(), Ctx::of(actor.clone()));
        let mut overview = self.store.read::<_, Failure>(|tx| {
            let route = tx
                .route(key)?
                .ok_or_else(|| Failure::missing("route", key))?;
            let history = tx.stage_history(&[key.as_str()])?;
            let everywhere = Everywhere::read(tx, &route, now)?;
            let mut shared = Shared::new(&self.telemetry);
            let epoch = epoch(tx)?;
            let mut rollouts = Vec::new();
            for environment in &everywhere.environments {
                if let Some(rollout) = everywhere.rollout(environment) {
                    let place = (&everywhere, environment, rollout);
                    rollouts.push(look(tx, &mut shared, place, (&ctx, &epoch, now))?);
                }
            }
            let all: Vec<&Rollout> = everywhere.rollouts.iter().collect();
            let next = NextAction::of_route(&route, &all);
            let milestones = route
                .schedule
                .milestones(&everywhere.environments, &history);
            let state: u64 = all.iter().map(|rollout| rollout.revision).sum();
            let filter = AuditFilter {
                route: Some(key.to_string()),
                ..AuditFilter::default()
            };
            Ok(RouteOverview {
                tag: format!("\"{epoch}.{}.{state}\"", route.revision),
                milestones,
                rollouts,
                timeline: timeline(tx, filter, part)?,
                next,
                now,
                dependents: everywhere.dependents,
                references: tx.scans_of_route(key)?,
                environments: everywhere.environments,
                plan: everywhere.plan,
                route,
            })
        })?;
        let promotions = overview.rollouts.iter();
        let promotions = promotions.filter_map(|it| Some((&it.facts, it.to?)));
        // Whoever needs an answer asks for it, and is told what is remembered.
        let _ = self.ask_ahead(promotions);
        for rollout in &mut overview.rollouts {
            self.ask_callers(rollout);
        }
        Ok(overview)
    }

    /// One rollout with everything about it, as somebody sees it.
    ///
    /// # Errors
    /// When there is no such rollout, or no such span of time.
    pub fn rollout_details(
        &self,
        actor: &Actor,
        target: &Target,
        span: SeriesSpan,
        part: TimelinePart,
    ) -> Result<RolloutDetails, Failure> {
        let (now, ctx) = (self.now(), Ctx::of(actor.clone()));
        let mut details = self.store.read::<_, Failure>(|tx| {
            let route = tx
                .route(&target.route)?
                .ok_or_else(|| Failure::missing("route", &target.route))?;
            let history = tx.stage_history(&[target.route.as_str()])?;
            let mut everywhere = Everywhere::read(tx, &route, now)?;
            let here = everywhere.environments.iter();
            let environment = here.clone().find(|it| it.key == target.environment);
            let rollout = environment.and_then(|environment| everywhere.rollout(environment));
            let (Some(environment), Some(rollout)) = (environment, rollout) else {
                return Err(absent(tx, &target.route, &target.environment)?);
            };
            let (mut shared, epoch) = (Shared::new(&self.telemetry), epoch(tx)?);
            let place = (&everywhere, environment, rollout);
            let overview = look(tx, &mut shared, place, (&ctx, &epoch, now))?;
            let stores = everywhere.stores.remove(&target.environment);
            let data = match stores {
                Some(stores) => Some(self.data(tx, (&route, &overview, stores), &everywhere)?),
                None => None,
            };
            let mut evidence = std::mem::take(&mut everywhere.evidence);
            evidence.retain(|it| it.environment == target.environment);
            evidence.reverse();
            let filter = AuditFilter {
                route: Some(target.route.to_string()),
                environment: Some(target.environment.to_string()),
                ..AuditFilter::default()
            };
            Ok(RolloutDetails {
                approvals: approvals(tx, &overview)?,
                evidence,
                data,
                timeline: timeline(tx, filter, part)?,
                plan: everywhere.plan,
                milestones: route
                    .schedule
                    .milestones(&everywhere.environments, &history),
                environments: everywhere.environments,
                overview,
                instances: None,
                published: None,
                series: None,
                now,
                route,
            })
        })?;
        self.ask_callers(&mut details.overview);
        let published = self.hub.current(&target.environment);
        details.published = published.map(|published| published.version().clone());
        details.series = read_or_none(self.traffic(target, span))?;
        let instances = self.instances(&target.environment, false, "", MOST_INSTANCES);
        details.instances = read_or_none(instances)?.map(|found| found.processes);
        Ok(details)
    }

    fn data(
        &self,
        tx: &mut Tx<'_>,
        (route, overview, stores): (&Route, &RolloutOverview, StoresView),
        everywhere: &Everywhere<'_>,
    ) -> Result<DataDetails, StoreError> {
        let (rollout, now) = (&overview.rollout, overview.facts.now);
        let place = (&rollout.route, &rollout.environment);
        let gap = gap_of(&self.telemetry, (route, rollout), Some(&stores), now);
        Ok(DataDetails {
            groups: tx.ledger_groups(place)?,
            repairs: tx.repairs(place, &UNRESOLVED, None, MOST_LISTED)?,
            runs: tx.consistency_runs(place, None, MOST_LISTED)?,
            writers: tx.writers_of(place, "", MOST_INSTANCES)?,
            risk: LossRisk::of(rollout, route, overview.environment().kind, &gap),
            reminders: reminders(rollout, &everywhere.evidence),
            stores,
        })
    }

    /// Puts what callers report to what is on record: gates may ask for it, and what comes next
    /// depends on them.
    fn ask_callers(&self, overview: &mut RolloutOverview) {
        let rollout = &overview.rollout;
        if let Some(to) = overview.to {
            let observed = self.observe(std::slice::from_ref(&overview.facts), to);
            observed.tell(&mut overview.facts, to);
            overview.gates = overview.facts.gates(rollout, to);
        }
        let (gates, outlook) = (&overview.gates, overview.outlook.as_ref());
        overview.next = NextAction::of(rollout, &overview.facts, gates, outlook);
        let place = (&rollout.route, &rollout.environment);
        let now = overview.facts.now;
        let span = (now - LATELY, now + Duration::seconds(1));
        let mut lately = Tallies::default();
        let read = self.telemetry.read::<_, StoreError>(|tx| {
            tx.each_window(place, Length::TenSeconds, span, |_, path, role, tally| {
                lately.of_mut(path, role).merge(tally);
            })
        });
        if let Err(error) = &read {
            tracing::warn!(%error, "what callers report cannot be read");
        }
        overview.lately = read.ok().map(|()| lately);
    }
}

/// A rollout as it is on record, before callers are asked.
fn look(
    tx: &mut Tx<'_>,
    shared: &mut Shared,
    (everywhere, environment, rollout): (&Everywhere<'_>, &Environment, &Rollout),
    (ctx, epoch, now): (&Ctx, &str, DateTime<Utc>),
) -> Result<RolloutOverview, StoreError> {
    let place = (everywhere.route, environment);
    let proof = everywhere.at(tx, environment)?;
    let mut facts = facts(tx, shared, place, (ctx, "", now), proof)?;
    facts.frozen = frozen(tx, rollout, environment, now)?;
    let outlook = Outlook::of(rollout, &facts);
    Ok(RolloutOverview {
        tag: rollout_tag(epoch, rollout),
        to: rollout.stage.next(),
        gates: Vec::new(),
        next: NextAction::of(rollout, &facts, &[], outlook.as_ref()),
        outlook,
        lately: None,
        rollout: rollout.clone(),
        facts,
    })
}

fn approvals(tx: &mut Tx<'_>, overview: &RolloutOverview) -> Result<Vec<ApprovalView>, StoreError> {
    let (rollout, facts) = (&overview.rollout, &overview.facts);
    let approvals = tx.approvals(&rollout.route, &rollout.environment, None)?;
    let approvals = approvals.into_iter().map(|approval| ApprovalView {
        valid: approval.digest == ApprovalDigest::of(facts, rollout, approval.to),
        approval,
    });
    Ok(approvals.collect())
}

fn timeline(
    tx: &mut Tx<'_>,
    filter: AuditFilter,
    part: TimelinePart,
) -> Result<Timeline, StoreError> {
    let filter = AuditFilter {
        before: part.before,
        ..filter
    };
    // One more shows whether there are older ones.
    let found = tx.audit_page(&filter, part.most.saturating_add(1))?;
    let has_more = found.len() > part.most;
    let entries = found.into_iter().take(part.most);
    let entries: Vec<AuditEntry> = entries.map(|stored| stored.entry).collect();
    let last = entries.last().map(|entry| entry.seq);
    Ok(Timeline {
        older: last.filter(|_| has_more),
        entries,
    })
}

/// What callers report is kept apart: a page is shown without it.
fn read_or_none<T>(read: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(Failure::Store(error)) => {
            tracing::warn!(%error, "what callers report cannot be read");
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}
