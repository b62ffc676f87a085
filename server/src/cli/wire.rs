//! The server's answers, as far as they are shown to people. What is not named here is passed over,
//! so that a newer server can say more.

mod data;
mod flips;
mod many;
mod refs;
mod telemetry;
mod webhooks;

pub(crate) use data::{
    Backfill, ConsistencyRun, ConsistencySchedule, OfStores, Repair, RepairsSettled, Stores,
};
#[cfg(test)]
pub(crate) use data::{Doubt, Said};
pub(crate) use flips::{FlipEnd, FlipHold, Writer};
pub(crate) use many::{HaltedMany, ResumedMany};
pub(crate) use refs::{ReferencesPosted, TrackedRoute, TrackedRoutes};
pub(crate) use telemetry::{Counts, Instance, Paths, Telemetry};
pub(crate) use webhooks::{Delivery, Webhook};

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use serde::Deserialize;
use serde_json::Value;
use switchover::{Percent, Stage};

#[derive(Debug, Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Route {
    pub(crate) key: String,
    pub(crate) flag: String,
    pub(crate) endpoint: String,
    pub(crate) operation: String,
    pub(crate) owner: String,
    pub(crate) policy: String,
    #[serde(default)]
    pub(crate) policy_numbers: BTreeMap<String, f64>,
    pub(crate) requires: Vec<String>,
    pub(crate) ramp_group: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) contacts: BTreeMap<String, String>,
    pub(crate) description: String,
    pub(crate) links: BTreeMap<String, Option<String>>,
    pub(crate) retired_at: Option<DateTime<Utc>>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) preparation: Option<Preparation>,
    #[serde(default)]
    pub(crate) schedule: Vec<Milestone>,
    pub(crate) rollouts: Vec<Rollout>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Preparation {
    pub(crate) at: Vec<String>,
    pub(crate) estimate: Option<Value>,
    pub(crate) priority: Option<u32>,
    pub(crate) decision: Option<Decision>,
    pub(crate) completed: Vec<CompletedPhase>,
    pub(crate) next_step: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Decision {
    pub(crate) decision: String,
    pub(crate) by: String,
    pub(crate) at: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CompletedPhase {
    pub(crate) phase: String,
    pub(crate) by: String,
    pub(crate) at: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Milestone {
    pub(crate) environment: String,
    pub(crate) stage: Stage,
    pub(crate) planned: Option<NaiveDate>,
    pub(crate) actual: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Runbook {
    pub(crate) text: String,
    pub(crate) lacks: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct External {
    pub(crate) name: String,
    pub(crate) owner: String,
    pub(crate) description: String,
    pub(crate) stage: Option<Stage>,
    pub(crate) confirmed: Option<Confirmation>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Confirmation {
    pub(crate) by: String,
    pub(crate) for_owner: bool,
    pub(crate) at: DateTime<Utc>,
    pub(crate) comment: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Rollout {
    pub(crate) environment: String,
    pub(crate) stage: Stage,
    pub(crate) stage_since: DateTime<Utc>,
    pub(crate) next_stage: Option<Stage>,
    pub(crate) setting: Setting,
    pub(crate) halt: Option<Halt>,
    pub(crate) include: BTreeSet<String>,
    pub(crate) exclude: BTreeSet<String>,
    #[serde(default)]
    pub(crate) include_cohorts: BTreeSet<String>,
    #[serde(default)]
    pub(crate) exclude_cohorts: BTreeSet<String>,
    pub(crate) acceptance: Option<Acceptance>,
    #[serde(default)]
    pub(crate) ramp: Option<Ramp>,
    #[serde(default)]
    pub(crate) mirror: Option<Mirror>,
    #[serde(default)]
    pub(crate) generation: u64,
    #[serde(default)]
    pub(crate) hold: Option<FlipHold>,
    #[serde(default)]
    pub(crate) last_flip: Option<FlipEnd>,
    pub(crate) exposure_percent: Percent,
    #[serde(default)]
    pub(crate) revision: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Ramp {
    pub(crate) state: String,
    pub(crate) steps: Vec<RampStep>,
    pub(crate) step: Option<usize>,
    pub(crate) held_s: Option<i64>,
    pub(crate) next_percent: Option<Percent>,
    pub(crate) next_step_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub(crate) waits_for: Vec<RampWait>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RampStep {
    pub(crate) percent: Percent,
    pub(crate) hold: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RampWait {
    pub(crate) guard: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) detail: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Mirror {
    pub(crate) read_percent: Percent,
    pub(crate) write_percent: Percent,
    pub(crate) stopped: Option<Halt>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Setting {
    pub(crate) mode: String,
    pub(crate) percent: Option<Percent>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Halt {
    pub(crate) at: DateTime<Utc>,
    pub(crate) by: String,
    pub(crate) reason: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Acceptance {
    pub(crate) until: DateTime<Utc>,
    pub(crate) percent: Percent,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Transition {
    pub(crate) action: String,
    pub(crate) route: String,
    pub(crate) environment: String,
    pub(crate) from: Stage,
    pub(crate) to: Stage,
    pub(crate) changed: bool,
    pub(crate) version: String,
    pub(crate) rollout: Rollout,
    pub(crate) cascaded: Vec<Cascaded>,
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Cohort {
    pub(crate) name: String,
    pub(crate) keys: BTreeSet<String>,
    pub(crate) description: String,
    pub(crate) changed_at: DateTime<Utc>,
    pub(crate) used_by: Vec<CohortUser>,
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CohortUser {
    pub(crate) route: String,
    pub(crate) environment: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RampGroup {
    pub(crate) name: String,
    pub(crate) keys: String,
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) routes: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Cascaded {
    pub(crate) route: String,
    pub(crate) from: Stage,
    pub(crate) to: Stage,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Gates {
    pub(crate) to: Stage,
    #[serde(default)]
    pub(crate) halted: bool,
    pub(crate) gates: Vec<Gate>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Gate {
    pub(crate) gate: String,
    pub(crate) state: String,
    pub(crate) detail: String,
    pub(crate) remedy: String,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Guards {
    pub(crate) epoch: u64,
    pub(crate) guards: Vec<GuardAnswer>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct GuardAnswer {
    pub(crate) name: String,
    pub(crate) action: String,
    pub(crate) state: String,
    pub(crate) detail: String,
    pub(crate) instance: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Approval {
    pub(crate) route: String,
    pub(crate) environment: String,
    pub(crate) to: Stage,
    pub(crate) approver: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Explanation {
    pub(crate) path: String,
    pub(crate) reason: String,
    pub(crate) source: Option<String>,
    pub(crate) chain: Vec<Layer>,
    pub(crate) warnings: Vec<String>,
    pub(crate) version: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Layer {
    pub(crate) rule: String,
    pub(crate) number: u8,
    pub(crate) path: Option<String>,
    pub(crate) says: String,
    pub(crate) hides: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct AuditEntry {
    pub(crate) seq: u64,
    pub(crate) at: DateTime<Utc>,
    pub(crate) by: String,
    pub(crate) action: String,
    pub(crate) route: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) before: Value,
    #[serde(default)]
    pub(crate) after: Value,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Verification {
    pub(crate) intact: bool,
    pub(crate) entries: u64,
    pub(crate) broken_at: Option<u64>,
    pub(crate) detail: Option<String>,
    #[serde(default)]
    pub(crate) checkpoints: usize,
    #[serde(default)]
    pub(crate) notes: Vec<String>,
    #[serde(default)]
    pub(crate) given: Vec<Given>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Given {
    pub(crate) seq: u64,
    pub(crate) verdict: String,
    pub(crate) detail: Option<String>,
    pub(crate) signature_checked: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Checkpoint {
    pub(crate) seq: u64,
    pub(crate) hash: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) signed: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Environment {
    pub(crate) key: String,
    pub(crate) kind: String,
    pub(crate) position: i32,
    pub(crate) production: bool,
    pub(crate) revision: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SdkKey {
    pub(crate) id: String,
    pub(crate) environment: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) created_by: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) revoked_at: Option<DateTime<Utc>>,
    pub(crate) key: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Imported {
    pub(crate) imported: usize,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Revocation {
    pub(crate) jti: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Release {
    pub(crate) name: String,
    pub(crate) environment: String,
    pub(crate) build: u64,
    pub(crate) state: String,
    pub(crate) after: Option<String>,
    pub(crate) based_on: Option<String>,
    pub(crate) routes: u64,
    pub(crate) digest: String,
    pub(crate) frozen_at: DateTime<Utc>,
    pub(crate) built_at: DateTime<Utc>,
    pub(crate) built_by: String,
    pub(crate) published_at: Option<DateTime<Utc>>,
    pub(crate) published_by: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Census {
    pub(crate) environment: String,
    pub(crate) site: String,
    pub(crate) release: Option<String>,
    pub(crate) taken_at: DateTime<Utc>,
    pub(crate) overrides: BTreeMap<String, bool>,
    pub(crate) ignored: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Plan {
    pub(crate) route: String,
    pub(crate) ordered: bool,
    pub(crate) total: usize,
    pub(crate) done: usize,
    pub(crate) sections: Vec<PlanSection>,
    pub(crate) put_by: String,
    pub(crate) put_at: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PlanSection {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) level: usize,
    pub(crate) gate: Option<Stage>,
    pub(crate) total: usize,
    pub(crate) done: usize,
    pub(crate) steps: Vec<PlanStep>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PlanStep {
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) owner: Option<String>,
    pub(crate) done: bool,
    pub(crate) done_by: Option<String>,
    pub(crate) done_at: Option<DateTime<Utc>>,
    pub(crate) note: Option<String>,
    pub(crate) after: Vec<String>,
    pub(crate) code: Vec<PlanCode>,
    pub(crate) steps: Vec<PlanStep>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PlanCode {
    pub(crate) language: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Evidence {
    pub(crate) route: String,
    pub(crate) environment: String,
    pub(crate) kind: String,
    pub(crate) verdict: String,
    pub(crate) url: Option<String>,
    pub(crate) summary: String,
    pub(crate) created_by: String,
    pub(crate) created_at: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Freeze {
    pub(crate) id: String,
    pub(crate) environments: Vec<String>,
    pub(crate) from: DateTime<Utc>,
    pub(crate) until: Option<DateTime<Utc>>,
    pub(crate) reason: String,
    pub(crate) opened_by: String,
    pub(crate) opened_at: DateTime<Utc>,
    pub(crate) closed_at: Option<DateTime<Utc>>,
    /// Only lists say it.
    pub(crate) open: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Policy {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) policy: Value,
}
