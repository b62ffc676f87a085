//! Rows, and how they become what they stand for. A row that cannot is an error, never a default.

use std::fmt::Display;
use std::str::FromStr;

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use switchover::{Percent, Setting};

use crate::domain::approval::{Approval, ApprovalDigest};
use crate::domain::cohort::Uses;
use crate::domain::environment::Environment;
use crate::domain::rollout::{AcceptanceWindow, Halt, Mirroring, Rollout};
use crate::domain::route::{Operation, Route, RouteSpec};
use crate::store::StoreError;
use crate::store::schema::{approvals, environments, rollouts, routes};

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = environments)]
pub(super) struct EnvironmentRow {
    pub(super) key: String,
    kind: String,
    position: i32,
    production: bool,
    revision: i64,
    generation: i64,
    created_at: NaiveDateTime,
}

impl From<&Environment> for EnvironmentRow {
    fn from(environment: &Environment) -> EnvironmentRow {
        EnvironmentRow {
            key: environment.key.to_string(),
            kind: environment.kind.name().to_owned(),
            position: environment.position,
            production: environment.production,
            revision: count(environment.revision),
            generation: count(environment.generation),
            created_at: environment.created_at.naive_utc(),
        }
    }
}

impl TryFrom<EnvironmentRow> for Environment {
    type Error = StoreError;

    fn try_from(row: EnvironmentRow) -> Result<Environment, StoreError> {
        let kind = match row.kind.as_str() {
            "hosted" => switchover::EnvironmentKind::Hosted,
            "on_prem" => switchover::EnvironmentKind::OnPrem,
            other => return Err(corrupt("environments.kind", other)),
        };
        Ok(Environment {
            key: read("environments.key", &row.key)?,
            kind,
            position: row.position,
            production: row.production,
            revision: counted("environments.revision", row.revision)?,
            generation: counted("environments.generation", row.generation)?,
            created_at: row.created_at.and_utc(),
        })
    }
}

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = routes, treat_none_as_null = true)]
pub(super) struct RouteRow {
    pub(super) key: String,
    flag: String,
    endpoint: String,
    operation: String,
    owner: String,
    policy: String,
    ramp_group: Option<String>,
    labels: String,
    contacts: String,
    description: String,
    links: String,
    retired_at: Option<NaiveDateTime>,
    revision: i64,
    created_at: NaiveDateTime,
    preparation: Option<String>,
    phase: String,
    priority: Option<i32>,
    schedule: String,
    policy_numbers: String,
}

impl TryFrom<&Route> for RouteRow {
    type Error = StoreError;

    fn try_from(route: &Route) -> Result<RouteRow, StoreError> {
        let spec = &route.spec;
        Ok(RouteRow {
            key: spec.key.to_string(),
            flag: spec.flag.to_string(),
            endpoint: spec.endpoint.to_string(),
            operation: spec.operation.name().to_owned(),
            owner: spec.owner.clone(),
            policy: spec.policy.to_string(),
            ramp_group: spec.ramp_group.clone(),
            labels: json(&spec.labels)?,
            contacts: json(&spec.contacts)?,
            description: spec.description.clone(),
            links: json(&spec.links)?,
            retired_at: route.retired_at.map(|at| at.naive_utc()),
            revision: count(route.revision),
            created_at: route.created_at.naive_utc(),
            preparation: route.preparation.as_ref().map(json).transpose()?,
            // For lists: what the preparation says of itself.
            phase: route.at().join(" "),
            priority: route
                .preparation
                .as_ref()
                .and_then(|preparation| i32::try_from(preparation.priority?).ok()),
            schedule: json(&route.schedule)?,
            policy_numbers: json(&spec.policy_numbers)?,
        })
    }
}

