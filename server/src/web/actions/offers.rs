//! What can be done with a rollout, or with a route, by whom looks at it: what makes sense now, and
//! why not where it would be refused in any case. What else it needs, its form says.

use askama::Template;
use askama::filters::HtmlSafe;
use switchover::{EnvironmentKind, Stage};

use crate::domain::actor::{Actor, Role};
use crate::domain::environment::Environment;
use crate::domain::ramp::{Ramp, RampState};
use crate::domain::rollout::Rollout;
use crate::domain::route::{Operation, Route};
use crate::service::Target;
use crate::web::Shell;

/// How much an offer asks to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The next step.
    Primary,
    /// It takes something away from callers, or cannot be undone.
    Danger,
    /// All others.
    Quiet,
}

/// Something that can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Such as `Promote`.
    pub(crate) label: &'static str,
    /// Where its form is.
    pub(crate) address: String,
    pub(crate) kind: Kind,
    /// Why it would be refused now; `None` where nothing is known to be against it.
    pub(crate) why_not: Option<String>,
}

impl Offer {
    /// The classes of its button.
    pub(crate) const fn class(&self) -> &'static str {
        match self.kind {
            Kind::Primary => "button primary",
            Kind::Danger => "button danger",
            Kind::Quiet => "button",
        }
    }
}

/// Where a rollout is shown.
pub(super) fn address(target: &Target) -> String {
    format!(
        "/routes/{}/environments/{}",
        target.route, target.environment
    )
}

/// A halt as one form: a single button, and a reason that can be written over.
#[derive(Template)]
#[template(path = "actions/halt_inline.html")]
pub(crate) struct HaltInline {
    address: String,
    /// Tells this form's fields from those of others on the same page.
    id: String,
    environment: String,
    csrf: String,
    once: String,
}

impl HtmlSafe for HaltInline {}

impl HaltInline {
    /// The form for one rollout, in pages of whom the shell is around.
    pub(crate) fn of(shell: &Shell, target: &Target) -> HaltInline {
        HaltInline {
            address: format!("{}/halt", address(target)),
            id: format!("{}-{}", target.route, target.environment),
            environment: target.environment.to_string(),
            csrf: shell.csrf().to_owned(),
            once: shell.once(),
        }
    }
}

/// Collects offers below one address.
struct Offers {
    base: String,
    found: Vec<Offer>,
}

impl Offers {
    fn add(&mut self, label: &'static str, slug: &str, kind: Kind, why_not: Option<String>) {
        self.found.push(Offer {
            label,
            address: format!("{}/{slug}", self.base),
            kind,
            why_not,
        });
    }
}

/// What this person can do with a rollout as it is; nothing for who only looks.
pub(crate) fn offered(
    actor: &Actor,
    route: &Route,
    rollout: &Rollout,
    environment: &Environment,
) -> Vec<Offer> {
    if actor.role < Role::Operator || route.retired_at.is_some() {
        return Vec::new();
    }
    let target = Target {
        route: rollout.route.clone(),
        environment: rollout.environment.clone(),
    };
    let mut offers = Offers {
        base: address(&target),
        found: Vec::new(),
    };
    let moving = rollout.data.hold.as_ref().map(|_| {
        "keys are about to move between the two stores: wait for the end of it".to_owned()
    });
    switches(&mut offers, rollout, moving.clone());
    stages(&mut offers, actor, (rollout, environment), moving.as_ref());
    exposure(
        &mut offers,
        actor,
        (route, rollout, environment),
        moving.as_ref(),
    );
    proof(&mut offers, actor, rollout);
    if route.spec.operation == Operation::Write && environment.kind == EnvironmentKind::Hosted {
        stores(&mut offers, actor);
    }
    offers.found
}

/// What this person can do with a route as a whole.
pub(crate) fn offered_of_route(
    actor: &Actor,
    route: &Route,
    rollouts: &[(Rollout, Environment)],
) -> Vec<Offer> {
    if actor.role < Role::Operator || route.retired_at.is_some() {
        return Vec::new();
    }
    let mut offers = Offers {
        base: format!("/routes/{}", route.spec.key),
        found: Vec::new(),
    };
    if route.preparation.is_some() && !route.is_ready() {
        offers.add(
            "Take the preparation further",
            "prepare",
            Kind::Primary,
            None,
        );
    }
    let is_maintainer = below(actor, Role::Maintainer);
    offers.add(
        "Edit owner and links",
        "edit",
        Kind::Quiet,
        is_maintainer.clone(),
    );
    offers.add("Write the runbook", "runbook", Kind::Quiet, None);
    let is_mandatory = |(rollout, _): &(Rollout, Environment)| rollout.stage == Stage::Mandatory;
    if !rollouts.is_empty() && rollouts.iter().all(is_mandatory) {
        offers.add("Retire", "retire", Kind::Danger, is_maintainer);
    }
    offers.found
}

fn below(actor: &Actor, needs: Role) -> Option<String> {
    (actor.role < needs).then(|| format!("this needs the role {needs} or above"))
}

