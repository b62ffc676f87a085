//! A route in every environment.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get};
use askama::Template;
use switchover::RouteKey;

use crate::domain::actor::Actor;
use crate::domain::audit::AuditEntry;
use crate::domain::environment::Environment;
use crate::domain::next_action::preparing;
use crate::domain::plan::Plan;
use crate::domain::revert::undoing;
use crate::domain::rollout::Rollout;
use crate::domain::route::Route;
use crate::http::App;
use crate::http::extract::{Query, Viewer, in_path};
use crate::service::{RolloutOverview, RouteOverview};
use crate::web::actions::offered_of_route;
use crate::web::route::cards::{Card, Offered, asked_for};
use crate::web::route::gates::NextView;
use crate::web::route::references::InCode;
use crate::web::route::snippet::{Snippet, snippets};
use crate::web::route::stepper::{Step, steps};
use crate::web::route::timeline::TimelineView;
use crate::web::route::{Asked, many};
use crate::web::words::When;
use crate::web::{Section, Shell, Signed, Trouble, answer};

#[derive(Template)]
#[template(path = "route/overview.html")]
struct RoutePage {
    shell: Shell,
    route: Route,
    /// Where more is said of it, by what.
    links: Vec<(&'static str, String)>,
    created: When,
    retired: Option<When>,
    dependents: Vec<String>,
    /// What comes next for it as a whole.
    next: Option<NextView>,
    /// The command line that does it, where a preparation is under way.
    preparing: String,
    /// Its preparation, before it is ready.
    steps: Vec<Step>,
    cards: Vec<Card>,
    /// What can be done with the route as a whole.
    offers: Offered,
    plan: Option<Progress>,
    /// Where repositories use it.
    code: Vec<InCode>,
    timeline: TimelineView,
    snippets: Vec<Snippet>,
}

/// How far a plan is.
pub(super) struct Progress {
    /// The width of the bar, in percent.
    pub(super) width: String,
    pub(super) told: String,
}

impl Progress {
    pub(super) fn of(plan: &Plan) -> Progress {
        let steps = plan.document.steps();
        let done = steps.iter().filter(|step| plan.is_done(step)).count();
        Progress::of_steps(done, steps.len())
    }

    /// So many of so many.
    pub(super) fn of_steps(done: usize, all: usize) -> Progress {
        Progress {
            width: width(done, all),
            told: match all {
                0 => "It has no steps".to_owned(),
                all => format!("{done} of {} done", many(all, "step")),
            },
        }
    }
}

/// A part of a whole in percent, as the width of a bar.
fn width(part: usize, whole: usize) -> String {
    let tenths = part.saturating_mul(1_000).checked_div(whole).unwrap_or(0);
    format!("{}.{}", tenths / 10, tenths % 10)
}

impl RoutePage {
    fn of(shell: Shell, actor: &Actor, seen: RouteOverview, is_part: bool) -> RoutePage {
        let (route, now) = (&seen.route, seen.now);
        let cards = seen.rollouts.iter();
        let cards =
            cards.map(|rollout| Card::of(&shell, actor, route, rollout, &seen.milestones, now));
        let address = format!("/routes/{}", route.spec.key);
        let at = |seen: &RolloutOverview| (seen.rollout.clone(), seen.environment().clone());
        let pairs: Vec<(Rollout, Environment)> = seen.rollouts.iter().map(at).collect();
        let undoes = |entry: &AuditEntry| {
            let mut rollouts = pairs.iter();
            route.retired_at.is_none()
                && rollouts.any(|(rollout, _)| undoing(entry, rollout).is_ok())
        };
        let place = (address.as_str(), &[][..]);
        let timeline = TimelineView::of(&seen.timeline, place, is_part, now, undoes);
        RoutePage {
            links: links(route),
            created: When::of(route.created_at, now),
            retired: route.retired_at.map(|at| When::of(at, now)),
            next: seen.next.as_ref().map(|next| NextView::of(next, now)),
            preparing: preparing(route),
            steps: if route.is_ready() {
                Vec::new()
            } else {
                steps(route, None, &seen.milestones, now)
            },
            cards: cards.collect(),
            offers: Offered::of(
                offered_of_route(actor, route, &pairs),
                seen.next.as_ref().and_then(|next| asked_for(&next.what)),
            ),
            plan: seen.plan.as_ref().map(Progress::of),
            code: seen
                .references
                .iter()
                .map(|of| InCode::of(of, now))
                .collect(),
            timeline,
            snippets: snippets(route),
            dependents: seen.dependents,
            route: seen.route,
            shell,
        }
    }
}

/// The links of a route that are set, by what they are.
fn links(route: &Route) -> Vec<(&'static str, String)> {
    let links = &route.spec.links;
    let all = [
        ("Runbook", &links.runbook),
        ("Dashboard", &links.dashboard),
        ("Alert", &links.alert),
        ("Issue", &links.issue),
    ];
    let set = all.into_iter();
    set.filter_map(|(name, link)| Some((name, link.clone()?)))
        .collect()
}

/// A route in every environment.
#[get("/routes/{route}")]
pub(super) async fn show(
    app: Data<Arc<App>>,
    signed: Signed<Viewer>,
    query: Query<Asked>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let key: RouteKey = in_path(&request, "route", "route")?;
    let (actor, part) = (signed.session.actor.clone(), query.0.part());
    let seen = app
        .blocking(move |services| services.route_overview(&actor, &key, part))
        .await?;
    let shell = Shell::of(&signed.session, Section::Board, seen.now);
    let page = RoutePage::of(shell, &signed.session.actor, seen, part.before.is_some());
    answer(&request, StatusCode::OK, &page)
}
