//! What is said of a route, changed.

use std::collections::BTreeMap;

use switchover::{RouteKey, Setting};

use crate::domain::actor::Role;
use crate::domain::lifecycle::{Command, route_door};
use crate::domain::policy::Numbers;
use crate::domain::refusal::Refusal;
use crate::domain::route::{Labels, Links, Operation, RouteSpec};
use crate::domain::schedule::Schedule;
use crate::domain::text::Reason;
use crate::service::policy::is_watched_otherwise;
use crate::service::route::{
    RouteWithRollouts, check_requirements, described, expect_tag, lock_route, own_policy,
    with_rollouts,
};
use crate::service::work::Work;
use crate::service::{Answer, Ctx, Failure, Render, Services};
use crate::store::Tx;

/// What is to be different about a route; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "as in RouteSpec")]
pub struct RoutePatch {
    pub endpoint: Option<String>,
    pub operation: Option<Operation>,
    pub owner: Option<String>,
    pub policy: Option<String>,
    pub policy_numbers: Option<Numbers>,
    pub requires: Option<Vec<String>>,
    /// `Some(None)` takes the route out of its group.
    pub ramp_group: Option<Option<String>>,
    pub labels: Option<Labels>,
    pub contacts: Option<Labels>,
    pub description: Option<String>,
    pub links: Option<Links>,
    /// The days by environment and stage, all of them.
    pub schedule: Option<BTreeMap<String, BTreeMap<String, String>>>,
    /// Whether the route is demoted where it would be ahead of what it requires.
    pub cascade: bool,
}

impl Services {
    /// Changes what is said of a route.
    ///
    /// # Errors
    /// When there is none, it has changed, or what it would be is not allowed.
    pub fn patch_route(
        &self,
        ctx: &Ctx,
        key: &RouteKey,
        patch: &RoutePatch,
        reason: &Reason,
        render: Render<'_, RouteWithRollouts>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            apply_patch(work, key, patch, reason)?;
            with_rollouts(work.tx, key)
        })
    }
}

fn apply_patch(
    work: &mut Work<'_, '_>,
    key: &RouteKey,
    patch: &RoutePatch,
    reason: &Reason,
) -> Result<(), Failure> {
    lock_route(work, key)?;
    let found = with_rollouts(work.tx, key)?;
    expect_tag(work.ctx, &found)?;
    let before = &found.route;
    if before.retired_at.is_some() {
        return Err(Failure::Refused(Refusal::Retired(key.clone())));
    }
    let spec = patched(&before.spec, patch)?;
    let schedule = match &patch.schedule {
        Some(said) => {
            Schedule::parse(said.clone(), &work.tx.environments()?).map_err(Failure::Invalid)?
        }
        None => before.schedule.clone(),
    };
    if spec == before.spec && schedule == before.schedule {
        return Ok(());
    }
    let moves = spec.ramp_group != before.spec.ramp_group
        || spec.requires != before.spec.requires
        || spec.operation != before.spec.operation;
    if moves {
        refuse_while_doubled(&found)?;
    }
    if spec.ramp_group != before.spec.ramp_group {
        refuse_regrouping(&found)?;
    }
    let relaxes = relaxes_policy(work.tx, &before.spec, &spec)?;
    if relaxes && work.ctx.actor.role < Role::Admin {
        return Err(Failure::Refused(Refusal::Forbidden {
            needs: Role::Admin,
            to_do: format!("taking gates from `{key}` (policy {})", spec.policy),
        }));
    }
    if spec.requires != before.spec.requires {
        check_requirements(work.tx, &spec, before.is_ready())?;
        stay_behind_requirements(work, &found, &spec, patch.cascade, reason)?;
        if !spec.requires.is_superset(&before.spec.requires) {
            pass_the_door(work, &found, reason)?;
        }
    }
    let mut after = before.clone();
    after.spec = spec;
    after.schedule = schedule;
    after.revision += 1;
    work.tx.update_route(&after, before.revision)?;
    let publishes = after.spec.requires != before.spec.requires
        || after.spec.ramp_group != before.spec.ramp_group;
    if publishes {
        for (_, environment) in &found.rollouts {
            let revision = work.revision(&environment.key)?;
            work.tx
                .republish(key, &environment.key, revision, work.now)?;
        }
    }
    if !publishes && is_watched_anew(work.tx, &before.spec, &after.spec)? {
        for (_, environment) in &found.rollouts {
            let revision = work.revision(&environment.key)?;
            let routes = [key.as_str()];
            work.tx.publish_anew(&routes, &environment.key, revision)?;
        }
    }
    let record = (described(before), described(&after));
    let action = if relaxes {
        "break_glass_policy"
    } else {
        "route_change"
    };
    work.record(action, Some(key), None, reason.as_str(), record);
    Ok(())
}

fn patched(spec: &RouteSpec, patch: &RoutePatch) -> Result<RouteSpec, Failure> {
    let mut raw = spec.to_raw();
    let patch = patch.clone();
    raw.endpoint = patch.endpoint.unwrap_or(raw.endpoint);
    raw.operation = patch.operation.unwrap_or(raw.operation);
    raw.owner = patch.owner.unwrap_or(raw.owner);
    raw.policy = patch.policy.or(raw.policy);
    raw.policy_numbers = patch.policy_numbers.unwrap_or(raw.policy_numbers);
    raw.requires = patch.requires.unwrap_or(raw.requires);
    raw.ramp_group = patch.ramp_group.unwrap_or(raw.ramp_group);
    raw.labels = patch.labels.unwrap_or(raw.labels);
    raw.contacts = patch.contacts.unwrap_or(raw.contacts);
    raw.description = patch.description.unwrap_or(raw.description);
    raw.links = patch.links.unwrap_or(raw.links);
    RouteSpec::parse(raw).map_err(Failure::Invalid)
}

