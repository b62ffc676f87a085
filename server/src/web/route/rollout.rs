//! One rollout with everything about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get};
use askama::Template;
use chrono::{DateTime, Utc};
use switchover::{EnvironmentKind, Stage};

use crate::domain::actor::Actor;
use crate::domain::evidence::Verdict;
use crate::domain::revert::undoing;
use crate::domain::rollout::Rollout;
use crate::http::App;
use crate::http::extract::{OfRollout, Query, Viewer};
use crate::service::{ApprovalView, MOST_LISTED, RolloutDetails, Target};
use crate::web::chart::{Charts, Span};
use crate::web::route::cards::Card;
use crate::web::route::data::DataView;
use crate::web::route::gates::{GateView, GuardView, gates, guards};
use crate::web::route::overview::Progress;
use crate::web::route::ramp::RampView;
use crate::web::route::running::{InstanceView, instances};
use crate::web::route::timeline::TimelineView;
use crate::web::route::{Asked, Badge};
use crate::web::words::{When, stage_name};
use crate::web::{Section, Shell, Signed, Trouble, answer};

#[derive(Template)]
#[template(path = "route/rollout.html")]
struct RolloutPage {
    shell: Shell,
    route: String,
    flag: String,
    policy: String,
    /// The other environments, and this one.
    places: Vec<Place>,
    card: Card,
    is_on_prem: bool,
    is_exposed_by_stage: bool,
    /// The next stage in words; `None` after the last.
    to: Option<&'static str>,
    gates: Vec<GateView>,
    passing: usize,
    guards: Vec<GuardView>,
    guards_unread: bool,
    ramp: Option<RampView>,
    spans: Vec<SpanLink>,
    /// `None` where what callers report cannot be read.
    charts: Option<Charts>,
    /// `None` where that cannot be read.
    instances: Option<Vec<InstanceView>>,
    published: String,
    include: Vec<String>,
    exclude: Vec<String>,
    include_cohorts: Vec<String>,
    exclude_cohorts: Vec<String>,
    more_keys: usize,
    mirror: MirrorView,
    data: Option<DataView>,
    approvals: Vec<ApprovalRow>,
    evidence: Vec<EvidenceRow>,
    sites: Vec<SiteRow>,
    plan: Option<Progress>,
    timeline: TimelineView,
}

/// A link to the route in an environment.
struct Place {
    name: String,
    address: String,
    is_here: bool,
}

/// A link to another span of the charts.
struct SpanLink {
    told: &'static str,
    address: String,
    is_current: bool,
}

/// What also runs on the other path.
struct MirrorView {
    read: String,
    write: String,
    is_off: bool,
    /// Why it was stopped.
    stopped: Option<String>,
}

/// Somebody's yes.
struct ApprovalRow {
    by: String,
    to: &'static str,
    at: When,
    comment: String,
    badge: Badge,
}

/// What somebody concluded from a test.
struct EvidenceRow {
    kind: String,
    badge: Badge,
    summary: String,
    url: Option<String>,
    by: String,
    at: When,
}

/// An installation that has said which overrides are in force there.
struct SiteRow {
    site: String,
    release: String,
    badge: Badge,
    taken: When,
}

impl RolloutPage {
    fn of(
        shell: Shell,
        actor: &Actor,
        seen: RolloutDetails,
        span: Span,
        is_part: bool,
    ) -> RolloutPage {
        let (overview, now) = (&seen.overview, seen.now);
        let (rollout, environment) = (&overview.rollout, overview.environment());
        let spec = &seen.route.spec;
        let is_retired = seen.route.retired_at.is_some();
        let card = Card::of(&shell, actor, &seen.route, overview, &seen.milestones, now);
        let target = Target {
            route: rollout.route.clone(),
            environment: rollout.environment.clone(),
        };
        let shown = gates(&overview.gates, &target);
        let query = [("span", span.name())];
        let query = if span == Span::default() {
            &[][..]
        } else {
            &query
        };
        let timeline = (card.address.as_str(), query);
        RolloutPage {
            places: places(&seen),
            is_on_prem: environment.kind == EnvironmentKind::OnPrem,
            is_exposed_by_stage: rollout.stage == Stage::Mandatory,
            to: overview.to.map(stage_name),
            passing: shown.iter().filter(|gate| gate.remedy.is_empty()).count(),
            gates: shown,
            guards: guards(overview.guards()),
            guards_unread: overview.facts.guards_unread,
            ramp: RampView::of(overview, now),
            spans: spans(&card.address, span),
            charts: seen.series.as_ref().map(Charts::of),
            instances: seen
                .instances
                .as_ref()
                .map(|all| instances(all, (&spec.key, &spec.flag), seen.published.as_ref(), now)),
            published: match &seen.published {
                Some(version) => version.to_string(),
                None => "nothing".to_owned(),
            },
            include: some(rollout.include.iter()),
            exclude: some(rollout.exclude.iter()),
            include_cohorts: some(rollout.uses.include.cohorts.iter()),
            exclude_cohorts: some(rollout.uses.exclude.cohorts.iter()),
            more_keys: more(rollout.include.len()) + more(rollout.exclude.len()),
            mirror: mirror(rollout),
            data: seen.data.as_ref().map(|it| DataView::of(it, rollout, now)),
            approvals: seen
                .approvals
                .iter()
                .map(|it| approval(it, rollout.stage, now))
                .collect(),
            evidence: evidence(&seen),
            sites: sites(&seen),
            plan: seen.plan.as_ref().map(Progress::of),
            timeline: TimelineView::of(&seen.timeline, timeline, is_part, now, |entry| {
                !is_retired && undoing(entry, rollout).is_ok()
            }),
            route: spec.key.to_string(),
            flag: spec.flag.to_string(),
            policy: seen.policy().name.to_string(),
            card,
            shell,
        }
    }
}

