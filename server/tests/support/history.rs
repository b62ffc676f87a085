//! Random histories of a few routes, carried out through the services.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;
use switchover::{EnvironmentKind, Percent, RouteKey, Setting, Stage};
use switchover_server::domain::environment::Environment;
use switchover_server::domain::exposure::Cohort;
use switchover_server::domain::lifecycle::Command;
use switchover_server::domain::rollout::Rollout;
use switchover_server::domain::route::{Links, Operation, RawRoute, Route};
use switchover_server::domain::text::Reason;
use switchover_server::service::{
    Change, Ctx, Failure, HaltSelection, RoutePatch, Services, Target,
};
use switchover_server::store::{Receipt, RouteFilter};

use super::app::Who;

pub(crate) const ENVIRONMENTS: [&str; 4] = ["dev", "staging", "production", "on-prem"];
pub(crate) const ROUTES: [&str; 4] = ["a", "b", "c", "d"];
/// Keys that histories speak of, and some that they do not.
pub(crate) const KEYS: [&str; 8] = ["k0", "k1", "k2", "42", "x", "y", "z", "gitlab-org/gitlab"];

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Command(Who, usize, usize, Command, bool),
    /// To whichever stage is next, approved before; with what it requires, or alone.
    Advance(usize, usize, bool),
    /// To this stage in every environment, as far as the rules allow.
    AdvanceAll(usize, Stage),
    Approve(Who, usize, usize),
    Require(usize, BTreeSet<usize>, bool),
    Retire(usize),
    HaltAll(usize),
    OpenWindow(Who, usize, usize, i64, Percent, Cohort),
    /// In production, and then tries that setting and those keys.
    TryWindow(usize, Percent, Setting, Cohort, Cohort),
    Pass(Duration),
}

pub(crate) fn history() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 10..60)
}