fn switches(offers: &mut Offers, rollout: &Rollout, moving: Option<String>) {
    match (&rollout.halt, rollout.stage) {
        (_, Stage::Mandatory) => {}
        (Some(_), _) => offers.add("Resume", "resume", Kind::Primary, moving),
        (None, _) => offers.add("Halt", "halt", Kind::Danger, None),
    }
}

fn stages(
    offers: &mut Offers,
    actor: &Actor,
    (rollout, environment): (&Rollout, &Environment),
    moving: Option<&String>,
) {
    if rollout.stage.next().is_some() {
        let role = match environment.is_guarded() {
            true => Role::Maintainer,
            false => Role::Operator,
        };
        let halted = rollout.halt.as_ref();
        let why_not = halted
            .map(|_| "it is halted: resume it first".to_owned())
            .or_else(|| moving.cloned())
            .or_else(|| below(actor, role));
        let kind = match rollout.halt {
            None => Kind::Primary,
            Some(_) => Kind::Quiet,
        };
        offers.add("Promote", "promote", kind, why_not);
    }
    if rollout.stage > Stage::ReadyForTesting {
        let role = match rollout.stage {
            Stage::Mandatory => Role::Admin,
            _ => Role::Operator,
        };
        offers.add("Demote", "demote", Kind::Quiet, below(actor, role));
    }
}

fn exposure(
    offers: &mut Offers,
    actor: &Actor,
    (route, rollout, environment): (&Route, &Rollout, &Environment),
    moving: Option<&String>,
) {
    let is_hosted = environment.kind == EnvironmentKind::Hosted;
    if rollout.stage == Stage::Mandatory {
        return;
    }
    if is_hosted && rollout.stage == Stage::ReadyForTesting {
        if rollout.acceptance.is_some() {
            let label = "Close the acceptance window";
            offers.add(label, "acceptance-close", Kind::Primary, moving.cloned());
        }
        let why_not = rollout
            .halt
            .as_ref()
            .map(|_| "it is halted: resume it first".to_owned())
            .or_else(|| moving.cloned())
            .or_else(|| below(actor, Role::Maintainer));
        let label = "Open an acceptance window";
        offers.add(label, "acceptance", Kind::Quiet, why_not);
    }
    if is_hosted && matches!(rollout.stage, Stage::OptIn | Stage::OptOut) {
        ramp(offers, rollout, moving);
    }
    offers.add(
        "Change the setting",
        "setting",
        Kind::Quiet,
        moving.cloned(),
    );
    let label = "Include or exclude keys";
    offers.add(label, "cohorts", Kind::Quiet, moving.cloned());
    if is_hosted && route.spec.operation != Operation::Call {
        offers.add("Change the mirror", "mirror", Kind::Quiet, moving.cloned());
    }
}

fn ramp(offers: &mut Offers, rollout: &Rollout, moving: Option<&String>) {
    let halted = rollout.halt.as_ref();
    let why_not = halted
        .map(|_| "it is halted: resume it first".to_owned())
        .or_else(|| moving.cloned());
    let state = rollout.ramp.as_ref().map(|Ramp { state, .. }| state);
    match state {
        Some(RampState::Running { .. }) => {
            offers.add("Pause the ramp", "ramp-pause", Kind::Primary, None);
            return;
        }
        Some(RampState::Ready { .. } | RampState::Paused { at: None, .. }) => {
            offers.add("Start the ramp", "ramp-start", Kind::Primary, why_not);
        }
        Some(RampState::Paused { at: Some(_), .. }) => {
            offers.add("Resume the ramp", "ramp-resume", Kind::Primary, why_not);
        }
        Some(RampState::Finished { .. }) | None => {}
    }
    let label = match state {
        None | Some(RampState::Finished { .. }) => "Plan a ramp",
        Some(_) => "Change the ramp's steps",
    };
    offers.add(label, "ramp", Kind::Quiet, moving.cloned());
}

fn proof(offers: &mut Offers, actor: &Actor, rollout: &Rollout) {
    offers.add("Add evidence", "evidence", Kind::Quiet, None);
    if rollout.stage.next().is_some() {
        let why_not = below(actor, Role::Maintainer);
        let label = "Approve the promotion";
        offers.add(label, "approve", Kind::Quiet, why_not.clone());
        let label = "Withdraw an approval";
        offers.add(label, "withdraw-approval", Kind::Quiet, why_not);
    }
}

fn stores(offers: &mut Offers, actor: &Actor) {
    offers.add(
        "Pause, resume or reset a backfill",
        "backfill",
        Kind::Quiet,
        None,
    );
    offers.add("Settle repairs", "repairs", Kind::Quiet, None);
    offers.add("Compare the stores", "consistency", Kind::Quiet, None);
    let label = "Schedule comparisons";
    offers.add(label, "consistency-schedule", Kind::Quiet, None);
    let label = "Declare a writer gone";
    let why_not = below(actor, Role::Maintainer);
    offers.add(label, "writers", Kind::Quiet, why_not);
}

#[cfg(test)]
mod tests;