fn places(seen: &RolloutDetails) -> Vec<Place> {
    let here = &seen.overview.environment().key;
    let route = &seen.route.spec.key;
    let places = seen.environments.iter().map(|environment| Place {
        name: environment.key.to_string(),
        address: format!("/routes/{route}/environments/{}", environment.key),
        is_here: environment.key == *here,
    });
    places.collect()
}

fn spans(address: &str, current: Span) -> Vec<SpanLink> {
    let link = |span: Span| SpanLink {
        told: span.told(),
        address: format!("{address}?span={}#charts", span.name()),
        is_current: span == current,
    };
    Span::ALL.map(link).into()
}

/// The first of many.
fn some(names: impl Iterator<Item = impl ToString>) -> Vec<String> {
    names
        .take(MOST_LISTED)
        .map(|name| name.to_string())
        .collect()
}

fn more(count: usize) -> usize {
    count.saturating_sub(MOST_LISTED)
}

fn mirror(rollout: &Rollout) -> MirrorView {
    let (shares, stopped) = (rollout.mirror.shares, rollout.mirror.stopped.as_ref());
    MirrorView {
        read: shares.read.to_string(),
        write: shares.write.to_string(),
        is_off: shares == switchover::Mirror::default(),
        stopped: stopped.map(|stopped| format!("{} stopped it: {}", stopped.by, stopped.reason)),
    }
}

fn approval(view: &ApprovalView, stage: Stage, now: DateTime<Utc>) -> ApprovalRow {
    let approval = &view.approval;
    ApprovalRow {
        by: approval.approver.clone(),
        to: stage_name(approval.to),
        at: When::of(approval.created_at, now),
        comment: approval.comment.clone(),
        badge: match view.valid {
            true => Badge::new("is-good", "valid"),
            false if view.approval.to <= stage => Badge::new("is-off", "used"),
            false => Badge::new("is-off", "void: what it covers has changed"),
        },
    }
}

fn evidence(seen: &RolloutDetails) -> Vec<EvidenceRow> {
    let rows = seen.evidence.iter().take(MOST_LISTED);
    let rows = rows.map(|evidence| EvidenceRow {
        kind: evidence.kind.name().replace('_', " "),
        badge: match evidence.verdict {
            Verdict::Pass => Badge::new("is-good", "pass"),
            Verdict::Fail => Badge::new("is-bad", "fail"),
        },
        summary: evidence.summary.clone(),
        url: evidence.url.clone(),
        by: evidence.by.clone(),
        at: When::of(evidence.at, seen.now),
    });
    rows.collect()
}

/// What installations have said of the flag, those that override it first.
fn sites(seen: &RolloutDetails) -> Vec<SiteRow> {
    let flag = &seen.route.spec.flag;
    let censuses = seen.overview.facts.proof.censuses.iter();
    let mut by_override: BTreeMap<(bool, String), SiteRow> = BTreeMap::new();
    for census in censuses {
        let said = census.overrides.get(flag);
        let row = SiteRow {
            site: census.site.to_string(),
            release: match &census.release {
                Some(release) => release.to_string(),
                None => "–".to_owned(),
            },
            badge: match said {
                Some(true) => Badge::new("is-new", format!("{flag}=1, new path")),
                Some(false) => Badge::new("is-old", format!("{flag}=0, old path")),
                None => Badge::new("is-good", "no override"),
            },
            taken: When::of(census.taken_at, seen.now),
        };
        by_override.insert((said.is_none(), row.site.clone()), row);
    }
    by_override.into_values().take(MOST_LISTED).collect()
}

/// One rollout with everything about it.
#[get("/routes/{route}/environments/{environment}")]
pub(super) async fn show(
    app: Data<Arc<App>>,
    signed: Signed<Viewer>,
    target: OfRollout,
    query: Query<Asked>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let actor = signed.session.actor.clone();
    let (span, part) = (Span::named(&query.0.span), query.0.part());
    let seen = app
        .blocking(move |services| services.rollout_details(&actor, &target.0, span.asked(), part))
        .await?;
    let shell = Shell::of(&signed.session, Section::Board, seen.now);
    let page = RolloutPage::of(
        shell,
        &signed.session.actor,
        seen,
        span,
        part.before.is_some(),
    );
    answer(&request, StatusCode::OK, &page)
}