fn step() -> impl Strategy<Value = Step> {
    let route = 0..ROUTES.len();
    let environment = 0..ENVIRONMENTS.len();
    let who = || {
        select(vec![
            Who::OPERATOR,
            Who::MAINTAINER,
            Who::APPROVER,
            Who::ADMIN,
        ])
    };
    let requires = prop::collection::btree_set(0..ROUTES.len(), 0..3);
    prop_oneof![
        8 => (who(), route.clone(), environment.clone(), command(), any::<bool>())
            .prop_map(|(who, r, e, command, cascade)| Step::Command(who, r, e, command, cascade)),
        6 => (route.clone(), environment.clone(), any::<bool>()).prop_map(|(r, e, cascade)| Step::Advance(r, e, cascade)),
        2 => (route.clone(), stage()).prop_map(|(r, to)| Step::AdvanceAll(r, to)),
        1 => (who(), route.clone(), environment.clone()).prop_map(|(who, r, e)| Step::Approve(who, r, e)),
        1 => (route.clone(), requires, any::<bool>()).prop_map(|(r, of, cascade)| Step::Require(r, of, cascade)),
        1 => route.clone().prop_map(Step::Retire),
        1 => environment.clone().prop_map(Step::HaltAll),
        2 => (who(), route, environment, 1..200_i64, percent(), cohort())
            .prop_map(|(who, r, e, hours, share, keys)| Step::OpenWindow(who, r, e, hours, share, keys)),
        2 => (0..ROUTES.len(), percent(), setting(), cohort(), cohort())
            .prop_map(|(r, share, setting, keys, more)| Step::TryWindow(r, share, setting, keys, more)),
        1 => (1..100_i64).prop_map(|hours| Step::Pass(Duration::hours(hours))),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let demote = (stage(), any::<bool>(), any::<bool>());
    prop_oneof![
        stage().prop_map(|to| Command::Promote {
            to,
            break_glass: false,
        }),
        demote.prop_map(|(to, break_glass, halt)| Command::Demote {
            to,
            break_glass,
            halt
        }),
        Just(Command::Halt),
        Just(Command::Resume),
        setting().prop_map(Command::Set),
        (cohort(), cohort())
            .prop_map(|(include, exclude)| Command::SetCohorts { include, exclude }),
        Just(Command::CloseWindow),
    ]
}

fn stage() -> impl Strategy<Value = Stage> {
    select(Stage::ALL.to_vec())
}

fn setting() -> impl Strategy<Value = Setting> {
    prop_oneof![
        Just(Setting::StageDefault),
        Just(Setting::Off),
        Just(Setting::On),
        percent().prop_map(|percent| Setting::Ramp { percent }),
    ]
}

fn percent() -> impl Strategy<Value = Percent> {
    prop_oneof![Just(0), Just(100_000), 0..=100_000_u32]
        .prop_map(|thousandths| Percent::from_thousandths(thousandths).unwrap())
}

fn cohort() -> impl Strategy<Value = Cohort> {
    let keys = prop::collection::btree_set(select(vec!["k0", "k1", "k2"]), 0..3);
    keys.prop_map(|keys| keys.into_iter().map(Box::from).collect())
}

/// A policy that asks for approvals and for nothing else that takes days.
pub(crate) fn reviewed(services: &Services) {
    let document = json!({
        "name": "reviewed",
        "gates": {
            "opt_in": [{ "gate": "approval", "only": "guarded" }],
            "opt_out": [{ "gate": "approval" }],
            "mandatory": [{ "gate": "approval" }],
        },
    });
    let ctx = Ctx::of(Who::ADMIN.actor());
    services
        .write_policy(&ctx, document.to_string().as_bytes(), &reason(), &nothing)
        .unwrap();
}

/// The routes that a history is about: two policies, and a chain of requirements.
pub(crate) fn prepare(services: &Services) {
    reviewed(services);
    for (index, key) in ROUTES.iter().enumerate() {
        let raw = RawRoute {
            endpoint: format!("gitaly.Service/{key}"),
            key: Some((*key).to_owned()),
            flag: Some(format!("GITALY_{}", key.to_uppercase())),
            operation: Operation::Read,
            owner: "test".to_owned(),
            policy: Some(if index % 2 == 0 { "open" } else { "reviewed" }.to_owned()),
            policy_numbers: BTreeMap::new(),
            requires: if index == 1 {
                vec!["a".to_owned()]
            } else {
                Vec::new()
            },
            ramp_group: None,
            labels: BTreeMap::new(),
            contacts: BTreeMap::new(),
            description: String::new(),
            links: Links::default(),
        };
        let ctx = Ctx::of(Who::OPERATOR.actor());
        services.create_route(&ctx, raw, &nothing).unwrap();
    }
}

/// Carries out a step: what came of it, in words.
pub(crate) fn carry_out(services: &Services, step: &Step, advance: impl Fn(Duration)) -> String {
    match step {
        Step::Command(who, route, environment, command, cascade) => said(&change(
            services,
            *who,
            (*route, *environment),
            command,
            *cascade,
        )),
        Step::Advance(route, environment, cascade) => {
            let place = (*route, *environment);
            match rollout(services, place).stage.next() {
                Some(to) => promote(services, place, to, *cascade),
                None => "nothing is next".to_owned(),
            }
        }
        Step::AdvanceAll(route, to) => {
            let mut all = Vec::new();
            for environment in 0..ENVIRONMENTS.len() {
                while let Some(next) = rollout(services, (*route, environment)).stage.next() {
                    let said = if next <= *to {
                        promote(services, (*route, environment), next, true)
                    } else {
                        break;
                    };
                    let refused = said != "done";
                    all.push(said);
                    if refused {
                        break;
                    }
                }
            }
            all.join("; ")
        }
        Step::Approve(who, route, environment) => approve(services, *who, (*route, *environment)),
        Step::Require(route, of, cascade) => {
            let requires = of.iter().map(|index| ROUTES[*index].to_owned()).collect();
            let patch = RoutePatch {
                requires: Some(requires),
                cascade: *cascade,
                ..RoutePatch::default()
            };
            let ctx = Ctx::of(Who::MAINTAINER.actor());
            said(&services.patch_route(&ctx, &key(*route), &patch, &reason(), &nothing))
        }
        Step::Retire(route) => {
            let ctx = Ctx::of(Who::ADMIN.actor());
            let how = (&reason(), true);
            said(&services.retire_route(&ctx, &key(*route), how, &nothing))
        }
        Step::HaltAll(environment) => {
            let ctx = Ctx::of(Who::OPERATOR.actor());
            let environment = ENVIRONMENTS[*environment].parse().unwrap();
            let all = HaltSelection::default();
            said(&services.halt_many(&ctx, &environment, &all, &reason(), &nothing))
        }
        Step::OpenWindow(who, route, environment, hours, percent, cohort) => {
            let command = Command::OpenWindow {
                until: services.now() + Duration::hours(*hours),
                percent: *percent,
                cohort: cohort.clone(),
            };
            said(&change(
                services,
                *who,
                (*route, *environment),
                &command,
                false,
            ))
        }
        Step::TryWindow(route, percent, setting, cohort, include) => {
            let window = Command::OpenWindow {
                until: services.now() + Duration::hours(1),
                percent: *percent,
                cohort: cohort.clone(),
            };
            let cohorts = Command::SetCohorts {
                include: include.clone(),
                exclude: Cohort::new(),
            };
            [window, Command::Set(*setting), cohorts]
                .map(|command| {
                    said(&change(
                        services,
                        Who::MAINTAINER,
                        (*route, 2),
                        &command,
                        false,
                    ))
                })
                .join("; ")
        }
        Step::Pass(time) => {
            advance(*time);
            services.close_windows_due().unwrap();
            "time passed".to_owned()
        }
    }
}

fn promote(services: &Services, place: (usize, usize), to: Stage, cascade: bool) -> String {
    approve(services, Who::APPROVER, place);
    said(&change(
        services,
        Who::MAINTAINER,
        place,
        &Command::Promote {
            to,
            break_glass: false,
        },
        cascade,
    ))
}

fn approve(services: &Services, who: Who, place: (usize, usize)) -> String {
    match rollout(services, place).stage.next() {
        Some(to) => {
            let ctx = Ctx::of(who.actor());
            said(&services.approve(&ctx, &target(place), to, "good", &nothing))
        }
        None => "nothing is next".to_owned(),
    }
}

fn change(
    services: &Services,
    who: Who,
    place: (usize, usize),
    command: &Command,
    cascade: bool,
) -> Result<(), Failure> {
    let change = Change {
        target: target(place),
        command: command.clone(),
        reason: reason(),
        cascade,
    };
    services
        .change_rollout(&Ctx::of(who.actor()), &change, &nothing)
        .map(|_| ())
}

fn rollout(services: &Services, place: (usize, usize)) -> Rollout {
    services.rollout(&target(place)).unwrap().rollout
}

fn target((route, environment): (usize, usize)) -> Target {
    Target {
        route: key(route),
        environment: ENVIRONMENTS[environment].parse().unwrap(),
    }
}

fn key(route: usize) -> RouteKey {
    ROUTES[route].parse().unwrap()
}

fn reason() -> Reason {
    Reason::new("test").unwrap()
}

fn said<T>(outcome: &Result<T, Failure>) -> String {
    match outcome {
        Ok(_) => "done".to_owned(),
        Err(failure) => format!("refused: {failure}"),
    }
}

fn nothing<T>(_: &T) -> Receipt {
    Receipt {
        status: 200,
        etag: None,
        body: String::new(),
    }
}

/// Everything as it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct View {
    pub(crate) routes: Vec<Route>,
    pub(crate) rollouts: BTreeMap<(String, String), (Rollout, Environment)>,
    pub(crate) now: DateTime<Utc>,
}

impl View {
    pub(crate) fn of(services: &Services) -> View {
        let found = services.routes(&RouteFilter::default(), 100).unwrap();
        let mut view = View {
            routes: Vec::new(),
            rollouts: BTreeMap::new(),
            now: services.now(),
        };
        for route in found {
            for (rollout, environment) in route.rollouts {
                let place = (rollout.route.to_string(), rollout.environment.to_string());
                // Counts commits of others too.
                let environment = Environment {
                    revision: 0,
                    ..environment
                };
                view.rollouts.insert(place, (rollout, environment));
            }
            view.routes.push(route.route);
        }
        view
    }

    pub(crate) fn stage(&self, route: &str, environment: &str) -> Stage {
        self.rollouts[&(route.to_owned(), environment.to_owned())]
            .0
            .stage
    }

    pub(crate) fn is_guarded(environment: &Environment) -> bool {
        environment.production || environment.kind == EnvironmentKind::OnPrem
    }
}
