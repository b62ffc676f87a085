//! The preparation of a route, from its analysis to being ready.

use serde_json::json;
use switchover::RouteKey;

use crate::domain::preparation::{Command, Mark};
use crate::domain::refusal::Refusal;
use crate::domain::route::Route;
use crate::domain::text::Reason;
use crate::service::route::{
    RouteWithRollouts, expect_tag, lock_route, publish_new, with_rollouts,
};
use crate::service::work::Work;
use crate::service::{Answer, Ctx, Failure, Render, Services};

impl Services {
    /// Takes the preparation of a route a step further, or back. With its last step the route is
    /// published: ready for testing in every environment.
    ///
    /// # Errors
    /// When there is no such route, it has changed, or the process has no such step from here.
    pub fn prepare_route(
        &self,
        ctx: &Ctx,
        key: &RouteKey,
        command: &Command,
        reason: &Reason,
        render: Render<'_, RouteWithRollouts>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            lock_route(work, key)?;
            let found = with_rollouts(work.tx, key)?;
            expect_tag(work.ctx, &found)?;
            apply(work, &found.route, command, reason)?;
            with_rollouts(work.tx, key)
        })
    }
}

fn apply(
    work: &mut Work<'_, '_>,
    before: &Route,
    command: &Command,
    reason: &Reason,
) -> Result<(), Failure> {
    let key = &before.spec.key;
    let Some(preparation) = &before.preparation else {
        return Err(Failure::Refused(Refusal::InvalidTransition(format!(
            "`{key}` was ready when it was created: there is nothing to prepare"
        ))));
    };
    let mark = Mark {
        by: work.ctx.actor.subject.clone(),
        at: work.now,
        reason: reason.to_string(),
    };
    let after = preparation.after(key, command, mark)?;
    if after == *preparation {
        return Ok(());
    }
    let mut route = before.clone();
    route.preparation = Some(after);
    route.revision += 1;
    let (was, is) = (json!(before.preparation), json!(route.preparation));
    work.tx.update_route(&route, before.revision)?;
    work.record(
        command.action(),
        Some(key),
        None,
        reason.as_str(),
        (was, is),
    );
    if route.is_ready() {
        refuse_unready_requirements(work, &route)?;
        publish_new(work, std::slice::from_ref(key))?;
        let record = (json!({ "ready": false }), json!({ "ready": true }));
        work.record("ready", Some(key), None, reason.as_str(), record);
    }
    Ok(())
}

/// A route that is not published decides old, and so would all that require it.
fn refuse_unready_requirements(work: &mut Work<'_, '_>, route: &Route) -> Result<(), Failure> {
    for required in &route.spec.requires {
        let required = work.route(required)?;
        if !required.is_ready() {
            let Refusal::NotReady(why) = required.not_ready() else {
                continue;
            };
            return Err(Failure::Refused(Refusal::NotReady(format!(
                "`{}` would be ready, but it requires `{}`: {why}",
                route.spec.key, required.spec.key
            ))));
        }
    }
    Ok(())
}
