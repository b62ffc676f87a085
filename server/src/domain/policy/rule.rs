//! One gate as a policy asks for it: which, where, and with which numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use switchover::EnvironmentKind;

use crate::domain::policy::query::{LIMITS, Query};

/// A condition of a promotion (DESIGN, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateKind {
    /// The stage is the next one, and every earlier environment has it.
    Order,
    /// Required routes have at least this stage here.
    Requires,
    /// No open change freeze covers the environment.
    Incident,
    /// Evidence of a passed test exists for every hosted environment.
    Acceptance,
    /// A halt and a resume were carried out around traffic.
    RollbackDrill,
    /// Every running instance has the route in its code.
    CodeDeployed,
    /// What callers report is within limits.
    Telemetry,
    /// A runbook says how to turn the route off.
    Runbook,
    /// A dashboard is linked.
    Dashboard,
    /// An alert is linked.
    Alert,
    /// Maintainers other than the promoter approved exactly this.
    Approval,
    /// The plan's steps for the stage are done.
    Plan,
    /// Outside dependencies are confirmed.
    External,
    /// The rollout has been left alone for a while.
    Soak,
    /// A published release carries the present stage.
    Release,
    /// Both stores hold the same.
    Repairs,
    /// Nobody depends on an override that is about to die.
    Census,
    /// What Prometheus answers is within a limit.
    Prometheus,
}

/// Which way a number is the stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strict {
    /// More asks for more.
    Higher,
    /// Less asks for more.
    Lower,
}

/// A number that a gate takes.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    /// Its name in a policy's document; it says the unit.
    pub name: &'static str,
    /// The smallest that it can be.
    pub least: f64,
    /// The largest that it can be.
    pub most: f64,
    /// What it is where the document says nothing; `None`: then it asks for nothing.
    pub default: Option<f64>,
    /// Which way it is the stricter.
    pub strict: Strict,
}

const fn number(
    name: &'static str,
    (least, most): (f64, f64),
    default: Option<f64>,
    strict: Strict,
) -> Number {
    Number {
        name,
        least,
        most,
        default,
        strict,
    }
}

const RATE: (f64, f64) = (0.000_001, 0.5);
const DAYS: (f64, f64) = (0.0, 365.0);
const MILLISECONDS: (f64, f64) = (1.0, 600_000.0);

impl GateKind {
    /// Every gate.
    pub const ALL: [GateKind; 18] = [
        GateKind::Order,
        GateKind::Requires,
        GateKind::Incident,
        GateKind::Acceptance,
        GateKind::RollbackDrill,
        GateKind::CodeDeployed,
        GateKind::Telemetry,
        GateKind::Runbook,
        GateKind::Dashboard,
        GateKind::Alert,
        GateKind::Approval,
        GateKind::Plan,
        GateKind::External,
        GateKind::Soak,
        GateKind::Release,
        GateKind::Repairs,
        GateKind::Census,
        GateKind::Prometheus,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            GateKind::Order => "order",
            GateKind::Requires => "requires",
            GateKind::Incident => "incident",
            GateKind::Acceptance => "acceptance",
            GateKind::RollbackDrill => "rollback_drill",
            GateKind::CodeDeployed => "code_deployed",
            GateKind::Telemetry => "telemetry",
            GateKind::Runbook => "runbook",
            GateKind::Dashboard => "dashboard",
            GateKind::Alert => "alert",
            GateKind::Approval => "approval",
            GateKind::Plan => "plan",
            GateKind::External => "external",
            GateKind::Soak => "soak",
            GateKind::Release => "release",
            GateKind::Repairs => "repairs",
            GateKind::Census => "census",
            GateKind::Prometheus => "prometheus",
        }
    }

    /// Whether it guards the order of things rather than their quality: then nothing passes it over.
    #[must_use]
    pub const fn is_lifecycle(self) -> bool {
        matches!(self, GateKind::Order | GateKind::Requires)
    }

    /// The numbers that it takes.
    #[must_use]
    pub const fn numbers(self) -> &'static [Number] {
        const APPROVAL: &[Number] = &[number("count", (1.0, 10.0), Some(1.0), Strict::Higher)];
        const SOAK: &[Number] = &[
            number("days", DAYS, Some(0.0), Strict::Higher),
            number("on_prem_days", DAYS, None, Strict::Higher),
            number("full_exposure_days", DAYS, Some(0.0), Strict::Higher),
        ];
        const TELEMETRY: &[Number] = &[
            number("error_rate", RATE, None, Strict::Lower),
            number("p99_ms", MILLISECONDS, None, Strict::Lower),
            number("mismatch_rate", RATE, None, Strict::Lower),
            number("mirror_failure_rate", RATE, None, Strict::Lower),
            number(
                "window_minutes",
                (1.0, 43_200.0),
                Some(60.0),
                Strict::Higher,
            ),
        ];
        // Which way it is the stricter, the query says.
        const PROMETHEUS: &[Number] = &[number("limit", LIMITS, None, Strict::Lower)];
        const CENSUS: &[Number] = &[number("days", (1.0, 365.0), Some(30.0), Strict::Lower)];
        match self {
            GateKind::Approval => APPROVAL,
            GateKind::Soak => SOAK,
            GateKind::Telemetry => TELEMETRY,
            GateKind::Census => CENSUS,
            GateKind::Prometheus => PROMETHEUS,
            _ => &[],
        }
    }
}

