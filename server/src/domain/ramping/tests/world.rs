//! A rollout with a ramp, and all that it is judged by.

use chrono::{DateTime, Duration, TimeZone as _, Utc};
use switchover::{EnvironmentKind, Setting, Stage};

use crate::domain::actor::{Actor, Role};
use crate::domain::environment::Environment;
use crate::domain::facts::{Facts, Proof};
use crate::domain::freeze::Freeze;
use crate::domain::frozen::Frozen;
use crate::domain::guard::{GuardReport, GuardState};
use crate::domain::lifecycle::{Command, plan};
use crate::domain::policy::{Guard, GuardAction, Measure, Policy};
use crate::domain::preparation::Preparation;
use crate::domain::ramp::{Outlook, Ramp, RampState, Step};
use crate::domain::refusal::Refusal;
use crate::domain::rollout::Rollout;
use crate::domain::route::{Operation, RawRoute, Route, RouteSpec};
use crate::domain::schedule::Schedule;
use crate::domain::writer::Writing;

pub(in crate::domain) const OWN: &str = r#"{"name":"own"}"#;
pub(in crate::domain) const RAMPED: &str = r#"{"name":"own",
    "ramp":[{"percent":10,"hold_hours":1},{"percent":100,"hold_hours":2}],
    "guards":[{"name":"errors","measure":"error_rate","limit":0.01,"action":"halt"}]}"#;

pub(in crate::domain) fn start() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 1, 10, 0, 0).unwrap()
}

pub(in crate::domain) fn steps(text: &str) -> Vec<Step> {
    let step = |text: &str| {
        let (percent, hold) = text.split_once(':').unwrap();
        Step {
            percent: percent.parse().unwrap(),
            hold: hold.parse().unwrap(),
        }
    };
    text.split(' ').map(step).collect()
}

pub(in crate::domain) fn ramp(percent: &str) -> Setting {
    Setting::Ramp {
        percent: percent.parse().unwrap(),
    }
}

/// A rollout, and all that it is judged by.
pub(in crate::domain) struct World {
    pub(in crate::domain) rollout: Rollout,
    pub(in crate::domain) facts: Facts,
    freezes: Vec<Freeze>,
}

impl World {
    pub(in crate::domain) fn new(policy: &str, stage: Stage) -> World {
        let environment = Environment {
            key: "dev".parse().unwrap(),
            kind: EnvironmentKind::Hosted,
            position: 1,
            production: false,
            revision: 1,
            generation: 1,
            created_at: start(),
        };
        let mut rollout = Rollout::new("find".parse().unwrap(), "dev".parse().unwrap(), start());
        rollout.stage = stage;
        let route = Route {
            spec: RouteSpec::parse(RawRoute {
                endpoint: "a.B/Find".to_owned(),
                key: Some("find".to_owned()),
                flag: None,
                operation: Operation::Read,
                owner: "x".to_owned(),
                policy: None,
                policy_numbers: Default::default(),
                requires: Vec::new(),
                ramp_group: None,
                labels: Default::default(),
                contacts: Default::default(),
                description: String::new(),
                links: Default::default(),
            })
            .unwrap(),
            preparation: None::<Preparation>,
            schedule: Schedule::default(),
            retired_at: None,
            revision: 1,
            created_at: start(),
        };
        World {
            rollout,
            facts: Facts {
                gap: Default::default(),
                accepts_loss: false,
                writing: Writing::default(),
                actor: Actor {
                    subject: "mia".to_owned(),
                    role: Role::Maintainer,
                },
                reason: "test".to_owned(),
                now: start(),
                route,
                policy: Policy::parse(policy.as_bytes()).unwrap(),
                environment,
                freezes: Vec::new(),
                frozen: Frozen::default(),
                guards: Vec::new(),
                guards_unread: false,
                proof: Proof::default(),
            },
            freezes: Vec::new(),
        }
    }

