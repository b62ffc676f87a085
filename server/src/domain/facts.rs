//! What a change of a rollout is judged by, all of it read in the transaction that writes.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use switchover::{RouteKey, Stage};

use crate::domain::actor::Actor;
use crate::domain::approval::Approval;
use crate::domain::census::Census;
use crate::domain::environment::{Environment, EnvironmentKey};
use crate::domain::evidence::Evidence;
use crate::domain::external::External;
use crate::domain::freeze::Freeze;
use crate::domain::frozen::Frozen;
use crate::domain::guard::GuardReport;
use crate::domain::loss::Gap;
use crate::domain::plan::Plan;
use crate::domain::policy::{Policy, Sampled};
use crate::domain::release::FrozenStage;
use crate::domain::rollout::Rollout;
use crate::domain::route::Route;
use crate::domain::runbook::Runbook;
use crate::domain::writer::Writing;

/// What every change is judged by.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Who wants it.
    pub actor: Actor,
    /// Why.
    pub reason: String,
    /// Now.
    pub now: DateTime<Utc>,
    /// The route.
    pub route: Route,
    /// Its policy, with the route's own numbers.
    pub policy: Policy,
    /// Where.
    pub environment: Environment,
    /// The change freezes that are open here.
    pub freezes: Vec<Freeze>,
    /// When change freezes were or will be open here, as far back as a ramp's clock looks.
    pub frozen: Frozen,
    /// What the guards answer here.
    pub guards: Vec<GuardReport>,
    /// Whether that cannot be read: then nothing is known to be well.
    pub guards_unread: bool,
    /// What of the new store's rows the old one may not have.
    pub gap: Gap,
    /// Whether whoever wants it has seen what going back costs, and accepts that.
    pub accepts_loss: bool,
    /// What is known of the processes that write the route here.
    pub writing: Writing,
    /// What only a change of stage looks at.
    pub proof: Proof,
}

/// What a change of stage is judged by besides.
#[derive(Clone, Debug, Default)]
pub struct Proof {
    /// Every environment with a lower position, and the route's stage there.
    pub earlier: Vec<(EnvironmentKey, Stage)>,
    /// The routes it requires, and their stage here.
    pub required: Vec<(RouteKey, Stage)>,
    /// The routes that require it, and their stage here.
    pub dependents: Vec<(RouteKey, Stage)>,
    /// The route in every hosted environment, by position.
    pub hosted: Vec<Rollout>,
    /// When the route was last demoted, anywhere.
    pub demoted_at: Option<DateTime<Utc>>,
    /// The approvals on record for the next stage, void ones included.
    pub approvals: Vec<Approval>,
    /// All evidence about the route, oldest first.
    pub evidence: Vec<Evidence>,
    /// The route's checklist.
    pub plan: Option<Plan>,
    /// The runbook that is kept here.
    pub runbook: Option<Runbook>,
    /// What promotions wait for outside.
    pub externals: Vec<External>,
    /// What published releases carry of the route here.
    pub released: Vec<FrozenStage>,
    /// Which overrides are in force here, by site.
    pub censuses: Vec<Census>,
    /// What callers report of the route, by hosted environment.
    pub traffic: BTreeMap<EnvironmentKey, Traffic>,
    /// What Prometheus answers, by hosted environment and the gate's name.
    pub sampled: BTreeMap<(EnvironmentKey, String), Sampled>,
    /// Which instances run, by hosted environment.
    pub deployed: BTreeMap<EnvironmentKey, Deployed>,
    /// Whether what callers report could not be read: then nobody knows what they do.
    pub unreadable: bool,
    /// How the two stores of the route stand to each other, by hosted environment.
    pub stores: BTreeMap<EnvironmentKey, Stores>,
}

/// What callers reported of a route within a policy's window. Counts of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Calls that took the new path.
    pub calls: u64,
    /// Those that failed.
    pub errors: u64,
    /// Calls that were held against the limit for slow ones.
    pub timed: u64,
    /// Those that took longer.
    pub slow: u64,
    /// Results that were compared.
    pub comparisons: u64,
    /// Those that differed.
    pub mismatches: u64,
    /// Writes to the mirror.
    pub mirror_writes: u64,
    /// Those that failed.
    pub mirror_failures: u64,
}

/// The instances that run, and what they have of the route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deployed {
    /// How many were seen in the last ten minutes.
    pub instances: u64,
    /// Those of them without the route in their code.
    pub lacking: Vec<String>,
    /// Those of them whose environment variable keeps calls on the old path.
    pub off: Vec<String>,
}

/// How the two stores of a data route stand to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stores {
    /// Whether every write is copied.
    pub mirrored: bool,
    /// Whether all rows were copied since that is so.
    pub backfill_complete: bool,
    /// Whether the latest consistency run was clean, and began since that is so.
    pub consistent: bool,
    /// Repairs that were given up.
    pub failed_repairs: u64,
    /// Repairs that a person has to decide.
    pub conflicts: u64,
    /// The age of the oldest unresolved repair, in seconds.
    pub oldest_repair_seconds: Option<u64>,
    /// Whether repairs may have been lost, so that nobody knows.
    pub unverified: bool,
    /// Whether writes were left out on purpose, and no backfill has made that good.
    pub diverged: bool,
    /// Whether the old store is out of use for good: there is nothing to compare any more.
    pub no_return: bool,
}
