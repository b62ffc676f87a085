//! What events are called: one name for each action of the record.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::actor::Actor;
use crate::domain::audit::AuditEntry;

/// What a test message is.
pub(super) const PING: &str = "webhook.ping";
/// What guards do goes under this name too.
const GUARD: &str = "guard";

/// The action on record, and what its event is called. What is before the dot is its kind.
const TYPES: &[(&str, &str)] = &[
    ("promote", "rollout.promoted"),
    ("break_glass_promote", "rollout.promoted_by_break_glass"),
    ("demote", "rollout.demoted"),
    ("break_glass_demote", "rollout.demoted_by_break_glass"),
    ("halt", "rollout.halted"),
    ("resume", "rollout.resumed"),
    ("setting", "rollout.setting_changed"),
    ("cohorts", "rollout.cohorts_changed"),
    ("acceptance_open", "acceptance.opened"),
    ("acceptance_close", "acceptance.closed"),
    ("ramp_plan", "ramp.planned"),
    ("ramp_start", "ramp.started"),
    ("ramp_pause", "ramp.paused"),
    ("ramp_resume", "ramp.resumed"),
    ("ramp_advance", "ramp.advanced"),
    ("ramp_finish", "ramp.finished"),
    ("mirror", "mirror.changed"),
    ("mirror_stop", "mirror.stopped"),
    ("flip_hold", "flip.announced"),
    ("flip_abandoned", "flip.abandoned"),
    ("generation_raise", "flip.generation_raised"),
    ("guard_notify", "guard.notified"),
    ("approve", "approval.given"),
    ("approval_withdraw", "approval.withdrawn"),
    ("evidence", "evidence.added"),
    ("external_put", "external.stated"),
    ("external_remove", "external.removed"),
    ("external_confirm", "external.confirmed"),
    ("external_confirm_for_owner", "external.confirmed_for_owner"),
    ("external_withdraw", "external.withdrawn"),
    ("create", "route.created"),
    ("route_change", "route.changed"),
    ("ready", "route.ready"),
    ("retire", "route.retired"),
    ("break_glass_retire", "route.retired_by_break_glass"),
    ("plan_put", "plan.written"),
    ("plan_delete", "plan.deleted"),
    ("plan_tick", "plan.step_done"),
    ("plan_untick", "plan.step_undone"),
    ("plan_step", "plan.step_changed"),
    ("plan_order", "plan.order_changed"),
    ("plan_bind", "plan.section_bound"),
    ("runbook_put", "runbook.written"),
    ("runbook_remove", "runbook.removed"),
    ("release_freeze", "release.frozen"),
    ("release_publish", "release.published"),
    ("release_delete", "release.deleted"),
    ("census_import", "census.imported"),
    ("census_delete", "census.deleted"),
    ("freeze_open", "freeze.opened"),
    ("freeze_close", "freeze.closed"),
    ("policy", "policy.written"),
    ("policy_delete", "policy.deleted"),
    ("break_glass_policy", "policy.loosened_by_break_glass"),
    ("cohort_create", "cohort.created"),
    ("cohort_edit", "cohort.changed"),
    ("cohort_delete", "cohort.deleted"),
    ("ramp_group", "ramp_group.written"),
    ("ramp_group_delete", "ramp_group.deleted"),
    ("environment_create", "environment.created"),
    ("environment_change", "environment.changed"),
    ("new_epoch", "environment.epoch_begun"),
    ("sdk_key_create", "access.sdk_key_created"),
    ("sdk_key_revoke", "access.sdk_key_revoked"),
    ("token_revoke", "access.token_revoked"),
    ("backfill_start", "backfill.started"),
    ("backfill_pause", "backfill.paused"),
    ("backfill_resume", "backfill.resumed"),
    ("backfill_reset", "backfill.reset"),
    ("backfill_complete", "backfill.completed"),
    ("consistency_run", "consistency.ordered"),
    ("consistency_schedule", "consistency.scheduled"),
    ("repairs_retry", "repair.retried"),
    ("repairs_resolve", "repair.resolved"),
    ("stores_verified", "repair.stores_verified"),
    ("writer_gone", "repair.writer_declared_gone"),
    ("scan_post", "scan.posted"),
    ("scan_forget", "scan.forgotten"),
    ("estimate", "preparation.estimated"),
    ("move_ahead", "preparation.decided"),
    ("complete_phase", "preparation.phase_completed"),
    ("shelve", "preparation.shelved"),
    ("take_up", "preparation.taken_up"),
    ("webhook_create", "webhook.created"),
    ("webhook_change", "webhook.changed"),
    ("webhook_rotate", "webhook.secret_changed"),
    ("webhook_disable", "webhook.disabled"),
    ("webhook_needs_secret", "webhook.needs_secret"),
    ("webhook_delete", "webhook.deleted"),
];

/// What the event of an action is called: the same for as long as the product lives.
#[must_use]
pub fn event_type(action: &str) -> String {
    let named = TYPES.iter().find(|(known, _)| *known == action);
    named.map_or_else(
        || format!("other.{action}"),
        |(_, named)| (*named).to_owned(),
    )
}

/// Every name of an event, without those of test messages.
pub fn event_types() -> impl Iterator<Item = &'static str> {
    TYPES.iter().map(|(_, named)| *named)
}

/// A kind of events (`release`), or one of them (`rollout.halted`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Selector(String);

impl Selector {
    /// Whether it selects the event of an entry. `guard` selects all that guards do.
    #[must_use]
    pub fn selects(&self, entry: &AuditEntry) -> bool {
        let named = event_type(&entry.action);
        let kind = named.split('.').next().unwrap_or_default();
        let by_guard = self.0 == GUARD && Actor::is_guard(&entry.actor.subject);
        self.0 == named || self.0 == kind || by_guard
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Selector, String> {
        let is_kind = |named: &str| named.split('.').next() == Some(text);
        if event_types().any(|named| named == text || is_kind(named)) {
            return Ok(Selector(text.to_owned()));
        }
        let mut kinds: Vec<&str> = event_types()
            .filter_map(|named| named.split('.').next())
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        Err(format!(
            "is a kind of events ({}) or one event, such as rollout.halted",
            kinds.join(", ")
        ))
    }
}

/// As it is on record: what was legal once is read for ever.
impl TryFrom<String> for Selector {
    type Error = String;

    fn try_from(text: String) -> Result<Selector, String> {
        Ok(Selector(text))
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> String {
        selector.0
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
