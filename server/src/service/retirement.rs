//! The end of a route: it is retired.

use switchover::{RouteKey, Stage};

use crate::domain::actor::Role;
use crate::domain::references::check_gone;
use crate::domain::refusal::Refusal;
use crate::domain::text::Reason;
use crate::service::references::unchanged_since;
use crate::service::route::{described, expect_tag, lock_route, with_rollouts};
use crate::service::{Answer, Ctx, Failure, Render, RouteWithRollouts, Services};

impl Services {
    /// Retires a route that is mandatory everywhere, and that no code asks for any more: final. With
    /// `break_glass`, an admin retires it without proof of the latter.
    ///
    /// # Errors
    /// When it is not mandatory everywhere, or scans of the code do not show that it is gone.
    pub fn retire_route(
        &self,
        ctx: &Ctx,
        key: &RouteKey,
        (reason, break_glass): (&Reason, bool),
        render: Render<'_, RouteWithRollouts>,
    ) -> Result<Answer, Failure> {
        if break_glass && ctx.actor.role < Role::Admin {
            return Err(Failure::Refused(Refusal::Forbidden {
                needs: Role::Admin,
                to_do: format!("retiring `{key}` without proof that no code asks for it"),
            }));
        }
        self.change(ctx, render, |work| {
            lock_route(work, key)?;
            let found = with_rollouts(work.tx, key)?;
            expect_tag(work.ctx, &found)?;
            if found.route.retired_at.is_some() {
                return Ok(found);
            }
            if !found.route.is_ready() {
                return Err(Failure::Refused(found.route.not_ready()));
            }
            check_mandatory(&found).map_err(Failure::Refused)?;
            let action = if break_glass {
                "break_glass_retire"
            } else {
                let since = unchanged_since(found.rollouts.iter().map(|(rollout, _)| rollout));
                let scans = work.tx.scans_of_route(key)?;
                check_gone(key, since, &scans).map_err(Failure::Refused)?;
                "retire"
            };
            let mut route = found.route.clone();
            route.retired_at = Some(work.now);
            route.revision += 1;
            work.tx.update_route(&route, found.route.revision)?;
            let (before, after) = (described(&found.route), described(&route));
            work.record(action, Some(key), None, reason.as_str(), (before, after));
            with_rollouts(work.tx, key)
        })
    }
}

fn check_mandatory(found: &RouteWithRollouts) -> Result<(), Refusal> {
    let behind: Vec<String> = found
        .rollouts
        .iter()
        .filter(|(rollout, _)| rollout.stage != Stage::Mandatory)
        .map(|(rollout, _)| format!("{} ({})", rollout.environment, rollout.stage))
        .collect();
    if behind.is_empty() {
        return Ok(());
    }
    Err(Refusal::InvalidTransition(format!(
        "`{}` is not mandatory everywhere: {}; promote it there first",
        found.route.spec.key,
        behind.join(", ")
    )))
}