    /// At opt_in with these steps started.
    pub(in crate::domain) fn ramping(text: &str) -> World {
        let mut world = World::new(OWN, Stage::OptIn);
        world.set(ramp("0"));
        world.done(Command::PlanRamp(steps(text)));
        world.done(Command::StartRamp);
        world
    }

    pub(in crate::domain) fn set(&mut self, setting: Setting) {
        self.rollout.setting = setting;
    }

    pub(in crate::domain) fn as_role(&mut self, role: Role) -> &mut World {
        self.facts.actor.role = role;
        self
    }

    pub(in crate::domain) fn pass(&mut self, minutes: i64) {
        self.facts.now += Duration::minutes(minutes);
    }

    pub(in crate::domain) fn freeze(&mut self) {
        self.freezes.push(Freeze {
            id: "f".to_owned(),
            environments: Default::default(),
            from: self.facts.now,
            until: None,
            reason: "incident".to_owned(),
            opened_by: "mia".to_owned(),
            opened_at: self.facts.now,
            closed_at: None,
        });
    }

    pub(in crate::domain) fn thaw(&mut self) {
        for freeze in &mut self.freezes {
            freeze.closed_at.get_or_insert(self.facts.now);
        }
    }

    pub(in crate::domain) fn guard(&mut self, state: Option<GuardState>) {
        let guard = Guard {
            query: None,
            name: "errors".to_owned(),
            measure: Measure::ErrorRate,
            limit: 0.01,
            action: GuardAction::Halt,
            min_calls: None,
        };
        let report = state.map(|state| GuardReport {
            guard,
            state,
            detail: "as reported".to_owned(),
            numbers: serde_json::Map::new(),
            instance: None,
        });
        self.facts.guards = report.into_iter().collect();
    }

    /// Whether anything changed.
    pub(in crate::domain) fn run(&mut self, command: Command) -> Result<bool, Refusal> {
        let safe = command.is_safe();
        let now = self.facts.now;
        self.facts.freezes = self.freezes.clone();
        self.facts.freezes.retain(|freeze| freeze.is_open(now));
        self.facts.frozen = Frozen::by(&self.freezes);
        if safe {
            self.facts.freezes.clear();
            self.facts.frozen = Frozen::default();
        }
        let made = plan(&self.rollout, &command, &self.facts)?;
        let changed = made.is_some();
        if let Some(made) = made {
            self.rollout = made.after().clone();
        }
        Ok(changed)
    }

    #[track_caller]
    pub(in crate::domain) fn done(&mut self, command: Command) {
        assert!(self.run(command).unwrap(), "nothing changed");
    }

    #[track_caller]
    pub(in crate::domain) fn refused(&mut self, command: Command) -> Refusal {
        self.run(command).unwrap_err()
    }

    pub(in crate::domain) fn advance(&mut self) -> bool {
        let role = self.facts.actor.clone();
        self.facts.actor = Actor::system();
        let changed = self.run(Command::AdvanceRamp).unwrap();
        self.facts.actor = role;
        changed
    }

    pub(in crate::domain) fn as_guard(&mut self, command: Command) -> bool {
        let role = self.facts.actor.clone();
        self.facts.actor = Actor::guard("errors");
        let changed = self.run(command).unwrap();
        self.facts.actor = role;
        changed
    }

    pub(in crate::domain) fn ramp(&self) -> &Ramp {
        self.rollout.ramp.as_ref().unwrap()
    }

    pub(in crate::domain) fn outlook(&mut self) -> Outlook {
        let now = self.facts.now;
        self.facts.freezes = self.freezes.clone();
        self.facts.freezes.retain(|freeze| freeze.is_open(now));
        self.facts.frozen = Frozen::by(&self.freezes);
        Outlook::of(&self.rollout, &self.facts).unwrap()
    }

    pub(in crate::domain) fn state(&self) -> &'static str {
        match self.ramp().state {
            RampState::Ready { .. } => "ready",
            RampState::Running { .. } => "running",
            RampState::Paused { .. } => "paused",
            RampState::Finished { .. } => "finished",
        }
    }
}
