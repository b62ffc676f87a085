//! What a form is about: a rollout, or a route as a whole, as it is now.

use actix_web::HttpRequest;
use chrono::{DateTime, Utc};
use switchover::RouteKey;

use crate::domain::actor::{Actor, Role};
use crate::domain::environment::Environment;
use crate::domain::loss::LossRisk;
use crate::domain::refusal::Refusal;
use crate::domain::rollout::Rollout;
use crate::domain::route::Operation;
use crate::http::error::Problem;
use crate::http::extract::in_path;
use crate::service::{
    Failure, RouteWithRollouts, RunbookView, Seen, Services, Target, rollout_tag,
};
use crate::web::actions::offers;
use crate::web::actions::told;

/// What a form is about.
pub(crate) trait Scene: Sized + Send + 'static {
    /// Its name, as the address has it.
    type Name: Send + 'static;

    /// The address below which its forms are.
    const PATTERN: &'static str;

    /// Who and what the address names.
    ///
    /// # Errors
    /// When nothing can have such a name.
    fn named(request: &HttpRequest) -> Result<Self::Name, Problem>;

    /// It, as it is now.
    ///
    /// # Errors
    /// When there is no such thing.
    fn load(services: &Services, actor: &Actor, name: Self::Name) -> Result<Self, Failure>;

    /// Where it is shown.
    fn address(&self) -> String;

    /// What people call it.
    fn title(&self) -> String;

    /// The route that it is, or is of.
    fn route(&self) -> &RouteKey;

    /// The rollout that it is; none for a route as a whole.
    fn target(&self) -> Option<&Target>;

    /// Whether real users depend on it.
    fn is_production(&self) -> bool;

    /// Which state of it somebody has seen.
    fn tag(&self) -> &str;

    /// As it is now, in words.
    fn facts(&self) -> Vec<(&'static str, String)>;
}

/// A rollout.
pub(crate) struct OnRollout {
    pub(super) actor: Actor,
    pub(super) target: Target,
    pub(super) found: RouteWithRollouts,
    pub(super) seen: Seen,
    pub(super) risk: LossRisk,
    pub(super) now: DateTime<Utc>,
    tag: String,
}

impl OnRollout {
    pub(super) fn rollout(&self) -> &Rollout {
        &self.seen.rollout
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.seen.environment
    }

    pub(super) fn is_admin(&self) -> bool {
        self.actor.role >= Role::Admin
    }

    /// What going back to the old store would cost, where it costs anything.
    pub(super) fn loss(&self) -> Option<String> {
        (self.risk != LossRisk::None).then(|| self.risk.told())
    }

    pub(super) fn has_stores(&self) -> bool {
        self.found.route.spec.operation == Operation::Write
    }
}

impl Scene for OnRollout {
    type Name = Target;

    const PATTERN: &'static str = "/routes/{route}/environments/{environment}";

    fn named(request: &HttpRequest) -> Result<Target, Problem> {
        Ok(Target {
            route: in_path(request, "route", "route")?,
            environment: in_path(request, "environment", "environment")?,
        })
    }

    fn load(services: &Services, actor: &Actor, target: Target) -> Result<OnRollout, Failure> {
        let seen = services.rollout(&target)?;
        let found = not_retired(services.route(&target.route)?)?;
        let risk = match found.route.spec.operation {
            Operation::Write => services.going_back(&target)?.risk,
            Operation::Read | Operation::Call => LossRisk::None,
        };
        Ok(OnRollout {
            actor: actor.clone(),
            tag: rollout_tag(&services.epoch()?, &seen.rollout),
            now: services.now(),
            target,
            found,
            seen,
            risk,
        })
    }

    fn address(&self) -> String {
        offers::address(&self.target)
    }

    fn title(&self) -> String {
        format!("{} in {}", self.target.route, self.target.environment)
    }

    fn route(&self) -> &RouteKey {
        &self.target.route
    }

    fn target(&self) -> Option<&Target> {
        Some(&self.target)
    }

    fn is_production(&self) -> bool {
        self.environment().is_guarded()
    }

    fn tag(&self) -> &str {
        &self.tag
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        told::state(self.rollout(), self.environment(), self.now)
    }
}

/// Nothing is changed of a route that is retired.
fn not_retired(found: RouteWithRollouts) -> Result<RouteWithRollouts, Failure> {
    match found.route.retired_at {
        None => Ok(found),
        Some(_) => Err(Failure::Refused(Refusal::Retired(found.route.spec.key))),
    }
}

/// A route as a whole.
pub(crate) struct OnRoute {
    pub(super) found: RouteWithRollouts,
    /// The runbook that is kept here.
    pub(super) runbook: Option<RunbookView>,
    pub(super) is_admin: bool,
}

impl Scene for OnRoute {
    type Name = RouteKey;

    const PATTERN: &'static str = "/routes/{route}";

    fn named(request: &HttpRequest) -> Result<RouteKey, Problem> {
        in_path(request, "route", "route")
    }

    fn load(services: &Services, actor: &Actor, key: RouteKey) -> Result<OnRoute, Failure> {
        Ok(OnRoute {
            is_admin: actor.role >= Role::Admin,
            found: not_retired(services.route(&key)?)?,
            runbook: match services.runbook(&key) {
                Err(Failure::Missing(_)) => None,
                kept => Some(kept?),
            },
        })
    }

    fn address(&self) -> String {
        format!("/routes/{}", self.route())
    }

    fn title(&self) -> String {
        self.route().to_string()
    }

    fn route(&self) -> &RouteKey {
        &self.found.route.spec.key
    }

    fn target(&self) -> Option<&Target> {
        None
    }

    fn is_production(&self) -> bool {
        let mut rollouts = self.found.rollouts.iter();
        rollouts.any(|(_, environment)| environment.is_guarded())
    }

    fn tag(&self) -> &str {
        &self.found.tag
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        told::standing(&self.found)
    }
}
