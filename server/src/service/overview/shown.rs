//! What a page shows beside a route or a rollout.

use chrono::{DateTime, Utc};
use switchover::{Stage, Version};

use crate::domain::archive::Reminder;
use crate::domain::audit::AuditEntry;
use crate::domain::consistency::Run;
use crate::domain::environment::Environment;
use crate::domain::evidence::Evidence;
use crate::domain::facts::Facts;
use crate::domain::gate::GateReport;
use crate::domain::guard::GuardReport;
use crate::domain::loss::LossRisk;
use crate::domain::next_action::NextAction;
use crate::domain::plan::Plan;
use crate::domain::policy::Policy;
use crate::domain::ramp::Outlook;
use crate::domain::references::ScanOfRoute;
use crate::domain::repair::{KeptRepair, LedgerGroup};
use crate::domain::rollout::Rollout;
use crate::domain::route::Route;
use crate::domain::schedule::Milestone;
use crate::domain::telemetry::{Process, Tallies};
use crate::domain::writer::Writer;
use crate::service::Series;
use crate::service::approval::ApprovalView;
use crate::service::stores::StoresView;

/// A part of what is on record of a route, latest first.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// The place before which older ones are; `None` where there are none.
    pub older: Option<u64>,
}

/// Which part of what is on record.
#[derive(Clone, Copy, Debug)]
pub struct TimelinePart {
    /// Older than this place; the latest where it is `None`.
    pub before: Option<u64>,
    /// At most so many.
    pub most: usize,
}

/// A rollout, what it waits for, and what is reported of it.
#[derive(Clone, Debug)]
pub struct RolloutOverview {
    /// The rollout.
    pub rollout: Rollout,
    /// Its tag.
    pub tag: String,
    /// What it is judged by, without what callers report.
    pub facts: Facts,
    /// The next stage, if there is one.
    pub to: Option<Stage>,
    /// What every gate of it answers.
    pub gates: Vec<GateReport>,
    /// What its ramp does next.
    pub outlook: Option<Outlook>,
    /// What comes next.
    pub next: NextAction,
    /// Calls of the last ten minutes; `None` where that cannot be read.
    pub lately: Option<Tallies>,
}

impl RolloutOverview {
    /// Where.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.facts.environment
    }

    /// What its guards answer.
    #[must_use]
    pub fn guards(&self) -> &[GuardReport] {
        &self.facts.guards
    }
}

/// A route in every environment.
#[derive(Clone, Debug)]
pub struct RouteOverview {
    /// The route.
    pub route: Route,
    /// Its tag.
    pub tag: String,
    /// Each stage that is planned or reached.
    pub milestones: Vec<Milestone>,
    /// Every environment, by position.
    pub environments: Vec<Environment>,
    /// Where it is, by position; nowhere before it is ready.
    pub rollouts: Vec<RolloutOverview>,
    /// Its checklist.
    pub plan: Option<Plan>,
    /// The routes that require it.
    pub dependents: Vec<String>,
    /// Where repositories use it.
    pub references: Vec<ScanOfRoute>,
    /// What was done.
    pub timeline: Timeline,
    /// What comes next for it as a whole; `None` where its rollouts say it.
    pub next: Option<NextAction>,
    /// When.
    pub now: DateTime<Utc>,
}

/// One rollout with everything about it.
#[derive(Clone, Debug)]
pub struct RolloutDetails {
    /// The route.
    pub route: Route,
    /// Each stage that is planned or reached.
    pub milestones: Vec<Milestone>,
    /// Every environment, by position.
    pub environments: Vec<Environment>,
    /// The rollout, and what it waits for.
    pub overview: RolloutOverview,
    /// The route's plan.
    pub plan: Option<Plan>,
    /// Approvals, void ones included.
    pub approvals: Vec<ApprovalView>,
    /// The evidence of this environment, latest first.
    pub evidence: Vec<Evidence>,
    /// What is known of its two stores; `None` where it has no two.
    pub data: Option<DataDetails>,
    /// What was done here.
    pub timeline: Timeline,
    /// The instances of the environment; `None` where that cannot be read.
    pub instances: Option<Vec<Process>>,
    /// The version that they should have.
    pub published: Option<Version>,
    /// What callers reported; `None` where that cannot be read.
    pub series: Option<Series>,
    /// When.
    pub now: DateTime<Utc>,
}

impl RolloutDetails {
    /// Its policy, with the route's own numbers.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.overview.facts.policy
    }
}

/// What is known of the two stores of a data route.
#[derive(Clone, Debug)]
pub struct DataDetails {
    /// How they stand to each other.
    pub stores: StoresView,
    /// Unresolved repairs, counted.
    pub groups: Vec<LedgerGroup>,
    /// Some of them.
    pub repairs: Vec<KeptRepair>,
    /// The latest comparisons.
    pub runs: Vec<Run>,
    /// The processes that write.
    pub writers: Vec<Writer>,
    /// What going back would cost.
    pub risk: LossRisk,
    /// What is left to do with the old store.
    pub reminders: Vec<Reminder>,
}
