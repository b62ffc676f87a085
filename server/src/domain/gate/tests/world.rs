//! A promotion that nothing stands in the way of, and ways to put something there.

use chrono::{DateTime, Duration, TimeZone as _, Utc};
use switchover::{EnvironmentKind, Percent, Stage};

use crate::domain::actor::{Actor, Role};
use crate::domain::approval::{Approval, ApprovalDigest};
use crate::domain::census::Census;
use crate::domain::drill::Drill;
use crate::domain::environment::Environment;
use crate::domain::evidence::{Evidence, EvidenceKind};
use crate::domain::external::{Confirmation, External};
use crate::domain::facts::{Deployed, Facts, Proof, Stores, Traffic};
use crate::domain::freeze::Freeze;
use crate::domain::frozen::Frozen;
use crate::domain::gate::{self, GateReport};
use crate::domain::plan::{Document, Plan};
use crate::domain::policy::{GateKind, Policy, Rule};
use crate::domain::release::FrozenStage;
use crate::domain::rollout::{Halt, Rollout};
use crate::domain::route::{Links, Operation, RawRoute, Route, RouteSpec};
use crate::domain::runbook::Runbook;
use crate::domain::schedule::Schedule;
use crate::domain::writer::Writing;

const DAY: i64 = 86_400;

/// Where a promotion happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Plain,
    Production,
    OnPrem,
}

impl Place {
    pub(super) const ALL: [Place; 3] = [Place::Plain, Place::Production, Place::OnPrem];

    fn environment(self) -> Environment {
        let (key, position, kind) = match self {
            Place::Plain => ("staging", 2, EnvironmentKind::Hosted),
            Place::Production => ("production", 3, EnvironmentKind::Hosted),
            Place::OnPrem => ("on-prem", 4, EnvironmentKind::OnPrem),
        };
        Environment {
            key: key.parse().unwrap(),
            kind,
            position,
            production: self == Place::Production,
            revision: 1,
            generation: 1,
            created_at: now(),
        }
    }
}

pub(super) fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 1, 10, 0, 0).unwrap()
}

fn after(seconds: i64) -> DateTime<Utc> {
    now() + Duration::seconds(seconds)
}

fn named(environment: &str) -> Rollout {
    let mut rollout = Rollout::new(
        "find".parse().unwrap(),
        environment.parse().unwrap(),
        after(-40 * DAY),
    );
    rollout.drill = drilled(3);
    rollout
}

fn drilled(steps: u8) -> Drill {
    let at = |step: u8| (steps >= step).then(|| after(-5 * DAY));
    Drill {
        exposed_at: at(1),
        halted_at: at(2),
        resumed_at: at(3),
    }
}

/// A promotion to be judged.
pub(super) struct World {
    pub(super) facts: Facts,
    pub(super) rollout: Rollout,
    pub(super) to: Stage,
}