/// Whether a promotion needs less under the policy and the numbers that the route would have. Who
/// may take gates away could do without them, so that is for admins and has its own kind of entry.
fn relaxes_policy(tx: &mut Tx<'_>, before: &RouteSpec, after: &RouteSpec) -> Result<bool, Failure> {
    if before.policy == after.policy && before.policy_numbers == after.policy_numbers {
        return Ok(false);
    }
    let wanted = own_policy(tx, after)?;
    let Some(had) = tx.policy_of_routes(&before.policy)? else {
        return Ok(false);
    };
    Ok(wanted.is_laxer_than(&had.policy.with_numbers(&before.policy_numbers)))
}

/// Whether other guards watch the route, or by other limits.
fn is_watched_anew(
    tx: &mut Tx<'_>,
    before: &RouteSpec,
    after: &RouteSpec,
) -> Result<bool, Failure> {
    if before.policy == after.policy && before.policy_numbers == after.policy_numbers {
        return Ok(false);
    }
    let had = tx.policy_of_routes(&before.policy)?;
    let has = tx.policy_of_routes(&after.policy)?;
    Ok(match (had, has) {
        (Some(had), Some(has)) => is_watched_otherwise(
            &had.policy,
            &before.policy_numbers,
            &has.policy,
            &after.policy_numbers,
        ),
        _ => true,
    })
}

/// Where writes go to two stores, keys move by announced flips alone.
fn refuse_while_doubled(found: &RouteWithRollouts) -> Result<(), Failure> {
    let doubled: Vec<String> = found
        .rollouts
        .iter()
        .filter(|(rollout, _)| rollout.is_doubled(&found.route))
        .map(|(rollout, _)| rollout.environment.to_string())
        .collect();
    if doubled.is_empty() {
        return Ok(());
    }
    Err(Failure::Conflict(format!(
        "`{}` is written in two stores in {}: another operation, ramp group or requirement would move \
         keys between them unannounced; end the double writing first (switchover mirror …)",
        found.route.spec.key,
        doubled.join(", ")
    )))
}

/// Another group is another selection of keys: in the middle of a ramp keys would move back.
fn refuse_regrouping(found: &RouteWithRollouts) -> Result<(), Failure> {
    let ramping: Vec<String> = found
        .rollouts
        .iter()
        .filter(|(rollout, _)| {
            let taken_back = rollout
                .acceptance
                .as_ref()
                .map(|window| window.setting_before);
            [Some(rollout.setting), taken_back]
                .iter()
                .any(|setting| matches!(setting, Some(Setting::Ramp { .. })))
        })
        .map(|(rollout, _)| rollout.environment.to_string())
        .collect();
    if ramping.is_empty() {
        return Ok(());
    }
    Err(Failure::Conflict(format!(
        "the ramp group cannot change while the route is on a ramp ({}): keys would move back",
        ramping.join(", ")
    )))
}

fn stay_behind_requirements(
    work: &mut Work<'_, '_>,
    found: &RouteWithRollouts,
    spec: &RouteSpec,
    cascade: bool,
    reason: &Reason,
) -> Result<(), Failure> {
    let required: Vec<&str> = spec.requires.iter().map(RouteKey::as_str).collect();
    let required = work.tx.rollouts_of(&required)?;
    for (rollout, environment) in &found.rollouts {
        let least = required
            .iter()
            .filter(|other| other.environment == environment.key)
            .map(|other| other.stage)
            .min();
        match least {
            Some(least) if least < rollout.stage && cascade => {
                let command = Command::Demote {
                    to: least,
                    break_glass: false,
                    halt: false,
                };
                work.run(&found.route, environment, &command, reason.as_str())
                    .map_err(|failure| without_cascade(&spec.key, failure))?;
            }
            Some(least) if least < rollout.stage => {
                return Err(Failure::Conflict(format!(
                    "`{}` is at {} in {}, ahead of what it would require ({least}): promote that \
                     first, or pass `cascade: true` to demote this one",
                    spec.key, rollout.stage, environment.key
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A requirement that is taken away lets keys take the new path that it kept on the old one.
fn pass_the_door(
    work: &mut Work<'_, '_>,
    found: &RouteWithRollouts,
    reason: &Reason,
) -> Result<(), Failure> {
    for (rollout, environment) in &found.rollouts {
        // As a resume is judged: by freezes and by the ramp.
        let facts = work.facts(&found.route, environment, &Command::Resume, reason.as_str())?;
        route_door(rollout, &facts)?;
    }
    Ok(())
}

/// Only the route itself is demoted here: to pass `cascade` once more would not help.
fn without_cascade(route: &RouteKey, failure: Failure) -> Failure {
    let Failure::Refused(Refusal::Dependents { ahead, .. }) = failure else {
        return failure;
    };
    let names: Vec<String> = ahead
        .iter()
        .map(|(key, stage)| format!("{key} ({stage})"))
        .collect();
    Failure::Refused(Refusal::Dependents {
        detail: format!(
            "{} would be ahead of `{route}`, which they require: demote them first",
            names.join(", ")
        ),
        ahead,
    })
}
