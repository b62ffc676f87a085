use chrono::{DateTime, Utc};
use switchover::{Percent, Setting};

use super::*;
use crate::domain::ramp::Step;
use crate::domain::rollout::Halt;
use crate::domain::route::{RawRoute, RouteSpec};
use crate::domain::schedule::Schedule;
use crate::web::actions::FORMS;

const STAGES: [Stage; 4] = [
    Stage::ReadyForTesting,
    Stage::OptIn,
    Stage::OptOut,
    Stage::Mandatory,
];

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn actor(role: Role) -> Actor {
    Actor {
        subject: "mia".to_owned(),
        role,
    }
}

fn route(operation: Operation) -> Route {
    let raw = RawRoute {
        endpoint: "a.B/Find".to_owned(),
        key: Some("find".to_owned()),
        flag: None,
        operation,
        owner: "x".to_owned(),
        policy: None,
        policy_numbers: Default::default(),
        requires: Vec::new(),
        ramp_group: None,
        labels: Default::default(),
        contacts: Default::default(),
        description: String::new(),
        links: Default::default(),
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

fn environment(kind: EnvironmentKind, production: bool) -> Environment {
    Environment {
        key: "here".parse().unwrap(),
        kind,
        position: 1,
        production,
        revision: 1,
        generation: 1,
        created_at: now(),
    }
}

fn at(stage: Stage) -> Rollout {
    let mut rollout = Rollout::new("find".parse().unwrap(), "here".parse().unwrap(), now());
    rollout.stage = stage;
    rollout
}

fn halted(stage: Stage) -> Rollout {
    Rollout {
        halt: Some(Halt {
            at: now(),
            by: "ann".to_owned(),
            reason: "errors".to_owned(),
        }),
        ..at(stage)
    }
}

fn ramping(stage: Stage) -> Rollout {
    let step = Step {
        percent: Percent::HUNDRED,
        hold: "1h".parse().unwrap(),
    };
    Rollout {
        setting: Setting::Ramp {
            percent: Percent::ZERO,
        },
        ramp: Some(Ramp::new(vec![step])),
        ..at(stage)
    }
}

fn labels(offers: &[Offer]) -> Vec<&'static str> {
    offers.iter().map(|offer| offer.label).collect()
}

/// Whatever is offered has a form; and what is offered without an objection, this role may send.
#[test]
fn offers_lead_to_forms_that_their_reader_may_send() {
    for role in Role::ALL {
        for kind in [EnvironmentKind::Hosted, EnvironmentKind::OnPrem] {
            for operation in [Operation::Read, Operation::Write, Operation::Call] {
                let rollouts = STAGES.map(|stage| [at(stage), halted(stage), ramping(stage)]);
                for rollout in rollouts.iter().flatten() {
                    let (route, here) = (route(operation), environment(kind, true));
                    let mut offers = offered(&actor(role), &route, rollout, &here);
                    let all = [(rollout.clone(), here)];
                    offers.extend(offered_of_route(&actor(role), &route, &all));
                    assert!(role > Role::Viewer || offers.is_empty());
                    for offer in offers {
                        let form = FORMS.iter().find(|(place, slug, _)| {
                            let place = place.replace("{route}", "find");
                            let place = place.replace("{environment}", "here");
                            offer.address == format!("{place}/{slug}")
                        });
                        let (_, _, needs) = form.unwrap_or_else(|| panic!("{offer:?}"));
                        assert!(role >= *needs || offer.why_not.is_some(), "{offer:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_halted_is_resumed_first() {
    let (route, here) = (
        route(Operation::Read),
        environment(EnvironmentKind::Hosted, true),
    );
    let mia = actor(Role::Maintainer);
    let offers = offered(&mia, &route, &halted(Stage::OptIn), &here);
    assert_eq!(offers.first().map(|offer| offer.label), Some("Resume"));
    assert!(!labels(&offers).contains(&"Halt"));
    let promote = offers.iter().find(|offer| offer.label == "Promote");
    let why_not = promote.and_then(|offer| offer.why_not.as_deref());
    assert_eq!(why_not, Some("it is halted: resume it first"));
    let offers = offered(&mia, &route, &at(Stage::OptIn), &here);
    let halt = offers.iter().find(|offer| offer.label == "Halt").unwrap();
    assert_eq!((halt.class(), &halt.why_not), ("button danger", &None));
}

#[test]
fn in_production_an_operator_is_told_who_promotes() {
    let (route, rollout) = (route(Operation::Read), at(Stage::OptIn));
    let why_not = |production| {
        let here = environment(EnvironmentKind::Hosted, production);
        let offers = offered(&actor(Role::Operator), &route, &rollout, &here);
        let promote = offers.into_iter().find(|offer| offer.label == "Promote");
        promote.unwrap().why_not
    };
    assert_eq!(why_not(false), None);
    assert!(why_not(true).is_some_and(|why| why.contains("maintainer")));
}

#[test]
fn what_is_retired_is_left_alone() {
    let mut route = route(Operation::Read);
    let here = environment(EnvironmentKind::Hosted, true);
    let ada = actor(Role::Admin);
    let all = [(at(Stage::Mandatory), here.clone())];
    assert!(labels(&offered_of_route(&ada, &route, &all)).contains(&"Retire"));
    route.retired_at = Some(now());
    assert!(offered_of_route(&ada, &route, &all).is_empty());
    assert!(offered(&ada, &route, &at(Stage::Mandatory), &here).is_empty());
}