impl World {
    /// Every gate but census, approval and plan passes.
    pub(super) fn met(gate: GateKind, place: Place, to: Stage) -> World {
        let environment = place.environment();
        let mut rollout = named(environment.key.as_str());
        let stages = Stage::ALL.into_iter();
        rollout.stage = stages.take_while(|stage| *stage < to).last().unwrap();
        let earlier = ["dev", "staging", "production"]
            .into_iter()
            .take_while(|key| *key != environment.key.as_str())
            .map(|key| (key.parse().unwrap(), to))
            .collect();
        let mut policy = Policy::parse(br#"{"name":"own"}"#).unwrap();
        if !matches!(
            gate,
            GateKind::Order | GateKind::Requires | GateKind::Incident
        ) {
            policy.gates.insert(to, vec![Rule::plain(gate)]);
        }
        let hosted = ["dev", "staging", "production"];
        let mut world = World {
            facts: Facts {
                gap: Default::default(),
                accepts_loss: false,
                writing: Writing::default(),
                actor: Actor {
                    subject: "mia".to_owned(),
                    role: Role::Maintainer,
                },
                reason: "test".to_owned(),
                now: now(),
                route: route(),
                policy,
                environment,
                freezes: Vec::new(),
                frozen: Frozen::default(),
                guards: Vec::new(),
                guards_unread: false,
                proof: Proof {
                    earlier,
                    hosted: hosted.map(named).to_vec(),
                    ..Proof::default()
                },
            },
            rollout,
            to,
        };
        for (environment, days) in hosted.into_iter().zip([10, 9, 8]) {
            for kind in EvidenceKind::ACCEPTANCE {
                world.evidence(environment, kind.name(), "pass", -days * DAY);
            }
            let traffic = Traffic {
                calls: 1_000,
                timed: 1_000,
                comparisons: 1_000,
                mirror_writes: 1_000,
                ..Traffic::default()
            };
            let key = environment.parse().unwrap();
            world.facts.proof.traffic.insert(key, traffic);
            let deployed = Deployed {
                instances: 2,
                ..Deployed::default()
            };
            let key = environment.parse().unwrap();
            world.facts.proof.deployed.insert(key, deployed);
            let stores = Stores {
                mirrored: true,
                backfill_complete: true,
                consistent: true,
                ..Stores::default()
            };
            let key = environment.parse().unwrap();
            world.facts.proof.stores.insert(key, stores);
        }
        world.released_at(DAY);
        world
    }

    /// Reads run on both paths, everywhere.
    pub(super) fn compares(&mut self) {
        for rollout in &mut self.facts.proof.hosted {
            rollout.mirror.shares.read = Percent::HUNDRED;
        }
    }

    /// What the gate answers, as a promotion asks it; `None` when it is not asked.
    pub(super) fn answer(&self, gate: GateKind) -> Option<GateReport> {
        let reports = self.facts.gates(&self.rollout, self.to);
        let missing = gate::missing(reports.clone());
        let of = |reports: Vec<GateReport>| {
            let mut found = reports.into_iter().filter(|one| one.gate == gate.name());
            let first = found.next();
            assert!(found.next().is_none(), "asked twice");
            first
        };
        let (report, missing) = (of(reports), of(missing));
        if let Some(missing) = missing {
            assert_eq!(Some(missing), report);
        }
        report
    }

    /// The stage of the promotion, or so many before or after it.
    pub(super) fn stage_by(&self, ahead: i8) -> Stage {
        let stages = Stage::ALL.into_iter();
        match ahead {
            0 => self.to,
            1 => self.to.next().unwrap_or(self.to),
            _ => stages.take_while(|stage| *stage < self.to).last().unwrap(),
        }
    }

    pub(super) fn number(&mut self, name: &'static str, value: f64) {
        let rules = self.facts.policy.gates.values_mut().flatten();
        for rule in rules {
            assert!(rule.gate.numbers().iter().any(|known| known.name == name));
            rule.numbers.insert(name, value);
        }
    }

    pub(super) fn freeze(&mut self, id: &str) {
        self.facts.freezes.push(Freeze {
            id: id.to_owned(),
            environments: Default::default(),
            from: now(),
            until: None,
            reason: "incident".to_owned(),
            opened_by: "ann".to_owned(),
            opened_at: now(),
            closed_at: None,
        });
    }

    pub(super) fn evidence(&mut self, environment: &str, kind: &str, verdict: &str, at: i64) {
        self.facts.proof.evidence.push(Evidence {
            id: self.facts.proof.evidence.len().to_string(),
            route: "find".parse().unwrap(),
            environment: environment.parse().unwrap(),
            kind: kind.parse().unwrap(),
            verdict: verdict.parse().unwrap(),
            url: None,
            summary: "seen".to_owned(),
            by: "otto".to_owned(),
            at: after(at),
        });
    }

    pub(super) fn evidence_at(&mut self, environment: &str, at: i64) {
        for found in &mut self.facts.proof.evidence {
            if found.environment.as_str() == environment {
                found.at = after(at);
            }
        }
    }

    pub(super) fn evidence_retain(&mut self, keep: impl Fn(&Evidence) -> bool) {
        self.facts.proof.evidence.retain(keep);
    }

    pub(super) fn demoted_at(&mut self, at: i64) {
        self.facts.proof.demoted_at = Some(after(at));
    }

    /// So many steps of the drill are done: where the promotion is, or in a hosted environment.
    pub(super) fn drill(&mut self, environment: &str, steps: u8) {
        let here = self.facts.environment.kind == EnvironmentKind::Hosted;
        if here && environment == "production" {
            self.rollout.drill = drilled(steps);
        }
        for hosted in &mut self.facts.proof.hosted {
            if hosted.environment.as_str() == environment {
                hosted.drill = drilled(steps);
            }
        }
    }

    pub(super) fn runbook(&mut self, text: &str) {
        let runbook = Runbook::new(text.to_owned(), "ann".to_owned(), now());
        self.facts.proof.runbook = Some(runbook.unwrap());
    }

    /// An approval of this promotion as it stands.
    pub(super) fn approve(&mut self, approver: &str) {
        let digest = ApprovalDigest::of(&self.facts, &self.rollout, self.to);
        self.facts.proof.approvals.push(Approval {
            id: self.facts.proof.approvals.len().to_string(),
            route: "find".parse().unwrap(),
            environment: self.rollout.environment.clone(),
            to: self.to,
            approver: approver.to_owned(),
            digest,
            comment: String::new(),
            created_at: now(),
        });
    }

    pub(super) fn plan(&mut self, source: &str) {
        let plan = Plan::new(Document::parse(source).unwrap(), "ann", now());
        self.facts.proof.plan = Some(plan.unwrap());
    }

    pub(super) fn external(&mut self, name: &str, stage: Option<Stage>, confirmed: bool) {
        self.facts.proof.externals.push(External {
            name: name.parse().unwrap(),
            owner: "lea".to_owned(),
            description: "done".to_owned(),
            stage,
            confirmed: confirmed.then(|| Confirmation {
                by: "lea".to_owned(),
                at: now(),
                comment: String::new(),
            }),
        });
    }

    pub(super) fn unchanged_for(&mut self, seconds: i64) {
        self.rollout.changed_at = after(-seconds);
    }

    pub(super) fn halt(&mut self) {
        self.rollout.halt = Some(Halt {
            at: now(),
            by: "ann".to_owned(),
            reason: "errors".to_owned(),
        });
    }

    /// A release that froze the present stage so long after it was reached.
    pub(super) fn released_at(&mut self, seconds: i64) {
        self.facts.proof.released = vec![FrozenStage {
            release: "17.5.0".parse().unwrap(),
            build: 1,
            stage: self.rollout.stage,
            frozen_at: self.rollout.stage_since + Duration::seconds(seconds),
            published_at: now(),
        }];
    }

    /// A site's census of so long ago, in which the flag is on, off or not set.
    pub(super) fn census(&mut self, site: &str, flag: Option<bool>, seconds: i64) {
        let name = self.facts.route.spec.flag.clone();
        self.facts.proof.censuses.push(Census {
            environment: self.facts.environment.key.clone(),
            site: site.parse().unwrap(),
            release: None,
            taken_at: after(-seconds),
            imported_at: now(),
            imported_by: "otto".to_owned(),
            overrides: flag.map(|value| (name, value)).into_iter().collect(),
            ignored: Default::default(),
        });
    }
}

fn route() -> Route {
    let link = |name: &str| Some(format!("https://example.com/{name}"));
    let raw = RawRoute {
        endpoint: "gitaly.Service/Find".to_owned(),
        key: Some("find".to_owned()),
        flag: Some("GITALY_FIND".to_owned()),
        operation: Operation::Read,
        owner: "test".to_owned(),
        policy: None,
        policy_numbers: Default::default(),
        requires: Vec::new(),
        ramp_group: None,
        labels: Default::default(),
        contacts: Default::default(),
        description: String::new(),
        links: Links {
            runbook: link("runbook"),
            dashboard: link("dashboard"),
            alert: link("alert"),
            issue: None,
        },
    };
    Route {
        spec: RouteSpec::parse(raw).unwrap(),
        preparation: None,
        schedule: Schedule::default(),
        retired_at: None,
        revision: 1,
        created_at: now(),
    }
}