/// Where a gate applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everywhere.
    #[default]
    All,
    /// Where callers talk to the server.
    Hosted,
    /// In installations of others.
    OnPrem,
    /// In production, and in installations of others.
    Guarded,
}

/// A gate as a policy asks for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rule {
    /// Which.
    pub gate: GateKind,
    /// Where.
    pub only: Scope,
    /// The numbers that were given.
    #[serde(flatten)]
    pub numbers: BTreeMap<&'static str, f64>,
    /// What it asks Prometheus, where it is such a gate, and only there.
    #[serde(flatten)]
    pub query: Option<Asks>,
}

/// What a gate asks Prometheus. A stage may have several such gates.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Asks {
    /// Its name, unique in its stage.
    pub name: String,
    /// The question.
    #[serde(flatten)]
    pub query: Query,
}

impl Rule {
    /// A gate that applies everywhere, with its default numbers.
    #[must_use]
    pub fn plain(gate: GateKind) -> Rule {
        Rule {
            gate,
            only: Scope::All,
            numbers: BTreeMap::new(),
            query: None,
        }
    }

    /// What tells it from the others of its stage.
    #[must_use]
    pub fn name(&self) -> &str {
        let asks = self.query.as_ref();
        asks.map_or(self.gate.name(), |asks| asks.name.as_str())
    }

    /// A number of the gate, or its default; `None` where neither is.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        self.numbers.get(name).copied().or_else(|| {
            let known = self.gate.numbers().iter().find(|known| known.name == name);
            known.and_then(|known| known.default)
        })
    }

    /// The same in an environment of this kind: installations may have a number of their own.
    #[must_use]
    pub fn number_in(&self, name: &str, kind: EnvironmentKind) -> Option<f64> {
        let own = match (name, kind) {
            ("days", EnvironmentKind::OnPrem) => self.number("on_prem_days"),
            _ => None,
        };
        own.or_else(|| self.number(name))
    }

    /// Whether it applies in such an environment.
    #[must_use]
    pub fn applies(&self, kind: EnvironmentKind, guarded: bool) -> bool {
        let here = match self.only {
            Scope::All => true,
            Scope::Hosted => kind == EnvironmentKind::Hosted,
            Scope::OnPrem => kind == EnvironmentKind::OnPrem,
            Scope::Guarded => guarded,
        };
        here && (self.gate != GateKind::Release || kind == EnvironmentKind::OnPrem)
    }

    /// Whether whatever passes this in an environment of this kind passes `other` too.
    #[must_use]
    pub fn is_as_strict_as(&self, other: &Rule, kind: EnvironmentKind) -> bool {
        if let (Some(mine), Some(theirs)) = (&self.query, &other.query) {
            return match (self.number("limit"), other.number("limit")) {
                (Some(limit), Some(their_limit)) => {
                    mine.query
                        .is_as_strict_as(limit, &theirs.query, their_limit)
                }
                _ => false,
            };
        }
        let numbers = self.gate.numbers().iter();
        self.gate == other.gate
            && numbers
                .filter(|known| known.name != "on_prem_days")
                .all(|known| {
                    match (
                        self.number_in(known.name, kind),
                        other.number_in(known.name, kind),
                    ) {
                        (_, None) => true,
                        (None, Some(_)) => false,
                        (Some(mine), Some(theirs)) => match known.strict {
                            Strict::Higher => mine >= theirs,
                            Strict::Lower => mine <= theirs,
                        },
                    }
                })
    }
}