impl RouteRow {
    pub(super) fn with_requirements(self, requires: Vec<String>) -> Result<Route, StoreError> {
        let operation = match self.operation.as_str() {
            "read" => Operation::Read,
            "write" => Operation::Write,
            "call" => Operation::Call,
            other => return Err(corrupt("routes.operation", other)),
        };
        Ok(Route {
            spec: RouteSpec {
                key: read("routes.key", &self.key)?,
                flag: read("routes.flag", &self.flag)?,
                endpoint: read("routes.endpoint", &self.endpoint)?,
                operation,
                owner: self.owner,
                policy: read("routes.policy", &self.policy)?,
                policy_numbers: from_json("routes.policy_numbers", &self.policy_numbers)?,
                requires: requires
                    .iter()
                    .map(|required| read("requirements.required", required))
                    .collect::<Result<_, _>>()?,
                ramp_group: self.ramp_group,
                labels: from_json("routes.labels", &self.labels)?,
                contacts: from_json("routes.contacts", &self.contacts)?,
                description: self.description,
                links: from_json("routes.links", &self.links)?,
            },
            preparation: optional("routes.preparation", self.preparation.as_deref())?,
            schedule: from_json("routes.schedule", &self.schedule)?,
            retired_at: self.retired_at.map(|at| at.and_utc()),
            revision: counted("routes.revision", self.revision)?,
            created_at: self.created_at.and_utc(),
        })
    }
}

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = rollouts, treat_none_as_null = true)]
pub(super) struct RolloutRow {
    pub(super) route: String,
    pub(super) environment: String,
    stage: String,
    stage_since: NaiveDateTime,
    setting_mode: String,
    setting_thousandths: Option<i32>,
    include: String,
    exclude: String,
    halt: Option<String>,
    acceptance: Option<String>,
    acceptance_until: Option<NaiveDateTime>,
    revision: i64,
    published_at: i64,
    changed_at: NaiveDateTime,
    demoted_at: Option<NaiveDateTime>,
    drill: String,
    ramp: Option<String>,
    ramp_due: Option<NaiveDateTime>,
    guard_halts: String,
    mirror: Option<String>,
    uses: Option<String>,
    pub(super) data: Option<String>,
    flip_until: Option<NaiveDateTime>,
}

impl RolloutRow {
    pub(super) fn of(rollout: &Rollout, published_at: u64) -> Result<RolloutRow, StoreError> {
        let (mode, thousandths) = match rollout.setting {
            Setting::StageDefault => ("stage_default", None),
            Setting::Off => ("off", None),
            Setting::On => ("on", None),
            Setting::Ramp { percent } => ("ramp", i32::try_from(percent.thousandths()).ok()),
        };
        Ok(RolloutRow {
            route: rollout.route.to_string(),
            environment: rollout.environment.to_string(),
            stage: rollout.stage.name().to_owned(),
            stage_since: rollout.stage_since.naive_utc(),
            setting_mode: mode.to_owned(),
            setting_thousandths: thousandths,
            include: json(&rollout.include)?,
            exclude: json(&rollout.exclude)?,
            halt: rollout.halt.as_ref().map(json).transpose()?,
            acceptance: rollout.acceptance.as_ref().map(json).transpose()?,
            acceptance_until: rollout.acceptance.as_ref().map(|w| w.until.naive_utc()),
            revision: count(rollout.revision),
            published_at: count(published_at),
            changed_at: rollout.changed_at.naive_utc(),
            demoted_at: rollout.demoted_at.map(time),
            drill: json(&rollout.drill)?,
            ramp: rollout.ramp.as_ref().map(json).transpose()?,
            ramp_due: rollout.ramp_due().map(time),
            guard_halts: json(&rollout.guard_halts)?,
            mirror: Some(&rollout.mirror)
                .filter(|mirror| **mirror != Mirroring::default())
                .map(json)
                .transpose()?,
            uses: Some(&rollout.uses)
                .filter(|uses| **uses != Uses::default())
                .map(json)
                .transpose()?,
            data: rollout.data.told().map(json).transpose()?,
            flip_until: rollout.data.hold.as_ref().map(|hold| time(hold.until)),
        })
    }
}

impl TryFrom<RolloutRow> for Rollout {
    type Error = StoreError;

    fn try_from(row: RolloutRow) -> Result<Rollout, StoreError> {
        let setting = match (row.setting_mode.as_str(), row.setting_thousandths) {
            ("stage_default", None) => Setting::StageDefault,
            ("off", None) => Setting::Off,
            ("on", None) => Setting::On,
            ("ramp", Some(thousandths)) => Setting::Ramp {
                percent: u32::try_from(thousandths)
                    .ok()
                    .and_then(|thousandths| Percent::from_thousandths(thousandths).ok())
                    .ok_or_else(|| corrupt("rollouts.setting_thousandths", thousandths))?,
            },
            (other, _) => return Err(corrupt("rollouts.setting_mode", other)),
        };
        Ok(Rollout {
            route: read("rollouts.route", &row.route)?,
            environment: read("rollouts.environment", &row.environment)?,
            stage: read("rollouts.stage", &row.stage)?,
            stage_since: row.stage_since.and_utc(),
            setting,
            include: from_json("rollouts.include", &row.include)?,
            exclude: from_json("rollouts.exclude", &row.exclude)?,
            halt: optional::<Halt>("rollouts.halt", row.halt.as_deref())?,
            acceptance: optional::<AcceptanceWindow>(
                "rollouts.acceptance",
                row.acceptance.as_deref(),
            )?,
            demoted_at: row.demoted_at.map(|at| at.and_utc()),
            drill: from_json("rollouts.drill", &row.drill)?,
            ramp: optional("rollouts.ramp", row.ramp.as_deref())?,
            guard_halts: from_json("rollouts.guard_halts", &row.guard_halts)?,
            uses: optional("rollouts.uses", row.uses.as_deref())?.unwrap_or_default(),
            mirror: optional("rollouts.mirror", row.mirror.as_deref())?.unwrap_or_default(),
            data: optional("rollouts.data", row.data.as_deref())?.unwrap_or_default(),
            revision: counted("rollouts.revision", row.revision)?,
            changed_at: row.changed_at.and_utc(),
        })
    }
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = approvals)]
pub(super) struct ApprovalRow {
    id: String,
    route: String,
    environment: String,
    to_stage: String,
    approver: String,
    digest: String,
    comment: String,
    created_at: NaiveDateTime,
    withdrawn_at: Option<NaiveDateTime>,
}

impl From<&Approval> for ApprovalRow {
    fn from(approval: &Approval) -> ApprovalRow {
        ApprovalRow {
            id: approval.id.clone(),
            route: approval.route.to_string(),
            environment: approval.environment.to_string(),
            to_stage: approval.to.name().to_owned(),
            approver: approval.approver.clone(),
            digest: approval.digest.as_str().to_owned(),
            comment: approval.comment.clone(),
            created_at: approval.created_at.naive_utc(),
            withdrawn_at: None,
        }
    }
}

impl TryFrom<ApprovalRow> for Approval {
    type Error = StoreError;

    fn try_from(row: ApprovalRow) -> Result<Approval, StoreError> {
        Ok(Approval {
            id: row.id,
            route: read("approvals.route", &row.route)?,
            environment: read("approvals.environment", &row.environment)?,
            to: read("approvals.to_stage", &row.to_stage)?,
            approver: row.approver,
            digest: ApprovalDigest::from_record(row.digest),
            comment: row.comment,
            created_at: row.created_at.and_utc(),
        })
    }
}

/// Counters stay far below the sign bit: one commit a nanosecond would take centuries.
pub(super) fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn counted(column: &str, value: i64) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| corrupt(column, value))
}

pub(super) fn time(at: DateTime<Utc>) -> NaiveDateTime {
    at.naive_utc()
}

pub(super) fn read<T: FromStr>(column: &str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| corrupt(column, text))
}

pub(super) fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| corrupt("(to be written)", error))
}

pub(super) fn from_json<T: DeserializeOwned>(column: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| corrupt(column, error))
}

fn optional<T: DeserializeOwned>(
    column: &str,
    text: Option<&str>,
) -> Result<Option<T>, StoreError> {
    text.map(|text| from_json(column, text)).transpose()
}

pub(super) fn corrupt(column: &str, value: impl Display) -> StoreError {
    StoreError::Corrupt(format!("{column}: {value}"))
}
